//! Reads a capture file, from a recorder or from tcpdump: the messages on the control ports, and the
//! images.
//!
//! `source.rs` holds the bytes of the file, `blocks.rs` and `records.rs` find the packets in them, and
//! `packet_reader.rs`, `link.rs`, `ip.rs` and `ip_header.rs` read TCP packets. `streams.rs` and `reassembly.rs` turn
//! packets into the bytes of each connection, `known_ports.rs` tells which of them belong to an instrument, and
//! `messages.rs` reads messages and images from the bytes, as `events.rs` defines them. `steady_time.rs` takes the steps of the clock out of
//! the times. Nothing is classified here: that is `conversation.rs`.

mod blocks;
mod events;
mod ip;
mod ip_header;
mod known_ports;
mod link;
mod messages;
mod packet_reader;
mod reassembly;
mod records;
mod source;
mod steady_time;
mod streams;
mod time;

use std::fmt;
use std::fs::File;
use std::io;
use std::path::Path;

pub use events::{CaptureEvent, EventKind};
pub use known_ports::KnownPorts;
pub use streams::ConnectionInfo;

use messages::Messages;
use packet_reader::{Packet, PacketReader, RawPacket, Read};
use steady_time::SteadyTime;
use streams::Streams;

/// Why a capture cannot be read, or not to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaptureError {
    /// The file cannot be read.
    #[error("cannot read it: {0}")]
    Read(#[from] io::Error),
    /// The file is no capture.
    #[error("expected a pcapng or pcap file, found other bytes")]
    Form,
    /// The file is packed in a form that is not read. Files that gzip has packed are read.
    #[error("it is packed; unpack it first, with {command}")]
    Packed {
        /// The command that unpacks it.
        command: &'static str,
    },
    /// The file ends in the middle of a packet, as it does when the writer was killed.
    #[error("it ends in the middle of a packet")]
    Cut,
    /// No packet of the file has a link type that can be read.
    #[error("expected TCP connections over IP, found packets of link type {found} only")]
    LinkType {
        /// The number of a link type in the file, as in the list of pcap link types.
        found: u32,
    },
}

/// Whether the bytes begin like a capture file: pcapng, or pcap in either byte order, or a packed file that
/// may contain one. Four bytes are enough.
pub fn is_capture(bytes: &[u8]) -> bool {
    let pcap = |magic: &u32| {
        bytes.starts_with(&magic.to_le_bytes()) || bytes.starts_with(&magic.to_be_bytes())
    };
    bytes.starts_with(&[0x0A, 0x0D, 0x0D, 0x0A])
        || records::MAGICS.iter().any(pcap)
        || bytes.starts_with(&source::GZIP)
        || source::unpacked_by(bytes).is_some()
}

/// What a capture has that cannot be read, and was skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Unreadable {
    /// Blocks of a pcapng file, or records of a pcap file.
    pub blocks: u64,
    /// Options of pcapng blocks.
    pub options: u64,
    /// IP packets of which not every fragment is in the file.
    pub fragments: u64,
}

impl Unreadable {
    /// Whether nothing was skipped.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = [
            (self.blocks, "broken block", "broken blocks"),
            (self.options, "broken option", "broken options"),
            (
                self.fragments,
                "IP packet without all its fragments",
                "IP packets without all their fragments",
            ),
        ];
        let mut separator = "";
        for (count, one, several) in counts.into_iter().filter(|(count, ..)| *count > 0) {
            write!(f, "{separator}{count} {}", if count == 1 { one } else { several })?;
            separator = ", ";
        }
        Ok(())
    }
}

