//! Answers whose token names another request: the instrument mixes answers up, or does not copy the
//! token. A token alone would give a client the data of another request.

use flamingo_protocol_core::connection::Key;
use flamingo_protocol_core::time::{Duration, Instant};
use flamingo_protocol_core::{Frame, Ticket};

use super::Router;
use super::permissions::is_stop;

/// What the log says about it, at most this often.
const LOG_INTERVAL: Duration = Duration::from_millis(10_000);

impl Router {
    /// Whether the token of this answer belongs to this request, but the answer is that of another
    /// query or command.
    pub(super) fn has_wrong_token(&self, ticket: Ticket, answer: &Frame) -> bool {
        let command = self.forwarded.get(&ticket).map(|forwarded| &forwarded.command.frame);
        // An instrument may answer a stop with another axis.
        self.options.core.tokens.is_some()
            && !is_stop(answer)
            && command.is_some_and(|command| Key::of(command) != Key::of(answer))
    }

    /// The answer to this request has a wrong token: nobody receives it. Until then a late answer may
    /// come; `None`: it cannot.
    pub(super) fn end_with_wrong_token(
        &mut self,
        now: Instant,
        ticket: Ticket,
        late_until: Option<Instant>,
    ) {
        self.log_wrong_token(now);
        let Some(forwarded) = self.forwarded.get_mut(&ticket) else { return };
        forwarded.occupies_slot_until = late_until;
        if forwarded.ended {
            return;
        }
        forwarded.ended = true;
        let is_over = forwarded.written && late_until.is_none();
        for to in std::mem::take(&mut forwarded.recipients) {
            let Some(client) = self.clients.get_mut(&to.id) else { continue };
            client.in_flight = client.in_flight.saturating_sub(1);
            client.being_written.take_if(|being_written| *being_written == ticket);
            client.counters.unanswered += 1;
        }
        if is_over {
            self.forwarded.remove(&ticket);
        }
    }

    /// If this frame is the answer to a request, but has the token of another one, that request will
    /// not be answered any more: it ends, and leaves its slot of the window when a late answer cannot
    /// come any more.
    pub(super) fn end_swapped(&mut self, now: Instant, frame: &Frame) {
        let core = &self.options.core;
        let Some(field) = core.tokens else { return };
        // A push may have the token of the command that caused it.
        if core.marked_as_push(frame) || core.pushable(frame.code) {
            return;
        }
        let (token, grace) = (field.get(frame), core.grace);
        if !self.forwarded.keys().any(|ticket| ticket.token() == token) {
            return;
        }
        let answered = self.forwarded.iter().find(|(_, forwarded)| {
            let waits = forwarded.expects_answer && forwarded.written && !forwarded.ended;
            waits && Key::of(&forwarded.command.frame) == Key::of(frame)
        });
        let Some(ticket) = answered.map(|(ticket, _)| *ticket) else { return };
        if let Some(core) = self.core.as_mut() {
            // It is written: it leaves a tombstone for this time.
            let _ = core.cancel(now, ticket);
        }
        self.end_with_wrong_token(now, ticket, Some(now + grace));
    }

    fn log_wrong_token(&mut self, now: Instant) {
        if self.wrong_token_logged.is_some_and(|last| now < last + LOG_INTERVAL) {
            return;
        }
        self.wrong_token_logged = Some(now);
        self.log(
            "an answer of the instrument has the token of another request, and nobody receives it: \
             if this happens again, set upstream.tokens = \"off\"",
        );
    }
}
