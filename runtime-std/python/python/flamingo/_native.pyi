"""The native module. Programs use `flamingo` (blocking) and `flamingo.aio` (asyncio)."""

from collections.abc import Coroutine, Generator
from typing import Any, Final, Generic, Literal, TypeVar, final

from numpy import uint16
from numpy.typing import NDArray

__all__ = [
    "Answer",
    "Arrival",
    "AxisLimits",
    "Bridge",
    "Call",
    "Camera",
    "CommandLink",
    "Event",
    "EventStream",
    "FilterWheel",
    "Frame",
    "Illumination",
    "Image",
    "ImageStream",
    "Lane",
    "Lasers",
    "Led",
    "Microscope",
    "Motion",
    "ParsedMessage",
    "Pose",
    "ReceivedCommand",
    "Run",
    "RunEvent",
    "RunSummary",
    "ScopeSettings",
    "SentFrame",
    "Settings",
    "Simulator",
    "StackReport",
    "Stage",
    "Storage",
    "VERSION",
    "Workflows",
    "code_name",
    "connect",
    "finish_halts",
    "known_codes",
    "start_bridge",
    "start_simulator",
]

_T = TypeVar("_T")

#: A number, or a name such as "STAGE_HALT".
_Code = int | str
#: A letter, or the number on the wire: 1 to 4.
_Axis = Literal["x", "y", "z", "r"] | str | int

VERSION: Final[str]

def code_name(code: int) -> str | None:
    """The name of a code; None if it is not known."""

def known_codes() -> list[tuple[str, int]]:
    """All known codes, by their names."""

def finish_halts() -> None:
    """Waits until the HALTs are answered that were sent because a move was cancelled, 3 s at most."""

def connect(
    address: str,
    *,
    timeout: float = 3.0,
    connect_timeout: float = 2.0,
    settle: float = 0.05,
    reconnect: bool = False,
    event_capacity: int = 4096,
    load_settings: bool = True,
) -> Call[Microscope]:
    """Connects to the control port at HOST:PORT."""

def start_simulator(scenario: str, seed: int | None, bind: str, port: int) -> Simulator: ...
def start_bridge(instrument: str | None, settings: str, listen: str | None) -> Bridge: ...

@final
class Call(Coroutine[Any, Any, _T], Generic[_T]):
    """A request that was prepared. It is sent by `wait()` or `await`, once."""

    def wait(self) -> _T:
        """Sends the request and waits for its result on this thread."""
    def __await__(self) -> Generator[Any, None, _T]: ...
    def send(self, value: Any) -> Any: ...
    def throw(self, *error: Any) -> Any: ...
    def close(self) -> None: ...

@final
class Frame:
    """A frame of 128 bytes. `Frame(code)` is a command, with the flag that asks for an answer."""

    def __new__(
        cls,
        code: _Code,
        *,
        selector: int = 0,
        value: float = 0.0,
        data1: int = 0,
        data2: int = 0,
        text: str | None = None,
        flags: int | None = None,
        status: int = 0,
        hardware_id: int = 0,
        subsystem_id: int = 0,
        client_id: int = 0,
    ) -> Frame: ...
    @staticmethod
    def from_bytes(bytes: bytes) -> Frame:
        """Reads the 128 bytes of a frame."""
    def to_bytes(self) -> bytes:
        """The 128 bytes on the wire."""
    @property
    def code(self) -> int: ...
    @property
    def name(self) -> str | None:
        """The name of the code; None if it is not known."""
    @property
    def status(self) -> int: ...
    @property
    def hardware_id(self) -> int: ...
    @property
    def subsystem_id(self) -> int: ...
    @property
    def client_id(self) -> int: ...
    @property
    def data(self) -> tuple[int, int, int]:
        """int32Data0, 1 and 2."""
    @property
    def selector(self) -> int:
        """int32Data0: the axis, the laser or the LED colour."""
    @property
    def flags(self) -> int: ...
    @property
    def value(self) -> float: ...
    @property
    def payload_len(self) -> int: ...
    @property
    def buffer(self) -> bytes:
        """All 72 bytes of the buffer."""
    @property
    def text(self) -> str:
        """The buffer up to the first NUL, as text."""
    def __eq__(self, value: object, /) -> bool: ...

