"""What the tests of the devices for Micro-Manager share: a core with a simulated instrument.

The fixtures are registered in `conftest.py`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

import flamingo

if TYPE_CHECKING:
    from pymmcore_plus.experimental.unicore import UniMMCore

MISSING = 'needs `pip install "flamingo-link[micromanager]"`'


@pytest.fixture
def core(sim: flamingo.Simulator) -> Iterator[UniMMCore]:
    """A core with the devices of `sim`."""
    unicore = pytest.importorskip("pymmcore_plus.experimental.unicore", reason=MISSING)
    from flamingo.micromanager import load_flamingo

    loaded: UniMMCore = unicore.UniMMCore()
    load_flamingo(loaded, sim.address)
    yield loaded
    loaded.unloadAllDevices()


@pytest.fixture
def commands(sim: flamingo.Simulator) -> Callable[[], list[str]]:
    """Returns the names of the commands that the instrument received since the last call; lasers and the filter wheel
    with their number."""
    taken = 0

    def since() -> list[str]:
        nonlocal taken
        received = sim.received()
        new, taken = received[taken:], len(received)
        return [_name(command.frame) for command in new]

    return since


def _name(frame: flamingo.Frame) -> str:
    name = flamingo.code_name(frame.code) or hex(frame.code)
    numbered = name.startswith(("LASER", "FILTER", "STAGE"))
    return f"{name} {frame.selector}" if numbered else name


class Heard:
    """The arguments with which a signal was emitted, and a wait for the next ones."""

    def __init__(self, signal: Any) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self._changed = threading.Condition()
        signal.connect(self._hear)

    def _hear(self, *values: Any) -> None:
        with self._changed:
            self.calls.append(values)
            self._changed.notify_all()

    def wait_for(self, expected: tuple[Any, ...]) -> None:
        """Waits until the signal was emitted with these arguments."""
        with self._changed:
            assert self._changed.wait_for(lambda: expected in self.calls, timeout=10), self.calls


@pytest.fixture
def hear() -> type[Heard]:
    """Makes a `Heard` of a signal."""
    return Heard
