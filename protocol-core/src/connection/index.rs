//! Counts of what the table of requests holds, so that a frame does not look through the whole table.
//!
//! Only with the feature `index`: it takes RAM and flash. The table is in `pending.rs`. It alone calls
//! [`Index::put`], [`Index::open`] and [`Index::open_all`], and each of its answers is the same with
//! and without counts. With debug assertions, all counts are compared with the table after each change.

use crate::connection::entry::{Entry, Outcome, State, States};
use crate::connection::key::{Domain, Key};
use crate::connection::ticket::Ticket;

/// Whether the counts exist.
pub(crate) const INDEXED: bool = cfg!(feature = "index");
/// Several codes may share a number, and several selectors of a code.
const CODES: usize = 64;
const SELECTORS: usize = 8;
/// Several keys, and several tickets, may share a bucket.
const BUCKETS: usize = CODES * SELECTORS;
/// Several domains of unknown commands may share a number.
const DOMAINS: usize = 16;

/// The counts, or nothing.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct Index([Inner; INDEXED as usize]);

#[derive(Debug, Clone)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
struct Inner {
    open: Open,
    counts: Counts,
    /// All places of the table before this one are taken.
    free: usize,
    /// Where the newest entry of a bucket was put.
    newest: [u16; BUCKETS],
    /// The same for its ticket.
    tickets: [u16; BUCKETS],
}

/// What may have changed since it was counted, and is not in the counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
enum Open {
    Nothing,
    One(usize),
    All,
}

/// Entries that are not over, by what is asked about them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct Counts {
    keys: [Bucket; BUCKETS],
    outstanding: [u16; DOMAINS],
    live: Live,
    /// Tombstones that are not live.
    tombstones: u16,
    /// Those that take a place in the window.
    in_window: u16,
    echoes: u16,
    queued: u16,
    /// Outcomes that the caller has not taken.
    outcomes: u16,
    /// Buckets in which one is queued and another one is not settled.
    held: u16,
}

/// Entries whose outcome the caller has not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
struct Live {
    emergencies: u16,
    fences: u16,
    others: u16,
}

/// Entries whose keys share a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
struct Bucket {
    entries: u16,
    queued: u16,
    unsettled: u16,
}

impl Bucket {
    const NONE: Self = Self { entries: 0, queued: 0, unsettled: 0 };

    const fn is_held(self) -> bool {
        self.queued > 0 && self.unsettled > 0
    }
}

impl Counts {
    const NONE: Self = Self {
        keys: [Bucket::NONE; BUCKETS],
        outstanding: [0; DOMAINS],
        live: Live { emergencies: 0, fences: 0, others: 0 },
        tombstones: 0,
        in_window: 0,
        echoes: 0,
        queued: 0,
        outcomes: 0,
        held: 0,
    };

    fn of(entries: &[Entry]) -> Self {
        let mut counts = Self::NONE;
        for entry in entries {
            counts.note(entry, 1);
        }
        counts
    }

    /// Adds an entry, with 1, or takes it out, with −1.
    fn note(&mut self, entry: &Entry, more: i16) {
        let add = |count: &mut u16| *count = count.wrapping_add_signed(more);
        if entry.is_live() {
            if entry.effect.is_emergency() {
                add(&mut self.live.emergencies);
            } else if entry.ticket.is_fence() {
                add(&mut self.live.fences);
            } else {
                add(&mut self.live.others);
            }
        } else if entry.state.is(States::TOMBSTONE) {
            add(&mut self.tombstones);
        }
        if entry.outcome != Outcome::None {
            add(&mut self.outcomes);
        }
        if entry.is_over() {
            return;
        }
        if entry.counts() {
            add(&mut self.in_window);
        }
        if entry.state == State::Echo {
            add(&mut self.echoes);
        }
        if entry.state.is(States::OUTSTANDING)
            && let Some(outstanding) = self.outstanding.get_mut(entry.domain.number() % DOMAINS)
        {
            add(outstanding);
        }
        if let Some(bucket) = self.keys.get_mut(bucket_of(entry.key)) {
            let held = bucket.is_held();
            add(&mut bucket.entries);
            if entry.state == State::Queued {
                add(&mut self.queued);
                add(&mut bucket.queued);
            } else if entry.state.is(States::UNSETTLED) {
                add(&mut bucket.unsettled);
            }
            if bucket.is_held() != held {
                add(&mut self.held);
            }
        }
    }

    /// How many entries are live or tombstones; and how many are live, without and with fences, and
    /// emergencies or not.
    pub(crate) const fn room(&self, emergency: bool) -> (usize, usize, usize) {
        let Live { emergencies, fences, others } = self.live;
        let (emergencies, fences, others) =
            (emergencies as usize, fences as usize, others as usize);
        let live = emergencies.wrapping_add(fences).wrapping_add(others);
        let taken = live.wrapping_add(self.tombstones as usize);
        if emergency { (taken, emergencies, 0) } else { (taken, others, fences) }
    }

    pub(crate) const fn in_window(&self) -> usize {
        self.in_window as usize
    }

