//! TCP packets → the bytes of each connection, in order, both ways; and which of the instrument's
//! ports a connection belongs to.
//!
//! Packets that come twice are taken once, those that come too early wait, those that never come
//! leave a hole that is told.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use flamingo_protocol_core::{HEADER_LEN, ImageHeader, MAX_IMAGE, START_MARKER};

use super::super::{Port, Side};
use super::packets::Packet;

/// The ports of an instrument. PROTOCOL: sockets.
const CONTROL_PORT: u16 = 53_717;
const INSTRUMENT_PORTS: std::ops::RangeInclusive<u16> = 53_710..=53_810;
/// Bytes that may wait for those before them, of each direction.
const WAITING: usize = 4 * 1024 * 1024;

/// A connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Who {
    /// Its number in the capture, from 1, in the order in which they began.
    pub number: u64,
    /// The port that it belongs to.
    pub port: Port,
    /// Whether images come with their pixels.
    pub pixels: bool,
    /// Who connected.
    pub client: SocketAddr,
    /// Who accepted.
    pub instrument: SocketAddr,
}

/// What happened on it.
#[derive(Debug)]
pub(super) struct Event<'a> {
    pub(super) who: Who,
    pub(super) at: Duration,
    pub(super) from: Side,
    pub(super) what: What<'a>,
}

#[derive(Debug)]
pub(super) enum What<'a> {
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
}

/// Told what happened.
pub(super) type Tell<'t> = dyn FnMut(Event<'_>) + 't;

/// All connections.
#[derive(Debug, Default)]
pub(super) struct Streams {
    open: HashMap<(SocketAddr, SocketAddr), Stream>,
    numbers: u64,
    others: u64,
}

/// One connection.
#[derive(Debug)]
struct Stream {
    client: SocketAddr,
    instrument: SocketAddr,
    /// `None`: nothing told it yet.
    who: Option<Who>,
    opened_at: Duration,
    /// It is none of an instrument's.
    other: bool,
    ways: [Way; 2],
    last: Duration,
}

/// One direction.
#[derive(Debug, Default)]
struct Way {
    /// The number of the next byte, once one has been seen.
    next: Option<u32>,
    /// What came too early.
    early: Vec<(u32, Vec<u8>)>,
    finished: bool,
}

impl Streams {
    pub(super) fn others(&self) -> u64 {
        self.others
    }

    pub(super) fn take(&mut self, packet: &Packet, tell: &mut Tell<'_>) {
        let ends = (packet.source, packet.target);
        let known = if self.open.contains_key(&ends) { ends } else { (ends.1, ends.0) };
        if packet.syn && !packet.ack {
            // The same ports again: a new connection.
            if let Some(mut old) = self.open.remove(&known) {
                old.end(tell);
            }
        }
        let stream = match self.open.get_mut(&known) {
            Some(stream) => stream,
            // The last acknowledgement of a connection that is over.
            None if !packet.syn && packet.payload.is_empty() => return,
            None => self.open.entry(ends).or_insert_with(|| Stream::new(packet)),
        };
        stream.last = packet.at;
        let from = if packet.source == stream.client { Side::Client } else { Side::Instrument };
        if stream.who.is_none() && !stream.other {
            match stream.kind(packet, from) {
                Kind::Known(port, pixels) => {
                    self.numbers += 1;
                    let Stream { client, instrument, .. } = *stream;
                    let who = Who { number: self.numbers, port, pixels, client, instrument };
                    stream.who = Some(who);
                    let (at, what) = (stream.opened_at, What::Opened);
                    tell(Event { who, at, from: Side::Client, what });
                }
                Kind::Other => {
                    stream.other = true;
                    self.others += 1;
                }
                Kind::Open => {}
            }
        }
        stream.take(packet, from, tell);
        let over = packet.rst || stream.ways.iter().all(|way| way.finished && way.early.is_empty());
        if over && !packet.syn {
            let ends = if self.open.contains_key(&ends) { ends } else { (ends.1, ends.0) };
            if let Some(mut old) = self.open.remove(&ends) {
                old.end(tell);
            }
        }
    }

