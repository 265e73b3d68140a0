"""The illumination paths of the core: left, right, both or none."""

from __future__ import annotations

from flamingo import InvalidValue, Microscope
from flamingo.micromanager._notifier import Notifier
from flamingo.micromanager._states import NamedStates

#: Nothing was sent yet, so the paths are as the instrument or another program has them.
NOT_SET = 0
#: For each other state: whether the left and the right path are open.
PATHS = {1: (True, False), 2: (False, True), 3: (True, True), 4: (False, False)}


class FlamingoIllumination(NamedStates):
    """The illumination paths. The instrument cannot be asked for them: "Not set" until this program sets them."""

    def __init__(self, microscope: Microscope, notifier: Notifier) -> None:
        super().__init__(microscope, notifier, {NOT_SET: "Not set", 1: "Left", 2: "Right", 3: "Both", 4: "None"})
        self._state = NOT_SET

    def get_state(self) -> int:
        """What this program has set."""
        return self._state

    def set_state(self, position: int) -> None:
        """Opens and closes the paths. A path that is closed goes first."""
        if position == NOT_SET:
            raise InvalidValue(f'{self.get_label()}: expected "Left", "Right", "Both" or "None", found "Not set"')
        left, right = PATHS[position]
        paths = self.microscope.illumination
        for is_open, set_path in sorted([(left, paths.set_left), (right, paths.set_right)], key=lambda path: path[0]):
            set_path(is_open)
        self._state = position
