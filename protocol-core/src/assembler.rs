//! The public scanner for programs that need frames and payloads only. It does not classify frames:
//! `connection/classify.rs` does.

use crate::error::DecodeError;
use crate::scanner::{Found, Limits, Scanner};
use crate::wire::frame::Frame;
use crate::wire::layout::MAX_PAYLOAD;

/// The next item in the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Piece<'a> {
    /// A frame. If `frame.payload_len` is not 0, that many payload bytes come next.
    Frame {
        /// The frame.
        frame: Frame,
        /// Noise bytes that the assembler skipped between the last frame and this one.
        skipped: u32,
    },
    /// A slice of the last frame's payload, borrowed from the input. It is never empty.
    Payload {
        /// The bytes.
        bytes: &'a [u8],
        /// The number of payload bytes that are still to come. 0 marks the end of the payload.
        remaining: u32,
    },
}

/// Finds frames and payloads in a byte stream. Stores at most one frame and never a payload.
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
    /// Creates an assembler that accepts payloads of up to `payload_limit` bytes. It skips a frame
    /// that declares more as noise.
    #[must_use]
    pub const fn new(payload_limit: u32) -> Self {
        let limits = Limits { payload: payload_limit, clears_upload_echo: false };
        Self { scanner: Scanner::NEW, limits }
    }

    /// Creates an assembler for the frames that a server sends.
    ///
    /// The server answers a command with a copy of its struct. The acknowledgement of an upload may
    /// therefore still declare the length of the upload, although no payload follows. This
    /// assembler clears the declared length of a code that only uploads. If a payload follows after
    /// all, the assembler skips it as noise, counts it, and finds the next frame. With
    /// [`Self::new`] the assembler would take the bytes of the next frames as a payload.
    #[must_use]
    pub const fn for_answers(payload_limit: u32) -> Self {
        let limits = Limits { payload: payload_limit, clears_upload_echo: true };
        Self { scanner: Scanner::NEW, limits }
    }

    /// Takes bytes up to the end of the next piece. Returns the number of consumed bytes and the
    /// piece. Call it again with the rest until it consumes everything and returns `None`.
    pub fn push<'a>(&mut self, input: &'a [u8]) -> (usize, Option<Piece<'a>>) {
        match self.scanner.advance(input, self.limits, |_, _| false) {
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

    /// The number of bytes that the assembler holds until they prove to be a frame or noise.
    pub const fn held(&self) -> usize {
        self.scanner.held()
    }

    /// The number of bytes of the current payload that are still to come.
    pub const fn payload_remaining(&self) -> u32 {
        self.scanner.payload_remaining()
    }

    /// The number of bytes skipped as noise so far.
    pub const fn noise_bytes(&self) -> u64 {
        self.scanner.noise_bytes()
    }

    /// Why the last 128 bytes that began with a start marker were not a frame. `None` if the
    /// assembler has rejected nothing yet.
    pub fn last_rejected(&self) -> Option<DecodeError> {
        self.scanner.rejected().error(self.limits.payload)
    }
}

#[cfg(test)]
#[allow(clippy::panic, clippy::indexing_slicing, clippy::cast_possible_truncation)]
#[path = "assembler_tests.rs"]
mod tests;
