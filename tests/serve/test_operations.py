"""What those who run a server see of it: sleep, health, logs, metrics, systemd; and lost ranks."""
import json
import math
import os
import pathlib
import re
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
import unittest

from serving import (HAS_MPI, SANITIZED, SLOW, SLOWLY, TRIES, Server, ServerCase, Streams,
                     largest_share, least_of, ranks_of, wait_for)

try:
    from prometheus_client import parser as prometheus
except ImportError:
    prometheus = None

BODY = {"prompt": "Once upon a time", "max_tokens": 24, "temperature": 0, "ignore_eos": True}
# For servers that answer SLOWLY: more than a second, and half a minute.
LONG = {**BODY, "max_tokens": 100}
ENDLESS = {**BODY, "max_tokens": 1900}
NO_MPI = "mpirun is not installed"
TWO_RANKS = ("-tp", 2) if HAS_MPI else ()


def memory_of(pids):
    """Bytes that the processes have in memory."""
    return sum(int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids) * \
        os.sysconf("SC_PAGE_SIZE")


class OwnServer(unittest.TestCase):
    """Tests that break their servers."""

    def start(self, *words, **more):
        server = Server(*words, **more)
        self.addCleanup(server.kill)
        return server

    def readiness(self, server):
        """Asks again and again whether it is ready, until the function that is returned is called:
        that gives all answers."""
        statuses, over = [], threading.Event()

        def watch():
            while not over.is_set():
                statuses.append(server.get("/health/ready").status)
                time.sleep(0.005)
        thread = threading.Thread(target=watch)
        thread.start()

        def end():
            over.set()
            thread.join()
            return statuses
        self.addCleanup(end)
        return end


class SleepCase(ServerCase):
    def setUp(self):
        self.assertEqual(self.server.post("/wake_up", None).status, 200)

    def asleep(self):
        return self.server.get("/is_sleeping").json["is_sleeping"]


class Sleep(SleepCase):
    def text(self):
        return self.server.post("/v1/completions", BODY).json["choices"][0]["text"]

    def test_ranks_give_memory_back_and_waking_gives_the_same_text(self):
        before = self.text()
        pids = ranks_of(self.server)
        awake = memory_of(pids)
        for level, part in ((1, 0.8), (2, 0.6)):
            self.assertEqual(self.server.post(f"/sleep?level={level}", None).status, 200)
            if not SANITIZED:
                self.assertLess(memory_of(pids), part * awake)
            self.assertEqual(self.server.post("/wake_up", None).status, 200)
            self.assertEqual(self.text(), before)

    def test_one_that_sleeps_refuses_and_is_not_ready_but_lives(self):
        self.server.post("/sleep", None)
        refused = self.server.post("/v1/completions", BODY)
        self.assertEqual(self.check_error(refused, 503)["code"], "sleeping")
        self.assertGreaterEqual(int(refused.headers["Retry-After"]), 1)
        for path in ("/health", "/health/ready"):
            answer = self.server.get(path)
            self.assertEqual((answer.status, answer.json), (503, {"status": "sleeping"}))
        self.assertEqual(self.server.get("/health/live").status, 200)
        self.assertTrue(self.asleep())
        self.server.post("/wake_up", None)
        self.assertTrue(wait_for(lambda: self.server.get("/health/ready").status == 200))
        self.assertFalse(self.asleep())

    def test_asking_twice_is_asking_once(self):
        for path in ("/sleep", "/sleep", "/sleep?level=2", "/sleep?level=1", "/wake_up", "/wake_up"):
            self.assertEqual(self.server.post(path, None).status, 200, path)

    def test_the_state_is_a_metric(self):
        def states():
            return {state: value for state, value in re.findall(
                r'^vllm:engine_sleep_state\{.*sleep_state="(\w+)"\} (\d)$',
                self.server.get("/metrics").body.decode(), re.M)}
        self.assertEqual(states(), {"awake": "1", "weights_offloaded": "0", "discard_all": "0"})
        self.server.post("/sleep?level=2", None)
        self.assertEqual(states(), {"awake": "0", "weights_offloaded": "0", "discard_all": "1"})

    def test_no_other_level_is_known(self):
        self.check_error(self.server.post("/sleep?level=3", None), 400, "level")


