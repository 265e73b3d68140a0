//! Bytes → frame | payload slice, still as bytes: what the assembler and both ends are made of.
//!
//! A frame counts only if both markers stand and the declared payload is within the limit. The
//! earliest valid frame wins; after a false start marker the search goes on at the byte behind
//! it, so the real frame behind it is not lost.

use crate::bytes::word;
use crate::command::CommandCode;
use crate::counters::count;
use crate::flaw::Flaw;
use crate::frame::{CODE, FRAME_LEN, Frame, PAYLOAD_LEN, START_MARKER};
use crate::traits::Traits;

/// What the stream held next.
#[derive(Debug)]
pub(crate) enum Found<'a> {
    /// A frame, in the input; or `None`: in the finder's buffer.
    Frame(Option<&'a [u8; FRAME_LEN]>),
    /// A slice of the last frame's payload.
    Payload(&'a [u8]),
}

/// What is taken for a frame.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct Limits {
    /// A frame that declares a longer payload is noise.
    pub(crate) payload: u32,
    /// A code that only uploads declares no payload that would follow.
    pub(crate) clears_upload_echo: bool,
}

/// Holds at most one frame, never a payload.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct Finder {
    /// The first `held` bytes begin with the start marker, or with a part of it.
    buffer: [u8; FRAME_LEN],
    pub(crate) held: usize,
    /// Bytes of the current payload that are still to come.
    pub(crate) payload_remaining: u32,
    skipped: u32,
    pub(crate) noise_bytes: u64,
    /// Why the last candidate was no frame.
    pub(crate) rejected: Flaw,
}

impl Finder {
    /// Nothing has happened yet: all zero.
    pub(crate) const NEW: Self = Self {
        buffer: [0; FRAME_LEN],
        held: 0,
        payload_remaining: 0,
        skipped: 0,
        noise_bytes: 0,
        rejected: Flaw::None,
    };

    /// Takes bytes up to the end of what comes next; without anything, all. [`Self::view`] shows a frame.
    pub(crate) fn advance<'a>(
        &mut self,
        input: &'a [u8],
        limits: Limits,
    ) -> (usize, Option<Found<'a>>) {
        if self.payload_remaining > 0 {
            return self.take_payload(input);
        }
        if let (0, Some(bytes)) = (self.held, input.first_chunk())
            && let Flaw::None = Flaw::of(bytes, limits.payload)
        {
            self.payload_remaining = payload_len(bytes, limits);
            return (FRAME_LEN, Some(Found::Frame(Some(bytes))));
        }
        for (at, byte) in input.iter().enumerate() {
            if self.hold(*byte, limits.payload) {
                self.payload_remaining = payload_len(&self.buffer, limits);
                return (at.wrapping_add(1), Some(Found::Frame(None)));
            }
        }
        (input.len(), None)
    }

    /// Puts one more byte to those held; gives whether they are a frame, which is then let go.
    fn hold(&mut self, byte: u8, limit: u32) -> bool {
        let [first, ..] = START;
        if self.held == 0 && byte != first {
            self.skip(1);
            return false;
        }
        if let Some(place) = self.buffer.get_mut(self.held) {
            *place = byte;
        }
        self.held = self.held.wrapping_add(1);
        if self.held == FRAME_LEN {
            let flaw = Flaw::of(&self.buffer, limit);
            if let Flaw::None = flaw {
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

    /// Gives up half a frame, as noise, and the rest of a payload. Gives how much of each there was.
    pub(crate) fn abandon(&mut self) -> (usize, u32) {
        let held = core::mem::take(&mut self.held);
        self.skip(held);
        (held, core::mem::take(&mut self.payload_remaining))
    }

    /// The bytes of the frame that was found last.
    pub(crate) fn view<'v>(&'v self, found: Option<&'v [u8; FRAME_LEN]>) -> &'v [u8; FRAME_LEN] {
        found.unwrap_or(&self.buffer)
    }

    /// The frame that was found last, and how many bytes were skipped before it.
    pub(crate) fn take_frame(&mut self, found: Option<&[u8; FRAME_LEN]>) -> (Frame, u32) {
        let mut frame = Frame::read(self.view(found));
        frame.payload_len = self.payload_remaining;
        (frame, self.take_skipped())
    }

    /// How many bytes were skipped before the frame that was found last, once.
    pub(crate) fn take_skipped(&mut self) -> u32 {
        core::mem::take(&mut self.skipped)
    }

    fn take_payload<'a>(&mut self, input: &'a [u8]) -> (usize, Option<Found<'a>>) {
        let wanted = usize::try_from(self.payload_remaining).unwrap_or(usize::MAX);
        let bytes = input.get(..wanted).unwrap_or(input);
        if bytes.is_empty() {
            return (0, None);
        }
        // `bytes` is at most `payload_remaining` long.
        let taken = u32::try_from(bytes.len()).unwrap_or(self.payload_remaining);
        self.payload_remaining = self.payload_remaining.wrapping_sub(taken);
        (bytes.len(), Some(Found::Payload(bytes)))
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
        self.skip(noise);
    }

    fn skip(&mut self, noise: usize) {
        self.skipped = self.skipped.saturating_add(u32::try_from(noise).unwrap_or(u32::MAX));
        count(&mut self.noise_bytes, noise);
    }
}

/// How long the payload of a frame is.
fn payload_len(bytes: &[u8; FRAME_LEN], limits: Limits) -> u32 {
    let declared = word(bytes, PAYLOAD_LEN);
    let clears = declared > 0 && limits.clears_upload_echo;
    let only_uploads = || Traits::of(CommandCode(word(bytes, CODE))).only_uploads();
    if clears && only_uploads() { 0 } else { declared }
}

const START: [u8; 4] = START_MARKER.to_le_bytes();
