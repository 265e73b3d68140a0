//! The fixed-size table of requests in flight and of what is still owed for older ones.
//!
//! A request lives here from the call to its one outcome. If the true answer may still come
//! after that, a *tombstone* stays; it ends by proof or by time, and by time it leaves a *doubt*:
//! answers of that key are presumed until proof. Which frame belongs to whom is `classify.rs`,
//! what a key is `key.rs`.

use heapless::Vec;

use crate::command::CommandCode;
use crate::config::{Config, Ordering};
use crate::error::Full;
use crate::key::Key;
use crate::ticket::{Ended, Ticket};
use crate::time::Instant;

/// The most requests and tombstones that one frame may be ambiguous between.
pub const MAX_OWNERS: usize = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) enum State {
    Queued,
    Sent { order: u64 },
    Receiving { received: u32, expected: u32 },
    Ended(Ended),
}

/// A request, from the call to its outcome.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct Request {
    pub(crate) ticket: Ticket,
    pub(crate) key: Key,
    pub(crate) deadline: Instant,
    pub(crate) state: State,
    /// What the caller had in the field that now carries the token.
    pub(crate) original: i32,
}

impl Request {
    fn has_ended(&self) -> bool {
        matches!(self.state, State::Ended(_))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
enum Debt {
    /// The answer may still come, until then.
    Tombstone { until: Instant, answered: bool },
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
    fn is_tombstone(&self) -> bool {
        matches!(self.debt, Debt::Tombstone { .. })
    }
}

/// Somebody to whom a frame may belong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct Owner {
    pub(crate) ticket: Ticket,
    pub(crate) order: u64,
    /// A request that waits, not a tombstone.
    pub(crate) waits: bool,
}

/// All owners of a key, oldest first.
pub(crate) type OwnerList = Vec<Owner, MAX_OWNERS>;

/// `REQUESTS` in flight, `OWED` for older ones, `STOPS` reserved for HALT.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct Pending<const REQUESTS: usize, const OWED: usize, const STOPS: usize> {
    requests: Vec<Request, REQUESTS>,
    stops: Vec<Request, STOPS>,
    fence: Option<Request>,
    owed: Vec<Owed, OWED>,
    /// More keys are in doubt than `owed` can name: every answer is presumed from now on.
    all_in_doubt: bool,
}

impl<const REQUESTS: usize, const OWED: usize, const STOPS: usize> Pending<REQUESTS, OWED, STOPS> {
    pub(crate) const fn new() -> Self {
        Self {
            requests: Vec::new(),
            stops: Vec::new(),
            fence: None,
            owed: Vec::new(),
            all_in_doubt: false,
        }
    }

    pub(crate) fn live(&self) -> impl Iterator<Item = &Request> {
        self.requests.iter().chain(&self.stops).chain(&self.fence)
    }

    fn live_mut(&mut self) -> impl Iterator<Item = &mut Request> {
        self.requests.iter_mut().chain(&mut self.stops).chain(&mut self.fence)
    }

    pub(crate) fn find(&self, ticket: Ticket) -> Option<&Request> {
        self.live().find(|request| request.ticket == ticket)
    }

    pub(crate) fn find_mut(&mut self, ticket: Ticket) -> Option<&mut Request> {
        self.live_mut().find(|request| request.ticket == ticket)
    }

    /// Every live request may become a tombstone: there must be room for it, too.
    fn room_for_its_tombstone(&self) -> Result<(), Full> {
        let tombstones = self.owed.iter().filter(|owed| owed.is_tombstone()).count();
        if self.live().count() + tombstones < OWED { Ok(()) } else { Err(Full::Tombstones) }
    }

    pub(crate) fn insert(&mut self, request: Request) -> Result<(), Full> {
        self.room_for_its_tombstone()?;
        self.requests.push(request).map_err(|_| Full::Requests)
    }

