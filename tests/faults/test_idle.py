"""Ranks that have nothing to do cost nothing, and are there at once when there is something."""
import statistics
import time
import unittest

from common import DEMO, HAS_MPI, SANITIZED, largest_share, least_of
from faults import NO_MPI, FaultCase
from test_processes import ranks

MEASURE_S = 10
MOST_OF_A_CORE = 0.01
LATE_S = 0.05
QUESTION, ANSWER, NEXT = b"Hello\n", b"Assistant: ", b"User: "


@unittest.skipUnless(HAS_MPI, NO_MPI)
@unittest.skipIf(SANITIZED, "sanitizers have threads of their own")
class Idle(FaultCase):
    def chat(self, *layout):
        child = self.popen("chat", DEMO, "--max-tokens", "4", *layout)
        self.read_until(child.stdout, NEXT)
        return child

    def leave(self, child):
        child.stdin.close()
        self.assertEqual(child.wait(timeout=30), 0)

    def seconds_to_first_token(self, child):
        child.stdin.write(QUESTION)
        child.stdin.flush()
        begin = time.monotonic()
        seen = self.read_until(child.stdout, ANSWER)
        while seen.endswith(ANSWER):
            seen += self.read_some(child.stdout)
        seconds = time.monotonic() - begin
        while not seen.endswith(NEXT):
            seen += self.read_some(child.stdout)
        return seconds

    def test_four_ranks_that_wait_take_a_hundredth_of_a_core(self):
        jobs = [self.chat("-tp", "4"), self.chat("-tp", "2", "-pp", "2", "--comm", "mpi")]
        for child in jobs:
            self.seconds_to_first_token(child)
        pids = ranks() + [child.pid for child in jobs]
        self.assertEqual(len(pids), 10)
        time.sleep(0.5)
        share = least_of(lambda: largest_share(pids, MEASURE_S), MOST_OF_A_CORE)
        self.assertLessEqual(share, MOST_OF_A_CORE)
        for child in jobs:
            self.leave(child)

    def test_the_first_token_after_a_pause_is_not_late(self):
        for layout in ("-tp", "2"), ("-pp", "2"), ("-tp", "2", "--comm", "mpi"):
            with self.subTest(layout):
                child = self.chat(*layout)
                self.seconds_to_first_token(child)
                late = least_of(lambda c=child: self.lateness(c), LATE_S)
                self.leave(child)
                self.assertLessEqual(late, LATE_S)

    def lateness(self, child):
        """How much later the first token comes after a pause than at once, in seconds."""
        after = {0: [], 0.4: []}
        for _ in range(5):
            for pause_s, seconds in after.items():
                time.sleep(pause_s)
                seconds.append(self.seconds_to_first_token(child))
        at_once, later = map(statistics.median, after.values())
        return later - at_once


if __name__ == "__main__":
    unittest.main()
