//! Recorded bytes → frames, noise and what is broken, each with its offset.
//!
//! For bytes that lie there whole: a file, a capture of one direction of a stream. Live streams
//! are the core's; telling hex from raw bytes is `hex.rs`.

use std::collections::VecDeque;
use std::fmt;

use flamingo_protocol_core::{
    Assembler, DecodeError, END_MARKER, FRAME_LEN, Frame, MAX_PAYLOAD, Piece, START_MARKER,
};

/// A part of the bytes. In the order of their offsets, but for [`Part::Broken`], which comes
/// behind the noise that it explains.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::large_enum_variant)] // nearly every part is a frame
pub(crate) enum Part<'a> {
    /// A frame and its payload. If that is shorter than declared, a [`Part::Broken`] follows.
    Frame {
        /// Offset of its first byte.
        offset: usize,
        /// The frame.
        frame: Frame,
        /// The payload behind it.
        payload: &'a [u8],
    },
    /// Bytes that belong to no frame; never empty.
    Noise {
        /// Offset of the first byte.
        offset: usize,
        /// The bytes.
        bytes: &'a [u8],
    },
    /// Something that looks like a frame and is none, or ends too early.
    Broken {
        /// Offset of its first byte.
        offset: usize,
        /// Its bytes: 128 or, at the end, fewer.
        bytes: &'a [u8],
        /// What is wrong with it.
        flaw: Flaw,
    },
}

/// What is wrong with something that looks like a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// A marker is wrong, or the declared payload is too long.
    Frame(DecodeError),
    /// The bytes end inside of the frame.
    CutFrame {
        /// How many of its 128 bytes are there.
        found: usize,
    },
    /// The bytes end inside of the payload.
    CutPayload {
        /// Bytes that the frame declares.
        expected: u32,
        /// How many of them are there.
        found: usize,
    },
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frame(error) => error.fmt(f),
            Self::CutFrame { found } => {
                write!(f, "frame cut off: expected {FRAME_LEN} bytes, found {found}")
            }
            Self::CutPayload { expected, found } => {
                write!(f, "payload cut off: expected {expected} bytes, found {found}")
            }
        }
    }
}

impl std::error::Error for Flaw {}

/// Takes recorded bytes apart. Every byte is in exactly one [`Part::Frame`] or [`Part::Noise`].
pub(crate) fn dissect(bytes: &[u8]) -> Parts<'_> {
    Parts {
        bytes,
        at: 0,
        assembler: Assembler::new(MAX_PAYLOAD),
        ready: VecDeque::new(),
        recognised: false,
    }
}

/// The parts of recorded bytes: see [`dissect`].
#[derive(Debug, Clone)]
pub(crate) struct Parts<'a> {
    bytes: &'a [u8],
    /// Where the part begins that comes next.
    at: usize,
    assembler: Assembler,
    ready: VecDeque<Part<'a>>,
    /// Whether anything was a frame, or looked like one.
    recognised: bool,
}

impl<'a> Iterator for Parts<'a> {
    type Item = Part<'a>;

    fn next(&mut self) -> Option<Part<'a>> {
        while self.ready.is_empty() && self.at < self.bytes.len() {
            self.step();
        }
        self.ready.pop_front()
    }
}

impl Parts<'_> {
    fn step(&mut self) {
        let rest = self.bytes.get(self.at..).unwrap_or(&[]);
        let (consumed, piece) = self.assembler.push(rest);
        let end = self.at + consumed;
        if let Some(Piece::Frame { frame, .. }) = piece {
            self.gap(end - FRAME_LEN);
            self.frame(end, frame);
        } else {
            self.gap(end);
            self.nothing_recognised();
            self.at = end;
        }
    }

    fn frame(&mut self, end: usize, frame: Frame) {
        let rest = self.bytes.get(end..).unwrap_or(&[]);
        let declared = usize::try_from(frame.payload_len).unwrap_or(usize::MAX);
        let payload = rest.get(..declared).unwrap_or(rest);
        self.assembler.push(payload);
        self.ready.push_back(Part::Frame { offset: end - FRAME_LEN, frame, payload });
        if payload.len() < declared {
            let flaw = Flaw::CutPayload { expected: frame.payload_len, found: payload.len() };
            self.ready.push_back(Part::Broken { offset: end, bytes: payload, flaw });
        }
        self.recognised = true;
        self.at = end + payload.len();
    }

    /// What lies between the last part and `end` is noise; some of it may look like a frame.
    fn gap(&mut self, end: usize) {
        let start = self.at;
        let noise = self.bytes.get(start..end).unwrap_or(&[]);
        if noise.is_empty() {
            return;
        }
        self.ready.push_back(Part::Noise { offset: start, bytes: noise });
        // A part of a start marker counts as a cut frame only where a frame would begin.
        if end == self.bytes.len() && self.assembler.held() == noise.len() {
            self.broken(start, Flaw::CutFrame { found: noise.len() });
            return;
        }
        for at in 0..noise.len() {
            if let Some(candidate) = candidate_at(noise, at) {
                self.candidate(start + candidate);
            }
        }
    }

    /// Something at `offset` has one of the two markers, and is no frame.
    fn candidate(&mut self, offset: usize) {
        let rest = self.bytes.get(offset..).unwrap_or(&[]);
        let flaw = match rest.get(..FRAME_LEN).map(Frame::decode) {
            None => Flaw::CutFrame { found: rest.len() },
            Some(Err(error)) => Flaw::Frame(error),
            Some(Ok(frame)) => match frame.check_payload(MAX_PAYLOAD) {
                Ok(()) => return,
                Err(error) => Flaw::Frame(error),
            },
        };
        self.broken(offset, flaw);
    }

    /// At the end: bytes without a single marker are named as what their first 128 are not.
    fn nothing_recognised(&mut self) {
        if !self.recognised {
            let flaw = match self.bytes.get(..FRAME_LEN).map(Frame::decode) {
                Some(Err(error)) => Flaw::Frame(error),
                _ => Flaw::CutFrame { found: self.bytes.len() },
            };
            self.broken(0, flaw);
        }
    }

    fn broken(&mut self, offset: usize, flaw: Flaw) {
        let rest = self.bytes.get(offset..).unwrap_or(&[]);
        let bytes = rest.get(..FRAME_LEN).unwrap_or(rest);
        self.recognised = true;
        self.ready.push_back(Part::Broken { offset, bytes, flaw });
    }
}