    pub(crate) fn insert_stop(&mut self, request: Request) -> Result<(), Full> {
        self.room_for_its_tombstone()?;
        if self.owners(request.key).len() + 1 >= MAX_OWNERS {
            return Err(Full::StopLane);
        }
        self.stops.push(request).map_err(|_| Full::StopLane)
    }

    /// Whether the fence slot took it.
    pub(crate) fn insert_fence(&mut self, request: Request) -> bool {
        let takes = self.fence.is_none() && self.room_for_its_tombstone().is_ok();
        if takes {
            self.fence = Some(request);
        }
        takes
    }

    pub(crate) fn has_fence(&self) -> bool {
        self.fence.is_some()
    }

    pub(crate) fn remove(&mut self, ticket: Ticket) -> Option<Request> {
        let found = *self.find(ticket)?;
        self.requests.retain(|request| request.ticket != ticket);
        self.stops.retain(|request| request.ticket != ticket);
        self.fence.take_if(|request| request.ticket == ticket);
        Some(found)
    }

    pub(crate) fn mark_sent(&mut self, ticket: Ticket, order: u64) {
        if let Some(request) = self.find_mut(ticket) {
            request.state = State::Sent { order };
        }
    }

    /// Everybody to whom a frame of `key` may belong, oldest first.
    pub(crate) fn owners(&self, key: Key) -> OwnerList {
        let waiting = self.live().filter_map(|request| match request.state {
            State::Sent { order } if request.key == key => {
                Some(Owner { ticket: request.ticket, order, waits: true })
            }
            _ => None,
        });
        let buried = self.owed.iter().filter(|owed| owed.is_tombstone() && owed.key == key);
        let buried =
            buried.map(|owed| Owner { ticket: owed.ticket, order: owed.order, waits: false });
        let mut owners: OwnerList = waiting.chain(buried).take(MAX_OWNERS).collect();
        owners.sort_unstable_by_key(|owner| owner.order);
        owners
    }

    /// The owner that a token names, if the code fits too.
    pub(crate) fn owner_by_token(&self, code: CommandCode, token: i32) -> Option<Owner> {
        let waiting = self.live().filter_map(|request| match request.state {
            State::Sent { order } if request.key.code == code => {
                Some(Owner { ticket: request.ticket, order, waits: true })
            }
            _ => None,
        });
        let buried = self.owed.iter().filter(|owed| owed.key.code == code);
        let buried =
            buried.map(|owed| Owner { ticket: owed.ticket, order: owed.order, waits: false });
        waiting.chain(buried).find(|owner| owner.ticket.token() == token)
    }

    pub(crate) fn in_doubt(&self, key: Key) -> bool {
        let named = || self.owed.iter().any(|owed| !owed.is_tombstone() && owed.key == key);
        self.all_in_doubt || named()
    }

    /// When the newest tombstone of `key` was sent.
    pub(crate) fn newest_tombstone(&self, key: Key) -> Option<u64> {
        let of_key = self.owed.iter().filter(|owed| owed.is_tombstone() && owed.key == key);
        of_key.map(|owed| owed.order).max()
    }

    /// Whether an answer to a request of `key`, sent now, would be a proof.
    pub(crate) fn would_prove(&self, key: Key) -> bool {
        let live = self.live().any(|request| request.key == key && !request.has_ended());
        !live && !self.in_doubt(key) && self.newest_tombstone(key).is_none()
    }

    /// Whether a request of the domain, sent after `order`, is on its way to be a proof.
    pub(crate) fn proof_under_way(&self, domain: u32, order: u64, config: &Config) -> bool {
        self.live().any(|request| {
            let later = matches!(request.state, State::Sent { order: sent } if sent > order);
            later
                && request.key.domain(config.ordering) == Some(domain)
                && !config.pushable(request.key.code)
                && !self.in_doubt(request.key)
        })
    }

    /// Commands on the wire that were never answered, without the reserved ones.
    pub(crate) fn unanswered(&self) -> usize {
        let on_wire = self.requests.iter().filter(|request| request.state.awaits_answer()).count();
        on_wire + self.owed.iter().filter(|owed| owed.debt.is_unanswered()).count()
    }

