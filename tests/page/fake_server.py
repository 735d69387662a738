"""A server without a model: what the chat page asks for, with answers and faults on demand.

In a test: `with FakeServer() as server: … server.url …`. By hand, to look at the page:
python3 tests/page/fake_server.py [PORT]. What it says depends on the last message of the user:

    count N      N words, one every `server.delay_s`
    echo TEXT    TEXT, word by word
    fail STATUS  that status with an error body, nothing streamed
    break        a few words, then an error in the stream
    cut          a few words, then the connection ends
"""
import http.server
import json
import pathlib
import sys
import threading
import time

PAGE = pathlib.Path(__file__).resolve().parents[2] / "runtime/endpoints/page/index.html"
# As the real server sends them with the page.
PAGE_HEADERS = {"Content-Security-Policy": "frame-ancestors 'none'", "Cache-Control": "no-cache",
                "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def reply(self, status, body, kind="application/json", headers=()):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def fail(self, status, message):
        headers = {"Retry-After": "7"} if status in (429, 503) else {}
        self.reply(status, {"error": {"message": message, "type": "x", "param": None,
                                      "code": status}}, headers=headers)

    def is_allowed(self):
        key = self.server.key
        if key is None or self.headers.get("Authorization") == f"Bearer {key}":
            return True
        self.fail(401, "Invalid API key")
        return False

    def do_GET(self):
        if self.path == "/":
            self.reply(200, PAGE.read_bytes(), "text/html; charset=utf-8", PAGE_HEADERS)
        elif self.path == "/v1/models":
            if self.is_allowed():
                self.reply(200, {"object": "list", "data": [
                    {"id": name, "object": "model", "max_model_len": 2048}
                    for name in self.server.models]})
        elif self.path == "/version":
            if self.is_allowed():
                self.reply(200, {"version": "0.1.0", "model": self.server.models[0],
                                 "about": "BF16, tp 4 x pp 2, avx512 kernels, shm",
                                 "tp": 4, "pp": 2, "dp": 1})
        else:
            self.fail(404, "no such page")

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path != "/v1/chat/completions":
            self.fail(404, "no such page")
        elif self.is_allowed():
            self.server.requests.append(body)
            word, _, rest = body["messages"][-1]["content"].partition(" ")
            if word == "fail" and not self.server.is_repaired:
                self.fail(int(rest), f"made to fail with {rest}")
            else:
                self.stream(word, rest)

    # ---- streaming ----

    def event(self, data):
        text = data if isinstance(data, str) else json.dumps(data)
        self.piece(f"data: {text}\n\n".encode())

    def piece(self, data):
        """One chunk of the body."""
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def choice(self, delta, finish=None):
        self.event({"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "fake",
                    "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})

    def stream(self, word, rest):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            self.tell(word, rest)
        except (BrokenPipeError, ConnectionResetError):
            self.server.n_cancelled += 1
            self.close_connection = True

    def tell(self, word, rest):
        if word == "count":
            words = [f"{i} " for i in range(1, int(rest) + 1)]
        elif word == "echo":
            words = [part + " " for part in rest.split(" ")]
        else:
            words = ["here ", "is ", "some ", "text "]
        self.choice({"role": "assistant", "content": ""})
        for part in words:
            time.sleep(self.server.delay_s)
            self.choice({"content": part})
        if word == "break" and not self.server.is_repaired:
            self.event({"error": {"message": "a rank was lost", "type": "InternalServerError",
                                  "param": None, "code": 500}})
        elif word == "cut" and not self.server.is_repaired:
            self.close_connection = True
            self.wfile.write(b"0\r\n\r\n")
            return
        else:
            self.choice({}, "stop")
            self.event({"choices": [], "usage": {"prompt_tokens": 3, "total_tokens": 3 + len(words),
                                                 "completion_tokens": len(words)}})
        self.event("[DONE]")
        self.wfile.write(b"0\r\n\r\n")


class FakeServer(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, port=0):
        super().__init__(("127.0.0.1", port), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}/"
        self.reset()

    def reset(self):
        self.delay_s = 0.002
        self.key = None          # then each call needs it
        self.is_repaired = False  # faults on demand come no more
        self.models = ["demo"]
        self.requests = []       # bodies of chats
        self.n_cancelled = 0     # streams whose reader went away

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], ConnectionError):  # a tab was closed
            super().handle_error(request, client_address)

    def __enter__(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()


if __name__ == "__main__":
    fake = FakeServer(int(sys.argv[1]) if len(sys.argv) > 1 else 8000)
    fake.delay_s = 0.05
    print(fake.url)
    fake.serve_forever()
