//! A request from the caller's side: how it enters, when it may go, how it is cancelled or times
//! out; and the fence that settles an older one.
//!
//! The table itself is `pending.rs`; what a frame that came in does to it is `receive.rs`.

use crate::connection::Connection;
use crate::connection::config::ConfigSource;
use crate::connection::counters::count;
use crate::connection::entry::{ASKED, Entry, Outcome, RECEIVING, State, WAITS};
use crate::connection::key::Domain;
use crate::connection::outbox::{Going, Lane, Progress};
use crate::connection::ticket::Ticket;
use crate::error::{CommandError, Full};
use crate::time::Instant;
use crate::wire::command::{CommandCode, Kind};
use crate::wire::facts::CommandFacts;
use crate::wire::frame::{Frame, encode_query};
use crate::wire::layout::put_word;

/// What became of a request that was cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Cancelled {
    /// It was not sent, and will not be.
    NotSent,
    /// It was sent. Its answer, if one comes, will be [`Class::Late`](crate::Class::Late).
    Sent,
    /// It had ended already, or never was.
    Unknown,
}

/// Harmless queries whose answer proves something about their subsystem: code and selector.
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
    /// Asks: `command` will be sent, and its outcome told under the ticket, by `deadline` at the
    /// latest. If it declares a payload, [`Transmit::Payload`](crate::Transmit::Payload) will ask
    /// for it.
    ///
    /// A HALT goes before everything that is queued, from a slot of its own, and cancels the
    /// moves that are still queued.
    ///
    /// # Errors
    /// [`CommandError`]; nothing was queued and nothing will be sent.
    pub fn request(
        &mut self,
        now: Instant,
        command: &Frame,
        deadline: Instant,
    ) -> Result<Ticket, CommandError> {
        self.enter(now, command, Some(deadline))
    }

    /// Sends without waiting for an answer. The ticket tells when it is out
    /// ([`Self::transmitted`]) or that it will never go ([`Event::Ended`](crate::Event::Ended)).
    /// A frame of that code which comes back is unsolicited, marked as perhaps ours.
    ///
    /// A HALT or laser-off goes before everything that is queued, and cancels the moves, or the
    /// enables, that are still queued.
    ///
    /// # Errors
    /// [`CommandError`]; nothing was queued and nothing will be sent.
    pub fn send(&mut self, now: Instant, command: &Frame) -> Result<Ticket, CommandError> {
        self.enter(now, command, None)
    }

    /// Takes a request back. Its answer, if it was sent, will be told as late.
    pub fn cancel(&mut self, now: Instant, ticket: Ticket) -> Cancelled {
        let withdrawn = self.outbox.withdraw(ticket);
        for entry in &mut self.requests.pending.entries {
            if entry.ticket == ticket {
                entry.outcome = Outcome::None; // nobody waits to be told
            }
        }
        let until = self.grace(now);
        let Some(request) = self.requests.pending.find(ticket, ASKED) else {
            return if withdrawn { Cancelled::NotSent } else { Cancelled::Unknown };
        };
        if request.state == State::Queued {
            request.state = State::Over;
            return Cancelled::NotSent;
        }
        if request.is(RECEIVING) {
            self.end_payload(now, Outcome::None);
            return Cancelled::Sent;
        }
        (request.state, request.until) = (State::Owed, until);
        Cancelled::Sent
    }

    /// Checks a command and puts it into the outbox and, if it has a deadline, into the table.
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
                if let Some(request) = pending.find(ticket, State::Queued as u8) {
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

    /// When the grace of what ends now does.
    pub(crate) fn grace(&self, now: Instant) -> Instant {
        now + self.settings.config().grace
    }

    /// Ends the state of an entry whose time is over. Gives whether there was one.
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

    /// If a queued request waits for an older one of its key to be settled, asks something else
    /// of that domain first: its answer is the proof.
    pub(crate) fn place_fence(&mut self) {
        let entries = &self.requests.pending.entries;
        let under_way = |entry: &Entry| entry.ticket.is_fence() && entry.is(WAITS);
        if self.settings.config().tokens.is_some() || entries.iter().any(under_way) {
            return;
        }
        if self.outbox.taken(Lane::Fence) > 0 {
            return; // an older fence is still half sent, and there is a single place
        }
        let waits = |entry: &&Entry| entry.state == State::Queued && !entry.effect.stops();
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

    /// The query that could settle what a queued request waits for: of its domain, certain, and
    /// with nothing outstanding. Its deadline counts from when it is out.
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
            // The key that is waited for is none that would prove: something is owed for it.
            fence.domain == request.domain
                && fence.certain
                && self.requests.pending.would_prove(fence.key)
        })
    }

    /// The first byte of a frame is out.
    pub(crate) fn has_started(&mut self, now: Instant, frame: &Progress) {
        let ticket = frame.ticket;
        self.order = self.order.next();
        count(&mut self.requests.counters.frames_sent, 1);
        let until = self.grace(now);
        let Some(request) = self.requests.pending.find(ticket, State::Queued as u8) else {
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
