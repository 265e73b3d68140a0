//! What a capture contains: the events that [`Capture`](super::Capture) returns. `messages.rs` makes them.

use std::time::Duration;

use flamingo_protocol_core::image::{ImageError, ImageHeader};
use flamingo_runtime_std::{ClockStep, Message};

use super::super::Side;
use super::streams::ConnectionInfo;

/// Something that happened on a connection to an instrument.
#[derive(Debug, Clone, PartialEq)]
pub struct CaptureEvent {
    /// The connection.
    pub connection: ConnectionInfo,
    /// The time since 1970 in UTC. For a message, the time of the last byte of its payload. If the clock
    /// was set, times go on without the step.
    pub at: Duration,
    /// The side that caused it.
    pub from: Side,
    /// What happened.
    pub kind: EventKind,
}

/// What happened on a connection.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
#[allow(clippy::large_enum_variant)] // nearly every event is a message
pub enum EventKind {
    /// The connection began.
    Opened,
    /// A frame with its whole payload arrived, on the control port.
    Message {
        /// The frame and its payload.
        message: Message,
        /// Bytes before it that are no frame.
        noise: Vec<u8>,
        /// The length of the payload as the frame declares it on the wire, in bytes. The echo of an
        /// upload may declare the length of the upload, though no payload follows.
        declared: u32,
    },
    /// An image arrived, on one of the image ports.
    Image {
        /// Its header.
        header: ImageHeader,
        /// Its pixels, or `None` if they were not recorded.
        pixels: Option<Vec<u8>>,
        /// The CRC-32 of its pixels, if the pixels or their checksum were recorded.
        checksum: Option<u32>,
    },
    /// Bytes on an image port are no image. Nothing after them can be read.
    NoImage(ImageError),
    /// More than 64 KiB of bytes that are no frame. They are reported before the next frame arrives.
    Noise {
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// Bytes are missing in the recording.
    Hole {
        /// How many.
        bytes: u64,
    },
    /// The last bytes before the end or before missing bytes. They belong to no frame or image, or are a
    /// part of one.
    Rest {
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// What the recorder has noted about the end of the connection, which comes next.
    Note {
        /// The note.
        text: String,
        /// Whether the program that recorded has ended the connection, and no side.
        by_recorder: bool,
    },
    /// That side has closed its direction of the connection.
    Finished,
    /// That side has reset the connection.
    Reset,
    /// The clock that gave the times was set. The times of the events go on without the step.
    ClockStep {
        /// How far it was set.
        step: ClockStep,
        /// Whether the recorder has noted it. If not, the times in the file have gone back, or forward by
        /// a year or more.
        noted: bool,
    },
}
