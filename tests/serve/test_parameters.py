"""Bad bodies and parameters: one table, asked over HTTP and, where it can be said there, over gRPC.

A row is refused with its status, names its parameter in both protocols, and hurts nobody: after each
one a canary gets its answer.
"""
import contextlib
import gzip
import json
import random
import socket
import time
import unittest

from grpc import StatusCode
from rpc import PROMPT, BothCase, pb
from serving import SANITIZED, Answer

COMPLETIONS, CHAT = "/v1/completions", "/v1/chat/completions"
STATUS = {400: StatusCode.INVALID_ARGUMENT, 404: StatusCode.NOT_FOUND}
NO_TOKEN = 100_000_000
TOO_LARGE = 2**63
UNSAID = -2**63  # how the program itself writes what nobody said
NAN, INFINITY = float("nan"), float("inf")
MIB = 1 << 20
MILLION = 1_000_000


class Row:
    """`http` is a body, as a dict or as bytes; `rpc` a message; either may be None. `seconds` is the
    longest that the answer may take, `cpu_seconds` what it may cost the thread that serves all."""

    def __init__(self, name, param, http=None, rpc=None, path=COMPLETIONS, status=400, code=None,
                 seconds=10, cpu_seconds=10):
        self.name, self.param, self.rpc, self.path = name, param, rpc, path
        self.status, self.code, self.seconds, self.cpu_seconds = status, code, seconds, cpu_seconds
        if isinstance(http, dict):
            http = json.dumps(http).encode()
        self.http = http


def sampling(param, value, in_rpc=True, **beside):
    """A parameter of sampling in both protocols, by the same name."""
    told = {str(k): v for k, v in value.items()} if param == "logit_bias" else value
    http = {"prompt": PROMPT, **beside, param: told}
    rpc = None
    if in_rpc:
        rpc = pb.GenerateRequest(text=PROMPT, sampling=pb.Sampling(**beside, **{param: value}))
    return Row(f"{param}: {str(value)[:30]}", param, http, rpc)


def raw(param, text):
    """A number that only JSON can write."""
    return Row(f"{param}: {text[:30]}", param, f'{{"prompt": "x", "{param}": {text}}}'.encode())


RANGES = [sampling(*pair) for pair in (
    ("temperature", -1), ("temperature", 2.5), ("top_p", 0), ("top_p", 1.5), ("top_p", -0.5),
    ("min_p", -0.1), ("min_p", 1.5), ("top_k", -2), ("top_k", 2**31), ("repetition_penalty", 0),
    ("repetition_penalty", -1), ("frequency_penalty", 3), ("frequency_penalty", -3),
    ("presence_penalty", 3), ("presence_penalty", -3), ("n", 0), ("n", -1), ("n", 10_000),
    ("max_tokens", 0), ("max_tokens", -5), ("max_tokens", 2**31), ("min_tokens", -1),
    ("logprobs", 1000), ("prompt_logprobs", 1000), ("stop", [""]), ("stop", ["x", ""]),
    ("stop", ["x"] * 10_000), ("stop", ["x" * 10_000]), ("bad_words", [""]),
    ("bad_words", ["x"] * 10_000), ("stop_token_ids", [NO_TOKEN]), ("stop_token_ids", [5] * 10_000),
    ("allowed_token_ids", [NO_TOKEN]), ("logit_bias", {NO_TOKEN: 1.0}),
    ("logit_bias", {5: 1000.0}), ("temperature", 1e300), ("temperature", -1e300),
    ("n", UNSAID), ("top_k", UNSAID), ("max_tokens", UNSAID), ("min_tokens", UNSAID))]
RANGES += [sampling("n", 2, temperature=0), sampling("min_tokens", 9, max_tokens=8)]

