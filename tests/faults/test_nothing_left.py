"""Commands start and end in every way, many times: no process, file or memory is left of any."""
import os
import random
import signal
import subprocess
import time
import unittest

from common import DEMO, PHALANX
from faults import LONG, FaultCase, is_alive, layouts
from test_recovery import children

N_STARTS = 200 if LONG else 10
ENDS = (None, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL)


def shared_bytes():
    """Memory that files without a name can hide in: /dev/shm, whatever is mounted there."""
    about = os.statvfs("/dev/shm")
    return (about.f_blocks - about.f_bfree) * about.f_frsize


class NothingLeft(FaultCase):
    def end_one(self, chance, layout, how):
        """Starts a command and ends it, at any moment, with a signal; None: it ends by itself."""
        words = ["generate", DEMO, "-p", "Once", "--ignore-eos", "--max-tokens",
                 "4" if how is None else "1900", *layout]
        with subprocess.Popen([str(PHALANX), *map(str, words)], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL) as child:
            below = {}
            if how is not None:
                time.sleep(chance.uniform(0.02, 0.6))
                below = children(child.pid)
                child.send_signal(how)
            child.wait(timeout=60)
        return below

    def test_whatever_ended_it(self):
        chance = random.Random(11)
        ways = [(layout, how) for how in ENDS
                for layout in layouts((), ("-tp", "2"), ("-pp", "2"), ("-dp", "2"))]
        chance.shuffle(ways)
        before = shared_bytes()
        for i in range(N_STARTS):
            layout, how = ways[i % len(ways)]
            with self.subTest(layout=layout, how=how):
                below = self.end_one(chance, layout, how)
                self.check_nothing_left()
                self.assertEqual([name for pid, name in below.items() if is_alive(pid)], [])
        self.assertLessEqual(shared_bytes(), before + (1 << 20))  # others use it, too


if __name__ == "__main__":
    unittest.main()
