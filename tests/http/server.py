"""The server that the cases of this folder run against: ours, or any other that listens already.

Ours is started by start(), with the limits that a case wants; HTTP_SERVER is its program. For another
one the environment says where it is and what it serves:

    HTTP_HOST, HTTP_PORT    where it listens
    HTTP_GET_PATH           answers GET with 200                                  (/hello)
    HTTP_POST_PATH          answers POST with 200; HTTP_POST_BODY is such a body  (/echo, hello)
    HTTP_STREAM_PATH        answers with a long stream: to GET, or to a POST of HTTP_STREAM_BODY
    HTTP_WAIT_PATH          answers later than these cases wait: to GET, or to a POST of
                            HTTP_WAIT_BODY                                        (/wait)
    HTTP_COUNTS_PATH        a text in which HTTP_OPEN_PATTERN finds how many requests are open
    HTTP_HEADER_S, HTTP_BODY_S, HTTP_MAX_BODY, HTTP_MAX_CONNECTIONS    its limits
"""
import os
import re
import subprocess
import time

import client

ENV = os.environ
IS_OURS = "HTTP_PORT" not in ENV
SANITIZED = bool(ENV.get("PHALANX_SANITIZED"))
MIB = 1 << 20


class Server:
    """Where it is, what it serves, and its limits: seconds, bytes, connections."""

    def __init__(self, port, process=None, **limits):
        self.host = ENV.get("HTTP_HOST", "127.0.0.1")
        self.port = port
        self.process = process
        self.header_s = limits.get("header_s", float(ENV.get("HTTP_HEADER_S", 10)))
        self.body_s = limits.get("body_s", float(ENV.get("HTTP_BODY_S", 30)))
        self.max_body = limits.get("max_body", int(ENV.get("HTTP_MAX_BODY", 32 * MIB)))
        self.max_connections = limits.get("max_connections",
                                          int(ENV.get("HTTP_MAX_CONNECTIONS", 4096)))
        self.get_path = ENV.get("HTTP_GET_PATH", "/hello")
        self.post_path = ENV.get("HTTP_POST_PATH", "/echo")
        self.post_body = ENV.get("HTTP_POST_BODY", "hello").encode()
        self.stream_path = ENV.get("HTTP_STREAM_PATH", "/stream?n=1000000&bytes=1000")
        self.stream_body = ENV.get("HTTP_STREAM_BODY", "").encode()
        self.wait_path = ENV.get("HTTP_WAIT_PATH", "/wait")
        self.wait_body = ENV.get("HTTP_WAIT_BODY", "").encode()
        self.counts_path = ENV.get("HTTP_COUNTS_PATH", "/counts")
        self.open_pattern = ENV.get("HTTP_OPEN_PATTERN", r"^\d+ (\d+)")

    def connect(self):
        return client.Client(self.host, self.port)

    def ask(self, *parts):
        """All that comes back for these bytes until the server closes."""
        with self.connect() as c:
            c.send(b"".join(parts))
            return c.read_to_end()

    def get(self, *headers, path=None, method="GET"):
        return client.request(method, path or self.get_path, *headers)

    def post(self, *headers, body=b""):
        return client.request("POST", self.post_path, *headers) + body

    def stream(self):
        return self.asks(self.stream_path, self.stream_body)

    def wait(self):
        return self.asks(self.wait_path, self.wait_body)

    @staticmethod
    def asks(path, body):
        if not body:
            return client.request("GET", path)
        return client.request("POST", path, "Content-Type: application/json",
                              f"Content-Length: {len(body)}") + body

    def n_open(self):
        """Requests that are worked on or sent."""
        with self.connect() as c:
            c.send(client.request("GET", self.counts_path))
            return int(re.search(self.open_pattern, c.read_response().body.decode(), re.M)[1])

    def opens(self, n, seconds):
        """Whether so many requests are open within the seconds."""
        end = time.monotonic() + seconds
        while self.n_open() != n:
            if time.monotonic() > end:
                return False
            time.sleep(0.02)
        return True

    def rss_bytes(self):
        with open(f"/proc/{self.process.pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def stop(self):
        """Exit code of ours."""
        if self.process is None:
            return 0
        self.process.stdin.close()
        self.process.stdout.close()
        return self.process.wait(timeout=30)


def start(**limits):
    """The server under test: a new one of ours with these limits, or the one of the environment."""
    if not IS_OURS:
        return Server(int(ENV["HTTP_PORT"]))
    words = {"header_s": "header_ms", "body_s": "body_ms", "idle_s": "idle_ms", "send_s": "send_ms",
             "max_body": "max_body_bytes", "max_connections": "max_connections"}
    options = [f"{words[name]}={round(value * 1000) if name.endswith('_s') else value}"
               for name, value in limits.items()]
    process = subprocess.Popen([ENV["HTTP_SERVER"], *options], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True)
    port = int(process.stdout.readline().split()[-1])
    return Server(port, process, **limits)
