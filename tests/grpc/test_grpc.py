"""What goes wrong between gRPC clients and the server: each case of gRPC of docs/faults.md."""
import os
import socket
import threading
import time
import unittest

import fake
import grpc
from client import pb, pb_grpc
from grpc import StatusCode

GENERATE = "/phalanx.v1.Inference/Generate"


def raw(channel, path=GENERATE):
    """A method whose messages are bytes."""
    return channel.unary_stream(path, request_serializer=None, response_deserializer=None)


class Messages(fake.ServerCase):
    WORDS = ("--max-message", 100_000)

    def test_an_oversized_message_is_refused(self):
        self.fails(lambda: self.stub.Generate(pb.GenerateRequest(text="x" * 200_000)),
                   StatusCode.RESOURCE_EXHAUSTED)
        self.assertTrue(self.generate())

    def test_bytes_that_are_no_message_are_refused(self):
        for junk in (b"\xff" * 20, b"\x1a\xff\xff\xff\xff\x0f", b"\x1a\x05ab", b"\x0b" * 1000,
                     os.urandom(500) + b"\xff"):
            self.fails(lambda j=junk: raw(self.channel)(j), StatusCode.INVALID_ARGUMENT)

    def test_a_message_that_unpacks_to_far_more_is_refused(self):
        many = b"\x1a\x00" * 49_000  # empty chat messages, 2 bytes each
        error = self.fails(lambda: raw(self.channel, "/phalanx.v1.Inference/Chat")(many),
                           StatusCode.RESOURCE_EXHAUSTED)
        self.assertEqual(fake.trailer(error, "phalanx-code"), "too_large")

    def test_texts_that_are_no_text_are_refused(self):
        for junk in (b"\x1a\x02\xc3\x28", b"\x1a\x03\xed\xa0\x80", b"\x1a\x01\x00"):
            error = self.fails(lambda j=junk: raw(self.channel)(j), StatusCode.INVALID_ARGUMENT)
            self.assertEqual(fake.trailer(error, "phalanx-param"), "prompt")

    def test_metadata_over_the_limit_is_refused(self):
        """So large metadata may cost its sender the connection, and nobody else anything."""
        many = tuple((f"junk-{i}", "x") for i in range(10_000))
        for metadata in ((("junk", "x" * 20_000),), (("junk", "x" * 1_000_000),), many):
            with self.open_channel() as channel:
                stub = pb_grpc.InferenceStub(channel)
                self.fails(lambda s=stub, m=metadata: s.Generate(pb.GenerateRequest(text="x"),
                                                                 metadata=m),
                           StatusCode.RESOURCE_EXHAUSTED, StatusCode.UNAVAILABLE)
            self.assertTrue(self.generate())
        self.assertEqual(self.server.counts().in_flight, 0)

    def test_an_unknown_method_is_unimplemented(self):
        for path in ("/phalanx.v1.Inference/Train", "/phalanx.v2.Inference/Generate", "/x/y",
                     "/phalanx.v1.Inference/Generate/", "/" + "x" * 5000):
            self.fails(lambda p=path: raw(self.channel, p)(b""), StatusCode.UNIMPLEMENTED)

    def test_errors_name_the_parameter(self):
        error = self.fails(lambda: self.stub.Generate(pb.GenerateRequest(
            text="x", sampling=pb.Sampling(temperature=3))), StatusCode.INVALID_ARGUMENT)
        self.assertEqual(fake.trailer(error, "phalanx-param"), "temperature")

    def test_a_wrong_model_is_not_found(self):
        error = self.fails(lambda: self.stub.Generate(pb.GenerateRequest(text="x", model="other")),
                           StatusCode.NOT_FOUND)
        self.assertEqual(fake.trailer(error, "phalanx-code"), "model_not_found")

    def test_a_full_queue_says_when_to_try_again(self):
        error = self.fails(lambda: self.stub.Generate(pb.GenerateRequest(text="full")),
                           StatusCode.RESOURCE_EXHAUSTED)
        self.assertEqual(fake.trailer(error, "grpc-retry-pushback-ms"), "3000")

    def test_a_lost_engine_ends_a_stream_with_one_error(self):
        stream = self.stub.Generate(pb.GenerateRequest(text="crash"))
        got = []
        with self.assertRaises(grpc.RpcError) as caught:
            for message in stream:
                got.append(message)
        self.assertEqual(caught.exception.code(), StatusCode.INTERNAL)
        self.assertEqual(len(got), 3)