    pub(crate) const fn has_echoes(&self) -> bool {
        self.echoes > 0
    }

    pub(crate) const fn has_queued(&self) -> bool {
        self.queued > 0
    }

    pub(crate) const fn has_outcomes(&self) -> bool {
        self.outcomes > 0
    }

    /// Whether a key may have one that is queued and one that is not settled.
    pub(crate) const fn may_be_held(&self) -> bool {
        self.held > 0
    }

    /// Whether a frame may come for one of this domain, or nobody knows.
    pub(crate) fn may_be_outstanding(&self, domain: Domain) -> bool {
        self.outstanding.get(domain.number() % DOMAINS).is_some_and(|number| *number > 0)
    }
}

impl Inner {
    /// Counts what may have changed.
    #[inline(never)] // inlined, a turn takes 96 instructions more on x86-64
    fn close(&mut self, entries: &[Entry]) {
        match core::mem::replace(&mut self.open, Open::Nothing) {
            Open::Nothing => {}
            Open::One(at) => {
                if let Some(entry) = entries.get(at) {
                    self.counts.note(entry, 1);
                    if entry.is_free() {
                        self.free = self.free.min(at);
                    }
                }
            }
            Open::All => (self.counts, self.free) = (Counts::of(entries), 0),
        }
        debug_assert!(self.counts == Counts::of(entries), "a change was not counted");
    }
}

impl Index {
    /// Of an empty table: all zero.
    pub(crate) const NEW: Self = Self(
        [const {
            Inner {
                open: Open::Nothing,
                counts: Counts::NONE,
                free: 0,
                newest: [0; BUCKETS],
                tickets: [0; BUCKETS],
            }
        }; INDEXED as usize],
    );

    /// The counts, if they exist and nothing is open.
    pub(crate) fn counts(&self) -> Option<&Counts> {
        let inner = self.0.first().filter(|inner| inner.open == Open::Nothing)?;
        Some(&inner.counts)
    }

    /// Counts what may have changed, if something may.
    #[inline]
    pub(crate) fn close(&mut self, entries: &[Entry]) {
        if let Some(inner) = self.0.first_mut().filter(|inner| inner.open != Open::Nothing) {
            inner.close(entries);
        }
    }

    /// This entry may change.
    pub(crate) fn open(&mut self, at: usize, entries: &[Entry]) {
        if self.0.first().is_none_or(|inner| inner.open == Open::One(at)) {
            return;
        }
        self.close(entries);
        if let (Some(inner), Some(entry)) = (self.0.first_mut(), entries.get(at)) {
            inner.counts.note(entry, -1);
            inner.open = Open::One(at);
        }
    }

    /// All entries may change.
    pub(crate) fn open_all(&mut self) {
        if let Some(inner) = self.0.first_mut() {
            inner.open = Open::All;
        }
    }

    /// An entry comes to this place; all places before it are taken.
    pub(crate) fn put(&mut self, at: usize, entry: &Entry) {
        let Some(inner) = self.0.first_mut() else { return };
        inner.counts.note(entry, 1);
        inner.open = Open::Nothing;
        inner.free = inner.free.max(at.wrapping_add(1));
        let (key, ticket) = (bucket_of(entry.key), bucket_of_ticket(entry.ticket));
        if let (Some(newest), Some(tickets), Ok(at)) =
            (inner.newest.get_mut(key), inner.tickets.get_mut(ticket), u16::try_from(at))
        {
            (*newest, *tickets) = (at, at);
        }
    }

    /// The first place that may be free.
    pub(crate) fn free(&self) -> usize {
        self.0.first().map_or(0, |inner| inner.free)
    }

    /// Where the entry of a ticket may be.
    pub(crate) fn of_ticket(&self, ticket: Ticket) -> Option<usize> {
        let at = self.0.first()?.tickets.get(bucket_of_ticket(ticket))?;
        Some(usize::from(*at))
    }

    /// From where to where all entries of a key are that are not over.
    pub(crate) fn of_key(&self, key: Key, entries: &[Entry]) -> (usize, usize) {
        let bucket = bucket_of(key);
        let number = self.counts().and_then(|counts| counts.keys.get(bucket));
        match number.map(|bucket| bucket.entries) {
            Some(0) => return (0, 0),
            Some(1) => {
                let newest = self.0.first().and_then(|inner| inner.newest.get(bucket));
                let at = newest.map_or(0, |at| usize::from(*at));
                let of_bucket = |of: &Entry| !of.is_over() && bucket_of(of.key) == bucket;
                if entries.get(at).is_some_and(of_bucket) {
                    return (at, at.wrapping_add(1));
                }
            }
            _ => {}
        }
        (0, entries.len())
    }
}

const fn bucket_of(key: Key) -> usize {
    let subsystem = key.code.subsystem().wrapping_mul(7);
    let code = key.code.0.wrapping_add(subsystem) as usize % CODES;
    let selector = key.selector as u32 as usize % SELECTORS;
    code.wrapping_mul(SELECTORS).wrapping_add(selector)
}

const fn bucket_of_ticket(ticket: Ticket) -> usize {
    ticket.number() as usize % BUCKETS
}
