"""What all devices share: the microscope, signals, and failures that the next wait reports again.

An acquisition engine sets devices, waits for them, and takes an image. Those of pymmcore-plus log an error of
`setXYPosition`, `setExposure`, `setConfig` and `snapImage` as a warning and go on; then the image shows another place
than its metadata says. So a device remembers the failure of a setter, and `busy()` raises it once: the wait before
the next image ends the acquisition.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pymmcore_plus.experimental.unicore import Device

from flamingo import FlamingoError, Microscope
from flamingo.micromanager._notifier import Notifier, logger


class NotReady(FlamingoError):
    """A device is not in the state that it was told to take. The cause is the failure that it had."""


class Checked(Device):
    """A device of a Flamingo. All of them share one connection, which many threads may use."""

    def __init__(self, microscope: Microscope, notifier: Notifier, *args: Any) -> None:
        super().__init__(*args)
        self.microscope = microscope
        self._notifier = notifier
        self._failures: dict[str, Exception] = {}

    @contextmanager
    def _checked(self, what: str) -> Iterator[None]:
        """Remembers an error of what runs within; success forgets an earlier error of the same kind."""
        try:
            yield
        except Exception as error:
            self._failures[what] = error
            raise
        self._failures.pop(what, None)

    def _raise_failure(self) -> None:
        """Raises what is remembered, once."""
        failures, self._failures = self._failures, {}
        for failure in failures.values():
            raise NotReady(f"{self.get_label()}: {'; '.join(map(str, failures.values()))}") from failure

    def busy(self) -> bool:
        """Whether the device is still changing. Raises `NotReady` once after a setter failed."""
        self._raise_failure()
        return False

    def _emit(self, signal: str, *values: object) -> None:
        """Emits a signal of the core, with the label of this device before the values."""
        if self._core_proxy_ is None:  # not loaded, or unloaded meanwhile
            return
        emit, label = getattr(self.core.events, signal).emit, self.get_label()
        self._notifier.post(lambda: emit(label, *values))

    def _try(self, what: str, action: Callable[[], object]) -> None:
        """Runs an action whose failure must not prevent the ones after it, as at shutdown."""
        try:
            action()
        except FlamingoError as error:
            logger.error("%s: %s failed: %s", self.get_label(), what, error)


__all__ = ["Checked", "NotReady"]
