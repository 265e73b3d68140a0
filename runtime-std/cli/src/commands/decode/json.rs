//! Every JSON object that `flamingo decode` prints: a frame in bytes, a row of a conversation, the
//! totals of `--summary`. The JSON of a frame itself is in `frame_json.rs`.

use std::time::{Duration, SystemTime};

use flamingo_protocol_core::image::ImageHeader;
use flamingo_recording::Side;
use flamingo_recording::conversation::FrameClass;
use serde::Serialize;

use super::row::{CommandOutcome, Cut, Note, Row, RowContent, TimedFrame};
use crate::failure::CommandResult;
use crate::frame_json::FrameJson;
use crate::output::{append_json, milliseconds, rfc3339};

/// A frame that was found in bytes.
#[derive(Serialize)]
pub(super) struct FoundFrameJson {
    pub(super) offset: usize,
    /// The number of bytes before it that belong to no frame.
    pub(super) skipped_bytes: usize,
    #[serde(flatten)]
    pub(super) frame: FrameJson,
}

/// A row of the conversation in a capture.
#[derive(Default, Serialize)]
pub(super) struct RowJson {
    connection: u64,
    port: &'static str,
    kind: &'static str,
    time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instrument: Option<String>,
    /// Whether the connection began before the recording.
    #[serde(skip_serializing_if = "Option::is_none")]
    began_before: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<FrameJson>,
    /// An earlier row of the kind `open` has shown the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    shown_before: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<FrameJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    frame: Option<FrameJson>,
    /// Whether the time since the command is not known, since the clock was set.
    #[serde(skip_serializing_if = "Option::is_none")]
    clock_set: Option<bool>,
    /// Whether an unsolicited frame may answer a command that the recording lacks.
    #[serde(skip_serializing_if = "Option::is_none")]
    maybe_asked: Option<bool>,
    /// Whether the recording may lack the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    maybe_lost: Option<bool>,
    /// Whether the connection ended before the answer was due.
    #[serde(skip_serializing_if = "Option::is_none")]
    connection_ends: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    silent_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'static str>,
    /// What the recorder has noted about the end of a connection, and whether it has ended it itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    by_recorder: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    /// Whether the bytes may be the end of a frame whose beginning the recording lacks.
    #[serde(skip_serializing_if = "Option::is_none")]
    maybe_frame: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<ImageJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// What ends a part of a message or an image: `connection`, `recording` or `hole`.
    #[serde(skip_serializing_if = "Option::is_none")]
    cut_by: Option<&'static str>,
    /// How far the clock was set in seconds, negative if it was set back.
    #[serde(skip_serializing_if = "Option::is_none")]
    clock_step_s: Option<f64>,
    /// Whether the recorder has noted the step. If not, the times in the file have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    noted: Option<bool>,
}

impl RowJson {
    /// What kind of row it is.
    pub(super) const fn kind(&self) -> &'static str {
        self.kind
    }
}

/// The header of an image in a capture.
#[derive(Serialize)]
struct ImageJson {
    size: u32,
    width: u32,
    height: u32,
    scale_min: u32,
    scale_max: u32,
    device: u32,
    options: u32,
    index_start: i32,
    index_stop: i32,
    pixels_recorded: bool,
    crc32: Option<String>,
}

/// The totals of one command code.
#[derive(Debug, Serialize)]
pub(super) struct CodeJson {
    pub(super) code: u32,
    pub(super) name: Option<&'static str>,
    pub(super) commands: u64,
    pub(super) answered: u64,
    pub(super) presumed: u64,
    pub(super) ambiguous: u64,
    pub(super) unanswered: u64,
    /// Commands whose answer is not due yet when the recording ends.
    pub(super) unfinished: u64,
    pub(super) late: u64,
    pub(super) unsolicited: u64,
    pub(super) p50_ms: Option<f64>,
    pub(super) p99_ms: Option<f64>,
}

/// The totals that belong to no code.
#[derive(Debug, Default, Clone, Serialize)]
pub(super) struct TotalsJson {
    pub(super) summary: bool,
    pub(super) connections: u64,
    /// The number of addresses of control ports.
    pub(super) instruments: usize,
    pub(super) images: u64,
    pub(super) noise_bytes: u64,
    pub(super) missing_bytes: u64,
    pub(super) unfinished: u64,
    pub(super) clock_steps: u64,
    /// All packets of the file, and what was skipped since it cannot be read.
    pub(super) packets: u64,
    pub(super) broken_blocks: u64,
    pub(super) broken_options: u64,
    pub(super) incomplete_ip_packets: u64,
}

/// Formats a time since 1970.
pub(super) fn calendar(at: Duration) -> String {
    rfc3339(SystemTime::UNIX_EPOCH + at)
}

