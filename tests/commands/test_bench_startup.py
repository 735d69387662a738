"""phalanx bench startup: every start is counted, and its moments come in their order."""
import json
import pathlib
import re
import tempfile
import unittest

from common import DEMO, phalanx


class BenchStartup(unittest.TestCase):
    def bench(self, *words):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "out.json")
            result = phalanx("bench", "startup", DEMO, "--output-json", path, *words)
            self.assertEqual(result.code, 0, result.err)
            return result, json.loads(path.read_text())

    def check_order(self, starts, n):
        for name in ("tokenizer_read", "ranks_connected", "ready", "first_token", "end"):
            self.assertEqual(len(starts[name]["all_s"]), n)
            self.assertGreater(min(starts[name]["all_s"]), 0)
        for early, late in (("tokenizer_read", "ready"), ("ranks_connected", "ready"),
                            ("ready", "first_token")):
            for a, b in zip(starts[early]["all_s"], starts[late]["all_s"]):
                self.assertLess(a, b, (early, late))

    def test_cold_and_warm_starts_are_told_apart(self):
        result, numbers = self.bench("--num-iters-cold", 2, "--num-iters-warm", 3)
        self.check_order(numbers["cold"], 2)
        self.check_order(numbers["warm"], 3)
        self.assertEqual(len(re.findall(r"(?:cold|warm) start \d of \d: ready after", result.err)), 5)
        self.assertRegex(result.out, r"cold, 2 starts\n +tokenizer read")
        left = numbers["cold"]["left_in_memory"]
        self.assertTrue(0 <= left <= 1)
        self.assertEqual("not cold: " in result.out, left > 0.01)

    def test_what_is_not_wanted_is_not_there(self):
        result, numbers = self.bench("--num-iters-cold", 0, "--num-iters-warm", 1, "--quiet")
        self.assertEqual(result.err, "")
        self.assertNotIn("cold", numbers)
        self.check_order(numbers["warm"], 1)

    def test_mistakes_are_named(self):
        for words, message in ((("--num-iters-cold", 0, "--num-iters-warm", 0), "no start"),
                               (("--output-json", "/nowhere/x"), "--output-json: cannot write")):
            result = phalanx("bench", "startup", DEMO, *words)
            self.assertEqual(result.code, 2)
            self.assertIn(message, result.err)


if __name__ == "__main__":
    unittest.main()
