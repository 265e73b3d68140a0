//! A command and its reply, and the small things that every subsystem makes frames with.

use std::sync::Arc;

use flamingo_protocol_core::{BUFFER_LEN, CommandCode, Duration, Frame};

use super::ConnectionId;

/// A command, and who sent it.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(super) from: ConnectionId,
    pub(super) request: u64,
    pub(super) frame: Frame,
}

/// The command changed into its answer.
pub(super) struct Reply {
    pub(super) frame: Frame,
    pub(super) payload: Arc<[u8]>,
    pub(super) latency: Option<Duration>,
}

impl Reply {
    /// An echo with a status. Only answers with data of their own have a payload.
    pub(super) fn status(ask: &Ask, status: i32) -> Self {
        let frame = Frame { status, payload_len: 0, ..ask.frame };
        Self { frame, payload: Arc::default(), latency: None }
    }

    pub(super) fn done(ask: &Ask) -> Self {
        Self::status(ask, 1)
    }

    pub(super) fn refused(ask: &Ask) -> Self {
        Self::status(ask, 0)
    }

    pub(super) fn done_if(ask: &Ask, done: bool) -> Self {
        Self::status(ask, i32::from(done))
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
    // It fits, and a NUL would leave the buffer as it was, which is as good.
    let _ = frame.set_text(fits);
    frame
}

pub(super) fn millis(ms: f64) -> Duration {
    seconds(ms / 1000.0)
}

#[allow(clippy::cast_possible_truncation)] // saturates, and the negative becomes 0
pub(super) fn seconds(seconds: f64) -> Duration {
    Duration::from_micros((seconds * 1e6) as u64)
}

pub(super) fn as_seconds(duration: Duration) -> f64 {
    std::time::Duration::from(duration).as_secs_f64()
}
