//! A request from the caller's side: its start, its cancel and its timeout; and the fence that
//! settles an older request.
//!
//! The table is in `pending.rs`; `receive.rs` applies a received frame to it.

use crate::connection::Connection;
use crate::connection::config::ConfigSource;
use crate::connection::counters::count;
use crate::connection::entry::{Entry, Outcome, State};
use crate::connection::key::Domain;
use crate::connection::outbox::{Going, Lane, Progress};
use crate::connection::ticket::Ticket;
use crate::error::{CommandError, Full};
use crate::time::Instant;
use crate::wire::command::{CommandCode, Kind};
use crate::wire::facts::CommandFacts;
use crate::wire::frame::{Frame, encode_query};
use crate::wire::layout::put_word;

/// The result of a cancel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Cancelled {
    /// The request was not sent, and it will not be sent.
    NotSent,
    /// The request was sent. If its answer comes, it is [`Class::Late`](crate::Class::Late).
    Sent,
    /// The request had already ended, or it never existed.
    Unknown,
}

/// The harmless queries that can be fences, as code and selector. Their answers settle older
/// requests of their subsystem.
const FENCES: [(u16, u8); 7] = [
    fence(CommandCode::STAGE_POSITION_GET, 1),
    fence(CommandCode::STAGE_POSITION_GET, 2),
    fence(CommandCode::STAGE_POSITION_GET, 3),
    fence(CommandCode::STAGE_POSITION_GET, 4),
    fence(CommandCode::CAMERA_PIXEL_FIELD_OF_VIEW_GET, 0),
    fence(CommandCode::CAMERA_IMAGE_SIZE_GET, 0),
    fence(CommandCode::SYSTEM_STATE_GET, 0),
];

#[allow(clippy::cast_possible_truncation)] // `facts.rs` does not compile with a longer code
const fn fence(code: CommandCode, selector: u8) -> (u16, u8) {
    (code.0 as u16, selector)
}

impl<
    const REQUESTS: usize,
    const OWED: usize,
    const QUEUE: usize,
    const STOPS: usize,
    C: ConfigSource,
