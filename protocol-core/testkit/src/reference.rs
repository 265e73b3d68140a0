//! Simple readers that search a whole stream at once, with independent arithmetic. The incremental readers
//! of the core must give the same transcript for any chunking.

use crate::readers::{Item, Transcript};
use flamingo_protocol_core::Frame;

/// `cmdStart` on the wire.
pub const START: [u8; 4] = [0x54, 0xE6, 0x21, 0xF3];
/// `cmdEnd` on the wire.
pub const END: [u8; 4] = [0x21, 0x43, 0xDC, 0xFE];

/// The little-endian `u32` at an offset.
pub fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// The valid frame at `at`, if there is one: it has both markers, and a payload within the limit.
pub fn frame_at(stream: &[u8], at: usize, limit: u32) -> Option<&[u8]> {
    let bytes = stream.get(at..at + 128)?;
    let valid = bytes[..4] == START && bytes[124..] == END && word(bytes, 48) <= limit;
    valid.then_some(bytes)
}

/// Codes that only upload. Their answers repeat the length of the upload but have no payload.
const UPLOAD_CODES: [u32; 3] = [0x1008, 0x100B, 0x3004];

/// The transcript of a control stream. If `answers` is true, as a client reads it; otherwise as a device.
pub fn control(stream: &[u8], limit: u32, answers: bool) -> Transcript {
    let (mut transcript, mut at, mut skipped) = (Transcript::default(), 0, 0_u32);
    while at < stream.len() {
        let rest = &stream[at..];
        if let Some(bytes) = frame_at(stream, at, limit) {
            let mut frame = Frame::decode(bytes).expect("both markers are there");
            if answers && UPLOAD_CODES.contains(&word(bytes, 4)) {
                frame.payload_len = 0;
            }
            transcript.items.push(Item::Frame { frame, skipped });
            (at, skipped) = (at + 128, 0);
            let received = stream.len().min(at + frame.payload_len as usize) - at;
            if received > 0 {
                transcript.items.push(Item::Payload(stream[at..at + received].to_vec()));
            }
            at += received;
            transcript.missing = frame.payload_len - received as u32;
        } else if rest.len() < 128 && START.iter().zip(rest).all(|(a, b)| a == b) {
            transcript.held = rest.len();
            break;
        } else {
            (at, skipped) = (at + 1, skipped + 1);
            transcript.noise += 1;
        }
    }
    transcript
}

/// The transcript of an image stream: headers and pixels up to the first invalid header.
pub fn images(stream: &[u8], limit: u32) -> Transcript {
    let (mut transcript, mut at) = (Transcript::default(), 0);
    while let Some(header) = stream.get(at..at + 40) {
        let [size, width, height, device] = [0, 4, 8, 20].map(|offset| word(header, offset));
        let pixels = 2 * u128::from(width) * u128::from(height);
        at += 40;
        let one_is_zero = (width == 0) != (height == 0);
        if u128::from(size) != pixels || one_is_zero || size > limit || device > 3 {
            transcript.items.push(Item::Broken);
            transcript.unread = stream.len() - at;
            return transcript;
        }
        transcript.items.push(Item::Header(header.to_vec()));
        let received = (stream.len() - at).min(size as usize);
        if received > 0 {
            transcript.items.push(Item::Payload(stream[at..at + received].to_vec()));
        }
        at += received;
        transcript.missing = size - received as u32;
        if transcript.missing > 0 {
            return transcript;
        }
    }
    transcript.held = stream.len() - at;
    transcript
}
