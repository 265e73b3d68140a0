//! Bytes → frame | payload slice | noise, in any chunking, with resynchronisation.
//!
//! A frame counts only if both markers stand and the declared payload is within the limit. The
//! earliest valid frame wins; after a false start marker the search goes on at the byte behind it,
//! so the real frame behind it is not lost. How the bytes of a frame are held, and where the next one
//! may begin, is `candidate.rs`. Who gets a frame is not decided here.

use crate::candidate::{Candidate, HOST};
use crate::error::Mismatch;
use crate::wire::command::CommandCode;
use crate::wire::facts::CommandFacts;
use crate::wire::frame::{Flags, Frame};
use crate::wire::layout::{CODE, FLAGS, FRAME_LEN, Field, PAYLOAD_LEN, word};
use crate::wire::parse;

/// What the stream held next.
#[derive(Debug)]
pub(crate) enum Found<'scanner, 'input> {
    /// A frame.
    Frame(FrameView<'scanner>),
    /// A slice of the last frame's payload, lent from the input; never empty.
    Payload {
        bytes: &'input [u8],
        /// How many bytes of the payload are still to come; 0 ends it.
        remaining: u32,
    },
}

/// A frame in the stream, where it lies: in the input or in the scanner. Fields are read when they
/// are asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FrameView<'scanner> {
    bytes: &'scanner [u8; FRAME_LEN],
    /// How long the payload is that comes next.
    pub(crate) payload_len: u32,
    /// Bytes that were skipped as noise between the last frame and this one.
    pub(crate) skipped: u32,
}

impl FrameView<'_> {
    pub(crate) fn code(self) -> CommandCode {
        CommandCode(word(self.bytes, CODE))
    }

    pub(crate) fn flags(self) -> Flags {
        Flags(word(self.bytes, FLAGS))
    }

    /// The number in a field of four bytes.
    pub(crate) fn int(self, field: Field) -> i32 {
        word(self.bytes, field) as i32
    }

    /// All fields.
    #[allow(clippy::inline_always)] // a call and a copy: 4 ns more for an event on x86-64
    #[cfg_attr(not(target_os = "none"), inline(always))]
    pub(crate) fn read(self) -> Frame {
        parse::frame(self.bytes, self.payload_len)
    }
}

/// What counts as a frame.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct Limits {
    /// A frame that declares a longer payload is noise.
    pub(crate) payload: u32,
    /// A declared length under a code that only uploads is an echo: no payload follows.
    pub(crate) clears_upload_echo: bool,
}

/// Holds at most one frame, never a payload.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct Scanner {
    /// What is held of it begins with the start marker, or with a part of it.
    candidate: Candidate,
    progress: Progress,
}

/// How far the stream was read.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
struct Progress {
    /// Bytes of the current payload that are still to come.
    payload_remaining: u32,
    /// Noise since the last frame.
    skipped: u32,
    /// Noise before it.
    noise_bytes: u64,
}

impl Progress {
    /// A frame begins, and then its payload.
    fn begin<'scanner>(
        &mut self,
        bytes: &'scanner [u8; FRAME_LEN],
        limits: Limits,
        may_echo: impl FnOnce(CommandCode, u32) -> bool,
    ) -> FrameView<'scanner> {
        self.payload_remaining = payload_len(bytes, limits, may_echo);
        let skipped = core::mem::take(&mut self.skipped);
        if skipped > 0 {
            self.noise_bytes = self.noise_bytes.saturating_add(u64::from(skipped));
        }
        FrameView { bytes, payload_len: self.payload_remaining, skipped }
    }
}

impl Scanner {
    /// Nothing has happened yet: all zero.
    pub(crate) const NEW: Self = Self {
        candidate: Candidate::NONE,
        progress: Progress { payload_remaining: 0, skipped: 0, noise_bytes: 0 },
    };

