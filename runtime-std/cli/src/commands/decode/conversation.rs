//! Turns the contents of a capture into rows of a conversation. A command and its answer are one row,
//! which is complete when the answer has come or is no longer expected.
//!
//! The text of a row is in `text.rs`, its JSON in `json.rs`. The library assigns answers to commands.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use flamingo_protocol_core::{
    Frame,
    image::{ImageError, ImageHeader},
};
use flamingo_recording::Side;
use flamingo_recording::capture::{CaptureEvent, ConnectionInfo, EventKind};
use flamingo_recording::conversation::{Conversation, FrameClass, Unanswered};
use flamingo_runtime_std::{ClockStep, Message};

/// At most this many rows wait until an earlier row is complete.
const MAX_WAITING: usize = 10_000;

/// A frame, its payload and its time.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct TimedFrame {
    pub(super) at: Duration,
    pub(super) frame: Frame,
    pub(super) payload: Vec<u8>,
}

/// The outcome of a command.
#[derive(Debug, Clone, PartialEq)]
#[allow(clippy::large_enum_variant)] // nearly every one is an answer
pub(super) enum CommandOutcome {
    /// No answer before so many other rows that the command is shown without it.
    Open,
    /// The instrument never acknowledges it.
    NoneExpected,
    Answered {
        answer: TimedFrame,
        class: FrameClass,
    },
    /// No answer within `after`; it may still come late.
    Unanswered {
        after: Duration,
    },
    /// The recording ends `after` the command, before its answer is due.
    RecordingEnds {
        after: Duration,
    },
}

/// A row of the conversation.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub(super) who: ConnectionInfo,
    pub(super) at: Duration,
    pub(super) content: RowContent,
}

#[derive(Debug, Clone, PartialEq)]
#[allow(clippy::large_enum_variant)] // nearly every one holds a frame
pub(super) enum RowContent {
    Opened,
    Command {
        command: TimedFrame,
        outcome: CommandOutcome,
    },
    /// An event or a late answer.
    Other {
        frame: TimedFrame,
        class: FrameClass,
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
    /// Bytes that the capture lacks.
    Missing {
        from: Side,
        bytes: u64,
    },
    /// The connection, or the recording, ended within a frame, a payload or an image.
    Incomplete {
        from: Side,
        bytes: usize,
        recording_ends: bool,
    },
    Finished {
        from: Side,
    },
    Reset {
        from: Side,
    },
    /// The clock that gave the times was set. `noted`: by the recorder, whose times do not have the step.
    ClockStep {
        step: ClockStep,
        noted: bool,
    },
}

/// Builds rows, and returns them in the order in which they began, unless [`RowBuilder::release`] is
/// called.
#[derive(Default)]
pub(super) struct RowBuilder {
    /// `None` in the place of a row that was released.
    waiting: VecDeque<Option<Row>>,
    released: VecDeque<Row>,
    /// The number of places that were before `waiting`.
    returned: u64,
    /// The capture was read to its end.
    recording_ends: bool,
    conversations: HashMap<u64, Conversation>,
    /// The row of each open command, by connection and by number of the command.
    open: HashMap<(u64, u64), u64>,
}

impl RowBuilder {
    /// The next row, if it is complete.
    pub(super) fn next(&mut self) -> Option<Row> {
        while let Some(first) = self.released.pop_front().map(Some).or_else(|| self.pop()) {
            if first.is_some() {
                return first;
            }
        }
        None
    }

    /// The row in the first place, if it is complete.
    fn pop(&mut self) -> Option<Option<Row>> {
        let is_open = self.waiting.front()?.as_ref().is_some_and(Row::is_open);
        // Without the limit, a capture without times would keep every row.
        if is_open && self.waiting.len() < MAX_WAITING {
            return None;
        }
        self.returned += 1;
        self.waiting.pop_front()
    }

    /// Whether a complete row waits for the answer to an earlier command.
    pub(super) fn holds_back(&self) -> bool {
        self.waiting.iter().rev().flatten().any(|row| !row.is_open())
    }

    /// The rows that are complete wait no longer for the answers to earlier commands.
    pub(super) fn release(&mut self) {
        let complete = |place: &mut Option<Row>| place.take_if(|row| !row.is_open());
        self.released.extend(self.waiting.iter_mut().filter_map(complete));
    }

    /// The capture was read to its end. The events after that tell what does not end in it.
    pub(super) const fn recording_ends(&mut self) {
        self.recording_ends = true;
    }

