"""Compares the package with what pure Python does, side by side in one run.

    python benches/compare.py [--quick] [--check]

- Round trips per second: `CommandClient.send_command`, beside a reader thread in pure Python with a queue for each
  expected code, as today's clients have. Both ask the same simulator in turns.
- Images per second: `ImageStream`, beside a loop of `recv_into` into one buffer. Both read 2048 x 2048 images from
  the same sender, a process of its own, in turns.

Each ratio is the median of the ratios of the rounds. `--check` fails below 3 and below 0.9. Build the package with
`pip install .` before, which optimizes.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import queue
import socket
import statistics
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection

import numpy

import flamingo
from flamingo import Code, Frame, dropin

LEAST_ROUND_TRIPS, LEAST_IMAGES = 3.0, 0.9
SIDE = 2048
#: What today's clients set.
RECEIVE_BUFFER = 1 << 20
_FIELDS = struct.Struct("<IIiiiiiiiIdI72sI")


class ReaderThread:
    """Today's way: a thread reads the socket and gives each frame to the queue of whoever expects its code."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.sock = socket.create_connection(address)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.lock, self.send_lock = threading.Lock(), threading.Lock()
        self.pending: dict[int, queue.Queue[tuple[object, ...]]] = {}
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _receive(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            chunk = self.sock.recv(size - len(data))
            if not chunk:
                return b""
            data += chunk
        return data

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            while data := self._receive(128):
                fields = _FIELDS.unpack(data)
                if fields[11]:
                    self._receive(fields[11])
                with self.lock:
                    expected = self.pending.pop(fields[1], None)
                if expected is not None:
                    expected.put_nowait(fields)

    def send_command(self, command: bytes, expected_code: int, timeout: float = 3.0) -> tuple[object, ...] | None:
        answers: queue.Queue[tuple[object, ...]] = queue.Queue(maxsize=1)
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
        self.sock.shutdown(socket.SHUT_RDWR)
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


def round_trips(count: int, rounds: int) -> float:
    quick = "[latency]\nmin_ms = 0.0\nmax_ms = 0.0\n"
    command, code = Frame(Code.SYSTEM_STATE_GET).to_bytes(), int(Code.SYSTEM_STATE_GET)
    with flamingo.simulator(quick) as sim:
        host, port = sim.address.rsplit(":", 1)
        address = (host, int(port))
        client, reader = dropin.CommandClient(address), ReaderThread(address)

        def ask(send_command: Callable[[bytes, int], object]) -> float:
            def work() -> None:
                for _ in range(count):
                    if send_command(command, code) is None:
                        raise SystemExit("an answer was lost")

            return per_second(count, work)

        ratio = side_by_side(
            "round trips", rounds, lambda: ask(client.send_command), lambda: ask(reader.send_command)
        )
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
    rounds = 1 if args.quick else 9
    ratios = [
        ("round trips", round_trips(200 if args.quick else 3000, rounds), LEAST_ROUND_TRIPS),
        ("images", images(10 if args.quick else 100, rounds), LEAST_IMAGES),
    ]
    low = [f"{name}: {ratio:.2f}, expected {least} or more" for name, ratio, least in ratios if ratio < least]
    if args.check and low:
        sys.exit("; ".join(low))


if __name__ == "__main__":
    main()
