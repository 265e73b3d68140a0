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
use flamingo_runtime_std::Message;

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
    /// No answer yet.
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
    /// The connection ended within a frame, a payload or an image.
    Incomplete {
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

/// Builds rows, and returns them in the order in which they began.
#[derive(Default)]
pub(super) struct RowBuilder {
    waiting: VecDeque<Row>,
    /// The number of rows that were returned.
    returned: u64,
    conversations: HashMap<u64, Conversation>,
    /// The row of each open command, by connection and by number of the command.
    open: HashMap<(u64, u64), u64>,
}

impl RowBuilder {
    /// The next row, if it is complete.
    pub(super) fn next(&mut self) -> Option<Row> {
        let first = self.waiting.front()?;
        // Without the limit, a capture without times would keep every row.
        let is_open =
            matches!(first.content, RowContent::Command { outcome: CommandOutcome::Open, .. });
        if is_open && self.waiting.len() < MAX_WAITING {
            return None;
        }
        self.returned += 1;
        self.waiting.pop_front()
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
            EventKind::Hole { bytes } => {
                if from == Side::Instrument
                    && let Some(conversation) = self.conversations.get_mut(&who.number)
                {
                    conversation.bytes_missing();
                }
                RowContent::Missing { from, bytes }
            }
            EventKind::Rest { bytes } => RowContent::Incomplete { from, bytes: bytes.len() },
            EventKind::Finished => RowContent::Finished { from },
            EventKind::Reset => RowContent::Reset { from },
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

    /// Ends every connection at the end of the capture.
    pub(super) fn end(&mut self, at: Duration) {
        let all: Vec<u64> = self.conversations.keys().copied().collect();
        for connection in all {
            self.end_connection(connection, at);
        }
    }

    fn push(&mut self, who: ConnectionInfo, at: Duration, content: RowContent) {
        self.waiting.push_back(Row { who, at, content });
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

    fn resolve(&mut self, row: u64, new: CommandOutcome) {
        let Some(index) = row.checked_sub(self.returned) else { return };
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        if let Some(Row { content: RowContent::Command { outcome, .. }, .. }) =
            self.waiting.get_mut(index)
        {
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

impl RowContent {
    /// Whether a healthy peer does not send this.
    pub(super) fn is_error(&self) -> bool {
        matches!(self, Self::NoImage(_) | Self::Incomplete { .. })
    }
}
