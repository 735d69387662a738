"""A start that cannot succeed: the whole job ends at once with 2 and one line that says what."""
import os
import shutil
import subprocess
import unittest

from common import DEMO, HAS_MPI, PHALANX, SANITIZED
from faults import BAD_FILE, NO_MPI, FaultCase

ASK = ("-p", "Once", "--max-tokens", "2")
BOUND_S = 2
IN_A_SMALL_SHM = 'mount -t tmpfs -o size=64k tmpfs /dev/shm && exec "$0" "$@"'


def can_mount():
    done = subprocess.run(["unshare", "-m", "sh", "-c", IN_A_SMALL_SHM, "true"],
                          capture_output=True, check=False) if shutil.which("unshare") else None
    return done is not None and done.returncode == 0


@unittest.skipUnless(HAS_MPI, NO_MPI)
class Starts(FaultCase):
    def check_refused(self, *words, names, **more):
        def run():
            code, out, err, seconds = self.run_program(*words, **more)
            self.assertEqual((code, out), (2, b""), err)
            self.assertEqual(err.count("\n"), 1, err)
            for name in names:
                self.assertIn(name, err)
            self.check_nothing_left()
            return seconds
        self.check_within(BOUND_S, run)

    @unittest.skipIf(SANITIZED, "sanitizers want to be the first library")
    def test_a_rank_that_alone_cannot_read_a_file_is_named_with_it(self):
        for layout, rank in ((("-tp", "2"), 1), (("-pp", "2"), 1), (("-tp", "3"), 2),
                             (("-tp", "2"), 0), (("-tp", "2", "--comm", "mpi"), 1)):
            for file in "model.safetensors", "config.json":
                with self.subTest(layout=layout, rank=rank, file=file):
                    env = dict(os.environ, LD_PRELOAD=BAD_FILE, FAULT_FILE=f"/{file}",
                               FAULT_RANK=str(rank), FAULT_KIND="refuse")
                    names = [f"{DEMO}/{file}: Permission denied"]
                    self.check_refused("generate", DEMO, *ASK, *layout, env=env,
                                       names=names + [f"rank {rank}: "] * (rank > 0))

    @unittest.skipUnless(can_mount(), "a /dev/shm of its own needs a mount namespace")
    def test_the_remedy_for_a_small_shared_memory_is_one(self):
        code, out, err, _ = self.run_program("-m", "sh", "-c", IN_A_SMALL_SHM, PHALANX, "generate",
                                             DEMO, *ASK, "-tp", "2", "--comm", "mpi",
                                             "--temperature", "0", program="unshare")
        self.assertEqual(code, 0, err)
        self.assertEqual(out, self.run_undisturbed("generate", DEMO, *ASK, "--temperature", "0"))


if __name__ == "__main__":
    unittest.main()
