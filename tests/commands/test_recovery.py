"""Lost ranks: they start again, and every answer has the tokens it would have had."""
import contextlib
import json
import os
import pathlib
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from common import (BUILD, DEMO, HAS_MPI, PHALANX, SANITIZED, SLOWLY, ModelCase,
                    least_of)
from test_processes import ranks, wait_for

PROMPTS = ["Once upon a time", "The dog", "A", "She said", "In the morning", "Why", "It was", "He"]
N_TOKENS = "60" if SANITIZED else "300"
LONG = ("--max-tokens", N_TOKENS, "--ignore-eos", "--seed", "7", "--temperature", "0.9", "--json")
# A command that waits for its last prompts, and so is there for as long as a test needs.
WAITS = ("--prompts-file", "-")
LAST = b"Tom\n"
ENDLESS = (*LONG, "--max-tokens", "1900", *SLOWLY)
# The ids of a prompt that the fake rank below dies of; on the link they are these bytes.
POISON_IDS, POISON_BYTES = "77,78,79,80,81,82,83,84", b"MNOPQRST"

# Stands beside a copy of phalanx as its phalanx-rank, and starts the real one behind a link of its
# own: a rank that dies of a prompt, or that never comes up again.
FAKE_RANK = """#!{python}
import os, pathlib, select, signal, socket, subprocess, sys, tempfile
folder = pathlib.Path(__file__).parent
starts = folder / "starts"
starts.write_text(starts.read_text() + "x" if starts.exists() else "x")
if {starts_at_most} and len(starts.read_text()) > {starts_at_most}:
    os.kill(os.getpid(), signal.SIGKILL)
words = sys.argv[1:]
at = words.index("--link") + 1
gateway = socket.socket(socket.AF_UNIX)
gateway.connect(words[at])
with tempfile.TemporaryDirectory(dir=folder) as inner:
    words[at] = inner + "/link"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(words[at])
    listener.listen(1)
    child = subprocess.Popen(["{rank}", *words])
    engine, _ = listener.accept()
    other = {{gateway: engine, engine: gateway}}
    while True:
        for end in select.select([gateway, engine], [], [])[0]:
            data = end.recv(1 << 20)
            if end is gateway and {poison!r} in data:
                child.kill()
                os.kill(os.getpid(), signal.SIGKILL)
            if not data:
                other[end].shutdown(socket.SHUT_RDWR)
                sys.exit(child.wait())
            other[end].sendall(data)
"""


def prompt_words(prompts):
    return [word for prompt in prompts for word in ("-p", prompt)]


def answers(out):
    """Without what a cache spared: an engine that starts again may have more or less of it."""
    return re.sub(rb'"num_cached_tokens": [0-9]+', b"", out)


def layouts():
    return [(), ("-tp", "2")] if HAS_MPI else [()]


def children(pid):
    """All processes below this one: {pid: name}."""
    below = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                name, _, rest = (entry / "stat").read_text().partition("(")[2].rpartition(")")
            except OSError:
                continue
            below.setdefault(int(rest.split()[1]), []).append((int(entry.name), name))
    found, todo = {}, [pid]
    while todo:
        for child, name in below.get(todo.pop(), []):
            found[child] = name
            todo.append(child)
    return found


