//! The fixed-size table of requests in flight and of what is owed for older ones.
//!
//! A request keeps its entry from the call until nothing can come for it any more: queued, sent,
//! then perhaps a tombstone, a doubt. How what is owed comes to an end is `settlement.rs`; what a single
//! entry knows is `entry.rs`; what is known of keys without an entry is `forgotten.rs`. Which frame
//! belongs to whom is `classify.rs`.

use heapless::Vec;

use crate::connection::classify::{Facts, MAX_OWNERS, Owners, Token};
use crate::connection::config::Config;
use crate::connection::entry::{Entry, Outcome, State, States};
use crate::connection::forgotten::Forgotten;
use crate::connection::index::{Counts, INDEXED, Index};
use crate::connection::key::{Key, Order};
use crate::connection::settlement::{LongHolds, Recovery};
use crate::connection::silent::SilentDomains;
use crate::connection::ticket::Ticket;
use crate::error::Full;
use crate::time::Instant;
use crate::wire::command::CommandCode;
use crate::wire::facts::answered_command;

/// Where an entry is in the table. It stays there until it is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot(usize);

/// So many entries are few: to look at them takes less flash than to know that nothing has changed.
pub(crate) const FEW: usize = 16;

/// Room for `ENTRIES`.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct Pending<const ENTRIES: usize> {
    /// In no order. Some are free, but not the last one.
    pub(crate) entries: Vec<Entry, ENTRIES>,
    /// The keys in doubt for which the table has no place.
    pub(crate) forgotten: Forgotten,
    pub(crate) long_holds: LongHolds,
    pub(crate) silent: SilentDomains,
    pub(crate) recovery: Recovery,
    /// The last look found no frame that may go, and nothing has changed since.
    pub(crate) nothing_goes: bool,
    /// The last look found no outcome to tell, and nothing has changed since.
    nothing_ended: bool,
    pub(crate) index: Index,
}

impl<const ENTRIES: usize> Pending<ENTRIES> {
    /// Nothing has happened yet: all zero.
    pub(crate) const NEW: Self = Self {
        entries: Vec::new(),
        forgotten: Forgotten::NONE,
        long_holds: LongHolds::NONE,
        silent: SilentDomains::NONE,
        recovery: Recovery::new(),
        nothing_goes: false,
        nothing_ended: false,
        index: Index::NEW,
    };

    /// Says that an entry changes, or the outbox.
    pub(crate) const fn touch(&mut self) {
        if ENTRIES > FEW {
            (self.nothing_goes, self.nothing_ended) = (false, false);
        }
    }

    /// All entries, to change them.
    pub(crate) fn entries_mut(&mut self) -> &mut [Entry] {
        self.touch();
        self.index.open_all();
        &mut self.entries
    }

    /// Counts what has changed.
    pub(crate) fn close(&mut self) {
        self.index.close(&self.entries);
    }

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

    /// The entry of that ticket, if it is in one of these states.
    pub(crate) fn find(&mut self, ticket: Ticket, states: States) -> Option<&mut Entry> {
        let at = self.place_of(ticket, states)?;
        self.at(Slot(at))
    }

    fn place_of(&self, ticket: Ticket, states: States) -> Option<usize> {
        let is_it = |entry: &Entry| entry.ticket == ticket && entry.state.is(states);
        let likely = self.index.of_ticket(ticket);
        let likely = likely.filter(|at| self.entries.get(*at).is_some_and(is_it));
        likely.or_else(|| self.entries.iter().position(is_it))
    }

    /// The states of all entries with the key of this one, itself included. A key that was forgotten
    /// is in doubt.
    #[cfg_attr(target_os = "none", inline(never))] // inlined, a client takes 300 bytes more flash
    pub(crate) fn states_of(&self, of: &Entry) -> States {
        let forgotten = self.forgotten.has(of.key, of.domain);
        let start = if forgotten { States::DOUBT } else { States::NONE };
        let of_key = self.of_key(of.key);
        of_key.fold(start, |states, entry| states.or(States::only(entry.state)))
    }

    fn has_in(&self, key: Key, states: States) -> bool {
        self.of_key(key).any(|entry| entry.state.is(states))
    }

    /// All entries of a key. Some that are over may be left out.
    fn of_key(&self, key: Key) -> impl Iterator<Item = &Entry> {
        let (from, to) = self.index.of_key(key, &self.entries);
        let entries = self.entries.get(from..to).unwrap_or_default();
        entries.iter().filter(move |entry| entry.key == key)
    }