    /// The capture is over: what waits for bytes that are not in it comes now.
    pub(super) fn end(&mut self, tell: &mut Tell<'_>) {
        let mut rest: Vec<_> = self.open.drain().map(|(_, stream)| stream).collect();
        rest.sort_by_key(|stream| stream.who.map(|who| who.number));
        for mut stream in rest {
            stream.end(tell);
        }
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
            who: None,
            opened_at: packet.at,
            other: false,
            ways: Default::default(),
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

    fn take(&mut self, packet: &Packet, from: Side, tell: &mut Tell<'_>) {
        let way = &mut self.ways[from as usize];
        if packet.syn {
            way.next = Some(packet.number.wrapping_add(1));
            return;
        }
        if packet.payload.is_empty() && packet.cut == 0 && !packet.fin && !packet.rst {
            return;
        }
        let Some(who) = self.who else { return };
        let tell = &mut |what: What<'_>| tell(Event { who, at: packet.at, from, what });
        let comment = packet.comment.as_deref();
        way.bytes(packet.number, &packet.payload, comment, tell);
        if packet.cut > 0 {
            way.hole(packet.cut as u64, tell);
        }
        let is_ours = packet.port.is_some();
        // Our own recordings are in order: what is missing there never comes.
        if is_ours || way.early.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() > WAITING {
            way.give_up(tell);
        }
        if packet.fin && !way.finished {
            way.finished = true;
            way.give_up(tell);
            tell(What::Finished);
        }
        if packet.rst {
            tell(What::Reset);
        }
    }

    fn end(&mut self, tell: &mut Tell<'_>) {
        let Some(who) = self.who else { return };
        for from in [Side::Client, Side::Instrument] {
            let at = self.last;
            let tell = &mut |what: What<'_>| tell(Event { who, at, from, what });
            self.ways[from as usize].give_up(tell);
        }
    }
}

impl Way {
    fn bytes(
        &mut self,
        number: u32,
        bytes: &[u8],
        comment: Option<&str>,
        tell: &mut dyn FnMut(What<'_>),
    ) {
        let next = *self.next.get_or_insert(number);
        if bytes.is_empty() {
            return;
        }
        let ahead = number.wrapping_sub(next).cast_signed();
        if ahead > 0 {
            self.early.push((number, bytes.to_vec()));
            return;
        }
        // What was there before is not taken again.
        let known = ahead.unsigned_abs() as usize;
        let Some(bytes) = bytes.get(known..).filter(|bytes| !bytes.is_empty()) else { return };
        self.advance(bytes.len() as u64);
        tell(What::Bytes { bytes, comment });
        self.catch_up(tell);
    }

    fn advance(&mut self, bytes: u64) {
        #[allow(clippy::cast_possible_truncation)] // sequence numbers wrap
        let bytes = bytes as u32;
        self.next = self.next.map(|next| next.wrapping_add(bytes));
    }

    /// What came too early and is not too early any more.
    fn catch_up(&mut self, tell: &mut dyn FnMut(What<'_>)) {
        while let Some(next) = self.next
            && let Some(at) = self.early.iter().position(|(number, _)| !is_ahead(*number, next))
        {
            let (number, bytes) = self.early.swap_remove(at);
            let known = next.wrapping_sub(number) as usize;
            if let Some(bytes) = bytes.get(known..).filter(|bytes| !bytes.is_empty()) {
                self.advance(bytes.len() as u64);
                tell(What::Bytes { bytes, comment: None });
            }
        }
    }

    fn hole(&mut self, bytes: u64, tell: &mut dyn FnMut(What<'_>)) {
        self.advance(bytes);
        tell(What::Hole { bytes });
        self.catch_up(tell);
    }

    /// What it waits for does not come.
    fn give_up(&mut self, tell: &mut dyn FnMut(What<'_>)) {
        while let Some(next) = self.next
            && let Some(first) =
                self.early.iter().map(|(number, _)| number.wrapping_sub(next)).min()
        {
            self.hole(u64::from(first), tell);
        }
    }
}

fn is_ahead(number: u32, next: u32) -> bool {
    number.wrapping_sub(next).cast_signed() > 0
}
