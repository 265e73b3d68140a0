"""The shutter of the core: which light an image needs, and that light switched on and off.

The instrument has no shutter. Closed means: every laser is off, and the LED if this program switched it on. Open means
the same, but for the light that is selected. A failure to open switches everything off.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from pymmcore_plus.experimental.unicore import ShutterDevice

from flamingo import Microscope
from flamingo.micromanager._checked import Checked
from flamingo.micromanager._notifier import Notifier
from flamingo.micromanager.lasers import OFF, LaserStates

LIGHT = "Light"
NO_LIGHT = "None"


class Light(Protocol):
    """A device that the shutter switches."""

    def get_state(self) -> int:
        """0 is off."""

    def light_on(self) -> None:
        """Switches it on."""

    def light_off(self) -> None:
        """Switches it off."""


class FlamingoShutter(Checked, ShutterDevice):
    """The property "Light" selects one light by its label; "None", the default, is for images without light. Selecting
    lights nothing up unless the shutter is open."""

    def __init__(
        self, microscope: Microscope, notifier: Notifier, lasers: LaserStates, lights: Mapping[str, Light]
    ) -> None:
        super().__init__(microscope, notifier)
        self._lasers = lasers
        self._lights = dict(lights)
        self._selected = NO_LIGHT
        self._is_open = False
        kind = type(self)
        self.register_property(
            LIGHT, property_type=str, allowed_values=(NO_LIGHT, *lights), getter=kind.get_light, setter=kind.set_light
        )

    def get_light(self) -> str:
        """The label of the light that is selected, or "None"."""
        return self._selected

    def set_light(self, label: str) -> None:
        """Selects a light. If the shutter is open, the light that was selected before goes off first."""
        with self._checked(LIGHT):
            if self._is_open and label != self._selected:
                self._close()
                self._selected = label
                self._open()
            else:
                self._selected = label

    def get_open(self) -> bool:
        """Whether this shutter is open."""
        return self._is_open

    def set_open(self, open: bool) -> None:  # noqa: A002, the name is the core's
        """Switches all lights off, and the selected one on if `open`."""
        with self._checked("open"):
            if open and not self._is_open:
                self._open()
            elif not open:
                self._close()

    def shutdown(self) -> None:
        """Switches all lights off."""
        self._try("switching the light off", self._close)

    def _open(self) -> None:
        light = self._lights.get(self._selected)
        try:
            self._close()
            if light is not None:
                light.light_on()
        except BaseException:
            self._try("switching the light off", self._close)
            raise
        self._is_open = True

    def _close(self) -> None:
        self._is_open = False
        try:
            self._lasers.all_off()
        finally:
            for light in self._lights.values():
                if light.get_state() != OFF:
                    light.light_off()