    /// Requests whose outcome the caller has not taken, and tombstones.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.number_of(Entry::is_live), self.number_of(|entry| entry.state.is(States::TOMBSTONE)))
    }

    /// Takes a request in, if every live one could still leave a tombstone. `most` may be live: of
    /// HALT and laser-off if it is one of these, else of the others without the fences. All but HALT
    /// and laser-off leave `reserved` places to these. A stop is never refused because there is no
    /// room for tombstones: the oldest tombstone whose outcome was taken falls into doubt.
    pub(crate) fn insert(
        &mut self,
        entry: &Entry,
        most: usize,
        reserved: usize,
    ) -> Result<(), Full> {
        self.close();
        let emergency = entry.effect.is_emergency();
        let (taken, live, fences) = self.room(emergency);
        let leaves = ENTRIES.saturating_sub(live).saturating_sub(fences);
        if live >= most || (!emergency && leaves <= reserved) {
            return Err(if emergency { Full::StopLane } else { Full::Requests });
        }
        let mut room = taken < ENTRIES;
        if entry.effect.stops() {
            // A frame that answers one of them names all of them, at most `MAX_OWNERS`.
            let open = |other: &Entry| other.key == entry.key && other.state.is(States::MAY_OWN);
            let crowded = self.number_of(open) >= MAX_OWNERS;
            if crowded || !room {
                room = self.doubt_the_oldest(crowded.then_some(entry.key));
            }
        }
        if room && self.push(entry) {
            return Ok(());
        }
        Err(if emergency { Full::StopLane } else { Full::Tombstones })
    }

    /// How many entries are live or tombstones; and of the emergencies, or of the others, how many are
    /// live: without the fences, and the fences.
    fn room(&self, emergency: bool) -> (usize, usize, usize) {
        if let Some(counts) = self.index.counts() {
            return counts.room(emergency);
        }
        let (mut taken, mut live, mut fences) = (0_usize, 0_usize, 0_usize);
        for other in &self.entries {
            if other.is_live() || other.state.is(States::TOMBSTONE) {
                taken = taken.wrapping_add(1);
                let other_emergency = other.effect.is_emergency();
                let alike = usize::from(other_emergency == emergency && other.is_live());
                let of_fences = if other.ticket.is_fence() { &mut fences } else { &mut live };
                *of_fences = of_fences.wrapping_add(alike);
            }
        }
        (taken, live, fences)
    }

    /// Puts an entry in. If there is no room, an echo goes, or else a doubt; but an echo takes the
    /// place of echoes alone. Gives whether it is in.
    pub(crate) fn push(&mut self, entry: &Entry) -> bool {
        let free = |state: State| {
            move |other: &Entry| other.state == state && other.outcome == Outcome::None
        };
        self.touch();
        self.close();
        while self.entries.last().is_some_and(free(State::Over)) {
            self.entries.pop();
        }
        let (from, len) = (self.index.free(), self.entries.len());
        let rest = self.entries.get(from..).unwrap_or_default();
        let over = rest.iter().position(free(State::Over));
        let mut found = over.map(|at| at.wrapping_add(from));
        if found.is_none() && self.entries.push(*entry).is_ok() {
            self.index.put(len, entry);
            return true;
        }
        found = found.or_else(|| self.entries.iter().position(free(State::Echo)));
        if found.is_none() && entry.state != State::Echo {
            // The oldest: the newest is of a key that is asked for at present.
            found = self.oldest(free(State::Doubt)).map(|slot| slot.0);
        }
        let Some(at) = found else { return false };
        self.index.open(at, &self.entries);
        let Some(place) = self.entries.get_mut(at) else { return false };
        if place.state == State::Doubt {
            self.forgotten.add(place);
        }
        *place = *entry;
        self.index.put(at, entry);
        true
    }

    /// Adds to the facts what the table knows about a frame of `key` that comes now: its domain is
    /// not silent. Gives the command that it may be the echo of.
    #[allow(clippy::inline_always)] // a call: 38 instructions more for an event on x86-64
    #[cfg_attr(not(target_os = "none"), inline(always))]
    pub(crate) fn facts(
        &mut self,
        key: Key,
        now: Instant,
        facts: &mut Facts<Slot>,
    ) -> Option<Slot> {
        let (mut echo, mut heard) = (None, None);
        self.close();
        let (mut from, to) = self.index.of_key(key, &self.entries);
        while (!INDEXED || from < to)
            && let Some((slot, entry)) = self.next_of_key(from, key)
        {
            from = slot.0.wrapping_add(1);
            if entry.state.is(States::OWNS_ANSWER) {
                facts.candidates.add(entry.candidate(slot));
                facts.in_doubt |= self.forgotten.has(key, entry.domain);
                heard = Some(entry.domain);
            }
            facts.in_doubt |= entry.state == State::Doubt;
            if entry.state == State::Echo && now <= entry.until {
                echo = Some(slot);
            }
        }
        if let Some(domain) = heard {
            self.touch();
            self.silent.end(domain);
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
        self.touch();
        self.index.open(slot.0, &self.entries);
        self.entries.get_mut(slot.0)
    }

    /// The first entry of that key from there on.
    fn next_of_key(&self, from: usize, key: Key) -> Option<(Slot, &Entry)> {
        let rest = self.entries.get(from..)?;
        let at = rest.iter().position(|entry| !entry.is_over() && entry.key == key)?;
        Some((Slot(from.wrapping_add(at)), rest.get(at)?))
    }

    /// The ticket of a request, and what the caller had in the field of the token.
    pub(crate) fn owner(&self, slot: Slot) -> (Ticket, Option<i32>) {
        let entry = self.get(slot);
        entry.map_or((Ticket::NONE, None), |entry| (entry.ticket, Some(entry.original)))
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
            entry.ticket.token() == token
                && entry.key.code == code
                && entry.state.is(States::OUTSTANDING)
        };
        for (slot, entry) in self.slots() {
            if named(entry) {
                return Token::Names(entry.candidate(slot));
            }
        }
        Token::NamesNobody
    }

    /// Whether the answer to a request with this token may still come.
    pub(crate) fn uses_token(&self, token: i32) -> bool {
        self.entries.iter().any(|entry| entry.ticket.token() == token && !entry.is_over())
    }

    /// Whether a frame of this code was sent with a payload of this length and may be echoed.
    pub(crate) fn may_echo(&self, code: CommandCode, uploaded: u32) -> bool {
        let code = answered_command(code);
        let fits = |entry: &Entry| entry.key.code == code && entry.uploads == uploaded;
        self.entries.iter().any(|entry| fits(entry) && !entry.is_over())
    }

    /// Whether the frame of that ticket may go on the wire now, as far as answers are concerned.
    pub(crate) fn may_go(&self, ticket: Ticket, now: Instant, config: &Config) -> bool {
        let queued = self.place_of(ticket, States::QUEUED);
        let Some(request) = queued.and_then(|at| self.entries.get(at)) else {
            return true; // fire and forget
        };
        if request.effect.stops() {
            return request.effect.is_emergency() || !self.has_in(request.key, States::SENT);
        }
        let holds = if config.tokens.is_some() { States::SENT } else { States::HOLDS_KEY };
        let unsettled = || self.states_of(request).any(States::UNSETTLED);
        now < request.until
            && !self.has_in(request.key, holds)
            && !(unsettled() && self.recovers(request.domain))
    }

    /// Whether the window has room for a request.
    pub(crate) fn has_room(&self, config: &Config) -> bool {
        let counted = self.index.counts().map(Counts::in_window);
        counted.unwrap_or_else(|| self.number_of(Entry::counts)) < config.window.max(1)
    }

    /// Whether something is queued and an older request is not settled.
    pub(crate) fn may_need_fence(&self) -> bool {
        if let Some(counts) = self.index.counts() {
            return counts.may_be_held() || (counts.has_queued() && self.forgotten.any());
        }
        let any = |states: States, entry: &Entry| states.or(States::only(entry.state));
        let states = self.entries.iter().fold(States::NONE, any);
        states.any(States::QUEUED) && (states.any(States::UNSETTLED) || self.forgotten.any())
    }

    /// The entry whose state ends next.
    #[cfg_attr(target_os = "none", inline(never))] // inlined, client and device together take 166 bytes more flash
    pub(crate) fn next_end(&self) -> Option<Slot> {
        let mut next = None;
        let mut first = Instant::FAR_FUTURE;
        for (slot, entry) in self.slots() {
            if entry.state.is(States::ENDS_BY_TIME) && entry.until < first {
                (next, first) = (Some(slot), entry.until);
            }
        }
        next
    }

    /// A request that ended without an answer; its outcome is to be told and cleared.
    pub(crate) fn ended(&mut self) -> Option<&mut Entry> {
        if self.nothing_ended && !cfg!(debug_assertions) {
            return None;
        }
        self.close();
        let none = self.index.counts().is_some_and(|counts| !counts.has_outcomes());
        let is_ended = |entry: &Entry| entry.outcome != Outcome::None;
        let ended = if none { None } else { self.entries.iter().position(is_ended) };
        debug_assert!(ended.is_none() || !self.nothing_ended, "a change was not noted");
        self.nothing_ended = ENTRIES > FEW && ended.is_none();
        self.at(Slot(ended?))
    }
}
