"""What the tests of the server share: `phalanx serve` over the demo model, and ways to ask it.

Only the standard library: tests of stock clients bring theirs.
"""
import http.client
import json
import math
import os
import pathlib
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
import unittest
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "commands"))
from common import (DEMO, HAS_MPI, PHALANX, SANITIZED, SLOWLY, TRIES,  # noqa: E402, F401
                    generate_json, is_alive, largest_share, least_of)  # CTest sets the environment

READY = re.compile(r"is ready at (\S+?)(?: \(gRPC at (\S+)\))? after")
START_S = 120 if SANITIZED else 60
SLOW = 5 if SANITIZED else 1  # sanitized builds are not held to bounds of time


class Answer:
    """A whole response."""

    def __init__(self, response, seconds):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()
        self.seconds = seconds

    @property
    def json(self):
        return json.loads(self.body)


class Server:
    """A running server. Words are options after MODEL; environment variables as keywords.
    open_files: its limits of these, soft and hard."""

    def __init__(self, *words, model=DEMO, ready=True, open_files=None, **environment):
        words = [str(PHALANX), "serve", str(model), "--port", "0", *map(str, words)]
        self.child = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                      stderr=subprocess.PIPE, env={**os.environ, **environment},
                                      preexec_fn=open_files and (lambda: resource.setrlimit(
                                          resource.RLIMIT_NOFILE, open_files)))
        self.lines = []
        self.url = self.grpc = None
        self.told = threading.Event()
        self.ear = threading.Thread(target=self._listen, daemon=True)
        self.ear.start()
        if ready and not self.told.wait(START_S) or ready and self.url is None:
            self.kill()
            raise AssertionError("the server is not ready:\n" + self.err)

    def _listen(self):
        with self.child.stderr:
            for line in self.child.stderr:
                text = line.decode(errors="replace").rstrip("\n")
                self.lines.append(text)
                match = READY.search(text)
                if match:
                    self.url, self.grpc = match.groups()
                    self.told.set()
        self.told.set()

    @property
    def err(self):
        return "\n".join(self.lines)

    @property
    def place(self):
        parts = urllib.parse.urlsplit(self.url)
        return parts.hostname, parts.port

    def connect(self, timeout=60):
        return http.client.HTTPConnection(*self.place, timeout=timeout)

    def ask(self, method, path, body=None, headers=None, timeout=60):
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
        connection = self.connect(timeout)
        begin = time.monotonic()
        connection.request(method, path, body, {"Content-Type": "application/json",
                                                **(headers or {})})
        answer = Answer(connection.getresponse(), time.monotonic() - begin)
        connection.close()
        return answer

    def get(self, path, **more):
        return self.ask("GET", path, **more)

    def post(self, path, body, **more):
        return self.ask("POST", path, body, **more)

    def stream(self, path, body, headers=None, timeout=60):
        """The events of a stream, parsed; "[DONE]" as it stands. Closing the generator closes the
        connection."""
        connection = self.connect(timeout)
        try:
            connection.request("POST", path, json.dumps({**body, "stream": True}),
                               {"Content-Type": "application/json", **(headers or {})})
            response = connection.getresponse()
            if response.status != 200:
                raise AssertionError(f"{response.status}: {response.read().decode()}")
            for line in response:
                text = line.decode().strip()
                if text.startswith("data: "):
                    yield "[DONE]" if text[6:] == "[DONE]" else json.loads(text[6:])
        finally:
            connection.close()

    def raw(self, data):
        """What comes back for bytes that are no request."""
        with socket.create_connection(self.place, timeout=10) as client:
            client.sendall(data)
            return client.recv(65536)

    def metric(self, name, label="", **more):
        """The sum of a metric over its labels, where they have this one; None: it is not there."""
        found = re.findall(rf"^{re.escape(name)}(?:\{{[^}}]*{re.escape(label)}[^}}]*\}})? (\S+)$",
                           self.get("/metrics", **more).body.decode(), re.M)
        return sum(map(float, found)) if found else None

    @property
    def turned_away(self):
        """How many connections of HTTP and of gRPC the log says were too many."""
        counts = re.findall(r"warn .*turned away in the last second: (\d+) of HTTP, (\d+) of gRPC",
                            self.err)
        return sum(int(http) for http, _ in counts), sum(int(rpc) for _, rpc in counts)

    def signal(self, number):
        self.child.send_signal(number)

    def wait(self, seconds=60):
        """The exit code; `lines` are all there then."""
        code = self.child.wait(seconds)
        self.ear.join(seconds)
        return code

    def stop(self):
        if self.child.poll() is None:
            self.signal(signal.SIGTERM)
        try:
            return self.wait(60)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def kill(self):
        self.child.kill()
        self.child.wait()


class Streams:
    """Streams that run beside a test; each ends with its events, or with an exception."""

    def __init__(self, server, n, body):
        self.events = [[] for _ in range(n)]
        self.errors = [None] * n
        self.threads = [threading.Thread(target=self._run, args=(server, i, body))
                        for i in range(n)]
        for thread in self.threads:
            thread.start()

    def _run(self, server, i, body):
        try:
            for event in server.stream("/v1/completions", body):
                self.events[i].append(event)
        except Exception as error:  # pylint: disable=broad-except
            self.errors[i] = error

    def begun(self):
        return all(self.events)

    def join(self):
        for thread in self.threads:
            thread.join(120)

    def text(self, i):
        return "".join(event["choices"][0]["text"] for event in self.events[i]
                       if event != "[DONE]" and event.get("choices"))


def seconds_until(condition):
    """After how long it comes; infinity: it does not."""
    begin = time.monotonic()
    return time.monotonic() - begin if wait_for(condition) else math.inf


def make_certificate(folder):
    """Files of a certificate for localhost that nobody signed, and of its key."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1",
                    "-subj", "/CN=localhost", "-addext",
                    "subjectAltName=DNS:localhost,IP:127.0.0.1",
                    "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return certificate, key


class ServerCase(unittest.TestCase):
    """Tests that share one server, which must end in good order after them."""
    WORDS = ()

    @classmethod
    def setUpClass(cls):
        cls.server = Server(*cls.WORDS)

    @classmethod
    def tearDownClass(cls):
        code = cls.server.stop()
        if code != 0:
            raise AssertionError(f"exit {code}:\n{cls.server.err}")

    def check_error(self, answer, status, param=None):
        """An error body as users are promised it."""
        self.assertEqual(answer.status, status, answer.body)
        error = answer.json["error"]
        self.assertEqual(sorted(error), ["code", "message", "param", "type"])
        self.assertEqual(error["param"], param, error)
        return error


def wait_for(condition, seconds=20):
    """Whether it comes. What comes at once is waited for as long as any stall of the machine may
    take; bounds that matter are those of least_of()."""
    end = time.monotonic() + seconds * SLOW
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return False


def ranks_of(server):
    """The process ids of its ranks, also of those that mpirun started; the highest ones last."""
    children = {}
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            name, rest = (folder / "stat").read_text().rsplit(")", 1)
        except OSError:
            continue  # it has ended meanwhile
        children.setdefault(int(rest.split()[1]), []).append((int(folder.name),
                                                              name.split("(", 1)[1]))
    found, left = [], [server.child.pid]
    while left:
        for pid, name in children.get(left.pop(), ()):
            left.append(pid)
            if name == "phalanx-rank":
                found.append(pid)
    return sorted(found)
