"""What the pages of scripts/check-browser attack: the programs of this project, each behind a tap that
logs what a browser sends and how long it is served, and the instruments behind these programs.
"""

import contextlib
import json
import signal
import socket
import struct
import subprocess
import threading
import time

from browser_methods import (FRAME, HALT, POSITION_GET, STATE_GET, STATE_IDLE, fields, frame, frames_in)
from browsers import end

HOST = "127.0.0.1"


def in_background(function, *values):
    threading.Thread(target=function, args=values, daemon=True).start()


def accept_each(listener, function):
    def accept():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            in_background(function, connection)

    in_background(accept)


def listen():
    listener = socket.create_server((HOST, 0), backlog=128)
    return listener, listener.getsockname()[1]


class Instrument:
    """Logs every byte that arrives, and answers the query for the state and HALT."""

    def __init__(self):
        self.control, self.images = [], []  # what arrived, for each connection
        # Nobody needs the image ports, but they must be the next two.
        for base in range(20_000, 30_000, 3):
            try:
                listeners = [socket.create_server((HOST, base + nth)) for nth in range(3)]
                break
            except OSError:
                continue
        self.port = base
        accept_each(listeners[0], lambda connection: self.serve(connection, self.control))
        for listener in listeners[1:]:
            accept_each(listener, lambda connection: self.serve(connection, self.images))

    def serve(self, connection, logs):
        log = bytearray()
        logs.append(log)
        with contextlib.suppress(OSError), connection:
            while more := connection.recv(65_536):
                whole = len(log) // FRAME.size
                log += more
                for at in range(whole, len(log) // FRAME.size):
                    command = bytes(log[at * FRAME.size:(at + 1) * FRAME.size])
                    if (answer := self.answer(command)) is not None:
                        connection.sendall(answer)

    @staticmethod
    def answer(command):
        values = list(FRAME.unpack(command))
        if values[1] not in (STATE_GET, HALT):
            return None
        values[2] = 1  # status
        if values[1] == STATE_GET:
            values[6] = STATE_IDLE
        return FRAME.pack(*values)

    def frames(self):
        """What arrived, without the frames that a bridge and `flamingo halt` send."""
        found = [each for log in self.control + self.images for each in frames_in(bytes(log))]
        return [each for each in found if fields(each)[0] not in (STATE_GET, HALT)]

    def noise(self):
        """How many bytes arrived that are in no frame."""
        return sum(len(log) - FRAME.size * len(frames_in(bytes(log))) for log in self.control + self.images)


class Watcher:
    """A client of the simulator that asks nothing: the simulator tells it of every motion and every action."""

    def __init__(self, port):
        self.log = bytearray()
        self.socket = socket.create_connection((HOST, port))
        in_background(self.read)

    def read(self):
        with contextlib.suppress(OSError):
            while more := self.socket.recv(65_536):
                self.log += more

    def frames(self):
        return frames_in(bytes(self.log))


class Served:
    """One connection of a browser."""

    def __init__(self):
        self.began, self.ended = time.monotonic(), None
        self.sent, self.received = bytearray(), bytearray()

    def seconds(self):
        return (self.ended or time.monotonic()) - self.began


class Tap:
    """Relays a port to a target, without which it only reads, for `patience` seconds."""

    def __init__(self, name, target=None, patience=60):
        self.name, self.target, self.patience = name, target, patience
        self.connections = []
        self.listener, self.port = listen()
        self.at = f"{HOST}:{self.port}"
        accept_each(self.listener, self.serve)

    def serve(self, browser):
        served = Served()
        self.connections.append(served)
        if self.target is None:
            browser.settimeout(self.patience)
            self.copy(browser, None, served.sent)
            served.ended = time.monotonic()
            browser.close()
            return
        with contextlib.suppress(OSError):
            with socket.create_connection((HOST, self.target)) as target:
                in_background(self.copy, browser, target, served.sent)
                # It ends when the target closes: then the slot is free.
                self.copy(target, browser, served.received)
        served.ended = time.monotonic()
        with contextlib.suppress(OSError):
            browser.shutdown(socket.SHUT_RDWR)
        browser.close()

    @staticmethod
    def copy(source, sink, log):
        with contextlib.suppress(OSError):
            while more := source.recv(65_536):
                log += more
                if sink is not None:
                    sink.sendall(more)
        with contextlib.suppress(OSError):
            if sink is not None:
                sink.shutdown(socket.SHUT_WR)


class Programs:
    """Runs programs of this project and ends them."""

    def __init__(self, flamingo, folder):
        self.flamingo, self.folder, self.running = flamingo, folder, []

    def start(self, *command):
        log = open(self.folder / f"log-{len(self.running)}", "w")
        process = subprocess.Popen([self.flamingo, *command], stdout=subprocess.PIPE, stderr=log, text=True)
        self.running.append(process)
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"flamingo {command[0]} did not start: see {log.name}")
        return json.loads(line)

    def run(self, *command):
        """The exit code, and the time."""
        began = time.monotonic()
        done = subprocess.run([self.flamingo, *command], capture_output=True, text=True)
        return done.returncode, time.monotonic() - began

    def recording(self):
        """Records a short session with the simulator."""
        file = self.folder / "session.pcapng"
        simulator = self.start("sim", "--port", "0")
        relay = self.start("record", "--connect", f"{HOST}:{simulator['control']}", "--listen", "0", "--out", file)
        for what in ("state", "position"):
            self.run("get", what, "--connect", f"{HOST}:{relay['control']}")
        self.running[-1].send_signal(signal.SIGINT)
        self.running[-1].wait()
        return file

    def end(self):
        for process in self.running:
            end(process)


def answers_to_page(served):
    """The frames that a browser received and that are no refusals."""
    return [each for each in frames_in(bytes(served.received))
            if fields(each)[0] == POSITION_GET and fields(each)[1] != 0]
