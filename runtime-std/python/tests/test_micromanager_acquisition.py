"""Acquisitions with an MDA engine: the right images, one for each event, and errors that end them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import flamingo

useq = pytest.importorskip("useq", reason='needs `pip install "flamingo-link[micromanager]"`')

if TYPE_CHECKING:
    from pymmcore_plus.experimental.unicore import UniMMCore

Frames = list[tuple[Any, Any, Any]]


def run(core: UniMMCore, sequence: Any) -> Frames:
    """Runs a sequence. Each frame is an image, its event and its metadata."""
    frames: Frames = []
    core.mda.events.frameReady.connect(lambda image, event, metadata: frames.append((image.copy(), event, metadata)))
    core.mda.run(sequence)
    return frames


def test_a_stack_shows_each_plane_once_and_in_order(core: UniMMCore) -> None:
    stack = useq.MDASequence(stage_positions=[(7000, 15200, 19000)], z_plan={"range": 40, "step": 5})
    frames = run(core, stack)
    heights = [18_980 + 5 * plane for plane in range(9)]
    assert [event.index["z"] for _, event, _ in frames] == list(range(9))
    assert [metadata["position"]["z"] for *_, metadata in frames] == pytest.approx(heights, abs=0.1)
    for _, event, metadata in frames:
        position = metadata["position"]
        assert (position["x"], position["y"]) == pytest.approx((7000, 15200), abs=0.1)
        assert position["z"] == pytest.approx(event.z_pos, abs=0.1)
    assert len({image.tobytes() for image, *_ in frames}) == 9, "an image came twice"


def test_every_image_was_exposed_after_the_stage_arrived(core: UniMMCore, sim: flamingo.Simulator) -> None:
    exposure_s = 0.03
    core.setExposure(exposure_s * 1e3)
    core.setXYPosition(7000, 15000)
    core.waitForSystem()
    core.snapImage()  # then the size of the images is known
    with flamingo.connect(sim.address, settle=0) as other, other.live_images(every=True) as images:
        stops = other.events("STAGE_MOTION_STOPPED")
        frames = run(core, useq.MDASequence(z_plan={"absolute": [19_010, 19_020, 19_030, 19_040]}))
        assert len(frames) == 4
        for image, *_ in frames:
            sent, stopped = images.next(timeout=10), stops.next()
            assert sent is not None and stopped is not None and stopped.at is not None
            assert np.array_equal(image, sent.pixels), "an image is missing, or there are too many"
            assert stopped.at <= sent.at - exposure_s


def test_channels_are_lit_one_after_the_other(core: UniMMCore, commands: Callable[[], list[str]]) -> None:
    sequence = useq.MDASequence(
        channels=[{"config": "Laser 2", "exposure": 5}, {"config": "Laser 4", "exposure": 7}],
        z_plan={"absolute": [19_000, 19_010]},
        axis_order="zc",
    )
    core.snapImage()  # then the size of the images is known
    commands()
    frames = run(core, sequence)
    assert [event.channel.config for _, event, _ in frames] == ["Laser 2", "Laser 4"] * 2
    assert [metadata["exposure_ms"] for *_, metadata in frames] == pytest.approx([5, 7, 5, 7])
    counted = "LASER_ENABLE", "CAMERA_SNAP", "FILTER_WHEEL_POSITION_SET"
    relevant = [name for name in commands() if name.startswith(counted)]
    plane = [
        "FILTER_WHEEL_POSITION_SET 2", "LASER_ENABLE_PREVIEW 2", "CAMERA_SNAPSHOT_GET",
        "FILTER_WHEEL_POSITION_SET 4", "LASER_ENABLE_PREVIEW 4", "CAMERA_SNAPSHOT_GET",
    ]  # fmt: skip
    assert relevant == plane * 2
    assert [core.getState(f"Laser {number}") for number in (1, 2, 3, 4)] == [0, 0, 0, 0]


def test_a_time_series_without_pauses_is_one_live_view(core: UniMMCore, commands: Callable[[], list[str]]) -> None:
    commands()
    frames = run(core, useq.MDASequence(time_plan={"interval": 0, "loops": 5}))
    assert len({image.tobytes() for image, *_ in frames}) == 5
    names = commands()
    assert (names.count("CAMERA_LIVE_VIEW_START"), names.count("CAMERA_LIVE_VIEW_STOP")) == (1, 1)
    core.snapImage()  # the instrument is idle


def test_a_position_out_of_reach_ends_the_acquisition(core: UniMMCore) -> None:
    frames: Frames = []
    sequence = useq.MDASequence(stage_positions=[(7000, 15000), (99_000, 15000), (7100, 15000)])
    core.mda.events.frameReady.connect(lambda *frame: frames.append(frame))
    with pytest.raises(flamingo.FlamingoError, match="XY: target of axis x"):
        core.mda.run(sequence)
    assert len(frames) == 1, "no image of a place that was not reached"
    assert core.getXPosition() == pytest.approx(7000)


def test_an_image_that_fails_ends_the_acquisition(core: UniMMCore, microscope: flamingo.Microscope) -> None:
    sequence = useq.MDASequence(z_plan={"absolute": [19_000, 19_010, 19_020]})
    frames: Frames = []

    def film(*frame: Any) -> None:
        frames.append(frame)
        microscope.camera.start_live_view()

    core.mda.events.frameReady.connect(film)
    with pytest.raises(flamingo.FlamingoError, match="expected the instrument to be IDLE"):
        core.mda.run(sequence)
    assert len(frames) == 1
    microscope.camera.stop_live_view()


def test_the_size_is_known_when_an_acquisition_begins(core: UniMMCore, commands: Callable[[], list[str]]) -> None:
    core.setConfig("Channel", "Laser 2")
    commands()
    sizes: list[tuple[int, int]] = []
    core.mda.events.sequenceStarted.connect(lambda *_: sizes.append((core.getImageHeight(), core.getImageWidth())))
    assert len(run(core, useq.MDASequence(z_plan={"absolute": [19_000, 19_010]}))) == 2
    assert len(run(core, useq.MDASequence(z_plan={"absolute": [19_000]}))) == 1
    assert sizes == [(32, 64)] * 2
    names = [name for name in commands() if name.startswith(("LASER_ENABLE", "CAMERA_SNAP"))]
    lit = ["LASER_ENABLE_PREVIEW 2", "CAMERA_SNAPSHOT_GET"]
    assert names == ["CAMERA_SNAPSHOT_GET", *lit, *lit, *lit], "one image without light, and that once"


def test_images_of_another_size_end_the_acquisition(core: UniMMCore, microscope: flamingo.Microscope) -> None:
    frames: Frames = []

    def crop(*frame: Any) -> None:
        frames.append(frame)
        microscope.camera.set_left_edge(9)

    core.mda.events.frameReady.connect(crop)
    with pytest.raises(flamingo.FlamingoError, match="expected 32 rows and 64 columns .* found 32 and 48"):
        core.mda.run(useq.MDASequence(z_plan={"absolute": [19_000, 19_010, 19_020]}))
    assert len(frames) == 1
    core.snapImage()
    assert core.getImage().shape == (32, 48)


def test_a_stack_is_stored_as_it_was_taken(core: UniMMCore, tmp_path: Path) -> None:
    tensorstore = pytest.importorskip("tensorstore")
    images: list[Any] = []
    core.mda.events.frameReady.connect(lambda image, *_: images.append(image.copy()))
    core.mda.run(useq.MDASequence(z_plan={"absolute": [19_000, 19_010, 19_020]}), output=tmp_path / "stack.ome.zarr")
    store = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(tmp_path / "stack.ome.zarr" / "0")}}
    stored = tensorstore.open(store).result().read().result()
    assert np.array_equal(stored, np.stack(images))
