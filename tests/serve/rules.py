"""What docs/faults.md promises, as rules over a history: a sentence for each breach of one.

Pure: no socket, no clock, no file.
"""
import collections
import json
import re

from history import GENERATES, POOLS

OWN_ID = re.compile(r"(?:^|-)(q[0-9]+x[0-9]+)$")  # what our clients call their requests
CUT_OFF = 499                                     # what the log says where a client went away


# ---- each ends exactly once ----

ERROR_FIELDS = ["code", "message", "param", "type"]


def check_end(record, seen):
    """I2: one end, good or bad, and the one that was to be expected."""
    ask, ends = record.ask, len(record.all("end"))
    yield from seen.faults
    if record.has("left"):
        return
    if record.has("lost") or ends != 1:
        yield f"has {ends} ends" + "".join(f", the server left it: {why}"
                                           for why in record.all("lost"))
        return
    if (seen.status if seen.error is None else status_of(seen)) not in ask.statuses:
        yield f"was answered {seen.status} {seen.error}, not one of {ask.statuses}"
    if seen.error is None and seen.status == 200:
        yield from check_good_end(ask, seen)
    if seen.status is not None and seen.status >= 400 and not ask.is_rpc:
        yield from check_refusal(seen)


def check_good_end(ask, seen):
    if not seen.is_whole:
        yield "is 200 and ends without the mark of an end"
    if ask.form not in GENERATES:
        return
    if len(seen.choices) != ask.n_prompts * ask.n_choices:
        yield f"has the choices {sorted(seen.choices)}"
    for index, choice in seen.choices.items():
        if choice.finish is None and tells_finish(ask):
            yield f"is 200 without a finish_reason of choice {index}"
        elif choice.finish not in (None, "stop", "length"):
            yield f"is good, but choice {index} has finish_reason {choice.finish}"


def tells_finish(ask):
    """vLLM's small server streams texts alone, TGI has it among details."""
    return not (ask.form == "vllm" and ask.is_stream) and \
        not (ask.form == "tgi" and not ask.body["parameters"].get("details"))


def check_refusal(seen):
    """I5."""
    if sorted(seen.error or ()) != ERROR_FIELDS:
        yield f"has the error {seen.error}"
    if seen.status in (429, 503) and int(seen.headers.get("retry-after", 0)) < 1:
        yield f"is {seen.status} without Retry-After"


STATUS_OF_TYPE = {"BadRequestError": 400, "TimeoutError": 408, "InternalServerError": 500,
                  "ServiceUnavailableError": 503, "ConflictError": 409, "RateLimitError": 429}


def status_of(seen):
    """The number of its end; an error amid a stream of HTTP says only its type."""
    if seen.error is None or seen.status != 200:
        return seen.status
    return STATUS_OF_TYPE.get(seen.error.get("type"))


# ---- what it says ----

def check_bits(ask, seen, alone):
    """I6: what is there equals what the same request gets alone, and no more than that is there."""
    if not (seen.choices or seen.values) or not ask.is_fixed:
        return
    if not alone.is_good:
        yield f"got an answer, but alone {alone.status} {alone.error}"
        return
    is_all = seen.is_good and seen.is_whole
    for index, choice in seen.choices.items():
        same = alone.choices.get(index)
        if same is None:
            yield f"has a choice {index} that it has not alone"
            continue
        for name, mine, other in pairs(ask, choice, same):
            if mine != (other if is_all else other[:len(mine)]):
                yield f"has in choice {index} {name} {difference(mine, other)}"
        if None not in (choice.finish, same.finish) and seen.is_good and \
                (choice.finish, choice.stop) != (same.finish, same.stop):
            yield (f"ends choice {index} by {choice.finish} {choice.stop!r}, and alone by "
                   f"{same.finish} {same.stop!r}")
    if is_all and seen.values is not None and seen.values != alone.values:
        yield f"has the values {difference(seen.values, alone.values)}"
    for mine, other in zip(seen.prompt or (), alone.prompt or ()):
        if mine is not None and mine != other:
            yield f"is told of its prompt {difference(mine, other)}"


def difference(mine, other):
    """Where two texts or lists begin to differ."""
    n = next((i for i, (a, b) in enumerate(zip(mine, other)) if a != b),
             min(len(mine), len(other)))
    return f"that differ from those alone from {n} on: {mine[n:n + 3]!r}, alone {other[n:n + 3]!r}"


