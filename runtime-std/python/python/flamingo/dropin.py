"""For programs that have a socket reader of their own: classes of the same shape, so that one import changes.

`socket` looks like a socket of the standard library that is connected to the control port. Each thread receives only
what belongs to it:

- A thread that has sent a command receives the answers to its own commands, in the order of their arrival.
- A thread that has sent nothing listens: it receives every frame that belongs to no command. If several threads
  listen, each receives all of them. The first one also receives what has arrived since the socket was connected.

So a thread that has sent a command receives no unsolicited frame any more: read them in another thread, or register
a handler with `CommandClient`.

`CommandClient` sends commands and returns parsed answers, and calls handlers for unsolicited frames.
"""

from __future__ import annotations

import logging
import socket as _socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any

from flamingo import _native
from flamingo._native import Event, Lane, ParsedMessage
from flamingo.callbacks import Callbacks, Registration

__all__ = ["CommandClient", "ParsedMessage", "create_connection", "socket", "timeout"]

_log = logging.getLogger("flamingo")

#: What `recv` raises when nothing has come in time: `flamingo.Timeout` is a subclass of it.
timeout = TimeoutError

#: The shortest time, in seconds, that an answer may take. A program may call `recv` again and again meanwhile.
_ANSWER = 3.0


class socket:
    """A socket-like object for the control port, shared by all threads of a program. See the text of the module.

    `family`, `type` and `proto` are accepted and not used. `fileno` and `select` are not possible, because one
    connection serves many threads.
    """

    def __init__(self, family: int = -1, type: int = -1, proto: int = -1) -> None:
        self._timeout: float | None = _socket.getdefaulttimeout()
        self._microscope: _native.Microscope | None = None
        self._link: _native.CommandLink | None = None
        self._lanes = threading.local()
        self._peer: tuple[str, int] | None = None

    def connect(self, address: tuple[str, int]) -> None:
        """Connects to the control port at `(host, port)`, and proves that the peer is an instrument."""
        host, port = address[0], address[1]
        shown = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        limit = self._timeout if self._timeout else 2.0
        call = _native.connect(shown, timeout=_ANSWER, connect_timeout=limit, load_settings=False)
        self._microscope = call.wait()
        self._link = _native.CommandLink(self._microscope)
        self._peer = (host, port)

    @property
    def native(self) -> _native.Microscope:
        """The connection itself."""
        if self._microscope is None:
            raise OSError("the socket is not connected; call connect")
        return self._microscope

    @property
    def link(self) -> _native.CommandLink:
        """The connection as bytes."""
        if self._link is None:
            raise OSError("the socket is not connected; call connect")
        return self._link

    def _lane(self) -> Lane:
        lane: Lane | None = getattr(self._lanes, "lane", None)
        if lane is None:
            lane = self.link.lane()
            self._lanes.lane = lane
        return lane

    def sendall(self, data: bytes, flags: int = 0) -> None:
        """Sends the bytes of commands. The rest of a command may come with the next call of this thread."""
        self._lane().sendall(bytes(data), max(self._timeout or 0.0, _ANSWER))

    def send(self, data: bytes, flags: int = 0) -> int:
        """As `sendall`; returns how many bytes there were."""
        self.sendall(data)
        return len(data)

    def recv(self, bufsize: int, flags: int = 0) -> bytes:
        """At most `bufsize` bytes of the next answer, or of the next frame of a thread that listens; none when the
        connection has ended. After the timeout of the socket it raises `TimeoutError`. Without a timeout, it does
        so when the instrument has not answered within 3 s."""
        return self._lane().recv(bufsize, self._timeout)

    def recv_into(self, buffer: bytearray | memoryview, nbytes: int = 0, flags: int = 0) -> int:
        """As `recv`, into a buffer; returns how many bytes there were."""
        view = memoryview(buffer).cast("B")
        data = self.recv(nbytes or len(view))
        view[: len(data)] = data
        return len(data)

    def settimeout(self, value: float | None) -> None:
        """How long `recv` waits, in seconds, in every thread."""
        self._timeout = value

    def gettimeout(self) -> float | None:
        """What `settimeout` has set."""
        return self._timeout

    def setblocking(self, flag: bool) -> None:
        """As `settimeout(None)` or `settimeout(0)`."""
        self._timeout = None if flag else 0.0

    def setsockopt(self, *options: Any) -> None:
        """Does nothing: the options that this connection needs are set."""

    def getpeername(self) -> tuple[str, int]:
        """The address that the socket is connected to."""
        if self._peer is None:
            raise OSError("the socket is not connected; call connect")
        return self._peer

    def fileno(self) -> int:
        """-1: one connection serves many threads, so `select` cannot be used with it."""
        return -1

    def shutdown(self, how: int) -> None:
        """Closes the connection."""
        self.close()

    def close(self) -> None:
        """Closes the connection. A thread that waits in `recv` receives no bytes."""
        microscope, self._microscope = self._microscope, None
        if microscope is not None:
            microscope.close().wait()

    def __enter__(self) -> socket:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def create_connection(
    address: tuple[str, int], timeout: float | None = None, source_address: tuple[str, int] | None = None
) -> socket:
    """Connects to the control port at `(host, port)`, as the function of the standard library."""
    made = socket()
    made.settimeout(timeout)
    made.connect(address)
    return made


