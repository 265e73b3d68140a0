//! Events, timeouts and counters as structs of C, and how they follow from the types of the core.

use flamingo_protocol_core::connection::{Cancelled, Counters, Reason};
use flamingo_protocol_core::time::Instant;
use flamingo_protocol_core::{Ended, Event};

use crate::values::{FLAMINGO_NEVER, number};

/// An event that is not a received frame.
#[repr(i32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum flamingo_event_kind {
    /// There is no event.
    None = 0,
    /// The request `ticket` ended without an answer, or the frame `ticket` ended without being sent.
    Ended = 1,
    /// The instrument did not answer a harmless query in time.
    Unresponsive = 2,
    /// The instrument has proven that it answers again.
    Responsive = 3,
    /// A stop has waited too long and is not sent. Close the connection and send the stop over a new one.
    StopBlocked = 4,
    /// An event that this header does not know.
    Other = 99,
}

/// How a request ended without an answer.
#[repr(i32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum flamingo_ended {
    /// The deadline passed.
    TimedOut = 0,
    /// The instrument answered a later command of the same subsystem: this answer will never come.
    Unanswered = 1,
    /// The payload of the answer was not complete in time.
    PayloadStalled = 2,
    /// A frame came that may answer this request or another request.
    Ambiguous = 3,
    /// The stop `superseded_by` cancelled the frame before it was sent.
    Superseded = 4,
    /// The connection ended.
    ConnectionLost = 5,
}

/// An event that is not a received frame.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct flamingo_event {
    /// What happened. The other fields have a meaning for ENDED only, and are 0 otherwise.
    pub kind: flamingo_event_kind,
    /// The request or frame.
    pub ticket: u32,
    /// How it ended.
    pub ended: flamingo_ended,
    /// Whether the first byte of the frame was sent. If not, the instrument never received it.
    pub sent: bool,
    /// SUPERSEDED: the ticket of the stop.
    pub superseded_by: u32,
    /// PAYLOAD_STALLED: the number of payload bytes that came.
    pub received: u32,
    /// PAYLOAD_STALLED: the number of payload bytes that the answer declared.
    pub expected: u32,
}

impl From<Option<Event>> for flamingo_event {
    fn from(event: Option<Event>) -> Self {
        let (kind, ended) = (flamingo_event_kind::None, flamingo_ended::TimedOut);
        let none = Self {
            kind,
            ticket: 0,
            ended,
            sent: false,
            superseded_by: 0,
            received: 0,
            expected: 0,
        };
        let of = |kind| Self { kind, ..none };
        match event {
            None => none,
            Some(Event::Ended { ticket, ended }) => {
                Self { ticket: number(ticket), ..of(flamingo_event_kind::Ended) }.ended(ended)
            }
            Some(Event::Unresponsive) => of(flamingo_event_kind::Unresponsive),
            Some(Event::Responsive) => of(flamingo_event_kind::Responsive),
            Some(Event::StopBlocked) => of(flamingo_event_kind::StopBlocked),
            Some(_) => of(flamingo_event_kind::Other),
        }
    }
}

impl flamingo_event {
    fn ended(self, ended: Ended) -> Self {
        use flamingo_ended as To;
        match ended {
            Ended::TimedOut { sent } => Self { ended: To::TimedOut, sent, ..self },
            Ended::Unanswered => Self { ended: To::Unanswered, sent: true, ..self },
            Ended::PayloadStalled { received, expected } => {
                Self { ended: To::PayloadStalled, sent: true, received, expected, ..self }
            }
            Ended::Ambiguous => Self { ended: To::Ambiguous, sent: true, ..self },
            Ended::Superseded { by } => {
                Self { ended: To::Superseded, superseded_by: number(by), ..self }
            }
            Ended::ConnectionLost { sent } => Self { ended: To::ConnectionLost, sent, ..self },
        }
    }
}

