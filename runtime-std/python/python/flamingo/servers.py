"""The simulator and the bridge, as context managers."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any

from flamingo import _native
from flamingo._native import ReceivedCommand, SentFrame
from flamingo.errors import InvalidValue


def _toml(given: str | os.PathLike[str] | None) -> str:
    """The text of a TOML file: the text itself, or of a path."""
    if given is None:
        return ""
    if isinstance(given, str) and ("=" in given or "[" in given or not given.strip()):
        return given
    try:
        return Path(given).read_text(encoding="utf-8")
    except OSError as error:
        expected = "expected TOML, or the path of a file that can be read"
        raise InvalidValue(f"{expected}, found {str(given)!r}: {error.strerror}") from error


class Simulator:
    """A simulated instrument on three ports of this computer. `simulator` starts one."""

    def __init__(self, native: _native.Simulator) -> None:
        self._native = native

    @property
    def address(self) -> str:
        """`HOST:PORT` of the control port."""
        return self._native.address

    @property
    def live_address(self) -> str:
        """`HOST:PORT` of the port of live images."""
        return self._native.live_address

    @property
    def stack_address(self) -> str:
        """`HOST:PORT` of the port of stack images."""
        return self._native.stack_address

    def sent(self) -> list[SentFrame]:
        """Every frame that it sent to any client, and what each really is. No client can see this."""
        return self._native.sent()

    def received(self) -> list[ReceivedCommand]:
        """Every command that it received."""
        return self._native.received()

    def stop(self) -> None:
        """Closes all sockets, and waits until its threads have ended."""
        self._native.stop().wait()

    def __enter__(self) -> Simulator:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def simulator(
    scenario: str | os.PathLike[str] | None = None,
    *,
    seed: int | None = None,
    bind: str = "127.0.0.1",
    port: int = 0,
) -> Simulator:
    """Starts a simulated instrument, which listens when this returns.

    `scenario` is the text of a scenario in TOML, or the path of its file; without it the instrument is healthy.
    `seed` replaces the seed of the scenario. Port 0 takes three free ports in a row. Raises `InvalidValue` or
    `CannotStart`.

        with flamingo.simulator("[images]\\nwidth = 64\\nheight = 64\\n") as sim:
            microscope = flamingo.connect(sim.address)
    """
    return Simulator(_native.start_simulator(_toml(scenario), seed, bind, port))


class Bridge:
    """A bridge: many clients on one connection to the instrument. `bridge` starts one."""

    def __init__(self, native: _native.Bridge) -> None:
        self._native = native

    @property
    def address(self) -> str:
        """`HOST:PORT` of the control port for clients."""
        return self._native.address

    @property
    def live_address(self) -> str | None:
        """`HOST:PORT` of the port of live images; None if it is off."""
        return self._native.live_address

    @property
    def stack_address(self) -> str | None:
        """`HOST:PORT` of the port of stack images; None if it is off."""
        return self._native.stack_address

    @property
    def callback_address(self) -> str | None:
        """`HOST:PORT` of the port of unsolicited messages; None if it is off."""
        return self._native.callback_address

    @property
    def status_address(self) -> str | None:
        """`HOST:PORT` of the status page; None if it is off."""
        return self._native.status_address

    def status(self) -> dict[str, Any]:
        """What the status page shows; empty if the bridge was stopped."""
        text = self._native.status_json().wait()
        status: dict[str, Any] = json.loads(text) if text is not None else {}
        return status

    def wait_until_connected(self, timeout: float = 10.0) -> None:
        """Waits until the instrument has reported its state. Raises `Timeout`."""
        self._native.until_connected(timeout).wait()

    def stop(self) -> None:
        """Finishes the commands in flight, 5 s at most, and stops."""
        self._native.stop().wait()

    def __enter__(self) -> Bridge:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def bridge(
    instrument: str | None = None,
    *,
    settings: str | os.PathLike[str] | None = None,
    listen: str | None = None,
) -> Bridge:
    """Starts a bridge, which listens when this returns and connects to the instrument in the background.

    `instrument` is `HOST:PORT` of the control port. `settings` is the text of a settings file in TOML, or its
    path; `instrument` and `listen` (`IP:PORT`) replace what it says. Without `listen` and `settings` the bridge
    takes free ports of this computer. Raises `InvalidValue` or `CannotStart`.
    """
    if listen is None and settings is None:
        listen = "127.0.0.1:0"
    return Bridge(_native.start_bridge(instrument, _toml(settings), listen))
