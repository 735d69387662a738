"""What clients that mean harm send over one connection, as fast as they can. Nothing of it is to take
memory without end, or the server from others."""
import concurrent.futures
import pathlib
import socket
import struct
import threading
import time
import unittest

import fake
import grpc
from client import pb, pb_grpc

FLOOD_S = 2
MAX_MEMORY = 128 << 20  # that the core may take
# What the server takes through a flood; without the limits some take more than 500 MB a second. Of
# heads the core looks at its memory only after it took it, and malloc keeps some of what was freed.
MAX_GROWTH, MAX_GROWTH_OF_HEADS = 256 << 20, 800 << 20
DATA, HEADERS, RST_STREAM, SETTINGS, PING, CONTINUATION = 0, 1, 3, 4, 6, 9
END_STREAM, END_HEADERS = 1, 4
CANCEL = struct.pack(">I", 8)


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def field(name, value):
    """One that no table remembers (RFC 7541, 6.2.2)."""
    return bytes([0, len(name)]) + name + bytes([len(value)]) + value


def head(path):
    return b"".join(field(*pair) for pair in (
        (b":method", b"POST"), (b":scheme", b"http"), (b":path", path), (b":authority", b"x"),
        (b"content-type", b"application/grpc"), (b"te", b"trailers")))


KNOWN = head(b"/phalanx.v1.Inference/Generate")
HELLO = b"\x1a\x05hello"
MESSAGE = struct.pack(">BI", 0, len(HELLO)) + HELLO
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0)


def streams(*frames):
    """Streams without end, each of these: makers of a frame for the number of a stream."""
    for first in range(1, 1 << 31, 256):
        yield b"".join(make(stream) for stream in range(first, first + 256, 2) for make in frames)


def begin(flags=END_HEADERS, fields=KNOWN):
    return lambda stream: frame(HEADERS, flags, stream, fields)


def reset(stream):
    return frame(RST_STREAM, 0, stream, CANCEL)


def after(first, rest):
    yield first
    while True:
        yield rest


def read_all(client):
    """To the end; then who still sends fails, and does not wait for a server that reads no more."""
    try:
        while client.recv(1 << 20):
            pass
        client.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass


class Floods(unittest.TestCase):
    """Clients of floods never say that they have taken the settings of the server, so that no
    limit of streams or metadata is theirs."""

    def setUp(self):
        self.server = fake.FakeServer("--max-memory", MAX_MEMORY)
        self.channel = grpc.insecure_channel(self.server.address)
        self.stub = pb_grpc.InferenceStub(self.channel)

    def tearDown(self):
        self.channel.close()
        self.assertEqual(self.server.close(), 0)

    def ask(self):
        """As a stock client, which is to be answered."""
        self.assertTrue(list(self.stub.Generate(pb.GenerateRequest(text="hello"),
                                                timeout=fake.WAIT_S)))

    @property
    def resident(self):
        pages = pathlib.Path(f"/proc/{self.server.process.pid}/statm").read_text().split()[1]
        return int(pages) * 4096

    def pour(self, flood):
        """Sends until the time is over, or the server closes: whether it did."""
        host, port = self.server.address.split(":")
        with socket.create_connection((host, int(port)), timeout=fake.WAIT_S) as client:
            reader = threading.Thread(target=read_all, args=(client,))
            reader.start()
            end = time.monotonic() + FLOOD_S
            try:
                client.sendall(PREFACE)
                while time.monotonic() < end:
                    client.sendall(next(flood))
                client.shutdown(socket.SHUT_RDWR)
                return False
            except OSError:
                return True
            finally:
                reader.join()

    def ask_again(self):
        """As a client that tries again."""
        deadline = time.monotonic() + fake.WAIT_S
        while True:
            try:
                self.ask()
                return
            except grpc.RpcError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def check(self, flood):
        """True: the server closed the connection. Others are served beside it, and after it."""
        closed, growth = self.growth(flood, self.ask)
        self.ask()
        if not fake.SANITIZED:  # whose allocators keep what was freed
            self.assertLess(growth, MAX_GROWTH)
        return closed

    def growth(self, flood, beside):
        """Whether the server closed the connection, and how many bytes it took meanwhile."""
        most = before = self.resident
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            poured = pool.submit(self.pour, flood)
            while not poured.done():
                beside()
                most = max(most, self.resident)
                time.sleep(0.02)
        return poured.result(), max(most, self.resident) - before

    def test_a_head_that_never_ends(self):
        """It is the limit of all memory that ends it, so others may feel it as long as it goes on."""
        _, growth = self.growth(
            after(frame(HEADERS, 0, 1, KNOWN + b"\x40\x05aaaaa\x05bbbbb"),
                  frame(CONTINUATION, 0, 1, b"\xbe" * 16000)), lambda: None)
        self.ask_again()
        if not fake.SANITIZED:
            self.assertLess(growth, MAX_GROWTH_OF_HEADS)

    def test_calls_that_are_cancelled_at_once(self):
        self.check(streams(begin(), reset))

    def test_calls_with_a_message_that_are_cancelled_at_once(self):
        self.check(streams(begin(), lambda stream: frame(DATA, END_STREAM, stream, MESSAGE), reset))

    def test_more_calls_than_a_connection_may_have(self):
        self.assertTrue(self.check(streams(begin())))

    def test_more_calls_of_no_method(self):
        self.assertTrue(self.check(streams(begin(END_HEADERS | END_STREAM, head(b"/x/y")))))

    def test_pings(self):
        self.assertTrue(self.check(after(b"", frame(PING, 0, 0, bytes(8)) * 500)))

    def test_settings(self):
        self.check(after(b"", frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 65535)) * 500))

    def test_empty_data(self):
        self.check(after(begin()(1), frame(DATA, 0, 1) * 500))


if __name__ == "__main__":
    unittest.main()
