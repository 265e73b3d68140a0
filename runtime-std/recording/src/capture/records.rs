//! Reads the records of a pcap file: both orders of bytes, microseconds and nanoseconds, and the
//! "modified" form with longer records. A record that cannot be one is skipped and counted: reading goes
//! on at the next place where two records can follow one another.

use std::time::Duration;

use super::link::Link;
use super::source::Source;
use super::{CaptureError, RawPacket, Read, Unreadable};

const HEADER: usize = 24;
const MICROSECONDS: u32 = 0xA1B2_C3D4;
const NANOSECONDS: u32 = 0xA1B2_3C4D;
const MODIFIED: u32 = 0xA1B2_CD34;
/// The longest packet that Wireshark reads, in bytes.
const LONGEST: usize = 256 * 1024;
/// After a broken record: the times of two records differ by less, in seconds.
const NEAR: u32 = 24 * 3600;
/// The bits of the link type that say how long the frame check sequence is, in half words, if it is known.
const CHECK_KNOWN: u32 = 0x0400_0000;

pub(super) const MAGICS: [u32; 3] = [MICROSECONDS, NANOSECONDS, MODIFIED];

/// The header of a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Records {
    big: bool,
    /// The length of the header of a record.
    head: usize,
    /// How many units are a second.
    units: u32,
    link: Link,
    /// The length of the frame check sequence in bytes.
    check: usize,
    /// Old files have the two lengths of a record in the other order.
    may_be_swapped: bool,
    /// The last time in seconds.
    last: Option<u32>,
}

/// The header of a record.
#[derive(Debug, Clone, Copy)]
struct Record {
    seconds: u32,
    rest: u32,
    captured: usize,
    length: usize,
}

fn word(big: bool, bytes: &[u8], at: usize) -> Option<u32> {
    let word: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
    Some(if big { u32::from_be_bytes(word) } else { u32::from_le_bytes(word) })
}

impl Records {
    /// Reads the header of the file. `None` if it is none.
    pub(super) fn begin(source: &mut Source) -> Result<Option<Self>, CaptureError> {
        if !source.fill(HEADER)? {
            return Err(CaptureError::Cut);
        }
        let records = Self::from_header(source.bytes());
        source.consume(HEADER);
        Ok(records)
    }

    fn from_header(bytes: &[u8]) -> Option<Self> {
        let is_big = |big: &bool| word(*big, bytes, 0).is_some_and(|it| MAGICS.contains(&it));
        let big = [false, true].into_iter().find(is_big)?;
        let magic = word(big, bytes, 0)?;
        let network = word(big, bytes, 20)?;
        let check = if network & CHECK_KNOWN == 0 { 0 } else { 2 * (network >> 28) };
        let versions = word(big, bytes, 4)?;
        let minor = if big { versions & 0xFFFF } else { versions >> 16 };
        Some(Self {
            big,
            head: if magic == MODIFIED { 24 } else { 16 },
            units: if magic == NANOSECONDS { 1_000_000_000 } else { 1_000_000 },
            #[allow(clippy::cast_possible_truncation)] // the upper half has other meanings
            link: network as Link,
            check: usize::try_from(check).unwrap_or_default(),
            may_be_swapped: minor < 4,
            last: None,
        })
    }

    /// Reads the next record, and calls `take` with its packet.
    pub(super) fn read(
        &mut self,
        source: &mut Source,
        unreadable: &mut Unreadable,
        take: &mut dyn FnMut(RawPacket<'_>),
    ) -> Result<Read, CaptureError> {
        if !source.fill(self.head)? {
            return if source.bytes().is_empty() { Ok(Read::Over) } else { Err(CaptureError::Cut) };
        }
        let record = self.record(source.bytes()).filter(|record| record.captured <= LONGEST);
        let Some(record) = record else {
            unreadable.blocks += 1;
            return if self.skip(source)? { Ok(Read::Block) } else { Err(CaptureError::Cut) };
        };
        let Record { seconds, rest, captured, length } = record;
        if !source.fill(self.head + captured)? {
            let found = self.skip(source)?;
            unreadable.blocks += u64::from(found);
            return if found { Ok(Read::Block) } else { Err(CaptureError::Cut) };
        }
        // Zeros look like a record of 1970 without bytes: it is no time to find others by.
        if captured > 0 {
            self.last = Some(seconds);
        }
        // More than a second of them is what some writers make of a clock that was set.
        let nanos = u64::from(rest) * u64::from(1_000_000_000 / self.units);
        let at = Duration::from_secs(seconds.into()) + Duration::from_nanos(nanos);
        let data = &source.bytes()[self.head..self.head + captured];
        let Self { link, check, .. } = *self;
        let (at, interface, port, comment) = (Some(at), 0, None, None);
        take(RawPacket { at, interface, link, data, length, check, port, comment });
        source.consume(self.head + captured);
        Ok(Read::Block)
    }

    fn record(&self, bytes: &[u8]) -> Option<Record> {
        let field = |at| word(self.big, bytes, at);
        let (seconds, rest) = (field(0)?, field(4)?);
        let size = |at| field(at).and_then(|size| usize::try_from(size).ok());
        let (mut captured, mut length) = (size(8)?, size(12)?);
        if self.may_be_swapped && captured > length {
            std::mem::swap(&mut captured, &mut length);
        }
        Some(Record { seconds, rest, captured, length })
    }

    /// Whether a record can begin with these bytes, as exact as it can be known. Returns its length.
    fn likely(&self, bytes: &[u8]) -> Option<usize> {
        let Record { seconds, rest, captured, length } = self.record(bytes)?;
        let near = self.last.is_none_or(|last| seconds.abs_diff(last) < NEAR);
        let sizes = (1..=LONGEST).contains(&captured) && (captured..=LONGEST).contains(&length);
        (near && sizes && rest < self.units).then_some(self.head + captured)
    }

    /// Goes on to the next place at which a record can begin, with another one or the end after it.
    /// Returns whether there is one; if not, the rest of the file is skipped.
    fn skip(&self, source: &mut Source) -> Result<bool, CaptureError> {
        source.consume(1);
        while source.fill(self.head)? {
            let step = source.bytes().windows(self.head).position(|at| self.likely(at).is_some());
            let Some(step) = step else {
                source.consume(source.bytes().len() - self.head + 1);
                continue;
            };
            source.consume(step);
            if let Some(length) = self.likely(source.bytes()) {
                source.fill(length + self.head)?;
                let next = source.bytes().get(length..);
                if next.is_some_and(|next| next.is_empty() || self.likely(next).is_some()) {
                    return Ok(true);
                }
            }
            source.consume(1);
        }
        source.consume(self.head);
        Ok(false)
    }
}
