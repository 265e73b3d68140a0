"""Drives a page in headless Chromium with the DevTools protocol, over a pipe. For scripts/check-html."""

import base64
import json
import os
import pathlib
import select
import shutil
import subprocess
import time

PATIENCE = 60
FLAGS = """--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking
    --disable-component-update --disable-sync --disable-quic --disable-dev-shm-usage --remote-debugging-pipe
    --hide-scrollbars""".split()


def chromium():
    return next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)


class Page:
    """One tab. Keeps what it requested, and what went wrong in it."""

    def __init__(self, folder, url, width=1280, height=900, dark=False, mobile=False):
        to_browser, self.writer = os.pipe()
        self.reader, from_browser = os.pipe()
        # Chromium reads from descriptor 3 and writes to descriptor 4.
        command = f'exec "$0" "$@" 3<&{to_browser} 4>&{from_browser}'
        self.process = subprocess.Popen(
            ["bash", "-c", command, chromium(), *FLAGS, f"--user-data-dir={pathlib.Path(folder) / 'profile'}"],
            pass_fds=(to_browser, from_browser), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(to_browser)
        os.close(from_browser)
        self.number, self.rest, self.session, self.answers = 0, b"", None, {}
        self.requests, self.faults, self.loaded = [], [], False
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.call("Emulation.setEmulatedMedia", features=scheme)
        self.call("Page.navigate", url=url)
        self.wait(lambda: self.loaded or None, "the page is loaded")

    def call(self, method, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.writer, data):]
        number = self.number
        answer = self.wait(lambda: self.answers.pop(number, None), method)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def wait(self, ready, what):
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if (found := ready()) is not None:
                return found
            self.read()
        raise TimeoutError(f"{what}: nothing after {PATIENCE} s")

    def read(self):
        """Reads what has come, and waits a little if nothing has."""
        readable, _, _ = select.select([self.reader], [], [], 0.05)
        if not readable:
            return
        data = os.read(self.reader, 1 << 20)
        if not data:
            raise EOFError("Chromium has ended")
        *messages, self.rest = (self.rest + data).split(b"\0")
        for message in map(json.loads, messages):
            self.take(message)

    def take(self, message):
        method, values = message.get("method"), message.get("params", {})
        if "id" in message:
            self.answers[message["id"]] = message
        elif method == "Network.requestWillBeSent":
            self.requests.append(values["request"]["url"])
        elif method == "Page.loadEventFired":
            self.loaded = True
        elif method == "Runtime.exceptionThrown":
            details = values["exceptionDetails"]
            self.faults.append("exception: " + details.get("exception", {}).get("description", details["text"]))
        elif method == "Log.entryAdded":
            self.faults.append("log: " + values["entry"]["text"])
        elif method == "Page.javascriptDialogOpening":
            self.faults.append("dialog: " + values["message"])

    def value(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise RuntimeError(f"{expression}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def settle(self):
        """Waits until the page has drawn twice."""
        self.value("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def key(self, key, text=None):
        code = {"text": text} if text else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, **code)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key)
        self.settle()

    def click(self, selector):
        box = self.value(f"(() => {{ const e = document.querySelector({json.dumps(selector)}); e.scrollIntoView("
                         "{block: 'nearest'}); const b = e.getBoundingClientRect();"
                         " return [b.left + b.width / 2, b.top + b.height / 2]; })()")
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=box[0], y=box[1], button="left", clickCount=1)
        self.settle()

    def picture(self, file):
        data = self.call("Page.captureScreenshot", format="png")["data"]
        pathlib.Path(file).write_bytes(base64.b64decode(data))

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self.reader)
        os.close(self.writer)
