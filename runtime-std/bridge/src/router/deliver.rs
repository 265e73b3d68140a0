//! What comes down from the instrument, and who is told.

use flamingo_protocol_core::{
    Class, Ended, Event, Flags, Frame, Instant, Kind, Output, Received, Ticket,
};

use super::dispatch::{expects_answer, stops};
use super::{ClientId, Partial, Report, Router};
use crate::settings::Delivery;

/// Longest reason that fits into a frame's buffer.
const REASON: usize = 72;

impl Router {
    /// Bytes of the instrument. All of them are taken.
    pub fn upstream_input(&mut self, now: Instant, mut bytes: &[u8]) {
        while let Some(core) = self.core.as_mut() {
            let (consumed, output) = core.handle_input(now, bytes);
            bytes = bytes.get(consumed..).unwrap_or(&[]);
            match output {
                Some(Output::Frame(received)) if received.frame.payload_len == 0 => {
                    self.deliver(now, received, &[]);
                }
                Some(Output::Frame(received)) => {
                    self.partial = Some(Partial { received, payload: Vec::new() });
                }
                Some(Output::Payload { bytes, remaining }) => {
                    if let Some(partial) = &mut self.partial {
                        partial.payload.extend_from_slice(bytes);
                    }
                    if let Some(whole) = self.partial.take_if(|_| remaining == 0) {
                        self.deliver(now, whole.received, &whole.payload);
                    }
                }
                None => break,
            }
        }
        self.take_events(now, None);
        self.hand_on(now);
    }

    fn deliver(&mut self, now: Instant, received: Received, payload: &[u8]) {
        let Received { frame, class, .. } = received;
        match class {
            Class::Solicited { ticket, .. } if ticket.is_fence() => {}
            Class::Solicited { ticket, .. } if self.handshake == Some(ticket) => {
                self.opened(now, &frame);
            }
            Class::Solicited { ticket, proven } => {
                let shown = self.answer(ticket, &frame, payload);
                if !proven && !shown {
                    // It may have been a push: who listens to pushes must not miss it.
                    self.publish(&frame, payload, Delivery::Callback, &[]);
                }
            }
            Class::Late { ticket, proven } => {
                let owners = self.count_late(ticket);
                if self.is_shown(&frame) {
                    self.show_others(&owners, &frame, payload);
                } else if !proven {
                    self.publish(&frame, payload, Delivery::Callback, &[]);
                }
            }
            Class::Ambiguous { owners } => {
                let waited = self.take_events(now, Some((&frame, payload)));
                if waited == 0
                    && let Some(ticket) = owners.tickets().first()
                {
                    self.count_late(*ticket);
                }
            }
            Class::Unsolicited { .. } => {
                self.workflow.heard(&frame);
                self.publish(&frame, payload, Delivery::Both, &[]);
            }
        }
    }

    /// An answer to whoever asked; what he did is shown to the others. Gives whether it was.
    fn answer(&mut self, ticket: Ticket, frame: &Frame, payload: &[u8]) -> bool {
        let Some(flight) = self.flights.get_mut(&ticket) else { return false };
        if flight.ended {
            // Its payload took longer than it may.
            self.count_late(ticket);
            return false;
        }
        let owners = std::mem::take(&mut flight.owners);
        self.gone.late += u64::from(flight.left);
        // Answered before the last byte of its payload is out: that must go all the same.
        flight.ended = true;
        let out = flight.out;
        let asked = flight.command.frame;
        self.workflow.heard(frame);
        if out {
            self.flights.remove(&ticket);
        }
        let mut told = *frame;
        if stops(frame) {
            // Several stops of an axis may be answered by one another's answers: each is told what
            // they say of his own.
            told.hardware_id = asked.hardware_id;
            told.int32_data = asked.int32_data;
        }
        for (id, client_id) in &owners {
            let own = Frame { client_id: *client_id, ..told };
            let answer = self.tagged(&own, true);
            self.tell(*id, &answer, payload);
            if let Some(client) = self.clients.get_mut(id) {
                client.counters.answers += 1;
                client.in_flight = client.in_flight.saturating_sub(1);
                client.queued.take_if(|queued| *queued == ticket);
            }
        }
        let shown = self.is_shown(frame);
        if shown {
            self.show_others(&owners, frame, payload);
        }
        shown
    }

    /// Whether it is the answer to an action, and the others are to know of those.
    fn is_shown(&self, frame: &Frame) -> bool {
        let action = frame.code.row().is_some_and(|row| row.kind == Kind::Action);
        action && self.options.echo_actions
    }

    /// What a client did, to all others.
    pub(super) fn show_others(
        &mut self,
        owners: &[(ClientId, i32)],
        frame: &Frame,
        payload: &[u8],
    ) {
        let actors: Vec<_> = owners.iter().map(|(id, _)| *id).collect();
        for id in &actors {
            if let Some(client) = self.clients.get_mut(id) {
                client.counters.echoes += 1;
            }
        }
        self.publish(frame, payload, Delivery::Both, &actors);
    }

    /// A message that nobody asked for: to the subscribers of the callback port, and, unless it is
    /// for those alone, between two frames to the clients that want it there.
    pub(super) fn publish(
        &mut self,
        frame: &Frame,
        payload: &[u8],
        to: Delivery,
        except: &[ClientId],
    ) {
        let message = bytes(&self.tagged(frame, false), payload);
        if to == Delivery::Both {
            let inline =
                self.clients.iter().filter(|(_, client)| client.delivery != Delivery::Callback);
            let ids: Vec<_> = inline.map(|(id, _)| *id).filter(|id| !except.contains(id)).collect();
            for id in ids {
                self.tell_bytes(id, &message);
                if let Some(client) = self.clients.get_mut(&id) {
                    client.counters.events += 1;
                }
            }
        }
        self.reports.push_back(Report::Publish(message.into()));
    }

