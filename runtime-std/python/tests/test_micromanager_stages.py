"""The stages: motions, waits, stops, limits, and failures that are not lost."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

import flamingo

pytest.importorskip("pymmcore_plus", reason='needs `pip install "flamingo-link[micromanager]"`')

from flamingo.micromanager import load_flamingo
from flamingo.micromanager._motions import Motions

if TYPE_CHECKING:
    from pymmcore_plus.experimental.unicore import UniMMCore

Commands = Callable[[], list[str]]
#: One motion takes minutes.
STILL = "[latency]\nmin_ms = 0.0\nmax_ms = 0.1\n[stage]\nspeed_factor = 0.01\n"


def test_a_move_is_waited_for_and_asked_for(core: UniMMCore, microscope: flamingo.Microscope, hear: Any) -> None:
    heard = hear(core.events.XYStagePositionChanged)
    core.setXYPosition(7000, 15500.5)
    assert core.deviceBusy("XY")
    core.waitForDevice("XY")
    assert not core.deviceBusy("XY")
    assert core.getXYPosition() == pytest.approx((7000, 15500.5))
    assert microscope.stage.position("y") == pytest.approx(15.5005)
    heard.wait_for(("XY", *core.getXYPosition()))
    microscope.stage.move(y=15.0)
    assert core.getYPosition() == pytest.approx(15000), "the position is asked, not remembered"


def test_each_axis_has_its_stage_and_unit(core: UniMMCore, microscope: flamingo.Microscope) -> None:
    core.setZPosition(19_250)
    core.setPosition("R", 5.5)
    core.waitForSystem()
    pose = microscope.stage.pose()
    assert (pose.x, pose.y, pose.z, pose.r) == pytest.approx((7.5, 15.0, 19.25, 5.5))
    core.setRelativePosition("Z", -50)
    core.waitForDevice("Z")
    assert core.getZPosition() == pytest.approx(19_200)
    assert core.getProperty("Z", "Maximum (um)") == pytest.approx(26_000)
    assert core.getProperty("R", "Minimum (deg)") == pytest.approx(-720)
    assert core.getProperty("XY", "X minimum (um)") == pytest.approx(1000)


def test_a_target_outside_the_limits_is_refused(core: UniMMCore, commands: Commands) -> None:
    commands()
    with pytest.raises(flamingo.Limits, match="12.31"):
        core.setXYPosition(12_311, 15_000)
    assert not any(name.startswith("STAGE_POSITION_SET") for name in commands())
    with pytest.raises(flamingo.FlamingoError, match="XY: "):
        core.waitForDevice("XY")  # an engine that logs the error above does not take an image there
    core.waitForDevice("XY")


def test_a_stop_goes_out_at_once_and_ends_the_wait() -> None:
    from pymmcore_plus.experimental.unicore import UniMMCore

    core = UniMMCore()
    with flamingo.simulator(STILL) as sim:
        load_flamingo(core, sim.address)
        core.setZPosition(20_000)
        waiting = threading.Event()
        failures: list[BaseException] = []

        def wait() -> None:
            waiting.set()
            try:
                core.waitForDevice("Z")
            except BaseException as error:
                failures.append(error)

        thread = threading.Thread(target=wait)
        thread.start()
        assert waiting.wait(10)
        core.stop("Z")
        thread.join(timeout=30)
        assert not thread.is_alive()
        assert [type(failure) for failure in failures] == [flamingo.Halted]
        assert "STAGE_HALT" in [flamingo.code_name(command.frame.code) for command in sim.received()]
        position = core.getZPosition()
        assert 19_000 <= position < 19_900
        assert core.getZPosition() == pytest.approx(position)
        core.unloadAllDevices()


def test_a_new_target_replaces_the_motion(core: UniMMCore) -> None:
    core.setZPosition(20_000)
    core.setZPosition(18_900)
    core.waitForDevice("Z")
    assert core.getZPosition() == pytest.approx(18_900)


def test_home_goes_to_the_home_position(core: UniMMCore) -> None:
    core.setXYPosition(7_000, 15_500)
    core.waitForDevice("XY")
    core.home("XY")
    core.waitForDevice("XY")
    assert core.getXYPosition() == pytest.approx((7_500, 15_000))


def test_an_axis_at_its_target_is_not_moved_again(core: UniMMCore, commands: Commands) -> None:
    core.setXYPosition(7_000, 15_000)
    core.waitForDevice("XY")
    commands()
    core.setXYPosition(7_000, 15_100)
    core.waitForDevice("XY")
    assert [name for name in commands() if "POSITION_SET" in name] == ["STAGE_POSITION_SET 2"]


def test_an_origin_is_refused(core: UniMMCore, commands: Commands) -> None:
    commands()
    refused = pytest.raises(flamingo.Unsupported, match="no command that sets an origin")
    origins: list[Callable[[], None]] = [
        core.setOriginXY,
        core.setOriginX,
        core.setOriginY,
        core.setOrigin,
        lambda: core.setOrigin("R"),
        lambda: core.setAdapterOriginXY(0, 0),
        lambda: core.setAdapterOrigin(0),
    ]
    for set_origin in origins:
        with refused:
            set_origin()
    assert commands() == []


CLAMPED = "[latency]\nmin_ms = 0.0\nmax_ms = 0.1\n[stage]\nspeed_factor = 50\n[stage.z]\nclamp_max_mm = 20.0\n"


def test_a_motion_that_ends_elsewhere_fails_the_wait() -> None:
    from pymmcore_plus.experimental.unicore import UniMMCore

    core = UniMMCore()
    with flamingo.simulator(CLAMPED) as sim:
        load_flamingo(core, sim.address)
        core.setZPosition(20_500)
        with pytest.raises(flamingo.OffTarget, match="20"):
            core.waitForSystem()
        core.unloadAllDevices()


class SlowStage:
    """Stands elsewhere, and sends a motion when it is told to; notes what is sent."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.asked, self.answer = threading.Event(), threading.Event()
        self.sending, self.send = threading.Event(), threading.Event()

    def position(self, axis: str) -> float:
        self.asked.set()
        assert self.answer.wait(10)
        return 0.0

    def start_move(self, **targets: float) -> SlowStage:
        self.sending.set()
        assert self.send.wait(10)
        self.sent.append("move")
        return self

    def wait(self) -> None:
        """The motion ends at once."""

    def halt(self, *axes: str) -> None:
        self.sent.append("halt")
        self.send.set()


def moving(stage: SlowStage) -> tuple[Motions, threading.Thread, list[BaseException]]:
    """Begins a motion of `stage` on a thread."""
    microscope: Any = SimpleNamespace(stage=stage)
    motions = Motions(microscope, "z", lambda: None)
    failures: list[BaseException] = []

    def move() -> None:
        try:
            motions.move({"z": 20.0})
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=move)
    thread.start()
    return motions, thread, failures


def test_a_motion_stopped_before_it_was_sent_is_not_sent() -> None:
    stage = SlowStage()
    motions, thread, failures = moving(stage)
    assert stage.asked.wait(10)
    motions.stop()
    stage.answer.set()
    thread.join(timeout=10)
    assert stage.sent == ["halt"]
    assert [type(failure) for failure in failures] == [flamingo.Superseded]
    assert not motions.is_moving()


def test_a_motion_sent_during_a_stop_is_halted_again() -> None:
    stage = SlowStage()
    stage.answer.set()
    motions, thread, failures = moving(stage)
    assert stage.sending.wait(10)
    motions.stop()
    thread.join(timeout=10)
    assert stage.sent == ["halt", "move", "halt"]
    assert failures == []
