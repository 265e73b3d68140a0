//! The text of `flamingo decode` for a capture: one line per row of the conversation. The same as
//! JSON is in `json.rs`.

use std::fmt::{self, Write};
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
use crate::frame_text::write_words;

/// The class of a frame that nobody seems to have asked for, after a part that the recording lacks.
const MAYBE_ASKED: &str = "[unsolicited, or its command is not in the recording]";
/// The width of the client's column.
const LEFT: usize = 52;

/// Appends the text of a row; `began` is the time of the first row.
pub(super) fn write_line(out: &mut String, row: &Row, began: Duration) {
    let begin = out.len();
    let micros = rounded_micros(row.at.abs_diff(began));
    let (seconds, rest) = (micros / 1_000_000, micros % 1_000_000);
    if row.at < began {
        // It began before the first one that was printed.
        put(out, format_args!("{:>5}", format!("-{seconds}")));
    } else {
        put(out, format_args!("{seconds:>5}"));
    }
    put(out, format_args!(".{rest:06} {:>3}  ", row.who.number));
    write_content(out, row);
    out.truncate(begin + out[begin..].trim_end().len());
}

/// What happened, without the time and the number of the connection.
pub(super) fn content(row: &Row) -> String {
    let mut text = String::new();
    write_content(&mut text, row);
    text
}

fn write_content(out: &mut String, row: &Row) {
    let Row { who, at, content } = row;
    match content {
        RowContent::Opened => {
            let ConnectionInfo { client, instrument, .. } = who;
            let connects = if who.began_before { "is already connected to" } else { "connects to" };
            let (port, date) = (who.port_name(), calendar(*at));
            put(out, format_args!("== {port}: {client} {connects} {instrument}, {date}"));
        }
        RowContent::Command { command, outcome, clock_set, again } => {
            let begin = out.len();
            write_command(out, command);
            let width = out[begin..].chars().count();
            write_spaces(out, LEFT.saturating_sub(width));
            out.push_str("  -> ");
            write_outcome(out, outcome, *clock_set);
            out.push_str(if *again { "  (command shown above)" } else { "" });
        }
        RowContent::Other { frame, class, clock_set, maybe_asked } => {
            let mark = match class {
                FrameClass::Unsolicited { .. } => " *",
                FrameClass::Solicited { .. } => "->",
                FrameClass::Late { .. } | FrameClass::Ambiguous { .. } => "!!",
            };
            write_spaces(out, LEFT + 2);
            out.push_str(mark);
            out.push(' ');
            write_words(out, &frame.frame, &frame.payload);
            out.push_str("  ");
            if *maybe_asked {
                out.push_str(MAYBE_ASKED);
            } else {
                write_class(out, class, *clock_set);
            }
        }
        RowContent::Image { header, checksum, pixels } => {
            let ImageHeader { width, height, device, index_start, size, .. } = header;
            let crc = checksum.map_or(String::new(), |sum| format!(", crc32 {sum:08x}"));
            let left_out = if *pixels || *size == 0 { "" } else { ", pixels not recorded" };
            write_spaces(out, LEFT + 2);
            let image = format_args!("[] image {index_start}: {width} x {height}, camera {device}");
            put(out, format_args!("{image}{crc}{left_out}"));
        }
        RowContent::NoImage(error) => {
            put(out, format_args!("!! no image, and nothing after it can be read: {error}"));
        }
        RowContent::Noise { from, bytes, maybe_frame } => {
            let frame = if *maybe_frame { ", or the recording lacks its beginning" } else { "" };
            put(out, format_args!("!! {bytes} bytes from the {from} belong to no frame{frame}"));
        }
        RowContent::Missing { from, bytes } => {
            put(out, format_args!("!! {bytes} bytes from the {from} are not in the recording"));
        }
        RowContent::Incomplete { from, bytes, cut } => {
            let ends = match cut {
                Cut::Connection => "the connection ended",
                Cut::Recording => "the recording ends here",
                Cut::Hole => "those after them are not in the recording",
            };
            put(out, format_args!("!! {bytes} bytes from the {from} are incomplete: {ends}"));
        }
        RowContent::Finished { from, note } => {
            out.push_str(&end_text("closed", *from, note.as_ref()));
        }
        RowContent::Reset { from, note } => out.push_str(&end_text("reset", *from, note.as_ref())),
        RowContent::ClockStep { step, noted } => {
            put(out, format_args!("== {}", clock_text(*step, *noted)));
        }
    }
}

