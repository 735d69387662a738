"""Weights that are made up (--load-format dummy), and what is said while weights are loaded."""
import json
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

from common import DEMO, HAS_MPI, PHALANX, generate_json, phalanx
from terminal import Terminal

# Whether any such line comes depends on the machine; test_progress.c says when it should.
LINE = re.compile(r"^phalanx: loading, (\d0) %: [\d.]+ [KMG]?B of ([\d.]+ [KMG]B) of weights, "
                  r"[\d.]+ [KMG]?B/s, \d+:\d\d left$")
ASK = ("-p", "Hello world", "--max-tokens", 12, "--seed", 1, "--logprobs", 2)


class Folder(unittest.TestCase):
    """A model without weights: config.json and the tokenizer of the demo model."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.model = pathlib.Path(folder.name)
        for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
            shutil.copy(pathlib.Path(DEMO, name), self.model)

    def change_config(self, **keys):
        path = self.model / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **keys}))


class Dummy(Folder):
    def answers(self, *words):
        return generate_json(*ASK, "--load-format", "dummy", *words, model=self.model)

    def test_answers_are_the_same_on_every_layout(self):
        want = self.answers()
        layouts = [("--max-num-batched-tokens", 16), ("--no-enable-chunked-prefill",)]
        if HAS_MPI:
            layouts += [("-tp", 2), ("-tp", 3), ("-pp", 2)]
        for words in layouts:
            with self.subTest(words):
                self.assertEqual(self.answers(*words), want)

    def test_numbers_are_finite_and_no_file_of_weights_is_needed(self):
        found = phalanx("generate", self.model, *ASK, "--load-format", "dummy", "--check-weights")
        self.assertEqual(found.code, 0, found.err)
        missing = phalanx("generate", self.model, *ASK)
        self.assertEqual(missing.code, 2)
        self.assertIn("no model.safetensors", missing.err)

    def test_plan_needs_no_file_of_weights_either(self):
        made_up = self.plan(self.model, "--load-format", "dummy")
        in_files = self.plan(DEMO)
        self.assertEqual(made_up["copied"], in_files["mapped"])  # not used in place
        self.assertEqual(made_up["mapped"], 0)
        self.assertEqual(made_up["kv"], in_files["kv"])

    def plan(self, *words):
        result = phalanx("plan", *words, "--json")
        self.assertEqual(result.code, 0, result.err)
        return json.loads(result.out)["ranks"][0]["memory"]


class Progress(Folder):
    """Some 270 million made-up numbers: a second and more of work."""

    WORDS = ("--load-format", "dummy", "-p", "Hello", "--max-tokens", 2, "--max-model-len", 64)

    def setUp(self):
        super().setUp()
        self.change_config(hidden_size=1024, intermediate_size=4096, num_hidden_layers=16,
                           num_attention_heads=16, num_key_value_heads=16, head_dim=64)

    def test_elsewhere_than_on_a_terminal_tenths_of_all_ranks_are_lines(self):
        for words in ((), ("-tp", 2)) if HAS_MPI else ((),):
            with self.subTest(words):
                told = phalanx("generate", self.model, *self.WORDS, *words)
                self.assertEqual(told.code, 0, told.err)
                lines = [LINE.match(line) for line in told.err.splitlines() if "loading" in line]
                self.assertNotIn(None, lines, told.err)
                tenths = [int(line[1]) for line in lines]
                self.assertEqual(tenths, sorted(set(tenths)))
                # a second rank may begin to load, and be counted, when the first one has begun
                self.assertLessEqual({line[2] for line in lines[-1:]}, {"541 MB"})

    def test_a_terminal_shows_a_bar_that_is_gone_when_the_answer_comes(self):
        screen = Terminal([PHALANX, "generate", self.model, *self.WORDS], columns=200)
        self.addCleanup(screen.close)
        self.assertEqual(screen.wait(seconds=120), 0)
        *bars, answer = screen.seen.split(b"\r\x1b[K")
        for bar in bars:
            self.assertRegex(bar, rb"^$|^\[#*\.*\] [\d.]+( [KMG]?B)? of 541 MB of weights, "
                                  rb"[\d.]+( [KMG]?B)?/s(, \d+:\d\d left)?\x1b\[999C $")
        self.assertNotIn(b"weights", answer)

    def test_quiet_is_quiet(self):
        told = phalanx("generate", self.model, *self.WORDS, "--quiet")
        self.assertEqual(told.err, "")

    def test_a_start_that_is_ended_by_ctrl_c_ends_while_it_loads(self):
        process = subprocess.Popen([PHALANX, "generate", self.model, *map(str, self.WORDS)],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.kill)
        if "loading" not in process.stderr.readline():
            self.skipTest("it was loaded before anything was shown")
        begin = time.monotonic()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
        self.assertNotEqual(process.returncode, 0)
        self.assertLess(time.monotonic() - begin, 10)


class Small(unittest.TestCase):
    def test_nothing_else_is_said(self):
        for words in ((), ("--load-format", "dummy"), ("--check-weights",)):
            with self.subTest(words):
                told = phalanx("generate", DEMO, "-p", "Hello", "--max-tokens", 2, *words)
                self.assertEqual(told.code, 0, told.err)
                self.assertEqual([line for line in told.err.splitlines()
                                  if not LINE.match(line)], [])


if __name__ == "__main__":
    unittest.main()
