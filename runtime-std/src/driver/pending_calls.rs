//! The calls of the clients, and which of them wait for which ticket. Each call gets exactly one
//! outcome here. No socket and no protocol is here; how a call enters the core is `calls.rs`.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_channel::Sender;
use flamingo_protocol_core::{
    CommandCode, Ended, Frame, Ticket, connection::Counters, error::DecodeError, time::Instant,
};

use crate::error::Error;
use crate::fanout::CallId;

/// An answer to a request.
#[derive(Clone)]
pub struct Answer {
    /// The frame.
    pub frame: Frame,
    /// Its payload, whole.
    pub payload: Arc<[u8]>,
    /// Whether only this request can have caused the frame. If not, it is the presumed answer, and
    /// subscribers receive it too.
    pub proven: bool,
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
    pub(crate) payload: Option<Arc<[u8]>>,
    pub(crate) called_at: Instant,
    pub(crate) timeout: Duration,
    pub(crate) reply: Reply,
    /// It is written, with its payload.
    pub(crate) written: bool,
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
    pub(crate) fn refuse(&self, error: Error) {
        self.reply.fail(error);
    }

    pub(crate) fn code(&self) -> CommandCode {
        self.frame.code
    }

    pub(crate) fn deadline(&self) -> Instant {
        self.called_at + self.timeout.into()
    }

    /// Its caller does not wait any more, and it need not be carried out. A stop always is.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.reply.is_abandoned() && !self.stops()
    }

    pub(crate) fn stops(&self) -> bool {
        self.code().row().is_some_and(|row| row.effect.stops())
    }
}

/// Where the outcome of a call goes. A full channel cannot be: there is one outcome.
pub(crate) enum Reply {
    /// To a request.
    Answer(Sender<Result<Answer, Error>>),
    /// To a caller that waits until the frame is written.
    Written(Sender<Result<(), Error>>),
}

impl Reply {
    fn is_abandoned(&self) -> bool {
        match self {
            Self::Answer(reply) => reply.is_closed(),
            Self::Written(reply) => reply.is_closed(),
        }
    }

    fn fail(&self, error: Error) {
        // The caller may have gone.
        let _ = match self {
            Self::Answer(reply) => reply.try_send(Err(error)).is_ok(),
            Self::Written(reply) => reply.try_send(Err(error)).is_ok(),
        };
    }
}

/// The calls that the core has a ticket for.
#[derive(Default)]
pub(crate) struct PendingCalls {
    waiting: HashMap<Ticket, Call>,
    /// Payloads that the core may still ask for, even if no caller waits any more.
    payloads: HashMap<Ticket, Arc<[u8]>>,
}

impl PendingCalls {
    pub(crate) fn insert(&mut self, ticket: Ticket, mut call: Call) {
        if let Some(payload) = call.payload.take() {
            self.payloads.insert(ticket, payload);
        }
        self.waiting.insert(ticket, call);
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
        if matches!(call.reply, Reply::Answer(_)) {
            return;
        }
        if let Some(Call { reply: Reply::Written(reply), .. }) = self.waiting.remove(&ticket) {
            // The caller may have gone.
            let _ = reply.try_send(Ok(()));
        }
    }

    /// The answer is complete. Returns whether a caller took it.
    pub(crate) fn answer(&mut self, ticket: Ticket, now: Instant, mut answer: Answer) -> bool {
        let Some(call) = self.waiting.remove(&ticket) else { return false };
        answer.elapsed = now.since(call.called_at).into();
        match call.reply {
            Reply::Answer(reply) => reply.try_send(Ok(answer)).is_ok(),
            Reply::Written(_) => false,
        }
    }

    /// The call ended without an answer.
    pub(crate) fn end(&mut self, ticket: Ticket, ended: Ended, meanwhile: &Meanwhile) {
        let Some(call) = self.waiting.remove(&ticket) else { return };
        let code = call.code();
        let error = match ended {
            Ended::TimedOut { sent } => {
                if !sent {
                    self.payloads.remove(&ticket);
                }
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
            Ended::Superseded { .. } => {
                self.payloads.remove(&ticket);
                Error::Superseded { code }
            }
            // The driver knows the reason and ends all of them itself.
            Ended::ConnectionLost => return,
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
    pub(crate) fn lose_all(&mut self, keep_stops: bool, lost: &dyn Fn() -> Error) -> Vec<Call> {
        self.payloads.clear();
        let calls = self.waiting.drain().map(|(_, call)| call);
        let (stops, others): (Vec<_>, Vec<_>) =
            calls.partition(|call| keep_stops && call.stops() && !call.written);
        for call in others {
            call.refuse(lost());
        }
        stops
    }
}
