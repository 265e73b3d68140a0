//! The fixed-size table of requests in flight and of what is owed for older ones.
//!
//! A request keeps its entry from the call until nothing can come for it any more: queued, sent,
//! then perhaps a tombstone, a doubt. How what is owed comes to an end is `settlement.rs`; what a single
//! entry knows is `entry.rs`. Which frame belongs to whom is `classify.rs`.

use heapless::Vec;

use crate::connection::classify::{Facts, MAX_OWNERS, Owners, Token};
use crate::connection::config::Config;
use crate::connection::entry::{Entry, Outcome, State};
use crate::connection::key::{Key, Order};
use crate::connection::ticket::Ticket;
use crate::error::Full;
use crate::time::Instant;
use crate::wire::command::CommandCode;

/// Where an entry is in the table. It stays there until it is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot(usize);

/// Room for `ENTRIES`.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct Pending<const ENTRIES: usize> {
    /// In no order; free ones too.
    pub(crate) entries: [Entry; ENTRIES],
    /// More keys are in doubt than can be named: every answer is presumed from now on.
    pub(crate) all_in_doubt: bool,
}

impl<const ENTRIES: usize> Pending<ENTRIES> {
    /// Nothing has happened yet: all zero.
    pub(crate) const NEW: Self = Self { entries: [Entry::FREE; ENTRIES], all_in_doubt: false };

    fn number_of(&self, which: impl Fn(&Entry) -> bool) -> usize {
        self.entries.iter().fold(0, |number, entry| number.wrapping_add(usize::from(which(entry))))
    }

    /// All entries, each with its slot.
    fn slots(&self) -> impl Iterator<Item = (Slot, &Entry)> {
        let mut next = 0_usize;
        self.entries.iter().map(move |entry| {
            let slot = Slot(next);
            next = next.wrapping_add(1);
            (slot, entry)
        })
    }

