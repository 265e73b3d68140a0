//! Whole, byte by byte, cut anywhere, and with every kind of junk around.

use std::vec::Vec;

use super::*;
use crate::wire::command::CommandCode;
use crate::wire::layout::{CMD_END, FRAME_LEN, START_MARKER};

/// A frame, or payload bytes that came in a row.
#[derive(Debug, PartialEq)]
enum Whole {
    Frame { frame: Frame, skipped: u32 },
    Payload(Vec<u8>),
}

struct Reader {
    assembler: Assembler,
    pieces: Vec<Whole>,
    in_payload: bool,
}

impl Reader {
    fn new() -> Self {
        Self { assembler: Assembler::default(), pieces: Vec::new(), in_payload: false }
    }

    /// Checks `consumed` on every return, too.
    fn read(&mut self, mut input: &[u8]) {
        loop {
            let before = self.assembler.payload_remaining();
            let (consumed, piece) = self.assembler.push(input);
            assert!(consumed <= input.len());
            match piece {
                Some(Piece::Frame { frame, skipped }) => {
                    // It ends with the last byte that was consumed.
                    let end = &input[..consumed];
                    let marker = &frame.encode()[124..];
                    let tail = end.len().min(4);
                    assert_eq!(end[end.len() - tail..], marker[4 - tail..]);
                    self.pieces.push(Whole::Frame { frame, skipped });
                    self.in_payload = false;
                }
                Some(Piece::Payload { bytes, remaining }) => {
                    assert_eq!(bytes, &input[..consumed], "lent, not copied");
                    assert_eq!(before, remaining + bytes.len() as u32);
                    match self.pieces.last_mut() {
                        Some(Whole::Payload(whole)) if self.in_payload => whole.extend(bytes),
                        _ => self.pieces.push(Whole::Payload(bytes.to_vec())),
                    }
                    self.in_payload = remaining > 0;
                }
                None => {
                    assert_eq!(consumed, input.len(), "no piece: all was taken");
                    return;
                }
            }
            input = &input[consumed..];
        }
    }
}

fn read_in<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Whole>, u64) {
    let mut reader = Reader::new();
    for chunk in chunks {
        reader.read(chunk);
    }
    (reader.pieces, reader.assembler.noise_bytes())
}

fn numbered(number: i32) -> Frame {
    Frame::new(CommandCode::STAGE_POSITION_GET).with_selector(number)
}

const MARKER: [u8; 4] = START_MARKER.to_le_bytes();

/// A frame whose buffer holds a false start marker, and the end marker too.
fn treacherous() -> Frame {
    let mut frame = numbered(2);
    frame.buffer[10..14].copy_from_slice(&MARKER);
    frame.buffer[68..72].copy_from_slice(&crate::wire::layout::END_MARKER.to_le_bytes());
    frame
}

/// Noise, frames, payloads, false markers in all of them.
fn reference() -> Vec<u8> {
    let mut stream = std::vec![0x54, 0xE6, 0x00];
    stream.extend(numbered(1).encode());
    stream.extend(treacherous().with_payload_len(300).encode());
    let mut payload = std::vec![7; 300];
    payload[100..104].copy_from_slice(&MARKER);
    payload[150..278].copy_from_slice(&numbered(99).encode());
    stream.extend(payload);
    stream.extend(MARKER); // a false start, right before a real one
    stream.extend(numbered(3).with_payload_len(1).encode());
    stream.push(MARKER[0]);
    stream.extend(&MARKER[..3]);
    stream.extend(numbered(4).encode());
    stream
}

#[test]
fn a_stream_gives_every_frame_and_payload_and_counts_the_noise() {
    let (pieces, noise) = read_in([&reference()[..]]);
    let frames: Vec<_> = pieces
        .iter()
        .filter_map(|piece| match piece {
            Whole::Frame { frame, skipped } => Some((frame.selector(), *skipped)),
            Whole::Payload(_) => None,
        })
        .collect();
    assert_eq!(frames, [(1, 3), (2, 0), (3, 4), (4, 3)]);
    let payloads: Vec<_> = pieces
        .iter()
        .filter_map(|piece| match piece {
            Whole::Payload(bytes) => Some(bytes.len()),
            Whole::Frame { .. } => None,
        })
        .collect();
    assert_eq!(payloads, [300, 1]);
    assert_eq!(noise, 10);
}

