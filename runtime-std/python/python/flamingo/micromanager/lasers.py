"""The lasers of the core: off, on, preview, and the power. What they are doing is shared by all of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from flamingo import Busy, Microscope
from flamingo.micromanager._notifier import Notifier
from flamingo.micromanager._states import NamedStates

LASERS = (1, 2, 3, 4)
OFF, ON, PREVIEW = 0, 1, 2
STATES = {OFF: "Off", ON: "On", PREVIEW: "Preview"}
POWER = "Power (%)"


def refuse_during_workflow(microscope: Microscope, what: str) -> None:
    """Raises `Busy` if a workflow runs, which has its own light. An error of the question is raised as well."""
    state = microscope.state()
    if state == "WORK_FLOW_RUNNING":
        busy = Busy(f"{what}: a workflow runs, and it switches the light itself; wait for its end (nothing was sent)")
        busy.state = state
        raise busy


class LaserStates:
    """What this program has switched on. The instrument cannot be asked, so lasers that another program switches are
    not known here."""

    def __init__(self, microscope: Microscope) -> None:
        self._microscope = microscope
        self._states: dict[int, int] = {}
        self._lock = threading.Lock()
        #: How often a laser was switched on: begun and ended.
        self._begun = self._ended = 0
        self._listeners: list[Callable[[], None]] = []

    def listen(self, changed: Callable[[], None]) -> None:
        """Calls `changed` after each command."""
        self._listeners.append(changed)

    def of(self, number: int) -> int:
        """The state of a laser."""
        return self._states.get(number, OFF)

    def set(self, number: int, state: int) -> None:
        """Switches a laser. Preview switches all others off. Nothing is switched on while a workflow runs."""
        if state == OFF:
            self._switch_off(lambda: self._microscope.lasers.disable(number), (number,))
            return
        refuse_during_workflow(self._microscope, f"laser {number}")
        with self._lock:
            self._begun += 1
            try:
                # Noted first: if the command fails, it is not known whether the laser is on.
                if state == PREVIEW:
                    self._states = {number: state}
                    self._microscope.lasers.enable_preview(number)
                else:
                    self._states[number] = state
                    self._microscope.lasers.enable(number)
            finally:
                self._ended += 1
        self._tell()

    def all_off(self) -> None:
        """Switches all lasers off, before everything that is queued, whatever is noted about them."""
        self._switch_off(self._microscope.lasers.disable_all, LASERS)

    def _switch_off(self, send: Callable[[], None], numbers: Sequence[int]) -> None:
        begun, ended = self._begun, self._ended
        send()  # at once, also while another thread is switching a laser on
        with self._lock:
            if ended != begun or self._begun != begun:
                send()  # that thread may have been later than the first one
            for number in numbers:
                self._states.pop(number, None)
        self._tell()

    def _tell(self) -> None:
        for changed in self._listeners:
            changed()


class FlamingoLaser(NamedStates):
    """A laser, by its number from 1 to 4. "On" and "Preview" light up at once; for acquisitions select the laser in the
    shutter, which switches it on for the images only."""

    def __init__(self, microscope: Microscope, notifier: Notifier, states: LaserStates, number: int) -> None:
        super().__init__(microscope, notifier, STATES)
        self.number = number
        self._states = states
        self._shown = OFF
        states.listen(self._show)
        kind = type(self)
        self.register_property(
            POWER, property_type=float, limits=(0.0, 100.0), getter=kind.get_power, setter=kind.set_power
        )

    def get_state(self) -> int:
        """What this program has switched; the instrument cannot be asked."""
        return self._states.of(self.number)

    def set_state(self, position: int) -> None:
        """Switches the laser. On and Preview are refused while a workflow runs."""
        self._states.set(self.number, position)

    def get_power(self) -> float:
        """The power in percent, as the instrument reports it."""
        return self.microscope.lasers.level(self.number)

    def set_power(self, percent: float) -> None:
        """Sets the power, 0 to 100 percent. It does not switch the laser on."""
        self.microscope.lasers.set_level(self.number, percent)

    def light_on(self) -> None:
        """For the shutter: this laser on, all others off."""
        self._states.set(self.number, PREVIEW)

    def light_off(self) -> None:
        """For the shutter: all lasers off."""
        self._states.all_off()

    def shutdown(self) -> None:
        """Switches the laser off."""
        self._try("switching the laser off", lambda: self._states.set(self.number, OFF))

    def _show(self) -> None:
        state = self.get_state()
        if state != self._shown:
            self._shown = state
            self._report_state(state)
