"""The camera: single images, sequences, their ends, and which images count."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import flamingo

pytest.importorskip("pymmcore_plus", reason='needs `pip install "flamingo-link[micromanager]"`')

import pymmcore

from flamingo.micromanager import load_flamingo
from flamingo.micromanager._exposures import Exposures

if TYPE_CHECKING:
    from pymmcore_plus.experimental.unicore import UniMMCore


def wait_for_images(core: UniMMCore, count: int) -> None:
    """Waits until so many images wait in the core."""
    deadline = time.monotonic() + 20
    while core.getRemainingImageCount() < count:
        assert time.monotonic() < deadline, f"{core.getRemainingImageCount()} of {count} images"
        time.sleep(0.005)


def pop(core: UniMMCore) -> tuple[Any, dict[str, str]]:
    """The next image of a sequence, with its metadata."""
    metadata = pymmcore.Metadata()
    image = core.popNextImageMD(metadata)
    return image, {key: metadata.GetSingleTag(key).GetValue() for key in metadata.GetKeys()}


def test_a_snap_is_the_image_that_the_instrument_sent(core: UniMMCore, sim: flamingo.Simulator) -> None:
    with flamingo.connect(sim.address, settle=0) as other, other.live_images(every=True) as images:
        core.snapImage()
        sent = images.next(timeout=10)
        assert sent is not None
        image = core.getImage()
        assert image.dtype == np.uint16
        assert image.shape == (32, 64) == (core.getImageHeight(), core.getImageWidth())
        assert np.array_equal(image, sent.pixels)
        assert image.max() > 1000, "no bead is visible"


def test_exposure_is_read_back_from_the_instrument(core: UniMMCore, microscope: flamingo.Microscope, hear: Any) -> None:
    heard = hear(core.events.exposureChanged)
    core.setExposure(12.3456)
    assert core.getExposure() == pytest.approx(12.346)
    assert microscope.camera.exposure() == 12346
    heard.wait_for(("Camera", 12.346))
    microscope.camera.set_exposure(5000)
    assert core.getProperty("Camera", "Exposure") == pytest.approx(5.0)


def test_an_exposure_of_nothing_is_refused(core: UniMMCore, commands: Callable[[], list[str]]) -> None:
    commands()
    with pytest.raises(flamingo.Limits, match=r"at least 0\.001 ms, found 0"):
        core.setExposure(0)
    assert commands() == []


def test_live_images_come_in_order_and_once(core: UniMMCore, microscope: flamingo.Microscope) -> None:
    core.startContinuousSequenceAcquisition()
    assert core.isSequenceRunning()
    wait_for_images(core, 5)
    assert microscope.state() == "LIVE_VIEW"
    core.stopSequenceAcquisition()
    taken = [pop(core) for _ in range(5)]
    numbers = [int(metadata["FlamingoImageNumber"]) for _, metadata in taken]
    assert numbers == sorted(set(numbers))
    dropped = sum(int(metadata["FlamingoDroppedBefore"]) for _, metadata in taken)
    assert numbers[-1] - numbers[0] == 4 + dropped - int(taken[0][1]["FlamingoDroppedBefore"])
    assert len({image.tobytes() for image, _ in taken}) == 5, "an image came twice"
    assert taken[0][1]["Width"] == "64"


def test_a_stopped_sequence_leaves_the_camera_idle(core: UniMMCore, microscope: flamingo.Microscope) -> None:
    for _ in range(3):
        core.startContinuousSequenceAcquisition()
        wait_for_images(core, 1)
        core.stopSequenceAcquisition()
        assert not core.isSequenceRunning()
        core.snapImage()  # waits for the end of the live view, and is refused unless the instrument is idle
        assert microscope.state() == "IDLE"


def test_a_sequence_with_a_number_stops_the_camera_itself(core: UniMMCore, microscope: flamingo.Microscope) -> None:
    core.startSequenceAcquisition(4, 0, True)
    wait_for_images(core, 4)
    assert microscope.state() == "IDLE"
    assert core.getRemainingImageCount() == 4


SLOW_IMAGES = "[latency]\nmin_ms = 0.0\nmax_ms = 0.1\n[images]\nwidth = 64\nheight = 32\nframes_per_s = 0.02\n"


def test_a_stop_does_not_wait_for_a_slow_image() -> None:
    from pymmcore_plus.experimental.unicore import UniMMCore

    core = UniMMCore()
    with flamingo.simulator(SLOW_IMAGES) as sim, flamingo.connect(sim.address, settle=0) as other:
        load_flamingo(core, sim.address)
        core.startContinuousSequenceAcquisition()
        thread = core._acquisition_thread
        assert thread is not None
        core.stopSequenceAcquisition()
        thread.join(timeout=20)  # an image takes 50 s
        assert not thread.is_alive()
        core.snapImage()
        assert other.state() == "IDLE"
        core.unloadAllDevices()


def test_unloading_stops_a_live_view(sim: flamingo.Simulator, core: UniMMCore, microscope: flamingo.Microscope) -> None:
    core.startContinuousSequenceAcquisition()
    wait_for_images(core, 1)
    core.unloadAllDevices()
    assert microscope.state() == "IDLE"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_error_of_a_live_view_is_reported_by_the_next_wait(core: UniMMCore, sim: flamingo.Simulator) -> None:
    core.startContinuousSequenceAcquisition()
    wait_for_images(core, 1)
    thread = core._acquisition_thread
    assert thread is not None
    sim.stop()
    thread.join(timeout=20)
    assert not core.isSequenceRunning()
    with pytest.raises(flamingo.FlamingoError, match="Camera: image: the instrument closed the live port"):
        core.waitForDevice("Camera")


def test_images_are_refused_while_another_program_films(
    core: UniMMCore, microscope: flamingo.Microscope, commands: Callable[[], list[str]]
) -> None:
    with microscope.live():
        commands()
        with pytest.raises(flamingo.Busy, match="expected the instrument to be IDLE, found LIVE_VIEW"):
            core.snapImage()
        with pytest.raises(flamingo.Busy):
            core.startContinuousSequenceAcquisition()
        asked = set(commands()) - {"SYSTEM_STATE_GET", "CAMERA_IMAGE_SIZE_GET"}
        assert asked == set(), "nothing was lit or stopped"
        assert microscope.state() == "LIVE_VIEW"


def test_a_failed_snap_is_reported_by_the_next_wait(core: UniMMCore, microscope: flamingo.Microscope) -> None:
    with microscope.live(), pytest.raises(flamingo.Busy):
        core.snapImage()
    with pytest.raises(flamingo.FlamingoError, match="Camera: image: expected the instrument to be IDLE"):
        core.waitForSystem()
    core.waitForSystem()  # reported once


def test_a_snap_after_a_live_view_is_a_later_image(core: UniMMCore, microscope: flamingo.Microscope) -> None:
    with microscope.live_images(every=True) as images:
        core.startContinuousSequenceAcquisition()
        wait_for_images(core, 3)
        core.stopSequenceAcquisition()
        core.setZPosition(19_100)
        core.waitForDevice("Z")
        core.snapImage()
        snapped, indices = core.getImage(), []
        while (image := images.next(timeout=10)) is not None:
            indices.append(image.index[0])
            if np.array_equal(image.pixels, snapped):
                break
        assert indices == sorted(indices)
        assert microscope.camera.image_size() is None, "the live view ended before the snap"


class FakeImage:
    """An image that arrived at a given time, of a given camera."""

    dropped_before = 0
    number = 1
    index = (0, 0)
    height = width = 1

    def __init__(self, at: float, camera: int = 0) -> None:
        self.at, self.camera = at, camera


class FakeStream:
    """Gives these images; None is an image that does not come in time. At the end the port is closed."""

    def __init__(self, images: list[FakeImage | None]) -> None:
        self.images = images

    def next(self, timeout: float | None = None) -> FakeImage | None:
        if not self.images:
            return None
        image = self.images.pop(0)
        if image is None:
            raise flamingo.Timeout
        return image

    def close(self) -> None:
        """Ends the stream."""


class FakeMicroscope:
    """An idle instrument with an exposure of 20 ms."""

    def __init__(self, images: list[FakeImage | None]) -> None:
        self.camera = self
        self.images = images

    def state(self) -> str:
        return "IDLE"

    def exposure(self) -> int:
        return 20_000

    def live_images(self, **_: object) -> FakeStream:
        return FakeStream(self.images)


def test_an_image_exposed_before_the_request_is_dropped() -> None:
    now = time.time()
    first, last = FakeImage(now - 1), FakeImage(now + 10)
    images: list[FakeImage | None] = [first, FakeImage(now + 0.015), FakeImage(now + 9, camera=1), last]
    fake: Any = FakeMicroscope(images)
    exposures = Exposures(fake, camera=0, address=None)
    first.dropped_before, last.dropped_before = 3, 4
    exposures.ask(lambda: None)
    image = exposures.next()
    assert image is not None and image.at == last.at
    facts = exposures.facts(image)
    counted = facts["FlamingoStale"], facts["FlamingoDroppedBefore"], facts["FlamingoDropped"]
    assert counted == ("2", "4", "7")
    with pytest.raises(flamingo.ConnectionLost, match="closed the live port"):
        exposures.next()


def test_an_image_that_is_lost_is_asked_for_once_more() -> None:
    asked: list[float] = []
    image = FakeImage(time.time() + 10)
    fake: Any = FakeMicroscope([None, image, None, None])
    exposures = Exposures(fake, camera=0, address=None)
    exposures.ask(lambda: asked.append(1))
    taken = exposures.next(again=lambda: asked.append(2))
    assert taken is not None and taken.at == image.at
    assert (asked, exposures.facts(taken)["FlamingoRepeated"]) == ([1, 2], "1")
    with pytest.raises(flamingo.Timeout, match=r"expected one within 10 s, found none"):
        exposures.next(again=lambda: asked.append(3))
    assert asked == [1, 2, 3]


def test_a_part_of_the_image_is_no_region(core: UniMMCore) -> None:
    core.snapImage()
    assert core.getROI() == [0, 0, 64, 32]
    core.setROI(0, 0, 64, 32)
    with pytest.raises(flamingo.Unsupported, match="expected the whole image"):
        core.setROI(8, 8, 16, 16)


def test_threads_share_the_connection(core: UniMMCore) -> None:
    failures: list[BaseException] = []

    def ask(question: Callable[[], object]) -> None:
        try:
            for _ in range(10):
                question()
        except BaseException as error:
            failures.append(error)

    questions: list[Callable[[], object]] = [
        core.getXYPosition,
        core.getPosition,
        core.getExposure,
        lambda: core.getProperty("Laser 2", "Power (%)"),
        lambda: core.getState("Filter wheel"),
    ]
    threads = [threading.Thread(target=ask, args=(question,)) for question in questions]
    for thread in threads:
        thread.start()
    core.startContinuousSequenceAcquisition()
    for thread in threads:
        thread.join()
    core.stopSequenceAcquisition()
    assert failures == []
