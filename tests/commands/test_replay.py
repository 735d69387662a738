"""The steps of a job in a file, and run again without it: --record and --replay."""
import re
import subprocess
import unittest

from common import BUILD, DEMO, HAS_MPI, SOURCE, ModelCase, generate_json

PROMPTS = ("-p", "Once upon a time", "-p", "one two three one two three one two", "-p", "{",
           "--max-tokens", 24, "--ignore-eos", "--seed", 5)
DRAFT = SOURCE / "demo" / "draft"


def replay(*words, tp=1, pp=1):
    """Exit code, output and errors of phalanx-rank --replay."""
    words = [BUILD / "phalanx-rank", *words]
    if tp * pp > 1:
        words = ["mpirun", "--allow-run-as-root", "--oversubscribe", "-n", tp * pp, *words,
                 "-tp", tp, "-pp", pp]
    return subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=120,
                          check=False)


class Replay(ModelCase):
    def record(self, *words):
        self.file = self.folder / "plans"
        return generate_json(*PROMPTS, "--record", self.file, *words, model=self.model)

    def hash_of(self, *words, tp=1, pp=1):
        done = replay(self.model, "--replay", self.file, *words, tp=tp, pp=pp)
        self.assertEqual(done.returncode, 0, done.stderr)
        found = re.fullmatch(r"steps +(\d+)\nmedian +[\d.]+ ms\np90 +[\d.]+ ms\n"
                             r"tokens/s +[\d.]+\nhash +([0-9a-f]{16})\n", done.stdout)
        self.assertIsNotNone(found, done.stdout)
        self.assertGreaterEqual(int(found[1]), 24)
        return found[2]

    def check_every_layout(self, *words):
        first = self.hash_of("--threads", 1, *words)
        self.assertEqual(self.hash_of("--threads", 3, *words), first)
        self.assertEqual(self.hash_of("--kernels", "scalar", *words), first)
        if HAS_MPI:
            for tp, pp in ((2, 1), (3, 1), (1, 2), (2, 3)):
                self.assertEqual(self.hash_of(*words, tp=tp, pp=pp), first)
        return first

    def test_a_record_has_one_hash_in_every_layout(self):
        answers = self.record()
        self.assertEqual(answers, generate_json(*PROMPTS, model=self.model))
        first = self.check_every_layout()
        self.record("--max-num-batched-tokens", 8)
        self.assertNotEqual(self.hash_of(), first)  # other steps: the hash looks at something

    def test_a_record_made_on_two_ranks_runs_on_one(self):
        if not HAS_MPI:
            self.skipTest("mpirun is not installed")
        self.record("-tp", 2)
        self.check_every_layout()

    def test_a_record_made_on_two_stages_runs_on_one(self):
        if not HAS_MPI:
            self.skipTest("mpirun is not installed")
        answers = self.record("-pp", 2)
        self.assertEqual(answers, generate_json(*PROMPTS, model=self.model))
        self.check_every_layout()

    def test_plans_of_a_draft_model_are_recorded_too(self):
        draft = ("--speculative-method", "draft_model", "--speculative-model", DRAFT)
        self.record(*draft)
        self.check_every_layout(*draft)
        done = replay(self.model, "--replay", self.file)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("a draft model: name it, --speculative-model", done.stderr)

    def check_refused(self, *parts, model=None, record=False):
        words = ("--record", self.file) if record else ()
        done = replay(model or self.model, "--replay", self.file, *words)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertEqual(done.stdout, "")
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        for part in (str(self.file), *parts):
            self.assertIn(part, done.stderr)

    def test_a_damaged_record_is_refused_in_one_line(self):
        self.record()
        good = self.file.read_bytes()
        for at in (0, 100, len(good) // 2, len(good) - 1):
            self.file.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1:])
            self.check_refused()
        self.file.write_bytes(good[:-1])
        self.check_refused("plan ", "at byte ")
        self.file.write_bytes(b"")
        self.check_refused("0 bytes are no record of plans")
        self.file.unlink()
        self.check_refused()

    def test_a_record_of_another_model_is_refused(self):
        self.record()
        self.check_refused("vocabulary", model=SOURCE / "tests" / "golden" / "llama-16")

    def test_a_replay_is_not_recorded_over_its_own_file(self):
        self.record()
        before = self.file.read_bytes()
        self.check_refused("--record", record=True)
        self.assertEqual(self.file.read_bytes(), before)

    def test_steps_that_sample_need_a_model_that_makes_tokens(self):
        self.record()
        self.edit_config(architectures=["LlamaModel"])
        done = replay(self.model, "--replay", self.file)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("step 1: logits are asked for", done.stderr)

    def test_a_file_that_cannot_be_written_is_named(self):
        with self.assertRaisesRegex(AssertionError, "exit 2: .*--record: .*/nowhere/plans: No such"):
            generate_json(*PROMPTS, "--record", self.folder / "nowhere" / "plans", model=DEMO)


if __name__ == "__main__":
    unittest.main()
