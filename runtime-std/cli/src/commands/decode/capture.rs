//! A capture as text or JSON: a conversation, line by line. What a line holds is `conversation.rs`.

use std::time::{Duration, SystemTime};

use flamingo_microscope::meaning::selector_name;
use flamingo_protocol_core::{Frame, ImageHeader, Kind, Payload};
use flamingo_recording::capture::{Capture, CaptureError, Happening, Said, Who};
use flamingo_recording::conversation::FrameClass;
use serde::Serialize;

use super::Input;
use super::conversation::{Line, Outcome, Row, Rows, Spoken};
use super::summary::Summary;
use crate::failure::{CommandResult, Failure, PROTOCOL, note};
use crate::frame_json::FrameJson;
use crate::frame_text::frame_line;
use crate::output::{Out, milliseconds, rfc3339};

/// How many happenings are read before what they gave is printed.
const TOGETHER: usize = 64;
/// How wide the client's column is.
const LEFT: usize = 52;

/// Prints the conversation that a capture holds, or what it adds up to.
pub(super) async fn print(input: Input, name: &str, summary: bool, out: &mut Out) -> CommandResult {
    let failed = |error: &CaptureError| Failure::usage(format!("decode: {name}: {error}"));
    let mut capture = Capture::from_reader(input).map_err(|error| failed(&error))?;
    let mut printer = Printer { rows: Rows::default(), began: None, flaws: 0 };
    let mut summary = summary.then(Summary::default);
    let mut last = Duration::ZERO;
    let mut cut = None;
    loop {
        // Reading may block for as long as a pipe pleases; Ctrl-C must not.
        let read = smol::unblock(move || {
            let some: Vec<_> = capture.by_ref().take(TOGETHER).map(without_pixels).collect();
            (some, capture)
        });
        let some;
        (some, capture) = read.await;
        let over = some.is_empty();
        for happening in some {
            match happening {
                Ok(happening) => {
                    last = happening.at;
                    printer.rows.take(happening);
                }
                Err(error) => cut = Some(error),
            }
        }
        if over {
            printer.rows.end(last);
        }
        while let Some(row) = printer.rows.next() {
            match &mut summary {
                Some(summary) => summary.take(&row),
                None => printer.print(&row, out)?,
            }
            printer.flaws += u64::from(row.what.is_flaw());
        }
        if over {
            break;
        }
    }
    if let Some(summary) = summary {
        summary.print(out)?;
    }
    finish(&capture, cut, name, &printer)
}

/// Many images together would be large, and nobody looks at them here.
fn without_pixels(read: Result<Happening, CaptureError>) -> Result<Happening, CaptureError> {
    read.map(|mut happening| {
        if let Said::Image { pixels: Some(pixels), .. } = &mut happening.said {
            *pixels = Vec::new();
        }
        happening
    })
}

/// Says what could not be read.
fn finish(
    capture: &Capture,
    cut: Option<CaptureError>,
    name: &str,
    printer: &Printer,
) -> CommandResult {
    if capture.others() > 0 {
        note(&format!(
            "{} TCP connections that are no instrument's were left out",
            capture.others()
        ));
    }
    match cut {
        Some(CaptureError::Cut) => {
            note(&format!("error: {name}: {}; what stands before it is shown", CaptureError::Cut));
            Err(Failure::reported(PROTOCOL))
        }
        Some(error) => Err(Failure::usage(format!("decode: {name}: {error}"))),
        None if printer.began.is_none() && printer.rows.is_untouched() => Err(Failure::usage(
            format!("decode: {name}: expected connections to an instrument, found none"),
        )),
        None if printer.flaws > 0 => Err(Failure::reported(PROTOCOL)),
        None => Ok(()),
    }
}

struct Printer {
    rows: Rows,
    /// The time of the first row, from which the others count.
    began: Option<Duration>,
    flaws: u64,
}

/// The JSON of a row.
#[derive(Serialize)]
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
}

/// The JSON of an image.
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

impl Printer {
    fn print(&mut self, row: &Row, out: &mut Out) -> CommandResult {
        let began = *self.began.get_or_insert(row.at);
        if out.json() { out.object(&record(row)) } else { out.line(&line(row, began)) }
    }
}

/// Since 1970 → the host's calendar.
fn calendar(at: Duration) -> String {
    rfc3339(SystemTime::UNIX_EPOCH + at)
}

