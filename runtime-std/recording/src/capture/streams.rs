//! Turns TCP packets into the bytes of each connection, in order, in both directions. Decides to which
//! port of the instrument a connection belongs.
//!
//! Repeated packets are taken once, early packets wait, and missing packets leave a hole that is
//! reported. One direction of a connection is `reassembly.rs`.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use flamingo_protocol_core::{
    image::{HEADER_LEN, ImageHeader, MAX_IMAGE},
    wire::START_MARKER,
};

use super::super::{Port, Side, comments};
use super::known_ports::KnownPorts;
use super::packet_reader::Packet;
use super::reassembly::{Piece, Reassembly};

/// How many connections are remembered after their end.
const REMEMBERED: usize = 256;
/// When so many connections are open, and at each doubling, those that are not known to belong to an instrument are
/// forgotten: a scan of ports begins connections that never end.
const MANY: usize = 65_536;

/// A connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConnectionInfo {
    /// The number of the connection in the capture. Counted from 1, in the order of their beginnings.
    pub number: u64,
    /// The port of the instrument.
    pub port: Port,
    /// Whether images were recorded with their pixels.
    pub pixels: bool,
    /// The address of the side that connected.
    pub client: SocketAddr,
    /// The address of the side that accepted.
    pub instrument: SocketAddr,
    /// Whether it began before the recording, which lacks its first bytes.
    pub began_before: bool,
    /// Whether this is a callback port of a bridge, which sends unsolicited messages. `port` is then the
    /// control port, since the messages have its form.
    pub callback: bool,
}

impl ConnectionInfo {
    /// The name of the port: that of [`Port`], or `callback`.
    pub const fn port_name(&self) -> &'static str {
        if self.callback { "callback" } else { self.port.name() }
    }
}

/// Something that happened on a connection.
#[derive(Debug)]
pub(super) struct StreamEvent<'a> {
    pub(super) connection: ConnectionInfo,
    pub(super) at: Duration,
    pub(super) from: Side,
    pub(super) kind: StreamEventKind<'a>,
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
    /// What the recorder has noted about the end of the connection.
    Note {
        text: &'a str,
        by_recorder: bool,
    },
    /// That side sends nothing more.
    Finished,
    Reset,
    /// Nothing more happens on this connection.
    Over,
}

/// Is called with each event.
pub(super) type Report<'t> = dyn FnMut(StreamEvent<'_>) + 't;

/// All connections.
#[derive(Debug, Default)]
pub(super) struct Streams {
    pub(super) ports: KnownPorts,
    /// By their two addresses, the lower one first.
    open: BTreeMap<(SocketAddr, SocketAddr), Stream>,
    closed: ClosedConnections,
    numbers: u64,
    others: u64,
}

/// One connection.
#[derive(Debug)]
struct Stream {
    client: SocketAddr,
    instrument: SocketAddr,
    /// `None` as long as the port is not known.
    connection: Option<ConnectionInfo>,
    opened_at: Duration,
    /// Its first packets are not in the capture.
    began_before: bool,
    /// A comment says that it is a connection to a callback port.
    callback: bool,
    /// It does not belong to an instrument.
    other: bool,
    directions: [Reassembly; 2],
    last: Duration,
}

impl Streams {
    pub(super) fn others(&self) -> u64 {
        self.others
    }

    pub(super) fn take(&mut self, packet: &Packet<'_>, report: &mut Report<'_>) {
        let begins = packet.syn && !packet.ack;
        let ends = (packet.source, packet.target);
        let known = (ends.0.min(ends.1), ends.0.max(ends.1));
        if begins {
            self.closed.forget(ends);
            // The same addresses again are a new connection, unless it is the same packet again.
            if self.open.get(&known).is_some_and(|old| !old.is_begun_by(packet)) {
                self.close(known, report);
            }
        } else if !self.open.contains_key(&known)
            && (packet.payload.is_empty() && !packet.syn || self.closed.contains(ends))
        {
            // A packet of a connection that is over.
            return;
        }
        if self.open.len() >= MANY && self.open.len().is_power_of_two() {
            self.open.retain(|_, stream| stream.connection.is_some());
        }
        let stream = self.open.entry(known).or_insert_with(|| Stream::new(packet, &self.ports));
        stream.last = packet.at;
        let from = if packet.source == stream.client { Side::Client } else { Side::Instrument };
        // A connection counts when it was accepted.
        if stream.connection.is_none() && !stream.other && !begins && !packet.rst {
            match stream.kind(packet, from, &self.ports) {
                Kind::Known(port, pixels) => {
                    self.numbers += 1;
                    let Stream { client, instrument, began_before, callback, .. } = *stream;
                    let connection = ConnectionInfo {
                        number: self.numbers,
                        port,
                        pixels,
                        client,
                        instrument,
                        began_before,
                        callback: match packet.port {
                            Some(_) => callback,
                            None => self.ports.is_callback(instrument.port()),
                        },
                    };
                    stream.connection = Some(connection);
                    let (at, kind) = (stream.opened_at, StreamEventKind::Opened);
                    report(StreamEvent { connection, at, from: Side::Client, kind });
                }
                Kind::Other => {
                    stream.other = true;
                    self.others += 1;
                }
                Kind::Open => {}
            }
        }
        stream.take(packet, from, report);
        let finished = stream.directions.iter().all(|direction| direction.finished);
        if packet.rst || finished {
            self.close(known, report);
        }
    }

