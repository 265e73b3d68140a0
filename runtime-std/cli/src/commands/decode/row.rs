//! A row of the conversation in a capture: what `flamingo decode` shows in one line.
//!
//! `conversation.rs` builds rows. The text of a row is in `text.rs`, its JSON in `json.rs`.

use std::time::Duration;

use flamingo_protocol_core::{
    Frame,
    image::{ImageError, ImageHeader},
};
use flamingo_recording::Side;
use flamingo_recording::capture::ConnectionInfo;
use flamingo_recording::conversation::FrameClass;
use flamingo_runtime_std::ClockStep;

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
    /// It is shown before its answer, since so many rows or so much time have come in between.
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
        /// The recording lacks bytes of the instrument after the command.
        maybe_lost: bool,
    },
    /// The connection ends `after` the command, before its answer.
    ConnectionEnds {
        after: Duration,
    },
    /// The recording ends `after` the command, before its answer is due.
    RecordingEnds {
        after: Duration,
    },
}

/// What ends a message or an image before it is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    Connection,
    Recording,
    /// The bytes after it are not in the recording.
    Hole,
}

/// What the recorder has noted about the end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) text: String,
    /// The program that recorded has ended the connection.
    pub(super) by_recorder: bool,
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
        /// Nobody knows how long the outcome took: the clock was set after the command.
        clock_set: bool,
        /// An earlier row has shown the command as open.
        again: bool,
    },
    /// An event or a late answer.
    Other {
        frame: TimedFrame,
        class: FrameClass,
        /// Nobody knows how long after its command it came: the clock was set in between.
        clock_set: bool,
        /// It may answer a command that the recording lacks.
        maybe_asked: bool,
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
        /// The recording lacks the bytes before them, so they may be the end of a frame.
        maybe_frame: bool,
    },
    /// Bytes that the capture lacks.
    Missing {
        from: Side,
        bytes: u64,
    },
    /// A part of a frame, a payload or an image.
    Incomplete {
        from: Side,
        bytes: usize,
        cut: Cut,
    },
    Finished {
        from: Side,
        note: Option<Note>,
    },
    Reset {
        from: Side,
        note: Option<Note>,
    },
    /// The clock that gave the times was set. `noted`: by the recorder, whose times do not have the step.
    ClockStep {
        step: ClockStep,
        noted: bool,
    },
}

impl Row {
    /// Whether the row waits for an answer.
    pub(super) const fn is_open(&self) -> bool {
        matches!(self.content, RowContent::Command { outcome: CommandOutcome::Open, .. })
    }
}

impl RowContent {
    /// Whether a healthy peer does not send this.
    pub(super) fn is_error(&self) -> bool {
        matches!(self, Self::NoImage(_) | Self::Incomplete { .. })
    }
}
