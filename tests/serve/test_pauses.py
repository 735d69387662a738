"""A gateway that stood still (a stopped process, a machine that was away) finds hundreds of steps
of the ranks at once: who reads gets all of them, over both protocols."""
import json
import os
import signal
import socket
import threading
import time
import unittest

import grpc
from rpc import BothCase

N_TOKENS = 900  # many more than may wait for a reader
PAUSE_S = 1.5  # in which the ranks are done with them
TRIES = 5  # a reader that the machine keeps from reading is cut off, as it should be
ASKED = {"max_tokens": N_TOKENS, "temperature": 0, "ignore_eos": True}


def read_stream(server, body):
    """The bytes of a stream, taken as fast as they come."""
    host, port = server.place
    head = f"POST /v1/completions HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n"
    with socket.create_connection((host, port), timeout=60) as client:
        client.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        pieces = []
        while piece := client.recv(1 << 16):
            pieces.append(piece)
    return b"".join(pieces)


class Pauses(BothCase):
    def pause_while(self, run):
        """What `run` returns, with the gateway standing still soon after its begin."""
        told = []
        thread = threading.Thread(target=lambda: told.append(run()))
        thread.start()
        deadline = time.monotonic() + 60
        while self.server.metric("phalanx_generation_tokens_total") == self.before:
            self.assertLess(time.monotonic(), deadline, "no token came")
        os.kill(self.server.child.pid, signal.SIGSTOP)
        time.sleep(PAUSE_S)
        os.kill(self.server.child.pid, signal.SIGCONT)
        thread.join(60)
        return told[0] if told else None

    def check_one_goes_on(self, run):
        """`run`: whether all of a stream came."""
        for _ in range(TRIES):
            self.before = self.server.metric("phalanx_generation_tokens_total")
            if self.pause_while(run):
                return
        self.fail(f"{TRIES} streams were cut off")

    def test_a_stream_over_http_goes_on(self):
        body = json.dumps({"prompt": "Once", "stream": True, **ASKED})
        def all_came():
            end = read_stream(self.server, body)[-400:]
            return b'"finish_reason":"length"' in end and b"data: [DONE]" in end
        self.check_one_goes_on(all_came)

    def test_a_stream_over_grpc_goes_on(self):
        def all_came():
            try:
                messages = self.generate("Once", **ASKED)
            except grpc.RpcError:
                return False
            return messages[-1].usage.completion_tokens == N_TOKENS
        self.check_one_goes_on(all_came)


if __name__ == "__main__":
    unittest.main()
