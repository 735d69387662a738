"""How a server starts and ends, and what it says meanwhile: docs/faults.md, life cycle."""
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

from serving import (DEMO, PHALANX, SLOW, SLOWLY, Server, Streams, is_alive, least_of,
                     ranks_of, seconds_until, wait_for)

# On a server that answers SLOWLY this takes seconds, and its end half a minute.
LONG = {"prompt": "Once upon a time", "max_tokens": 100, "temperature": 0, "ignore_eos": True}
ENDLESS = {**LONG, "max_tokens": 2000}


class Ends(unittest.TestCase):
    def start(self, *words, **more):
        server = Server(*words, **more)
        self.addCleanup(server.kill)
        return server

    def seconds_to_end(self, server, code):
        """After a signal that it has been sent."""
        begin = time.monotonic()
        self.assertEqual(server.wait(), code, server.err)
        return time.monotonic() - begin

    def test_sigterm_finishes_what_runs_and_lets_nobody_in(self):
        server = self.start("--max-num-seqs", 3, "--drain-timeout", 600, *SLOWLY)
        endless = server.stream("/v1/completions", ENDLESS)  # it is there until all is looked at
        next(endless)
        streams = Streams(server, 4, LONG)  # two of them wait
        self.assertTrue(wait_for(lambda: any(streams.events)))
        server.signal(signal.SIGTERM)
        self.assertTrue(wait_for(lambda: server.get("/health/ready").status == 503))
        refused = server.post("/v1/completions", LONG)
        self.assertEqual(refused.status, 503)
        self.assertGreaterEqual(int(refused.headers["Retry-After"]), 1)
        streams.join()
        endless.close()
        self.assertEqual(server.wait(), 0, server.err)
        for i in range(4):
            self.assertIsNone(streams.errors[i])
            self.assertEqual(streams.events[i][-1], "[DONE]")
            self.assertEqual(streams.text(i), streams.text(0))

    def test_what_is_left_after_the_drain_timeout_gets_one_error(self):
        server = self.start("--drain-timeout", 0, *SLOWLY)
        streams = Streams(server, 2, ENDLESS)
        self.assertTrue(wait_for(streams.begun))
        server.signal(signal.SIGTERM)
        self.assertEqual(server.wait(), 3, server.err)
        streams.join()
        for events in streams.events:
            self.assertEqual(events[-1], "[DONE]")
            self.assertEqual(events[-2]["error"]["code"], "draining")

    def test_a_second_sigterm_ends_at_once(self):
        def end():
            server = self.start(*SLOWLY)
            streams = Streams(server, 1, ENDLESS)
            self.assertTrue(wait_for(streams.begun))
            server.signal(signal.SIGTERM)
            # two signals at once would be one
            self.assertTrue(wait_for(lambda: server.get("/health/ready").status == 503))
            server.signal(signal.SIGTERM)
            seconds = self.seconds_to_end(server, 3)
            streams.join()
            return seconds
        self.assertLess(least_of(end, 2 * SLOW), 2 * SLOW)

    def test_an_idle_server_ends_at_once_with_0(self):
        def end():
            server = self.start()
            server.signal(signal.SIGTERM)
            return self.seconds_to_end(server, 0)
        self.assertLess(least_of(end, 2 * SLOW), 2 * SLOW)

    def test_half_a_request_keeps_no_server_from_its_end(self):
        def end():
            server = self.start()
            with socket.create_connection(server.place) as half:
                half.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: a\r\n"
                             b"Content-Length: 9\r\n\r\n{")
                time.sleep(0.2)
                server.signal(signal.SIGTERM)
                return self.seconds_to_end(server, 0)
        self.assertLess(least_of(end, 2 * SLOW), 2 * SLOW)

    def test_sigterm_while_it_loads_ends_within_2_s(self):
        def end(delay):
            server = self.start(ready=False)
            time.sleep(delay)
            server.signal(signal.SIGTERM)
            begin = time.monotonic()
            self.assertIn(server.wait(), (0, -signal.SIGTERM), server.err)
            return time.monotonic() - begin
        for delay in (i / 250 for i in range(25)):  # also amid its last steps
            self.assertLess(least_of(lambda d=delay: end(d), 2 * SLOW), 2 * SLOW)

    def test_ranks_lost_for_good_are_told_to_who_waits_and_nobody_else_keeps_the_server(self):
        def end():
            server = self.start("--max-restarts", 0, *SLOWLY)
            streams = Streams(server, 2, ENDLESS)
            half = socket.create_connection(server.place)
            self.addCleanup(half.close)
            half.sendall(b"POST /v1/completions HTTP/1.1\r\nHost:")
            self.assertTrue(wait_for(streams.begun))
            for pid in ranks_of(server):
                os.kill(pid, signal.SIGKILL)
            streams.join()
            begin = time.monotonic()
            for events in streams.events:
                self.assertEqual(events[-1], "[DONE]")
                self.assertIn("error", events[-2])
            self.assertEqual(half.recv(1), b"")
            self.assertEqual(server.wait(), 70, server.err)
            return time.monotonic() - begin
        self.assertLess(least_of(end, 0.8 * SLOW), 0.8 * SLOW)

    def test_the_gateway_killed_leaves_no_rank(self):
        def end():
            server = self.start("-tp", 2)
            ranks = ranks_of(server)
            self.assertEqual(len(ranks), 2)
            server.kill()
            seconds = seconds_until(lambda: not any(map(is_alive, ranks)))
            with socket.socket() as again:
                again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                again.bind(server.place)
            return seconds
        self.assertLess(least_of(end, 3 * SLOW), 3 * SLOW)


