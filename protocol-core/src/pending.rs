//! The fixed-size table of requests in flight and of what is owed for older ones.
//!
//! A request keeps its entry from the call until nothing can come for it any more: queued, sent,
//! then perhaps a tombstone, a doubt. How what is owed comes to an end is `debts.rs`. Which frame
//! belongs to whom is `classify.rs`, what a key is `key.rs`.

use heapless::Vec;

use crate::command::CommandCode;
use crate::config::Config;
use crate::error::Full;
use crate::key::{Domain, Key, Order};
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

/// A request, or what is left of it.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct Entry {
    pub(crate) ticket: Ticket,
    pub(crate) key: Key,
    pub(crate) state: State,
    /// Until when that state lasts.
    pub(crate) until: Instant,
    /// As what number it was sent.
    pub(crate) order: Order,
    /// What the caller had in the field that now carries the token.
    pub(crate) original: i32,
    /// How it ended, until that was told.
    pub(crate) outcome: Option<Ended>,
    pub(crate) domain: Domain,
    /// While it is unanswered it takes a place in the window.
    pub(crate) counts: bool,
    /// A HALT or laser-off.
    pub(crate) stop: bool,
    /// A frame of its key may be a push that nothing marks as one.
    pub(crate) pushable: bool,
}

impl Entry {
    pub(crate) fn new(ticket: Ticket, key: Key, until: Instant, config: &Config) -> Self {
        let traits = Traits::of(key.code);
        Self {
            ticket,
            key,
            state: State::Queued,
            until,
            order: Order::FIRST,
            original: 0,
            outcome: None,
            domain: Domain::of(key.code, traits, config.ordering),
            counts: !ticket.is_fence() && !traits.stops() && !traits.at_end(),
            stop: traits.stops(),
            pushable: config.may_push(traits),
        }
    }

    /// A request whose outcome was not told.
    pub(crate) fn is_live(&self) -> bool {
        matches!(self.state, State::Queued | State::Sent) || self.outcome.is_some()
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

    /// Nothing but a note that may be dropped when the room is needed.
    pub(crate) fn is_note(&self) -> bool {
        self.outcome.is_none() && matches!(self.state, State::Doubt | State::Echo | State::Over)
    }

    /// Ends without an answer. A fence has nobody to tell.
    pub(crate) fn end(&mut self, ended: Ended, state: State) {
        self.state = state;
        if !self.ticket.is_fence() {
            self.outcome = Some(ended);
        }
    }

    fn owner(&self) -> Owner {
        Owner { ticket: self.ticket, order: self.order, waits: self.state == State::Sent }
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
        let taken = self.number_of(|entry| !entry.is_note());
        taken.wrapping_add(usize::from(self.receiving.is_some())) < ENTRIES
    }

    /// Takes a request in. A stop is never refused for want of room for tombstones: the oldest
    /// falls into doubt.
    pub(crate) fn insert(&mut self, entry: Entry, limits: Limits) -> Result<(), Full> {
        let (stop, fence) = (entry.stop, entry.ticket.is_fence());
        let mut same = self.number_of(|other| {
            other.is_live() && other.stop == stop && !other.ticket.is_fence()
        });
        if stop {
            if same >= limits.stops {
                return Err(Full::StopLane);
            }
            while self.owners_of(entry.key) >= MAX_OWNERS {
                if !self.doubt_the_oldest(Some(entry.key)) {
                    return Err(Full::StopLane);
                }
            }
            if !self.has_room() {
                self.doubt_the_oldest(None);
            }
        } else if !self.has_room() {
            return Err(Full::Tombstones);
        } else {
            same = same.wrapping_add(usize::from(self.receiving.is_some()));
            if !fence && same >= limits.requests {
                return Err(Full::Requests);
            }
        }
        if self.push(entry) { Ok(()) } else { Err(Full::Tombstones) }
    }

    /// Requests of `key` that have no outcome, and tombstones.
    fn owners_of(&self, key: Key) -> usize {
        self.number_of(|entry| {
            let open = entry.is_tombstone() || (entry.is_live() && entry.outcome.is_none());
            open && entry.key == key
        })
    }

    /// Puts an entry in. If there is no room, the oldest echo goes, or else the oldest doubt; but
    /// an echo takes the place of echoes alone. Gives whether it is in.
    pub(crate) fn push(&mut self, entry: Entry) -> bool {
        for victim in [State::Echo, State::Doubt] {
            let echo_wants_doubt = entry.state == State::Echo && victim == State::Doubt;
            if !self.entries.is_full() || echo_wants_doubt {
                break;
            }
            let note = self.entries.iter_mut().find(|old| old.state == victim && old.is_note());
            if let Some(note) = note {
                note.state = State::Over;
                self.all_in_doubt |= victim == State::Doubt;
            }
            self.sweep();
        }
        self.entries.push(entry).is_ok()
    }

    /// Takes out what is over and told. The others keep their order.
    pub(crate) fn sweep(&mut self) {
        let mut kept = 0_usize;
        for at in 0..self.entries.len() {
            let Some(entry) = self.entries.get(at).copied() else { break };
            if entry.state == State::Over && entry.outcome.is_none() {
                continue;
            }
            if let Some(place) = self.entries.get_mut(kept) {
                *place = entry;
            }
            kept = kept.wrapping_add(1);
        }
        self.entries.truncate(kept);
    }

    /// A request that was cancelled before it was sent: nothing is left of it.
    pub(crate) fn forget(&mut self, ticket: Ticket) {
        if let Some(entry) = self.find(ticket) {
            entry.state = State::Over;
        }
        self.sweep();
    }

    /// The live request of that ticket.
    pub(crate) fn find(&mut self, ticket: Ticket) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.ticket == ticket && entry.is_live())
    }

    /// Everybody to whom a frame of `key` may belong, oldest first.
    pub(crate) fn owners(&self, key: Key) -> OwnerList {
        let mut owners = OwnerList::new();
        for entry in &self.entries {
            if entry.key == key && entry.is_outstanding() && entry.state != State::Doubt {
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
            let on_wire = entry.state == State::Sent;
            if entry.key == request.key && (on_wire || untokened && entry.is_tombstone()) {
                return false;
            }
            let counts = entry.counts && (on_wire || entry.state == State::Owed);
            unanswered = unanswered.wrapping_add(usize::from(counts));
        }
        now < request.until && unanswered < config.window.max(1)
    }

    /// The entry whose state ends next, and when.
    pub(crate) fn next_end(&self) -> Option<(usize, Instant)> {
        let mut next = None;
        let mut soonest = Instant::FAR_FUTURE;
        for (at, entry) in self.entries.iter().enumerate() {
            let ends = matches!(entry.state, State::Queued | State::Sent) || entry.is_tombstone();
            if ends && entry.until < soonest {
                soonest = entry.until;
                next = Some((at, soonest));
            }
        }
        next
    }

    /// A request that ended without an answer, once.
    pub(crate) fn take_ended(&mut self) -> Option<(Ticket, Ended)> {
        let told = self.entries.iter_mut().find_map(|entry| {
            let ended = entry.outcome.take()?;
            Some((entry.ticket, ended))
        });
        if told.is_some() {
            self.sweep();
        }
        told
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
