//! A client has left: what happens to its commands, and the dead man's switch.

use flamingo_protocol_core::{connection::Cancelled, time::Instant};

use super::permissions::is_stop;
use super::{ClientId, Router};

impl Router {
    /// The connection to a client is closed. Its unsent commands are dropped, apart from stops.
    pub fn client_closed(&mut self, now: Instant, id: ClientId) {
        let Some(client) = self.clients.remove(&id) else { return };
        self.names.leave(id);
        let dropped = client.waiting.len() as u64;
        self.gone += client.counters;
        self.gone.dropped += dropped;
        self.abandon_commands(now, id);
        self.forget_waiting_for_stops(id);
        self.open_halts.forget(id);
        self.send_stops_of_gone(now, client.stops);
        if self.lease.release(id) && self.options.dead_man {
            self.stop_everything(now, &client.address);
        }
        self.take_events(now, None);
        self.forward_waiting(now);
    }

    fn abandon_commands(&mut self, now: Instant, id: ClientId) {
        let own = self.forwarded.iter_mut().filter(|(_, forwarded)| {
            let is_recipient = forwarded.recipients.iter().any(|recipient| recipient.id == id);
            is_recipient && !forwarded.ended
        });
        let mut unsent = Vec::new();
        for (ticket, forwarded) in own {
            forwarded.recipients.retain(|recipient| recipient.id != id);
            if !forwarded.recipients.is_empty() {
                continue;
            }
            // The answer to a written command is still expected, or it would be taken for the answer
            // to another command.
            forwarded.abandoned = forwarded.expects_answer;
            if !forwarded.written && !is_stop(&forwarded.command.frame) {
                unsent.push(*ticket);
            }
        }
        let Some(core) = self.core.as_mut() else { return };
        for ticket in unsent {
            if core.cancel(now, ticket) == Cancelled::NotSent {
                self.forwarded.remove(&ticket);
                self.gone.dropped += 1;
            } else if let Some(forwarded) =
                self.forwarded.get_mut(&ticket).filter(|forwarded| forwarded.expects_answer)
            {
                forwarded.ended = true;
            }
        }
    }
}
