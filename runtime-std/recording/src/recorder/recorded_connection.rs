//! One connection that is being recorded: what happens on it → its packets.
//!
//! TapEvent has to be said beside them is `comments.rs`, what they look like `tcp_flow.rs`; where they
//! are written is the sink's (`pcap_sink.rs`).

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Buf, Bytes};

use super::super::comments::{self, ControlComments, Segment};
use super::super::tcp_flow::{MOST, PacketKind, TcpFlow};
use super::super::{Port, Side};
use super::pcap_sink::PcapSink;
use super::tap::TapEvent;

/// A hole that sequence numbers can say: less than half of them.
const LONGEST_HOLE: u64 = 1 << 30;
/// The payload of packets that carry none.
static NOTHING: Bytes = Bytes::new();

/// A connection that is being recorded.
pub(super) struct RecordedConnection {
    port: Port,
    client: SocketAddr,
    instrument: SocketAddr,
    flow: TcpFlow,
    control: Option<ControlComments>,
    /// Pixels of the last image that are still to come.
    pixels: u64,
    /// Those that come first are not written any more: the file changed in the middle of them.
    dropped: u64,
    finished: [bool; 2],
}

impl RecordedConnection {
    pub(super) fn new(port: Port, client: SocketAddr, instrument: SocketAddr) -> Self {
        Self {
            port,
            client,
            instrument,
            flow: TcpFlow::new(client, instrument),
            control: (port == Port::Control).then(ControlComments::new),
            pixels: 0,
            dropped: 0,
            finished: [false; 2],
        }
    }

    /// The rest of an image that is not written any more comes off. Gives what is missing then.
    fn drop_rest(&mut self, from: Side, bytes: &mut Bytes, missing: u64) -> u64 {
        if from == Side::Client {
            return missing;
        }
        self.pixels = self.pixels.saturating_sub(missing + bytes.len() as u64);
        let of_missing = missing.min(self.dropped);
        self.dropped -= of_missing;
        let of_bytes = bytes.len().min(usize::try_from(self.dropped).unwrap_or(usize::MAX));
        bytes.advance(of_bytes);
        self.dropped -= of_bytes as u64;
        missing - of_missing
    }

    /// Whether a file may begin here.
    pub(super) fn is_between(&self) -> bool {
        self.pixels == 0 && self.control.as_ref().is_none_or(ControlComments::is_between)
    }

    /// Begins again, in the next file. Gives how many bytes are left out by that: without its header
    /// the rest of an image says nothing, and the next one is found behind it.
    pub(super) fn continue_in(&mut self, sink: &mut PcapSink, at: Duration) -> io::Result<u64> {
        self.flow = TcpFlow::new(self.client, self.instrument);
        self.open(sink, at, "continued from the file before")?;
        let rest = std::mem::take(&mut self.pixels);
        self.dropped += rest;
        self.flow.skip(Side::Instrument, self.dropped);
        for from in [Side::Client, Side::Instrument] {
            if self.finished[from as usize] {
                self.packet(sink, at, from, PacketKind::Finish, &NOTHING, "")?;
            }
        }
        Ok(rest)
    }

