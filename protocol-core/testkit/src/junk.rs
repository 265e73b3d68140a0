//! Generates junk of any length and content between two frames, and checks that the next frame is delivered.

use fastrand::Rng;
use flamingo_protocol_core::{
    CommandCode, Frame,
    wire::{Assembler, MAX_PAYLOAD},
};

use crate::readers::{self, Item};
use crate::reference::{END, START, frame_at};
use crate::stream;

/// The outcome of one case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The junk held no frame, and the next valid frame was delivered.
    Delivered,
    /// The junk itself formed a valid frame (perhaps with bytes of the next one).
    FormedFrame,
    /// The junk formed a valid frame that declares a payload.
    FormedPayload,
}

/// The number of cases by outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// All cases.
    pub cases: u64,
    /// [`Outcome::Delivered`].
    pub delivered: u64,
    /// [`Outcome::FormedFrame`].
    pub formed_frame: u64,
    /// [`Outcome::FormedPayload`].
    pub formed_payload: u64,
}

/// Generates junk: noise, whole and partial markers, cut frames, frames with a broken marker, and lengths
/// above the limit.
pub fn junk(rng: &mut Rng) -> Vec<u8> {
    let mut junk = Vec::new();
    for _ in 0..rng.usize(0..6) {
        let frame = Frame::new(CommandCode(rng.u32(0..0x10000))).with_selector(rng.i32(..));
        let mut bytes = frame.encode();
        match rng.u32(0..8) {
            0 => junk.extend((0..rng.usize(0..300)).map(|_| rng.u8(..))),
            1 => junk.extend(&START[..rng.usize(1..=4)]),
            2 => junk.extend(&END[..rng.usize(1..=4)]),
            3 => junk.extend(&bytes[..rng.usize(0..128)]),
            4 => junk.extend(&bytes[rng.usize(1..128)..]),
            5 => {
                bytes[if rng.bool() { rng.usize(0..4) } else { rng.usize(124..128) }] ^=
                    1 << rng.u32(0..8);
                junk.extend(bytes);
            }
            6 => junk.extend(
                frame.with_payload_len(MAX_PAYLOAD + rng.u32(1..=u32::MAX - MAX_PAYLOAD)).encode(),
            ),
            // Rarely a valid frame. It is not junk, so it is counted separately.
            _ if rng.u32(0..50) == 0 => {
                junk.extend(frame.with_payload_len(rng.u32(0..300)).encode());
            }
            _ => junk.extend(std::iter::repeat_n(START[rng.usize(0..4)], rng.usize(0..200))),
        }
    }
    junk
}

/// Reads a frame, junk, and a frame that may contain markers in its buffer, in random chunks.
pub fn case(rng: &mut Rng) -> Outcome {
    let first = Frame::new(CommandCode::STAGE_POSITION_GET).with_selector(1);
    let mut next = Frame::new(CommandCode::STAGE_POSITION_GET).with_selector(2);
    next.buffer.fill_with(|| rng.u8(..));
    if rng.bool() {
        let at = rng.usize(0..68);
        next.buffer[at..at + 4].copy_from_slice(if rng.bool() { &START } else { &END });
    }
    let junk = junk(rng);
    let stream = [&first.encode()[..], &junk, &next.encode()].concat();
    let chunks = stream::chunks(&stream, rng.u64(..));
    let transcript = readers::assembler(Assembler::default(), chunks);
    let junk_end = 128 + junk.len();
    let mut formed = (128..junk_end).filter_map(|at| frame_at(&stream, at, MAX_PAYLOAD));
    match formed.next() {
        None => {
            let skipped = junk.len() as u32;
            let whole = [(first, 0), (next, skipped)]
                .map(|(frame, skipped)| Item::Frame { frame, skipped });
            assert_eq!(transcript.items, whole, "junk of {} bytes lost a frame", junk.len());
            assert_eq!((transcript.noise, transcript.held), (junk.len() as u64, 0));
            Outcome::Delivered
        }
        Some(frame) if frame[48..52] == [0; 4] => Outcome::FormedFrame,
        Some(_) => Outcome::FormedPayload,
    }
}

/// Runs many cases from one seed.
pub fn run(cases: u64, seed: u64) -> Counts {
    let (mut rng, mut counts) = (Rng::with_seed(seed), Counts::default());
    for _ in 0..cases {
        counts.cases += 1;
        match case(&mut rng) {
            Outcome::Delivered => counts.delivered += 1,
            Outcome::FormedFrame => counts.formed_frame += 1,
            Outcome::FormedPayload => counts.formed_payload += 1,
        }
    }
    counts
}
