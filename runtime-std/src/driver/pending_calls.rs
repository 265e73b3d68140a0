//! The calls of the clients, and which of them wait for which ticket. Each call gets exactly one
//! outcome here. No socket and no protocol is here; how a call enters the core is `calls.rs`.

use std::collections::HashMap;
use std::fmt;
use std::time::{Duration, SystemTime};

use flamingo_protocol_core::{
    CommandCode, Ended, Frame, Ticket, connection::Counters, error::DecodeError, time::Instant,
    wire::Status,
};

use super::outcome::{Done, Reply, Wanted};
use crate::error::Error;
use crate::event::CallId;
use crate::payload::Payload;

/// An answer to a request.
#[derive(Clone)]
pub struct Answer {
    /// The frame.
    pub frame: Frame,
    /// Its payload, whole.
    pub payload: Payload,
    /// Whether only this request can have caused the frame. If not, it is the presumed answer, and
    /// subscribers receive it too.
    pub proven: bool,
    /// What its status says. [`Status::Unset`] is a presumed success.
    pub outcome: Status,
    /// When the frame arrived, by this host's calendar.
    pub at: SystemTime,
    /// From the call to the last byte of the answer.
    pub elapsed: Duration,
}

/// Without the payload's bytes: there may be millions.
impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("frame", &self.frame)
            .field("payload", &format_args!("{} bytes", self.payload.len()))
            .field("proven", &self.proven)
            .field("outcome", &self.outcome)
            .field("at", &self.at)
            .field("elapsed", &self.elapsed)
            .finish()
    }
}

/// The counters of a client.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct Stats {
    /// What the core has counted on the current connection.
    pub counters: Counters,
    /// Requests in flight, fences included.
    pub in_flight: usize,
    /// Tombstones: ended requests whose answer may still come.
    pub tombstones: usize,
    /// Frames that went to the subscribers.
    pub events: u64,
    /// Events that all subscribers together have lost because they were too slow.
    pub events_lost: u64,
    /// How often the connection was made again.
    pub reconnects: u64,
}

/// What a client asks the driver to do.
pub(crate) struct Call {
    pub(crate) id: CallId,
    pub(crate) frame: Frame,
    pub(crate) payload: Option<Payload>,
    pub(crate) called_at: Instant,
    /// The time for the answer, from the first byte that is written. It may wait as long before.
    pub(crate) timeout: Duration,
    pub(crate) reply: Reply,
    /// It is written, with its payload.
    pub(crate) written: bool,
    /// A stop for whose answer the core has no room: it ends when it is written.
    pub(crate) unconfirmed: bool,
    /// Bytes that had been skipped as noise when the call entered the core.
    pub(crate) noise_before: u64,
}

/// What else arrived while a call waited.
pub(crate) struct Meanwhile<'a> {
    pub(crate) ambiguous: Option<&'a Frame>,
    /// Bytes skipped as noise on this connection, and why the last candidate was no frame.
    pub(crate) noise: u64,
    pub(crate) rejected: Option<DecodeError>,
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("frame", &self.frame).finish_non_exhaustive()
    }
}

impl Call {
    /// A call without a payload and without a number.
    pub(crate) fn of(frame: Frame, called_at: Instant, timeout: Duration, reply: Reply) -> Self {
        Self {
            id: CallId::default(),
            frame,
            payload: None,
            called_at,
            timeout,
            reply,
            written: false,
            unconfirmed: false,
            noise_before: 0,
        }
    }

    pub(crate) fn refuse(&self, error: Error) {
        // The caller may have gone.
        self.reply.give(Err(error));
    }

    /// The connection is lost. The error says whether the command may have been received.
    pub(crate) fn lose(&self, address: &str, reason: &str) {
        let unwritten = if self.written { "" } else { "; the command was not sent completely" };
        let reason = format!("{reason}{unwritten}");
        self.refuse(Error::ConnectionLost { address: address.into(), reason, sent: self.written });
    }

    pub(crate) fn code(&self) -> CommandCode {
        self.frame.code
    }

    /// It has waited in the inbox for as long as it may wait. A stop is never too late.
    pub(crate) fn is_too_late(&self, now: Instant) -> bool {
        self.called_at + self.timeout.into() <= now && !self.stops()
    }

    /// Its caller does not wait any more, and it need not be carried out. A stop always is.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.reply.is_abandoned() && !self.stops()
    }

    /// HALT, laser-off, and the stop of a workflow or of live images: it overtakes the other calls,
    /// and once called, it is sent, even if its caller does not wait any more.
    pub(crate) fn stops(&self) -> bool {
        self.code().row().is_some_and(|row| row.effect.stops())
    }

    /// HALT and laser-off.
    fn is_emergency(&self) -> bool {
        self.code().row().is_some_and(|row| row.effect.is_emergency())
    }
}

