//! What is still owed for requests that have ended, and how that comes to an end.
//!
//! A *tombstone* says that the answer may still come. It ends by proof or by time, and by time it
//! leaves a *doubt*: answers of that key are presumed until proof. The table itself is
//! `pending.rs`.

use crate::connection::entry::{ASKED, Entry, OUTSTANDING, Outcome, RECEIVING, State, TOMBSTONE};
use crate::connection::key::{Domain, Key, Order};
use crate::connection::pending::{Pending, Slot};
use crate::time::Instant;
use crate::wire::command::Kind;

impl<const ENTRIES: usize> Pending<ENTRIES> {
    /// The oldest tombstone, of that key if one is given, becomes a doubt. Without a key that is to
    /// make room, so its outcome must have been taken. Gives whether there was one.
    pub(crate) fn doubt_the_oldest(&mut self, of: Option<Key>) -> bool {
        let oldest = self.oldest(|entry| {
            let fits = of.map_or(entry.outcome == Outcome::None, |key| entry.key == key);
            fits && entry.is(TOMBSTONE)
        });
        let Some(oldest) = oldest else { return false };
        self.use_up(oldest, false);
        true
    }

    pub(crate) fn in_doubt(&self, key: Key) -> bool {
        self.all_in_doubt || self.has(key, State::Doubt as u8)
    }

    /// A frame was sent whose answer nobody waits for. Its echo may come; and if it can be
    /// mistaken for the answer of a request of its key, that key is in doubt.
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

    /// Puts the key of what was sent in doubt, unless nobody ever asks it, or it is presumed
    /// anyway. One doubt a key is enough: the newest.
    pub(crate) fn doubt(&mut self, sent: &Entry) {
        if sent.kind == Kind::FireAndForget || !sent.certain {
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

    /// A frame came that may be the echo of that one; it is used up.
    pub(crate) fn use_up_echo(&mut self, echo: Slot) {
        if let Some(note) = self.at(echo) {
            note.state = State::Over;
        }
    }

    /// A frame that may be the oldest owner's uses him up: if it was not his, then his will not
    /// come any more; unless it was nobody's of them. Then, and when the time of what is owed is
    /// over, it falls into doubt. (A pushable key is presumed anyway.)
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

    /// A request ends, if it waits, since a frame came that may answer it, or another one.
    #[inline(never)] // inlined, a client takes 20 bytes more flash
    pub(crate) fn end_ambiguous(&mut self, request: Slot, until: Instant, state: State) {
        if let Some(request) = self.at(request).filter(|of| of.waits()) {
            request.end(Outcome::Ambiguous, state);
            request.until = until;
        }
    }

    /// A proven answer: all that went before it in its domain is settled. Tombstones and doubts
    /// end; requests that still wait will never be answered.
    pub(crate) fn settle(&mut self, domain: Domain, order: Order) {
        for entry in &mut self.entries {
            let older = entry.is(OUTSTANDING) && entry.order.is_before(order);
            if older && entry.domain == domain {
                if entry.waits() {
                    entry.end(Outcome::Unanswered, State::Over);
                }
                entry.state = State::Over;
            }
        }
    }

    /// Whether a request waits for a tombstone to be settled, and no answer that would settle it
    /// is under way.
    pub(crate) fn unsettled(&self, request: &Entry) -> bool {
        let proves = |entry: &Entry| {
            entry.state == State::Sent
                && entry.domain == request.domain
                && entry.certain
                && !self.in_doubt(entry.key)
        };
        self.entries.iter().any(|owed| {
            let settles = |entry: &Entry| owed.order.is_before(entry.order) && proves(entry);
            owed.is(TOMBSTONE) && owed.key == request.key && !self.entries.iter().any(settles)
        })
    }

    /// Whether an answer to a request of `key`, sent now, would be a proof.
    pub(crate) fn would_prove(&self, key: Key) -> bool {
        !self.all_in_doubt && !self.has(key, OUTSTANDING)
    }

    /// The payload that comes in is over, with `missing` bytes that have not come: its request ends
    /// so. If its answer is only presumed, the true one may come until then.
    pub(crate) fn end_payload(&mut self, missing: u32, outcome: Outcome, until: Instant) {
        for entry in &mut self.entries {
            if entry.is(RECEIVING) {
                entry.complete(entry.state == State::Receiving, until);
                entry.outcome = outcome;
                entry.original = entry.expected.saturating_sub(missing) as i32;
            }
        }
    }

    /// The connection is gone: every request ends, nothing is owed any more.
    pub(crate) fn lose_all(&mut self) {
        for entry in &mut self.entries {
            if entry.is(ASKED) {
                entry.end(Outcome::Lost, State::Over);
            }
            entry.state = State::Over;
        }
    }
}
