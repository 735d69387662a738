"""Any process of a job is killed at any moment: every answer has the bits it would have had."""
import operator
import os
import random
import signal
import subprocess
import time
import unittest

from common import DEMO, PHALANX, SANITIZED, SLOWLY, is_alive
from faults import LONG, FaultCase, layouts, threads_and_files
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
    def start_streams(self, *words):
        """Writes to files: nobody reads while it is being killed."""
        self.out, self.err = self.folder / "out", self.folder / "err"
        with open(self.out, "wb") as out, open(self.err, "wb") as err:
            child = subprocess.Popen([str(PHALANX), *map(str, STREAMS), *words, "--log-level",
                                      "info"], stdout=out, stderr=err)
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)
        return child

    def wait_ready(self, child, n):
        """False: the command came to its end."""
        ready = lambda: self.err.read_bytes().count(b"ready:") >= n or child.poll() is not None
        self.assertTrue(wait_for(ready, 120), self.err.read_text())
        return child.poll() is None

    def kill_one(self, child, chance):
        """What was killed, or None: the command came to its end."""
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

    def wait_for_moment(self, child, chance):
        """One in three dies in its start. The others live for a moment first: a request is blamed
        for three losses before anything came of it, the last one alone (decision 14)."""
        n_ready = self.err.read_bytes().count(b"ready:")
        if chance.random() < 1 / 3:
            time.sleep(chance.uniform(0, 0.5))
        elif self.wait_ready(child, n_ready + 1):
            time.sleep(0.2 + chance.uniform(0, 0.5))

    def kill_many(self, want, layout, chance):
        killed = []
        while len(killed) < N_KILLS:
            child = self.start_streams(*layout)
            self.wait_ready(child, 2 if "-dp" in layout else 1)
            time.sleep(chance.uniform(0, 0.5))
            while len(killed) < N_KILLS and (victim := self.kill_one(child, chance)) is not None:
                killed.append(victim)
                self.wait_for_moment(child, chance)
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
        child = self.start_streams("--max-num-seqs", "4", "--max-tokens", "1900")
        self.wait_ready(child, 1)
        before = self.settled(child)  # or more, where it stood still for all of that second
        for i in range(N_RESTARTS):
            time.sleep(0.1)  # some tokens: losses without any in between wait ever longer
            self.kill(child, "rank 0")
            self.assertTrue(self.wait_ready(child, i + 2))
            now = lambda: threads_and_files(child.pid)
            self.assertTrue(wait_for(lambda n=now: all(map(operator.le, n(), before))),
                            (now(), before))
        child.terminate()
        self.assertEqual(child.wait(timeout=30), 130)

    @staticmethod
    def settled(child):
        """Its threads and files when they have not changed for a second. It is not told when the
        gateway has heard that its ranks are ready, and closed what that took."""
        seen, since = threads_and_files(child.pid), time.monotonic()
        while time.monotonic() < since + 1:
            time.sleep(0.02)
            now = threads_and_files(child.pid)
            seen, since = now, since if now == seen else time.monotonic()
        return seen

    @unittest.skipIf(SANITIZED, "sanitizers tell of crashes themselves")
    def test_a_crash_is_told_in_one_line_of_ours(self):
        words = ("generate", DEMO, "-p", "Once", "--ignore-eos", "--max-tokens", "1900",
                 "--max-restarts", "0", *SLOWLY)
        for layout in layouts((), ("-tp", "2")):
            for victim in ("rank 0", *(["the last rank", "mpirun"] if layout else [])):
                with self.subTest(layout=layout, victim=victim):
                    child = self.popen(*words, *layout)
                    child.stdout.read(1)
                    self.kill(child, victim, signal.SIGSEGV)
                    err = child.communicate(timeout=60)[1].decode()
                    self.assertEqual(child.returncode, 70, err)
                    told = [line for line in err.splitlines() if " warn  watchdog: " not in line]
                    self.assertEqual(len(told), 1, err)
                    self.check_texts(err)


if __name__ == "__main__":
    unittest.main()
