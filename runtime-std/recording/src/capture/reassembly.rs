//! Reassembles one direction of a TCP connection: from packets in any order, its bytes in order, each
//! byte once with the time of its packet, and the holes between them.
//!
//! Missing bytes may still come: a packet can be early in the capture, or be sent again. When the other
//! side has acknowledged them, they are not sent again, and they become a hole.

use std::collections::BTreeMap;
use std::time::Duration;

use super::streams::StreamEventKind;

/// The most bytes that wait for earlier bytes. Each packet counts `EARLY` bytes in addition.
const WAITING: usize = 4 * 1024 * 1024;
const EARLY: usize = 64;
/// An acknowledgment may come before its bytes if several processors capture. As long as no later bytes
/// have come, missing bytes are waited for: so many packets of the connection, or so long.
const PATIENCE_PACKETS: u32 = 16;
const PATIENCE: Duration = Duration::from_millis(50);
/// The most bytes that become a hole for an acknowledgment alone, without later bytes: a wrong number in
/// one packet must not spoil the rest.
const UNSEEN: u64 = 64 * 1024;

/// Is called with each event and its time.
pub(super) type ReportPart<'t> = dyn FnMut(Duration, StreamEventKind<'_>) + 't;

/// One direction.
#[derive(Debug, Default)]
pub(super) struct Reassembly {
    /// The sequence number of the next byte, once a packet was seen, and the number of bytes before it.
    pub(super) next: Option<u32>,
    pub(super) position: u64,
    /// Packets that came too early, by their position.
    early: BTreeMap<u64, Early>,
    early_bytes: usize,
    /// The other side has received all bytes before this position.
    acknowledged: u64,
    /// When an acknowledgment was seen for bytes that were not, and how many packets came since.
    unseen: Option<(Duration, u32)>,
    /// The position of the end, once it is known.
    pub(super) end: Option<u64>,
    pub(super) finished: bool,
}

/// The bytes of a packet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece<'a> {
    pub(super) at: Duration,
    pub(super) bytes: &'a [u8],
    /// How many bytes after these were on the wire but are not in the capture.
    pub(super) cut: usize,
    pub(super) comment: Option<&'a str>,
}

/// A packet that came too early.
#[derive(Debug)]
struct Early {
    at: Duration,
    bytes: Vec<u8>,
    cut: usize,
    comment: Option<String>,
}

impl Reassembly {
    /// The position of a sequence number. `None` if it is before the current position.
    pub(super) fn place(&self, number: u32) -> Option<u64> {
        let ahead = number.wrapping_sub(self.next?).cast_signed();
        u64::try_from(ahead).ok().map(|ahead| self.position + ahead)
    }

    pub(super) fn bytes(&mut self, number: u32, piece: Piece<'_>, report: &mut ReportPart<'_>) {
        let next = *self.next.get_or_insert(number);
        match self.place(number) {
            Some(place) if place > self.position => self.keep(place, piece),
            _ => {
                // Bytes that are known already are not taken again.
                let known = next.wrapping_sub(number) as usize;
                self.take(known, piece, report);
                self.catch_up(report);
            }
        }
    }

    /// Keeps a packet that is too early. Of two at one place the longer one is kept.
    fn keep(&mut self, place: u64, piece: Piece<'_>) {
        let Piece { at, bytes, cut, comment } = piece;
        let longer = |old: &Early| old.bytes.len() >= bytes.len();
        if self.early.get(&place).is_some_and(longer) {
            return;
        }
        let comment = comment.map(str::to_owned);
        let old = self.early.insert(place, Early { at, bytes: bytes.to_vec(), cut, comment });
        self.early_bytes += bytes.len() + EARLY;
        self.early_bytes -= old.map_or(0, |old| old.bytes.len() + EARLY);
    }

    fn take(&mut self, known: usize, piece: Piece<'_>, report: &mut ReportPart<'_>) {
        let Piece { at, bytes, cut, comment } = piece;
        if let Some(fresh) = bytes.get(known..).filter(|fresh| !fresh.is_empty()) {
            self.advance(fresh.len() as u64);
            report(at, StreamEventKind::Bytes { bytes: fresh, comment });
        }
        let cut = cut.min((bytes.len() + cut).saturating_sub(known));
        self.hole(at, cut as u64, report);
    }

