"""Drives a simulated Flamingo through the widgets of pymmcore-widgets, as pymmcore-gui and napari-micromanager do. The
test runs it in a process of its own: a Qt application changes how the signals of every later core are delivered."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

import pyconify.api
import pymmcore_widgets as widgets
import useq
from conftest import QUICK
from pymmcore_widgets.control._stage_widget import StageMovementButtons
from qtpy.QtWidgets import QApplication

import flamingo
from flamingo.micromanager import FlamingoCore, load_flamingo

PLAN = {"channels": ["Laser 1", "Laser 2"], "z_plan": {"range": 10, "step": 5}}

failures: list[str] = []


def until(app: QApplication, reached: Callable[[], bool], what: str) -> None:
    """Runs the event loop until something is reached."""
    deadline = time.monotonic() + 30
    while not reached():
        assert time.monotonic() < deadline, f"not reached: {what}"
        app.processEvents()
        time.sleep(0.005)


def step(stage: Any, across: float, up: float) -> None:
    """Clicks on the arrows of a stage."""
    stage.findChild(StageMovementButtons).moveRequested.emit(across, up)


def main() -> None:
    """Uses each widget once."""
    # The icons of the widgets come from a server in the internet, which a test does not ask.
    pyconify.api.svg = lambda *_, **__: b'<svg xmlns="http://www.w3.org/2000/svg"/>'
    sys.excepthook = lambda kind, error, trace: failures.append("".join(traceback.format_exception(error)))
    app = QApplication([])
    core = FlamingoCore()
    with flamingo.simulator(QUICK) as sim:
        load_flamingo(core, sim.address)
        shown: list[Any] = [
            widgets.ExposureWidget(mmcore=core),
            widgets.GroupPresetTableWidget(mmcore=core),
            widgets.PropertyBrowser(mmcore=core),
            widgets.PixelConfigurationWidget(mmcore=core),
            widgets.CameraRoiWidget(mmcore=core),
            widgets.ChannelWidget(mmcore=core),
            widgets.StageWidget("R", mmcore=core),
            widgets.ShuttersWidget("Shutter", autoshutter=True, mmcore=core),
        ]
        snap, live = widgets.SnapButton(mmcore=core), widgets.LiveButton(mmcore=core)
        xy, z = widgets.StageWidget("XY", mmcore=core), widgets.StageWidget("Z", mmcore=core)
        laser = [widgets.PropertyWidget("Laser 2", name, mmcore=core) for name in ("Label", "Power (%)")]
        mda = widgets.MDAWidget(mmcore=core)
        shown += [snap, live, xy, z, *laser, mda]
        for widget in shown:
            widget.show()
        app.processEvents()

        images: list[Any] = []
        core.events.imageSnapped.connect(lambda *_: images.append(core.getImage()))
        snap.click()
        until(app, lambda: len(images) == 1, "a snapped image")
        live.click()
        until(app, lambda: core.getRemainingImageCount() > 2, "live images")
        live.click()
        until(app, lambda: not core.isSequenceRunning(), "the end of the live view")
        core.setConfig("Channel", "Laser 2")
        before = core.getZPosition()
        step(z, 0, 25)
        until(app, lambda: abs(core.getZPosition() - before - 25) < 0.1, "a step of Z")
        step(xy, 20, -20)
        core.waitForDevice("XY")
        frames: list[Any] = []
        core.mda.events.frameReady.connect(lambda *frame: frames.append(frame))
        mda.setValue(useq.MDASequence.model_validate(PLAN))
        core.run_mda(mda.value())
        until(app, lambda: len(frames) == 6 and not core.mda.is_running(), "an acquisition")
        app.processEvents()
        failed = bool(failures)
        print("\n".join(failures) or "all widgets work")
        for widget in shown:
            widget.close()
            widget.deleteLater()
        app.processEvents()
        core.unloadAllDevices()
    sys.exit(failed)


if __name__ == "__main__":
    try:
        main()
    except Exception:
        traceback.print_exc()
        sys.exit(1)