class Starts(unittest.TestCase):
    def refuse(self, *words, model=DEMO, code=2):
        lines = []

        def run():
            begin = time.monotonic()
            done = subprocess.run([str(PHALANX), "serve", str(model), *map(str, words)],
                                  stdin=subprocess.DEVNULL, capture_output=True, timeout=60,
                                  check=False)
            self.assertEqual(done.returncode, code, done.stderr)
            lines[:] = done.stderr.decode().splitlines()
            self.assertEqual(len(lines), 1, lines)
            return time.monotonic() - begin
        self.assertLess(least_of(run, 1 * SLOW), 1 * SLOW)
        return lines[0]

    def test_a_port_in_use_is_told_before_the_model_is_touched(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            self.assertIn(str(port), self.refuse("--port", port))

    def test_a_model_that_is_not_there_is_named(self):
        self.assertIn("/nowhere/model", self.refuse("--port", 0, model="/nowhere/model"))

    def test_a_model_that_is_a_file_or_empty_is_named(self):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="phalanx-test-"))
        self.addCleanup(shutil.rmtree, folder)
        (folder / "file").write_text("no model")
        (folder / "empty").mkdir()
        for name in ("file", "empty"):
            self.assertIn(str(folder / name), self.refuse("--port", 0, model=folder / name))

    def test_an_address_for_others_wants_a_key(self):
        self.assertIn("--api-key", self.refuse("--host", "0.0.0.0", "--port", 0))

    def test_a_key_that_is_none_is_not_repeated(self):
        line = self.refuse("--port", 0, "--api-key", "short")
        self.assertIn("--api-key", line)
        self.assertNotIn("short", line.replace("--api-key", ""))

    def test_a_key_of_a_file_that_is_none_is_found_by_its_line(self):
        with tempfile.NamedTemporaryFile("w", prefix="phalanx-test-") as keys:
            keys.write("# who may ask\n\nanna first-key-of-anna\nshort\n")
            keys.flush()
            line = self.refuse("--port", 0, "--api-key-file", keys.name)
        self.assertIn(f"{keys.name}: line 4: a key of 5 characters", line)
        self.assertNotIn("short", line)

    def test_half_a_certificate_is_refused(self):
        self.assertIn("--ssl-keyfile", self.refuse("--port", 0, "--ssl-certfile", "a.pem"))

    def test_a_certificate_that_is_not_there_is_named(self):
        line = self.refuse("--port", 0, "--ssl-certfile", "/nowhere/a.pem",
                           "--ssl-keyfile", "/nowhere/b.pem")
        self.assertIn("/nowhere/a.pem: No such file", line)


