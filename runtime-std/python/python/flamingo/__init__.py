"""Control a Flamingo light-sheet microscope.

This module is the blocking API: `connect` returns a `Microscope`. The same for asyncio is `flamingo.aio`, what
existing programs can use instead of their socket reader is `flamingo.dropin`. Numbers have the units of the
instrument: mm, degrees, µs, percent; times are in seconds.
"""

from __future__ import annotations

import atexit

from flamingo._native import (
    VERSION,
    Answer,
    Arrival,
    AxisLimits,
    Event,
    Frame,
    Image,
    Pose,
    ReceivedCommand,
    RunEvent,
    RunSummary,
    ScopeSettings,
    SentFrame,
    StackReport,
    code_name,
    finish_halts,
)
from flamingo.callbacks import Registration
from flamingo.codes import Code
from flamingo.errors import (
    Busy,
    CannotConnect,
    CannotStart,
    ConnectionLost,
    FlamingoError,
    Halted,
    InvalidCommand,
    InvalidValue,
    Limits,
    MotionError,
    NotCompleted,
    NotSaved,
    NotStarted,
    OffTarget,
    PositionUnknown,
    ProtocolError,
    Refused,
    Retargeted,
    SettingsInvalid,
    Superseded,
    Timeout,
    Unsupported,
    WorkflowInvalid,
)
from flamingo.images import ImageStream
from flamingo.microscope import Events, Microscope, connect
from flamingo.servers import Bridge, Simulator, bridge, simulator

__version__ = VERSION

# The program must not end before the HALTs of cancelled moves are sent.
atexit.register(finish_halts)

__all__ = [
    "Answer",
    "Arrival",
    "AxisLimits",
    "Bridge",
    "Busy",
    "CannotConnect",
    "CannotStart",
    "Code",
    "ConnectionLost",
    "Event",
    "Events",
    "FlamingoError",
    "Frame",
    "Halted",
    "Image",
    "ImageStream",
    "InvalidCommand",
    "InvalidValue",
    "Limits",
    "Microscope",
    "MotionError",
    "NotCompleted",
    "NotSaved",
    "NotStarted",
    "OffTarget",
    "Pose",
    "PositionUnknown",
    "ProtocolError",
    "ReceivedCommand",
    "Refused",
    "Registration",
    "Retargeted",
    "RunEvent",
    "RunSummary",
    "ScopeSettings",
    "SentFrame",
    "SettingsInvalid",
    "Simulator",
    "StackReport",
    "Superseded",
    "Timeout",
    "Unsupported",
    "WorkflowInvalid",
    "__version__",
    "bridge",
    "code_name",
    "connect",
    "simulator",
]
