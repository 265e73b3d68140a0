//! Files as other programs write them, in all their forms, and files that are broken.

use super::*;

const SECTION: u32 = 0x0A0D_0D0A;
const INTERFACE: u32 = 1;
const OBSOLETE: u32 = 2;
const SIMPLE: u32 = 3;
const ENHANCED: u32 = 6;

/// Builds a pcapng file.
struct Ng {
    big: bool,
    bytes: Vec<u8>,
}

impl Ng {
    fn new(big: bool) -> Self {
        let mut file = Self { big, bytes: Vec::new() };
        file.section();
        file
    }

    fn word(&self, word: u32) -> [u8; 4] {
        if self.big { word.to_be_bytes() } else { word.to_le_bytes() }
    }

    fn half(&self, half: u16) -> [u8; 2] {
        if self.big { half.to_be_bytes() } else { half.to_le_bytes() }
    }

    fn block(&mut self, kind: u32, body: &[u8]) {
        let padding = vec![0; body.len().next_multiple_of(4) - body.len()];
        let length = self.word(u32::try_from(body.len() + padding.len() + 12).unwrap());
        let block = [&self.word(kind)[..], &length, body, &padding, &length].concat();
        self.bytes.extend(block);
    }

    fn section(&mut self) {
        let version = [self.half(1), self.half(0)].concat();
        let body = [&self.word(0x1A2B_3C4D)[..], &version, &[0xFF; 8]].concat();
        self.block(SECTION, &body);
    }

