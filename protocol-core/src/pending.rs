//! The fixed-size table of requests in flight.
//!
//! A request lives here from the call to its one outcome. What is still owed after that is in
//! `debts.rs`. Which frame belongs to whom is `classify.rs`, what a key is `key.rs`.

use heapless::Vec;

use crate::command::CommandCode;
use crate::config::{Config, Ordering};
use crate::debts::Debts;
use crate::error::Full;
use crate::key::Key;
use crate::store::{number_of, take_out};
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
    pub(crate) debts: Debts<OWED>,
}

impl<const REQUESTS: usize, const OWED: usize, const STOPS: usize> Pending<REQUESTS, OWED, STOPS> {
    pub(crate) const fn new() -> Self {
        Self { requests: Vec::new(), stops: Vec::new(), fence: None, debts: Debts::new() }
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
        let (live, owed) = self.counts();
        if live.saturating_add(owed) < OWED { Ok(()) } else { Err(Full::Tombstones) }
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
            if !self.debts.doubt_the_oldest(Some(key), config) {
                return Err(Full::StopLane);
            }
        }
        if self.room_for_its_tombstone().is_err() {
            self.debts.doubt_the_oldest(None, config);
        }
        self.stops.push(request).map_err(|_| Full::StopLane)
    }

    /// Requests of `key` that have no outcome, and tombstones.
    fn outstanding(&self, key: Key) -> usize {
        let live = self.live().filter(|request| request.key == key && !request.has_ended());
        number_of(live).saturating_add(number_of(self.debts.owners(key)))
    }

    /// Puts it into the fence's slot, which is free.
    pub(crate) fn insert_fence(&mut self, request: Request) -> Result<(), Full> {
        self.room_for_its_tombstone()?;
        self.fence = Some(request);
        Ok(())
    }

    pub(crate) fn has_fence(&self) -> bool {
        self.fence.is_some()
    }

    pub(crate) fn remove(&mut self, ticket: Ticket) -> Option<Request> {
        let found = *self.find(ticket)?;
        take_out(&mut self.requests, |request| request.ticket == ticket);
        take_out(&mut self.stops, |request| request.ticket == ticket);
        self.fence.take_if(|request| request.ticket == ticket);
        Some(found)
    }

    /// The answer to this request came, with so long a payload: it ends with the last byte of it.
    /// Gives it, and as what number it was sent.
    pub(crate) fn answer(&mut self, ticket: Ticket, expected: u32) -> Option<(Request, u64)> {
        let request = self.find_mut(ticket)?;
        let before = *request;
        let State::Sent { order } = before.state else { return None };
        if expected > 0 {
            request.state = State::Receiving { received: 0, expected };
        } else {
            self.remove(ticket);
        }
        Some((before, order))
    }

    /// Everybody to whom a frame of `key` may belong, oldest first.
    pub(crate) fn owners(&self, key: Key) -> OwnerList {
        let waiting = self.live().filter_map(|request| match request.state {
            State::Sent { order } if request.key == key => {
                Some(Owner { ticket: request.ticket, order, waits: true })
            }
            _ => None,
        });
        let all = waiting.chain(self.debts.owners(key));
        let mut owners = OwnerList::new();
        for owner in all.take(MAX_OWNERS) {
            let _ = owners.push(owner); // there is room for as many
        }
        oldest_first(&mut owners);
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
        let mut all = waiting.chain(self.debts.owners_of_code(code));
        all.find(|owner| owner.ticket.token() == token)
    }

    /// Whether an answer to a request of `key`, sent now, would be a proof.
    pub(crate) fn would_prove(&self, key: Key) -> bool {
        let debts = &self.debts;
        !self.any_on_wire(key) && !debts.in_doubt(key) && debts.newest_tombstone(key).is_none()
    }

    /// Whether a request of the domain, sent after `order`, is on its way to be a proof.
    pub(crate) fn proof_under_way(&self, domain: u32, order: u64, config: &Config) -> bool {
        self.live().any(|request| {
            let later = matches!(request.state, State::Sent { order: sent } if sent > order);
            later
                && request.key.domain(config.ordering) == Some(domain)
                && !config.pushable(request.key.code)
                && !self.debts.in_doubt(request.key)
        })
    }

    /// Commands on the wire that were not answered, without those that do not count.
    pub(crate) fn unanswered(&self) -> usize {
        let on_wire = self.requests.iter().filter(|request| request.state.awaits_answer());
        let in_window = on_wire.filter(|request| !request.key.is_answered_at_end());
        number_of(in_window).saturating_add(self.debts.unanswered())
    }

    pub(crate) fn any_on_wire(&self, key: Key) -> bool {
        self.live().any(|request| request.key == key && request.state.awaits_answer())
    }

    /// A proven answer to what was sent as number `order`: all that went before it in its domain
    /// is settled. Tombstones and doubts end; requests that still wait will never be answered.
    pub(crate) fn settle(&mut self, domain: u32, order: u64, ordering: Ordering) {
        self.debts.settle(domain, order, ordering);
        for request in self.live_mut() {
            let older = matches!(request.state, State::Sent { order: sent } if sent < order);
            if older && request.key.domain(ordering) == Some(domain) {
                request.state = State::Ended(Ended::Unanswered);
            }
        }
        // A fence has nobody to tell.
        self.fence.take_if(|fence| matches!(fence.state, State::Ended(_)));
    }

    /// A live request whose deadline has come.
    pub(crate) fn expired(&self, now: Instant) -> Option<Request> {
        let mut open = self.live().filter(|request| !request.has_ended());
        open.find(|request| request.deadline <= now).copied()
    }

    pub(crate) fn next_deadline(&self) -> Option<(Instant, Ticket)> {
        let open = self.live().filter(|request| !request.has_ended());
        let comes = open.filter(|request| request.deadline < Instant::FAR_FUTURE);
        comes.map(|request| (request.deadline, request.ticket)).min()
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
        self.debts.clear();
        self.fence = None;
        for request in self.live_mut() {
            if !request.has_ended() {
                request.state = State::Ended(Ended::ConnectionLost);
            }
        }
    }

    pub(crate) fn counts(&self) -> (usize, usize) {
        (number_of(self.live()), self.debts.count())
    }
}

/// They are few. `sort` would contain a panic, for an order that contradicts itself.
fn oldest_first(mut owners: &mut [Owner]) {
    while let [oldest, others @ ..] = owners {
        for other in others.iter_mut() {
            if other.order < oldest.order {
                core::mem::swap(oldest, other);
            }
        }
        owners = others;
    }
}

impl State {
    fn awaits_answer(self) -> bool {
        matches!(self, Self::Sent { .. })
    }
}