def pairs(ask, choice, same):
    """What both tell. Rows have the form of their protocol."""
    yield "text", choice.text, same.text
    if choice.token_ids is not None and same.token_ids is not None:
        yield "tokens", choice.token_ids, same.token_ids
    if choice.rows is not None and same.rows is not None and not ask.is_rpc:
        yield "log-probabilities", choice.rows, same.rows


def n_tokens(ask, seen):
    """How many tokens of answers its client saw; None: it cannot tell."""
    lists = [choice.token_ids for choice in seen.choices.values()]
    return None if ask.form not in GENERATES or None in lists else sum(map(len, lists))


def check_usage(ask, seen):
    usage = seen.usage
    if usage is None:
        return
    n = n_tokens(ask, seen)
    if n is not None and seen.is_whole and usage["completion_tokens"] != n:
        yield f"has a usage of {usage['completion_tokens']} tokens, and {n} were seen"
    if usage["total_tokens"] != usage["prompt_tokens"] + usage["completion_tokens"]:
        yield f"has a usage that does not add up: {usage}"
    if not 0 <= (usage["cached_tokens"] or 0) <= usage["prompt_tokens"]:
        yield f"has more tokens cached than asked: {usage}"


# ---- what the server says of it ----

def log_id(line):
    """Which request a line of the log is of; None: of none of ours."""
    match = OWN_ID.search(line.get("id", ""))
    return match[1] if match else None


def read_log(history):
    """The lines of requests by id, and the sentences about all others."""
    lines, wrong = collections.defaultdict(list), []
    for text in history.log:
        if any(known in text for known in history.errors):
            continue
        try:
            line = json.loads(text)
        except ValueError:
            wrong.append(f"the log has a line that is no JSON: {text}")
            continue
        if line["level"] == "error":
            wrong.append(f"the log has an error: {text}")
        if line["module"] == "request" and log_id(line) is not None:
            lines[log_id(line)].append(line)
    known = set(history.seen)
    wrong += [f"the log has a request that nobody sent: {name}" for name in set(lines) - known]
    return lines, wrong


def check_log(record, seen, lines):
    """One line a request, with the status and the numbers that its client saw."""
    ask, is_gone = record.ask, record.has("left")
    may_be_unknown = is_gone and seen.status is None or not ask.is_read
    if len(lines) > 1 or not lines and not may_be_unknown:
        yield f"has {len(lines)} lines in the log"
    if not lines:
        return
    line = lines[0]
    told = (CUT_OFF, *ask.statuses) if is_gone else (seen.status,)
    if line["status"] not in told:
        yield f"is {line['status']} in the log, and {seen.status} for its client"
    if line["status"] != CUT_OFF and not is_gone and ("error" in line) != (seen.error is not None):
        yield f"has the error {line.get('error')} in the log, and {seen.error} for its client"
    if "choices" in line:
        yield from check_log_numbers(record, seen, line)
    elif seen.choices or seen.values:
        yield f"has an answer, and none in the log: {line}"


def check_log_numbers(record, seen, line):
    ask, n = record.ask, n_tokens(record.ask, seen)
    if line["choices"] != ask.n_prompts * ask.n_choices:
        yield f"has {line['choices']} choices in the log, not {ask.n_prompts} * {ask.n_choices}"
    if n is not None and line["output_tokens"] < n:
        yield f"has {line['output_tokens']} tokens in the log, and {n} were seen"
    if not seen.is_good or not seen.is_whole:
        return
    if ask.body.get("max_tokens") == 0:  # a prompt alone: one token is computed, and not shown
        return
    if n is not None and line["output_tokens"] != n:
        yield f"has {line['output_tokens']} tokens in the log, and {n} were seen"
    for name in ("prompt_tokens", "cached_tokens"):
        told = None if seen.usage is None else seen.usage[name]  # vectors do not say what was cached
        if told is not None and line[name] != told:
            yield f"has {line[name]} {name} in the log, and {told} in its usage"
    if seen.usage is not None and line["output_tokens"] != seen.usage["completion_tokens"]:
        yield f"has {line['output_tokens']} output tokens in the log and the usage {seen.usage}"
    reasons = {choice.finish for choice in seen.choices.values()}
    if None not in reasons and reasons and set(line["finish"].split(",")) != reasons:
        yield f"is finished by {line['finish']} in the log, and was by {reasons}"


# ---- what is counted ----

