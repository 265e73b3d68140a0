//! `flamingo decode` of a capture: reads it, and prints its conversation or its totals.
//!
//! A thread reads, so that everything is shown when it comes, also from a pipe that stays open. Rows are
//! built in `conversation.rs` and printed by `text.rs` and `json.rs`, or written by `html.rs`.

use std::time::Duration;

use async_channel::{Receiver, Sender, TryRecvError};
use flamingo_recording::capture::{Capture, CaptureError, CaptureEvent, EventKind, KnownPorts};
use smol::{Timer, future};

use super::conversation::{RowBuilder, TICK};
use super::html::HtmlPage;
use super::row::Row;
use super::summary::Summary;
use super::{Input, json, text};
use crate::failure::{CommandResult, Failure, PROTOCOL, note};
use crate::output::Out;

/// So many batches are read ahead.
const READ_AHEAD: usize = 4;
/// The items of a batch of a file. Handing over an item costs more than reading it. Items of a pipe are handed over
/// one by one, since the next one may be long in coming.
const BATCH: usize = 64;
/// So many bytes of lines are written at once.
const MOST_READY: usize = 64 * 1024;

/// What the reading thread hands over.
#[allow(clippy::large_enum_variant)] // nearly every item is an event
enum Item {
    Event(CaptureEvent),
    /// The capture is over. Events may follow.
    End,
    Failed(CaptureError),
}

/// What is made of the rows.
pub(super) enum Target {
    /// Lines, each printed when it comes.
    Lines,
    Totals(Summary),
    Page(Box<HtmlPage>),
}

/// Prints the conversation in a capture or its totals, or writes it as a page.
pub(super) async fn print(
    input: Input,
    name: &str,
    ports: KnownPorts,
    target: Target,
    out: &mut Out,
) -> CommandResult {
    let Input { bytes, is_live } = input;
    // Only lines are shown before the end.
    let is_live = is_live && matches!(target, Target::Lines);
    let failed = |error: &CaptureError| Failure::usage(format!("decode: {name}: {error}"));
    // Reading from a pipe may block; Ctrl-C must still work.
    let capture = smol::unblock(move || Capture::from_reader(bytes)).await;
    let capture = capture.map_err(|error| failed(&error))?.known_ports(ports);
    let (sender, batches) = async_channel::bounded(READ_AHEAD);
    let size = if is_live { 1 } else { BATCH };
    let reading = smol::unblock(move || read(capture, &sender, size));
    let mut printer = Printer {
        rows: RowBuilder::default(),
        tick: None,
        target,
        began: None,
        last: Duration::ZERO,
        errors: 0,
        cut: None,
        ready: Vec::new(),
        line: String::new(),
    };
    while let Some(batch) = printer.next(&batches, is_live, out).await? {
        batch.into_iter().try_for_each(|item| printer.take(item, out))?;
    }
    printer.rows.end(printer.last);
    printer.print_rows(out)?;
    printer.flush(out)?;
    let capture = reading.await;
    match std::mem::replace(&mut printer.target, Target::Lines) {
        Target::Lines => {}
        Target::Totals(summary) => summary.print(&capture, out)?,
        Target::Page(page) => page.finish(&capture, printer.cut.as_ref(), out)?,
    }
    finish(&capture, name, printer)
}

