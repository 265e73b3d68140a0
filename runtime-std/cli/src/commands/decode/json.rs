//! Every JSON object that `flamingo decode` prints: a frame in bytes, a row of a conversation, the
//! totals of `--summary`. The JSON of a frame itself is in `frame_json.rs`.

use std::time::{Duration, SystemTime};

use flamingo_protocol_core::image::ImageHeader;
use serde::Serialize;

use super::conversation::{CommandOutcome, Row, RowContent, TimedFrame};
use crate::failure::CommandResult;
use crate::frame_json::FrameJson;
use crate::output::{json_line, milliseconds, rfc3339};

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
struct RowJson {
    connection: u64,
    port: &'static str,
    kind: &'static str,
    time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instrument: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<FrameJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<FrameJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    frame: Option<FrameJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    silent_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<ImageJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// On a part of a message or image: whether the recording ends there, and not the connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    recording_ends: Option<bool>,
    /// How far the clock was set in seconds, negative if it was set back.
    #[serde(skip_serializing_if = "Option::is_none")]
    clock_step_s: Option<f64>,
    /// Whether the recorder has noted the step. If not, the times in the file go back.
    #[serde(skip_serializing_if = "Option::is_none")]
    noted: Option<bool>,
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
    pub(super) answered: usize,
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
#[derive(Debug, Default, Serialize)]
pub(super) struct TotalsJson {
    pub(super) summary: bool,
    pub(super) connections: u64,
    pub(super) images: u64,
    pub(super) noise_bytes: u64,
    pub(super) missing_bytes: u64,
    pub(super) unfinished: u64,
    pub(super) clock_steps: u64,
}

/// Formats a time since 1970.
pub(super) fn calendar(at: Duration) -> String {
    rfc3339(SystemTime::UNIX_EPOCH + at)
}

/// The JSON of a row, on one line.
pub(super) fn line(of: &Row) -> CommandResult<String> {
    json_line(&row(of))
}

/// The JSON of a row.
fn row(row: &Row) -> RowJson {
    let Row { who, at, content } = row;
    let mut json = RowJson {
        connection: who.number,
        port: who.port.name(),
        time: calendar(*at),
        ..RowJson::default()
    };
    match content {
        RowContent::Opened => {
            json.kind = "opened";
            json.client = Some(who.client.to_string());
            json.instrument = Some(who.instrument.to_string());
        }
        RowContent::Command { command, outcome } => {
            json.request = Some(frame(command));
            json.kind = match outcome {
                CommandOutcome::Open => "open",
                CommandOutcome::NoneExpected => "command",
                CommandOutcome::Answered { answer, class } => {
                    json.answer = Some(frame(answer).recorded_class(class));
                    "answered"
                }
                CommandOutcome::Unanswered { after } => {
                    json.silent_ms = Some(milliseconds(*after));
                    "silent"
                }
                CommandOutcome::RecordingEnds { after } => {
                    json.silent_ms = Some(milliseconds(*after));
                    "unfinished"
                }
            };
        }
        RowContent::Other { frame: other, class } => {
            json.kind = class.name();
            json.frame = Some(frame(other).recorded_class(class));
        }
        RowContent::Image { header, checksum, pixels } => {
            json.kind = "image";
            json.image = Some(image(header, *checksum, *pixels));
        }
        RowContent::NoImage(error) => {
            json.kind = "no_image";
            json.error = Some(error.to_string());
        }
        RowContent::Noise { from, bytes } => {
            json.kind = "noise";
            (json.from, json.bytes) = (Some(from.name()), Some(*bytes as u64));
        }
        RowContent::Missing { from, bytes } => {
            json.kind = "hole";
            (json.from, json.bytes) = (Some(from.name()), Some(*bytes));
        }
        RowContent::Incomplete { from, bytes, recording_ends } => {
            json.kind = "rest";
            json.recording_ends = Some(*recording_ends);
            (json.from, json.bytes) = (Some(from.name()), Some(*bytes as u64));
        }
        RowContent::Finished { from } => (json.kind, json.from) = ("closed", Some(from.name())),
        RowContent::Reset { from } => (json.kind, json.from) = ("reset", Some(from.name())),
        RowContent::ClockStep { step, noted } => {
            json.kind = "clock_step";
            (json.clock_step_s, json.noted) = (Some(step.seconds()), Some(*noted));
        }
    }
    json
}

fn frame(timed: &TimedFrame) -> FrameJson {
    let TimedFrame { at, frame, payload } = timed;
    FrameJson::new(frame).payload(payload).at(SystemTime::UNIX_EPOCH + *at)
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
