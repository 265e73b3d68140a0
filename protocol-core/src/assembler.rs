//! Bytes → frame | payload slice | noise, in any chunking, with resynchronisation.
//!
//! A frame counts only if both markers stand and the declared payload is within the limit. The
//! earliest valid frame wins; after a false start marker the search goes on at the byte behind
//! it, so the real frame behind it is not lost. Whose frame it is, is not decided here.

use crate::bytes::word;
use crate::command::CommandCode;
use crate::counters::count;
use crate::error::DecodeError;
use crate::frame::{CODE, FRAME_LEN, Flaw, Frame, MAX_PAYLOAD, PAYLOAD_LEN, START_MARKER};
use crate::traits::Traits;

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
/// use flamingo_protocol_core::{Assembler, CommandCode, Frame, Piece};
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
    /// The first `held` bytes begin with the start marker, or with a part of it.
    buffer: [u8; FRAME_LEN],
    held: usize,
    payload_remaining: u32,
    payload_limit: u32,
    /// A code that only uploads declares no payload that would follow.
    clears_upload_echo: bool,
    skipped: u32,
    noise_bytes: u64,
    rejected: Option<Flaw>,
}

/// What the stream held next, still as bytes.
#[derive(Debug)]
pub(crate) enum Found<'a> {
    /// A frame, in the input; or `None`: in the assembler's buffer.
    Frame(Option<&'a [u8; FRAME_LEN]>),
    /// A slice of the last frame's payload.
    Payload(&'a [u8]),
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
        Self {
            buffer: [0; FRAME_LEN],
            held: 0,
            payload_remaining: 0,
            payload_limit,
            clears_upload_echo: false,
            skipped: 0,
            noise_bytes: 0,
            rejected: None,
        }
    }

    /// The same for what a server sends. It answers by sending the command's struct back, so the
    /// acknowledgement of an upload may still declare the upload's length, and nothing follows.
    /// A declared length of a code that only uploads is therefore cleared: if a payload should
    /// come after all, it is skipped as noise and counted, and the frame behind it is found. The
    /// other way round, so many bytes of other frames would be swallowed.
    #[must_use]
    pub const fn for_answers(payload_limit: u32) -> Self {
        let mut assembler = Self::new(payload_limit);
        assembler.clears_upload_echo = true;
        assembler
    }

    /// Takes bytes up to the end of the next piece. Call it again with what was not consumed,
    /// until it consumes everything and gives nothing.
    pub fn push<'a>(&mut self, input: &'a [u8]) -> (usize, Option<Piece<'a>>) {
        let (consumed, found) = self.advance(input);
        let piece = found.map(|found| match found {
            Found::Frame(bytes) => {
                let (frame, skipped) = self.take_frame(bytes);
                Piece::Frame { frame, skipped }
            }
            Found::Payload(bytes) => Piece::Payload { bytes, remaining: self.payload_remaining },
        });
        (consumed, piece)
    }

    /// As [`Self::push`], but the frame stays bytes: [`Self::view`] shows them.
    pub(crate) fn advance<'a>(&mut self, input: &'a [u8]) -> (usize, Option<Found<'a>>) {
        if self.payload_remaining > 0 {
            return self.take_payload(input);
        }
        if let (0, Some(bytes)) = (self.held, input.first_chunk()) {
            if Flaw::of(bytes, self.payload_limit).is_none() {
                self.payload_remaining = self.payload_len(bytes);
                return (FRAME_LEN, Some(Found::Frame(Some(bytes))));
            }
        }
        for (at, byte) in input.iter().enumerate() {
            if self.hold(*byte) {
                self.payload_remaining = self.payload_len(&self.buffer);
                return (at.wrapping_add(1), Some(Found::Frame(None)));
            }
        }
        (input.len(), None)
    }

    /// Puts one more byte to those held; gives whether they are a frame, which is then let go.
    fn hold(&mut self, byte: u8) -> bool {
        if let Some(place) = self.buffer.get_mut(self.held) {
            *place = byte;
        }
        self.held = self.held.wrapping_add(1);
        if self.held == FRAME_LEN {
            let flaw = Flaw::of(&self.buffer, self.payload_limit);
            if flaw.is_none() {
                self.held = 0;
                return true;
            }
            self.rejected = flaw;
            self.drop_front(1);
        } else if self.held <= START.len() {
            self.drop_front(0);
        }
        false
    }

    /// The bytes of the frame that was found last.
    pub(crate) fn view<'v>(&'v self, found: Option<&'v [u8; FRAME_LEN]>) -> &'v [u8; FRAME_LEN] {
        found.unwrap_or(&self.buffer)
    }

    /// The frame that was found last, and how many bytes were skipped before it.
    pub(crate) fn take_frame(&mut self, found: Option<&[u8; FRAME_LEN]>) -> (Frame, u32) {
        let mut frame = Frame::read(self.view(found));
        frame.payload_len = self.payload_remaining;
        (frame, core::mem::take(&mut self.skipped))
    }

    /// Bytes that are held back until they turn out to be a frame or noise.
    pub const fn held(&self) -> usize {
        self.held
    }

    /// Bytes of the current payload that are still to come.
    pub const fn payload_remaining(&self) -> u32 {
        self.payload_remaining
    }

    /// All bytes skipped as noise so far.
    pub const fn noise_bytes(&self) -> u64 {
        self.noise_bytes
    }

    /// Why the last candidate that began with a start marker was no frame, if there was one.
    pub fn last_rejected(&self) -> Option<DecodeError> {
        self.rejected.map(|flaw| flaw.error(self.payload_limit))
    }

    fn take_payload<'a>(&mut self, input: &'a [u8]) -> (usize, Option<Found<'a>>) {
        let wanted = usize::try_from(self.payload_remaining).unwrap_or(usize::MAX);
        let bytes = input.get(..wanted).unwrap_or(input);
        if bytes.is_empty() {
            return (0, None);
        }
        // `bytes` is at most `payload_remaining` long.
        self.payload_remaining = self.payload_remaining.wrapping_sub(bytes.len() as u32);
        (bytes.len(), Some(Found::Payload(bytes)))
    }

    /// How long the payload of a frame is.
    fn payload_len(&self, bytes: &[u8; FRAME_LEN]) -> u32 {
        let declared = word(bytes, PAYLOAD_LEN);
        let clears = declared > 0 && self.clears_upload_echo;
        let only_uploads = || Traits::of(CommandCode(word(bytes, CODE))).only_uploads();
        if clears && only_uploads() { 0 } else { declared }
    }

    /// Drops at least `least` bytes, up to the next place where a start marker may begin.
    fn drop_front(&mut self, least: usize) {
        let held = self.buffer.get(..self.held).unwrap_or_default();
        let mut noise = least;
        let mut rest = held.get(least..).unwrap_or_default();
        while !rest.iter().zip(&START).all(|(byte, expected)| byte == expected) {
            rest = rest.get(1..).unwrap_or_default();
            noise = noise.wrapping_add(1);
        }
        if noise == 0 {
            return;
        }
        let kept = rest.len();
        for to in 0..kept {
            let byte = self.buffer.get(to.wrapping_add(noise)).copied();
            if let (Some(place), Some(byte)) = (self.buffer.get_mut(to), byte) {
                *place = byte;
            }
        }
        self.held = kept;
        self.skipped = self.skipped.saturating_add(noise as u32);
        count(&mut self.noise_bytes, noise as u32);
    }
}

const START: [u8; 4] = START_MARKER.to_le_bytes();

#[cfg(test)]
#[allow(clippy::panic, clippy::indexing_slicing, clippy::cast_possible_truncation)]
#[path = "assembler_tests.rs"]
mod tests;
