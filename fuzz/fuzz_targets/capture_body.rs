//! The body of the fuzz target for whole captures. It panics if reading a capture at once and in pieces
//! differs, if reading does not end, or if the capture has more bytes than its packets. If packed bytes are
//! damaged, it depends on the size of a read how many bytes before the damage are unpacked.

use std::io::{Cursor, Read};

use flamingo_recording::capture::{Capture, CaptureEvent, EventKind, Unreadable};

/// A packed file may be a thousand times as long as its bytes: so many events are enough.
const MOST_EVENTS: usize = 20_000;

/// Gives a few bytes with each read, as a pipe does.
struct Pieces {
    bytes: Cursor<Vec<u8>>,
    turn: usize,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.turn += 1;
        let most = [1, 7, 64, 3, 1000][self.turn % 5].min(buffer.len());
        self.bytes.read(&mut buffer[..most])
    }
}

/// What came of a capture.
#[derive(Debug, PartialEq)]
struct Outcome {
    events: Vec<CaptureEvent>,
    error: Option<String>,
    unreadable: Unreadable,
    packets: u64,
}

/// `None` if the bytes are no capture.
fn outcome(reader: impl Read + Send + 'static) -> Option<Outcome> {
    let mut capture = Capture::from_reader(Box::new(reader)).ok()?;
    let (mut events, mut error) = (Vec::new(), None);
    for event in capture.by_ref().take(MOST_EVENTS) {
        match event {
            Ok(event) => events.push(event),
            Err(failed) => error = Some(failed.to_string()),
        }
    }
    let (unreadable, packets) = (capture.unreadable(), capture.packets());
    Some(Outcome { events, error, unreadable, packets })
}

/// The bytes that an event has from the capture.
fn bytes(event: &CaptureEvent) -> usize {
    match &event.kind {
        EventKind::Message { message, noise, .. } => message.payload.len() + 128 + noise.len(),
        EventKind::Image { pixels: Some(pixels), .. } => 40 + pixels.len(),
        EventKind::Noise { bytes } | EventKind::Rest { bytes } => bytes.len(),
        _ => 0,
    }
}

/// Runs any bytes.
pub(crate) fn run(data: &[u8]) {
    let whole = outcome(Cursor::new(data.to_vec()));
    let pieces = outcome(Pieces { bytes: Cursor::new(data.to_vec()), turn: 0 });
    let is_packed = data.starts_with(&[0x1F, 0x8B]);
    let is_damaged = |outcome: &Option<Outcome>| {
        is_packed && outcome.as_ref().is_none_or(|outcome| outcome.error.is_some())
    };
    if !is_damaged(&whole) && !is_damaged(&pieces) {
        assert_eq!(whole, pieces, "read at once, and in pieces");
    }
    if let Some(Outcome { events, .. }) = whole.filter(|_| !is_packed) {
        let all: usize = events.iter().map(bytes).sum();
        assert!(all <= data.len(), "{all} bytes from {} bytes", data.len());
    }
}
