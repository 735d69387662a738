"""The rules of rules.py themselves: a good history breaks none, and each kind of fault is found.

No server: records are written by hand, as recorder.py and rpc_recorder.py write them.
"""
import copy
import json
import unittest

import forms
from history import Ask, History, Record
from rules import violations

STREAM, WHOLE, RPC, LEAVER, REFUSED = (f"q1x{i}" for i in range(5))
ROUTE = "/v1/completions"
JSON = {"content-type": "application/json"}
EVENTS = {"content-type": "text/event-stream", "transfer-encoding": "chunked"}
BODY = {"prompt": "Once", "temperature": 0, "max_tokens": 2}
ERROR = {"error": {"message": "no", "type": "BadRequestError", "param": "n", "code": 400}}


def event(told):
    return b"data: " + (told if isinstance(told, bytes) else json.dumps(told).encode()) + b"\n\n"


def chunk(text, ids, finish=None):
    return event({"object": "text_completion", "choices": [
        {"index": 0, "text": text, "token_ids": ids, "finish_reason": finish,
         "stop_reason": None}]})


def usage(prompt=3, completion=2, cached=1):
    return {"prompt_tokens": prompt, "completion_tokens": completion,
            "total_tokens": prompt + completion, "prompt_tokens_details": {"cached_tokens": cached}}


def record(name, *events, **more):
    made = Record(Ask(name, **{"form": "completion", "route": ROUTE, "body": BODY, **more}))
    for what, value in events:
        made.add(0.0, what, value)
    return made


PARTS = [chunk(" upon", [7]), chunk(" a", [8], "length"),
         event({"object": "text_completion", "choices": [], "usage": usage()}), event(b"[DONE]")]


def stream(parts=None, end="end"):
    events = [("head", (200, EVENTS)), *(("data", part) for part in parts or PARTS), (end, None)]
    return record(STREAM, *events, is_stream=True)


def whole(told=None, status=200):
    told = told or {"choices": [{"index": 0, "text": " upon a", "token_ids": [7, 8],
                                 "finish_reason": "length", "stop_reason": None}],
                    "usage": usage()}
    return record(WHOLE, ("head", (status, JSON)), ("data", json.dumps(told).encode()),
                  ("end", None))


def rpc(*, status=200, text=" a", n=2):
    return record(RPC, ("message", {"choice": {"text": " upon", "token_ids": [7]}}),
                  ("message", {"choice": {"text": text, "token_ids": [8], "finish": {
                      "reason": "FINISH_REASON_LENGTH"}}}),
                  ("message", {"usage": {"prompt_tokens": "3", "completion_tokens": str(n),
                                         "cached_tokens": "1"}}),
                  ("status", (status, {})), ("end", None), is_rpc=True)


def leaver(text=" upon", ids=(7,)):
    return record(LEAVER, ("head", (200, EVENTS)), ("data", chunk(text, list(ids))),
                  ("left", None), is_stream=True)


def refused(status=400, headers=None, told=None):
    return record(REFUSED, ("head", (status, headers or JSON)),
                  ("data", json.dumps(told or ERROR).encode()), ("end", None), statuses=(status,))


def line(name, status=200, **more):
    asked = {"prompt_tokens": 3, "cached_tokens": 1, "output_tokens": 2, "choices": 1,
             "finish": "length"} if status != 400 else {"error": "no"}
    return {"level": "info", "module": "request", "id": f"cmpl-{name}", "status": status, **asked,
            **more}


def metrics(**changed):
    counted = {"generation": 8, "refused": 0, "length": 3, "stop": 0, "abort": 1, "error": 0,
               "good": 3, "bad": 1, **changed}
    http = f'phalanx_http_requests_total{{handler="{ROUTE}",method="POST",status='
    return {"phalanx_generation_tokens_total": counted["generation"],
            "phalanx_requests_refused_total": counted["refused"],
            **{f'phalanx_request_success_total{{finished_reason="{reason}"}}': counted[reason]
               for reason in ("length", "stop", "abort", "error")},
            f'{http}"2xx"}}': counted["good"], f'{http}"4xx"}}': counted["bad"]}


LINES = {name: line(name) for name in (STREAM, WHOLE, RPC)}
LINES[LEAVER] = line(LEAVER, 499, finish="abort")
LINES[REFUSED] = line(REFUSED, 400)
ALONE = forms.see(whole())


