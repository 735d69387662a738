"""Connections as those who run a server meet them: floods of them, and too few open files."""
import os
import pathlib
import re
import resource
import socket
import sys
import time
import unittest

from serving import Server, wait_for


class OwnServer(unittest.TestCase):
    def start(self, *words, **more):
        server = Server(*words, **more)
        self.addCleanup(server.kill)
        return server

    def flood(self, place, n):
        """So many connections, open until the test ends."""
        for _ in range(n):
            client = socket.create_connection(place, timeout=10)
            self.addCleanup(client.close)


class Floods(OwnServer):
    def test_who_is_turned_away_is_counted_in_a_line_a_second(self):
        server = self.start("--max-connections", 4)
        begin = time.monotonic()
        self.flood(server.place, 40)
        time.sleep(1.2)
        self.flood(server.place, 20)
        self.assertTrue(wait_for(lambda: server.turned_away == (56, 0)), server.err)
        n_lines = sum("turned away" in line for line in server.lines)
        self.assertLessEqual(n_lines, time.monotonic() - begin + 1)

    def test_a_server_that_nobody_floods_says_nothing(self):
        server = self.start("--max-connections", 4)
        for _ in range(12):
            self.assertEqual(server.get("/health").status, 200)
        time.sleep(1.2)
        self.assertNotIn("turned away", server.err)


class OpenFiles(OwnServer):
    """A server is told how many files it may have open: by `ulimit -n`, by systemd, by Docker."""

    def test_without_files_for_all_connections_it_takes_fewer_and_says_so(self):
        server = self.start(open_files=(64, 64))
        self.assertIn("warn  serve: --max-connections is 32, not 4096", server.err)
        self.flood(server.place, 60)
        with socket.create_connection(server.place, timeout=10) as one_more:
            self.assertTrue(one_more.recv(64).startswith(b"HTTP/1.1 503 "))
        self.assertLess(len(os.listdir(f"/proc/{server.child.pid}/fd")), 56)  # some are left

    def test_it_raises_its_own_limit_as_far_as_it_needs(self):
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        if hard < 4096:
            self.skipTest("the system lets no process have so many files")
        server = self.start("--max-connections", 2000, open_files=(1024, hard))
        limits = pathlib.Path(f"/proc/{server.child.pid}/limits").read_text()
        soft = int(re.search(r"Max open files\s+(\d+)", limits).group(1))
        self.assertTrue(2000 < soft < 2200, soft)
        self.assertNotIn("warn", server.err)


if __name__ == "__main__":
    sys.exit(unittest.main())
