//! What is still owed for requests that have ended: tombstones, and what becomes of them.
//!
//! A *tombstone* says that the answer may still come. It ends by proof or by time, and by time it
//! leaves a *doubt*: answers of that key are presumed until proof. The requests themselves are in
//! `pending.rs`.

use heapless::Vec;

use crate::command::{CommandCode, Kind, Row};
use crate::config::{Config, Ordering};
use crate::key::Key;
use crate::pending::{Owner, Request};
use crate::store::{number_of, take_out};
use crate::ticket::Ticket;
use crate::time::Instant;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
enum Debt {
    /// The answer may still come, until then. `counts`: in the window.
    Tombstone { until: Instant, counts: bool },
    /// Nobody knows whether it may.
    Doubt,
}

/// What is owed for a request that has ended.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
struct Owed {
    ticket: Ticket,
    key: Key,
    order: u64,
    debt: Debt,
}

impl Owed {
    fn owner(&self) -> Owner {
        Owner { ticket: self.ticket, order: self.order, waits: false }
    }

    fn is_tombstone(&self) -> bool {
        matches!(self.debt, Debt::Tombstone { .. })
    }
}

impl Debt {
    fn counts(&self) -> bool {
        matches!(self, Self::Tombstone { counts: true, .. })
    }
}

/// Up to `OWED` tombstones and doubts.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct Debts<const OWED: usize> {
    owed: Vec<Owed, OWED>,
    /// More keys are in doubt than can be named: every answer is presumed from now on.
    all_in_doubt: bool,
}

impl<const OWED: usize> Debts<OWED> {
    pub(crate) const fn new() -> Self {
        Self { owed: Vec::new(), all_in_doubt: false }
    }

    /// How many tombstones there are.
    pub(crate) fn count(&self) -> usize {
        number_of(self.tombstones())
    }

    /// How many of them count in the window.
    pub(crate) fn unanswered(&self) -> usize {
        number_of(self.owed.iter().filter(|owed| owed.debt.counts()))
    }

    /// The tombstones of a key.
    pub(crate) fn owners(&self, key: Key) -> impl Iterator<Item = Owner> {
        self.tombstones().filter(move |owed| owed.key == key).map(Owed::owner)
    }

    /// Everything that is owed for a code, doubts too: a token tells them apart.
    pub(crate) fn owners_of_code(&self, code: CommandCode) -> impl Iterator<Item = Owner> {
        self.owed.iter().filter(move |owed| owed.key.code == code).map(Owed::owner)
    }

    fn tombstones(&self) -> impl Iterator<Item = &Owed> {
        self.owed.iter().filter(|owed| owed.is_tombstone())
    }

    /// The oldest tombstone, of that key if one is given, becomes a doubt. Gives whether there was one.
    pub(crate) fn doubt_the_oldest(&mut self, of: Option<Key>, config: &Config) -> bool {
        let fits = |owed: &&Owed| of.is_none_or(|key| owed.key == key);
        let oldest = self.tombstones().filter(fits).min_by_key(|owed| owed.order);
        let Some(ticket) = oldest.map(|owed| owed.ticket) else { return false };
        self.doubt_one(ticket, config)
    }

    /// A frame came that may have been the one that is owed for `ticket`, or not.
    pub(crate) fn doubt_one(&mut self, ticket: Ticket, config: &Config) -> bool {
        self.fall_into_doubt(|owed| owed.ticket == ticket, config)
    }

    /// One of these, if there is one, falls into doubt. (A pushable key is presumed anyway.)
    fn fall_into_doubt(&mut self, of: impl Fn(&Owed) -> bool, config: &Config) -> bool {
        let Some(at) = self.owed.iter().position(of) else { return false };
        let mut owed = self.owed.swap_remove(at);
        owed.debt = Debt::Doubt;
        owed.order = self.take_doubt(owed.key, owed.order);
        if !config.pushable(owed.key.code) {
            // There is room: one was just taken out.
            let _ = self.owed.push(owed);
        }
        true
    }

