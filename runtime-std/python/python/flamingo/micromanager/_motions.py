"""The motions of one or more axes: start, wait, stop. The stages of the core are in `stages.py`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from flamingo import FlamingoError, Halted, Microscope, PositionUnknown
from flamingo.micromanager._notifier import logger

#: An axis that stands this close to its target is not moved again: 0.1 µm (R: 0.0001 degrees). An engine sets X and Y
#: before each plane of a stack, although only Z changes.
AT_TARGET = 1e-4
#: For how long after `stop` a wait reports that the motion was stopped. Whoever waited then learns of it; a wait that
#: begins later is about something else.
STOP_REPORTED_S = 1.0


class Motions:
    """Follows the latest motion of these axes, on threads of its own, until it ends."""

    def __init__(self, microscope: Microscope, axes: Sequence[str], ended: Callable[[], None]) -> None:
        self._microscope = microscope
        self._axes = tuple(axes)
        self._ended = ended
        self._lock = threading.Lock()
        #: The number of the latest command; what earlier ones report is not relevant any more.
        self._command = 0
        #: How many of its axes, or groups of axes, still move.
        self._moving = 0
        self._failure: FlamingoError | None = None
        self._failed_at = 0.0

    def move(self, targets: Mapping[str, float]) -> None:
        """Starts a motion to these targets (mm, R in degrees) and returns when the instrument has acknowledged it."""
        if not self._moving:
            targets = {axis: at for axis, at in targets.items() if not self._stands_at(axis, at)}
        if not targets:
            with self._lock:
                self._failure = None
            return
        x, y, z, r = (targets.get(axis) for axis in "xyzr")
        self._begin(1, lambda: [self._microscope.stage.start_move(x=x, y=y, z=z, r=r).wait])

    def home(self) -> None:
        """Starts the motion of all axes to their home positions."""
        home = self._microscope.stage.home
        self._begin(len(self._axes), lambda: [partial(home, axis) for axis in self._axes])

    def stop(self) -> None:
        """HALT for all axes. It is sent before everything that is queued, and waits for no lock."""
        self._microscope.stage.halt(*self._axes)

    def is_moving(self) -> bool:
        """Whether the latest motion goes on. If it ended elsewhere than at its target, this raises why, once."""
        with self._lock:
            if self._moving or self._failure is None:
                return self._moving > 0
            failure, self._failure = self._failure, None
            age = time.monotonic() - self._failed_at
        if isinstance(failure, Halted) and age > STOP_REPORTED_S:
            return False
        raise failure

    def _stands_at(self, axis: str, target: float) -> bool:
        try:
            return abs(self._microscope.stage.position(axis) - target) <= AT_TARGET
        except PositionUnknown:  # as while something else moves it
            return False

    def _begin(self, count: int, start: Callable[[], Sequence[Callable[[], object]]]) -> None:
        """Starts motions, and follows each one with the function that waits for its end."""
        with self._lock:
            before, were_moving = self._command, self._moving
            command = self._command = before + 1
            self._moving, self._failure = count, None
        try:
            waits = start()
        except BaseException:
            with self._lock:
                if command == self._command:  # an earlier motion is followed as before
                    self._command, self._moving = before, were_moving
            raise
        name = f"flamingo-motion-{''.join(self._axes)}"
        for wait in waits:
            threading.Thread(target=self._follow, args=(command, wait), name=name, daemon=True).start()

    def _follow(self, command: int, wait: Callable[[], object]) -> None:
        failure: FlamingoError | None = None
        try:
            wait()
        except FlamingoError as error:
            failure = error
        with self._lock:
            if command != self._command:
                return
            self._failure, self._failed_at = self._failure or failure, time.monotonic()
            self._moving -= 1
            if self._moving > 0:
                return
            failure = self._failure
        if failure is not None:
            logger.warning("motion of %s: %s", ", ".join(self._axes), failure)
        try:
            self._ended()
        except FlamingoError as error:
            logger.warning("position of %s after a motion: %s", ", ".join(self._axes), error)
