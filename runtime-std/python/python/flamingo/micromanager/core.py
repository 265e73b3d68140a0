"""A core for graphical programs. The devices work without it as well. In signals of `UniMMCore` of pymmcore-plus, the
labels of the Python devices that are its shutter and its camera are missing, and slots that look them up fail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pymmcore_plus import Keyword
from pymmcore_plus.experimental.unicore import UniMMCore

CORE = str(Keyword.CoreDevice)


class FlamingoCore(UniMMCore):
    """A core whose signals name the Python devices that are its shutter and its camera."""

    def setShutterOpen(self, *args: Any) -> None:  # noqa: N802, the name is the core's
        """Opens or closes a shutter: `setShutterOpen(label, state)`. Without a label it is the shutter of the core."""
        label, state = args if len(args) == 2 else (self.getShutterDevice(), *args)
        super().setShutterOpen(label, state)

    def stopSequenceAcquisition(self, cameraLabel: str | None = None) -> None:  # noqa: N802, N803
        """Stops the images of a camera, by default of the core's."""
        super().stopSequenceAcquisition(cameraLabel or self.getCameraDevice())

    def setProperty(self, label: str, propName: str, propValue: bool | float | int | str) -> None:  # noqa: N802, N803
        """Sets a property. The roles of the core may be given to Python devices as well."""
        roles: dict[str, Callable[[str], None]] = {
            str(Keyword.CoreCamera): self.setCameraDevice,
            str(Keyword.CoreShutter): self.setShutterDevice,
            str(Keyword.CoreXYStage): self.setXYStageDevice,
            str(Keyword.CoreFocus): self.setFocusDevice,
        }
        if label == CORE and propName in roles and self.isPyDevice(str(propValue)):
            roles[propName](str(propValue))
        else:
            super().setProperty(label, propName, propValue)
