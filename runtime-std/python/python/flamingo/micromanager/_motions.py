"""The motions of one or more axes: start, wait, stop. The stages of the core are in `stages.py`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from flamingo import FlamingoError, Halted, Microscope, PositionUnknown, Superseded, aio
from flamingo.micromanager._notifier import logger

#: An axis that stands this close to its target is not moved again: 0.1 µm (R: 0.0001 degrees). An engine sets X and Y
#: before each plane of a stack, although only Z changes.
AT_TARGET = 1e-4
#: For how long after `stop` a wait reports that the motion was stopped. A wait that had begun before learns of it; one
#: that begins later is about something else.
STOP_REPORTED_S = 1.0
#: How long `stop` waits for a thread that is sending a motion, before it sends a second HALT.
SENDING_S = 5.0


class Motions:
    """Follows the latest motion of these axes, on threads of its own, until it ends."""

    def __init__(self, microscope: Microscope, axes: Sequence[str], ended: Callable[[], None]) -> None:
        self._microscope = microscope
        self._axes = tuple(axes)
        self._ended = ended
        #: Never held while something is sent.
        self._lock = threading.Condition()
        #: The number of the latest command; what earlier ones report is not relevant any more.
        self._command = 0
        #: How many of its axes, or groups of axes, still move.
        self._moving = 0
        #: How many threads are sending a motion now, and how often `stop` was called.
        self._sending = self._stops = 0
        self._failure: FlamingoError | None = None
        self._failed_at = 0.0

    def move(self, targets: Mapping[str, float]) -> None:
        """Starts a motion to these targets (mm, R in degrees) and returns when the instrument has acknowledged it."""
        stops = self._stops
        if not self._moving:
            targets = {axis: at for axis, at in targets.items() if not self._stands_at(axis, at)}
        if not targets:
            with self._lock:
                self._failure = None
            return
        x, y, z, r = (targets.get(axis) for axis in "xyzr")
        self._begin(stops, 1, lambda: [self._microscope.stage.start_move(x=x, y=y, z=z, r=r).wait])

    def home(self) -> None:
        """Starts the motion of all axes to their home positions."""
        stage = self._microscope.native.stage

        def start() -> list[Callable[[], object]]:
            motions = [stage.start_home(axis).wait() for axis in self._axes]
            return [partial(_wait, motion) for motion in motions]

        self._begin(self._stops, len(self._axes), start)

    def stop(self) -> None:
        """HALT for all axes. It is sent before everything that is queued, and waits for nothing. A motion that another
        thread was about to send is not sent, or is halted as well."""
        with self._lock:
            self._stops += 1
            sending = self._sending > 0
        self._microscope.stage.halt(*self._axes)
        if sending:
            with self._lock:
                self._lock.wait_for(lambda: self._sending == 0, timeout=SENDING_S)
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

    def _begin(self, stops: int, count: int, start: Callable[[], Sequence[Callable[[], object]]]) -> None:
        """Starts motions, unless `stop` was called since `stops` was read, and follows each one with the function that
        waits for its end."""
        with self._lock:
            if stops != self._stops:
                raise Superseded(f"motion of {', '.join(self._axes)}: it was stopped before it began; nothing was sent")
            before, were_moving = self._command, self._moving
            command = self._command = before + 1
            self._moving, self._failure = count, None
            self._sending += 1
        try:
            waits = start()
        except BaseException:
            with self._lock:
                if command == self._command:  # an earlier motion is followed as before
                    self._command, self._moving = before, were_moving
            raise
        finally:
            with self._lock:
                self._sending -= 1
                self._lock.notify_all()
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


def _wait(motion: aio.Motion) -> object:
    """Waits for the end of a motion."""
    return motion.wait().wait()
