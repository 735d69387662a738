"""One server, two protocols: stock clients of gRPC get from `phalanx serve` what those of HTTP get.

What it refuses is in test_parameters.py.
"""
import http.client
import pathlib
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import unittest

import grpc
import serving
from grpc import StatusCode
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import \
    ProtoReflectionDescriptorDatabase
from rpc import PROMPT, WAIT_S, BothCase, free_port, pb, pb_grpc, text_of

MESSAGES = [{"role": "user", "content": "What is two plus two?"}]


class Answers(BothCase):
    def test_greedy_texts_are_equal(self):
        messages = self.generate(temperature=0, max_tokens=24)
        http = self.complete(temperature=0, max_tokens=24).json
        self.assertEqual(text_of(messages), http["choices"][0]["text"])
        self.assertEqual(messages[-1].usage.prompt_tokens, http["usage"]["prompt_tokens"])
        self.assertEqual(messages[-1].usage.completion_tokens,
                         http["usage"]["completion_tokens"])

    def test_the_command_has_the_same_text(self):
        told = serving.generate_json("--prompt", PROMPT, "--temperature", 0, "--max-tokens", 24)
        messages = self.generate(temperature=0, max_tokens=24)
        self.assertEqual(text_of(messages), told[0]["outputs"][0]["text"])

    def test_messages_come_in_the_order_that_was_promised(self):
        messages = self.generate(n=2, temperature=1, max_tokens=8, ignore_eos=True)
        self.assertTrue(messages[0].HasField("prompt") and messages[0].request_id)
        self.assertTrue(messages[-1].HasField("usage"))
        self.assertGreater(len(messages), 4)
        finished = [m.choice.index for m in messages if m.choice.HasField("finish")]
        self.assertEqual(sorted(finished), [0, 1])

    def test_tokens_are_equal_and_come_back_as_the_text(self):
        http = self.server.post("/tokenize", {"prompt": PROMPT}).json
        answer = self.stub.Tokenize(pb.TokenizeRequest(text=PROMPT, return_token_texts=True))
        self.assertEqual(list(answer.token_ids), http["tokens"])
        self.assertEqual(len(answer.token_texts), len(answer.token_ids))
        self.assertEqual(answer.max_model_len, http["max_model_len"])
        back = self.stub.Detokenize(pb.DetokenizeRequest(token_ids=answer.token_ids,
                                                         skip_special_tokens=True))
        self.assertEqual(back.text, PROMPT)
        self.assertEqual(text_of(list(self.stub.Generate(pb.GenerateRequest(
            token_ids=pb.TokenIds(ids=answer.token_ids),
            sampling=pb.Sampling(temperature=0, max_tokens=8))))),
            text_of(self.generate(temperature=0, max_tokens=8)))

    def test_a_long_text_which_is_read_bit_by_bit_is_as_its_ids(self):
        text = "Once upon a time there was a little girl. " * 120
        ids = self.server.post("/tokenize", {"prompt": text}).json["tokens"]
        self.assertGreater(len(text), 4096)
        want = text_of(list(self.stub.Generate(pb.GenerateRequest(
            token_ids=pb.TokenIds(ids=ids), sampling=pb.Sampling(temperature=0, max_tokens=8)))))
        messages = self.generate(text, temperature=0, max_tokens=8)
        self.assertEqual(text_of(messages), want)
        self.assertTrue(messages[0].request_id)
        self.assertEqual(messages[0].prompt.n_tokens, len(ids))
        http = self.complete(text, temperature=0, max_tokens=8).json
        self.assertEqual(http["choices"][0]["text"], want)
        events = list(self.server.stream("/v1/completions", {
            "prompt": text, "temperature": 0, "max_tokens": 8}))
        self.assertEqual("".join(e["choices"][0]["text"] for e in events[:-1]), want)

    def test_one_that_has_too_many_tokens_is_refused_before_the_stream_begins(self):
        text = "a b c d " * 2000
        refused = (StatusCode.INVALID_ARGUMENT, "prompt", "context_length_exceeded")
        self.assertEqual(self.refusal(lambda: self.generate(text))[0], refused)
        answer = self.server.post("/v1/completions", {"prompt": text, "stream": True})
        self.assertEqual((answer.status, answer.json["error"]["code"]),
                         (400, "context_length_exceeded"))
        answer = self.server.post("/v1/chat/completions", {
            "messages": [{"role": "user", "content": text}], "stream": True})
        self.assertEqual((answer.status, answer.json["error"]["param"]), (400, "messages"))

    def test_scores_are_equal(self):
        documents = ["a cat", "the sea"]
        http = self.server.post("/v1/score", {"text_1": "a dog", "text_2": documents}).json
        answer = self.stub.Score(pb.ScoreRequest(
            query=pb.Prompt(text="a dog"), documents=[pb.Prompt(text=d) for d in documents]))
        for scores, want in zip(answer.scores, http["data"], strict=True):
            self.assertEqual(len(scores.values), 1)
            self.assertAlmostEqual(scores.values[0], want["score"], places=5)

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
        http = self.server.post("/v1/chat/completions",
                                {"messages": MESSAGES, "temperature": 0, "max_tokens": 12}).json
        answer = self.stub.Chat(pb.ChatRequest(
            messages=[pb.ChatMessage(**m) for m in MESSAGES],
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

    def test_the_service_describes_itself(self):
        services = ProtoReflectionDescriptorDatabase(self.channel).get_services()
        self.assertIn("phalanx.v1.Inference", services)
        self.assertIn("grpc.health.v1.Health", services)

    def test_many_streams_have_the_texts_that_each_has_alone(self):
        prompts = [f"{PROMPT} {word}" for word in ("a", "the", "one", "there", "it", "he")]
        alone = [text_of(self.generate(p, temperature=0, max_tokens=16)) for p in prompts]
        requests = [pb.GenerateRequest(text=p, sampling=pb.Sampling(temperature=0, max_tokens=16))
                    for p in prompts]
        streams = [self.stub.Generate(r, timeout=WAIT_S) for r in requests]
        self.assertEqual([text_of(list(s)) for s in streams], alone)


class Life(BothCase):
    """A request that nobody waits for is over at the next step of the engine."""
    WORDS = serving.SLOWLY  # and not by itself

    N_TOKENS = 1900  # of each choice: half a minute and more

    def begin(self, **fields):
        sampling = pb.Sampling(max_tokens=self.N_TOKENS, n=4, ignore_eos=True)
        fields = {"text": PROMPT, "sampling": sampling, **fields}
        return self.stub.Generate(pb.GenerateRequest(**fields), timeout=WAIT_S)

    def check_idle(self):
        self.assertTrue(serving.wait_for(
            lambda: self.server.metric("vllm:num_requests_running") == 0 and
            self.server.metric("vllm:num_requests_waiting") == 0, 5))
        info = self.stub.GetServerInfo(pb.GetServerInfoRequest())
        self.assertEqual(info.sequences_in_flight, 0)

    def check_cut(self, stream, status):
        """The stream ends with the status, and its tokens were never all computed."""
        with self.assertRaises(grpc.RpcError) as caught:
            list(stream)
        self.assertEqual(caught.exception.code(), status)
        self.check_idle()

    def test_cancelling_ends_it(self):
        before = self.server.metric("vllm:generation_tokens_total")
        stream = self.begin()
        next(stream)
        stream.cancel()
        self.check_idle()
        self.assertLess(self.server.metric("vllm:generation_tokens_total") - before,
                        4 * self.N_TOKENS)

    def test_abort_ends_it(self):
        stream = self.begin(request_id="unwanted")
        next(stream)
        answer = self.stub.Abort(pb.AbortRequest(request_ids=["unwanted", "never there"]))
        self.assertEqual(answer.n_aborted, 1)
        self.check_cut(stream, StatusCode.CANCELLED)

    def test_a_deadline_of_the_message_ends_it(self):
        stream = self.begin(scheduling=pb.Scheduling(deadline_ms=20))
        self.check_cut(stream, StatusCode.DEADLINE_EXCEEDED)

    def test_a_deadline_of_the_call_ends_it(self):
        request = pb.GenerateRequest(text=PROMPT, sampling=pb.Sampling(
            max_tokens=self.N_TOKENS, n=8, ignore_eos=True))
        self.check_cut(self.stub.Generate(request, timeout=0.03), StatusCode.DEADLINE_EXCEEDED)

    def test_a_client_that_is_gone_ends_it(self):
        channel = grpc.insecure_channel(self.server.grpc,
                                        options=(("grpc.use_local_subchannel_pool", 1),))
        stream = pb_grpc.InferenceStub(channel).Generate(pb.GenerateRequest(
            text=PROMPT, sampling=pb.Sampling(max_tokens=self.N_TOKENS, n=4, ignore_eos=True)))
        next(stream)
        channel.close()
        self.check_idle()

    def test_a_server_that_sleeps_refuses_and_is_not_serving_until_it_is_awake(self):
        health = health_pb2_grpc.HealthStub(self.channel)
        self.assertEqual(self.server.post("/sleep", None).status, 200)
        (status, _, code), _ = self.refusal(self.generate)
        self.assertEqual((status, code), (StatusCode.UNAVAILABLE, "sleeping"))
        self.assertEqual(health.Check(health_pb2.HealthCheckRequest()).status, 2)
        self.assertEqual(self.server.post("/wake_up", None).status, 200)
        self.assertTrue(self.generate(max_tokens=1))
        self.assertEqual(health.Check(health_pb2.HealthCheckRequest()).status, 1)


class Keys(BothCase):
    WORDS = ("--api-key", "the-first", "--api-key", "the-second")

    def ask(self, key):
        return self.stub.GetModelInfo(pb.GetModelInfoRequest(),
                                      metadata=(("authorization", f"Bearer {key}"),))

    def test_each_key_opens_both(self):
        for key in ("the-first", "the-second"):
            self.assertTrue(self.ask(key).names)
            answer = self.server.get("/v1/models", headers={"Authorization": f"Bearer {key}"})
            self.assertEqual(answer.status, 200)

    def test_others_open_neither(self):
        for key in ("the-third", "", "the-firs", "the-first-and-more"):
            (status, _, code), _ = self.refusal(lambda k=key: self.ask(k))
            self.assertEqual((status, code), (StatusCode.UNAUTHENTICATED, "unauthorized"))
            answer = self.server.get("/v1/models", headers={"Authorization": f"Bearer {key}"})
            self.assertEqual(answer.status, 401)

    def test_each_call_has_a_line_in_the_log(self):
        def lines():
            return [line for line in self.server.lines if " request: " in line]
        before = len(lines())
        metadata = (("authorization", "Bearer the-first"),)
        unknown = self.channel.unary_unary("/phalanx.v1.Inference/Made\nUp")
        for n, ask in enumerate((
                lambda: self.refusal(lambda: self.ask("another")),
                lambda: self.ask("the-first"),
                lambda: self.refusal(lambda: list(self.stub.Generate(
                    pb.GenerateRequest(text=PROMPT, sampling=pb.Sampling(temperature=-1)),
                    metadata=metadata))),
                lambda: list(self.stub.Generate(pb.GenerateRequest(
                    text=PROMPT, request_id="mine",
                    sampling=pb.Sampling(max_tokens=2, ignore_eos=True)), metadata=metadata)),
                lambda: self.refusal(lambda: unknown(b"", metadata=metadata))), 1):
            ask()  # its client may hear of the end before the gateway does, which writes the line
            self.assertTrue(serving.wait_for(lambda k=n: len(lines()) == before + k),
                            self.server.err)
        health_pb2_grpc.HealthStub(self.channel).Check(health_pb2.HealthCheckRequest())
        got = [re.search(r"(?:id=(\S+) )?route=(\S+) .*status=(\d+)", line).groups()
               for line in lines()[before:]]
        service = "/phalanx.v1.Inference/"
        self.assertEqual([(route, status) for _, route, status in got],
                         [(service + "GetModelInfo", "401"), (service + "GetModelInfo", "200"),
                          (service + "Generate", "400"), (service + "Generate", "200"),
                          (service + "Made\\nUp", "404")])
        self.assertEqual(got[3][0], "mine")
        self.assertRegex(lines()[before + 3],
                         r"output_tokens=2 choices=1 finish=length queue_ms=\S+ ttft_ms=")
        self.assertIn("error=", lines()[before + 2])

    def test_health_wants_none(self):
        health = health_pb2_grpc.HealthStub(self.channel)
        self.assertEqual(health.Check(health_pb2.HealthCheckRequest()).status, 1)


@unittest.skipUnless(shutil.which("openssl"), "no openssl to make a certificate with")
class Tls(unittest.TestCase):
    def test_both_speak_tls_with_the_same_certificate(self):
        with tempfile.TemporaryDirectory() as folder:
            certificate, key = serving.make_certificate(pathlib.Path(folder))
            server = serving.Server("--grpc-port", free_port(), "--ssl-certfile", certificate,
                                    "--ssl-keyfile", key)
            self.addCleanup(server.kill)
            self.assertTrue(server.url.startswith("https://"))
            port = server.grpc.rsplit(":", 1)[1]
            trust = grpc.ssl_channel_credentials(certificate.read_bytes())
            with grpc.secure_channel(f"localhost:{port}", trust) as channel:
                stub = pb_grpc.InferenceStub(channel)
                messages = list(stub.Generate(pb.GenerateRequest(
                    text=PROMPT, sampling=pb.Sampling(max_tokens=4)), timeout=WAIT_S))
                self.assertEqual(messages[-1].usage.completion_tokens, 4)
            with grpc.insecure_channel(f"localhost:{port}") as channel, \
                    self.assertRaises(grpc.RpcError):
                pb_grpc.InferenceStub(channel).GetModelInfo(pb.GetModelInfoRequest(),
                                                                   timeout=3)
            self.assertEqual(server.stop(), 0)


@unittest.skipUnless(shutil.which("openssl"), "no openssl to make a certificate with")
class RenewedCertificate(unittest.TestCase):
    """SIGHUP, after the files of a server that runs were written again."""

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.certificate, self.key = self.make("served")
        self.first = self.certificate.read_text()
        self.server = serving.Server("--grpc-port", free_port(), "--ssl-certfile",
                                     self.certificate, "--ssl-keyfile", self.key)
        self.addCleanup(self.server.kill)
        self.ports = self.server.place[1], int(self.server.grpc.rsplit(":", 1)[1])

    def make(self, name):
        folder = pathlib.Path(self.folder.name) / name
        folder.mkdir()
        return serving.make_certificate(folder)

    def shown(self):
        """What new connections of both protocols get to see."""
        return [ssl.get_server_certificate(("127.0.0.1", port)) for port in self.ports]

    def sighup(self, certificate, key):
        shutil.copy(certificate, self.certificate)
        shutil.copy(key, self.key)
        self.server.signal(signal.SIGHUP)

    def warnings(self):
        return re.findall("warn  serve: the certificate of before stays: (.*)", self.server.err)

    def wait_until_it_says(self, text):
        self.assertTrue(serving.wait_for(lambda: text in self.server.err, WAIT_S), self.server.err)

    def test_new_connections_have_the_new_one_and_the_others_go_on(self):
        other, key = self.make("other")
        trust = ssl.create_default_context(cadata=self.first)
        kept = http.client.HTTPSConnection("localhost", self.ports[0], timeout=WAIT_S,
                                           context=trust)
        self.addCleanup(kept.close)

        def ask():
            kept.request("GET", "/v1/models")
            answer = kept.getresponse()
            answer.read()
            return answer.status

        self.assertEqual(ask(), 200)
        socket_before = kept.sock
        with grpc.secure_channel(f"localhost:{self.ports[1]}", grpc.ssl_channel_credentials(
                self.first.encode())) as channel:
            stub = pb_grpc.InferenceStub(channel)
            stream = stub.Generate(pb.GenerateRequest(text=PROMPT, sampling=pb.Sampling(
                max_tokens=300, ignore_eos=True)), timeout=WAIT_S)
            next(stream)
            self.sighup(other, key)
            self.wait_until_it_says("new connections get the certificate of")
            self.assertEqual(self.shown(), [other.read_text()] * 2)
            self.assertEqual(list(stream)[-1].usage.completion_tokens, 300)
            stub.GetModelInfo(pb.GetModelInfoRequest(), timeout=WAIT_S)
        self.assertEqual(ask(), 200)
        self.assertIs(kept.sock, socket_before)
        self.assertEqual(self.server.stop(), 0)

    def test_a_pair_that_is_none_is_named_once_and_changes_nothing(self):
        other, key = self.make("other")
        own_key = pathlib.Path(self.folder.name) / "own-key.pem"
        shutil.copy(self.key, own_key)
        of_another_kind = pathlib.Path(self.folder.name) / "ec-key.pem"
        subprocess.run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out",
                        of_another_kind], check=True)
        none = pathlib.Path(self.folder.name) / "none.pem"
        none.write_text("nothing")
        for n, (certificate, pem, reason) in enumerate((
                (other, own_key,
                 f"the key {self.key} is not that of the certificate {self.certificate}"),
                (other, of_another_kind,
                 f"the key {self.key} is not that of the certificate {self.certificate}"),
                (other, none, f"the key {self.key}: not to be read as PEM"),
                (none, key, f"the certificate {self.certificate}: not to be read as PEM")), 1):
            with self.subTest(reason):
                self.sighup(certificate, pem)
                self.assertTrue(serving.wait_for(lambda n=n: len(self.warnings()) == n, WAIT_S),
                                self.server.err)
                self.assertIn(reason, self.warnings()[-1])
                self.assertEqual(self.shown(), [self.first] * 2)
        self.sighup(other, key)
        self.wait_until_it_says("new connections get the certificate of")
        self.assertEqual(self.shown(), [other.read_text()] * 2)