def _connected(given: object) -> socket:
    """A socket of this module for what a program has."""
    if isinstance(given, socket):
        return given
    if isinstance(given, _socket.socket):
        # Two programs on one stream steal each other's bytes: this connection takes its place.
        peer, limit = given.getpeername(), given.gettimeout()
        given.close()
        return create_connection((peer[0], peer[1]), limit)
    if isinstance(given, tuple):
        return create_connection(given)
    host, _, port = str(given).rpartition(":")
    return create_connection((host.strip("[]"), int(port)))


class CommandClient:
    """Sends commands and returns their parsed answers, and calls handlers for unsolicited frames, for many threads.

    `command_socket` is a `socket` of this module, an address (`(host, port)` or `"host:port"`), or a connected
    socket of the standard library. Such a socket is closed, and a new connection to its peer takes its place,
    because two readers on one socket take each other's bytes.
    """

    def __init__(self, command_socket: socket | _socket.socket | tuple[str, int] | str) -> None:
        self.socket = _connected(command_socket)
        self._link = self.socket.link
        self._callbacks = Callbacks(self.socket.native)
        self._registered: dict[tuple[int, Callable[[ParsedMessage], object]], list[Registration]] = {}
        self._lock = threading.Lock()
        self._is_running = False
        self._is_paused = False
        self._callbacks_made = 0

    def start(self) -> None:
        """From now on `is_running` is true. The connection is read from the beginning."""
        self._is_running = True

    def stop(self, timeout: float = 2.0) -> None:
        """Ends the handlers. The socket stays connected."""
        self._is_running = False
        self._callbacks.close()
        with self._lock:
            self._registered.clear()

    def is_running(self) -> bool:
        """Whether `start` was called, and `stop` was not."""
        return self._is_running

    def pause(self, wait_timeout: float = 1.0) -> None:
        """Does nothing but set `is_paused`: no reader has to stop, since each thread receives only its own answers
        over `self.socket`."""
        self._is_paused = True

    def resume(self) -> None:
        """Ends `is_paused`."""
        self._is_paused = False

    def is_paused(self) -> bool:
        """Whether `pause` was called, and `resume` was not."""
        return self._is_paused

    def send_command(
        self, command_bytes: bytes, expected_response_code: int, timeout: float = 3.0
    ) -> ParsedMessage | None:
        """Sends the 128 bytes of a command, and its payload if it has one, and waits for its answer; None if it
        does not come within `timeout` seconds.

        If another code than that of the command is expected, it waits for the next frame with that code, such as
        STAGE_MOTION_STOPPED after a move. Raises `ConnectionLost`, and `InvalidCommand` for bytes that are no command.
        """
        message = self._link.ask(command_bytes, expected_response_code, timeout)
        if message is None:
            _log.warning("no answer with code 0x%04X within %s s", expected_response_code, timeout)
        return message

    def register_callback(self, command_code: int, handler: Callable[[ParsedMessage], object]) -> None:
        """Calls `handler(message)` with each unsolicited frame of this code, in a thread of its own."""

        def call(event: Event) -> None:
            message = ParsedMessage.of_event(event)
            if message is not None:
                self._callbacks_made += 1
                handler(message)

        registration = self._callbacks.add(int(command_code), call)
        with self._lock:
            self._registered.setdefault((int(command_code), handler), []).append(registration)

    def unregister_callback(self, command_code: int, handler: Callable[[ParsedMessage], object]) -> None:
        """Ends what `register_callback` began. A handler that is not registered is no error."""
        with self._lock:
            registered = self._registered.get((int(command_code), handler), [])
            registration = registered.pop() if registered else None
        if registration is not None:
            registration.cancel()

    def get_stats(self) -> dict[str, Any]:
        """The counters, under the keys that socket readers use."""
        stats = self.socket.native.stats().wait()
        frames = stats["solicited"] + stats["late"] + stats["ambiguous"] + stats["unsolicited"]
        return {
            "reader": {
                "messages_read": frames,
                "parse_errors": stats["noise_bytes"],
                "socket_errors": 0,
                "bytes_read": 128 * frames + stats["payload_bytes"] + stats["noise_bytes"],
            },
            "dispatcher": {
                "messages_received": frames,
                "responses_dispatched": stats["solicited"],
                "callbacks_dispatched": self._callbacks_made,
                "messages_dropped": stats["events_lost"],
            },
        }
