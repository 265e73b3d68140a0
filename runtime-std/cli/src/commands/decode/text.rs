//! The text of `flamingo decode` for a capture: one line per row of the conversation. The same as
//! JSON is in `json.rs`.

use std::time::Duration;

use flamingo_microscope::field_words::selector_name;
use flamingo_protocol_core::{
    Frame,
    image::ImageHeader,
    wire::{Kind, Payload},
};
use flamingo_recording::Side;
use flamingo_recording::capture::ConnectionInfo;
use flamingo_recording::conversation::FrameClass;
use flamingo_runtime_std::ClockStep;

use super::json::calendar;
use super::row::{CommandOutcome, Cut, Note, Row, RowContent, TimedFrame};
use crate::frame_text::frame_line;
use crate::output::milliseconds;

/// The class of a frame that nobody seems to have asked for, after a part that the recording lacks.
const MAYBE_ASKED: &str = "[unsolicited, or its command is not in the recording]";
/// The width of the client's column.
const LEFT: usize = 52;

/// The text of a row; `began` is the time of the first row.
pub(super) fn line(row: &Row, began: Duration) -> String {
    let since = row.at.saturating_sub(began).as_secs_f64();
    let text = content(row);
    format!("{since:>12.6} {:>3}  {text}", row.who.number).trim_end().to_owned()
}

/// What happened, without the time and the number of the connection.
pub(super) fn content(row: &Row) -> String {
    let Row { who, at, content } = row;
    match content {
        RowContent::Opened => {
            let ConnectionInfo { client, instrument, .. } = who;
            let connects = if who.began_before { "is already connected to" } else { "connects to" };
            let (port, date) = (who.port_name(), calendar(*at));
            format!("== {port}: {client} {connects} {instrument}, {date}")
        }
        RowContent::Command { command, outcome, again } => {
            let left = command_text(command);
            let right = outcome_text(outcome);
            let again = if *again { "  (command shown above)" } else { "" };
            format!("{left:<LEFT$}  -> {right}{again}")
        }
        RowContent::Other { frame, class, maybe_asked } => {
            let mark = match class {
                FrameClass::Unsolicited { .. } => "*",
                FrameClass::Solicited { .. } => "->",
                FrameClass::Late { .. } | FrameClass::Ambiguous { .. } => "!!",
            };
            let class = if *maybe_asked { MAYBE_ASKED.to_owned() } else { class_text(class) };
            format!("{:<LEFT$}  {mark:>2} {}  {class}", "", frame_text(frame))
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
        RowContent::Noise { from, bytes, maybe_frame } => {
            let frame = if *maybe_frame { ", or the recording lacks its beginning" } else { "" };
            format!("!! {bytes} bytes from the {from} belong to no frame{frame}")
        }
        RowContent::Missing { from, bytes } => {
            format!("!! {bytes} bytes from the {from} are not in the recording")
        }
        RowContent::Incomplete { from, bytes, cut } => {
            let ends = match cut {
                Cut::Connection => "the connection ended",
                Cut::Recording => "the recording ends here",
                Cut::Hole => "those after them are not in the recording",
            };
            format!("!! {bytes} bytes from the {from} are incomplete: {ends}")
        }
        RowContent::Finished { from, note } => end_text("closed", *from, note.as_ref()),
        RowContent::Reset { from, note } => end_text("reset", *from, note.as_ref()),
        RowContent::ClockStep { step, noted } => format!("== {}", clock_text(*step, *noted)),
    }
}

fn outcome_text(outcome: &CommandOutcome) -> String {
    match outcome {
        CommandOutcome::Open => "(no answer yet)".to_owned(),
        CommandOutcome::NoneExpected => "(no answer expected)".to_owned(),
        CommandOutcome::Answered { answer, clock_set: true, .. } => {
            format!("{}  [delay not known: the clock was set]", frame_text(answer))
        }
        CommandOutcome::Answered { answer, class, clock_set: false } => {
            format!("{}  {}", frame_text(answer), class_text(class))
        }
        CommandOutcome::Unanswered { after, maybe_lost } => {
            let lost = if *maybe_lost { ", or not in the recording" } else { "" };
            format!("!! no answer in {}{lost}", time_text(*after))
        }
        CommandOutcome::ConnectionEnds { after } => {
            format!("!! no answer: the connection ends after {}", time_text(*after))
        }
        CommandOutcome::RecordingEnds { after } => {
            format!("(the recording ends here, after {})", time_text(*after))
        }
    }
}

fn end_text(end: &str, from: Side, note: Option<&Note>) -> String {
    match note {
        None => format!("== {end} by the {from}"),
        Some(Note { text, by_recorder: true }) => format!("== {text}"),
        Some(Note { text, by_recorder: false }) => format!("== {end} by the {from}: {text}"),
    }
}

fn clock_text(step: ClockStep, noted: bool) -> String {
    if noted {
        return format!("{step} here; times go on without the step");
    }
    let (by, way) = match step {
        ClockStep::Back(by) => (by, "back"),
        ClockStep::Forward(by) => (by, "forward"),
    };
    let by = by.as_secs_f64();
    format!("the times in the file go {way} by {by:.3} s here; times go on without the step")
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
