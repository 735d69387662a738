"""The `openai` package for Python, as its users use it, against `phalanx serve`."""
import asyncio
import math
import pathlib
import shutil
import ssl
import sys
import tempfile
import unittest

from serving import Server, ServerCase, make_certificate

try:
    import openai
except ImportError:
    openai = None

PROMPT = "Once upon a time"
MESSAGES = [{"role": "system", "content": "You tell short stories."},
            {"role": "user", "content": "Tell me one."}]


@unittest.skipIf(openai is None, "the package openai is not installed (build/venv)")
class OpenAI(ServerCase):
    WORDS = ("--served-model-name", "demo", "--served-model-name", "org/other")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.client = openai.OpenAI(base_url=cls.server.url + "/v1", api_key="any", max_retries=0)

    def complete(self, **more):
        return self.client.completions.create(
            **{"model": "demo", "prompt": PROMPT, "max_tokens": 12, "temperature": 0, **more})

    def chat(self, **more):
        return self.client.chat.completions.create(
            **{"model": "demo", "messages": MESSAGES, "max_tokens": 12, "temperature": 0, **more})

    def test_models_have_all_names(self):
        models = self.client.models.list().data
        self.assertEqual([model.id for model in models], ["demo", "org/other"])
        self.assertEqual(models[0].object, "model")

    def test_a_model_is_found_by_its_name_slashes_or_not(self):
        for name in ("demo", "org/other"):
            self.assertEqual(self.client.models.retrieve(name).id, name)
        for path in ("/v1/models/org/other", "/v1/models/org%2Fother"):
            self.assertEqual(self.server.get(path).json["id"], "org/other")
        with self.assertRaises(openai.NotFoundError) as caught:
            self.client.models.retrieve("no/such")
        self.assertEqual((caught.exception.param, caught.exception.code),
                         ("model", "model_not_found"))
        self.assertIsNone(self.server.metric("phalanx_http_requests_total", "no/such"))
        self.assertEqual(self.server.post("/v1/models/demo", {}).status, 405)

    def test_a_completion(self):
        answer = self.complete()
        self.assertEqual(answer.object, "text_completion")
        self.assertTrue(answer.id.startswith("cmpl-"))
        self.assertEqual(answer.model, "demo")
        self.assertEqual(answer.choices[0].finish_reason, "length")
        self.assertEqual(answer.usage.completion_tokens, 12)
        self.assertEqual(answer.usage.total_tokens, answer.usage.prompt_tokens + 12)

    def test_a_stream_has_the_text_of_the_whole(self):
        whole = self.complete()
        chunks = list(self.complete(stream=True, stream_options={"include_usage": True}))
        text = "".join(chunk.choices[0].text for chunk in chunks if chunk.choices)
        self.assertEqual(text, whole.choices[0].text)
        self.assertEqual(chunks[-1].choices, [])
        self.assertEqual(chunks[-1].usage, whole.usage)
        self.assertEqual({chunk.id for chunk in chunks}, {chunks[0].id})
        reasons = [c.choices[0].finish_reason for c in chunks if c.choices]
        self.assertEqual([r for r in reasons if r], ["length"])
        self.assertEqual(reasons[-1], "length")

    def test_a_chat_and_its_stream(self):
        whole = self.chat()
        self.assertEqual(whole.object, "chat.completion")
        self.assertEqual(whole.choices[0].message.role, "assistant")
        chunks = list(self.chat(stream=True))
        self.assertEqual(chunks[0].choices[0].delta.role, "assistant")
        self.assertEqual("".join(chunk.choices[0].delta.content or "" for chunk in chunks),
                         whole.choices[0].message.content)
        self.assertEqual(chunks[-1].choices[0].finish_reason, whole.choices[0].finish_reason)

    def test_the_helper_for_streams_puts_a_chat_together(self):
        whole = self.chat(max_tokens=None)
        with self.client.chat.completions.stream(
                model="demo", messages=MESSAGES, temperature=0, logprobs=True,
                stream_options={"include_usage": True}) as stream:
            kinds = {event.type for event in stream}
            final = stream.get_final_completion()
        self.assertEqual(final.choices[0].message.content, whole.choices[0].message.content)
        self.assertEqual(final.usage.total_tokens, whole.usage.total_tokens)
        self.assertEqual("".join(t.token for t in final.choices[0].logprobs.content),
                         whole.choices[0].message.content + "<|im_end|>")
        self.assertGreater(kinds, {"chunk", "content.delta", "content.done"})

    def test_an_answer_that_must_fit_a_schema_is_refused(self):
        schema = {"name": "x", "schema": {"type": "object"}}
        with self.assertRaises(openai.BadRequestError) as caught:
            self.chat(response_format={"type": "json_schema", "json_schema": schema})
        self.assertEqual(caught.exception.body["param"], "response_format")

    def test_headers_and_ids(self):
        raw = self.client.chat.completions.with_raw_response
        mine = "123e4567-e89b-12d3-a456-426614174000"
        answer = raw.create(model="demo", messages=MESSAGES, max_tokens=1,
                            extra_headers={"X-Request-Id": mine})
        self.assertEqual(answer.headers["x-request-id"], mine)
        self.assertEqual(answer.parse().id, "chatcmpl-" + mine)
        self.assertEqual(answer.parse()._request_id, mine)
        self.assertEqual(self.chat(extra_body={"request_id": mine}).id, "chatcmpl-" + mine)
        streamed = raw.create(model="demo", messages=MESSAGES, max_tokens=1, stream=True)
        self.assertEqual(streamed.headers["content-type"], "text/event-stream; charset=utf-8")
        list(streamed.parse())

    def test_usage_so_far_is_in_every_chunk(self):
        chunks = list(self.chat(stream=True, max_tokens=3, stream_options={
            "include_usage": True, "continuous_usage_stats": True}))
        self.assertEqual([chunk.usage.completion_tokens for chunk in chunks], [0, 1, 2, 3, 3])

    def test_several_choices_by_seed(self):
        first = self.complete(n=3, temperature=1, seed=7)
        again = self.complete(n=3, temperature=1, seed=7)
        texts = [choice.text for choice in first.choices]
        self.assertEqual(texts, [choice.text for choice in again.choices])
        self.assertEqual([choice.index for choice in first.choices], [0, 1, 2])
        self.assertEqual(len(set(texts)), 3)
        self.assertEqual(self.complete(temperature=1, seed=8).choices[0].text, texts[1])

    def test_several_prompts_and_token_ids(self):
        ids = self.client.post("/../tokenize", body={"prompt": PROMPT}, cast_to=dict)["tokens"]
        answer = self.complete(prompt=[PROMPT, "The dog"], n=1)
        self.assertEqual([choice.index for choice in answer.choices], [0, 1])
        self.assertEqual(self.complete(prompt=ids).choices[0].text, answer.choices[0].text)
        self.assertEqual(self.complete(prompt=[ids]).choices[0].text, answer.choices[0].text)

    def test_logprobs_of_completions(self):
        choice = self.complete(logprobs=3, max_tokens=5).choices[0]
        logprobs = choice.logprobs
        self.assertEqual("".join(logprobs.tokens), choice.text)
        self.assertEqual(logprobs.text_offset[0], 0)
        for chosen, best in zip(logprobs.token_logprobs, logprobs.top_logprobs):
            self.assertEqual(len(best), 3)
            self.assertEqual(max(best.values()), chosen)  # greedy

    def test_logprobs_of_a_stream_are_those_of_the_whole(self):
        text = self.complete(max_tokens=40).choices[0].text
        ask = {"logprobs": 2, "max_tokens": 40, "echo": True, "stop": [text[10:14], "never there"]}
        whole = self.complete(**ask).choices[0].logprobs.model_dump()
        parts = [chunk.choices[0].logprobs.model_dump()
                 for chunk in self.complete(**ask, stream=True) if chunk.choices[0].logprobs]
        self.assertGreater(len(parts), 2)
        for name, values in whole.items():
            self.assertEqual([one for part in parts for one in part[name]], values, name)

    def test_logprobs_of_chats(self):
        choice = self.chat(logprobs=True, top_logprobs=2, max_tokens=5).choices[0]
        self.assertEqual("".join(t.token for t in choice.logprobs.content), choice.message.content)
        for token in choice.logprobs.content:
            self.assertEqual(len(token.top_logprobs), 2)
            self.assertEqual(token.top_logprobs[0].logprob, token.logprob)
            self.assertEqual(bytes(token.bytes).decode(), token.token)

    def test_a_stop_text_ends_and_is_not_shown(self):
        text = self.complete(max_tokens=40).choices[0].text
        stop = text[10:14]
        choice = self.complete(max_tokens=40, stop=[stop]).choices[0]
        self.assertEqual(choice.finish_reason, "stop")
        self.assertEqual(choice.text, text[:text.index(stop)])
        self.assertEqual(choice.stop_reason, stop)
        streamed = "".join(chunk.choices[0].text
                           for chunk in self.complete(max_tokens=40, stop=[stop], stream=True))
        self.assertEqual(streamed, choice.text)

    def test_echo_with_logprobs_scores_a_prompt(self):
        choice = self.complete(echo=True, max_tokens=1, logprobs=1).choices[0]
        self.assertTrue(choice.text.startswith(PROMPT))
        self.assertIsNone(choice.logprobs.token_logprobs[0])
        self.assertTrue(all(x <= 0 for x in choice.logprobs.token_logprobs[1:]))

    def test_parameters_that_openai_does_not_know(self):
        answer = self.complete(extra_body={"top_k": 1, "repetition_penalty": 1.2, "min_tokens": 3,
                                           "ignore_eos": True, "return_token_ids": True})
        self.assertEqual(len(answer.choices[0].token_ids), 12)

    def test_embeddings_have_length_1_and_order(self):
        answer = self.client.embeddings.create(model="demo", input=["a dog", "a cat"])
        self.assertEqual([item.index for item in answer.data], [0, 1])
        for item in answer.data:
            self.assertAlmostEqual(math.fsum(x * x for x in item.embedding), 1, places=4)
        plain = self.client.embeddings.create(model="demo", input="a dog", encoding_format="float")
        for a, b in zip(plain.data[0].embedding, answer.data[0].embedding):
            self.assertAlmostEqual(a, b, places=6)

    def test_an_unknown_model_is_not_found(self):
        with self.assertRaises(openai.NotFoundError) as caught:
            self.complete(model="gpt-4")
        self.assertIn("gpt-4", caught.exception.message)

    def test_a_wrong_parameter_is_named(self):
        with self.assertRaises(openai.BadRequestError) as caught:
            self.complete(temperature=3)
        self.assertEqual(caught.exception.body["param"], "temperature")

    def test_a_prompt_that_is_too_long_has_its_code(self):
        with self.assertRaises(openai.BadRequestError) as caught:
            self.complete(prompt=[1] * 100000)
        self.assertEqual(caught.exception.code, "context_length_exceeded")

    def test_the_client_that_waits_for_many(self):
        async def ask_all():
            async with openai.AsyncOpenAI(base_url=self.server.url + "/v1", api_key="any") as client:
                asked = [client.completions.create(model="demo", prompt=PROMPT, max_tokens=8,
                                                   temperature=0) for _ in range(32)]
                return [answer.choices[0].text for answer in await asyncio.gather(*asked)]
        self.assertEqual(len(set(asyncio.run(ask_all()))), 1)


