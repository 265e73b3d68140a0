//! The text of `flamingo decode` for a capture: one line per row of the conversation. The same as
//! JSON is in `json.rs`.

use std::time::Duration;

use flamingo_microscope::field_words::selector_name;
use flamingo_protocol_core::{
    Frame,
    image::ImageHeader,
    wire::{Kind, Payload},
};
use flamingo_recording::capture::ConnectionInfo;
use flamingo_recording::conversation::FrameClass;
use flamingo_runtime_std::ClockStep;

use super::conversation::{CommandOutcome, Row, RowContent, TimedFrame};
use super::json::calendar;
use crate::frame_text::frame_line;
use crate::output::milliseconds;

/// The width of the client's column.
const LEFT: usize = 52;

/// The text of a row; `began` is the time of the first row.
pub(super) fn line(row: &Row, began: Duration) -> String {
    let Row { who, at, content } = row;
    let since = at.saturating_sub(began).as_secs_f64();
    let number = who.number;
    let text = match content {
        RowContent::Opened => {
            let ConnectionInfo { port, client, instrument, .. } = who;
            format!("== {port}: {client} connects to {instrument}, {}", calendar(*at))
        }
        RowContent::Command { command, outcome } => {
            let left = command_text(command);
            let right = match outcome {
                CommandOutcome::Open => "(no answer yet)".to_owned(),
                CommandOutcome::NoneExpected => "(no answer expected)".to_owned(),
                CommandOutcome::Answered { answer, class } => {
                    format!("{}  {}", frame_text(answer), class_text(class))
                }
                CommandOutcome::Unanswered { after } => {
                    format!("!! no answer in {}", time_text(*after))
                }
                CommandOutcome::RecordingEnds { after } => {
                    format!("(the recording ends here, after {})", time_text(*after))
                }
            };
            format!("{left:<LEFT$}  -> {right}")
        }
        RowContent::Other { frame, class } => {
            let mark = match class {
                FrameClass::Unsolicited { .. } => "*",
                FrameClass::Solicited { .. } => "->",
                FrameClass::Late { .. } | FrameClass::Ambiguous { .. } => "!!",
            };
            format!("{:<LEFT$}  {mark:>2} {}  {}", "", frame_text(frame), class_text(class))
        }
        RowContent::Image { header, checksum, pixels } => {
            let ImageHeader { width, height, device, index_start, size, .. } = header;
            let crc = checksum.map_or(String::new(), |sum| format!(", crc32 {sum:08x}"));
            let left_out = if *pixels || *size == 0 { "" } else { ", pixels not recorded" };
            format!(
                "{:<LEFT$}  [] image {index_start}: {width} x {height}, camera {device}{crc}{left_out}",
                ""
            )
        }
        RowContent::NoImage(error) => {
            format!("!! no image, and nothing after it can be read: {error}")
        }
        RowContent::Noise { from, bytes } => {
            format!("!! {bytes} bytes from the {from} belong to no frame")
        }
        RowContent::Missing { from, bytes } => {
            format!("!! {bytes} bytes from the {from} are not in the recording")
        }
        RowContent::Incomplete { from, bytes, recording_ends } => {
            let ends =
                if *recording_ends { "the recording ends here" } else { "the connection ended" };
            format!("!! {bytes} bytes from the {from} are incomplete: {ends}")
        }
        RowContent::Finished { from } => format!("== closed by the {from}"),
        RowContent::Reset { from } => format!("== reset by the {from}"),
        RowContent::ClockStep { step, noted } => format!("== {}", clock_text(*step, *noted)),
    };
    format!("{since:>12.6} {number:>3}  {text}").trim_end().to_owned()
}

fn clock_text(step: ClockStep, noted: bool) -> String {
    if noted {
        return format!("{step} here; times go on without the step");
    }
    let by = step.seconds().abs();
    format!("the times in the file go back by {by:.3} s here; times go on without the step")
}

/// The text of a command. The result fields of a query are left out.
fn command_text(command: &TimedFrame) -> String {
    let frame = &command.frame;
    match frame.code.row() {
        Some(row) if row.kind == Kind::Query && row.payload != Payload::Both => {
            format!("{} {}", row.name(), selector_name(frame)).trim_end().to_owned()
        }
        _ => {
            // The status of a command has no meaning.
            let frame = Frame { status: 1, ..*frame };
            frame_text(&TimedFrame { frame, ..command.clone() })
        }
    }
}

fn frame_text(timed: &TimedFrame) -> String {
    let TimedFrame { frame, payload, .. } = timed;
    let line = frame_line(frame, payload);
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn time_text(time: Duration) -> String {
    let ms = milliseconds(time);
    if ms >= 1000.0 { format!("{:.3} s", ms / 1000.0) } else { format!("{ms:.3} ms") }
}

fn class_text(class: &FrameClass) -> String {
    match class {
        FrameClass::Solicited { after, proven, .. } => {
            format!("[{}{}]", time_text(*after), if *proven { "" } else { ", presumed" })
        }
        FrameClass::Late { after, .. } => {
            format!("[LATE: {} after its command]", time_text(*after))
        }
        FrameClass::Ambiguous { after, among, .. } => {
            format!("[{}, ambiguous: {among} commands could own it]", time_text(*after))
        }
        FrameClass::Unsolicited { ours: true } => "[unsolicited, maybe an echo]".to_owned(),
        FrameClass::Unsolicited { ours: false } => "[unsolicited]".to_owned(),
    }
}
