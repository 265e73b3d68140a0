//! The connection to the instrument: how it begins and ends, and what is written to it.

use std::collections::BTreeSet;

use bytes::Bytes;
use flamingo_protocol_core::{
    CommandCode, Frame, Ticket, Transmit, connection::Counters, time::Instant, wire::Kind,
};

use super::client::Command;
use super::permissions::{self, is_read_only};
use super::{ForwardedCommand, Router, WorkflowState};
use crate::settings::Delivery;
use crate::status::UpstreamStatus;
use flamingo_runtime_std::CoreConnection;

impl Router {
    /// The instrument is connected. Unsent stops go first; then the router asks for the state, and
    /// forwards commands only after the answer.
    pub fn upstream_opened(&mut self, now: Instant) {
        let core = CoreConnection::new(self.options.core).starting_after(self.last_ticket);
        self.core = Some(Box::new(core));
        (self.open, self.given_up) = (false, false);
        self.send_unsent_stops(now);
        let query = Frame::command(CommandCode::SYSTEM_STATE_GET);
        let deadline = now + self.options.request_timeout;
        let ticket = self.core.as_mut().map(|core| core.request(now, &query, deadline));
        self.state_query = ticket.and_then(Result::ok);
    }

    /// The instrument has answered the query for its state.
    pub(super) fn state_reported(&mut self, now: Instant, state: &Frame) {
        self.state_query = None;
        self.open = true;
        self.workflow.observe(state);
        self.publish_state(CommandCode(state.int32_data[0] as u32));
        self.log("the instrument is connected");
        self.forward_waiting(now);
    }

    /// The connection to the instrument is lost. Every waiting client gets an answer that says so.
    /// Nothing is sent again on the next connection, apart from stops that were not written whole, or
    /// that were written before the instrument had reported its state. If the bridge gives the connection
    /// up for a stop, queries that were not written wait for the next one.
    pub fn upstream_lost(&mut self, now: Instant) {
        if self.given_up {
            self.take_back_unwritten_queries();
        }
        let Some(core) = self.core.as_mut() else { return };
        core.handle_eof();
        self.last_ticket = core.last_ticket();
        let counters = core.counters();
        add_counters(&mut self.earlier_connections, &counters);
        self.earlier_connections.reconnects += 1;
        let unsent = self.take_unsent_stops();
        self.open = false;
        self.take_events(now, None);
        self.core = None;
        self.incoming.clear();
        self.batch.clear();
        self.input = None;
        self.forwarded.clear();
        self.not_expected.clear();
        self.workflow = WorkflowState::default();
        self.fail_waiting_commands("instrument connection lost");
        self.hold_stops(unsent);
        self.hold_delayed_stops();
        self.publish_state(CommandCode::SYSTEM_STATE_DISCONNECTED);
    }

    /// Publishes a state of the instrument as the instrument itself would push it.
    fn publish_state(&mut self, state: CommandCode) {
        let mut frame = Frame::new(state);
        frame.status = 1;
        self.publish(&frame, &[], Delivery::Both, &BTreeSet::new());
    }

    fn fail_waiting_commands(&mut self, reason: &str) {
        let ids: Vec<_> = self.clients.keys().copied().collect();
        for id in ids {
            let Some(client) = self.clients.get_mut(&id) else { continue };
            client.being_written = None;
            client.in_flight = 0;
            let given_up = self.given_up;
            let failed = client
                .waiting
                .take_if(|command| !(given_up && may_wait_for_next_link(&command.frame)));
            for command in failed {
                self.answer_failure(id, &command.frame, reason);
            }
        }
    }

    /// Puts the queries that were not written back into the queues of their clients.
    fn take_back_unwritten_queries(&mut self) {
        let is_unwritten = |sent: &ForwardedCommand| {
            !sent.written && !sent.ended && may_wait_for_next_link(&sent.command.frame)
        };
        let unwritten = self.forwarded.iter().filter(|(_, sent)| is_unwritten(sent));
        let tickets: Vec<_> = unwritten.map(|(ticket, _)| *ticket).collect();
        // The latest first, so that the earliest is at the front of its queue.
        for ticket in tickets.into_iter().rev() {
            let Some(sent) = self.forwarded.remove(&ticket) else { continue };
            for to in &sent.recipients {
                let Some(client) = self.clients.get_mut(&to.id) else { continue };
                let frame = to.own(&sent.command.frame);
                client.waiting.push_front(Command { frame, ..sent.command.clone() });
            }
        }
    }

