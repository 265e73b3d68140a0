"""The filter wheel of the core, and which of its positions has which filter."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from flamingo import Microscope, NotCompleted
from flamingo.micromanager._notifier import Notifier
from flamingo.micromanager._states import NamedStates

#: How long the wheel may take to report its new position, in seconds.
TURN_S = 5.0
#: The positions that are accepted if the scope settings describe no filter.
USUAL_LAST = 8


def positions(filters: Sequence[tuple[int, str]], assigned: Sequence[int]) -> Mapping[int, str]:
    """The label of each position that can be set.

    The settings number their filters from 1, and assign positions to lasers. If a laser has position 0, positions count
    from 0; if one has the number of filters, they count from 1. Otherwise it is not known, and labels name no filter.
    """
    count = len(filters)
    if count == 0:
        return {position: f"Position {position}" for position in range(USUAL_LAST + 1)}
    if 0 in assigned:
        first = 0
    elif count in assigned:
        first = 1
    else:
        return {position: f"Position {position}" for position in range(count + 1)}
    names = [name for _, name in filters]
    labels = [name if names.count(name) == 1 and name else f"{name} ({number})" for number, name in filters]
    return {number - 1 + first: label for (number, _), label in zip(filters, labels, strict=True)}


class FlamingoFilterWheel(NamedStates):
    """The filter wheel. Its states are the positions in the count of the instrument."""

    def __init__(self, microscope: Microscope, notifier: Notifier, labels: Mapping[int, str]) -> None:
        super().__init__(microscope, notifier, labels)
        self._target: int | None = None
        self._deadline = 0.0

    def label_of(self, position: int) -> str | None:
        """The label of a position; None if it cannot be set."""
        label = self._state_to_label.get(position)
        return None if label is None else str(label)

    def get_state(self) -> int:
        """The position that the instrument reports."""
        return self.microscope.filter_wheel.position()

    def set_state(self, position: int) -> None:
        """Turns the wheel. Returns when the instrument has acknowledged it."""
        self.microscope.filter_wheel.set_position(position)
        self._target, self._deadline = position, time.monotonic() + TURN_S

    def busy(self) -> bool:
        """Whether the wheel still turns. Raises `NotCompleted` once if it reports another position for too long."""
        super().busy()
        if self._target is None:
            return False
        position = self.get_state()
        if position == self._target:
            self._target = None
            return False
        if time.monotonic() < self._deadline:
            return True
        target, self._target = self._target, None
        raise NotCompleted(
            f"{self.get_label()}: expected position {target} within {TURN_S:g} s, found {position}; set it again"
        )
