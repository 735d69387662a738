"""Requests that kill their engine, and ranks that die whenever they start."""
import json
import unittest

from common import DEMO
from faults import POISON_IDS, FakeRankCase

DEFAULT_RESTARTS = 5


class Poison(FakeRankCase):
    def test_two_requests_that_kill_the_engine_fail_and_30_are_answered(self):
        self.make_mortal_rank()
        places = (4, 20)
        prompts = [{"prompt": f"Once upon a time {i}"} for i in range(32)]
        for place in places:
            prompts[place] = {"prompt_token_ids": [*POISON_IDS, place]}
        file = self.folder / "prompts.jsonl"
        file.write_text("".join(json.dumps(p) + "\n" for p in prompts))
        words = ("generate", DEMO, "--prompts-file", file, "--json", "--seed", "5",
                 "--max-tokens", "40", "--logprobs", "1", "--temperature", "0.8")
        want = json.loads(self.run_undisturbed(*words))
        code, out, err, _ = self.run_program(*words, program=self.program)
        self.assertEqual(code, 74, err)
        got = json.loads(out)
        for place in reversed(places):
            self.assertIn("engine_crash", got[place]["outputs"][0]["error"])
            del got[place], want[place]
        self.assertEqual(got, want)
        # two of all, one of each that was alone, and what was undecided when an engine died
        self.assertLessEqual(self.n_starts(), 8)

    def test_a_crash_loop_ends_after_five_restarts(self):
        self.make_mortal_rank(starts_at_most=1)
        code, out, err, seconds = self.run_program(
            "generate", DEMO, "--json", "--prompt-ids", ",".join(map(str, POISON_IDS)), "-p", "Tom",
            program=self.program)
        self.assertEqual(code, 70, err)
        self.assertLess(seconds, 60)
        self.assertEqual(self.n_starts(), 1 + DEFAULT_RESTARTS)
        self.assertIn(f"started again {DEFAULT_RESTARTS} times and came to nothing",
                      err.splitlines()[-1])
        answers = json.loads(out)
        self.assertEqual(["error" in answer["outputs"][0] for answer in answers], [True, True])


if __name__ == "__main__":
    unittest.main()
