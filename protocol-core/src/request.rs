//! A request from the caller's side: how it enters, when it may go, how it is cancelled or times
//! out; and the fence that settles an older one.
//!
//! The table itself is `pending.rs`; what a frame that came in does to it is `connection.rs`.

use crate::command::{CommandCode, Kind};
use crate::config::Config;
use crate::connection::Connection;
use crate::counters::count;
use crate::error::{CommandError, Full};
use crate::frame::Frame;
use crate::key::Key;
use crate::outbox::{Outgoing, is_cancelled_by};
use crate::pending::{Pending, Request, State};
use crate::store::take_out;
use crate::ticket::{Ended, Ticket};
use crate::time::Instant;

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

/// Harmless queries whose answer proves something about their subsystem.
const FENCES: [(CommandCode, i32); 7] = [
    (CommandCode::STAGE_POSITION_GET, 1),
    (CommandCode::STAGE_POSITION_GET, 2),
    (CommandCode::STAGE_POSITION_GET, 3),
    (CommandCode::STAGE_POSITION_GET, 4),
    (CommandCode::CAMERA_PIXEL_FIELD_OF_VIEW_GET, 0),
    (CommandCode::CAMERA_IMAGE_SIZE_GET, 0),
    (CommandCode::SYSTEM_STATE_GET, 0),
];

/// Whether a queued frame may go on the wire now.
pub(crate) fn may_go<const R: usize, const O: usize, const S: usize>(
    item: &Outgoing,
    now: Instant,
    pending: &Pending<R, O, S>,
    config: &Config,
) -> bool {
    let Some(request) = pending.find(item.ticket) else {
        return true; // fire and forget
    };
    let key = request.key;
    let window_full = pending.unanswered() >= config.window.max(1);
    if request.deadline <= now || window_full || pending.any_on_wire(key) {
        return false;
    }
    config.tokens.is_some() || pending.debts.newest_tombstone(key).is_none()
}

/// The fences that could settle `key`: of its domain, certain, and with nothing outstanding.
fn fences_for<const R: usize, const O: usize, const S: usize>(
    key: Key,
    pending: &Pending<R, O, S>,
    config: &Config,
) -> impl Iterator<Item = Frame> {
    let domain = key.domain(config.ordering);
    let candidates = FENCES.iter().filter(move |_| domain.is_some());
    let fences = candidates.map(|(code, selector)| Frame::command(*code).with_selector(*selector));
    fences.filter(move |fence| {
        let other = Key::of(fence);
        other != key
            && other.domain(config.ordering) == domain
            && !config.pushable(fence.code)
            && pending.would_prove(other)
    })
}

