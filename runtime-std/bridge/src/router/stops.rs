//! Stops go before every other command, and cancel the commands that must not run after them: HALT and
//! laser-off, which any client may send, and the stops of a workflow and of live images, for which a
//! client needs permission (`permissions.rs`).

use flamingo_protocol_core::{
    CommandCode, Frame,
    connection::is_cancelled_by,
    error::CommandError,
    time::{Duration, Instant},
};

use super::client::Command;
use super::client_quota::TOO_MANY_WAITING;
use super::halt_all::{SENT_NOT_ANSWERED, halts_all_axes};
use super::permissions::{expects_answer, is_stop};
use super::{ClientId, ForwardedCommand, MAX_FORWARDED, Recipient, Router, RouterAction};

/// How long a stop may wait for a connection to the instrument. A later stop would stop something else.
const STOP_VALID_FOR: Duration = Duration::from_millis(10_000);

/// When the client of such a stop is told that it still waits. `flamingo` waits 3 s for an
/// answer.
const TOLD_AFTER: Duration = Duration::from_millis(2_000);

/// How many different stops may wait for a connection.
const MAX_UNSENT: usize = 64;

/// A stop that waits for a connection to the instrument.
#[derive(Debug)]
pub(super) struct UnsentStop {
    arrived: Instant,
    frame: Frame,
    /// The clients that sent it. Empty for a stop of the bridge itself.
    recipients: Vec<Recipient>,
    /// These clients wait for its answer.
    is_awaited: bool,
}

impl UnsentStop {
    /// When its clients are told that it was not sent, or when it is given up.
    pub(super) fn due(&self, request_timeout: Duration) -> Instant {
        let waits = if self.is_awaited { request_timeout.min(TOLD_AFTER) } else { STOP_VALID_FOR };
        self.arrived + waits
    }
}

impl Router {
    /// Sends a stop at once, before everything else. It cancels commands of all clients that must not
    /// run after it. `id`: `None` if the bridge itself stops. `arrived`: when the stop was requested.
    /// Without a connection, the stop waits for one.
    pub(super) fn send_stop(
        &mut self,
        now: Instant,
        id: Option<ClientId>,
        stop: &Frame,
        arrived: Instant,
    ) {
        if halts_all_axes(stop) {
            return self.halt_all_axes(now, id, stop, arrived);
        }
        let to = id.map(|id| Recipient::new(id, stop.client_id));
        self.send_one_stop(now, to, stop, arrived);
    }

    pub(super) fn send_one_stop(
        &mut self,
        now: Instant,
        to: Option<Recipient>,
        stop: &Frame,
        arrived: Instant,
    ) {
        self.cancel_waiting(stop);
        let recipients: Vec<_> = to.into_iter().collect();
        if self.core.is_none() {
            return self.hold_stop(now, &recipients, stop, arrived);
        }
        // Many equal stops of one client must not occupy the room of another's.
        if to.is_some_and(|to| self.joins_equal_stop(now, to, stop)) {
            return;
        }
        self.give_stop_to_core(now, recipients, stop, arrived);
        self.take_events(now, None);
    }

