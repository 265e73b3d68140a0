//! Tests with captures as tcpdump writes them: all link types; packets in any order, repeated, missing.

use std::io::Cursor;
use std::time::Duration;

use bytes::Bytes;
use etherparse::PacketBuilder;
use flamingo_protocol_core::{CommandCode, Frame, image::ImageHeader};

use super::super::pcapng::PcapNg;
use super::super::{Port, Side};
use super::link::{ETHERNET, IPV4, LINUX_SLL, LINUX_SLL2, Link, NULL, RAW_IP};
use super::packet_reader::Packets;
use super::*;

mod forms;
mod lost;
mod packed;
mod packets;

const CLIENT: ([u8; 4], u16) = ([10, 0, 0, 7], 40_000);
const INSTRUMENT: ([u8; 4], u16) = ([10, 0, 0, 5], 53_717);

/// A packet from that side. A SYN if there is no payload.
fn packet(from: Side, port: u16, number: u32, payload: &[u8]) -> Vec<u8> {
    let instrument = (INSTRUMENT.0, port);
    let (source, target) =
        if from == Side::Client { (CLIENT, instrument) } else { (instrument, CLIENT) };
    let tcp = PacketBuilder::ipv4(source.0, target.0, 64).tcp(source.1, target.1, number, 1000);
    let tcp = if payload.is_empty() { tcp.syn() } else { tcp.ack(1) };
    let mut bytes = Vec::new();
    tcp.write(&mut bytes, payload).unwrap();
    bytes
}

/// A pcap file with a packet each second.
fn file(link: Link, packets: &[Vec<u8>]) -> Vec<u8> {
    let at: Vec<_> = (0..).map(Duration::from_secs).zip(packets.iter().cloned()).collect();
    timed_file(link, &at)
}

fn timed_file(link: Link, packets: &[(Duration, Vec<u8>)]) -> Vec<u8> {
    let header = [0xA1B2_C3D4, 0x0004_0002, 0, 0, 65_535, link.into()];
    let mut bytes = header.map(u32::to_le_bytes).concat();
    for (at, packet) in packets {
        let length = u32::try_from(packet.len()).unwrap();
        let seconds = u32::try_from(at.as_secs()).unwrap();
        let head = [seconds, at.subsec_micros(), length, length];
        bytes.extend(head.map(u32::to_le_bytes).concat());
        bytes.extend_from_slice(packet);
    }
    bytes
}

fn read(bytes: Vec<u8>) -> Vec<CaptureEvent> {
    Capture::from_reader(Box::new(Cursor::new(bytes))).unwrap().map(Result::unwrap).collect()
}

fn numbered(number: i32) -> Frame {
    Frame::new(CommandCode::UI_SET_GAUGE_VALUE).with_selector(number)
}

fn bytes(numbers: std::ops::Range<i32>) -> Vec<u8> {
    numbers.flat_map(|number| numbered(number).encode()).collect()
}

fn numbers(events: &[CaptureEvent]) -> Vec<i32> {
    let number = |event: &CaptureEvent| match &event.kind {
        EventKind::Message { message, .. } => Some(message.frame.selector()),
        _ => None,
    };
    events.iter().filter_map(number).collect()
}

fn ip(number: i32) -> Vec<u8> {
    let place = u32::try_from(128 * number).unwrap();
    packet(Side::Client, 53_717, 1 + place, &bytes(number..number + 1))
}

fn open(bytes: Vec<u8>) -> Capture {
    Capture::from_reader(Box::new(Cursor::new(bytes))).unwrap()
}

/// The numbers of the frames, their times in µs, and what was skipped.
fn found(bytes: Vec<u8>) -> (Vec<i32>, Vec<u128>, Unreadable) {
    let mut capture = open(bytes);
    let events: Vec<_> = capture.by_ref().map(Result::unwrap).collect();
    let is_message = |event: &&CaptureEvent| matches!(event.kind, EventKind::Message { .. });
    let times = events.iter().filter(is_message).map(|event| event.at.as_micros()).collect();
    (numbers(&events), times, capture.unreadable())
}

fn skipped(blocks: u64, options: u64, fragments: u64) -> Unreadable {
    Unreadable { blocks, options, fragments }
}

