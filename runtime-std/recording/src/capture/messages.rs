//! Turns the bytes of a connection into messages, images and the bytes that are neither.
//!
//! Messages are collected by the adapter's `MessageCollector`. Which message answers which is not
//! decided here.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use flamingo_protocol_core::{
    image::{HEADER_LEN, ImageError, ImageHeader, ImagePiece, ImageReader, MAX_IMAGE},
    wire::{Assembler, FIELDS, FRAME_LEN, Piece},
};
use flamingo_runtime_std::{Message, MessageCollector};

use super::super::Side;
use super::super::comments::{LEFT_OUT, assemblers};
use super::events::{CaptureEvent, EventKind};
use super::streams::{ConnectionInfo, StreamEvent, StreamEventKind};

/// The most bytes that wait for the frame after them, if they belong to no frame.
const MOST_NOISE: usize = 64 * 1024;

/// The most bytes that are reserved for the pixels of an image when its header has come.
const RESERVED: usize = 1024 * 1024;

/// All connections.
#[derive(Debug, Default)]
pub(super) struct Messages {
    readers: BTreeMap<u64, (ConnectionInfo, [DirectionReader; 2])>,
    ready: VecDeque<CaptureEvent>,
}

impl Messages {
    pub(super) fn next(&mut self) -> Option<CaptureEvent> {
        self.ready.pop_front()
    }

    pub(super) fn peek(&self) -> Option<&CaptureEvent> {
        self.ready.front()
    }

    pub(super) fn take(&mut self, event: StreamEvent<'_>) {
        let StreamEvent { connection, at, from, kind } = event;
        let (_, readers) = self
            .readers
            .entry(connection.number)
            .or_insert_with(|| (connection, DirectionReader::pair(connection)));
        let ready = &mut self.ready;
        let mut report = |kind| ready.push_back(CaptureEvent { connection, at, from, kind });
        let reader = &mut readers[from as usize];
        match kind {
            StreamEventKind::Opened => report(EventKind::Opened),
            StreamEventKind::Bytes { bytes, comment } => reader.take(bytes, comment, &mut report),
            StreamEventKind::Hole { bytes } => {
                reader.hole(bytes, &mut report);
                report(EventKind::Hole { bytes });
            }
            StreamEventKind::Note { text, by_recorder } => {
                report(EventKind::Note { text: text.to_owned(), by_recorder });
            }
            StreamEventKind::Finished => {
                reader.rest(&mut report);
                report(EventKind::Finished);
            }
            StreamEventKind::Reset => {
                reader.rest(&mut report);
                report(EventKind::Reset);
            }
            StreamEventKind::Over => self.forget(connection, at),
        }
    }

    /// The connection is over: a part of a message or an image will not be completed.
    fn forget(&mut self, connection: ConnectionInfo, at: Duration) {
        let Some((_, readers)) = self.readers.remove(&connection.number) else { return };
        for (mut reader, from) in readers.into_iter().zip([Side::Client, Side::Instrument]) {
            reader.rest(&mut |kind| {
                self.ready.push_back(CaptureEvent { connection, at, from, kind });
            });
        }
    }
}

/// One direction of a connection.
#[derive(Debug)]
enum DirectionReader {
    Frames(Box<Frames>),
    Images(Box<Images>),
    /// Nothing more can be read.
    Lost,
}

#[derive(Debug)]
struct Frames {
    assembler: Assembler,
    /// A copy of the assembler from the beginning.
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
    /// The recording has only headers, one after the other. The checksums are in comments.
    headers_only: bool,
    raw: Vec<u8>,
    current: Option<ImageHeader>,
    /// How many bytes of its pixels are still missing.
    remaining: u64,
    /// Some of its pixels are not in the recording.
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

    fn take(&mut self, bytes: &[u8], comment: Option<&str>, report: &mut impl FnMut(EventKind)) {
        let lost = match self {
            Self::Lost => false,
            Self::Frames(frames) => {
                frames.take(bytes, report);
                false
            }
            Self::Images(images) => images.take(bytes, comment, report).is_err(),
        };
        if lost {
            *self = Self::Lost;
        }
    }

    /// Reports a part of a message or an image that will not be completed.
    fn rest(&mut self, report: &mut impl FnMut(EventKind)) {
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
            report(EventKind::Rest { bytes });
        }
    }

    /// Bytes are missing. A part of a message is given up; an image continues without its pixels.
    fn hole(&mut self, bytes: u64, report: &mut impl FnMut(EventKind)) {
        match self {
            Self::Lost => {}
            Self::Frames(_) => {
                self.rest(report);
                if let Self::Frames(frames) = self {
                    frames.assembler.clone_from(&frames.fresh);
                }
            }
            Self::Images(images) if images.is_in_header() => {
                // Where the next header begins is not known.
                let error = ImageError::Length { found: images.raw.len() };
                self.rest(report);
                report(EventKind::NoImage(error));
                *self = Self::Lost;
            }
            Self::Images(images) => images.hole(bytes, report),
        }
    }
}

