//! The error codes of all functions, and their texts.

use core::ffi::{CStr, c_char};

use flamingo_protocol_core::error::{CommandError, DecodeError, Full, TextError};
use flamingo_protocol_core::image::ImageError;

/// What a function returns. After an error nothing has changed and nothing will be sent, except where
/// the function says something else.
#[repr(i32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum flamingo_result {
    /// The function did what it says.
    Ok = 0,
    /// A pointer is NULL.
    Null = 1,
    /// A pointer is not aligned for its type.
    Misaligned = 2,
    /// The memory holds no initialised object of this type: it was not initialised, or it was
    /// deinitialised.
    NotInitialised = 3,
    /// A length is above PTRDIFF_MAX, reaches beyond the end of the address space, or is not the length
    /// that the function expects.
    Length = 4,
    /// The memory for an object is smaller than this library needs: the header is of another version.
    TooSmall = 5,
    /// Two areas overlap that must not.
    Overlap = 6,
    /// A field of the settings has a value that it cannot have.
    Value = 7,
    /// More bytes are reported as written than the last poll offered, or another function was called
    /// since that poll.
    NotOffered = 8,
    /// The value of a frame is NaN or infinite.
    NotFinite = 20,
    /// A stage action names an axis that does not exist: int32_data[0] must be 1 (X), 2 (Y), 3 (Z) or 4 (R).
    UnknownAxis = 21,
    /// The frame has a flag that only the server sets: clear it.
    ReservedFlag = 22,
    /// The payload is longer than the limit of the settings.
    PayloadTooLong = 23,
    /// This command is never answered: use flamingo_connection_send.
    NeverAnswered = 24,
    /// The table of requests in flight is full: wait until a request ends.
    RequestsFull = 25,
    /// The table of answers that may still come is full: wait.
    TombstonesFull = 26,
    /// The queue of frames to send is full: write first.
    QueueFull = 27,
    /// The places for HALT and laser-off are full: write first.
    StopLaneFull = 28,
    /// The connection has ended: make a new one.
    Closed = 29,
    /// A frame does not begin or not end with its marker.
    Marker = 40,
    /// A text has more than 72 bytes.
    TextTooLong = 41,
    /// There is no command with this code or name.
    UnknownCommand = 43,
    /// The size in an image header is not 2 * width * height.
    ImageSize = 60,
    /// The size in an image header is 0, but only one of width and height is.
    ImageDimensions = 61,
    /// The image is larger than the limit.
    ImageTooLarge = 62,
    /// The device index in an image header is above 3.
    ImageDevice = 63,
    /// An error that this header does not know.
    Other = 99,
}

/// An early return with an error code.
pub(crate) type Checked<T> = Result<T, flamingo_result>;

/// Runs the body of a function.
pub(crate) fn run(body: impl FnOnce() -> Checked<()>) -> flamingo_result {
    match body() {
        Ok(()) => flamingo_result::Ok,
        Err(error) => error,
    }
}

impl From<CommandError> for flamingo_result {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::NotFinite => Self::NotFinite,
            CommandError::UnknownAxis { .. } => Self::UnknownAxis,
            CommandError::ReservedFlag { .. } => Self::ReservedFlag,
            CommandError::PayloadTooLong { .. } => Self::PayloadTooLong,
            CommandError::NeverAnswered => Self::NeverAnswered,
            CommandError::Full { what } => what.into(),
            CommandError::Closed => Self::Closed,
            _ => Self::Other,
        }
    }
}

impl From<Full> for flamingo_result {
    fn from(full: Full) -> Self {
        match full {
            Full::Requests => Self::RequestsFull,
            Full::Tombstones => Self::TombstonesFull,
            Full::Queue => Self::QueueFull,
            Full::StopLane => Self::StopLaneFull,
            _ => Self::Other,
        }
    }
}

impl From<DecodeError> for flamingo_result {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::Length { .. } => Self::Length,
            DecodeError::Marker { .. } => Self::Marker,
            DecodeError::PayloadTooLong { .. } => Self::PayloadTooLong,
            _ => Self::Other,
        }
    }
}

impl From<TextError> for flamingo_result {
    fn from(error: TextError) -> Self {
        match error {
            TextError::TooLong { .. } => Self::TextTooLong,
            _ => Self::Other,
        }
    }
}

impl From<ImageError> for flamingo_result {
    fn from(error: ImageError) -> Self {
        match error {
            ImageError::Length { .. } => Self::Length,
            ImageError::Size { .. } => Self::ImageSize,
            ImageError::Dimensions { .. } => Self::ImageDimensions,
            ImageError::TooLarge { .. } => Self::ImageTooLarge,
            ImageError::Device { .. } => Self::ImageDevice,
            _ => Self::Other,
        }
    }
}

/// The texts: what was expected, and what to do.
const TEXTS: [(flamingo_result, &CStr); 27] = {
    use flamingo_result as Code;
    [
        (Code::Ok, c"ok"),
        (Code::Null, c"a pointer is NULL: pass the address of an object"),
        (Code::Misaligned, c"a pointer is not aligned for its type"),
        (Code::NotInitialised, c"the memory holds no initialised object of this type: call its init function first"),
        (Code::Length, c"a length is not the expected one, or reaches beyond the address space"),
        (Code::TooSmall, c"the memory is smaller than this library needs: the header is of another version"),
        (Code::Overlap, c"two areas of memory overlap that must not"),
        (Code::Value, c"a field of the settings has a value that it cannot have"),
        (Code::NotOffered, c"more bytes are reported as written than the last poll offered, or another call came between"),
        (Code::NotFinite, c"value: expected a finite number, found NaN or infinity"),
        (Code::UnknownAxis, c"axis: expected 1 (X), 2 (Y), 3 (Z) or 4 (R) in int32_data[0]"),
        (Code::ReservedFlag, c"flags: a flag is set that is the server's alone: clear it"),
        (Code::PayloadTooLong, c"payload: it is longer than the limit of the settings"),
        (Code::NeverAnswered, c"this command is never answered: send it instead of asking it"),
        (Code::RequestsFull, c"no room in the table of requests in flight: wait for a request to end"),
        (Code::TombstonesFull, c"no room in the table of answers still owed: wait for them"),
        (Code::QueueFull, c"no room in the queue of frames to send: write first"),
        (Code::StopLaneFull, c"no room in the places for HALT and laser-off: write first"),
        (Code::Closed, c"the connection has ended: make a new one"),
        (Code::Marker, c"the bytes do not begin or not end with the marker of a frame"),
        (Code::TextTooLong, c"buffer: expected at most 72 bytes: shorten the text"),
        (Code::UnknownCommand, c"there is no command with this code or name"),
        (Code::ImageSize, c"imageSize at offset 0: expected 2 * width * height"),
        (Code::ImageDimensions, c"imageWidth and imageHeight at offset 4: expected 0 and 0 in an update of options"),
        (Code::ImageTooLarge, c"imageSize at offset 0: it is above the limit"),
        (Code::ImageDevice, c"deviceIndex at offset 20: expected 0 to 3"),
        (Code::Other, c"an error that this version of the library has no code for"),
    ]
};

/// The text of a result, in static memory: what was expected, and what to do. Never NULL; a number that
/// is no result has a text too.
#[unsafe(no_mangle)]
pub extern "C" fn flamingo_result_text(result: i32) -> *const c_char {
    let text = TEXTS.iter().find(|(code, _)| *code as i32 == result);
    text.map_or(c"not a result of this library", |(_, text)| *text).as_ptr()
}
