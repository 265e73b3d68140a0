//! A command, its reply, and helpers that make frames and durations for every subsystem.

use std::sync::Arc;

use flamingo_protocol_core::{CommandCode, Frame, time::Duration, wire::BUFFER_LEN};

use super::ConnectionId;

/// A command and its sender.
#[derive(Debug, Clone)]
pub(crate) struct Command {
    pub(super) from: ConnectionId,
    pub(super) number: u64,
    pub(super) frame: Frame,
}

/// The answer to a command, before its latency and its faults.
pub(super) struct Reply {
    pub(super) frame: Frame,
    pub(super) payload: Arc<[u8]>,
    pub(super) latency: Option<Duration>,
}

impl Reply {
    /// An echo of the command with a status and without payload.
    pub(super) fn status(command: &Command, status: i32) -> Self {
        let frame = Frame { status, payload_len: 0, ..command.frame };
        Self { frame, payload: Arc::default(), latency: None }
    }

    pub(super) fn done(command: &Command) -> Self {
        Self::status(command, 1)
    }

    pub(super) fn refused(command: &Command) -> Self {
        Self::status(command, 0)
    }

    pub(super) fn done_if(command: &Command, done: bool) -> Self {
        Self::status(command, i32::from(done))
    }

    pub(super) fn with_payload(mut self, payload: impl Into<Arc<[u8]>>) -> Self {
        self.payload = payload.into();
        self
    }
}

/// A frame that announces the system's state.
pub(super) fn state_frame(state: CommandCode) -> Frame {
    Frame { status: 1, ..Frame::new(state) }
}

/// A frame with text in its buffer, cut to what fits.
pub(super) fn with_text(mut frame: Frame, text: &str) -> Frame {
    let end = (0..=text.len().min(BUFFER_LEN)).rev().find(|end| text.is_char_boundary(*end));
    let fits = end.and_then(|end| text.get(..end)).unwrap_or("");
    // A text with a NUL is an error, and the buffer does not change.
    let _ = frame.set_text(fits);
    frame
}

pub(crate) fn millis(ms: f64) -> Duration {
    seconds(ms / 1000.0)
}

#[allow(clippy::cast_possible_truncation)] // saturates, and the negative becomes 0
pub(super) fn seconds(seconds: f64) -> Duration {
    Duration::from_micros((seconds * 1e6) as u64)
}

pub(super) fn as_seconds(duration: Duration) -> f64 {
    std::time::Duration::from(duration).as_secs_f64()
}
