"""The HTTP cases of tests/http, against `phalanx serve` and its real bounds: two minutes (label long)."""
import json
import os
import pathlib
import subprocess
import sys
import unittest

from serving import Server

CASES = pathlib.Path(__file__).resolve().parents[1] / "http" / "test_http_faults.py"
ANSWER = {"prompt": "Once", "max_tokens": 1900, "ignore_eos": True}
CONNECTIONS = 10500


class HttpFaults(unittest.TestCase):
    def test_the_http_cases_hold_for_the_server_itself(self):
        server = Server("--max-connections", CONNECTIONS, "--max-num-seqs", 4,
                        "--disable-log-requests")
        self.addCleanup(server.kill)
        host, port = server.place
        done = subprocess.run([sys.executable, str(CASES)], capture_output=True, timeout=600,
                              check=False, env={
                                  **os.environ, "HTTP_HOST": host, "HTTP_PORT": str(port),
                                  "HTTP_GET_PATH": "/health", "HTTP_POST_PATH": "/tokenize",
                                  "HTTP_POST_BODY": json.dumps({"prompt": "hello"}),
                                  "HTTP_STREAM_PATH": "/v1/completions",
                                  "HTTP_STREAM_BODY": json.dumps({**ANSWER, "stream": True,
                                                                  "logprobs": 5}),
                                  "HTTP_WAIT_PATH": "/v1/completions",
                                  "HTTP_WAIT_BODY": json.dumps({**ANSWER, "seed": 1}),
                                  "HTTP_COUNTS_PATH": "/metrics",
                                  "HTTP_OPEN_PATTERN":
                                      r'^phalanx_sequences_in_flight\{[^}]*\} (\d+)',
                                  "HTTP_MAX_CONNECTIONS": str(CONNECTIONS)})
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        self.assertEqual(server.stop(), 0, server.err)


if __name__ == "__main__":
    unittest.main()
