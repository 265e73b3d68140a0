"""The camera of the core: exposure, single images, sequences. Which images count is decided in `_exposures.py`."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from pymmcore_plus.experimental.unicore import CameraDevice, UniMMCore

from flamingo import Image, Limits, Microscope, ProtocolError, Unsupported
from flamingo.micromanager._checked import Checked
from flamingo.micromanager._exposures import Exposures, ImageSequence
from flamingo.micromanager._notifier import Notifier
from flamingo.micromanager.shutter import FlamingoShutter

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

Buffers = Callable[[Sequence[int], "DTypeLike"], np.ndarray]

US_PER_MS = 1000.0
#: The size of the sensor that is common. It is only used before the first image came.
USUAL_SHAPE = (2048, 2048)


class FlamingoCamera(Checked, CameraDevice):
    """A camera. The instrument tells the size of its images only while there is a live view; so until the first image
    has come, the size is `image_shape`, or 2048 x 2048. `camera` is the number in the header of an image."""

    def __init__(
        self,
        microscope: Microscope,
        notifier: Notifier,
        *,
        camera: int = 0,
        live_address: str | None = None,
        image_shape: tuple[int, int] | None = None,
    ) -> None:
        super().__init__(microscope, notifier)
        self._number = camera
        self._live_address = live_address
        self._shape = image_shape
        self._kept_shape: tuple[int, int] | None = None
        self._sequence: weakref.ref[ImageSequence] | None = None
        self._core_ref: weakref.ref[UniMMCore] | None = None
        self._shutter: FlamingoShutter | None = None
        self.set_property_limits("Exposure", (0.001, (2**31 - 1) / US_PER_MS))

    def use_auto_shutter(self, core: UniMMCore, shutter: FlamingoShutter) -> None:
        """Opens the shutter of the core for each image while its auto shutter is on. The core does so only for cameras
        that are not written in Python. `shutter` is the one that belongs to this instrument."""
        self._core_ref = weakref.ref(core)
        self._shutter = shutter

    def get_exposure(self) -> float:
        """The exposure in ms, as the instrument reports it."""
        return self.microscope.camera.exposure() / US_PER_MS

    def set_exposure(self, exposure: float) -> None:
        """Sets the exposure in ms, rounded to µs. The instrument may take another one: it is read back."""
        with self._checked("exposure"):
            micros = round(float(exposure) * US_PER_MS)
            if micros < 1:
                raise Limits(f"exposure: expected at least 0.001 ms, found {exposure} ms; nothing was sent")
            self.microscope.camera.set_exposure(micros)
            self._emit("exposureChanged", self.get_exposure())

    def shape(self) -> tuple[int, int]:
        """Rows and columns of the images."""
        if self._shape is None:
            size = self.microscope.camera.image_size()
            if size is None:
                return USUAL_SHAPE
            self._shape = (size[1], size[0])
        return self._shape

    def keep_shape(self) -> None:
        """From now on an image of another size is an error. If the size is not known, this takes an image without
        switching any light on."""
        if self._shape is None:
            with self._checked("image"):
                exposures = Exposures(self.microscope, self._number, self._live_address)
                try:
                    exposures.ask(self.microscope.camera.snapshot)
                    image = exposures.next(self.microscope.camera.snapshot)
                finally:
                    exposures.close()
                assert image is not None, "only this function closes the connection"
                self._shape = (image.height, image.width)
        self._kept_shape = self._shape

    def let_shape_change(self) -> None:
        """Ends `keep_shape`."""
        self._kept_shape = None

    def dtype(self) -> DTypeLike:
        """16 bits without a sign."""
        return np.uint16

    def get_roi(self) -> tuple[int, int, int, int]:
        """The whole image: columns from 0, rows from 0, width, height."""
        rows, columns = self.shape()
        return 0, 0, columns, rows

    def set_roi(self, x: int, y: int, width: int, height: int) -> None:
        """Accepts the whole image only."""
        if (x, y, width, height) != self.get_roi():
            raise Unsupported(
                f"{self.get_label()}: expected the whole image {self.get_roi()} as region, found "
                f"{(x, y, width, height)}; set the edges at the instrument (nothing was sent)"
            )

    def start_sequence(self, n: int | None, get_buffer: Buffers) -> Iterator[Mapping[str, str]]:
        """Takes one image with a snapshot, and more than one with a live view; it begins here. The iterator waits for
        the images."""
        self._stop_sequence()
        camera = self.microscope.camera

        def take(exposures: Exposures) -> Image | None:
            with self._checked("image"):
                image = exposures.next(camera.snapshot if n == 1 else None)
                if image is not None:
                    self._note_shape((image.height, image.width))
                return image

        def fill(image: Image) -> None:
            pixels = image.pixels
            get_buffer(pixels.shape, np.uint16)[...] = pixels

        with self._checked("image"):
            exposures = Exposures(self.microscope, self._number, self._live_address)
            sequence = ImageSequence(exposures, self._light(), n, take, fill)
            self._sequence = weakref.ref(sequence)
            if n == 1:
                sequence.begin(camera.snapshot, None)
            else:
                sequence.begin(camera.start_live_view, camera.stop_live_view)
        return sequence

    def shutdown(self) -> None:
        """Stops a sequence that runs."""
        self._stop_sequence()

    def _note_shape(self, shape: tuple[int, int]) -> None:
        self._shape = shape
        kept = self._kept_shape
        if kept is not None and shape != kept:
            raise ProtocolError(
                f"image: expected {kept[0]} rows and {kept[1]} columns as when the acquisition began, found {shape[0]} "
                f"and {shape[1]}; was the region changed? Start the acquisition again"
            )

    def _stop_sequence(self) -> None:
        sequence = self._sequence() if self._sequence is not None else None
        if sequence is not None:
            sequence.close()

    @contextmanager
    def _light(self) -> Iterator[None]:
        """Opens the shutter of the core while the images are taken, if the auto shutter is on."""
        core = self._core_ref() if self._core_ref is not None else None
        label = core.getShutterDevice() if core is not None and core.getAutoShutter() else ""
        if core is None or not label:
            yield
            return
        self._set_open(core, label, True)
        try:
            yield
        finally:
            self._set_open(core, label, False)

    def _set_open(self, core: UniMMCore, label: str, is_open: bool) -> None:
        """Opens or closes a shutter. `snapImage` emits the signals about it."""
        shutter = self._shutter
        if shutter is None or shutter.get_label() != label:
            core.setShutterOpen(label, is_open)
            return
        with shutter:
            shutter.set_open(is_open)
