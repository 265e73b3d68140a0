//! One connection that is being recorded: its events become packets.
//!
//! The comments of the packets are `comments.rs`, their headers `tcp_flow.rs`; `pcap_sink.rs` writes
//! them.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Buf, Bytes};

use super::super::comments::{self, ControlComments, Segment};
use super::super::tcp_flow::{MOST, PacketKind, TcpFlow};
use super::super::{Port, Side};
use super::pcap_sink::PcapSink;
use super::tap::TapEvent;

/// Between the first sequence numbers of two anonymized connections. Odd, so that each number is taken once.
const DISTANCE: u64 = 0x0123_4567;
/// The longest hole, in bytes, that TCP sequence numbers can express: less than half their range.
const LONGEST_HOLE: u64 = 1 << 30;
/// The payload of packets without one.
static NOTHING: Bytes = Bytes::new();

/// A connection that is being recorded.
pub(super) struct RecordedConnection {
    port: Port,
    client: SocketAddr,
    instrument: SocketAddr,
    flow: TcpFlow,
    control: Option<ControlComments>,
    /// Bytes of pixels of the current image that are still missing.
    pixels: u64,
    /// So many of the next bytes are not written: the file changed in the middle of their image.
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

    /// Removes the rest of an image that is not written from the bytes. Returns how many bytes are
    /// missing after that.
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

    /// Begins with other sequence numbers than the connections before. A copy may have a second connection
    /// with the same addresses without the end of the first.
    pub(super) fn number_from(&mut self, connection: u64) {
        for from in [Side::Client, Side::Instrument] {
            self.flow.skip(from, connection.wrapping_mul(DISTANCE));
        }
    }

    /// Whether a file may begin here.
    pub(super) fn is_between(&self) -> bool {
        self.pixels == 0 && self.control.as_ref().is_none_or(ControlComments::is_between)
    }

    /// Begins again in the next file. Returns how many bytes that leaves out: the rest of an image is
    /// of no use without its header, so the recording continues at the next image.
    pub(super) fn continue_in(&mut self, sink: &mut PcapSink, at: Duration) -> io::Result<u64> {
        self.flow = TcpFlow::new(self.client, self.instrument);
        self.open(sink, at, comments::CONTINUED_FROM_BEFORE)?;
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

    /// Records an event. Returns whether the connection is over.
    pub(super) fn take(
        &mut self,
        sink: &mut PcapSink,
        at: Duration,
        event: TapEvent,
    ) -> io::Result<bool> {
        match event {
            TapEvent::Opened { .. } | TapEvent::ClockSeen { .. } => {}
            TapEvent::Hole { from, missing } => {
                let missing = self.drop_rest(from, &mut Bytes::new(), missing);
                self.skip(sink, at, from, missing)?;
                let comment = with_hole(missing, "");
                self.packet(sink, at, from, PacketKind::Data, &NOTHING, &comment)?;
            }
            TapEvent::Bytes { from, mut bytes, missing } => {
                let missing = self.drop_rest(from, &mut bytes, missing);
                self.skip(sink, at, from, missing)?;
                let mut segments = match &mut self.control {
                    Some(comments) => comments.cut(from, at, &bytes),
                    None => vec![Segment { length: bytes.len(), comment: String::new() }],
                };
                if let Some(first) = segments.first_mut() {
                    first.comment = with_hole(missing, &first.comment);
                }
                let mut rest = bytes;
                for Segment { length, comment } in segments {
                    let bytes = rest.split_to(length.min(rest.len()));
                    self.data(sink, at, from, bytes, &comment)?;
                }
            }
            TapEvent::Image { header, left_out, missing } => {
                self.skip(sink, at, Side::Instrument, missing)?;
                let comment = with_hole(missing, &comments::image(&header, left_out));
                self.pixels = if left_out.is_some() { 0 } else { u64::from(header.size) };
                let header = Bytes::copy_from_slice(&header.encode());
                self.data(sink, at, Side::Instrument, header, &comment)?;
            }
            TapEvent::NoImage { bytes, why, missing } => {
                self.skip(sink, at, Side::Instrument, missing)?;
                let comment = with_hole(missing, &format!("no image: {why}"));
                self.data(sink, at, Side::Instrument, bytes, &comment)?;
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

    /// Missing bytes of that side leave a hole in the sequence numbers.
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
        if let Some(comments) = &mut self.control {
            comments.skip(from);
        }
        if missing < LONGEST_HOLE {
            self.flow.skip(from, missing);
            return Ok(());
        }
        // Sequence numbers cannot express such a hole: the connection begins again.
        self.packet(sink, at, from, PacketKind::Reset, &NOTHING, "")?;
        self.flow = TcpFlow::new(self.client, self.instrument);
        self.open(sink, at, comments::CONTINUED_AFTER_HOLE)
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

    /// Writes bytes in as many packets as they need. The first one has the comment.
    fn data(
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
        kind: PacketKind,
        payload: &Bytes,
        comment: &str,
    ) -> io::Result<()> {
        self.flow.headers(from, kind, payload, sink.headers());
        sink.packet(self.port, at, payload, comment)
    }
}

/// Adds to a comment how many bytes are missing before the packet.
fn with_hole(missing: u64, comment: &str) -> String {
    match (missing, comment) {
        (0, _) => comment.to_owned(),
        (_, "") => format!("{missing} bytes before this were not recorded"),
        _ => format!("{comment}; {missing} bytes before this were not recorded"),
    }
}
