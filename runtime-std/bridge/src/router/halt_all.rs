//! STAGE_HALT with the selector 255, for all axes, or with a number that is no axis. Whether the
//! instrument obeys it is not known, so the bridge sends it a HALT for each axis (`stops.rs`), and
//! answers the client once, when each of them has an outcome.

use std::collections::BTreeMap;

use flamingo_protocol_core::Frame;

use super::{ClientId, Router};

/// Why an axis may not have been halted, although its HALT was sent.
pub(super) const SENT_NOT_ANSWERED: &str = "HALT was sent, but not answered";

/// A HALT of all axes whose client waits for the answer.
#[derive(Debug)]
struct OpenHalt {
    client: ClientId,
    frame: Frame,
    /// The axes without an outcome.
    open: usize,
    /// The lowest status of the answers: the answer to the client claims no more than each of them.
    status: i32,
    /// The axes that may not have been halted.
    failed: Vec<i32>,
    /// Why the first of them failed.
    reason: String,
}

/// The HALTs of all axes whose clients wait for the answer, by number.
#[derive(Debug, Default)]
pub(super) struct OpenHalts {
    halts: BTreeMap<u64, OpenHalt>,
    last_number: u64,
}

impl OpenHalts {
    /// The number of a HALT that was split into this many.
    pub(super) fn begin(&mut self, client: ClientId, frame: Frame, open: usize) -> u64 {
        self.last_number += 1;
        let (failed, reason) = (Vec::new(), String::new());
        let halt = OpenHalt { client, frame, open, status: i32::MAX, failed, reason };
        self.halts.insert(self.last_number, halt);
        self.last_number
    }

    /// Takes note of the outcome of one axis. Returns the whole once each axis has an outcome.
    fn axis_ended(&mut self, number: u64, note: impl FnOnce(&mut OpenHalt)) -> Option<OpenHalt> {
        let halt = self.halts.get_mut(&number)?;
        note(halt);
        halt.open = halt.open.saturating_sub(1);
        if halt.open > 0 {
            return None;
        }
        self.halts.remove(&number)
    }

    /// The client has left.
    pub(super) fn forget(&mut self, client: ClientId) {
        self.halts.retain(|_, halt| halt.client != client);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.halts.len()
    }
}

impl Router {
    /// The instrument has answered the HALT of one axis. Returns the answer to the client once all
    /// are acknowledged.
    pub(super) fn axis_halted(&mut self, number: u64, answer: &Frame) -> Option<Frame> {
        let note = |halt: &mut OpenHalt| halt.status = halt.status.min(answer.status);
        let halt = self.open_halts.axis_ended(number, note)?;
        if !halt.failed.is_empty() {
            self.report_failed_axes(&halt);
            return None;
        }
        let OpenHalt { frame, status, .. } = halt;
        let (client_id, hardware_id) = (frame.client_id, frame.hardware_id);
        Some(Frame { client_id, hardware_id, int32_data: frame.int32_data, status, ..*answer })
    }

    /// The HALT of one axis was not sent, or is not answered.
    pub(super) fn axis_not_halted(&mut self, number: u64, axis: i32, reason: &str) {
        let ended = self.open_halts.axis_ended(number, |halt| {
            if halt.failed.is_empty() {
                reason.clone_into(&mut halt.reason);
            }
            halt.failed.push(axis);
        });
        if let Some(halt) = ended {
            self.report_failed_axes(&halt);
        }
    }

    fn report_failed_axes(&mut self, halt: &OpenHalt) {
        if let Some(client) = self.clients.get_mut(&halt.client) {
            client.counters.refused += 1;
        }
        let mut failed = halt.failed.clone();
        failed.sort_unstable();
        let numbers: Vec<_> = failed.iter().map(i32::to_string).collect();
        let axes = match numbers.as_slice() {
            [axis] => format!("axis {axis}"),
            [_, _, _, _] => "all axes".to_owned(),
            axes => format!("axes {}", axes.join(" ")),
        };
        self.answer_failure(halt.client, &halt.frame, &format!("{axes}: {}", halt.reason));
    }
}
