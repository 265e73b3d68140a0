//! The bytes of a frame that has not come as a whole, and the hunt for the place where a frame may
//! begin. What follows is decided in `scanner.rs`.
//!
//! A host moves and searches many bytes at once. On bare metal it is one by one, since a call of memcpy
//! takes 742 bytes of flash. Here and in `Scanner::gather` is all the difference; tests run both.

use crate::error::Mismatch;
use crate::wire::layout::{FRAME_LEN, START_MARKER};
use crate::wire::parse;

/// Whether this is built for a host, where speed counts more than size.
pub(crate) const HOST: bool = cfg!(not(target_os = "none"));
const MARKER: [u8; 4] = START_MARKER.to_le_bytes();

/// The first bytes of what may be a frame.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct Candidate {
    buffer: [u8; FRAME_LEN],
    held: usize,
    /// Why the last one was no frame.
    rejected: Mismatch,
}

impl Candidate {
    pub(crate) const NONE: Self =
        Self { buffer: [0; FRAME_LEN], held: 0, rejected: Mismatch::None };

    /// How many bytes are held.
    pub(crate) const fn held(&self) -> usize {
        self.held
    }

    /// The bytes that were held last, once they are a frame.
    pub(crate) const fn bytes(&self) -> &[u8; FRAME_LEN] {
        &self.buffer
    }

    /// Why the last one was no frame.
    pub(crate) const fn rejected(&self) -> Mismatch {
        self.rejected
    }

    pub(crate) fn clear(&mut self) {
        self.held = 0;
    }

    /// Adds bytes to those held: as many as a frame needs, or one of them on bare metal. Gives how many.
    pub(crate) fn fill<const HOST: bool>(&mut self, bytes: &[u8]) -> Option<usize> {
        if HOST {
            let free = self.buffer.get_mut(self.held..)?;
            let len = bytes.len().min(free.len());
            free.get_mut(..len)?.copy_from_slice(bytes.get(..len)?);
            self.held = self.held.wrapping_add(len);
            Some(len)
        } else {
            self.put(*bytes.first()?);
            Some(1)
        }
    }

    /// Keeps only these of the bytes held.
    pub(crate) fn keep<const HOST: bool>(&mut self, from: usize, end: usize) {
        self.held = 0;
        if HOST {
            let buffer = self.buffer;
            let _ = buffer.get(from..end).map(|rest| self.fill::<HOST>(rest));
        } else {
            for at in from..end {
                self.put(self.buffer.get(at).copied().unwrap_or_default());
            }
        }
    }

    /// Adds a byte if there is room.
    fn put(&mut self, byte: u8) {
        if let Some(place) = self.buffer.get_mut(self.held) {
            *place = byte;
            self.held = self.held.wrapping_add(1);
        }
    }

    /// How many of the bytes held are noise, if the first `before` of them are none.
    pub(crate) fn noise<const HOST: bool>(&mut self, limit: u32, before: usize) -> Option<usize> {
        // The marker stands, and the rest counts at its end. The search finds the same, but later.
        if before >= MARKER.len() && self.held < FRAME_LEN {
            return Some(0);
        }
        Some(hunt::<HOST>(self.buffer.get(..self.held)?, limit, &mut self.rejected))
    }

    /// How many of these bytes are noise.
    pub(crate) fn hunt<const HOST: bool>(&mut self, bytes: &[u8], limit: u32) -> usize {
        hunt::<HOST>(bytes, limit, &mut self.rejected)
    }
}

/// Where the bytes are a frame, or may be the beginning of one that their end cuts off. Notes why those
/// before it are none.
fn hunt<const HOST: bool>(bytes: &[u8], limit: u32, rejected: &mut Mismatch) -> usize {
    let mut at = 0_usize;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let mut step = 1;
        if begins(rest) {
            let Some(frame) = rest.first_chunk() else { return at };
            let Err(why) = parse::check_started(frame, limit) else { return at };
            *rejected = why;
            step = if HOST { MARKER.len() } else { 1 };
        } else if HOST {
            step = clear(rest).max(1);
        }
        at = at.wrapping_add(step);
    }
}

/// No start marker begins within another one.
const _: () = {
    let [first, second, third, last] = MARKER;
    assert!(first != second && first != third && first != last);
};

/// Whether the bytes begin with the start marker, as far as they go.
fn begins(bytes: &[u8]) -> bool {
    bytes.iter().zip(&MARKER).all(|(byte, expected)| byte == expected)
}

/// The number of bytes up to the next start marker, or of those in front that hold none.
///
/// It looks at 16 bytes at once: the compiler makes vector instructions of that. So zeros and noise are
/// skipped at 17 GB/s on a machine where a search byte by byte reaches 3.2 GB/s.
#[allow(clippy::needless_bitwise_bool)] // with `||` it is byte by byte
fn clear(bytes: &[u8]) -> usize {
    let mut at = 0_usize;
    while let Some(chunk) = bytes.get(at..).and_then(|rest| rest.first_chunk::<19>()) {
        if chunk.windows(MARKER.len()).fold(false, |any, four| any | (four == MARKER)) {
            let inside = chunk.windows(MARKER.len()).position(|four| four == MARKER);
            return at.wrapping_add(inside.unwrap_or_default());
        }
        at = at.wrapping_add(16);
    }
    at
}
