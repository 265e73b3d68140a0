//! Who receives what the instrument sends: answers go to the clients that asked, unsolicited frames to
//! the subscribers, and each outcome is counted.

use std::collections::BTreeSet;

use flamingo_protocol_core::{Class, Ended, Event, Frame, Output, Ticket, time::Instant};

use super::halt_all::SENT_NOT_ANSWERED;
use super::stops::CANCELLED;
use super::{ClientId, Recipients, Router, RouterAction};
use crate::settings::Delivery;
use flamingo_runtime_std::{Message, events_on_request};

/// Why a query has no answer that was not written within its time, although the core counts it as sent.
const NOT_SENT_IN_TIME: &str = "not sent in time: the instrument was busy for too long";

impl Router {
    /// Handles bytes of the instrument. It consumes all of them.
    pub fn upstream_input(&mut self, now: Instant, mut bytes: &[u8]) {
        let mut frame_came = false;
        while let Some(core) = self.core.as_mut() {
            let (consumed, output) = core.handle_input(now, bytes);
            bytes = bytes.get(consumed..).unwrap_or(&[]);
            let whole = match output {
                Some(Output::Frame(received)) => {
                    frame_came = true;
                    self.incoming.frame(received.frame, received.class)
                }
                Some(Output::Payload { bytes, remaining }) => {
                    self.incoming.payload(bytes, remaining)
                }
                None => break,
            };
            if let Some((message, class)) = whole {
                self.deliver(now, &message, class);
            }
        }
        self.note_input(now, frame_came);
        self.take_events(now, None);
        self.forward_waiting(now);
    }

    fn deliver(&mut self, now: Instant, message: &Message, class: Class) {
        let Message { frame, payload } = message;
        match class {
            Class::Solicited { ticket, .. } if ticket.is_fence() => {}
            Class::Solicited { ticket, .. } if self.state_query == Some(ticket) => {
                self.state_reported(now, frame);
            }
            Class::Solicited { ticket, .. } if self.has_wrong_token(ticket, frame) => {
                self.end_with_wrong_token(now, ticket, None);
                self.publish(frame, payload, Delivery::Callback, &BTreeSet::new());
            }
            Class::Solicited { ticket, proven } => {
                let echoed = self.deliver_answer(now, ticket, frame, payload);
                if !proven && !echoed {
                    // It may have been a push, which the subscribers must not miss.
                    self.publish(frame, payload, Delivery::Callback, &BTreeSet::new());
                }
            }
            Class::Late { ticket, proven } => {
                let recipients = self.count_late(ticket);
                if self.is_echoed(frame) {
                    self.echo_to_others(now, &recipients, frame, payload);
                } else if !proven {
                    self.publish(frame, payload, Delivery::Callback, &BTreeSet::new());
                }
            }
            Class::Ambiguous { owners } => {
                let answered = self.take_events(now, Some((frame, payload)));
                if answered == 0
                    && let Some(ticket) = owners.tickets().first()
                {
                    self.count_late(*ticket);
                }
            }
            Class::Unsolicited { .. } => {
                self.end_swapped(now, frame);
                self.deliver_unsolicited(now, frame, payload);
            }
        }
    }

    /// Publishes an unsolicited frame. If it may answer a command of one client that was not expected
    /// to be answered, that client receives it as its answer.
    fn deliver_unsolicited(&mut self, now: Instant, frame: &Frame, payload: &[u8]) {
        self.workflow.observe(frame);
        let within = self.options.request_timeout;
        let is_push = self.options.core.marked_as_push(frame);
        let sender = if is_push { None } else { self.not_expected.take_sender(now, frame, within) };
        let sender = sender.filter(|sender| self.clients.contains_key(&sender.id));
        if let Some(sender) = sender {
            let own = self.tagged(&sender.own(frame), true);
            self.send_to_client(sender.id, &own, payload);
            if let Some(client) = self.clients.get_mut(&sender.id) {
                client.counters.answers += 1;
            }
        }
        // The answer to one client must not become the answer to another.
        let mut except = BTreeSet::new();
        if let Some(sender) = sender {
            except = self.may_take_for_answer(now, frame.code);
            except.insert(sender.id);
        }
        self.publish(frame, payload, Delivery::Both, &except);
    }

    /// Sends an answer to the clients that asked, and echoes an action to the others. Returns whether
    /// it was echoed.
    fn deliver_answer(
        &mut self,
        now: Instant,
        ticket: Ticket,
        frame: &Frame,
        payload: &[u8],
    ) -> bool {
        let Some(forwarded) = self.forwarded.get_mut(&ticket) else { return false };
        if forwarded.ended {
            // Its payload was not complete within the time limit.
            self.count_late(ticket);
            return false;
        }
        let recipients = std::mem::take(&mut forwarded.recipients);
        self.gone.late += u64::from(forwarded.abandoned);
        // If the answer came before the last byte of the payload was written, the rest is still
        // written.
        forwarded.ended = true;
        let written = forwarded.written;
        self.workflow.observe(frame);
        if written {
            self.forwarded.remove(&ticket);
        }
        for to in &recipients {
            if let Some(client) = self.clients.get_mut(&to.id) {
                client.in_flight = client.in_flight.saturating_sub(1);
                client.being_written.take_if(|written| *written == ticket);
            }
            let own = match to.halt_all {
                Some(number) => self.axis_halted(number, frame),
                None => Some(to.own(frame)),
            };
            if let Some(own) = own.filter(|_| to.awaits) {
                self.send_answer(to.id, &own, payload);
            }
        }
        let echoed = self.is_echoed(frame);
        if echoed {
            self.echo_to_others(now, &recipients, frame, payload);
        }
        echoed
    }

