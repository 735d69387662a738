"""Requests as many users would send them: a random mix of all forms, good and bad, and of the ways
in which clients behave. All of it comes of a seed.
"""
import dataclasses
import json

from history import Ask
from recorder import HOWS, Leave, Way

OPENING = "Once upon a time there was a little fox who lived in a quiet garden near the sea. "
WORDS = ("the", "dog", "was", "happy", "a", "garden", "there", "lived", "and", "moon", "Été",
         "😀")
STOPS = (" a", "the", "e", "\n", " garden", ".", "happy dog", "\u00e9")
ALWAYS_STREAMS = "/generate_stream"
BAD_BODY = b'{"prompt": "Once", "max_tokens": '
LONGEST_BODY = 1 << 20   # --max-body-bytes of the servers
LONGEST_TYPED = 1 << 14  # longer ones are sent whole


def text(chance):
    """Many begin alike, as prompts of a service do: the prefix cache has something to find."""
    words = " ".join(chance.choices(WORDS, k=chance.randint(1, 12)))
    return OPENING * chance.choice((0, 0, 0, 1, 2, 6)) + words


def ids(chance):
    return [chance.randrange(5, 900) for _ in range(chance.choice((1, 3, 40, 200)))]


def seldom(chance, share, body, **fields):
    if chance.random() < share:
        body.update(fields)


def picking(chance, most_choices=4):
    """Fields that say how tokens are picked, and whether it is done alike each time."""
    kind = chance.random()
    if kind < 0.4:
        return {"temperature": 0}, True
    body = {"temperature": chance.choice((0.3, 0.8, 1, 1.5))}
    seldom(chance, 0.3, body, top_p=chance.choice((0.5, 0.9)))
    seldom(chance, 0.3, body, top_k=chance.choice((1, 5, 50)))
    seldom(chance, 0.2, body, min_p=0.05)
    seldom(chance, 0.5 if most_choices > 1 else 0, body, n=chance.randint(2, max(2, most_choices)))
    if kind < 0.9:
        body["seed"] = chance.randrange(1 << 31)
    return body, kind < 0.9


def sampling(chance, most_choices=4):
    body, is_fixed = picking(chance, most_choices)
    body["max_tokens"] = chance.choice((1, 2, 5, 9, 16, 24, 40))
    seldom(chance, 0.3, body, ignore_eos=True)
    seldom(chance, 0.1, body, min_tokens=min(3, body["max_tokens"]))
    seldom(chance, 0.25, body, stop=chance.sample(STOPS, chance.randint(1, 3)))
    seldom(chance, 0.1, body, include_stop_str_in_output=True)
    seldom(chance, 0.1, body, stop_token_ids=chance.sample(range(5, 900), 3))
    seldom(chance, 0.1, body, repetition_penalty=1.3)
    seldom(chance, 0.1, body, frequency_penalty=0.5, presence_penalty=-0.5)
    seldom(chance, 0.05, body, logit_bias={str(chance.randrange(5, 900)): 5})
    seldom(chance, 0.05, body, bad_words=["dog", "moon"])
    seldom(chance, 0.05, body, allowed_token_ids=chance.sample(range(5, 900), 30))
    return body, is_fixed


def scheduling(chance, body):
    """What the answer does not depend on; True: it may end by its deadline."""
    seldom(chance, 0.15, body, cache_salt=chance.choice("xyz"))
    seldom(chance, 0.2, body, priority=chance.randint(-2, 2))
    seldom(chance, 0.06, body, deadline_ms=chance.choice((1, 20, 80, 300)))
    return "deadline_ms" in body


def beams(chance):
    width = chance.randint(2, 4)
    return {"use_beam_search": True, "temperature": 0, "n": width, "ignore_eos": True,
            "max_tokens": chance.choice((2, 6, 12))}


def streaming(chance, body):
    if chance.random() > 0.6:
        return
    body["stream"] = True
    seldom(chance, 0.6, body, stream_options={
        "include_usage": True, "continuous_usage_stats": chance.random() < 0.3})


def completion(chance):
    body, fixed = (beams(chance), True) if chance.random() < 0.08 else sampling(chance)
    is_beam = "use_beam_search" in body
    prompts = [ids(chance) if chance.random() < 0.3 else text(chance)
               for _ in range(chance.choice((1, 1, 1, 2, 3)))]
    if len({type(prompt) for prompt in prompts}) > 1:
        prompts = prompts[:1]
    body["prompt"] = prompts[0] if len(prompts) == 1 else prompts
    seldom(chance, 0.7, body, return_token_ids=True)
    seldom(chance, 0.15, body, echo=True)
    streaming(chance, body)
    if not is_beam:
        seldom(chance, 0.3, body, logprobs=chance.randint(0, 5))
        if "stream" not in body:
            seldom(chance, 0.15, body, prompt_logprobs=chance.randint(0, 2))
    if "echo" in body and "logprobs" in body and "n" not in body and chance.random() < 0.3:
        body.update(max_tokens=0)
        for name in ("min_tokens", "ignore_eos", "stop", "stop_token_ids"):
            body.pop(name, None)
    return "completion", "/v1/completions", body, fixed, len(prompts)