    fn give_stop_to_core(
        &mut self,
        now: Instant,
        recipients: Vec<Recipient>,
        stop: &Frame,
        arrived: Instant,
    ) {
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
                if !asks {
                    let parts = recipients.iter().filter_map(|to| to.halt_all);
                    for number in parts {
                        self.axis_not_halted(number, stop.selector(), SENT_NOT_ANSWERED);
                    }
                }
                let command = Command { frame: *stop, payload: [].into(), arrived };
                self.remember_forwarded(ticket, recipients, command, asks);
            }
            Err(error) => self.refuse_stop(now, &recipients, stop, &error.to_string()),
        }
    }

    fn refuse_stop(&mut self, now: Instant, recipients: &[Recipient], stop: &Frame, reason: &str) {
        if recipients.is_empty() {
            self.log(format!("a stop failed: {}: {reason}", stop.code));
        }
        for to in recipients {
            self.refuse_recipient(now, *to, stop, reason);
        }
    }

    /// Keeps a stop for the next connection, which begins with it.
    fn hold_stop(
        &mut self,
        now: Instant,
        recipients: &[Recipient],
        stop: &Frame,
        arrived: Instant,
    ) {
        if self.stopping {
            return self.refuse_stop(now, recipients, stop, "the instrument is not connected");
        }
        let is_equal = |held: &&mut UnsentStop| {
            held.frame == Frame { client_id: held.frame.client_id, ..*stop }
        };
        if let Some(held) = self.unsent_stops.iter_mut().find(is_equal) {
            if held.recipients.len() >= MAX_FORWARDED {
                return self.refuse_stop(now, recipients, stop, TOO_MANY_WAITING);
            }
            held.arrived = arrived;
            held.is_awaited |= expects_answer(stop) && !recipients.is_empty();
            held.recipients.extend(recipients);
        } else if self.unsent_stops.len() < MAX_UNSENT {
            let is_awaited = expects_answer(stop) && !recipients.is_empty();
            let recipients = recipients.to_vec();
            self.unsent_stops.push(UnsentStop { arrived, frame: *stop, recipients, is_awaited });
            self.actions.push_back(RouterAction::ConnectNow);
        } else {
            return self.refuse_stop(now, recipients, stop, TOO_MANY_WAITING);
        }
        self.count_awaited(recipients, stop, 1);
    }

    /// A client that waits for the answer to a stop stays connected, even if it sends nothing more.
    fn count_awaited(&mut self, recipients: &[Recipient], stop: &Frame, change: isize) {
        for to in recipients.iter().filter(|_| expects_answer(stop)) {
            if let Some(client) = self.clients.get_mut(&to.id) {
                client.in_flight = client.in_flight.saturating_add_signed(change);
            }
        }
    }

    /// The stops of a connection that has ended which must go out on the next one.
    pub(super) fn take_unsent_stops(&mut self) -> Vec<UnsentStop> {
        let was_open = self.open;
        let is_unsent = |forwarded: &ForwardedCommand| {
            let may_be_lost = !forwarded.written || !was_open;
            may_be_lost && !forwarded.ended && is_stop(&forwarded.command.frame)
        };
        let unsent = self.forwarded.iter().filter(|(_, forwarded)| is_unsent(forwarded));
        let tickets: Vec<_> = unsent.map(|(ticket, _)| *ticket).collect();
        let unsent = tickets.into_iter().filter_map(|ticket| self.forwarded.remove(&ticket));
        unsent
            .map(|forwarded| UnsentStop {
                arrived: forwarded.command.arrived,
                frame: forwarded.command.frame,
                is_awaited: forwarded.expects_answer && !forwarded.recipients.is_empty(),
                recipients: forwarded.recipients,
            })
            .collect()
    }

    /// Keeps these stops for the next connection.
    pub(super) fn hold_stops(&mut self, stops: Vec<UnsentStop>) {
        for stop in stops {
            self.count_awaited(&stop.recipients, &stop.frame, 1);
            self.unsent_stops.push(stop);
            self.actions.push_back(RouterAction::ConnectNow);
        }
    }

    /// Begins a connection with the stops that waited for it.
    pub(super) fn send_unsent_stops(&mut self, now: Instant) {
        self.end_unsent_stops(now);
        for stop in std::mem::take(&mut self.unsent_stops) {
            self.count_awaited(&stop.recipients, &stop.frame, -1);
            self.give_stop_to_core(now, stop.recipients, &stop.frame, stop.arrived);
        }
        self.take_events(now, None);
    }

    /// Tells clients that their stop was not sent yet, and gives up those that have waited too long.
    pub(super) fn end_unsent_stops(&mut self, now: Instant) {
        let timeout = self.options.request_timeout;
        for mut stop in std::mem::take(&mut self.unsent_stops) {
            if now < stop.due(timeout) {
                self.unsent_stops.push(stop);
                continue;
            }
            let is_valid = now.since(stop.arrived) < STOP_VALID_FOR;
            self.count_awaited(&stop.recipients, &stop.frame, -1);
            if stop.is_awaited && is_valid {
                let reason = "no connection yet; it goes first if there is one soon";
                self.refuse_stop(now, &std::mem::take(&mut stop.recipients), &stop.frame, reason);
                stop.is_awaited = false;
                self.unsent_stops.push(stop);
            } else {
                let reason = "not sent: the instrument was away too long";
                let code = stop.frame.code;
                self.log(format!("{code} was never sent: the instrument was away too long"));
                self.refuse_stop(now, &stop.recipients, &stop.frame, reason);
            }
        }
    }

    /// Whether a stop of this client waits for a connection, and the client for its answer.
    pub(super) fn waits_for_unsent_stop(&self, id: ClientId) -> bool {
        let awaited = self.unsent_stops.iter().filter(|stop| stop.is_awaited);
        awaited.flat_map(|stop| &stop.recipients).any(|recipient| recipient.id == id)
    }

    /// The client has left: its stops that wait are sent all the same.
    pub(super) fn forget_waiting_for_stops(&mut self, id: ClientId) {
        for stop in &mut self.unsent_stops {
            stop.recipients.retain(|recipient| recipient.id != id);
            stop.is_awaited &= !stop.recipients.is_empty();
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
    fn joins_equal_stop(&mut self, now: Instant, to: Recipient, stop: &Frame) -> bool {
        let mut open =
            self.forwarded.values().filter(|forwarded| !forwarded.written && !forwarded.ended);
        let cancels_more = open.any(|forwarded| is_cancelled_by(&forwarded.command.frame, stop));
        !cancels_more && self.join_equal_command(now, to, stop).is_some()
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
