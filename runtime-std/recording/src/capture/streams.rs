//! TCP packets → the bytes of each connection, in order, both directions; and which of the instrument's
//! ports a connection belongs to.
//!
//! PacketReader that come twice are taken once, those that come too early wait, those that never come
//! leave a hole that is told.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use flamingo_protocol_core::{HEADER_LEN, ImageHeader, MAX_IMAGE, START_MARKER};

use super::super::{Port, Side};
use super::packet_reader::Packet;
use super::reassembly::Reassembly;

/// The ports of an instrument. PROTOCOL: sockets.
const CONTROL_PORT: u16 = 53_717;
const INSTRUMENT_PORTS: std::ops::RangeInclusive<u16> = 53_710..=53_810;
/// Connections that are over and still known.
const REMEMBERED: usize = 256;

/// A connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConnectionInfo {
    /// Its number in the capture, from 1, in the order in which they began.
    pub number: u64,
    /// The port that it belongs to.
    pub port: Port,
    /// Whether images come with their pixels.
    pub pixels: bool,
    /// ConnectionInfo connected.
    pub client: SocketAddr,
    /// ConnectionInfo accepted.
    pub instrument: SocketAddr,
}

/// What happened on it.
#[derive(Debug)]
pub(super) struct StreamEvent<'a> {
    pub(super) connection: ConnectionInfo,
    pub(super) at: Duration,
    pub(super) from: Side,
    pub(super) what: StreamEventKind<'a>,
}

#[derive(Debug)]
pub(super) enum StreamEventKind<'a> {
    Opened,
    Bytes {
        bytes: &'a [u8],
        comment: Option<&'a str>,
    },
    /// Bytes that are not in the capture.
    Hole {
        bytes: u64,
    },
    /// That side sends nothing more.
    Finished,
    Reset,
    /// Nothing more happens on it.
    Over,
}

/// Told what happened.
pub(super) type Tell<'t> = dyn FnMut(StreamEvent<'_>) + 't;

/// All connections.
#[derive(Debug, Default)]
pub(super) struct Streams {
    open: HashMap<(SocketAddr, SocketAddr), Stream>,
    over: Over,
    numbers: u64,
    others: u64,
}

/// One connection.
#[derive(Debug)]
struct Stream {
    client: SocketAddr,
    instrument: SocketAddr,
    /// `None`: nothing told it yet.
    connection: Option<ConnectionInfo>,
    opened_at: Duration,
    /// It is none of an instrument's.
    other: bool,
    directions: [Reassembly; 2],
    last: Duration,
}

impl Streams {
    pub(super) fn others(&self) -> u64 {
        self.others
    }

    pub(super) fn take(&mut self, packet: &Packet, tell: &mut Tell<'_>) {
        let begins = packet.syn && !packet.ack;
        let ends = (packet.source, packet.target);
        let back = (packet.target, packet.source);
        let known = if self.open.contains_key(&back) { back } else { ends };
        if begins {
            self.over.forget(ends);
            // The same ports again: a new connection. The same packet again: no other.
            if self.open.get(&known).is_some_and(|old| !old.is_begun_by(packet)) {
                self.close(known, tell);
            }
        } else if !self.open.contains_key(&known)
            && (packet.payload.is_empty() && !packet.syn || self.over.contains(ends))
        {
            // What still comes when a connection is over.
            return;
        }
        let stream = self.open.entry(known).or_insert_with(|| Stream::new(packet));
        stream.last = packet.at;
        let from = if packet.source == stream.client { Side::Client } else { Side::Instrument };
        // One that nobody has accepted is none.
        if stream.connection.is_none() && !stream.other && !begins && !packet.rst {
            match stream.kind(packet, from) {
                Kind::Known(port, pixels) => {
                    self.numbers += 1;
                    let Stream { client, instrument, .. } = *stream;
                    let connection =
                        ConnectionInfo { number: self.numbers, port, pixels, client, instrument };
                    stream.connection = Some(connection);
                    let (at, what) = (stream.opened_at, StreamEventKind::Opened);
                    tell(StreamEvent { connection, at, from: Side::Client, what });
                }
                Kind::Other => {
                    stream.other = true;
                    self.others += 1;
                }
                Kind::Open => {}
            }
        }
        stream.take(packet, from, tell);
        let finished = stream.directions.iter().all(|direction| direction.finished);
        if packet.rst || finished {
            self.close(known, tell);
        }
    }

    fn close(&mut self, ends: (SocketAddr, SocketAddr), tell: &mut Tell<'_>) {
        if let Some(mut stream) = self.open.remove(&ends) {
            stream.end(tell);
            self.over.remember(ends);
        }
    }

    /// The capture is over: what waits for bytes that are not in it comes now.
    pub(super) fn end(&mut self, tell: &mut Tell<'_>) {
        let mut rest: Vec<_> = self.open.drain().map(|(_, stream)| stream).collect();
        rest.sort_by_key(|stream| stream.connection.map(|connection| connection.number));
        for mut stream in rest {
            stream.end(tell);
        }
    }
}