    pub(crate) fn any_on_wire(&self, key: Key) -> bool {
        self.live().any(|request| request.key == key && request.state.awaits_answer())
    }

    /// Leaves a tombstone.
    pub(crate) fn owe(&mut self, request: &Request, order: u64, until: Instant, answered: bool) {
        let debt = Debt::Tombstone { until, answered };
        let owed = Owed { ticket: request.ticket, key: request.key, order, debt };
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

    /// A proven answer to what was sent as number `order`: all that went before it in its domain
    /// is settled. Tombstones and doubts end; requests that still wait will never be answered.
    pub(crate) fn settle(&mut self, domain: u32, order: u64, ordering: Ordering) {
        self.owed.retain(|owed| owed.key.domain(ordering) != Some(domain) || owed.order >= order);
        for request in self.live_mut() {
            let older = matches!(request.state, State::Sent { order: sent } if sent < order);
            if older && request.key.domain(ordering) == Some(domain) {
                request.state = State::Ended(Ended::Unanswered);
            }
        }
        // A fence has nobody to tell.
        self.fence.take_if(|fence| matches!(fence.state, State::Ended(_)));
    }

    /// Lets the graces end that are over: a key that can be told from pushes falls into doubt.
    /// (A pushable key is presumed anyway.)
    pub(crate) fn bury(&mut self, now: Instant, config: &Config) {
        let over = |owed: &Owed| matches!(owed.debt, Debt::Tombstone { until, .. } if until <= now);
        while let Some(at) = self.owed.iter().position(over) {
            let mut owed = self.owed.swap_remove(at);
            owed.debt = Debt::Doubt;
            // One doubt a key is enough: the newest.
            let same = |other: &&Owed| !other.is_tombstone() && other.key == owed.key;
            owed.order = self.owed.iter().filter(same).map(|o| o.order).fold(owed.order, u64::max);
            self.owed.retain(|other| other.is_tombstone() || other.key != owed.key);
            if !config.pushable(owed.key.code) {
                // There is room: one was just taken out.
                let _ = self.owed.push(owed);
            }
        }
    }

    /// A live request whose deadline has come.
    pub(crate) fn expired(&self, now: Instant) -> Option<Ticket> {
        let open = self.live().filter(|request| !request.has_ended());
        open.filter(|request| request.deadline <= now).map(|request| request.ticket).next()
    }

    pub(crate) fn next_deadline(&self) -> Option<(Instant, Ticket)> {
        let open = self.live().filter(|request| !request.has_ended());
        open.map(|request| (request.deadline, request.ticket)).min()
    }

    pub(crate) fn next_grace(&self) -> Option<Instant> {
        let until = |owed: &Owed| match owed.debt {
            Debt::Tombstone { until, .. } => Some(until),
            Debt::Doubt => None,
        };
        self.owed.iter().filter_map(until).min()
    }

    /// A request that ended without an answer, once.
    pub(crate) fn take_ended(&mut self) -> Option<(Ticket, Ended)> {
        let ended = self.live().find_map(|request| match request.state {
            State::Ended(ended) => Some((request.ticket, ended)),
            _ => None,
        })?;
        self.remove(ended.0);
        Some(ended)
    }

    /// The connection is gone: every request ends, nothing is owed any more.
    pub(crate) fn lose_all(&mut self) {
        self.owed.clear();
        self.fence = None;
        for request in self.live_mut() {
            if !request.has_ended() {
                request.state = State::Ended(Ended::ConnectionLost);
            }
        }
    }

    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.live().count(), self.owed.iter().filter(|owed| owed.is_tombstone()).count())
    }
}

impl Debt {
    fn is_unanswered(&self) -> bool {
        matches!(self, Self::Tombstone { answered: false, .. })
    }
}

impl State {
    fn awaits_answer(self) -> bool {
        matches!(self, Self::Sent { .. })
    }
}
