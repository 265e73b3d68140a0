//! A tap takes the bytes of one direction of a connection. It never waits.
//!
//! Of images it keeps the headers with a checksum of the pixels, or everything. An image is left out
//! as a whole. `recorded_connection.rs` turns the events of a tap into packets.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use flamingo_protocol_core::image::{ImageHeader, ImagePiece, ImageReader};

use super::super::{Port, Side, comments};
use super::Shared;
use flamingo_runtime_std::ClockStep;

/// Something that happened on a connection.
#[derive(Debug)]
pub(super) enum TapEvent {
    /// The connection began.
    Opened { port: Port, client: SocketAddr, instrument: SocketAddr, note: String },
    /// So many bytes of that side are missing, and it is known now. A part of a message before them will not
    /// be completed, also if none is missing.
    Hole { from: Side, missing: u64 },
    /// The times of the capture that is copied had a step here.
    ClockSeen { step: ClockStep },
    /// Bytes were sent. Before them, `missing` bytes were left out.
    Bytes { from: Side, bytes: Bytes, missing: u64 },
    /// An image began. Its pixels follow as bytes, or `left_out` is their checksum.
    Image { header: ImageHeader, left_out: Option<u32>, missing: u64 },
    /// Bytes on an image port that are no image.
    NoImage { bytes: Bytes, why: String, missing: u64 },
    /// That side sends nothing more; `missing` bytes before the end were left out.
    Finished { from: Side, missing: u64, note: String },
    /// That side has reset the connection.
    Reset { by: Side, missing: u64, note: String },
}

impl TapEvent {
    /// Whether a connection, or one direction of it, begins or ends.
    pub(super) const fn is_an_edge(&self) -> bool {
        matches!(self, Self::Opened { .. } | Self::Finished { .. } | Self::Reset { .. })
    }

    /// The number of bytes in the event.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Bytes { bytes, .. } | Self::NoImage { bytes, .. } => bytes.len(),
            _ => 0,
        }
    }
}

/// Takes the bytes that one side of a connection sends. If it is dropped before [`Tap::finish`], the
/// recording says that this side has reset the connection.
#[derive(Debug)]
pub struct Tap {
    shared: Arc<Shared>,
    /// The number of the connection.
    connection: u64,
    from: Side,
    images: Option<Images>,
    /// Bytes that were left out since the last event that was queued.
    missing: u64,
    ended: bool,
}

/// Bytes that were sent: shared, or to be copied.
enum SentBytes<'a> {
    Shared(Bytes),
    Borrowed(&'a [u8]),
}

impl SentBytes<'_> {
    fn all(&self) -> &[u8] {
        match self {
            Self::Shared(bytes) => bytes,
            Self::Borrowed(bytes) => bytes,
        }
    }

    /// A part of the bytes, to be kept.
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
    /// The bytes of an incomplete header.
    partial: Vec<u8>,
    /// The current image; `None` if it is left out.
    current: Option<ImageHeader>,
    checksum: crc32fast::Hasher,
    broken: bool,
}

impl Tap {
    /// The tap of the client and the tap of the instrument.
    pub(super) fn pair(
        shared: &Arc<Shared>,
        connection: u64,
        port: Port,
        pixels: bool,
    ) -> [Self; 2] {
        [Side::Client, Side::Instrument].map(|from| {
            let images = (from == Side::Instrument && port != Port::Control).then(|| Images {
                reader: ImageReader::default(),
                pixels,
                partial: Vec::new(),
                current: None,
                checksum: crc32fast::Hasher::new(),
                broken: false,
            });
            Self { shared: Arc::clone(shared), connection, from, images, missing: 0, ended: false }
        })
    }

    /// Records bytes that this side has sent, in the order of the calls. Never waits.
    pub fn bytes(&mut self, bytes: impl Into<Bytes>) {
        self.take(&SentBytes::Shared(bytes.into()));
    }

    /// Records bytes that the caller needs again: they are copied as far as they are recorded.
    pub fn copy(&mut self, bytes: &[u8]) {
        self.take(&SentBytes::Borrowed(bytes));
    }

    /// This side has closed its direction of the connection, and sends nothing more.
    pub fn finish(mut self) {
        let note = self.last();
        let missing = std::mem::take(&mut self.missing);
        self.ended = true;
        self.shared.push(self.connection, TapEvent::Finished { from: self.from, missing, note });
    }

    /// The connection was reset, by this side or by the other.
    pub fn cut(mut self, by: Side) {
        self.reset(by, None);
    }

    /// The connection was closed because of what this side has sent, which did not reach the other side
    /// and is not recorded. The recording has `why` as a comment.
    pub fn refuse(mut self, why: &str) {
        self.reset(self.from, Some(format!("{}{why}", comments::REFUSED)));
    }

    fn reset(&mut self, by: Side, why: Option<String>) {
        let last = self.last();
        let note = why.unwrap_or(last);
        // The sequence number of the packet counts only the bytes of its own side.
        let missing = if by == self.from { std::mem::take(&mut self.missing) } else { 0 };
        self.ended = true;
        self.shared.push(self.connection, TapEvent::Reset { by, missing, note });
    }

    /// Records an incomplete header. Returns a note about an incomplete image.
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

    fn take(&mut self, bytes: &SentBytes<'_>) {
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

    /// Records bytes, or counts them as missing if there is no room.
    fn keep(&mut self, bytes: Bytes) {
        let length = bytes.len();
        let event = TapEvent::Bytes { from: self.from, bytes, missing: self.missing };
        if self.shared.push(self.connection, event) { self.missing = 0 } else { self.lose(length) }
    }

    fn lose(&mut self, bytes: usize) {
        self.missing += bytes as u64;
        self.shared.lost.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn image_bytes(&mut self, images: &mut Images, sent: &SentBytes<'_>) {
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
                        self.complete(images);
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
        let event = TapEvent::NoImage { bytes: bytes.into(), why, missing: self.missing };
        if self.shared.push(self.connection, event) { self.missing = 0 } else { self.lose(length) }
    }

    /// With pixels, an image is recorded if there is room for all of it. Without, its header is
    /// recorded when the image is complete.
    fn header(&mut self, images: &mut Images, header: ImageHeader) {
        images.partial.clear();
        if images.pixels {
            let missing = self.missing;
            let kept = self.shared.has_room(header.size as usize)
                && self
                    .shared
                    .push(self.connection, TapEvent::Image { header, left_out: None, missing });
            images.current = kept.then_some(header);
            if kept { self.missing = 0 } else { self.lose(header.encode().len()) }
        } else {
            images.current = Some(header);
            images.checksum.reset();
            if header.size == 0 {
                self.complete(images);
            }
        }
    }

    /// The image is complete: records its header with the checksum.
    fn complete(&mut self, images: &mut Images) {
        let Some(header) = images.current.take() else { return };
        let left_out = Some(images.checksum.clone().finalize());
        let event = TapEvent::Image { header, left_out, missing: self.missing };
        let length = header.encode().len();
        if self.shared.push(self.connection, event) { self.missing = 0 } else { self.lose(length) }
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        if !self.ended {
            self.reset(self.from, Some(comments::ENDED_HERE.to_owned()));
        }
    }
}