fn line(row: &Row, began: Duration) -> String {
    let Row { who, at, what } = row;
    let since = at.saturating_sub(began).as_secs_f64();
    let number = who.number;
    let text = match what {
        Line::Opened => {
            let Who { port, client, instrument, .. } = who;
            format!("== {port}: {client} connects to {instrument}, {}", calendar(*at))
        }
        Line::Command { command, outcome } => {
            let left = asked(command);
            let right = match outcome {
                Outcome::Open => "(no answer yet)".to_owned(),
                Outcome::NotAwaited => "(no answer to be expected)".to_owned(),
                Outcome::Answered { answer, verdict } => {
                    format!("{}  {}", said(answer), judged(verdict))
                }
                Outcome::Silent { after } => format!("!! no answer in {}", span(*after)),
            };
            format!("{left:<LEFT$}  -> {right}")
        }
        Line::Other { frame, verdict } => {
            let mark = if matches!(verdict, FrameClass::Unsolicited { .. }) { "*" } else { "!!" };
            format!("{:<LEFT$}  {mark:>2} {}  {}", "", said(frame), judged(verdict))
        }
        Line::Image { header, checksum, pixels } => {
            let ImageHeader { width, height, device, index_start, size, .. } = header;
            let crc = checksum.map_or(String::new(), |sum| format!(", crc32 {sum:08x}"));
            let left_out = if *pixels || *size == 0 { "" } else { ", pixels not recorded" };
            format!(
                "{:<LEFT$}  [] image {index_start}: {width} x {height}, camera {device}{crc}{left_out}",
                ""
            )
        }
        Line::NoImage(error) => format!("!! no image, and nothing behind it can be read: {error}"),
        Line::Noise { from, bytes } => {
            format!("!! {bytes} bytes from the {from} that are no frame")
        }
        Line::Hole { from, bytes } => {
            format!("!! {bytes} bytes from the {from} are not in the recording")
        }
        Line::Rest { from, bytes } => {
            format!("!! {bytes} bytes from the {from} are a part of something that is not complete")
        }
        Line::Finished { from } => format!("== the {from} closes"),
        Line::Reset { from } => format!("== cut off by the {from}"),
    };
    format!("{since:>12.6} {number:>3}  {text}").trim_end().to_owned()
}

/// What a question has in its result fields says nothing.
fn asked(command: &Spoken) -> String {
    let frame = &command.frame;
    match frame.code.row() {
        Some(row) if row.kind == Kind::Query && row.payload != Payload::Both => {
            format!("{} {}", row.name, selector_name(frame)).trim_end().to_owned()
        }
        _ => {
            // A command has no status to speak of.
            let frame = Frame { status: 1, ..*frame };
            said(&Spoken { frame, ..command.clone() })
        }
    }
}

fn said(spoken: &Spoken) -> String {
    let Spoken { frame, payload, .. } = spoken;
    let line = frame_line(frame, payload);
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn span(span: Duration) -> String {
    let ms = milliseconds(span);
    if ms >= 1000.0 { format!("{:.3} s", ms / 1000.0) } else { format!("{ms:.3} ms") }
}

fn judged(verdict: &FrameClass) -> String {
    match verdict {
        FrameClass::Solicited { after, proven, .. } => {
            format!("[{}{}]", span(*after), if *proven { "" } else { ", presumed" })
        }
        FrameClass::Late { after, .. } => format!("[LATE: {} after its command]", span(*after)),
        FrameClass::Ambiguous { after, among, .. } => {
            format!("[{}, ambiguous: {among} commands may own it]", span(*after))
        }
        FrameClass::Unsolicited { ours: true } => "[unsolicited, perhaps an echo]".to_owned(),
        FrameClass::Unsolicited { ours: false } => "[unsolicited]".to_owned(),
    }
}

fn record(row: &Row) -> RowJson {
    let Row { who, at, what } = row;
    let mut record = RowJson {
        connection: who.number,
        port: who.port.name(),
        kind: "",
        time: calendar(*at),
        client: None,
        instrument: None,
        request: None,
        answer: None,
        frame: None,
        silent_ms: None,
        from: None,
        bytes: None,
        image: None,
        error: None,
    };
    match what {
        Line::Opened => {
            record.kind = "opened";
            record.client = Some(who.client.to_string());
            record.instrument = Some(who.instrument.to_string());
        }
        Line::Command { command, outcome } => {
            record.request = Some(frame(command));
            record.kind = match outcome {
                Outcome::Open | Outcome::NotAwaited => "command",
                Outcome::Answered { answer, verdict } => {
                    record.answer = Some(frame(answer).verdict(verdict));
                    "answered"
                }
                Outcome::Silent { after } => {
                    record.silent_ms = Some(milliseconds(*after));
                    "silent"
                }
            };
        }
        Line::Other { frame: other, verdict } => {
            record.kind = verdict.name();
            record.frame = Some(frame(other).verdict(verdict));
        }
        Line::Image { header, checksum, pixels } => {
            record.kind = "image";
            record.image = Some(image(header, *checksum, *pixels));
        }
        Line::NoImage(error) => {
            record.kind = "no_image";
            record.error = Some(error.to_string());
        }
        Line::Noise { from, bytes } => {
            record.kind = "noise";
            (record.from, record.bytes) = (Some(from.name()), Some(*bytes as u64));
        }
        Line::Hole { from, bytes } => {
            record.kind = "hole";
            (record.from, record.bytes) = (Some(from.name()), Some(*bytes));
        }
        Line::Rest { from, bytes } => {
            record.kind = "rest";
            (record.from, record.bytes) = (Some(from.name()), Some(*bytes as u64));
        }
        Line::Finished { from } => (record.kind, record.from) = ("closed", Some(from.name())),
        Line::Reset { from } => (record.kind, record.from) = ("reset", Some(from.name())),
    }
    record
}

fn frame(spoken: &Spoken) -> FrameJson {
    let Spoken { at, frame, payload } = spoken;
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
