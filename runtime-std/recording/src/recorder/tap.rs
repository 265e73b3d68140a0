//! Where the bytes of a connection are handed over: one tap for each direction. It never waits.
//!
//! Of images it keeps the headers and a checksum of the pixels, or all; an image is left out as a
//! whole. Packets are made of it in `recorded_connection.rs`.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use flamingo_protocol_core::{ImageHeader, ImagePiece, ImageReader};

use super::super::{Port, Side, comments};
use super::Shared;

/// TapEvent happened on a connection.
#[derive(Debug)]
pub(super) enum TapEvent {
    /// It began.
    Opened { port: Port, client: SocketAddr, instrument: SocketAddr },
    /// Bytes went over it. Before them, `missing` bytes were left out.
    Bytes { from: Side, bytes: Bytes, missing: u64 },
    /// An image began; its pixels follow as bytes, or this is their checksum.
    Image { header: ImageHeader, left_out: Option<u32>, missing: u64 },
    /// TapEvent should be images is none.
    NoImage { bytes: Bytes, why: String, missing: u64 },
    /// Nothing more comes from that side; `missing` bytes before the end were left out.
    Finished { from: Side, missing: u64, note: String },
    /// That side has cut it off.
    Reset { by: Side, missing: u64, note: String },
}

impl TapEvent {
    /// Whether a connection, or one way of it, begins or ends.
    pub(super) const fn is_an_edge(&self) -> bool {
        matches!(self, Self::Opened { .. } | Self::Finished { .. } | Self::Reset { .. })
    }

    /// How many bytes it holds.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Bytes { bytes, .. } | Self::NoImage { bytes, .. } => bytes.len(),
            _ => 0,
        }
    }
}

/// Takes what one side of a connection sends. Dropping it unfinished says that the connection was
/// cut off.
#[derive(Debug)]
pub struct Tap {
    shared: Arc<Shared>,
    stream: u64,
    from: Side,
    images: Option<Images>,
    /// Left out since the last that was taken.
    missing: u64,
    ended: bool,
}

/// Bytes that were sent: ours to keep, or to be copied.
enum Sent<'a> {
    Shared(Bytes),
    Borrowed(&'a [u8]),
}

impl Sent<'_> {
    fn all(&self) -> &[u8] {
        match self {
            Self::Shared(bytes) => bytes,
            Self::Borrowed(bytes) => bytes,
        }
    }

    /// Some of them, to be kept.
    fn part(&self, range: Range<usize>) -> Bytes {
        match self {
            Self::Shared(bytes) => bytes.slice(range),
            Self::Borrowed(bytes) => Bytes::copy_from_slice(&bytes[range]),
        }
    }
}

/// The state of an image stream.
#[derive(Debug)]
struct Images {
    reader: ImageReader,
    pixels: bool,
    /// Of a header that has begun.
    partial: Vec<u8>,
    /// The image that comes in; none if it is left out.
    current: Option<ImageHeader>,
    checksum: crc32fast::Hasher,
    broken: bool,
}

impl Tap {
    /// One for the client, one for the instrument.
    pub(super) fn pair(shared: &Arc<Shared>, stream: u64, port: Port, pixels: bool) -> [Self; 2] {
        [Side::Client, Side::Instrument].map(|from| {
            let images = (from == Side::Instrument && port != Port::Control).then(|| Images {
                reader: ImageReader::default(),
                pixels,
                partial: Vec::new(),
                current: None,
                checksum: crc32fast::Hasher::new(),
                broken: false,
            });
            Self { shared: Arc::clone(shared), stream, from, images, missing: 0, ended: false }
        })
    }

    /// This side has sent these bytes, in the order of the calls. Never waits.
    pub fn bytes(&mut self, bytes: impl Into<Bytes>) {
        self.take(&Sent::Shared(bytes.into()));
    }

    /// The same for bytes that the caller needs again: what is recorded of them is copied.
    pub fn copy(&mut self, bytes: &[u8]) {
        self.take(&Sent::Borrowed(bytes));
    }

    /// This side has closed its way, and sends nothing more.
    pub fn finish(mut self) {
        let note = self.last();
        let missing = std::mem::take(&mut self.missing);
        self.ended = true;
        self.shared.push(self.stream, TapEvent::Finished { from: self.from, missing, note });
    }