/// Appends the JSON of a row, without the end of the line.
pub(super) fn write_line(out: &mut Vec<u8>, of: &Row) -> CommandResult {
    append_json(out, &row(of))
}

/// The JSON of a row.
pub(super) fn row(row: &Row) -> RowJson {
    let Row { who, at, content } = row;
    let mut json = RowJson {
        connection: who.number,
        port: who.port_name(),
        time: calendar(*at),
        ..RowJson::default()
    };
    match content {
        RowContent::Opened => {
            json.kind = "opened";
            json.client = Some(who.client.to_string());
            json.instrument = Some(who.instrument.to_string());
            json.began_before = who.began_before.then_some(true);
        }
        RowContent::Command { command, outcome, clock_set, again } => {
            json.request = Some(frame(command));
            json.shown_before = again.then_some(true);
            json.clock_set = clock_set.then_some(true);
            add_outcome(&mut json, outcome, *clock_set);
        }
        RowContent::Other { frame: other, class, clock_set, maybe_asked } => {
            json.kind = class.name();
            json.clock_set = clock_set.then_some(true);
            json.maybe_asked = maybe_asked.then_some(true);
            json.frame = Some(classified(other, class, *clock_set));
        }
        RowContent::Image { header, checksum, pixels } => {
            json.kind = "image";
            json.image = Some(image(header, *checksum, *pixels));
        }
        RowContent::NoImage(error) => {
            json.kind = "no_image";
            json.error = Some(error.to_string());
        }
        RowContent::Noise { from, bytes, maybe_frame } => {
            json.kind = "noise";
            json.maybe_frame = maybe_frame.then_some(true);
            (json.from, json.bytes) = (Some(from.name()), Some(*bytes as u64));
        }
        RowContent::Missing { from, bytes } => {
            json.kind = "hole";
            (json.from, json.bytes) = (Some(from.name()), Some(*bytes));
        }
        RowContent::Incomplete { from, bytes, cut } => {
            json.kind = "rest";
            json.cut_by = Some(match cut {
                Cut::Connection => "connection",
                Cut::Recording => "recording",
                Cut::Hole => "hole",
            });
            (json.from, json.bytes) = (Some(from.name()), Some(*bytes as u64));
        }
        RowContent::Finished { from, note } => {
            json.kind = "closed";
            add_end(&mut json, *from, note.as_ref());
        }
        RowContent::Reset { from, note } => {
            json.kind = "reset";
            add_end(&mut json, *from, note.as_ref());
        }
        RowContent::ClockStep { step, noted } => {
            json.kind = "clock_step";
            (json.clock_step_s, json.noted) = (Some(step.seconds()), Some(*noted));
        }
    }
    json
}

fn add_outcome(json: &mut RowJson, outcome: &CommandOutcome, clock_set: bool) {
    let (kind, silent) = match outcome {
        CommandOutcome::Open => ("open", None),
        CommandOutcome::NoneExpected => ("command", None),
        CommandOutcome::Answered { answer, class } => {
            json.answer = Some(classified(answer, class, clock_set));
            ("answered", None)
        }
        CommandOutcome::Unanswered { after, maybe_lost } => {
            json.maybe_lost = maybe_lost.then_some(true);
            ("silent", Some(after))
        }
        CommandOutcome::ConnectionEnds { after } => {
            json.connection_ends = Some(true);
            ("silent", Some(after))
        }
        CommandOutcome::RecordingEnds { after } => ("unfinished", Some(after)),
    };
    json.kind = kind;
    json.silent_ms = silent.filter(|_| !clock_set).map(|after| milliseconds(*after));
}

fn add_end(json: &mut RowJson, from: Side, note: Option<&Note>) {
    json.from = Some(from.name());
    if let Some(Note { text, by_recorder }) = note {
        json.note = Some(text.clone());
        json.by_recorder = by_recorder.then_some(true);
    }
}

fn frame(timed: &TimedFrame) -> FrameJson {
    let TimedFrame { at, frame, payload } = timed;
    FrameJson::new(frame).payload(payload).at(SystemTime::UNIX_EPOCH + *at)
}

/// A frame of the instrument. If the clock was set after its command, its delay is not known.
fn classified(timed: &TimedFrame, class: &FrameClass, clock_set: bool) -> FrameJson {
    let frame = frame(timed).recorded_class(class);
    if clock_set { frame.without_delay() } else { frame }
}

fn image(header: &ImageHeader, checksum: Option<u32>, pixels: bool) -> ImageJson {
    ImageJson {
        size: header.size,
        width: header.width,
        height: header.height,
        scale_min: header.scale_min,
        scale_max: header.scale_max,
        device: header.device,
        options: header.options,
        index_start: header.index_start,
        index_stop: header.index_stop,
        pixels_recorded: pixels,
        crc32: checksum.map(|sum| format!("{sum:08x}")),
    }
}
