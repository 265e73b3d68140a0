//! Stops in the payload of a stop. The length that a stop declares may be wrong: then the next stops of
//! its client would be taken for its payload, and an axis would not halt. So stops are found there too.
//! No other command is.

use flamingo_protocol_core::{Frame, Incoming, Responder, wire::FRAME_LEN};

use super::permissions::is_emergency;

/// Looks for stops in the payload of a stop.
#[derive(Debug)]
pub(super) struct HiddenStops {
    input: Responder<1>,
    /// The bytes in which a frame may end that begins in the payload.
    left: usize,
    found: Vec<Frame>,
}

impl HiddenStops {
    /// In the payload of this stop. `found`: what was found in the payload of an earlier one.
    pub(super) fn behind(stop: &Frame, found: Vec<Frame>) -> Self {
        let left = (stop.payload_len as usize).saturating_add(FRAME_LEN - 1);
        Self { input: Responder::new(u32::MAX), left, found }
    }

    /// Takes the next bytes of the client.
    pub(super) fn look(&mut self, bytes: &[u8]) {
        let mut rest = bytes.get(..self.left).unwrap_or(bytes);
        self.left -= rest.len();
        while !rest.is_empty() {
            let (consumed, found) = self.input.handle_input(rest);
            rest = rest.get(consumed..).unwrap_or(&[]);
            if let Some(Incoming::Command { frame, .. }) = found {
                // What follows may be the next stop, whatever the frame declares.
                self.input.abandon_input();
                self.found.extend(is_emergency(&frame).then_some(frame));
            }
        }
    }

    /// Takes the stops that were found.
    pub(super) fn take(&mut self) -> Vec<Frame> {
        std::mem::take(&mut self.found)
    }

    /// Whether no more can be found.
    pub(super) fn is_over(&self) -> bool {
        self.left == 0
    }
}
