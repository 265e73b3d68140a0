//! When a command of a client goes to the instrument: clients take turns, each keeps the order of its
//! commands, and equal queries may share one request.

use flamingo_protocol_core::{
    CommandCode, Flags, Frame, Ticket, error::CommandError, time::Instant,
};

use super::client::{Client, Command};
use super::client_quota::TOO_MANY_WAITING;
use super::permissions::{
    WORKFLOW_RUNS, expects_answer, is_answered_at_end, is_emergency, is_query, is_read_only,
    is_stop,
};
use super::slots::{STOPS_ONLY, Slot, passes_in_reserved_slot};
use super::turns::MOTION_TIMEOUT;
use super::{ClientId, ForwardedCommand, MAX_FORWARDED, Recipient, Recipients, Router};
use crate::settings::Delivery;
use flamingo_runtime_std::events_on_request;

impl Router {
    /// Handles a whole command of a client: it is queued, goes first, or is refused.
    pub(super) fn handle_command(&mut self, now: Instant, id: ClientId, mut command: Command) {
        // Only the instrument sets these flags. If it echoed them, the answer would look like a push.
        let reserved = Flags::STAGE_POSITIONS_IN_BUFFER.with(Flags::ANSWER_TAG);
        command.frame.flags = command.frame.flags.without(reserved);
        let frame = command.frame;
        let Some(client) = self.clients.get_mut(&id) else { return };
        client.counters.commands += 1;
        client.quota.count_command(now);
        if frame.code == events_on_request::REQUEST {
            client.delivery = Delivery::Inline.into();
            client.chose_delivery = true;
            return;
        }
        if client.slot == Slot::StopsOnly && !passes_in_reserved_slot(&frame) {
            client.half_closed = true;
            return self.refuse(now, id, &frame, STOPS_ONLY);
        }
        if is_emergency(&frame) {
            // It has a rate of its own.
            return self.send_stop(now, Some(id), &frame, command.arrived);
        }
        if self.core.is_none() && frame.code == CommandCode::SYSTEM_STATE_GET {
            self.answer_disconnected(id, &frame);
            return;
        }
        match self.check_permission(now, id, &frame) {
            Ok(()) if is_stop(&frame) => self.send_stop(now, Some(id), &frame, command.arrived),
            Ok(()) => {
                self.accepted_actions += u64::from(!is_query(&frame));
                if let Some(client) = self.clients.get_mut(&id) {
                    client.waiting.push_back(command);
                }
                self.forward_waiting(now);
            }
            Err(reason) => self.refuse(now, id, &frame, &reason),
        }
    }

    /// Forwards waiting commands while there is room. Each client with a free slot has one command
    /// at a time being written, and clients take turns. So a client's commands keep their order, and
    /// no client waits for the long queue of another.
    pub(super) fn forward_waiting(&mut self, now: Instant) {
        if !self.open {
            return;
        }
        while let Some((id, position)) = self.next_to_serve(now) {
            if !self.forward_next(now, id, position) {
                return;
            }
            self.last_served = id;
        }
    }

    /// The first client after the last served one that has a command to forward, and the position of
    /// that command in its queue, found by a full search.
    pub(super) fn search_next_to_serve(&self, now: Instant) -> Option<(ClientId, usize)> {
        let waits = |client: &Client| client.being_written.is_none() && !client.waiting.is_empty();
        let mut waiting = self.clients.iter().filter(|(_, client)| waits(client)).peekable();
        waiting.peek()?;
        // All commands in flight are looked at once, whatever the number of clients.
        let (window, pending) = (self.window_use(now), self.search_pending_keys());
        let with_slot = waiting.filter(|(id, _)| window.has_free_slot(**id));
        let ready: Vec<_> = with_slot
            .filter_map(|(id, client)| {
                let position = client.next_command(&pending)?;
                Some((*id, position, client.waiting.get(position)?))
            })
            .collect();
        // An upload occupies the connection for long: what came before it goes first.
        let small = ready.iter().filter(|(.., command)| command.payload.is_empty());
        let oldest = small.map(|(.., command)| command.arrived).min();
        let has_turn = |command: &Command| {
            command.payload.is_empty() || oldest.is_none_or(|oldest| command.arrived < oldest)
        };
        let mut turns = ready.iter().filter(|(.., command)| has_turn(command));
        let last = self.last_served;
        let first = turns.next();
        let is_later = |(id, ..): &&(ClientId, usize, &Command)| *id > last;
        let next = first.filter(is_later).or_else(|| turns.find(is_later)).or(first);
        next.map(|(id, position, _)| (*id, *position))
    }

