"""docs/openapi.yaml is what the server does: its routes, its answers, and the fields it reads."""
import json
import pathlib
import re
import unittest

import jsonschema
import referencing
import referencing.jsonschema
import yaml

from serving import ServerCase

ROOT = pathlib.Path(__file__).resolve().parents[2]
FILE = yaml.safe_load((ROOT / "docs" / "openapi.yaml").read_text())
REGISTRY = referencing.Registry().with_resource(
    "urn:api", referencing.Resource(FILE, referencing.jsonschema.DRAFT202012))
PROMPT = {"prompt": "Once upon a time", "max_tokens": 4, "temperature": 0}
CHAT = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4, "temperature": 0}

# Requests by path, then those of /generate: schema of the body, and bodies that it is tried with.
# Fields that stand in one body of a list are alternatives to those of the others.
REQUESTS = [
    ("/v1/completions", "CompletionRequest", [PROMPT]),
    ("/v1/chat/completions", "ChatRequest", [CHAT]),
    ("/v1/embeddings", "EmbeddingRequest", [{"input": "a fox"}]),
    ("/v1/score", "ScoreRequest", [{"text_1": "a", "text_2": ["b", "c"]},
                                   {"data_1": "a", "data_2": [{"text": "b"}]},
                                   {"queries": ["a"], "documents": ["b"]},
                                   {"queries": "a", "items": "b"}]),
    ("/rerank", "RerankRequest", [{"query": "a", "documents": ["b"]},
                                  {"query": "a", "documents": [{"text": "c"}]}]),
    ("/rerank", "TeiRerankRequest", [{"query": "a", "texts": ["c"], "return_text": True}]),
    ("/classify", "PoolRequest", [{"input": "a fox"}]),
    ("/pooling", "PoolingRequest", [{"input": "a fox"}]),
    ("/v1/score/evaluation", "RewardRequest", [{"messages": ["a fox"]}]),
    ("/tokenize", "TokenizeRequest", [{"prompt": "a fox", "add_special_tokens": True},
                                      {"messages": CHAT["messages"], "tools": [{}],
                                       "documents": [{}], "chat_template_kwargs": {},
                                       "add_generation_prompt": True,
                                       "continue_final_message": False}]),
    ("/generate", "GenerateRequest", [PROMPT]),
    ("/generate", "SglangRequest", [{"text": "Once"}, {"input_ids": [[1, 2]]}]),
    ("/generate", "TgiRequest", [{"inputs": "Once"}]),
]
NESTED = [("SglangRequest", "sampling_params", {"text": "Once"}),
          ("TgiRequest", "parameters", {"inputs": "Once"})]


def at(pointer):
    """The part of the file at a reference."""
    here = FILE
    for step in pointer.removeprefix("#/").split("/"):
        here = here[step.replace("~1", "/")]
    return here


def resolved(part):
    return resolved(at(part["$ref"])) if "$ref" in part else part


def validator(pointer):
    return jsonschema.Draft202012Validator({"$ref": "urn:api" + pointer}, registry=REGISTRY)


def pointer_of(*steps):
    return "#/" + "/".join(str(step).replace("/", "~1") for step in steps)


def references(part):
    for key, value in part.items() if isinstance(part, dict) else enumerate(part):
        if key == "$ref":
            yield value
        elif isinstance(value, (dict, list)):
            yield from references(value)


def properties(schema):
    """Of an object, with those that allOf adds; the schema's own win."""
    schema = resolved(schema)
    found = {}
    for part in schema.get("allOf", []):
        found.update(properties(part))
    return {**found, **schema.get("properties", {})}


def of_another_type(schema):
    """A value that no reading of the schema takes."""
    check = jsonschema.Draft202012Validator(
        json.loads(json.dumps(schema).replace('"#/', '"urn:api#/')), registry=REGISTRY)
    return next(value for value in (True, "text", 12.5) if not check.is_valid(value))


