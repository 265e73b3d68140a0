"""Starts Chromium and Firefox without a screen, opens tabs in them, and serves pages to them. For
scripts/check-browser; the pages are in browser_methods.py.
"""

import atexit
import http.server
import json
import pathlib
import shutil
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

PATIENCE = 40
CHROMIUM = """--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
    --disable-component-update --disable-sync --disable-dev-shm-usage --remote-debugging-port=0
    --disable-features=HttpsUpgrades""".split()
FIREFOX = {
    "app.update.enabled": False,
    "browser.safebrowsing.malware.enabled": False,
    "browser.safebrowsing.phishing.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.homepage_override.mstone": "ignore",
    "datareporting.policy.dataSubmissionEnabled": False,
    "dom.security.https_first": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "services.settings.server": "data:,",
    "toolkit.telemetry.enabled": False,
}


def wait_for(what, ready, seconds=PATIENCE):
    """Calls `ready` until it returns something."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if (found := ready()) is not None:
            return found
        time.sleep(0.05)
    raise TimeoutError(f"{what}: nothing after {seconds} s")


class PageServer:
    """Serves the pages that were added, on a free loopback port, and keeps what is posted to it."""

    def __init__(self, port=0):
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                body = server.pages.get(self.path)
                self.send_response(404 if body is None else 200)
                self.send_header("Content-Type", "text/html")
                self.send_header("Connection", "close")
                self.end_headers()
                self.wfile.write(body or b"")
                if body is not None:
                    server.served.add(self.path)

            def do_POST(self):
                length = int(self.headers.get("Content-Length") or 0)
                server.reports[self.path] = self.rfile.read(length).decode(errors="replace")
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.pages, self.reports, self.served = {}, {}, set()
        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port = self.http.server_address[1]
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def add(self, path, body):
        self.pages[path] = body
        return path

    def close(self):
        self.http.shutdown()
        self.http.server_close()


class Chromium:
    """Tabs are opened through the debugging port, as a user opens them: no page has a click."""

    name = "chromium"

    def __init__(self, folder, public_port):
        self.profile = pathlib.Path(folder) / "chromium"
        # A page of public_port counts as one from the internet.
        self.process = start(
            [find("chromium", "google-chrome"), *CHROMIUM, f"--user-data-dir={self.profile}",
             "--host-resolver-rules=MAP *.test 127.0.0.1",
             f"--ip-address-space-overrides=127.0.0.1:{public_port}=public", "about:blank"])
        file = self.profile / "DevToolsActivePort"
        self.debugging = wait_for("Chromium's debugging port", lambda: self.read_port(file))

    @staticmethod
    def read_port(file):
        lines = file.read_text().splitlines() if file.exists() else []
        return lines[0] if len(lines) > 1 else None

    def open(self, url):
        at = f"http://127.0.0.1:{self.debugging}/json/new?{urllib.parse.quote(url, safe='')}"
        urllib.request.urlopen(urllib.request.Request(at, method="PUT"), timeout=PATIENCE).read()

    def close_tabs(self):
        at = f"http://127.0.0.1:{self.debugging}/json"
        for tab in json.load(urllib.request.urlopen(at + "/list", timeout=PATIENCE)):
            if tab["type"] == "page" and tab["url"] != "about:blank":
                try:
                    urllib.request.urlopen(f"{at}/close/{tab['id']}", timeout=PATIENCE).read()
                except urllib.error.HTTPError:
                    pass  # it was closed already

    def close(self):
        end(self.process)


class Firefox:
    """Tabs are opened through Marionette: each message is its length in digits, a colon, and JSON."""

    name = "firefox"

    def __init__(self, folder, public_port):
        profile = pathlib.Path(folder) / "firefox"
        profile.mkdir()
        # A page of public_port counts as one from the internet.
        more = {"network.dns.localDomains": ",".join(self.names()), "marionette.port": free_port(),
                "network.lna.address_space.public.override": f"127.0.0.1:{public_port}"}
        values = "".join(f"user_pref({json.dumps(name)}, {json.dumps(value)});\n"
                         for name, value in {**FIREFOX, **more}.items())
        (profile / "user.js").write_text(values)
        self.process = start(
            [find("firefox-esr", "firefox"), "--headless", "--no-remote", "--marionette",
             "--remote-allow-system-access", "--profile", profile])
        self.socket = wait_for("Firefox's Marionette", lambda: connected(more["marionette.port"]))
        self.socket.settimeout(PATIENCE)
        self.read()  # its greeting
        self.call("WebDriver:NewSession", {})
        self.call("Marionette:SetContext", {"value": "chrome"})

    @staticmethod
    def names():
        return ["evil.test", *(f"name{nth}.evil.test" for nth in range(1, 13))]

    def read(self):
        length = b""
        while not length.endswith(b":"):
            length += self.take(1)
        return json.loads(self.take(int(length[:-1])))

    def take(self, count):
        data = b""
        while len(data) < count:
            more = self.socket.recv(count - len(data))
            if not more:
                raise ConnectionError("Firefox has closed Marionette")
            data += more
        return data

    def call(self, name, values):
        text = json.dumps([0, 1, name, values]).encode()
        self.socket.sendall(b"%d:%b" % (len(text), text))
        _, _, error, result = self.read()
        if error:
            raise RuntimeError(f"Firefox: {name}: {error['message']}")
        return result

    def script(self, text, *values):
        self.call("WebDriver:ExecuteScript", {"script": text, "args": values, "newSandbox": True})

    def open(self, url):
        self.script("gBrowser.addTab(arguments[0], {triggeringPrincipal: "
                    "Services.scriptSecurityManager.getSystemPrincipal()})", url)

    def close_tabs(self):
        self.script("gBrowser.removeAllTabsBut(gBrowser.selectedTab)")

    def close(self):
        end(self.process)


def start(command):
    """Starts a browser that ends with this script, also if the script fails before it knows the browser."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    atexit.register(end, process)
    return process


def end(process):
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def free_port():
    with socket.socket() as each:
        each.bind(("127.0.0.1", 0))
        return each.getsockname()[1]


def connected(port):
    try:
        return socket.create_connection(("127.0.0.1", port), 1)
    except OSError:
        return None


def find(*names):
    return next(filter(None, map(shutil.which, names)), None)


def installed():
    """The browsers that can be started here."""
    found = {Chromium: find("chromium", "google-chrome"), Firefox: find("firefox-esr", "firefox")}
    return [browser for browser, path in found.items() if path]
