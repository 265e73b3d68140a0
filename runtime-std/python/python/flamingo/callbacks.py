"""Handlers of events by code. One thread for each connection calls them, one after the other, and holds no lock."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from flamingo._native import Event

if TYPE_CHECKING:
    from flamingo import aio

_log = logging.getLogger("flamingo")

#: The key of handlers for the events of all codes.
ALL_CODES: int | None = None


class Registration:
    """A handler that was registered. `cancel` ends it."""

    def __init__(self, callbacks: Callbacks, code: int | None, handler: Callable[[Event], object]) -> None:
        self._callbacks = callbacks
        self._code = code
        self.handler = handler

    def cancel(self) -> None:
        """No event that comes later is given to the handler."""
        self._callbacks.remove(self._code, self)


class Callbacks:
    """The handlers of a connection, and the thread that calls them. The thread begins with the first handler."""

    def __init__(self, native: aio.Microscope) -> None:
        self._native = native
        self._lock = threading.Lock()
        self._handlers: dict[int | None, list[Registration]] = {}
        self._events: aio.EventStream | None = None
        self._thread: threading.Thread | None = None

    def add(self, code: int | None, handler: Callable[[Event], object]) -> Registration:
        """Calls `handler` with each event of this code, or of all codes, from now on."""
        if not callable(handler):
            raise TypeError(f"handler: expected a function of one argument, found {handler!r}")
        registration = Registration(self, code, handler)
        with self._lock:
            self._handlers.setdefault(code, []).append(registration)
            if self._events is None:
                self._events = self._native.events()
                self._thread = threading.Thread(
                    target=self._run, args=(self._events,), name="flamingo-callbacks", daemon=True
                )
                self._thread.start()
        return registration

    def remove(self, code: int | None, registration: Registration) -> None:
        with self._lock:
            registered = self._handlers.get(code, [])
            if registration in registered:
                registered.remove(registration)

    def close(self) -> None:
        """Ends the thread after the handler that runs now. A handler may call this itself."""
        with self._lock:
            events, thread = self._events, self._thread
            self._events, self._thread = None, None
            self._handlers.clear()
        if events is not None:
            events.close()
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout=5)

    def _run(self, events: aio.EventStream) -> None:
        while batch := events.next_batch().wait():
            for event in batch:
                self._call(event)

    def _call(self, event: Event) -> None:
        with self._lock:
            handlers = [*self._handlers.get(ALL_CODES, ())]
            if event.code is not None:
                handlers += self._handlers.get(event.code, ())
        for registration in handlers:
            try:
                registration.handler(event)
            except Exception:
                # A mistake in one handler must not end the others.
                _log.exception("the handler %r of %r failed", registration.handler, event)
