"""Compares the package with what pure Python does, side by side in one run.

    python benches/compare.py [--quick] [--check]

- Round trips per second, of one thread and of four: `CommandClient.send_command`, beside a reader thread in pure Python with a queue for each
  expected code, as today's clients have. Both ask the same simulator in turns.
- Images per second: `ImageStream`, beside a loop of `recv_into` into one buffer. Both read 2048 x 2048 images from
  the same sender, a process of its own, in turns.

Each ratio is the median of the ratios of the rounds. `--check` fails below 3 for one thread, and below 0.9 for
images. Four threads share one connection, and one of them at a time runs Python. Build the package with
`pip install .` before, which optimizes.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import multiprocessing
import queue
import socket
import statistics
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

import numpy

import flamingo
from flamingo import Code, Frame, dropin

LEAST_ROUND_TRIPS, LEAST_IMAGES = 3.0, 0.9
SIDE = 2048
#: What today's clients set.
RECEIVE_BUFFER = 1 << 20
_log = logging.getLogger("reader")


@dataclass
class Message:
    """A frame, read as today's clients read it: field by field."""

    raw_data: bytes
    start_marker: int
    command_code: int
    status_code: int
    hardware_id: int
    subsystem_id: int
    client_id: int
    int32_data0: int
    int32_data1: int
    int32_data2: int
    cmd_data_bits: int
    value: float
    additional_data_size: int
    data_field: bytes
    end_marker: int
    timestamp: float = field(default_factory=time.time)
    additional_data: bytes | None = None

    @classmethod
    def parse(cls, data: bytes) -> Message:
        words = [struct.unpack("<I", data[at : at + 4])[0] for at in range(0, 24, 4)]
        signed = [struct.unpack("<i", data[at : at + 4])[0] for at in range(24, 36, 4)]
        (bits,), (value,) = struct.unpack("<I", data[36:40]), struct.unpack("<d", data[40:48])
        (size,), (end,) = struct.unpack("<I", data[48:52]), struct.unpack("<I", data[124:128])
        fields: list[Any] = [data, *words, *signed, bits, value, size, data[52:124], end]
        return cls(*fields)

    @property
    def is_valid(self) -> bool:
        return (self.start_marker, self.end_marker) == (0xF321E654, 0xFEDC4321)