class Lives(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="phalanx-test-"))
        cls.keys = cls.folder / "keys"
        cls.keys.write_text("# who may ask\nanna first-key-of-anna\nsecond-key-of-nobody\n")
        cls.server = Server("--api-key-file", cls.keys)

    @classmethod
    def tearDownClass(cls):
        cls.server.kill()
        shutil.rmtree(cls.folder)

    def status(self, key, path="/v1/models"):
        return self.server.get(path, headers={"Authorization": f"Bearer {key}"}).status

    def test_every_path_but_health_wants_a_key(self):
        for path in ("/v1/models", "/metrics", "/version", "/nowhere", "/v1/chat/completions"):
            self.assertEqual(self.server.get(path).status, 401, path)
            self.assertEqual(self.status("wrong-key-of-anna", path), 401, path)
        self.assertEqual(self.server.get("/health").status, 200)

    def test_each_key_of_the_file_lets_in(self):
        self.assertEqual(self.status("first-key-of-anna"), 200)
        self.assertEqual(self.status("second-key-of-nobody"), 200)

    def test_sighup_reads_the_keys_again_and_a_bad_file_changes_nothing(self):
        before = self.keys.read_text()
        self.keys.write_text("third-key-of-anna\n")
        self.server.signal(signal.SIGHUP)
        self.assertTrue(wait_for(lambda: self.status("third-key-of-anna") == 200))
        self.assertEqual(self.status("first-key-of-anna"), 401)
        self.keys.write_text("bad\n")
        self.server.signal(signal.SIGHUP)
        self.assertTrue(wait_for(lambda: "the keys of before stay" in self.server.err))
        self.assertEqual(self.status("third-key-of-anna"), 200)
        self.keys.write_text(before)
        self.server.signal(signal.SIGHUP)
        self.assertTrue(wait_for(lambda: self.status("first-key-of-anna") == 200))


class UnreadLogs(unittest.TestCase):
    """A server whose log nobody reads after its first lines."""

    def setUp(self):
        self.child = subprocess.Popen([str(PHALANX), "serve", str(DEMO), "--port", "0",
                                       "--log-level", "debug"], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.streams = (self.child.stdin, self.child.stdout, self.child.stderr)
        for stream in self.streams:
            self.addCleanup(stream.close)
        self.addCleanup(self.child.wait)
        self.addCleanup(self.child.kill)
        self.server = Server.__new__(Server)
        self.server.url = None
        while self.server.url is None:
            line = self.child.stderr.readline().decode()
            self.assertNotEqual(line, "")
            if " is ready at " in line:
                self.server.url = line.split(" is ready at ")[1].split()[0]

    def check_answer(self):
        answer = self.server.post("/v1/completions", {"prompt": "a", "max_tokens": 3}, timeout=20)
        self.assertEqual(answer.status, 200)
        self.assertIsNone(self.child.poll())

    def test_a_reader_that_leaves_ends_nothing(self):
        for stream in self.streams:
            stream.close()
        self.check_answer()

    def test_a_reader_that_stops_reading_holds_up_nobody_and_is_told_what_it_missed(self):
        for _ in range(500):  # a pipe holds 64 KB
            self.server.get("/made-up-" + 200 * "x", timeout=20)
        self.check_answer()
        text = os.read(self.child.stderr.fileno(), 1 << 20).decode()
        self.assertNotIn("are lost", text)
        self.check_answer()
        told = lambda: os.read(self.child.stderr.fileno(), 1 << 20).decode()
        lost = re.compile(r"(?m)^\S+ gw warn  log: \d+ lines are lost: ")
        self.assertTrue(any(lost.search(text) for text in iter(told, "")))
        for _ in range(500):
            self.server.get("/made-up-" + 200 * "x", timeout=20)
        self.child.send_signal(signal.SIGTERM)
        self.assertEqual(self.child.wait(20), 0)


if __name__ == "__main__":
    sys.exit(unittest.main())