    fn close(&mut self, ends: (SocketAddr, SocketAddr), report: &mut Report<'_>) {
        if let Some(mut stream) = self.open.remove(&ends) {
            stream.end(report);
            self.closed.remember(ends);
        }
    }

    /// The capture is over: the bytes that wait for missing bytes are reported now.
    pub(super) fn end(&mut self, report: &mut Report<'_>) {
        let mut rest: Vec<_> = std::mem::take(&mut self.open).into_values().collect();
        rest.sort_by_key(|stream| stream.connection.map(|connection| connection.number));
        for mut stream in rest {
            stream.end(report);
        }
    }
}

/// The last connections that are over. Their packets may still come.
#[derive(Debug, Default)]
struct ClosedConnections(VecDeque<(SocketAddr, SocketAddr)>);

impl ClosedConnections {
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
    /// Not known yet.
    Open,
}

impl Stream {
    fn new(packet: &Packet<'_>, ports: &KnownPorts) -> Self {
        let ends = [packet.source, packet.target];
        let backwards = match (packet.syn, packet.ack) {
            (true, false) => false,
            (true, true) => true,
            // The beginning of the connection is missing.
            _ => ports.is_first_the_instrument(ends[0].port(), ends[1].port()),
        };
        let [client, instrument] = if backwards { [ends[1], ends[0]] } else { ends };
        Self {
            client,
            instrument,
            connection: None,
            opened_at: packet.at,
            began_before: !packet.syn || packet.comment.is_some_and(comments::is_continued),
            callback: packet.comment.is_some_and(comments::is_callback),
            other: false,
            directions: Default::default(),
            last: packet.at,
        }
    }

    /// Decides by the name of the interface, the port number, or the first bytes.
    fn kind(&self, packet: &Packet<'_>, from: Side, ports: &KnownPorts) -> Kind {
        if let Some((port, pixels)) = packet.port {
            return Kind::Known(port, pixels);
        }
        if let Some(port) = ports.get(self.instrument.port()) {
            return Kind::Known(port, true);
        }
        let bytes = packet.payload;
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

    /// Whether the packet is a copy of the one that began the connection.
    fn is_begun_by(&self, packet: &Packet<'_>) -> bool {
        let [client, _] = &self.directions;
        packet.source == self.client
            && client.position == 0
            && client.next == Some(packet.number.wrapping_add(1))
    }

    fn take(&mut self, packet: &Packet<'_>, from: Side, report: &mut Report<'_>) {
        let at = packet.at;
        let [client, instrument] = &mut self.directions;
        let (direction, other) =
            if from == Side::Client { (client, instrument) } else { (instrument, client) };
        if packet.syn {
            direction.next.get_or_insert(packet.number.wrapping_add(1));
            return;
        }
        let Some(connection) = self.connection else {
            direction.finished |= packet.fin;
            return;
        };
        let mut report = |at, from, kind: StreamEventKind<'_>| {
            report(StreamEvent { connection, at, from, kind });
        };
        direction.expire(at, &mut |at, kind| report(at, from, kind));
        other.expire(at, &mut |at, kind| report(at, from.other(), kind));
        // The bytes that a packet acknowledges were sent before it.
        if packet.ack {
            other.acknowledge(packet.acknowledged);
            other.settle(at, &mut |at, kind| report(at, from.other(), kind));
            other.finish(at, false, &mut |at, kind| report(at, from.other(), kind));
        }
        let report = &mut |at, kind: StreamEventKind<'_>| report(at, from, kind);
        let length = packet.payload.len() + packet.cut;
        if length > 0 {
            let Packet { payload: bytes, cut, comment, .. } = *packet;
            direction.bytes(packet.number, Piece { at, bytes, cut, comment }, report);
        } else if packet.fin || packet.rst {
            direction.next.get_or_insert(packet.number);
        }
        #[allow(clippy::cast_possible_truncation)] // sequence numbers wrap
        let end = packet.number.wrapping_add(length as u32);
        // Our own recordings are in order: missing bytes never come.
        let is_ours = packet.port.is_some();
        if packet.fin || (packet.rst && is_ours) {
            direction.end = direction.place(end);
        }
        if is_ours && length == 0 {
            direction.skip_to(packet.number, at, report);
        }
        if is_ours || direction.is_full() {
            direction.give_up(at, report);
        } else {
            direction.settle(at, report);
        }
        let note = packet.comment.filter(|_| is_ours && (packet.fin || packet.rst));
        if let Some((text, by_recorder)) = note.and_then(comments::note_of_end) {
            report(at, StreamEventKind::Note { text, by_recorder });
        }
        if packet.fin || direction.end.is_some() {
            direction.finish(at, packet.rst, report);
        }
        if packet.rst {
            report(at, StreamEventKind::Reset);
        }
    }

    fn end(&mut self, report: &mut Report<'_>) {
        let Some(connection) = self.connection else { return };
        let at = self.last;
        for from in [Side::Client, Side::Instrument] {
            let report = &mut |at, kind: StreamEventKind<'_>| {
                report(StreamEvent { connection, at, from, kind });
            };
            let direction = &mut self.directions[from as usize];
            if !direction.finished {
                direction.give_up(at, report);
                direction.finish(at, false, report);
            }
        }
        report(StreamEvent { connection, at, from: Side::Client, kind: StreamEventKind::Over });
    }
}
