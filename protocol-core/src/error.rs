//! The errors of decoding and of calls. Each error states what was expected and what was found.
//!
//! The outcome of a *request* is not an error of a call: see `Ended` in `connection/ticket.rs`.

use core::fmt;

use crate::wire::layout::{CMD_END, CMD_START, END_MARKER, Field, START_MARKER};

/// Why bytes are not a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum DecodeError {
    /// The length is not 128 bytes.
    Length {
        /// The expected length: 128.
        expected: usize,
        /// The length found, in bytes.
        found: usize,
    },
    /// A start or end marker has the wrong value.
    Marker {
        /// The field of the marker.
        field: Field,
        /// The value that a frame has in this field.
        expected: u32,
        /// The value found.
        found: u32,
    },
    /// The declared payload is longer than the limit.
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

/// Why the last 128 bytes were not a frame, in a compact form. [`DecodeError`] is the public form.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(test, derive(PartialEq, Eq))]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) enum Mismatch {
    /// Nothing was rejected yet.
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

/// Why the 72-byte buffer does not accept a text or bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum TextError {
    /// The text is longer than the buffer.
    TooLong {
        /// The limit in bytes: 72.
        limit: usize,
        /// The length found, in bytes.
        found: usize,
    },
    /// The text contains a NUL: the reader would see only the part before it.
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

/// Why a connection refuses a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum CommandError {
    /// doubleData is NaN or infinite.
    NotFinite,
    /// A stage action names an axis that does not exist.
    UnknownAxis {
        /// The selector in the frame: it should be 1 to 4.
        found: i32,
    },
    /// The frame has a flag that only the server sets. The echo of this flag would make the answer
    /// look like a push.
    ReservedFlag {
        /// The bits that must be clear.
        found: u32,
    },
    /// The payload of an upload is longer than the limit.
    PayloadTooLong {
        /// The limit in bytes.
        limit: u32,
        /// The declared length in bytes.
        found: u32,
    },
    /// The instrument never answers a fire-and-forget command. Use
    /// [`send`](crate::Connection::send) for it.
    NeverAnswered,
    /// No room. Wait until a request ends, then try again.
    Full {
        /// The store that is full.
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
    /// The table of requests that have ended and whose answers may still come.
    Tombstones,
    /// The queue of frames to send.
    Queue,
    /// The slots that are reserved for HALT and laser-off.
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