class File(unittest.TestCase):
    def test_references_lead_somewhere(self):
        for reference in references(FILE):
            with self.subTest(reference):
                at(reference)

    def test_schemas_are_json_schema(self):
        for name, schema in FILE["components"]["schemas"].items():
            with self.subTest(name):
                jsonschema.Draft202012Validator.check_schema(schema)

    def test_every_schema_is_used(self):
        used = set(references(FILE))
        for name in FILE["components"]["schemas"]:
            self.assertIn(f"#/components/schemas/{name}", used)

    def test_routes_are_those_of_the_server(self):
        source = (ROOT / "runtime" / "endpoints" / "endpoints.c").read_text()
        methods = {"GET": {"get"}, "POST": {"post"}, '"GET, HEAD, POST"': {"get", "post"}}
        served = {path: (methods[words], access == "OPEN") for path, words, access in re.findall(
            r'\{\{"(/[^"]*)", (GET|POST|"[^"]*"), ROUTE_(OPEN|WITH_KEY)\}', source)}
        written = {}
        for path, item in FILE["paths"].items():
            item = resolved(item)
            operation = next(iter(item.values()))
            written[path] = (set(item), operation.get("security") == [])
        self.assertEqual(written, served)

    def test_the_words_name_every_path_and_field(self):
        words = set(re.findall(r"`([^`]*)`", (ROOT / "docs" / "api.md").read_text()))
        for path in FILE["paths"]:
            with self.subTest(path):
                self.assertIn(path, words)
        for path, name, _ in REQUESTS:
            for field in properties(at(f"#/components/schemas/{name}")):
                with self.subTest(path, field=field):
                    self.assertIn(field, words)

    def test_errors_are_those_of_the_server(self):
        source = (ROOT / "proto" / "status.c").read_text()
        error = at("#/components/schemas/Error/properties/error/properties")
        codes = set(re.findall(r'^    \{"(\w+)", \{\d+, GRPC', source, re.M))
        self.assertEqual(codes - set(error["code"]["oneOf"][1]["enum"]), set())
        types = set(re.findall(r'GRPC_\w+, "(\w+)"\}', source))
        self.assertEqual(types - set(error["type"]["enum"]), set())

    def test_fields_of_sampling_are_those_that_are_read(self):
        source = (ROOT / "proto" / "json_sampling.c").read_text()
        read = set(re.findall(r'\{"(\w+)", (?:NUMBER|INTEGER|FLAG), AT', source))
        written = set(properties(at("#/components/schemas/Sampling")))
        for name, key, _ in NESTED:
            written |= set(properties(properties(at(f"#/components/schemas/{name}"))[key]))
        self.assertEqual(read - written, set())


