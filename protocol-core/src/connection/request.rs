//! A request from the caller's side: its start, its cancel and its timeout; and the fence that
//! settles an older request.
//!
//! The table is in `pending.rs`; `receive.rs` applies a received frame to it.

use crate::connection::Connection;
use crate::connection::config::ConfigSource;
use crate::connection::counters::count;
use crate::connection::entry::{Entry, Outcome, State, States};
use crate::connection::key::Domain;
use crate::connection::outbox::{Going, Lane, Progress};
use crate::connection::overtaking::Axes;
use crate::connection::pending::FEW;
use crate::connection::settlement::MOST_COUNTED;
use crate::connection::ticket::Ticket;
use crate::error::{CommandError, Full};
use crate::time::{Duration, Instant};
use crate::wire::command::{CommandCode, Effect, Kind, Timing};
use crate::wire::facts::CommandFacts;
use crate::wire::frame::{Frame, encode_query};
use crate::wire::layout::put_word;

/// The result of a cancel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Cancelled {
    /// The request was not sent, and it will not be sent.
    NotSent,
    /// The first byte was sent, and the rest of the frame follows. If the answer to a request comes,
    /// it is [`Class::Late`](crate::Class::Late).
    Sent,
    /// The request or frame had already ended, or it never existed. An outcome that was not taken
    /// yet is still reported.
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
    /// Queues `command`. The time from `now` to `deadline` is the time for the answer. It begins
    /// when the first byte of the command is sent. If the command declares a payload,
    /// [`Transmit::Payload`](crate::Transmit::Payload) asks for it. The outcome comes under the
    /// returned ticket.
    ///
    /// A request that is not sent by `deadline` ends as
    /// [`Ended::TimedOut`](crate::Ended::TimedOut) with `sent: false`. If the answer to an older
    /// request of the same key may still come at the time of the call, it may wait for a
    /// [`Config::grace`](crate::Config::grace) more. A stop is never withdrawn by time: it waits
    /// until it is sent or the connection is lost.
    ///
    /// A stop goes before everything that is queued: HALT and laser-off first, in places of their
    /// own, then the stops of a workflow and of live images. A stop cancels the queued commands that
    /// it must not precede: see [`is_cancelled_by`](crate::connection::is_cancelled_by).
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
    /// A stop goes before everything that is queued, as in [`Self::request`].
    ///
    /// # Errors
    /// [`CommandError`]: nothing was queued, and nothing will be sent.
    pub fn send(&mut self, now: Instant, command: &Frame) -> Result<Ticket, CommandError> {
        self.enter(now, command, None)
    }

    /// Cancels a request or a frame. If a request was already sent and its answer comes, the answer
    /// is late. If its outcome is known already, [`Self::poll_event`] still reports it.
    pub fn cancel(&mut self, now: Instant, ticket: Ticket) -> Cancelled {
        let fate = self.outbox.cancel(ticket);
        self.requests.pending.touch();
        let until = self.grace(now);
        let Some(request) = self.requests.pending.find(ticket, States::ACTIVE) else {
            return fate;
        };
        match request.state {
            State::Queued => {
                request.state = State::Over;
                return Cancelled::NotSent;
            }
            State::Sent => (request.state, request.until) = (State::Owed, until),
            _ => self.end_payload(now, Outcome::None),
        }
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
        let lane = self.free_lane(facts.effect)?;
        let ticket = self.next_ticket();
        if let Some(deadline) = deadline {
            self.admit(now, ticket, command, deadline, lane)?;
        }
        self.last_ticket = ticket;
        let mut due = Instant::FAR_FUTURE;
        if facts.effect.stops() {
            let (pending, counters) = (&mut self.requests.pending, &mut self.requests.counters);
            self.outbox.supersede(ticket, command, |ticket| {
                count(&mut counters.superseded, 1);
                if let Some(request) = pending.find(ticket, States::QUEUED) {
                    request.state = State::Over;
                }
            });
            due = now + self.settings.config().stop_patience;
        }
        self.requests.pending.touch();
        let asked = deadline.is_some();
        let going = Going {
            lane,
            query: facts.kind == Kind::Query,
            asked,
            ticket,
            axes: Axes::of(facts, command.selector()),
            at_end: facts.timing == Timing::AtEnd,
            due,
        };
        if let Some(bytes) = self.outbox.push(going) {
            command.encode_to(bytes);
            if let (Some(field), true) = (self.settings.config().tokens, asked) {
                put_word(bytes, field.field(), ticket.token() as u32);
            }
        }
        Ok(ticket)
    }

    /// Enters a request into the table.
    fn admit(
        &mut self,
        now: Instant,
        ticket: Ticket,
        command: &Frame,
        deadline: Instant,
        lane: Lane,
    ) -> Result<(), CommandError> {
        self.requests.pending.close();
        let config = self.settings.config();
        let mut entry = Entry::new(ticket, command.code, command.selector(), config);
        (entry.patience, entry.uploads) = (deadline.since(now), command.payload_len);
        if let Some(field) = config.tokens {
            entry.original = field.get(command);
        }
        if !entry.effect.stops() {
            entry.until = self.latest_start(&entry, deadline);
        }
        // One place more, so that the stop of a workflow is not refused for want of a place.
        let most = match lane {
            Lane::Stop => STOPS,
            Lane::Abort => REQUESTS.saturating_add(1),
            _ => REQUESTS,
        };
        let mut inserted = self.requests.pending.insert(&entry, most, STOPS);
        if inserted.is_err() && lane == Lane::Abort && self.give_up_fence() {
            inserted = self.requests.pending.insert(&entry, most, STOPS);
        }
        inserted.map_err(|what| CommandError::Full { what })
    }

    /// Until when a request may wait to be sent. An older request of its key may hold it for a
    /// grace, and that must not use up its own time.
    fn latest_start(&self, request: &Entry, deadline: Instant) -> Instant {
        let held = self.requests.pending.states_of(request).any(States::OWED);
        if held && request.patience > Duration::ZERO {
            return self.grace(deadline);
        }
        deadline
    }

    /// Gives up the fence under way, which takes a place that a stop needs. Returns whether there was
    /// one. If it was sent, its answer may still come.
    fn give_up_fence(&mut self) -> bool {
        let pending = &mut self.requests.pending;
        let fence = pending.oldest(Entry::is_fence_under_way);
        let Some(entry) = fence.and_then(|at| pending.at(at)) else { return false };
        let (ticket, sent) = (entry.ticket, entry.waits());
        entry.state = if sent { State::Owed } else { State::Over };
        if let Some(at) = fence.filter(|_| sent) {
            pending.use_up(at, false);
        }
        self.outbox.cancel(ticket);
        true
    }

    /// The lane of a command, if it has a place in the outbox.
    fn free_lane(&self, effect: Effect) -> Result<Lane, CommandError> {
        let (lane, free, what) = if effect.is_emergency() {
            (Lane::Stop, self.outbox.taken(Lane::Stop) < STOPS, Full::StopLane)
        } else if effect.stops() {
            let fences = self.outbox.taken(Lane::Fence);
            (Lane::Abort, self.own_frames().wrapping_add(fences) <= Self::QUEUE_PLACES, Full::Queue)
        } else {
            (Lane::Queue, self.own_frames() < Self::QUEUE_PLACES, Full::Queue)
        };
        if free { Ok(lane) } else { Err(CommandError::Full { what }) }
    }

    /// How many places the caller's frames take, HALT and laser-off not counted.
    fn own_frames(&self) -> usize {
        self.outbox.taken(Lane::Queue).wrapping_add(self.outbox.taken(Lane::Abort))
    }

    /// A ticket whose token is not in use. After 2²⁴ tickets the tokens repeat, while the answer to
    /// an old HOME may still be owed.
    fn next_ticket(&self) -> Ticket {
        let mut ticket = self.last_ticket.next();
        if self.settings.config().tokens.is_some() {
            for _ in 0..OWED {
                if !self.requests.pending.uses_token(ticket.token()) {
                    break;
                }
                ticket = ticket.next();
            }
        }
        ticket
    }

    /// The end of the grace of a request that ends at `now`.
    pub(crate) fn grace(&self, now: Instant) -> Instant {
        now + self.settings.config().grace
    }

    /// Ends the state of one entry that is due. Returns whether an entry was due.
    pub(crate) fn end_state(&mut self, now: Instant) -> bool {
        let grace = self.grace(now);
        let pending = &mut self.requests.pending;
        let Some(due) = pending.next_end() else { return false };
        if pending.get(due).is_none_or(|entry| entry.until > now) {
            return false;
        }
        let Some(entry) = pending.at(due) else { return false };
        let ticket = entry.ticket;
        match entry.state {
            State::Queued => {
                entry.end(Outcome::NotSent, State::Over);
                self.outbox.cancel(ticket);
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

    /// If the answer to an older request of the key of a queued request may still come, queues a
    /// fence: another query of that domain, whose answer settles the older request.
    pub(crate) fn place_fence(&mut self) {
        let pending = &self.requests.pending;
        if OWED > FEW && !pending.may_need_fence() {
            return;
        }
        let entries = &pending.entries;
        let under_way = entries.iter().any(Entry::is_fence_under_way);
        if self.settings.config().tokens.is_some() || under_way {
            return;
        }
        if self.outbox.taken(Lane::Fence) > 0 || self.own_frames() > Self::QUEUE_PLACES {
            return; // an older fence is still half sent, or a stop has taken the single place
        }
        let waits = |entry: &&Entry| entry.state == State::Queued && !entry.effect.stops();
        let mut fences = entries.iter().filter(waits).filter_map(|entry| self.fence_for(entry));
        let Some(at) = fences.next() else { return };
        let fence = self.fence(at);
        if self.requests.pending.insert(&fence, usize::MAX, STOPS).is_err() {
            return;
        }
        self.last_ticket = self.last_ticket.next();
        let going = Going { asked: true, ..Going::frame(fence.ticket, Lane::Fence) };
        if let Some(bytes) = self.outbox.push(going) {
            encode_query(bytes, fence.key.code, fence.key.selector);
        }
    }

    /// The fence at a place of [`FENCES`]. It has the grace for its answer.
    fn fence(&self, at: usize) -> Entry {
        let (code, selector) = FENCES.get(at).copied().unwrap_or_default();
        let code = CommandCode(u32::from(code));
        let ticket = self.last_ticket.next().fence();
        Entry::new(ticket, code, i32::from(selector), self.settings.config())
    }

    /// The place of the fence that can settle what is outstanding before a queued request: a query
    /// of the same domain whose answer is a proof. If there is none, one whose answers can be counted
    /// until they are a proof.
    fn fence_for(&self, request: &Entry) -> Option<usize> {
        let pending = &self.requests.pending;
        let silent = request.domain == Domain::NONE || pending.silent.has(request.domain);
        let states = pending.states_of(request);
        if silent || !states.any(States::UNSETTLED) {
            return None;
        }
        let mut counted = None;
        for at in 0..FENCES.len() {
            let fence = self.fence(at);
            if fence.domain != request.domain || !fence.certain {
                continue;
            }
            let of_fence = pending.states_of(&fence);
            if !of_fence.any(States::OUTSTANDING) {
                return Some(at);
            }
            // The key of the request itself cannot prove anything: its own old answer may still
            // come.
            let free = !of_fence.any(States::HOLDS_KEY);
            let few = pending.missing(fence.key, fence.domain) <= MOST_COUNTED;
            if counted.is_none() && free && few && fence.key != request.key {
                counted = Some(at);
            }
        }
        counted
    }

    /// Records that the first byte of a frame is sent.
    pub(crate) fn has_started(&mut self, now: Instant, frame: &Progress) {
        let ticket = frame.ticket;
        self.requests.order = self.requests.order.next();
        count(&mut self.requests.counters.frames_sent, 1);
        let order = self.requests.order;
        let Some(request) = self.requests.pending.find(ticket, States::QUEUED) else {
            let mut sent = Entry::new(ticket, frame.code, frame.selector, self.settings.config());
            (sent.until, sent.order, sent.uploads) = (self.grace(now), order, frame.uploads);
            self.requests.pending.sent_unasked(now, &mut sent);
            return;
        };
        (request.state, request.order) = (State::Sent, order);
        request.until = now + request.patience;
        if ticket.is_fence() {
            count(&mut self.requests.counters.fences_sent, 1);
        }
    }
}
