"""The processes behind a command: none outlives it, however it ends."""
import fcntl
import math
import os
import pathlib
import re
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
import unittest

from common import BUILD, DEMO, HAS_MPI, PHALANX, SANITIZED, SLOWLY, phalanx, least_of

LONG = ("-p", "Once upon a time", "--max-tokens", "1900", "--ignore-eos")


# As mpirun, when a rank could not start: another one had connected, and is ended.
SLOW_LAUNCHER = """
import socket, sys, time
with socket.socket(socket.AF_UNIX) as rank_0:
    rank_0.connect(sys.argv[sys.argv.index("--link") + 1])
time.sleep(1.5)
sys.exit(2)
"""


def ranks():
    """Process ids of the ranks of this build."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                exe = os.readlink(entry / "exe")
                alive = (entry / "stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
            except OSError:
                continue
            if alive and exe == str(BUILD.resolve() / "phalanx-rank"):
                found.append(int(entry.name))
    return found


def wait_for(condition, seconds=20):
    """Whether it comes. What comes at once is waited for as long as any stall of the machine may
    take; bounds that matter are those of least_of()."""
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()


def catches(pid, number):
    """Whether the process has a handler for the signal. The first one that comes takes ours away."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"SigCgt:\s*(\w+)", status)[1], 16) >> (number - 1) & 1 == 1


def leftovers():
    return [p for folder in ("/tmp", "/dev/shm", os.environ.get("XDG_RUNTIME_DIR", "/tmp"))
            for p in pathlib.Path(folder).glob("phalanx-??????")]


