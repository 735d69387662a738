"""Headless Chromium, driven as a user would: real keys, real clicks.

Speaks the DevTools protocol through two pipes (--remote-debugging-pipe): JSON messages with a NUL
after each, no port and no library. https://chromedevtools.github.io/devtools-protocol/
"""
import base64
import json
import os
import pathlib
import select
import shutil
import subprocess
import tempfile
import time

PATIENCE_S = 30  # machines that run tests are slow; a page that works needs none of it
KEYS = {"Enter": 13, "Escape": 27, "Tab": 9, "Backspace": 8, " ": 32}
ALT, CONTROL, META, SHIFT = 1, 2, 4, 8


def find_browser():
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))),
                None)


class Browser:
    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="phalanx-browser-")
        command_read, self.commands = os.pipe()
        self.events, event_write = os.pipe()
        os.set_inheritable(command_read, True)
        os.set_inheritable(event_write, True)
        # It wants the pipes as 3 and 4; the shell moves them there. No sandbox: it looks at pages
        # of ours alone, and containers of tests often forbid what the sandbox needs.
        self.process = subprocess.Popen(
            ["sh", "-c", f'exec "$@" 3<&{command_read} 4>&{event_write}', "sh", find_browser(),
             "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
             "--no-first-run", "--disable-extensions", "--disable-background-networking",
             "--hide-scrollbars", "--font-render-hinting=none", "--remote-debugging-pipe",
             f"--user-data-dir={self.folder}"],
            pass_fds=(command_read, event_write), stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, env={**os.environ, "HOME": self.folder})
        os.close(command_read)
        os.close(event_write)
        self.buffer = b""
        self.n_calls = 0
        self.pages = {}  # by session

    def call(self, method, session=None, **params):
        """The result of a command; events that come before it go to their pages."""
        self.n_calls += 1
        message = {"id": self.n_calls, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.commands, data):]
        deadline = time.monotonic() + PATIENCE_S
        while True:
            got = self.next_message(deadline)
            if got.get("id") == self.n_calls:
                if "error" in got:
                    raise RuntimeError(f"{method}: {got['error']['message']}")
                return got["result"]
            page = self.pages.get(got.get("sessionId"))
            if page:
                page.take_event(got["method"], got["params"])

    def next_message(self, deadline):
        while b"\0" not in self.buffer:
            if not select.select([self.events], [], [], max(0, deadline - time.monotonic()))[0]:
                raise TimeoutError("the browser does not answer")
            got = os.read(self.events, 1 << 20)
            if not got:
                raise RuntimeError("the browser has ended")
            self.buffer += got
        message, _, self.buffer = self.buffer.partition(b"\0")
        return json.loads(message)

    def open_page(self):
        """A tab with a storage of its own."""
        context = self.call("Target.createBrowserContext")["browserContextId"]
        target = self.call("Target.createTarget", url="about:blank",
                           browserContextId=context)["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = self.pages[session] = Page(self, session, context)
        return page

    def close(self):
        os.close(self.commands)  # it ends when nobody can tell it anything
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self.events)
        shutil.rmtree(self.folder, ignore_errors=True)


class Page:
    def __init__(self, browser, session, context):
        self.browser, self.session, self.context = browser, session, context
        self.complaints = []  # exceptions, and what the browser itself reports as an error
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method, **params):
        return self.browser.call(method, self.session, **params)

    def take_event(self, method, params):
        if method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.complaints.append(details.get("exception", {}).get("description", str(details)))
        elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.complaints.append(params["entry"]["text"])

    def open(self, url):
        self.call("Page.navigate", url=url)
        self.wait("document.readyState === 'complete'")

    def reload(self):
        self.evaluate("window.isOld = true")
        self.call("Page.reload")
        self.wait("!window.isOld && document.readyState === 'complete'")

    def evaluate(self, expression):
        got = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in got:
            raise RuntimeError(f"{expression}: {got['exceptionDetails']}")
        return got["result"].get("value")

    def wait(self, expression, what=None):
        """Until it is true; returns it."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                got = self.evaluate(expression)
            except RuntimeError:  # between two documents
                got = None
            if got:
                return got
            if time.monotonic() > deadline:
                raise AssertionError(f"never came true: {what or expression}\n"
                                     f"the page: {self.evaluate('document.body.innerText')!r}")
            time.sleep(0.02)

    def text(self, selector):
        """What is seen of it; None: it is not there."""
        return self.evaluate(f"document.querySelector({json.dumps(selector)})?.innerText.trim() ?? "
                             "null")

    def click(self, selector):
        node = f"document.querySelector({json.dumps(selector)})"
        x, y = self.wait(f"""(() => {{
            const node = {node};
            if (!node) return null;
            node.scrollIntoView({{block: "nearest"}});
            const box = node.getBoundingClientRect();
            return box.width ? [box.x + box.width / 2, box.y + box.height / 2] : null; }})()""",
                         f"{selector} can be seen")
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def type(self, text):
        """Into whatever has the focus."""
        self.call("Input.insertText", text=text)

    def press(self, key, modifiers=0):
        code = KEYS[key]
        text = {"Enter": "\r", " ": " "}.get(key, "")
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, code=key, text=text,
                  windowsVirtualKeyCode=code, modifiers=modifiers)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key, code=key,
                  windowsVirtualKeyCode=code, modifiers=modifiers)

    def resize(self, width, height):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=1, mobile=False)

    def prefer(self, **features):
        """prefer(color_scheme="dark", reduced_motion="reduce")"""
        self.call("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-" + name.replace("_", "-"), "value": value}
            for name, value in features.items()])

    def screenshot(self, path):
        got = self.call("Page.captureScreenshot", format="png")
        pathlib.Path(path).write_bytes(base64.b64decode(got["data"]))

    def close(self):
        del self.browser.pages[self.session]
        self.browser.call("Target.disposeBrowserContext", browserContextId=self.context)