/// Where a frame would begin whose start marker, or else whose end marker, is at `at`.
fn candidate_at(noise: &[u8], at: usize) -> Option<usize> {
    let marker = |at: usize, marker: u32| {
        noise.get(at..).is_some_and(|bytes| bytes.starts_with(&marker.to_le_bytes()))
    };
    if marker(at, START_MARKER) {
        return Some(at);
    }
    let start = at.checked_sub(FRAME_LEN - 4)?;
    (marker(at, END_MARKER) && !marker(start, START_MARKER)).then_some(start)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flamingo_protocol_core::{CMD_END, CMD_START, CommandCode};

    const FRAME: Frame = Frame::new(CommandCode::SYSTEM_STATE_IDLE);

    fn flaws(bytes: &[u8]) -> Vec<(usize, Flaw)> {
        let flaw = |part| match part {
            Part::Broken { offset, flaw, .. } => Some((offset, flaw)),
            _ => None,
        };
        dissect(bytes).filter_map(flaw).collect()
    }

    #[test]
    fn every_byte_is_in_exactly_one_frame_or_noise() {
        let mut bytes = vec![1, 2, 3];
        bytes.extend(FRAME.with_payload_len(5).encode());
        bytes.extend(b"hello");
        bytes.extend(START_MARKER.to_le_bytes());
        bytes.extend(FRAME.encode());
        bytes.extend([9; 200]);
        let mut covered = 0;
        for part in dissect(&bytes) {
            match part {
                Part::Frame { offset, payload, .. } => {
                    assert_eq!(offset, covered);
                    covered += FRAME_LEN + payload.len();
                }
                Part::Noise { offset, bytes } => {
                    assert_eq!(offset, covered);
                    covered += bytes.len();
                }
                Part::Broken { .. } => {}
            }
        }
        assert_eq!(covered, bytes.len());
    }

    #[test]
    fn a_wrong_marker_is_named_with_what_was_expected_and_found() {
        for (field, expected) in [(CMD_START, START_MARKER), (CMD_END, END_MARKER)] {
            let mut bytes = FRAME.encode();
            bytes[field.offset] ^= 0xFF;
            let found = expected ^ 0xFF;
            let flaw = Flaw::Frame(DecodeError::Marker { field, expected, found });
            assert_eq!(flaws(&bytes), [(0, flaw)]);
            let behind_a_good_one = [FRAME.encode(), bytes].concat();
            assert_eq!(flaws(&behind_a_good_one), [(FRAME_LEN, flaw)]);
        }
    }

    #[test]
    fn bytes_without_a_marker_are_told_what_a_frame_begins_with() {
        let error = flaws(&[0x41; 200]);
        let expected =
            DecodeError::Marker { field: CMD_START, expected: START_MARKER, found: 0x4141_4141 };
        assert_eq!(error, [(0, Flaw::Frame(expected))]);
        assert_eq!(flaws(&[0x41; 100]), [(0, Flaw::CutFrame { found: 100 })]);
    }

    #[test]
    fn what_is_cut_off_at_the_end_is_said() {
        let frame = FRAME.encode();
        for found in 1..FRAME_LEN {
            let bytes = [&frame[..], &frame[..found]].concat();
            assert_eq!(flaws(&bytes), [(FRAME_LEN, Flaw::CutFrame { found })]);
        }
        let mut bytes = FRAME.with_payload_len(9).encode().to_vec();
        bytes.extend([7; 4]);
        let flaw = Flaw::CutPayload { expected: 9, found: 4 };
        assert_eq!(flaws(&bytes), [(FRAME_LEN, flaw)]);
    }

    #[test]
    fn a_payload_of_4_gib_is_no_frame_and_the_one_behind_it_is_found() {
        let bytes = [FRAME.with_payload_len(u32::MAX).encode(), FRAME.encode()].concat();
        let error = DecodeError::PayloadTooLong { limit: MAX_PAYLOAD, found: u32::MAX };
        assert_eq!(flaws(&bytes), [(0, Flaw::Frame(error))]);
        let last = dissect(&bytes).last();
        assert!(matches!(last, Some(Part::Frame { offset: FRAME_LEN, .. })), "{last:?}");
    }

    #[test]
    fn plain_noise_between_frames_is_no_flaw() {
        let bytes = [&FRAME.encode()[..], &[0xAA; 300], &FRAME.encode()].concat();
        assert_eq!(flaws(&bytes), []);
        assert_eq!(dissect(&bytes).count(), 3);
    }
}