class Answers(ServerCase):
    WORDS = ("--served-model-name", "demo", "--disable-log-requests")

    def check(self, path, method, status, kind, body):
        """A body against the schema of its path, method, status and content type."""
        operation = resolved(FILE["paths"][path])[method]
        responses = operation["responses"]
        key = str(status) if str(status) in responses else "default"
        content = resolved(responses[key])["content"]
        kind = kind.split(";")[0]
        self.assertIn(kind, content)
        if isinstance(body, bytes):
            body = json.loads(body) if kind == "application/json" else body.decode()
        schema = json.loads(json.dumps(content[kind]["schema"]).replace('"#/', '"urn:api#/'))
        errors = jsonschema.Draft202012Validator(schema, registry=REGISTRY).iter_errors(body)
        best = jsonschema.exceptions.best_match(errors)
        self.assertIsNone(best, f"{method} {path} {status}: {best}")

    def ask_and_check(self, path, body=None, method="post", status=200, model="demo"):
        answer = self.server.ask(method.upper(), path.format(model=model), body)
        self.assertEqual(answer.status, status, answer.body)
        self.check(path, method, status, answer.headers["Content-Type"], answer.body)
        return answer

    def stream_and_check(self, path, body):
        answer = self.server.post(path, {**body, "stream": True})
        self.assertEqual(answer.status, 200, answer.body)
        events = 0
        for line in answer.body.decode().splitlines():
            text = re.sub(r"^data: ?", "", line)
            if text not in ("", "[DONE]"):
                self.check(path, "post", 200, answer.headers["Content-Type"], json.loads(text))
                events += 1
        self.assertGreater(events, 0)

    def test_what_is_asked_with_get(self):
        for path, item in FILE["paths"].items():
            if "get" in resolved(item):
                with self.subTest(path):
                    self.ask_and_check(path, method="get")

    def test_requests_fit_their_schemas(self):
        for path, name, bodies in REQUESTS:
            for body in bodies:
                with self.subTest(path, body=body):
                    validator(f"#/components/schemas/{name}").validate(body)

    def test_every_request_has_an_answer_of_its_schema(self):
        refused = {"/classify": 501, "/v1/score/evaluation": 400}  # by the demo model
        for path, _, bodies in REQUESTS:
            for body in bodies:
                with self.subTest(path, body=body):
                    self.ask_and_check(path, body, status=refused.get(path, 200))

    def test_detokenize(self):
        self.ask_and_check("/detokenize", {"tokens": [5, 6]})

    def test_completions_with_everything(self):
        everything = {**PROMPT, "logprobs": 2, "echo": True, "return_token_ids": True}
        self.ask_and_check("/v1/completions", {**everything, "prompt_logprobs": 1})
        self.ask_and_check("/v1/completions", {**PROMPT, "prompt": ["a", "b"], "n": 2,
                                               "temperature": 1, "stop": ["e", "a"]})
        self.stream_and_check("/v1/completions", {**everything, "stream_options": {
            "include_usage": True, "continuous_usage_stats": True}})

    def test_chats_with_everything(self):
        everything = {**CHAT, "logprobs": True, "top_logprobs": 2, "return_token_ids": True}
        self.ask_and_check("/v1/chat/completions", {**everything, "prompt_logprobs": 1, "n": 2,
                                                    "temperature": 1})
        self.stream_and_check("/v1/chat/completions", {**everything, "stream_options": {
            "include_usage": True}})

    def test_generate_in_all_shapes(self):
        params = {"max_new_tokens": 4}
        for body in (PROMPT, {**PROMPT, "logprobs": 1, "prompt_logprobs": 1},
                     {**PROMPT, "use_beam_search": True, "n": 2},
                     {"text": "Once", "sampling_params": params},
                     {"text": ["Once", "Twice"], "sampling_params": params,
                      "return_logprob": True, "top_logprobs_num": 2},
                     {"inputs": "Once", "parameters": {**params, "details": True}}):
            with self.subTest(body=body):
                self.ask_and_check("/generate", body)
                if "prompt_logprobs" not in body:
                    self.stream_and_check("/generate", body)

    def test_generate_stream(self):
        for parameters in ({}, {"details": True}):
            self.stream_and_check("/generate_stream", {"inputs": "Once", "parameters": parameters})

    def test_a_model_that_is_not_there(self):
        self.ask_and_check("/v1/models/{model}", method="get", status=404, model="some/other")

    def test_vectors_in_both_encodings(self):
        for encoding in ("float", "base64"):
            self.ask_and_check("/v1/embeddings", {"input": ["a", "b"], "dimensions": 8,
                                                  "encoding_format": encoding})

    def test_errors(self):
        for path, body, status in (("/v1/completions", "{", 400),
                                   ("/v1/completions", {**PROMPT, "model": "x"}, 404),
                                   ("/v1/completions", {**PROMPT, "max_tokens": 9999}, 400),
                                   ("/v1/completions", {**PROMPT, "deadline_ms": 1,
                                                        "max_tokens": 1000,
                                                        "ignore_eos": True}, 408),
                                   ("/tokenize", {"prompt": "a" * (2 << 20)}, 413)):
            with self.subTest(path, status=status):
                self.ask_and_check(path, body, status=status)

    def check_refused(self, path, body, name):
        answer = self.server.post(path, body)
        self.check(path, "post", answer.status, answer.headers["Content-Type"], answer.body)
        self.check_error(answer, 400, name)

    def test_a_limit_is_told_of_the_field_that_was_sent(self):
        for path, body, name in (
                ("/v1/chat/completions", {**CHAT, "logprobs": True, "top_logprobs": 21},
                 "top_logprobs"),
                ("/generate", {"text": "Once", "return_logprob": True, "top_logprobs_num": 21},
                 "top_logprobs_num"),
                ("/v1/completions", {**PROMPT, "logprobs": 21}, "logprobs")):
            with self.subTest(path):
                self.check_refused(path, body, name)

    def test_fields_are_read_a_value_of_another_type_is_refused(self):
        for path, name, bodies in REQUESTS:
            fields = properties(at(f"#/components/schemas/{name}"))
            for body in bodies:
                others = {key for other in bodies for key in other} - set(body)
                for field in sorted(set(fields) - others):
                    with self.subTest(path, schema=name, field=field):
                        wrong = {**body, field: of_another_type(fields[field])}
                        self.check_refused(path, wrong, field)

    def test_nested_fields_are_read(self):
        for name, key, body in NESTED:
            fields = properties(properties(at(f"#/components/schemas/{name}"))[key])
            for field in sorted(fields):
                with self.subTest(name, field=field):
                    wrong = {**body, key: {field: of_another_type(fields[field])}}
                    self.check_refused("/generate", wrong, field)


if __name__ == "__main__":
    unittest.main(verbosity=2)
