"""The HTTP cases of docs/faults.md. Runs against any server on a port: server.py says how."""
import os
import random
import resource
import selectors
import signal
import socket
import threading
import time
import unittest

import client
import server
from client import n_responses, status_of
from server import IS_OURS, SANITIZED

CHUNKED = "Transfer-Encoding: chunked"
TLS_HELLO = bytes.fromhex("16030100a5010000a10303") + bytes(range(150))
STATED = IS_OURS or "HTTP_COUNTS_PATH" in os.environ
NOT_STATED = "the server does not say how many requests are open (HTTP_COUNTS_PATH)"
SLOWER = 10 if SANITIZED else 1
TRIES = 5  # of bounds: a machine that stands still for a moment makes one late, a defect all


class Case(unittest.TestCase):
    limits = {}

    @classmethod
    def setUpClass(cls):
        cls.server = server.start(**cls.limits)
        cls.addClassCleanup(cls.server.stop)

    def check_alive(self):
        with self.server.connect() as c:
            c.send(self.server.get())
            self.assertEqual(c.read_response().status, 200)

    def check_refused(self, data, status=400):
        """One response with the status, then the end, and nothing behind it was run."""
        got = self.server.ask(data, self.server.get())
        self.assertEqual(status_of(got), status, f"{data[:300]!r} got {got[:300]!r}")
        self.assertEqual(n_responses(got), 1, f"a request behind {data[:300]!r} was run")


class Framing(Case):
    """What two servers could read in two ways is read by nobody."""

    def check_headers_refused(self, *headers, body=b""):
        with self.subTest(headers):
            self.check_refused(self.server.post(*headers, body=body))

    def test_a_length_beside_an_encoding(self):
        hidden = b"0\r\n\r\n" + self.server.get()
        self.check_headers_refused("Content-Length: 5", CHUNKED, body=hidden)
        self.check_headers_refused(CHUNKED, "Content-Length: 5", body=hidden)
        self.check_headers_refused(f"Content-Length: {len(hidden)}", CHUNKED, body=hidden)

    def test_two_lengths(self):
        self.check_headers_refused("Content-Length: 5", "Content-Length: 6", body=b"hello!")
        self.check_headers_refused("Content-Length: 5", "Content-Length: 5", body=b"hello")
        self.check_headers_refused("Content-Length: 5, 5", body=b"hello")

    def test_lengths_that_are_no_numbers(self):
        for length in ("-1", "+5", "0x5", "5 5", "", "five", "5.0", "99999999999999999999999"):
            self.check_headers_refused(f"Content-Length: {length}", body=b"hello")

    def test_encodings_that_are_not_chunked(self):
        for encoding in ("xchunked", "chunked, identity", "chunked, chunked", "\x0bchunked"):
            self.check_headers_refused(f"Transfer-Encoding: {encoding}", body=b"0\r\n\r\n")
        self.check_headers_refused(CHUNKED, CHUNKED, body=b"0\r\n\r\n")

    def test_malformed_chunks(self):
        for body in (b"x\r\n", b"-1\r\n", b"0x5\r\nhello\r\n0\r\n\r\n", b"5\r\nhelloXX0\r\n\r\n",
                     b"5\r\nhello0\r\n\r\n", b"5\nhello\r\n0\r\n\r\n", b"\r\n",
                     b"10000000000000000\r\n", b"5;a\nb\r\nhello\r\n0\r\n\r\n"):
            self.check_headers_refused(CHUNKED, body=body)

    def test_lines_with_strange_ends_and_spaces(self):
        for line in ("A: b\r\n folded", "A : b", "A: b\rC: d", "A: \0", "no colon", ": b",
                     "A\x01: b"):
            with self.subTest(line):
                self.check_refused(self.server.get(line))

    def test_a_line_feed_alone(self):
        self.check_refused(f"GET {self.server.get_path} HTTP/1.1\nHost: a\n\n".encode())
        self.check_refused(self.server.get("A: b\nContent-Length: 5"))

    def test_hosts(self):
        self.check_refused(f"GET {self.server.get_path} HTTP/1.1\r\nA: b\r\n\r\n".encode())
        self.check_refused(self.server.get("Host: other"))

    def test_random_bytes_never_run_and_never_hurt(self):
        numbers = random.Random(1)
        valid = self.server.post("Content-Length: 5", body=b"hello")
        for _ in range(300):
            broken = bytearray(valid)
            for _ in range(numbers.randrange(1, 4)):
                broken[numbers.randrange(len(broken))] = numbers.randrange(256)
            with self.server.connect() as c:
                c.send(bytes(broken))
                c.socket.shutdown(socket.SHUT_WR)
                c.read_to_end()
        self.check_alive()


