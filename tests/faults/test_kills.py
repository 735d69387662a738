"""Any process of a job is killed at any moment: every answer has the bits it would have had."""
import os
import random
import signal
import subprocess
import time
import unittest

from common import DEMO, PHALANX, SANITIZED
from faults import LONG, FaultCase, is_alive, layouts, threads_and_files
from test_processes import wait_for
from test_recovery import children

N_STREAMS = 32
N_KILLS = 20 if LONG else 2  # of each layout
N_RESTARTS = 200 if LONG else 20
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT, signal.SIGTERM)
PROMPTS = [word for i in range(N_STREAMS) for word in ("-p", f"Once upon a time there were {i}")]
# Losses in a row are their own test; here chance may bring any number of them.
STREAMS = ("generate", DEMO, "--json", "--seed", "11", "--temperature", "0.9", "--logprobs", "2",
           "--ignore-eos", "--max-tokens", "60" if SANITIZED else "400", "--max-restarts", "1000",
           *PROMPTS)


class Kills(FaultCase):
    def kill_one(self, child, chance):
        """What was killed, or None: the command came to its end."""
        time.sleep(chance.uniform(0, 0.7))
        while child.poll() is None:
            below = sorted(item for item in children(child.pid).items() if is_alive(item[0]))
            if below:
                pid, name = chance.choice(below)
                number = chance.choice(SIGNALS)
                try:
                    os.kill(pid, number)
                    return f"{name} by {number.name}"
                except ProcessLookupError:
                    continue
            time.sleep(0.01)
        return None

    def start_streams(self, layout):
        """Writes to files: nobody reads while it is being killed."""
        self.out, self.err = self.folder / "out", self.folder / "err"
        with open(self.out, "wb") as out, open(self.err, "wb") as err:
            child = subprocess.Popen([str(PHALANX), *map(str, STREAMS), *layout, "--log-level",
                                      "info"], stdout=out, stderr=err)
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)
        n_ready = 2 if "-dp" in layout else 1
        ready = lambda: self.err.read_bytes().count(b"ready:") >= n_ready
        self.assertTrue(wait_for(ready, 60), self.err.read_text())
        return child

    def kill_many(self, want, layout, chance):
        killed = []
        while len(killed) < N_KILLS:
            child = self.start_streams(layout)
            while len(killed) < N_KILLS and (victim := self.kill_one(child, chance)) is not None:
                killed.append(victim)
            self.assertEqual(child.wait(timeout=300), 0, (killed, self.err.read_text()))
            self.assertTrue(self.out.read_bytes() == want, f"other answers after {killed}")
            self.check_nothing_left()

    def test_32_streams_keep_their_bits(self):
        want = self.run_undisturbed(*STREAMS)
        chance = random.Random(2026)
        for layout in layouts(("-tp", "2"), ("-pp", "2"), ("-dp", "2")):
            with self.subTest(layout):
                self.kill_many(want, layout, chance)

    def test_restarts_cost_the_gateway_neither_files_nor_threads(self):
        child = self.start(*STREAMS, "--max-num-seqs", "4", "--max-tokens", "1900")
        time.sleep(0.5)  # the gateway has heard that they are ready
        before = threads_and_files(child.pid)
        for _ in range(N_RESTARTS):
            time.sleep(0.03)  # some tokens: losses without any in between wait ever longer
            self.kill(child, "rank 0")
            self.read_until(child.stderr, b"ready:")
            settled = lambda: threads_and_files(child.pid) == before
            self.assertTrue(wait_for(settled, 2), (threads_and_files(child.pid), before))
        child.terminate()
        self.finish(child, 130)


if __name__ == "__main__":
    unittest.main()
