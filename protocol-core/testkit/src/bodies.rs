//! What the fuzzers run: each takes any bytes, and panics when a claim is broken.

use flamingo_protocol_core::{
    CommandCode, Frame, Responder, Transmit,
    image::{ImageHeader, ImageReader},
    wire::Assembler,
};

use crate::ops;
use crate::readers::{self, Transcript};
use crate::reference::{self, END, START, word};
use crate::stream::{self, Input, LIMIT};

/// Takes any bytes, and panics when a claim is broken.
pub type Body = fn(&[u8]);

/// All of them, by the names of their fuzz targets.
pub const ALL: [(&str, Body); 5] = [
    ("frame", frame),
    ("assembler", assembler),
    ("connection", connection),
    ("responder", responder),
    ("image", image),
];

/// Decode and encode are each other's inverse; nothing but 128 bytes with both markers is a frame.
pub fn frame(data: &[u8]) {
    let believed = Frame::decode(data).is_ok();
    let marked = data.len() == 128 && data[..4] == START && data[124..] == END;
    assert_eq!(believed, marked);

    let mut bytes = [0; 128];
    for (place, byte) in bytes[4..124].iter_mut().zip(data) {
        *place = *byte;
    }
    bytes[..4].copy_from_slice(&START);
    bytes[124..].copy_from_slice(&END);
    let mut frame = Frame::decode(&bytes).expect("both markers stand");
    assert_eq!(frame.encode(), bytes);
    let words = [4, 8, 12, 16, 20, 24, 28, 32, 36, 48].map(|at| word(&bytes, at));
    let [d0, d1, d2] = frame.int32_data;
    let ids = [frame.status, frame.hardware_id, frame.subsystem_id, frame.client_id, d0, d1, d2];
    let [status, hardware, subsystem, client, d0, d1, d2] = ids.map(|value| value as u32);
    let (code, flags, len) = (frame.code.0, frame.flags.0, frame.payload_len);
    assert_eq!(words, [code, status, hardware, subsystem, client, d0, d1, d2, flags, len]);
    assert_eq!(frame.value.to_bits().to_le_bytes(), bytes[40..48]);
    assert_eq!(frame.buffer, bytes[52..124]);

    assert_eq!(frame.check_payload(LIMIT).is_ok(), frame.payload_len <= LIMIT);
    if frame.check_command(LIMIT).is_ok() {
        assert!(frame.value.is_finite() && frame.payload_len <= LIMIT);
        assert_eq!(frame.flags.0 & 0x4000_0002, 0, "the server's flags");
    }
    assert!(!frame.to_string().is_empty());
    assert!(!frame.buffer_bytes().contains(&0));
    if let Ok(text) = str::from_utf8(data) {
        let before = frame;
        let fits = text.len() <= 72 && !text.contains('\0');
        assert_eq!(frame.set_text(text).is_ok(), fits);
        assert!(if fits { frame.text() == Ok(text) } else { frame == before });
    }
}

/// Splits the input into a seed for the cuts and a stream.
fn cut(data: &[u8], build: fn(&[u8]) -> Vec<u8>) -> (u64, Vec<u8>) {
    let mut input = Input(data);
    let (seed, built) = (u64::from(input.short()), input.byte() % 4 > 0);
    (seed, if built { build(input.0) } else { input.0.to_vec() })
}

/// Whole, byte by byte and in chunks, a reader says what the naive one says.
fn same(stream: &[u8], seed: u64, expected: &Transcript, read: impl Fn(Vec<&[u8]>) -> Transcript) {
    assert_eq!(expected.bytes(), stream.len(), "every byte is accounted for");
    assert_eq!(read(vec![stream]), *expected, "whole");
    assert_eq!(read(stream.chunks(1).collect()), *expected, "byte by byte");
    assert_eq!(read(stream::chunks(stream, seed)), *expected, "in chunks");
}

/// The assembler finds what a search of the whole string finds, both ways of reading a length.
pub fn assembler(data: &[u8]) {
    let (seed, stream) = cut(data, stream::control);
    for answers in [false, true] {
        let reader = if answers { Assembler::for_answers(LIMIT) } else { Assembler::new(LIMIT) };
        let expected = reference::control(&stream, LIMIT, answers);
        same(&stream, seed, &expected, |chunks| readers::assembler(reader.clone(), chunks));
    }
}

/// A client that waits for some answers says the same in any chunking, and then a conversation
/// holds what the oracle asks of it.
pub fn connection(data: &[u8]) {
    if data.first().is_some_and(|first| *first == 0xFF) {
        any_bytes(&data[1..]);
    } else {
        ops::run(data);
    }
}

fn any_bytes(data: &[u8]) {
    let (seed, stream) = cut(data, stream::control);
    let waits: Vec<_> = stream::CODES[..6]
        .iter()
        .map(|code| Frame::command(CommandCode(*code)).with_selector(1).with_value(1.0))
        .collect();
    let client = readers::asked(&waits);
    let read = |chunks: Vec<&[u8]>| readers::connection(client.clone(), chunks);
    let said = read(vec![&stream]);
    let limit = flamingo_protocol_core::wire::MAX_PAYLOAD;
    let expected = reference::control(&stream, limit, true);
    assert_eq!(said.clone().without_classes(), expected);
    same(&stream, seed, &said, read);
}

/// The device reads what a search of the whole string finds, and what it writes, however it is
/// cut, is what was queued.
pub fn responder(data: &[u8]) {
    let (seed, stream) = cut(data, stream::control);
    let expected = reference::control(&stream, LIMIT, false);
    same(&stream, seed, &expected, |chunks| readers::responder(Responder::new(LIMIT), chunks));

    let mut rng = fastrand::Rng::with_seed(seed);
    let (mut device, mut input) = (Responder::<4>::new(LIMIT), Input(data));
    let (mut queued, mut written, mut waits) = (Vec::new(), Vec::new(), 0);
    while !input.0.is_empty() || waits > 0 {
        if !input.0.is_empty() {
            let len = u32::from(input.byte() % 50);
            let frame = input.frame().with_payload_len(len);
            match device.push(&frame) {
                Ok(_) => {
                    queued.extend(frame.encode());
                    queued.extend(std::iter::repeat_n(0xAA, len as usize));
                    waits += 1;
                }
                Err(_) => assert_eq!(device.queued(), 4, "refused with room left"),
            }
        }
        let mut budget = rng.usize(1..300);
        while let Some(transmit) = device.poll_transmit()
            && budget > 0
        {
            let len = match transmit {
                Transmit::Bytes(bytes) => {
                    let len = bytes.len().min(budget);
                    written.extend_from_slice(&bytes[..len]);
                    len
                }
                Transmit::Payload { remaining, .. } => {
                    let len = budget.min(remaining as usize);
                    written.extend(std::iter::repeat_n(0xAA, len));
                    len
                }
            };
            budget -= len;
            waits -= usize::from(device.transmitted(len).is_some());
        }
    }
    assert_eq!(written, queued);
}

/// The image reader reads what arithmetic says, and ends at the first header that cannot be true.
pub fn image(data: &[u8]) {
    let (seed, stream) = cut(data, stream::images);
    let expected = reference::images(&stream, LIMIT);
    same(&stream, seed, &expected, |chunks| readers::images(ImageReader::new(LIMIT), chunks));
    if let Some(bytes) = data.get(..40)
        && let Ok(header) = ImageHeader::decode(bytes, u32::MAX)
    {
        assert_eq!(header.encode(), bytes);
        assert!(header.check(u32::MAX).is_ok());
    }
}