    pub(super) fn take(&mut self, event: CaptureEvent) {
        let CaptureEvent { connection: who, at, from, kind } = event;
        self.mark_unanswered(at);
        let content = match kind {
            EventKind::Opened => RowContent::Opened,
            EventKind::Message { message, noise, .. } => {
                let Message { frame, payload } = message;
                if !noise.is_empty() {
                    self.push(who, at, RowContent::Noise { from, bytes: noise.len() });
                }
                self.frame(who, from, TimedFrame { at, frame, payload });
                return;
            }
            EventKind::Image { header, pixels, checksum } => {
                RowContent::Image { header, checksum, pixels: pixels.is_some() }
            }
            EventKind::NoImage(error) => RowContent::NoImage(error),
            EventKind::Noise { bytes } => RowContent::Noise { from, bytes: bytes.len() },
            EventKind::Hole { bytes } => RowContent::Missing { from, bytes },
            EventKind::Rest { bytes } => RowContent::Incomplete {
                from,
                bytes: bytes.len(),
                recording_ends: self.recording_ends,
            },
            EventKind::Finished => RowContent::Finished { from },
            EventKind::Reset => RowContent::Reset { from },
            EventKind::ClockStep { step, noted } => RowContent::ClockStep { step, noted },
            // The kinds above are all that the library knows now.
            _ => return,
        };
        let ends = match content {
            RowContent::Finished { from } => from == Side::Instrument,
            RowContent::Reset { .. } => true,
            _ => false,
        };
        if ends {
            self.end_connection(who.number, at);
        }
        self.push(who, at, content);
    }

    /// Whether the capture contained nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.returned == 0 && self.waiting.is_empty()
    }

    /// The capture ends at that time. Commands whose answer is not due yet have neither an answer nor none.
    pub(super) fn end(&mut self, at: Duration) {
        self.mark_unanswered(at);
        let open: Vec<u64> = self.open.drain().map(|(_, row)| row).collect();
        for row in open {
            if let Some(Row { at: sent, .. }) = self.row(row) {
                let after = at.saturating_sub(*sent);
                self.resolve(row, CommandOutcome::RecordingEnds { after });
            }
        }
        self.conversations.clear();
    }

    fn push(&mut self, who: ConnectionInfo, at: Duration, content: RowContent) {
        self.waiting.push_back(Some(Row { who, at, content }));
    }

    fn frame(&mut self, who: ConnectionInfo, from: Side, timed: TimedFrame) {
        let at = timed.at;
        let conversation = self.conversations.entry(who.number).or_default();
        if from == Side::Client {
            let number = conversation.client_sent(at, &timed.frame);
            let outcome =
                if number.is_some() { CommandOutcome::Open } else { CommandOutcome::NoneExpected };
            if let Some(number) = number {
                self.open.insert((who.number, number), self.returned + self.waiting.len() as u64);
            }
            self.push(who, at, RowContent::Command { command: timed, outcome });
            return;
        }
        let class = conversation.instrument_sent(at, &timed.frame);
        let row = class.answers().and_then(|(to, _)| self.open.remove(&(who.number, to)));
        let row = row.filter(|row| *row >= self.returned);
        match row {
            Some(row) => self.resolve(row, CommandOutcome::Answered { answer: timed, class }),
            None => self.push(who, at, RowContent::Other { frame: timed, class }),
        }
    }

    fn row(&mut self, row: u64) -> Option<&mut Row> {
        let index = usize::try_from(row.checked_sub(self.returned)?).ok()?;
        self.waiting.get_mut(index)?.as_mut()
    }

    fn resolve(&mut self, row: u64, new: CommandOutcome) {
        if let Some(Row { content: RowContent::Command { outcome, .. }, .. }) = self.row(row) {
            *outcome = new;
        }
    }

    fn mark_unanswered(&mut self, now: Duration) {
        let mut unanswered = Vec::new();
        for (connection, conversation) in &mut self.conversations {
            let expired = std::iter::from_fn(|| conversation.next_unanswered(now));
            unanswered.extend(expired.map(|request| (*connection, request)));
        }
        for (connection, Unanswered { to, after }) in unanswered {
            if let Some(row) = self.open.remove(&(connection, to)) {
                self.resolve(row, CommandOutcome::Unanswered { after });
            }
        }
    }

    fn end_connection(&mut self, connection: u64, at: Duration) {
        if let Some(conversation) = self.conversations.get_mut(&connection) {
            conversation.end(at);
        }
        self.mark_unanswered(at);
        self.conversations.remove(&connection);
    }
}

impl Row {
    /// Whether the row waits for an answer.
    const fn is_open(&self) -> bool {
        matches!(self.content, RowContent::Command { outcome: CommandOutcome::Open, .. })
    }
}

impl RowContent {
    /// Whether a healthy peer does not send this.
    pub(super) fn is_error(&self) -> bool {
        matches!(self, Self::NoImage(_) | Self::Incomplete { .. })
    }
}
