"""Loads a Flamingo into a core: the devices, their roles, the channels and the pixel size.

The order of loading is the order in which the core unloads: first the camera stops, then all lights go off, and the
connection is closed at the end. Nothing that moves or lights up is sent here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from pymmcore_plus.experimental.unicore import Device, UniMMCore

import flamingo
from flamingo import Microscope, ProtocolError, Refused, ScopeSettings, SettingsInvalid, Timeout, Unsupported
from flamingo.micromanager._notifier import Notifier, logger
from flamingo.micromanager._states import LABEL
from flamingo.micromanager.camera import FlamingoCamera
from flamingo.micromanager.engine import use_engine
from flamingo.micromanager.filter_wheel import FlamingoFilterWheel, positions
from flamingo.micromanager.illumination import FlamingoIllumination
from flamingo.micromanager.instrument import FlamingoInstrument
from flamingo.micromanager.lasers import LASERS, FlamingoLaser, LaserStates
from flamingo.micromanager.led import COLOURS, FlamingoLed
from flamingo.micromanager.shutter import LIGHT, FlamingoShutter
from flamingo.micromanager.stages import UM_PER_MM, FlamingoRotation, FlamingoXYStage, FlamingoZStage

CAMERA, SHUTTER, XY, Z, R = "Camera", "Shutter", "XY", "Z", "R"
LED, WHEEL, ILLUMINATION, INSTRUMENT = "LED", "Filter wheel", "Illumination", "Flamingo"
CHANNELS = "Channel"
#: What a question about a device that the instrument does not have ends with.
NOT_THERE = (ProtocolError, Refused, Timeout, Unsupported)


def load_flamingo(
    core: UniMMCore,
    instrument: str | Microscope,
    *,
    camera: int = 0,
    live_address: str | None = None,
    image_shape: tuple[int, int] | None = None,
    wait_timeout_s: float = 60.0,
) -> None:
    """Loads all devices of a Flamingo into a core, and gives them their roles.

    `instrument` is `HOST:PORT` of the control port, or a connection, which then stays open when the devices are
    unloaded. `camera` is the number of the camera in the image headers, 0 to 3. `live_address` is `HOST:PORT` of the
    live port, by default the port above the control port. `image_shape` is rows and columns of the images: the
    instrument tells them only during a live view. Without it the core reports 2048 x 2048 before the first image, and
    an acquisition takes one image more, without light.
    `wait_timeout_s` is how long the core waits for a device, if that is longer than its present limit: a long way of a
    stage takes more than the usual 5 s.

    Raises the errors of `flamingo.connect`, `TypeError` for another kind of core, and `ValueError` if a label is
    already used. Then nothing is loaded.
    """
    if not isinstance(core, UniMMCore):
        raise TypeError(
            "load_flamingo: expected a core that takes Python devices, "
            f"`pymmcore_plus.experimental.unicore.UniMMCore()`, found {type(core).__name__}"
        )
    microscope = flamingo.connect(instrument, reconnect=True) if isinstance(instrument, str) else instrument
    close = microscope.close if isinstance(instrument, str) else _nothing
    loaded: list[str] = []
    try:
        parts = _Parts(microscope, Notifier(), microscope.settings.get())
        shutter = parts.shutter()
        view = FlamingoCamera(
            microscope, parts.notifier, camera=camera, live_address=live_address, image_shape=image_shape
        )
        view.use_auto_shutter(core, shutter)
        owner = FlamingoInstrument(microscope, parts.notifier, close)
        devices: dict[str, Device] = {CAMERA: view, SHUTTER: shutter, **parts.others(), INSTRUMENT: owner}
        pixel_size_um = parts.pixel_size_um()
        for label, device in devices.items():
            core.loadPyDevice(label, device)
            loaded.append(label)
            core.initializeDevice(label)
        _give_roles(core, parts, pixel_size_um)
        use_engine(core, view)
    except BaseException:
        for label in loaded:
            core.unloadDevice(label)
        if INSTRUMENT not in loaded:
            close()
        raise
    core.setTimeoutMs(max(core.getTimeoutMs(), round(wait_timeout_s * 1000)))
    core.events.systemConfigurationLoaded.emit()


def _nothing() -> None:
    """Does nothing."""


def _setting(read: Callable[[], int | None]) -> int | None:
    """A value of the scope settings; None if there is none, or none that can be read."""
    try:
        return read()
    except SettingsInvalid as error:
        logger.warning("%s", error)
        return None


class _Parts:
    """Makes the devices of one instrument. It asks what the instrument has, and changes nothing."""

    def __init__(self, microscope: Microscope, notifier: Notifier, settings: ScopeSettings) -> None:
        self._microscope = microscope
        self._settings = settings
        self.notifier = notifier
        self._states = LaserStates(microscope)
        self.lasers = self._find_lasers()
        known = {colour: _setting(partial(settings.led_brightness, colour)) for colour in COLOURS}
        bright = {colour: brightness for colour, brightness in known.items() if brightness is not None}
        self._led = FlamingoLed(microscope, notifier, bright)
        #: The label of each light, and the position of the filter wheel that the settings assign to it.
        self.filters = {
            label: _setting(partial(settings.filter_for_laser, laser.number)) for label, laser in self.lasers.items()
        }
        self.filters[LED] = _setting(settings.filter_for_led)
        self.wheel = self._find_wheel([position for position in self.filters.values() if position is not None])

    def shutter(self) -> FlamingoShutter:
        """The shutter for all lights."""
        return FlamingoShutter(self._microscope, self.notifier, self._states, {**self.lasers, LED: self._led})

    def others(self) -> dict[str, Device]:
        """All devices but camera, shutter and instrument."""
        microscope, notifier = self._microscope, self.notifier
        wheel: dict[str, Device] = {} if self.wheel is None else {WHEEL: self.wheel}
        return {
            **self.lasers,
            LED: self._led,
            **wheel,
            ILLUMINATION: FlamingoIllumination(microscope, notifier),
            XY: FlamingoXYStage(microscope, notifier),
            Z: FlamingoZStage(microscope, notifier),
            R: FlamingoRotation(microscope, notifier),
        }

    def pixel_size_um(self) -> float | None:
        """The size of a pixel, if the instrument knows it."""
        try:
            return self._microscope.camera.pixel_size() * UM_PER_MM
        except NOT_THERE as error:
            logger.info("no pixel size: %s", error)
            return None

    def _find_lasers(self) -> dict[str, FlamingoLaser]:
        """The lasers that report their power. One that declines is left out."""
        lasers = {}
        for number in LASERS:
            try:
                self._microscope.lasers.level(number)
            except NOT_THERE as error:
                logger.info("no laser %s: %s", number, error)
                continue
            lasers[f"Laser {number}"] = FlamingoLaser(self._microscope, self.notifier, self._states, number)
        return lasers

    def _find_wheel(self, assigned: Sequence[int]) -> FlamingoFilterWheel | None:
        try:
            self._microscope.filter_wheel.position()
        except NOT_THERE as error:
            logger.info("no filter wheel: %s", error)
            return None
        labels = positions(self._settings.filters, assigned)
        return FlamingoFilterWheel(self._microscope, self.notifier, labels)


def _give_roles(core: UniMMCore, parts: _Parts, pixel_size_um: float | None) -> None:
    """Tells the core which device has which role, and defines the channels. Nothing is sent to the instrument."""
    core.setCameraDevice(CAMERA)
    core.setShutterDevice(SHUTTER)
    core.setXYStageDevice(XY)
    core.setFocusDevice(Z)
    core.setAutoShutter(True)
    for light, position in parts.filters.items():
        core.defineConfig(CHANNELS, light, SHUTTER, LIGHT, light)
        filter_label = parts.wheel.label_of(position) if parts.wheel is not None and position is not None else None
        if filter_label is not None:
            core.defineConfig(CHANNELS, light, WHEEL, LABEL, filter_label)
    core.setChannelGroup(CHANNELS)
    if pixel_size_um is not None:
        core.definePixelSizeConfig(INSTRUMENT)
        core.setPixelSizeUm(INSTRUMENT, pixel_size_um)
