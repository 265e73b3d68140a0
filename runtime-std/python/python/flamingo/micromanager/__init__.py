"""A Flamingo as devices of Micro-Manager, for programs that use pymmcore-plus: pymmcore-gui, napari-micromanager.

    from flamingo.micromanager import FlamingoCore, load_flamingo

    core = FlamingoCore()
    load_flamingo(core, "192.168.1.20:53717")
    core.snapImage()

It needs the extra: `pip install "flamingo-link[micromanager]"`. `load.py` loads the devices; `core.py` is the core for
graphical programs; each other file has one device. What two of them share is in the files that begin with `_`.
"""

from __future__ import annotations

from importlib.util import find_spec

if find_spec("pymmcore_plus") is None:
    raise ImportError('flamingo.micromanager needs pymmcore-plus: run `pip install "flamingo-link[micromanager]"`')

from flamingo.micromanager._checked import NotReady
from flamingo.micromanager.camera import FlamingoCamera
from flamingo.micromanager.core import FlamingoCore
from flamingo.micromanager.engine import FlamingoEngine
from flamingo.micromanager.filter_wheel import FlamingoFilterWheel
from flamingo.micromanager.illumination import FlamingoIllumination
from flamingo.micromanager.instrument import FlamingoInstrument
from flamingo.micromanager.lasers import FlamingoLaser, LaserStates
from flamingo.micromanager.led import FlamingoLed
from flamingo.micromanager.load import load_flamingo
from flamingo.micromanager.shutter import FlamingoShutter
from flamingo.micromanager.stages import FlamingoRotation, FlamingoXYStage, FlamingoZStage

__all__ = [
    "FlamingoCamera",
    "FlamingoCore",
    "FlamingoEngine",
    "FlamingoFilterWheel",
    "FlamingoIllumination",
    "FlamingoInstrument",
    "FlamingoLaser",
    "FlamingoLed",
    "FlamingoRotation",
    "FlamingoShutter",
    "FlamingoXYStage",
    "FlamingoZStage",
    "LaserStates",
    "NotReady",
    "load_flamingo",
]
