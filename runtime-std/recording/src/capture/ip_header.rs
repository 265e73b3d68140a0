//! Reads the header of an IP packet and the extension headers of IPv6. Fragments are joined in `ip.rs`.
//!
//! A packet may be cut anywhere in the file. `etherparse` 0.21 reads beyond the end of some cut packets if it
//! is asked for their extension headers, so the headers are read here.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use etherparse::IpFragOffset;

/// Numbers of what follows a header.
pub(super) const TCP: u8 = 6;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
/// Hop-by-hop options, routing, destination options, mobility, host identity, shim6.
const EXTENSIONS: [u8; 6] = [0, 43, 60, 135, 139, 140];
/// Lengths of headers without options, in bytes.
const V4: usize = 20;
const V6: usize = 40;

/// The headers of a packet.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Header<'a> {
    pub(super) source: IpAddr,
    pub(super) target: IpAddr,
    /// The length of the whole packet as it declares it, in bytes. 0 if it leaves that open.
    pub(super) declared: usize,
    /// What the payload is.
    pub(super) kind: u8,
    /// As far as it is in the file.
    pub(super) payload: &'a [u8],
    /// If the packet is a fragment.
    pub(super) place: Option<Place>,
}

/// Where a fragment belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) identification: u32,
    pub(super) offset: IpFragOffset,
    /// It is not the last one.
    pub(super) more: bool,
}

impl<'a> Header<'a> {
    /// `None` if the headers are not whole, or no headers.
    pub(super) fn read(data: &'a [u8]) -> Option<Self> {
        match data.first()? >> 4 {
            4 => Self::v4(data),
            6 => Self::v6(data),
            _ => None,
        }
    }

    fn v4(data: &'a [u8]) -> Option<Self> {
        let header: &[u8; V4] = data.first_chunk()?;
        let length = 4 * usize::from(header[0] & 0xF);
        let declared = usize::from(half(header, 2)?);
        if length < V4 || (1..length).contains(&declared) {
            return None;
        }
        let parts = half(header, 6)?;
        let place = Place {
            identification: half(header, 4)?.into(),
            offset: IpFragOffset::try_new(parts & 0x1FFF).ok()?,
            more: parts & 0x2000 != 0,
        };
        let address = |at: usize| header[at..].first_chunk::<4>().copied().map(Ipv4Addr::from);
        Some(Self {
            source: address(12)?.into(),
            target: address(16)?.into(),
            declared,
            kind: header[9],
            payload: whole(data, declared).get(length..)?,
            place: place.is_part().then_some(place),
        })
    }

    fn v6(data: &'a [u8]) -> Option<Self> {
        let header: &[u8; V6] = data.first_chunk()?;
        let length = usize::from(half(header, 4)?);
        let declared = if length == 0 { 0 } else { V6 + length };
        let rest = whole(data, declared).get(V6..)?;
        let (mut kind, mut payload) = behind_extensions(header[6], rest)?;
        let mut place = None;
        if kind == FRAGMENT {
            let fragment: &[u8; 8] = payload.first_chunk()?;
            let parts = half(fragment, 2)?;
            let identification = fragment[4..].first_chunk().copied().map(u32::from_be_bytes)?;
            let offset = IpFragOffset::try_new(parts >> 3).ok()?;
            let found = Place { identification, offset, more: parts & 1 != 0 };
            place = found.is_part().then_some(found);
            (kind, payload) = (fragment[0], &payload[8..]);
            // What is behind the header is in the first fragment only.
            if place.is_none() {
                (kind, payload) = behind_extensions(kind, payload)?;
            }
        }
        let address = |at: usize| header[at..].first_chunk::<16>().copied().map(Ipv6Addr::from);
        let (source, target) = (address(8)?.into(), address(24)?.into());
        Some(Self { source, target, declared, kind, payload, place })
    }
}

impl Place {
    /// Whether the packet has other parts.
    fn is_part(self) -> bool {
        self.more || self.offset.byte_offset() > 0
    }
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().copied().map(u16::from_be_bytes)
}

/// The bytes of a packet without what is behind it.
fn whole(data: &[u8], declared: usize) -> &[u8] {
    if declared == 0 { data } else { &data[..declared.min(data.len())] }
}

/// What is behind the extension headers of IPv6, and its kind: it may be a fragment header. `None` if a
/// header is not whole.
pub(super) fn behind_extensions(kind: u8, bytes: &[u8]) -> Option<(u8, &[u8])> {
    let (mut kind, mut bytes) = (kind, bytes);
    loop {
        let length = match kind {
            AUTHENTICATION => 4 * (usize::from(*bytes.get(1)?) + 2),
            _ if EXTENSIONS.contains(&kind) => 8 * (usize::from(*bytes.get(1)?) + 1),
            _ => return Some((kind, bytes)),
        };
        (kind, bytes) = (*bytes.first()?, bytes.get(length..)?);
    }
}

/// Whether a TCP segment may be behind a header of this kind.
pub(super) fn may_be_tcp(kind: u8) -> bool {
    kind == TCP || kind == AUTHENTICATION || EXTENSIONS.contains(&kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v6(kind: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [&[0x60, 0, 0, 0, length[0], length[1], kind, 64][..], &[1; 16], &[2; 16], rest].concat()
    }

    #[test]
    fn a_header_cut_at_any_byte_is_none_or_the_same() {
        let extension = |kind: u8| [kind, 0, 1, 4, 0, 0, 0, 0];
        let chain = [
            &extension(AUTHENTICATION)[..],
            &[43, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            &[FRAGMENT, 1],
            &[0; 14],
            &[60, 0, 0, 1, 0, 0, 0, 7],
            &[9; 24],
        ];
        let packet = v6(0, &chain.concat());
        let place = Some(Place { identification: 7, offset: IpFragOffset::ZERO, more: true });
        let whole = Header::read(&packet).unwrap();
        assert_eq!((whole.kind, whole.place, whole.payload), (60, place, &[9; 24][..]));
        for length in 0..packet.len() {
            if let Some(cut) = Header::read(&packet[..length]) {
                assert_eq!((cut.kind, cut.place, cut.declared), (60, place, packet.len()));
            }
        }
    }

    #[test]
    fn each_extension_header_alone_is_read_to_its_end() {
        for kind in [0, 43, 60, 135, 139, 140, FRAGMENT, AUTHENTICATION] {
            for length in 0..8 {
                assert_eq!(Header::read(&v6(kind, &[TCP, 0, 0, 0, 0, 0, 0, 0][..length])), None);
            }
            for more in [1, 255] {
                let packet = v6(kind, &[TCP, more, 0, 0, 0, 0, 0, 0]);
                assert!(kind == FRAGMENT || Header::read(&packet).is_none(), "{kind} {more}");
            }
        }
    }

    #[test]
    fn an_ipv4_header_must_have_room_for_itself() {
        let packet = |first: u8, length: u8| {
            let mut packet = [0; 40];
            (packet[0], packet[3], packet[9]) = (first, length, TCP);
            packet
        };
        let payload =
            |first, length| Header::read(&packet(first, length)).map(|header| header.payload.len());
        assert_eq!(
            [payload(0x45, 40), payload(0x45, 0), payload(0x46, 40)],
            [20, 20, 16].map(Some)
        );
        assert_eq!(payload(0x45, 30), Some(10), "padding");
        assert_eq!(payload(0x45, 90), Some(20), "a cut packet");
        for (first, length) in [(0x44, 40), (0x45, 19), (0x4F, 40), (0x55, 40)] {
            assert_eq!(payload(first, length), None, "{first:x} {length}");
        }
    }
}
