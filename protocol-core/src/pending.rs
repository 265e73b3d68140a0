//! The fixed-size table of requests in flight and of what is owed for older ones.
//!
//! A request keeps its entry from the call until nothing can come for it any more: queued, sent,
//! then perhaps a tombstone, a doubt. How what is owed comes to an end is `debts.rs`. Which frame
//! belongs to whom is `classify.rs`, what a key is `key.rs`.

use heapless::Vec;

use crate::command::CommandCode;
use crate::config::Config;
use crate::error::Full;
use crate::key::{Key, Order};
use crate::ticket::{Ended, Ticket};
use crate::time::Instant;
use crate::traits::Traits;

/// The most requests and tombstones that one frame may be ambiguous between.
pub const MAX_OWNERS: usize = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) enum State {
    /// Waits to be sent, until its deadline.
    Queued,
    /// Waits for its answer, until its deadline.
    Sent,
    /// A tombstone: it has ended, and its answer may still come, until then.
    Owed,
    /// A tombstone, too: a frame came that is presumed to be its answer; the true one may still come.
    Presumed,
    /// Nobody knows whether its answer may still come.
    Doubt,
    /// Sent without waiting for an answer: an echo may come, until then.
    Echo,
    /// Nothing is to come. The entry stays until its outcome was told.
    Over,
}

/// How a request ended: [`Ended`], in one byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) enum Outcome {
    /// It has not, or it was told.
    None,
    NotSent,
    TimedOut,
    Unanswered,
    Ambiguous,
    Stalled,
    Lost,
}

/// A request, or what is left of it. The room is free when it is over and its outcome was told.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct Entry {
    pub(crate) ticket: Ticket,
    pub(crate) key: Key,
    /// Until when the state lasts.
    pub(crate) until: Instant,
    /// As what number it was sent.
    pub(crate) order: Order,
    /// What the caller had in the field that now carries the token; once the payload of the answer
    /// has stalled, how much of it came.
    pub(crate) original: i32,
    /// How much of a payload should have come that stalled.
    pub(crate) expected: u32,
    pub(crate) state: State,
    /// How it ended, until that was told.
    pub(crate) outcome: Outcome,
    pub(crate) traits: Traits,
}

impl Entry {
    pub(crate) fn new(ticket: Ticket, key: Key, until: Instant) -> Self {
        Self {
            ticket,
            key,
            until,
            order: Order::FIRST,
            original: 0,
            expected: 0,
            state: State::Queued,
            outcome: Outcome::None,
            traits: Traits::of(key.code),
        }
    }

    /// A frame may come for it and will be told, or it is yet to be sent.
    fn is_open(&self) -> bool {
        matches!(self.state, State::Queued | State::Sent) || self.is_tombstone()
    }

    /// A request whose outcome was not told.
    pub(crate) fn is_live(&self) -> bool {
        matches!(self.state, State::Queued | State::Sent) || self.outcome != Outcome::None
    }

    pub(crate) fn is_tombstone(&self) -> bool {
        matches!(self.state, State::Owed | State::Presumed)
    }

    /// A frame may come for it, or nobody knows.
    pub(crate) fn is_outstanding(&self) -> bool {
        self.state == State::Sent || self.is_owed()
    }

    pub(crate) fn is_owed(&self) -> bool {
        self.is_tombstone() || self.state == State::Doubt
    }

    /// While it is unanswered it takes a place in the window.
    fn counts(&self) -> bool {
        matches!(self.state, State::Sent | State::Owed)
            && !self.ticket.is_fence()
            && !self.traits.stops()
            && !self.traits.at_end()
    }

    /// Ends without an answer. A fence has nobody to tell.
    pub(crate) fn end(&mut self, outcome: Outcome, state: State) {
        self.state = state;
        if !self.ticket.is_fence() {
            self.outcome = outcome;
        }
    }

    fn owner(&self) -> Owner {
        Owner { ticket: self.ticket, order: self.order, waits: self.state == State::Sent }
    }