    fn advance(&mut self, bytes: u64) {
        self.position += bytes;
        #[allow(clippy::cast_possible_truncation)] // sequence numbers wrap
        let bytes = bytes as u32;
        self.next = self.next.map(|next| next.wrapping_add(bytes));
    }

    fn hole(&mut self, at: Duration, bytes: u64, report: &mut ReportPart<'_>) {
        if bytes > 0 {
            self.advance(bytes);
            report(at, StreamEventKind::Hole { bytes });
        }
    }

    /// Takes the packets that came too early and can be taken now.
    fn catch_up(&mut self, report: &mut ReportPart<'_>) {
        while let Some(entry) = self.early.first_entry()
            && *entry.key() <= self.position
        {
            let (place, Early { at, bytes, cut, comment }) = entry.remove_entry();
            self.early_bytes -= bytes.len() + EARLY;
            let known = usize::try_from(self.position - place).unwrap_or(usize::MAX);
            let piece = Piece { at, bytes: &bytes, cut, comment: comment.as_deref() };
            self.take(known, piece, report);
        }
    }

    /// The other side has received all bytes before this sequence number.
    pub(super) fn acknowledge(&mut self, number: u32) {
        if let Some(place) = self.place(number) {
            self.acknowledged = self.acknowledged.max(place);
        }
    }

    /// Before a packet of the connection is taken: bytes that were acknowledged and not seen become a
    /// hole after some time.
    pub(super) fn expire(&mut self, at: Duration, report: &mut ReportPart<'_>) {
        if self.acknowledged <= self.position {
            self.unseen = None;
        } else if let Some((since, packets)) = &mut self.unseen {
            *packets += 1;
            let patient = *packets < PATIENCE_PACKETS && at.saturating_sub(*since) < PATIENCE;
            if !patient {
                let since = *since;
                self.give_up_unseen(since, report);
            }
        }
    }

    /// After a packet of the connection was taken: missing bytes that were acknowledged become a hole at
    /// once if later bytes have come. Their side has sent the missing bytes before these.
    pub(super) fn settle(&mut self, at: Duration, report: &mut ReportPart<'_>) {
        while let Some(place) = self.early.keys().next().copied()
            && place <= self.acknowledged
        {
            self.hole(at, place.saturating_sub(self.position), report);
            self.catch_up(report);
        }
        if let Some(end) = self.end
            && end <= self.acknowledged
        {
            self.hole(at, end.saturating_sub(self.position), report);
            // The end itself is acknowledged as if it were a byte.
            self.acknowledged = end;
        }
        if self.acknowledged > self.position {
            self.unseen.get_or_insert((at, 0));
        }
    }

    fn give_up_unseen(&mut self, at: Duration, report: &mut ReportPart<'_>) {
        self.unseen = None;
        let unseen = self.acknowledged.saturating_sub(self.position);
        // A single one is the number of an end that was not captured.
        if (2..=UNSEEN).contains(&unseen) {
            self.hole(at, unseen, report);
        }
        self.acknowledged = self.position;
    }

    /// Whether more bytes wait than may.
    pub(super) const fn is_full(&self) -> bool {
        self.early_bytes > WAITING
    }

    /// All bytes before this sequence number were sent: those that have not come are missing.
    pub(super) fn skip_to(&mut self, number: u32, at: Duration, report: &mut ReportPart<'_>) {
        if let Some(place) = self.place(number) {
            self.hole(at, place - self.position, report);
        }
    }

    /// Gives up waiting: the missing bytes become holes.
    pub(super) fn give_up(&mut self, at: Duration, report: &mut ReportPart<'_>) {
        while let Some(place) = self.early.keys().next().copied() {
            self.hole(at, place.saturating_sub(self.position), report);
            self.catch_up(report);
        }
        if let Some(end) = self.end {
            self.hole(at, end.saturating_sub(self.position), report);
        } else {
            self.give_up_unseen(at, report);
        }
    }

    /// Reports the end when all bytes before it have come.
    pub(super) fn finish(&mut self, at: Duration, is_reset: bool, report: &mut ReportPart<'_>) {
        if self.end.is_some_and(|end| end <= self.position) && !self.finished {
            self.finished = true;
            if !is_reset {
                report(at, StreamEventKind::Finished);
            }
        }
    }
}
