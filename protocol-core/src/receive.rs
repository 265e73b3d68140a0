//! What comes in, at the client's side: whose it is, and what follows from that for requests and
//! for what is owed.
//!
//! The rules are `classify.rs`; how bytes become frames is `finder.rs`.

use crate::bytes::word;
use crate::classify::{Class, Facts, Named, Verdict, classify};
use crate::command::{CommandCode, Kind};
use crate::config::{Settings, TokenField};
use crate::connection::{Connection, LinkEvent};
use crate::counters::count;
use crate::entry::{Entry, Outcome, State};
use crate::frame::{CLIENT_ID, CODE, FLAGS, FRAME_LEN, Flags, Frame, INT32_DATA_0, INT32_DATA_2};
use crate::key::{Domain, Key, Order};
use crate::output::Received;
use crate::pending::OwnersOfKey;
use crate::ticket::Ticket;
use crate::time::Instant;
use crate::traits::Traits;

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

    /// Whose it is, and what the caller had in the field of the token, if it answers a request.
    fn handle_head(&mut self, now: Instant, head: &Head) -> (Class, Option<i32>) {
        let owners = self.pending.owners(head.key, now);
        let certain = !self.settings.config().may_push(head.traits) && !owners.in_doubt;
        let verdict = classify(&self.facts(head, owners, certain));
        let mut original = None;
        let (class, counter) = match verdict {
            Verdict::Belongs { owner, proven } if owner.waits() => {
                let ticket = owner.ticket;
                let oldest = owners.oldest.map(|oldest| oldest.ticket);
                original = self.answered(now, ticket, proven, head.payload_len);
                if let (Some(oldest), false) = (oldest, proven)
                    && oldest != ticket
                {
                    self.pending.use_up(oldest, certain);
                }
                if !proven {
                    count(&mut self.counters.presumed, 1);
                }
                (Class::Solicited { ticket, proven }, &mut self.counters.solicited)
            }
            Verdict::Belongs { owner: Entry { ticket, .. }, proven } => {
                let ticket = *ticket;
                // One that is only presumed may have been a push: the true one may still come.
                let paid = if proven { self.pending.pay(ticket) } else { None };
                if let Some((domain, order)) = paid {
                    self.settle(domain, order);
                }
                (Class::Late { ticket, proven }, &mut self.counters.late)
            }
            Verdict::Ambiguous { oldest } => {
                let (oldest, newest) = (oldest.ticket, owners.waiting.map(|of| of.ticket));
                let named = self.pending.owners_in_order(head.key);
                self.end_ambiguous(now, oldest, newest, certain);
                (Class::Ambiguous { owners: named }, &mut self.counters.ambiguous)
            }
            Verdict::Unsolicited => {
                let marked = self.settings.config().is_marked(head.flags);
                let echo = owners.echo.filter(|_| !marked).map(|echo| echo.ticket);
                if let Some(ticket) = echo {
                    self.pending.use_up_echo(ticket);
                }
                (Class::Unsolicited { ours: echo.is_some() }, &mut self.counters.unsolicited)
            }
        };
        count(counter, 1);
        (class, original)
    }

    fn facts<'a>(&'a self, head: &Head, owners: OwnersOfKey<'a>, certain: bool) -> Facts<'a> {
        let config = self.settings.config();
        Facts {
            server_only: head.traits.is(Kind::Event),
            positions_in_buffer: head.flags.contains(Flags::STAGE_POSITIONS_IN_BUFFER),
            untagged: config.peer_tags && !head.flags.contains(Flags::ANSWER_TAG),
            token: config.tokens.map(|field| {
                let named = self.pending.owner_by_token(head.key.code, head.token(field));
                named.map_or(Named::Nobody, Named::Owner)
            }),
            owners,
            certain,
            on_ambiguous: config.on_ambiguous,
        }
    }

    /// A request got its answer. Gives what the caller had in the field of the token.
    fn answered(
        &mut self,
        now: Instant,
        ticket: Ticket,
        proven: bool,
        expected: u32,
    ) -> Option<i32> {
        let request = self.pending.find(ticket, State::Sent as u8)?;
        let (domain, order, original) = (request.domain, request.order, request.original);
        if expected > 0 && !ticket.is_fence() {
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

    /// The oldest owner is used up; the newest that waits ends, and its own answer is still owed.
    fn end_ambiguous(
        &mut self,
        now: Instant,
        oldest: Ticket,
        newest: Option<Ticket>,
        certain: bool,
    ) {
        self.pending.use_up(oldest, certain);
        let until = self.grace(now);
        if let Some(newest) = newest {
            self.pending.end_ambiguous(newest, until, State::Owed);
        }
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
