//! What a subscriber receives. How it gets there is `event_batch.rs` and `fanout.rs`; what is an event
//! is decided in `driver/engine.rs`.

use std::sync::Arc;
use std::time::SystemTime;

use flamingo_protocol_core::{Class, Frame};

use crate::payload::Payload;

/// What a subscriber receives. A clone shares the frame and its payload.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// A frame that is not the proven answer to a request. All subscribers share it.
    Frame(Arc<EventFrame>),
    /// This many events were lost since the last one that was received, because the subscriber was
    /// too slow.
    Lagged(u64),
    /// The peer no longer answers harmless queries.
    Unresponsive,
    /// The peer answers harmless queries again.
    Responsive,
    /// The connection is lost; every request in flight has ended.
    ConnectionLost,
    /// There is a new connection.
    Reconnected,
    /// This client sends a command that starts or stops a motion. These events come in the order in
    /// which the commands take effect, and before any frame that they cause. Only a subscription
    /// that names the code of the command receives them.
    Commanded {
        /// The command.
        frame: Arc<Frame>,
        /// The number of the call that sends it.
        call: CallId,
    },
}

/// Identifies a call of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct CallId(pub(crate) u64);

/// A frame that is not the proven answer to a request: unsolicited, late, ambiguous, or a presumed
/// answer (which its request receives too).
#[derive(Debug, Clone)]
pub struct EventFrame {
    /// The frame.
    pub frame: Frame,
    /// Its payload, whole.
    pub payload: Payload,
    /// How the frame was classified.
    pub class: Class,
    /// When the frame arrived, by this host's calendar.
    pub at: SystemTime,
    /// Bytes that were skipped as noise before it.
    pub skipped: u32,
}

impl Event {
    pub(crate) fn payload_len(&self) -> usize {
        if let Self::Frame(event) = self { event.payload.len() } else { 0 }
    }
}