impl Frames {
    fn new(assembler: Assembler) -> Self {
        let fresh = assembler.clone();
        let collector = MessageCollector::default();
        Self { assembler, fresh, raw: Vec::new(), collector, declared: 0 }
    }

    fn take(&mut self, mut bytes: &[u8], report: &mut impl FnMut(EventKind)) {
        loop {
            let (consumed, piece) = self.assembler.push(bytes);
            let (taken, rest) = bytes.split_at(consumed);
            bytes = rest;
            let complete = match piece {
                None => {
                    self.raw.extend_from_slice(taken);
                    self.noise(report);
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
                report(EventKind::Message { message, noise, declared: self.declared });
            }
        }
    }

    /// Much noise is reported before the frame after it arrives.
    fn noise(&mut self, report: &mut impl FnMut(EventKind)) {
        if self.collector.partial().is_none() && self.raw.len() > MOST_NOISE {
            let rest = self.raw.split_off(self.raw.len() - self.assembler.held());
            report(EventKind::Noise { bytes: std::mem::replace(&mut self.raw, rest) });
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

/// The payload length that is declared in the last 128 bytes, which are a frame.
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
        report: &mut impl FnMut(EventKind),
    ) -> Result<(), ()> {
        if let Some(checksum) = comment.and_then(checksum) {
            self.checksum = Some(checksum);
        }
        if self.headers_only {
            return self.headers(bytes, report);
        }
        while !bytes.is_empty() {
            let (consumed, piece) = self.reader.push(bytes);
            let (taken, rest) = bytes.split_at(consumed);
            self.raw.extend_from_slice(taken);
            bytes = rest;
            match piece {
                Err(error) => {
                    report(EventKind::NoImage(error));
                    return Err(());
                }
                Ok(Some(ImagePiece::Header(header))) => {
                    self.raw.clear();
                    // What a header says may be wrong: a longer image grows with what comes.
                    self.raw.reserve_exact((header.size as usize).min(RESERVED));
                    self.current = Some(header);
                    (self.remaining, self.damaged) = (u64::from(header.size), false);
                    if header.size == 0 {
                        self.complete(report);
                    }
                }
                Ok(Some(ImagePiece::Pixels { remaining, .. })) => {
                    self.remaining = u64::from(remaining);
                    if remaining == 0 {
                        self.complete(report);
                    }
                }
                Ok(None) => {}
            }
        }
        Ok(())
    }

    fn headers(&mut self, bytes: &[u8], report: &mut impl FnMut(EventKind)) -> Result<(), ()> {
        self.raw.extend_from_slice(bytes);
        while let Some(header) = self.raw.get(..HEADER_LEN) {
            match ImageHeader::decode(header, MAX_IMAGE) {
                Ok(header) => {
                    self.raw.drain(..HEADER_LEN);
                    let checksum = self.checksum.take();
                    report(EventKind::Image { header, pixels: None, checksum });
                }
                Err(error) => {
                    report(EventKind::NoImage(error));
                    return Err(());
                }
            }
        }
        Ok(())
    }

    /// Whether a header has begun and is not complete.
    fn is_in_header(&self) -> bool {
        self.current.is_none() && !self.raw.is_empty()
    }

    fn complete(&mut self, report: &mut impl FnMut(EventKind)) {
        let pixels = Some(std::mem::take(&mut self.raw)).filter(|_| !self.damaged);
        let checksum = pixels.as_deref().map(crc32fast::hash);
        if let Some(header) = self.current.take() {
            report(EventKind::Image { header, pixels, checksum });
        }
    }

    /// The length of the hole is known, so the next header can be found. An image with missing pixels
    /// is reported without pixels. If the hole is longer than the image, the next bytes must be a
    /// header; if they are not, an error follows.
    fn hole(&mut self, bytes: u64, report: &mut impl FnMut(EventKind)) {
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
                self.complete(report);
            }
        }
    }
}

/// The checksum in the comment of an image without pixels.
fn checksum(comment: &str) -> Option<u32> {
    let text = comment.strip_prefix(LEFT_OUT)?;
    u32::from_str_radix(text.get(..8)?, 16).ok()
}
