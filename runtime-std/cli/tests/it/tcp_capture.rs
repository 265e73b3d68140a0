//! Captures that a test makes packet by packet: raw IP in a pcap or pcapng file.

use etherparse::PacketBuilder;
use flamingo_protocol_core::{CommandCode, Frame};
use serde_json::Value;

/// Link type 101: raw IP.
const HEADER: [u32; 6] = [0xA1B2_C3D4, 0x0004_0002, 0, 0, 65_535, 101];

/// What a packet says about its connection.
#[derive(Clone, Copy, PartialEq)]
enum Mark {
    None,
    Begin,
    End,
}

/// A connection in a pcap file.
pub(crate) struct Tcp {
    /// The port of the client.
    pub(crate) client: u16,
    /// The port of the instrument, and the last byte of its address.
    pub(crate) instrument: u16,
    pub(crate) host: u8,
    /// The next sequence number of the client, and of the instrument.
    pub(crate) numbers: [u32; 2],
}

impl Tcp {
    pub(crate) const fn to(instrument: u16) -> Self {
        Self { client: 40_000, instrument, host: 5, numbers: [1, 1] }
    }

    /// A packet of the client with these bytes, so many ms after the beginning of 2001.
    pub(crate) fn asks(&mut self, at: u64, frame: Frame) -> Vec<u8> {
        self.packet(0, at, &frame.encode())
    }

    /// The same of the instrument.
    pub(crate) fn says(&mut self, at: u64, frame: Frame) -> Vec<u8> {
        self.packet(1, at, &frame.encode())
    }

    /// The packets that begin the connection.
    pub(crate) fn begins(&mut self, at: u64) -> Vec<u8> {
        [0, 1].map(|from| self.marked(from, at, &[], Mark::Begin)).concat()
    }

    /// That side sends nothing more.
    pub(crate) fn ends(&mut self, from: usize, at: u64) -> Vec<u8> {
        self.marked(from, at, &[], Mark::End)
    }

    pub(crate) fn packet(&mut self, from: usize, at: u64, payload: &[u8]) -> Vec<u8> {
        self.marked(from, at, payload, Mark::None)
    }

    fn marked(&mut self, from: usize, at: u64, payload: &[u8], mark: Mark) -> Vec<u8> {
        let ends = [([10, 0, 0, 7], self.client), ([10, 0, 0, self.host], self.instrument)];
        let (source, target) = (ends[from], ends[1 - from]);
        let mut tcp = PacketBuilder::ipv4(source.0, target.0, 64).tcp(
            source.1,
            target.1,
            self.numbers[from],
            1000,
        );
        // The first packet of the client acknowledges nothing.
        if mark != Mark::Begin || from == 1 {
            tcp = tcp.ack(self.numbers[1 - from]);
        }
        tcp = match mark {
            Mark::None => tcp,
            Mark::Begin => tcp.syn(),
            Mark::End => tcp.fin(),
        };
        self.numbers[from] += u32::try_from(payload.len()).unwrap() + u32::from(mark != Mark::None);
        let mut packet = Vec::new();
        tcp.write(&mut packet, payload).unwrap();
        let length = u32::try_from(packet.len()).unwrap();
        let seconds = 978_307_200 + u32::try_from(at / 1_000).unwrap();
        let micros = u32::try_from(at % 1_000).unwrap() * 1_000;
        let head = [seconds, micros, length, length].map(u32::to_le_bytes).concat();
        [head, packet].concat()
    }
}

pub(crate) fn header() -> Vec<u8> {
    HEADER.map(u32::to_le_bytes).concat()
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// The same as [`header`] in a pcapng file: a section and an interface with times in µs.
pub(crate) fn pcapng_header() -> Vec<u8> {
    let section = [0x0A0D_0D0A, 28, 0x1A2B_3C4D, 1, u32::MAX, u32::MAX, 28];
    words(&[&section[..], &[1, 20, 101, 0, 20]].concat())
}

/// A packet of a pcap file as a block of a pcapng file.
pub(crate) fn pcapng_packet(record: &[u8]) -> Vec<u8> {
    let word = |at: usize| u32::from_le_bytes(record[at..at + 4].try_into().unwrap());
    let micros = u64::from(word(0)) * 1_000_000 + u64::from(word(4));
    let (high, low) = (micros >> 32, micros & 0xFFFF_FFFF);
    let mut data = record[16..].to_vec();
    data.resize(data.len().next_multiple_of(4), 0);
    let length = u32::try_from(data.len()).unwrap() + 32;
    let [high, low] = [high, low].map(|half| u32::try_from(half).unwrap());
    let head = words(&[6, length, 0, high, low, word(8), word(12)]);
    [head, data, words(&[length])].concat()
}

pub(crate) fn position(axis: i32) -> Frame {
    Frame::command(CommandCode::STAGE_POSITION_GET).with_selector(axis)
}

pub(crate) fn answer(frame: Frame) -> Frame {
    Frame { status: 1, ..frame }
}

pub(crate) fn idle() -> Frame {
    Frame::new(CommandCode::SYSTEM_STATE_IDLE)
}

pub(crate) fn kinds(rows: &[Value]) -> Vec<&str> {
    rows.iter().map(|row| row["kind"].as_str().unwrap()).collect()
}

/// The text without repeated spaces.
pub(crate) fn squeezed(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}