class ReaderThread:
    """Today's way: a thread reads the socket, with a timeout of 0.5 s so that it can be stopped, and puts each frame into
    the queue of whoever expects its code."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.sock = socket.create_connection(address)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.settimeout(0.5)
        self.lock, self.send_lock = threading.Lock(), threading.Lock()
        self.running = threading.Event()
        self.running.set()
        self.pending: dict[int, queue.Queue[Message]] = {}
        self.stats = {"messages_read": 0, "bytes_read": 0, "responses_dispatched": 0}
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _receive(self, size: int) -> bytes | None:
        data = b""
        while len(data) < size:
            try:
                chunk = self.sock.recv(size - len(data))
            except TimeoutError:
                if not data:
                    return None
                continue
            if not chunk:
                return b""
            data += chunk
            self.stats["bytes_read"] += len(chunk)
        return data

    def _read(self) -> None:
        while self.running.is_set():
            data = self._receive(128)
            if data is None:
                continue
            if not data:
                return
            message = Message.parse(data)
            if not message.is_valid:
                continue
            if message.additional_data_size > 0:
                message.additional_data = self._receive(message.additional_data_size)
            self._dispatch(message)
            self.stats["messages_read"] += 1

    def _dispatch(self, message: Message) -> None:
        with self.lock:
            expected = self.pending.pop(message.command_code, None)
            if expected is None:
                return
            expected.put_nowait(message)
            self.stats["responses_dispatched"] += 1
            _log.info("answer of 0x%04X to the waiting caller", message.command_code)

    def send_command(self, command: bytes, expected_code: int, timeout: float = 3.0) -> Message | None:
        answers: queue.Queue[Message] = queue.Queue(maxsize=1)
        with self.lock:
            self.pending[expected_code] = answers
        try:
            with self.send_lock:
                self.sock.sendall(command)
            return answers.get(timeout=timeout)
        except queue.Empty:
            return None
        finally:
            with self.lock:
                self.pending.pop(expected_code, None)

    def close(self) -> None:
        self.running.clear()
        self.thread.join()
        self.sock.close()


def per_second(count: int, work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return count / (time.perf_counter() - begun)


def side_by_side(name: str, rounds: int, ours: Callable[[], float], theirs: Callable[[], float]) -> float:
    """Measures both in turns, and returns the median of the ratios."""
    pairs = []
    for each in range(rounds + 1):
        first, second = (ours, theirs) if each % 2 else (theirs, ours)
        one, other = first(), second()
        pair = (one, other) if each % 2 else (other, one)
        if each:  # the first round warms up
            pairs.append(pair)
    ratio = statistics.median(mine / other for mine, other in pairs)
    mine, other = (statistics.median(values) for values in zip(*pairs, strict=True))
    print(f"{name}: {mine:.0f} beside {other:.0f} per second, ratio {ratio:.2f}")
    return ratio


#: One code for each thread: a reader thread has one queue for each code.
_QUERIES = [
    Code.SYSTEM_STATE_GET,
    Code.STAGE_POSITION_GET,
    Code.CAMERA_IMAGE_SIZE_GET,
    Code.CAMERA_PIXEL_FIELD_OF_VIEW_GET,
]


def round_trips(count: int, rounds: int, threads: int) -> float:
    quick = "[latency]\nmin_ms = 0.0\nmax_ms = 0.0\n"
    with flamingo.simulator(quick) as sim:
        host, port = sim.address.rsplit(":", 1)
        address = (host, int(port))
        client, reader = dropin.CommandClient(address), ReaderThread(address)

        def ask(send_command: Callable[[bytes, int], object]) -> float:
            def work(code: Code) -> None:
                command, number = Frame(code, selector=1).to_bytes(), int(code)
                for _ in range(count // threads):
                    if send_command(command, number) is None:
                        raise SystemExit("an answer was lost")

            def all_threads() -> None:
                if threads == 1:
                    return work(_QUERIES[0])
                with ThreadPoolExecutor(threads) as workers:
                    list(workers.map(work, _QUERIES[:threads]))

            return per_second(count, all_threads)

        name = "round trips, 1 thread" if threads == 1 else f"round trips, {threads} threads"
        ratio = side_by_side(name, rounds, lambda: ask(client.send_command), lambda: ask(reader.send_command))
        reader.close()
        client.socket.close()
    return ratio


def _send_images(ports: Connection) -> None:
    """Sends the same image to each client, as fast as it is read."""
    size = 2 * SIDE * SIDE
    image = struct.pack("<10I", size, SIDE, SIDE, 0, 65535, 0, 0x10, 0, 0, 0) + bytes(range(256)) * (size // 256)
    with socket.create_server(("127.0.0.1", 0)) as server:
        ports.send(server.getsockname()[1])
        while True:
            client, _ = server.accept()
            with client, contextlib.suppress(OSError):
                while True:
                    client.sendall(image)


@contextlib.contextmanager
def image_sender() -> Iterator[int]:
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_send_images, args=(theirs,), daemon=True)
    process.start()
    try:
        yield ours.recv()
    finally:
        process.terminate()
        process.join()


def images(count: int, rounds: int) -> float:
    with flamingo.simulator() as sim, flamingo.connect(sim.address, settle=0) as microscope, image_sender() as port:

        def ours() -> float:
            with microscope.live_images(address=f"127.0.0.1:{port}", every=True) as stream:

                def work() -> None:
                    for image, _ in zip(stream, range(count), strict=False):
                        if image.pixels[-1, -1] != 0xFFFE:
                            raise SystemExit("a pixel is wrong")

                return per_second(count, work)

        def theirs() -> float:
            with socket.create_connection(("127.0.0.1", port)) as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
                header, buffer = bytearray(40), bytearray(2 * SIDE * SIDE)

                def fill(into: bytearray) -> None:
                    view = memoryview(into)
                    while view:
                        view = view[sock.recv_into(view) :]

                def work() -> None:
                    for _ in range(count):
                        fill(header)
                        fill(buffer)
                        pixels = numpy.frombuffer(buffer, "<u2").reshape(SIDE, SIDE)
                        if pixels[-1, -1] != 0xFFFE:
                            raise SystemExit("a pixel is wrong")

                return per_second(count, work)

        return side_by_side("images", rounds, ours, theirs)


def main() -> None:
    parser = argparse.ArgumentParser(description="Compares the package with pure Python.")
    parser.add_argument("--quick", action="store_true", help="few rounds, to see that it runs")
    parser.add_argument("--check", action="store_true", help="fail if a ratio is too low")
    args = parser.parse_args()
    rounds, count = (1, 200) if args.quick else (9, 4000)
    ratios = [
        ("round trips of 1 thread", round_trips(count, rounds, 1), LEAST_ROUND_TRIPS),
        ("round trips of 4 threads", round_trips(count, rounds, 4), None),
        ("images", images(10 if args.quick else 100, rounds), LEAST_IMAGES),
    ]
    low = [f"{name}: {ratio:.2f}, expected {least} or more" for name, ratio, least in ratios if least and ratio < least]
    if args.check and low:
        sys.exit("; ".join(low))


if __name__ == "__main__":
    main()
