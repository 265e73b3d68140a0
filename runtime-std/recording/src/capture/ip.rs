//! Reads an IP packet, with its extension headers, and joins the fragments of a packet.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use etherparse::defrag::IpDefragBuf;
use etherparse::{IpFragOffset, IpNumber, Ipv6ExtensionSlice, Ipv6FragmentHeader, LaxIpSlice};

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

/// Where a fragment belongs.
struct Place {
    identification: u32,
    offset: IpFragOffset,
    more: bool,
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
        let (ip, _) = LaxIpSlice::from_slice(data).ok()?;
        let (declared, place) = match &ip {
            LaxIpSlice::Ipv4(ip) => {
                let header = ip.header();
                let place = header.is_fragmenting_payload().then(|| Place {
                    identification: header.identification().into(),
                    offset: header.fragments_offset(),
                    more: header.more_fragments(),
                });
                (usize::from(header.total_len()), place)
            }
            LaxIpSlice::Ipv6(ip) => {
                let fragment = ip.extensions().clone().into_iter().find_map(|each| match each {
                    Ipv6ExtensionSlice::Fragment(header) => Some(header.to_header()),
                    _ => None,
                });
                let place =
                    fragment.filter(Ipv6FragmentHeader::is_fragmenting_payload).map(|it| Place {
                        identification: it.identification,
                        offset: it.fragment_offset,
                        more: it.more_fragments,
                    });
                let length = usize::from(ip.header().payload_length());
                (if length == 0 { 0 } else { length + ip.header().slice().len() }, place)
            }
        };
        let payload = ip.payload().clone();
        if payload.ip_number != IpNumber::TCP {
            return None;
        }
        let (source, target) = (ip.source_addr(), ip.destination_addr());
        let mut bytes = payload.payload;
        let missing = if declared == 0 {
            // The network card was to cut the packet: what is in the file tells its length.
            let check = if left_out == 0 { check } else { 0 };
            bytes = bytes.get(..bytes.len().saturating_sub(check))?;
            left_out
        } else {
            declared.saturating_sub(data.len())
        };
        let Some(place) = place else { return Some(Segment { source, target, bytes, missing }) };
        if missing > 0 {
            self.lost += 1;
            return None;
        }
        self.join(at, (source, target, place.identification), &place, bytes)?;
        Some(Segment { source, target, bytes: &self.joined, missing: 0 })
    }

    /// Adds a fragment. Returns something if it was the last one that was missing.
    fn join(
        &mut self,
        at: Duration,
        packet: (IpAddr, IpAddr, u32),
        place: &Place,
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
            || Open { began: at, parts: IpDefragBuf::new(IpNumber::TCP, Vec::new(), Vec::new()) };
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