def told_of(*records, lines=None, extra=(), alone=None, at_rest=None, **counted):
    """What the rules say of a good history in which these records, lines and numbers are others."""
    all_records = {r.ask.id: r for r in (stream(), whole(), rpc(), leaver(), refused(), *records)}
    log = {**LINES, **(lines or {})}
    zero = dict.fromkeys(metrics(), 0)
    return violations(History(
        list(all_records.values()), {name: forms.see(r) for name, r in all_records.items()},
        {name: alone or ALONE for name in (STREAM, WHOLE, RPC, LEAVER)},
        [json.dumps(one) for one in log.values() if one is not None] + list(extra), (),
        zero, {**zero, **metrics(**counted)}, at_rest or {"open files": 9, "running": 0},
        {"open files": 9}))


class Rules(unittest.TestCase):
    def check(self, told, *words):
        """Something is told, and all of these words are in one sentence of it."""
        self.assertTrue([text for text in told if all(word in text for word in words)],
                        f"{words} is not in {told}")

    def test_a_good_history_breaks_none(self):
        self.assertEqual(told_of(), [])


class Ends(Rules):
    def test_a_stream_without_finish_reason(self):
        self.check(told_of(stream([PARTS[0], *PARTS[2:]])), STREAM, "without a finish_reason")

    def test_a_stream_without_done(self):
        self.check(told_of(stream(PARTS[:-1])), STREAM, "without the mark of an end")

    def test_a_stream_that_is_done_twice(self):
        self.check(told_of(stream([*PARTS, PARTS[-1]])), STREAM, "after its end")

    def test_a_choice_that_goes_on_after_its_finish(self):
        self.check(told_of(stream([*PARTS[:2], PARTS[1], *PARTS[2:]])), STREAM,
                   "after its finish_reason")

    def test_half_an_event_at_the_end(self):
        self.check(told_of(stream([*PARTS, b"data: {"])), STREAM, "amid an event")

    def test_an_event_that_is_no_json(self):
        self.check(told_of(stream([event(b"{"), *PARTS])), STREAM, "cannot be read")

    def test_a_connection_that_the_server_ends(self):
        self.check(told_of(stream(PARTS[:1], end="lost")), STREAM, "the server left it")

    def test_a_request_that_ends_twice(self):
        twice = stream()
        twice.add(0.0, "end")
        self.check(told_of(twice), STREAM, "2 ends")

    def test_an_answer_without_an_end(self):
        hung = stream()
        hung.events.pop()
        self.check(told_of(hung), STREAM, "0 ends")

    def test_an_error_where_none_was_to_be(self):
        self.check(told_of(whole(ERROR, 400)), WHOLE, "was answered 400")

    def test_an_answer_where_an_error_was_to_be(self):
        good = whole()
        good.ask = refused().ask
        self.check(told_of(good), REFUSED, "was answered 200")

    def test_an_error_in_a_stream_after_which_it_goes_on(self):
        self.check(told_of(stream([event(ERROR), *PARTS])), STREAM, "after its end")

    def test_a_choice_that_never_came(self):
        lonely = whole()
        lonely.ask = record(WHOLE, n_choices=2).ask
        self.check(told_of(lonely), WHOLE, "the choices [0]")

    def test_a_good_answer_that_was_aborted(self):
        told = json.loads(whole().all("data")[0])
        told["choices"][0]["finish_reason"] = "abort"
        self.check(told_of(whole(told)), WHOLE, "finish_reason abort")

    def test_an_error_without_its_fields(self):
        self.check(told_of(refused(told={"error": {"message": "no"}})), REFUSED, "has the error")

    def test_a_refusal_that_does_not_say_when_to_come_back(self):
        busy = {"error": {**ERROR["error"], "type": "RateLimitError", "code": "queue_full"}}
        self.check(told_of(refused(429, told=busy)), REFUSED, "without Retry-After")

    def test_a_call_of_grpc_that_goes_on_after_its_usage(self):
        call = rpc()
        call.events.insert(-2, call.events[0])
        self.check(told_of(call), RPC, "after its usage")

    def test_a_call_of_grpc_that_fails(self):
        self.check(told_of(rpc(status=500)), RPC, "was answered 500")