@final
class Answer:
    """The answer to a request."""

    @property
    def frame(self) -> Frame: ...
    @property
    def payload(self) -> bytes: ...
    @property
    def proven(self) -> bool:
        """Whether only this request can have caused the frame."""
    @property
    def outcome(self) -> Literal["success", "failure", "unset"]:
        """What the status says; "unset" is a presumed success."""
    @property
    def at(self) -> float:
        """When it arrived, as `time.time()`."""
    @property
    def elapsed(self) -> float:
        """Seconds from the call to the last byte of the answer."""

@final
class Event:
    """Something that no request asked for."""

    @property
    def kind(
        self,
    ) -> Literal[
        "frame", "lagged", "unresponsive", "responsive", "connection_lost", "reconnected", "commanded", "other"
    ]: ...
    @property
    def frame(self) -> Frame | None:
        """The frame, of the kinds "frame" and "commanded"."""
    @property
    def code(self) -> int | None:
        """The code of the frame."""
    @property
    def payload(self) -> bytes: ...
    @property
    def origin(self) -> Literal["unsolicited", "late", "ambiguous", "presumed"] | None:
        """Of the kind "frame". "presumed" is also the answer to a request."""
    @property
    def at(self) -> float | None:
        """When the frame arrived, as `time.time()`."""
    @property
    def lost(self) -> int:
        """How many events were lost before this one, of the kind "lagged"; else 0."""

@final
class EventStream:
    """The events of some codes, in the order of their arrival. `async for event in stream` reads them."""

    def next(self) -> Call[Event | None]:
        """The next event; None when the connection or the stream is closed."""
    def next_batch(self) -> Call[list[Event]]:
        """All events that are there, at least one; none when the connection or the stream is closed."""
    def try_next(self) -> Event | None:
        """The next event, if it is already there."""
    def close(self) -> None:
        """Ends the stream. A wait for its next event ends with None."""
    def __aiter__(self) -> EventStream: ...
    def __anext__(self) -> Call[Event]: ...

@final
class Microscope:
    """A connection to a microscope. Its methods return calls, for `await`."""

    @property
    def address(self) -> str:
        """HOST:PORT of the control port."""
    @property
    def stage(self) -> Stage: ...
    @property
    def camera(self) -> Camera: ...
    @property
    def lasers(self) -> Lasers: ...
    @property
    def led(self) -> Led: ...
    @property
    def filter_wheel(self) -> FilterWheel: ...
    @property
    def illumination(self) -> Illumination: ...
    @property
    def settings(self) -> Settings: ...
    @property
    def storage(self) -> Storage: ...
    @property
    def workflows(self) -> Workflows: ...
    def state(self) -> Call[str]:
        """What the instrument is doing now, such as "IDLE"."""
    def request(
        self,
        command: _Code | Frame,
        *,
        selector: int | None = None,
        value: float | None = None,
        text: str | None = None,
        payload: bytes | None = None,
        timeout: float | None = None,
    ) -> Call[Answer]:
        """Sends a command and waits for its answer."""
    def send(
        self,
        command: _Code | Frame,
        *,
        selector: int | None = None,
        value: float | None = None,
        text: str | None = None,
        payload: bytes | None = None,
    ) -> Call[None]:
        """Sends a command and waits only until it is written."""
    def events(self, *wanted: _Code) -> EventStream:
        """The events of these codes, or of all codes, from now on."""
    def live_images(
        self, *, address: str | None = None, every: bool = False, memory_mb: int = 256
    ) -> Call[ImageStream]:
        """Connects to the port of live images."""
    def stack_images(
        self, *, address: str | None = None, every: bool = True, memory_mb: int = 256
    ) -> Call[ImageStream]:
        """Connects to the port of the images of workflows."""
    def snap(self, *, address: str | None = None, timeout: float = 10.0) -> Call[Image]:
        """Takes one image."""
    def stats(self) -> Call[dict[str, int]]:
        """The counters of the connection."""
    def close(self) -> Call[None]:
        """Closes the connection."""

@final
class Pose:
    """The positions of all four axes: X, Y, Z in mm, R in degrees."""

    @property
    def x(self) -> float: ...
    @property
    def y(self) -> float: ...
    @property
    def z(self) -> float: ...
    @property
    def r(self) -> float: ...
    def __eq__(self, value: object, /) -> bool: ...

@final
class AxisLimits:
    """The limits of an axis; None if the scope settings do not name one."""

    @property
    def min(self) -> float | None: ...
    @property
    def max(self) -> float | None: ...
    @property
    def unknown(self) -> str | None:
        """Why the limits are not known, so that the axis cannot be moved; None if they are."""

