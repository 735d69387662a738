"""phalanx bench serve, against a server whose delays are known."""
import json
import os
import pathlib
import signal
import socket
import statistics
import subprocess
import tempfile
import time
import unittest
import xml.etree.ElementTree

from common import PHALANX, TRIES, phalanx
from fake_openai import FakeOpenAI

SLACK_S = 5  # by which a busy machine may be late


def percentile(values, p):
    """As numpy's default."""
    values = sorted(values)
    at = p / 100 * (len(values) - 1)
    below = int(at)
    above = min(below + 1, len(values) - 1)
    return values[below] + (at - below) * (values[above] - values[below])


class BenchCase(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="phalanx-test-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def write(self, name, text):
        path = self.folder / name
        path.write_text(text)
        return path

    def bench(self, server, *words, code=0, warmups=0):
        out = self.folder / "out.json"
        result = phalanx("bench", "serve", "--base-url", server.url, "--quiet", "--num-warmups",
                         warmups, "--save-detailed", "--output-json", out, *words)
        self.assertEqual(result.code, code, result.err)
        self.printed = result
        text = out.read_text()
        return json.loads(text) if text else None


class Numbers(BenchCase):
    def test_latencies_are_those_of_the_server(self):
        # What a client that stands still gets at once has no time between.
        self.assertTrue(any(self.latencies_are_those_of_the_server() for _ in range(TRIES)))

    def latencies_are_those_of_the_server(self):
        with FakeOpenAI(delays=lambda i: (0.1, 0.02)) as server:
            numbers = self.bench(server, "--num-prompts", 10, "--output-len", 6)
        self.assertEqual(numbers["completed"], 10)
        self.assertEqual(numbers["failed"], 0)
        self.assertEqual(numbers["model_id"], "fake-model")
        self.assertEqual(numbers["total_input_tokens"], 10 * 7)
        self.assertEqual(numbers["total_output_tokens"], 10 * 6)
        self.assertEqual([len(gaps) for gaps in numbers["itls"]], [5] * 10)
        self.assertRegex(self.printed.out, r"requests +10 answered, 0 failed, in \S+ s; at most 10")
        self.assertRegex(self.printed.out, r"TTFT +mean \S+ ms, median \S+, std \S+, p50 \S+")
        return abs(numbers["mean_itl_ms"] - 20) < 1e3 * SLACK_S and all(
            least_s - 0.005 < numbers[f"{which}_{name}_ms"] / 1e3 < least_s + SLACK_S
            for name, least_s in (("ttft", 0.1), ("tpot", 0.02), ("e2el", 0.2))
            for which in ("mean", "median", "p50", "p90", "p95", "p99"))

    def test_the_summary_follows_from_the_details(self):
        with FakeOpenAI(delays=lambda i: (0.01 * i, 0.002 * (i % 3))) as server:
            numbers = self.bench(server, "--num-prompts", 12, "--output-len", 4)
        tpots = [(end - first) / (n - 1) for end, first, n in
                 zip(numbers["e2els"], numbers["ttfts"], numbers["output_lens"])]
        itls = [gap for gaps in numbers["itls"] for gap in gaps]
        for name, values in (("ttft", numbers["ttfts"]), ("tpot", tpots), ("itl", itls),
                             ("e2el", numbers["e2els"])):
            self.assertAlmostEqual(numbers[f"mean_{name}_ms"], 1e3 * statistics.mean(values))
            self.assertAlmostEqual(numbers[f"std_{name}_ms"], 1e3 * statistics.pstdev(values))
            for p in (50, 90, 95, 99):
                self.assertAlmostEqual(numbers[f"p{p}_{name}_ms"], 1e3 * percentile(values, p))
        self.assertAlmostEqual(numbers["output_throughput"] * numbers["duration"], 12 * 4)
        self.assertAlmostEqual(numbers["request_throughput"] * numbers["duration"], 12)
        self.assertAlmostEqual(numbers["total_token_throughput"] * numbers["duration"], 12 * 11)

    def test_only_what_was_asked_for_is_reported(self):
        with FakeOpenAI() as server:
            numbers = self.bench(server, "--num-prompts", 2, "--output-len", 3,
                                 "--percentile-metrics", "ttft,itl", "--metric-percentiles",
                                 "25,99.9")
        self.assertIn("p99.9_ttft_ms", numbers)
        self.assertIn("p25_itl_ms", numbers)
        self.assertNotIn("p99_ttft_ms", numbers)
        self.assertNotIn("mean_tpot_ms", numbers)

    def test_goodput_counts_requests_within_all_bounds(self):
        delays = [(0, 0), (3, 0), (0, 3), (0, 0)]

        def n_within():
            with FakeOpenAI(delays=lambda i: delays[i % 4]) as server:
                numbers = self.bench(server, "--num-prompts", 8, "--output-len", 2, "--goodput",
                                     "ttft:1500", "tpot:1500", "e2el:60000")
            n = numbers["within_goodput"]
            self.assertAlmostEqual(numbers["request_goodput"] * numbers["duration"], n)
            self.assertRegex(self.printed.out, "goodput .* within ttft 1500 ms tpot 1500 ms e2el "
                                               f"60000 ms: {n} of 8")
            return n
        # Others are late where the machine stands still.
        self.assertTrue(any(n_within() == 4 for _ in range(TRIES)))

    def test_a_request_of_one_token_has_no_time_per_token(self):
        with FakeOpenAI() as server:
            numbers = self.bench(server, "--num-prompts", 3, "--output-len", 1, "--goodput",
                                 "tpot:0.001")
        self.assertEqual(numbers["mean_tpot_ms"], 0)
        self.assertEqual(numbers["within_goodput"], 3)

    def test_the_picture_is_xml_with_finite_numbers(self):
        plot = self.folder / "out.svg"
        with FakeOpenAI(delays=lambda i: (0.001 * i, 0.001), fault=lambda i: {3: 500}.get(i)) as server:
            self.bench(server, "a <model> & more", "--num-prompts", 20, "--output-len", 5, "--plot",
                       plot)
        root = xml.etree.ElementTree.parse(plot).getroot()
        space = "{http://www.w3.org/2000/svg}"
        self.assertEqual(root.tag, space + "svg")
        texts = [text.text for text in root.iter(space + "text")]
        for word in ("TTFT", "TPOT", "ITL", "E2EL", "a <model> & more"):
            self.assertIn(word, texts)
        self.assertGreater(len(list(root.iter(space + "path"))), 10)
        self.assertNotRegex(plot.read_text(), r"\b-?(nan|inf)\b")


class Load(BenchCase):
    def test_the_same_seed_sends_the_same_prompts_at_the_same_times(self):
        runs = []
        for seed in (1, 1, 2):
            with FakeOpenAI() as server:
                numbers = self.bench(server, "--num-prompts", 20, "--request-rate", 200, "--seed",
                                     seed, "--input-len", 9, "--output-len", 1)
                prompts = sorted(body["prompt"] for body in server.bodies)
                runs.append((numbers["arrival_times"], prompts))
        self.assertEqual(runs[0], runs[1])
        self.assertNotEqual(runs[0][0], runs[2][0])
        self.assertNotEqual(runs[0][1], runs[2][1])
        arrivals, prompts = runs[0]
        self.assertEqual(arrivals, sorted(arrivals))
        self.assertAlmostEqual(arrivals[-1], 20 / 200)
        self.assertEqual({len(prompt) for prompt in prompts}, {9})
        self.assertEqual(len({prompt[0] for prompt in prompts} - set(range(1000))), 0)

    def test_gaps_are_as_bursty_as_asked_for(self):
        spread = {}
        for burstiness in (0.25, 1, 100):
            with FakeOpenAI() as server:
                numbers = self.bench(server, "--num-prompts", 400, "--request-rate", 4000,
                                     "--burstiness", burstiness, "--input-len", 1,
                                     "--output-len", 1)
            times = [0] + numbers["arrival_times"]
            gaps = [b - a for a, b in zip(times, times[1:])]
            spread[burstiness] = statistics.pstdev(gaps) / statistics.mean(gaps)
        # of the gamma distribution: 1 / sqrt(shape)
        self.assertAlmostEqual(spread[0.25], 2, delta=0.5)
        self.assertAlmostEqual(spread[1], 1, delta=0.2)
        self.assertAlmostEqual(spread[100], 0.1, delta=0.02)

    def test_an_open_loop_does_not_wait_for_answers(self):
        with FakeOpenAI(delays=lambda i: (SLACK_S, 0)) as server:
            numbers = self.bench(server, "--num-prompts", 20, "--request-rate", 100,
                                 "--output-len", 1)
        self.assertEqual(server.n_most, 20)
        self.assertEqual(numbers["max_concurrent_requests"], 20)
        self.assertGreaterEqual(numbers["client_late_ms"], 0)

    def test_a_closed_loop_has_no_more_requests_than_it_may(self):
        with FakeOpenAI(delays=lambda i: (0.02, 0)) as server:
            numbers = self.bench(server, "--num-prompts", 12, "--max-concurrency", 3,
                                 "--output-len", 2)
        self.assertEqual(numbers["completed"], 12)
        self.assertEqual(numbers["max_concurrent_requests"], 3)
        self.assertLessEqual(server.n_most, 3)
        self.assertLess(max(numbers["ttfts"]), 0.02 + SLACK_S)  # no time in the queue here

    def test_a_trace_says_when_and_how_long(self):
        rows = [(1000, 5, 2), (1050, 7, 3), (1200, 1, 1)]
        json_lines = "".join(json.dumps({"timestamp": t, "input_length": i, "output_length": o,
                                         "hash_ids": [1]}) + "\n" for t, i, o in rows)
        csv = "output_length, timestamp,x,input_length\n" + "".join(
            f"{o},{t},y,{i}\n" for t, i, o in rows)
        for name, text in (("t.jsonl", json_lines), ("t.csv", csv)):
            with FakeOpenAI() as server:
                numbers = self.bench(server, "--trace", self.write(name, text), "--trace-speed", 2)
            self.assertEqual(numbers["arrival_times"], [0, 0.025, 0.1])
            self.assertEqual(sorted((len(b["prompt"]), b["max_tokens"]) for b in server.bodies),
                             [(1, 1), (5, 2), (7, 3)])
            for start, arrival in zip(numbers["start_times"], numbers["arrival_times"]):
                self.assertGreaterEqual(start, arrival)
                self.assertLess(start, arrival + SLACK_S)

    def test_a_trace_that_is_wrong_is_refused_with_its_line(self):
        good = '{"timestamp": 5, "input_length": 1, "output_length": 1}\n'
        for text, message in (
                ("", "no request in it"), ("a,b\n1,2\n", "line 1: no column timestamp"),
                (good + good.replace("5", "4"), "line 2: timestamp 4 is before"),
                (good.replace('h": 1', 'h": 0'), "line 1: input_length: 0 is no whole number"),
                (good + "{}\n", 'line 2: "timestamp" is missing'),
                ("timestamp,input_length,output_length\n1,2\n", "line 2: output_length is missing"),
                ("timestamp,input_length,output_length\n1,x,3\n", "line 2: input_length: 'x'")):
            result = phalanx("bench", "serve", "--trace", self.write("t", text))
            self.assertEqual(result.code, 2, text)
            self.assertIn(message, result.err)
        result = phalanx("bench", "serve", "--trace", self.write("t", good), "--request-rate", 1)
        self.assertEqual(result.code, 2)
        self.assertIn("--trace says what --request-rate says", result.err)

    def test_a_ramp_goes_from_one_rate_to_the_other(self):
        rates = {}
        for strategy in ("linear", "exponential"):
            with FakeOpenAI() as server:
                numbers = self.bench(server, "--num-prompts", 101, "--ramp-up-strategy", strategy,
                                     "--ramp-up-start-rps", 100, "--ramp-up-end-rps", 10000,
                                     "--burstiness", 1e6, "--input-len", 1, "--output-len", 1)
            times = [0] + numbers["arrival_times"]
            rates[strategy] = [1 / (b - a) for a, b in zip(times, times[1:])]
            self.assertEqual((numbers["ramp_up_strategy"], numbers["ramp_up_start_rps"],
                              numbers["ramp_up_end_rps"]), (strategy, 100, 10000))
        for strategy, middle in (("linear", 5050), ("exponential", 1000)):
            for i, rate in ((0, 100), (50, middle), (100, 10000)):
                self.assertAlmostEqual(rates[strategy][i] / rate, 1, delta=0.02)

    def test_a_ramp_offers_the_same_load_whatever_the_seed(self):
        ends = set()
        for seed in (1, 2):
            with FakeOpenAI() as server:
                numbers = self.bench(server, "--num-prompts", 20, "--seed", seed, "--input-len", 1,
                                     "--ramp-up-strategy", "linear", "--ramp-up-start-rps", 100,
                                     "--ramp-up-end-rps", 1000, "--output-len", 1)
            ends.add(round(numbers["arrival_times"][-1], 9))
        self.assertEqual(ends, {round(sum(1 / (100 + 900 * i / 19) for i in range(20)), 9)})

    def test_random_lengths_lie_in_their_range(self):
        with FakeOpenAI() as server:
            self.bench(server, "--num-prompts", 200, "--input-len", 10, "--output-len", 4,
                       "--random-range-ratio", 0.5)
        inputs = {len(body["prompt"]) for body in server.bodies}
        outputs = {body["max_tokens"] for body in server.bodies}
        self.assertEqual((inputs, outputs), (set(range(5, 16)), {2, 3, 4, 5, 6}))

    def test_a_sharegpt_file_gives_its_first_questions(self):
        conversations = [
            {"id": "a", "conversations": [{"from": "human", "value": 'one "}]" \\ \u00e9'},
                                          {"from": "gpt", "value": "x"}, {"value": "no"}]},
            {"id": "no answer", "conversations": [{"from": "human", "value": "two"}]},
            {"id": "nothing", "conversations": []},
            {"id": "b", "conversations": [{"value": "three"}, {"value": "y"}]}]
        path = self.write("s.json", json.dumps(conversations, indent=1))
        for endpoint in ("/v1/completions", "/v1/chat/completions"):
            with FakeOpenAI() as server:
                self.bench(server, "--dataset-name", "sharegpt", "--dataset-path", path,
                           "--endpoint", endpoint, "--num-prompts", 3, "--output-len", 2,
                           "--max-concurrency", 1)
            self.assertEqual([body["prompt"] if "prompt" in body else body["messages"][0]["content"]
                              for body in server.bodies],
                             ['one "}]" \\ \u00e9', "three", 'one "}]" \\ \u00e9'])

    def test_a_sharegpt_file_that_is_wrong_is_refused_with_the_item(self):
        for text, message in (
                ("", "no JSON list"), ('{"a": 1}', "no JSON list"),
                ("[]", "no conversation with an answer"),
                ('[{"conversations": []}]', "no conversation with an answer"),
                ('[{"a": 1} {"a": 1}]', "item 2: no JSON object where one should begin"),
                ('[{"a": 1}, 7]', "item 2: no JSON object where one should begin"),
                ('[{"a": "}]', "item 1: the file ends within it"), ("[", "item 1: no JSON object"),
                ('[{"a" 1}]', "item 1: "), ('[{"a": [}}]', "item 1: "),
                ('[{"a": "' + "x" * (17 << 20), "item 1: more than 16 MB")):
            result = phalanx("bench", "serve", "--dataset-name", "sharegpt", "--dataset-path",
                             self.write("s.json", text))
            self.assertEqual(result.code, 2, text[:40])
            self.assertIn(f"--dataset: {self.folder}/s.json: {message}", result.err)

    def test_prompts_of_a_file_are_sent_as_they_are(self):
        path = self.write("p.jsonl", '{"prompt": "a \\u00e9"}\n{"prompt_token_ids": [4, 5]}\n')
        with FakeOpenAI() as server:
            self.bench(server, "--dataset", path, "--num-prompts", 3, "--output-len", 2,
                       "--temperature", 0, "--max-concurrency", 1)
        self.assertEqual([body["prompt"] for body in server.bodies], ["a é", [4, 5], "a é"])
        self.assertEqual(server.bodies[0], {
            "model": "fake-model", "prompt": "a é", "max_tokens": 2, "stream": True,
            "stream_options": {"include_usage": True}, "ignore_eos": True, "temperature": 0})

    def test_a_chat_has_messages_and_its_opening_chunk_is_no_token(self):
        with FakeOpenAI(delays=lambda i: (0.1, 0)) as server:
            numbers = self.bench(server, "my-model", "--endpoint", "/v1/chat/completions",
                                 "--num-prompts", 2, "--input-len", 5, "--output-len", 4,
                                 "--no-ignore-eos")
        body = server.bodies[0]
        self.assertEqual(body["model"], "my-model")
        self.assertEqual(len(body["messages"][0]["content"].split()), 5)
        self.assertEqual(body["max_completion_tokens"], 4)
        self.assertNotIn("ignore_eos", body)
        self.assertGreater(min(numbers["ttfts"]), 0.095)
        self.assertEqual([len(gaps) for gaps in numbers["itls"]], [3, 3])

    def test_warm_up_requests_are_others_and_are_not_counted(self):
        with FakeOpenAI() as server:
            numbers = self.bench(server, "--num-prompts", 2, "--output-len", 1, warmups=3)
        self.assertEqual(numbers["completed"], 2)
        self.assertEqual(len({tuple(body["prompt"]) for body in server.bodies}), 5)


class WordsOfVllm(BenchCase):
    """Command lines as people have them for vLLM's bench serve."""

    def ask(self, server, *words):
        result = phalanx("bench", "serve", "--host", "127.0.0.1", "--port",
                         server.server_address[1], *words)
        self.assertEqual(result.code, 0, result.err)
        return result

    def saved(self):
        path, = self.folder.glob("*.json")
        return path.name, json.loads(path.read_text())

    def test_a_script_runs_as_it_is(self):
        with FakeOpenAI(model="org/some-model") as server:
            result = self.ask(
                server, "--backend", "vllm", "--model", "org/some-model",
                "--endpoint", "/v1/completions", "--dataset-name", "random",
                "--random-input-len", 12, "--random-output-len", 3, "--random-range-ratio", 0,
                "--num-prompts", 4, "--request-rate", "inf", "--burstiness", 1,
                "--max-concurrency", 2, "--seed", 0, "--ignore-eos", "--percentile-metrics",
                "ttft,tpot,itl,e2el", "--metric-percentiles", "50,99", "--goodput", "ttft:60000",
                "e2el:60000", "--disable-tqdm", "--trust-remote-code", "--save-result",
                "--result-dir", self.folder, "--metadata", "version=1.2", "tp=2")
        self.assertEqual({len(body["prompt"]) for body in server.bodies}, {12})
        self.assertEqual({body["max_tokens"] for body in server.bodies}, {3})
        self.assertEqual(result.err.splitlines(),  # and no bar
                         ["phalanx: trust_remote_code: nothing from a checkpoint is executed"])
        name, numbers = self.saved()
        self.assertRegex(name, r"^vllm-infqps-concurrency2-some-model-\d{8}-\d{6}\.json$")
        self.assertIn(f"saved       {self.folder}/{name}", result.out)
        self.assertLessEqual({
            "backend": "vllm", "model_id": "org/some-model", "num_prompts": 4,
            "request_rate": "inf", "burstiness": 1, "max_concurrency": 2, "version": "1.2",
            "tp": "2", "completed": 4, "failed": 0, "total_output_tokens": 12}.items(),
            numbers.items())
        for key in ("date", "duration", "total_input_tokens", "request_throughput",
                    "request_goodput", "output_throughput", "total_token_throughput",
                    "max_concurrent_requests", "mean_ttft_ms", "median_tpot_ms", "std_itl_ms",
                    "p99_e2el_ms"):
            self.assertIn(key, numbers)
        self.assertRegex(numbers["date"], r"^\d{8}-\d{6}$")
        self.assertNotIn("ttfts", numbers)

    def test_a_backend_says_what_is_asked(self):
        for words, path, name in (
                (("--backend", "openai-chat"), "/v1/chat/completions", "openai-chat"),
                (("--endpoint-type", "openai"), "/v1/completions", "openai"),
                (("--endpoint", "/v1/chat/completions"), "/v1/chat/completions", "openai-chat"),
                (("--backend", "openai-chat", "--endpoint", "/v1/chat/completions"),
                 "/v1/chat/completions", "openai-chat"),
                ((), "/v1/completions", "openai")):
            with self.subTest(words), FakeOpenAI() as server:
                numbers = self.bench(server, "--num-prompts", 1, "--output-len", 1, *words)
                self.assertEqual((server.paths, numbers["backend"]), ([path], name))
                self.assertIsNone(numbers["max_concurrency"])

    def test_a_result_has_the_name_that_it_is_given_in_a_folder_that_is_made(self):
        folder = self.folder / "deep" / "er"
        with FakeOpenAI() as server:
            self.ask(server, "--num-prompts", 1, "--output-len", 1,
                     "--save-result", "--result-dir", folder, "--result-filename", "mine.json")
        self.assertEqual(json.loads((folder / "mine.json").read_text())["completed"], 1)

    def test_sampling_is_sent_as_it_is_given_and_else_not_at_all(self):
        with FakeOpenAI() as server:
            self.bench(server, "--num-prompts", 1, "--output-len", 1, "--top-p", 0.5, "--top-k", 7,
                       "--min-p", 0.25, "--frequency-penalty", 1, "--presence-penalty", -1,
                       "--repetition-penalty", 1.5, "--temperature", 0.7)
            self.bench(server, "--num-prompts", 1, "--output-len", 1)
        names = {"top_p": 0.5, "top_k": 7, "min_p": 0.25, "frequency_penalty": 1,
                 "presence_penalty": -1, "repetition_penalty": 1.5, "temperature": 0.7}
        self.assertLessEqual(names.items(), server.bodies[0].items())
        self.assertFalse(set(names) & set(server.bodies[1]))

    def test_an_extra_body_is_in_every_request_and_wins(self):
        extra = {"chat_template_kwargs": {"a": [1, None]}, "ignore_eos": False, "top_p": 0.5,
                 "é": 'x"y'}
        with FakeOpenAI() as server:
            self.bench(server, "--num-prompts", 2, "--output-len", 1, "--top-p", 0.9,
                       "--extra-body", json.dumps(extra), warmups=1)
        for body in server.bodies:
            self.assertLessEqual(extra.items(), body.items())

    def test_headers_are_sent_with_every_request(self):
        with FakeOpenAI(key="other") as server:
            self.bench(server, "--num-prompts", 1, "--output-len", 1, "--header",
                       "x-session=a=b c", "X-Empty=", "Authorization=Bearer other")
        self.assertEqual(server.headers[0].get_all("x-session"), ["a=b c"])
        self.assertEqual(server.headers[0].get_all("x-empty"), [""])
        self.assertEqual(server.headers[0].get_all("Authorization"), ["Bearer other"])

    def test_what_cannot_be_is_refused_and_says_what_to_do(self):
        for words, message in (
                (("--backend", "tgi"), "'tgi' is none of openai|openai-chat|vllm"),
                (("--backend", "openai-chat", "--endpoint", "/v1/completions"),
                 "--backend openai-chat asks /v1/chat/completions, and --endpoint says "
                 "/v1/completions"),
                (("--host", "a", "--base-url", "http://b"), "--base-url says what --host"),
                (("--result-dir", "/x"), "--result-dir says where --save-result writes"),
                (("--result-filename", "x"), "--result-filename says where"),
                (("--save-result", "--output-json", "/dev/null"), "--output-json says where"),
                (("--save-result", "--result-dir", "/dev/null/x"),
                 "--result-dir: cannot make /dev/null/x: Not a directory"),
                (("--random-range-ratio", "1.0"), "1.0 is outside 0 .. 0.999"),
                (("--header", "nothing"), "--header: 'nothing' is no NAME=VALUE"),
                (("--header", "a b=c"), "is no NAME=VALUE"),
                (("--header", "a=b\r\nc: d"), "--header a: the value has a control character"),
                (("--header", "Content-Length=3"), "content-length is the bench's own"),
                (("--metadata", "x"), "--metadata: 'x' is no KEY=VALUE"),
                (("--extra-body", "{"), "--extra-body: line 1, column 2"),
                (("--extra-body", "[1]"), "--extra-body: no JSON object"),
                (("--extra-body", '{"stream": false}'), "\"stream\" is the bench's own"),
                (("--tokenizer", "x"), "--tokenizer is no option here: leave it out"),
                (("--served-model-name", "x"), "give as --model the name"),
                (("--sharegpt-output-len", "3"), "give --output-len"),
                (("--lora-modules", "x"), "there is no LoRA yet")):
            with self.subTest(words):
                result = phalanx("bench", "serve", *words)
                self.assertEqual(result.code, 2)
                self.assertIn(message, result.err)


class Failures(BenchCase):
    def test_failures_are_counted_by_kind_and_the_rest_is_measured(self):
        faults = {1: 429, 3: 429, 4: "cut", 5: "error", 6: "garbage"}
        with FakeOpenAI(fault=faults.get) as server:
            numbers = self.bench(server, "--num-prompts", 8, "--output-len", 4,
                                 "--max-concurrency", 1)
        self.assertEqual((numbers["completed"], numbers["failed"]), (3, 5))
        self.assertEqual(numbers["total_output_tokens"], 3 * 4)
        kinds = {kind: (entry["count"], entry["first"])
                 for kind, entry in numbers["errors_by_kind"].items()}
        self.assertEqual(kinds, {"HTTP 429": (2, "no. 429"),
                                 "cut": (1, "the connection ended before the answer did"),
                                 "error in the stream": (2, "a rank was lost")})
        self.assertEqual(numbers["errors"][5], "a rank was lost")
        self.assertIn("failed      HTTP 429: 2, the first with: no. 429", self.printed.out)

    def test_a_server_that_breaks_off_is_found_out_in_every_way(self):
        for fault, kind, why in (
                ("drop", "cut", "the connection ended without an answer"),
                ("reset", "cut", "the connection ended before the answer did"),
                ("cut", "cut", "the connection ended before the answer did"),
                ("old error", "error in the stream", "out of luck"),
                ("garbage", "error in the stream", "an event that is no JSON"),
                ("long line", "error in the stream", "an event of more than 4 MB"),
                ("json", "error in the stream", 'no stream: {"object": "text_completion"'),
                ("html", "error in the stream", "an answer without events (text/html)"),
                (404, "HTTP 404", "no. 404"), (503, "HTTP 503", "no. 503")):
            for endpoint in ("/v1/completions", "/v1/chat/completions"):
                # the first uses the connection that the other one needs to be new on
                faults = {0: fault} if fault == "drop" else {1: fault}
                with FakeOpenAI(fault=faults.get) as server:
                    numbers = self.bench(server, "--num-prompts", 3, "--output-len", 4,
                                         "--max-concurrency", 1, "--endpoint", endpoint)
                self.assertEqual((numbers["completed"], numbers["failed"]), (2, 1), fault)
                self.assertEqual(list(numbers["errors_by_kind"]), [kind])
                self.assertTrue(numbers["errors_by_kind"][kind]["first"].startswith(why),
                                numbers["errors_by_kind"])

    def test_what_a_server_says_is_shown_without_controls_and_never_lost(self):
        with FakeOpenAI(fault={1: "escape"}.get) as server:
            numbers = self.bench(server, "--num-prompts", 3, "--output-len", 2,
                                 "--max-concurrency", 1)
        why = "an answer without events (text/ [2J caf"  # what follows is no UTF-8
        self.assertEqual(numbers["errors_by_kind"],
                         {"error in the stream": {"count": 1, "first": why}})
        self.assertEqual(numbers["errors"], ["", why, ""])
        self.assertNotIn("\x1b", self.printed.out)

    def test_a_model_whose_name_cannot_be_shown_is_refused(self):
        for name in ("a\x1b[2J", "a\u009b2J", "x" * 1025):
            with FakeOpenAI(model=name) as server:
                self.bench(server, code=2)
                self.assertEqual(server.bodies, [])
            self.assertIn("the name of its first model has control characters, or more than",
                          self.printed.err)

    def test_an_answer_is_whole_though_its_body_does_not_end(self):
        with FakeOpenAI(fault={1: "endless"}.get) as server:
            numbers = self.bench(server, "--num-prompts", 3, "--output-len", 2,
                                 "--max-concurrency", 1, "--request-timeout-sec", 60)
        self.assertEqual((numbers["completed"], numbers["failed"]), (3, 0))
        self.assertEqual(numbers["output_lens"], [2, 2, 2])
        self.assertLess(numbers["e2els"][1], SLACK_S)  # without the wait for the end
        self.assertLess(numbers["duration"], 30)

    def test_a_connection_that_had_ended_while_it_was_idle_is_no_failure(self):
        with FakeOpenAI(fault={1: "drop", 3: "drop"}.get) as server:
            numbers = self.bench(server, "--num-prompts", 4, "--output-len", 2,
                                 "--max-concurrency", 1)
        self.assertEqual((numbers["completed"], numbers["failed"]), (4, 0))
        self.assertEqual(len(server.bodies), 6)
        self.assertEqual(server.bodies[1], server.bodies[2])

    def test_an_answer_that_stalls_takes_too_long(self):
        with FakeOpenAI(fault={1: "stall"}.get) as server:
            numbers = self.bench(server, "--num-prompts", 2, "--output-len", 4,
                                 "--max-concurrency", 1, "--request-timeout-sec", 3)
        self.assertEqual(numbers["errors_by_kind"]["timeout"]["count"], 1)
        self.assertEqual(numbers["completed"], 1)

    def test_a_server_without_usage_is_counted_by_its_chunks(self):
        for endpoint in ("/v1/completions", "/v1/chat/completions"):
            with FakeOpenAI(tells_usage=False) as server:
                numbers = self.bench(server, "--num-prompts", 2, "--input-len", 5, "--output-len",
                                     4, "--endpoint", endpoint)
            self.assertEqual(numbers["output_lens"], [4, 4])
            self.assertEqual(numbers["input_lens"], [5, 5])

    def test_a_request_that_takes_too_long_has_failed(self):
        with FakeOpenAI(delays=lambda i: (30 if i == 1 else 0, 0)) as server:
            numbers = self.bench(server, "--num-prompts", 2, "--output-len", 1,
                                 "--max-concurrency", 1, "--request-timeout-sec", 3)
        self.assertEqual(numbers["errors_by_kind"]["timeout"]["count"], 1)

    def test_nothing_answered_is_a_failure_of_the_bench(self):
        with FakeOpenAI(fault=lambda i: 500) as server:
            self.bench(server, "--num-prompts", 3, code=74)
        self.assertIn("no request was answered: no. 500", self.printed.err)

    def test_a_warm_up_that_fails_ends_the_bench_before_it_begins(self):
        with FakeOpenAI(fault=lambda i: 400) as server:
            self.bench(server, "--num-prompts", 100, code=2, warmups=1)
            self.assertEqual(len(server.bodies), 1)
        self.assertIn("a request before the bench failed: HTTP 400: no. 400", self.printed.err)

    def test_a_server_that_is_not_there_is_waited_for_and_then_named(self):
        begin = time.monotonic()
        result = phalanx("bench", "serve", "--base-url", "http://127.0.0.1:1",
                         "--ready-check-timeout-sec", 2)
        self.assertEqual(result.code, 2)
        self.assertIn("http://127.0.0.1:1/v1/models", result.err)
        self.assertEqual(result.err.count("waiting for the server, up to 2 s"), 1)
        self.assertGreater(time.monotonic() - begin, 1)

    def test_a_server_that_breaks_off_while_it_starts_is_waited_for(self):
        with FakeOpenAI(looks=("drop", "reset")) as server:
            self.assertEqual(self.bench(server, "--num-prompts", 1)["completed"], 1)
            self.assertEqual(server.looks, [])

    def test_ctrl_c_ends_the_wait_for_a_server_that_says_nothing(self):
        with socket.create_server(("127.0.0.1", 0)) as server:
            process = subprocess.Popen(
                [PHALANX, "bench", "serve", "--base-url",
                 f"http://127.0.0.1:{server.getsockname()[1]}"],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            self.addCleanup(process.kill)
            server.settimeout(60)
            with server.accept()[0]:
                begin = time.monotonic()
                process.send_signal(signal.SIGINT)
                told = process.communicate(timeout=60)[1]
        self.assertLess(time.monotonic() - begin, 6)  # a look takes up to ten seconds
        self.assertEqual((process.returncode, told), (130, ""))

    def test_the_key_is_that_of_the_environment(self):
        with FakeOpenAI(key="sesame") as server:
            result = phalanx("bench", "serve", "--base-url", server.url)
            self.assertEqual(result.code, 2)
            self.assertIn("HTTP 401: Unauthorized", result.err)
            os.environ["OPENAI_API_KEY"] = "sesame"
            self.addCleanup(os.environ.pop, "OPENAI_API_KEY")
            self.assertEqual(self.bench(server, "--num-prompts", 1)["completed"], 1)

    def test_mistakes_are_named_before_anything_is_sent(self):
        for words, message in (
                (("--goodput", "itl:5"), "--goodput: 'itl:5' is no bound like"),
                (("--goodput", "ttft"), "--goodput: 'ttft' is no bound"),
                (("--percentile-metrics", "ttft,x"), "--percentile-metrics: 'x' is none of"),
                (("--metric-percentiles", "50,101"), "no list of numbers from 0 to 100"),
                (("--request-rate", "0"), "--request-rate: 0 is outside"),
                (("--output-json", "/nowhere/x"), "--output-json: cannot write"),
                (("--plot", "/nowhere/x"), "--plot: cannot write"),
                (("--endpoint", "/v1/embeddings"), "is none of /v1/completions"),
                (("--dataset-name", "sharegpt"), "--dataset-name sharegpt needs --dataset-path"),
                (("--dataset-name", "random", "--dataset", "x"), "random has no --dataset-path"),
                (("--dataset", "x", "--random-range-ratio", 0.5), "is of random prompts"),
                (("--ramp-up-strategy", "linear"), "--ramp-up-start-rps R to --ramp-up-end-rps R"),
                (("--ramp-up-strategy", "linear", "--request-rate", 1), "--request-rate says what"),
                (("--ramp-up-strategy", "linear", "--ramp-up-start-rps", 2, "--ramp-up-end-rps", 1),
                 "--ramp-up-start-rps 2 is more than --ramp-up-end-rps 1"),
                (("--ssl-ca-certs", "/nowhere"), "--ssl-ca-certs: cannot read /nowhere: No such"),
                (("--ssl-ca-certs", "/dev/null", "--insecure"), "give one of them"),
                (("--dataset", "/nowhere"), "--dataset: /nowhere: No such file")):
            result = phalanx("bench", "serve", "--base-url", "http://127.0.0.1:1", *words)
            self.assertEqual(result.code, 2, words)
            self.assertIn(message, result.err)


class Tls(BenchCase):
    def setUp(self):
        super().setUp()
        self.mine = self.certificate("localhost", "DNS:localhost,IP:127.0.0.1")

    def certificate(self, name, names):
        """Nobody signed it. The file, and that of its key."""
        files = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1",
                        "-subj", f"/CN={name}", "-addext", f"subjectAltName={names}",
                        "-keyout", files[1], "-out", files[0]], check=True, capture_output=True)
        return files

    def test_a_certificate_that_is_trusted_is_fine(self):
        with FakeOpenAI(certificate=self.mine, delays=lambda i: (0.01, 0)) as server:
            numbers = self.bench(server, "--num-prompts", 6, "--output-len", 3,
                                 "--max-concurrency", 2, "--ssl-ca-certs", self.mine[0])
            self.assertEqual((numbers["completed"], len(server.bodies)), (6, 6))
            server.url = server.url.replace("127.0.0.1", "localhost") + "/v1/"
            self.bench(server, "--num-prompts", 1, "--ssl-ca-certs", self.mine[0])
            self.assertIn(f"{server.url[:-1]}/completions, model", self.printed.out)

    def test_one_that_nobody_signed_or_of_another_host_is_refused_before_anything_is_sent(self):
        other = self.certificate("other", "DNS:other.example")
        for certificate, words, message in (
                (self.mine, (), "certificate"),
                (self.mine, ("--ssl-ca-certs", other[0]), "certificate"),
                (other, ("--ssl-ca-certs", other[0]), "127.0.0.1")):
            with FakeOpenAI(certificate=certificate) as server:
                self.bench(server, *words, code=2)
                self.assertEqual(server.bodies, [])
            self.assertIn(f"{server.url}/v1/models: ", self.printed.err)
            self.assertIn(message, self.printed.err)
            self.assertIn("--insecure does not check", self.printed.err)

    def test_who_does_not_check_takes_any(self):
        other = self.certificate("other", "DNS:other.example")
        with FakeOpenAI(certificate=other) as server:
            numbers = self.bench(server, "--num-prompts", 2, "--output-len", 2, "--insecure")
        self.assertEqual(numbers["completed"], 2)

    def test_a_server_that_speaks_no_tls_is_named(self):
        with FakeOpenAI() as server:
            server.url = server.url.replace("http:", "https:")
            self.bench(server, "--insecure", code=2)
        self.assertIn(f"{server.url}/v1/models: ", self.printed.err)


if __name__ == "__main__":
    unittest.main()