    /// Gives whether the connection is over.
    pub(super) fn happened(
        &mut self,
        sink: &mut PcapSink,
        at: Duration,
        what: TapEvent,
    ) -> io::Result<bool> {
        match what {
            TapEvent::Opened { .. } => {}
            TapEvent::Bytes { from, mut bytes, missing } => {
                let missing = self.drop_rest(from, &mut bytes, missing);
                self.skip(sink, at, from, missing)?;
                let mut parts = match &mut self.control {
                    Some(notes) => notes.cut(from, at, &bytes),
                    None => vec![Segment { length: bytes.len(), comment: String::new() }],
                };
                if let Some(first) = parts.first_mut() {
                    first.comment = with_hole(missing, &first.comment);
                }
                let mut rest = bytes;
                for Segment { length, comment } in parts {
                    let part = rest.split_to(length.min(rest.len()));
                    self.carry(sink, at, from, part, &comment)?;
                }
            }
            TapEvent::Image { header, left_out, missing } => {
                self.skip(sink, at, Side::Instrument, missing)?;
                let comment = with_hole(missing, &comments::image(&header, left_out));
                self.pixels = if left_out.is_some() { 0 } else { u64::from(header.size) };
                let header = Bytes::copy_from_slice(&header.encode());
                self.carry(sink, at, Side::Instrument, header, &comment)?;
            }
            TapEvent::NoImage { bytes, why, missing } => {
                self.skip(sink, at, Side::Instrument, missing)?;
                let comment = with_hole(missing, &format!("no image: {why}"));
                self.carry(sink, at, Side::Instrument, bytes, &comment)?;
            }
            TapEvent::Finished { from, missing, note } => {
                self.skip(sink, at, from, missing)?;
                self.finished[from as usize] = true;
                self.packet(
                    sink,
                    at,
                    from,
                    PacketKind::Finish,
                    &NOTHING,
                    &with_hole(missing, &note),
                )?;
                if self.finished == [true; 2] {
                    self.packet(sink, at, from.other(), PacketKind::Data, &NOTHING, "")?;
                }
            }
            TapEvent::Reset { by, missing, note } => {
                self.skip(sink, at, by, missing)?;
                self.packet(sink, at, by, PacketKind::Reset, &NOTHING, &with_hole(missing, &note))?;
                return Ok(true);
            }
        }
        Ok(self.finished == [true; 2])
    }

    /// Bytes of that side that are missing leave a hole in the numbers.
    fn skip(
        &mut self,
        sink: &mut PcapSink,
        at: Duration,
        from: Side,
        missing: u64,
    ) -> io::Result<()> {
        if missing == 0 {
            return Ok(());
        }
        if let Some(notes) = &mut self.control {
            notes.skip(from);
        }
        if missing < LONGEST_HOLE {
            self.flow.skip(from, missing);
            return Ok(());
        }
        // The numbers cannot say so much: it begins anew.
        self.packet(sink, at, from, PacketKind::Reset, &NOTHING, "")?;
        self.flow = TcpFlow::new(self.client, self.instrument);
        self.open(sink, at, "continued behind a hole")
    }

    /// The three packets that begin a connection.
    pub(super) fn open(
        &mut self,
        sink: &mut PcapSink,
        at: Duration,
        comment: &str,
    ) -> io::Result<()> {
        self.packet(sink, at, Side::Client, PacketKind::Open, &NOTHING, comment)?;
        self.packet(sink, at, Side::Instrument, PacketKind::Open, &NOTHING, "")?;
        self.packet(sink, at, Side::Client, PacketKind::Data, &NOTHING, "")
    }

    /// Bytes in as many packets as they need; the comment is the first one's.
    fn carry(
        &mut self,
        sink: &mut PcapSink,
        at: Duration,
        from: Side,
        mut bytes: Bytes,
        comment: &str,
    ) -> io::Result<()> {
        let mut comment = comment;
        while !bytes.is_empty() {
            let part = bytes.split_to(MOST.min(bytes.len()));
            self.packet(sink, at, from, PacketKind::Data, &part, comment)?;
            comment = "";
        }
        Ok(())
    }

    fn packet(
        &mut self,
        sink: &mut PcapSink,
        at: Duration,
        from: Side,
        does: PacketKind,
        payload: &Bytes,
        comment: &str,
    ) -> io::Result<()> {
        self.flow.headers(from, does, payload, sink.headers());
        sink.packet(self.port, at, payload, comment)
    }
}

/// Says of what is missing how much it is.
fn with_hole(missing: u64, comment: &str) -> String {
    match (missing, comment) {
        (0, _) => comment.to_owned(),
        (_, "") => format!("{missing} bytes before this were not recorded"),
        _ => format!("{comment}; {missing} bytes before this were not recorded"),
    }
}