    /// The entry of that ticket, if `fits` accepts its state.
    pub(crate) fn find(
        &mut self,
        ticket: Ticket,
        fits: impl Fn(State) -> bool,
    ) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.ticket == ticket && fits(entry.state))
    }

    /// Whether there is an entry of that key whose state `fits` accepts.
    pub(crate) fn has(&self, key: Key, fits: impl Fn(State) -> bool) -> bool {
        self.entries.iter().any(|entry| fits(entry.state) && entry.key == key)
    }

    /// Requests whose outcome the caller has not taken, and tombstones.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.number_of(Entry::is_live), self.number_of(|entry| entry.state.is_tombstone()))
    }

    /// Takes a request in, if every live one could still leave a tombstone; `most` may be live, of
    /// stops if it is one, else of others, fences not counted. A stop is never refused for want of
    /// room for tombstones: the oldest tombstone whose outcome was taken falls into doubt.
    pub(crate) fn insert(&mut self, entry: &Entry, most: usize) -> Result<(), Full> {
        let stops = entry.facts().effect.stops();
        let (mut taken, mut live) = (0_usize, 0_usize);
        for other in &self.entries {
            if other.is_live() || other.state.is_tombstone() {
                taken = taken.wrapping_add(1);
                let alike = !other.ticket.is_fence() && other.facts().effect.stops() == stops;
                live = live.wrapping_add(usize::from(alike && other.is_live()));
            }
        }
        if live >= most {
            return Err(if stops { Full::StopLane } else { Full::Requests });
        }
        let mut room = taken < ENTRIES;
        if stops {
            // One that is answered for certain owns nothing any more, however long its payload.
            let owner = |state: State| state.ends_by_time() && state != State::Receiving;
            let open = |other: &Entry| other.key == entry.key && owner(other.state);
            while ENTRIES > MAX_OWNERS && self.number_of(open) >= MAX_OWNERS {
                if !self.doubt_the_oldest(Some(entry.key)) {
                    return Err(Full::StopLane);
                }
            }
            room = room || self.doubt_the_oldest(None);
        }
        if room && self.push(entry) { Ok(()) } else { Err(Full::Tombstones) }
    }

    /// Puts an entry in. If there is no room, an echo goes, or else a doubt; but an echo takes the
    /// place of echoes alone. Gives whether it is in.
    pub(crate) fn push(&mut self, entry: &Entry) -> bool {
        let free = |state: State| {
            move |other: &Entry| other.state == state && other.outcome == Outcome::None
        };
        let place = |state| self.entries.iter().position(free(state));
        let mut place = place(State::Over).or_else(|| place(State::Echo));
        if place.is_none() && entry.state != State::Echo {
            place = self.entries.iter().position(free(State::Doubt));
            self.all_in_doubt |= place.is_some();
        }
        let Some(place) = place.and_then(|at| self.entries.get_mut(at)) else { return false };
        *place = *entry;
        true
    }

    /// Adds to the facts what the table knows about a frame of `key` that comes now. Gives the
    /// command that it may be the echo of.
    pub(crate) fn facts(&self, key: Key, now: Instant, facts: &mut Facts<Slot>) -> Option<Slot> {
        let mut echo = None;
        facts.in_doubt = self.all_in_doubt;
        let mut from = 0;
        while let Some((slot, entry)) = self.next_of_key(from, key) {
            from = slot.0.wrapping_add(1);
            if entry.state.owns_answer() {
                facts.candidates.add(entry.candidate(slot));
            }
            facts.in_doubt |= entry.state == State::Doubt;
            if entry.state == State::Echo && now <= entry.until {
                echo = Some(slot);
            }
        }
        facts.echo_expected = echo.is_some();
        echo
    }

    /// Of those entries, the one that was sent first.
    pub(crate) fn oldest(&self, which: impl Fn(&Entry) -> bool) -> Option<Slot> {
        let mut oldest: Option<(Slot, &Entry)> = None;
        for (slot, entry) in self.slots() {
            let earlier = oldest.is_none_or(|(_, oldest)| entry.order.is_before(oldest.order));
            if earlier && which(entry) {
                oldest = Some((slot, entry));
            }
        }
        oldest.map(|(slot, _)| slot)
    }

    /// The entry in that slot.
    pub(crate) fn at(&mut self, slot: Slot) -> Option<&mut Entry> {
        self.entries.get_mut(slot.0)
    }

    /// The first entry of that key from there on.
    fn next_of_key(&self, from: usize, key: Key) -> Option<(Slot, &Entry)> {
        let rest = self.entries.get(from..)?;
        let at = rest.iter().position(|entry| !entry.is_over() && entry.key == key)?;
        Some((Slot(from.wrapping_add(at)), rest.get(at)?))
    }

    /// The same, to look at.
    pub(crate) fn get(&self, slot: Slot) -> Option<&Entry> {
        self.entries.get(slot.0)
    }

    /// Their tickets, oldest first. There are few: a request that would be one too many is not
    /// taken in.
    pub(crate) fn owners_in_order(&self, key: Key) -> Owners {
        let mut tickets = Vec::new();
        let mut last: Option<Order> = None;
        loop {
            let mut next: Option<&Entry> = None;
            for entry in self.entries.iter().filter(|entry| entry.is_owner_of(key)) {
                let later = last.is_none_or(|last| last.is_before(entry.order));
                if later && next.is_none_or(|next| entry.order.is_before(next.order)) {
                    next = Some(entry);
                }
            }
            let Some(next) = next.filter(|next| tickets.push(next.ticket).is_ok()) else {
                return Owners(tickets);
            };
            last = Some(next.order);
        }
    }

    /// The request that a token names, if the code fits too. It may be a doubt.
    pub(crate) fn owner_by_token(&self, code: CommandCode, token: i32) -> Token<Slot> {
        let named = |entry: &Entry| {
            entry.ticket.token() == token && entry.key.code == code && entry.state.is_outstanding()
        };
        for (slot, entry) in self.slots() {
            if named(entry) {
                return Token::Names(entry.candidate(slot));
            }
        }
        Token::NamesNobody
    }

    /// Whether the frame of that ticket may go on the wire now, as far as answers are concerned.
    pub(crate) fn may_go(&self, ticket: Ticket, now: Instant, config: &Config) -> bool {
        let queued = |entry: &&Entry| entry.ticket == ticket && entry.state == State::Queued;
        let Some(request) = self.entries.iter().find(queued) else {
            return true; // fire and forget
        };
        let owed = |state: State| config.tokens.is_none() && state.is_owed();
        now < request.until
            && !self.has(request.key, |state| state == State::Sent || owed(state))
            && self.number_of(Entry::counts) < config.window.max(1)
    }

    /// The entry whose state ends next.
    #[inline(never)] // inlined, client and device together take 166 bytes more flash
    pub(crate) fn next_end(&self) -> Option<Slot> {
        let mut next = None;
        let mut first = Instant::FAR_FUTURE;
        for (slot, entry) in self.slots() {
            if entry.state.ends_by_time() && entry.until < first {
                (next, first) = (Some(slot), entry.until);
            }
        }
        next
    }

    /// A request that ended without an answer; its outcome is to be told and cleared.
    pub(crate) fn ended(&mut self) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.outcome != Outcome::None)
    }
}
