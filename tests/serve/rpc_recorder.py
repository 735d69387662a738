"""Clients of gRPC that write down all they do and see, as recorder.py does those of HTTP."""
import dataclasses
import time

import grpc
from google.protobuf.json_format import MessageToDict
from grpc import StatusCode
from history import Record
from rpc import pb, pb_grpc

PATIENCE_S = 300
STATUS = {StatusCode.INVALID_ARGUMENT: 400, StatusCode.UNAUTHENTICATED: 401,
          StatusCode.NOT_FOUND: 404, StatusCode.DEADLINE_EXCEEDED: 408, StatusCode.ABORTED: 409,
          StatusCode.RESOURCE_EXHAUSTED: 429, StatusCode.CANCELLED: 499, StatusCode.INTERNAL: 500,
          StatusCode.UNIMPLEMENTED: 501, StatusCode.UNAVAILABLE: 503}
STREAMED = ("completion", "chat")
SCHEDULING = ("priority", "deadline_ms", "cache_salt")


@dataclasses.dataclass(frozen=True)
class RpcLeave:
    """After so many messages the client cancels ("cancel") or asks for its end ("abort"), or it has
    set a deadline of so many seconds ("deadline")."""
    how: str
    amount: float


def sampling_of(body):
    """The parameters of a body of completions, as a message."""
    known = pb.Sampling.DESCRIPTOR.fields_by_name
    fields = {name: value for name, value in body.items() if name in known}
    if body.get("use_beam_search"):
        fields["beam_width"] = fields["n"]
    if isinstance(fields.get("stop"), str):
        fields["stop"] = [fields["stop"]]
    if "logit_bias" in fields:
        fields["logit_bias"] = {int(token): bias for token, bias in fields["logit_bias"].items()}
    fields.pop("logprobs", None) if fields.get("logprobs") is True else None
    return pb.Sampling(**fields)


def prompts_of(value):
    """Prompts, of a text, of ids, or of a list of either."""
    if isinstance(value, str):
        return [pb.Prompt(text=value)]
    if isinstance(value[0], int):
        return [pb.Prompt(token_ids=pb.TokenIds(ids=value))]
    return [prompt for one in value for prompt in prompts_of(one)]


def message_of(ask):
    body = ask.body
    common = {"request_id": ask.id, "scheduling": pb.Scheduling(
        **{name: body[name] for name in SCHEDULING if name in body})}
    if ask.form == "completion":
        prompt = prompts_of(body["prompt"])[0]
        kind = prompt.WhichOneof("kind")
        return pb.GenerateRequest(sampling=sampling_of(body), **{kind: getattr(prompt, kind)},
                                  **common)
    if ask.form == "chat":
        return pb.ChatRequest(messages=[pb.ChatMessage(**m) for m in body["messages"]],
                              sampling=sampling_of(body), **common)
    if ask.form == "embedding":
        return pb.EmbedRequest(inputs=prompts_of(body["input"]), **common)
    return pb.ScoreRequest(query=pb.Prompt(text=body["text_1"]),
                           documents=prompts_of(body["text_2"]), **common)


class RpcClient:
    def __init__(self, place):
        self.channel = grpc.insecure_channel(place, options=(
            ("grpc.use_local_subchannel_pool", 1),))
        stub = pb_grpc.InferenceStub(self.channel)
        self.abort = stub.Abort
        self.methods = {"completion": stub.Generate, "chat": stub.Chat,
                        "embedding": stub.Embed, "score": stub.Score}

    def close(self):
        self.channel.close()

    def run(self, ask, leave=None):
        """Its record."""
        record, method = Record(ask), self.methods[ask.form]
        timeout = leave.amount if leave is not None and leave.how == "deadline" else PATIENCE_S
        record.add(time.monotonic(), "sent")
        try:
            answer = method(message_of(ask), timeout=timeout)
            self.read(record, answer if ask.form in STREAMED else [answer], leave)
        except grpc.RpcError as error:
            self.end(record, error, leave)
        return record

    def read(self, record, messages, leave):
        for n, message in enumerate(messages, 1):
            record.add(time.monotonic(), "message",
                       MessageToDict(message, preserving_proto_field_name=True))
            if leave is None or leave.how == "deadline" or n != leave.amount:
                continue
            if leave.how == "cancel":
                messages.cancel()
                record.add(time.monotonic(), "left", leave)
                return
            if self.abort(pb.AbortRequest(request_ids=[record.ask.id])).n_aborted > 0:
                record.ask = dataclasses.replace(record.ask, statuses=(499,))
        record.add(time.monotonic(), "status", (200, {}))
        record.add(time.monotonic(), "end")

    @staticmethod
    def end(record, error, leave):
        """The client's own clock and the server's run for the same deadline: who was first is not
        told."""
        if leave is not None and leave.how == "deadline" and \
                error.code() == StatusCode.DEADLINE_EXCEEDED:
            record.ask = dataclasses.replace(record.ask, statuses=(200, 408))
            record.add(time.monotonic(), "left", leave)
            return
        told = dict(error.trailing_metadata() or ())
        record.add(time.monotonic(), "status", (STATUS.get(error.code(), 0), told))
        record.add(time.monotonic(), "end")
