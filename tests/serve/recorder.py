"""Clients over raw sockets that write down all they do and see: records of history.py.

They behave as badly as users do: bytes one at a time, requests ahead of answers, reading slowly,
and going away at any moment in three ways.
"""
import dataclasses
import json
import random
import socket
import struct
import time

from history import Record

PATIENCE_S = 300
HOWS = ("close", "reset", "half")  # an end, a reset, an end of what it sends alone


@dataclasses.dataclass(frozen=True)
class Leave:
    """When a client goes away: a part of its request ("sending", 0 to 1), "sent", "head", so many
    bytes of the body ("data"), or so many seconds after it was sent ("time")."""
    moment: str
    amount: float = 0
    how: str = "close"


@dataclasses.dataclass(frozen=True)
class Way:
    """How a client behaves on one connection."""
    pieces: str = "whole"        # how a request is sent: "whole", "random" pieces, single "bytes"
    chunk_bytes: int = 0         # of the body in chunks of so many; 0: it has a length
    is_ahead: bool = False       # all requests are sent before the first answer is read
    read_bytes: int = 65536      # taken at a time,
    pause_s: float = 0           # after so long
    receive_buffer: int = 0      # of the system; 0: its own
    leave: Leave = None          # of the last request


class Gone(Exception):
    """The client has left."""


class Lost(Exception):
    """The server has."""


def request_bytes(ask, key=None, chunk_bytes=0):
    body = ask.body if isinstance(ask.body, bytes) else json.dumps(ask.body).encode()
    length = f"Content-Length: {len(body)}"
    if chunk_bytes:
        length = "Transfer-Encoding: chunked"
        body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (
            *(body[at:at + chunk_bytes] for at in range(0, len(body), chunk_bytes)), b""))
    head = [f"{ask.method} {ask.route} HTTP/1.1", "Host: localhost", f"X-Request-Id: {ask.id}",
            "Content-Type: application/json", length]
    if key is not None:
        head.append(f"Authorization: Bearer {key}")
    return "\r\n".join([*head, "", ""]).encode() + body


class Visit:
    """One connection with some requests."""

    def __init__(self, place, way, chance, tls=None, key=None):
        self.place, self.way, self.tls, self.key = place, way, tls, key
        self.chance = random.Random(chance.random())
        self.socket = None
        self.ahead = b""     # read, and not looked at
        self.leave_at = None

    def run(self, asks):
        """The records of those that were sent, in part at least."""
        records = [Record(ask) for ask in asks]
        begun = records if self.way.is_ahead else []
        try:
            self.connect()
            if self.way.is_ahead:
                self.send(records)
            for record in records:
                self.visit(record, begun, record is records[-1])
        except Gone:
            for record in begun:
                if not record.has("end"):
                    record.add(time.monotonic(), "left", self.way.leave)
        except (Lost, OSError) as why:
            for record in begun:
                if not record.has("end"):
                    record.add(time.monotonic(), "lost", repr(why))
        finally:
            if self.socket is not None:
                self.socket.close()
        return begun

    def visit(self, record, begun, is_last):
        leave = self.way.leave if is_last else None
        if not self.way.is_ahead:
            begun.append(record)
            self.send([record], leave)
        if leave is not None and leave.moment == "sent":
            self.go(leave)
        if leave is not None and leave.moment == "time":
            self.leave_at = time.monotonic() + leave.amount
        closes = self.receive(record, leave)
        if closes and not is_last:
            raise Lost("closed before the next request")

    def connect(self):
        self.socket = socket.socket()
        if self.way.receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.way.receive_buffer)
        self.socket.settimeout(PATIENCE_S)
        self.socket.connect(self.place)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.tls is not None:
            self.socket = self.tls.wrap_socket(self.socket, server_hostname="localhost")

    def go(self, leave):
        if leave.how == "reset":
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif leave.how == "half":
            self.socket.shutdown(socket.SHUT_WR)
            self.socket.settimeout(PATIENCE_S)
            try:
                while self.socket.recv(65536):
                    pass
            except OSError:
                pass  # it was reset for what it had sent ahead
        raise Gone

    # ---- what it sends ----

    def send(self, records, leave=None):
        data = b"".join(request_bytes(record.ask, self.key, self.way.chunk_bytes)
                        for record in records)
        n = int(len(data) * leave.amount) if leave and leave.moment == "sending" else len(data)
        for piece in self.pieces(data[:n]):
            self.socket.sendall(piece)
        if n < len(data):
            self.go(leave)
        for record in records:
            record.add(time.monotonic(), "sent", len(data))

    def pieces(self, data):
        at = 0
        while at < len(data):
            n = {"whole": len(data), "bytes": 1}.get(self.way.pieces, self.chance.randint(1, 300))
            yield data[at:at + n]
            at += n

    # ---- what it sees ----

    def more(self, leave):
        """Some bytes more."""
        time.sleep(self.way.pause_s)
        if self.leave_at is not None:
            left = self.leave_at - time.monotonic()
            if left <= 0:
                self.go(leave)
            self.socket.settimeout(left)
        try:
            data = self.socket.recv(self.way.read_bytes)
        except TimeoutError:
            if self.leave_at is not None:
                self.go(leave)
            raise
        if not data:
            raise Lost("the connection ended")
        self.ahead += data

    def take_until(self, mark, leave):
        while mark not in self.ahead:
            self.more(leave)
        found, self.ahead = self.ahead.split(mark, 1)
        return found

    def take(self, record, n, leave):
        """n bytes of a body, told as they come."""
        while n > 0:
            if not self.ahead:
                self.more(leave)
            part, self.ahead = self.ahead[:n], self.ahead[n:]
            n -= len(part)
            record.add(time.monotonic(), "data", part)
            if leave is not None and leave.moment == "data" and \
                    sum(map(len, record.all("data"))) >= leave.amount:
                self.go(leave)

    def receive(self, record, leave):
        """True: it was the last response of this connection."""
        first, *rest = self.take_until(b"\r\n\r\n", leave).decode().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in rest)}
        record.add(time.monotonic(), "head", (int(first.split()[1]), headers))
        if leave is not None and leave.moment == "head":
            self.go(leave)
        if headers.get("transfer-encoding") == "chunked":
            while (size := int(self.take_until(b"\r\n", leave), 16)) > 0:
                self.take(record, size, leave)
                self.take_until(b"\r\n", leave)
            self.take_until(b"\r\n", leave)
        else:
            self.take(record, int(headers.get("content-length", 0)), leave)
        record.add(time.monotonic(), "end")
        return headers.get("connection") == "close"
