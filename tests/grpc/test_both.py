"""One server, two protocols: `phalanx serve` answers and refuses the same over HTTP and gRPC."""
import pathlib
import socket
import subprocess
import sys
import time
import unittest

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS / "serve"))
import serving  # noqa: E402

import grpc  # noqa: E402

import client  # noqa: E402
from client import pb  # noqa: E402
from grpc import StatusCode  # noqa: E402
from grpc_health.v1 import health_pb2, health_pb2_grpc  # noqa: E402

PROMPT = "Once upon a time"
WAIT_S = 60


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class BothCase(serving.ServerCase):
    @classmethod
    def setUpClass(cls):
        cls.server = serving.Server("--grpc-port", free_port(), *cls.WORDS)
        cls.channel = grpc.insecure_channel(cls.server.grpc)
        cls.stub = client.pb_grpc.InferenceStub(cls.channel)

    @classmethod
    def tearDownClass(cls):
        cls.channel.close()
        super().tearDownClass()

    def generate(self, text=PROMPT, timeout=WAIT_S, **sampling):
        request = pb.GenerateRequest(text=text, sampling=pb.Sampling(**sampling))
        return list(self.stub.Generate(request, timeout=timeout))

    def complete(self, prompt=PROMPT, **body):
        return self.server.post("/v1/completions", {"prompt": prompt, **body})


def text_of(messages, index=0):
    return "".join(m.choice.text for m in messages if m.choice.index == index)


class Answers(BothCase):
    def test_greedy_texts_are_equal(self):
        messages = self.generate(temperature=0, max_tokens=24)
        http = self.complete(temperature=0, max_tokens=24).json
        self.assertEqual(text_of(messages), http["choices"][0]["text"])
        self.assertEqual(messages[-1].usage.prompt_tokens, http["usage"]["prompt_tokens"])
        self.assertEqual(messages[-1].usage.completion_tokens,
                         http["usage"]["completion_tokens"])

    def test_seeded_choices_are_equal(self):
        messages = self.generate(temperature=1, seed=7, n=3, max_tokens=12)
        http = self.complete(temperature=1, seed=7, n=3, max_tokens=12).json
        self.assertEqual([text_of(messages, i) for i in range(3)],
                         [c["text"] for c in http["choices"]])

    def test_logprobs_are_equal(self):
        messages = self.generate(temperature=0, max_tokens=4, logprobs=2)
        http = self.complete(temperature=0, max_tokens=4, logprobs=2).json
        rows = [row for m in messages for row in m.choice.logprobs]
        for row, want in zip(rows, http["choices"][0]["logprobs"]["token_logprobs"], strict=True):
            self.assertAlmostEqual(row.entries[0].logprob, want, places=5)

    def test_prompt_logprobs_are_a_row_a_token_but_the_first(self):
        messages = self.generate(max_tokens=1, prompt_logprobs=0)
        rows = sum(len(m.prompt.logprobs) for m in messages)
        self.assertEqual(rows, messages[0].prompt.n_tokens - 1)

    def test_a_stop_text_ends_and_is_told(self):
        whole = text_of(self.generate(temperature=0, max_tokens=24))
        stop = whole.split()[3]
        messages = self.generate(temperature=0, max_tokens=24, stop=[stop])
        finish = next(m.choice.finish for m in messages if m.choice.HasField("finish"))
        self.assertEqual(finish.reason, pb.FINISH_REASON_STOP)
        self.assertEqual(finish.stop_text, stop)
        self.assertEqual(text_of(messages), whole[:whole.index(stop)])

    def test_a_chat_is_equal(self):
        messages = [{"role": "user", "content": "What is two plus two?"}]
        http = self.server.post("/v1/chat/completions",
                                {"messages": messages, "temperature": 0, "max_tokens": 12}).json
        answer = self.stub.Chat(pb.ChatRequest(
            messages=[pb.ChatMessage(**m) for m in messages],
            sampling=pb.Sampling(temperature=0, max_tokens=12)), timeout=WAIT_S)
        self.assertEqual(text_of(list(answer)), http["choices"][0]["message"]["content"])

    def test_embeddings_are_equal(self):
        http = self.server.post("/v1/embeddings", {"input": ["one", "two three"]}).json
        answer = self.stub.Embed(pb.EmbedRequest(inputs=[pb.Prompt(text="one"),
                                                         pb.Prompt(text="two three")]))
        for vector, want in zip(answer.embeddings, http["data"], strict=True):
            for a, b in zip(vector.values, want["embedding"], strict=True):
                self.assertAlmostEqual(a, b, places=6)

    def test_the_model_and_the_server_are_described(self):
        info = self.stub.GetModelInfo(pb.GetModelInfoRequest())
        listed = self.server.get("/v1/models").json["data"][0]
        self.assertEqual(info.names[0], listed["id"])
        self.assertEqual(info.max_model_len, listed["max_model_len"])
        self.assertTrue(self.stub.GetServerInfo(pb.GetServerInfoRequest()).is_ready)

    def test_health_is_the_same(self):
        health = health_pb2_grpc.HealthStub(self.channel)
        self.assertEqual(health.Check(health_pb2.HealthCheckRequest()).status, 1)
        self.assertEqual(self.server.get("/health").status, 200)

    def test_many_streams_have_the_texts_that_each_has_alone(self):
        prompts = [f"{PROMPT} {word}" for word in ("a", "the", "one", "there", "it", "he")]
        alone = [text_of(self.generate(p, temperature=0, max_tokens=16)) for p in prompts]
        requests = [pb.GenerateRequest(text=p, sampling=pb.Sampling(temperature=0, max_tokens=16))
                    for p in prompts]
        streams = [self.stub.Generate(r, timeout=WAIT_S) for r in requests]
        self.assertEqual([text_of(list(s)) for s in streams], alone)


