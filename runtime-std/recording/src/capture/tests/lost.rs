//! Packets that were not captured: which bytes become a hole, when, and the times of the bytes after it.

use super::*;

/// A captured packet.
struct Said {
    at: Duration,
    from: Side,
    number: u32,
    acknowledges: u32,
    payload: Vec<u8>,
    ends: bool,
}

fn said(at: u64, from: Side, number: u32, acknowledges: u32, payload: &[u8]) -> Said {
    let (at, payload) = (Duration::from_millis(at), payload.to_vec());
    Said { at, from, number, acknowledges, payload, ends: false }
}

/// A capture that begins with the packets that open a connection. The first byte of each side has the
/// number 1.
fn capture(all: &[Said]) -> Vec<u8> {
    let at = Duration::from_secs(1);
    let mut packets = vec![(at, packet(Side::Client, 53_717, 0, &[])), (at, flagged("sa", 0, &[]))];
    for Said { at, from, number, acknowledges, payload, ends } in all {
        let (source, target) = match from {
            Side::Client => (CLIENT, INSTRUMENT),
            Side::Instrument => (INSTRUMENT, CLIENT),
        };
        let tcp = PacketBuilder::ipv4(source.0, target.0, 64)
            .tcp(source.1, target.1, *number, 1000)
            .ack(*acknowledges);
        let tcp = if *ends { tcp.fin() } else { tcp };
        let mut bytes = Vec::new();
        tcp.write(&mut bytes, payload).unwrap();
        packets.push((*at, bytes));
    }
    timed_file(RAW_IP, &packets)
}

/// The messages of the instrument with their times in ms, and the holes with their times.
type Times = Vec<(i32, u128)>;

fn times(events: &[CaptureEvent]) -> (Times, Times) {
    let (mut messages, mut holes) = (Vec::new(), Vec::new());
    for event in events.iter().filter(|event| event.from == Side::Instrument) {
        match &event.kind {
            EventKind::Message { message, .. } => {
                messages.push((message.frame.selector(), event.at.as_millis()));
            }
            EventKind::Hole { bytes } => {
                holes.push((i32::try_from(*bytes).unwrap(), event.at.as_millis()));
            }
            _ => {}
        }
    }
    (messages, holes)
}

/// Queries each second, and their answers 5 ms later. The client acknowledges each answer 1 ms later.
fn session(queries: u32) -> Vec<Said> {
    let mut all = Vec::new();
    for n in 0..queries {
        let (at, place) = (2_000 + 1_000 * u64::from(n), 1 + 128 * n);
        let frame = bytes(n.cast_signed()..n.cast_signed() + 1);
        all.push(said(at, Side::Client, place, place, &frame));
        all.push(said(at + 5, Side::Instrument, place, place + 128, &frame));
        all.push(said(at + 6, Side::Client, place + 128, place + 128, &[]));
    }
    all
}

/// The session without the answer to that query.
fn without(lost: usize, mut all: Vec<Said>) -> Vec<Said> {
    all.remove(3 * lost + 1);
    all
}

#[test]
fn an_acknowledged_hole_is_given_up_at_once() {
    let events = read(capture(&without(1, session(600))));
    let (messages, found) = times(&events);
    assert_eq!(found, [(128, 3_006)], "the time of the acknowledgment");
    let expected = (0..600_u16).filter(|n| *n != 1);
    let expected = expected.map(|n| (i32::from(n), 2_005 + 1_000 * u128::from(n)));
    assert_eq!(messages, expected.collect::<Vec<_>>());
    // The hole comes before the next query.
    let hole = events.iter().position(|event| matches!(event.kind, EventKind::Hole { .. }));
    let next = events.iter().position(|event| event.at.as_millis() == 4_000);
    assert!(hole < next, "{hole:?} {next:?}");
}

#[test]
fn an_acknowledgment_after_later_bytes_ends_the_wait() {
    // The client acknowledges the third answer only.
    let mut all = session(3);
    all.remove(5);
    let (messages, found) = times(&read(capture(&without(1, all))));
    assert_eq!(found, [(128, 4_005)], "the later bytes");
    assert_eq!(messages, [(0, 2_005), (2, 4_005)]);
}

#[test]
fn bytes_that_waited_keep_the_time_of_their_packet() {
    let frame = |n| bytes(n..n + 1);
    let all = [
        said(2_000, Side::Instrument, 129, 1, &frame(1)), // early
        said(2_001, Side::Client, 1, 1, &[]),
        said(2_300, Side::Instrument, 1, 1, &frame(0)), // sent again
        said(2_301, Side::Client, 1, 257, &[]),
    ];
    let events = read(capture(&all));
    assert_eq!(times(&events), (vec![(0, 2_300), (1, 2_000)], vec![]));
}

