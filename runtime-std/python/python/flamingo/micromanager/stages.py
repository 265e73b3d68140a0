"""The stages of the core: X and Y, Z, and the rotation R. How their motions are followed is in `_motions.py`.

Positions of the core are in µm; those of the instrument in mm. They are the instrument's own coordinates, and each
one is asked from the instrument.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NoReturn

from pymmcore_plus import FocusDirection
from pymmcore_plus.experimental.unicore import StageDevice, XYStageDevice

from flamingo import Microscope, Unsupported
from flamingo.micromanager._checked import Checked
from flamingo.micromanager._motions import Motions
from flamingo.micromanager._notifier import Notifier

UM_PER_MM = 1000.0


class _Axes(Checked):
    """Axes that move together. `per_unit`: how many units of the core are one unit of the instrument."""

    def __init__(self, microscope: Microscope, notifier: Notifier, axes: str, unit: str, per_unit: float) -> None:
        super().__init__(microscope, notifier)
        self._per_unit = per_unit
        self._motions = Motions(microscope, axes, self._arrived)
        for axis in axes:
            ends = (f"{axis.upper()} minimum", f"{axis.upper()} maximum") if len(axes) > 1 else ("Minimum", "Maximum")
            self._register_limits(axis, [f"{end} ({unit})" for end in ends])

    def _register_limits(self, axis: str, names: Sequence[str]) -> None:
        """Shows the limits of the scope settings as properties; limits that are not known are left out."""
        limits = self.microscope.stage.limits(axis)
        for name, at in zip(names, (limits.min, limits.max), strict=True):
            if at is not None:
                self.register_property(name, default_value=at * self._per_unit, is_read_only=True)

    def busy(self) -> bool:
        """Whether the axes move. If they stopped elsewhere than at their targets, this raises why, once."""
        moving = self._motions.is_moving()
        return super().busy() or moving

    def home(self) -> None:
        """Moves the axes to their home positions, which is a long motion. Returns when it has begun."""
        with self._checked("position"):
            self._motions.home()

    def stop(self) -> None:
        """Stops the axes: HALT, sent before everything that is queued."""
        self._motions.stop()

    def _move(self, targets: Mapping[str, float]) -> None:
        with self._checked("position"):
            self._motions.move({axis: at / self._per_unit for axis, at in targets.items()})

    def _position(self, axis: str) -> float:
        return self.microscope.stage.position(axis) * self._per_unit

    def _arrived(self) -> None:
        raise NotImplementedError

    def _no_origin(self) -> NoReturn:
        raise Unsupported(
            f"{self.get_label()}: the instrument has no command that sets an origin; positions are the instrument's "
            "own coordinates (nothing was sent)"
        )


class FlamingoXYStage(_Axes, XYStageDevice):
    """The X and the Y axis, in µm."""

    def __init__(self, microscope: Microscope, notifier: Notifier) -> None:
        super().__init__(microscope, notifier, "xy", "um", UM_PER_MM)

    def set_position_um(self, x: float, y: float) -> None:
        """Starts the motion to a position within the limits. Returns when it has begun."""
        self._move({"x": x, "y": y})

    def get_position_um(self) -> tuple[float, float]:
        """The position that the instrument reports."""
        return self._position("x"), self._position("y")

    def set_origin_x(self) -> None:
        """Refused."""
        self._no_origin()

    def set_origin_y(self) -> None:
        """Refused."""
        self._no_origin()

    def set_adapter_origin_um(self, x: float, y: float) -> None:
        """Refused."""
        self._no_origin()

    def _arrived(self) -> None:
        self._emit("XYStagePositionChanged", *self.get_position_um())


class _SingleAxis(_Axes, StageDevice):
    """A stage with one axis."""

    _axis: str

    def set_position_um(self, val: float) -> None:
        """Starts the motion to a position within the limits. Returns when it has begun."""
        self._move({self._axis: val})

    def get_position_um(self) -> float:
        """The position that the instrument reports."""
        return self._position(self._axis)

    def set_origin(self) -> None:
        """Refused."""
        self._no_origin()

    def set_adapter_origin_um(self, newZUm: float) -> None:  # noqa: N803, the name is the core's
        """Refused."""
        self._no_origin()

    def _arrived(self) -> None:
        self._emit("stagePositionChanged", self.get_position_um())


class FlamingoZStage(_SingleAxis):
    """The Z axis, in µm: the focus device."""

    _axis = "z"

    def __init__(self, microscope: Microscope, notifier: Notifier) -> None:
        super().__init__(microscope, notifier, "z", "um", UM_PER_MM)
        self._direction = FocusDirection.Unknown

    def get_focus_direction(self) -> FocusDirection:
        """Whether a higher Z brings objective and sample together. Not known, unless it was set."""
        return self._direction

    def set_focus_direction(self, sign: int) -> None:
        """Remembers the direction. With it, an acquisition engine moves the stages back after an acquisition."""
        self._direction = FocusDirection(sign)


class FlamingoRotation(_SingleAxis):
    """The rotation R, in degrees: where the core says µm, this device means degrees."""

    _axis = "r"

    def __init__(self, microscope: Microscope, notifier: Notifier) -> None:
        super().__init__(microscope, notifier, "r", "deg", 1.0)
