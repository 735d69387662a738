"""What a client saw, out of the events of its record, in one form for all forms of the API.

Pure, as history.py is. What breaks the form itself (a chunk after the end, an event that is no
JSON) becomes a fault of what is seen, and never an exception.
"""
import json
import struct

from history import Choice, Seen

DONE = "[DONE]"


def choice_of(seen, index):
    return seen.choices.setdefault(index, Choice())


def extend(choice, name, more):
    if more is not None:
        setattr(choice, name, (getattr(choice, name) or []) + more)


def add_usage(seen, usage):
    if usage is not None:
        cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens")
        seen.usage = {"prompt_tokens": usage["prompt_tokens"], "cached_tokens": cached,
                      "completion_tokens": usage.get("completion_tokens", 0),
                      "total_tokens": usage["total_tokens"]}


# ---- OpenAI ----

def openai_rows(logprobs):
    """A row a token, of completions (lists side by side) and chats (a list of objects)."""
    if logprobs is None:
        return None
    if "content" in logprobs:
        return logprobs["content"]
    return [list(row) for row in zip(logprobs["tokens"], logprobs["token_logprobs"],
                                     logprobs["top_logprobs"] or logprobs["tokens"],
                                     logprobs["text_offset"])]


def add_openai_choice(seen, told):
    """A choice, or what is new of it."""
    choice = choice_of(seen, told["index"])
    message = told.get("message") or told.get("delta") or told
    choice.text += message.get("text") or message.get("content") or ""
    extend(choice, "rows", openai_rows(told.get("logprobs")))
    extend(choice, "token_ids", told.get("token_ids"))
    if told.get("finish_reason") is not None:
        choice.finish, choice.stop = told["finish_reason"], told.get("stop_reason")


def add_openai(seen, told):
    for choice in told["choices"]:
        before = seen.choices.get(choice["index"])
        if before is not None and before.finish is not None:
            seen.faults.append(f"goes on in choice {choice['index']} after its finish_reason")
        add_openai_choice(seen, choice)
    if not told["choices"]:
        add_usage(seen, told["usage"])


def whole_openai(seen, told):
    for choice in told["choices"]:
        add_openai_choice(seen, choice)
    add_usage(seen, told["usage"])
    seen.prompt = [place.get(name) for place in (told, *told["choices"])
                   for name in ("prompt_token_ids", "prompt_logprobs")]


# ---- /generate ----

TGI_FINISH = {"stop_sequence": "stop", "eos_token": "stop", "length": "length"}

def grow(seen, choice, index, text):
    """A text that comes whole each time."""
    if not text.startswith(choice.text):
        seen.faults.append(f"takes back in choice {index} {choice.text!r} for {text!r}")
    choice.text = text


def add_vllm(seen, told):
    for index, text in enumerate(told["text"]):
        grow(seen, choice_of(seen, index), index, text)


def whole_vllm(seen, told):
    add_vllm(seen, told)
    choices = [choice for result in told["results"] for choice in result["outputs"]]
    for index, result in enumerate(choices):
        choice = choice_of(seen, index)
        choice.token_ids, choice.rows = result["token_ids"], result["logprobs"]
        choice.finish, choice.stop = result["finish_reason"], result["stop_reason"]
    usages = [result["usage"] for result in told["results"]]
    seen.usage = {name: sum(usage[name] for usage in usages) for name in usages[0]}
    seen.usage["cached_tokens"] = sum(result["num_cached_tokens"] for result in told["results"])


def add_sglang(seen, told, index=0):
    index, about = told.get("index", index), told["meta_info"]
    choice = choice_of(seen, index)
    if choice.finish is not None:
        seen.faults.append(f"goes on in choice {index} after its finish_reason")
    grow(seen, choice, index, told["text"])
    choice.token_ids = told["output_ids"]
    if "output_token_logprobs" in about:
        choice.rows = [list(row) for row in zip(about["output_token_logprobs"],
                                                about.get("output_top_logprobs") or
                                                about["output_token_logprobs"])]
    if about["finish_reason"] is not None:
        choice.finish = about["finish_reason"]["type"]
        choice.stop = about["finish_reason"].get("matched")
    if about["completion_tokens"] != len(choice.token_ids):
        seen.faults.append(f"counts {about['completion_tokens']} tokens of {choice.token_ids}")


def whole_sglang(seen, told):
    for index, choice in enumerate(told if isinstance(told, list) else [told]):
        add_sglang(seen, choice, index)


def add_tgi(seen, told):
    choice, details = choice_of(seen, 0), told.get("details")
    if choice.is_over:
        seen.faults.append("goes on after its text")
    extend(choice, "token_ids", [told["token"]["id"]])
    extend(choice, "rows", [told["token"]])
    if told["index"] != len(choice.token_ids):
        seen.faults.append(f"has token {told['index']} as number {len(choice.token_ids)}")
    if told["generated_text"] is not None:
        choice.text, choice.is_over = told["generated_text"], True
    if details is not None:
        choice.finish = TGI_FINISH.get(details["finish_reason"], "unknown")


def whole_tgi(seen, told):
    choice, details = choice_of(seen, 0), told.get("details")
    choice.text = told["generated_text"]
    if details is not None:
        choice.rows = details["tokens"]
        choice.finish = TGI_FINISH.get(details["finish_reason"], "unknown")
        choice.token_ids = [token["id"] for token in details["tokens"]]