@final
class Arrival:
    """The arrival of an axis at its target."""

    @property
    def axis(self) -> str: ...
    @property
    def at(self) -> float:
        """When this host learned of it, as `time.time()`."""
    @property
    def message(self) -> Frame | None:
        """The STAGE_MOTION_STOPPED that reported it; None if the axis stands at its target without one."""

@final
class Stage:
    """The stage: X, Y and Z in mm, R in degrees."""

    def position(self, axis: _Axis) -> Call[float]: ...
    def pose(self) -> Call[Pose]:
        """The positions of all axes."""
    def limits(self, axis: _Axis) -> Call[AxisLimits]:
        """The limits of an axis in the scope settings."""
    def start_move(
        self,
        *,
        x: float | None = None,
        y: float | None = None,
        z: float | None = None,
        r: float | None = None,
        unchecked: bool = False,
    ) -> Call[Motion]:
        """Starts a motion to a target for each axis that is given."""
    def move_to(
        self,
        *,
        x: float | None = None,
        y: float | None = None,
        z: float | None = None,
        r: float | None = None,
        unchecked: bool = False,
        timeout: float | None = None,
    ) -> Call[list[Arrival]]:
        """Moves each axis that is given, and waits for the end. If the wait is cancelled or too long, the axes
        are halted."""
    def start_home(self, axis: _Axis) -> Call[Motion]:
        """Starts the motion of an axis to its home position."""
    def start_find_reference(self, axis: _Axis) -> Call[Motion]:
        """Starts the search of an axis for its reference."""
    def halt(self, *axes: _Axis) -> Call[None]:
        """Stops these axes, or all."""
    def set_velocity(self, axis: _Axis, velocity: float) -> Call[None]:
        """Sets the velocity of an axis, in mm/s, R in degrees/s."""

@final
class Motion:
    """One motion, or several that were started together."""

    @property
    def axes(self) -> list[str]: ...
    @property
    def targets(self) -> list[float | None]:
        """The target of each axis; None where only the instrument knows it."""
    def wait(self, *, timeout: float | None = None, halt_if_cancelled: bool = False) -> Call[list[Arrival]]:
        """Waits for the end. The motion goes on if the wait is cancelled or too long, unless
        `halt_if_cancelled` is set."""
    def halt(self) -> Call[None]:
        """Stops the axes of the motion."""

@final
class Camera:
    """The camera."""

    def exposure(self) -> Call[int]:
        """The exposure time in µs."""
    def set_exposure(self, exposure_us: int) -> Call[None]: ...
    def left_edge(self) -> Call[int]:
        """The left edge of the region of interest: a column from 1."""
    def set_left_edge(self, column: int) -> Call[None]: ...
    def top_edge(self) -> Call[int]:
        """The top edge of the region of interest: a row from 1."""
    def set_top_edge(self, row: int) -> Call[None]: ...
    def image_size(self) -> Call[tuple[int, int] | None]:
        """Width and height of the live images in pixels; None while there is no live view."""
    def pixel_size(self) -> Call[float]:
        """The width of the sample that one pixel shows, in mm."""
    def field_of_view(self) -> Call[tuple[float, float] | None]:
        """Width and height of what one image shows, in mm; None while there is no live view."""
    def snapshot(self) -> Call[None]:
        """Takes one image, which arrives on the live port."""
    def start_live_view(self, *, on_change: bool = False) -> Call[None]: ...
    def stop_live_view(self) -> Call[None]: ...

@final
class Lasers:
    """The lasers, 1 to 4."""

    def level(self, number: int) -> Call[float]:
        """The level of a laser in percent."""
    def set_level(self, number: int, percent: float) -> Call[None]: ...
    def enable_preview(self, number: int) -> Call[None]:
        """Switches a laser on for the live view, and all others off."""
    def enable(self, number: int) -> Call[None]: ...
    def enable_line(self, number: int) -> Call[None]: ...
    def disable(self, number: int) -> Call[None]:
        """Switches a laser off, before everything that is queued."""
    def disable_all(self) -> Call[None]:
        """Switches all lasers off, before everything that is queued."""

@final
class Led:
    """The LED with its four colours: "red", "green", "blue", "white"."""

    def set(self, colour: str, brightness: int) -> Call[None]:
        """Sets the brightness of a colour, 0 to 65535."""
    def select(self, colour: str) -> Call[None]: ...
    def enable_preview(self) -> Call[None]:
        """Switches the LED on for the live view."""
    def disable_preview(self) -> Call[None]: ...