class SleepAmidAnswers(SleepCase):
    WORDS = SLOWLY

    def test_what_is_in_flight_is_finished_first(self):
        want = self.server.post("/v1/completions", LONG).json["choices"][0]["text"]
        streams = Streams(self.server, 2, LONG)
        self.assertTrue(wait_for(streams.begun))
        sleep = threading.Thread(target=self.server.post, args=("/sleep", None))
        sleep.start()
        self.assertTrue(wait_for(self.asleep))
        self.assertEqual(self.server.post("/v1/completions", BODY).status, 503)
        sleep.join()
        streams.join()
        self.assertEqual([streams.text(0), streams.text(1)], [want, want])
        # The log has the order in which they ended, however late each was read.
        self.assertTrue(wait_for(lambda: "route=/sleep" in self.server.lines[-1]), self.server.err)

    def test_who_waits_for_sleep_is_told_that_somebody_woke_it(self):
        stream = self.server.stream("/v1/completions", ENDLESS)
        next(stream)
        answers = []
        sleep = threading.Thread(target=lambda: answers.append(self.server.post("/sleep", None)))
        sleep.start()
        self.assertTrue(wait_for(self.asleep))
        self.assertEqual(self.server.post("/wake_up", None).status, 200)
        sleep.join()
        self.assertEqual(self.check_error(answers[0], 409)["code"], "superseded")
        stream.close()

    def test_who_leaves_while_it_falls_asleep_changes_nothing(self):
        streams = Streams(self.server, 1, LONG)
        self.assertTrue(wait_for(streams.begun))
        connection = self.server.connect()
        connection.request("POST", "/sleep", "")
        self.assertTrue(wait_for(self.asleep))
        connection.close()
        streams.join()
        self.assertEqual(self.server.post("/sleep", None).status, 200)
        self.assertTrue(self.asleep())


class SleepAndEnd(OwnServer):
    def test_a_server_that_sleeps_ends_at_once_with_0(self):
        def end():
            server = self.start()
            server.post("/sleep?level=2", None)
            begin = time.monotonic()
            self.assertEqual(server.stop(), 0, server.err)
            return time.monotonic() - begin
        self.assertLess(least_of(end, 2 * SLOW), 2 * SLOW)

    def test_ranks_that_start_again_while_it_sleeps_fall_asleep_too(self):
        server = self.start()
        want = server.post("/v1/completions", BODY).json["choices"][0]["text"]
        server.post("/sleep", None)
        os.kill(ranks_of(server)[0], signal.SIGKILL)
        self.assertTrue(wait_for(lambda: "starting the ranks again" in server.err))
        self.assertEqual(server.get("/health/ready").json, {"status": "sleeping"})
        self.assertEqual(server.post("/wake_up", None).status, 200)
        self.assertEqual(server.post("/v1/completions", BODY).json["choices"][0]["text"], want)