/// Connections that are over, the last ones: packets of theirs may still come.
#[derive(Debug, Default)]
struct Over(VecDeque<(SocketAddr, SocketAddr)>);

impl Over {
    fn contains(&self, ends: (SocketAddr, SocketAddr)) -> bool {
        self.0.iter().any(|over| *over == ends || *over == (ends.1, ends.0))
    }

    fn forget(&mut self, ends: (SocketAddr, SocketAddr)) {
        self.0.retain(|over| *over != ends && *over != (ends.1, ends.0));
    }

    fn remember(&mut self, ends: (SocketAddr, SocketAddr)) {
        if self.0.len() == REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back(ends);
    }
}

enum Kind {
    Known(Port, bool),
    Other,
    /// It will show.
    Open,
}

impl Stream {
    fn new(packet: &Packet) -> Self {
        let ends = [packet.source, packet.target];
        // Without its beginning: the instrument's ports are known, others are low.
        let is_instrument = |at: &SocketAddr| INSTRUMENT_PORTS.contains(&at.port());
        let backwards = match (packet.syn, packet.ack) {
            (true, false) => false,
            (true, true) => true,
            _ => match ends.each_ref().map(is_instrument) {
                [true, false] => true,
                [false, true] => false,
                _ => ends[0].port() < ends[1].port(),
            },
        };
        let [client, instrument] = if backwards { [ends[1], ends[0]] } else { ends };
        Self {
            client,
            instrument,
            connection: None,
            opened_at: packet.at,
            other: false,
            directions: Default::default(),
            last: packet.at,
        }
    }

    /// By the name of the interface, or the instrument's port, or what comes first.
    fn kind(&self, packet: &Packet, from: Side) -> Kind {
        if let Some((port, pixels)) = packet.port {
            return Kind::Known(port, pixels);
        }
        let at = self.instrument.port();
        if let Some(port) = Port::ALL.into_iter().find(|port| CONTROL_PORT + port.steps() == at) {
            return Kind::Known(port, true);
        }
        let bytes = &packet.payload[..];
        if bytes.is_empty() {
            return Kind::Open;
        }
        let image = || {
            let header = bytes.get(..HEADER_LEN)?;
            ImageHeader::decode(header, MAX_IMAGE).ok().filter(|header| header.size > 0)
        };
        if bytes.starts_with(&START_MARKER.to_le_bytes()) {
            Kind::Known(Port::Control, true)
        } else if from == Side::Instrument && image().is_some() {
            Kind::Known(Port::Live, true)
        } else {
            Kind::Other
        }
    }

    /// Whether that packet is the one that began it, once more.
    fn is_begun_by(&self, packet: &Packet) -> bool {
        let [client, _] = &self.directions;
        packet.source == self.client
            && client.position == 0
            && client.next == Some(packet.number.wrapping_add(1))
    }

    fn take(&mut self, packet: &Packet, from: Side, tell: &mut Tell<'_>) {
        let direction = &mut self.directions[from as usize];
        if packet.syn {
            direction.next.get_or_insert(packet.number.wrapping_add(1));
            return;
        }
        let Some(connection) = self.connection else {
            direction.finished |= packet.fin;
            return;
        };
        let tell = &mut |what: StreamEventKind<'_>| {
            tell(StreamEvent { connection, at: packet.at, from, what })
        };
        let comment = packet.comment.as_deref();
        let length = packet.payload.len() + packet.cut;
        if length > 0 {
            direction.bytes(packet.number, &packet.payload, packet.cut, comment, tell);
        } else if packet.fin || packet.rst {
            direction.next.get_or_insert(packet.number);
        }
        #[allow(clippy::cast_possible_truncation)] // sequence numbers wrap
        let end = packet.number.wrapping_add(length as u32);
        // Our own recordings are in order: what is missing there never comes.
        let is_ours = packet.port.is_some();
        if packet.fin || (packet.rst && is_ours) {
            direction.end = direction.place(end);
        }
        if is_ours || direction.is_full() {
            direction.give_up(tell);
        }
        if packet.fin || direction.end.is_some() {
            direction.finish(packet.rst, tell);
        }
        if packet.rst {
            tell(StreamEventKind::Reset);
        }
    }

    fn end(&mut self, tell: &mut Tell<'_>) {
        let Some(connection) = self.connection else { return };
        let at = self.last;
        for from in [Side::Client, Side::Instrument] {
            let tell =
                &mut |what: StreamEventKind<'_>| tell(StreamEvent { connection, at, from, what });
            let direction = &mut self.directions[from as usize];
            if !direction.finished {
                direction.give_up(tell);
                direction.finish(false, tell);
            }
        }
        tell(StreamEvent { connection, at, from: Side::Client, what: StreamEventKind::Over });
    }
}
