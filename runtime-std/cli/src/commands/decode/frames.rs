//! Divides complete input, such as a file or one direction of a stream, into frames, noise and broken
//! frames, each with its offset. Live streams are read by the core, and hex text by `hex.rs`.

use std::collections::VecDeque;
use std::fmt;

use flamingo_protocol_core::{
    Frame,
    error::DecodeError,
    wire::{Assembler, END_MARKER, FRAME_LEN, MAX_PAYLOAD, Piece as Assembled, START_MARKER},
};

/// A piece of the input. Pieces come in the order of their offsets, except [`Piece::Broken`], which
/// follows the noise that it explains.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::large_enum_variant)] // nearly every piece is a frame
pub(crate) enum Piece<'a> {
    /// A frame and its payload. If the payload is shorter than declared, a [`Piece::Broken`] follows.
    Frame {
        /// Offset of its first byte.
        offset: usize,
        /// The frame.
        frame: Frame,
        /// The payload after it.
        payload: &'a [u8],
    },
    /// Bytes that belong to no frame; never empty.
    Noise {
        /// Offset of the first byte.
        offset: usize,
        /// The bytes.
        bytes: &'a [u8],
    },
    /// Bytes that look like a frame but are none, or a frame that is incomplete.
    Broken {
        /// Offset of its first byte.
        offset: usize,
        /// Its bytes: 128, or fewer at the end of the input.
        bytes: &'a [u8],
        /// Why it is no frame.
        error: FrameError,
    },
}

/// Why bytes that look like a frame are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FrameError {
    /// A marker is wrong, or the declared payload is too long.
    Frame(DecodeError),
    /// The input ends within the frame.
    CutFrame {
        /// The number of its bytes that are present.
        found: usize,
    },
    /// The input ends within the payload.
    CutPayload {
        /// The number of bytes that the frame declares.
        expected: u32,
        /// The number of them that are present.
        found: usize,
    },
}

impl fmt::Display for FrameError {
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

impl std::error::Error for FrameError {}

/// Divides bytes into pieces. Every byte is in exactly one [`Piece::Frame`] or [`Piece::Noise`].
pub(crate) fn pieces(bytes: &[u8]) -> Pieces<'_> {
    Pieces {
        bytes,
        at: 0,
        assembler: Assembler::new(MAX_PAYLOAD),
        ready: VecDeque::new(),
        recognised: false,
    }
}

/// The pieces of the input: see [`pieces`].
#[derive(Debug, Clone)]
pub(crate) struct Pieces<'a> {
    bytes: &'a [u8],
    /// The offset of the next piece.
    at: usize,
    assembler: Assembler,
    ready: VecDeque<Piece<'a>>,
    /// Whether any bytes were a frame or looked like one.
    recognised: bool,
}

impl<'a> Iterator for Pieces<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        while self.ready.is_empty() && self.at < self.bytes.len() {
            self.step();
        }
        self.ready.pop_front()
    }
}

impl Pieces<'_> {
    fn step(&mut self) {
        let rest = self.bytes.get(self.at..).unwrap_or(&[]);
        let (consumed, assembled) = self.assembler.push(rest);
        let end = self.at + consumed;
        if let Some(Assembled::Frame { frame, .. }) = assembled {
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
        self.ready.push_back(Piece::Frame { offset: end - FRAME_LEN, frame, payload });
        if payload.len() < declared {
            let error =
                FrameError::CutPayload { expected: frame.payload_len, found: payload.len() };
            self.ready.push_back(Piece::Broken { offset: end, bytes: payload, error });
        }
        self.recognised = true;
        self.at = end + payload.len();
    }

    /// The bytes from the last piece to `end` are noise, and some of them may look like a frame.
    fn gap(&mut self, end: usize) {
        let start = self.at;
        let noise = self.bytes.get(start..end).unwrap_or(&[]);
        if noise.is_empty() {
            return;
        }
        self.ready.push_back(Piece::Noise { offset: start, bytes: noise });
        // The beginning of a start marker is an incomplete frame only where a frame could begin.
        if end == self.bytes.len() && self.assembler.held() == noise.len() {
            self.broken(start, FrameError::CutFrame { found: noise.len() });
            return;
        }
        for at in 0..noise.len() {
            if let Some(candidate) = candidate_at(noise, at) {
                self.candidate(start + candidate);
            }
        }
    }

    /// The bytes at `offset` have one of the two markers, but are no frame.
    fn candidate(&mut self, offset: usize) {
        let rest = self.bytes.get(offset..).unwrap_or(&[]);
        let error = match rest.get(..FRAME_LEN).map(Frame::decode) {
            None => FrameError::CutFrame { found: rest.len() },
            Some(Err(error)) => FrameError::Frame(error),
            Some(Ok(frame)) => match frame.check_payload(MAX_PAYLOAD) {
                Ok(()) => return,
                Err(error) => FrameError::Frame(error),
            },
        };
        self.broken(offset, error);
    }

    /// At the end: if there was no marker at all, reports why the first 128 bytes are no frame.
    fn nothing_recognised(&mut self) {
        if !self.recognised {
            let error = match self.bytes.get(..FRAME_LEN).map(Frame::decode) {
                Some(Err(error)) => FrameError::Frame(error),
                _ => FrameError::CutFrame { found: self.bytes.len() },
            };
            self.broken(0, error);
        }
    }

    fn broken(&mut self, offset: usize, error: FrameError) {
        let rest = self.bytes.get(offset..).unwrap_or(&[]);
        let bytes = rest.get(..FRAME_LEN).unwrap_or(rest);
        self.recognised = true;
        self.ready.push_back(Piece::Broken { offset, bytes, error });
    }
}