@final
class FilterWheel:
    """The filter wheel."""

    def position(self) -> Call[int]: ...
    def set_position(self, position: int) -> Call[None]: ...

@final
class Illumination:
    """The two illumination paths."""

    def set_left(self, on: bool) -> Call[None]: ...
    def set_right(self, on: bool) -> Call[None]: ...

@final
class ScopeSettings:
    """The scope settings. A value that they do not contain is None."""

    @property
    def microscope_name(self) -> str | None: ...
    @property
    def microscope_type(self) -> str | None: ...
    @property
    def magnification(self) -> float | None: ...
    @property
    def filters(self) -> list[tuple[int, str]]:
        """The number of each position, from 1, and its description."""
    @property
    def findings(self) -> list[str]:
        """The lines that cannot be read, one text for each."""
    def home(self, axis: _Axis) -> float | None: ...
    def filter_for_laser(self, number: int) -> int | None: ...
    def filter_for_led(self) -> int | None: ...
    def led_brightness(self, colour: str) -> int | None:
        """The brightness of a colour of the LED, 0 to 65535."""

@final
class Settings:
    """The scope settings stored at the instrument."""

    def get(self) -> Call[ScopeSettings]:
        """The settings that were loaded or saved last."""
    def load(self) -> Call[ScopeSettings]: ...
    def load_text(self) -> Call[bytes]:
        """The text of the settings as it is stored."""
    def save(self, text: bytes) -> Call[str]:
        """Overwrites the settings of the instrument, and reads them back. Returns what the instrument says."""

@final
class Storage:
    """The drives that images can be saved to."""

    def drives(self) -> Call[list[str]]: ...

@final
class StackReport:
    """The report of the instrument about a workflow."""

    @property
    def text(self) -> str: ...
    @property
    def accepted(self) -> bool:
        """Whether the instrument would run it."""

@final
class Workflows:
    """The workflows of the instrument. A workflow is the text of its file."""

    def check(self, workflow: str | bytes) -> Call[StackReport]:
        """Lets the instrument check a workflow. Nothing moves."""
    def start(self, workflow: str | bytes) -> Call[Run]:
        """Uploads a workflow, which starts it."""
    def join(self) -> Call[Run]:
        """Follows a workflow that is already running."""
    def abort(self) -> Call[None]:
        """Stops the workflow that runs."""

@final
class Run:
    """A workflow that was started or joined. `async for event in run` follows it to its end."""

    def next(self) -> Call[RunEvent | None]:
        """The next event; None when the workflow has ended."""
    def wait(self, *, timeout: float | None = None) -> Call[RunSummary]:
        """Waits until the workflow has ended. It goes on if the wait is cancelled."""
    def abort(self) -> Call[None]:
        """Stops the workflow. Wait for its end afterwards."""
    def __aiter__(self) -> Run: ...
    def __anext__(self) -> Call[RunEvent]: ...

@final
class RunEvent:
    """What happens during a workflow."""

    @property
    def kind(
        self,
    ) -> Literal[
        "started",
        "state",
        "progress",
        "stack",
        "images_saved",
        "text",
        "disconnected",
        "reconnected",
        "missed",
        "other",
    ]: ...
    @property
    def done(self) -> int | None:
        """Images that are done ("progress") or acquired ("stack"); messages that were lost ("missed")."""
    @property
    def total(self) -> int | None:
        """All images ("progress"), or those that were expected ("stack")."""
    @property
    def text(self) -> str | None:
        """The state, or the text, of these kinds."""

@final
class RunSummary:
    """The totals of a workflow."""

    @property
    def stacks(self) -> int: ...
    @property
    def images(self) -> int: ...
    @property
    def images_total(self) -> int: ...
    @property
    def images_missing(self) -> int: ...
    @property
    def errors(self) -> int: ...
    @property
    def saved(self) -> bool: ...
    @property
    def aborted(self) -> bool: ...
    @property
    def missed(self) -> int:
        """Messages that were lost. Above 0, the other numbers may be too small."""

@final
class ImageStream:
    """The images of a port. `async for image in stream` reads them."""

    def next(self, *, timeout: float | None = None) -> Call[Image | None]:
        """The next image; None when the instrument has closed the port, or the stream is closed."""
    def close(self) -> None:
        """Ends the stream. A wait for its next image ends with None."""
    def stats(self) -> dict[str, int]:
        """The counters `received`, `delivered`, `dropped`, `waiting` and `bytes`; empty while another waits."""
    def __aiter__(self) -> ImageStream: ...
    def __anext__(self) -> Call[Image]: ...

