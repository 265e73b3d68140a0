//! The client's side of a connection: connects scanner, pending table, rules and outbox.
//!
//! This file holds the contract and the `handle_*` / `poll_*` methods. It decides nothing:
//! `classify.rs` decides who gets a frame, `receive.rs` acts on it, `outbox.rs` decides what goes
//! next, `request.rs` how a request enters and ends.

pub(crate) mod classify;
pub(crate) mod config;
pub(crate) mod counters;
pub(crate) mod entry;
pub(crate) mod key;
pub(crate) mod outbox;
pub(crate) mod output;
pub(crate) mod pending;
mod receive;
pub(crate) mod request;
mod settlement;
pub(crate) mod ticket;

pub use classify::{
    Candidate, Candidates, Class, Facts, MAX_OWNERS, Owners, Token, Verdict, classify,
};
pub use config::{Config, ConfigSource, OnAmbiguous, TokenField, UnmarkedPushes};
pub use counters::Counters;
pub use key::{Key, Order, OrderingDomain};
pub use outbox::{Transmit, is_cancelled_by};
pub use output::{Event, Output, Reason, Received};
pub use request::Cancelled;
pub use ticket::{Ended, Ticket};

use crate::connection::counters::count;
use crate::connection::entry::{Outcome, TOMBSTONE};
use crate::connection::outbox::{Lane, Outbox};
use crate::connection::receive::{LinkEvent, Requests};
use crate::scanner::{Found, Scanner};
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
/// `REQUESTS` may be in flight, and `STOPS` HALTs and laser-offs besides. `OWED` is the room for
/// them and for ended ones whose answer may still come: more than `REQUESTS + STOPS`. `QUEUE` is
/// the room for frames on their way out; `STOPS` places of it are kept for HALT and laser-off and
/// one for a fence. Full is an error of the call. `C` is where the settings come from, see
/// [`ConfigSource`].
///
/// A connection on which nothing has happened is all zeros, but for what is in `C`.
///
/// ```
/// use flamingo_protocol_core::{
///     Class, CommandCode, Connection, Frame, Output, Transmit, time::{Duration, Instant},
/// };
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
/// # Ok::<(), flamingo_protocol_core::error::CommandError>(())
/// ```
#[derive(Debug, Clone)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Connection<
    const REQUESTS: usize = 16,
    const OWED: usize = 64,
    const QUEUE: usize = 25,
    const STOPS: usize = 8,
    C = Config,
> {
    pub(crate) settings: C,
    pub(crate) scanner: Scanner,
    pub(crate) requests: Requests<OWED>,
    pub(crate) outbox: Outbox<QUEUE>,
    pub(crate) last_ticket: Ticket,
    /// As what number the last command was sent.
    pub(crate) order: Order,
    /// If a stop waits to be written, until when it may without a byte of progress; the far future
    /// once the caller knows that it is blocked.
    pub(crate) stop_due: Instant,
    stop_blocked: bool,
    pub(crate) closed: bool,
}

impl<const REQUESTS: usize, const OWED: usize, const QUEUE: usize, const STOPS: usize, C> Default
    for Connection<REQUESTS, OWED, QUEUE, STOPS, C>
where
    C: ConfigSource + Default,
{
    fn default() -> Self {
        Self::with(C::default())
    }
}

impl<const REQUESTS: usize, const OWED: usize, const QUEUE: usize, const STOPS: usize>
    Connection<REQUESTS, OWED, QUEUE, STOPS>
{
    /// A connection on which nothing was sent or received yet.
    #[must_use]
    pub const fn new(config: Config) -> Self {
        Self::with(config)
    }
}

impl<
    const REQUESTS: usize,
    const OWED: usize,
    const QUEUE: usize,
    const STOPS: usize,
    C: ConfigSource,
