//! The answers that may still come for ended requests, and how the connection settles them.
//!
//! A *tombstone* marks an ended request whose answer may still come. It ends by proof or by time.
//! If it ends by time, it leaves a *doubt*: answers of that key are presumed until a proof. The
//! table is in `pending.rs`; doubts for which it has no place are in `forgotten.rs`. Two counters at
//! the end of this file make sure that nothing stays wrong or in doubt for ever.

use crate::connection::config::Config;
use crate::connection::entry::{Entry, Outcome, State, States};
use crate::connection::index::{Counts, INDEXED};
use crate::connection::key::{Domain, Key, Order};
use crate::connection::pending::{Pending, Slot};
use crate::time::{Duration, Instant};

impl<const ENTRIES: usize> Pending<ENTRIES> {
    /// Turns the oldest tombstone into a doubt; with a key, the oldest tombstone of that key.
    /// Without a key it makes room in the table, so it chooses only an entry whose outcome the
    /// caller has taken. Returns whether there was such a tombstone.
    pub(crate) fn doubt_the_oldest(&mut self, of: Option<Key>) -> bool {
        let oldest = self.oldest(|entry| {
            let fits = of.map_or(entry.outcome == Outcome::None, |key| entry.key == key);
            fits && entry.state.is(States::TOMBSTONE)
        });
        let Some(oldest) = oldest else { return false };
        self.use_up(oldest, false);
        true
    }

    /// Records a frame that was sent without a request. Its echo may come. If the echo can look
    /// like the answer to a request of the same key, that key is in doubt.
    pub(crate) fn sent_unasked(&mut self, now: Instant, sent: &mut Entry) {
        self.close();
        if self.index.counts().is_none_or(Counts::has_echoes) {
            for entry in self.entries_mut() {
                if entry.state == State::Echo && entry.until < now {
                    entry.state = State::Over;
                }
            }
        }
        sent.state = State::Echo;
        self.push(sent);
        self.doubt(sent);
    }

    /// Puts the key of the newest frame in doubt.
    pub(crate) fn doubt(&mut self, newest: &mut Entry) {
        if newest.certain {
            self.join_doubts(newest);
            newest.state = State::Doubt;
            if !self.push(newest) {
                self.forgotten.add(newest);
            }
        }
    }

    /// Joins an entry with the doubt of its key, if there is one: one doubt per key is enough, that
    /// of the newest frame. Returns whether the entry is older, so that the other one remains.
    fn join_doubts(&mut self, of: &mut Entry) -> bool {
        let mut newer = false;
        if INDEXED && !self.states_of(of).any(States::DOUBT) {
            return false;
        }
        for entry in self.entries_mut() {
            if entry.state == State::Doubt && entry.key == of.key {
                newer = of.order.is_before(entry.order);
                let missing = entry.missing.saturating_add(of.missing);
                if newer {
                    entry.missing = missing;
                } else {
                    of.missing = missing;
                    entry.state = State::Over;
                }
            }
        }
        newer
    }

    /// A frame came that is an answer of the key of `owner`, and nobody knows to which request. Counts
    /// it, and returns the order before which everything in its domain is settled, if this frame
    /// shows that. `newest` is the command that was sent last.
    pub(crate) fn count_answer(&mut self, owner: Slot, newest: Order) -> Option<Order> {
        let Entry { key, domain, ticket, .. } = *self.get(owner)?;
        self.one_answer_came(key, domain);
        if ticket.is_fence() {
            self.recovery.end_turn();
        }
        let missing = self.missing(key, domain);
        self.recovery.count(key, newest, missing)
    }

    /// The oldest request of a key that misses an answer misses one fewer. So those that are newer,
    /// and may outlive it, are never counted too low. For the same reason nothing is counted while
    /// forgotten requests, which are older, miss answers.
    fn one_answer_came(&mut self, key: Key, domain: Domain) {
        if self.forgotten.missing(key, domain) > 0 {
            return;
        }
        let misses = |entry: &Entry| {
            entry.key == key && entry.missing > 0 && entry.state.is(States::MAY_COME)
        };
        let oldest = self.oldest(misses);
        if let Some(entry) = oldest.and_then(|oldest| self.at(oldest)) {
            entry.missing = entry.missing.saturating_sub(1);
        }
    }

    /// How many answers of this key may still come.
    pub(crate) fn missing(&self, key: Key, domain: Domain) -> u16 {
        let of_key = |entry: &&Entry| entry.key == key && entry.state.is(States::MAY_COME);
        let forgotten = self.forgotten.missing(key, domain);
        let entries = self.entries.iter().filter(of_key);
        entries.fold(forgotten, |missing, entry| missing.saturating_add(entry.missing))
    }

