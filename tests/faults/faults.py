"""What the tests of faults share: a job to break, and a look around after each test.

A job has a TMPDIR of its own, so whatever it leaves behind is seen. Bounds are those of
docs/faults.md; sanitized builds, which are several times slower, are not held to them.
"""
import os
import pathlib
import re
import select
import shutil
import subprocess
import sys
import time
import unittest.mock

import test_recovery
from common import BUILD, HAS_MPI, PHALANX, SANITIZED, least_of
from test_processes import ranks, wait_for

LONG = "PHALANX_LONG" in os.environ  # the form that takes minutes
BAD_FILE = os.environ["PHALANX_BAD_FILE"]
POISON_IDS = [int(word) for word in test_recovery.POISON_IDS.split(",")]
NO_MPI = "mpirun is not installed"
# What is for us and not for users: addresses, and the words of libraries below.
# Messages; notes of a chat; progress; warnings, where a machine is slow.
OURS = re.compile(r"^(phalanx(-rank)?: |\[|(\d+ %: )?\d+/\d+ \w+, |[\d:.]{12} r\d+ warn )")
NOT_OURS = re.compile(r"0x[0-9a-f]{5,}|MPI_|PMIX|ORTE|jansson|protobuf|Assertion|core dumped|----")


def layouts(*wanted):
    """Those of `wanted`, each a tuple of words, that this build can run."""
    return [words for words in wanted if HAS_MPI or not {"-tp", "-pp"} & set(words)]


def threads_and_files(pid):
    return len(os.listdir(f"/proc/{pid}/task")), len(os.listdir(f"/proc/{pid}/fd"))


class FaultCase(test_recovery.RecoveryCase):
    def setUp(self):
        super().setUp()
        self.temporary = self.folder / "tmp"
        self.temporary.mkdir()
        patch = unittest.mock.patch.dict(os.environ, TMPDIR=str(self.temporary))
        patch.start()
        self.addCleanup(patch.stop)
        os.environ.pop("XDG_RUNTIME_DIR", None)
        self.shared = set(os.listdir("/dev/shm"))

    def tearDown(self):
        self.check_nothing_left()

    def left(self):
        """Files of the job: in its folder, but for the one that mpirun keeps for all jobs of a
        user, which is empty; in shared memory, where others may have files of Open MPI's."""
        try:
            files = [str(path) for path in self.temporary.rglob("*")
                     if not (path.name.startswith("ompi.") and path.is_dir())]
        except FileNotFoundError as gone:  # while one looked
            files = [gone.filename]
        return files + sorted(
            name for name in set(os.listdir("/dev/shm")) - self.shared if "phalanx" in name)

    def check_nothing_left(self):
        self.assertTrue(wait_for(lambda: not ranks()), f"ranks {ranks()} live on")
        self.assertTrue(wait_for(lambda: not self.left()), f"left behind: {self.left()}")

    def check_within(self, bound_s, run):
        """run() tells the seconds that something took."""
        if SANITIZED:
            run()
        else:
            self.assertLess(least_of(run, bound_s), bound_s)

    def check_texts(self, err):
        """Each line that users see is one of ours, and speaks of what they know."""
        for line in err.splitlines():
            self.assertRegex(line, OURS)
            self.assertNotRegex(line, NOT_OURS)

    def popen(self, *words, program=PHALANX, **more):
        child = subprocess.Popen([str(program), *map(str, words)], stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0, **more)
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)
        for stream in (child.stdin, child.stdout, child.stderr):
            self.addCleanup(stream.close)
        return child

    def run_program(self, *words, program=PHALANX, **more):
        """(exit code, standard output, standard error, seconds) of a command that nobody breaks
        from outside."""
        begin = time.monotonic()
        done = subprocess.run([str(program), *map(str, words)], stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=300, check=False, **more)
        err = done.stderr.decode(errors="replace")
        self.check_texts(err)
        return done.returncode, done.stdout, err, time.monotonic() - begin

    def read_some(self, stream):
        self.assertTrue(select.select([stream], [], [], 60)[0], "nothing came for a minute")
        data = os.read(stream.fileno(), 1 << 16)
        self.assertNotEqual(data, b"", "the stream has ended")
        return data

    def read_until(self, stream, text, n=1):
        """What a command says until `text` is there n times."""
        seen = b""
        while seen.count(text) < n:
            seen += self.read_some(stream)
        return seen


class FakeRankCase(FaultCase):
    """A copy of phalanx with another phalanx-rank beside it."""

    def setUp(self):
        super().setUp()
        self.program = self.folder / "phalanx"
        shutil.copy(PHALANX, self.program)
        self.starts = self.folder / "starts"

    def make_rank(self, text):
        path = self.folder / "phalanx-rank"
        path.write_text(text)
        path.chmod(0o755)

    def make_mortal_rank(self, poison=test_recovery.POISON_BYTES, starts_at_most=0):
        """A rank that dies of prompts with `poison` in them, and at every start after so many."""
        self.make_rank(test_recovery.FAKE_RANK.format(
            python=sys.executable, rank=BUILD / "phalanx-rank", poison=poison,
            starts_at_most=starts_at_most))

    def n_starts(self):
        return len(self.starts.read_text()) if self.starts.exists() else 0
