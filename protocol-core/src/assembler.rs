//! The scanner for programs that want frames and payloads only. Who gets a frame is not decided here.

use crate::error::DecodeError;
use crate::scanner::{Found, Limits, Scanner};
use crate::wire::frame::Frame;
use crate::wire::layout::MAX_PAYLOAD;

/// What the stream held next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Piece<'a> {
    /// A frame. If `frame.payload_len` is not 0, that many payload bytes come next.
    Frame {
        /// The frame.
        frame: Frame,
        /// Bytes that were skipped as noise between the last frame and this one.
        skipped: u32,
    },
    /// A slice of the last frame's payload, lent from the input; never empty.
    Payload {
        /// The bytes.
        bytes: &'a [u8],
        /// How many bytes of the payload are still to come; 0 ends it.
        remaining: u32,
    },
}

/// Finds frames and payloads in a byte stream. Holds at most one frame, never a payload.
///
/// ```
/// use flamingo_protocol_core::{CommandCode, Frame, wire::{Assembler, Piece}};
/// let mut assembler = Assembler::default();
/// let mut stream = vec![0xAA; 7]; // stray bytes
/// stream.extend(Frame::new(CommandCode::SYSTEM_STATE_IDLE).encode());
/// let (consumed, piece) = assembler.push(&stream);
/// assert_eq!(consumed, stream.len());
/// assert!(matches!(piece, Some(Piece::Frame { skipped: 7, .. })));
/// ```
#[derive(Debug, Clone)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Assembler {
    scanner: Scanner,
    limits: Limits,
}

impl Default for Assembler {
    fn default() -> Self {
        Self::new(MAX_PAYLOAD)
    }
}

impl Assembler {
    /// An assembler that takes payloads of up to `payload_limit` bytes. A frame that declares
    /// more is noise.
    #[must_use]
    pub const fn new(payload_limit: u32) -> Self {
        let limits = Limits { payload: payload_limit, clears_upload_echo: false };
        Self { scanner: Scanner::NEW, limits }
    }

    /// The same for what a server sends. It answers by sending the command's struct back, so the
    /// acknowledgement of an upload may still declare the upload's length, and nothing follows.
    /// A declared length of a code that only uploads is therefore cleared: if a payload should
    /// come after all, it is skipped as noise and counted, and the frame behind it is found. The
    /// other way round, so many bytes of other frames would be swallowed.
    #[must_use]
    pub const fn for_answers(payload_limit: u32) -> Self {
        let limits = Limits { payload: payload_limit, clears_upload_echo: true };
        Self { scanner: Scanner::NEW, limits }
    }

    /// Takes bytes up to the end of the next piece. Call it again with what was not consumed,
    /// until it consumes everything and gives nothing.
    pub fn push<'a>(&mut self, input: &'a [u8]) -> (usize, Option<Piece<'a>>) {
        match self.scanner.advance(input, self.limits) {
            (consumed, Some(Found::Frame(found))) => {
                let (frame, skipped) = (found.read(), found.skipped);
                (consumed, Some(Piece::Frame { frame, skipped }))
            }
            (consumed, Some(Found::Payload { bytes, remaining })) => {
                (consumed, Some(Piece::Payload { bytes, remaining }))
            }
            (consumed, None) => (consumed, None),
        }
    }

    /// Bytes that are held back until they turn out to be a frame or noise.
    pub const fn held(&self) -> usize {
        self.scanner.held()
    }

    /// Bytes of the current payload that are still to come.
    pub const fn payload_remaining(&self) -> u32 {
        self.scanner.payload_remaining()
    }

    /// All bytes skipped as noise so far.
    pub const fn noise_bytes(&self) -> u64 {
        self.scanner.noise_bytes()
    }

    /// Why the last candidate that began with a start marker was no frame, if there was one.
    pub fn last_rejected(&self) -> Option<DecodeError> {
        self.scanner.rejected().error(self.limits.payload)
    }
}

#[cfg(test)]
#[allow(clippy::panic, clippy::indexing_slicing, clippy::cast_possible_truncation)]
#[path = "assembler_tests.rs"]
mod tests;
