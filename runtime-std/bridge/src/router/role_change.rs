//! A reload of the settings has changed the role of a client: what it may not send any more is refused,
//! unless it is already on its way to the instrument. Who has which role is in `access/`.

use flamingo_protocol_core::{Frame, Ticket, Transmit, connection::Cancelled, time::Instant};

use super::permissions::{NOT_ALLOWED_NOW, is_read_only, is_stop};
use super::recipient::Recipients;
use super::{ClientId, Router};
use crate::settings::{EventDelivery, Role};

impl Router {
    /// Changes the role and the delivery of a client.
    pub fn set_role(
        &mut self,
        now: Instant,
        id: ClientId,
        role: Role,
        delivery: impl Into<EventDelivery>,
    ) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        client.role = role;
        if !client.chose_delivery {
            client.delivery = delivery.into();
        }
        if role == Role::Control {
            return;
        }
        self.lease.make_free(now, id);
        let Some(client) = self.clients.get_mut(&id) else { return };
        let longest = self.options.limits.read_only_upload_bytes;
        let may_stay = |frame: &Frame| is_read_only(frame) && frame.payload_len <= longest;
        if client.upload.as_ref().is_some_and(|upload| !may_stay(upload.frame())) {
            client.refuse_upload(NOT_ALLOWED_NOW);
        }
        let refused = client.waiting.take_if(|command| !may_stay(&command.frame));
        let being_written = client.being_written;
        for command in refused {
            self.refuse(now, id, &command.frame, NOT_ALLOWED_NOW);
        }
        let forwarded = being_written.and_then(|ticket| self.forwarded.get(&ticket));
        let Some(frame) = forwarded.map(|forwarded| forwarded.command.frame) else { return };
        if let Some(ticket) = being_written
            && !may_stay(&frame)
            && !is_stop(&frame)
        {
            for to in self.withdraw(now, ticket) {
                self.refuse(now, to.id, &to.own(&frame), NOT_ALLOWED_NOW);
            }
            // An equal command of another client may have waited for it.
            self.forward_waiting(now);
        }
    }

    /// Takes a forwarded command back. Returns the clients that wait for it, if it will not be sent. A
    /// command whose payload is being written stays.
    pub(super) fn withdraw(&mut self, now: Instant, ticket: Ticket) -> Recipients {
        let Some(core) = self.core.as_mut() else { return Recipients::NONE };
        let is_begun = matches!(
            core.poll_transmit(now),
            Some(Transmit::Payload { ticket: begun, .. }) if begun == ticket
        );
        if is_begun {
            return Recipients::NONE;
        }
        let is_unsent = core.cancel(now, ticket) == Cancelled::NotSent;
        let Some(forwarded) = self.forwarded.get_mut(&ticket) else { return Recipients::NONE };
        let recipients = std::mem::take(&mut forwarded.recipients);
        let expects_answer = forwarded.expects_answer;
        // If a part of the frame was written, the rest follows, and its answer would be late.
        forwarded.ended = true;
        if is_unsent {
            self.forwarded.remove(&ticket);
        }
        for to in &recipients {
            let Some(client) = self.clients.get_mut(&to.id) else { continue };
            client.in_flight = client.in_flight.saturating_sub(usize::from(expects_answer));
            client.being_written.take_if(|written| *written == ticket);
            client.counters.unanswered += u64::from(!is_unsent && expects_answer);
        }
        if is_unsent { recipients } else { Recipients::NONE }
    }
}
