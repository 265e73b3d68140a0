//! What an anonymized recording keeps, and what stands in the place of the rest: addresses, texts,
//! payloads, bytes of no frame, the date. Only this file decides that.
//!
//! `recorder/anonymizer.rs` applies it to the connections of a recording.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::comments::{self, ENDED_HERE, REFUSED};
use flamingo_protocol_core::{
    CommandCode, Flags, Frame,
    wire::{Assembler, BUFFER_LEN, FRAME_LEN, Piece},
};

/// Stands in the place of each byte that is not kept.
pub(super) const FILLER: u8 = b'x';
/// The description at the beginning of an anonymized file.
pub(super) const ABOUT: &str = "anonymized: addresses, texts, payloads, pixels and the date are not \
                                those of the recording";
/// The time of the first event: 1970-01-02, so that an earlier time exists as well. An event more than a day
/// before the first one would be before 1970, where no time exists: it is at the beginning of 1970.
const BEGINNING: Duration = Duration::from_secs(24 * 60 * 60);
/// IPv4 addresses for documentation: 192.0.2.1 to 192.0.2.254. Further hosts are IPv6.
const MOST_IPV4: u32 = 254;
/// Bytes of a frame before its buffer.
const BEFORE_BUFFER: usize = 52;
/// What a laser answers if it declines. The client decides by this text.
const DECLINED: &str = "getLevel error";
/// The longest number, in bytes, that is kept as text.
const LONGEST_NUMBER: usize = 20;

/// Moves times, so that the first event of a recording is at [`BEGINNING`].
#[derive(Debug, Default)]
pub(super) struct Times {
    first: Option<Duration>,
}

impl Times {
    pub(super) fn moved(&mut self, at: Duration) -> Duration {
        let first = *self.first.get_or_insert(at);
        match at.checked_sub(first) {
            Some(after) => BEGINNING.saturating_add(after),
            None => BEGINNING.saturating_sub(first.saturating_sub(at)),
        }
    }
}

/// The addresses that stand for hosts: one for each host, in the order in which the hosts appear.
#[derive(Debug, Default)]
pub(super) struct Hosts {
    known: HashMap<IpAddr, IpAddr>,
    /// How many hosts have an address of IPv4, and of IPv6.
    counts: [u32; 2],
}

impl Hosts {
    /// The address that stands for that one. The port stays.
    pub(super) fn address(&mut self, of: SocketAddr) -> SocketAddr {
        SocketAddr::new(self.host(of.ip()), of.port())
    }

    fn host(&mut self, ip: IpAddr) -> IpAddr {
        let ip = ip.to_canonical();
        let Self { known, counts } = self;
        *known.entry(ip).or_insert_with(|| {
            let of_v6 = usize::from(ip.is_ipv6() || counts[0] == MOST_IPV4);
            counts[of_v6] += 1;
            let [a, b, c, d] = counts[of_v6].to_be_bytes();
            if of_v6 == 0 {
                return Ipv4Addr::new(192, 0, 2, d).into();
            }
            let [high, low] = [[a, b], [c, d]].map(u16::from_be_bytes);
            Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, high, low).into()
        })
    }
}

/// What is kept of a note about the end of a connection: who has ended it.
pub(super) fn note_of_end(note: &str) -> String {
    match comments::note_of_end(note) {
        Some((note, _)) if note.starts_with(REFUSED) => format!("{REFUSED}the reason is left out"),
        Some((_, true)) => ENDED_HERE.to_owned(),
        _ => String::new(),
    }
}

/// One direction of a control connection. Frames stay, without their texts; of all other bytes only the
/// number stays.
#[derive(Debug)]
pub(super) struct StreamScrubber {
    assembler: Assembler,
    /// The bytes that may become a frame.
    held: Vec<u8>,
}

impl StreamScrubber {
    pub(super) const fn new(assembler: Assembler) -> Self {
        Self { assembler, held: Vec::new() }
    }

