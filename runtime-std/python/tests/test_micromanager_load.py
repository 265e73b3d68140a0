"""Loading and unloading: roles, labels, and what is sent."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

import flamingo

pytest.importorskip("pymmcore_plus", reason='needs `pip install "flamingo-link[micromanager]"`')

from pymmcore_plus import CMMCorePlus, DeviceType
from pymmcore_plus.experimental.unicore import UniMMCore as Core

from flamingo.micromanager import FlamingoCore, load_flamingo

if TYPE_CHECKING:
    from pymmcore_plus.experimental.unicore import UniMMCore

Commands = Callable[[], list[str]]
KINDS = {
    "Camera": DeviceType.Camera,
    "Shutter": DeviceType.Shutter,
    "Laser 1": DeviceType.State,
    "Laser 2": DeviceType.State,
    "Laser 3": DeviceType.State,
    "Laser 4": DeviceType.State,
    "LED": DeviceType.State,
    "Filter wheel": DeviceType.State,
    "Illumination": DeviceType.State,
    "XY": DeviceType.XYStage,
    "Z": DeviceType.Stage,
    "R": DeviceType.Stage,
    "Flamingo": DeviceType.Generic,
}


def test_all_devices_have_labels_and_roles(core: UniMMCore) -> None:
    assert {label: core.getDeviceType(label) for label in core.getLoadedDevices() if label != "Core"} == KINDS
    roles = core.getCameraDevice(), core.getShutterDevice(), core.getXYStageDevice(), core.getFocusDevice()
    assert roles == ("Camera", "Shutter", "XY", "Z")
    assert core.getPixelSizeUm() == pytest.approx(0.253)
    assert core.getTimeoutMs() >= 60_000
    assert core.getProperty("Flamingo", "Name") == "simulator"
    assert core.getProperty("Flamingo", "State") == "IDLE"
    for label in KINDS:
        for name in core.getDevicePropertyNames(label):
            assert core.getPropertyType(label, name), f"{label}: {name} has no type"
            core.getProperty(label, name)


def test_channels_select_light_and_filter(core: UniMMCore) -> None:
    assert core.getChannelGroup() == "Channel"
    assert set(core.getAvailableConfigs("Channel")) == {"Laser 1", "Laser 2", "Laser 3", "Laser 4", "LED"}
    for channel, position, filter_label in (("Laser 2", 2, "520/35"), ("LED", 0, "open")):
        core.setConfig("Channel", channel)
        assert core.getProperty("Shutter", "Light") == channel
        assert core.getState("Filter wheel") == position
        assert core.getStateLabel("Filter wheel") == filter_label
        assert core.getCurrentConfig("Channel") == channel


def test_loading_moves_nothing_and_lights_nothing(core: UniMMCore, commands: Commands) -> None:
    assert "XY" in core.getLoadedDevices()
    names = [name.split()[0] for name in commands()]
    assert "SYSTEM_STATE_GET" in names
    assert [name for name in names if not name.endswith(("_GET", "_LOAD"))] == [], "these are no questions"


def test_unloading_ends_the_light_and_the_connection(
    core: UniMMCore, sim: flamingo.Simulator, microscope: flamingo.Microscope, commands: Commands
) -> None:
    core.setState("LED", 1)
    core.setState("Laser 3", 1)
    instrument = core.getProperty("Flamingo", "Address")
    assert instrument == sim.address
    laser = core._pydevices["Laser 3"]
    core.getExposure()  # lasers acknowledge nothing, but an answer comes later
    commands()
    core.unloadAllDevices()
    names, deadline = commands(), time.monotonic() + 10
    while "LED_PREVIEW_DISABLE" not in names and time.monotonic() < deadline:
        names += commands()  # the connection is closed, so no answer tells that all has arrived
    assert names.index("LASER_DISABLE_ALL 3") < names.index("LED_PREVIEW_DISABLE")
    assert [name for name in names if "ENABLE" in name] == []
    with pytest.raises(flamingo.ConnectionLost):
        laser.microscope.state()  # type: ignore[attr-defined]
    assert microscope.state() == "IDLE", "other connections live"
    load_flamingo(core, sim.address)
    assert core.getState("Laser 3") == 0


ABANDONED = """
import sys
from flamingo.micromanager import FlamingoCore, load_flamingo