/// Why a timeout is due.
#[repr(i32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum flamingo_reason {
    /// No timer runs.
    None = 0,
    /// The deadline of the request `ticket`.
    Deadline = 1,
    /// The time in which a late answer may come is over.
    Grace = 2,
    /// A stop has waited too long to be written.
    StopBlocked = 3,
    /// A reason that this header does not know.
    Other = 99,
}

/// When to call flamingo_connection_handle_timeout.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct flamingo_timeout {
    /// The time in microseconds; FLAMINGO_NEVER if no timer runs.
    pub due_us: u64,
    /// Why.
    pub reason: flamingo_reason,
    /// DEADLINE: the request; 0 otherwise.
    pub ticket: u32,
}

impl From<Option<(Instant, Reason)>> for flamingo_timeout {
    fn from(due: Option<(Instant, Reason)>) -> Self {
        let Some((due, reason)) = due else {
            return Self { due_us: FLAMINGO_NEVER, reason: flamingo_reason::None, ticket: 0 };
        };
        let (reason, ticket) = match reason {
            Reason::Deadline(ticket) => (flamingo_reason::Deadline, number(ticket)),
            Reason::Grace => (flamingo_reason::Grace, 0),
            Reason::StopBlocked => (flamingo_reason::StopBlocked, 0),
            _ => (flamingo_reason::Other, 0),
        };
        Self { due_us: due.as_micros(), reason, ticket }
    }
}

/// What a cancel did.
#[repr(i32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum flamingo_cancelled {
    /// The frame was not sent, and it will not be sent.
    NotSent = 0,
    /// The frame was sent, or its rest follows. If its answer comes, its class is LATE.
    Sent = 1,
    /// The request had already ended, or it never existed. An outcome that was not taken is still reported.
    Unknown = 2,
}

impl From<Cancelled> for flamingo_cancelled {
    fn from(cancelled: Cancelled) -> Self {
        match cancelled {
            Cancelled::NotSent => Self::NotSent,
            Cancelled::Sent => Self::Sent,
            Cancelled::Unknown => Self::Unknown,
        }
    }
}

/// Counts since the connection began. Every received frame counts in exactly one of `solicited`, `late`,
/// `ambiguous` and `unsolicited`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct flamingo_counters {
    /// Frames of which at least one byte was sent, fences included.
    pub frames_sent: u64,
    /// Answers to waiting requests, fences included.
    pub solicited: u64,
    /// Solicited frames that are only presumed.
    pub presumed: u64,
    /// Answers to requests that had already ended.
    pub late: u64,
    /// Frames that may answer several requests.
    pub ambiguous: u64,
    /// Frames that answer no request.
    pub unsolicited: u64,
    /// Received bytes of payloads.
    pub payload_bytes: u64,
    /// Bytes that were skipped because they were not part of a frame.
    pub noise_bytes: u64,
    /// Requests that ended by their deadline.
    pub timed_out: u64,
    /// Requests that ended because the instrument answered a later one.
    pub unanswered: u64,
    /// Answers whose payload was not complete in time.
    pub payload_stalled: u64,
    /// Frames that a stop cancelled.
    pub superseded: u64,
    /// Fences: harmless queries that the connection sent to settle older requests.
    pub fences_sent: u64,
    /// Fences that the instrument did not answer in time.
    pub fences_unanswered: u64,
}

impl From<Counters> for flamingo_counters {
    fn from(counters: Counters) -> Self {
        Self {
            frames_sent: counters.frames_sent,
            solicited: counters.solicited,
            presumed: counters.presumed,
            late: counters.late,
            ambiguous: counters.ambiguous,
            unsolicited: counters.unsolicited,
            payload_bytes: counters.payload_bytes,
            noise_bytes: counters.noise_bytes,
            timed_out: counters.timed_out,
            unanswered: counters.unanswered,
            payload_stalled: counters.payload_stalled,
            superseded: counters.superseded,
            fences_sent: counters.fences_sent,
            fences_unanswered: counters.fences_unanswered,
        }
    }
}
