//! Joins the fragments of IP packets, and gives the TCP segments in them. The headers are `ip_header.rs`.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use etherparse::IpNumber;
use etherparse::defrag::IpDefragBuf;

use super::ip_header::{Header, Place, TCP, behind_extensions, may_be_tcp};

/// The most packets whose fragments wait. The oldest one is given up.
const WAITING: usize = 64;
/// The most packets that were joined last and are remembered: their fragments may come again.
const REMEMBERED: usize = 16;
/// Fragments with the same number that come later belong to another packet.
const LONGEST: Duration = Duration::from_secs(30);

/// An IP packet as it is in the file.
#[derive(Debug, Clone, Copy)]
pub(super) struct IpBytes<'a> {
    pub(super) at: Duration,
    pub(super) data: &'a [u8],
    /// How many bytes of the packet were on the wire but are not in the file, by the lengths in the file.
    pub(super) left_out: usize,
    /// The length of the frame check sequence, which is behind the IP packet.
    pub(super) check: usize,
}

/// The TCP segment in an IP packet.
#[derive(Debug)]
pub(super) struct Segment<'a> {
    pub(super) source: IpAddr,
    pub(super) target: IpAddr,
    pub(super) bytes: &'a [u8],
    /// How many bytes of the segment are not in the file.
    pub(super) missing: usize,
}

/// The packets of which not all fragments have come.
#[derive(Default)]
pub(super) struct Fragments {
    open: BTreeMap<(IpAddr, IpAddr, u32), Open>,
    /// The packets that were joined, the last one at the end.
    joined: VecDeque<Joined>,
    lost: u64,
}

struct Joined {
    packet: (IpAddr, IpAddr, u32),
    at: Duration,
    bytes: Vec<u8>,
}

impl Joined {
    /// Whether this is a fragment of the packet, captured once more.
    fn has(&self, packet: (IpAddr, IpAddr, u32), at: Duration, place: Place, bytes: &[u8]) -> bool {
        let begin = usize::from(place.offset.byte_offset());
        self.packet == packet
            && at.saturating_sub(self.at) <= LONGEST
            && self.bytes.get(begin..).is_some_and(|part| part.starts_with(bytes))
    }
}

struct Open {
    began: Duration,
    /// It cannot be joined: a fragment does not fit.
    broken: bool,
    parts: IpDefragBuf,
}

impl Fragments {
    /// How many packets could not be joined so far, and those that wait.
    pub(super) fn lost(&self) -> u64 {
        self.lost + self.open.len() as u64
    }

    /// The TCP segment of a packet, or of the packet that this fragment completes.
    pub(super) fn read<'a>(&'a mut self, packet: IpBytes<'a>) -> Option<Segment<'a>> {
        let IpBytes { at, data, left_out, check } = packet;
        let header = Header::read(data)?;
        let Header { source, target, declared, kind, place, .. } = header;
        let mut bytes = header.payload;
        let missing = if declared == 0 {
            // The network card was to cut the packet: what is in the file tells its length.
            let check = if left_out == 0 { check } else { 0 };
            bytes = bytes.get(..bytes.len().saturating_sub(check))?;
            left_out
        } else {
            declared.saturating_sub(data.len())
        };
        let Some(place) = place else {
            return (kind == TCP).then_some(Segment { source, target, bytes, missing });
        };
        if !may_be_tcp(kind) {
            return None;
        }
        let packet = (source, target, place.identification);
        let is_again = |joined: &Joined| joined.has(packet, at, place, bytes);
        if !self.open.contains_key(&packet) && self.joined.iter().any(is_again) {
            return None;
        }
        if missing > 0 {
            self.open(at, packet);
            return None;
        }
        self.join(at, packet, place, bytes)?;
        let joined = &self.joined.back()?.bytes[..];
        let (kind, bytes) = match source {
            IpAddr::V4(_) => (kind, joined),
            IpAddr::V6(_) => behind_extensions(kind, joined)?,
        };
        (kind == TCP).then_some(Segment { source, target, bytes, missing: 0 })
    }

    /// Adds a fragment. Returns something if it was the last one that was missing.
    fn join(
        &mut self,
        at: Duration,
        packet: (IpAddr, IpAddr, u32),
        place: Place,
        bytes: &[u8],
    ) -> Option<()> {
        let open = self.open(at, packet)?;
        if open.broken || open.parts.add(place.offset, place.more, bytes).is_err() {
            open.broken = true;
            return None;
        }
        if !open.parts.is_complete() {
            return None;
        }
        let (bytes, _) = self.open.remove(&packet)?.parts.take_bufs();
        if self.joined.len() == REMEMBERED {
            self.joined.pop_front();
        }
        self.joined.push_back(Joined { packet, at, bytes });
        Some(())
    }

    /// The packet of a fragment, which waits for the others.
    fn open(&mut self, at: Duration, packet: (IpAddr, IpAddr, u32)) -> Option<&mut Open> {
        let late = |open: &Open| at.saturating_sub(open.began) > LONGEST;
        if self.open.get(&packet).is_some_and(late) {
            self.give_up(packet);
        }
        if !self.open.contains_key(&packet) && self.open.len() >= WAITING {
            let oldest = self.open.iter().min_by_key(|(_, open)| open.began).map(|(key, _)| *key);
            self.give_up(oldest?);
        }
        let new = || Open {
            began: at,
            broken: false,
            parts: IpDefragBuf::new(IpNumber(TCP), Vec::new(), Vec::new()),
        };
        Some(self.open.entry(packet).or_insert_with(new))
    }

    fn give_up(&mut self, packet: (IpAddr, IpAddr, u32)) {
        self.lost += u64::from(self.open.remove(&packet).is_some());
    }
}