# ---- vectors and scores ----

def single(value):
    """As the 32 bits that both protocols write, each in its own digits."""
    return struct.unpack("f", struct.pack("f", value))[0]


def whole_values(seen, told):
    if "results" in told:
        seen.values = [(row["index"], single(row["relevance_score"])) for row in told["results"]]
    elif "embedding" in told["data"][0]:
        seen.values = [list(map(single, row["embedding"])) for row in told["data"]]
    else:
        seen.values = [single(row["score"]) for row in told["data"]]
    add_usage(seen, told["usage"])


def whole_other(seen, told):
    seen.values = told


WHOLE = {"completion": whole_openai, "chat": whole_openai, "vllm": whole_vllm,
         "sglang": whole_sglang, "tgi": whole_tgi, "embedding": whole_values,
         "score": whole_values, "rerank": whole_values, "other": whole_other}
PART = {"completion": add_openai, "chat": add_openai, "vllm": add_vllm, "sglang": add_sglang,
        "tgi": add_tgi}
HAS_DONE = ("completion", "chat", "sglang")


# ---- HTTP ----

def events_of(form, data, is_ended, seen):
    """The texts of all events that came whole."""
    mark = b"\n" if form == "vllm" else b"\n\n"
    *events, rest = data.split(mark)
    if is_ended and rest:
        seen.faults.append(f"ends amid an event: {rest!r}")
    for event in events:
        if form != "vllm" and not event.startswith(b"data:"):
            seen.faults.append(f"has the event {event!r}")
        yield event.removeprefix(b"data:").strip().decode(errors="replace")


def read_stream(seen, ask, data, is_ended):
    n_done = 0
    for event in events_of(ask.form, data, is_ended, seen):
        if n_done or seen.error is not None and event != DONE:
            seen.faults.append(f"goes on after its end: {event}")
        if event == DONE:
            n_done += 1
            continue
        told = json.loads(event)
        if "error" in told:
            seen.error = told["error"]
        else:
            PART[ask.form](seen, told)
    is_over = ask.form != "tgi" or all(choice.is_over for choice in seen.choices.values())
    seen.is_whole = is_ended and is_over and n_done == (ask.form in HAS_DONE)


def read_http(record, seen):
    heads, data = record.all("head"), b"".join(record.all("data"))
    if not heads:
        return
    if len(heads) > 1:
        seen.faults.append(f"has {len(heads)} responses")
    seen.status, seen.headers = heads[0]
    is_ended = record.has("end")
    if seen.status == 200 and record.ask.is_stream:
        read_stream(seen, record.ask, data, is_ended)
    elif is_ended and data and "json" in seen.headers.get("content-type", ""):
        told = json.loads(data)
        if seen.status != 200:
            seen.error = told.get("error")
        else:
            WHOLE[record.ask.form](seen, told)
        seen.is_whole = True


# ---- gRPC ----

FINISH = {"FINISH_REASON_STOP": "stop", "FINISH_REASON_LENGTH": "length",
          "FINISH_REASON_ABORT": "abort", "FINISH_REASON_ERROR": "error"}


def add_rpc_choice(seen, told):
    choice = choice_of(seen, told.get("index", 0))
    if choice.finish is not None:
        seen.faults.append(f"goes on in choice {told.get('index', 0)} after its finish")
    choice.text += told.get("text", "")
    extend(choice, "token_ids", told.get("token_ids", []))
    extend(choice, "rows", told.get("logprobs"))
    if "finish" in told:
        finish = told["finish"]
        choice.finish = FINISH.get(finish["reason"])
        choice.stop = finish.get("stop_text", finish.get("stop_token_id"))


def add_rpc_usage(seen, told):
    if seen.usage is not None:
        seen.faults.append("has two usages")
    usage = {name: int(told.get(name, 0))
             for name in ("prompt_tokens", "cached_tokens", "completion_tokens")}
    seen.usage = {**usage, "total_tokens": usage["prompt_tokens"] + usage["completion_tokens"]}


def read_rpc(record, seen):
    for message in record.all("message"):
        if seen.usage is not None:
            seen.faults.append(f"goes on after its usage: {message}")
        seen.status = 200
        if "choice" in message:
            add_rpc_choice(seen, message["choice"])
        if "embeddings" in message:
            seen.values = [list(map(single, vector["values"])) for vector in message["embeddings"]]
        if "scores" in message:
            seen.values = [single(score["values"][0]) for score in message["scores"]]
        if "usage" in message:
            add_rpc_usage(seen, message["usage"])
    for status, trailers in record.all("status"):
        seen.is_whole = status == 200
        if status != 200:
            seen.status, seen.error = status, {"code": trailers.get("phalanx-code"),
                                               "param": trailers.get("phalanx-param")}
        elif seen.usage is None:
            seen.faults.append("is OK without a usage")


def see(record):
    """What its client saw."""
    seen = Seen()
    try:
        (read_rpc if record.ask.is_rpc else read_http)(record, seen)
    except (ValueError, KeyError, TypeError, IndexError) as error:
        seen.faults.append(f"cannot be read: {error!r}")
    return seen