#[test]
fn an_acknowledgment_before_its_bytes_is_no_hole() {
    let mut all = session(3);
    for query in 0..3 {
        all.swap(3 * query + 1, 3 * query + 2);
    }
    let (messages, found) = times(&read(capture(&all)));
    assert_eq!((messages.len(), found), (3, vec![]));
}

#[test]
fn a_wrong_acknowledgment_makes_no_hole() {
    let mut all = session(4);
    all.insert(3, said(2_050, Side::Client, 129, 1_000_000_000, &[]));
    all.insert(9, said(4_050, Side::Client, 385, 3_000_000_000, &[]));
    let (messages, found) = times(&read(capture(&all)));
    assert_eq!((messages.len(), found), (4, vec![]));
}

#[test]
fn the_last_bytes_are_a_hole_if_they_were_acknowledged() {
    let (messages, found) = times(&read(capture(&without(2, session(3)))));
    assert_eq!((messages.len(), found), (2, vec![(128, 4_006)]));
}

#[test]
fn an_end_that_was_not_captured_is_no_hole() {
    let mut all = session(2);
    all.push(said(5_000, Side::Client, 257, 258, &[]));
    let (messages, found) = times(&read(capture(&all)));
    assert_eq!((messages.len(), found), (2, vec![]));
}

#[test]
fn an_acknowledged_end_after_missing_bytes_is_reported() {
    let mut all = without(1, session(2));
    all.push(Said { ends: true, ..said(5_000, Side::Instrument, 257, 257, &[]) });
    all.push(said(5_001, Side::Client, 257, 258, &[]));
    let events = read(capture(&all));
    assert_eq!(holes(&events), [128]);
    let finished = events.iter().find(|event| event.kind == EventKind::Finished).unwrap();
    assert_eq!(finished.at.as_millis(), 5_000);
}

/// A packet of a viewer that has received so many bytes.
fn viewer_has(bytes: u32) -> Vec<u8> {
    let tcp = PacketBuilder::ipv4(CLIENT.0, INSTRUMENT.0, 64);
    let mut packet = Vec::new();
    tcp.tcp(CLIENT.1, 53_718, 1, 1000).ack(1 + bytes).write(&mut packet, &[]).unwrap();
    packet
}

#[test]
fn a_lost_part_of_an_image_costs_this_image_only() {
    let header = ImageHeader { size: 400, width: 20, height: 10, ..ImageHeader::default() };
    let image = |n| {
        let header = ImageHeader { index_start: n, ..header };
        [&header.encode()[..], &[7; 400]].concat()
    };
    let all = [image(0), image(1), image(2)].concat();
    let part = |from: usize, to: usize| {
        packet(Side::Instrument, 53_718, u32::try_from(from).unwrap() + 1, &all[from..to])
    };
    let packets = [part(0, 600), part(800, 1_200), viewer_has(1_200), part(1_200, all.len())];
    let events = read(file(RAW_IP, &packets));
    let images = events.iter().filter_map(|event| match &event.kind {
        EventKind::Image { header, pixels, .. } => Some((header.index_start, pixels.is_some())),
        _ => None,
    });
    assert_eq!(images.collect::<Vec<_>>(), [(0, true), (1, false), (2, true)]);
    assert_eq!(holes(&events), [200]);
}

#[test]
fn a_lost_part_of_an_image_header_is_not_spliced() {
    let header = ImageHeader { size: 400, width: 20, height: 10, ..ImageHeader::default() };
    let all = [&header.encode()[..], &[0; 400], &header.encode()[..], &[0; 400]].concat();
    // From byte 30 of the first header on, a part is not captured.
    let part = |from: usize, to: usize| {
        packet(Side::Instrument, 53_718, u32::try_from(from).unwrap() + 1, &all[from..to])
    };
    let packets =
        [part(0, 30), part(130, all.len()), viewer_has(u32::try_from(all.len()).unwrap())];
    let events = read(file(RAW_IP, &packets));
    let kinds: Vec<_> = events
        .iter()
        .map(|event| match &event.kind {
            EventKind::Image { .. } => "image",
            EventKind::NoImage(_) => "no image",
            EventKind::Rest { .. } => "rest",
            EventKind::Hole { .. } => "hole",
            _ => "other",
        })
        .filter(|kind| *kind != "other")
        .collect();
    assert_eq!(kinds, ["rest", "no image", "hole"]);
}
