//! What can go wrong with bytes and with calls. Each error says what was expected and what came.
//!
//! How a *request* ends is not an error of a call: that is `Ended` in `ticket.rs`.

use core::fmt;

use crate::wire::layout::{CMD_END, CMD_START, END_MARKER, Field, START_MARKER};

/// 128 bytes that are not a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum DecodeError {
    /// Not 128 bytes.
    Length {
        /// 128.
        expected: usize,
        /// How many came.
        found: usize,
    },
    /// A marker that is none.
    Marker {
        /// Which of the two.
        field: Field,
        /// What stands there in a frame.
        expected: u32,
        /// What stood there.
        found: u32,
    },
    /// A declared payload that is longer than the limit.
    PayloadTooLong {
        /// The limit in bytes.
        limit: u32,
        /// The declared length in bytes.
        found: u32,
    },
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { expected, found } => {
                write!(f, "a frame is {expected} bytes, found {found}")
            }
            Self::Marker { field, expected, found } => write!(
                f,
                "{} at offset {}: expected 0x{expected:08X}, found 0x{found:08X}",
                field.name, field.offset
            ),
            Self::PayloadTooLong { limit, found } => write!(
                f,
                "additionalDataBytes at offset 48: expected at most {limit}, found {found}"
            ),
        }
    }
}

impl core::error::Error for DecodeError {}

/// Why the last 128 bytes were no frame, in few bytes. [`DecodeError`] is the same for people.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) enum Mismatch {
    /// None were refused yet.
    None,
    StartMarker(u32),
    EndMarker(u32),
    PayloadTooLong(u32),
}

impl Mismatch {
    pub(crate) const fn error(self, limit: u32) -> Option<DecodeError> {
        Some(match self {
            Self::None => return None,
            Self::StartMarker(found) => {
                DecodeError::Marker { field: CMD_START, expected: START_MARKER, found }
            }
            Self::EndMarker(found) => {
                DecodeError::Marker { field: CMD_END, expected: END_MARKER, found }
            }
            Self::PayloadTooLong(found) => DecodeError::PayloadTooLong { limit, found },
        })
    }
}

/// Text or bytes that the 72-byte buffer does not take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum TextError {
    /// More than fits.
    TooLong {
        /// 72.
        limit: usize,
        /// How many bytes it is.
        found: usize,
    },
    /// A NUL inside the text: the reader would see only what stands before it.
    Nul,
}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { limit, found } => {
                write!(f, "buffer: expected at most {limit} bytes, found {found}; shorten it")
            }
            Self::Nul => f.write_str("buffer: text must not contain a NUL"),
        }
    }
}

impl core::error::Error for TextError {}

/// A frame that must not go to the instrument as a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum CommandError {
    /// doubleData is NaN or infinite.
    NotFinite,
    /// A stage action for an axis that does not exist.
    UnknownAxis {
        /// The selector in the frame.
        found: i32,
    },
    /// A flag that only the server sets: echoed, it would make the answer look like a push.
    ReservedFlag {
        /// The bits that must be clear.
        found: u32,
    },
    /// An upload above the limit.
    PayloadTooLong {
        /// The limit in bytes.
        limit: u32,
        /// The declared length in bytes.
        found: u32,
    },
    /// A fire-and-forget command cannot be asked for an answer: send it.
    NeverAnswered,
    /// No room: wait for a request to end, then ask again.
    Full {
        /// What is full.
        what: Full,
    },
    /// The connection has ended.
    Closed,
}

/// A store that is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Full {
    /// The table of requests in flight.
    Requests,
    /// The table of what is still owed for older requests.
    Tombstones,
    /// The queue of frames to send.
    Queue,
    /// The slots reserved for HALT and laser-off.
    StopLane,
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFinite => {
                f.write_str("value: expected a finite number, found NaN or infinity")
            }
            Self::UnknownAxis { found } => {
                write!(f, "axis: expected 1 (X), 2 (Y), 3 (Z) or 4 (R), found {found}")
            }
            Self::ReservedFlag { found } => {
                write!(f, "flags: 0x{found:08X} is the server's alone; clear it")
            }
            Self::PayloadTooLong { limit, found } => {
                write!(f, "payload: expected at most {limit} bytes, found {found}")
            }
            Self::NeverAnswered => {
                f.write_str("this command is never answered: send it instead of asking it")
            }
            Self::Full { what } => write!(f, "no room in {what}; wait for a request to end"),
            Self::Closed => f.write_str("the connection has ended; make a new one"),
        }
    }
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Requests => "the table of requests in flight",
            Self::Tombstones => "the table of answers still owed",
            Self::Queue => "the queue of frames to send",
            Self::StopLane => "the slots reserved for HALT and laser-off",
        })
    }
}

impl core::error::Error for CommandError {}