class Bits(Rules):
    def test_another_text_than_alone(self):
        self.check(told_of(stream([PARTS[0], chunk(" b", [8], "length"), *PARTS[2:]])), STREAM,
                   "has in choice 0 text", "'b', alone 'a'")
        self.check(told_of(rpc(text=" b")), RPC, "text")

    def test_another_token_of_the_same_text(self):
        self.check(told_of(stream([PARTS[0], chunk(" a", [9], "length"), *PARTS[2:]])), STREAM,
                   "tokens that differ", "[9], alone [8]")

    def test_another_end_than_alone(self):
        self.check(told_of(stream([PARTS[0], chunk(" a", [8], "stop"), *PARTS[2:]])), STREAM,
                   "ends choice 0 by stop")

    def test_what_a_leaver_saw_is_no_beginning(self):
        self.check(told_of(leaver(" once")), LEAVER, "in choice 0 text")

    def test_a_leaver_that_saw_a_beginning_is_well(self):
        self.assertEqual(told_of(leaver("", ())), [])

    def test_other_log_probabilities(self):
        rows = {"tokens": [" upon", " a"], "token_logprobs": [-0.5, -1.0],
                "top_logprobs": [{}, {}], "text_offset": [0, 5]}
        told = json.loads(whole().all("data")[0])
        told["choices"][0]["logprobs"] = rows
        alone = copy.deepcopy(forms.see(whole(told)))
        self.assertEqual(told_of(whole(told), alone=alone), [])
        told["choices"][0]["logprobs"] = {**rows, "token_logprobs": [-0.5, -1.1]}
        self.check(told_of(whole(told), alone=alone), WHOLE, "log-probabilities")

    def test_a_vector_with_another_bit(self):
        def vector(value):
            told = {"data": [{"embedding": [0.5, value]}], "usage": usage(completion=0)}
            made = whole(told)
            made.ask = record(WHOLE, form="embedding").ask
            return made
        found = told_of(vector(0.25), alone=forms.see(vector(0.125)))
        self.check(found, WHOLE, "the values that differ")


    def test_a_prompt_that_is_told_otherwise(self):
        told = json.loads(whole().all("data")[0])
        told["choices"][0]["prompt_token_ids"] = [5, 6]
        alone = copy.deepcopy(told)
        alone["choices"][0]["prompt_token_ids"] = [5, 7]
        self.check(told_of(whole(told), alone=forms.see(whole(alone))), WHOLE, "of its prompt")


class Forms(Rules):
    """Texts that come whole each time, and the numbers of /generate."""

    def see(self, form, *events, is_stream=True):
        """The faults of such a stream."""
        mark = b"\n" if form == "vllm" else b"\n\n"
        data = mark.join(events) + mark
        return forms.see(record(STREAM, ("head", (200, EVENTS)), ("data", data), ("end", None),
                                form=form, is_stream=is_stream)).faults

    @staticmethod
    def sglang(text, ids, n=None):
        return b"data: " + json.dumps({"text": text, "output_ids": ids, "meta_info": {
            "finish_reason": None, "completion_tokens": len(ids) if n is None else n}}).encode()

    @staticmethod
    def tgi(number, token):
        return b"data:" + json.dumps({"index": number, "token": {"id": token},
                                      "generated_text": None}).encode()

    def test_a_text_that_is_taken_back(self):
        self.check(self.see("vllm", b'{"text": ["Once"]}', b'{"text": ["On"]}'), "takes back")
        self.check(self.see("sglang", self.sglang("Once", [7]), self.sglang("On", [7, 8])),
                   "takes back")

    def test_texts_that_grow_are_well(self):
        self.assertEqual(self.see("vllm", b'{"text": ["On"]}', b'{"text": ["Once"]}'), [])
        self.assertEqual(self.see("tgi", self.tgi(1, 7), self.tgi(2, 8)), [])

    def test_a_count_of_other_tokens_than_are_there(self):
        self.check(self.see("sglang", self.sglang("Once", [7], 2)), "counts 2 tokens")

    def test_a_token_that_is_left_out(self):
        self.check(self.see("tgi", self.tgi(1, 7), self.tgi(3, 8)), "token 3 as number 2")

    def test_a_stream_of_tgi_without_its_text_and_beyond_it(self):
        last = b'data:{"index":2,"token":{"id":8},"generated_text":"Once","details":null}'
        self.assertEqual(self.see("tgi", self.tgi(1, 7), last), [])
        self.check(self.see("tgi", self.tgi(1, 7), last, self.tgi(3, 9)), "after its text")
        half = record(STREAM, ("head", (200, EVENTS)), ("data", self.tgi(1, 7) + b"\n\n"),
                      ("end", None), form="tgi", is_stream=True, body={"parameters": {}})
        self.check(told_of(half), STREAM, "without the mark of an end")

    def test_a_call_of_grpc_without_its_usage_and_with_two(self):
        self.check(told_of(record(RPC, ("status", (200, {})), ("end", None), is_rpc=True)), RPC,
                   "OK without a usage")
        call = rpc()
        call.events.insert(2, call.events[2])
        self.check(told_of(call), RPC, "two usages")


