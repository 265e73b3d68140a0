//! The answers that may still come for ended requests, and how the connection settles them.
//!
//! A *tombstone* marks an ended request whose answer may still come. It ends by proof or by time.
//! If it ends by time, it leaves a *doubt*: answers of that key are presumed until a proof. The
//! table is in `pending.rs`.

use crate::connection::entry::{Entry, Outcome, State};
use crate::connection::key::{Domain, Key, Order};
use crate::connection::pending::{Pending, Slot};
use crate::time::Instant;
use crate::wire::command::Kind;

impl<const ENTRIES: usize> Pending<ENTRIES> {
    /// Turns the oldest tombstone into a doubt; with a key, the oldest tombstone of that key.
    /// Without a key it makes room in the table, so it chooses only an entry whose outcome the
    /// caller has taken. Returns whether there was such a tombstone.
    pub(crate) fn doubt_the_oldest(&mut self, of: Option<Key>) -> bool {
        let oldest = self.oldest(|entry| {
            let fits = of.map_or(entry.outcome == Outcome::None, |key| entry.key == key);
            fits && entry.state.is_tombstone()
        });
        let Some(oldest) = oldest else { return false };
        self.use_up(oldest, false);
        true
    }

    pub(crate) fn in_doubt(&self, key: Key) -> bool {
        self.all_in_doubt || self.has(key, |state| state == State::Doubt)
    }

    /// Records a frame that was sent without a request. Its echo may come. If the echo can look
    /// like the answer to a request of the same key, that key is in doubt.
    pub(crate) fn sent_unasked(&mut self, now: Instant, sent: &mut Entry) {
        for entry in &mut self.entries {
            if entry.state == State::Echo && entry.until < now {
                entry.state = State::Over;
            }
        }
        sent.state = State::Echo;
        self.push(sent);
        self.doubt(sent);
    }

    /// Puts the key of a sent frame in doubt, except in two cases: no request ever has this key, or
    /// its answers are always presumed. One doubt per key is enough: the newest.
    pub(crate) fn doubt(&mut self, sent: &Entry) {
        if sent.facts().kind == Kind::FireAndForget || !sent.certain {
            return;
        }
        let mut doubt = *sent;
        (doubt.state, doubt.outcome) = (State::Doubt, Outcome::None);
        for entry in &mut self.entries {
            if entry.state == State::Doubt && entry.key == doubt.key {
                entry.state = State::Over;
                if doubt.order.is_before(entry.order) {
                    doubt.order = entry.order;
                }
            }
        }
        if !self.push(&doubt) {
            self.all_in_doubt = true;
        }
    }

    /// Removes an echo from the table: a frame came that may be this echo.
    pub(crate) fn use_up_echo(&mut self, echo: Slot) {
        if let Some(note) = self.at(echo) {
            note.state = State::Over;
        }
    }

    /// Ends the oldest owner of a frame that may be its answer, or a tombstone at the end of its
    /// grace. If the frame answers a younger request, the answer to the oldest owner will not come
    /// any more, because answers keep their order. A push proves nothing: if the frame may be a
    /// push (`certain` is false), the key falls into doubt.
    pub(crate) fn use_up(&mut self, oldest: Slot, certain: bool) {
        let Some(entry) = self.at(oldest) else { return };
        if !entry.waits() {
            entry.state = State::Over;
        }
        let entry = *entry;
        if !certain {
            self.doubt(&entry);
        }
    }

    /// Ends a waiting request as ambiguous: a frame came that may answer it or another request.
    #[inline(never)] // if inlined, a client takes 20 bytes more flash
    pub(crate) fn end_ambiguous(&mut self, request: Slot, until: Instant, state: State) {
        if let Some(request) = self.at(request).filter(|of| of.waits()) {
            request.end(Outcome::Ambiguous, state);
            request.until = until;
        }
    }

    /// A proven answer settles everything older in its ordering domain: tombstones and doubts
    /// end; requests that still wait will never be answered.
    pub(crate) fn settle(&mut self, domain: Domain, order: Order) {
        for entry in &mut self.entries {
            let unsettled = entry.domain == domain && entry.state.is_outstanding();
            if unsettled && entry.order.is_before(order) {
                if entry.waits() {
                    entry.end(Outcome::Unanswered, State::Over);
                }
                entry.state = State::Over;
            }
        }
    }

    /// Whether a request waits until a tombstone is settled, while no sent request can settle it.
    pub(crate) fn unsettled(&self, request: &Entry) -> bool {
        let proves = |entry: &Entry| {
            entry.state == State::Sent
                && entry.domain == request.domain
                && entry.certain
                && !self.in_doubt(entry.key)
        };
        self.entries.iter().any(|owed| {
            let settles = |entry: &Entry| owed.order.is_before(entry.order) && proves(entry);
            owed.state.is_tombstone()
                && owed.key == request.key
                && !self.entries.iter().any(settles)
        })
    }

    /// Whether the answer to a request of `key`, if sent now, would be a proof.
    pub(crate) fn would_prove(&self, key: Key) -> bool {
        !self.all_in_doubt && !self.has(key, State::is_outstanding)
    }

    /// Ends the payload that is being received. `missing` is the number of bytes that did not come.
    /// If the answer is only presumed, its true answer may come until `until`.
    pub(crate) fn end_payload(&mut self, missing: u32, outcome: Outcome, until: Instant) {
        for entry in &mut self.entries {
            if entry.state.is_receiving() {
                entry.complete(entry.state == State::Receiving, until);
                entry.outcome = outcome;
                entry.received = entry.expected.saturating_sub(missing);
            }
        }
    }

    /// The connection is lost: every request ends, and all tombstones and doubts end.
    pub(crate) fn lose_all(&mut self) {
        for entry in &mut self.entries {
            if entry.state.is_active() {
                entry.end(Outcome::Lost, State::Over);
            }
            entry.state = State::Over;
        }
    }
}