/// The calls that the core has a ticket for.
#[derive(Default)]
pub(crate) struct PendingCalls {
    waiting: HashMap<Ticket, Call>,
    /// Payloads that the core may still ask for, even if no caller waits any more.
    payloads: HashMap<Ticket, Payload>,
    /// Calls that have had their answer since [`Self::take_answered`].
    answered: usize,
}

impl PendingCalls {
    pub(crate) fn insert(&mut self, ticket: Ticket, mut call: Call) {
        if let Some(payload) = call.payload.take() {
            self.payloads.insert(ticket, payload);
        }
        self.waiting.insert(ticket, call);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The rest of a payload from `offset` on; empty if there is none.
    pub(crate) fn payload(&self, ticket: Ticket, offset: u32) -> &[u8] {
        let payload = self.payloads.get(&ticket).map_or(&[][..], |payload| payload);
        payload.get(offset as usize..).unwrap_or(&[])
    }

    /// The frame and its payload are written.
    pub(crate) fn written(&mut self, ticket: Ticket) {
        self.payloads.remove(&ticket);
        let Some(call) = self.waiting.get_mut(&ticket) else { return };
        call.written = true;
        if call.reply.wanted() == Wanted::Answer && !call.unconfirmed {
            return;
        }
        let Some(call) = self.waiting.remove(&ticket) else { return };
        match call.reply.wanted() {
            // The caller may have gone.
            Wanted::Written => drop(call.reply.give(Ok(Done::Written))),
            Wanted::Answer => call.refuse(Error::Unconfirmed { code: call.code() }),
        }
    }

    /// Whether a stop is not written yet. The stop of a workflow or of live images that waits for the
    /// answer to another one like it does not count: that one is written.
    pub(crate) fn has_unsent_stop(&self) -> bool {
        let calls = || self.waiting.values();
        let is_written = |code| calls().any(|call| call.written && call.code() == code);
        calls().any(|call| {
            let held = || !call.is_emergency() && is_written(call.code());
            call.stops() && !call.written && !held()
        })
    }

    /// The answer is complete. Returns whether a caller took it.
    pub(crate) fn answer(&mut self, ticket: Ticket, now: Instant, mut answer: Answer) -> bool {
        let Some(call) = self.waiting.remove(&ticket) else { return false };
        answer.elapsed = now.since(call.called_at).into();
        self.answered += 1;
        call.reply.wanted() == Wanted::Answer && call.reply.give(Ok(Done::Answered(answer)))
    }

    /// How many calls have had their answer since this was last asked.
    pub(crate) fn take_answered(&mut self) -> usize {
        std::mem::take(&mut self.answered)
    }

    /// The call ended without an answer.
    pub(crate) fn end(&mut self, ticket: Ticket, ended: Ended, meanwhile: &Meanwhile) {
        if matches!(ended, Ended::TimedOut { sent: false } | Ended::Superseded { .. }) {
            // Also if its caller has gone meanwhile.
            self.payloads.remove(&ticket);
        }
        let Some(call) = self.waiting.remove(&ticket) else { return };
        let code = call.code();
        let error = match ended {
            Ended::TimedOut { sent } => {
                let noise = meanwhile.noise.saturating_sub(call.noise_before);
                let (after, rejected) = (call.timeout, meanwhile.rejected);
                if sent && noise > 0 {
                    Error::Broken { code, after, noise, rejected }
                } else {
                    Error::TimedOut { code, after, sent }
                }
            }
            Ended::Unanswered => Error::Unanswered { code },
            Ended::PayloadStalled { received, expected } => {
                Error::PayloadStalled { code, received, expected }
            }
            Ended::Ambiguous => {
                Error::Ambiguous { code, frame: meanwhile.ambiguous.copied().map(Box::new) }
            }
            Ended::Superseded { .. } => Error::Superseded { code },
            // The driver knows the reason and ends all of them itself.
            Ended::ConnectionLost { .. } => return,
        };
        call.refuse(error);
    }

    /// The tickets whose callers do not wait any more.
    pub(crate) fn abandoned(&self) -> Vec<Ticket> {
        let abandoned = self.waiting.iter().filter(|(_, call)| call.is_abandoned());
        abandoned.map(|(ticket, _)| *ticket).collect()
    }

    /// Forgets an abandoned call; its payload too, if the frame will not be sent.
    pub(crate) fn forget(&mut self, ticket: Ticket, will_be_sent: bool) {
        self.waiting.remove(&ticket);
        if !will_be_sent {
            self.payloads.remove(&ticket);
        }
    }

    /// The connection is gone: every call ends. With `keep_stops`, stops that are not written are
    /// returned instead, to be sent over the next connection.
    pub(crate) fn lose_all(&mut self, keep_stops: bool, address: &str, reason: &str) -> Vec<Call> {
        self.payloads.clear();
        let calls = self.waiting.drain().map(|(_, call)| call);
        let (stops, others): (Vec<_>, Vec<_>) =
            calls.partition(|call| keep_stops && call.stops() && !call.written);
        for call in others {
            call.lose(address, reason);
        }
        stops
    }
}
