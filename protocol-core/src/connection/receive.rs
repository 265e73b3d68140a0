//! What comes in, at the client's side: it is classified, and ends requests and settles what is
//! owed.
//!
//! The rules are `classify.rs`; how bytes become frames is `scanner.rs`.

use crate::connection::classify::{Class, Facts, Verdict, classify};
use crate::connection::config::Config;
use crate::connection::counters::{Counters, count};
use crate::connection::entry::{Entry, Outcome, State};
use crate::connection::key::{Domain, Key, Order};
use crate::connection::pending::{Pending, Slot};
use crate::connection::ticket::Ticket;
use crate::scanner::FrameView;
use crate::time::Instant;
use crate::wire::facts::CommandFacts;
use crate::wire::layout::INT32_DATA_0;

/// The requests of a connection, and what was learned from the frames that came in.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct Requests<const OWED: usize> {
    pub(crate) pending: Pending<OWED>,
    pub(crate) counters: Counters,
    /// The position of the last command that was sent.
    pub(crate) order: Order,
    /// The ordering domain in which a harmless query was not answered; `Domain::NONE`: none.
    pub(crate) unresponsive: Domain,
    pub(crate) link_event: LinkEvent,
}

/// What is to be told about the peer.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) enum LinkEvent {
    None,
    Unresponsive,
    Responsive,
}

impl<const OWED: usize> Requests<OWED> {
    /// Nothing has happened yet: all zero.
    pub(crate) const NEW: Self = Self {
        pending: Pending::NEW,
        counters: Counters::ZERO,
        order: Order::FIRST,
        unresponsive: Domain::NONE,
        link_event: LinkEvent::None,
    };

    /// Classifies a frame and does what follows. If it answers a request, gives also what the
    /// caller had in the field of the token.
    #[allow(clippy::inline_always)] // a call: 46 instructions more for an event on x86-64
    #[cfg_attr(not(target_os = "none"), inline(always))]
    pub(crate) fn receive_frame(
        &mut self,
        now: Instant,
        config: &Config,
        frame: FrameView<'_>,
    ) -> (Class, Option<i32>) {
        let code = frame.code();
        let command = CommandFacts::of(code);
        let key = Key::new(code, command, frame.int(INT32_DATA_0));
        let mut facts = Facts::with_command(command, frame.flags(), config);
        let echo = self.pending.facts(key, now, &mut facts);
        if let Some(field) = config.tokens {
            facts.token = self.pending.owner_by_token(key.code, frame.int(field.field()));
        }
        let verdict = classify(&facts);
        let mut original = None;
        let (class, counter) = match verdict {
            Verdict::Solicited { owner, proven } => {
                let ticket;
                (ticket, original) = self.pending.owner(owner);
                self.answered(now, config, owner, proven, frame.payload_len);
                if !proven {
                    count(&mut self.counters.presumed, 1);
                    let oldest = facts.candidates.oldest().map(|oldest| oldest.id);
                    if let Some(oldest) = oldest.filter(|oldest| *oldest != owner) {
                        self.pending.use_up(oldest, facts.certain());
                    }
                }
                (Class::Solicited { ticket, proven }, &mut self.counters.solicited)
            }
            Verdict::Late { owner, proven } => {
                let ticket;
                (ticket, original) = self.pending.owner(owner);
                self.pending.answered_late(owner, proven);
                (Class::Late { ticket, proven }, &mut self.counters.late)
            }
            Verdict::Ambiguous { oldest } => {
                let owners = self.pending.owners_in_order(key);
                let newest = facts.candidates.newest_waiting().map(|newest| newest.id);
                self.end_ambiguous(now + config.grace, oldest, newest, facts.certain());
                (Class::Ambiguous { owners }, &mut self.counters.ambiguous)
            }
            Verdict::Unsolicited { ours } => {
                if let Some(echo) = echo.filter(|_| ours) {
                    self.pending.use_up_echo(echo);
                } else if config.peer_tags
                    && config.tokens.is_none()
                    && !facts.untagged
                    && !facts.server_only
                {
                    self.answered_again(config, key);
                }
                (Class::Unsolicited { ours }, &mut self.counters.unsolicited)
            }
        };
        count(counter, 1);
        if let Some((domain, order)) = self.settled_by(config, &verdict, &facts) {
            self.settle(domain, order);
        }
        (class, original)
    }

    /// A request got its answer: it ends, or waits for the payload.
    fn answered(&mut self, now: Instant, config: &Config, slot: Slot, proven: bool, expected: u32) {
        let Some(request) = self.pending.at(slot) else { return };
        if expected > 0 && !request.ticket.is_fence() {
            request.state = if proven { State::Receiving } else { State::ReceivingPresumed };
            request.expected = expected;
        } else {
            self.pending.complete(slot, proven, now, config);
        }
    }

    /// An answer came for which nothing waits: an earlier answer of that key was not the true one,
    /// or this one came twice. So the next one proves nothing.
    fn answered_again(&mut self, config: &Config, key: Key) {
        let mut doubt = Entry::new(Ticket::NONE, key.code, key.selector, config);
        doubt.order = self.order;
        self.pending.doubt(&mut doubt);
    }

    /// What a frame settles: everything in this domain that was sent before this order. A token shows
    /// nothing about other answers.
    fn settled_by(
        &mut self,
        config: &Config,
        verdict: &Verdict<Slot>,
        facts: &Facts<Slot>,
    ) -> Option<(Domain, Order)> {
        let (Verdict::Solicited { owner, proven } | Verdict::Late { owner, proven }) = *verdict
        else {
            return None;
        };
        let Entry { domain, order, .. } = *self.pending.get(owner)?;
        if domain == Domain::NONE || config.tokens.is_some() {
            return None;
        }
        if proven {
            return Some((domain, order));
        }
        // The key is in doubt, or else the frame may be a push, or answer another candidate.
        let is_answer = !facts.pushable && facts.candidates.count() == 1;
        let before = is_answer.then(|| self.pending.count_answer(owner, self.order))??;
        Some((domain, before))
    }

    /// Settles everything in a domain that was sent before this order.
    fn settle(&mut self, domain: Domain, order: Order) {
        self.pending.settle(domain, order);
        if self.unresponsive == domain {
            self.unresponsive = Domain::NONE;
            self.link_event = LinkEvent::Responsive;
        }
    }

    /// Some of a payload came in.
    pub(crate) fn receive_payload(
        &mut self,
        now: Instant,
        config: &Config,
        len: usize,
        remaining: u32,
    ) {
        count(&mut self.counters.payload_bytes, len);
        if remaining == 0 {
            self.pending.end_payload(now, config, 0, Outcome::None);
        }
    }

    /// The oldest candidate is used up; the newest that waits ends, and its own answer is still
    /// owed until then.
    fn end_ambiguous(&mut self, until: Instant, oldest: Slot, newest: Option<Slot>, certain: bool) {
        if let Some(newest) = newest.filter(|newest| *newest != oldest) {
            self.pending.end_ambiguous(newest, until);
        }
        self.pending.end_ambiguous(oldest, until);
        self.pending.use_up(oldest, certain);
    }

    /// A harmless query was not answered.
    pub(crate) fn fence_unanswered(&mut self, domain: Domain) {
        count(&mut self.counters.fences_unanswered, 1);
        self.pending.silent.begin(domain);
        if self.unresponsive == Domain::NONE {
            self.unresponsive = domain;
            self.link_event = LinkEvent::Unresponsive;
        }
    }
}
