"""Emits the signals of the core, on one thread of its own and in order.

The core holds the lock of a device while it calls the device, and that lock cannot be taken twice by one thread. A
signal that the device emitted there would run its slots in the same thread: a slot that asks the core for a property
of the device would wait for ever.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable

logger = logging.getLogger("flamingo.micromanager")


class Notifier:
    """Runs functions one after the other. Its thread starts with the first one, and `close` ends it."""

    def __init__(self) -> None:
        self._waiting: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def post(self, emit: Callable[[], object]) -> None:
        """Runs `emit` soon. An error in it is logged."""
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="flamingo-notifier", daemon=True)
                self._thread.start()
        self._waiting.put(emit)

    def close(self) -> None:
        """Ends the thread after what waits."""
        with self._starting:
            if self._thread is not None:
                self._waiting.put(None)
                self._thread = None

    def _run(self) -> None:
        while (emit := self._waiting.get()) is not None:
            try:
                emit()
            except Exception:
                logger.exception("a slot of a signal failed")
