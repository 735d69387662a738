"""Servers with HTTP and gRPC, and the stubs that protoc makes of proto/phalanx.proto."""
import pathlib
import socket
import sys

import serving

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "grpc"))
import grpc  # noqa: E402
from client import pb, pb_grpc  # noqa: E402  (made by protoc)

PROMPT = "Once upon a time"
WAIT_S = 60


kept = []


def free_port():
    """One that nobody gets before the server does: bound here for as long as the test runs, which
    hinders nobody who wants to listen."""
    probe = socket.socket()
    kept.append(probe)
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    probe.bind(("127.0.0.1", 0))
    return probe.getsockname()[1]


def text_of(messages, index=0):
    return "".join(m.choice.text for m in messages if m.choice.index == index)


class BothCase(serving.ServerCase):
    """Tests that share one server, which is asked over both protocols."""

    @classmethod
    def setUpClass(cls):
        cls.server = serving.Server("--grpc-port", free_port(), *cls.WORDS)
        cls.channel = grpc.insecure_channel(cls.server.grpc)
        cls.stub = pb_grpc.InferenceStub(cls.channel)

    @classmethod
    def tearDownClass(cls):
        cls.channel.close()
        super().tearDownClass()

    def generate(self, text=PROMPT, timeout=WAIT_S, **sampling):
        request = pb.GenerateRequest(text=text, sampling=pb.Sampling(**sampling))
        return list(self.stub.Generate(request, timeout=timeout))

    def complete(self, prompt=PROMPT, **body):
        return self.server.post("/v1/completions", {"prompt": prompt, **body})

    def refusal(self, call):
        """(status, param, code) of a call that must fail, and what it says."""
        with self.assertRaises(grpc.RpcError) as caught:
            answer = call()
            if hasattr(answer, "__iter__"):
                list(answer)
        told = dict(caught.exception.trailing_metadata() or ())
        return ((caught.exception.code(), told.get("phalanx-param"), told.get("phalanx-code")),
                caught.exception.details())
