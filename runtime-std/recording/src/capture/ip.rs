//! Joins the fragments of IP packets, and gives the TCP segments in them. The headers are `ip_header.rs`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use etherparse::IpNumber;
use etherparse::defrag::IpDefragBuf;

use super::ip_header::{Header, Place, TCP, behind_extensions, may_be_tcp};

/// The most packets whose fragments wait. The oldest one is given up.
const WAITING: usize = 64;
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
    /// The segment that was joined last.
    joined: Vec<u8>,
    lost: u64,
}

struct Open {
    began: Duration,
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
        if missing > 0 {
            self.lost += 1;
            return None;
        }
        self.join(at, (source, target, place.identification), place, bytes)?;
        let (kind, bytes) = match source {
            IpAddr::V4(_) => (kind, &self.joined[..]),
            IpAddr::V6(_) => behind_extensions(kind, &self.joined)?,
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
        let late = |open: &Open| at.saturating_sub(open.began) > LONGEST;
        if self.open.get(&packet).is_some_and(late) {
            self.give_up(packet);
        }
        if !self.open.contains_key(&packet) && self.open.len() >= WAITING {
            let oldest = self.open.iter().min_by_key(|(_, open)| open.began).map(|(key, _)| *key);
            self.give_up(oldest?);
        }
        let new =
            || Open { began: at, parts: IpDefragBuf::new(IpNumber(TCP), Vec::new(), Vec::new()) };
        let open = self.open.entry(packet).or_insert_with(new);
        if open.parts.add(place.offset, place.more, bytes).is_err() {
            self.give_up(packet);
            return None;
        }
        if !open.parts.is_complete() {
            return None;
        }
        let (joined, _) = self.open.remove(&packet)?.parts.take_bufs();
        self.joined = joined;
        Some(())
    }

    fn give_up(&mut self, packet: (IpAddr, IpAddr, u32)) {
        self.lost += u64::from(self.open.remove(&packet).is_some());
    }
}