@unittest.skipIf(openai is None, "the package openai is not installed (build/venv)")
@unittest.skipUnless(shutil.which("openssl"), "no openssl to make a certificate with")
class Guarded(unittest.TestCase):
    """A server with keys that speaks TLS."""

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.certificate, key = make_certificate(pathlib.Path(folder.name))
        cls.server = Server("--served-model-name", "demo", "--api-key", "the-first-key",
                            "--ssl-certfile", cls.certificate, "--ssl-keyfile", key,
                            PHALANX_API_KEY="the-second-key")

    @classmethod
    def tearDownClass(cls):
        if cls.server.stop() != 0:
            raise AssertionError(cls.server.err)

    def client(self, key, trusts=True):
        trust = ssl.create_default_context(cafile=self.certificate if trusts else None)
        client = openai.OpenAI(base_url=self.server.url + "/v1", api_key=key, max_retries=0,
                               http_client=openai.DefaultHttpxClient(verify=trust))
        self.addCleanup(client.close)
        return client

    def complete(self, key, **more):
        return self.client(key).completions.create(model="demo", prompt=PROMPT, max_tokens=12,
                                                   temperature=0, **more)

    def test_each_key_is_answered(self):
        for key in ("the-first-key", "the-second-key"):
            self.assertEqual(self.complete(key).usage.completion_tokens, 12)

    def test_a_stream_by_tls_has_the_text_of_the_whole(self):
        whole = self.complete("the-first-key").choices[0].text
        chunks = self.complete("the-first-key", stream=True)
        self.assertEqual("".join(chunk.choices[0].text for chunk in chunks), whole)

    def test_other_keys_are_not(self):
        for key in ("the-first-ke", "the-first-key-and-more", "another-key"):
            with self.assertRaises(openai.AuthenticationError):
                self.complete(key)
            with self.assertRaises(openai.AuthenticationError):
                self.client(key).models.retrieve("demo")

    def test_who_does_not_trust_the_certificate_says_nothing(self):
        with self.assertRaises(openai.APIConnectionError):
            self.client("the-first-key", trusts=False).models.list()


