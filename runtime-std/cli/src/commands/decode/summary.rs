//! `flamingo decode --summary`: the totals of a capture, one row for each command code.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use flamingo_protocol_core::{CommandCode, Frame};
use flamingo_recording::Port;
use flamingo_recording::capture::Capture;
use flamingo_recording::conversation::FrameClass;

use super::json::{CodeJson, TotalsJson};
use super::row::{CommandOutcome, Row, RowContent};
use super::text::rounded_micros;
use crate::failure::CommandResult;
use crate::output::{Out, counted};
use flamingo_race::statistics::percentile;

/// The counts of one command code.
#[derive(Debug, Default)]
struct Counts {
    commands: u64,
    answered: u64,
    /// The delay of each answer that came in time, if it is known, in µs.
    delays: Vec<u32>,
    presumed: u64,
    ambiguous: u64,
    unanswered: u64,
    unfinished: u64,
    late: u64,
    unsolicited: u64,
}

impl Counts {
    /// A frame that came in time and may be an answer. If the clock was set, its delay is not known.
    fn answer(&mut self, class: &FrameClass, clock_set: bool) {
        self.answered += 1;
        let delay = class.answers().filter(|_| !clock_set).map(|(_, after)| rounded_micros(after));
        self.delays.extend(delay.map(|micros| u32::try_from(micros).unwrap_or(u32::MAX)));
        self.presumed += u64::from(class.proven() == Some(false));
        self.ambiguous += u64::from(matches!(class, FrameClass::Ambiguous { .. }));
    }
}

#[derive(Debug, Default)]
pub(super) struct Summary {
    codes: BTreeMap<CommandCode, Counts>,
    /// The addresses of the control ports.
    instruments: BTreeSet<SocketAddr>,
    totals: TotalsJson,
}

impl Summary {
    pub(super) fn take(&mut self, row: &Row) {
        match &row.content {
            RowContent::Opened => {
                self.totals.connections += 1;
                // Image ports and callback ports belong to an instrument or a bridge with a control port.
                if row.who.port == Port::Control && !row.who.callback {
                    self.instruments.insert(row.who.instrument);
                }
            }
            RowContent::Command { command, outcome, clock_set, again } => {
                let counts = self.of(&command.frame);
                counts.commands += u64::from(!again);
                match outcome {
                    CommandOutcome::Open | CommandOutcome::NoneExpected => {}
                    CommandOutcome::Unanswered { .. } | CommandOutcome::ConnectionEnds { .. } => {
                        counts.unanswered += 1;
                    }
                    CommandOutcome::RecordingEnds { .. } => {
                        counts.unfinished += 1;
                        self.totals.unfinished += 1;
                    }
                    CommandOutcome::Answered { class, .. } => {
                        counts.answer(class, *clock_set);
                    }
                }
            }
            RowContent::Other { frame, class, clock_set, .. } => {
                let counts = self.of(&frame.frame);
                match class {
                    FrameClass::Late { .. } => counts.late += 1,
                    FrameClass::Unsolicited { .. } => counts.unsolicited += 1,
                    FrameClass::Ambiguous { .. } => counts.ambiguous += 1,
                    // Its command was shown without it.
                    FrameClass::Solicited { .. } => counts.answer(class, *clock_set),
                }
            }
            RowContent::Image { .. } => self.totals.images += 1,
            RowContent::Noise { bytes, .. } | RowContent::Incomplete { bytes, .. } => {
                self.totals.noise_bytes += *bytes as u64;
            }
            RowContent::Missing { bytes, .. } => self.totals.missing_bytes += bytes,
            RowContent::ClockStep { .. } => self.totals.clock_steps += 1,
            RowContent::NoImage(_) | RowContent::Finished { .. } | RowContent::Reset { .. } => {}
        }
    }

    fn of(&mut self, frame: &Frame) -> &mut Counts {
        self.codes.entry(frame.code).or_default()
    }

    /// The totals of each code.
    pub(super) fn records(&self) -> impl Iterator<Item = CodeJson> {
        self.codes.iter().map(|(code, counts)| record(*code, counts))
    }

    /// The totals that belong to no code. Without the capture, what was skipped in it is not known.
    pub(super) fn totals(&self, capture: Option<&Capture>) -> TotalsJson {
        let unreadable = capture.map(Capture::unreadable).unwrap_or_default();
        TotalsJson {
            summary: true,
            instruments: self.instruments.len(),
            packets: capture.map(Capture::packets).unwrap_or_default(),
            broken_blocks: unreadable.blocks,
            broken_options: unreadable.options,
            incomplete_ip_packets: unreadable.fragments,
            ..self.totals.clone()
        }
    }

    /// Prints the totals of a capture that was read to its end.
    pub(super) fn print(mut self, capture: &Capture, out: &mut Out) -> CommandResult {
        self.totals = self.totals(Some(capture));
        let mut records = self.records();
        if out.json() {
            records.try_for_each(|record| out.object(&record))?;
            return out.object(&self.totals);
        }
        out.line(&format!(
            "{:<40} {:>8} {:>8} {:>10} {:>10} {:>10} {:>6} {:>11}",
            "code", "commands", "answered", "p50", "p99", "unanswered", "late", "unsolicited"
        ))?;
        for record in records {
            out.line(&text(&record))?;
        }
        let TotalsJson { connections, images, noise_bytes, missing_bytes, .. } = self.totals;
        let TotalsJson { unfinished, clock_steps, instruments, .. } = self.totals;
        out.line(&format!(
            "{} to {}, {}, {} in no frame, {} not in the recording, {} open at its end, {} of the clock",
            counted(connections, "connection"),
            counted(instruments, "instrument"),
            counted(images, "image"),
            counted(noise_bytes, "byte"),
            counted(missing_bytes, "byte"),
            counted(unfinished, "command"),
            counted(clock_steps, "step")
        ))?;
        let unreadable = capture.unreadable();
        if unreadable.is_empty() {
            return Ok(());
        }
        out.line(&format!("skipped: {unreadable}"))
    }
}

fn record(code: CommandCode, counts: &Counts) -> CodeJson {
    let at = |percent| percentile(&counts.delays, percent).map(|micros| f64::from(micros) / 1e3);
    CodeJson {
        code: code.0,
        name: code.name(),
        commands: counts.commands,
        answered: counts.answered,
        presumed: counts.presumed,
        ambiguous: counts.ambiguous,
        unanswered: counts.unanswered,
        unfinished: counts.unfinished,
        late: counts.late,
        unsolicited: counts.unsolicited,
        p50_ms: at(50),
        p99_ms: at(99),
    }
}

fn text(record: &CodeJson) -> String {
    let delay = |ms: Option<f64>| ms.map_or("-".to_owned(), |ms| format!("{ms:.3} ms"));
    format!(
        "{:<40} {:>8} {:>8} {:>10} {:>10} {:>10} {:>6} {:>11}",
        CommandCode(record.code).to_string(),
        record.commands,
        record.answered,
        delay(record.p50_ms),
        delay(record.p99_ms),
        record.unanswered,
        record.late,
        record.unsolicited
    )
}