KINDS = [sampling(name, value, in_rpc=False) for name, value in (
    ("temperature", "5"), ("temperature", [1]), ("temperature", True), ("top_p", {}),
    ("n", "5"), ("n", 1.5), ("n", True), ("max_tokens", "5"), ("max_tokens", 1.5),
    ("top_k", 0.5), ("seed", "x"), ("stream", "yes"), ("stream", 1), ("echo", 2), ("stop", 5),
    ("stop", [5]), ("stop", [None]), ("stop_token_ids", "5"), ("stop_token_ids", ["5"]),
    ("stop_token_ids", [1.5]), ("stop_token_ids", [None]), ("stop_token_ids", [-1]),
    ("allowed_token_ids", []), ("allowed_token_ids", [-1]), ("logit_bias", {"x": 1}),
    ("logit_bias", {"5": "1"}), ("logit_bias", {"5": None}), ("logit_bias", {"-1": 1}),
    ("logit_bias", {" 5": 1}), ("logit_bias", {"+5": 1}), ("logit_bias", {"5.0": 1}), ("logit_bias", {"": 1}),
    ("model", 5), ("cache_salt", 5), ("cache_salt", ""), ("ignore_eos", "true"))]
KINDS += [raw(name, text) for name in ("n", "max_tokens", "top_k", "seed")
          for text in (str(TOO_LARGE), str(UNSAID - 1), "1" * 300)]
KINDS += [raw("stop_token_ids", f"[{TOO_LARGE}]"), raw("logit_bias", f'{{"{TOO_LARGE}": 1}}'),
          raw("prompt", f"[{TOO_LARGE}]")]

NUMBERS = [Row(f"{name}: {value}", name, rpc=pb.GenerateRequest(
    text="x", sampling=pb.Sampling(**{name: value})))
    for value in (NAN, INFINITY, -INFINITY)
    for name in ("temperature", "top_p", "min_p", "repetition_penalty", "frequency_penalty",
                 "presence_penalty", "length_penalty")]
NUMBERS += [Row(f"logit_bias: {value}", "logit_bias", rpc=pb.GenerateRequest(
    text="x", sampling=pb.Sampling(logit_bias={5: value}))) for value in (NAN, INFINITY)]


def prompt(name, value, rpc=None, **more):
    return Row(name, "prompt", {"prompt": value}, rpc, **more)


def ids(value):
    return pb.GenerateRequest(token_ids=pb.TokenIds(ids=value))


PROMPTS = [
    prompt("an empty text", "", pb.GenerateRequest(text="")),
    prompt("no prompt", None, pb.GenerateRequest()),
    prompt("no ids", [], ids([])),
    prompt("a list without ids", [[]]),
    prompt("an empty text of several", ["x", ""]),
    prompt("a number", 5),
    prompt("texts and ids", ["x", [5]]),
    prompt("a text and a number", ["x", 5]),
    prompt("an id that is no token", [NO_TOKEN], ids([NO_TOKEN])),
    prompt("the last id of 32 bits", [2**32 - 1], ids([2**32 - 1])),
    prompt("a negative id", [-1]),
    prompt("half an id", [1.5]),
    prompt("a thousand and more prompts", ["x"] * 10_000),
    prompt("a million ids", [5] * MILLION, ids([5] * MILLION), code="context_length_exceeded",
           seconds=1),
    prompt("a text of a million words", "word " * MILLION,
           pb.GenerateRequest(text="word " * MILLION), code="context_length_exceeded", seconds=1),
]


def message(**fields):
    return {"role": "user", "content": "hi", **fields}


def image(url):
    return [message(content=[{"type": "text", "text": "look"},
                             {"type": "image_url", "image_url": {"url": url}}])]


def chat(name, param, http, rpc=None, **more):
    return Row(name, param, http, rpc, CHAT, **more)


LONG_CHAT = "word " * MILLION
CHATS = [
    chat("no messages", "messages", {}, pb.ChatRequest()),
    chat("none in the list", "messages", {"messages": []}),
    chat("messages that are a text", "messages", {"messages": "hi"}),
    chat("a message that is a text", "messages", {"messages": ["hi"]}),
    chat("a message without a role", "messages", {"messages": [{"content": "hi"}]},
         pb.ChatRequest(messages=[pb.ChatMessage(content="hi")])),
    chat("a role that is a number", "messages", {"messages": [message(role=5)]}),
    chat("a content that is a number", "messages", {"messages": [message(content=5)]}),
    chat("a template of the user", "chat_template",
         {"messages": [message()], "chat_template": "{{ 1 }}"}),
    chat("too many alternatives", "top_logprobs",
         {"messages": [message()], "logprobs": True, "top_logprobs": 1000}),
    chat("a long chat", "messages", {"messages": [message(content=LONG_CHAT)]},
         pb.ChatRequest(messages=[pb.ChatMessage(role="user", content=LONG_CHAT)]),
         code="context_length_exceeded", seconds=1),
    chat("tools that are no JSON", "tools_json", None,
         pb.ChatRequest(messages=[pb.ChatMessage(role="user", content="hi")], tools_json="[")),
    chat("deep tools", "tools_json", None, pb.ChatRequest(
        messages=[pb.ChatMessage(role="user", content="hi")], tools_json="[" * 99 + "]" * 99)),
]