    fn tagged(&self, frame: &Frame, answer: bool) -> Frame {
        let mut frame = *frame;
        if self.options.tag {
            frame.flags = frame.flags.without(Flags::ANSWER_TAG);
            if answer {
                frame.flags = frame.flags.with(Flags::ANSWER_TAG);
            }
        }
        frame
    }

    /// Takes what the core has to say. A frame that is ambiguous is the answer of each request that
    /// ends with it. Gives how many did.
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
                        self.answer(ticket, frame, payload);
                    }
                }
                Event::Ended { ticket, ended } => self.ended(now, ticket, ended),
                Event::StopBlocked => {
                    self.reports.push_back(Report::GiveUp(
                        "a stop waits behind a frame that does not get out",
                    ));
                }
                Event::Unresponsive => {
                    self.note("the instrument does not answer a harmless question");
                }
                Event::Responsive => self.note("the instrument answers again"),
            }
        }
        answered
    }

    fn ended(&mut self, now: Instant, ticket: Ticket, ended: Ended) {
        if self.handshake.take_if(|handshake| *handshake == ticket).is_some() {
            if ended != Ended::ConnectionLost {
                self.reports.push_back(Report::GiveUp("the instrument did not say its state"));
            }
            return;
        }
        let Some(flight) = self.flights.get_mut(&ticket) else { return };
        flight.ended = true;
        let (owners, frame, asked) = (flight.owners.clone(), flight.command.frame, flight.asked);
        for (id, _) in &owners {
            let Some(client) = self.clients.get_mut(id) else { continue };
            client.queued.take_if(|queued| *queued == ticket);
            if asked {
                client.in_flight = client.in_flight.saturating_sub(1);
            }
        }
        let reason = match ended {
            // What the instrument does not answer, the bridge does not, either.
            Ended::TimedOut { sent: true } | Ended::Unanswered | Ended::PayloadStalled { .. } => {
                for (id, _) in &owners {
                    if let Some(client) = self.clients.get_mut(id) {
                        client.counters.unanswered += 1;
                    }
                }
                return;
            }
            Ended::TimedOut { sent: false } => "not sent: the instrument was busy for too long",
            Ended::Superseded { .. } => "cancelled by a stop before it was sent",
            Ended::ConnectionLost | Ended::Ambiguous => "instrument connection lost",
        };
        self.flights.remove(&ticket);
        for (id, _) in &owners {
            if matches!(ended, Ended::Superseded { .. }) {
                self.supersede(*id, &frame);
            } else {
                self.fail(*id, &frame, reason);
            }
        }
        self.hand_on(now);
    }

    /// Gives who asked.
    fn count_late(&mut self, ticket: Ticket) -> Vec<(ClientId, i32)> {
        let flight = self.flights.get_mut(&ticket);
        let owners = flight.map(|flight| std::mem::take(&mut flight.owners)).unwrap_or_default();
        // One that is still going out goes out whole.
        if self.flights.get(&ticket).is_some_and(|flight| flight.out) {
            self.flights.remove(&ticket);
        }
        let client = owners.first().and_then(|(id, _)| self.clients.get_mut(id));
        client.map_or(&mut self.gone, |client| &mut client.counters).late += 1;
        owners
    }

    /// A command that is not to reach the instrument: who asked is told, if he expects an answer.
    pub(super) fn refuse(&mut self, now: Instant, id: ClientId, frame: &Frame, reason: &str) {
        if let Some(client) = self.clients.get_mut(&id) {
            client.counters.refused += 1;
            if !expects_answer(frame) && client.may_be_noted(now) {
                // Nobody else would ever know.
                let note = format!("{} of client {id} at {}: {reason}", frame.code, client.address);
                self.reports.push_back(Report::Note(note));
            }
        }
        self.fail(id, frame, reason);
    }

    /// An answer of the bridge's own: status 0, and why.
    pub(super) fn fail(&mut self, id: ClientId, frame: &Frame, reason: &str) {
        if !expects_answer(frame) {
            return;
        }
        let mut answer = Frame { status: 0, payload_len: 0, buffer: [0; 72], ..*frame };
        let cut = (0..=reason.len().min(REASON)).rev().find(|at| reason.is_char_boundary(*at));
        // It fits, and holds no NUL: that is what it was cut for.
        let _ = answer.set_text(reason.get(..cut.unwrap_or(0)).unwrap_or_default());
        let answer = self.tagged(&answer, true);
        self.tell(id, &answer, &[]);
    }

    fn tell(&mut self, id: ClientId, frame: &Frame, payload: &[u8]) {
        self.tell_bytes(id, &bytes(frame, payload));
    }

    fn tell_bytes(&mut self, id: ClientId, message: &[u8]) {
        let most = self.options.limits.out_bytes;
        let Some(client) = self.clients.get_mut(&id).filter(|client| !client.cut) else { return };
        if !client.tell(message, most) {
            client.cut = true;
            client.counters.dropped += 1;
            let note = format!("client {id} at {} is cut off: it does not read", client.address);
            self.reports.push_back(Report::Note(note));
        }
    }

    pub(super) fn note(&mut self, what: &str) {
        self.reports.push_back(Report::Note(what.into()));
    }
}

fn bytes(frame: &Frame, payload: &[u8]) -> Vec<u8> {
    [&frame.encode()[..], payload].concat()
}