class Health(OwnServer):
    @unittest.skipUnless(HAS_MPI, NO_MPI)
    def test_a_stopped_rank_is_not_ready_until_it_goes_on(self):
        server = self.start(*TWO_RANKS, "--max-restarts", 100)

        def not_ready():
            """Seconds until it is told; infinity: it was over before this test looked again."""
            self.assertTrue(wait_for(lambda: server.get("/health/ready").status == 200))
            n_lost = server.err.count("starting the ranks again")
            begin, stopped = time.monotonic(), ranks_of(server)[-1]
            os.kill(stopped, signal.SIGSTOP)
            statuses = []

            def is_told_or_over():
                statuses.append(server.get("/health/ready").status)
                return (statuses[-1] == 503 or
                        server.err.count("starting the ranks again") > n_lost)
            self.assertTrue(wait_for(is_told_or_over))
            seconds = time.monotonic() - begin if statuses[-1] == 503 else math.inf
            self.assertEqual(server.get("/health/live").status, 200)
            try:
                os.kill(stopped, signal.SIGCONT)
            except ProcessLookupError:
                pass  # it was lost by then, and is started again
            return seconds
        self.assertLess(least_of(not_ready, 2.5 * SLOW), 2.5 * SLOW)
        self.assertTrue(wait_for(lambda: server.get("/health/ready").status == 200))

    @unittest.skipIf(SANITIZED, "a part of a step may take more than the two seconds")
    def test_a_long_prefill_is_healthy(self):
        server = self.start("--max-num-batched-tokens", 65536, "--no-enable-prefix-caching")
        n_prompts = 8  # that one step takes, and so many that it takes longer than two seconds
        for _ in range(2 * TRIES):
            readiness = self.readiness(server)
            prompts = [[7 + i] * 2000 for i in range(n_prompts)]
            answer = server.post("/v1/completions", {"prompt": prompts, "max_tokens": 1})
            self.assertEqual(answer.status, 200, answer.body)
            statuses = set(readiness())
            if answer.seconds > 2.5 and statuses == {200}:
                return
            if answer.seconds < 2.5:
                n_prompts = min(2 * n_prompts, 32)
        # A part of a step takes that long only on a machine that stands still, and not each time.
        self.fail(f"{n_prompts} prompts: {statuses}")

    def test_streams_of_lost_ranks_go_on_and_it_is_not_ready_meanwhile(self):
        server = self.start(*TWO_RANKS, *SLOWLY, "--max-restarts", 100)
        want = server.post("/v1/completions", LONG).json["choices"][0]["text"]

        def is_not_ready_meanwhile():
            streams = Streams(server, 8, LONG)
            self.assertTrue(wait_for(streams.begun))
            readiness = self.readiness(server)
            n_lost = server.err.count("starting the ranks again")
            os.kill(ranks_of(server)[-1], signal.SIGKILL)
            streams.join()
            self.assertEqual(streams.errors, [None] * 8)
            self.assertEqual({streams.text(i) for i in range(8)}, {want})
            self.assertEqual({events[-1] for events in streams.events}, {"[DONE]"})
            self.assertTrue(wait_for(
                lambda: server.err.count("starting the ranks again") > n_lost))
            self.assertTrue(wait_for(lambda: server.get("/health/ready").status == 200))
            return 503 in readiness()
        # Who stands still meanwhile sees nothing of it.
        self.assertTrue(any(is_not_ready_meanwhile() for _ in range(TRIES)))

    def test_without_restarts_every_stream_has_one_error_and_it_ends_with_70(self):
        def end():
            server = self.start("--max-restarts", 0, *TWO_RANKS, *SLOWLY)
            streams = Streams(server, 4, ENDLESS)
            self.assertTrue(wait_for(streams.begun))
            os.kill(ranks_of(server)[-1], signal.SIGKILL)
            begin = time.monotonic()
            self.assertEqual(server.wait(), 70, server.err)
            seconds = time.monotonic() - begin
            streams.join()
            self.assertEqual(streams.errors, [None] * 4)
            for events in streams.events:
                self.assertEqual(events[-1], "[DONE]")
                self.assertEqual([i for i, event in enumerate(events) if "error" in event],
                                 [len(events) - 2])
            return seconds
        self.assertLess(least_of(end, 5 * SLOW), 5 * SLOW)


class Rest(unittest.TestCase):
    """A server that nobody asks anything for ten seconds, and then somebody does."""
    SECONDS = 10.5

    @classmethod
    def setUpClass(cls):
        cls.server = Server()
        cls.server.post("/v1/completions", {**BODY, "max_tokens": 1})
        wait_for(lambda: "tokens/s" in cls.server.err, 60)  # of this one, every ten seconds
        n_lines = len(cls.server.lines)
        cls.share = cls.rest()
        cls.lines = cls.server.lines[n_lines:]

    @classmethod
    def rest(cls):
        """The largest share of a core that one of its processes takes meanwhile."""
        return largest_share([cls.server.child.pid, *ranks_of(cls.server)], cls.SECONDS)

    @classmethod
    def tearDownClass(cls):
        cls.server.kill()

    @unittest.skipIf(SANITIZED, "sanitizers have threads of their own")
    def test_it_takes_a_hundredth_of_a_core(self):
        share = self.share if self.share <= 0.01 else least_of(self.rest, 0.01)
        self.assertLessEqual(share, 0.01)

    def test_it_says_nothing_when_nothing_ran(self):
        self.assertEqual(self.lines, [])

    def test_it_says_how_fast_it_was_when_something_ran(self):
        said = [line for line in self.server.lines if "generated tokens/s" in line]
        self.assertEqual(len(said), 1, self.server.err)