    /// Takes bytes. Returns the bytes that stand for them, and for earlier bytes that were held.
    pub(super) fn push(&mut self, mut bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.held.len() + bytes.len());
        loop {
            let (consumed, piece) = self.assembler.push(bytes);
            let (taken, rest) = bytes.split_at(consumed);
            bytes = rest;
            match piece {
                Some(Piece::Payload { .. }) => out.resize(out.len() + consumed, FILLER),
                Some(Piece::Frame { frame, .. }) => {
                    self.held.extend_from_slice(taken);
                    let noise = self.held.len().saturating_sub(FRAME_LEN);
                    out.resize(out.len() + noise, FILLER);
                    out.extend(without_text(&self.held[noise..], &frame));
                    self.held.clear();
                }
                None => {
                    self.held.extend_from_slice(taken);
                    let noise = self.held.len().saturating_sub(self.assembler.held());
                    out.resize(out.len() + noise, FILLER);
                    self.held.drain(..noise);
                    return out;
                }
            }
        }
    }

    /// The bytes that are held will not become a frame. Returns what stands for them.
    pub(super) fn give_up(&mut self, fresh: Assembler) -> Vec<u8> {
        self.assembler = fresh;
        vec![FILLER; std::mem::take(&mut self.held).len()]
    }
}

/// The bytes of a frame. Its buffer is replaced, unless it has only numbers.
fn without_text(raw: &[u8], frame: &Frame) -> Vec<u8> {
    let mut raw = raw.to_vec();
    if !has_only_numbers(frame)
        && let Some(buffer) = raw.get_mut(BEFORE_BUFFER..BEFORE_BUFFER + BUFFER_LEN)
    {
        for byte in buffer.iter_mut().filter(|byte| **byte != 0) {
            *byte = FILLER;
        }
    }
    raw
}

/// Whether the buffer has only what the protocol says about this frame: positions, or the level of a
/// laser.
fn has_only_numbers(frame: &Frame) -> bool {
    let text = frame.buffer_bytes();
    let is_padded = frame.buffer.iter().skip(text.len()).all(|byte| *byte == 0);
    let Ok(text) = std::str::from_utf8(text) else { return false };
    let is_level =
        matches!(frame.code, CommandCode::LASER_LEVEL_SET | CommandCode::LASER_LEVEL_GET);
    let is_kept = if is_level {
        is_number(text) || text == DECLINED
    } else if frame.flags.contains(Flags::STAGE_POSITIONS_IN_BUFFER) {
        text.lines().all(|line| {
            let position = line.split_once('=');
            position
                .is_some_and(|(axis, at)| matches!(axis, "1" | "2" | "3" | "4") && is_number(at))
        })
    } else {
        false
    };
    is_kept && is_padded
}

