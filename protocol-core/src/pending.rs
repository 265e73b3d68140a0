//! The fixed-size table of requests in flight and of what is owed for older ones.
//!
//! A request keeps its entry from the call until nothing can come for it any more: queued, sent,
//! then perhaps a tombstone, a doubt. How what is owed comes to an end is `debts.rs`; what a single
//! entry knows is `entry.rs`. Which frame belongs to whom is `classify.rs`.

use heapless::Vec;

use crate::classify::Owners;
use crate::command::CommandCode;
use crate::config::Config;
use crate::entry::{Entry, OPEN, OUTSTANDING, OWING, OWNS, Outcome, State, TOMBSTONE};
use crate::error::Full;
use crate::key::{Key, Order};
use crate::ticket::Ticket;
use crate::time::Instant;

/// The most requests and tombstones that one frame may be ambiguous between.
pub const MAX_OWNERS: usize = 8;

/// Everybody to whom a frame of a key may belong.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct OwnersOfKey<'a> {
    pub(crate) oldest: Option<&'a Entry>,
    /// The newest that waits.
    pub(crate) waiting: Option<&'a Entry>,
    pub(crate) several: bool,
    /// Nobody knows who else.
    pub(crate) in_doubt: bool,
    /// What notes that a frame of that key was just sent without waiting for an answer.
    pub(crate) echo: Option<&'a Entry>,
}

/// Room for `ENTRIES`.
#[derive(Debug, Clone)]
#[repr(C)]
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

    /// The entry of that ticket, in one of those states.
    #[inline(never)]
    pub(crate) fn find(&mut self, ticket: Ticket, states: u8) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.ticket == ticket && entry.is(states))
    }

    /// Whether there is an entry of that key in one of those states.
    #[inline(never)]
    pub(crate) fn has(&self, key: Key, states: u8) -> bool {
        self.entries.iter().any(|entry| entry.is(states) && entry.key == key)
    }

    /// Requests that have no outcome that was told, and tombstones.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.number_of(Entry::is_live), self.number_of(|entry| entry.is(TOMBSTONE)))
    }

    /// Takes a request in, if every live one could still leave a tombstone; `most` may be live, of
    /// stops if it is one, else of others, fences not counted. A stop is never refused for want of
    /// room for tombstones: the oldest whose end was told falls into doubt.
    pub(crate) fn insert(&mut self, entry: &Entry, most: usize) -> Result<(), Full> {
        let stops = entry.traits.stops();
        let (mut taken, mut live) = (0_usize, 0_usize);
        for other in &self.entries {
            if other.is_live() || other.is(TOMBSTONE) {
                taken = taken.wrapping_add(1);
                let alike = !other.ticket.is_fence() && other.traits.stops() == stops;
                live = live.wrapping_add(usize::from(alike && other.is_live()));
            }
        }
        if live >= most {
            return Err(if stops { Full::StopLane } else { Full::Requests });
        }
        let mut room = taken < ENTRIES;
        if stops {
            // One that is answered for certain owns nothing any more, however long its payload.
            let owner = OPEN & !(State::Receiving as u8);
            let open = |other: &Entry| other.key == entry.key && other.is(owner);
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
    #[inline(never)]
    pub(crate) fn push(&mut self, entry: &Entry) -> bool {
        let most = if entry.state == State::Echo { State::Echo } else { State::Doubt };
        let mut victim: Option<&mut Entry> = None;
        for other in &mut self.entries {
            let least = victim.as_ref().map_or(most as u8 + 1, |victim| victim.state as u8);
            if other.outcome == Outcome::None && (other.state as u8) < least {
                victim = Some(other);
            }
        }
        let Some(victim) = victim else { return false };
        self.all_in_doubt |= victim.state == State::Doubt;
        *victim = *entry;
        true
    }

    /// Everybody to whom a frame of `key` that comes now may belong.
    pub(crate) fn owners(&self, key: Key, now: Instant) -> OwnersOfKey<'_> {
        let mut owners = OwnersOfKey { in_doubt: self.all_in_doubt, ..OwnersOfKey::default() };
        for entry in self.entries.iter().filter(|entry| entry.key == key) {
            if entry.is(OWNS) {
                owners.several = owners.oldest.is_some();
                if owners.oldest.is_none_or(|oldest| entry.order.is_before(oldest.order)) {
                    owners.oldest = Some(entry);
                }
                if entry.waits() && owners.waiting.is_none_or(|of| of.order.is_before(entry.order))
                {
                    owners.waiting = Some(entry);
                }
            }
            owners.in_doubt |= entry.state == State::Doubt;
            if entry.state == State::Echo && now <= entry.until {
                owners.echo = Some(entry);
            }
        }
        owners
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

    /// The owner that a token names, if the code fits too. A doubt owns it, too.
    pub(crate) fn owner_by_token(&self, code: CommandCode, token: i32) -> Option<&Entry> {
        self.entries.iter().find(|entry| {
            entry.ticket.token() == token && entry.key.code == code && entry.is(OUTSTANDING)
        })
    }

    /// Whether the frame of that ticket may go on the wire now, as far as answers are concerned.
    pub(crate) fn may_go(&self, ticket: Ticket, now: Instant, config: &Config) -> bool {
        let queued = |entry: &&Entry| entry.ticket == ticket && entry.state == State::Queued;
        let Some(request) = self.entries.iter().find(queued) else {
            return true; // fire and forget
        };
        let owed = if config.tokens.is_none() { OWING } else { 0 };
        now < request.until
            && !self.has(request.key, State::Sent as u8 | owed)
            && self.number_of(Entry::counts) < config.window.max(1)
    }

    /// The entry whose state ends next.
    #[inline(never)]
    pub(crate) fn next_end(&self) -> Option<&Entry> {
        let mut next: Option<&Entry> = None;
        for entry in &self.entries {
            let last = next.map_or(Instant::FAR_FUTURE, |next| next.until);
            if entry.is(OPEN) && entry.until < last {
                next = Some(entry);
            }
        }
        next
    }

    /// A request that ended without an answer; its outcome is to be told and cleared.
    pub(crate) fn ended(&mut self) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.outcome != Outcome::None)
    }
}