    fn ended(&self) -> Option<Ended> {
        Some(match self.outcome {
            Outcome::None => return None,
            Outcome::NotSent => Ended::TimedOut { sent: false },
            Outcome::TimedOut => Ended::TimedOut { sent: true },
            Outcome::Unanswered => Ended::Unanswered,
            Outcome::Ambiguous => Ended::Ambiguous,
            Outcome::Stalled => {
                Ended::PayloadStalled { received: self.original as u32, expected: self.expected }
            }
            Outcome::Lost => Ended::ConnectionLost,
        })
    }
}

/// Somebody to whom a frame may belong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct Owner {
    pub(crate) ticket: Ticket,
    pub(crate) order: Order,
    /// A request that waits, not a tombstone.
    pub(crate) waits: bool,
}

/// All owners of a key, oldest first.
pub(crate) type OwnerList = Vec<Owner, MAX_OWNERS>;

/// A request whose answer has come, but not the last byte of its payload. There is one at most.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct Receiving {
    pub(crate) ticket: Ticket,
    pub(crate) deadline: Instant,
    pub(crate) expected: u32,
}

/// How many requests may be in flight, and how many stops besides.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) requests: usize,
    pub(crate) stops: usize,
}

/// Room for `ENTRIES`.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct Pending<const ENTRIES: usize> {
    /// In no order; it grows when none of them is free.
    pub(crate) entries: Vec<Entry, ENTRIES>,
    pub(crate) receiving: Option<Receiving>,
    /// More keys are in doubt than can be named: every answer is presumed from now on.
    pub(crate) all_in_doubt: bool,
}

impl<const ENTRIES: usize> Pending<ENTRIES> {
    pub(crate) const fn new() -> Self {
        Self { entries: Vec::new(), receiving: None, all_in_doubt: false }
    }

    fn number_of(&self, which: impl Fn(&Entry) -> bool) -> usize {
        self.entries.iter().fold(0, |number, entry| number.wrapping_add(usize::from(which(entry))))
    }

