//! The naive readers: they look at the whole byte string at once, with arithmetic of their own.
//! The core's incremental readers must come to the same result in any chunking.

use crate::readers::{Item, Transcript};
use flamingo_protocol_core::Frame;

/// `cmdStart` on the wire.
pub const START: [u8; 4] = [0x54, 0xE6, 0x21, 0xF3];
/// `cmdEnd` on the wire.
pub const END: [u8; 4] = [0x21, 0x43, 0xDC, 0xFE];

/// The little-endian word at an offset.
pub fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// Whether a valid frame begins at `at`: both markers, and a payload within the limit.
pub fn frame_at(stream: &[u8], at: usize, limit: u32) -> Option<&[u8]> {
    let bytes = stream.get(at..at + 128)?;
    let valid = bytes[..4] == START && bytes[124..] == END && word(bytes, 48) <= limit;
    valid.then_some(bytes)
}

/// Only uploads: the declared length of its acknowledgement is not believed.
const ONLY_UPLOADS: [u32; 3] = [0x1008, 0x100B, 0x3004];

/// What a control stream holds. `answers`: as a client reads it.
pub fn control(stream: &[u8], limit: u32, answers: bool) -> Transcript {
    let (mut found, mut at, mut skipped) = (Transcript::default(), 0, 0_u32);
    while at < stream.len() {
        let rest = &stream[at..];
        if let Some(bytes) = frame_at(stream, at, limit) {
            let mut frame = Frame::decode(bytes).expect("both markers stand");
            if answers && ONLY_UPLOADS.contains(&word(bytes, 4)) {
                frame.payload_len = 0;
            }
            found.items.push(Item::Frame { frame, skipped });
            (at, skipped) = (at + 128, 0);
            let came = stream.len().min(at + frame.payload_len as usize) - at;
            if came > 0 {
                found.items.push(Item::Payload(stream[at..at + came].to_vec()));
            }
            at += came;
            found.missing = frame.payload_len - came as u32;
        } else if rest.len() < 128 && START.iter().zip(rest).all(|(a, b)| a == b) {
            found.held = rest.len();
            break;
        } else {
            (at, skipped) = (at + 1, skipped + 1);
            found.noise += 1;
        }
    }
    found
}

/// What an image stream holds: headers and pixels, up to the first header that cannot be true.
pub fn images(stream: &[u8], limit: u32) -> Transcript {
    let (mut found, mut at) = (Transcript::default(), 0);
    while let Some(header) = stream.get(at..at + 40) {
        let [size, width, height, device] = [0, 4, 8, 20].map(|offset| word(header, offset));
        let pixels = 2 * u128::from(width) * u128::from(height);
        at += 40;
        if u128::from(size) != pixels || size > limit || device > 3 {
            found.items.push(Item::Broken);
            found.unread = stream.len() - at;
            return found;
        }
        found.items.push(Item::Header(header.to_vec()));
        let came = (stream.len() - at).min(size as usize);
        if came > 0 {
            found.items.push(Item::Payload(stream[at..at + came].to_vec()));
        }
        at += came;
        found.missing = size - came as u32;
        if found.missing > 0 {
            return found;
        }
    }
    found.held = stream.len() - at;
    found
}