/// The start of a frame whose start marker, or otherwise whose end marker, is at `at`.
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
    use flamingo_protocol_core::{
        CommandCode,
        wire::{CMD_END, CMD_START},
    };

    const FRAME: Frame = Frame::new(CommandCode::SYSTEM_STATE_IDLE);

    fn errors(bytes: &[u8]) -> Vec<(usize, FrameError)> {
        let error = |piece| match piece {
            Piece::Broken { offset, error, .. } => Some((offset, error)),
            _ => None,
        };
        pieces(bytes).filter_map(error).collect()
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
        for piece in pieces(&bytes) {
            match piece {
                Piece::Frame { offset, payload, .. } => {
                    assert_eq!(offset, covered);
                    covered += FRAME_LEN + payload.len();
                }
                Piece::Noise { offset, bytes } => {
                    assert_eq!(offset, covered);
                    covered += bytes.len();
                }
                Piece::Broken { .. } => {}
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
            let error = FrameError::Frame(DecodeError::Marker { field, expected, found });
            assert_eq!(errors(&bytes), [(0, error)]);
            let after_a_good_one = [FRAME.encode(), bytes].concat();
            assert_eq!(errors(&after_a_good_one), [(FRAME_LEN, error)]);
        }
    }

    #[test]
    fn bytes_without_a_marker_are_an_error_of_the_start_marker() {
        let error = errors(&[0x41; 200]);
        let expected =
            DecodeError::Marker { field: CMD_START, expected: START_MARKER, found: 0x4141_4141 };
        assert_eq!(error, [(0, FrameError::Frame(expected))]);
        assert_eq!(errors(&[0x41; 100]), [(0, FrameError::CutFrame { found: 100 })]);
    }

    #[test]
    fn an_incomplete_frame_at_the_end_is_an_error() {
        let frame = FRAME.encode();
        for found in 1..FRAME_LEN {
            let bytes = [&frame[..], &frame[..found]].concat();
            assert_eq!(errors(&bytes), [(FRAME_LEN, FrameError::CutFrame { found })]);
        }
        let mut bytes = FRAME.with_payload_len(9).encode().to_vec();
        bytes.extend([7; 4]);
        let error = FrameError::CutPayload { expected: 9, found: 4 };
        assert_eq!(errors(&bytes), [(FRAME_LEN, error)]);
    }

    #[test]
    fn a_frame_after_a_declared_payload_of_4_gib_is_found() {
        let bytes = [FRAME.with_payload_len(u32::MAX).encode(), FRAME.encode()].concat();
        let error = DecodeError::PayloadTooLong { limit: MAX_PAYLOAD, found: u32::MAX };
        assert_eq!(errors(&bytes), [(0, FrameError::Frame(error))]);
        let last = pieces(&bytes).last();
        assert!(matches!(last, Some(Piece::Frame { offset: FRAME_LEN, .. })), "{last:?}");
    }

    #[test]
    fn plain_noise_between_frames_is_no_error() {
        let bytes = [&FRAME.encode()[..], &[0xAA; 300], &FRAME.encode()].concat();
        assert_eq!(errors(&bytes), []);
        assert_eq!(pieces(&bytes).count(), 3);
    }
}