/// Whether this is one decimal number. An address has more than one point.
fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let only_digits = digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    only_digits && text.len() <= LONGEST_NUMBER && digits.parse::<f64>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::super::comments::assemblers;
    use super::*;

    fn scrubbed(bytes: &[u8], chunk: usize) -> Vec<u8> {
        let [assembler, fresh] = assemblers();
        let mut scrubber = StreamScrubber::new(assembler);
        let mut out: Vec<u8> = bytes.chunks(chunk).flat_map(|chunk| scrubber.push(chunk)).collect();
        out.extend(scrubber.give_up(fresh));
        out
    }

    fn buffer_of(mut frame: Frame, text: &str) -> String {
        frame.set_text(text).unwrap();
        let raw = scrubbed(&frame.encode(), FRAME_LEN);
        let frame = Frame::decode(&raw).unwrap();
        frame.text().unwrap().to_owned()
    }

    #[test]
    fn a_scrubbed_stream_has_the_same_frames_and_lengths() {
        let mut frame = Frame::command(CommandCode(0x7777)).with_selector(-5).with_payload_len(9);
        frame.set_text("secret").unwrap();
        let bytes =
            [b"noise" as &[u8], &frame.encode(), b"payload!!", &frame.encode()[..70]].concat();
        let mut kept = frame;
        kept.set_text("xxxxxx").unwrap();
        let expected = [b"xxxxx" as &[u8], &kept.encode(), b"xxxxxxxxx", &[b'x'; 70]].concat();
        for chunk in [1, 3, 50, 128, 1000] {
            assert_eq!(scrubbed(&bytes, chunk), expected, "{chunk}");
        }
    }

    #[test]
    fn positions_and_levels_stay_but_no_other_text() {
        let laser = Frame::new(CommandCode::LASER_LEVEL_GET);
        let other = Frame::new(CommandCode::STORAGE_PATH_SET);
        let mut pushed = Frame::new(CommandCode::STAGE_POSITION_GET);
        pushed.flags = Flags::STAGE_POSITIONS_IN_BUFFER;
        for (frame, text) in [
            (laser, "11.49"),
            (laser, "getLevel error"),
            (pushed, "1=2.5\n2=-3\n3=0\n"),
            (pushed, ""),
        ] {
            assert_eq!(buffer_of(frame, text), text);
        }
        for (frame, text) in [
            (laser, "192.168.1.7"),
            (laser, "getLevel error on alice"),
            (laser, "inf"),
            (pushed, "1=2\nalice=3"),
            (pushed, "1=10.0.0.7"),
            (other, "11.49"),
        ] {
            assert_eq!(buffer_of(frame, text), "x".repeat(text.len()), "{text}");
        }
    }

    #[test]
    fn a_note_tells_who_ended_a_connection_and_not_why() {
        assert_eq!(note_of_end("refused: GET /alice"), "refused: the reason is left out");
        assert_eq!(note_of_end(ENDED_HERE), ENDED_HERE);
        assert_eq!(note_of_end("in the middle of alice"), "");
        assert_eq!(note_of_end(""), "");
    }

    #[test]
    fn bytes_behind_the_end_of_a_text_do_not_stay() {
        let mut frame = Frame::new(CommandCode::LASER_LEVEL_GET);
        frame.set_buffer(b"11.49\0alice\0\0bob").unwrap();
        let raw = scrubbed(&frame.encode(), FRAME_LEN);
        assert_eq!(Frame::decode(&raw).unwrap().buffer[..16], *b"xxxxx\0xxxxx\0\0xxx");
    }

    #[test]
    fn each_host_has_one_documentation_address() {
        let mut hosts = Hosts::default();
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        let shown = |address: SocketAddr| address.to_string();
        assert_eq!(shown(hosts.address(at("10.0.0.7:4000"))), "192.0.2.1:4000");
        assert_eq!(shown(hosts.address(at("10.0.0.5:9"))), "192.0.2.2:9");
        assert_eq!(shown(hosts.address(at("[fe80::1]:1"))), "[2001:db8::1]:1");
        assert_eq!(shown(hosts.address(at("[::ffff:10.0.0.7]:1"))), "192.0.2.1:1");
        let mut all = std::collections::HashSet::new();
        for host in 0..70_000_u32 {
            let [_, b, c, d] = host.to_be_bytes();
            let mapped = hosts.address(SocketAddr::new(IpAddr::from([172, b, c, d]), 1)).ip();
            let is_documentation = match mapped {
                IpAddr::V4(ip) => ip.is_documentation(),
                IpAddr::V6(ip) => ip.segments()[..2] == [0x2001, 0xdb8],
            };
            assert!(is_documentation && all.insert(mapped), "{mapped}");
        }
    }

    #[test]
    fn the_first_event_is_at_a_fixed_time_and_distances_stay() {
        let mut times = Times::default();
        let ms = Duration::from_millis;
        let begin = ms(1_700_000_000_000);
        assert_eq!(times.moved(begin), BEGINNING);
        assert_eq!(times.moved(begin + ms(7)), BEGINNING + ms(7));
        assert_eq!(
            times.moved(begin.checked_sub(ms(3)).unwrap()),
            BEGINNING.checked_sub(ms(3)).unwrap()
        );
        let day_before = begin.checked_sub(BEGINNING).unwrap();
        assert_eq!(times.moved(day_before + ms(1)), ms(1));
        assert_eq!(times.moved(day_before.checked_sub(ms(1)).unwrap()), Duration::ZERO, "bounded");
        let mut times = Times::default();
        assert_eq!(times.moved(Duration::ZERO), BEGINNING);
        assert_eq!(times.moved(Duration::MAX), Duration::MAX, "no overflow");
    }
}