class Ends(unittest.TestCase):
    def test_sigterm_finishes_what_runs_and_lets_nobody_in(self):
        server = serving.Server("--grpc-port", free_port())
        self.addCleanup(server.kill)
        with grpc.insecure_channel(server.grpc) as channel:
            stub = pb_grpc.InferenceStub(channel)
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


class IdleConnections(BothCase):
    """A crowd at the port of gRPC takes no files from those that have work to do."""
    MOST = 50
    WORDS = ("--max-connections", MOST)

    def n_files(self):
        return len(list(pathlib.Path(f"/proc/{self.server.child.pid}/fd").iterdir()))

    def test_are_bounded_and_calls_go_on(self):
        self.assertTrue(self.generate(max_tokens=2))
        before = self.n_files()
        host, port = self.server.grpc.rsplit(":", 1)
        crowd = [socket.create_connection((host, int(port))) for _ in range(10 * self.MOST)]
        try:
            # one too many is there for a moment, until it is closed
            self.assertTrue(serving.wait_for(lambda: self.n_files() <= before + self.MOST))
            for _ in range(5):
                self.assertTrue(self.generate(max_tokens=2))
                self.assertEqual(self.server.get("/health/live").status, 200)
                # so may be those of the client above that is gone
                self.assertTrue(serving.wait_for(lambda: self.n_files() <= before + self.MOST))
        finally:
            for one in crowd:
                one.close()
        self.assertTrue(serving.wait_for(lambda: self.n_files() <= before))
        self.assertTrue(serving.wait_for(
            lambda: self.server.turned_away[1] >= 9 * self.MOST), self.server.err)
        self.assertEqual(self.server.turned_away[0], 0)


if __name__ == "__main__":
    unittest.main()