impl<const REQUESTS: usize, const OWED: usize, const QUEUE: usize, const STOPS: usize>
    Connection<REQUESTS, OWED, QUEUE, STOPS>
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
        self.check(command)?;
        let row = command.code.row();
        if row.is_some_and(|row| row.kind == Kind::FireAndForget) {
            return Err(CommandError::NeverAnswered);
        }
        let ticket = self.next_ticket;
        let mut frame = *command;
        let token = self.config.tokens.map(|field| field.replace(&mut frame, ticket.token()));
        let request = Request {
            ticket,
            key: Key::of(command),
            deadline,
            state: State::Queued,
            original: token.unwrap_or_default(),
        };
        let stops = row.is_some_and(|row| row.effect.stops());
        self.room(stops)?;
        let inserted = if stops {
            self.pending.insert_stop(request, &self.config)
        } else {
            self.pending.insert(request)
        };
        inserted.map_err(|what| CommandError::Full { what })?;
        self.queue(now, Outgoing::new(ticket, frame, true), stops)
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
        self.check(command)?;
        let stops = command.code.row().is_some_and(|row| row.effect.stops());
        let ticket = self.next_ticket;
        self.room(stops)?;
        self.queue(now, Outgoing::new(ticket, *command, false), stops)
    }

    /// Takes a request back. Its answer, if it was sent, will be told as late.
    pub fn cancel(&mut self, now: Instant, ticket: Ticket) -> Cancelled {
        let withdrawn = self.outbox.withdraw(ticket);
        self.forget_stop();
        let Some(request) = self.pending.remove(ticket) else {
            return if withdrawn { Cancelled::NotSent } else { Cancelled::Unknown };
        };
        match request.state {
            State::Queued => Cancelled::NotSent,
            State::Sent { order } => {
                self.pending.debts.owe(&request, order, now + self.config.grace, false);
                Cancelled::Sent
            }
            State::Receiving { .. } => Cancelled::Sent,
            State::Ended(_) => Cancelled::Unknown,
        }
    }

    fn check(&self, command: &Frame) -> Result<(), CommandError> {
        if self.closed {
            return Err(CommandError::Closed);
        }
        command.check_command(self.config.payload_limit)
    }

    fn room(&self, stops: bool) -> Result<(), CommandError> {
        let (room, what) = if stops {
            (self.outbox.stop_lane_has_room(), Full::StopLane)
        } else {
            (self.outbox.has_room(), Full::Queue)
        };
        if room { Ok(()) } else { Err(CommandError::Full { what }) }
    }

    /// Puts a frame into the outbox; there is room.
    fn queue(&mut self, now: Instant, item: Outgoing, stops: bool) -> Result<Ticket, CommandError> {
        let ticket = item.ticket;
        self.next_ticket = ticket.next();
        let queued = if stops {
            self.supersede(ticket, &item.frame);
            self.stop_waits_since.get_or_insert(now);
            self.outbox.push_stop(item)
        } else {
            self.outbox.push(item)
        };
        queued.map_err(|what| CommandError::Full { what })?;
        Ok(ticket)
    }

    /// What a stop cancels must not run after it.
    fn supersede(&mut self, by: Ticket, stop: &Frame) {
        let Self { outbox, pending, .. } = self;
        for item in outbox.alive().filter(|item| is_cancelled_by(&item.frame, stop)) {
            pending.remove(item.ticket);
        }
        let ended = Ended::Superseded { by };
        outbox.end_waiting(ended, |item| is_cancelled_by(&item.frame, stop));
    }

    pub(crate) fn time_out(&mut self, now: Instant, request: &Request) {
        let ticket = request.ticket;
        let ended = match request.state {
            State::Queued => {
                self.outbox.withdraw(ticket);
                Ended::TimedOut { sent: false }
            }
            State::Sent { order } => {
                self.pending.debts.owe(request, order, now + self.config.grace, false);
                Ended::TimedOut { sent: true }
            }
            State::Receiving { received, expected } => Ended::PayloadStalled { received, expected },
            State::Ended(ended) => ended,
        };
        if ticket.is_fence() {
            self.pending.remove(ticket);
            if matches!(ended, Ended::TimedOut { .. }) {
                self.fence_unanswered(request.key);
            }
        } else {
            self.end(ticket, ended);
        }
    }

    /// If a queued request waits for an older one of its key to be settled, asks something else
    /// of that domain first: its answer is the proof.
    pub(crate) fn place_fence(&mut self) {
        if self.config.tokens.is_some() || self.pending.has_fence() {
            return;
        }
        let Self { outbox, pending, config, .. } = self;
        let fence = outbox.alive().find_map(|item| {
            let key = pending.find(item.ticket)?.key;
            let order = pending.debts.newest_tombstone(key)?;
            let domain = key.domain(config.ordering)?;
            if pending.proof_under_way(domain, order, config) {
                return None;
            }
            fences_for(key, pending, config).next()
        });
        let Some(frame) = fence else { return };
        let ticket = self.next_ticket.fence();
        let request = Request {
            ticket,
            key: Key::of(&frame),
            deadline: Instant::FAR_FUTURE, // counted from when it is out
            state: State::Queued,
            original: 0,
        };
        if self.pending.insert_fence(request).is_ok() {
            self.next_ticket = self.next_ticket.next();
            self.outbox.set_fence(Outgoing::new(ticket, frame, true));
        }
    }

    /// The first byte of a frame is out.
    pub(crate) fn has_started(&mut self, now: Instant, ticket: Ticket, key: Key) {
        count(&mut self.order, 1);
        count(&mut self.counters.frames_sent, 1);
        let Some(request) = self.pending.find_mut(ticket) else {
            // Nobody waits for its answer, but one may come: it must not prove anything.
            self.expect_echo(now, key);
            self.pending.debts.doubt(ticket, key, self.order, &self.config);
            return;
        };
        request.state = State::Sent { order: self.order };
        if ticket.is_fence() {
            count(&mut self.counters.fences_sent, 1);
            request.deadline = now + self.config.grace;
        }
    }

    fn expect_echo(&mut self, now: Instant, key: Key) {
        if self.echoes.is_full() {
            self.echoes.remove(0);
        }
        // There is room: the oldest went if there was none.
        let _ = self.echoes.push((key, now + self.config.grace));
    }

    /// Whether a frame of `key` may be the echo of a frame that was just sent; it is used up.
    pub(crate) fn is_echo(&mut self, now: Instant, key: Key) -> bool {
        take_out(&mut self.echoes, |(_, until)| *until < now);
        let found = self.echoes.iter().position(|(expected, _)| *expected == key);
        found.map(|at| self.echoes.remove(at)).is_some()
    }
}
