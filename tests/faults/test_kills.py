"""Any process of a job is killed at any moment: every answer has the bits it would have had."""
import contextlib
import operator
import os
import random
import signal
import subprocess
import time
import unittest

from common import DEMO, PHALANX, SANITIZED, SLOWLY, is_alive
from faults import LONG, FaultCase, layouts, threads_and_files
from serving import Server, Streams
from test_processes import wait_for
from test_recovery import children

N_STREAMS = 32
N_KILLS = 20 if LONG else 2  # of each layout
N_RESTARTS = 200 if LONG else 20
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT, signal.SIGTERM)
# Losses in a row are their own test; here chance may bring any number of them.
ENDURING = ("--max-restarts", "1000", "--log-level", "info")
BODIES = [{"prompt": f"Once upon a time there were {i}", "seed": 11, "temperature": 0.9,
           "logprobs": 2, "ignore_eos": True, "max_tokens": 60 if SANITIZED else 400}
          for i in range(N_STREAMS)]
N_PROMPTS = 2000  # of 1900 tokens: more than any machine answers while this test breaks its ranks


def answer_of(stream):
    """Its text and log-probabilities, however they came, and how it ended."""
    *events, last = stream.events[0]
    choices = [event["choices"][0] for event in events]
    rows = [[row for choice in choices for row in (choice["logprobs"] or {}).get(name, ())]
            for name in ("tokens", "token_logprobs", "top_logprobs", "text_offset")]
    return stream.text(0), rows, choices[-1]["finish_reason"], last


class KilledStreams(FaultCase):
    """A request is failed when it was at three losses and had nothing to show for any of them, the
    last time alone (decision 14). Chance brings that, too: so of two losses, one at least comes when
    every stream has had something of the ranks that are lost."""

    def start(self, *layout):
        self.server = Server(*ENDURING, *layout)
        self.addCleanup(self.server.kill)
        self.streams = [Streams(self.server, 1, body) for body in BODIES]

    def finish(self):
        """The answers; the server ends, and nothing is left of it."""
        for stream in self.streams:
            stream.join()
        self.assertEqual([stream.errors[0] for stream in self.streams], [None] * N_STREAMS)
        self.assertEqual(self.server.stop(), 0, self.server.err)
        self.check_nothing_left()
        return [answer_of(stream) for stream in self.streams]

    def run_on(self):
        """Those streams that have not ended."""
        return [stream for stream in self.streams if stream.threads[0].is_alive()]

    def n_ready(self):
        return self.server.err.count("rank: ready:")

    def wait_heard(self, n_ready):
        """Until ranks have become ready once more than so often, and all streams had some tokens
        since; or until the streams end."""
        self.assertTrue(wait_for(lambda: self.n_ready() > n_ready or not self.run_on(), 120),
                        self.server.err)
        before = {stream: len(stream.events[0]) for stream in self.streams}
        heard = lambda: all(len(stream.events[0]) >= before[stream] + 3 for stream in self.run_on())
        self.assertTrue(wait_for(heard, 120), self.server.err)

    def kill_one(self, chance):
        """What was killed."""
        while self.run_on():
            below = sorted(item for item in children(self.server.child.pid).items()
                           if is_alive(item[0]))
            if below:
                pid, name = chance.choice(below)
                number = chance.choice(SIGNALS)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
                    return [f"{name} by {number.name}"]
            time.sleep(0.01)
        return []

    def kill_some(self, chance, most):
        """What was killed, one in three or so in its start."""
        killed, in_its_start = [], False
        self.wait_heard(0)
        while len(killed) < most and self.run_on():
            time.sleep(chance.uniform(0, 0.5))
            n_ready = self.n_ready()
            killed += self.kill_one(chance)
            in_its_start = not in_its_start and chance.random() < 1 / 2
            if not in_its_start:
                self.wait_heard(n_ready)
        return killed

    def test_32_streams_keep_their_bits(self):
        self.start()
        want = self.finish()
        chance = random.Random(2026)
        for layout in layouts(("-tp", "2"), ("-pp", "2"), ("-dp", "2")):
            n_killed = 0
            while n_killed < N_KILLS:
                self.start(*layout)
                killed = self.kill_some(chance, N_KILLS - n_killed)
                n_killed += len(killed)
                with self.subTest(layout=layout, killed=killed):
                    self.assertTrue(self.finish() == want, "other answers")


class Kills(FaultCase):
    def start_prompts(self):
        """Its log is a file: nobody reads while it is being killed."""
        prompts, self.err = self.folder / "prompts", self.folder / "err"
        prompts.write_text("".join(f"Once upon a time there were {i}\n" for i in range(N_PROMPTS)))
        words = ("generate", DEMO, *ENDURING, "--prompts-file", prompts, "--ignore-eos",
                 "--max-tokens", "1900", "--max-num-seqs", "4")
        with open(self.err, "wb") as err:
            child = subprocess.Popen([str(PHALANX), *map(str, words)], stdout=subprocess.DEVNULL,
                                     stderr=err)
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)
        return child

    def wait_ready(self, child, n):
        """False: the command came to its end."""
        ready = lambda: self.err.read_bytes().count(b"ready:") >= n or child.poll() is not None
        self.assertTrue(wait_for(ready, 120), self.err.read_text())
        return child.poll() is None

    def test_restarts_cost_the_gateway_neither_files_nor_threads(self):
        child = self.start_prompts()
        self.wait_ready(child, 1)
        before = self.settled(child)  # or more, where it stood still for all of that second
        for i in range(N_RESTARTS):
            time.sleep(0.1)  # some tokens: losses without any in between wait ever longer
            self.kill(child, "rank 0")
            self.assertTrue(self.wait_ready(child, i + 2), self.err.read_text())
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