> Connection<REQUESTS, OWED, QUEUE, STOPS, C>
{
    /// Queues `command` and waits for its answer until `deadline`. The outcome comes under the
    /// returned ticket, at `deadline` at the latest. If the command declares a payload,
    /// [`Transmit::Payload`](crate::Transmit::Payload) asks for it.
    ///
    /// HALT and laser-off have places of their own and go before everything that is queued. HALT
    /// cancels the queued commands that start a motion; laser-off cancels the queued commands that
    /// may switch this laser on.
    ///
    /// # Errors
    /// [`CommandError`]: nothing was queued, and nothing will be sent.
    pub fn request(
        &mut self,
        now: Instant,
        command: &Frame,
        deadline: Instant,
    ) -> Result<Ticket, CommandError> {
        self.enter(now, command, Some(deadline))
    }

    /// Queues `command` and does not wait for an answer. [`Self::transmitted`] returns the ticket
    /// when the frame is sent. If the frame will never be sent, an
    /// [`Event::Ended`](crate::Event::Ended) reports it. If the peer answers while no request with
    /// the same key is outstanding, the class of that frame is
    /// [`Class::Unsolicited`](crate::Class::Unsolicited) with `ours` set.
    ///
    /// HALT and laser-off go before everything that is queued. HALT cancels the queued commands
    /// that start a motion; laser-off cancels the queued commands that may switch this laser on.
    ///
    /// # Errors
    /// [`CommandError`]: nothing was queued, and nothing will be sent.
    pub fn send(&mut self, now: Instant, command: &Frame) -> Result<Ticket, CommandError> {
        self.enter(now, command, None)
    }

    /// Cancels a request. If it was already sent and its answer comes, the answer is late.
    pub fn cancel(&mut self, now: Instant, ticket: Ticket) -> Cancelled {
        let withdrawn = self.outbox.withdraw(ticket);
        for entry in &mut self.requests.pending.entries {
            if entry.ticket == ticket {
                entry.outcome = Outcome::None; // the caller does not need it any more
            }
        }
        let until = self.grace(now);
        let Some(request) = self.requests.pending.find(ticket, State::is_active) else {
            return if withdrawn { Cancelled::NotSent } else { Cancelled::Unknown };
        };
        if request.state == State::Queued {
            request.state = State::Over;
            return Cancelled::NotSent;
        }
        if request.state.is_receiving() {
            self.end_payload(now, Outcome::None);
            return Cancelled::Sent;
        }
        (request.state, request.until) = (State::Owed, until);
        Cancelled::Sent
    }

    /// Checks a command and puts it into the outbox. With a deadline, it also enters the table.
    fn enter(
        &mut self,
        now: Instant,
        command: &Frame,
        deadline: Option<Instant>,
    ) -> Result<Ticket, CommandError> {
        if self.closed {
            return Err(CommandError::Closed);
        }
        command.check_command(self.settings.config().payload_limit)?;
        let facts = CommandFacts::of(command.code);
        if deadline.is_some() && facts.kind == Kind::FireAndForget {
            return Err(CommandError::NeverAnswered);
        }
        let (lane, places, what, most) = if facts.effect.stops() {
            (Lane::Stop, STOPS, Full::StopLane, STOPS)
        } else {
            (Lane::Queue, Self::QUEUE_PLACES, Full::Queue, REQUESTS)
        };
        if self.outbox.taken(lane) >= places {
            return Err(CommandError::Full { what });
        }
        let ticket = self.last_ticket.next();
        if let Some(deadline) = deadline {
            let mut entry =
                Entry::new(ticket, command.code, command.selector(), self.settings.config());
            entry.until = deadline;
            if let Some(field) = self.settings.config().tokens {
                entry.original = field.get(command);
            }
            let inserted = self.requests.pending.insert(&entry, most);
            inserted.map_err(|what| CommandError::Full { what })?;
        }
        self.last_ticket = ticket;
        if facts.effect.stops() {
            let (pending, counters) = (&mut self.requests.pending, &mut self.requests.counters);
            self.outbox.supersede(ticket, command, |ticket| {
                count(&mut counters.superseded, 1);
                if let Some(request) = pending.find(ticket, |state| state == State::Queued) {
                    request.state = State::Over;
                }
            });
            if self.stop_due() == Instant::FAR_FUTURE {
                self.stop_due = now + self.settings.config().stop_patience;
            }
        }
        let asked = deadline.is_some();
        let query = facts.kind == Kind::Query;
        if let Some(bytes) = self.outbox.push(Going { lane, query, asked, ticket }) {
            command.encode_to(bytes);
            if let (Some(field), true) = (self.settings.config().tokens, asked) {
                put_word(bytes, field.field(), ticket.token() as u32);
            }
        }
        Ok(ticket)
    }

    /// The end of the grace of a request that ends at `now`.
    pub(crate) fn grace(&self, now: Instant) -> Instant {
        now + self.settings.config().grace
    }

    /// Ends the state of one entry that is due. Returns whether an entry was due.
    pub(crate) fn end_state(&mut self, now: Instant) -> bool {
        let grace = self.grace(now);
        let Some(due) = self.requests.pending.next_end() else { return false };
        let Some(entry) = self.requests.pending.at(due).filter(|entry| entry.until <= now) else {
            return false;
        };
        let ticket = entry.ticket;
        match entry.state {
            State::Queued => {
                entry.end(Outcome::NotSent, State::Over);
                self.outbox.withdraw(ticket);
            }
            State::Sent => {
                entry.end(Outcome::TimedOut, State::Owed);
                entry.until = grace;
                if ticket.is_fence() {
                    let domain = entry.domain;
                    self.requests.fence_unanswered(domain);
                }
            }
            State::Receiving | State::ReceivingPresumed => self.end_payload(now, Outcome::Stalled),
            _ => self.requests.pending.use_up(due, false),
        }
        true
    }

    /// If a queued request waits until an older request of the same key is settled, queues a fence:
    /// another query of that domain, whose answer settles the older request.
    pub(crate) fn place_fence(&mut self) {
        let entries = &self.requests.pending.entries;
        let under_way = |entry: &Entry| entry.ticket.is_fence() && entry.state.is_unanswered();
        if self.settings.config().tokens.is_some() || entries.iter().any(under_way) {
            return;
        }
        if self.outbox.taken(Lane::Fence) > 0 {
            return; // an older fence is still half sent, and there is a single place
        }
        let waits = |entry: &&Entry| entry.state == State::Queued && !entry.facts().effect.stops();
        let mut fences = entries.iter().filter(waits).filter_map(|entry| self.fence_for(entry));
        let Some(fence) = fences.next() else { return };
        if self.requests.pending.insert(&fence, usize::MAX).is_err() {
            return;
        }
        self.last_ticket = self.last_ticket.next();
        let going = Going { lane: Lane::Fence, query: true, asked: true, ticket: fence.ticket };
        if let Some(bytes) = self.outbox.push(going) {
            encode_query(bytes, fence.key.code, fence.key.selector);
        }
    }

    /// The fence that can settle the tombstone before a queued request: a query of the same domain
    /// that is certain and has nothing outstanding. Its deadline counts from the time it is sent.
    fn fence_for(&self, request: &Entry) -> Option<Entry> {
        if request.domain == Domain::NONE || !self.requests.pending.unsettled(request) {
            return None;
        }
        let ticket = self.last_ticket.next().fence();
        let mut fences = FENCES.iter().map(|(code, selector)| {
            let code = CommandCode(u32::from(*code));
            Entry::new(ticket, code, i32::from(*selector), self.settings.config())
        });
        fences.find(|fence| {
            // The key of the request itself cannot prove anything: its own old answer may still
            // come.
            fence.domain == request.domain
                && fence.certain
                && self.requests.pending.would_prove(fence.key)
        })
    }

    /// Records that the first byte of a frame is sent.
    pub(crate) fn has_started(&mut self, now: Instant, frame: &Progress) {
        let ticket = frame.ticket;
        self.order = self.order.next();
        count(&mut self.requests.counters.frames_sent, 1);
        let until = self.grace(now);
        let Some(request) = self.requests.pending.find(ticket, |state| state == State::Queued)
        else {
            let config = self.settings.config();
            let mut sent = Entry::new(ticket, frame.code, frame.selector, config);
            (sent.until, sent.order) = (until, self.order);
            self.requests.pending.sent_unasked(now, &mut sent);
            return;
        };
        (request.state, request.order) = (State::Sent, self.order);
        if ticket.is_fence() {
            request.until = until;
            count(&mut self.requests.counters.fences_sent, 1);
        }
    }
}
