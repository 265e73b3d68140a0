"""The exceptions of this package. Each is a `FlamingoError`; where Python has a class of its own, such as
`TimeoutError`, it is that as well. The native module raises them by name."""

from __future__ import annotations


class FlamingoError(Exception):
    """Something failed. The message says what was expected, what was found, and what to try."""

    #: The code that the program `flamingo` would exit with; 0 if it has none for this error.
    exit_code: int = 0
    #: Whether the command was written before the call failed. Then the instrument may have carried it out.
    was_sent: bool = False


class InvalidValue(FlamingoError, ValueError):
    """An argument cannot be used. Nothing was sent."""


class InvalidCommand(FlamingoError, ValueError):
    """The command must not go to the instrument. Nothing was sent."""


class CannotConnect(FlamingoError, ConnectionError):
    """The host has no address, or does not accept the connection."""


class CannotStart(FlamingoError, OSError):
    """The simulator or the bridge cannot start, for example because a port is taken."""


class ConnectionLost(FlamingoError, ConnectionError):
    """The connection ended. It is not known whether the instrument carried out the command."""


class Timeout(FlamingoError, TimeoutError):
    """No clear answer came in time, or a wait was longer than its limit."""


class Unsupported(FlamingoError):
    """The instrument does not know the command, or does not have the device."""


class ProtocolError(FlamingoError):
    """The peer sent what no instrument sends."""


class Refused(FlamingoError):
    """The instrument answered with failure."""

    code: int = 0
    status: int = 0
    #: The text of the answer; often empty.
    reason: str = ""


class Limits(FlamingoError, ValueError):
    """A value is outside of its limits. Nothing was sent."""


class Busy(FlamingoError):
    """The instrument is doing something that the command would disturb. Nothing was sent."""

    #: What it is doing, such as "WORK_FLOW_RUNNING".
    state: str = ""


class Superseded(FlamingoError):
    """A stop cancelled the command before it was sent."""


class MotionError(FlamingoError):
    """A motion ended elsewhere than at its target."""

    axis: str = ""
    #: Where the axis stands; None if it is not known.
    position: float | None = None
    target: float | None = None


class Halted(MotionError):
    """A HALT of this or another client ended the motion."""


class Retargeted(MotionError):
    """A later command gave the axis another target."""


class NotCompleted(MotionError):
    """The motion ended, but not at its target."""


class OffTarget(MotionError):
    """The instrument reports success, but the axis stands elsewhere."""


class PositionUnknown(FlamingoError):
    """The instrument answered 0, which is outside of the limits: the axis may be moving."""

    axis: str = ""


class WorkflowInvalid(FlamingoError, ValueError):
    """The workflow has errors. Nothing was sent."""

    #: One text for each error.
    findings: list[str] = []


class NotStarted(FlamingoError):
    """The workflow was uploaded, but did not begin in time."""

    #: The texts that the instrument sent since the upload.
    messages: list[str] = []


class SettingsInvalid(FlamingoError, ValueError):
    """The scope settings cannot be read."""


class NotSaved(FlamingoError):
    """The instrument acknowledged settings, but has others now."""