def chat(chance):
    body, fixed = sampling(chance)
    turns = [text(chance) for _ in range(chance.choice((1, 1, 3)))]
    body["messages"] = [{"role": "assistant" if i % 2 else "user", "content": turn}
                        for i, turn in enumerate(turns)]
    seldom(chance, 0.7, body, return_token_ids=True)
    seldom(chance, 0.3, body, logprobs=True, top_logprobs=chance.randint(0, 5))
    streaming(chance, body)
    return "chat", "/v1/chat/completions", body, fixed, 1


def vllm(chance):
    body, fixed = (beams(chance), True) if chance.random() < 0.2 else sampling(chance)
    prompts = [text(chance) for _ in range(chance.choice((1, 1, 2)))]
    body["prompt"] = prompts[0] if len(prompts) == 1 else prompts
    if "use_beam_search" not in body:
        seldom(chance, 0.3, body, logprobs=2)
    seldom(chance, 0.5, body, stream=True)
    return "vllm", "/generate", body, fixed, len(prompts)


def sglang(chance):
    body, fixed = sampling(chance)
    if "seed" in body:
        body["sampling_seed"] = body.pop("seed")
    body["max_new_tokens"] = body.pop("max_tokens")
    if "min_tokens" in body:
        body["min_new_tokens"] = body.pop("min_tokens")
    prompts = [ids(chance) if chance.random() < 0.3 else text(chance)]
    asked = {"input_ids" if isinstance(prompts[0], list) else "text": prompts[0],
             "sampling_params": body}
    seldom(chance, 0.4, asked, return_logprob=True, top_logprobs_num=chance.randint(0, 2))
    seldom(chance, 0.5, asked, stream=True)
    return "sglang", "/generate", asked, fixed, 1


def tgi(chance):
    parameters = {"max_new_tokens": chance.choice((1, 5, 20))}
    fixed = True
    if chance.random() < 0.6:
        parameters.update(do_sample=True, temperature=0.8, seed=chance.randrange(1, 1 << 31))
    seldom(chance, 0.6, parameters, details=True)
    seldom(chance, 0.2, parameters, return_full_text=True)
    seldom(chance, 0.3, parameters, stop=[chance.choice(STOPS)])
    body = {"inputs": text(chance), "parameters": parameters}
    if chance.random() < 0.3:
        return "tgi", ALWAYS_STREAMS, body, fixed, 1
    seldom(chance, 0.3, body, stream=True)
    return "tgi", "/generate", body, fixed, 1


def embedding(chance):
    inputs = [text(chance) for _ in range(chance.randint(1, 3))]
    return "embedding", "/v1/embeddings", {"input": inputs}, True, len(inputs)


def score(chance):
    documents = [f"{i} {text(chance)}" for i in range(chance.randint(1, 3))]
    return "score", "/v1/score", {"text_1": "a dog", "text_2": documents}, True, 1 + len(documents)


def rerank(chance):
    documents = [f"{i} {text(chance)}" for i in range(chance.randint(1, 3))]
    return ("rerank", "/v1/rerank", {"query": "a dog", "documents": documents}, True,
            1 + len(documents))


FORMS = (completion, completion, completion, completion, chat, chat, vllm, sglang, tgi, embedding,
         score, rerank)
IN_RPC = ("completion", "chat", "embedding", "score")
NOT_IN_RPC = ("stream", "stream_options", "return_token_ids", "logprobs", "top_logprobs", "echo",
              "prompt_logprobs")


def as_rpc(chance, form, body, n_prompts):
    """The body of what gRPC can ask for, and its prompts."""
    body = {name: value for name, value in body.items() if name not in NOT_IN_RPC}
    if form in ("completion", "chat"):
        seldom(chance, 0.3 if "use_beam_search" not in body else 0, body, logprobs=2)
        body["max_tokens"] = max(1, body["max_tokens"])
    if form == "completion" and n_prompts > 1:
        body["prompt"], n_prompts = body["prompt"][0], 1
    return body, n_prompts


def choices_of(body):
    return body.get("n", body.get("sampling_params", {}).get("n", 1))