class RecoveryCase(ModelCase):
    def tearDown(self):
        self.assertTrue(wait_for(lambda: not ranks()), f"ranks {ranks()} live on")

    def run_undisturbed(self, *words, stdin=b""):
        """Its output. `stdin`: what one that waits is given in the end."""
        done = subprocess.run([str(PHALANX), *map(str, words)], input=stdin, capture_output=True,
                              timeout=120, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def start(self, *words, n_ready=1, program=PHALANX, stdin=b""):
        """A command whose ranks, all of them, have just become ready; one that waits has been given
        what comes first, and gets the rest in finish()."""
        child = subprocess.Popen([str(program), *map(str, words), "--log-level", "info"],
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE)
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)
        for stream in (child.stdin, child.stdout, child.stderr):
            self.addCleanup(stream.close)
        child.feeder = threading.Thread(target=self.feed, args=(child.stdin, stdin))
        child.feeder.start()
        child.seen = b""
        while child.seen.count(b"ready:") < n_ready:
            self.assertTrue(select.select([child.stderr], [], [], 60)[0], child.seen)
            data = os.read(child.stderr.fileno(), 1 << 16)
            self.assertNotEqual(data, b"", child.seen)
            child.seen += data
        return child

    @staticmethod
    def feed(stdin, data):
        try:
            stdin.write(data)
            stdin.flush()
        except OSError:
            pass  # it has ended

    def finish(self, child, code=0, last=None):
        """Its output, and what it said; all of its log, which a reader has to take meanwhile."""
        child.feeder.join(120)
        out, err = child.communicate(last, timeout=120)
        err = (child.seen + err).decode(errors="replace")
        self.assertEqual(child.returncode, code, err)
        return out, err

    def kill(self, child, what, number=signal.SIGKILL):
        """`what`: "rank 0", "the last rank" or "mpirun". Its process id."""
        below = children(child.pid)
        name = "mpirun" if what == "mpirun" else "phalanx-rank"
        pids = sorted(pid for pid, its in below.items() if its == name)
        self.assertTrue(pids, below)
        victim = pids[-1 if what == "the last rank" else 0]
        os.kill(victim, number)
        return victim


