//! The bodies of the fuzz targets. Each takes any bytes and panics when a check fails.

use flamingo_protocol_core::{
    CommandCode, Frame, Responder, Transmit,
    image::{ImageHeader, ImageReader},
    wire::Assembler,
};

use crate::ops;
use crate::readers::{self, Transcript};
use crate::reference::{self, END, START, word};
use crate::stream::{self, Input, LIMIT};

/// A fuzz body: takes any bytes and panics when a check fails.
pub type Body = fn(&[u8]);

/// All fuzz bodies with the names of their targets.
pub const ALL: [(&str, Body); 5] = [
    ("frame", frame),
    ("assembler", assembler),
    ("connection", connection),
    ("responder", responder),
    ("image", image),
];

/// Checks that decode and encode are inverse to each other, and that only 128 bytes with both markers
/// decode as a frame.
pub fn frame(data: &[u8]) {
    let decoded = Frame::decode(data).is_ok();
    let marked = data.len() == 128 && data[..4] == START && data[124..] == END;
    assert_eq!(decoded, marked);

    let mut bytes = [0; 128];
    for (place, byte) in bytes[4..124].iter_mut().zip(data) {
        *place = *byte;
    }
    bytes[..4].copy_from_slice(&START);
    bytes[124..].copy_from_slice(&END);
    let mut frame = Frame::decode(&bytes).expect("both markers are there");
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
        assert_eq!(frame.flags.0 & 0x4000_0002, 0, "flags that only the server sets");
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

/// Splits the input into a seed for the chunks and a stream.
fn seed_and_stream(data: &[u8], build: fn(&[u8]) -> Vec<u8>) -> (u64, Vec<u8>) {
    let mut input = Input(data);
    let (seed, built) = (u64::from(input.short()), input.byte() % 4 > 0);
    (seed, if built { build(input.0) } else { input.0.to_vec() })
}

/// Checks that a reader gives the expected transcript for the whole stream, for single bytes and for chunks.
fn check_chunkings(
    stream: &[u8],
    seed: u64,
    expected: &Transcript,
    read: impl Fn(Vec<&[u8]>) -> Transcript,
) {
    assert_eq!(expected.bytes(), stream.len(), "every byte is accounted for");
    assert_eq!(read(vec![stream]), *expected, "whole");
    assert_eq!(read(stream.chunks(1).collect()), *expected, "byte by byte");
    assert_eq!(read(stream::chunks(stream, seed)), *expected, "in chunks");
}

/// Checks the assembler against a search of the whole stream, as a client and as a device.
pub fn assembler(data: &[u8]) {
    let (seed, stream) = seed_and_stream(data, stream::control);
    for answers in [false, true] {
        let reader = if answers { Assembler::for_answers(LIMIT) } else { Assembler::new(LIMIT) };
        let expected = reference::control(&stream, LIMIT, answers);
        check_chunkings(&stream, seed, &expected, |chunks| {
            readers::assembler(reader.clone(), chunks)
        });
    }
}

/// Checks that a client with requests in flight gives the same output for any chunking. Other inputs
/// become a conversation, which the oracle checks.
pub fn connection(data: &[u8]) {
    if data.first().is_some_and(|first| *first == 0xFF) {
        any_bytes(&data[1..]);
    } else {
        ops::run(data);
    }
}

fn any_bytes(data: &[u8]) {
    let (seed, stream) = seed_and_stream(data, stream::control);
    let requests: Vec<_> = stream::CODES[..6]
        .iter()
        .map(|code| Frame::command(CommandCode(*code)).with_selector(1).with_value(1.0))
        .collect();
    let client = readers::client_with(&requests);
    let read = |chunks: Vec<&[u8]>| readers::connection(client.clone(), chunks);
    let transcript = read(vec![&stream]);
    let limit = flamingo_protocol_core::wire::MAX_PAYLOAD;
    let expected = reference::control(&stream, limit, true);
    assert_eq!(transcript.clone().without_classes(), expected);
    check_chunkings(&stream, seed, &transcript, read);
}

/// Checks the responder's input against a search of the whole stream. Checks also that its output is what
/// was queued, however it is cut.
pub fn responder(data: &[u8]) {
    let (seed, stream) = seed_and_stream(data, stream::control);
    let expected = reference::control(&stream, LIMIT, false);
    check_chunkings(&stream, seed, &expected, |chunks| {
        readers::responder(Responder::new(LIMIT), chunks)
    });

    let mut rng = fastrand::Rng::with_seed(seed);
    let (mut device, mut input) = (Responder::<4>::new(LIMIT), Input(data));
    let (mut queued, mut written, mut waiting) = (Vec::new(), Vec::new(), 0);
    while !input.0.is_empty() || waiting > 0 {
        if !input.0.is_empty() {
            let len = u32::from(input.byte() % 50);
            let frame = input.frame().with_payload_len(len);
            match device.push(&frame) {
                Ok(_) => {
                    queued.extend(frame.encode());
                    queued.extend(std::iter::repeat_n(0xAA, len as usize));
                    waiting += 1;
                }
                Err(_) => assert_eq!(device.queued(), 4, "refused, but there is room"),
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
            waiting -= usize::from(device.transmitted(len).is_some());
        }
    }
    assert_eq!(written, queued);
}

/// Checks the image reader against plain arithmetic. It must stop at the first invalid header.
pub fn image(data: &[u8]) {
    let (seed, stream) = seed_and_stream(data, stream::images);
    let expected = reference::images(&stream, LIMIT);
    check_chunkings(&stream, seed, &expected, |chunks| {
        readers::images(ImageReader::new(LIMIT), chunks)
    });
    if let Some(bytes) = data.get(..40)
        && let Ok(header) = ImageHeader::decode(bytes, u32::MAX)
    {
        assert_eq!(header.encode(), bytes);
        assert!(header.check(u32::MAX).is_ok());
    }
}
