//! The scanner against one that takes a byte at a time, on bytes that are hard to search: the same
//! pieces, counts and reasons after each call, as on a host and as on bare metal.

use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::wire::layout::{CMD_END, END_MARKER, START_MARKER};

const LIMITS: Limits = Limits { payload: 300, clears_upload_echo: true };
const START: [u8; 4] = START_MARKER.to_le_bytes();

/// What one call gave, and what the scanner knows after it.
#[derive(Debug, PartialEq)]
struct Step<'input> {
    consumed: usize,
    found: What<'input>,
    held: usize,
    payload_remaining: u32,
    noise_bytes: u64,
    rejected: Mismatch,
}

#[derive(Debug, PartialEq)]
enum What<'input> {
    Frame { bytes: [u8; FRAME_LEN], payload_len: u32, skipped: u32 },
    Payload { bytes: &'input [u8], remaining: u32 },
    Nothing,
}

/// Takes a byte at a time. After 128 bytes that are no frame it takes all but the first of them again.
#[derive(Default)]
struct ByteByByte {
    held: Vec<u8>,
    payload_remaining: u32,
    skipped: u32,
    noise_bytes: u64,
    rejected: Option<Mismatch>,
}

impl ByteByByte {
    fn advance<'input>(&mut self, input: &'input [u8]) -> Step<'input> {
        let (consumed, found) = self.next(input);
        Step {
            consumed,
            found,
            held: self.held.len(),
            payload_remaining: self.payload_remaining,
            noise_bytes: self.noise_bytes + u64::from(self.skipped),
            rejected: self.rejected.unwrap_or(Mismatch::None),
        }
    }

    fn next<'input>(&mut self, input: &'input [u8]) -> (usize, What<'input>) {
        if self.payload_remaining > 0 {
            let len = input.len().min(self.payload_remaining as usize);
            self.payload_remaining -= u32::try_from(len).unwrap_or_default();
            let remaining = self.payload_remaining;
            return match &input[..len] {
                [] => (0, What::Nothing),
                bytes => (len, What::Payload { bytes, remaining }),
            };
        }
        for (at, byte) in input.iter().enumerate() {
            if let Some(bytes) = self.hold(*byte) {
                let payload_len = payload_len(&bytes, LIMITS, |_, _| false);
                let skipped = core::mem::take(&mut self.skipped);
                self.noise_bytes += u64::from(skipped);
                self.payload_remaining = payload_len;
                return (at + 1, What::Frame { bytes, payload_len, skipped });
            }
        }
        (input.len(), What::Nothing)
    }

    fn hold(&mut self, byte: u8) -> Option<[u8; FRAME_LEN]> {
        self.keep(byte);
        let bytes: [u8; FRAME_LEN] = self.held.as_slice().try_into().ok()?;
        self.held.clear();
        match parse::check(&bytes, LIMITS.payload) {
            Ok(_) => return Some(bytes),
            Err(why) => self.rejected = Some(why),
        }
        self.skipped += 1;
        bytes[1..].iter().for_each(|byte| self.keep(*byte));
        None
    }

    fn keep(&mut self, byte: u8) {
        self.held.push(byte);
        while !self.held.iter().zip(&START).all(|(one, other)| one == other) {
            self.held.remove(0);
            self.skipped += 1;
        }
    }
}

fn step<'input, const HOST: bool>(scanner: &mut Scanner, input: &'input [u8]) -> Step<'input> {
    let (consumed, found) = scanner.advance_as::<HOST>(input, LIMITS, |_, _| false);
    let found = match found {
        Some(Found::Frame(FrameView { bytes, payload_len, skipped })) => {
            What::Frame { bytes: *bytes, payload_len, skipped }
        }
        Some(Found::Payload { bytes, remaining }) => What::Payload { bytes, remaining },
        None => What::Nothing,
    };
    Step {
        consumed,
        found,
        held: scanner.held(),
        payload_remaining: scanner.payload_remaining(),
        noise_bytes: scanner.noise_bytes(),
        rejected: scanner.rejected(),
    }
}

