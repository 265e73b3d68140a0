//! Stops go before every other command, and cancel the commands that must not run after them: HALT and
//! laser-off, which any client may send, and the stops of a workflow and of live images, for which a
//! client needs permission (`permissions.rs`).

use flamingo_protocol_core::{
    CommandCode, Frame, connection::is_cancelled_by, error::CommandError, time::Instant,
};

use super::client::Command;
use super::permissions::expects_answer;
use super::{ClientId, Router};

impl Router {
    /// Sends a stop at once, before everything else. It cancels commands of all clients that must not
    /// run after it. `id`: `None` if the bridge itself stops. `arrived`: when the stop was requested.
    pub(super) fn send_stop(
        &mut self,
        now: Instant,
        id: Option<ClientId>,
        stop: &Frame,
        arrived: Instant,
    ) {
        self.cancel_waiting(stop);
        if self.core.is_none() {
            return self.refuse_stop(now, id, stop, "the instrument is not connected");
        }
        // Many equal stops of one client must not occupy the room of another's.
        if id.is_some_and(|id| self.joins_equal_stop(now, id, stop)) {
            return;
        }
        let Some(core) = self.core.as_mut() else { return };
        let mut asks = expects_answer(stop);
        let mut ticket = if asks {
            core.request(now, stop, now + self.options.request_timeout)
        } else {
            core.send(now, stop)
        };
        if asks && matches!(ticket, Err(CommandError::Full { .. })) {
            // The stop is sent as long as there is room to send it, even if its answer cannot be
            // recognised.
            (ticket, asks) = (core.send(now, stop), false);
        }
        match ticket {
            Ok(ticket) => {
                let recipients = id.map(|id| (id, stop.client_id)).into_iter().collect();
                let command = Command { frame: *stop, payload: [].into(), arrived };
                self.remember_forwarded(ticket, recipients, command, asks);
            }
            Err(error) => self.refuse_stop(now, id, stop, &error.to_string()),
        }
        self.take_events(now, None);
    }

    fn refuse_stop(&mut self, now: Instant, id: Option<ClientId>, stop: &Frame, reason: &str) {
        match id {
            Some(id) => self.refuse(now, id, stop, reason),
            None => self.log(format!("a stop failed: {reason}")),
        }
    }

    /// Cancels the waiting commands that must not run after this stop.
    fn cancel_waiting(&mut self, stop: &Frame) {
        let mut cancelled = Vec::new();
        for (id, client) in &mut self.clients {
            client.waiting.retain(|command| {
                let cancels = is_cancelled_by(&command.frame, stop);
                if cancels {
                    cancelled.push((*id, command.frame));
                }
                !cancels
            });
        }
        for (id, frame) in cancelled {
            self.report_superseded(id, &frame);
        }
    }

    /// Tells a client that a stop cancelled its command.
    pub(super) fn report_superseded(&mut self, id: ClientId, frame: &Frame) {
        if let Some(client) = self.clients.get_mut(&id) {
            client.counters.superseded += 1;
        }
        self.answer_failure(id, frame, "cancelled by a stop before it was sent");
    }

    /// Whether an equal stop is about to be written, which then stops for both clients. It does not
    /// if a command was queued in between that must not run after the second stop.
    fn joins_equal_stop(&mut self, now: Instant, id: ClientId, stop: &Frame) -> bool {
        let mut open =
            self.forwarded.values().filter(|forwarded| !forwarded.written && !forwarded.ended);
        let cancels_more = open.any(|forwarded| is_cancelled_by(&forwarded.command.frame, stop));
        !cancels_more && self.join_equal_command(now, id, stop).is_some()
    }

    /// The dead man's switch: halts all axes and switches all lasers off.
    pub(super) fn stop_everything(&mut self, now: Instant, holder: &str) {
        self.log(format!("{holder} held the lease and is lost: the bridge stops everything"));
        let halts = (1..=4).map(|axis| Frame::command(CommandCode::STAGE_HALT).with_selector(axis));
        let lasers_off = Frame::command(CommandCode::LASER_DISABLE_ALL);
        for stop in halts.chain([lasers_off]) {
            self.send_stop(now, None, &stop, now);
        }
    }
}
