"""The instrument itself as a device of the core: its address and state. It owns the connection."""

from __future__ import annotations

from collections.abc import Callable

from pymmcore_plus.experimental.unicore import GenericDevice

from flamingo import Microscope
from flamingo.micromanager._checked import Checked
from flamingo.micromanager._notifier import Notifier


class FlamingoInstrument(Checked, GenericDevice):
    """The instrument. Unloading it ends the connection for all other devices, so it is loaded last."""

    def __init__(self, microscope: Microscope, notifier: Notifier, close: Callable[[], None]) -> None:
        super().__init__(microscope, notifier)
        self._close = close
        name = microscope.settings.get().microscope_name
        self.register_property("Address", default_value=microscope.address, is_read_only=True)
        self.register_property("Name", default_value=name or "", is_read_only=True)
        self.register_property("State", property_type=str, getter=type(self).get_state, is_read_only=True)

    def get_state(self) -> str:
        """What the instrument is doing now, such as "IDLE"."""
        return self.microscope.state()

    def shutdown(self) -> None:
        """Closes the connection, if it was made for the core."""
        self._try("closing the connection", self._close)
        self._notifier.close()
