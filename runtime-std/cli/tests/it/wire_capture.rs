//! Writes captures as another program would: Ethernet, names in every block that can have one, and TCP
//! connections with any bytes.
#![allow(dead_code, unreachable_pub)] // each test file uses a part of it

use std::net::SocketAddr;

use etherparse::PacketBuilder;

pub const CLIENT_MAC: [u8; 6] = [0x02, 0x5A, 0xC7, 0x91, 0x3E, 0x18];
const INSTRUMENT_MAC: [u8; 6] = [0x02, 0x7B, 0xD4, 0x86, 0x2F, 0x69];
/// Codes of blocks and options of pcapng.
const SECTION: u32 = 0x0A0D_0D0A;
const INTERFACE: u32 = 1;
const NAMES: u32 = 4;
const PACKET: u32 = 6;
const END: u16 = 0;
const COMMENT: u16 = 1;

/// A capture that is being written.
pub struct WireCapture {
    bytes: Vec<u8>,
    /// In µs since 1970.
    now: u64,
    comment: String,
}

/// A TCP connection in it.
pub struct Connection {
    ends: [SocketAddr; 2],
    /// The next sequence number of client and instrument.
    pub next: [u32; 2],
}

fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let padding = body.len().next_multiple_of(4) - body.len();
    let length = u32::try_from(12 + body.len() + padding).unwrap().to_le_bytes();
    [&kind.to_le_bytes()[..], &length, body, &[0; 3][..padding], &length].concat()
}

fn option(code: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).unwrap();
    let padding = value.len().next_multiple_of(4) - value.len();
    [&code.to_le_bytes()[..], &length.to_le_bytes(), value, &[0; 3][..padding]].concat()
}

impl WireCapture {
    /// `name` is in every block that can have a name.
    pub fn new(began: u64, name: &str) -> Self {
        let text = |code| option(code, name.as_bytes());
        let end = option(END, b"");
        let version = [&0x1A2B_3C4D_u32.to_le_bytes()[..], &[1, 0, 0, 0], &[0xFF; 8]].concat();
        let section = [version, text(2), text(3), text(4), text(COMMENT), end.clone()].concat();
        let link = [&[1, 0, 0, 0][..], &262_144_u32.to_le_bytes()].concat();
        let interface = [link, text(2), text(3), text(COMMENT), end.clone()].concat();
        let entry = [&[10, 77, 3, 9][..], name.as_bytes(), &[0]].concat();
        let names = [option(1, &entry), option(END, b""), end].concat();
        let bytes = [block(SECTION, &section), block(INTERFACE, &interface), block(NAMES, &names)];
        Self { bytes: bytes.concat(), now: began, comment: name.to_owned() }
    }

    pub fn wait_ms(&mut self, ms: u64) {
        self.now += ms * 1_000;
    }

    /// The clock is set back.
    pub fn set_back_ms(&mut self, ms: u64) {
        self.now -= ms * 1_000;
    }

    pub fn bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Opens a connection.
    pub fn open(&mut self, client: &str, instrument: &str) -> Connection {
        self.open_from(client, instrument, 4_000)
    }

    /// A connection that was opened before the capture.
    pub fn before(client: &str, instrument: &str) -> Connection {
        let ends = [client.parse().unwrap(), instrument.parse().unwrap()];
        Connection { ends, next: [4_000, 9_000] }
    }

    /// Opens a connection whose sequence numbers begin there.
    pub fn open_from(&mut self, client: &str, instrument: &str, number: u32) -> Connection {
        let ends = [client.parse().unwrap(), instrument.parse().unwrap()];
        let mut connection = Connection { ends, next: [number, number + 5_000] };
        self.packet(&connection, 0, "s", &[]);
        connection.next[0] += 1;
        self.packet(&connection, 1, "sa", &[]);
        connection.next[1] += 1;
        self.packet(&connection, 0, "a", &[]);
        connection
    }

    /// Sends bytes in packets of at most so many bytes.
    pub fn send(&mut self, connection: &mut Connection, from: usize, bytes: &[u8], most: usize) {
        for part in bytes.chunks(most) {
            self.packet(connection, from, "a", part);
            connection.next[from] += u32::try_from(part.len()).unwrap();
            self.now += 20;
        }
    }

    /// Ends one direction, or with `r` the whole connection.
    pub fn end(&mut self, connection: &mut Connection, from: usize, flags: &str) {
        self.packet(connection, from, flags, &[]);
        connection.next[from] += 1;
    }

    fn packet(&mut self, connection: &Connection, from: usize, flags: &str, payload: &[u8]) {
        let (source, target) = (connection.ends[from], connection.ends[1 - from]);
        let macs = [CLIENT_MAC, INSTRUMENT_MAC];
        let link = PacketBuilder::ethernet2(macs[from], macs[1 - from]);
        let ip = match (source, target) {
            (SocketAddr::V4(source), SocketAddr::V4(target)) => {
                link.ipv4(source.ip().octets(), target.ip().octets(), 64)
            }
            (SocketAddr::V6(source), SocketAddr::V6(target)) => {
                link.ipv6(source.ip().octets(), target.ip().octets(), 64)
            }
            _ => panic!("two kinds of addresses"),
        };
        let mut tcp = ip.tcp(source.port(), target.port(), connection.next[from], 60_000);
        for flag in flags.chars() {
            tcp = match flag {
                's' => tcp.syn(),
                'f' => tcp.fin(),
                'r' => tcp.rst(),
                _ => tcp.ack(connection.next[1 - from]),
            };
        }
        let mut data = Vec::new();
        tcp.write(&mut data, payload).unwrap();
        let length = u32::try_from(data.len()).unwrap();
        let [high, low] =
            [self.now >> 32, self.now & 0xFFFF_FFFF].map(|half| u32::try_from(half).unwrap());
        let words = [0, high, low, length, length].map(u32::to_le_bytes).concat();
        data.resize(data.len().next_multiple_of(4), 0);
        let comment = option(COMMENT, self.comment.as_bytes());
        let body = [words, data, comment, option(END, b"")].concat();
        self.bytes.extend(block(PACKET, &body));
        self.now += 10;
    }
}