core = FlamingoCore()
load_flamingo(core, sys.argv[1])
core.setState("Laser 2", 1)
core.startContinuousSequenceAcquisition()
"""


def test_a_program_that_ends_leaves_nothing_on(
    sim: flamingo.Simulator, microscope: flamingo.Microscope, commands: Commands
) -> None:
    subprocess.run([sys.executable, "-c", ABANDONED, sim.address], check=True, timeout=120, capture_output=True)
    names, deadline = commands(), time.monotonic() + 10
    while "LED_PREVIEW_DISABLE" not in names and time.monotonic() < deadline:
        names += commands()
    after = names[names.index("CAMERA_LIVE_VIEW_START") :]
    assert {"CAMERA_LIVE_VIEW_STOP", "LASER_DISABLE 2", "LED_PREVIEW_DISABLE"} <= set(after)
    assert microscope.state() == "IDLE"


def test_a_given_connection_stays_open(sim: flamingo.Simulator, microscope: flamingo.Microscope) -> None:
    core = Core()
    load_flamingo(core, microscope)
    core.unloadAllDevices()
    assert microscope.state() == "IDLE"


def test_a_lost_connection_does_not_stop_unloading(sim: flamingo.Simulator, core: UniMMCore) -> None:
    sim.stop()
    with pytest.raises(flamingo.FlamingoError):
        core.getXYPosition()
    core.unloadAllDevices()
    assert core.getLoadedDevices() == ("Core",)


def test_a_failed_load_leaves_nothing_behind(sim: flamingo.Simulator) -> None:
    core = Core()
    with pytest.raises(flamingo.CannotConnect):
        load_flamingo(core, "127.0.0.1:1")
    assert core.getLoadedDevices() == ("Core",)
    load_flamingo(core, sim.address)
    with pytest.raises(ValueError, match="already in use"):
        load_flamingo(core, sim.address)
    assert len(core.getLoadedDevices()) == len(KINDS) + 1
    core.snapImage()
    core.unloadAllDevices()


def test_a_core_without_python_devices_is_refused(sim: flamingo.Simulator) -> None:
    with pytest.raises(TypeError, match="UniMMCore"):
        load_flamingo(CMMCorePlus(), sim.address)  # type: ignore[arg-type]


DECLINES = "[light]\ndeclining_lasers = [3, 4]\n"


def test_a_laser_that_declines_is_not_loaded() -> None:
    core = Core()
    with flamingo.simulator(DECLINES) as sim:
        load_flamingo(core, sim.address)
        assert "Laser 2" in core.getLoadedDevices()
        assert "Laser 3" not in core.getLoadedDevices()
        assert "Laser 4" not in core.getAvailableConfigs("Channel")
        core.unloadAllDevices()


def test_the_image_size_can_be_given(sim: flamingo.Simulator) -> None:
    core = Core()
    load_flamingo(core, sim.address, image_shape=(32, 64))
    assert (core.getImageHeight(), core.getImageWidth()) == (32, 64)
    core.unloadAllDevices()


def test_signals_of_the_own_core_name_the_devices(sim: flamingo.Simulator, hear: Any) -> None:
    core = FlamingoCore()
    load_flamingo(core, sim.address)
    changed, stopped = hear(core.events.propertyChanged), hear(core.events.sequenceAcquisitionStopped)
    core.setShutterOpen(True)
    core.setShutterOpen("Shutter", False)
    core.startContinuousSequenceAcquisition()
    core.stopSequenceAcquisition()
    states = [call for call in changed.calls if call[1] == "State"]
    assert states[:2] == [("Shutter", "State", "1"), ("Shutter", "State", "0")]
    assert stopped.calls == [("Camera",)]
    core.setProperty("Core", "Focus", "R")
    assert core.getFocusDevice() == "R"
    with pytest.raises(ValueError, match="nothing"):
        core.setProperty("Core", "Focus", "nothing")
    core.unloadAllDevices()
