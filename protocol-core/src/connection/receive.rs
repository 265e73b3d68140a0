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
        unresponsive: Domain::NONE,
        link_event: LinkEvent::None,
    };

    /// Classifies a frame and does what follows. If it answers a request, gives also what the
    /// caller had in the field of the token.
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
        let mut original = None;
        let (class, counter) = match classify(&facts) {
            Verdict::Solicited { owner, proven } => {
                let ticket;
                (ticket, original) = self.answered(now, config, owner, proven, frame.payload_len);
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
                let ticket = self.answered_late(owner, proven);
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
                }
                (Class::Unsolicited { ours }, &mut self.counters.unsolicited)
            }
        };
        count(counter, 1);
        (class, original)
    }

    /// A request got its answer: it ends, or waits for the payload. Gives its ticket and what the
    /// caller had in the field of the token.
    fn answered(
        &mut self,
        now: Instant,
        config: &Config,
        request: Slot,
        proven: bool,
        expected: u32,
    ) -> (Ticket, Option<i32>) {
        let Some(request) = self.pending.at(request) else { return (Ticket::NONE, None) };
        let Entry { ticket, domain, order, original, .. } = *request;
        if expected > 0 && !ticket.is_fence() {
            request.state = if proven { State::Receiving } else { State::ReceivingPresumed };
            request.expected = expected;
        } else {
            request.complete(proven, now + config.presumed_grace);
        }
        if proven {
            self.settle(domain, order);
        }
        (ticket, Some(original))
    }

    /// The answer to a request that has ended. If it is proven, nothing is owed for that request
    /// any more; if it is only presumed, it may have been a push, and the true one may still come.
    fn answered_late(&mut self, owed: Slot, proven: bool) -> Ticket {
        let Some(entry) = self.pending.at(owed) else { return Ticket::NONE };
        let Entry { ticket, domain, order, .. } = *entry;
        if proven {
            entry.state = State::Over;
            self.settle(domain, order);
        }
        ticket
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
            self.pending.end_payload(0, Outcome::None, now + config.presumed_grace);
        }
    }

    /// What the proven answer to a request settles.
    fn settle(&mut self, domain: Domain, order: Order) {
        if domain == Domain::NONE {
            return;
        }
        self.pending.settle(domain, order);
        if self.unresponsive == domain {
            self.unresponsive = Domain::NONE;
            self.link_event = LinkEvent::Responsive;
        }
    }

    /// The oldest candidate is used up; the newest that waits ends, and its own answer is still
    /// owed until then.
    fn end_ambiguous(&mut self, until: Instant, oldest: Slot, newest: Option<Slot>, certain: bool) {
        if let Some(newest) = newest.filter(|newest| *newest != oldest) {
            self.pending.end_ambiguous(newest, until, State::Owed);
        }
        self.pending.use_up(oldest, certain);
        self.pending.end_ambiguous(oldest, until, State::Over);
    }

    /// A harmless query was not answered.
    pub(crate) fn fence_unanswered(&mut self, domain: Domain) {
        count(&mut self.counters.fences_unanswered, 1);
        if self.unresponsive == Domain::NONE {
            self.unresponsive = domain;
            self.link_event = LinkEvent::Unresponsive;
        }
    }
}