class Endings(fake.ServerCase):
    def test_a_deadline_ends_the_request_everywhere(self):
        self.fails(lambda: self.stub.Generate(pb.GenerateRequest(text="forever"), timeout=0.3),
                   StatusCode.DEADLINE_EXCEEDED)
        self.server.wait_until(lambda c: c.in_flight == 0)

    def test_a_deadline_in_the_message_counts_too(self):
        request = pb.GenerateRequest(text="forever", scheduling=pb.Scheduling(deadline_ms=100))
        self.fails(lambda: self.stub.Generate(request, timeout=fake.WAIT_S),
                   StatusCode.DEADLINE_EXCEEDED)

    def test_cancelling_ends_the_request_at_once(self):
        def seconds():
            before = self.server.counts().cancelled
            stream = self.stub.Generate(pb.GenerateRequest(text="forever"))
            next(stream)
            begin = time.monotonic()
            stream.cancel()
            self.server.wait_until(lambda c: c.cancelled == before + 1 and c.in_flight == 0)
            return time.monotonic() - begin
        # A machine that stands still for a moment does so in few of them.
        self.assertTrue(any(seconds() < 1 for _ in range(5)))

    def test_a_client_that_vanishes_ends_its_requests(self):
        channel = self.open_channel()
        stub = pb_grpc.InferenceStub(channel)
        streams = [stub.Generate(pb.GenerateRequest(text="forever")) for _ in range(20)]
        for stream in streams:
            next(stream)
        channel.close()
        self.server.wait_until(lambda c: c.in_flight == 0)

    def test_a_client_that_does_not_read_is_cut_off(self):
        request = pb.GenerateRequest(text="flood", sampling=pb.Sampling(max_tokens=30_000_000))
        before = self.server.counts().begun
        stream = self.stub.Generate(request)
        self.server.wait_until(lambda c: c.begun == before + 1 and c.in_flight == 0)
        self.fails(lambda: stream, StatusCode.RESOURCE_EXHAUSTED)

    def test_those_who_read_do_not_notice_those_who_do_not(self):
        request = pb.GenerateRequest(text="flood", sampling=pb.Sampling(max_tokens=30_000_000))
        stalled = [self.stub.Generate(request) for _ in range(5)]
        self.assertEqual(len([m for m in self.generate() if m.HasField("choice")]), 16)
        for stream in stalled:
            stream.cancel()

    def test_many_streams_at_once_all_end(self):
        answers = []

        def ask():
            answers.append(len(self.generate()))

        threads = [threading.Thread(target=ask) for _ in range(50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(answers, [18] * 50)


class Connections(fake.ServerCase):
    def connect(self):
        host, port = self.server.address.split(":")
        return socket.create_connection((host, int(port)), timeout=fake.WAIT_S)

    def test_what_speaks_no_http2_is_closed(self):
        for hello in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
                      os.urandom(1000)):
            with self.connect() as client:
                client.sendall(hello)
                try:
                    while client.recv(4096):
                        pass
                except ConnectionResetError:
                    pass
        self.assertTrue(self.generate())

    def test_a_second_server_does_not_share_the_port(self):
        port = self.server.address.split(":")[1]
        with self.assertRaisesRegex(AssertionError, "ended with 2"):
            fake.FakeServer("--port", port)

    def test_a_thousand_cancelled_calls_leave_nothing(self):
        def files():
            return len(os.listdir(f"/proc/{self.server.process.pid}/fd"))

        self.generate()
        before = files()
        for _ in range(1000 if not fake.SANITIZED else 200):
            self.stub.Generate(pb.GenerateRequest(text="forever")).cancel()
        self.server.wait_until(lambda c: c.in_flight == 0 and c.calls == 0)
        self.server.wait_until(lambda c: files() <= before)


class Draining(fake.ServerCase):
    def test_accepted_calls_finish_and_new_ones_are_unavailable(self):
        held = self.stub.Generate(pb.GenerateRequest(text="forever"))  # the server is there as long
        next(held)
        stream = self.stub.Generate(pb.GenerateRequest(text="slow"))
        next(stream)
        self.server.tell("drain")
        error = self.fails(lambda: self.stub.Generate(pb.GenerateRequest(text="x")),
                           StatusCode.UNAVAILABLE)
        self.assertEqual(fake.trailer(error, "phalanx-code"), "draining")
        self.assertEqual(len(list(stream)), 17)
        held.cancel()


if __name__ == "__main__":
    unittest.main()