    /// One doubt a key is enough: the newest. Takes out the one there is; gives the later order.
    fn take_doubt(&mut self, key: Key, order: u64) -> u64 {
        let same = |owed: &&Owed| !owed.is_tombstone() && owed.key == key;
        let order = self.owed.iter().filter(same).map(|owed| owed.order).fold(order, u64::max);
        take_out(&mut self.owed, |owed| !owed.is_tombstone() && owed.key == key);
        order
    }

    pub(crate) fn in_doubt(&self, key: Key) -> bool {
        let named = || self.owed.iter().any(|owed| !owed.is_tombstone() && owed.key == key);
        self.all_in_doubt || named()
    }

    /// When the newest tombstone of `key` was sent.
    pub(crate) fn newest_tombstone(&self, key: Key) -> Option<u64> {
        let of_key = self.tombstones().filter(|owed| owed.key == key);
        of_key.map(|owed| owed.order).max()
    }

    /// Leaves a tombstone; `answered`: by a frame that is only presumed to be the answer.
    pub(crate) fn owe(&mut self, request: &Request, order: u64, until: Instant, answered: bool) {
        let stops = request.key.code.row().is_some_and(|row| row.effect.stops());
        let counts =
            !answered && !stops && !request.ticket.is_fence() && !request.key.is_answered_at_end();
        let debt = Debt::Tombstone { until, counts };
        self.push_owed(Owed { ticket: request.ticket, key: request.key, order, debt });
    }

    /// A frame was sent whose answer nobody waits for. If it can be mistaken for the answer of a
    /// request of its key, that key is in doubt.
    pub(crate) fn doubt(&mut self, ticket: Ticket, key: Key, order: u64, config: &Config) {
        let never_asked = |row: &Row| row.kind == Kind::FireAndForget;
        if key.code.row().is_some_and(never_asked) || config.pushable(key.code) {
            return;
        }
        let order = self.take_doubt(key, order);
        self.push_owed(Owed { ticket, key, order, debt: Debt::Doubt });
    }

    fn push_owed(&mut self, owed: Owed) {
        if self.owed.is_full() {
            self.forget_a_doubt();
        }
        if self.owed.push(owed).is_err() {
            self.all_in_doubt = true;
        }
    }

    fn forget_a_doubt(&mut self) {
        if let Some(at) = self.owed.iter().position(|owed| !owed.is_tombstone()) {
            self.owed.swap_remove(at);
            self.all_in_doubt = true;
        }
    }

    /// A late answer came: nothing is owed for `ticket` any more.
    pub(crate) fn pay(&mut self, ticket: Ticket) -> Option<(Key, u64)> {
        let at = self.owed.iter().position(|owed| owed.ticket == ticket)?;
        let owed = self.owed.swap_remove(at);
        Some((owed.key, owed.order))
    }

    /// A proven answer to what was sent as number `order` settles all that went before it in its
    /// domain.
    pub(crate) fn settle(&mut self, domain: u32, order: u64, ordering: Ordering) {
        let settled = |owed: &Owed| owed.key.domain(ordering) == Some(domain) && owed.order < order;
        take_out(&mut self.owed, settled);
    }

    pub(crate) fn clear(&mut self) {
        self.owed.clear();
    }

    /// Lets the graces end that are over.
    pub(crate) fn bury(&mut self, now: Instant, config: &Config) {
        let over = |owed: &Owed| matches!(owed.debt, Debt::Tombstone { until, .. } if until <= now);
        while self.fall_into_doubt(over, config) {}
    }

    pub(crate) fn next_grace(&self) -> Option<Instant> {
        let until = |owed: &Owed| match owed.debt {
            Debt::Tombstone { until, .. } => Some(until),
            Debt::Doubt => None,
        };
        self.owed.iter().filter_map(until).min()
    }
}
