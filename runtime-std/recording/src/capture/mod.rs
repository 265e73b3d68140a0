//! Reads a capture file, from a recorder or from tcpdump: the messages on the control ports, and the
//! images.
//!
//! `packet_reader.rs` reads packets from the file, `streams.rs` and `reassembly.rs` turn packets into
//! the bytes of each connection, and `messages.rs` reads messages and images from the bytes. Nothing is
//! classified here: that is `conversation.rs`.

mod messages;
mod packet_reader;
mod reassembly;
mod streams;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use pcap_file::PcapError;

pub use messages::{CaptureEvent, EventKind};
pub use streams::ConnectionInfo;

use messages::Messages;
use packet_reader::PacketReader;
use streams::Streams;

/// Why a capture cannot be read, or not to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaptureError {
    /// The file cannot be read.
    #[error("cannot read it: {0}")]
    Read(#[from] io::Error),
    /// The file is no capture.
    #[error("expected a pcapng or pcap file: {0}")]
    Form(PcapError),
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

/// Whether the bytes begin like a capture file: pcapng, or pcap in either byte order. Four bytes are
/// enough.
pub fn is_capture(bytes: &[u8]) -> bool {
    const BEGINNINGS: [[u8; 4]; 5] = [
        [0x0A, 0x0D, 0x0D, 0x0A],
        [0xA1, 0xB2, 0xC3, 0xD4],
        [0xD4, 0xC3, 0xB2, 0xA1],
        [0xA1, 0xB2, 0x3C, 0x4D],
        [0x4D, 0x3C, 0xB2, 0xA1],
    ];
    BEGINNINGS.iter().any(|beginning| bytes.starts_with(beginning))
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
    streams: Streams,
    messages: Messages,
    over: bool,
    /// Returned after the events that wait.
    error: Option<CaptureError>,
}

impl std::fmt::Debug for Capture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
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
    pub fn from_reader(reader: Box<dyn Read + Send>) -> Result<Self, CaptureError> {
        Ok(Self {
            packets: PacketReader::new(reader)?,
            streams: Streams::default(),
            messages: Messages::default(),
            over: false,
            error: None,
        })
    }

    /// How many TCP connections that do not belong to an instrument were seen so far.
    pub fn others(&self) -> u64 {
        self.streams.others()
    }

    /// Reads the next packet, or the end of the file.
    fn step(&mut self) {
        let Self { packets, streams, messages, over, error } = self;
        match packets.next() {
            Ok(Some(packet)) => streams.take(&packet, &mut |event| messages.take(event)),
            end => {
                *over = true;
                *error = end.err();
                streams.end(&mut |event| messages.take(event));
            }
        }
    }
}

impl Iterator for Capture {
    type Item = Result<CaptureEvent, CaptureError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(event) = self.messages.next() {
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
