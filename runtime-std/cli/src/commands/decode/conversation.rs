//! What happened in a capture → rows of a conversation: a command and its answer are one, and a
//! row is complete when its answer has come or is not awaited any more. How rows look is
//! `capture.rs`; which answer belongs to which command is the library's.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use flamingo_protocol_core::{Frame, ImageError, ImageHeader};
use flamingo_recording::Side;
use flamingo_recording::capture::{Happening, Said, Who};
use flamingo_recording::conversation::{Conversation, Unanswered, FrameClass};

/// Rows that may wait for the answer to one before them.
const MOST_WAITING: usize = 10_000;

/// A frame with its payload.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Spoken {
    pub(super) at: Duration,
    pub(super) frame: Frame,
    pub(super) payload: Vec<u8>,
}

/// What became of a command.
#[derive(Debug, Clone, PartialEq)]
#[allow(clippy::large_enum_variant)] // nearly every one is an answer
pub(super) enum Outcome {
    /// Nothing yet.
    Open,
    /// It is never acknowledged.
    NotAwaited,
    Answered {
        answer: Spoken,
        verdict: FrameClass,
    },
    /// No answer for so long; it may still come late.
    Silent {
        after: Duration,
    },
}

/// A line of the conversation.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub(super) who: Who,
    pub(super) at: Duration,
    pub(super) what: Line,
}

#[derive(Debug, Clone, PartialEq)]
#[allow(clippy::large_enum_variant)] // nearly every one holds a frame
pub(super) enum Line {
    Opened,
    Command {
        command: Spoken,
        outcome: Outcome,
    },
    /// What nobody asked for, and answers that came late.
    Other {
        frame: Spoken,
        verdict: FrameClass,
    },
    Image {
        header: ImageHeader,
        checksum: Option<u32>,
        pixels: bool,
    },
    NoImage(ImageError),
    /// Bytes that belong to no frame.
    Noise {
        from: Side,
        bytes: usize,
    },
    /// Bytes that are not in the capture.
    Hole {
        from: Side,
        bytes: u64,
    },
    /// The connection ended in the middle of something.
    Rest {
        from: Side,
        bytes: usize,
    },
    Finished {
        from: Side,
    },
    Reset {
        from: Side,
    },
}

/// Takes what happened, gives rows in the order in which they began.
#[derive(Default)]
pub(super) struct Rows {
    waiting: VecDeque<Row>,
    /// How many rows were given.
    given: u64,
    conversations: HashMap<u64, Conversation>,
    /// The row of each command that is open: by connection and number.
    open: HashMap<(u64, u64), u64>,
}

impl Rows {
    /// The next row that is complete.
    pub(super) fn next(&mut self) -> Option<Row> {
        let first = self.waiting.front()?;
        // In a capture without times nothing ever turns out to be silent.
        let is_open = matches!(first.what, Line::Command { outcome: Outcome::Open, .. });
        if is_open && self.waiting.len() < MOST_WAITING {
            return None;
        }
        self.given += 1;
        self.waiting.pop_front()
    }

    pub(super) fn take(&mut self, happening: Happening) {
        let Happening { who, at, from, said } = happening;
        self.silences(at);
        let what = match said {
            Said::Opened => Line::Opened,
            Said::Frame { frame, payload, noise, .. } => {
                if !noise.is_empty() {
                    self.push(who, at, Line::Noise { from, bytes: noise.len() });
                }
                self.frame(who, from, Spoken { at, frame, payload });
                return;
            }
            Said::Image { header, pixels, checksum } => {
                Line::Image { header, checksum, pixels: pixels.is_some() }
            }
            Said::NoImage(error) => Line::NoImage(error),
            Said::Noise { bytes } => Line::Noise { from, bytes: bytes.len() },
            Said::Hole { bytes } => Line::Hole { from, bytes },
            Said::Rest { bytes } => Line::Rest { from, bytes: bytes.len() },
            Said::Finished => Line::Finished { from },
            Said::Reset => Line::Reset { from },
        };
        let ends = match what {
            Line::Finished { from } => from == Side::Instrument,
            Line::Reset { .. } => true,
            _ => false,
        };
        if ends {
            self.end_one(who.number, at);
        }
        self.push(who, at, what);
    }

    /// Whether nothing ever happened.
    pub(super) fn is_untouched(&self) -> bool {
        self.given == 0 && self.waiting.is_empty()
    }

    /// The capture is over.
    pub(super) fn end(&mut self, at: Duration) {
        let all: Vec<u64> = self.conversations.keys().copied().collect();
        for connection in all {
            self.end_one(connection, at);
        }
    }

    fn push(&mut self, who: Who, at: Duration, what: Line) {
        self.waiting.push_back(Row { who, at, what });
    }

    fn frame(&mut self, who: Who, from: Side, spoken: Spoken) {
        let at = spoken.at;
        let conversation = self.conversations.entry(who.number).or_default();
        if from == Side::Client {
            let number = conversation.client_sent(at, &spoken.frame);
            let outcome = if number.is_some() { Outcome::Open } else { Outcome::NotAwaited };
            if let Some(number) = number {
                self.open.insert((who.number, number), self.given + self.waiting.len() as u64);
            }
            self.push(who, at, Line::Command { command: spoken, outcome });
            return;
        }
        let verdict = conversation.instrument_sent(at, &spoken.frame);
        let row = verdict.answers().and_then(|(to, _)| self.open.remove(&(who.number, to)));
        let row = row.filter(|row| *row >= self.given);
        match row {
            Some(row) => self.resolve(row, Outcome::Answered { answer: spoken, verdict }),
            None => self.push(who, at, Line::Other { frame: spoken, verdict }),
        }
    }

    fn resolve(&mut self, row: u64, becomes: Outcome) {
        let Some(index) = row.checked_sub(self.given) else { return };
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        if let Some(Row { what: Line::Command { outcome, .. }, .. }) = self.waiting.get_mut(index) {
            *outcome = becomes;
        }
    }

    fn silences(&mut self, now: Duration) {
        let mut silences = Vec::new();
        for (connection, conversation) in &mut self.conversations {
            let silent = std::iter::from_fn(|| conversation.next_unanswered(now));
            silences.extend(silent.map(|silence| (*connection, silence)));
        }
        for (connection, Unanswered { to, after }) in silences {
            if let Some(row) = self.open.remove(&(connection, to)) {
                self.resolve(row, Outcome::Silent { after });
            }
        }
    }

    fn end_one(&mut self, connection: u64, at: Duration) {
        if let Some(conversation) = self.conversations.get_mut(&connection) {
            conversation.end(at);
        }
        self.silences(at);
        self.conversations.remove(&connection);
    }
}

impl Line {
    /// Whether it is something that a healthy peer does not send.
    pub(super) fn is_flaw(&self) -> bool {
        matches!(self, Self::NoImage(_) | Self::Rest { .. })
    }
}
