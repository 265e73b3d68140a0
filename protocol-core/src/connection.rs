//! The client's side of a connection: wires assembler, pending table, policy and outbox together.
//!
//! This file holds the contract and the `handle_*` / `poll_*` methods, nothing that decides:
//! whose frame it is stands in `classify.rs`, what goes next in `outbox.rs`, what a request may
//! do and how it ends in `request.rs`.

use crate::assembler::{Assembler, Piece};
use crate::classify::{Class, Facts, Named, classify};
use crate::config::Config;
use crate::counters::{Counters, count};
use crate::frame::{Flags, Frame};
use crate::key::Key;
use crate::outbox::{Outbox, Transmit};
use crate::output::{Event, Output, Reason, Received};
use crate::pending::{Owner, OwnerList, Pending, State};
use crate::ticket::{Ended, Ticket};
use crate::time::Instant;

/// The client's side of one connection: bytes and time in, typed outputs out.
///
/// No I/O, no clock, no allocation. The caller moves the bytes:
///
/// 1. [`handle_input`](Self::handle_input) with what was read, in a loop, until it consumes all
///    and gives nothing. `consumed` is exact. Any chunking gives the same outputs.
/// 2. [`poll_transmit`](Self::poll_transmit), write some of what it shows, and say at once how
///    much with [`transmitted`](Self::transmitted); until it shows nothing.
/// 3. [`poll_event`](Self::poll_event) until it gives nothing. A slot of the table is free again
///    when the outcome was taken.
/// 4. [`poll_timeout`](Self::poll_timeout), sleep until then at most, and
///    [`handle_timeout`](Self::handle_timeout).
///
/// Do 2 to 4 after every call that changes something. Each request has exactly one outcome: a
/// [`Class::Solicited`] frame (complete with the last byte of its payload), an [`Event::Ended`],
/// or the caller's own [`cancel`](Self::cancel).
///
/// `REQUESTS` may be in flight, `OWED` answers of ended ones may be outstanding (more than
/// `REQUESTS`), `QUEUE` frames may wait to be sent, `STOPS` more are reserved for HALT and
/// laser-off. Full is an error of the call.
///
/// ```
/// use flamingo_protocol_core::{Class, CommandCode, Connection, Duration, Frame, Instant, Output,
///     Transmit};
/// let now = Instant::from_micros(0);
/// let mut connection = Connection::<16>::default();
/// let query = Frame::command(CommandCode::STAGE_POSITION_GET).with_selector(1);
/// let ticket = connection.request(now, &query, now + Duration::from_millis(3000))?;
/// let Some(Transmit::Bytes(bytes)) = connection.poll_transmit(now) else { panic!() };
/// let mut stream = bytes.to_vec(); // a peer that echoes
/// connection.transmitted(now, 128);
///
/// let (consumed, output) = connection.handle_input(now, &stream);
/// assert_eq!(consumed, 128);
/// let Some(Output::Frame(received)) = output else { panic!() };
/// assert_eq!(received.class, Class::Solicited { ticket, proven: true });
/// # Ok::<(), flamingo_protocol_core::CommandError>(())
/// ```
#[derive(Debug, Clone)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Connection<
    const REQUESTS: usize = 16,
    const OWED: usize = 32,
    const QUEUE: usize = 16,
    const STOPS: usize = 8,
> {
    pub(crate) config: Config,
    pub(crate) assembler: Assembler,
    pub(crate) pending: Pending<REQUESTS, OWED, STOPS>,
    pub(crate) outbox: Outbox<QUEUE, STOPS>,
    pub(crate) counters: Counters,
    pub(crate) next_ticket: Ticket,
    /// Frames that were just sent without waiting for an answer, whose echo may come.
    pub(crate) echoes: heapless::Vec<(Key, Instant), 8>,
    /// Commands sent so far.
    pub(crate) order: u64,
    /// The request whose answer's payload is coming in.
    receiving: Option<Ticket>,
    /// Since when a stop waits to be written, without a byte of progress.
    pub(crate) stop_waits_since: Option<Instant>,
    /// The ordering domain in which a harmless query was not answered.
    unresponsive: Option<u32>,
    /// An event that was not taken yet.
    link_event: Option<Event>,
    stop_event: Option<Event>,
    pub(crate) closed: bool,
}

impl<const REQUESTS: usize, const OWED: usize, const QUEUE: usize, const STOPS: usize> Default
    for Connection<REQUESTS, OWED, QUEUE, STOPS>
{
    fn default() -> Self {
        Self::new(Config::default())
    }
}