    /// The bytes to write to the instrument next.
    pub fn upstream_output(&mut self, now: Instant) -> &[u8] {
        self.fill_batch(now);
        if !self.batch.is_empty() {
            return self.batch.rest();
        }
        let Some(core) = self.core.as_mut() else { return &[] };
        match core.poll_transmit(now) {
            None => &[],
            Some(Transmit::Bytes(bytes)) => bytes,
            Some(Transmit::Payload { ticket, offset, .. }) => {
                let payload =
                    self.forwarded.get(&ticket).map(|forwarded| &forwarded.command.payload);
                payload.and_then(|payload| payload.get(offset as usize..)).unwrap_or(&[])
            }
        }
    }

    /// `count` bytes of [`Self::upstream_output`] were written.
    pub fn upstream_wrote(&mut self, now: Instant, count: usize) {
        if !self.batch.is_empty() {
            return self.wrote_batch(now, count);
        }
        let written = self.core.as_mut().and_then(|core| core.transmitted(now, count));
        if let Some(ticket) = written {
            self.command_written(now, ticket);
            self.forward_waiting(now);
        }
    }

    /// The last byte of a command was written: the next command of its client may follow.
    pub(super) fn command_written(&mut self, now: Instant, ticket: Ticket) {
        let Some(forwarded) = self.forwarded.get_mut(&ticket) else { return };
        forwarded.written = true;
        if let Some(until) = &mut forwarded.occupies_slot_until {
            *until = now + self.options.request_timeout + self.options.core.grace;
        }
        // The payload is not needed any more and would occupy the room of others.
        forwarded.command.payload = Bytes::new();
        let command = forwarded.command.clone();
        // Its answer has come, or its client has left.
        let is_over = forwarded.ended && forwarded.recipients.is_empty();
        let expects_answer = forwarded.expects_answer;
        let (recipients, frame) = (forwarded.recipients.clone(), command.frame);
        for to in &recipients {
            if let Some(client) = self.clients.get_mut(&to.id) {
                client.being_written.take_if(|written| *written == ticket);
            }
        }
        self.note_unconfirmed(&command);
        if frame.code == CommandCode::CAMERA_WORK_FLOW_START {
            self.workflow.start_sent(now);
        }
        if is_over || !expects_answer {
            self.forwarded.remove(&ticket);
        }
        if !expects_answer {
            for by in recipients.iter().filter(|by| by.awaits) {
                self.not_expected.sent(now, *by, &frame);
            }
        }
        // A query is no action: its frame, with zeros, would read as data.
        let acts = frame
            .code
            .row()
            .is_some_and(|row| matches!(row.kind, Kind::Action | Kind::FireAndForget));
        // The answer of the instrument, if it was asked for one, reports the action.
        let is_reported = permissions::expects_answer(&frame);
        if !is_reported && acts && self.options.echo_actions {
            let echo = Frame { payload_len: 0, ..frame };
            self.echo_to_others(now, &recipients, &echo, &[]);
        }
    }

    /// Whether the instrument has reported its state, so that commands may be forwarded.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// Whether a command has no outcome yet, or bytes wait for a client.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        // A stop is written even if its client has left.
        let in_flight = self
            .forwarded
            .values()
            .any(|forwarded| !forwarded.ended && (!forwarded.abandoned || !forwarded.written));
        in_flight
            || !self.unsent_stops.is_empty()
            || self.clients.values().any(|client| {
                let is_idle = client.waiting.is_empty() && client.stops.is_empty();
                !is_idle || !client.to_write().is_empty()
            })
    }

    /// The status of the connection to the instrument; its counters include earlier connections.
    #[must_use]
    pub fn upstream_status(&self) -> UpstreamStatus {
        let mut status = self.earlier_connections.clone();
        status.connected = self.open;
        if let Some(core) = &self.core {
            add_counters(&mut status, &core.counters());
        }
        status
    }
}

/// Whether this command may wait until the bridge has connected again, which it does at once after it
/// has given a connection up: a query, which changes nothing whenever it is sent.
pub(super) fn may_wait_for_next_link(frame: &Frame) -> bool {
    is_read_only(frame) && frame.payload_len == 0
}

fn add_counters(status: &mut UpstreamStatus, counters: &Counters) {
    status.frames_out += counters.frames_sent;
    status.frames_in += counters.frames_received();
    status.solicited += counters.solicited;
    status.presumed += counters.presumed;
    status.late += counters.late;
    status.ambiguous += counters.ambiguous;
    status.unsolicited += counters.unsolicited;
    status.noise_bytes += counters.noise_bytes;
    status.timed_out += counters.timed_out;
    status.fences_sent += counters.fences_sent;
}
