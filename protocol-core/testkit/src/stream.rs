//! Decodes fuzzer input into streams with frames, payloads, misplaced markers, cut frames and lengths above
//! the limit. Cuts streams into chunks.

use fastrand::Rng;
use flamingo_protocol_core::{CommandCode, Frame, image::ImageHeader};

use crate::reference::{END, START};

/// The payload limit of these streams. It is small, so that a length above it costs little.
pub const LIMIT: u32 = 1000;

/// Command codes with different rules.
pub const CODES: [u32; 10] =
    [0x6008, 0x6004, 0x6003, 0x3027, 0x1009, 0x1008, 0x2002, 0x6010, 0xA007, 0x6FFF];

/// Takes bytes from the front of a fuzzer's input. After its end it returns zeros.
#[derive(Debug)]
pub struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    /// The next byte, if there is one.
    pub fn first(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// The next byte, or 0.
    pub fn byte(&mut self) -> u8 {
        self.first().unwrap_or(0)
    }

    /// The next two bytes, in little-endian order.
    pub fn short(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    /// The next `len` bytes, or fewer at the end.
    pub fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// A frame with one of the codes and a buffer from the input.
    pub fn frame(&mut self) -> Frame {
        let code = CODES[usize::from(self.byte()) % CODES.len()];
        let mut frame = Frame::new(CommandCode(code)).with_selector(i32::from(self.byte() % 5));
        let text = self.byte() % 73;
        frame.set_buffer(self.take(usize::from(text))).expect("at most 72 bytes");
        frame
    }
}

/// Builds a control stream. It may be invalid in any way.
pub fn control(data: &[u8]) -> Vec<u8> {
    let (mut input, mut stream) = (Input(data), Vec::new());
    while let Some(op) = input.first() {
        match op % 8 {
            0 => {
                let len = usize::from(input.byte());
                stream.extend_from_slice(input.take(len));
            }
            1 | 2 => stream.extend(input.frame().encode()),
            3 => {
                let len = u32::from(input.byte());
                stream.extend(input.frame().with_payload_len(len).encode());
            }
            4 => stream.extend(&START[..usize::from(input.byte() % 5)]),
            5 => stream.extend(END),
            6 => {
                let cut = usize::from(input.byte() % 129);
                stream.extend(&input.frame().encode()[..cut]);
            }
            _ => {
                let over = u32::from(input.short());
                stream.extend(input.frame().with_payload_len(LIMIT - 5 + over).encode());
            }
        }
    }
    stream
}

/// Builds an image stream in which some headers are invalid.
pub fn images(data: &[u8]) -> Vec<u8> {
    let (mut input, mut stream) = (Input(data), Vec::new());
    while let Some(op) = input.first() {
        let (mut width, mut height) = (u32::from(input.byte() % 8), u32::from(input.byte() % 8));
        if width * height == 0 && op % 8 != 3 {
            (width, height) = (0, 0); // an update of options
        }
        let mut header =
            ImageHeader { size: 2 * width * height, width, height, ..Default::default() };
        (header.device, header.options) = (u32::from(op >> 6), u32::from(input.byte()));
        match op % 8 {
            0 => header.size ^= 1,
            1 => header.device += 4,
            2 => (header.size, header.width) = (u32::MAX - 1, u32::MAX),
            _ => {}
        }
        stream.extend(header.encode());
        stream.extend(input.take(header.size.min(2000) as usize));
    }
    stream
}

/// Cuts a stream into chunks. The cuts follow from the seed.
pub fn chunks(stream: &[u8], seed: u64) -> Vec<&[u8]> {
    let (mut rng, mut rest, mut chunks) = (Rng::with_seed(seed), stream, Vec::new());
    let longest = [1, 2, 7, 40, 130, 1000][rng.usize(0..6)];
    while !rest.is_empty() {
        let (chunk, after) = rest.split_at(rng.usize(0..=longest).min(rest.len()));
        chunks.push(chunk);
        rest = after;
    }
    chunks
}
