//! `flamingo decode` of a capture: reads it, and prints its conversation or its totals.
//!
//! Rows are built in `conversation.rs` and printed by `text.rs` and `json.rs`.

use std::time::Duration;

use flamingo_recording::capture::{Capture, CaptureError, CaptureEvent, EventKind};

use super::conversation::{Row, RowBuilder};
use super::summary::Summary;
use super::{Input, json, text};
use crate::failure::{CommandResult, Failure, PROTOCOL, note};
use crate::output::Out;

/// This many items of the capture are read before their rows are printed.
const BATCH: usize = 64;

/// Prints the conversation in a capture, or its totals.
pub(super) async fn print(input: Input, name: &str, summary: bool, out: &mut Out) -> CommandResult {
    let failed = |error: &CaptureError| Failure::usage(format!("decode: {name}: {error}"));
    let mut capture = Capture::from_reader(input).map_err(|error| failed(&error))?;
    let mut printer = Printer { rows: RowBuilder::default(), began: None, errors: 0 };
    let mut summary = summary.then(Summary::default);
    let mut last = Duration::ZERO;
    let mut cut = None;
    loop {
        // Reading from a pipe may block; Ctrl-C must still work.
        let read = smol::unblock(move || {
            let some: Vec<_> = capture.by_ref().take(BATCH).map(without_pixels).collect();
            (some, capture)
        });
        let some;
        (some, capture) = read.await;
        let over = some.is_empty();
        for event in some {
            match event {
                Ok(event) => {
                    last = event.at;
                    printer.rows.take(event);
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
            printer.errors += u64::from(row.content.is_error());
        }
        if over {
            break;
        }
    }
    if let Some(summary) = summary {
        summary.print(&capture, out)?;
    }
    finish(&capture, cut, name, &printer)
}

/// Drops the pixels: nothing here prints them, and many images together are large.
fn without_pixels(read: Result<CaptureEvent, CaptureError>) -> Result<CaptureEvent, CaptureError> {
    read.map(|mut event| {
        if let EventKind::Image { pixels: Some(pixels), .. } = &mut event.kind {
            *pixels = Vec::new();
        }
        event
    })
}

/// Reports what could not be read.
fn finish(
    capture: &Capture,
    cut: Option<CaptureError>,
    name: &str,
    printer: &Printer,
) -> CommandResult {
    if capture.others() > 0 {
        note(&format!("{} TCP connections to other ports were ignored", capture.others()));
    }
    let unreadable = capture.unreadable();
    if !unreadable.is_empty() {
        note(&format!("warning: {name}: cannot be read and was skipped: {unreadable}"));
    }
    match cut {
        Some(CaptureError::Cut) => {
            note(&format!("error: {name}: {}; everything before it is printed", CaptureError::Cut));
            Err(Failure::reported(PROTOCOL))
        }
        Some(error) => Err(Failure::usage(format!("decode: {name}: {error}"))),
        None if printer.began.is_none() && printer.rows.is_empty() => Err(Failure::usage(format!(
            "decode: {name}: expected connections to an instrument, found none"
        ))),
        None if printer.errors > 0 => Err(Failure::reported(PROTOCOL)),
        None => Ok(()),
    }
}

struct Printer {
    rows: RowBuilder,
    /// The time of the first row. Times in the text count from it.
    began: Option<Duration>,
    errors: u64,
}

impl Printer {
    fn print(&mut self, row: &Row, out: &mut Out) -> CommandResult {
        let began = *self.began.get_or_insert(row.at);
        if out.json() { out.object(&json::row(row)) } else { out.line(&text::line(row, began)) }
    }
}