#[test]
fn packets_are_taken_once_and_in_order_however_they_come() {
    let all = bytes(0..6);
    // The numbers wrap within.
    let number =
        |start: usize| u32::MAX.wrapping_sub(99).wrapping_add(u32::try_from(start).unwrap());
    let at = |start: usize, end: usize| {
        packet(Side::Instrument, 53_717, number(start), &all[start..end])
    };
    let packets = [
        packet(Side::Client, 53_717, 5, &[]),
        packet(Side::Instrument, 53_717, number(0).wrapping_sub(1), &[]),
        at(0, 50),
        at(300, 400), // too early
        at(50, 200),
        at(0, 200),   // again
        at(150, 310), // overlaps both directions
        at(400, 768),
    ];
    let events = read(file(RAW_IP, &packets));
    assert_eq!(numbers(&events), [0, 1, 2, 3, 4, 5]);
    assert!(events.iter().all(|event| !matches!(event.kind, EventKind::Hole { .. })));
}

#[test]
fn missing_packets_are_a_hole_and_reading_goes_on_after_it() {
    let all = bytes(0..4);
    let packets = [
        packet(Side::Client, 53_717, 5, &[]),
        packet(Side::Instrument, 53_717, 99, &[]),
        packet(Side::Instrument, 53_717, 100, &all[..100]),
        packet(Side::Instrument, 53_717, 100 + 300, &all[300..]),
    ];
    let events = read(file(RAW_IP, &packets));
    assert_eq!(numbers(&events), [3]);
    let holes = events.iter().filter(|event| event.kind == EventKind::Hole { bytes: 200 });
    assert_eq!(holes.count(), 1, "{events:?}");
}

#[test]
fn every_link_type_that_tcpdump_writes_on_a_host_is_read() {
    let ip = packet(Side::Client, 53_717, 1, &bytes(0..1));
    let before = |front: &[u8]| [front, &ip].concat();
    let ethernet = [&[2; 12][..], &[0x08, 0x00]].concat();
    let vlan = [&[2; 12][..], &[0x81, 0x00, 0, 5, 0x08, 0x00]].concat();
    for (link, bytes) in [
        (RAW_IP, ip.clone()),
        (IPV4, ip.clone()),
        (ETHERNET, before(&ethernet)),
        (ETHERNET, before(&vlan)),
        (NULL, before(&[2, 0, 0, 0])),
        (LINUX_SLL, before(&[0; 16])),
        (LINUX_SLL2, before(&[0; 20])),
    ] {
        assert_eq!(numbers(&read(file(link, &[bytes]))), [0], "{link}");
    }
    let bytes = file(220, &[ip]);
    let capture = Capture::from_reader(Box::new(Cursor::new(bytes))).unwrap();
    let errors: Vec<_> = capture.collect();
    assert!(matches!(errors[..], [Err(CaptureError::LinkType { .. })]), "{errors:?}");
}

#[test]
fn a_connection_is_known_by_its_port_or_by_what_comes_first() {
    let header = ImageHeader { size: 8, width: 2, height: 2, ..ImageHeader::default() };
    let image = [&header.encode()[..], &[1; 8]].concat();
    for (port, from, payload, expected) in [
        (53_717, Side::Client, bytes(0..1), Some(Port::Control)),
        (53_718, Side::Instrument, image.clone(), Some(Port::Live)),
        (53_719, Side::Instrument, image.clone(), Some(Port::Stack)),
        (7_000, Side::Client, bytes(0..1), Some(Port::Control)),
        (7_000, Side::Instrument, bytes(0..1), Some(Port::Control)),
        (7_000, Side::Instrument, image, Some(Port::Live)),
        (7_000, Side::Client, b"GET / HTTP/1.1".to_vec(), None),
    ] {
        let packets = file(RAW_IP, &[packet(from, port, 1, &payload)]);
        let mut capture = Capture::from_reader(Box::new(Cursor::new(packets))).unwrap();
        let first = capture.next().map(|first| first.unwrap().connection);
        assert_eq!(first.map(|connection| connection.port), expected);
        assert_eq!(first.map(|connection| connection.instrument.port()), expected.map(|_| port));
        assert_eq!(capture.others(), u64::from(expected.is_none()));
    }
}

