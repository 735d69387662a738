"""An OpenAI-compatible server without a model, with delays that are known.

`delays(i)` says of the i-th request (first_s, gap_s): the time to the first token, and between
tokens. `fault(i)` may name what goes wrong with it: an HTTP status, or

    drop        the connection ends when the request is read
    reset       the same, by a reset, in the middle of an answer
    stall       a few words, then nothing more
    cut         a few words, and a body that ends in good order
    error       a few words, then an error in the stream; "old error": as servers once wrote it
    garbage     a few words, then what is no JSON
    long line   a few words, then an event of 5 MB
    json, html  a success that is no stream; "escape": one whose type would move a cursor
    endless     the whole answer, and a body that does not end then
"""
import http.server
import json
import socket
import ssl
import struct
import threading
import time


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def reply(self, status, body, kind="application/json"):
        data = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        server = self.server
        with server.lock:
            cut = server.looks.pop(0) if server.looks else None
        if cut is not None:
            self.close_connection = True
            if cut == "reset":
                self.reset()
        elif server.key and self.headers.get("Authorization") != f"Bearer {server.key}":
            self.reply(401, {"error": "Unauthorized"})
        else:
            self.reply(200, {"object": "list", "data": [{"id": server.model, "object": "model"}]})

    def reset(self):
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def do_POST(self):
        server = self.server
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with server.lock:
            i = len(server.bodies)
            server.bodies.append(body)
            server.headers.append(self.headers)
            server.paths.append(self.path)
            server.n_now += 1
            server.n_most = max(server.n_most, server.n_now)
        try:
            self.answer(i, body, server.fault(i))
        except OSError:  # the client has gone
            self.close_connection = True
        finally:
            with server.lock:
                server.n_now -= 1

    def answer(self, i, body, fault):
        if isinstance(fault, int):
            self.reply(fault, {"error": {"message": f"no. {fault}", "code": fault}})
        elif fault == "drop":
            self.close_connection = True
        elif fault == "json":
            self.reply(200, {"object": "text_completion", "choices": [{"text": "a"}]})
        elif fault == "html":
            self.reply(200, "<html>Sign in</html>", "text/html")
        elif fault == "escape":
            self.reply(200, "", "text/\x1b[2J caf\xe9")  # Latin-1, as headers once were
        else:
            self.stream(i, body, fault)

    def stream(self, i, body, fault):
        is_chat = "messages" in body
        n = body["max_completion_tokens" if is_chat else "max_tokens"]
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        first_s, gap_s = self.server.delays(i)
        if is_chat:
            self.choice(is_chat, {"role": "assistant", "content": ""})
        for k in range(n):
            time.sleep(gap_s if k else first_s)
            # the last character of the second token has not come yet, and an only one has none
            self.choice(is_chat, {"content": "" if k == 1 or n == 1 else "a "},
                        k == n - 1 and not is_chat)
            if fault not in (None, "endless") and k == 1:
                self.break_off(fault)
                break
        else:
            if is_chat:
                self.choice(is_chat, {}, True)
            if self.server.tells_usage:
                self.event({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": n}})
            self.event("[DONE]")
            if fault == "endless":
                self.rfile.read(1)  # until the client goes
        self.wfile.write(b"0\r\n\r\n")

    def break_off(self, fault):
        if fault == "error":
            self.event({"error": {"message": "a rank was lost"}})
        elif fault == "old error":
            self.event({"object": "error", "message": "out of luck", "code": 500})
        elif fault == "garbage":
            self.event("{")
        elif fault == "long line":
            self.event("x" * (5 << 20))
        elif fault == "stall":
            self.rfile.read(1)  # until the client gives up
        elif fault == "reset":
            self.reset()
            raise ConnectionError

    def choice(self, is_chat, delta, ends=False):
        what = {"delta": delta} if is_chat else {"text": delta["content"]}
        self.event({"choices": [{"index": 0, "finish_reason": "length" if ends else None, **what}]})

    def event(self, data):
        text = data if isinstance(data, str) else json.dumps(data)
        line = f"data: {text}\r\n\r\n".encode()
        half = len(line) // 2  # an event may come in pieces
        for part in (line[:half], line[half:]):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))


class FakeOpenAI(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512

    def __init__(self, delays=lambda i: (0, 0), fault=lambda i: None, key=None, tells_usage=True,
                 certificate=None, model="fake-model", looks=()):
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.delays, self.fault, self.key, self.tells_usage = delays, fault, key, tells_usage
        self.lock = threading.Lock()
        self.model = model
        self.looks = list(looks)  # how the first ones at /v1/models end: "drop", "reset"
        self.bodies, self.headers, self.paths = [], [], []  # in the order in which they came
        self.n_now = self.n_most = 0
        if certificate is not None:  # a file, and that of its key
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self.socket = context.wrap_socket(self.socket, server_side=True,
                                              do_handshake_on_connect=False)
            self.url = self.url.replace("http:", "https:")

    def handle_error(self, request, client_address):
        pass  # a client that has gone

    def __enter__(self):
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()
