//! The fixed-size table of requests in flight and of what is still owed for older ones.
//!
//! A request lives here from the call to its one outcome. If the true answer may still come
//! after that, a *tombstone* stays; it ends by proof or by time, and by time it leaves a *doubt*:
//! answers of that key are presumed until proof. Which frame belongs to whom is `classify.rs`,
//! what a key is `key.rs`.

use heapless::Vec;

use crate::command::{CommandCode, Kind, Row};
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
        let tombstones = self.tombstones().count();
        if self.live().count() + tombstones < OWED { Ok(()) } else { Err(Full::Tombstones) }
    }

    pub(crate) fn insert(&mut self, request: Request) -> Result<(), Full> {
        self.room_for_its_tombstone()?;
        self.requests.push(request).map_err(|_| Full::Requests)
    }

    /// A stop is never refused for want of room for tombstones: the oldest falls into doubt.
    pub(crate) fn insert_stop(&mut self, request: Request, config: &Config) -> Result<(), Full> {
        if self.stops.is_full() {
            return Err(Full::StopLane);
        }
        let key = request.key;
        while self.outstanding(key) >= MAX_OWNERS {
            if !self.doubt_the_oldest(config, |owed| owed.key == key) {
                return Err(Full::StopLane);
            }
        }
        while self.room_for_its_tombstone().is_err() && self.doubt_the_oldest(config, |_| true) {}
        self.stops.push(request).map_err(|_| Full::StopLane)
    }

    /// Requests of `key` that have no outcome, and tombstones.
    fn outstanding(&self, key: Key) -> usize {
        let live = self.live().filter(|request| request.key == key && !request.has_ended());
        live.count() + self.tombstones().filter(|owed| owed.key == key).count()
    }

    fn tombstones(&self) -> impl Iterator<Item = &Owed> {
        self.owed.iter().filter(|owed| owed.is_tombstone())
    }

    /// The oldest of these tombstones becomes a doubt. Gives whether there was one.
    fn doubt_the_oldest(&mut self, config: &Config, of: impl Fn(&Owed) -> bool) -> bool {
        let oldest = self.tombstones().filter(|owed| of(owed)).min_by_key(|owed| owed.order);
        let Some(ticket) = oldest.map(|owed| owed.ticket) else { return false };
        self.fall_into_doubt(|owed| owed.ticket == ticket, config);
        true
    }

    /// One of these, if there is one, falls into doubt. (A pushable key is presumed anyway.)
    fn fall_into_doubt(&mut self, of: impl Fn(&Owed) -> bool, config: &Config) -> bool {
        let Some(at) = self.owed.iter().position(of) else { return false };
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
        true
    }

    /// Whether the fence slot took it.
    pub(crate) fn insert_fence(&mut self, request: Request) -> bool {
        let takes = self.fence.is_none() && self.room_for_its_tombstone().is_ok();
        if takes {
            self.fence = Some(request);
        }
        takes
    }

    pub(crate) fn expect_fence_until(&mut self, deadline: Instant) {
        if let Some(fence) = &mut self.fence {
            fence.deadline = deadline;
        }
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

    /// Gives whether there is such a request.
    pub(crate) fn mark_sent(&mut self, ticket: Ticket, order: u64) -> bool {
        let found = self.find_mut(ticket);
        found.map(|request| request.state = State::Sent { order }).is_some()
    }

    /// Everybody to whom a frame of `key` may belong, oldest first.
    pub(crate) fn owners(&self, key: Key) -> OwnerList {
        let waiting = self.live().filter_map(|request| match request.state {
            State::Sent { order } if request.key == key => {
                Some(Owner { ticket: request.ticket, order, waits: true })
            }
            _ => None,
        });
        let buried = self.tombstones().filter(|owed| owed.key == key);
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
        let of_key = self.tombstones().filter(|owed| owed.key == key);
        of_key.map(|owed| owed.order).max()
    }

    /// Whether an answer to a request of `key`, sent now, would be a proof.
    pub(crate) fn would_prove(&self, key: Key) -> bool {
        !self.any_on_wire(key) && !self.in_doubt(key) && self.newest_tombstone(key).is_none()
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
        on_wire + self.owed.iter().filter(|owed| owed.debt.counts()).count()
    }

    pub(crate) fn any_on_wire(&self, key: Key) -> bool {
        self.live().any(|request| request.key == key && request.state.awaits_answer())
    }

    /// Leaves a tombstone; `answered`: by a frame that is only presumed to be the answer.
    pub(crate) fn owe(&mut self, request: &Request, order: u64, until: Instant, answered: bool) {
        let stops = request.key.code.row().is_some_and(|row| row.effect.stops());
        let counts = !answered && !stops && !request.ticket.is_fence();
        let debt = Debt::Tombstone { until, counts };
        self.push_owed(Owed { ticket: request.ticket, key: request.key, order, debt });
    }

    /// A frame was sent whose answer nobody waits for. If it can be mistaken for the answer of a
    /// request of its key, that key is in doubt.
    pub(crate) fn doubt(&mut self, ticket: Ticket, key: Key, order: u64, config: &Config) {
        let asks = |row: &Row| matches!(row.kind, Kind::Query | Kind::Action);
        if !key.code.row().is_some_and(asks) || config.pushable(key.code) {
            return;
        }
        self.owed.retain(|owed| owed.is_tombstone() || owed.key != key);
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

    /// Lets the graces end that are over.
    pub(crate) fn bury(&mut self, now: Instant, config: &Config) {
        let over = |owed: &Owed| matches!(owed.debt, Debt::Tombstone { until, .. } if until <= now);
        while self.fall_into_doubt(over, config) {}
    }

    /// A live request whose deadline has come.
    pub(crate) fn expired(&self, now: Instant) -> Option<Ticket> {
        let open = self.live().filter(|request| !request.has_ended());
        open.filter(|request| request.deadline <= now).map(|request| request.ticket).next()
    }

    pub(crate) fn next_deadline(&self) -> Option<(Instant, Ticket)> {
        let open = self.live().filter(|request| !request.has_ended());
        let comes = open.filter(|request| request.deadline < Instant::FAR_FUTURE);
        comes.map(|request| (request.deadline, request.ticket)).min()
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
        (self.live().count(), self.tombstones().count())
    }
}

impl Debt {
    fn counts(&self) -> bool {
        matches!(self, Self::Tombstone { counts: true, .. })
    }
}

impl State {
    fn awaits_answer(self) -> bool {
        matches!(self, Self::Sent { .. })
    }
}