    /// Options without the one that ends them.
    fn options(&self, options: &[(u16, &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (code, value) in options {
            bytes.extend(self.half(*code));
            bytes.extend(self.half(u16::try_from(value.len()).unwrap()));
            bytes.extend_from_slice(value);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        bytes
    }

    fn interface(&mut self, link: u16, snaplen: u32, options: &[(u16, &[u8])]) {
        let options = self.options(options);
        let body = [&self.half(link)[..], &[0; 2], &self.word(snaplen), &options].concat();
        self.block(INTERFACE, &body);
    }

    fn enhanced(&mut self, interface: u32, units: u64, data: &[u8], options: &[u8]) {
        let [high, low] = [units >> 32, units & 0xFFFF_FFFF].map(|it| u32::try_from(it).unwrap());
        let length = u32::try_from(data.len()).unwrap();
        let head = [interface, high, low, length, length].map(|word| self.word(word)).concat();
        let padding = vec![0; data.len().next_multiple_of(4) - data.len()];
        self.block(ENHANCED, &[&head[..], data, &padding, options].concat());
    }
}

/// A pcap file with these words in its header, in either order of bytes, and the frames 0 to 2.
fn pcap(magic: u32, big: bool, header: [u32; 3], rest: [u32; 3], more: usize) -> Vec<u8> {
    let word = |word: u32| if big { word.to_be_bytes() } else { word.to_le_bytes() };
    let version = if big { 0x0002_0004 } else { 0x0004_0002 };
    let [zone, snaplen, link] = header;
    let mut file = [magic, version, zone, 0, snaplen, link].map(word).concat();
    for (n, rest) in (0..).zip(rest) {
        let data = ip(n);
        let length = u32::try_from(data.len()).unwrap();
        file.extend([100, rest, length, length].map(word).concat());
        file.extend(vec![0; more]);
        file.extend(data);
    }
    file
}

#[test]
fn pcap_files_of_every_kind_are_read() {
    let (micro, nano, modified) = (0xA1B2_C3D4, 0xA1B2_3C4D, 0xA1B2_CD34);
    let plain = [0, 65_535, 101];
    for big in [false, true] {
        for (what, file, last) in [
            ("µs", pcap(micro, big, plain, [1, 2, 3], 0), 100_000_003),
            ("ns", pcap(nano, big, plain, [1_000, 2_000, 3_000], 0), 100_000_003),
            ("modified", pcap(modified, big, plain, [1, 2, 3], 8), 100_000_003),
            ("more than 10⁶ µs", pcap(micro, big, plain, [1, 2, 2_500_000], 0), 102_500_000),
            ("snaplen 0", pcap(micro, big, [0, 0, 101], [1, 2, 3], 0), 100_000_003),
            ("snaplen too small", pcap(micro, big, [0, 20, 101], [1, 2, 3], 0), 100_000_003),
            ("a time zone", pcap(micro, big, [3_600, 0, 101], [1, 2, 3], 0), 100_000_003),
            ("FCS bits", pcap(micro, big, [0, 0, 0x2400_0065], [1, 2, 3], 0), 100_000_003),
        ] {
            let (numbers, times, skipped) = found(file);
            assert_eq!((&numbers[..], times[2]), (&[0, 1, 2][..], last), "{what}, {big}");
            assert!(skipped.is_empty(), "{what}");
        }
    }
}

#[test]
fn old_pcap_files_have_their_lengths_in_another_order() {
    let mut file = file(RAW_IP, &[ip(0)]);
    file[6] = 3;
    let length = file.len() - 40;
    file[24 + 8..24 + 12].copy_from_slice(&200_u32.to_le_bytes());
    assert_eq!(file[24 + 12..24 + 16], u32::try_from(length).unwrap().to_le_bytes());
    assert_eq!(found(file).0, [0]);
}

#[test]
fn a_broken_pcap_record_is_skipped_and_counted() {
    let whole = file(RAW_IP, &[ip(0), ip(1), ip(2), ip(3)]);
    let record = 16 + ip(0).len();
    for captured in [0x7FFF_FFFF_u32, 300_000, 0xFFFF_FFFF] {
        let mut broken = whole.clone();
        let at = 24 + record + 8;
        broken[at..at + 4].copy_from_slice(&captured.to_le_bytes());
        let (numbers, _, unreadable) = found(broken);
        assert_eq!((numbers, unreadable), (vec![0, 2, 3], skipped(1, 0, 0)), "{captured}");
    }
    let cut = open(whole[..whole.len() - 5].to_vec());
    assert!(matches!(cut.last(), Some(Err(CaptureError::Cut))));
}

#[test]
fn zeros_are_no_record_to_find_others_by() {
    // A length that is too short by 76: reading goes on in the zeros of the buffer of the frame.
    let at = |n: u64| Duration::from_secs(1_700_000_000 + n);
    let mut broken =
        timed_file(RAW_IP, &[(at(0), ip(0)), (at(1), ip(1)), (at(2), ip(2)), (at(3), ip(3))]);
    let captured = 24 + 16 + ip(0).len() + 8;
    let short = u32::try_from(ip(1).len() - 76).unwrap();
    broken[captured..captured + 4].copy_from_slice(&short.to_le_bytes());
    let (numbers, _, unreadable) = found(broken);
    assert_eq!((numbers, unreadable), (vec![0, 2, 3], skipped(1, 0, 0)));
}

#[test]
fn pcapng_sections_of_both_orders_are_read() {
    let mut all = Vec::new();
    for (n, big) in [(0, false), (1, true), (2, false)] {
        let mut file = Ng::new(big);
        file.interface(101, 0, &[(9, &[3])]);
        file.enhanced(0, 5_000 + u64::try_from(n).unwrap(), &ip(n), &[]);
        all.extend(file.bytes);
    }
    let (numbers, times, unreadable) = found(all);
    assert_eq!(numbers, [0, 1, 2]);
    assert_eq!((times, unreadable.is_empty()), (vec![5_000_000, 5_001_000, 5_002_000], true));
}

#[test]
fn times_have_the_unit_and_the_offset_of_their_interface() {
    for big in [false, true] {
        let mut file = Ng::new(big);
        let offset = |seconds: i64| {
            if big { seconds.to_be_bytes() } else { seconds.to_le_bytes() }
        };
        file.interface(101, 0, &[(9, &[9]), (14, &offset(50))]);
        file.interface(101, 0, &[(9, &[0x8A]), (14, &offset(-2))]);
        file.interface(101, 0, &[]);
        file.enhanced(0, 1_000_000_123, &ip(0), &[]);
        file.enhanced(1, 54 * 1024 + 512, &ip(1), &[]);
        file.enhanced(2, 53_000_000, &ip(2), &[]);
        let (numbers, times, _) = found(file.bytes);
        assert_eq!((numbers, times), (vec![0, 1, 2], vec![51_000_000, 52_500_000, 53_000_000]));
    }
}

#[test]
fn simple_and_obsolete_packet_blocks_are_read() {
    for big in [false, true] {
        let mut file = Ng::new(big);
        file.interface(101, 65_535, &[]);
        let length = |file: &Ng, data: &[u8]| file.word(u32::try_from(data.len()).unwrap());
        let data = ip(0);
        let head = [0, 7_000_000].map(|word| file.word(word)).concat();
        let interface = [file.half(0), file.half(0xFFFF)].concat();
        let lengths = [length(&file, &data), length(&file, &data)].concat();
        let options = file.options(&[(2, &[0; 4])]);
        file.block(OBSOLETE, &[&interface[..], &head, &lengths, &data, &options].concat());
        let data = ip(1);
        file.block(SIMPLE, &[&length(&file, &data)[..], &data].concat());
        let (numbers, times, unreadable) = found(file.bytes);
        assert_eq!((numbers, times), (vec![0, 1], vec![7_000_000; 2]));
        assert!(unreadable.is_empty());
    }
}

/// A Simple Packet Block.
fn simple(file: &mut Ng, data: &[u8]) {
    let length = file.word(u32::try_from(data.len()).unwrap());
    file.block(SIMPLE, &[&length[..], data].concat());
}

#[test]
fn a_packet_before_the_first_time_gets_that_time() {
    let mut ng = Ng::new(false);
    ng.interface(101, 65_535, &[]);
    simple(&mut ng, &ip(0));
    simple(&mut ng, &ip(1));
    let without_times = ng.bytes.clone();
    ng.enhanced(0, 1_700_000_000_000_000, &ip(2), &[]);
    let mut capture = open(ng.bytes);
    let events: Vec<_> = capture.by_ref().map(Result::unwrap).collect();
    assert_eq!((numbers(&events), capture.packets()), (vec![0, 1, 2], 3));
    assert!(events.iter().all(|event| event.at.as_secs() == 1_700_000_000), "{events:?}");
    let is_step = |event: &CaptureEvent| matches!(event.kind, EventKind::ClockStep { .. });
    assert!(!events.iter().any(is_step), "{events:?}");
    assert_eq!(found(without_times).1, [0, 0], "no packet has a time");
    // Packets wait in a room that is bounded.
    let mut ng = Ng::new(false);
    ng.interface(101, 65_535, &[]);
    (0..20_000).for_each(|number| simple(&mut ng, &ip(number)));
    let mut capture = open(ng.bytes);
    assert!(capture.next().is_some() && !capture.is_at_end());
    assert_eq!(numbers(&capture.map(Result::unwrap).collect::<Vec<_>>()).len(), 20_000);
}

#[test]
fn interfaces_with_clocks_of_their_own_show_no_step() {
    let mut ng = Ng::new(false);
    ng.interface(101, 65_535, &[]);
    ng.interface(101, 65_535, &[]);
    let begin = 1_700_000_000_000_000;
    for (interface, at, number) in
        [(0, begin, 0), (1, 7, 1), (0, begin + 10, 2), (1, 17, 3), (0, begin + 20, 4)]
    {
        ng.enhanced(interface, at, &ip(number), &[]);
    }
    simple(&mut ng, &ip(5));
    let (numbers, times, _) = found(ng.bytes.clone());
    let times: Vec<_> = times.into_iter().map(|at| at - u128::from(begin)).collect();
    assert_eq!((numbers, times), ((0..6).collect(), vec![0, 0, 10, 10, 20, 20]));
    let is_step = |event: &CaptureEvent| matches!(event.kind, EventKind::ClockStep { .. });
    assert!(!read(ng.bytes).iter().any(is_step));
}

#[test]
fn names_and_comments_may_be_latin_1_and_options_may_not_end() {
    let mut file = Ng::new(false);
    file.interface(101, 0, &[(2, b"Mikroskop \xFC"), (3, b"\xFF\xFE")]);
    let comment = file.options(&[(1, b"Gr\xFC\xDFe")]);
    file.enhanced(0, 1, &ip(0), &comment);
    let (numbers, _, unreadable) = found(file.bytes);
    assert_eq!((numbers, unreadable.is_empty()), (vec![0], true));
}

#[test]
fn a_broken_option_is_skipped_and_counted() {
    let mut file = Ng::new(false);
    // The length of its first option is longer than the block.
    let body = [&file.half(101)[..], &[0; 6], &[2, 0, 0xFF, 0xFF], b"name"].concat();
    file.block(INTERFACE, &body);
    file.interface(101, 0, &[(14, &[1, 2, 3])]);
    file.enhanced(0, 1, &ip(0), &[1, 0, 0xFF, 0x7F, 1, 2, 3, 4]);
    file.enhanced(1, 1, &ip(1), &[1, 0, 4, 0]);
    let (numbers, _, unreadable) = found(file.bytes);
    assert_eq!((numbers, unreadable), (vec![0, 1], skipped(0, 4, 0)));
}

#[test]
fn a_broken_block_is_skipped_and_counted() {
    let mut before = Ng::new(false);
    before.interface(101, 0, &[]);
    before.enhanced(0, 1, &ip(0), &[]);
    let at = before.bytes.len();
    let mut broken = Ng { big: false, bytes: Vec::new() };
    broken.enhanced(0, 2, &ip(1), &[]);
    let mut after = Ng { big: false, bytes: Vec::new() };
    after.enhanced(0, 3, &ip(2), &[]);
    after.block(0x7777, &[1; 20]);
    after.enhanced(0, 4, &ip(3), &[]);
    let put = |place: usize, word: u32| {
        let mut bytes = broken.bytes.clone();
        let place = if place == usize::MAX { bytes.len() - 4 } else { place };
        bytes[place..place + 4].copy_from_slice(&word.to_le_bytes());
        [&before.bytes[..], &bytes, &after.bytes].concat()
    };
    let length = u32::try_from(broken.bytes.len()).unwrap();
    for (what, file, expected) in [
        ("no interface", put(8, 9), vec![0, 2, 3]),
        ("captured too long", put(20, length), vec![0, 2, 3]),
        ("captured far too long", put(20, u32::MAX), vec![0, 2, 3]),
        ("length 0", put(4, 0), vec![0, 2, 3]),
        ("length not of words", put(4, length + 1), vec![0, 2, 3]),
        ("length too long", put(4, length + 8), vec![0, 2, 3]),
        ("length far too long", put(4, 0x7FFF_FFFC), vec![0, 2, 3]),
        ("length beyond the file", put(4, 1_000_000), vec![0, 2, 3]),
        ("length too short", put(4, length - 8), vec![0, 2, 3]),
        ("second length too long", put(usize::MAX, length + 8), vec![0, 1, 2, 3]),
    ] {
        let (numbers, _, unreadable) = found(file);
        assert_eq!((numbers, unreadable), (expected, skipped(1, 0, 0)), "{what}");
    }
    assert_eq!(before.bytes.len(), at);
}

#[test]
fn a_broken_interface_keeps_the_numbers_of_the_others() {
    let mut file = Ng::new(false);
    file.block(INTERFACE, &[101, 0, 0, 0]);
    file.interface(101, 0, &[]);
    file.enhanced(1, 1, &ip(0), &[]);
    let (numbers, _, unreadable) = found(file.bytes);
    assert_eq!((numbers, unreadable), (vec![0], skipped(1, 0, 0)));
}

#[test]
fn a_file_cut_at_any_byte_is_read_up_to_there() {
    let mut file = Ng::new(true);
    file.interface(101, 0, &[]);
    file.enhanced(0, 1, &ip(0), &[]);
    let first = file.bytes.len();
    file.enhanced(0, 2, &ip(1), &[]);
    for length in first + 1..file.bytes.len() {
        let all: Vec<_> = open(file.bytes[..length].to_vec()).collect();
        assert!(matches!(all.last(), Some(Err(CaptureError::Cut))), "{length}");
        let events: Vec<_> = all.into_iter().filter_map(Result::ok).collect();
        assert_eq!(numbers(&events), [0], "{length}");
    }
}
