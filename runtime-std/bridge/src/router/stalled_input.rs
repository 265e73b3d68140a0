//! Input of the instrument that begins and does not go on: a payload, or half a frame.
//!
//! While a payload is incomplete, everything that comes is a part of it, and no client receives an
//! answer. So the connection is given up if the payload does not make progress. Half a frame hides
//! nothing: the next frame is found in any case. So it is dropped as noise, since a stray byte that
//! looks like the beginning of a frame must not cost the connection.

use flamingo_protocol_core::time::Instant;

use super::{Router, RouterAction};

/// So many bytes of a payload, or its rest, must come within the time limit for an answer.
const LEAST_PROGRESS: usize = 1 << 20;

/// How far an incomplete payload or frame has come.
#[derive(Debug, Clone, Copy)]
pub(super) struct InputProgress {
    since: Instant,
    /// The bytes of the payload that had come by then.
    received: usize,
}

impl Router {
    /// Remembers how far the input has come. `frame_came`: the last bytes completed a frame.
    pub(super) fn note_input(&mut self, now: Instant, frame_came: bool) {
        let received = self.incoming.partial().map(|message| message.payload.len());
        let held = self.core.as_ref().map_or(0, |core| core.held());
        let begun = received.is_some() || held > 0;
        let same = self.input.filter(|before| {
            let too_little = |bytes| bytes < before.received + LEAST_PROGRESS;
            !frame_came && received.is_some_and(too_little)
        });
        let latest = InputProgress { since: now, received: received.unwrap_or(0) };
        self.input = begun.then(|| same.unwrap_or(latest));
    }

    /// When [`Self::end_stalled_input`] is due.
    pub(super) fn input_due(&self) -> Option<Instant> {
        self.input.map(|input| input.since + self.options.request_timeout)
    }

    pub(super) fn end_stalled_input(&mut self, now: Instant) {
        if self.input_due().is_none_or(|due| now < due) {
            return;
        }
        self.input = None;
        if self.incoming.partial().is_some() {
            let reason = "a payload of the instrument did not arrive within request_timeout_ms";
            self.actions.push_back(RouterAction::Reconnect(reason));
        } else if let Some(core) = self.core.as_mut() {
            let (bytes, _) = core.abandon_input(now);
            self.log(format!("{bytes} bytes of half a frame of the instrument are dropped"));
        }
    }
}
