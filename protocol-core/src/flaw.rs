//! Why 128 bytes are no frame: looked for in every candidate, and kept for people to read.
//!
//! The error that people read is `error.rs`.

use crate::error::DecodeError;
use crate::wire::frame::{CMD_END, CMD_START, END_MARKER, FRAME_LEN, PAYLOAD_LEN, START_MARKER};
use crate::wire::layout::word;

/// Why 128 bytes are no frame, and what stood there.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) enum Flaw {
    /// None was found yet.
    None,
    Start(u32),
    End(u32),
    TooLong(u32),
}

impl Flaw {
    /// Looks for one; the payload may be up to `limit` bytes long.
    #[inline(never)]
    pub(crate) fn of(bytes: &[u8; FRAME_LEN], limit: u32) -> Self {
        let (start, end) = (word(bytes, CMD_START), word(bytes, CMD_END));
        let declared = word(bytes, PAYLOAD_LEN);
        if start != START_MARKER {
            Self::Start(start)
        } else if end != END_MARKER {
            Self::End(end)
        } else if declared > limit {
            Self::TooLong(declared)
        } else {
            Self::None
        }
    }

    /// The same, for a person.
    pub(crate) const fn error(self, limit: u32) -> Option<DecodeError> {
        Some(match self {
            Self::None => return None,
            Self::Start(found) => {
                DecodeError::Marker { field: CMD_START, expected: START_MARKER, found }
            }
            Self::End(found) => DecodeError::Marker { field: CMD_END, expected: END_MARKER, found },
            Self::TooLong(found) => DecodeError::PayloadTooLong { limit, found },
        })
    }
}
