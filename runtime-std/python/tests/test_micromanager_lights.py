"""Lasers, LED, filter wheel, illumination and shutter: what is sent, and when nothing may be."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

import flamingo

pytest.importorskip("pymmcore_plus", reason='needs `pip install "flamingo-link[micromanager]"`')

from flamingo.micromanager.filter_wheel import positions

if TYPE_CHECKING:
    from pymmcore_plus.experimental.unicore import UniMMCore

Commands = Callable[[], list[str]]
ALL_OFF = [f"LASER_DISABLE_ALL {number}" for number in (1, 2, 3, 4)]

LONG_STACK = """<Workflow Settings>
<Experiment Settings>
Frame rate (f/s) = 1
</Experiment Settings>
<Stack Settings>
Number of planes = 500
</Stack Settings>
<Start Position>
X (mm) = 7.5
Y (mm) = 15
Z (mm) = 19
Angle (degrees) = 0
</Start Position>
</Workflow Settings>
"""


def settle(core: UniMMCore) -> None:
    """Waits until the instrument has received what was sent: lasers acknowledge nothing, but an answer comes later."""
    assert core.getExposure() > 0


def lights(names: list[str]) -> list[str]:
    """The commands about lasers and LED."""
    return [name for name in names if name.startswith(("LASER", "LED")) and "LEVEL" not in name]


def test_a_laser_is_switched_by_state_and_by_label(core: UniMMCore, commands: Commands, hear: Any) -> None:
    heard = hear(core.events.propertyChanged)
    commands()
    core.setState("Laser 2", 1)
    core.setStateLabel("Laser 2", "Preview")
    core.setProperty("Laser 2", "Label", "Off")
    core.setProperty("Laser 2", "State", "0")
    expected = ["LASER_ENABLE 2", "LASER_ENABLE_PREVIEW 2", "LASER_DISABLE 2", "LASER_DISABLE 2"]
    settle(core)
    assert lights(commands()) == expected
    assert core.getStateLabels("Laser 2") == ("Off", "On", "Preview")
    heard.wait_for(("Laser 2", "Label", "Preview"))


def test_preview_of_one_laser_ends_the_others(core: UniMMCore) -> None:
    core.setState("Laser 1", 1)
    core.setState("Laser 3", 2)
    assert [core.getState(f"Laser {number}") for number in (1, 2, 3, 4)] == [0, 0, 2, 0]


def test_power_is_set_in_percent_and_read_back(core: UniMMCore, microscope: flamingo.Microscope) -> None:
    core.setProperty("Laser 3", "Power (%)", 12.25)
    assert core.getProperty("Laser 3", "Power (%)") == pytest.approx(12.25)
    assert microscope.lasers.level(3) == pytest.approx(12.25)
    with pytest.raises(ValueError, match="allowed range"):
        core.setProperty("Laser 3", "Power (%)", 101)
    assert microscope.lasers.level(3) == pytest.approx(12.25)


def test_the_led_needs_brightness_and_sends_it_when_on(core: UniMMCore, commands: Commands) -> None:
    commands()
    core.setProperty("LED", "Colour", "green")
    core.setProperty("LED", "Brightness", 40_000)
    assert lights(commands()) == [], "nothing is sent while the LED is off"
    core.setState("LED", 1)
    core.setProperty("LED", "Brightness", 41_000)
    core.setState("LED", 0)
    settle(core)
    expected = ["LED_SET", "LED_SELECTION_CHANGE", "LED_PREVIEW_ENABLE", "LED_SET", "LED_PREVIEW_DISABLE"]
    assert lights(commands()) == expected


def test_the_filter_wheel_is_asked_and_turned(core: UniMMCore, microscope: flamingo.Microscope) -> None:
    core.setState("Filter wheel", 3)
    core.waitForDevice("Filter wheel")
    assert microscope.filter_wheel.position() == 3
    microscope.filter_wheel.set_position(2)
    assert core.getState("Filter wheel") == 2
    label = core.getStateLabel("Filter wheel")
    core.setState("Filter wheel", 4)
    core.setStateLabel("Filter wheel", label)
    assert microscope.filter_wheel.position() == 2


def test_a_label_names_a_filter_only_if_the_count_is_known() -> None:
    filters = [(1, "460/50"), (2, "open"), (3, "open")]
    assert positions(filters, [0, 1]) == {0: "460/50", 1: "open (2)", 2: "open (3)"}
    assert positions(filters, [1, 3]) == {1: "460/50", 2: "open (2)", 3: "open (3)"}
    assert positions(filters, [1, 2]) == {0: "Position 0", 1: "Position 1", 2: "Position 2", 3: "Position 3"}
    assert len(positions([], [])) == 9


def test_illumination_closes_a_path_before_it_opens_one(core: UniMMCore, commands: Commands) -> None:
    assert core.getStateLabel("Illumination") == "Not set"
    commands()
    core.setStateLabel("Illumination", "Right")
    core.setStateLabel("Illumination", "Left")
    settle(core)
    sent = [name for name in commands() if name.startswith("ILLUMINATION")]
    assert sent == [
        "ILLUMINATION_LEFT_DISABLE",
        "ILLUMINATION_RIGHT_ENABLE",
        "ILLUMINATION_RIGHT_DISABLE",
        "ILLUMINATION_LEFT_ENABLE",
    ]
    with pytest.raises(ValueError, match="Not set"):
        core.setState("Illumination", 0)


def test_the_shutter_lights_the_selected_laser_only(core: UniMMCore, commands: Commands, hear: Any) -> None:
    heard = hear(core.events.propertyChanged)
    core.setConfig("Channel", "Laser 2")
    commands()
    core.setShutterOpen(True)
    assert core.getShutterOpen()
    assert core.getState("Laser 2") == 2
    core.setProperty("Shutter", "Light", "Laser 4")
    assert [core.getState(f"Laser {number}") for number in (2, 4)] == [0, 2]
    core.setShutterOpen(False)
    assert not core.getShutterOpen()
    assert core.getState("Laser 4") == 0
    settle(core)
    on = ["LASER_ENABLE_PREVIEW 2", "LASER_ENABLE_PREVIEW 4"]
    assert lights(commands()) == [*ALL_OFF, on[0], *ALL_OFF, *ALL_OFF, on[1], *ALL_OFF]
    heard.wait_for(("Laser 4", "State", "2"))


def test_a_snap_is_lit_only_while_it_is_exposed(core: UniMMCore, commands: Commands) -> None:
    core.setConfig("Channel", "Laser 3")
    commands()
    core.snapImage()
    settle(core)
    names = commands()
    on, image = names.index("LASER_ENABLE_PREVIEW 3"), names.index("CAMERA_SNAPSHOT_GET")
    assert on < image < names.index(ALL_OFF[0], image)
    assert names.count("LASER_ENABLE_PREVIEW 3") == 1
    assert core.getState("Laser 3") == 0


def test_without_auto_shutter_no_light_is_switched(core: UniMMCore, commands: Commands) -> None:
    core.setConfig("Channel", "Laser 3")
    core.setAutoShutter(False)
    commands()
    core.snapImage()
    settle(core)
    assert lights(commands()) == []


def test_a_live_view_is_lit_until_it_is_stopped(core: UniMMCore, commands: Commands) -> None:
    core.setConfig("Channel", "Laser 1")
    commands()
    core.startContinuousSequenceAcquisition()
    assert core.getState("Laser 1") == 2
    core.stopSequenceAcquisition()
    core.snapImage()  # begins after the end of the live view
    names = commands()
    on, stop = names.index("LASER_ENABLE_PREVIEW 1"), names.index("CAMERA_LIVE_VIEW_STOP")
    assert on < names.index("CAMERA_LIVE_VIEW_START") < names.index(ALL_OFF[0], on) < stop


def test_nothing_lights_up_while_a_workflow_runs(
    core: UniMMCore, microscope: flamingo.Microscope, commands: Commands
) -> None:
    core.setConfig("Channel", "Laser 1")
    run = microscope.workflows.start(LONG_STACK)
    while microscope.state() != "WORK_FLOW_RUNNING":
        pass
    commands()
    lit: list[Callable[[], None]] = [
        lambda: core.setState("Laser 1", 1),
        lambda: core.setState("LED", 1),
        lambda: core.setShutterOpen(True),
    ]
    for light_up in lit:
        with pytest.raises(flamingo.Busy, match="a workflow runs"):
            light_up()
    assert not core.getShutterOpen()
    assert core.getState("Laser 1") == 0
    assert not any("ENABLE" in name for name in commands())
    run.abort()
    run.wait(timeout=20)


def test_a_failed_setting_of_a_preset_is_not_forgotten(core: UniMMCore) -> None:
    core.defineConfig("Channel", "bright", "Laser 1", "Power (%)", 200)
    core.defineConfig("Channel", "bright", "Laser 1", "State", 0)
    with pytest.raises(RuntimeError, match="200"):
        core.setConfig("Channel", "bright")
    with pytest.raises(flamingo.FlamingoError, match="Laser 1: .*200"):
        core.waitForSystem()