/// Passes the stream in chunks of these sizes, in turns.
fn check(stream: &[u8], sizes: &[usize]) {
    let (mut expected, mut host, mut bare) = (ByteByByte::default(), Scanner::NEW, Scanner::NEW);
    let (mut rest, mut sizes) = (stream, sizes.iter().cycle());
    while !rest.is_empty() {
        let (mut chunk, after) = rest.split_at(rest.len().min(*sizes.next().unwrap_or(&1)));
        loop {
            let wanted = expected.advance(chunk);
            assert_eq!(step::<true>(&mut host, chunk), wanted, "on a host");
            assert_eq!(step::<false>(&mut bare, chunk), wanted, "on bare metal");
            if wanted.found == What::Nothing {
                break;
            }
            chunk = &chunk[wanted.consumed..];
        }
        rest = after;
    }
}

fn frame(code: u32, payload_len: u32) -> [u8; FRAME_LEN] {
    Frame::new(CommandCode(code)).with_payload_len(payload_len).encode()
}

/// A frame with another end marker.
fn broken() -> [u8; FRAME_LEN] {
    let mut bytes = frame(0xA002, 0);
    bytes[CMD_END.offset] ^= 1;
    bytes
}

/// A frame with a start marker at this place in its buffer.
fn treacherous(at: usize) -> [u8; FRAME_LEN] {
    let mut bytes = frame(0x6008, 0);
    bytes[52 + at..56 + at].copy_from_slice(&START);
    bytes
}

/// Bytes between which the search must not lose its place.
fn hard() -> Vec<Vec<u8>> {
    let end = END_MARKER.to_le_bytes();
    let mut hard = std::vec![
        std::vec![0; 400],
        START.repeat(150),
        std::vec![START[0]; 400],
        START[..3].repeat(120),
        [&START[..], &[0]].concat().repeat(90),
        [&START[..], &end].concat().repeat(60),
        end.repeat(100),
        broken().repeat(3),
        frame(0xA002, u32::MAX).repeat(3),
        [&broken()[..100], &frame(0xA002, 301)].concat().repeat(2),
        [&START[..], &frame(0xA002, 0)].concat().repeat(3),
        [&START[..2], &frame(0xA002, 0)].concat().repeat(3),
        frame(0x3027, 40).repeat(2),
        frame(0x1008, 40).repeat(2),
    ];
    hard.extend((0..72 - 4).step_by(7).map(|at| treacherous(at).to_vec()));
    // A marker every 40 bytes, 31 bytes and 17 bytes: some end markers stand, but no frame.
    for distance in [40, 31, 17] {
        let mut bytes = std::vec![0; distance * 12];
        bytes.chunks_mut(distance).for_each(|chunk| chunk[..4].copy_from_slice(&START));
        hard.push(bytes);
    }
    hard
}

#[test]
fn every_chunk_size_gives_what_single_bytes_give() {
    let sizes = if cfg!(miri) { 126..131 } else { 1..280 };
    for hard in hard() {
        let stream = [&hard[..], &frame(0xA002, 0), &hard, &frame(0x6008, 0)].concat();
        for size in sizes.clone() {
            check(&stream, &[size]);
        }
    }
}

#[test]
fn every_cut_beside_hard_bytes_gives_what_single_bytes_give() {
    for hard in hard() {
        let stream = [&hard[..140.min(hard.len())], &frame(0xA002, 0)].concat();
        for cut in 1..if cfg!(miri) { 3 } else { stream.len() } {
            check(&stream, &[cut, usize::MAX]);
            check(&stream, &[cut, 4, 3, usize::MAX]);
        }
    }
}

/// A part of a stream: hard bytes, frames, and pieces of both.
fn part() -> impl Strategy<Value = Vec<u8>> {
    let of_hard = (prop::sample::select(hard()), 0..400_usize, 0..200_usize);
    prop_oneof![
        of_hard.prop_map(|(hard, from, len)| hard.into_iter().skip(from).take(len).collect()),
        (1..=4_usize).prop_map(|len| START[..len].to_vec()),
        (any::<u16>(), 0..400_u32).prop_map(|(code, len)| frame(u32::from(code), len).to_vec()),
        (0..68_usize, 0..=128_usize).prop_map(|(at, len)| treacherous(at)[..len].to_vec()),
        prop::collection::vec(any::<u8>(), 0..60),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        cases: if cfg!(miri) { 2 } else { 400 },
        ..ProptestConfig::default()
    })]

    #[test]
    fn hard_bytes_in_any_chunks_give_what_single_bytes_give(
        parts in prop::collection::vec(part(), 1..12),
        sizes in prop::collection::vec(1..300_usize, 1..8),
    ) {
        check(&parts.concat(), &sizes);
    }
}