class Refusals(BothCase):
    WRONG = (
        ("temperature", -1), ("temperature", 2.5), ("top_p", 0), ("top_p", 1.5), ("min_p", -0.1),
        ("top_k", -2), ("repetition_penalty", 0), ("frequency_penalty", 3),
        ("presence_penalty", -3), ("n", 0), ("n", 10_000), ("max_tokens", 0), ("max_tokens", -5),
        ("min_tokens", -1), ("logprobs", 1000), ("stop", [""]), ("stop", ["x"] * 10_000),
        ("stop_token_ids", [100_000_000]), ("allowed_token_ids", [100_000_000]),
        ("bad_words", [""]), ("logit_bias", {100_000_000: 1.0}), ("logit_bias", {5: 1000.0}),
    )

    def grpc_error(self, call):
        with self.assertRaises(grpc.RpcError) as caught:
            list(call())
        trailers = dict(caught.exception.trailing_metadata() or ())
        return caught.exception, trailers.get("phalanx-param"), trailers.get("phalanx-code")

    def test_wrong_parameters_are_named_alike(self):
        for name, value in self.WRONG:
            with self.subTest(name=name, value=str(value)[:40]):
                told = {str(k): v for k, v in value.items()} if name == "logit_bias" else value
                http = self.complete(**{name: told})
                self.assertEqual(http.status, 400, http.body)
                error, param, _ = self.grpc_error(lambda n=name, v=value: self.generate(**{n: v}))
                self.assertEqual(error.code(), StatusCode.INVALID_ARGUMENT)
                self.assertEqual(param, http.json["error"]["param"])
                self.assertEqual(param, name)

    def test_nan_and_infinity_are_refused(self):
        for value in (float("nan"), float("inf"), -float("inf")):
            error, param, _ = self.grpc_error(lambda v=value: self.generate(temperature=v))
            self.assertEqual((error.code(), param), (StatusCode.INVALID_ARGUMENT, "temperature"))
            error, param, _ = self.grpc_error(lambda v=value: self.generate(logit_bias={5: v}))
            self.assertEqual((error.code(), param), (StatusCode.INVALID_ARGUMENT, "logit_bias"))

    def test_a_prompt_that_is_too_long_has_its_code(self):
        begin = time.monotonic()
        error, _, code = self.grpc_error(lambda: self.stub.Generate(
            pb.GenerateRequest(token_ids=pb.TokenIds(ids=[5] * 1_000_000))))
        self.assertEqual((error.code(), code),
                         (StatusCode.INVALID_ARGUMENT, "context_length_exceeded"))
        if not serving.SANITIZED:
            self.assertLess(time.monotonic() - begin, 3)

    def test_ids_that_are_no_tokens_are_refused(self):
        for ids in ([], [100_000_000], [4294967295]):
            error, param, _ = self.grpc_error(lambda i=ids: self.stub.Generate(
                pb.GenerateRequest(token_ids=pb.TokenIds(ids=i))))
            self.assertEqual((error.code(), param), (StatusCode.INVALID_ARGUMENT, "prompt"))

    def test_a_wrong_model_is_not_found(self):
        error, param, code = self.grpc_error(lambda: self.stub.Generate(
            pb.GenerateRequest(text="x", model="other")))
        self.assertEqual((error.code(), param, code),
                         (StatusCode.NOT_FOUND, "model", "model_not_found"))

    def test_a_server_that_sleeps_refuses_and_is_not_serving_until_it_is_awake(self):
        health = health_pb2_grpc.HealthStub(self.channel)
        self.assertEqual(self.server.post("/sleep", None).status, 200)
        error, _, code = self.grpc_error(self.generate)
        self.assertEqual((error.code(), code), (StatusCode.UNAVAILABLE, "sleeping"))
        self.assertEqual(health.Check(health_pb2.HealthCheckRequest()).status, 2)
        self.assertEqual(self.server.post("/wake_up", None).status, 200)
        self.assertTrue(self.generate(max_tokens=1))
        self.assertEqual(health.Check(health_pb2.HealthCheckRequest()).status, 1)

    def test_after_all_that_nothing_is_in_flight(self):
        self.assertTrue(serving.wait_for(lambda: self.stub.GetServerInfo(
            pb.GetServerInfoRequest()).sequences_in_flight == 0, 2))


class Ends(unittest.TestCase):
    def test_sigterm_finishes_what_runs_and_lets_nobody_in(self):
        server = serving.Server("--grpc-port", free_port())
        self.addCleanup(server.kill)
        with grpc.insecure_channel(server.grpc) as channel:
            stub = client.pb_grpc.InferenceStub(channel)
            request = pb.GenerateRequest(text=PROMPT, sampling=pb.Sampling(
                max_tokens=200, ignore_eos=True))
            stream = stub.Generate(request, timeout=WAIT_S)
            next(stream)
            server.signal(15)
            messages = list(stream)
            self.assertEqual(messages[-1].usage.completion_tokens, 200)
        self.assertEqual(server.wait(), 0)

    def test_a_grpc_port_in_use_is_told_before_the_model_is_touched(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = str(taken.getsockname()[1])
            done = subprocess.run([str(serving.PHALANX), "serve", str(serving.DEMO), "--port", "0",
                                   "--grpc-port", port], capture_output=True, timeout=WAIT_S,
                                  text=True, check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn(port, done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)


if __name__ == "__main__":
    unittest.main()
