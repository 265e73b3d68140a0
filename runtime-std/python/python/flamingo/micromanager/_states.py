"""The base of the devices with named states: lasers, LED, filter wheel, illumination.

`StateDevice` of pymmcore-plus sets the state again if the state that the device reports is not yet the new one, and
that without an end. Here each command is sent once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pymmcore_plus import Keyword
from pymmcore_plus.experimental.unicore import StateDevice

from flamingo import InvalidValue, Microscope
from flamingo.micromanager._checked import Checked
from flamingo.micromanager._notifier import Notifier

STATE, LABEL = str(Keyword.State), str(Keyword.Label)


class NamedStates(Checked, StateDevice):
    """A device that is in one of several states. Subclasses have `get_state` and `set_state`."""

    def __init__(self, microscope: Microscope, notifier: Notifier, states: Mapping[int, str]) -> None:
        super().__init__(microscope, notifier, states)

    def register_standard_properties(self) -> None:
        """Registers `State` and `Label`."""
        states, labels = tuple(self._state_to_label), [str(label) for label in self._state_to_label.values()]
        kind = type(self)
        self.register_property(
            STATE, default_value=states[0], allowed_values=states, property_type=int,
            getter=kind.get_state, setter=kind._apply_state,
        )  # fmt: skip
        self.register_property(
            LABEL, default_value=labels[0], allowed_values=labels, property_type=str,
            getter=kind._label, setter=kind._apply_label,
        )  # fmt: skip

    def set_property_value(self, prop_name: str, value: Any) -> None:
        """Sets a property. A state may be given as text, as in configuration files."""
        if prop_name == STATE:
            value = self._number(value)
        with self._checked(prop_name):
            super().set_property_value(prop_name, value)

    def set_position_or_label(self, pos_or_label: int | str) -> None:
        """Takes a state by its number or its label."""
        if isinstance(pos_or_label, str):
            self.set_property_value(LABEL, pos_or_label)
        else:
            self.set_property_value(STATE, pos_or_label)

    def _number(self, value: Any) -> int:
        try:
            return int(value)
        except (TypeError, ValueError):
            states = ", ".join(str(state) for state in self._state_to_label)
            raise InvalidValue(f"{self.get_label()}: expected a state of {states}, found {value!r}") from None

    def _label(self) -> str:
        return str(self._state_to_label.get(self.get_state(), ""))

    def _apply_state(self, state: int) -> None:
        self.set_state(state)
        self._report_state(state)

    def _apply_label(self, label: str) -> None:
        self._apply_state(self._label_to_state[label])

    def _report_state(self, state: int) -> None:
        """Tells the core that the device has this state."""
        self._emit("propertyChanged", STATE, str(state))
        self._emit("propertyChanged", LABEL, str(self._state_to_label.get(state, "")))