#[test]
fn a_connection_on_the_ports_of_an_old_one_is_another() {
    let packets = [
        packet(Side::Client, 53_717, 5, &[]),
        packet(Side::Client, 53_717, 6, &bytes(0..1)),
        packet(Side::Client, 53_717, 9_000, &[]),
        packet(Side::Client, 53_717, 9_001, &bytes(1..2)),
    ];
    let events = read(file(RAW_IP, &packets));
    let connections: Vec<_> = events
        .iter()
        .filter(|event| event.kind == EventKind::Opened)
        .map(|event| event.connection.number)
        .collect();
    assert_eq!((connections, numbers(&events)), (vec![1, 2], vec![0, 1]));
}

/// A packet of the instrument with these flags.
fn flagged(flags: &str, number: u32, payload: &[u8]) -> Vec<u8> {
    let (source, target) = (INSTRUMENT, CLIENT);
    let mut tcp = PacketBuilder::ipv4(source.0, target.0, 64).tcp(source.1, target.1, number, 1000);
    for flag in flags.chars() {
        tcp = match flag {
            'f' => tcp.fin(),
            'r' => tcp.rst(),
            's' => tcp.syn(),
            _ => tcp.ack(1),
        };
    }
    let mut bytes = Vec::new();
    tcp.write(&mut bytes, payload).unwrap();
    bytes
}

/// Cut off in the file, as with a snapshot length.
fn cut(mut packet: Vec<u8>, bytes: usize) -> Vec<u8> {
    packet.truncate(packet.len() - bytes);
    packet
}

fn holes(events: &[CaptureEvent]) -> Vec<u64> {
    let hole = |event: &CaptureEvent| match event.kind {
        EventKind::Hole { bytes } => Some(bytes),
        _ => None,
    };
    events.iter().filter_map(hole).collect()
}

fn opened(events: &[CaptureEvent]) -> usize {
    events.iter().filter(|event| event.kind == EventKind::Opened).count()
}

#[test]
fn an_end_waits_for_earlier_bytes_or_reports_them_as_missing() {
    let all = bytes(0..2);
    let early_end = [flagged("sa", 99, &[]), flagged("fa", 356, &[]), flagged("a", 100, &all)];
    let events = read(file(RAW_IP, &early_end));
    assert_eq!((numbers(&events), holes(&events)), (vec![0, 1], vec![]));
    assert_eq!(events.last().unwrap().kind, EventKind::Finished);
    let missing = [flagged("sa", 99, &[]), flagged("a", 100, &all[..128]), flagged("fa", 356, &[])];
    let events = read(file(RAW_IP, &missing));
    assert_eq!((numbers(&events), holes(&events)), (vec![0], vec![128]));
}

#[test]
fn a_truncated_packet_leaves_one_hole_even_if_it_is_repeated() {
    let all = bytes(0..5);
    let part = |range: std::ops::Range<usize>| {
        flagged("a", 100 + u32::try_from(range.start).unwrap(), &all[range])
    };
    let packets = [
        flagged("sa", 99, &[]),
        cut(part(0..200), 100),
        cut(part(0..200), 100),
        cut(part(300..400), 50), // early
        part(200..300),
        part(400..640),
    ];
    let events = read(file(RAW_IP, &packets));
    assert_eq!((numbers(&events), holes(&events)), (vec![4], vec![100, 50]));
}

#[test]
fn repeated_refused_and_late_packets_open_no_new_connection() {
    let syn = packet(Side::Client, 53_717, 5, &[]);
    let again = [syn.clone(), syn.clone(), flagged("sa", 9, &[]), flagged("a", 10, &bytes(0..1))];
    assert_eq!(opened(&read(file(RAW_IP, &again))), 1);
    let refused = [syn.clone(), flagged("ra", 9, &[]), syn.clone(), flagged("ra", 9, &[])];
    assert_eq!(opened(&read(file(RAW_IP, &refused))), 0);
    let over = [
        syn,
        flagged("sa", 9, &[]),
        flagged("ra", 10, &[]),
        flagged("a", 10, &bytes(0..1)),
        flagged("a", 138, &bytes(0..1)),
    ];
    let events = read(file(RAW_IP, &over));
    assert_eq!((opened(&events), numbers(&events)), (1, vec![]));
}

#[test]
fn a_length_of_0_from_segmentation_offload_means_all_bytes() {
    let mut packet = packet(Side::Client, 53_717, 1, &bytes(0..1));
    packet[2..4].fill(0);
    let events = read(file(RAW_IP, &[packet]));
    assert_eq!((numbers(&events), holes(&events)), (vec![0], vec![]));
}