def hold_back(form, body, n_all):
    """A stream of so little that a client may stand still for a while, as on a busy machine, and is
    not cut off as one that has stopped."""
    most = max(1, (40 if form in ("vllm", "sglang") else 120) // n_all)  # those tell all each time
    fields = body.get("sampling_params", body)
    for field in ("max_tokens", "max_new_tokens", "min_tokens", "min_new_tokens"):
        if field in fields:
            fields[field] = min(fields[field], most)


def good(chance, name, rpc_share=0.3):
    form, route, body, is_fixed, n_prompts = chance.choice(FORMS)(chance)
    is_rpc = form in IN_RPC and chance.random() < rpc_share
    if is_rpc:
        body, n_prompts = as_rpc(chance, form, body, n_prompts)
    statuses = (200, 408) if form not in ("sglang", "tgi") and scheduling(chance, body) else (200,)
    if form in ("embedding", "score", "rerank"):
        body.pop("cache_salt", None)
    is_stream = bool(body.get("stream")) or route == ALWAYS_STREAMS
    if is_stream:
        hold_back(form, body, n_prompts * choices_of(body))
    return Ask(name, form, route, body, is_rpc=is_rpc, is_stream=is_stream,
               is_fixed=is_fixed, n_prompts=n_prompts, n_choices=choices_of(body),
               statuses=statuses)


NOWHERE = "/nowhere"
# Route, body, status.
BAD = (
    ("/v1/completions", BAD_BODY, 400),
    ("/v1/completions", b"", 400),
    ("/v1/completions", b"\x00\xff", 400),
    ("/v1/completions", {"prompt": "Once", "temperature": 5}, 400),
    ("/v1/completions", {"prompt": "Once", "temperature": "5"}, 400),
    ("/v1/completions", {"prompt": "Once", "n": 10_000}, 400),
    ("/v1/completions", {"prompt": "Once", "model": "another"}, 404),
    ("/v1/completions", {"prompt": [5] * 3000}, 400),
    ("/v1/completions", {"prompt": "word " * 100_000}, 400),
    ("/v1/completions", b"[" * 1000, 400),
    ("/v1/completions", b" " * (LONGEST_BODY + 1), 413),
    ("/v1/chat/completions", {"messages": []}, 400),
    ("/v1/chat/completions", {"messages": [{"role": "user"}], "n": 1.5}, 400),
    ("/v1/embeddings", {"input": []}, 400),
    ("/v1/score", {"text_1": "a", "text_2": 5}, 400),
    ("/generate", {"unknown": "Once"}, 400),
    ("/generate", {"inputs": "Once", "parameters": {"max_new_tokens": -1}}, 400),
    ("/tokenize", {"prompt": 5}, 400),
    (NOWHERE, {}, 404),
)
BAD_IN_RPC = ({"prompt": "Once", "temperature": 5}, {"prompt": [100_000_000]},
              {"prompt": "Once", "top_p": 0}, {"prompt": "Once", "max_tokens": 10**6})


def bad(chance, name):
    if chance.random() < 0.2:
        return Ask(name, "completion", "/v1/completions", chance.choice(BAD_IN_RPC), is_rpc=True,
                   statuses=(400,))
    route, body, status = chance.choice(BAD)
    return Ask(name, "other", route, body, statuses=(status,), is_read=status != 413,
               has_route=route != NOWHERE)


def asks(chance, prefix, n, bad_share=0.1):
    """n requests, named q<prefix>x<number>."""
    return [(bad if chance.random() < bad_share else good)(chance, f"q{prefix}x{i}")
            for i in range(n)]


def alone(ask):
    """The same as a whole answer that nothing hurries, over HTTP, in the form that tells most."""
    body = {name: value for name, value in ask.body.items()
            if name not in ("stream", "stream_options", "deadline_ms", "priority")}
    if ask.form in ("completion", "chat"):
        body["return_token_ids"] = True
    if ask.is_rpc and ask.form == "chat":
        body.pop("logprobs", None)
    if ask.form == "tgi":
        body["parameters"] = {**body["parameters"], "details": True}
    route = "/generate" if ask.route == ALWAYS_STREAMS else ask.route
    return dataclasses.replace(ask, id=f"alone-{ask.id}", route=route, body=body, is_rpc=False,
                               is_stream=False, statuses=(200,))


# ---- ways ----

def leave(chance):
    how = chance.choice(HOWS)
    return chance.choice((
        Leave("sending", chance.random(), how), Leave("sent", 0, how), Leave("head", 0, how),
        Leave("data", chance.choice((1, 50, 400, 2000)), how),
        Leave("time", chance.choice((0.001, 0.01, 0.05, 0.2)), how)))


def way(chance, n_asks, leaves=0.25):
    read_bytes, pause_s, receive_buffer = chance.choice((
        (65536, 0, 0), (65536, 0, 0), (65536, 0, 0), (1, 0, 0), (300, 0.002, 4096)))
    return Way(pieces=chance.choice(("whole", "whole", "random", "bytes")),
               chunk_bytes=chance.choice((0, 0, 0, 7, 1000)),
               is_ahead=n_asks > 1 and chance.random() < 0.5, read_bytes=read_bytes,
               pause_s=pause_s, receive_buffer=receive_buffer,
               leave=leave(chance) if chance.random() < leaves else None)


def size_of(ask):
    return len(ask.body) if isinstance(ask.body, bytes) else len(json.dumps(ask.body))


def visits(chance, asked):
    """(way, requests) of each connection of HTTP. Bad ones may end it, and so come last; huge ones
    are refused before they are there, and whoever goes on sending does not hear it."""
    found, group = [], []
    for ask in asked:
        group.append(ask)
        if ask.form == "other" or chance.random() < 0.6:
            found.append((way(chance, len(group)), group))
            group = []
    found += [(way(chance, len(group)), group)] if group else []
    return [(dataclasses.replace(one, pieces="whole", chunk_bytes=0)
             if max(map(size_of, group)) > LONGEST_TYPED else one, group) for one, group in found]
