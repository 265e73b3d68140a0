//! One entry of the table: a request, or what is left of it.
//!
//! The table is `pending.rs`; what ends a state is `request.rs`, `receive.rs`, `mod.rs` and
//! `settlement.rs`.

use crate::connection::classify::Candidate;
use crate::connection::config::Config;
use crate::connection::key::{Domain, Key, Order};
use crate::connection::ticket::Ticket;
use crate::time::Instant;
use crate::wire::command::{CommandCode, Timing};
use crate::wire::facts::CommandFacts;

/// What may still happen to an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) enum State {
    /// Nothing is to come. The slot is free once the caller has taken the outcome.
    Over,
    /// Sent without waiting for an answer. An echo may come until `until`.
    Echo,
    /// Nobody knows whether its answer may still come.
    Doubt,
    /// A tombstone: a frame came that is presumed to be its answer; the true one may still come.
    Presumed,
    /// A tombstone: it has ended, and its answer may still come until `until`.
    Owed,
    /// Waits for its answer, until its deadline.
    Sent,
    /// Waits to be sent, until its deadline.
    Queued,
    /// Its answer has come, but not the last byte of the payload. The rest may come until its
    /// deadline.
    Receiving,
    /// The same for an answer that is only presumed.
    ReceivingPresumed,
}

impl State {
    /// The request has ended, and its answer may still come.
    pub(crate) const fn is_tombstone(self) -> bool {
        matches!(self, Self::Owed | Self::Presumed)
    }

    /// A frame that comes may be its answer.
    pub(crate) const fn owns_answer(self) -> bool {
        self.is_tombstone() || matches!(self, Self::Sent)
    }

    /// A frame may come for it, or nobody knows.
    pub(crate) const fn is_outstanding(self) -> bool {
        self.owns_answer() || matches!(self, Self::Doubt)
    }

    /// The true answer may still come: the next request of that key waits.
    pub(crate) const fn is_owed(self) -> bool {
        self.is_tombstone() || matches!(self, Self::ReceivingPresumed)
    }

    /// The payload of its answer is coming in.
    pub(crate) const fn is_receiving(self) -> bool {
        matches!(self, Self::Receiving | Self::ReceivingPresumed)
    }

    /// A request for which no answer has come and whose deadline has not passed.
    pub(crate) const fn is_unanswered(self) -> bool {
        matches!(self, Self::Queued | Self::Sent)
    }

    /// A request that has not ended.
    pub(crate) const fn is_active(self) -> bool {
        self.is_unanswered() || self.is_receiving()
    }

    /// The state ends by time.
    pub(crate) const fn ends_by_time(self) -> bool {
        self.is_tombstone() || self.is_active()
    }
}

/// How a request ended: [`Ended`](crate::Ended), in one byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) enum Outcome {
    /// It has not ended, or the caller has taken the outcome.
    None,
    NotSent,
    TimedOut,
    Unanswered,
    Ambiguous,
    Stalled,
    Lost,
}

/// A request, or what is left of it.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(test, derive(PartialEq, Eq))]
#[repr(C)] // what is read most comes first; without: 82 bytes more flash
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct Entry {
    pub(crate) state: State,
    /// How it ended, until the caller takes the outcome.
    pub(crate) outcome: Outcome,
    /// Within what its answer keeps its order.
    pub(crate) domain: Domain,
    /// No frame of its key is a push that nothing marks as one.
    pub(crate) certain: bool,
    pub(crate) ticket: Ticket,
    pub(crate) key: Key,
    /// Until when the state lasts.
    pub(crate) until: Instant,
    /// As what number it was sent.
    pub(crate) order: Order,
    /// What the caller had in the field that now carries the token.
    pub(crate) original: i32,
    /// How long the payload of its answer is.
    pub(crate) expected: u32,
    /// How much of that payload came before it ended.
    pub(crate) received: u32,
}

impl Entry {
    /// All zero, so that a connection that nothing has happened on takes no flash.
    pub(crate) const FREE: Self = Self {
        ticket: Ticket::NONE,
        key: Key::NONE,
        until: Instant::from_micros(0),
        order: Order::FIRST,
        original: 0,
        expected: 0,
        received: 0,
        state: State::Over,
        outcome: Outcome::None,
        domain: Domain::NONE,
        certain: false,
    };

    pub(crate) fn new(ticket: Ticket, code: CommandCode, selector: i32, config: &Config) -> Self {
        let key = Key::new(code, CommandFacts::of(code), selector);
        let facts = CommandFacts::of(key.code);
        Self {
            ticket,
            key,
            until: Instant::FAR_FUTURE,
            order: Order::FIRST,
            original: 0,
            expected: 0,
            received: 0,
            state: State::Queued,
            outcome: Outcome::None,
            domain: Domain::of(key.code, facts.timing, config.ordering),
            certain: !config.may_push(facts),
        }
    }

    /// What is known about its command.
    pub(crate) fn facts(&self) -> &'static CommandFacts {
        CommandFacts::of(self.key.code)
    }

    /// Nothing is to come for it.
    pub(crate) const fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// A request whose outcome the caller has not taken.
    pub(crate) fn is_live(&self) -> bool {
        self.state.is_active() || self.outcome != Outcome::None
    }

    /// It waits for its answer; it is no tombstone.
    pub(crate) const fn waits(&self) -> bool {
        matches!(self.state, State::Sent)
    }

    /// The same for the rules.
    pub(crate) const fn candidate<Id>(&self, id: Id) -> Candidate<Id> {
        Candidate { id, order: self.order, waits: self.waits() }
    }

    pub(crate) fn is_owner_of(&self, key: Key) -> bool {
        self.state.owns_answer() && self.key == key
    }

    /// While it is unanswered it takes a place in the window.
    pub(crate) fn counts(&self) -> bool {
        matches!(self.state, State::Sent | State::Owed)
            && !self.ticket.is_fence()
            && !self.facts().effect.stops()
            && self.facts().timing != Timing::AtEnd
    }

    /// Its answer has come, and its payload, if one was to come, or will not. If it is only
    /// presumed, the true one may come until then.
    pub(crate) fn complete(&mut self, proven: bool, until: Instant) {
        if proven {
            self.state = State::Over;
        } else {
            (self.state, self.until) = (State::Presumed, until);
        }
    }

    /// Ends without an answer. A fence has nobody to tell.
    pub(crate) fn end(&mut self, outcome: Outcome, state: State) {
        self.state = state;
        if !self.ticket.is_fence() {
            self.outcome = outcome;
        }
    }
}