impl<const REQUESTS: usize, const OWED: usize, const QUEUE: usize, const STOPS: usize>
    Connection<REQUESTS, OWED, QUEUE, STOPS>
{
    const CAPACITIES_FIT: () = {
        assert!(OWED > REQUESTS + STOPS, "OWED must exceed REQUESTS + STOPS");
        assert!(REQUESTS > 0 && QUEUE > 0 && STOPS > 0, "each capacity must be at least 1");
    };

    /// A connection on which nothing was sent or received yet.
    #[must_use]
    pub const fn new(config: Config) -> Self {
        let () = Self::CAPACITIES_FIT;
        Self {
            assembler: if config.upload_echo_has_payload {
                Assembler::new(config.payload_limit)
            } else {
                Assembler::for_answers(config.payload_limit)
            },
            config,
            pending: Pending::new(),
            outbox: Outbox::new(),
            counters: Counters::ZERO,
            next_ticket: Ticket::FIRST,
            echoes: heapless::Vec::new(),
            order: 0,
            receiving: None,
            stop_waits_since: None,
            unresponsive: None,
            link_event: None,
            stop_event: None,
            closed: false,
        }
    }

    /// Takes bytes up to the end of the next output. Call it again with what was not consumed,
    /// until it consumes everything and gives nothing.
    pub fn handle_input<'a>(
        &mut self,
        now: Instant,
        input: &'a [u8],
    ) -> (usize, Option<Output<'a>>) {
        let (consumed, piece) = self.assembler.push(input);
        let output = piece.map(|piece| match piece {
            Piece::Frame { frame, skipped } => {
                Output::Frame(self.handle_frame(now, frame, skipped))
            }
            Piece::Payload { bytes, remaining } => {
                self.handle_payload(bytes.len(), remaining);
                Output::Payload { bytes, remaining }
            }
        });
        (consumed, output)
    }

    /// What to write next. Say with [`Self::transmitted`] how much of it was written before
    /// anything else is called.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Transmit<'_>> {
        self.place_fence();
        let Self { outbox, pending, config, .. } = self;
        outbox.poll(|item| crate::request::may_go(item, now, pending, config))
    }

    /// Says that `written` bytes of what [`Self::poll_transmit`] showed are out. Gives the ticket
    /// of the frame that is out with the last of them, its payload included.
    pub fn transmitted(&mut self, now: Instant, written: usize) -> Option<Ticket> {
        if written == 0 {
            return None;
        }
        let progress = self.outbox.transmitted(written);
        if let Some((ticket, key)) = progress.started {
            self.has_started(now, ticket, key);
        }
        self.stop_waits_since = self.outbox.stop_waits().then_some(now);
        progress.finished
    }

    /// What happened without a frame coming in.
    pub fn poll_event(&mut self) -> Option<Event> {
        let ended = self.outbox.take_ended().or_else(|| self.pending.take_ended());
        if let Some((ticket, ended)) = ended {
            self.counters.count_end(ended);
            return Some(Event::Ended { ticket, ended });
        }
        self.stop_event.take().or_else(|| self.link_event.take())
    }

    /// When [`Self::handle_timeout`] is due, and why.
    pub fn poll_timeout(&self) -> Option<(Instant, Reason)> {
        let deadline = self.pending.next_deadline().map(|(at, of)| (at, Reason::Deadline(of)));
        let grace = self.pending.debts.next_grace().map(|at| (at, Reason::Grace));
        let patience = self.config.stop_patience;
        let stop = self.stop_waits_since.map(|since| (since + patience, Reason::StopBlocked));
        [deadline, grace, stop].into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    /// Ends what is due: deadlines, graces, the patience of a HALT.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(request) = self.pending.expired(now) {
            self.time_out(now, &request);
        }
        self.pending.debts.bury(now, &self.config);
        let patience = self.config.stop_patience;
        if self.stop_waits_since.is_some_and(|since| since + patience <= now) {
            self.stop_waits_since = None;
            self.stop_event = Some(Event::StopBlocked);
        }
        self.forget_stop();
    }

    /// The stream has ended: every request ends as [`Ended::ConnectionLost`]. Gives how many
    /// bytes of an unfinished frame and how many missing bytes of a payload that leaves.
    pub fn handle_eof(&mut self) -> (usize, u32) {
        self.closed = true;
        self.pending.lose_all();
        self.outbox.end_all(Ended::ConnectionLost);
        self.stop_waits_since = None;
        (self.assembler.held(), self.assembler.payload_remaining())
    }

    /// What was counted so far.
    pub fn counters(&self) -> Counters {
        Counters { noise_bytes: self.assembler.noise_bytes(), ..self.counters }
    }

    /// Why the last candidate for a frame was none, if there was one.
    pub fn last_rejected(&self) -> Option<crate::error::DecodeError> {
        self.assembler.last_rejected()
    }

    /// Bytes that are held back until they turn out to be a frame or noise.
    pub const fn held(&self) -> usize {
        self.assembler.held()
    }

    /// Requests in flight, and ended ones whose answer may still come.
    pub fn in_flight(&self) -> (usize, usize) {
        self.pending.counts()
    }

    /// The settings.
    pub const fn config(&self) -> &Config {
        &self.config
    }

    fn handle_frame(&mut self, now: Instant, mut frame: Frame, skipped: u32) -> Received {
        let key = Key::of(&frame);
        let owners = self.pending.owners(key);
        let facts = self.facts(&frame, key, &owners);
        let (mut class, certain) = (classify(&facts), facts.certain);
        self.receiving = None;
        match &mut class {
            Class::Solicited { ticket, proven } => {
                let first = owners.first().filter(|_| owners.len() > 1 && !*proven).copied();
                self.answered(now, *ticket, *proven, &mut frame);
                if let Some(oldest) = first.filter(|oldest| oldest.ticket != *ticket) {
                    self.use_up(oldest, key, certain);
                }
            }
            Class::Late { ticket, proven } => {
                // One that is only presumed may have been a push: the true one may still come.
                if let Some((key, order)) =
                    proven.then(|| self.pending.debts.pay(*ticket)).flatten()
                {
                    self.settle(key, order);
                }
            }
            Class::Ambiguous { .. } => self.end_ambiguous(now, key, &owners, certain),
            Class::Unsolicited { ours } => {
                *ours = !self.config.marked_as_push(&frame) && self.is_echo(now, key);
            }
        }
        self.counters.count_frame(&class);
        Received { frame, class, skipped }
    }

    fn facts<'a>(&self, frame: &Frame, key: Key, owners: &'a OwnerList) -> Facts<'a> {
        let config = &self.config;
        let row = frame.code.row();
        Facts {
            server_only: row.is_some_and(|row| row.kind == crate::Kind::Event),
            positions_in_buffer: frame.flags.contains(Flags::STAGE_POSITIONS_IN_BUFFER),
            tag: config.peer_tags.then(|| frame.flags.contains(Flags::ANSWER_TAG)),
            token: config.tokens.map(|field| {
                let named = self.pending.owner_by_token(key.code, field.get(frame));
                named.map_or(Named::Nobody, Named::Owner)
            }),
            owners,
            certain: !config.pushable(frame.code) && !self.pending.debts.in_doubt(key),
            on_ambiguous: config.on_ambiguous,
        }
    }

    /// A request got its answer.
    fn answered(&mut self, now: Instant, ticket: Ticket, proven: bool, frame: &mut Frame) {
        let Some((request, order)) = self.pending.answer(ticket, frame.payload_len) else { return };
        if let Some(field) = self.config.tokens {
            field.replace(frame, request.original);
        }
        self.receiving = (frame.payload_len > 0).then_some(ticket);
        if proven {
            self.settle(request.key, order);
        } else {
            // The true answer may still come.
            self.pending.debts.owe(&request, order, now + self.config.presumed_grace, true);
        }
    }

    fn settle(&mut self, key: Key, order: u64) {
        let Some(domain) = key.domain(self.config.ordering) else { return };
        self.pending.settle(domain, order, self.config.ordering);
        if self.unresponsive.take_if(|silent| *silent == domain).is_some() {
            self.link_event = Some(Event::Responsive);
        }
    }

    /// Of several owners the oldest is used up: if the frame was not his, then his will not come
    /// any more, unless it was nobody's of them.
    fn use_up(&mut self, oldest: Owner, key: Key, certain: bool) {
        let debts = &mut self.pending.debts;
        if certain {
            debts.pay(oldest.ticket);
        } else if !debts.doubt_one(oldest.ticket, &self.config) {
            debts.doubt(oldest.ticket, key, oldest.order, &self.config);
        }
    }

    /// The oldest owner is used up; the newest that waits ends, and its own answer is still owed.
    fn end_ambiguous(&mut self, now: Instant, key: Key, owners: &OwnerList, certain: bool) {
        let until = now + self.config.grace;
        let newest = owners.iter().rev().find(|owner| owner.waits);
        if let Some(oldest) = owners.first() {
            self.use_up(*oldest, key, certain);
            self.end(oldest.ticket, Ended::Ambiguous);
        }
        let Some(owner) = newest.filter(|owner| owners.first() != Some(*owner)) else { return };
        if let Some(request) = self.pending.find(owner.ticket).copied() {
            self.pending.debts.owe(&request, owner.order, until, false);
            self.end(owner.ticket, Ended::Ambiguous);
        }
    }

    /// A stop that was taken back or has ended blocks nothing.
    pub(crate) fn forget_stop(&mut self) {
        self.stop_waits_since = self.stop_waits_since.filter(|_| self.outbox.stop_waits());
    }

    pub(crate) fn end(&mut self, ticket: Ticket, ended: Ended) {
        if let Some(request) = self.pending.find_mut(ticket) {
            request.state = State::Ended(ended);
        }
    }

    fn handle_payload(&mut self, len: usize, remaining: u32) {
        count(&mut self.counters.payload_bytes, len as u64);
        let Some(ticket) = self.receiving else { return };
        let Some(request) = self.pending.find_mut(ticket) else { return };
        let State::Receiving { received, expected } = &mut request.state else { return };
        *received = expected.saturating_sub(remaining);
        if remaining == 0 {
            self.pending.remove(ticket);
        }
    }

    pub(crate) fn fence_unanswered(&mut self, key: Key) {
        count(&mut self.counters.fences_unanswered, 1);
        if self.unresponsive.is_none() {
            self.unresponsive = key.domain(self.config.ordering);
            self.link_event = Some(Event::Unresponsive);
        }
    }
}
