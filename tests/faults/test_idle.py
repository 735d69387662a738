"""Ranks that have nothing to do cost nothing, and are there at once when there is something."""
import pathlib
import statistics
import time
import unittest

from common import DEMO, HAS_MPI, SANITIZED
from faults import NO_MPI, FaultCase
from test_processes import ranks

MEASURE_S = 10
MOST_OF_A_CORE = 0.01
LATE_S = 0.05
N_ROUNDS = 3  # the machine is busy with something else in one, and ranks that are late are so in all
QUESTION, ANSWER, NEXT = b"Hello\n", b"Assistant: ", b"User: "


def cpu_seconds(pid):
    """Of all threads, as the scheduler counts it."""
    return sum(int((task / "schedstat").read_text().split()[0])
               for task in pathlib.Path(f"/proc/{pid}/task").iterdir()) / 1e9


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
        most = [self.largest_share(pids)]
        while most[-1] > MOST_OF_A_CORE and len(most) < N_ROUNDS:
            most.append(self.largest_share(pids))
        self.assertLessEqual(most[-1], MOST_OF_A_CORE, most)
        for child in jobs:
            self.leave(child)

    @staticmethod
    def largest_share(pids):
        """Of a core, that one of the processes takes."""
        before = {pid: cpu_seconds(pid) for pid in pids}
        time.sleep(MEASURE_S)
        return max(cpu_seconds(pid) - before[pid] for pid in pids) / MEASURE_S

    def test_the_first_token_after_a_pause_is_not_late(self):
        for layout in ("-tp", "2"), ("-pp", "2"), ("-tp", "2", "--comm", "mpi"):
            with self.subTest(layout):
                child = self.chat(*layout)
                self.seconds_to_first_token(child)
                late = [self.lateness(child)]
                while late[-1] > LATE_S and len(late) < N_ROUNDS:
                    late.append(self.lateness(child))
                self.leave(child)
                self.assertLessEqual(late[-1], LATE_S, late)

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
