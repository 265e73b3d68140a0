"""Image streams for the blocking API. The stream itself is native; `Image` has the pixels."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING

from flamingo._native import Image

if TYPE_CHECKING:
    from flamingo import aio


class ImageStream:
    """The images of a port. A thread of its own reads the port all the time, even if the program takes no image.

        with microscope.live() as images:
            for image in images:
                print(image.pixels.mean())

    An image shares its memory with later images: keep the array of an image only as long as you need it, or copy
    it (`image.pixels.copy()`). While a program keeps all memory of the stream, later images are dropped and
    counted: `Image.dropped_before`.
    """

    def __init__(self, stream: aio.ImageStream, at_close: Callable[[], None] | None = None) -> None:
        self._stream = stream
        self._at_close = at_close

    def next(self, timeout: float | None = None) -> Image | None:
        """The next image; None when the instrument has closed the port or `close` was called. Raises `Timeout`
        after `timeout` seconds."""
        return self._stream.next(timeout=timeout).wait()

    def __iter__(self) -> ImageStream:
        return self

    def __next__(self) -> Image:
        image = self.next()
        if image is None:
            raise StopIteration
        return image

    def stats(self) -> dict[str, int]:
        """The counters `received`, `delivered`, `dropped`, `waiting` and `bytes`; empty while another thread
        waits for an image."""
        return self._stream.stats()

    def close(self) -> None:
        """Ends the stream, and the live view if `Microscope.live` started it."""
        self._stream.close()
        at_close, self._at_close = self._at_close, None
        if at_close is not None:
            at_close()

    def __enter__(self) -> ImageStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
