//! Packets in all forms: IPv6, fragments, link types, and headers that were cut.

use super::super::link::PPP_ETHER;
use super::*;

/// An IPv6 packet with these bytes after its header.
fn v6(next: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    let ends = [[0xFD, 7], [0xFD, 5]].map(|ends| [&ends[..], &[0; 14]].concat()).concat();
    [&[0x60, 0, 0, 0, length[0], length[1], next, 64][..], &ends, rest].concat()
}

const TCP: u8 = 6;

#[test]
fn ipv6_extension_headers_are_no_missing_bytes() {
    let tcp = &ip(0)[20..];
    let options = |next: u8| [next, 0, 1, 4, 0, 0, 0, 0];
    let chain = [&options(60)[..], &options(43), &options(TCP), tcp].concat();
    // A fragment header without a fragment.
    let atomic = [&[TCP, 0, 0, 0, 0, 0, 0, 1][..], tcp].concat();
    for (what, packet) in [
        ("none", v6(TCP, tcp)),
        ("hop by hop", v6(0, &[&options(TCP)[..], tcp].concat())),
        ("three", v6(0, &chain)),
        ("an atomic fragment", v6(44, &atomic)),
    ] {
        let events = read(file(RAW_IP, &[packet]));
        assert_eq!((numbers(&events), holes(&events)), (vec![0], vec![]), "{what}");
    }
}

/// The parts of an IPv4 packet, each with so many bytes.
fn fragments(packet: &[u8], identification: u16, size: usize) -> Vec<Vec<u8>> {
    let (header, payload) = packet.split_at(20);
    let last = payload.len().div_ceil(size) - 1;
    let parts = payload.chunks(size).enumerate().map(|(n, part)| {
        let mut header = header.to_vec();
        header[2..4].copy_from_slice(&u16::try_from(20 + part.len()).unwrap().to_be_bytes());
        header[4..6].copy_from_slice(&identification.to_be_bytes());
        let more = if n == last { 0 } else { 0x2000 };
        let offset = more | u16::try_from(n * size / 8).unwrap();
        header[6..8].copy_from_slice(&offset.to_be_bytes());
        [&header[..], part].concat()
    });
    parts.collect()
}

#[test]
fn fragments_are_joined_in_any_order_or_counted() {
    let mut parts = fragments(&ip(0), 7, 48);
    assert_eq!(parts.len(), 4);
    assert_eq!(found(file(RAW_IP, &parts)).0, [0]);
    parts.reverse();
    parts.insert(2, parts[1].clone()); // twice
    parts.insert(1, ip(1)); // between
    parts.insert(0, packet(Side::Client, 53_717, 0, &[]));
    let (numbers, times, unreadable) = found(file(RAW_IP, &parts));
    assert_eq!(numbers, [0, 1]);
    assert_eq!(times, [6_000_000, 2_000_000], "the time of the last fragment, and its own");
    assert!(unreadable.is_empty());
    parts.remove(1);
    let (_, _, unreadable) = found(file(RAW_IP, &parts));
    assert_eq!(unreadable, skipped(0, 0, 1));
    assert_eq!(unreadable.to_string(), "1 IP packet without all its fragments");
    let tcp = &ip(0)[20..];
    let part = |offset: u16, more: u16, bytes: &[u8]| {
        let place = (offset | more).to_be_bytes();
        v6(44, &[&[TCP, 0, place[0], place[1], 0, 0, 0, 9][..], bytes].concat())
    };
    let parts = [part(0, 1, &tcp[..80]), part(80, 0, &tcp[80..])];
    assert_eq!(found(file(RAW_IP, &parts)).0, [0], "IPv6");
    // The options behind the fragment header are a part of what was cut into fragments.
    let whole = [&[TCP, 0, 1, 4, 0, 0, 0, 0][..], tcp].concat();
    let mut parts = [part(0, 1, &whole[..80]), part(80, 0, &whole[80..])];
    for part in &mut parts {
        part[40] = 60;
    }
    assert_eq!(found(file(RAW_IP, &parts)).0, [0], "IPv6 with options");
}

#[test]
fn a_fragment_that_was_captured_twice_is_no_loss() {
    let parts = fragments(&ip(0), 7, 48);
    let each_twice: Vec<_> = parts.iter().flat_map(|part| [part.clone(), part.clone()]).collect();
    let all_twice = [&parts[..], &parts].concat();
    for (what, parts) in [("each", each_twice), ("all", all_twice)] {
        let (numbers, _, unreadable) = found(file(RAW_IP, &parts));
        assert_eq!((numbers, unreadable), (vec![0], skipped(0, 0, 0)), "{what}");
    }
    // Another packet may have the number of an earlier one.
    let other = fragments(&ip(1), 7, 48);
    assert_eq!(found(file(RAW_IP, &[parts.clone(), other].concat())).0, [0, 1]);
    let snapped: Vec<_> = parts.iter().map(|part| cut(part.clone(), 4)).collect();
    let snapped = [&snapped[..], &snapped].concat();
    assert_eq!(found(file(RAW_IP, &snapped)).2, skipped(0, 0, 1), "one packet");
}

#[test]
fn many_fragments_take_little_memory() {
    let mut packets: Vec<_> = (0..5_000).map(|id| fragments(&ip(0), id, 48).remove(0)).collect();
    packets.push(ip(0));
    let (numbers, _, unreadable) = found(file(RAW_IP, &packets));
    assert_eq!((numbers, unreadable), (vec![0], skipped(0, 0, 5_000)));
}

#[test]
fn pppoe_vlan_and_a_frame_check_sequence_are_read() {
    let mac = [2; 12];
    let session = [0x11, 0, 0, 1, 0, 0, 0, 0x21];
    let pppoe = [&mac[..], &[0x88, 0x64], &session, &ip(0)].concat();
    assert_eq!(found(file(ETHERNET, &[pppoe])).0, [0]);
    assert_eq!(found(file(PPP_ETHER, &[[&session[..], &ip(0)].concat()])).0, [0]);
    let cooked = [&[0; 14][..], &[0x81, 0, 0, 5, 8, 0], &ip(0)].concat();
    assert_eq!(found(file(LINUX_SLL, &[cooked])).0, [0]);
    // The length is 0: only the bits of the file tell that the last bytes are no payload.
    let mut offloaded = ip(0);
    offloaded[2..4].fill(0);
    let frame = [&mac[..], &[8, 0], &offloaded, &[0xEE; 4]].concat();
    let mut bytes = file(ETHERNET, &[frame]);
    bytes[23] = 0x24;
    let events = read(bytes);
    assert_eq!((numbers(&events), events.len()), (vec![0], 2), "{events:?}");
}

#[test]
fn a_tcp_header_that_was_cut_is_a_hole_of_its_payload() {
    for bytes in [128, 131, 134, 138, 150] {
        let packets = [ip(0), cut(ip(1), bytes), ip(2)];
        let events = read(file(RAW_IP, &packets));
        assert_eq!((numbers(&events), holes(&events)), (vec![0, 2], vec![128]), "{bytes}");
    }
}
