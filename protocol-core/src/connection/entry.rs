//! One entry of the table: a request, or what is left of it.
//!
//! The table is `pending.rs`; what ends a state is `request.rs`, `receive.rs`, `mod.rs` and
//! `settlement.rs`.

use crate::connection::classify::Candidate;
use crate::connection::config::Config;
use crate::connection::key::{Domain, Key, Order};
use crate::connection::ticket::Ticket;
use crate::time::{Duration, Instant};
use crate::wire::command::{CommandCode, Effect, Kind, Timing};
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
    /// Waits to be sent. A stop waits without end; another request until `until`.
    Queued,
    /// Its answer has come, but not the last byte of the payload. The rest may come until its
    /// deadline.
    Receiving,
    /// The same for an answer that is only presumed.
    ReceivingPresumed,
}

/// A set of states.
#[derive(Debug, Clone, Copy)]
pub(crate) struct States(u16);

impl States {
    const fn of(states: &[State]) -> Self {
        let (mut set, mut rest) = (0, states);
        while let [first, others @ ..] = rest {
            set |= 1 << *first as u16;
            rest = others;
        }
        Self(set)
    }

    pub(crate) const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) const fn has(self, state: State) -> bool {
        self.any(Self::only(state))
    }

    pub(crate) const fn only(state: State) -> Self {
        Self(1 << state as u16)
    }

    /// Whether a state is in both sets.
    pub(crate) const fn any(self, others: Self) -> bool {
        self.0 & others.0 != 0
    }

    pub(crate) const NONE: Self = Self(0);

    pub(crate) const QUEUED: Self = Self::of(&[State::Queued]);
    pub(crate) const SENT: Self = Self::of(&[State::Sent]);
    pub(crate) const DOUBT: Self = Self::of(&[State::Doubt]);
    /// The request has ended, and its answer may still come.
    pub(crate) const TOMBSTONE: Self = Self::of(&[State::Owed, State::Presumed]);
    /// A frame that comes may be its answer.
    pub(crate) const OWNS_ANSWER: Self = Self::TOMBSTONE.or(Self::SENT);
    /// A frame may come for it, or nobody knows.
    pub(crate) const OUTSTANDING: Self = Self::OWNS_ANSWER.or(Self::DOUBT);
    /// Its answer may still come, or nobody knows.
    pub(crate) const MAY_COME: Self = Self::OUTSTANDING.or(Self::OWED);
    /// The true answer may still come: the next request of that key waits.
    pub(crate) const OWED: Self = Self::TOMBSTONE.or(Self::of(&[State::ReceivingPresumed]));
    /// The payload of its answer is coming in.
    pub(crate) const RECEIVING: Self = Self::of(&[State::Receiving, State::ReceivingPresumed]);
    /// A request for which no answer has come and whose deadline has not passed.
    pub(crate) const UNANSWERED: Self = Self::QUEUED.or(Self::SENT);
    /// The answer to an older request may still come, as far as a new one is concerned.
    pub(crate) const UNSETTLED: Self = Self::TOMBSTONE.or(Self::DOUBT);
    /// A request that has not ended.
    pub(crate) const ACTIVE: Self = Self::UNANSWERED.or(Self::RECEIVING);
    /// The state ends by time.
    pub(crate) const ENDS_BY_TIME: Self = Self::TOMBSTONE.or(Self::ACTIVE);
    /// A frame may come now or later that may be its answer. One that is answered for certain owns
    /// nothing any more, however long its payload.
    pub(crate) const MAY_OWN: Self = Self::UNANSWERED.or(Self::OWED);
    /// While a request of that key is in one of these, no other request of the key is sent.
    pub(crate) const HOLDS_KEY: Self = Self::SENT.or(Self::OWED);
}

impl State {
    /// Whether it is one of these.
    pub(crate) const fn is(self, one_of: States) -> bool {
        one_of.has(self)
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
    /// The connection was lost before it was sent.
    LostUnsent,
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
    /// Its answer can prove something, so it can also be in doubt: no frame of its key is a push that
    /// nothing marks as one, and a request can have its key.
    pub(crate) certain: bool,
    pub(crate) ticket: Ticket,
    pub(crate) key: Key,
    /// Until when the state lasts.
    pub(crate) until: Instant,
    /// As what number it was sent.
    pub(crate) order: Order,
    /// The length of the payload of the command.
    pub(crate) uploads: u32,
    /// The time that it has for its answer, from the time it is sent.
    pub(crate) patience: Duration,
    /// What the caller had in the field that now carries the token.
    pub(crate) original: i32,
    /// How long the payload of its answer is.
    pub(crate) expected: u32,
    /// How much of that payload came before it ended.
    pub(crate) received: u32,
    /// How many answers may still come for it; for a doubt, also those of the older requests of its
    /// key that it stands for.
    pub(crate) missing: u16,
    /// What is known about its command. The table of commands is searched once, not for each frame.
    pub(crate) effect: Effect,
    pub(crate) timing: Timing,
}

impl Entry {
    /// A request that waits to be sent without end.
    pub(crate) fn new(ticket: Ticket, code: CommandCode, selector: i32, config: &Config) -> Self {
        let key = Key::new(code, CommandFacts::of(code), selector);
        let facts = CommandFacts::of(key.code);
        Self {
            ticket,
            key,
            until: Instant::FAR_FUTURE,
            patience: config.grace,
            uploads: 0,
            order: Order::FIRST,
            original: 0,
            expected: 0,
            received: 0,
            missing: 1,
            state: State::Queued,
            outcome: Outcome::None,
            domain: Domain::of(key.code, facts.timing, config.ordering),
            certain: !config.may_push(facts) && facts.kind != Kind::FireAndForget,
            effect: facts.effect,
            timing: facts.timing,
        }
    }

    /// Nothing is to come for it.
    pub(crate) const fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// Nothing is to come for it, and nothing is to be told.
    pub(crate) fn is_free(&self) -> bool {
        self.state == State::Over && self.outcome == Outcome::None
    }

    /// A request whose outcome the caller has not taken.
    pub(crate) fn is_live(&self) -> bool {
        self.state.is(States::ACTIVE) || self.outcome != Outcome::None
    }

    /// It is a fence that waits to be sent or for its answer.
    pub(crate) fn is_fence_under_way(&self) -> bool {
        self.ticket.is_fence() && self.state.is(States::UNANSWERED)
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
        self.state.is(States::OWNS_ANSWER) && self.key == key
    }

    /// While it is unanswered it takes a place in the window.
    pub(crate) fn counts(&self) -> bool {
        matches!(self.state, State::Sent | State::Owed)
            && !self.ticket.is_fence()
            && !self.effect.stops()
            && self.timing != Timing::AtEnd
    }

    /// Its answer has come, and its payload, if one was to come, or will not. If the answer is only
    /// presumed, the true one may come until then.
    pub(crate) fn complete(&mut self, until: Option<Instant>) {
        self.state = State::Over;
        if let Some(until) = until {
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