class Browsers(ServerCase):
    """What a page asks before the `openai` package for JavaScript, which has headers of its own."""
    WORDS = ("--allowed-origins", "https://example.org")

    def preflight(self, origin):
        return self.server.ask("OPTIONS", "/v1/chat/completions", headers={
            "Origin": origin, "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type,x-stainless-lang"})

    def test_headers_that_are_asked_for_are_allowed(self):
        answer = self.preflight("https://example.org")
        self.assertEqual(answer.status, 204)
        self.assertEqual(answer.headers["Access-Control-Allow-Origin"], "https://example.org")
        self.assertEqual(answer.headers["Access-Control-Allow-Headers"],
                         "authorization,content-type,x-stainless-lang")

    def test_other_places_are_allowed_nothing(self):
        headers = self.preflight("https://example.com").headers
        self.assertEqual([name for name in headers if name.startswith("Access-Control")], [])

    def test_caches_are_told_that_answers_differ_by_origin(self):
        for origin in ("https://example.org", "https://example.com", None):
            asked = {} if origin is None else {"Origin": origin}
            for method, path in (("GET", "/v1/models"), ("GET", "/nothing"),
                                 ("OPTIONS", "/v1/models")):
                with self.subTest(origin=origin, method=method, path=path):
                    headers = self.server.ask(method, path, headers=asked).headers
                    self.assertEqual(headers["Vary"], "Origin")
                    self.assertEqual(headers["Access-Control-Allow-Origin"],
                                     origin if origin == "https://example.org" else None)


class AnyPage(ServerCase):
    """One answer for all of them, which caches may keep."""
    WORDS = ("--allowed-origins", "https://example.org", "--allowed-origins", "*")

    def test_every_page_may_read_one_and_the_same_answer(self):
        for asked in ({"Origin": "https://example.org"}, {"Origin": "null"}, {}):
            with self.subTest(asked=asked):
                headers = self.server.ask("GET", "/v1/models", headers=asked).headers
                self.assertEqual(headers["Access-Control-Allow-Origin"], "*")
                self.assertIsNone(headers["Vary"])


if __name__ == "__main__":
    sys.exit(unittest.main())