    /// Requests that have no outcome that was told, and tombstones.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let receiving = usize::from(self.receiving.is_some());
        (self.number_of(Entry::is_live).wrapping_add(receiving), self.number_of(Entry::is_tombstone))
    }

    /// Whether every live request could still leave a tombstone if there was one more.
    fn has_room(&self) -> bool {
        let taken = self.number_of(|entry| entry.is_live() || entry.is_tombstone());
        taken.wrapping_add(usize::from(self.receiving.is_some())) < ENTRIES
    }

    /// Takes a request in. A stop is never refused for want of room for tombstones: the oldest
    /// falls into doubt.
    pub(crate) fn insert(
        &mut self,
        entry: Entry,
        limits: Limits,
        config: &Config,
    ) -> Result<(), Full> {
        let (stop, fence) = (entry.traits.stops(), entry.ticket.is_fence());
        let live = self.number_of(|other| {
            other.is_live() && other.traits.stops() == stop && !other.ticket.is_fence()
        });
        if stop {
            if live >= limits.stops {
                return Err(Full::StopLane);
            }
            let open = |other: &Entry| other.key == entry.key && other.is_open();
            while self.number_of(open) >= MAX_OWNERS {
                if !self.doubt_the_oldest(Some(entry.key), config) {
                    return Err(Full::StopLane);
                }
            }
            if !self.has_room() {
                self.doubt_the_oldest(None, config);
            }
        } else if !self.has_room() {
            return Err(Full::Tombstones);
        } else {
            let live = live.wrapping_add(usize::from(self.receiving.is_some()));
            if !fence && live >= limits.requests {
                return Err(Full::Requests);
            }
        }
        if self.push(entry) { Ok(()) } else { Err(Full::Tombstones) }
    }

    /// Puts an entry in. If there is no room, the oldest echo goes, or else the oldest doubt; but
    /// an echo takes the place of echoes alone. Gives whether it is in.
    pub(crate) fn push(&mut self, entry: Entry) -> bool {
        for victim in [State::Over, State::Echo, State::Doubt] {
            if victim == State::Echo && self.entries.push(entry).is_ok() {
                return true;
            }
            if victim == State::Doubt && entry.state == State::Echo {
                return false;
            }
            let mut oldest: Option<&mut Entry> = None;
            for other in &mut self.entries {
                let fits = other.state == victim && other.outcome == Outcome::None;
                let older = |oldest: &&mut Entry| other.order.is_before(oldest.order);
                if fits && oldest.as_ref().is_none_or(older) {
                    oldest = Some(other);
                }
            }
            if let Some(place) = oldest {
                *place = entry;
                self.all_in_doubt |= victim == State::Doubt;
                return true;
            }
        }
        false
    }

    /// A request that was cancelled before it was sent: nothing is left of it.
    pub(crate) fn forget(&mut self, ticket: Ticket) {
        if let Some(entry) = self.find(ticket) {
            entry.state = State::Over;
        }
    }

    /// The live request of that ticket.
    pub(crate) fn find(&mut self, ticket: Ticket) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.ticket == ticket && entry.is_live())
    }

    /// Everybody to whom a frame of `key` may belong, oldest first.
    pub(crate) fn owners(&self, key: Key) -> OwnerList {
        let mut owners = OwnerList::new();
        for entry in &self.entries {
            if entry.key == key && (entry.state == State::Sent || entry.is_tombstone()) {
                // There is room: a request that would be one too many is not taken in.
                let _ = owners.push(entry.owner());
            }
        }
        oldest_first(&mut owners);
        owners
    }

    /// The owner that a token names, if the code fits too. A doubt owns it, too.
    pub(crate) fn owner_by_token(&self, code: CommandCode, token: i32) -> Option<Owner> {
        let named = self.entries.iter().find(|entry| {
            entry.is_outstanding() && entry.key.code == code && entry.ticket.token() == token
        });
        named.map(Entry::owner)
    }

    /// Whether the frame of that ticket may go on the wire now, as far as answers are concerned.
    pub(crate) fn may_go(&self, ticket: Ticket, now: Instant, config: &Config) -> bool {
        let queued = |entry: &&Entry| entry.ticket == ticket && entry.state == State::Queued;
        let Some(request) = self.entries.iter().find(queued) else {
            return true; // fire and forget
        };
        let untokened = config.tokens.is_none();
        let mut unanswered = 0_usize;
        for entry in &self.entries {
            let blocks = entry.state == State::Sent || untokened && entry.is_tombstone();
            if blocks && entry.key == request.key {
                return false;
            }
            unanswered = unanswered.wrapping_add(usize::from(entry.counts()));
        }
        now < request.until && unanswered < config.window.max(1)
    }

    /// The entry whose state ends next, and when.
    pub(crate) fn next_end(&self) -> Option<(usize, Instant)> {
        let mut next = None;
        let mut soonest = Instant::FAR_FUTURE;
        for (at, entry) in self.entries.iter().enumerate() {
            if entry.is_open() && entry.until < soonest {
                soonest = entry.until;
                next = Some((at, soonest));
            }
        }
        next
    }

    /// A request that ended without an answer, once.
    pub(crate) fn take_ended(&mut self) -> Option<(Ticket, Ended)> {
        let mut first: Option<&mut Entry> = None;
        for entry in &mut self.entries {
            let before = |first: &&mut Entry| entry.ticket.is_before(first.ticket);
            if entry.outcome != Outcome::None && first.as_ref().is_none_or(before) {
                first = Some(entry);
            }
        }
        let first = first?;
        let ended = first.ended()?;
        first.outcome = Outcome::None;
        Some((first.ticket, ended))
    }
}

/// They are few. `sort` would contain a panic, for an order that contradicts itself.
fn oldest_first(mut owners: &mut [Owner]) {
    while let [oldest, others @ ..] = owners {
        for other in others.iter_mut() {
            if other.order.is_before(oldest.order) {
                core::mem::swap(oldest, other);
            }
        }
        owners = others;
    }
}
