"""A batch is killed at any moment, its disk is full, its ranks are lost: whoever runs it again gets
the file that nobody disturbed would have written, byte by byte."""
import json
import os
import random
import subprocess
import time
import unittest

from common import DEMO, PHALANX, SANITIZED, SLOWLY
from faults import BAD_FILE, LONG, FaultCase
from test_processes import wait_for

N_KILLS = 20 if LONG else 5
N_LINES = 5000 if LONG else 300
BAD_LINES = {7: "{not json", 11: '{"custom_id": "no url", "method": "POST", "body": {}}'}
# Any of these may go on with what another one began.
LAYOUTS = ((), ("-dp", "2"), ("--max-num-seqs", "3"))
BIT_BY_BIT = ("--max-num-seqs", 4, *SLOWLY)  # so that there is a moment between first and last


def line(i):
    body = {"prompt": f"Once upon a time there were {i}", "max_tokens": 12 + i % 9,
            "temperature": 0.9, "n": 1 + i % 2, "logprobs": 1}
    return json.dumps({"custom_id": f"line-{i}", "method": "POST", "url": "/v1/completions",
                       "body": body})


class BatchFaults(FaultCase):
    def setUp(self):
        super().setUp()
        os.environ["SOURCE_DATE_EPOCH"] = "1700000000"  # else answers tell when they were begun
        self.addCleanup(os.environ.pop, "SOURCE_DATE_EPOCH")
        self.input, self.output = self.folder / "in.jsonl", self.folder / "out.jsonl"
        self.journal = self.folder / "out.jsonl.journal"
        self.write(N_LINES)

    def write(self, n):
        self.input.write_text("".join(BAD_LINES.get(i, line(i)) + "\n" for i in range(n)))

    def words(self, *more):
        return ("batch", DEMO, "-i", self.input, "-o", self.output, *more)

    def run_batch(self, *more, env=None):
        """(exit code, standard error) of the command."""
        done = subprocess.run([str(PHALANX), *map(str, self.words(*more))], capture_output=True,
                              timeout=1200, check=False, env=env)
        err = done.stderr.decode(errors="replace")
        self.check_texts(err)
        return done.returncode, err

    def finish(self, *more):
        """What the file has at the end, and the seconds that took; it is gone afterwards."""
        begin = time.monotonic()
        code, err = self.run_batch(*more)
        self.assertEqual(code, 0, err)
        self.assertFalse(self.journal.exists())
        self.assertEqual(sorted(p.name for p in self.folder.glob("out.jsonl*")), ["out.jsonl"])
        text = self.output.read_bytes()
        self.output.unlink()
        return text, time.monotonic() - begin

    def check_same(self, text, want, how):
        if text != want:  # no assertEqual: a difference of megabytes takes forever to print
            at = next((i for i, (a, b) in enumerate(zip(text, want)) if a != b), -1)
            self.fail(f"{how}: {len(text)} bytes, want {len(want)}; they differ at {at}: "
                      f"{text[at:at + 200]} and {want[at:at + 200]}")


class Kills(BatchFaults):
    def kill_once(self, chance, seconds):
        """True: it was killed before it came to its end."""
        child = subprocess.Popen([str(PHALANX), *map(str, self.words(*chance.choice(LAYOUTS)))],
                                 stderr=subprocess.DEVNULL)
        try:
            code = child.wait(chance.uniform(0, seconds))
        except subprocess.TimeoutExpired:
            self.check_nothing_published()
            child.kill()
            child.wait()
            return True
        self.assertEqual(code, 0)
        return False

    def check_nothing_published(self):
        """The output has its name when it is whole, and never before."""
        if self.output.exists():
            self.assertEqual(self.output.read_bytes().count(b"\n"), N_LINES)

    def test_a_batch_that_is_killed_ends_with_the_same_file(self):
        want, seconds = self.finish()
        self.assertEqual(want.count(b"\n"), N_LINES)
        chance = random.Random(2026)
        n_killed = n_midway = 0
        while n_killed < N_KILLS or (n_midway == 0 and n_killed < 10 * N_KILLS):
            if self.kill_once(chance, seconds):
                n_killed += 1
                n_midway += self.journal.exists() and self.journal.stat().st_size > 2000
            else:
                self.check_same(self.output.read_bytes(), want, f"after {n_killed} kills")
                self.output.unlink()
        self.check_same(self.finish()[0], want, f"after {n_killed} kills")
        self.assertGreater(n_midway, 0, "nobody was killed while it answered")

    def test_replicas_and_sizes_change_no_byte(self):
        want, _ = self.finish()
        for layout in LAYOUTS[1:]:
            self.check_same(self.finish(*layout)[0], want, layout)


class Disks(BatchFaults):
    def fill(self, name, n_bytes):
        return dict(os.environ, LD_PRELOAD=BAD_FILE, FAULT_KIND="full", FAULT_FILE=name,
                    FAULT_BYTES=str(n_bytes))

    @unittest.skipIf(SANITIZED, "a preloaded library comes before the sanitizers'")
    def test_a_full_disk_stops_it_with_exit_74_and_it_goes_on_later(self):
        want, _ = self.finish()
        for name, n_bytes in ((".journal", 10), (".journal", 5000), (".journal", 50001),
                              (".partial", 0), (".partial", 30003)):
            with self.subTest(f"{name} of {n_bytes} bytes"):
                code, err = self.run_batch(env=self.fill(name, n_bytes))
                self.assertEqual(code, 74, err)
                self.assertIn("No space left on device", err)
                self.assertFalse(self.output.exists())
                self.assertLessEqual(self.journal.stat().st_size, max(n_bytes, 1 << 30)
                                     if name == ".partial" else n_bytes)
                self.check_same(self.finish()[0], want, name)


class Ranks(BatchFaults):
    def test_ranks_that_are_lost_are_no_answer(self):
        want, _ = self.finish()
        child = subprocess.Popen([str(PHALANX), *map(str, self.words("--max-restarts", 0,
                                                                     *BIT_BY_BIT))],
                                 stderr=subprocess.PIPE)
        self.addCleanup(child.stderr.close)
        self.assertTrue(wait_for(lambda: self.journal.exists() and
                                 self.journal.stat().st_size > 20000, 60))
        self.kill(child, "rank 0")
        err = child.communicate(timeout=60)[1].decode()
        self.assertEqual(child.returncode, 70, err)
        self.assertIn("the same command again goes on", err)
        self.check_same(self.finish()[0], want, "after lost ranks")

    def test_ranks_that_are_started_again_change_no_byte(self):
        self.write(30 if SANITIZED else 100)
        want, _ = self.finish()
        child = subprocess.Popen([str(PHALANX), *map(str, self.words(*BIT_BY_BIT))],
                                 stderr=subprocess.DEVNULL)
        self.assertTrue(wait_for(lambda: self.journal.exists() and
                                 self.journal.stat().st_size > 8000, 60))
        self.kill(child, "rank 0")
        self.assertEqual(child.wait(600), 0)
        self.check_same(self.output.read_bytes(), want, "after ranks that were started again")

    def test_one_bad_line_of_1000_is_one_error(self):
        self.write(1000)
        answers = [json.loads(text) for text in self.finish()[0].splitlines()]
        self.assertEqual(len(answers), 1000)
        bad = [i for i, answer in enumerate(answers) if answer["error"] is not None]
        self.assertEqual(bad, sorted(BAD_LINES))


if __name__ == "__main__":
    unittest.main()