class LostRanks(RecoveryCase):
    def wanted(self, words, stdin):
        """What one rank answers undisturbed, and so every layout."""
        if self.of_words != words:
            self.of_words, self.answer = words, self.run_undisturbed(*words, stdin=stdin)
        return self.answer

    of_words = answer = None

    def loses(self, words, layout, *victims, n_ready=1, first=b"", last=LAST):
        """A command that waits loses ranks between its first prompts and its last."""
        words = (*words, *WAITS)
        want = self.wanted(words, first + last)
        for victim in victims:
            with self.subTest(layout=layout, victim=victim):
                child = self.start(*words, *layout, n_ready=n_ready, stdin=first)
                time.sleep(0.1)  # a few tokens
                self.kill(child, victim)
                out, err = self.finish(child, last=last)
                self.assertIn("starting the ranks again", err)
                self.assertEqual(answers(out), answers(want))

    def test_a_killed_rank_costs_no_answer(self):
        words = ("generate", DEMO, *LONG, *prompt_words(PROMPTS), "--n", "2", "--logprobs", "2")
        for layout in layouts():
            self.loses(words, layout, "rank 0", *(["the last rank", "mpirun"] if layout else []))
        if HAS_MPI:
            self.loses(words, ("-pp", "2"), "rank 0", "the last rank")

    def test_penalties_and_stop_texts_count_what_came_before(self):
        words = ("generate", DEMO, *LONG, *prompt_words(PROMPTS), "--frequency-penalty", "0.5",
                 "--stop", "zebra", "--min-tokens", "20", "--logit-bias", "40:1.5",
                 "--bad-words", "dog")
        self.loses(words, (), "rank 0")

    def test_log_probabilities_of_prompts_come_once(self):
        long = " ".join(PROMPTS * 20)
        words = ("generate", DEMO, *LONG, *prompt_words([long + str(i) for i in range(12)]),
                 "--prompt-logprobs", "2", "--max-num-batched-tokens", "64")
        self.loses(words, (), "rank 0")

    def test_beams_start_anew(self):
        words = ("generate", DEMO, "--json", "--ignore-eos", "--max-tokens", N_TOKENS,
                 "--beam-width", "4", "--seed", "7", *prompt_words(PROMPTS[:4]))
        self.loses(words, (), "rank 0")

    def test_texts_to_score_start_anew(self):
        *texts, last = [" ".join(PROMPTS * 12) + f" {i}\n" for i in range(300)]
        self.loses(("score", DEMO, "--pooling", "mean"), (), "rank 0",
                   first="".join(texts).encode(), last=last.encode())

    def test_one_replica_costs_the_other_nothing(self):
        words = ("generate", DEMO, *LONG, *prompt_words(PROMPTS))
        for layout in layouts():
            self.loses(words, (*layout, "-dp", "2"), "the last rank", n_ready=2)

    def test_replicas_share_the_processors(self):
        child = self.start("generate", DEMO, "-p", "x", "-dp", "2", n_ready=2)
        _, err = self.finish(child)
        n_threads = max(1, len(os.sched_getaffinity(0)) // 2)
        self.assertEqual(err.count(f", {n_threads} thread"), 2, err)

    def test_many_losses_are_as_one(self):
        """Each time something has come: three losses of a prompt with nothing in between are its
        fault."""
        # of which some are still to come, however long this test stands still between its losses
        words = ("generate", DEMO, "-p", PROMPTS[0], "--ignore-eos", "--seed", "7", "--max-tokens",
                 "150" if SANITIZED else "900")
        want = self.run_undisturbed(*words)
        child = self.start(*words, *SLOWLY)
        out = b""
        for n_lost in range(1, 4):
            out += self.take(child.stdout, 1)
            self.kill(child, "rank 0")
            while child.seen.count(b"starting the ranks again") < n_lost:
                child.seen += self.take(child.stderr, 1)
            out += self.take(child.stdout, 0)  # of those that are lost
        rest, _ = self.finish(child)
        self.assertEqual(out + rest, want)

    def take(self, stream, at_least):
        """What is there, after a wait where `at_least` is 1 byte."""
        data = b""
        while select.select([stream], [], [], 60 if len(data) < at_least else 0)[0]:
            more = os.read(stream.fileno(), 1 << 16)
            self.assertNotEqual(more, b"", data)
            data += more
        self.assertGreaterEqual(len(data), at_least)
        return data

    def test_a_stopped_rank_that_goes_on_changes_nothing(self):
        words = ("generate", DEMO, *LONG, *prompt_words(PROMPTS), *layouts()[-1], *WAITS)
        want = self.run_undisturbed(*words, stdin=LAST)
        child = self.start(*words)
        stopped = ranks()[-1]
        os.kill(stopped, signal.SIGSTOP)
        time.sleep(1)
        with contextlib.suppress(ProcessLookupError):  # it was a longer second, and it is lost
            os.kill(stopped, signal.SIGCONT)
        self.assertEqual(answers(self.finish(child, last=LAST)[0]), answers(want))

    def test_a_rank_that_was_stopped_for_good_is_lost_after_two_seconds(self):
        words = ("generate", DEMO, *LONG, *prompt_words(PROMPTS), *WAITS)
        want = self.run_undisturbed(*words, stdin=LAST)
        for layout in layouts():
            with self.subTest(layout):
                child = self.start(*words, *layout)
                time.sleep(0.1)
                os.kill(ranks()[-1], signal.SIGSTOP)
                out, err = self.finish(child, last=LAST)
                self.assertRegex(err, "the ranks are lost: .*stopped.*starting the ranks again")
                self.assertEqual(answers(out), answers(want))

    def test_a_chat_goes_on_after_a_loss_that_nobody_saw(self):
        lines = [b"Tell me a story.\n", b"And then?\n"]
        words = ("chat", DEMO, "--seed", "3", "--max-tokens", "40")
        want = self.run_undisturbed(*words, stdin=b"".join(lines))
        child = self.start(*words)
        child.stdin.write(lines[0])
        child.stdin.flush()
        seen = b""
        while seen.count(b"User: ") < 2:  # the first answer is there
            self.assertTrue(select.select([child.stdout], [], [], 60)[0], seen)
            seen += os.read(child.stdout.fileno(), 1 << 16)
        victim = self.kill(child, "rank 0")
        self.assertTrue(wait_for(lambda: victim not in ranks()))
        out, err = child.communicate(lines[1], timeout=60)
        self.assertEqual(child.returncode, 0, err)
        self.assertEqual(seen + out, want)


@unittest.skipUnless(HAS_MPI, "mpirun is missing")
class Files(RecoveryCase):
    def test_a_killed_mpirun_leaves_no_file(self):
        os.environ["TMPDIR"] = str(self.folder)
        self.addCleanup(os.environ.pop, "TMPDIR")
        runtime = os.environ.pop("XDG_RUNTIME_DIR", None)
        if runtime is not None:
            self.addCleanup(os.environ.__setitem__, "XDG_RUNTIME_DIR", runtime)
        for victim in (None, "mpirun", "phalanx"):
            with self.subTest(victim):
                child = self.start("generate", DEMO, *LONG, *prompt_words(PROMPTS), "-tp", "2",
                                   *WAITS)
                environment = pathlib.Path(f"/proc/{ranks()[0]}/environ").read_bytes().decode()
                segments = re.search("OMPI_MCA_btl_vader_backing_directory=([^\\0]*)", environment)[1]
                self.assertIn("/phalanx-", segments)
                self.assertTrue(list(self.folder.glob("ompi.*/pid.*")))
                # The line "ready:" does not wait for the gateway, which removes the folder.
                self.assertTrue(wait_for(lambda: not os.path.exists(segments)), segments)
                if victim == "phalanx":
                    child.kill()
                    child.communicate()
                else:
                    if victim:
                        self.kill(child, victim)
                    self.finish(child, last=LAST)
                self.assertTrue(wait_for(lambda: not ranks()), f"ranks {ranks()} live on")
                gone = lambda: not list(self.folder.glob("ompi.*/pid.*"))
                self.assertTrue(wait_for(gone), os.listdir(self.folder))


class Poison(RecoveryCase):
    def setUp(self):
        super().setUp()
        self.program = self.folder / "phalanx"
        shutil.copy(PHALANX, self.program)

    def make_fake(self, poison=POISON_BYTES, starts_at_most=0):
        rank = self.folder / "phalanx-rank"
        rank.write_text(FAKE_RANK.format(python=sys.executable, rank=BUILD / "phalanx-rank",
                                         poison=poison, starts_at_most=starts_at_most))
        rank.chmod(0o755)

    def run_fake(self, *words, timeout=120):
        begin = time.monotonic()
        done = subprocess.run([str(self.program), "generate", str(DEMO), *words],
                              capture_output=True, timeout=timeout, check=False)
        return done, time.monotonic() - begin

    def test_a_prompt_that_kills_the_engine_fails_alone(self):
        self.make_fake()
        file = self.folder / "prompts.jsonl"
        prompts = [{"prompt": f"{PROMPTS[i % 8]} {i}"} for i in range(31)]
        ids = [int(i) for i in POISON_IDS.split(",")]
        words = ("--prompts-file", str(file), "--json", "--seed", "5", "--max-tokens", "40",
                 "--logprobs", "1")
        for place in (0, 13, 31):
            with self.subTest(place):
                (self.folder / "starts").unlink(missing_ok=True)
                all_prompts = prompts[:place] + [{"prompt_token_ids": ids}] + prompts[place:]
                file.write_text("".join(json.dumps(p) + "\n" for p in all_prompts))
                want = json.loads(self.run_undisturbed("generate", DEMO, *words))
                done, _ = self.run_fake(*words)
                self.assertEqual(done.returncode, 74, done.stderr)
                self.assertIn(b"engine_crash", done.stderr)
                got = json.loads(done.stdout)
                self.assertIn("engine_crash", got[place]["outputs"][0]["error"])
                del got[place], want[place]
                self.assertEqual(got, want)
                self.assertLessEqual(len((self.folder / "starts").read_text()), 6)

    def test_an_engine_that_dies_of_every_prompt_is_given_up(self):
        self.make_fake(poison=b"")
        done, _ = self.run_fake(*prompt_words(PROMPTS), "--json", "--max-restarts", "3")
        self.assertEqual(done.returncode, 70, done.stderr)
        self.assertIn(b"started again 3 times and came to nothing", done.stderr)
        answers = json.loads(done.stdout)
        self.assertEqual(len(answers), len(PROMPTS))
        self.assertTrue(all("error" in answer["outputs"][0] for answer in answers))

    def test_ranks_that_never_come_up_again_are_given_up(self):
        self.make_fake(poison=POISON_BYTES, starts_at_most=1)
        done, seconds = self.run_fake("--prompt-ids", POISON_IDS, "--max-restarts", "2")
        self.assertEqual(done.returncode, 70, done.stderr)
        self.assertIn(b"started again 2 times", done.stderr)
        self.assertGreaterEqual(seconds, 0.5)  # it waits before the second time
        self.assertEqual(len((self.folder / "starts").read_text()), 3)

    def test_ranks_that_never_came_up_are_not_started_again(self):
        self.make_fake(starts_at_most=1)
        (self.folder / "starts").write_text("x")
        done, _ = self.run_fake("-p", "x")
        self.assertEqual(done.returncode, 70, done.stderr)
        self.assertEqual(len((self.folder / "starts").read_text()), 2)
        self.assertEqual(done.stderr.count(b"\n"), 1, done.stderr)


class Ends(RecoveryCase):
    def test_without_restarts_a_lost_rank_is_one_error_for_every_answer(self):
        def seconds(layout):
            child = self.start("generate", DEMO, *ENDLESS, *prompt_words(PROMPTS), *layout,
                               "--max-restarts", "0")
            time.sleep(2 if SANITIZED else 0.4)  # every prompt is there
            begin = time.monotonic()
            self.kill(child, "the last rank")
            out, err = self.finish(child, 70)
            after = time.monotonic() - begin
            answers = json.loads(out)
            self.assertEqual(len(answers), len(PROMPTS))
            for answer in answers:
                self.assertIn("killed by signal 9", answer["outputs"][0]["error"])
            self.assertEqual(err.count("killed by signal 9"), 1)
            return after
        bound_s = 60 if SANITIZED else 5
        for layout in layouts():
            with self.subTest(layout):
                self.assertLess(least_of(lambda w=layout: seconds(w), bound_s), bound_s)

    def test_a_record_is_not_begun_twice(self):
        child = self.start("generate", DEMO, *ENDLESS, *prompt_words(PROMPTS), "--record",
                           self.folder / "record")
        self.kill(child, "rank 0")
        self.finish(child, 70)

    def test_a_record_and_replicas_exclude_each_other(self):
        done = subprocess.run([str(PHALANX), "generate", str(DEMO), "-p", "x", "-dp", "2",
                               "--record", str(self.folder / "record")], capture_output=True,
                              timeout=60, check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn(b"--record", done.stderr)

    def test_a_model_that_went_away_is_named_when_the_ranks_start_again(self):
        child = self.start("generate", self.model, *ENDLESS, *prompt_words(PROMPTS))
        (self.model / "config.json").unlink()
        self.kill(child, "rank 0")
        self.assertIn("config.json", self.finish(child, 2)[1])

    def test_another_model_in_its_place_is_refused(self):
        child = self.start("generate", self.model, *ENDLESS, *prompt_words(PROMPTS))
        self.edit_config(max_position_embeddings=1024)
        self.kill(child, "rank 0")
        self.assertIn("another one than before", self.finish(child, 2)[1])

    def test_other_weights_of_the_same_shapes_are_refused_too(self):
        """Half an answer of each would be an answer of neither."""
        child = self.start("generate", self.model, *ENDLESS, *prompt_words(PROMPTS))
        path = self.model / "model.safetensors"
        whole = path.read_bytes()
        begin = 8 + int.from_bytes(whole[:8], "little")
        path.unlink()  # not in place: the ranks have mapped it
        path.write_bytes(whole[:begin] + whole[begin:].translate(bytes(i ^ 1 for i in range(256))))
        self.kill(child, "rank 0")
        self.assertIn("another one than before", self.finish(child, 2)[1])

    def test_sigterm_ends_it_within_two_seconds_at_any_time(self):
        def seconds(layout, delay_s):
            """Until all of it is gone."""
            child = subprocess.Popen([str(PHALANX), "generate", str(DEMO), *ENDLESS, *layout,
                                      *prompt_words(PROMPTS)],
                                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            self.addCleanup(child.wait)
            self.addCleanup(child.kill)
            time.sleep(delay_s)
            begin = time.monotonic()
            child.terminate()
            self.assertIn(child.wait(timeout=30), (130, -signal.SIGTERM))  # before it catches them
            self.assertTrue(wait_for(lambda: not ranks()), f"ranks {ranks()} live on")
            return time.monotonic() - begin
        bound_s = 20 if SANITIZED else 2
        for layout in (*layouts(), ("-dp", "2")):
            for delay_s in (0.05, 0.2, 0.6):
                with self.subTest(layout=layout, delay_s=delay_s):
                    end = lambda w=layout, d=delay_s: seconds(w, d)
                    self.assertLess(least_of(end, bound_s), bound_s)


if __name__ == "__main__":
    unittest.main()