/// The events of a capture, from its beginning to its end. The memory that it uses depends on the
/// connections that are open at one time, not on the length of the file.
///
/// ```
/// use flamingo_protocol_core::{CommandCode, Frame};
/// use flamingo_recording::capture::{Capture, EventKind};
/// use flamingo_recording::{Port, Recorder, RecorderOptions};
/// # let file = std::env::temp_dir().join(format!("flamingo-read-{}.pcapng", std::process::id()));
/// # let recorder = Recorder::to_file(&file, RecorderOptions::default())?;
/// # let ends = ["10.0.0.7:4000".parse()?, "10.0.0.5:53717".parse()?];
/// # let [mut sent, came] = recorder.open(Port::Control, ends[0], ends[1]);
/// # sent.bytes(Frame::command(CommandCode::SYSTEM_STATE_GET).encode().to_vec());
/// # drop((sent, came));
/// # recorder.finish();
/// for event in Capture::open(&file)? {
///     let event = event?;
///     if let EventKind::Message { message, .. } = &event.kind {
///         println!("{} {}", event.from, message.frame.code);
///     }
/// }
/// # std::fs::remove_file(file)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Capture {
    packets: PacketReader,
    time: SteadyTime,
    streams: Streams,
    messages: Messages,
    over: bool,
    /// Returned after the events that wait.
    error: Option<CaptureError>,
}

impl fmt::Debug for Capture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Capture").field("over", &self.over).finish_non_exhaustive()
    }
}

impl Capture {
    /// Opens a file.
    ///
    /// # Errors
    /// [`CaptureError`]: the file cannot be read, or is no capture.
    pub fn open(path: &Path) -> Result<Self, CaptureError> {
        Self::from_reader(Box::new(File::open(path)?))
    }

    /// Reads from a reader.
    ///
    /// # Errors
    /// [`CaptureError`]: the bytes cannot be read, or are no capture.
    pub fn from_reader(reader: Box<dyn io::Read + Send>) -> Result<Self, CaptureError> {
        Ok(Self {
            packets: PacketReader::new(reader)?,
            time: SteadyTime::default(),
            streams: Streams::default(),
            messages: Messages::default(),
            over: false,
            error: None,
        })
    }

    /// Reads connections to these ports as connections to an instrument. Call it before the first event
    /// is read.
    #[must_use]
    pub fn known_ports(mut self, ports: KnownPorts) -> Self {
        self.streams.ports = ports;
        self
    }

    /// Whether the file was read to its end. From then on, events tell what had begun and does not end in
    /// the file.
    pub fn is_at_end(&self) -> bool {
        self.over
    }

    /// How many TCP connections that do not belong to an instrument were seen so far.
    pub fn others(&self) -> u64 {
        self.streams.others()
    }

    /// How many packets of any kind were read so far.
    pub fn packets(&self) -> u64 {
        self.packets.count()
    }

    /// What was skipped so far, since it cannot be read.
    pub fn unreadable(&self) -> Unreadable {
        self.packets.unreadable()
    }

    /// The next event of what was read. A step of the clock goes before the event after it.
    fn next_event(&mut self) -> Option<CaptureEvent> {
        let next = self.messages.peek()?;
        let (connection, at, from) = (next.connection, next.at, next.from);
        match self.time.next_step() {
            Some(kind) => Some(CaptureEvent { connection, at, from, kind }),
            None => self.messages.next(),
        }
    }

    /// Reads the next block of the file, or its end.
    fn step(&mut self) {
        let Self { packets, time, streams, messages, over, error, .. } = self;
        let read = packets.read(&mut |packet| {
            let packet = Packet { at: time.of(packet), ..*packet };
            streams.take(&packet, &mut |event| messages.take(event));
        });
        if !matches!(read, Ok(Read::Block)) {
            *over = true;
            *error = read.err();
            streams.end(&mut |event| messages.take(event));
        }
    }
}

impl Iterator for Capture {
    type Item = Result<CaptureEvent, CaptureError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(event) = self.next_event() {
                return Some(Ok(event));
            }
            if self.over {
                return self.error.take().map(Err);
            }
            self.step();
        }
    }
}

#[cfg(test)]
mod tests;
