"""A server over a fake model, for tests of what is between it and its clients.

It is grpc_fake_server of the build; the model says one text, and what prompts make it do is told in
tests/unit/runtime_grpc/fake_api.h.
"""
import os
import subprocess
import time
import unittest

import grpc
from client import pb, pb_grpc

FAKE_SERVER = os.environ["PHALANX_FAKE_GRPC"]
SANITIZED = os.environ.get("PHALANX_SANITIZED", "") != ""
WAIT_S = 20  # for what takes milliseconds


class Counts:
    """What the fake model saw."""

    def __init__(self, line):
        self.begun, self.cancelled, self.ended, self.in_flight, self.calls = map(int, line.split())


class FakeServer:
    def __init__(self, *words):
        self.process = subprocess.Popen([FAKE_SERVER, *map(str, words)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(f"the server ended with {self.close()}")
        self.address = f"127.0.0.1:{int(line)}"

    def tell(self, word):
        """It has heard it then: lines and calls come by different ways."""
        self.process.stdin.write(word + "\ncounts\n")
        self.process.stdin.flush()
        return Counts(self.process.stdout.readline())

    def counts(self):
        return self.tell("")

    def wait_until(self, is_so):
        """Waits until is_so(counts), and gives the counts."""
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            counts = self.counts()
            if is_so(counts):
                return counts
            time.sleep(0.01)
        raise AssertionError(f"never came: {vars(self.counts())}")

    def close(self):
        self.process.stdin.close()
        code = self.process.wait(WAIT_S)
        self.process.stdout.close()
        return code


class ServerCase(unittest.TestCase):
    """One server for all tests of a class; each test has its own channel, and leaves nothing."""

    WORDS = ()

    @classmethod
    def setUpClass(cls):
        cls.server = FakeServer(*cls.WORDS)

    @classmethod
    def tearDownClass(cls):
        if cls.server.close() != 0:
            raise AssertionError("the server did not end well")

    def open_channel(self):
        """One with a connection of its own."""
        return grpc.insecure_channel(self.server.address,
                                     options=(("grpc.use_local_subchannel_pool", 1),))

    def setUp(self):
        self.channel = self.open_channel()
        self.stub = pb_grpc.InferenceStub(self.channel)

    def tearDown(self):
        self.channel.close()
        self.server.wait_until(lambda c: c.in_flight == 0 and c.calls == 0)

    def generate(self, text="hello", **fields):
        return list(self.stub.Generate(pb.GenerateRequest(text=text, **fields), timeout=WAIT_S))

    def fails(self, call, *codes):
        """The error of a call or of a stream that must fail with one of these statuses."""
        with self.assertRaises(grpc.RpcError) as caught:
            answer = call()
            if hasattr(answer, "__iter__"):
                list(answer)
        error = caught.exception
        self.assertIn(error.code(), codes, error.details())
        return error


def trailer(error, key):
    return dict(error.trailing_metadata() or ()).get(key)

