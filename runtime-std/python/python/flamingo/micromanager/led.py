"""The LED of the core: off or on, its colour and brightness."""

from __future__ import annotations

from collections.abc import Mapping

from flamingo import Microscope, Unsupported
from flamingo.micromanager._notifier import Notifier
from flamingo.micromanager._states import NamedStates
from flamingo.micromanager.lasers import refuse_during_workflow

OFF, ON = 0, 1
COLOURS = ("red", "green", "blue", "white")
COLOUR, BRIGHTNESS = "Colour", "Brightness"
#: No brightness is known, neither from the scope settings nor from this program.
NOT_KNOWN = -1


class FlamingoLed(NamedStates):
    """The LED. Colour and brightness (0 to 65535) are sent when it is switched on, or while it is on."""

    def __init__(self, microscope: Microscope, notifier: Notifier, brightness: Mapping[str, int]) -> None:
        super().__init__(microscope, notifier, {OFF: "Off", ON: "On"})
        self._state = OFF
        self._colour = COLOURS[0]
        self._brightness = dict(brightness)
        kind = type(self)
        self.register_property(
            COLOUR, property_type=str, allowed_values=COLOURS, getter=kind.get_colour, setter=kind.set_colour
        )
        self.register_property(
            BRIGHTNESS, property_type=int, limits=(0, 65535), getter=kind.get_brightness, setter=kind.set_brightness
        )

    def get_state(self) -> int:
        """What this program has switched; the instrument cannot be asked."""
        return self._state

    def set_state(self, position: int) -> None:
        """Switches the LED. On is refused while a workflow runs, and while the brightness is not known."""
        led = self.microscope.led
        if position == OFF:
            led.disable_preview()
            self._state = OFF
            return
        if self.get_brightness() == NOT_KNOWN:
            raise Unsupported(
                f"{self.get_label()}: the brightness of {self._colour} is not known; set the property "
                f'"{BRIGHTNESS}" first, 0 to 65535 (nothing was sent)'
            )
        refuse_during_workflow(self.microscope, "LED")
        self._state = ON
        try:
            led.set(self._colour, self.get_brightness())
            led.select(self._colour)
            led.enable_preview()
        except BaseException:
            self.shutdown()  # it is not known whether the LED is on
            raise

    def get_colour(self) -> str:
        """The colour that is used when the LED is on."""
        return self._colour

    def set_colour(self, colour: str) -> None:
        """Chooses the colour. Sent at once if the LED is on."""
        self._colour = colour
        if self._state == ON:
            self.set_state(ON)

    def get_brightness(self) -> int:
        """The brightness of the colour; -1 if it is not known."""
        return self._brightness.get(self._colour, NOT_KNOWN)

    def set_brightness(self, brightness: float) -> None:
        """Sets the brightness of the colour. Sent at once if the LED is on."""
        self._brightness[self._colour] = int(brightness)
        if self._state == ON:
            self.microscope.led.set(self._colour, int(brightness))

    def light_on(self) -> None:
        """For the shutter."""
        self.set_state(ON)
        self._report_state(ON)

    def light_off(self) -> None:
        """For the shutter."""
        self.set_state(OFF)
        self._report_state(OFF)

    def shutdown(self) -> None:
        """Switches the LED off."""
        self._try("switching the LED off", lambda: self.set_state(OFF))
