//! Reads what was recorded, here or with tcpdump: a capture file → what was said on the control
//! ports, and the images.
//!
//! Packets out of files are `packets.rs`, byte streams out of packets `streams.rs` and `way.rs`, frames and
//! images out of those `talk.rs`. Nothing is judged here: that is `conversation.rs`.

mod packets;
mod streams;
mod talk;
mod way;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use pcap_file::PcapError;

pub use streams::Who;
pub use talk::{Happening, Said};

use packets::Packets;
use streams::Streams;
use talk::Talk;

/// Why a capture is not read to its end.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The file cannot be read.
    #[error("cannot read it: {0}")]
    Read(#[from] io::Error),
    /// It has not the form of a capture.
    #[error("expected a pcapng or pcap file: {0}")]
    Form(PcapError),
    /// It ends in the middle of a packet, as when whoever wrote it was cut off.
    #[error("it ends in the middle of a packet")]
    Cut,
    /// There is nothing in it that can be read.
    #[error("expected TCP connections over IP, found packets of link type {found} only")]
    LinkType {
        /// Its number in the list of link types.
        found: u32,
    },
}

/// Whether bytes begin as a capture file does: pcapng, or pcap of either byte order.
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

/// A capture, from its beginning to its end. Memory is bounded by what is open at one time.
///
/// ```
/// use flamingo_protocol_core::{CommandCode, Frame};
/// use flamingo_recording::capture::{Capture, Said};
/// use flamingo_recording::{Options, Port, Recorder};
/// # let file = std::env::temp_dir().join(format!("flamingo-read-{}.pcapng", std::process::id()));
/// # let recorder = Recorder::to_file(&file, Options::default())?;
/// # let ends = ["10.0.0.7:4000".parse()?, "10.0.0.5:53717".parse()?];
/// # let [mut sent, came] = recorder.open(Port::Control, ends[0], ends[1]);
/// # sent.bytes(Frame::command(CommandCode::SYSTEM_STATE_GET).encode().to_vec());
/// # drop((sent, came));
/// # recorder.finish();
/// for happening in Capture::open(&file)? {
///     let happening = happening?;
///     if let Said::Frame { frame, .. } = &happening.said {
///         println!("{} {}", happening.from, frame.code);
///     }
/// }
/// # std::fs::remove_file(file)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Capture {
    packets: Packets,
    streams: Streams,
    talk: Talk,
    over: bool,
    /// Told behind what was held back.
    error: Option<CaptureError>,
}

impl std::fmt::Debug for Capture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Capture").field("over", &self.over).finish_non_exhaustive()
    }
}

impl Capture {
    /// Begins to read a file.
    ///
    /// # Errors
    /// [`CaptureError`]: it cannot be read, or is no capture.
    pub fn open(path: &Path) -> Result<Self, CaptureError> {
        Self::from_reader(Box::new(File::open(path)?))
    }

    /// Begins to read whatever gives bytes.
    ///
    /// # Errors
    /// The same.
    pub fn from_reader(reader: Box<dyn Read + Send>) -> Result<Self, CaptureError> {
        Ok(Self {
            packets: Packets::new(reader)?,
            streams: Streams::default(),
            talk: Talk::default(),
            over: false,
            error: None,
        })
    }

    /// TCP connections that are none of an instrument's, as far as was read.
    pub fn others(&self) -> u64 {
        self.streams.others()
    }

    /// One packet more, or the end.
    fn step(&mut self) {
        let Self { packets, streams, talk, over, error } = self;
        match packets.next() {
            Ok(Some(packet)) => streams.take(&packet, &mut |event| talk.take(event)),
            end => {
                *over = true;
                *error = end.err();
                streams.end(&mut |event| talk.take(event));
            }
        }
    }
}

impl Iterator for Capture {
    type Item = Result<Happening, CaptureError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(happening) = self.talk.next() {
                return Some(Ok(happening));
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
