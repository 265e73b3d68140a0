//! Writes an anonymized copy of a capture. The events of the capture become events of a recording, which
//! `anonymizer.rs` anonymizes.

use std::io::{self, Write};
use std::time::Duration;

use bytes::Bytes;
use flamingo_protocol_core::wire::FRAME_LEN;
use flamingo_runtime_std::{ClockStep, Message};

use super::super::capture::{Capture, CaptureError, CaptureEvent, ConnectionInfo, EventKind};
use super::super::comments::{CALLBACK, CONTINUED_FROM_UNKNOWN};
use super::files::Files;
use super::record_writer::RecordWriter;
use super::tap::TapEvent;
use super::{Entry, HostTime, RecorderOptions, RecorderStatus};

/// What an anonymized copy has.
#[derive(Debug)]
#[non_exhaustive]
pub struct AnonymizedCopy {
    /// The number of connections.
    pub connections: u64,
    /// The number of packets that were written.
    pub packets: u64,
    /// The number of bytes that were written.
    pub bytes: u64,
    /// Why the capture could not be read to its end. Everything before is in the copy.
    pub error: Option<CaptureError>,
}

/// Writes an anonymized copy of a capture: the same conversation, without what can tell who had it.
///
/// Addresses become documentation addresses, one for each host. Texts, payloads and bytes of no frame
/// become as many bytes `x`; images lose their pixels; the first packet is at 1970-01-02. Connections to
/// other ports are left out. Frames keep their numbers, and all distances between times stay; only what is
/// more than a day before the first packet is at 1970-01-01.
///
/// # Errors
/// The copy cannot be written. An error of the capture is in [`AnonymizedCopy::error`].
///
/// ```
/// use flamingo_recording::capture::Capture;
/// use flamingo_recording::{Recorder, RecorderOptions, anonymize};
/// # let file = std::env::temp_dir().join(format!("flamingo-copy-{}.pcapng", std::process::id()));
/// # drop(Recorder::to_file(&file, RecorderOptions::default())?);
/// let copy = anonymize(&mut Capture::open(&file)?, std::io::sink())?;
/// assert_eq!((copy.connections, copy.error.is_none()), (0, true));
/// # std::fs::remove_file(file)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn anonymize(
    capture: &mut Capture,
    writer: impl Write + Send + 'static,
) -> io::Result<AnonymizedCopy> {
    let options = RecorderOptions::default().anonymize(true).effective();
    let begin = HostTime { at: Duration::ZERO, set: None };
    let mut copy = Copying {
        writer: RecordWriter::begin(Files::writer(Box::new(writer)), options, begin)?,
        set: None,
        note: String::new(),
        closing: None,
        connections: 0,
    };
    let mut error = None;
    for event in capture {
        match event {
            Ok(event) => copy.take(event)?,
            Err(found) => error = Some(found),
        }
    }
    copy.close()?;
    copy.writer.end()?;
    copy.writer.flush()?;
    let mut status = RecorderStatus::default();
    copy.writer.fill_in(&mut status);
    let RecorderStatus { packets, bytes, .. } = status;
    Ok(AnonymizedCopy { connections: copy.connections, packets, bytes, error })
}

struct Copying {
    writer: RecordWriter,
    /// How far the clock was set until now. The recorder notes each step.
    set: Option<ClockStep>,
    /// What the capture notes about the end of a connection, which comes next.
    note: String,
    /// The reset of a connection. It is written after the bytes of this connection that the capture
    /// reports behind it, since nothing of a connection is read behind its reset.
    closing: Option<Entry>,
    connections: u64,
}

impl Copying {
    fn take(&mut self, event: CaptureEvent) -> io::Result<()> {
        let CaptureEvent { connection, at, from, kind } = event;
        if self.closing.as_ref().is_some_and(|entry| entry.connection != connection.number) {
            self.close()?;
        }
        let missing = 0;
        let note = match kind {
            EventKind::ClockStep { .. } => String::new(),
            _ => std::mem::take(&mut self.note),
        };
        let time = HostTime { at, set: self.set };
        let event = match kind {
            EventKind::Hole { bytes } => TapEvent::Hole { from, missing: bytes },
            EventKind::ClockStep { step, noted: true } => {
                self.set = step.after(self.set);
                return Ok(());
            }
            EventKind::ClockStep { step, .. } => TapEvent::ClockSeen { step },
            EventKind::Note { text, .. } => {
                self.note = text;
                return Ok(());
            }
            EventKind::Opened => {
                self.connections += 1;
                let (client, instrument) = (connection.client, connection.instrument);
                TapEvent::Opened {
                    port: connection.port,
                    client,
                    instrument,
                    note: note_of(&connection),
                }
            }
            EventKind::Message { message, noise, declared } => {
                let bytes = wire_bytes(&message, noise, declared);
                TapEvent::Bytes { from, bytes, missing }
            }
            EventKind::Noise { bytes } => TapEvent::Bytes { from, bytes: bytes.into(), missing },
            EventKind::Rest { bytes } => {
                let event = TapEvent::Bytes { from, bytes: bytes.into(), missing };
                self.writer.write(Entry { connection: connection.number, time, event })?;
                TapEvent::Hole { from, missing }
            }
            EventKind::Image { header, .. } => TapEvent::Image { header, left_out: None, missing },
            EventKind::NoImage(error) => {
                TapEvent::NoImage { bytes: Bytes::new(), why: error.to_string(), missing }
            }
            EventKind::Finished => TapEvent::Finished { from, missing, note },
            EventKind::Reset => {
                let event = TapEvent::Reset { by: from, missing, note };
                self.closing = Some(Entry { connection: connection.number, time, event });
                return Ok(());
            }
        };
        self.writer.write(Entry { connection: connection.number, time, event })
    }

    fn close(&mut self) -> io::Result<()> {
        self.closing.take().map_or(Ok(()), |entry| self.writer.write(entry))
    }
}

/// The comment on the beginning of a connection.
fn note_of(connection: &ConnectionInfo) -> String {
    let notes =
        [(connection.began_before, CONTINUED_FROM_UNKNOWN), (connection.callback, CALLBACK)];
    let notes: Vec<_> = notes.iter().filter(|(holds, _)| *holds).map(|(_, note)| *note).collect();
    notes.join("; ")
}

/// The bytes of a message on the wire.
fn wire_bytes(message: &Message, noise: Vec<u8>, declared: u32) -> Bytes {
    let mut bytes = noise;
    bytes.reserve(FRAME_LEN + message.payload.len());
    bytes.extend(message.frame.with_payload_len(declared).encode());
    bytes.extend_from_slice(&message.payload);
    bytes.into()
}
