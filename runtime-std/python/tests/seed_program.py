"""The program of today's clients, as simple as it is: each thread sends a query and reads "the next 128 bytes", and a
listener reads the same socket. It works with any object that has `sendall` and `recv`."""

from __future__ import annotations

import threading
from typing import Protocol

import load
from flamingo import Frame

THREADS = 2


class SocketLike(Protocol):
    def sendall(self, data: bytes, /) -> object: ...
    def recv(self, bufsize: int, /) -> bytes: ...


class Program:
    """Two threads that ask, and a listener, on one socket."""

    def __init__(self, sock: SocketLike, queries: int) -> None:
        self.sock = sock
        self.queries = queries
        self.wrong = 0
        self.lost = 0
        self.heard: list[bytes] = []
        self.stop = threading.Event()

    def receive(self, size: int) -> bytes:
        data = b""
        while len(data) < size and not self.stop.is_set():
            chunk = self.sock.recv(size - len(data))
            if not chunk:
                break
            data += chunk
        return data

    def ask(self, first: int) -> None:
        for number in range(first, self.queries + 1, THREADS):
            self.sock.sendall(load.query(number).to_bytes())
            try:
                answer = self.receive(128)
            except TimeoutError:
                self.lost += 1
                continue
            if len(answer) < 128:
                self.lost += 1
                return
            try:
                self.wrong += not load.is_answer(Frame.from_bytes(answer), number)
            except ValueError:
                self.wrong += 1

    def listen(self) -> None:
        while not self.stop.is_set():
            try:
                frame = self.receive(128)
            except TimeoutError:
                continue
            if len(frame) < 128:
                return
            self.heard.append(frame)
            size = int.from_bytes(frame[48:52], "little")
            if size:
                self.receive(size)

    def run(self) -> None:
        listener = threading.Thread(target=self.listen)
        askers = [threading.Thread(target=self.ask, args=(first + 1,)) for first in range(THREADS)]
        listener.start()
        for asker in askers:
            asker.start()
        for asker in askers:
            asker.join()
        self.stop.set()
        listener.join()