#[test]
fn long_noise_is_reported_before_the_next_frame() {
    let mut packets = vec![flagged("sa", 99, &[])];
    packets.extend((0..100).map(|n| flagged("a", 100 + n * 10_000, &[7; 10_000])));
    packets.push(flagged("a", 1_000_100, &bytes(3..4)));
    let events = read(file(RAW_IP, &packets));
    let noise = events.iter().map(|event| match &event.kind {
        EventKind::Noise { bytes } | EventKind::Message { noise: bytes, .. } => bytes.len(),
        _ => 0,
    });
    let noise: Vec<_> = noise.collect();
    assert_eq!(noise.iter().sum::<usize>(), 1_000_000);
    assert!(noise.iter().all(|bytes| *bytes < 100_000), "{noise:?}");
    assert_eq!(numbers(&events), [3]);
}

/// A recording of ours: a few frames both directions, an image, the end.
fn recording() -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut file = PcapNg::begin(&mut bytes, true, "a test").unwrap();
    let header = ImageHeader { size: 8, width: 2, height: 2, ..ImageHeader::default() };
    let image = [&header.encode()[..], &[1; 8]].concat();
    for (port, from, payload) in [
        (Port::Control, Side::Client, self::bytes(0..2)),
        (Port::Control, Side::Instrument, self::bytes(2..4)),
        (Port::Live, Side::Instrument, image),
    ] {
        let packet = packet(from, INSTRUMENT.1 + port.steps(), 1, &payload);
        let (headers, payload) = packet.split_at(40);
        let payload = Bytes::copy_from_slice(payload);
        file.packet(port, Duration::from_secs(1), headers, &payload, "a comment").unwrap();
    }
    file.flush().unwrap();
    bytes
}

/// Changes a few bytes, and cuts the end off.
fn spoiled(good: &[u8], from: usize, random: &mut fastrand::Rng) -> Vec<u8> {
    let mut bytes = good.to_vec();
    for _ in 0..random.usize(1..8) {
        let at = random.usize(from..bytes.len());
        bytes[at] = random.u8(..);
    }
    bytes.truncate(random.usize(from..=bytes.len()));
    bytes
}

#[test]
fn no_file_makes_the_reader_panic_or_run_forever() {
    let ethernet = [&[2; 12][..], &[0x08, 0x00]].concat();
    let packet = [&ethernet[..], &packet(Side::Client, 53_717, 1, &bytes(0..3))].concat();
    let mut random = fastrand::Rng::with_seed(8);
    for good in [file(ETHERNET, &[packet]), recording()] {
        assert!(read(good.clone()).len() > 2);
        for _ in 0..1_000 {
            let bytes = spoiled(&good, 24, &mut random);
            if let Ok(capture) = Capture::from_reader(Box::new(Cursor::new(bytes))) {
                assert!(capture.count() < 100);
            }
        }
    }
}

#[test]
fn no_packets_make_the_reader_panic_or_run_forever() {
    let header = ImageHeader { size: 8, width: 2, height: 2, ..ImageHeader::default() };
    let image = [&header.encode()[..], &[1; 8]].concat();
    let mut random = fastrand::Rng::with_seed(9);
    for n in 0..40_000 {
        let (mut streams, mut messages) = (Streams::default(), Messages::default());
        let mut packets = Packets::default();
        let kinds = [(Port::Control, true), (Port::Live, true), (Port::Live, false)];
        let port = kinds.get(n % 4).copied();
        for (from, number, payload) in [
            (Side::Client, 1, bytes(0..2)),
            (Side::Instrument, 1, bytes(2..4)),
            (Side::Instrument, 257, image.clone()),
        ] {
            let spoiled = spoiled(&packet(from, 53_717, number, &payload), 1, &mut random);
            let comment = port.map(|_| "pixels left out, crc32 000000ab");
            let raw = RawPacket {
                at: Some(Duration::from_secs(1)),
                interface: 0,
                link: RAW_IP,
                data: &spoiled,
                length: spoiled.len(),
                check: 0,
                port,
                comment,
            };
            packets.take(raw, &mut |packet| {
                streams.take(packet, &mut |event| messages.take(event));
            });
        }
        streams.end(&mut |event| messages.take(event));
        assert!(std::iter::from_fn(|| messages.next()).count() < 100);
    }
}