class Bounds:
    """A sum of what was seen: exact, but for requests whose clients left before they knew."""

    def __init__(self):
        self.least = self.most = 0

    def add(self, n, is_sure=True):
        self.most += n
        self.least += n if is_sure else 0

    def __contains__(self, value):
        return self.least <= value <= self.most


def expected_counts(history, lines):
    """By metric: what it must have grown by."""
    sums = collections.defaultdict(Bounds)
    for record in history.records:
        ask, seen = record.ask, history.seen[record.ask.id]
        line = next(iter(lines.get(ask.id, ())), None)
        sure = not record.has("left") or record.has("head")
        if not ask.is_rpc and ask.is_read and (seen.status is not None or record.has("left")):
            for status in {seen.status} if seen.status else set(ask.statuses):
                route = ask.route if ask.has_route else "none"
                sums[f"http {route} {ask.method} {status // 100}xx"].add(1, sure)
        if line is not None:
            sums["generation_tokens"].add(line.get("output_tokens", 0))
            sums["refused"].add(*refusals(line))
            if "choices" in line:
                count_ends(sums, ask, seen, line)
    return sums


def refusals(line):
    """How many, and whether that is sure: the line of one that left does not say what it was to be
    told."""
    if line["status"] == CUT_OFF:
        return int("error" in line and "choices" not in line), False
    return int(line["status"] in (429, 503)), True


def count_ends(sums, ask, seen, line):
    """Choices by the reason that ended them."""
    n = ask.n_prompts * ask.n_choices
    if line["status"] == CUT_OFF:  # it may have come to its end before its client left
        reasons = {"abort", *filter(None, line["finish"].split(","))}
        reasons |= {"error"} if "error" in line else set()
        for reason in reasons:
            sums[f"ended {reason}"].add(n, len(reasons) == 1)
    elif "error" in line:
        sums["ended error"].add(n)
    else:
        known = [choice.finish for choice in seen.choices.values()]
        if ask.form in POOLS:
            known = ["stop"] * n
        if len(known) != n or None in known:
            reasons = line["finish"].split(",")
            for reason in reasons:
                sums[f"ended {reason}"].add(n, len(reasons) == 1)
        else:
            for reason in known:
                sums[f"ended {reason}"].add(1)


METRICS = {  # what is summed above -> the metric, and the label by which it is found
    "generation_tokens": ("phalanx_generation_tokens_total", ""),
    "refused": ("phalanx_requests_refused_total", ""),
    **{f"ended {reason}": ("phalanx_request_success_total", f'finished_reason="{reason}"')
       for reason in ("stop", "length", "abort", "error")},
}


def grown(history, name, *labels):
    """By how much the samples with these labels have grown."""
    def total(metrics):
        return sum(value for key, value in metrics.items()
                   if key.split("{")[0] == name and all(label in key for label in labels))
    return total(history.after) - total(history.before)


def check_metrics(history, lines):
    sums = expected_counts(history, lines)
    for what, (name, label) in METRICS.items():
        told = grown(history, name, label)
        if told not in sums[what]:
            yield (f"{name} {label} has grown by {told}, and what was seen is "
                   f"{sums[what].least} to {sums[what].most}")
    for what, bounds in sums.items():
        if not what.startswith("http "):
            continue
        _, route, method, status = what.split(" ")
        told = grown(history, "phalanx_http_requests_total", f'handler="{route}"',
                     f'method="{method}"', f'status="{status}"')
        if told not in bounds:
            yield f"{what} was counted {told} times, and seen {bounds.least} to {bounds.most} times"


def check_rest(history):
    """I3: two seconds after the last request nothing of all of it is left."""
    for name, value in history.at_rest.items():
        if value > history.at_start.get(name, 0):
            yield f"{name} at rest is {value}, and was {history.at_start.get(name, 0)}"


# ---- all of it ----

def violations(history):
    """What this history breaks, a sentence each."""
    lines, wrong = read_log(history)
    for record in history.records:
        ask, seen = record.ask, history.seen[record.ask.id]
        told = [*check_end(record, seen), *check_usage(ask, seen),
                *check_log(record, seen, lines.get(ask.id, []))]
        if ask.id in history.alone:
            told += check_bits(ask, seen, history.alone[ask.id])
        wrong += [f"{ask.id} ({ask.form}{' over gRPC' if ask.is_rpc else ''}) {text}"
                  for text in told]
    if history.after is not None:
        wrong += check_metrics(history, lines)
    if history.at_rest is not None:
        wrong += check_rest(history)
    return wrong