    /// Gives this command of the client to the core. Returns `false` if the core is full.
    fn forward_next(&mut self, now: Instant, id: ClientId, position: usize) -> bool {
        let client = self.clients.get_mut(&id);
        let Some(command) = client.and_then(|client| client.waiting.remove(position)) else {
            return true;
        };
        let frame = command.frame;
        // A workflow may have begun since the command was accepted.
        if self.is_blocked_by_workflow(now, &frame) {
            self.refuse(now, id, &frame, WORKFLOW_RUNS);
            return true;
        }
        if self.options.coalesce
            && is_read_only(&frame)
            && frame.payload_len == 0
            && let Some(ticket) =
                self.join_equal_command(now, Recipient::new(id, frame.client_id), &frame)
        {
            if let Some(client) = self.clients.get_mut(&id) {
                client.being_written = Some(ticket);
            }
            return true;
        }
        let Some(core) = self.core.as_mut() else { return false };
        let timeout =
            if is_answered_at_end(&frame) { MOTION_TIMEOUT } else { self.options.request_timeout };
        let asks = expects_answer(&frame);
        let ticket =
            if asks { core.request(now, &frame, now + timeout) } else { core.send(now, &frame) };
        match ticket {
            Ok(ticket) => {
                self.remember_forwarded(
                    ticket,
                    Recipients::one(Recipient::new(id, frame.client_id)),
                    command,
                    asks,
                );
                if let Some(client) = self.clients.get_mut(&id) {
                    client.being_written = Some(ticket);
                }
                true
            }
            Err(CommandError::Full { .. }) => {
                // There is room again when another command ends.
                if let Some(client) = self.clients.get_mut(&id) {
                    client.waiting.insert(position, command);
                }
                false
            }
            Err(error) => {
                self.refuse(now, id, &frame, &error.to_string());
                true
            }
        }
    }

    /// Remembers a command that was given to the core.
    pub(super) fn remember_forwarded(
        &mut self,
        ticket: Ticket,
        recipients: Recipients,
        command: Command,
        expects_answer: bool,
    ) {
        // As in the core: a stop needs no slot, and a motion must not occupy one for minutes.
        let occupies =
            expects_answer && !is_answered_at_end(&command.frame) && !is_stop(&command.frame);
        let occupies_slot_until = occupies.then_some(Instant::FAR_FUTURE);
        if expects_answer {
            for to in &recipients {
                if let Some(client) = self.clients.get_mut(&to.id) {
                    client.in_flight += 1;
                }
            }
        }
        let forwarded = ForwardedCommand {
            recipients,
            command,
            expects_answer,
            written: false,
            ended: false,
            abandoned: false,
            occupies_slot_until,
        };
        self.forwarded.insert(ticket, forwarded);
        if self.forwarded.len() > MAX_FORWARDED {
            let oldest =
                self.forwarded.iter().find(|(_, forwarded)| forwarded.ended && forwarded.written);
            if let Some(ticket) = oldest.map(|(ticket, _)| *ticket) {
                self.forwarded.remove(&ticket);
            }
        }
    }

    /// Adds the client to the recipients of an equal command that is not completely written yet.
    /// Returns the ticket of that command, if there is one. What is in the batch goes before a stop that
    /// waits, so that it must not answer what was asked after the stop.
    pub(super) fn join_equal_command(
        &mut self,
        now: Instant,
        to: Recipient,
        frame: &Frame,
    ) -> Option<Ticket> {
        let without_client = |frame: &Frame| Frame { client_id: 0, ..*frame };
        let a_stop_waits = self.has_stop_to_write();
        let (ticket, _) = self.forwarded.iter().find(|(ticket, forwarded)| {
            let is_open = !forwarded.written && !forwarded.ended;
            let is_before_stop = a_stop_waits && self.batch.holds(**ticket);
            let is_equal = without_client(&forwarded.command.frame) == without_client(frame);
            is_open && !is_before_stop && is_equal
        })?;
        let ticket = *ticket;
        let equal = self.forwarded.get_mut(&ticket)?;
        let expects_answer = equal.expects_answer;
        let own = equal.recipients.iter().filter(|recipient| recipient.id == to.id).count();
        if expects_answer && own >= MAX_FORWARDED {
            self.refuse_recipient(now, to, frame, TOO_MANY_WAITING);
            return Some(ticket);
        }
        if expects_answer || own == 0 {
            equal.recipients.push(to);
        }
        equal.abandoned = false;
        if expects_answer && let Some(client) = self.clients.get_mut(&to.id) {
            client.in_flight += 1;
        }
        Some(ticket)
    }
}
