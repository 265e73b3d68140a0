//! Bytes of a connection → frames with their payloads, images, and what is neither.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use flamingo_protocol_core::{
    Assembler, FIELDS, FRAME_LEN, HEADER_LEN, ImageError, ImageHeader, ImagePiece, ImageReader,
    MAX_IMAGE, Piece,
};
use flamingo_runtime_std::{Message, MessageCollector};

use super::super::Side;
use super::super::comments::{LEFT_OUT, assemblers};
use super::streams::{ConnectionInfo, StreamEvent, StreamEventKind};

/// Bytes that are no frame and may be kept.
const MOST_NOISE: usize = 64 * 1024;

/// Something that happened on one of an instrument's connections.
#[derive(Debug, Clone, PartialEq)]
pub struct CaptureEvent {
    /// On which.
    pub connection: ConnectionInfo,
    /// When, since 1970 in UTC: of a frame when its last byte came, its payload included.
    pub at: Duration,
    /// Whose doing it is.
    pub from: Side,
    /// StreamEventKind.
    pub kind: EventKind,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
#[allow(clippy::large_enum_variant)] // nearly every one is a frame
pub enum EventKind {
    /// The connection began.
    Opened,
    /// A frame with its whole payload arrived, on the control port.
    Message {
        /// The frame and its payload.
        message: Message,
        /// Bytes before it that are no frame.
        noise: Vec<u8>,
        /// The length of a payload as the frame declares it on the wire: the echo of an upload may
        /// have the upload's, though nothing follows.
        declared: u32,
    },
    /// An image came, on one of the other two.
    Image {
        /// Its header.
        header: ImageHeader,
        /// Its pixels; `None` if the recording has none.
        pixels: Option<Vec<u8>>,
        /// CRC-32 of its pixels, where the recording or the pixels say so.
        checksum: Option<u32>,
    },
    /// What should be images is none, and nothing behind it can be read.
    NoImage(ImageError),
    /// Bytes that are no frame, so many that the frame behind them is not waited for.
    Noise {
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// Bytes that are not in the recording.
    Hole {
        /// How many.
        bytes: u64,
    },
    /// Bytes at the end that belong to no frame or image, or are a part of one.
    Rest {
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// That side has closed its direction.
    Finished,
    /// The connection was cut off.
    Reset,
}

/// All connections.
#[derive(Debug, Default)]
pub(super) struct Messages {
    readers: HashMap<u64, (ConnectionInfo, [DirectionReader; 2])>,
    ready: VecDeque<CaptureEvent>,
}

impl Messages {
    pub(super) fn next(&mut self) -> Option<CaptureEvent> {
        self.ready.pop_front()
    }

    pub(super) fn take(&mut self, event: StreamEvent<'_>) {
        let StreamEvent { connection, at, from, what } = event;
        let (_, readers) = self
            .readers
            .entry(connection.number)
            .or_insert_with(|| (connection, DirectionReader::pair(connection)));
        let ready = &mut self.ready;
        let mut say = |kind| ready.push_back(CaptureEvent { connection, at, from, kind });
        let reader = &mut readers[from as usize];
        match what {
            StreamEventKind::Opened => say(EventKind::Opened),
            StreamEventKind::Bytes { bytes, comment } => reader.take(bytes, comment, &mut say),
            StreamEventKind::Hole { bytes } => {
                reader.hole(bytes, &mut say);
                say(EventKind::Hole { bytes });
            }
            StreamEventKind::Finished => {
                reader.rest(&mut say);
                say(EventKind::Finished);
            }
            StreamEventKind::Reset => {
                reader.rest(&mut say);
                say(EventKind::Reset);
            }
            StreamEventKind::Over => self.forget(connection, at),
        }
    }

    /// The connection is over: what has begun on it is not completed any more.
    fn forget(&mut self, connection: ConnectionInfo, at: Duration) {
        let Some((_, readers)) = self.readers.remove(&connection.number) else { return };
        for (mut reader, from) in readers.into_iter().zip([Side::Client, Side::Instrument]) {
            reader.rest(&mut |kind| {
                self.ready.push_back(CaptureEvent { connection, at, from, kind })
            });
        }
    }
}

/// One direction of a connection.
#[derive(Debug)]
enum DirectionReader {
    Frames(Box<Frames>),
    Images(Box<Images>),
    /// Nothing can be read any more.
    Lost,
}

#[derive(Debug)]
struct Frames {
    assembler: Assembler,
    /// A copy of the assembler as it was at the beginning.
    fresh: Assembler,
    /// Bytes since the last message that belong to no frame, or not yet.
    raw: Vec<u8>,
    collector: MessageCollector,
    /// The length of the payload as the last frame declares it on the wire.
    declared: u32,
}

#[derive(Debug)]
struct Images {
    reader: ImageReader,
    /// Headers stand one behind the other; the checksums are in comments.
    headers_only: bool,
    raw: Vec<u8>,
    current: Option<ImageHeader>,
    /// Pixels of it that are still to come, in bytes.
    remaining: u64,
    /// Some of them are missing.
    damaged: bool,
    checksum: Option<u32>,
}

impl DirectionReader {
    fn pair(connection: ConnectionInfo) -> [Self; 2] {
        let [client, instrument] = assemblers().map(|it| Self::Frames(Box::new(Frames::new(it))));
        if connection.port == super::super::Port::Control {
            return [client, instrument];
        }
        let images = Images {
            reader: ImageReader::default(),
            headers_only: !connection.pixels,
            raw: Vec::new(),
            current: None,
            remaining: 0,
            damaged: false,
            checksum: None,
        };
        [client, Self::Images(Box::new(images))]
    }

    fn take(&mut self, bytes: &[u8], comment: Option<&str>, say: &mut impl FnMut(EventKind)) {
        let lost = match self {
            Self::Lost => false,
            Self::Frames(frames) => {
                frames.take(bytes, say);
                false
            }
            Self::Images(images) => images.take(bytes, comment, say).is_err(),
        };
        if lost {
            *self = Self::Lost;
        }
    }

    /// What has begun and will not be completed.
    fn rest(&mut self, say: &mut impl FnMut(EventKind)) {
        let bytes = match self {
            Self::Lost => return,
            Self::Frames(frames) => frames.give_up(),
            Self::Images(images) => {
                let mut bytes = Vec::new();
                if let Some(header) = images.current.take() {
                    bytes.extend(header.encode());
                }
                bytes.append(&mut images.raw);
                bytes
            }
        };
        if !bytes.is_empty() {
            say(EventKind::Rest { bytes });
        }
    }

    /// Bytes are missing: half a frame is given up, an image goes on without its pixels.
    fn hole(&mut self, bytes: u64, say: &mut impl FnMut(EventKind)) {
        match self {
            Self::Lost => {}
            Self::Frames(_) => {
                self.rest(say);
                if let Self::Frames(frames) = self {
                    frames.assembler.clone_from(&frames.fresh);
                }
            }
            Self::Images(images) => images.hole(bytes, say),
        }
    }
}

impl Frames {
    fn new(assembler: Assembler) -> Self {
        let fresh = assembler.clone();
        let collector = MessageCollector::default();
        Self { assembler, fresh, raw: Vec::new(), collector, declared: 0 }
    }

    fn take(&mut self, mut bytes: &[u8], say: &mut impl FnMut(EventKind)) {
        loop {
            let (consumed, piece) = self.assembler.push(bytes);
            let (taken, rest) = bytes.split_at(consumed);
            bytes = rest;
            let complete = match piece {
                None => {
                    self.raw.extend_from_slice(taken);
                    self.noise(say);
                    return;
                }
                Some(Piece::Frame { frame, .. }) => {
                    self.raw.extend_from_slice(taken);
                    self.declared = declared(&self.raw).unwrap_or(frame.payload_len);
                    self.raw.truncate(self.raw.len().saturating_sub(FRAME_LEN));
                    self.collector.frame(frame, ())
                }
                Some(Piece::Payload { bytes, remaining }) => {
                    self.collector.payload(bytes, remaining)
                }
            };
            if let Some((message, ())) = complete {
                let noise = std::mem::take(&mut self.raw);
                say(EventKind::Message { message, noise, declared: self.declared });
            }
        }
    }

    /// Much noise is reported before the frame after it arrives.
    fn noise(&mut self, say: &mut impl FnMut(EventKind)) {
        if self.collector.partial().is_none() && self.raw.len() > MOST_NOISE {
            let rest = self.raw.split_off(self.raw.len() - self.assembler.held());
            say(EventKind::Noise { bytes: std::mem::replace(&mut self.raw, rest) });
        }
    }

    /// Gives up what has begun. Returns its bytes.
    fn give_up(&mut self) -> Vec<u8> {
        let mut bytes = std::mem::take(&mut self.raw);
        bytes.extend(self.collector.partial().map(Message::to_bytes).unwrap_or_default());
        self.collector.clear();
        bytes
    }
}

/// The length in the frame that these bytes end with.
fn declared(bytes: &[u8]) -> Option<u32> {
    let length = FIELDS.iter().find(|field| field.name == "additionalDataBytes")?;
    let frame = bytes.get(bytes.len().checked_sub(FRAME_LEN)?..)?;
    let raw = frame.get(length.offset..length.offset + length.len)?;
    raw.try_into().ok().map(u32::from_le_bytes)
}

impl Images {
    fn take(
        &mut self,
        mut bytes: &[u8],
        comment: Option<&str>,
        say: &mut impl FnMut(EventKind),
    ) -> Result<(), ()> {
        if let Some(checksum) = comment.and_then(checksum) {
            self.checksum = Some(checksum);
        }
        if self.headers_only {
            return self.headers(bytes, say);
        }
        while !bytes.is_empty() {
            let (consumed, piece) = self.reader.push(bytes);
            let (taken, rest) = bytes.split_at(consumed);
            self.raw.extend_from_slice(taken);
            bytes = rest;
            match piece {
                Err(error) => {
                    say(EventKind::NoImage(error));
                    return Err(());
                }
                Ok(Some(ImagePiece::Header(header))) => {
                    self.raw.clear();
                    self.current = Some(header);
                    (self.remaining, self.damaged) = (u64::from(header.size), false);
                    if header.size == 0 {
                        self.complete(say);
                    }
                }
                Ok(Some(ImagePiece::Pixels { remaining, .. })) => {
                    self.remaining = u64::from(remaining);
                    if remaining == 0 {
                        self.complete(say);
                    }
                }
                Ok(None) => {}
            }
        }
        Ok(())
    }

    fn headers(&mut self, bytes: &[u8], say: &mut impl FnMut(EventKind)) -> Result<(), ()> {
        self.raw.extend_from_slice(bytes);
        while let Some(header) = self.raw.get(..HEADER_LEN) {
            match ImageHeader::decode(header, MAX_IMAGE) {
                Ok(header) => {
                    self.raw.drain(..HEADER_LEN);
                    let checksum = self.checksum.take();
                    say(EventKind::Image { header, pixels: None, checksum });
                }
                Err(error) => {
                    say(EventKind::NoImage(error));
                    return Err(());
                }
            }
        }
        Ok(())
    }

    fn complete(&mut self, say: &mut impl FnMut(EventKind)) {
        let pixels = Some(std::mem::take(&mut self.raw)).filter(|_| !self.damaged);
        let checksum = pixels.as_deref().map(crc32fast::hash);
        if let Some(header) = self.current.take() {
            say(EventKind::Image { header, pixels, checksum });
        }
    }

    /// How much is missing is known, so the next header is found; an image without all of its
    /// pixels has none. Behind a hole that is longer, a header must come: it shows.
    fn hole(&mut self, bytes: u64, say: &mut impl FnMut(EventKind)) {
        const NOTHING: [u8; 4096] = [0; 4096];
        let mut missing = bytes.min(self.remaining);
        self.damaged |= missing > 0;
        while missing > 0 {
            let step = missing.min(NOTHING.len() as u64);
            #[allow(clippy::cast_possible_truncation)] // at most 4096
            let (_, piece) = self.reader.push(&NOTHING[..step as usize]);
            missing -= step;
            self.remaining -= step;
            if let Ok(Some(ImagePiece::Pixels { remaining: 0, .. })) = piece {
                self.complete(say);
            }
        }
    }
}

/// StreamEventKind the comment of an image without pixels says.
fn checksum(comment: &str) -> Option<u32> {
    let text = comment.strip_prefix(LEFT_OUT)?;
    u32::from_str_radix(text.get(..8)?, 16).ok()
}
