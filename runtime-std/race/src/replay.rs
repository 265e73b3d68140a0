//! `flamingo race --replay-example`: the analysis's timeline T0–T6, for two readers on one socket
//! and for this project's core, played on a virtual clock and printed as the analysis prints it.
//!
//! This file has the simulation around the programs (an instrument, the network, a socket buffer), the rule that makes rows,
//! and their form as text and JSON. The programs are in `replay/two_readers.rs` and `replay/core.rs`. Nothing here uses a
//! socket or a real clock.

mod core;
#[cfg(test)]
mod tests;
mod two_readers;

use std::collections::VecDeque;
use std::fmt::Write;

use flamingo_protocol_core::{
    CommandCode, Frame,
    time::{Duration, Instant},
    wire::{Assembler, MAX_PAYLOAD, Piece},
};
use serde::Serialize;

/// The time that each step takes, so that no two happen at the same time.
const STEP: Duration = Duration::from_millis(1);
/// When the user clicks "Get Image Size".
const CLICK: Instant = Instant::from_micros(2_000);
/// The timeout of a query.
const TIMEOUT: Duration = Duration::from_millis(3_000);
/// The text of a thread that is still blocked.
const STILL_BLOCKED: &str = "[Still blocked...]";

/// What the instrument sends after it has received a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sent {
    /// The answer to it.
    Answer,
    /// An unsolicited STAGE_MOTION_STOPPED.
    Push,
}

/// A row of the timeline: what each side has done since the previous row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Row {
    strategy: &'static str,
    /// `T0`, `T1` …
    time: String,
    /// The virtual clock at the end of the row.
    at_ms: u64,
    main: String,
    /// The task that owns the socket, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
    listener: String,
    buffer: String,
}

/// A timeline and its result. The JSON of this type has the result only: each row is an object of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Replay {
    strategy: &'static str,
    #[serde(skip)]
    title: &'static str,
    #[serde(skip)]
    pub(super) rows: Vec<Row>,
    result: Vec<String>,
}

/// The two timelines: that of the analysis, and the same query through the core, with an additional push between the
/// query and its answer.
pub(super) fn replays() -> [Replay; 2] {
    let millis = Duration::from_millis;
    [
        two_readers::play(&[(millis(2), Sent::Answer)]),
        core::play(&[(millis(2), Sent::Push), (millis(5), Sent::Answer)]),
    ]
}

/// A column of the timeline.
#[derive(Debug, Default)]
struct Column {
    /// What was done since the last row.
    fresh: Vec<String>,
    /// The text to show if nothing was done.
    rest: &'static str,
}

impl Column {
    fn add(&mut self, text: impl Into<String>) {
        self.fresh.push(text.into());
    }

    /// Adds that the side is blocked. Later rows show that it is still blocked.
    fn block(&mut self, text: &str) {
        // What it did just before is more important.
        if self.fresh.is_empty() {
            self.add(text);
        }
        self.rest = STILL_BLOCKED;
    }

    fn take(&mut self) -> String {
        if self.fresh.is_empty() {
            return self.rest.into();
        }
        std::mem::take(&mut self.fresh).join(", ")
    }
}

/// What one step means for the timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// It makes a row.
    Row,
    /// It is shown in the next row, because it changes nothing for the other sides.
    Quiet,
    /// No side can do anything now.
    Nothing,
}

/// A program whose threads or tasks are state machines.
trait Program {
    /// Its name in the race.
    fn strategy(&self) -> &'static str;

    /// Makes the next step that is possible now, if any.
    fn step(&mut self, simulation: &mut Simulation) -> Step;

    /// When it makes a step without new input.
    fn due(&self) -> Option<Instant>;

    /// What the main thread, the owner of the socket and the listener have done since the last row.
    fn columns(&mut self) -> (String, Option<String>, String);
}

/// Everything outside the program.
#[derive(Debug)]
struct Simulation {
    now: Instant,
    /// What the instrument sends after each query, and when.
    script: Vec<(Duration, Sent)>,
    instrument: Assembler,
    /// Frames on their way to the program, in the order of arrival.
    in_flight: VecDeque<(Instant, Frame)>,
    /// Bytes that have arrived and are not read yet.
    buffer: VecDeque<u8>,
    buffer_column: Column,
}

impl Simulation {
    fn new(script: &[(Duration, Sent)]) -> Self {
        let mut buffer_column = Column::default();
        buffer_column.add("[Empty]");
        Self {
            now: Instant::default(),
            script: script.to_vec(),
            instrument: Assembler::new(MAX_PAYLOAD),
            in_flight: VecDeque::new(),
            buffer: VecDeque::new(),
            buffer_column,
        }
    }

