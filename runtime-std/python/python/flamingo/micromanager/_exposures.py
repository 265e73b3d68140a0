"""Images of one camera whose exposure began after they were asked for. The camera device is in `camera.py`.

An image of the live port does not tell when it was exposed, and images may wait in the instrument, in the sockets and
in this program. So before an image is asked for, the instrument must be idle: then no exposure is under way, and each
later one begins after this moment, which is after every motion that has ended. The connection to the live port is
new, so no image waits in it. An image that arrives sooner than one exposure after the request was exposed before it;
it is dropped and counted.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack

from flamingo import Busy, ConnectionLost, FlamingoError, Image, ImageStream, Microscope, Timeout

logger = logging.getLogger("flamingo.micromanager")

#: How much longer than its exposure an image may take, in seconds.
PATIENCE_S = 10.0
#: The same, before a single image is asked for once more.
AGAIN_S = 2.0
#: How often a stopped sequence looks whether it has ended already.
LOOK_EVERY_S = 0.5
MEMORY_MB = 256


class Exposures:
    """One connection to the live port, and the images of one camera that were exposed after `ask`."""

    def __init__(self, microscope: Microscope, camera: int, address: str | None) -> None:
        """Connects. Raises `Busy` unless the instrument is idle."""
        state = microscope.state()
        if state != "IDLE":
            busy = Busy(
                f"image: expected the instrument to be IDLE, found {state}: an image now could have been exposed "
                "before it was asked for; stop what runs, then try again (nothing was sent)"
            )
            busy.state = state
            raise busy
        self._camera = camera
        self._stream: ImageStream = microscope.live_images(address=address, every=True, memory_mb=MEMORY_MB)
        try:
            self._exposure_s = microscope.camera.exposure() / 1e6
        except BaseException:
            self._stream.close()
            raise
        self._earliest = float("inf")
        self._closed = False
        #: Images that had been exposed before they were asked for.
        self.stale = 0
        #: Images that this program was too slow to take.
        self.dropped = 0
        #: How often an image was asked for once more.
        self.repeated = 0

    def ask(self, request: Callable[[], None]) -> None:
        """Sends the request for images."""
        self._earliest = time.time() + self._exposure_s
        request()

    def next(self, again: Callable[[], None] | None = None) -> Image | None:
        """Waits for the next image; None after `close`. Raises `Timeout` and `ConnectionLost`.

        `again` asks once more if no image has come: the instrument may have accepted the connection to the live port
        later than it took the image. Both images were exposed after they were asked for.
        """
        begun = time.monotonic()
        give_up = begun + self._exposure_s + PATIENCE_S
        ask_again = begun + self._exposure_s + AGAIN_S
        while True:
            until = give_up if again is None else ask_again
            try:
                image = self._stream.next(timeout=max(0.0, until - time.monotonic()))
            except Timeout as error:
                if again is not None:
                    self.ask(again)
                    self.repeated += 1
                    again = None
                    continue
                stale = f"; {self.stale} came too early to be the one that was asked for" if self.stale else ""
                waited = self._exposure_s + PATIENCE_S
                raise Timeout(f"image: expected one within {waited:.3g} s, found none{stale}") from error
            if image is None:
                if self._closed:
                    return None
                raise ConnectionLost("image: the instrument closed the live port; try again")
            self.dropped += image.dropped_before
            if image.camera != self._camera:
                continue
            if image.at >= self._earliest:
                return image
            self.stale += 1

    def facts(self, image: Image) -> dict[str, str]:
        """What is known about an image, for its metadata."""
        return {
            "Height": str(image.height),
            "Width": str(image.width),
            "FlamingoImageNumber": str(image.number),
            "FlamingoImageIndex": f"{image.index[0]}-{image.index[1]}",
            "FlamingoReceivedAt": f"{image.at:.6f}",
            "FlamingoDroppedBefore": str(image.dropped_before),
            "FlamingoDropped": str(self.dropped),
            "FlamingoStale": str(self.stale),
            "FlamingoRepeated": str(self.repeated),
        }

    def close(self) -> None:
        """Disconnects. A wait for the next image ends."""
        self._closed = True
        self._stream.close()


class ImageSequence(Iterator[Mapping[str, str]]):
    """Images that were asked for: one by a snapshot, more by a live view, which runs until `count` images were taken or
    the sequence is closed.

    The thread of the core that takes the images has an event that says "stop". A thread here waits for that event and
    closes the sequence, because the core takes no image after it, and a wait for a slow image would hold it up. The
    live view is stopped, and the light switched off, on every way out.
    """

    def __init__(
        self,
        exposures: Exposures,
        light: AbstractContextManager[object],
        count: int | None,
        take: Callable[[Exposures], Image | None],
        fill: Callable[[Image], None],
    ) -> None:
        """Prepares the sequence; `begin` starts it. `take` waits for an image, `fill` copies it."""
        self._exposures = exposures
        self._light = light
        self._left = count
        self._take = take
        self._fill = fill
        self._asked = False
        self._ended = False
        self._watcher: threading.Thread | None = None
        self._closing = threading.Lock()
        self._on_exit = ExitStack()
        self._on_exit.callback(exposures.close)

    def begin(self, request: Callable[[], None], end: Callable[[], None] | None) -> None:
        """Switches the light on and asks for images. `end` stops them; it is called unless nothing was sent."""
        if end is not None:
            self._on_exit.callback(lambda: end() if self._asked else None)
        try:
            # The light goes off before the images are stopped: an ExitStack runs backwards.
            self._on_exit.enter_context(self._light)
            self._asked = True
            self._exposures.ask(request)
        except BaseException as error:
            if isinstance(error, FlamingoError):
                self._asked = error.was_sent
            self.close()
            raise

    def __next__(self) -> Mapping[str, str]:
        self._watch()
        if self._ended:
            raise StopIteration
        try:
            image = self._take(self._exposures)
            if image is None:
                raise StopIteration
            if self._left is not None:
                self._left -= 1
                if self._left == 0:  # nobody asks for more, so nobody else would stop the camera
                    self.close()
            self._fill(image)
        except BaseException:
            self.close()
            raise
        return self._exposures.facts(image)

    def close(self) -> None:
        """Switches the light off, stops the images and disconnects; does nothing the second time. It returns when all
        of that is done, also if another thread does it. A failure is logged."""
        self._exposures.close()
        with self._closing:
            self._ended = True
            on_exit, self._on_exit = self._on_exit, ExitStack()
            try:
                on_exit.close()
            except FlamingoError as error:
                logger.error("end of images: %s; the camera or a light may still be on", error)

    def __del__(self) -> None:
        self.close()

    def _watch(self) -> None:
        """Waits for the end that the core wants. The first image is taken in the thread that has its event."""
        stop = getattr(threading.current_thread(), "stop_event", None)
        if self._watcher is not None or not isinstance(stop, threading.Event):
            return

        def watch() -> None:
            while not self._ended and not stop.wait(LOOK_EVERY_S):
                pass
            self.close()

        self._watcher = threading.Thread(target=watch, name="flamingo-images-end", daemon=True)
        self._watcher.start()