class Logs(OwnServer):
    FORGED = "a\n\u001b[31mforged\u007f\r\u0085"

    def test_as_json_each_line_is_an_object_and_each_request_one_line(self):
        server = self.start("--log-format", "json", "--log-level", "debug")
        for i in range(3):
            server.post("/v1/completions", BODY, headers={"X-Request-Id": f"mine-{i}"})
        list(server.stream("/v1/completions", BODY))
        server.post("/v1/completions", {**BODY, "temperature": 9})
        self.assertEqual(server.stop(), 0)
        lines = [json.loads(line) for line in server.lines]
        requests = [line for line in lines if line["module"] == "request"]
        self.assertEqual([line["status"] for line in requests], [200] * 4 + [400], server.err)
        self.assertEqual({line["rank"] for line in lines}, {"gw", "r0"})
        self.assertEqual([line["id"] for line in requests[:3]],
                         [f"cmpl-mine-{i}" for i in range(3)])
        for line in requests[:4]:
            self.assertEqual(line["output_tokens"], 24)
            self.assertLess(0, line["ttft_ms"])
            self.assertLessEqual(line["ttft_ms"], line["total_ms"])

    def test_every_request_has_a_line_whatever_becomes_of_it(self):
        server = self.start("--log-format", "json", "--api-key", "long-key", "--max-num-seqs", 1,
                            "--max-queue", 1, "--max-body-bytes", 4096)
        key = {"Authorization": "Bearer long-key"}
        many = {**BODY, "prompt": ["a"] * 3}
        for method, path, body, headers, status in (
                ("POST", "/v1/completions", "no JSON", key, 400),
                ("POST", "/v1/completions", {**BODY, "max_tokens": "x"}, key, 400),
                ("POST", "/v1/completions", BODY, {}, 401),
                ("POST", "/v1/completions", {**BODY, "model": "x"}, key, 404),
                ("GET", "/nowhere/%C3%A9", None, key, 404),
                ("GET", "/v1/completions", None, key, 405),
                ("POST", "/v1/completions", many, key, 400),
                ("GET", "/v1/models", None, key, 200),
                ("POST", "/tokenize", {"prompt": "a"}, key, 200)):
            self.assertEqual(server.ask(method, path, body, headers).status, status)
        self.assertEqual(server.ask("POST", "/tokenize", "x" * 5000, key).status, 413)
        self.assertEqual(server.raw(b"no HTTP\r\n\r\n")[:12], b"HTTP/1.1 400")
        for path in ("/health", "/health/ready", "/ping", "/metrics"):
            server.get(path, headers=key)
        self.assertEqual(server.stop(), 0)
        lines = [line for line in map(json.loads, server.lines) if line["module"] == "request"]
        self.assertEqual([(line.get("method"), line.get("route"), line["status"])
                          for line in lines],
                         [("POST", "/v1/completions", 400), ("POST", "/v1/completions", 400),
                          ("POST", "/v1/completions", 401), ("POST", "/v1/completions", 404),
                          ("GET", "/nowhere/é", 404), ("GET", "/v1/completions", 405),
                          ("POST", "/v1/completions", 400), ("GET", "/v1/models", 200),
                          ("POST", "/tokenize", 200), (None, None, 413), (None, None, 400)],
                         server.err)
        for line in lines:
            self.assertEqual("error" in line, line["status"] != 200, line)
            self.assertRegex(line["peer"], r"^127\.0\.0\.1:\d+$")
            self.assertNotIn("choices", line)  # no model was asked
        self.assertIn("max_tokens", lines[1]["error"])

    def test_who_is_turned_away_and_who_leaves_have_lines_too(self):
        server = self.start("--log-format", "json", "--max-num-seqs", 1, "--max-queue", 1, *SLOWLY)
        clients = [server.connect(), server.connect()]
        for client in clients:
            client.request("POST", "/v1/completions", json.dumps(ENDLESS))
        in_flight = lambda: server.metric("phalanx_sequences_in_flight")  # noqa: E731
        self.assertTrue(wait_for(lambda: in_flight() == 2))
        self.assertEqual(server.post("/v1/completions", BODY).status, 429)
        for client in clients:
            client.close()
        self.assertTrue(wait_for(lambda: server.err.count("cancelled") == 2))
        self.assertEqual(server.post("/v1/completions", BODY).status, 200)
        server.post("/sleep", None)
        self.assertEqual(server.post("/v1/completions", BODY).status, 503)
        self.assertEqual(server.stop(), 0)
        statuses = [(line["route"], line["status"]) for line in map(json.loads, server.lines)
                    if line["module"] == "request"]
        asked = "/v1/completions"
        self.assertEqual(statuses, [(asked, 429), (asked, 499), (asked, 499), (asked, 200),
                                    ("/sleep", 200), (asked, 503)])

    def test_a_line_says_how_long_it_waited_and_how_many_answers_it_had(self):
        server = self.start("--log-format", "json", "--max-num-seqs", 1, *SLOWLY)
        several = {**BODY, "prompt": ["One", "Two"], "n": 2, "temperature": 1}
        lines = lambda: [line for line in map(json.loads, list(server.lines))  # noqa: E731
                         if line["module"] == "request"]

        def has_waited(n_before):
            first = Streams(server, 1, LONG)
            self.assertTrue(wait_for(first.begun))
            self.assertEqual(len(server.post("/v1/completions", several).json["choices"]), 4)
            first.join()
            self.assertTrue(wait_for(lambda: len(lines()) == n_before + 2))
            ran, waited = lines()[n_before:]
            self.assertEqual((ran["choices"], waited["choices"]), (1, 4))
            self.assertLess(ran["queue_ms"], ran["ttft_ms"])
            self.assertLessEqual(waited["queue_ms"], waited["ttft_ms"])
            return ran["queue_ms"] < waited["queue_ms"]
        # Where the machine stands still, the first one may be over when the others come.
        self.assertTrue(any(has_waited(2 * i) for i in range(TRIES)), server.err)

    def test_nothing_that_users_write_forges_a_line(self):
        for form in ("text", "json"):
            server = self.start("--log-format", form, "--log-level", "debug")
            server.post("/v1/completions", {**BODY, "model": self.FORGED})
            server.post("/v1/completions", {**BODY, "stop": self.FORGED, "user": self.FORGED})
            server.get("/nowhere%0aforged%1b%00")
            server.get("/forged%c2%85a%c2%9b31m")
            server.post("/v1/completions", BODY, headers={"X-Request-Id": "a\tforged\x1b[31m"})
            self.assertEqual(server.stop(), 0)
            self.assertIn("forged", server.err)  # it was told, and as what it is
            for line in server.lines:
                self.assertNotRegex(line, r"[\x00-\x1f\x7f\x85]")
                self.assertFalse(line.startswith("forged"), line)


