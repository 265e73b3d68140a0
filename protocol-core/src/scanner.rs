//! Bytes → frame | payload slice, still as bytes: what the assembler and both ends are made of.
//!
//! A frame counts only if both markers stand and the declared payload is within the limit. The
//! earliest valid frame wins; after a false start marker the search goes on at the byte behind
//! it, so the real frame behind it is not lost.

use crate::connection::counters::count;
use crate::flaw::Flaw;
use crate::wire::command::CommandCode;
use crate::wire::facts::Traits;
use crate::wire::frame::{CODE, FRAME_LEN, Frame, PAYLOAD_LEN, START_MARKER};
use crate::wire::layout::word;

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
    /// Noise since the last frame.
    skipped: u32,
    /// Noise before it.
    noise_bytes: u64,
    /// Why the last candidate was no frame.
    pub(crate) rejected: Flaw,
}

/// [`Finder::keep`] relies on it.
const _: () = {
    let [first, second, third, last] = START_MARKER.to_le_bytes();
    assert!(first != second && first != third && first != last);
};

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
        let whole = input.first_chunk().filter(|_| self.held == 0);
        let whole = whole.filter(|bytes| matches!(Flaw::of(bytes, limits.payload), Flaw::None));
        let consumed = if whole.is_some() { FRAME_LEN } else { self.gather(input, limits.payload) };
        if consumed == 0 {
            return (input.len(), None);
        }
        self.payload_remaining = payload_len(self.view(whole), limits);
        (consumed, Some(Found::Frame(whole)))
    }

    /// Takes bytes into the buffer until they are a frame, and gives how many; 0: all, and they
    /// are none.
    #[inline(never)]
    fn gather(&mut self, input: &[u8], limit: u32) -> usize {
        for (at, byte) in input.iter().enumerate() {
            if self.hold(*byte, limit) {
                return at.wrapping_add(1);
            }
        }
        0
    }

    /// Puts one more byte to those held; gives whether they are a frame, which is then let go. If
    /// they are none, the search goes on at the second of them.
    fn hold(&mut self, byte: u8, limit: u32) -> bool {
        self.keep(byte);
        if self.held < FRAME_LEN {
            return false;
        }
        self.held = 0;
        let flaw = Flaw::of(&self.buffer, limit);
        if let Flaw::None = flaw {
            return true;
        }
        self.rejected = flaw;
        self.skip(1);
        for at in 1..FRAME_LEN {
            // It goes to a place before this one.
            self.keep(self.buffer.get(at).copied().unwrap_or_default());
        }
        false
    }

    /// Puts one more byte to those held, if a frame may begin with them. The first byte of the
    /// start marker does not occur in it again, so if one does not fit, a frame can begin with that
    /// one at the earliest.
    #[inline(never)]
    #[allow(clippy::cast_possible_truncation)] // a place in the buffer, and the lowest byte
    fn keep(&mut self, byte: u8) {
        let expected = |at: usize| {
            START_MARKER.checked_shr((at as u32).wrapping_mul(8)).map(|rest| rest as u8)
        };
        if expected(self.held).is_some_and(|expected| byte != expected) {
            let begins = expected(0) == Some(byte);
            let noise = core::mem::take(&mut self.held).wrapping_add(usize::from(!begins));
            self.skip(noise);
            if !begins {
                return;
            }
        }
        if let Some(place) = self.buffer.get_mut(self.held) {
            *place = byte;
            self.held = self.held.wrapping_add(1);
        }
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

    /// The frame that was found last.
    #[inline(never)] // so that it is read where it is wanted
    pub(crate) fn frame(&self, found: Option<&[u8; FRAME_LEN]>) -> Frame {
        let mut frame = Frame::read(self.view(found));
        frame.payload_len = self.payload_remaining;
        frame
    }

    /// How many bytes were skipped because they were no frame.
    pub(crate) const fn noise_bytes(&self) -> u64 {
        self.noise_bytes.saturating_add(self.skipped as u64)
    }

    /// How many bytes were skipped before the frame that was found last, once.
    pub(crate) fn take_skipped(&mut self) -> u32 {
        let skipped = core::mem::take(&mut self.skipped);
        if skipped > 0 {
            count(&mut self.noise_bytes, skipped as usize);
        }
        skipped
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

    fn skip(&mut self, noise: usize) {
        self.skipped = self.skipped.saturating_add(u32::try_from(noise).unwrap_or(u32::MAX));
    }
}

/// How long the payload of a frame is.
fn payload_len(bytes: &[u8; FRAME_LEN], limits: Limits) -> u32 {
    let declared = word(bytes, PAYLOAD_LEN);
    let clears = declared > 0 && limits.clears_upload_echo;
    let only_uploads = || Traits::of(CommandCode(word(bytes, CODE))).only_uploads();
    if clears && only_uploads() { 0 } else { declared }
}
