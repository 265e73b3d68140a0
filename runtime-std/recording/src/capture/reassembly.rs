//! Reassembles one direction of a TCP connection: from packets in any order, its bytes in order, each
//! byte once, and the holes between them.

use std::collections::BTreeMap;

use super::streams::StreamEventKind;

/// The most bytes that wait for earlier bytes. Each packet counts `EARLY` bytes in addition.
const WAITING: usize = 4 * 1024 * 1024;
const EARLY: usize = 64;

/// One direction.
#[derive(Debug, Default)]
pub(super) struct Reassembly {
    /// The sequence number of the next byte, once a packet was seen, and the number of bytes before it.
    pub(super) next: Option<u32>,
    pub(super) position: u64,
    /// Packets that came too early, by their position.
    early: BTreeMap<u64, Early>,
    early_bytes: usize,
    /// The position of the end, once it is known.
    pub(super) end: Option<u64>,
    pub(super) finished: bool,
}

/// The bytes of a packet, and how many of its last bytes are not in the capture.
#[derive(Debug)]
struct Early {
    bytes: Vec<u8>,
    cut: usize,
}

impl Reassembly {
    /// The position of a sequence number. `None` if it is before the current position.
    pub(super) fn place(&self, number: u32) -> Option<u64> {
        let ahead = number.wrapping_sub(self.next?).cast_signed();
        u64::try_from(ahead).ok().map(|ahead| self.position + ahead)
    }

    pub(super) fn bytes(
        &mut self,
        number: u32,
        bytes: &[u8],
        cut: usize,
        comment: Option<&str>,
        report: &mut dyn FnMut(StreamEventKind<'_>),
    ) {
        let next = *self.next.get_or_insert(number);
        match self.place(number) {
            Some(place) if place > self.position => {
                let longer = |old: &Early| old.bytes.len() >= bytes.len();
                if !self.early.get(&place).is_some_and(longer) {
                    self.early_bytes += bytes.len() + EARLY;
                    self.early.insert(place, Early { bytes: bytes.to_vec(), cut });
                }
            }
            _ => {
                // Bytes that are known already are not taken again.
                let known = next.wrapping_sub(number) as usize;
                self.take(known, bytes, cut, comment, report);
                self.catch_up(report);
            }
        }
    }

    fn take(
        &mut self,
        known: usize,
        bytes: &[u8],
        cut: usize,
        comment: Option<&str>,
        report: &mut dyn FnMut(StreamEventKind<'_>),
    ) {
        if let Some(fresh) = bytes.get(known..).filter(|fresh| !fresh.is_empty()) {
            self.advance(fresh.len() as u64);
            report(StreamEventKind::Bytes { bytes: fresh, comment });
        }
        let cut = cut.min((bytes.len() + cut).saturating_sub(known));
        self.hole(cut as u64, report);
    }

    fn advance(&mut self, bytes: u64) {
        self.position += bytes;
        #[allow(clippy::cast_possible_truncation)] // sequence numbers wrap
        let bytes = bytes as u32;
        self.next = self.next.map(|next| next.wrapping_add(bytes));
    }

    fn hole(&mut self, bytes: u64, report: &mut dyn FnMut(StreamEventKind<'_>)) {
        if bytes > 0 {
            self.advance(bytes);
            report(StreamEventKind::Hole { bytes });
        }
    }

    /// Takes the packets that came too early and can be taken now.
    fn catch_up(&mut self, report: &mut dyn FnMut(StreamEventKind<'_>)) {
        while let Some(entry) = self.early.first_entry()
            && *entry.key() <= self.position
        {
            let (place, Early { bytes, cut }) = entry.remove_entry();
            self.early_bytes = self.early_bytes.saturating_sub(bytes.len() + EARLY);
            let known = usize::try_from(self.position - place).unwrap_or(usize::MAX);
            self.take(known, &bytes, cut, None, report);
        }
    }

    /// Whether more bytes wait than may.
    pub(super) const fn is_full(&self) -> bool {
        self.early_bytes > WAITING
    }

    /// Gives up waiting: the missing bytes become holes.
    pub(super) fn give_up(&mut self, report: &mut dyn FnMut(StreamEventKind<'_>)) {
        while let Some(place) = self.early.keys().next().copied() {
            self.hole(place.saturating_sub(self.position), report);
            self.catch_up(report);
        }
        if let Some(end) = self.end {
            self.hole(end.saturating_sub(self.position), report);
        }
    }

    /// Reports the end when all bytes before it have come.
    pub(super) fn finish(&mut self, is_reset: bool, report: &mut dyn FnMut(StreamEventKind<'_>)) {
        if self.end.is_some_and(|end| end <= self.position) && !self.finished {
            self.finished = true;
            if !is_reset {
                report(StreamEventKind::Finished);
            }
        }
    }
}
