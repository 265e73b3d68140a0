//! `flamingo race --replay-example`: the analysis's timeline T0–T6, for two readers on one socket
//! and for this project's core, played on a virtual clock and printed as the analysis prints it.
//!
//! Here are the world they play in (an instrument, the way to it, a socket buffer of real bytes),
//! the rule by which rows come about, and their form as text and JSON. The programs are in
//! `replay/two_readers.rs` and `replay/core.rs`. Nothing here touches a socket or a real clock.

mod core;
#[cfg(test)]
mod tests;
mod two_readers;

use std::collections::VecDeque;
use std::fmt::Write;

use flamingo_protocol_core::{
    Assembler, CommandCode, Duration, Frame, Instant, MAX_PAYLOAD, Piece,
};
use serde::Serialize;

/// How long each thing takes that happens: no two happen at once.
const STEP: Duration = Duration::from_millis(1);
/// When the user clicks "Get Image Size".
const CLICK: Instant = Instant::from_micros(2_000);
/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_millis(3_000);
/// What a thread does of which nothing new is to be said.
const STILL_BLOCKED: &str = "[Still blocked...]";

/// What the instrument sends after a query has come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sent {
    /// The answer to it.
    Answer,
    /// STAGE_MOTION_STOPPED, which nobody has asked for.
    Push,
}

/// A row of the timeline: what each side has done since the row above, at the end of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Row {
    strategy: &'static str,
    /// `T0`, `T1` …
    time: String,
    /// The virtual clock.
    at_ms: u64,
    main: String,
    /// The one task that owns the socket, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
    listener: String,
    buffer: String,
}

/// A timeline and what became of it. Its JSON is the end of it: each row is an object of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Replay {
    strategy: &'static str,
    #[serde(skip)]
    title: &'static str,
    #[serde(skip)]
    pub(super) rows: Vec<Row>,
    result: Vec<String>,
}

/// The two timelines: the analysis's own, and the same query through the core, with a push of the
/// instrument between the query and its answer on top.
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
    /// What is shown if that is nothing.
    rest: &'static str,
}

impl Column {
    fn say(&mut self, text: impl Into<String>) {
        self.fresh.push(text.into());
    }

    /// Says that it waits, which needs no saying again.
    fn block(&mut self, text: &str) {
        // What it did just before is more worth telling.
        if self.fresh.is_empty() {
            self.say(text);
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

/// What one happening means for the timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// A row.
    Row,
    /// It stands in the next row: what a thread logs changes nothing for anybody else.
    Quiet,
    /// Nobody can do anything now.
    Nothing,
}

/// One side's program: its threads, or tasks, as state machines.
trait Program {
    /// Its name in the race.
    fn strategy(&self) -> &'static str;

    /// Does the next thing that can be done now, if there is one.
    fn step(&mut self, world: &mut World) -> Step;

    /// When it wants to do something although nothing comes in.
    fn due(&self) -> Option<Instant>;

    /// What the main thread, the owner of the socket and the listener have done.
    fn columns(&mut self) -> (String, Option<String>, String);
}

/// Everything outside of the program.
#[derive(Debug)]
struct World {
    now: Instant,
    /// What the instrument does after each query.
    script: Vec<(Duration, Sent)>,
    instrument: Assembler,
    /// On its way to the program, in the order of its arrival.
    in_flight: VecDeque<(Instant, Frame)>,
    /// What has come and was not read.
    buffer: VecDeque<u8>,
    buffer_column: Column,
}

impl World {
    fn new(script: &[(Duration, Sent)]) -> Self {
        let mut buffer_column = Column::default();
        buffer_column.say("[Empty]");
        Self {
            now: Instant::default(),
            script: script.to_vec(),
            instrument: Assembler::new(MAX_PAYLOAD),
            in_flight: VecDeque::new(),
            buffer: VecDeque::new(),
            buffer_column,
        }
    }

    /// `sendall`: the instrument has it at once, and does what its script says.
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

    /// The next frame comes into the buffer, if it is time.
    fn arrive(&mut self) -> bool {
        if self.in_flight.front().is_none_or(|(at, _)| self.now < *at) {
            return false;
        }
        let Some((_, frame)) = self.in_flight.pop_front() else {
            return false;
        };
        let bytes = frame.encode();
        self.buffer.extend(bytes);
        self.buffer_column.say(format!("{} bytes arrive", bytes.len()));
        true
    }

    /// `recv(most)` of a reader whose turn it is.
    fn receive(&mut self, most: usize) -> Vec<u8> {
        let bytes = self.buffer.drain(..most.min(self.buffer.len())).collect();
        self.buffer_column.say(match self.buffer.len() {
            0 => "[Empty]".into(),
            left => format!("{left} bytes left"),
        });
        bytes
    }

    /// Lets things happen one after the other until nothing can happen any more: what has arrived
    /// comes first, then the program; the clock jumps to the next moment at which there is
    /// something to do.
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

/// A code as programs write it.
fn name(frame: &Frame) -> String {
    frame.code.name().map_or_else(|| frame.code.0.to_string(), Into::into)
}

/// The answers that the listener has handlers for: none. It handles the end of a motion.
fn has_handler(frame: &Frame) -> bool {
    frame.code == CommandCode::STAGE_MOTION_STOPPED
}

/// The timeline as the analysis prints it.
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

/// Each column as wide as its widest cell.
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