NAMES = [
    Row("a wrong model", "model", {"prompt": "x", "model": "other"},
        pb.GenerateRequest(text="x", model="other"), status=404, code="model_not_found"),
    Row("a name that is cut inside a character", "model", {"prompt": "x", "model": "ä" * 1000},
        pb.GenerateRequest(text="x", model="ä" * 1000), status=404, code="model_not_found"),
    Row("a name with control characters", "model", {"prompt": "x", "model": "\x1b[2J\n\x7f"},
        pb.GenerateRequest(text="x", model="\x1b[2J\n\x7f"), status=404, code="model_not_found"),
    Row("a wrong model of a chat", "model", {"messages": [message()], "model": "other"},
        pb.ChatRequest(messages=[pb.ChatMessage(role="user", content="hi")], model="other"), CHAT,
        404, "model_not_found"),
]


def score(param, value, of_value, code=None):
    """A rerank one of whose texts is wrong; gRPC scores, and has the same names."""
    fields = {"query": "x", "documents": ["y", "z"], param: value}
    prompts = {"query": pb.Prompt(text="x"), "documents": [pb.Prompt(text="y")], param: of_value}
    return Row(f"{param}: {str(value)[:30]}", param, fields, pb.ScoreRequest(**prompts), "/rerank",
               code=code)


NO_IDS = pb.Prompt(token_ids=pb.TokenIds(ids=[NO_TOKEN]))
LONG = "word " * MILLION
TEXTS = [
    score("query", [NO_TOKEN], NO_IDS),
    score("documents", [NO_TOKEN], [NO_IDS]),
    score("query", LONG, pb.Prompt(text=LONG), "context_length_exceeded"),
    score("documents", ["y", LONG], [pb.Prompt(text=LONG)], "context_length_exceeded"),
    Row("an input that is no token", "inputs", None, pb.EmbedRequest(inputs=[NO_IDS])),
] + [Row(f"{name} that is no token", name, {**fields, name: [NO_TOKEN]}, path=path)
     for path, fields in (("/v1/embeddings", {"input": "x"}),
                          ("/v1/score", {"text_1": "x", "text_2": "y"}),
                          ("/score", {"data_1": "x", "data_2": "y"}),
                          ("/score", {"queries": "x", "items": "y"}),
                          ("/v2/rerank", {"query": "x", "texts": ["y"]}),
                          ("/generate", {"inputs": "x"}), ("/generate", {"input_ids": [5]}))
     for name in fields]


def body(name, data, param=None):
    """Looked through and refused before anything is allocated for it."""
    return Row(name, param, data, cpu_seconds=0.05)


BODIES = [
    body("nothing", b""),
    body("no object", b"[]"),
    body("no JSON", b"{"),
    body("something behind", b'{"prompt": "x"} x'),
    body("NaN", b'{"prompt": "x", "temperature": NaN}', "temperature"),
    body("infinity", b'{"prompt": "x", "temperature": Infinity}', "temperature"),
    body("1e400", b'{"prompt": "x", "temperature": 1e400}', "temperature"),
    body("65 levels", b'{"prompt": ' + b"[" * 65 + b"]" * 65 + b"}", "prompt"),
    body("a million levels", b'{"prompt": ' + b"[" * MILLION, "prompt"),
    body("a million keys", b"{" + b",".join(b'"%d": 1' % i for i in range(MILLION)) + b"}",
         str(2**19 - 1)),
    body("a million keys inside", b'{"logit_bias": {' + b",".join(
        b'"%d": 1' % i for i in range(MILLION)) + b"}}", "logit_bias"),
    body("ten million ids", b'{"prompt": [5' + b",5" * 10 * MILLION + b"]}", "prompt"),
    body("a key twice", b'{"prompt": "x", "prompt": "y"}'),
    body("bytes that are not UTF-8", b'{"prompt": "\xff\xfe"}', "prompt"),
    body("an overlong character", b'{"prompt": "\xc0\x80"}', "prompt"),
    body("half a surrogate pair", b'{"prompt": "\\ud800"}', "prompt"),
    body("a surrogate in UTF-8", b'{"prompt": "\xed\xa0\x80"}', "prompt"),
    body("NUL", b'{"prompt": "a\0b"}', "prompt"),
    body("an escaped NUL", b'{"prompt": "x", "stop": "a\\u0000b"}', "stop"),
    body("a text that never ends", b'{"prompt": "' + b"x" * (30 * MIB), "prompt"),
    body("a long name that is cut inside a character",
         f'{{"xx{"ä" * 40}": NaN}}'.encode(), "xx" + 22 * "ä" + "\ufffd"),
]


