"""Commands start and end in every way, many times: no process, file or memory is left of any."""
import contextlib
import itertools
import os
import pathlib
import random
import signal
import subprocess
import time
import unittest

from common import DEMO, HAS_MPI, PHALANX, SANITIZED, is_alive
from faults import BAD_FILE, LONG, NO_MPI, FakeRankCase, FaultCase, layouts
from test_processes import ranks, wait_for
from test_recovery import children

N_STARTS = 200 if LONG else 10
LONG_ANSWER = ("generate", DEMO, "-p", "Once", "--ignore-eos", "--max-tokens", "1900")
KILLED = os.environ["PHALANX_KILLED"]
HANGS = dict(LD_PRELOAD=BAD_FILE, FAULT_FILE="/model.safetensors", FAULT_KIND="hang",
             FAULT_RANK="1")
ALL_OF_ITS_GROUP = "SIGKILL to its process group"
ENDS = (None, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL, ALL_OF_ITS_GROUP)


def copies_of(child):
    """The other processes with the words of a command: its keepers, and ranks that are none yet."""
    words = b"".join(os.fsencode(word) + b"\0" for word in child.args)
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and (entry / "cmdline").read_bytes() == words:
                found.append(int(entry.name))
    return [pid for pid in found if pid != child.pid]


def shared_bytes():
    """Memory that files without a name can hide in: /dev/shm, whatever is mounted there."""
    about = os.statvfs("/dev/shm")
    return (about.f_blocks - about.f_bfree) * about.f_frsize


class KilledInItsStart(FakeRankCase):
    """The ranks have not found each other yet, so files still have names."""

    @unittest.skipIf(SANITIZED, "sanitizers want to be the first library")
    def test_at_any_step_before_the_ranks_run(self):
        steps = {(): ("fork 1", "mkdir 1", "bind 1", "fork 2"),
                 ("-tp", "2"): ("fork 1", "mkdir 1", "mkdir 2", "bind 1", "fork 2")}
        for layout in layouts(*steps):
            for step, victims in itertools.product(steps[layout], ("itself", "group")):
                with self.subTest(layout=layout, step=step, victims=victims):
                    child = self.popen(*LONG_ANSWER, *layout, start_new_session=True,
                                       env=dict(os.environ, LD_PRELOAD=KILLED, KILLED_AFTER=step,
                                                KILLED_WITH=victims))
                    self.assertEqual(child.wait(timeout=60), -signal.SIGKILL)
                    self.check_nothing_left()
                    self.assertTrue(wait_for(lambda c=child: not copies_of(c)))

    def check_killed(self, child):
        below = children(child.pid)
        self.assertNotEqual(self.left(), [])
        child.kill()
        self.assertTrue(wait_for(lambda: not any(map(is_alive, below))), below)
        self.check_nothing_left()

    def test_before_the_ranks_have_connected(self):
        self.make_rank("#!/bin/sh\nexec sleep 600\n")
        for layout in layouts((), ("-tp", "2")):
            with self.subTest(layout):
                child = self.popen(*LONG_ANSWER, *layout, program=self.program)
                slept = lambda: "sleep" in children(child.pid).values()
                self.assertTrue(wait_for(slept))
                self.check_killed(child)

    @unittest.skipUnless(HAS_MPI, NO_MPI)
    @unittest.skipIf(SANITIZED, "sanitizers want to be the first library")
    def test_while_they_load(self):
        for victims in ("phalanx alone", "mpirun, too"):
            with self.subTest(victims):
                child = self.popen(*LONG_ANSWER, "-tp", "2", env=dict(os.environ, **HANGS))
                self.assertTrue(wait_for(lambda: len(ranks()) == 2))
                time.sleep(0.5)
                if victims != "phalanx alone":  # it has folders of its own, and cannot remove them
                    os.kill(child.pid, signal.SIGSTOP)
                    self.kill(child, "mpirun")
                self.check_killed(child)

    def test_a_start_leaves_no_keeper_behind_that_waits_for_its_end(self):
        child = self.popen("chat", DEMO)
        self.read_until(child.stdout, b"User: ")
        self.assertTrue(wait_for(lambda: not copies_of(child)), copies_of(child))
        child.stdin.close()
        self.assertEqual(child.wait(timeout=30), 0)


class NothingLeft(FaultCase):
    def end_one(self, chance, layout, how):
        """Starts a command and ends it, at any moment, with a signal; None: it ends by itself."""
        words = [*LONG_ANSWER, *layout, *(["--max-tokens", "4"] if how is None else [])]
        with subprocess.Popen([str(PHALANX), *map(str, words)], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, start_new_session=True) as child:
            below = {}
            if how is not None:
                time.sleep(chance.uniform(0.02, 0.6))
                below = children(child.pid)
            if how == ALL_OF_ITS_GROUP:
                os.killpg(child.pid, signal.SIGKILL)
            elif how is not None:
                child.send_signal(how)
            child.wait(timeout=60)
        return child, below

    def test_whatever_ended_it(self):
        chance = random.Random(11)
        ways = [(layout, how) for how in ENDS
                for layout in layouts((), ("-tp", "2"), ("-pp", "2"), ("-dp", "2"))]
        chance.shuffle(ways)
        before = shared_bytes()
        for i in range(N_STARTS):
            layout, how = ways[i % len(ways)]
            with self.subTest(layout=layout, how=how):
                child, below = self.end_one(chance, layout, how)
                self.check_nothing_left()
                alive = lambda c=child, b=below: [*filter(is_alive, b), *copies_of(c)]
                self.assertTrue(wait_for(lambda a=alive: not a()), (alive(), below))
        most = before + (1 << 20)  # others use it, too
        self.assertTrue(wait_for(lambda: shared_bytes() <= most, 30), (shared_bytes(), most))


if __name__ == "__main__":
    unittest.main()