    /// Removes an echo from the table: a frame came that may be this echo.
    pub(crate) fn use_up_echo(&mut self, echo: Slot) {
        if let Some(note) = self.at(echo) {
            note.state = State::Over;
        }
    }

    /// Ends a tombstone: the oldest owner of a frame that may be its answer, or one whose grace is
    /// over. If the frame answers a younger request, the answer to the oldest owner will not come
    /// any more, because answers keep their order. A push proves nothing: if the frame may be a
    /// push (`certain` is false), the key falls into doubt.
    pub(crate) fn use_up(&mut self, oldest: Slot, certain: bool) {
        let tombstone = self.get(oldest).filter(|entry| !entry.waits());
        let Some(mut entry) = tombstone.copied() else { return };
        let doubt = !certain && entry.certain && !self.join_doubts(&mut entry);
        entry.state = if doubt { State::Doubt } else { State::Over };
        if let Some(place) = self.at(oldest) {
            *place = entry;
        }
    }

    /// Ends a waiting request as ambiguous: a frame came that may answer it or another request. Its
    /// own answer may come until then.
    #[cfg_attr(target_os = "none", inline(never))] // if inlined, a client takes 20 bytes more flash
    pub(crate) fn end_ambiguous(&mut self, request: Slot, until: Instant) {
        if let Some(request) = self.at(request).filter(|of| of.waits()) {
            request.end(Outcome::Ambiguous, State::Owed);
            request.until = until;
        }
    }

    /// A proven answer settles everything older in its ordering domain: tombstones and doubts
    /// end; requests that still wait will never be answered.
    pub(crate) fn settle(&mut self, domain: Domain, order: Order) {
        self.forgotten.settle(domain, order);
        self.close();
        if self.index.counts().is_some_and(|counts| !counts.may_be_outstanding(domain)) {
            return;
        }
        let is_older = |entry: &Entry| {
            let unsettled = entry.domain == domain && entry.state.is(States::OUTSTANDING);
            unsettled && entry.order.is_before(order)
        };
        if INDEXED && !self.entries.iter().any(is_older) {
            return;
        }
        for entry in self.entries_mut() {
            if is_older(entry) {
                if entry.waits() {
                    entry.end(Outcome::Unanswered, State::Over);
                }
                entry.state = State::Over;
            }
        }
    }

    /// Whether fences bring the proof of this domain back: the key of the fence under way is in doubt
    /// itself. A request whose key is in doubt waits for them.
    pub(crate) fn recovers(&self, domain: Domain) -> bool {
        self.entries.iter().any(|fence| {
            fence.is_fence_under_way()
                && fence.domain == domain
                && self.states_of(fence).any(States::DOUBT)
        })
    }

    /// The answer to a request that has ended. If it is proven, nothing is owed for that request
    /// any more. If it is only presumed, it may have been a push, and the true one may still come.
    pub(crate) fn answered_late(&mut self, at: Slot, proven: bool) {
        let Some(owed) = self.at(at) else { return };
        if proven {
            owed.state = State::Over;
        } else if owed.state == State::Owed {
            owed.state = State::Presumed;
        }
    }

    /// The answer to a request has come, and it has no payload.
    pub(crate) fn complete(&mut self, at: Slot, proven: bool, now: Instant, config: &Config) {
        let until = self.true_answer_until(proven, now, config);
        let Some(request) = self.at(at) else { return };
        request.complete(until);
        if !proven && request.ticket.is_fence() {
            self.use_up(at, false); // nobody takes its answer for the true one
        }
    }

    /// Until when the true answer to a request may come. `None` if the one that came is proven.
    fn true_answer_until(
        &mut self,
        proven: bool,
        now: Instant,
        config: &Config,
    ) -> Option<Instant> {
        (!proven).then(|| now + self.long_holds.next(config))
    }

    /// Ends the payload that is being received. `missing` is the number of bytes that did not come.
    pub(crate) fn end_payload(
        &mut self,
        now: Instant,
        config: &Config,
        missing: u32,
        outcome: Outcome,
    ) {
        let Some(at) = self.oldest(|entry| entry.state.is(States::RECEIVING)) else { return };
        let proven = self.get(at).is_some_and(|entry| entry.state == State::Receiving);
        let until = self.true_answer_until(proven, now, config);
        if let Some(request) = self.at(at) {
            request.complete(until);
            request.outcome = outcome;
            request.received = request.expected.saturating_sub(missing);
        }
    }

