"""Signals and closed streams: whenever they come, the end is quick, clean and has its exit code."""
import contextlib
import math
import os
import signal
import subprocess
import time
import unittest

from common import DEMO, PHALANX, SANITIZED, SLOWLY, is_alive
from faults import BAD_FILE, FakeRankCase, FaultCase, layouts
from test_processes import catches, ranks, wait_for
from test_recovery import children

LONG_ANSWER = ("generate", DEMO, "-p", "Once upon a time", "--max-tokens", "1900", "--ignore-eos",
               "--seed", "3")
ANSWER = (*LONG_ANSWER, "--max-tokens", "100")
WAITS_FOR_EVER = "#!/bin/sh\nexec sleep 600\n"
HANGS = dict(LD_PRELOAD=BAD_FILE, FAULT_FILE="/model.safetensors", FAULT_KIND="hang")


class Sigterm(FakeRankCase):
    """Within two seconds the command is gone with 130, and so are all that it started."""

    def check_ends(self, start):
        """`start` gives a command to end."""
        def seconds():
            child = start()
            below = children(child.pid)
            begin = time.monotonic()
            child.terminate()
            self.assertEqual(child.wait(timeout=30), 130)
            after = time.monotonic() - begin
            gone = lambda: not any(map(is_alive, below))
            self.assertTrue(wait_for(gone), f"some of {below} live on")
            self.check_nothing_left()
            return after
        self.check_within(2, seconds)

    def test_before_the_ranks_have_connected(self):
        self.make_rank(WAITS_FOR_EVER)

        def start(layout):
            child = self.popen(*LONG_ANSWER, *layout, program=self.program)
            slept = lambda: "sleep" in children(child.pid).values()
            self.assertTrue(wait_for(slept))
            return child
        for layout in layouts((), ("-tp", "2"), ("-dp", "2")):
            with self.subTest(layout):
                self.check_ends(lambda w=layout: start(w))

    @unittest.skipIf(SANITIZED, "sanitizers want to be the first library")
    def test_while_they_load(self):
        def start(layout):
            rank = "1" if layout else "0"
            child = self.popen(*LONG_ANSWER, *layout,
                               env=dict(os.environ, **HANGS, FAULT_RANK=rank))
            self.assertTrue(wait_for(lambda: len(ranks()) == (2 if layout else 1)))
            time.sleep(0.3)
            return child
        for layout in layouts((), ("-tp", "2"), ("-pp", "2")):
            with self.subTest(layout):
                self.check_ends(lambda w=layout: start(w))

    def test_while_lost_ranks_wait_to_start_again(self):
        self.make_mortal_rank(poison=b"", starts_at_most=1)

        def start():
            self.starts.unlink(missing_ok=True)
            child = self.popen(*LONG_ANSWER, program=self.program)
            self.read_until(child.stderr, b"starting the ranks again", 3)  # now it waits for 1 s
            return child
        self.check_ends(start)

    def test_while_nobody_has_asked_anything(self):
        def start(layout):
            child = self.popen("chat", DEMO, *layout)
            self.read_until(child.stdout, b"User: ")
            return child
        for layout in layouts((), ("-tp", "2")):
            with self.subTest(layout):
                self.check_ends(lambda w=layout: start(w))

    def test_while_the_ranks_are_stuck(self):
        def start(layout):
            child = self.popen(*LONG_ANSWER, *SLOWLY, *layout)
            child.stdout.read(1)
            for rank in ranks():
                os.kill(rank, signal.SIGSTOP)
            return child
        for layout in layouts((), ("-tp", "2")):
            with self.subTest(layout):
                self.check_ends(lambda w=layout: start(w))

    def test_a_second_one_does_not_wait(self):
        def seconds():
            """Infinity: the first one had ended it before this test went on."""
            child = self.popen(*LONG_ANSWER, *SLOWLY)
            child.stdout.read(1)
            os.kill(ranks()[0], signal.SIGSTOP)
            child.terminate()
            taken = lambda: not catches(child.pid, signal.SIGTERM)
            self.assertTrue(wait_for(taken, 30))  # two at once would be one
            begin = time.monotonic()
            child.terminate()
            code = child.wait(timeout=30)
            after = time.monotonic() - begin
            self.assertIn(code, (-signal.SIGTERM, 130))
            self.assertTrue(wait_for(lambda: not ranks()))
            return after if code == -signal.SIGTERM else math.inf
        self.check_within(0.5, seconds)


class OtherSignals(FaultCase):
    def check_unmoved(self, number, who, **more):
        want = self.run_undisturbed(*ANSWER)
        for layout in layouts((), ("-tp", "2")):
            with self.subTest(layout):
                child = self.popen(*ANSWER, *SLOWLY, *layout, **more)
                first = child.stdout.read(1)
                for pid in who(child):
                    with contextlib.suppress(ProcessLookupError):  # the answer is there already
                        os.kill(pid, number)
                out, err = child.communicate(timeout=120)
                told = [line for line in err.splitlines() if b" warn  watchdog: " not in line]
                self.assertEqual((child.returncode, first + out, told), (0, want, []))

    def test_sigpipe_moves_nobody(self):
        self.check_unmoved(signal.SIGPIPE, lambda child: [child.pid, *ranks()])

    def test_ctrl_c_at_the_terminal_is_for_the_gateway(self):
        self.check_unmoved(signal.SIGINT, lambda child: ranks())

    def test_a_closed_terminal_does_not_end_what_nohup_started(self):
        ignore = lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)
        self.check_unmoved(signal.SIGHUP, lambda child: [child.pid], preexec_fn=ignore)


class ClosedStreams(FaultCase):
    def test_an_answer_that_nobody_can_read_ends_every_command(self):
        texts = self.folder / "texts"
        texts.write_text("Once upon a time\n" * 2000)
        for words in (LONG_ANSWER, (*LONG_ANSWER, "--json", "--n", "2"),
                      ("score", DEMO, "--prompts-file", texts),
                      ("chat", DEMO, "-q", "Tell me a story", "--ignore-eos")):
            with self.subTest(words[0]):
                reader, writer = os.pipe()
                os.close(reader)
                done = subprocess.run([str(PHALANX), *map(str, words)], stdin=subprocess.DEVNULL,
                                      stdout=writer, stderr=subprocess.PIPE, timeout=120,
                                      check=False)
                os.close(writer)
                self.assertEqual(done.returncode, 74, done.stderr)
                self.assertIn(b"standard output", done.stderr)
                self.check_texts(done.stderr.decode())
                self.check_nothing_left()

    def test_messages_that_nobody_can_read_end_nothing(self):
        want = self.run_undisturbed(*ANSWER)
        reader, writer = os.pipe()
        os.close(reader)
        done = subprocess.run([str(PHALANX), *map(str, ANSWER), "--log-level", "debug"],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=writer,
                              timeout=120, check=False)
        os.close(writer)
        self.assertEqual((done.returncode, done.stdout), (0, want))

    def test_a_standard_input_that_ends_early_is_the_end_of_a_chat(self):
        child = self.popen("chat", DEMO, *(layouts((), ("-tp", "2"))[-1]))
        self.read_until(child.stdout, b"User: ")
        child.stdin.close()
        self.assertEqual(child.wait(timeout=30), 0)


if __name__ == "__main__":
    unittest.main()