    /// `sendall`: the instrument receives the bytes at once, and follows its script.
    fn send(&mut self, mut bytes: &[u8]) {
        while let (consumed @ 1.., piece) = self.instrument.push(bytes) {
            bytes = bytes.get(consumed..).unwrap_or_default();
            if let Some(Piece::Frame { frame: query, .. }) = piece {
                let sent = self.script.iter().map(|(after, what)| {
                    let frame = if *what == Sent::Answer { answer(&query) } else { push() };
                    (self.now + *after, frame)
                });
                self.in_flight.extend(sent);
            }
        }
    }

    /// Puts the next frame into the buffer, if it is due.
    fn arrive(&mut self) -> bool {
        if self.in_flight.front().is_none_or(|(at, _)| self.now < *at) {
            return false;
        }
        let Some((_, frame)) = self.in_flight.pop_front() else {
            return false;
        };
        let bytes = frame.encode();
        self.buffer.extend(bytes);
        self.buffer_column.add(format!("{} bytes arrive", bytes.len()));
        true
    }

    /// `recv(most)` of one reader.
    fn receive(&mut self, most: usize) -> Vec<u8> {
        let bytes = self.buffer.drain(..most.min(self.buffer.len())).collect();
        self.buffer_column.add(match self.buffer.len() {
            0 => "[Empty]".into(),
            left => format!("{left} bytes left"),
        });
        bytes
    }

    /// Makes steps until none is possible any more: arrivals first, then the program. When there is nothing to do, the
    /// clock jumps to the next step.
    fn play(&mut self, program: &mut impl Program) -> Vec<Row> {
        let mut rows = Vec::new();
        loop {
            let step = if self.arrive() { Step::Row } else { program.step(self) };
            match step {
                Step::Row => {
                    let (main, owner, listener) = program.columns();
                    rows.push(Row {
                        strategy: program.strategy(),
                        time: format!("T{}", rows.len()),
                        at_ms: self.now.as_micros() / 1000,
                        main,
                        owner,
                        listener,
                        buffer: self.buffer_column.take(),
                    });
                    self.now = self.now + STEP;
                }
                Step::Quiet => self.now = self.now + STEP,
                Step::Nothing => {
                    let arrival = self.in_flight.front().map(|(at, _)| *at);
                    match arrival.into_iter().chain(program.due()).min() {
                        Some(due) => self.now = due.max(self.now),
                        None => return rows,
                    }
                }
            }
        }
    }
}

/// IMAGE_SIZE_GET, 0x3027: 12327.
fn query() -> Frame {
    Frame::command(CommandCode::CAMERA_IMAGE_SIZE_GET)
}

fn answer(query: &Frame) -> Frame {
    Frame { status: 1, int32_data: [2048, 2048, 0], ..Frame::new(query.code) }
}

fn push() -> Frame {
    Frame { status: 1, ..Frame::new(CommandCode::STAGE_MOTION_STOPPED).with_selector(1) }
}

/// The name of a code.
fn name(frame: &Frame) -> String {
    frame.code.name().map_or_else(|| frame.code.0.to_string(), Into::into)
}

/// Whether the listener has a handler for this frame: only for the end of a motion.
fn has_handler(frame: &Frame) -> bool {
    frame.code == CommandCode::STAGE_MOTION_STOPPED
}

/// The timeline as text, in the form of the analysis.
pub(super) fn text(replay: &Replay) -> String {
    let owned = replay.rows.iter().any(|row| row.owner.is_some());
    let listener = if owned { "Listener" } else { "CallbackListener Thread" };
    let mut header = vec!["Time", "Clock", "Main Thread"];
    header.extend(owned.then_some("Task That Owns the Socket"));
    header.extend([listener, "Socket Buffer"]);
    let rule = header.iter().map(|title| "=".repeat(title.len())).collect();
    let mut lines = vec![header.into_iter().map(Into::into).collect(), rule];
    lines.extend(replay.rows.iter().map(|row| {
        let clock = format!("{} ms", row.at_ms);
        let mut line = vec![row.time.clone(), clock, row.main.clone()];
        line.extend(row.owner.clone());
        line.extend([row.listener.clone(), row.buffer.clone()]);
        line
    }));
    let mut text = format!("{}\n\n", replay.title);
    for line in aligned(&lines) {
        let _ = writeln!(text, "{line}"); // a String takes everything
    }
    text.push_str("\nResult:\n");
    for line in &replay.result {
        let _ = writeln!(text, "- {line}");
    }
    text
}

/// Pads each column to its widest cell.
fn aligned(lines: &[Vec<String>]) -> Vec<String> {
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|at| lines.iter().filter_map(|line| line.get(at)).map(|c| c.chars().count()).max())
        .map(Option::unwrap_or_default)
        .collect();
    let padded = |line: &Vec<String>| {
        let cells = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}  "));
        cells.collect::<String>().trim_end().to_owned()
    };
    lines.iter().map(padded).collect()
}
