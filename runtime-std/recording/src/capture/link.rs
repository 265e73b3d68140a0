//! Finds the IP packet behind the header of the link layer: Ethernet, cooked captures, loopback, PPP,
//! with VLAN tags, PPPoE and MPLS between them.

/// A link type, as in the list of pcap link types.
pub(super) type Link = u16;

pub(super) const NULL: Link = 0;
pub(super) const ETHERNET: Link = 1;
const PPP: Link = 9;
/// Raw IP has three numbers; two of them stand for other things on few systems.
const RAW: [Link; 3] = [12, 14, RAW_IP];
pub(super) const RAW_IP: Link = 101;
const PPP_SERIAL: Link = 50;
pub(super) const PPP_ETHER: Link = 51;
const LOOP: Link = 108;
pub(super) const LINUX_SLL: Link = 113;
pub(super) const IPV4: Link = 228;
const IPV6: Link = 229;
const PKTAP: Link = 258;
pub(super) const LINUX_SLL2: Link = 276;

/// Types of an Ethernet payload.
const TYPE_IPV4: u16 = 0x0800;
const TYPE_IPV6: u16 = 0x86DD;
const TYPE_PPPOE: u16 = 0x8864;
const TYPE_VLAN: [u16; 5] = [0x8100, 0x88A8, 0x9100, 0x9200, 0x9300];
const TYPE_MPLS: [u16; 2] = [0x8847, 0x8848];
/// Below this number, the field is a length, and a SNAP header may follow.
const LEAST_TYPE: u16 = 0x0600;
const SNAP: [u8; 6] = [0xAA, 0xAA, 0x03, 0, 0, 0];
/// Types of a PPP payload.
const PPP_IPV4: u16 = 0x0021;
const PPP_IPV6: u16 = 0x0057;
const PPP_MPLS: u16 = 0x0281;

/// The most headers of one packet.
const NESTED: usize = 16;

/// What is behind the header of the link layer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Net<'a> {
    Ip(&'a [u8]),
    Other,
    /// The link type is unknown.
    Unknown,
}

/// Finds the IP packet in the data of a packet.
pub(super) fn net(link: Link, data: &[u8]) -> Net<'_> {
    let mut link = link;
    let mut data = data;
    if link == PKTAP {
        // The length of the header and the link type of the packet after it.
        let found = word_le(data, 0).zip(word_le(data, 8));
        let Some((length, inner)) = found else { return Net::Other };
        let (Ok(length), Ok(inner)) = (usize::try_from(length), Link::try_from(inner)) else {
            return Net::Other;
        };
        let Some(rest) = data.get(length..) else { return Net::Other };
        (link, data) = (inner, rest);
    }
    let found = match link {
        _ if RAW.contains(&link) => Some(data),
        IPV4 | IPV6 => Some(data),
        ETHERNET => typed_at(data, 12),
        NULL | LOOP => data.get(4..),
        LINUX_SLL => typed_at(data, 14),
        LINUX_SLL2 => {
            half(data, 0).zip(data.get(20..)).and_then(|(kind, rest)| ether_payload(kind, rest))
        }
        PPP | PPP_SERIAL => ppp(data),
        PPP_ETHER => data.get(6..).and_then(ppp),
        _ => return Net::Unknown,
    };
    found.filter(|ip| matches!(ip.first(), Some(0x40..0x70))).map_or(Net::Other, Net::Ip)
}

fn half(data: &[u8], at: usize) -> Option<u16> {
    data.get(at..at + 2)?.try_into().ok().map(u16::from_be_bytes)
}

fn word_le(data: &[u8], at: usize) -> Option<u32> {
    data.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes)
}

/// The payload after a type at this place.
fn typed_at(data: &[u8], at: usize) -> Option<&[u8]> {
    ether_payload(half(data, at)?, data.get(at + 2..)?)
}