    /// The connection is lost: every request ends, and all tombstones and doubts end.
    pub(crate) fn lose_all(&mut self) {
        for entry in self.entries_mut() {
            if entry.state == State::Queued {
                entry.end(Outcome::LostUnsent, State::Over);
            } else if entry.state.is(States::ACTIVE) {
                entry.end(Outcome::Lost, State::Over);
            }
            entry.state = State::Over;
        }
    }
}

/// After which presumed answers the next request of the key waits for the whole grace: every fifth to
/// eighth of a key that is asked for alone.
///
/// A push that is taken for an answer shifts the answers that follow by one, if the true answers come
/// later than `presumed_grace`. So the hold is now and then as long as the grace: in that time the
/// answers that are still to come are late, and the shift ends.
///
/// The answers of all keys take turns here. Multiples of the golden ratio are spread so evenly that no
/// key, however regularly it is asked for, can miss its turn for ever, as it could with a counter.
#[derive(Debug, Clone)]
#[cfg_attr(test, derive(PartialEq, Eq))]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct LongHolds(u32);

impl LongHolds {
    /// No answer has come: all zero.
    pub(crate) const NONE: Self = Self(0);
    /// 2³² divided by the golden ratio.
    const STEP: u32 = 0x9E37_79B9;
    /// 2³² divided by the fourth power of the golden ratio.
    const LONG_BELOW: u32 = 0x2559_DE5C;

    /// How long the true answer may still come after one that is only presumed.
    fn next(&mut self, config: &Config) -> Duration {
        self.0 = self.0.wrapping_add(Self::STEP);
        if self.0 < Self::LONG_BELOW { config.grace } else { config.presumed_grace }
    }
}

/// The most answers of a fence's key that a request waits for while they are counted. That takes at
/// most seven round trips; with more, a request could wait past its deadline again and again.
pub(crate) const MOST_COUNTED: u16 = 2;
/// So many frames of other keys let another key take its turn.
const TURN: u8 = 16;

/// Counts the frames of one key in doubt, so that proof comes back when each key of a domain that could
/// prove anything is in doubt.
///
/// Each frame of a key uses up one answer of that key. When as many frames came as answers were
/// missing at some point in time, the next frame answers a command that was sent later. So whatever
/// was sent before that time, in the same ordering domain, will not be answered any more.
///
/// A [`Connection`](crate::Connection) counts with it, and so does a program that only watches a
/// connection:
///
/// ```
/// use flamingo_protocol_core::{
///     CommandCode, Frame,
///     connection::{Key, Order, Recovery},
/// };
/// let key = Key::of(&Frame::command(CommandCode::STAGE_POSITION_GET).with_selector(1));
/// let mut recovery = Recovery::new();
/// // Commands 1 to 4 were sent, and one answer of this key is missing. It, or another, comes.
/// assert_eq!(recovery.count(key, Order::new(4), 1), None);
/// assert_eq!(recovery.count(key, Order::new(5), 1), None, "the missing one may have come only now");
/// // This one answers a command after the fourth.
/// assert_eq!(recovery.count(key, Order::new(6), 1), Some(Order::new(5)));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Recovery {
    key: Key,
    /// The last command that was sent when counting began.
    mark: Order,
    /// How many answers to commands up to `mark` may still come.
    missing: u16,
    /// Frames of other keys since the last one of this key.
    others: u8,
}

impl Recovery {
    /// No key is counted.
    #[must_use]
    pub const fn new() -> Self {
        Self { key: Key::NONE, mark: Order::FIRST, missing: 0, others: 0 }
    }

    /// The next frame is counted at once, whatever its key. Otherwise another key takes its turn only
    /// after some frames. A fence is counted at once.
    pub const fn end_turn(&mut self) {
        self.others = TURN;
    }

    /// A frame came that is an answer of this key, and nobody knows to which request. `newest` is the
    /// command that was sent last, and `missing` the number of answers of this key that may still
    /// come. Returns the order before which everything in its domain is settled, if the frame shows
    /// that.
    pub fn count(&mut self, key: Key, newest: Order, missing: u16) -> Option<Order> {
        let mut settled = None;
        if key == self.key {
            self.others = 0;
            if self.missing > 0 {
                self.missing = self.missing.saturating_sub(1);
                return None;
            }
            settled = Some(self.mark.next());
        } else if self.key != Key::NONE && self.others < TURN {
            self.others = self.others.saturating_add(1);
            return None;
        }
        *self = Self { key, mark: newest, missing, others: 0 };
        settled
    }
}

impl Default for Recovery {
    fn default() -> Self {
        Self::new()
    }
}