@final
class Image:
    """An image. NumPy reads its pixels without a copy: `numpy.asarray(image)`, or `image.pixels`."""

    @property
    def pixels(self) -> NDArray[uint16]:
        """A read-only array with height rows and width columns, which shares the memory of the image."""
    @property
    def __array_interface__(self) -> dict[str, Any]: ...
    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def camera(self) -> int:
        """The index of the camera, 0 to 3."""
    @property
    def scale(self) -> tuple[int, int]:
        """The pixel values that the instrument shows as black and as white."""
    @property
    def index(self) -> tuple[int, int]:
        """imageIndexStart and imageIndexStop."""
    @property
    def number(self) -> int:
        """The number of the image in the stream, from 1; dropped images count."""
    @property
    def dropped_before(self) -> int:
        """How many images were dropped since the image before this one."""
    @property
    def at(self) -> float:
        """When its last byte arrived, as `time.time()`."""

@final
class SentFrame:
    """A frame that the simulator sent, and what it is."""

    @property
    def frame(self) -> Frame: ...
    @property
    def client(self) -> str:
        """The address of the client."""
    @property
    def origin(self) -> Literal["answer", "late_answer", "duplicate", "unsolicited"]: ...
    @property
    def request(self) -> int:
        """The number of the command on its connection that it answers, from 1; 0 = none."""

@final
class ReceivedCommand:
    """A command that the simulator received."""

    @property
    def frame(self) -> Frame: ...
    @property
    def client(self) -> str:
        """The address of the client."""
    @property
    def request(self) -> int:
        """The number of the command on its connection, from 1."""

@final
class Simulator:
    """A simulated instrument."""

    @property
    def address(self) -> str: ...
    @property
    def live_address(self) -> str: ...
    @property
    def stack_address(self) -> str: ...
    def sent(self) -> list[SentFrame]: ...
    def received(self) -> list[ReceivedCommand]: ...
    def stop(self) -> Call[None]: ...

@final
class Bridge:
    """A bridge."""

    @property
    def address(self) -> str: ...
    @property
    def live_address(self) -> str | None: ...
    @property
    def stack_address(self) -> str | None: ...
    @property
    def callback_address(self) -> str | None: ...
    @property
    def status_address(self) -> str | None: ...
    def status_json(self) -> Call[str | None]: ...
    def until_connected(self, timeout: float) -> Call[None]: ...
    def stop(self) -> Call[None]: ...

@final
class CommandLink:
    """The connection as today's clients see it: bytes."""

    def __new__(cls, microscope: Microscope) -> CommandLink: ...
    def lane(self) -> Lane:
        """What one thread sends and receives."""
    def ask(self, command: bytes, expected: int, timeout: float) -> ParsedMessage | None:
        """Sends a command and waits for a frame with this code; None if it does not come in time."""

@final
class Lane:
    """What one thread sends and receives over the drop-in socket."""

    def sendall(self, bytes: bytes, timeout: float) -> None: ...
    def recv(self, most: int, timeout: float | None) -> bytes: ...

@final
class ParsedMessage:
    """A frame as today's clients read it."""

    @staticmethod
    def of_event(event: Event) -> ParsedMessage | None:
        """Makes a message of an event; None if it is no frame, or belongs to a request."""
    @property
    def raw_data(self) -> bytes: ...
    @property
    def start_marker(self) -> int: ...
    @property
    def end_marker(self) -> int: ...
    @property
    def command_code(self) -> int: ...
    @property
    def command_name(self) -> str: ...
    @property
    def status_code(self) -> int: ...
    @property
    def hardware_id(self) -> int: ...
    @property
    def subsystem_id(self) -> int: ...
    @property
    def client_id(self) -> int: ...
    @property
    def int32_data0(self) -> int: ...
    @property
    def int32_data1(self) -> int: ...
    @property
    def int32_data2(self) -> int: ...
    @property
    def cmd_data_bits(self) -> int: ...
    @property
    def value(self) -> float: ...
    @property
    def additional_data_size(self) -> int: ...
    @property
    def data_field(self) -> bytes:
        """The 72 bytes of the buffer."""
    @property
    def additional_data(self) -> bytes | None:
        """The payload; None if there is none."""
    @property
    def timestamp(self) -> float:
        """When it arrived, as `time.time()`."""
    @property
    def is_valid(self) -> bool:
        """Always True: frames with wrong markers are never delivered."""
    @property
    def is_unsolicited(self) -> bool:
        """Whether only the instrument sends this code."""