    /// The connection was cut off, by this side or by the other.
    pub fn cut(mut self, by: Side) {
        self.reset(by);
    }

    fn reset(&mut self, by: Side) {
        let note = self.last();
        // Only what was to come from the side that the packet is from can be counted in it.
        let missing = if by == self.from { std::mem::take(&mut self.missing) } else { 0 };
        self.ended = true;
        self.shared.push(self.stream, TapEvent::Reset { by, missing, note });
    }

    /// TapEvent has begun and does not end: it is recorded, or at least told.
    fn last(&mut self) -> String {
        let Some(mut images) = self.images.take() else { return String::new() };
        if !images.partial.is_empty() {
            self.keep(Bytes::from(std::mem::take(&mut images.partial)));
        }
        match images.current {
            Some(header) if !images.pixels || !images.reader.is_between() => {
                format!("in the middle of {}", comments::image(&header, None))
            }
            _ => String::new(),
        }
    }

    fn take(&mut self, bytes: &Sent<'_>) {
        if self.shared.stopped.load(Ordering::Relaxed) {
            return;
        }
        let Some(mut images) = self.images.take() else {
            self.keep(bytes.part(0..bytes.all().len()));
            return;
        };
        self.image_bytes(&mut images, bytes);
        self.images = Some(images);
    }

    /// Bytes as they are, or what is missing when there is no room for them.
    fn keep(&mut self, bytes: Bytes) {
        let length = bytes.len();
        let what = TapEvent::Bytes { from: self.from, bytes, missing: self.missing };
        if self.shared.push(self.stream, what) { self.missing = 0 } else { self.lose(length) }
    }

    fn lose(&mut self, bytes: usize) {
        self.missing += bytes as u64;
        self.shared.lost.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn image_bytes(&mut self, images: &mut Images, sent: &Sent<'_>) {
        let bytes = sent.all();
        let mut at = 0;
        while at < bytes.len() {
            if images.broken {
                self.lose(bytes.len() - at);
                return;
            }
            let (consumed, piece) = images.reader.push(&bytes[at..]);
            let piece_at = at;
            at += consumed;
            match piece {
                Ok(None) => images.partial.extend_from_slice(&bytes[piece_at..at]),
                Ok(Some(ImagePiece::Header(header))) => self.header(images, header),
                Ok(Some(ImagePiece::Pixels { bytes: pixels, remaining })) if !images.pixels => {
                    images.checksum.update(pixels);
                    if remaining == 0 {
                        self.summed(images);
                    }
                }
                Ok(Some(ImagePiece::Pixels { .. })) if images.current.is_some() => {
                    self.keep(sent.part(piece_at..at));
                }
                Ok(Some(ImagePiece::Pixels { bytes: pixels, .. })) => self.lose(pixels.len()),
                Err(error) => {
                    images.broken = true;
                    images.partial.extend_from_slice(&bytes[piece_at..at]);
                    self.no_image(std::mem::take(&mut images.partial), error.to_string());
                }
            }
        }
    }

    fn no_image(&mut self, bytes: Vec<u8>, why: String) {
        let length = bytes.len();
        let what = TapEvent::NoImage { bytes: bytes.into(), why, missing: self.missing };
        if self.shared.push(self.stream, what) { self.missing = 0 } else { self.lose(length) }
    }

    /// With pixels an image is kept if there is room for all of it; without, when it is complete.
    fn header(&mut self, images: &mut Images, header: ImageHeader) {
        images.partial.clear();
        if images.pixels {
            let missing = self.missing;
            let kept = self.shared.has_room(header.size as usize)
                && self
                    .shared
                    .push(self.stream, TapEvent::Image { header, left_out: None, missing });
            images.current = kept.then_some(header);
            if kept { self.missing = 0 } else { self.lose(header.encode().len()) }
        } else {
            images.current = Some(header);
            images.checksum.reset();
            if header.size == 0 {
                self.summed(images);
            }
        }
    }

    /// The image is complete: its header goes, with the checksum.
    fn summed(&mut self, images: &mut Images) {
        let Some(header) = images.current.take() else { return };
        let left_out = Some(images.checksum.clone().finalize());
        let what = TapEvent::Image { header, left_out, missing: self.missing };
        let length = header.encode().len();
        if self.shared.push(self.stream, what) { self.missing = 0 } else { self.lose(length) }
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        if !self.ended {
            self.reset(self.from);
        }
    }
}