    fn send_answer(&mut self, id: ClientId, answer: &Frame, payload: &[u8]) {
        let mut own = self.tagged(answer, true);
        let Some(client) = self.clients.get_mut(&id) else { return };
        client.counters.answers += 1;
        if !client.delivery.is_all_inline() {
            events_on_request::offer(&mut own);
        }
        self.send_to_client(id, &own, payload);
    }

    /// Handles the events of the core. `ambiguous`: the frame that was just received, if it is
    /// ambiguous; it answers each request that ends with it. Returns how many it answered.
    pub(super) fn take_events(
        &mut self,
        now: Instant,
        ambiguous: Option<(&Frame, &[u8])>,
    ) -> usize {
        let mut answered = 0;
        while let Some(event) = self.core.as_mut().and_then(|core| core.poll_event()) {
            match event {
                Event::Ended { ticket, ended: Ended::Ambiguous } => {
                    if let Some((frame, payload)) = ambiguous {
                        answered += 1;
                        self.deliver_answer(now, ticket, frame, payload);
                    }
                }
                Event::Ended { ticket, ended } => self.command_ended(now, ticket, ended),
                Event::StopBlocked => {
                    self.given_up = true;
                    let reason = "a stop waits behind a frame that is not written";
                    self.actions.push_back(RouterAction::Reconnect(reason));
                }
                Event::Unresponsive => self.log("the instrument does not answer a fence"),
                Event::Responsive => self.log("the instrument answers again"),
                _ => {} // an event that this version does not know
            }
        }
        answered
    }

    /// A command ended without an answer.
    fn command_ended(&mut self, now: Instant, ticket: Ticket, ended: Ended) {
        if self.state_query.take_if(|query| *query == ticket).is_some() {
            if !matches!(ended, Ended::ConnectionLost { .. }) {
                let reason = "the instrument did not report its state";
                self.actions.push_back(RouterAction::Reconnect(reason));
            }
            return;
        }
        let Some(forwarded) = self.forwarded.get_mut(&ticket) else { return };
        forwarded.ended = true;
        if matches!(ended, Ended::Unanswered | Ended::PayloadStalled { .. }) {
            // No answer to it can come any more.
            forwarded.occupies_slot_until = None;
        }
        let expects_answer = forwarded.expects_answer;
        let (recipients, frame) = (forwarded.recipients.clone(), forwarded.command.frame);
        for to in &recipients {
            let Some(client) = self.clients.get_mut(&to.id) else { continue };
            client.being_written.take_if(|written| *written == ticket);
            if expects_answer {
                client.in_flight = client.in_flight.saturating_sub(1);
            }
        }
        let reason = match ended {
            Ended::TimedOut { sent: true } if self.batch.holds(ticket) => {
                // It is still written, and its answer will be late.
                for to in &recipients {
                    self.answer_failure(to.id, &to.own(&frame), NOT_SENT_IN_TIME);
                }
                return;
            }
            // What the instrument does not answer, the bridge does not answer either.
            Ended::TimedOut { sent: true } | Ended::Unanswered | Ended::PayloadStalled { .. } => {
                for to in &recipients {
                    if let Some(client) = self.clients.get_mut(&to.id) {
                        client.counters.unanswered += 1;
                    }
                    if let Some(number) = to.halt_all {
                        self.axis_not_halted(number, frame.selector(), SENT_NOT_ANSWERED);
                    }
                }
                return;
            }
            Ended::TimedOut { sent: false } => "not sent: the instrument was busy for too long",
            Ended::Superseded { .. } => CANCELLED,
            Ended::ConnectionLost { .. } | Ended::Ambiguous => "instrument connection lost",
        };
        self.forwarded.remove(&ticket);
        for to in &recipients {
            let own = to.own(&frame);
            match to.halt_all {
                _ if !to.awaits => {}
                Some(number) => self.axis_not_halted(number, frame.selector(), reason),
                None if matches!(ended, Ended::Superseded { .. }) => {
                    self.report_superseded(to.id, &own);
                }
                None => self.answer_failure(to.id, &own, reason),
            }
        }
        self.forward_waiting(now);
    }

    /// Counts a late answer for the first client that asked. Returns all that asked.
    fn count_late(&mut self, ticket: Ticket) -> Recipients {
        let forwarded = self.forwarded.get_mut(&ticket);
        let recipients = forwarded
            .map(|forwarded| std::mem::take(&mut forwarded.recipients))
            .unwrap_or_default();
        // A command that is still being written is written completely.
        if self.forwarded.get(&ticket).is_some_and(|forwarded| forwarded.written) {
            self.forwarded.remove(&ticket);
        }
        let client = recipients.first().and_then(|to| self.clients.get_mut(&to.id));
        client.map_or(&mut self.gone, |client| &mut client.counters).late += 1;
        recipients
    }
}
