//! What a capture adds up to: a row for each code, and what else there was.

use std::collections::BTreeMap;
use std::time::Duration;

use flamingo_protocol_core::{CommandCode, Frame};
use flamingo_recording::conversation::FrameClass;
use serde::Serialize;

use super::conversation::{Line, Outcome, Row};
use crate::failure::CommandResult;
use crate::output::{Out, milliseconds};
use flamingo_race::statistics::percentile;

/// Of one code.
#[derive(Debug, Default)]
struct Tally {
    commands: u64,
    /// Of each answer in time, how long it took.
    delays: Vec<Duration>,
    presumed: u64,
    ambiguous: u64,
    unanswered: u64,
    late: u64,
    unsolicited: u64,
}

#[derive(Debug, Default)]
pub(super) struct Summary {
    codes: BTreeMap<CommandCode, Tally>,
    rest: Rest,
}

/// What belongs to no code.
#[derive(Debug, Default, Serialize)]
struct Rest {
    summary: bool,
    connections: u64,
    images: u64,
    noise_bytes: u64,
    missing_bytes: u64,
}

/// The JSON of a code.
#[derive(Debug, Serialize)]
struct CodeJson {
    code: u32,
    name: Option<&'static str>,
    commands: u64,
    answered: usize,
    presumed: u64,
    ambiguous: u64,
    unanswered: u64,
    late: u64,
    unsolicited: u64,
    p50_ms: Option<f64>,
    p99_ms: Option<f64>,
}

impl Summary {
    pub(super) fn take(&mut self, row: &Row) {
        match &row.what {
            Line::Opened => self.rest.connections += 1,
            Line::Command { command, outcome } => {
                let tally = self.of(&command.frame);
                tally.commands += 1;
                match outcome {
                    Outcome::Open | Outcome::NotAwaited => {}
                    Outcome::Silent { .. } => tally.unanswered += 1,
                    Outcome::Answered { verdict, .. } => {
                        if let Some((_, after)) = verdict.answers() {
                            tally.delays.push(after);
                        }
                        tally.presumed += u64::from(verdict.proven() == Some(false));
                        let ambiguous = matches!(verdict, FrameClass::Ambiguous { .. });
                        tally.ambiguous += u64::from(ambiguous);
                    }
                }
            }
            Line::Other { frame, verdict } => {
                let late = matches!(verdict, FrameClass::Late { .. });
                let tally = self.of(&frame.frame);
                tally.late += u64::from(late);
                tally.unsolicited += u64::from(!late);
            }
            Line::Image { .. } => self.rest.images += 1,
            Line::Noise { bytes, .. } | Line::Rest { bytes, .. } => {
                self.rest.noise_bytes += *bytes as u64;
            }
            Line::Hole { bytes, .. } => self.rest.missing_bytes += bytes,
            Line::NoImage(_) | Line::Finished { .. } | Line::Reset { .. } => {}
        }
    }

    fn of(&mut self, frame: &Frame) -> &mut Tally {
        self.codes.entry(frame.code).or_default()
    }

    pub(super) fn print(mut self, out: &mut Out) -> CommandResult {
        self.rest.summary = true;
        let mut records = self.codes.iter().map(|(code, tally)| record(*code, tally));
        if out.json() {
            records.try_for_each(|record| out.object(&record))?;
            return out.object(&self.rest);
        }
        out.line(&format!(
            "{:<40} {:>8} {:>8} {:>10} {:>10} {:>10} {:>6} {:>11}",
            "code", "commands", "answered", "p50", "p99", "unanswered", "late", "unsolicited"
        ))?;
        for record in records {
            out.line(&text(&record))?;
        }
        let Rest { connections, images, noise_bytes, missing_bytes, .. } = self.rest;
        out.line(&format!(
            "{connections} connections, {images} images, {noise_bytes} bytes that are no frame, \
             {missing_bytes} bytes not in the recording"
        ))
    }
}

fn record(code: CommandCode, tally: &Tally) -> CodeJson {
    let at = |percent| percentile(&tally.delays, percent).map(milliseconds);
    CodeJson {
        code: code.0,
        name: code.name(),
        commands: tally.commands,
        answered: tally.delays.len(),
        presumed: tally.presumed,
        ambiguous: tally.ambiguous,
        unanswered: tally.unanswered,
        late: tally.late,
        unsolicited: tally.unsolicited,
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
