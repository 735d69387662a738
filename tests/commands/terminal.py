"""A program in a pseudo-terminal, as a user sits before it: types keys, reads what appears."""
import os
import re
import select
import signal
import struct
import termios
import time
import fcntl

ESCAPE = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]")
WAIT_S = 60


class Terminal:
    """What the program wrote is in `seen` (bytes); expect() waits for more of it."""

    def __init__(self, words, env=None, columns=200):
        self.seen = b""
        self.code = None
        master, slave = os.openpty()
        self.fd = master
        self.resize(40, columns)
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.close(master)
                os.login_tty(slave) if hasattr(os, "login_tty") else self._login(slave)
                os.execve(str(words[0]), [str(word) for word in words],
                          {**os.environ, "TERM": "xterm", **(env or {})})
            finally:
                os._exit(127)  # not a second run of the tests
        os.close(slave)

    def resize(self, rows, columns):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    @staticmethod
    def _login(slave):
        os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
        for fd in 0, 1, 2:
            os.dup2(slave, fd)
        if slave > 2:
            os.close(slave)

    def read(self, seconds):
        """Reads once; False when nothing came, or the program is gone."""
        ready, _, _ = select.select([self.fd], [], [], seconds)
        if not ready:
            return False
        try:
            data = os.read(self.fd, 1 << 16)
        except OSError:  # the other end is closed
            return False
        self.seen += data
        return data != b""

    def expect(self, text, seconds=WAIT_S):
        """Waits for the text behind what was expected before; returns all up to its end."""
        text = text.encode() if isinstance(text, str) else text
        end = time.monotonic() + seconds
        while text not in self.seen:
            is_over = not self.read(0.2) and self.ended()
            if time.monotonic() > end or (is_over and not self.read(0)):
                raise AssertionError(f"no {text!r} in {self.seen!r}")
        before, _, self.seen = self.seen.partition(text)
        return ESCAPE.sub(b"", before + text).decode()

    def type(self, keys):
        os.write(self.fd, keys.encode() if isinstance(keys, str) else keys)

    def ended(self):
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.code = os.waitstatus_to_exitcode(status) if pid else None
        return self.code is not None

    def wait(self, seconds=WAIT_S):
        """The exit code."""
        end = time.monotonic() + seconds
        while not self.ended():
            if time.monotonic() > end:
                raise AssertionError(f"it does not end: {self.seen!r}")
            self.read(0.05)
        while self.read(0.05):
            pass
        return self.code

    def close(self):
        if not self.ended():
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)