fn write_outcome(out: &mut String, outcome: &CommandOutcome, clock_set: bool) {
    match outcome {
        CommandOutcome::Open => out.push_str("(no answer yet)"),
        CommandOutcome::NoneExpected => out.push_str("(no answer expected)"),
        CommandOutcome::Answered { answer, class } => {
            write_words(out, &answer.frame, &answer.payload);
            out.push_str("  ");
            write_class(out, class, clock_set);
        }
        CommandOutcome::Unanswered { after, maybe_lost } => {
            let lost = if *maybe_lost { ", or not in the recording" } else { "" };
            let waited = Waited(" in ", *after, clock_set);
            put(out, format_args!("!! no answer{waited}{lost}"));
        }
        CommandOutcome::ConnectionEnds { after } => {
            let waited = Waited(" after ", *after, clock_set);
            put(out, format_args!("!! no answer: the connection ends{waited}"));
        }
        CommandOutcome::RecordingEnds { after } => {
            let waited = Waited(", after ", *after, clock_set);
            put(out, format_args!("(the recording ends here{waited})"));
        }
    }
}

fn end_text(end: &str, from: Side, note: Option<&Note>) -> String {
    let Some(Note { text, by_recorder }) = note else { return format!("== {end} by the {from}") };
    // A comment in a file must not move the cursor of a terminal, nor begin another line.
    let text = text.replace(char::is_control, " ");
    if *by_recorder { format!("== {text}") } else { format!("== {end} by the {from}: {text}") }
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

/// Appends the text of a command. The result fields of a query are left out.
fn write_command(out: &mut String, command: &TimedFrame) {
    let frame = &command.frame;
    match frame.code.row() {
        Some(row) if row.kind == Kind::Query && row.payload != Payload::Both => {
            out.push_str(row.name());
            let selector = selector_name(frame);
            out.push_str(if selector.is_empty() { "" } else { " " });
            out.push_str(&selector);
        }
        // The status of a command has no meaning.
        _ => write_words(out, &Frame { status: 1, ..*frame }, &command.payload),
    }
}

fn write_class(out: &mut String, class: &FrameClass, clock_set: bool) {
    match class {
        FrameClass::Solicited { after, proven, .. } => {
            let presumed = if *proven { "" } else { ", presumed" };
            put(out, format_args!("[{}{presumed}]", Delay(*after, clock_set)));
        }
        FrameClass::Late { after, .. } => {
            let behind = if clock_set { "" } else { " after its command" };
            put(out, format_args!("[LATE: {}{behind}]", Delay(*after, clock_set)));
        }
        FrameClass::Ambiguous { after, among, .. } => {
            let delay = Delay(*after, clock_set);
            put(out, format_args!("[{delay}, ambiguous: {among} commands could own it]"));
        }
        FrameClass::Unsolicited { ours: true } => out.push_str("[unsolicited, maybe an echo]"),
        FrameClass::Unsolicited { ours: false } => out.push_str("[unsolicited]"),
    }
}

/// The delay of an answer, which is not known if the clock was set in between.
struct Delay(Duration, bool);

impl fmt::Display for Delay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(after, clock_set) = *self;
        if clock_set {
            f.write_str("delay not known: the clock was set")
        } else {
            Shown(after).fmt(f)
        }
    }
}

/// How long a command has waited, with the word before it. It is not known if the clock was set meanwhile.
struct Waited(&'static str, Duration, bool);

impl fmt::Display for Waited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(word, after, clock_set) = *self;
        if clock_set {
            f.write_str(", time not known: the clock was set")
        } else {
            write!(f, "{word}{}", Shown(after))
        }
    }
}

/// A time in milliseconds, or from 1 s on in seconds.
struct Shown(Duration);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = rounded_micros(self.0);
        if micros >= 1_000_000 {
            let rest = (u64::from(self.0.subsec_nanos()) + 500_000) / 1_000_000;
            let millis = self.0.as_secs().saturating_mul(1_000).saturating_add(rest);
            write!(f, "{}.{:03} s", millis / 1_000, millis % 1_000)
        } else {
            write!(f, "{}.{:03} ms", micros / 1_000, micros % 1_000)
        }
    }
}

/// A time in µs. Every time of a capture fits.
pub(super) fn rounded_micros(time: Duration) -> u64 {
    let rest = (u64::from(time.subsec_nanos()) + 500) / 1_000;
    time.as_secs().saturating_mul(1_000_000).saturating_add(rest)
}

fn put(out: &mut String, text: fmt::Arguments<'_>) {
    // Memory takes it.
    let _ = out.write_fmt(text);
}

fn write_spaces(out: &mut String, count: usize) {
    // At once, which is faster than one by one. Nothing here is wider.
    const SPACES: &str = "                                                                ";
    out.push_str(&SPACES[..count.min(SPACES.len())]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_rounded_once() {
        let text = |nanos| Shown(Duration::from_nanos(nanos)).to_string();
        assert_eq!(text(1_000_499_600), "1.000 s");
        assert_eq!(text(999_999_600), "1.000 s");
        assert_eq!(text(999_999_400), "999.999 ms");
    }

    #[test]
    fn a_comment_of_a_file_does_not_steer_the_terminal() {
        let note =
            Note { text: "refused: \u{1b}]0;x\u{7}\nSTAGE_HOME".to_owned(), by_recorder: true };
        assert_eq!(end_text("closed", Side::Client, Some(&note)), "== refused:  ]0;x  STAGE_HOME");
    }
}