    /// Takes bytes up to the end of what comes next; if nothing does, all. `may_echo` says whether a
    /// frame of this code that declares this length may be the echo of an upload.
    #[inline] // a call: 24 instructions more for an event on a Cortex-M4 at opt-level 3
    pub(crate) fn advance<'scanner, 'input: 'scanner>(
        &'scanner mut self,
        input: &'input [u8],
        limits: Limits,
        may_echo: impl FnOnce(CommandCode, u32) -> bool,
    ) -> (usize, Option<Found<'scanner, 'input>>) {
        self.advance_as::<HOST>(input, limits, may_echo)
    }

    /// The same, as on a host or on bare metal.
    #[inline]
    fn advance_as<'scanner, 'input: 'scanner, const HOST: bool>(
        &'scanner mut self,
        input: &'input [u8],
        limits: Limits,
        may_echo: impl FnOnce(CommandCode, u32) -> bool,
    ) -> (usize, Option<Found<'scanner, 'input>>) {
        if self.progress.payload_remaining > 0 {
            return self.take_payload(input);
        }
        let (consumed, bytes) = match self.whole(input, limits.payload) {
            Some(bytes) => (FRAME_LEN, bytes),
            None => match self.gather::<HOST>(input, limits.payload) {
                Some(rest) => (input.len().wrapping_sub(rest.len()), self.candidate.bytes()),
                None => return (input.len(), None),
            },
        };
        (consumed, Some(Found::Frame(self.progress.begin(bytes, limits, may_echo))))
    }

    /// A frame that lies in the input as a whole.
    fn whole<'input>(&self, input: &'input [u8], limit: u32) -> Option<&'input [u8; FRAME_LEN]> {
        let bytes = input.first_chunk().filter(|_| self.candidate.held() == 0)?;
        parse::check(bytes, limit).is_ok().then_some(bytes)
    }

    /// Takes bytes until those held are a frame, and gives the rest; `None` if they are none after all
    /// of them.
    fn gather<'input, const HOST: bool>(
        &mut self,
        mut rest: &'input [u8],
        limit: u32,
    ) -> Option<&'input [u8]> {
        while !rest.is_empty() {
            let before = self.candidate.held();
            if HOST && before == 0 {
                let noise = self.candidate.hunt::<HOST>(rest, limit);
                self.skip(noise);
                rest = rest.get(noise..)?;
            }
            let mut taken = self.candidate.fill::<HOST>(rest)?;
            let noise = self.candidate.noise::<HOST>(limit, before)?;
            if noise > 0 {
                self.skip(noise);
                let mut end = self.candidate.held();
                if HOST {
                    // What came now is looked at again where it lies: there it need not be moved.
                    (end, taken) = (before, noise.saturating_sub(before));
                }
                self.candidate.keep::<HOST>(noise, end);
            }
            rest = rest.get(taken..)?;
            if self.candidate.held() == FRAME_LEN {
                self.candidate.clear();
                return Some(rest);
            }
        }
        None
    }

    fn take_payload<'input>(&mut self, input: &'input [u8]) -> (usize, Option<Found<'_, 'input>>) {
        let wanted = usize::try_from(self.progress.payload_remaining).unwrap_or(usize::MAX);
        let bytes = input.get(..wanted).unwrap_or(input);
        if bytes.is_empty() {
            return (0, None);
        }
        // `bytes` is at most `payload_remaining` long.
        let taken = u32::try_from(bytes.len()).unwrap_or(self.progress.payload_remaining);
        self.progress.payload_remaining = self.progress.payload_remaining.wrapping_sub(taken);
        (bytes.len(), Some(Found::Payload { bytes, remaining: self.progress.payload_remaining }))
    }

    /// Gives up half a frame, as noise, and the rest of a payload. Gives how many bytes of each
    /// there were.
    pub(crate) fn abandon(&mut self) -> (usize, u32) {
        let held = self.candidate.held();
        self.candidate.clear();
        self.skip(held);
        (held, core::mem::take(&mut self.progress.payload_remaining))
    }

    /// Bytes that are held back until they turn out to be a frame or noise.
    pub(crate) const fn held(&self) -> usize {
        self.candidate.held()
    }

    /// Bytes of the current payload that are still to come.
    pub(crate) const fn payload_remaining(&self) -> u32 {
        self.progress.payload_remaining
    }

    /// How many bytes were skipped because they were no frame.
    pub(crate) const fn noise_bytes(&self) -> u64 {
        self.progress.noise_bytes.saturating_add(self.progress.skipped as u64)
    }

    /// Why the last candidate was no frame.
    pub(crate) const fn rejected(&self) -> Mismatch {
        self.candidate.rejected()
    }

    fn skip(&mut self, noise: usize) {
        self.progress.skipped =
            self.progress.skipped.saturating_add(u32::try_from(noise).unwrap_or(u32::MAX));
    }
}

/// How long the payload of a frame is.
fn payload_len(
    bytes: &[u8; FRAME_LEN],
    limits: Limits,
    may_echo: impl FnOnce(CommandCode, u32) -> bool,
) -> u32 {
    let (declared, code) = (word(bytes, PAYLOAD_LEN), CommandCode(word(bytes, CODE)));
    let is_echo = || CommandFacts::of(code).only_uploads() || may_echo(code, declared);
    if declared > 0 && limits.clears_upload_echo && is_echo() { 0 } else { declared }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
#[path = "scanner_tests.rs"]
mod tests;