class Methods(Case):
    def test_unknown_methods_and_paths(self):
        for method, path in (("FOO", self.server.get_path), ("GET", "/no/such/path"),
                             ("DELETE", "/no/such"), ("BREW", "/x"), ("PROPFIND", "/%C3%A4")):
            with self.subTest(method):
                got = self.server.ask(
                    self.server.get("Connection: close", path=path, method=method))
                self.assertIn(status_of(got), (404, 405, 501))

    def test_other_protocols_are_closed(self):
        for data in (TLS_HELLO, b"\0" * 100, b"garbage\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n",
                     b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"):
            with self.subTest(data[:8]):
                begin = time.monotonic()
                got = self.server.ask(data)
                self.assertNotIn(b" 200 ", got)
                self.assertLess(time.monotonic() - begin, 5)

    def test_versions(self):
        for version in ("2.0", "0.9", "3.1"):
            got = self.server.ask(
                f"GET {self.server.get_path} HTTP/{version}\r\nHost: a\r\n\r\n".encode())
            self.assertIn(status_of(got), (400, 505))


class Connections(Case):
    def test_a_connection_is_kept(self):
        with self.server.connect() as c:
            for _ in range(5):
                c.send(self.server.get())
                self.assertEqual(c.read_response().status, 200)

    def test_pipelined_requests_are_answered_in_order(self):
        with self.server.connect() as c:
            body = self.server.post_body
            post = self.server.post(f"Content-Length: {len(body)}", body=body)
            c.send(self.server.get() + post + self.server.get(path="/no/such") + self.server.get())
            statuses = [c.read_response().status for _ in range(4)]
            self.assertEqual(statuses, [200, 200, 404, 200])

    def test_bodies_in_pieces(self):
        body = self.server.post_body
        chunks = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        for data in (self.server.post(f"Content-Length: {len(body)}", body=body),
                     self.server.post(CHUNKED, body=chunks)):
            with self.server.connect() as c:
                for i in range(0, len(data), 7):
                    c.send(data[i:i + 7])
                    time.sleep(0.001)
                self.assertEqual(c.read_response().status, 200)

    def test_close_is_obeyed(self):
        got = self.server.ask(self.server.get("Connection: close"), self.server.get())
        self.assertEqual((status_of(got), n_responses(got)), (200, 1))

    def test_http_1_0_is_closed(self):
        got = self.server.ask(f"GET {self.server.get_path} HTTP/1.0\r\n\r\n".encode())
        self.assertEqual(status_of(got), 200)
        self.assertNotIn(b"chunked", got.lower())

    def test_who_expects_100_continue_gets_it(self):
        body = self.server.post_body
        with self.server.connect() as c:
            c.send(self.server.post(f"Content-Length: {len(body)}", "Expect: 100-continue"))
            self.assertEqual(c.read_head().status, 100)
            c.send(body)
            self.assertEqual(c.read_response().status, 200)


class Sizes(Case):
    limits = {"max_body": 1 << 20}

    def test_a_header_of_1_mb(self):
        got = self.server.ask(self.server.get("A: " + "a" * (1 << 20)))
        self.assertEqual(status_of(got), 431)

    def test_10000_headers(self):
        got = self.server.ask(self.server.get(*["A: b"] * 10000))
        self.assertEqual(status_of(got), 431)

    def test_a_path_of_1_mb(self):
        got = self.server.ask(self.server.get(path="/" + "a" * (1 << 20)))
        self.assertIn(status_of(got), (414, 431))

    def test_a_body_over_the_limit_at_once(self):
        with self.server.connect() as c:
            begin = time.monotonic()
            c.send(self.server.post(f"Content-Length: {self.server.max_body + 1}"))
            self.assertEqual(status_of(c.read_to_end()), 413)
            self.assertLess(time.monotonic() - begin, 5)

    def test_a_body_over_the_limit_by_a_client_that_sends_on(self):
        size = self.server.max_body + (4 << 20)
        got = self.server.ask(self.server.post(f"Content-Length: {size}", body=b"a" * size))
        self.assertEqual(status_of(got), 413)

    def test_chunks_over_the_limit(self):
        chunk = b"10000\r\n" + b"a" * 0x10000 + b"\r\n"
        n = self.server.max_body // 0x10000 + 1
        got = self.server.ask(self.server.post(CHUNKED, body=chunk * n))
        self.assertEqual(status_of(got), 413)


class Dripped(Case):
    limits = {"header_s": 1, "body_s": 1.5}

    def drip(self, first, seconds):
        """What comes back, and after how long, when every 0.1 s one byte is sent."""
        begin = time.monotonic()
        with self.server.connect() as c:
            c.send(first)
            c.socket.settimeout(0.1)
            while time.monotonic() - begin < 2 * seconds + 5:
                c.send(b"a")
                try:
                    if not c.read_more():
                        break
                except TimeoutError:
                    continue
            return c.unread, time.monotonic() - begin

    def check_408(self, first, seconds):
        def is_in_time():
            got, after = self.drip(first, seconds)
            self.assertEqual(status_of(got), 408)
            self.assertGreater(after, 0.9 * seconds)
            return after < 1.2 * seconds + 1
        self.assertTrue(any(is_in_time() for _ in range(TRIES)), "too late")

    def test_headers(self):
        self.check_408(self.server.get("A: ")[:-4], self.server.header_s)

    def test_bodies(self):
        self.check_408(self.server.post("Content-Length: 100000"), self.server.body_s)

    def test_chunks(self):
        self.check_408(self.server.post(CHUNKED, body=b"1000\r\n"), self.server.body_s)

    def test_200_of_them_do_not_hurt_a_canary(self):
        stop = threading.Event()
        clients = [self.server.connect() for _ in range(200)]

        def drip_all():
            for c in clients:
                c.send(self.server.get("A: ")[:-4])
            while not stop.wait(0.05):
                for c in clients:
                    c.send(b"a")

        thread = threading.Thread(target=drip_all)
        thread.start()
        try:
            times = response_times(self.server, 300)
        finally:
            stop.set()
            thread.join()
            for c in clients:
                c.close()
        self.assertLess(times[len(times) // 2], 0.02 * SLOWER)


def response_times(under_test, n):
    """Sorted, of one client that asks n times."""
    times = []
    with under_test.connect() as c:
        for _ in range(n):
            begin = time.perf_counter()
            c.send(under_test.get())
            if c.read_response().status != 200:
                raise AssertionError("the canary got no 200")
            times.append(time.perf_counter() - begin)
    return sorted(times)


@unittest.skipUnless(STATED, NOT_STATED)
class Gone(Case):
    """A client that leaves is noticed within a second, whatever its request waits for."""

    def check_noticed(self, come, leave, seconds=1):
        """Of several visits: come() gives the clients, leave() is what each of them does then."""
        def is_noticed():
            clients = come()
            begin = time.monotonic()
            for c in clients:
                leave(c)
            self.assertTrue(self.server.opens(0, client.PATIENCE_S), "its request goes on")
            after = time.monotonic() - begin
            for c in clients:
                c.close()
            return after < seconds * SLOWER
        self.assertTrue(any(is_noticed() for _ in range(TRIES)), "too late")

    def wait_for_ever(self, more=b"", n=1):
        clients = [self.server.connect() for _ in range(n)]
        for c in clients:
            c.send(self.server.wait() + more)
        self.assertTrue(self.server.opens(n, client.PATIENCE_S))
        return clients

    def begin_stream(self):
        c = self.server.connect()
        c.send(self.server.stream())
        c.read_until(b"\r\n\r\n")
        return [c]

    def test_while_its_request_is_worked_on(self):
        self.check_noticed(self.wait_for_ever, client.Client.close)

    def test_by_a_reset(self):
        def reset(c):
            c.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            c.close()
        self.check_noticed(self.wait_for_ever, reset)

    def test_behind_pipelined_requests(self):
        self.check_noticed(lambda: self.wait_for_ever(self.server.get() * 4000),
                           client.Client.close)

    def test_in_a_stream(self):
        self.check_noticed(self.begin_stream, client.Client.close)

    def test_a_reader_who_stops_is_cut_off(self):
        self.check_noticed(self.begin_stream, lambda c: None, seconds=3)

    def test_many_at_once(self):
        self.check_noticed(lambda: self.wait_for_ever(n=50), client.Client.close)


class Many(Case):
    limits = {"max_connections": 10000}

    def setUp(self):
        n = self.server.max_connections
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard < n + 200:
            self.skipTest(f"{hard} open files are allowed, {n + 200} are needed")
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, n + 200), hard))

    def open_idle(self, n):
        sockets = []
        for _ in range(n):
            s = socket.create_connection((self.server.host, self.server.port), timeout=20)
            self.addCleanup(s.close)
            sockets.append(s)
        return sockets

    def p99(self):
        times = response_times(self.server, 200)
        return times[len(times) * 99 // 100]

    def test_idle_connections_cost_little_and_the_next_gets_503(self):
        self.check_alive()
        alone = min(self.p99() for _ in range(5))
        before = self.server.rss_bytes() if IS_OURS else 0
        self.open_idle(self.server.max_connections - 1)
        bound = 1.2 * alone * SLOWER + 0.0001
        end = time.monotonic() + 20  # other work of this machine makes most rounds slower
        while (beside := self.p99()) > bound and time.monotonic() < end:
            pass
        self.assertLess(beside, bound)
        if IS_OURS and not SANITIZED:
            each = (self.server.rss_bytes() - before) / self.server.max_connections
            self.assertLess(each, 4096, "bytes of memory for an idle connection")
        for _ in range(TRIES):  # the place of the last one of above may not have been free yet
            self.open_idle(1)
            got = self.server.ask(self.server.get())
            if status_of(got) == 503:
                break
        self.assertEqual(status_of(got), 503)
        self.assertIn(b"retry-after:", got.lower())


@unittest.skipUnless(IS_OURS, "another server has its own ways to be ended")
class Drain(unittest.TestCase):
    def test_what_runs_is_finished_and_nothing_new_begins(self):
        under_test = server.start()
        self.addCleanup(under_test.stop)
        with under_test.connect() as busy, under_test.connect() as idle:
            busy.send(under_test.get(path="/stream?n=5&bytes=10&ms=100"))
            busy.read_until(b"\r\n\r\n")
            under_test.process.send_signal(signal.SIGTERM)
            self.assertEqual(idle.read_to_end(), b"")
            with self.assertRaises(ConnectionRefusedError):
                under_test.connect()
            self.assertEqual(len(busy.read_chunks()), 50)
            self.assertEqual(busy.read_to_end(), b"")
        self.assertEqual(under_test.process.wait(timeout=10), 0)


if __name__ == "__main__":
    unittest.main()