class Processes(unittest.TestCase):
    def start(self, *words):
        """A generate that runs for a while; returns when its ranks give tokens."""
        child = subprocess.Popen([str(PHALANX), "generate", str(DEMO), *words, *LONG, *SLOWLY],
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)
        self.addCleanup(child.stdout.close)
        self.addCleanup(child.stderr.close)
        self.assertNotEqual(child.stdout.read(1), b"", "no token came")
        return child

    def layouts(self):
        return [(), ("-tp", "2")] if HAS_MPI else [()]

    def tearDown(self):
        self.assertTrue(wait_for(lambda: not ranks()), f"ranks {ranks()} live on")

    def test_a_killed_gateway_takes_its_ranks_along(self):
        def seconds(words):
            child = self.start(*words)
            begin = time.monotonic()
            child.send_signal(signal.SIGKILL)
            child.wait()
            self.assertTrue(wait_for(lambda: not ranks()), f"ranks {ranks()} live on")
            return time.monotonic() - begin
        for words in self.layouts():
            with self.subTest(words):
                self.assertLess(least_of(lambda w=words: seconds(w), 3), 3)

    def test_ctrl_c_ends_everything_quickly(self):
        def seconds(words):
            child = self.start(*words)
            begin = time.monotonic()
            child.send_signal(signal.SIGINT)
            self.assertEqual(child.wait(timeout=30), 130)
            after = time.monotonic() - begin
            self.assertTrue(wait_for(lambda: not ranks()), f"ranks {ranks()} live on")
            return after
        bound_s = 30 if SANITIZED else 5
        for words in self.layouts():
            with self.subTest(words):
                self.assertLess(least_of(lambda w=words: seconds(w), bound_s), bound_s)

    def test_a_closed_terminal_ends_it_as_ctrl_c_does(self):
        child = self.start()
        child.send_signal(signal.SIGHUP)
        self.assertEqual(child.wait(timeout=30), 130)

    def test_ctrl_c_ends_it_when_nobody_reads_its_output(self):
        prompts = [word for _ in range(100) for word in ("-p", "Once")]
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        child = subprocess.Popen([str(PHALANX), "generate", str(DEMO), *prompts, "--json",
                                  "--max-tokens", "8", "--ignore-eos", "--logprobs", "10"],
                                 stdout=writer, stderr=subprocess.PIPE)
        os.close(writer)
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)
        self.addCleanup(child.stderr.close)
        waiting = lambda: struct.unpack("i", fcntl.ioctl(reader, termios.FIONREAD, b"1234"))[0]

        def is_stuck():  # full: answers leave gaps in its pages
            before = waiting()
            time.sleep(1)
            return before == waiting() > 1 << 14

        self.assertTrue(wait_for(is_stuck, 60), "the pipe is not full")
        child.send_signal(signal.SIGINT)
        self.assertEqual(child.wait(timeout=10), 130)

    def test_a_second_ctrl_c_does_not_wait_for_a_stuck_rank(self):
        def seconds(words):
            """Infinity: the first one had ended it before this test went on."""
            child = self.start(*words)
            for rank in ranks():
                os.kill(rank, signal.SIGSTOP)
            child.send_signal(signal.SIGINT)
            taken = lambda: not catches(child.pid, signal.SIGINT)
            self.assertTrue(wait_for(taken, 30))  # two at once would be one
            begin = time.monotonic()
            child.send_signal(signal.SIGINT)
            code = child.wait(timeout=30)
            after = time.monotonic() - begin
            self.assertIn(code, (-signal.SIGINT, 130))
            self.assertTrue(wait_for(lambda: not ranks()), f"ranks {ranks()} live on")
            return after if code == -signal.SIGINT else math.inf
        for words in self.layouts():
            with self.subTest(words):
                self.assertLess(least_of(lambda w=words: seconds(w), 1), 1)

    def test_a_killed_rank_is_a_named_error(self):
        for words in self.layouts():
            with self.subTest(words):
                child = self.start(*words, "--max-restarts", "0")
                os.kill(ranks()[-1], signal.SIGKILL)
                self.assertEqual(child.wait(timeout=30), 70)
                self.assertIn(b"killed by signal 9", child.stderr.read())

    def test_a_bug_has_an_exit_code_of_its_own(self):
        child = self.start()
        child.send_signal(signal.SIGABRT)  # what a broken promise between parts of a program does
        self.assertEqual(child.wait(timeout=30), 71)

    def test_a_command_leaves_no_file_behind(self):
        before = set(leftovers())
        for words in self.layouts():
            self.assertEqual(phalanx("generate", DEMO, "-p", "x", "--max-tokens", 2, *words).code, 0)
        self.assertEqual(set(leftovers()) - before, set())

    def test_the_link_lies_in_tmpdir_where_it_is_set(self):
        with tempfile.TemporaryDirectory(prefix="phalanx-test-") as folder:
            launcher = pathlib.Path(folder, "mpirun")  # tells what it was asked, and fails
            launcher.write_text('#!/bin/sh\necho "$@" >&2\nexit 2\n')
            launcher.chmod(0o755)
            env = dict(os.environ, TMPDIR=folder, PATH=folder + ":" + os.environ["PATH"])
            env.pop("XDG_RUNTIME_DIR", None)
            done = subprocess.run([str(PHALANX), "generate", str(DEMO), "-p", "x", "-tp", "2"],
                                  env=env, capture_output=True, timeout=60, check=False)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn(f"--link {folder}/phalanx-", done.stderr.decode())
            self.assertEqual(os.listdir(folder), ["mpirun"])

    def test_why_a_start_failed_is_waited_for(self):
        """Only the status of a launcher says it, which may take a while to end the other ranks."""
        with tempfile.TemporaryDirectory(prefix="phalanx-test-") as folder:
            launcher = pathlib.Path(folder, "mpirun")
            launcher.write_text(f"#!{sys.executable}\n{SLOW_LAUNCHER}")
            launcher.chmod(0o755)
            env = dict(os.environ, PATH=folder + ":" + os.environ["PATH"])
            done = subprocess.run([str(PHALANX), "generate", str(DEMO), "-p", "x", "-tp", "2",
                                   "--max-restarts", "0"], env=env, capture_output=True,
                                  timeout=60, check=False)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertNotIn(b"lost", done.stderr)

    def test_a_closed_standard_output_ends_the_command(self):
        child = subprocess.Popen([str(PHALANX), "generate", str(DEMO), *LONG],
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(child.stderr.close)
        child.stdout.close()
        self.assertEqual(child.wait(timeout=60), 74)
        self.assertIn(b"standard output", child.stderr.read())

    def test_a_standard_input_that_was_never_open_is_one_that_ended(self):
        for closed in ("<&-", "<&- 2>&-"):
            with self.subTest(closed):
                done = subprocess.run(["sh", "-c", f"'{PHALANX}' chat '{DEMO}' {closed}"],
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60,
                                      check=False)
                self.assertEqual(done.returncode, 0, done.stderr)

    @unittest.skipUnless(os.path.exists("/dev/full"), "/dev/full is missing")
    def test_a_full_disk_is_an_error_of_every_command(self):
        for words in (["generate", DEMO, "-p", "x", "--max-tokens", "2"], ["demo", "-tp", "1"],
                      ["doctor"], ["generate", "--help"]):
            with self.subTest(words[0]), open("/dev/full", "wb") as full:
                done = subprocess.run([str(PHALANX), *map(str, words)], stdout=full,
                                      stderr=subprocess.PIPE, timeout=60, check=False)
                self.assertEqual(done.returncode, 74)
                self.assertIn(b"standard output", done.stderr)


if __name__ == "__main__":
    unittest.main()