def parse(text):
    """Families by name, as Prometheus reads them (text format 0.0.4): type, and samples by name and
    labels. Raises ValueError."""
    families, family = {}, None
    label = re.compile(r'(\w+)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)')
    for line in text.splitlines():
        kind = re.fullmatch(r"# (HELP|TYPE) ([a-zA-Z_:][\w:]*) (.+)", line)
        sample = re.fullmatch(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)", line)
        if kind and kind[1] == "HELP":
            if kind[2] in families:
                raise ValueError(f"twice: {line}")
            family = families[kind[2]] = {"name": kind[2], "type": None, "samples": {}}
        elif kind and kind[2] == family["name"] and not family["samples"]:
            family["type"] = kind[3]
        elif sample:
            base = re.sub("_(bucket|sum|count)$", "", sample[1]) \
                if family["type"] == "histogram" else sample[1]
            labels = sample[2] or ""
            if base != family["name"] or label.sub("", labels) != "":
                raise ValueError(line)
            key = sample[1], tuple(label.findall(labels))
            if key in family["samples"]:
                raise ValueError(f"twice: {line}")
            family["samples"][key] = float(sample[3])
        else:
            raise ValueError(line)
    return families


class Metrics(ServerCase):
    WORDS = ("--served-model-name", 'a "model"\\ of\nours')

    def scrape(self):
        return self.server.get("/metrics").body.decode()

    def test_all_of_it_can_be_read_and_histograms_add_up(self):
        self.server.post("/v1/completions", BODY)
        families = parse(self.scrape())
        self.assertGreater(len(families), 30)
        for family in families.values():
            self.assertIn(family["type"], ("counter", "gauge", "histogram"), family["name"])
            if family["type"] == "counter":
                self.assertTrue(family["name"].endswith("_total"), family["name"])
            if family["type"] == "histogram":
                values = {name: [] for name in ("bucket", "count", "sum")}
                for (name, _), value in family["samples"].items():
                    values[name.rsplit("_", 1)[1]].append(value)
                self.assertEqual(values["bucket"], sorted(values["bucket"]), family["name"])
                self.assertEqual(values["bucket"][-1:] or values["count"], values["count"])

    def test_the_parts_of_a_request_are_no_more_than_all_of_it(self):
        parts = ("queue", "prefill", "decode", "inference")

        def look():
            seconds = [self.server.metric(f"vllm:request_{part}_time_seconds_sum")
                       for part in parts]
            counts = {self.server.metric(f"vllm:request_{part}_time_seconds_count")
                      for part in parts}
            return seconds, counts, self.server.metric("vllm:e2e_request_latency_seconds_sum")
        before, counts, whole = look()
        self.assertEqual(len(counts), 1)
        answer = self.server.post("/v1/completions", {**BODY, "n": 3, "temperature": 1})
        after, counts_after, whole_after = look()
        self.assertEqual(counts_after, {counts.pop() + 3})
        queue, prefill, decode, inference = (b - a for a, b in zip(before, after))
        self.assertGreater(queue, 0)
        self.assertGreater(prefill, 0)
        self.assertGreater(decode, 0)
        self.assertAlmostEqual(prefill + decode, inference)
        self.assertLess(queue + inference, whole_after - whole)
        self.assertLess(queue + inference, 3 * answer.seconds)

    def test_a_beam_search_reads_its_prompt_for_a_while_and_writes_for_longer(self):
        def look():
            return [self.server.metric(f"vllm:request_{part}_time_seconds_sum")
                    for part in ("prefill", "decode")]

        def writes_for_longer():
            before = look()
            answer = self.server.post("/v1/completions", {
                "prompt": "Once", "max_tokens": 64, "use_beam_search": True, "n": 4,
                "ignore_eos": True})
            self.assertEqual(answer.status, 200, answer.body)
            prefill, decode = (b - a for a, b in zip(before, look()))
            self.assertGreater(prefill, 0)
            return decode > 4 * prefill  # 63 steps after the first one
        # A machine that stands still in the first step of one stands still in none of the others.
        self.assertTrue(any(writes_for_longer() for _ in range(TRIES)))

    def test_what_is_no_http_is_counted_too(self):
        def refused():
            return self.server.metric("http_requests_total", 'handler="none",method="other"') or 0
        before = refused()
        self.server.raw(b"no HTTP\r\n\r\n")
        self.assertEqual(refused(), before + 1)

    @unittest.skipIf(prometheus is None, "the package prometheus-client is not installed")
    def test_the_client_of_prometheus_reads_it_too(self):
        names = {f.name for f in prometheus.text_string_to_metric_families(self.scrape())}
        self.assertIn("vllm:num_requests_running", names)

    def test_what_users_make_up_is_no_label(self):
        self.server.get("/first-of-them")
        self.server.ask("BREW", "/first-of-them")
        before = self.series()
        for i in range(30):
            self.server.get(f"/made-up-{i}")
            self.server.post(f"/v1/made-up-{i}", {})
            self.server.ask(f"BREW{i}", f"/made-up-{i}")
            self.server.post("/v1/completions", {**BODY, "model": f"made-up-{i}"},
                             headers={"X-Request-Id": f"made-up-{i}"})
        text = self.scrape()
        self.assertNotIn("made-up", text)
        self.assertNotIn("BREW", text)
        self.assertLess(len(self.series() - before), 9)

    def series(self):
        return {key for family in parse(self.scrape()).values() for key in family["samples"]}


class Systemd(OwnServer):
    def test_it_hears_of_the_start_the_heart_and_the_end(self):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="phalanx-test-"))
        self.addCleanup(shutil.rmtree, folder)
        heard = []
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
            ear.bind(str(folder / "notify"))
            ear.settimeout(0.1)

            def hears(line):
                try:
                    while line not in heard:
                        heard.extend(ear.recv(4096).decode().split("\n"))
                except TimeoutError:
                    pass
                return line in heard
            server = self.start(NOTIFY_SOCKET=str(folder / "notify"), WATCHDOG_USEC="400000")
            self.assertTrue(wait_for(lambda: hears("READY=1"), 20))
            heard.clear()
            self.assertTrue(wait_for(lambda: hears("WATCHDOG=1"), 20))
            self.assertEqual(server.stop(), 0)
            self.assertTrue(wait_for(lambda: hears("STOPPING=1"), 20))


if __name__ == "__main__":
    sys.exit(unittest.main())
