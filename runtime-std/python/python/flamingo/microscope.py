"""The blocking API: a connection and its devices. Each method waits for its result and lets other threads run
meanwhile. Ctrl-C ends every wait; a move that it interrupts is halted. The same for asyncio is `flamingo.aio`."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

from flamingo import _native
from flamingo._native import Answer, Arrival, AxisLimits, Event, Frame, Image, Pose
from flamingo._native import RunEvent, RunSummary, ScopeSettings, StackReport
from flamingo.callbacks import ALL_CODES, Callbacks, Registration
from flamingo.images import ImageStream

#: A number, or a name such as "STAGE_HALT".
Code = int | str
#: "x", "y", "z" or "r", or the number on the wire: 1 to 4.
Axis = int | str


def connect(
    address: str,
    *,
    timeout: float = 3.0,
    connect_timeout: float = 2.0,
    settle: float = 0.05,
    reconnect: bool = False,
    event_capacity: int = 4096,
    load_settings: bool = True,
) -> Microscope:
    """Connects to the control port at `HOST:PORT`, proves that the peer is an instrument, and loads the scope
    settings.

    An answer may take `timeout` seconds. `settle` is how long to listen for stale bytes before the first command
    is sent; 0 is right for the simulator and the bridge. With `reconnect` the connection is made again when it is
    lost; no command is ever sent again. `event_capacity` events may wait for a reader. Without `load_settings`
    the settings are loaded when they are first needed.

    Raises `CannotConnect`, `Timeout`, `ProtocolError` or `ConnectionLost`.
    """
    call = _native.connect(
        address,
        timeout=timeout,
        connect_timeout=connect_timeout,
        settle=settle,
        reconnect=reconnect,
        event_capacity=event_capacity,
        load_settings=load_settings,
    )
    return Microscope(call.wait())


class Microscope:
    """A connection to a microscope. Any number of threads can use it. `with` closes it at the end.

        with flamingo.connect("192.168.1.10:53717") as microscope:
            microscope.stage.move(x=6.5)
            print(microscope.stage.position("x"))
    """

    def __init__(self, native: _native.Microscope) -> None:
        self._native = native
        self._callbacks = Callbacks(native)
        self.stage = Stage(native.stage)
        self.camera = Camera(native.camera)
        self.lasers = Lasers(native.lasers)
        self.led = Led(native.led)
        self.filter_wheel = FilterWheel(native.filter_wheel)
        self.illumination = Illumination(native.illumination)
        self.settings = Settings(native.settings)
        self.storage = Storage(native.storage)
        self.workflows = Workflows(native.workflows)

    @property
    def native(self) -> _native.Microscope:
        """The same connection for asyncio."""
        return self._native

    @property
    def address(self) -> str:
        """`HOST:PORT` of the control port."""
        return self._native.address

    def state(self) -> str:
        """What the instrument is doing now: "IDLE", "SNAP_SHOT", "LIVE_VIEW", "WORK_FLOW_RUNNING" or another."""
        return self._native.state().wait()

    def request(
        self,
        command: Code | Frame,
        *,
        selector: int | None = None,
        value: float | None = None,
        text: str | None = None,
        payload: bytes | None = None,
        timeout: float | None = None,
    ) -> Answer:
        """Sends a command and waits for its answer. Nothing is checked against the limits of the stage.

        `selector` is int32Data0, `value` doubleData, `text` goes into the buffer. `flamingo.Frame` has all
        fields. Raises `Timeout`, `Unsupported`, `ConnectionLost`, `Superseded`, or `InvalidCommand`, as for a
        command that is never answered: use `send` for that.
        """
        call = self._native.request(
            command, selector=selector, value=value, text=text, payload=payload, timeout=timeout
        )
        return call.wait()

    def send(
        self,
        command: Code | Frame,
        *,
        selector: int | None = None,
        value: float | None = None,
        text: str | None = None,
        payload: bytes | None = None,
    ) -> None:
        """Sends a command and waits only until it is written. Raises as `request`, without `Timeout`."""
        self._native.send(command, selector=selector, value=value, text=text, payload=payload).wait()

    def events(self, *codes: Code) -> Events:
        """The events of these codes, or of all codes, from now on: what no request asked for."""
        return Events(self._native.events(*codes))

    def on(self, code: Code | None, handler: Callable[[Event], object]) -> Registration:
        """Calls `handler(event)` with each event of this code from now on; with all events if `code` is None.

        Handlers run one after the other in a thread of their own, and may use the microscope. An exception is
        logged by the logger "flamingo", and ends nothing. `Registration.cancel` ends the calls.
        """
        key = ALL_CODES if code is None else Frame(code).code
        return self._callbacks.add(key, handler)

    def live(self, *, address: str | None = None, every: bool = False, memory_mb: int = 256) -> ImageStream:
        """Starts the live view and returns its images; `close` or `with` stops it.

        Without `every` the program receives the newest image; with it every image, as long as those that wait or
        are kept fit into `memory_mb` (10⁶ bytes). `address` is `HOST:PORT`, by default the port above the control
        port. Raises `Busy` while a workflow runs.
        """
        stream = self._native.live_images(address=address, every=every, memory_mb=memory_mb).wait()
        self.camera.start_live_view()
        return ImageStream(stream, self._stop_live_view)

    def _stop_live_view(self) -> None:
        self.camera.stop_live_view()

    def live_images(self, *, address: str | None = None, every: bool = False, memory_mb: int = 256) -> ImageStream:
        """The images of the live port, without starting a live view: those that another program takes, or that
        `Camera.snapshot` takes."""
        return ImageStream(self._native.live_images(address=address, every=every, memory_mb=memory_mb).wait())

    def stack_images(self, *, address: str | None = None, every: bool = True, memory_mb: int = 256) -> ImageStream:
        """The images of workflows, from the second port above the control port. Connect before the workflow
        starts."""
        return ImageStream(self._native.stack_images(address=address, every=every, memory_mb=memory_mb).wait())

    def snap(self, *, address: str | None = None, timeout: float = 10.0) -> Image:
        """Takes one image. Raises `Busy` while a workflow runs, and `Timeout`."""
        return self._native.snap(address=address, timeout=timeout).wait()

    def stats(self) -> dict[str, int]:
        """The counters of the connection, such as `solicited`, `unsolicited`, `late` and `events_lost`."""
        return self._native.stats().wait()

    def close(self) -> None:
        """Closes the connection, and ends the handlers."""
        self._callbacks.close()
        self._native.close().wait()

    def __enter__(self) -> Microscope:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Events:
    """Events in the order of their arrival. A reader that is too slow loses the oldest ones, and receives one of
    the kind "lagged" with their number.

        for event in microscope.events("STAGE_MOTION_STOPPED"):
            print(event.frame)
    """

    def __init__(self, native: _native.EventStream) -> None:
        self._native = native

    def next(self) -> Event | None:
        """Waits for the next event; None when the connection or the stream is closed."""
        return self._native.next().wait()

    def try_next(self) -> Event | None:
        """The next event, if it is already there."""
        return self._native.try_next()

    def close(self) -> None:
        """Ends the stream, also for a thread that waits."""
        self._native.close()

    def __iter__(self) -> Events:
        return self

    def __next__(self) -> Event:
        event = self.next()
        if event is None:
            raise StopIteration
        return event

    def __enter__(self) -> Events:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Stage:
    """The stage: X, Y and Z in mm, R in degrees. A target outside of the limits of the scope settings is refused
    before anything is sent."""

    def __init__(self, native: _native.Stage) -> None:
        self._native = native

    def position(self, axis: Axis) -> float:
        """The position of an axis. A push of the instrument is never taken for the answer. Raises
        `PositionUnknown` while the instrument does not know it."""
        return self._native.position(axis).wait()

    def pose(self) -> Pose:
        """The positions of all axes."""
        return self._native.pose().wait()

    def limits(self, axis: Axis) -> AxisLimits:
        """The limits of an axis in the scope settings."""
        return self._native.limits(axis).wait()

    def move(
        self,
        *,
        x: float | None = None,
        y: float | None = None,
        z: float | None = None,
        r: float | None = None,
        unchecked: bool = False,
        timeout: float | None = None,
    ) -> list[Arrival]:
        """Moves each axis that is given to its target, all at the same time, and waits for the end.

        It listens for the end before the command is sent, so a short motion is not missed. Ctrl-C, and the end of
        `timeout`, halt the axes. With `unchecked` targets are not checked against the limits, for an instrument
        whose settings name none. Raises `Limits`, `Unsupported` (the limits are not known), `Halted`,
        `Retargeted`, `NotCompleted`, `OffTarget`, `Refused`, `Timeout` or `ConnectionLost`.
        """
        return self._native.move_to(x=x, y=y, z=z, r=r, unchecked=unchecked, timeout=timeout).wait()

    def start_move(
        self,
        *,
        x: float | None = None,
        y: float | None = None,
        z: float | None = None,
        r: float | None = None,
        unchecked: bool = False,
    ) -> Motion:
        """Starts a motion as `move`, and returns it when the instrument has acknowledged it."""
        return Motion(self._native.start_move(x=x, y=y, z=z, r=r, unchecked=unchecked).wait())

    def home(self, axis: Axis, *, timeout: float | None = None) -> list[Arrival]:
        """Moves an axis to its home position and waits for the end. Ctrl-C halts it."""
        return Motion(self._native.start_home(axis).wait()).wait(timeout=timeout)

    def find_reference(self, axis: Axis, *, timeout: float | None = None) -> list[Arrival]:
        """Lets an axis search for its reference and waits for the end. Ctrl-C halts it."""
        return Motion(self._native.start_find_reference(axis).wait()).wait(timeout=timeout)

    def halt(self, *axes: Axis) -> None:
        """Stops these axes, or all. It goes before everything that is queued; every wait for a motion of them ends
        with `Halted`."""
        self._native.halt(*axes).wait()

    def set_velocity(self, axis: Axis, velocity: float) -> None:
        """Sets the velocity of an axis, in mm/s, R in degrees/s. Raises `Limits` unless it is above 0."""
        self._native.set_velocity(axis, velocity).wait()


class Motion:
    """One motion, or several that were started together."""

    def __init__(self, native: _native.Motion) -> None:
        self._native = native

    @property
    def axes(self) -> list[str]:
        """The axes, as letters."""
        return self._native.axes

    @property
    def targets(self) -> list[float | None]:
        """The target of each axis; None where only the instrument knows it."""
        return self._native.targets

    def wait(self, *, timeout: float | None = None) -> list[Arrival]:
        """Waits for the end of the motion. Ctrl-C halts it. After `timeout` it raises `Timeout`, and the motion
        goes on: wait again, or halt it. Raises as `Stage.move`."""
        return self._native.wait(timeout=timeout, halt_if_cancelled=True).wait()

    def halt(self) -> None:
        """Stops the axes of the motion."""
        self._native.halt().wait()


class Camera:
    """The camera. Its images are in `Microscope.live` and `Microscope.snap`."""

    def __init__(self, native: _native.Camera) -> None:
        self._native = native

    def exposure(self) -> int:
        """The exposure time in µs."""
        return self._native.exposure().wait()

    def set_exposure(self, exposure_us: int) -> None:
        """Sets the exposure time in µs, from 1. Raises `Limits`, `Refused`, `Timeout` or `ConnectionLost`."""
        self._native.set_exposure(exposure_us).wait()

    def left_edge(self) -> int:
        """The left edge of the region of interest: the number of its first column, from 1. The region is
        symmetric."""
        return self._native.left_edge().wait()

    def set_left_edge(self, column: int) -> None:
        """Sets the left edge, a column from 1."""
        self._native.set_left_edge(column).wait()

    def top_edge(self) -> int:
        """The top edge of the region of interest: the number of its first row, from 1."""
        return self._native.top_edge().wait()

    def set_top_edge(self, row: int) -> None:
        """Sets the top edge, a row from 1."""
        self._native.set_top_edge(row).wait()

    def image_size(self) -> tuple[int, int] | None:
        """Width and height of the live images in pixels; None while there is no live view."""
        return self._native.image_size().wait()

    def pixel_size(self) -> float:
        """The width of the sample that one pixel shows, in mm."""
        return self._native.pixel_size().wait()

    def field_of_view(self) -> tuple[float, float] | None:
        """Width and height of what one image shows, in mm; None while there is no live view."""
        return self._native.field_of_view().wait()

    def snapshot(self) -> None:
        """Takes one image, which arrives on the live port: see `Microscope.live_images`."""
        self._native.snapshot().wait()

    def start_live_view(self, *, on_change: bool = False) -> None:
        """Starts the live view; with `on_change` an image comes only when something has changed. Raises `Busy`
        while a workflow runs."""
        self._native.start_live_view(on_change=on_change).wait()

    def stop_live_view(self) -> None:
        """Stops the live view."""
        self._native.stop_live_view().wait()


class Lasers:
    """The lasers, 1 to 4. The instrument acknowledges none of the commands that switch them."""

    def __init__(self, native: _native.Lasers) -> None:
        self._native = native

    def level(self, number: int) -> float:
        """The level of a laser in percent. Raises `Refused` if the laser declines."""
        return self._native.level(number).wait()

    def set_level(self, number: int, percent: float) -> None:
        """Sets the level of a laser, 0 to 100 percent. Raises `Limits`."""
        self._native.set_level(number, percent).wait()

    def enable_preview(self, number: int) -> None:
        """Switches a laser on for the live view, and all others off."""
        self._native.enable_preview(number).wait()

    def enable(self, number: int) -> None:
        """Switches a laser on."""
        self._native.enable(number).wait()

    def enable_line(self, number: int) -> None:
        """Switches the line of a laser on."""
        self._native.enable_line(number).wait()

    def disable(self, number: int) -> None:
        """Switches a laser off, before everything that is queued."""
        self._native.disable(number).wait()

    def disable_all(self) -> None:
        """Switches all lasers off, before everything that is queued."""
        self._native.disable_all().wait()


class Led:
    """The LED. Its colours are "red", "green", "blue" and "white"."""

    def __init__(self, native: _native.Led) -> None:
        self._native = native

    def set(self, colour: str, brightness: int) -> None:
        """Sets the brightness of a colour, 0 to 65535."""
        self._native.set(colour, brightness).wait()

    def select(self, colour: str) -> None:
        """Selects the colour."""
        self._native.select(colour).wait()

    def enable_preview(self) -> None:
        """Switches the LED on for the live view."""
        self._native.enable_preview().wait()

    def disable_preview(self) -> None:
        """Switches the LED off."""
        self._native.disable_preview().wait()


class FilterWheel:
    """The filter wheel."""

    def __init__(self, native: _native.FilterWheel) -> None:
        self._native = native

    def position(self) -> int:
        """The position, in the count of the instrument."""
        return self._native.position().wait()

    def set_position(self, position: int) -> None:
        """Turns the wheel to a position. Raises `Limits`."""
        self._native.set_position(position).wait()


class Illumination:
    """The left and the right illumination path."""

    def __init__(self, native: _native.Illumination) -> None:
        self._native = native

    def set_left(self, on: bool) -> None:
        """Opens or closes the left path."""
        self._native.set_left(on).wait()

    def set_right(self, on: bool) -> None:
        """Opens or closes the right path."""
        self._native.set_right(on).wait()


class Settings:
    """The scope settings stored at the instrument."""

    def __init__(self, native: _native.Settings) -> None:
        self._native = native

    def get(self) -> ScopeSettings:
        """The settings that were loaded or saved last."""
        return self._native.get().wait()

    def load(self) -> ScopeSettings:
        """Loads the settings. Raises `SettingsInvalid`."""
        return self._native.load().wait()

    def load_text(self) -> bytes:
        """The text of the settings as it is stored."""
        return self._native.load_text().wait()

    def save(self, text: bytes) -> str:
        """Overwrites the settings of the instrument, and reads them back. Returns the text of the
        acknowledgement. Load and keep the old ones before. Raises `SettingsInvalid`, before anything is sent, and
        `NotSaved`."""
        return self._native.save(text).wait()


class Storage:
    """The drives that images can be saved to."""

    def __init__(self, native: _native.Storage) -> None:
        self._native = native

    def drives(self) -> list[str]:
        """The paths of the drives."""
        return self._native.drives().wait()


class Workflows:
    """The workflows of the instrument. A workflow is the text of its file."""

    def __init__(self, native: _native.Workflows) -> None:
        self._native = native

    def check(self, workflow: str | bytes) -> StackReport:
        """Lets the instrument check a workflow. Nothing moves."""
        return self._native.check(workflow).wait()

    def start(self, workflow: str | bytes) -> Run:
        """Checks a workflow against the limits of the stage and uploads it, which starts it. Raises
        `WorkflowInvalid` or `Busy`, and then nothing was sent."""
        return Run(self._native.start(workflow).wait())

    def join(self) -> Run:
        """Follows a workflow that is already running. Raises `Unsupported` if none runs."""
        return Run(self._native.join().wait())

    def abort(self) -> None:
        """Stops the workflow that runs."""
        self._native.abort().wait()


class Run:
    """A workflow that was started or joined. `for event in run` follows it to its end."""

    def __init__(self, native: _native.Run) -> None:
        self._native = native

    def next(self) -> RunEvent | None:
        """Waits for the next event; None when the workflow has ended."""
        return self._native.next().wait()

    def wait(self, *, timeout: float | None = None) -> RunSummary:
        """Waits until the workflow has ended, and returns its totals. After `timeout` it raises `Timeout`, and the
        workflow goes on. Ctrl-C stops the workflow."""
        try:
            return self._native.wait(timeout=timeout).wait()
        except KeyboardInterrupt:
            self.abort()
            raise

    def abort(self) -> None:
        """Stops the workflow. Wait for its end afterwards."""
        self._native.abort().wait()

    def __iter__(self) -> Run:
        return self

    def __next__(self) -> RunEvent:
        event = self.next()
        if event is None:
            raise StopIteration
        return event