class Counts(Rules):
    def test_a_usage_of_more_than_was_seen(self):
        more = event({"object": "text_completion", "choices": [], "usage": usage(completion=3)})
        self.check(told_of(stream([*PARTS[:2], more, PARTS[3]])), STREAM, "usage of 3", "2 were")
        self.check(told_of(rpc(n=3)), RPC, "usage of 3", "2 were")

    def test_a_usage_that_does_not_add_up(self):
        told = json.loads(whole().all("data")[0])
        told["usage"]["total_tokens"] = 7
        self.check(told_of(whole(told)), WHOLE, "does not add up")

    def test_more_cached_than_asked(self):
        told = json.loads(whole().all("data")[0])
        told["usage"] = usage(cached=4)
        self.check(told_of(whole(told)), WHOLE, "more tokens cached")

    def test_no_line_and_two_lines(self):
        self.check(told_of(lines={WHOLE: None}), WHOLE, "0 lines")
        self.check(told_of(lines={"again": line(WHOLE)}), WHOLE, "2 lines")
        self.check(told_of(lines={LEAVER: None}), LEAVER, "0 lines")

    def test_a_line_of_a_request_that_nobody_sent(self):
        self.check(told_of(lines={"q9x9": line("q9x9")}), "q9x9", "nobody sent")

    def test_a_line_that_is_no_json(self):
        self.check(told_of(extra=["==1==ERROR: AddressSanitizer"]), "no JSON", "Sanitizer")

    def test_an_error_in_the_log(self):
        self.check(told_of(lines={"x": {"level": "error", "module": "engine"}}), "an error")

    def test_another_status_in_the_log(self):
        self.check(told_of(lines={WHOLE: line(WHOLE, 500)}), WHOLE, "500 in the log", "200 for")
        self.check(told_of(lines={WHOLE: line(WHOLE, 499)}), WHOLE, "499 in the log")

    def test_an_error_in_the_log_that_its_client_never_saw(self):
        self.check(told_of(lines={WHOLE: line(WHOLE, error="no")}), WHOLE, "has the error no")

    def test_other_numbers_in_the_log(self):
        self.check(told_of(lines={WHOLE: line(WHOLE, output_tokens=3)}), WHOLE, "3 tokens in")
        self.check(told_of(lines={WHOLE: line(WHOLE, prompt_tokens=4)}), WHOLE, "4 prompt_tokens")
        self.check(told_of(lines={WHOLE: line(WHOLE, choices=2)}), WHOLE, "2 choices in the log")
        self.check(told_of(lines={WHOLE: line(WHOLE, finish="stop")}), WHOLE, "finished by stop")
        self.check(told_of(lines={LEAVER: line(LEAVER, 499, output_tokens=0)}), LEAVER, "1 were")

    def test_metrics_that_have_not_grown_by_what_was_seen(self):
        for name, value, word in (
                ("generation", 9, "generation_tokens"), ("refused", 1, "refused"),
                ("length", 2, '"length"'), ("stop", 1, '"stop"'), ("abort", 0, '"abort"'),
                ("error", 1, '"error"'), ("good", 4, "POST 2xx"), ("bad", 0, "POST 4xx")):
            with self.subTest(name):
                self.check(told_of(**{name: value}), word)

    def test_something_that_is_left_at_rest(self):
        self.check(told_of(at_rest={"running": 1}), "running at rest is 1")
        self.check(told_of(at_rest={"open files": 10}), "open files at rest is 10, and was 9")


if __name__ == "__main__":
    unittest.main()
