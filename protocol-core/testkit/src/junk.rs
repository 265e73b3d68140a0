//! Junk between two frames, of any length and content, and whether the next frame came through.

use fastrand::Rng;
use flamingo_protocol_core::{
    CommandCode, Frame,
    wire::{Assembler, MAX_PAYLOAD},
};

use crate::readers::{self, Item};
use crate::reference::{END, START, frame_at};
use crate::stream;

/// What became of one case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The junk held no frame, and the next valid frame was delivered.
    Delivered,
    /// The junk itself formed a valid frame (perhaps with bytes of the next one).
    FormedFrame,
    /// It formed one that declares a payload.
    FormedPayload,
}

/// How many there were.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Figures {
    /// All.
    pub cases: u64,
    /// [`Fate::Delivered`].
    pub delivered: u64,
    /// [`Fate::FormedFrame`].
    pub formed_frame: u64,
    /// [`Fate::FormedPayload`].
    pub formed_payload: u64,
}

/// Junk: noise, markers and parts of them, cut frames, broken frames, lengths above the limit.
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
            // Rarely a whole one, which is no junk: it must be counted apart.
            _ if rng.u32(0..50) == 0 => {
                junk.extend(frame.with_payload_len(rng.u32(0..300)).encode());
            }
            _ => junk.extend(std::iter::repeat_n(START[rng.usize(0..4)], rng.usize(0..200))),
        }
    }
    junk
}

/// A frame, junk, a frame that may hold markers in its buffer; in random chunks.
pub fn case(rng: &mut Rng) -> Fate {
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
    let said = readers::assembler(Assembler::default(), chunks);
    let behind = 128 + junk.len();
    let mut formed = (128..behind).filter_map(|at| frame_at(&stream, at, MAX_PAYLOAD));
    match formed.next() {
        None => {
            let skipped = junk.len() as u32;
            let whole = [(first, 0), (next, skipped)]
                .map(|(frame, skipped)| Item::Frame { frame, skipped });
            assert_eq!(said.items, whole, "junk of {} bytes lost a frame", junk.len());
            assert_eq!((said.noise, said.held), (junk.len() as u64, 0));
            Fate::Delivered
        }
        Some(frame) if frame[48..52] == [0; 4] => Fate::FormedFrame,
        Some(_) => Fate::FormedPayload,
    }
}

/// Many cases from one seed.
pub fn run(cases: u64, seed: u64) -> Figures {
    let (mut rng, mut figures) = (Rng::with_seed(seed), Figures::default());
    for _ in 0..cases {
        figures.cases += 1;
        match case(&mut rng) {
            Fate::Delivered => figures.delivered += 1,
            Fate::FormedFrame => figures.formed_frame += 1,
            Fate::FormedPayload => figures.formed_payload += 1,
        }
    }
    figures
}