#[test]
fn byte_by_byte_gives_the_same() {
    let stream = reference();
    assert_eq!(read_in(stream.chunks(1)), read_in([&stream[..]]));
}

#[test]
fn every_cut_in_two_gives_the_same() {
    let stream = reference();
    let whole = read_in([&stream[..]]);
    for at in 0..=stream.len() {
        let (left, right) = stream.split_at(at);
        assert_eq!(read_in([left, right]), whole, "cut at {at}");
    }
}

#[test]
fn every_chunk_size_gives_the_same() {
    let stream = reference();
    let whole = read_in([&stream[..]]);
    for size in 2..260 {
        assert_eq!(read_in(stream.chunks(size)), whole, "chunks of {size}");
    }
}

/// Junk, then a real frame, in two chunkings: nothing is lost and the count is exact.
fn finds_the_frame_behind(junk: &[u8]) {
    let stream = [junk, &numbered(5).encode()[..], &numbered(6).encode()[..]].concat();
    let expected = [
        Whole::Frame { frame: numbered(5), skipped: junk.len() as u32 },
        Whole::Frame { frame: numbered(6), skipped: 0 },
    ];
    for size in [1, 5, 128, stream.len()] {
        let (pieces, noise) = read_in(stream.chunks(size));
        assert_eq!(pieces, expected, "chunks of {size}");
        assert_eq!(noise, junk.len() as u64);
    }
}

#[test]
fn a_false_start_marker_does_not_swallow_the_next_frame() {
    for distance in 4..300 {
        let mut junk = std::vec![0xAA; distance];
        junk[..4].copy_from_slice(&MARKER);
        finds_the_frame_behind(&junk);
    }
}

#[test]
fn parts_of_a_start_marker_before_a_frame_lose_nothing() {
    for len in 1..4 {
        finds_the_frame_behind(&MARKER[..len]);
        finds_the_frame_behind(&MARKER[..len].repeat(50));
    }
    finds_the_frame_behind(&MARKER.repeat(100));
}

#[test]
fn a_truncated_frame_loses_nothing_behind_it() {
    let whole = numbered(9).encode();
    for len in 1..128 {
        finds_the_frame_behind(&whole[..len]);
        finds_the_frame_behind(&whole[len..]);
    }
}

#[test]
fn a_frame_with_a_broken_end_marker_is_noise_and_is_named() {
    let mut broken = numbered(9).encode();
    broken[127] ^= 1;
    finds_the_frame_behind(&broken);
    let mut reader = Reader::new();
    reader.read(&broken);
    let marker = DecodeError::Marker { field: CMD_END, expected: 0xFEDC_4321, found: 0xFFDC_4321 };
    assert_eq!(reader.assembler.last_rejected(), Some(marker));
}

#[test]
fn a_payload_length_of_4_gib_is_noise_and_the_next_frame_found() {
    let huge = numbered(9).with_payload_len(u32::MAX).encode();
    finds_the_frame_behind(&huge);
    let mut reader = Reader::new();
    reader.read(&huge);
    let error = DecodeError::PayloadTooLong { limit: MAX_PAYLOAD, found: u32::MAX };
    assert_eq!(reader.assembler.last_rejected(), Some(error));
    assert_eq!(reader.assembler.payload_remaining(), 0);
}

#[test]
fn the_payload_limit_is_exact() {
    let mut assembler = Assembler::new(100);
    assert!(assembler.push(&numbered(1).with_payload_len(100).encode()).1.is_some());
    assert_eq!(assembler.payload_remaining(), 100);
    let mut assembler = Assembler::new(100);
    assert_eq!(assembler.push(&numbered(1).with_payload_len(101).encode()), (128, None));
}

#[test]
fn text_of_another_protocol_is_noise_and_never_a_frame() {
    let http = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n".repeat(20);
    let (pieces, noise) = read_in([&http[..]]);
    assert_eq!(pieces, []);
    assert_eq!(noise, http.len() as u64);
}

#[test]
fn what_is_held_back_is_never_more_than_a_frame() {
    let mut reader = Reader::new();
    reader.read(&MARKER.repeat(1000));
    assert!(reader.assembler.held() < FRAME_LEN);
    assert_eq!(reader.assembler.noise_bytes() + reader.assembler.held() as u64, 4000);
}
