//! What comes in, at the client's side: whose it is, and what follows from that for requests and
//! for what is owed.
//!
//! The rules are `classify.rs`; how bytes become frames is `finder.rs`.

use crate::connection::classify::{Class, Facts, Verdict, classify};
use crate::connection::config::{Settings, TokenField};
use crate::connection::counters::count;
use crate::connection::entry::{Outcome, State};
use crate::connection::key::{Domain, Key, Order};
use crate::connection::output::Received;
use crate::connection::pending::Slot;
use crate::connection::{Connection, LinkEvent};
use crate::time::Instant;
use crate::wire::command::CommandCode;
use crate::wire::facts::Traits;
use crate::wire::frame::{
    CLIENT_ID, CODE, FLAGS, FRAME_LEN, Flags, Frame, INT32_DATA_0, INT32_DATA_2,
};
use crate::wire::layout::word;

impl<const REQUESTS: usize, const OWED: usize, const QUEUE: usize, const STOPS: usize, C: Settings>
    Connection<REQUESTS, OWED, QUEUE, STOPS, C>
{
    pub(crate) fn receive_payload(&mut self, now: Instant, len: usize, remaining: u32) {
        count(&mut self.counters.payload_bytes, len);
        if remaining == 0 {
            self.end_payload(now, Outcome::None);
        }
    }

    /// The finder has found a frame, there or in its buffer.
    pub(crate) fn receive_frame(
        &mut self,
        now: Instant,
        found: Option<&[u8; FRAME_LEN]>,
    ) -> Received {
        let head = Head::of(self.finder.view(found), self.finder.payload_remaining);
        let (class, original) = self.handle_head(now, &head);
        let original = self.settings.config().tokens.zip(original);
        let skipped = self.finder.take_skipped();
        Received::new(self.finder.view(found), &head, class, skipped, original)
    }

    /// Classifies a frame and does what follows. Gives its class and, if it answers a request, what
    /// the caller had in the field of the token.
    fn handle_head(&mut self, now: Instant, head: &Head) -> (Class, Option<i32>) {
        let (facts, echo) = self.facts(now, head);
        let mut original = None;
        let (class, counter) = match classify(&facts) {
            Verdict::Solicited { owner, proven } => {
                let ticket = self.pending.ticket(owner);
                original = self.answered(now, owner, proven, head.payload_len);
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
                let ticket = self.pending.ticket(owner);
                // One that is only presumed may have been a push: the true one may still come.
                let paid = if proven { self.pending.pay(owner) } else { None };
                if let Some((domain, order)) = paid {
                    self.settle(domain, order);
                }
                (Class::Late { ticket, proven }, &mut self.counters.late)
            }
            Verdict::Ambiguous { oldest } => {
                let owners = self.pending.owners_in_order(head.key);
                let newest = facts.candidates.newest_waiting().map(|newest| newest.id);
                self.end_ambiguous(now, oldest, newest, facts.certain());
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

    /// What is known about a frame, and the command that it may be the echo of.
    fn facts(&self, now: Instant, head: &Head) -> (Facts<Slot>, Option<Slot>) {
        let config = self.settings.config();
        let mut facts = Facts::with_traits(head.traits, head.flags, config);
        let echo = self.pending.facts(head.key, now, &mut facts);
        if let Some(field) = config.tokens {
            facts.token = self.pending.owner_by_token(head.key.code, head.token(field));
        }
        (facts, echo)
    }

    /// A request got its answer. Gives what the caller had in the field of the token.
    fn answered(
        &mut self,
        now: Instant,
        request: Slot,
        proven: bool,
        expected: u32,
    ) -> Option<i32> {
        let request = self.pending.at(request)?;
        let (domain, order, original) = (request.domain, request.order, request.original);
        if expected > 0 && !request.ticket.is_fence() {
            request.state = if proven { State::Receiving } else { State::ReceivingPresumed };
            request.expected = expected;
        } else {
            request.complete(proven, now + self.settings.config().presumed_grace);
        }
        if proven {
            self.settle(domain, order);
        }
        Some(original)
    }

    /// The payload that comes in is over, if one does.
    #[inline(never)]
    pub(crate) fn end_payload(&mut self, now: Instant, outcome: Outcome) {
        let until = now + self.settings.config().presumed_grace;
        self.pending.end_payload(self.finder.payload_remaining, outcome, until);
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
    /// owed.
    fn end_ambiguous(&mut self, now: Instant, oldest: Slot, newest: Option<Slot>, certain: bool) {
        let until = self.grace(now);
        if let Some(newest) = newest.filter(|newest| *newest != oldest) {
            self.pending.end_ambiguous(newest, until, State::Owed);
        }
        self.pending.use_up(oldest, certain);
        self.pending.end_ambiguous(oldest, until, State::Over);
    }
}

impl Received {
    /// A function of its own, so that the frame is decoded where it is handed out.
    fn new(
        bytes: &[u8; FRAME_LEN],
        head: &Head,
        class: Class,
        skipped: u32,
        original: Option<(TokenField, i32)>,
    ) -> Self {
        let mut frame = Frame::read(bytes);
        frame.payload_len = head.payload_len;
        if let Some((field, original)) = original {
            field.replace(&mut frame, original);
        }
        Self { frame, class, skipped }
    }
}

/// What of a frame decides whose it is.
struct Head {
    key: Key,
    traits: Traits,
    flags: Flags,
    payload_len: u32,
    client_id: i32,
    int32_data_2: i32,
}

impl Head {
    fn of(bytes: &[u8; FRAME_LEN], payload_len: u32) -> Self {
        let code = CommandCode(word(bytes, CODE));
        let traits = Traits::of(code);
        Self {
            key: Key::new(code, traits, word(bytes, INT32_DATA_0) as i32),
            traits,
            flags: Flags(word(bytes, FLAGS)),
            payload_len,
            client_id: word(bytes, CLIENT_ID) as i32,
            int32_data_2: word(bytes, INT32_DATA_2) as i32,
        }
    }

    const fn token(&self, field: TokenField) -> i32 {
        match field {
            TokenField::ClientId => self.client_id,
            TokenField::Int32Data2 => self.int32_data_2,
        }
    }
}