/// The IP packet in an Ethernet payload of this type.
fn ether_payload(kind: u16, rest: &[u8]) -> Option<&[u8]> {
    let (mut kind, mut rest) = (kind, rest);
    for _ in 0..NESTED {
        match kind {
            // Some writers leave the type of cooked packets out.
            0 | TYPE_IPV4 | TYPE_IPV6 => return Some(rest),
            TYPE_PPPOE => return ppp(rest.get(6..)?),
            _ if TYPE_VLAN.contains(&kind) => (kind, rest) = (half(rest, 2)?, rest.get(4..)?),
            _ if TYPE_MPLS.contains(&kind) => return mpls(rest),
            ..LEAST_TYPE if rest.starts_with(&SNAP) => {
                (kind, rest) = (half(rest, 6)?, rest.get(8..)?);
            }
            _ => return None,
        }
    }
    None
}

/// The IP packet in a PPP packet. Address and control may be left out, and so may the first half of the
/// protocol.
fn ppp(data: &[u8]) -> Option<&[u8]> {
    let data = data.strip_prefix(&[0xFF, 0x03]).unwrap_or(data);
    let (protocol, rest) = match data {
        [short, rest @ ..] if short & 1 == 1 => (u16::from(*short), rest),
        [high, low, rest @ ..] => (u16::from_be_bytes([*high, *low]), rest),
        _ => return None,
    };
    match protocol {
        PPP_IPV4 | PPP_IPV6 => Some(rest),
        PPP_MPLS => mpls(rest),
        _ => None,
    }
}

/// The IP packet after the last of the MPLS labels.
fn mpls(data: &[u8]) -> Option<&[u8]> {
    let mut labels = data.chunks_exact(4).take(NESTED);
    let last = labels.position(|label| label[2] & 1 == 1)?;
    data.get(4 * (last + 1)..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ip_packet_is_found_behind_every_header() {
        let ip = [0x45, 1, 2, 3];
        let behind = |front: &[&[u8]]| [&front.concat()[..], &ip].concat();
        let mac: &[u8] = &[2; 12];
        let cooked: &[u8] = &[0; 14];
        let rest2: &[u8] = &[0; 18];
        let pppoe: &[u8] = &[0x88, 0x64, 0x11, 0, 0, 1, 0, 6, 0, 0x21];
        let pktap = [&12_u32.to_le_bytes()[..], &[0; 4], &1_u32.to_le_bytes()].concat();
        for (link, data) in [
            (101, behind(&[])),
            (12, behind(&[])),
            (1, behind(&[mac, &[8, 0]])),
            (1, behind(&[mac, &[0x81, 0, 0, 5, 8, 0]])),
            (1, behind(&[mac, &[0x88, 0xA8, 0, 5, 0x81, 0, 0, 6, 8, 0]])),
            (1, behind(&[mac, pppoe])),
            (1, behind(&[mac, &[0x81, 0, 0, 5], pppoe])),
            (1, behind(&[mac, &[0, 30], &SNAP, &[8, 0]])),
            (1, behind(&[mac, &[0x88, 0x47, 0, 1, 0, 64, 0, 2, 1, 64]])),
            (113, behind(&[cooked, &[8, 0]])),
            (113, behind(&[cooked, &[0x81, 0, 0, 5, 8, 0]])),
            (276, behind(&[&[8, 0], rest2])),
            (276, behind(&[&[0x81, 0], rest2, &[0, 5, 8, 0]])),
            (9, behind(&[&[0xFF, 3, 0, 0x21]])),
            (9, behind(&[&[0x21]])),
            (50, behind(&[&[0xFF, 3, 0, 0x57]])),
            (51, behind(&[&pppoe[2..]])),
            (108, behind(&[&[0, 0, 0, 2]])),
            (258, behind(&[&pktap, mac, &[8, 0]])),
        ] {
            assert_eq!(net(link, &data), Net::Ip(&ip), "{link} {data:?}");
            for length in 0..data.len() {
                net(link, &data[..length]);
            }
        }
        assert_eq!(net(1, &[mac, &[8, 6], &ip].concat()), Net::Other, "ARP");
        assert_eq!(net(105, &ip), Net::Unknown);
    }
}