class Parameters(BothCase):
    WORDS = ("--served-model-name", "demo")

    def cpu_seconds(self):
        """Of the first thread of the server, until now."""
        with open(f"/proc/{self.server.child.pid}/schedstat", encoding="ascii") as file:
            return int(file.read().split()[0]) / 1e9

    def post(self, path, data):
        """The answer, with its seconds after the last byte: its way costs most of a long body."""
        with contextlib.closing(self.server.connect()) as connection:
            connection.putrequest("POST", path)
            connection.putheader("Content-Type", "application/json")
            connection.putheader("Content-Length", str(len(data)))
            connection.endheaders(data[:-1])
            if len(data) > MIB:
                time.sleep(0.05)  # what is on its way arrives
            begin, cpu = time.monotonic(), self.cpu_seconds()
            connection.send(data[-1:])
            answer = Answer(connection.getresponse(), time.monotonic() - begin)
            answer.cpu_seconds = self.cpu_seconds() - cpu
            return answer

    def check_http(self, row):
        answer = self.post(row.path, row.http)
        error = self.check_error(answer, row.status, row.param)
        self.assertTrue(error["message"])
        self.assertTrue(error["type"])
        if row.code is not None:
            self.assertEqual(error["code"], row.code)
        return answer.seconds <= row.seconds and answer.cpu_seconds <= row.cpu_seconds

    def check_rpc(self, row):
        call = getattr(self.stub, type(row.rpc).__name__.removesuffix("Request"))
        begin = time.monotonic()
        (status, param, code), text = self.refusal(lambda: call(row.rpc))
        self.assertEqual((status, param), (STATUS[row.status], row.param), text)
        if row.code is not None:
            self.assertEqual(code, row.code)
        return time.monotonic() - begin <= row.seconds

    def check_canary(self):
        answer = self.complete(max_tokens=1)
        self.assertEqual(answer.status, 200, answer.body)

    def check(self, rows):
        for row in rows:
            for asked, check in ((row.http, self.check_http), (row.rpc, self.check_rpc)):
                with self.subTest(row.name, over=check.__name__):
                    # Other work of this machine makes some rounds slower.
                    in_time = asked is None or any(check(row) for _ in range(5))
                    self.assertTrue(in_time or SANITIZED, "too slow")
            self.check_canary()

    def test_what_is_out_of_its_range(self):
        self.check(RANGES)

    def test_what_is_of_another_kind(self):
        self.check(KINDS)

    def test_what_is_no_number(self):
        self.check(NUMBERS)

    def test_prompts_that_are_none(self):
        self.check(PROMPTS)

    def test_chats_that_are_none(self):
        self.check(CHATS)

    def test_texts_that_none_can_compare(self):
        self.check(TEXTS)

    def test_names_of_others(self):
        self.check(NAMES)

    def test_bodies_that_are_no_json_to_take(self):
        self.check(BODIES)

    def test_bodies_that_are_compressed_are_told_what_to_do(self):
        body = json.dumps({"prompt": "Once", "max_tokens": 1}).encode()
        for name, packed in (("gzip", gzip.compress(body)), ("GZip", gzip.compress(body)),
                             ("br", b"\x0b\x02"), ("zstd", body), ("gzip, identity", body)):
            with self.subTest(name):
                answer = self.server.post(COMPLETIONS, packed, headers={"Content-Encoding": name})
                self.assertEqual(answer.status, 415, answer.body)
                self.assertEqual(answer.headers["Accept-Encoding"], "identity")
                error = answer.json["error"]
                self.assertEqual((error["type"], error["code"]),
                                 ("UnsupportedMediaTypeError", "unsupported_encoding"))
                self.assertIn("without the header Content-Encoding", error["message"])
        self.check_canary()

    def test_bodies_that_only_say_that_they_are_as_they_are_are_read(self):
        for name in ("identity", "Identity"):
            answer = self.server.post(COMPLETIONS, {"prompt": "Once", "max_tokens": 1},
                                      headers={"Content-Encoding": name})
            self.assertEqual(answer.status, 200, answer.body)

    def test_null_is_what_nobody_said(self):
        answer = self.complete(max_tokens=1, temperature=None, n=None, stop=None, logit_bias=None)
        self.assertEqual(answer.status, 200, answer.body)

    def test_a_text_of_50_mb_is_refused_at_once(self):
        answer = self.refused_by_its_head(50 * MIB)
        self.assertTrue(answer.startswith(b"HTTP/1.1 413 "), answer[:200])
        self.check_canary()

    def refused_by_its_head(self, n_bytes):
        """What comes back when nothing of so long a body was sent."""
        with socket.create_connection(self.server.place, timeout=5) as s:
            s.sendall(f"POST {COMPLETIONS} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                      f"Content-Length: {n_bytes}\r\n\r\n".encode())
            return s.recv(65536)

    def test_no_packet_leaves_for_an_image(self):
        with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as there:
            there.settimeout(0.3)
            port = there.getsockname()[1]
            self.check(chat(url, "messages", {"messages": image(url)}) for url in (
                f"http://127.0.0.1:{port}/a.png", "file:///etc/passwd",
                "http://169.254.169.254/latest/meta-data", "data:image/png;base64,AAAA"))
            with self.assertRaises(TimeoutError):
                there.accept()

    def test_random_values_break_nothing(self):
        numbers = random.Random(1)
        names = ["prompt", "n", "temperature", "stop", "logit_bias", "stream", "max_tokens", "seed",
                 "logprobs", "echo", "stop_token_ids", "stream_options", "priority", "user"]
        values = [None, True, 0, -1, 1, 2**31, 2**63 - 1, -2**63, 0.5, 1e308, "", "x", [], [[]],
                  {}, {"a": 1}, ["x"], [0], [None], {"5": 1}]
        for _ in range(300):
            asked = {"prompt": "x", "max_tokens": 1}
            for name in numbers.sample(names, 3):
                asked[name] = numbers.choice(values)
            if asked.get("max_tokens") in (None, 2**31, 2**63 - 1):
                asked["max_tokens"] = 2
            answer = self.server.post(COMPLETIONS, asked)
            self.assertIn(answer.status, (200, 400), (asked, answer.body))
        self.check_canary()

    def test_nothing_is_left_in_flight(self):
        self.assertEqual(self.stub.GetServerInfo(pb.GetServerInfoRequest()).sequences_in_flight, 0)


class LittleMemory(BothCase):
    """A KV cache that is smaller than the longest sequence of the model."""
    WORDS = ("--served-model-name", "demo", "--kv-cache-memory-bytes", "96K")

    def test_what_never_fits_is_refused_and_not_waited_for(self):
        room = self.stub.GetServerInfo(pb.GetServerInfoRequest()).kv_tokens
        longest = self.stub.GetModelInfo(pb.GetModelInfoRequest()).max_model_len
        self.assertLess(room, longest)
        asked = [5] * (longest - 8)
        answer = self.server.post(COMPLETIONS, {"prompt": asked, "max_tokens": 4}, timeout=10)
        self.check_error(answer, 400, "prompt")
        (status, param, _), _ = self.refusal(lambda: self.stub.Generate(ids(asked), timeout=10))
        self.assertEqual((status, param), (StatusCode.INVALID_ARGUMENT, "prompt"))
        self.assertEqual(self.complete(max_tokens=4).status, 200)


if __name__ == "__main__":
    unittest.main()