> Connection<REQUESTS, OWED, QUEUE, STOPS, C>
{
    const CAPACITIES_FIT: () = {
        assert!(OWED > REQUESTS + STOPS, "OWED must exceed REQUESTS + STOPS");
        assert!(QUEUE > STOPS + 1, "QUEUE must exceed STOPS + 1");
        assert!(REQUESTS > 0 && STOPS > 0, "each capacity must be at least 1");
    };
    /// Places for the caller's own frames.
    pub(crate) const QUEUE_PLACES: usize = QUEUE.saturating_sub(STOPS + 1);

    /// The same, with a [`ConfigSource`] of your own.
    #[must_use]
    pub const fn with(settings: C) -> Self {
        let () = Self::CAPACITIES_FIT;
        Self {
            settings,
            scanner: Scanner::NEW,
            requests: Requests::NEW,
            outbox: Outbox::NEW,
            last_ticket: Ticket::NONE,
            order: Order::FIRST,
            stop_due: Instant::from_micros(0),
            stop_blocked: false,
            closed: false,
        }
    }

    /// Takes bytes up to the end of the next output. Call it again with what was not consumed,
    /// until it consumes everything and gives nothing.
    #[inline(never)] // inlined, a client takes 210 bytes more flash
    pub fn handle_input<'a>(
        &mut self,
        now: Instant,
        input: &'a [u8],
    ) -> (usize, Option<Output<'a>>) {
        let Self { settings, scanner, requests, .. } = self;
        let config = settings.config();
        match scanner.advance(input, config.limits()) {
            (consumed, Some(Found::Frame(frame))) => {
                let (class, original) = requests.receive_frame(now, config, frame);
                let original = config.tokens.zip(original);
                (consumed, Some(Output::Frame(Received::new(frame, class, original))))
            }
            (consumed, Some(Found::Payload { bytes, remaining })) => {
                requests.receive_payload(now, config, bytes.len(), remaining);
                (consumed, Some(Output::Payload { bytes, remaining }))
            }
            (consumed, None) => (consumed, None),
        }
    }

    /// The payload that comes in is over, if one does.
    pub(crate) fn end_payload(&mut self, now: Instant, outcome: Outcome) {
        let until = now + self.settings.config().presumed_grace;
        self.requests.pending.end_payload(self.scanner.payload_remaining(), outcome, until);
    }

    /// What to write next. Say with [`Self::transmitted`] how much of it was written before
    /// anything else is called.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Transmit<'_>> {
        self.place_fence();
        let Self { outbox, requests, settings, .. } = self;
        let config = settings.config();
        outbox.poll(|ticket| requests.pending.may_go(ticket, now, config))
    }

    /// Says that `written` bytes of what [`Self::poll_transmit`] showed are out. Gives the ticket
    /// of the frame that is out with the last of them, its payload included.
    pub fn transmitted(&mut self, now: Instant, written: usize) -> Option<Ticket> {
        if written == 0 {
            return None;
        }
        let progress = self.outbox.transmitted(written)?;
        if progress.started {
            self.has_started(now, &progress);
        }
        self.stop_due = now + self.settings.config().stop_patience;
        progress.finished.then_some(progress.ticket)
    }

    /// What happened without a frame coming in.
    pub fn poll_event(&mut self) -> Option<Event> {
        if let Some((ticket, ended)) = self.outbox.take_ended() {
            return Some(Event::Ended { ticket, ended });
        }
        if let Some(entry) = self.requests.pending.ended() {
            let outcome = core::mem::replace(&mut entry.outcome, Outcome::None);
            let ended = match outcome {
                Outcome::NotSent | Outcome::TimedOut => {
                    count(&mut self.requests.counters.timed_out, 1);
                    Ended::TimedOut { sent: outcome == Outcome::TimedOut }
                }
                Outcome::Unanswered => {
                    count(&mut self.requests.counters.unanswered, 1);
                    Ended::Unanswered
                }
                Outcome::Stalled => {
                    count(&mut self.requests.counters.payload_stalled, 1);
                    let received = entry.original as u32;
                    Ended::PayloadStalled { received, expected: entry.expected }
                }
                Outcome::Ambiguous => Ended::Ambiguous,
                Outcome::Lost | Outcome::None => Ended::ConnectionLost,
            };
            return Some(Event::Ended { ticket: entry.ticket, ended });
        }
        if core::mem::take(&mut self.stop_blocked) {
            return Some(Event::StopBlocked);
        }
        match core::mem::replace(&mut self.requests.link_event, LinkEvent::None) {
            LinkEvent::None => None,
            LinkEvent::Unresponsive => Some(Event::Unresponsive),
            LinkEvent::Responsive => Some(Event::Responsive),
        }
    }

    /// When [`Self::handle_timeout`] is due, and why.
    pub fn poll_timeout(&self) -> Option<(Instant, Reason)> {
        let mut due = (self.stop_due(), Reason::StopBlocked);
        if let Some(entry) = self
            .requests
            .pending
            .next_end()
            .and_then(|next| self.requests.pending.get(next))
            .filter(|entry| entry.until <= due.0)
        {
            let grace = entry.is(TOMBSTONE);
            due = (entry.until, if grace { Reason::Grace } else { Reason::Deadline(entry.ticket) });
        }
        (due.0 < Instant::FAR_FUTURE).then_some(due)
    }

    /// Ends what is due: deadlines, graces, the patience of a HALT.
    pub fn handle_timeout(&mut self, now: Instant) {
        // First: a stop has waited too long even if its own deadline is over as well.
        let due = self.stop_due();
        if due <= now && due < Instant::FAR_FUTURE {
            self.stop_due = Instant::FAR_FUTURE;
            self.stop_blocked = true;
        }
        while self.end_state(now) {}
    }

    /// The stream has ended: every request ends as [`Ended::ConnectionLost`]. Gives how many
    /// bytes of an unfinished frame and how many missing bytes of a payload that leaves.
    pub fn handle_eof(&mut self) -> (usize, u32) {
        self.closed = true;
        self.requests.pending.lose_all();
        self.outbox.lose_all();
        self.stop_due = Instant::FAR_FUTURE;
        (self.scanner.held(), self.scanner.payload_remaining())
    }

    /// Gives up what has begun to come in: half a frame, which counts as noise, or the rest of a
    /// payload; its request ends as [`Ended::PayloadStalled`]. Gives how many bytes were held and
    /// how many are missing. For a link that does not tell when the peer has gone, as a UART does
    /// not: call it when that was silent for too long.
    pub fn abandon_input(&mut self, now: Instant) -> (usize, u32) {
        self.end_payload(now, Outcome::Stalled);
        self.scanner.abandon()
    }

    /// What was counted so far.
    pub fn counters(&self) -> Counters {
        Counters { noise_bytes: self.scanner.noise_bytes(), ..self.requests.counters }
    }

    /// Why the last candidate for a frame was none, if there was one.
    pub fn last_rejected(&self) -> Option<crate::error::DecodeError> {
        let limit = self.settings.config().payload_limit;
        self.scanner.rejected().error(limit)
    }

    /// Bytes that are held back until they turn out to be a frame or noise.
    pub const fn held(&self) -> usize {
        self.scanner.held()
    }

    /// Requests in flight, and ended ones whose answer may still come.
    pub fn in_flight(&self) -> (usize, usize) {
        self.requests.pending.counts()
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        self.settings.config()
    }

    /// When it is to be told that a stop is blocked.
    #[inline(never)] // inlined: 60 bytes more
    pub(crate) fn stop_due(&self) -> Instant {
        if self.outbox.taken(Lane::Stop) > 0 { self.stop_due } else { Instant::FAR_FUTURE }
    }
}