/// Reads to the end, or until nobody takes the batches.
fn read(mut capture: Capture, batches: &Sender<Vec<Item>>, size: usize) -> Capture {
    let mut is_over = false;
    let mut batch = Vec::with_capacity(size);
    while let Some(read) = capture.next() {
        if capture.is_at_end() && !std::mem::replace(&mut is_over, true) {
            batch.push(Item::End);
        }
        batch.push(without_pixels(read).map_or_else(Item::Failed, Item::Event));
        if batch.len() >= size {
            let full = std::mem::replace(&mut batch, Vec::with_capacity(size));
            if batches.send_blocking(full).is_err() {
                return capture;
            }
        }
    }
    // An error means that nobody takes the batches, as above.
    let _ = batches.send_blocking(batch);
    capture
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
fn finish(capture: &Capture, name: &str, printer: Printer) -> CommandResult {
    if capture.others() > 0 {
        note(&format!(
            "{} TCP connections to other ports were ignored; --control-port and its siblings name more \
             ports of an instrument",
            capture.others()
        ));
    }
    let unreadable = capture.unreadable();
    if !unreadable.is_empty() {
        note(&format!("warning: {name}: cannot be read and was skipped: {unreadable}"));
    }
    match printer.cut {
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
    /// Completes when a tick of a live capture has passed. `None` if no row waits.
    tick: Option<Timer>,
    target: Target,
    /// The time of the first row. Times in the text count from it.
    began: Option<Duration>,
    /// The time of the last event.
    last: Duration,
    errors: u64,
    cut: Option<CaptureError>,
    /// Lines that are not written yet.
    ready: Vec<u8>,
    /// The room in which a line of text is built.
    line: String,
}

impl Printer {
    /// The next batch. Before it waits for one, it writes all lines. `None` at the end.
    async fn next(
        &mut self,
        batches: &Receiver<Vec<Item>>,
        is_live: bool,
        out: &mut Out,
    ) -> CommandResult<Option<Vec<Item>>> {
        loop {
            if is_live && self.has_tick_passed().await {
                self.pass_tick(out)?;
            }
            match batches.try_recv() {
                Ok(batch) => return Ok(Some(batch)),
                Err(TryRecvError::Closed) => return Ok(None),
                Err(TryRecvError::Empty) => self.flush(out)?,
            }
            let Some(tick) = &mut self.tick else { return Ok(batches.recv().await.ok()) };
            let next = async { Some(batches.recv().await.ok()) };
            let passed = async {
                tick.await;
                None
            };
            if let Some(next) = future::or(next, passed).await {
                return Ok(next);
            }
            self.pass_tick(out)?;
        }
    }

    async fn has_tick_passed(&mut self) -> bool {
        if !self.rows.is_waiting() {
            self.tick = None;
            return false;
        }
        let tick = self.tick.get_or_insert_with(|| Timer::after(TICK));
        future::poll_once(tick).await.is_some()
    }

    /// Shows the rows that have waited long enough for an answer.
    fn pass_tick(&mut self, out: &mut Out) -> CommandResult {
        self.tick = None;
        self.rows.tick();
        self.print_rows(out)
    }

    fn take(&mut self, item: Item, out: &mut Out) -> CommandResult {
        match item {
            Item::Event(event) => {
                self.last = self.last.max(event.at);
                self.rows.take(event);
            }
            Item::End => self.rows.recording_ends(),
            Item::Failed(error) => self.cut = Some(error),
        }
        self.print_rows(out)
    }

    /// Prints the rows that are complete.
    fn print_rows(&mut self, out: &mut Out) -> CommandResult {
        while let Some(row) = self.rows.next() {
            self.errors += u64::from(row.content.is_error());
            match &mut self.target {
                Target::Lines => self.print_row(&row, out)?,
                Target::Totals(summary) => summary.take(&row),
                Target::Page(page) => page.take(&row)?,
            }
        }
        Ok(())
    }

    fn print_row(&mut self, row: &Row, out: &mut Out) -> CommandResult {
        let began = *self.began.get_or_insert(row.at);
        if out.json() {
            json::write_line(&mut self.ready, row)?;
        } else {
            self.line.clear();
            text::write_line(&mut self.line, row, began);
            self.ready.extend_from_slice(self.line.as_bytes());
        }
        self.ready.push(b'\n');
        if self.ready.len() < MOST_READY { Ok(()) } else { self.flush(out) }
    }

    fn flush(&mut self, out: &mut Out) -> CommandResult {
        if !self.ready.is_empty() {
            out.bytes(&self.ready)?;
            self.ready.clear();
        }
        Ok(())
    }
}
