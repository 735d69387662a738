"""A client that sends any bytes, and reads responses as strictly as it can."""
import dataclasses
import socket
import time

PATIENCE_S = 20


def request(method, path, *headers):
    lines = [f"{method} {path} HTTP/1.1", "Host: test", *headers, "", ""]
    return "\r\n".join(lines).encode()


@dataclasses.dataclass
class Response:
    status: int
    headers: dict
    body: bytes


def n_responses(data):
    return data.count(b"HTTP/1.1 ") - data.count(b"HTTP/1.1 100 ")


def status_of(data):
    """Of the first response in what came; None: it is not one."""
    line = data.split(b"\r\n", 1)[0].split(b" ")
    return int(line[1]) if len(line) > 2 and line[0] in (b"HTTP/1.1", b"HTTP/1.0") else None


class Client:
    def __init__(self, host, port):
        self.socket = socket.create_connection((host, port), timeout=PATIENCE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.unread = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        """False when the server has closed; what it said before can still be read."""
        try:
            self.socket.sendall(data)
            return True
        except (BrokenPipeError, ConnectionResetError):
            return False

    def read_more(self):
        """b'' at the end, and after a reset."""
        try:
            data = self.socket.recv(1 << 16)
        except ConnectionResetError:
            return b""
        self.unread += data
        return data

    def read_to_end(self):
        """All until the server closes. TimeoutError: it does not."""
        end = time.monotonic() + PATIENCE_S
        while self.read_more():
            if time.monotonic() > end:
                raise TimeoutError("the connection stays open")
        data, self.unread = self.unread, b""
        return data

    def read_until(self, text):
        while text not in self.unread:
            if not self.read_more():
                raise EOFError(f"closed after {self.unread[-200:]!r}")
        data, _, self.unread = self.unread.partition(text)
        return data

    def read_bytes(self, n):
        while len(self.unread) < n:
            if not self.read_more():
                raise EOFError(f"closed {n - len(self.unread)} bytes too early")
        data, self.unread = self.unread[:n], self.unread[n:]
        return data

    def read_chunks(self):
        body = b""
        while n := int(self.read_until(b"\r\n"), 16):
            body += self.read_bytes(n)
            if self.read_bytes(2) != b"\r\n":
                raise ValueError("a chunk without its end")
        self.read_until(b"\r\n")
        return body

    def read_head(self):
        lines = self.read_until(b"\r\n\r\n").decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines[1:])
        return Response(int(lines[0].split(" ")[1]), headers, b"")

    def read_response(self, has_body=True):
        response = self.read_head()
        if not has_body:
            return response
        if response.headers.get("transfer-encoding") == "chunked":
            response.body = self.read_chunks()
        elif "content-length" in response.headers:
            response.body = self.read_bytes(int(response.headers["content-length"]))
        elif response.status >= 200 and response.status != 204:
            response.body = self.read_to_end()
        return response
