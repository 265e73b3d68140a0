//! The client's side of a connection: connects the scanner, the pending table, the rules and the
//! outbox.
//!
//! This file holds the contract and the `handle_*` / `poll_*` methods. The decisions are in other
//! files: `classify.rs` classifies a frame, `receive.rs` applies the result, `outbox.rs` chooses
//! the next bytes to write, `request.rs` starts and ends a request.

pub(crate) mod classify;
pub(crate) mod config;
pub(crate) mod counters;
pub(crate) mod entry;
mod forgotten;
mod index;
pub(crate) mod key;
pub(crate) mod outbox;
pub(crate) mod output;
mod overtaking;
pub(crate) mod pending;
mod receive;
pub(crate) mod request;
mod settlement;
mod silent;
pub(crate) mod ticket;

pub use classify::{
    Candidate, Candidates, Class, Facts, MAX_OWNERS, Owners, Token, Verdict, classify,
};
pub use config::{Config, ConfigSource, OnAmbiguous, TokenField, UnmarkedPushes};
pub use counters::Counters;
pub use key::{Key, Order, OrderingDomain};
pub use outbox::Transmit;
pub use output::{Event, Output, Reason, Received};
pub use overtaking::is_cancelled_by;
pub use request::Cancelled;
pub use settlement::Recovery;
pub use ticket::{Ended, Ticket};

use crate::connection::counters::count;
use crate::connection::entry::{Entry, Outcome, States};
use crate::connection::index::INDEXED;
use crate::connection::outbox::{Going, Lane, Outbox};
use crate::connection::pending::FEW;
use crate::connection::receive::{LinkEvent, Requests};
use crate::scanner::{Found, Scanner};
use crate::time::Instant;

/// The client's side of one connection: bytes and time in, typed outputs out.
///
/// It has no I/O, no clock and no allocation. The caller moves the bytes, in four steps:
///
/// 1. Pass the received bytes to [`handle_input`](Self::handle_input). Repeat with the rest until
///    it consumes everything and returns `None`.
/// 2. Call [`poll_transmit`](Self::poll_transmit), write some of the bytes that it returns, and
///    report their number with [`transmitted`](Self::transmitted) at once. Repeat until
///    `poll_transmit` returns `None`.
/// 3. Call [`poll_event`](Self::poll_event) until it returns `None`. A request keeps its place in
///    the table until the caller has taken its outcome.
/// 4. Call [`poll_timeout`](Self::poll_timeout), sleep until that time at most, and call
///    [`handle_timeout`](Self::handle_timeout).
///
/// Do steps 2 to 4 after every call that changes something. Each request has exactly one outcome: a
/// [`Class::Solicited`] frame (complete with the last byte of its payload), an [`Event::Ended`], or
/// the caller's own [`cancel`](Self::cancel).
///
/// The capacities are counts:
/// - `REQUESTS`: requests in flight, at least 1;
/// - `STOPS`: HALTs and laser-offs in flight in addition, at least 4: a HALT for each axis;
/// - `OWED`: entries of the pending table, more than `REQUESTS + STOPS`. The table holds the
///   requests in flight, and the ended requests whose answers may still come;
/// - `QUEUE`: frames that wait to be sent, more than `STOPS + 1`. `STOPS` places are reserved for
///   HALT and laser-off, and one place for a fence or for the stop of a workflow or of live images.
///
/// A full store is an error of the call. `C` supplies the settings, see [`ConfigSource`].
///
/// A new connection is all zeros, except for `C`. If `C` has no fields, a `static` connection takes
/// no flash.
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
    /// Creates a connection that has sent and received nothing.
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
        assert!(REQUESTS > 0, "REQUESTS must be at least 1");
        assert!(STOPS >= 4, "STOPS must be at least 4: a HALT for each axis");
        assert!(!INDEXED || OWED <= u16::MAX as usize, "the index counts at most 65 535 entries");
    };
    /// The places of the queue for the caller's own frames.
    pub(crate) const QUEUE_PLACES: usize = QUEUE.saturating_sub(STOPS + 1);

    /// The same connection, but the number of its first ticket follows that of `last`.
    ///
    /// Tickets and tokens identify requests of one connection only. Start a connection after a
    /// random ticket, and a connection that replaces it after [`Self::last_ticket`] of the old one:
    /// then a token in the answer to another client, or to the connection before, matches no
    /// request, and no old ticket names a new request.
    ///
    /// ```
    /// use flamingo_protocol_core::{CommandCode, Config, Connection, Frame, Ticket, time::Instant};
    /// let (now, deadline) = (Instant::from_micros(0), Instant::from_micros(3_000_000));
    /// let random = 0x1234_5678; // of the host
    /// let mut first = Connection::<16>::default().starting_after(Ticket::from_number(random));
    /// let query = Frame::command(CommandCode::STAGE_POSITION_GET).with_selector(1);
    /// assert_eq!(first.request(now, &query, deadline)?.number(), random + 1);
    ///
    /// let mut second = Connection::<16>::default().starting_after(first.last_ticket());
    /// assert_eq!(second.request(now, &query, deadline)?.number(), random + 2);
    /// # Ok::<(), flamingo_protocol_core::error::CommandError>(())
    /// ```
    #[must_use]
    pub const fn starting_after(mut self, last: Ticket) -> Self {
        self.last_ticket = last;
        self
    }

    /// The last ticket that this connection has used. Before the first one, the ticket that it
    /// starts after.
    pub const fn last_ticket(&self) -> Ticket {
        self.last_ticket
    }

    /// Creates a connection with a [`ConfigSource`] of your own.
    #[must_use]
    pub const fn with(settings: C) -> Self {
        let () = Self::CAPACITIES_FIT;
        Self {
            settings,
            scanner: Scanner::NEW,
            requests: Requests::NEW,
            outbox: Outbox::NEW,
            last_ticket: Ticket::NONE,
            closed: false,
        }
    }

    /// Takes bytes up to the end of the next output. Returns the number of consumed bytes and the
    /// output. Call it again with the rest until it consumes everything and returns `None`.
    #[cfg_attr(target_os = "none", inline(never))] // if inlined, a client takes 210 bytes more flash
    pub fn handle_input<'a>(
        &mut self,
        now: Instant,
        input: &'a [u8],
    ) -> (usize, Option<Output<'a>>) {
        let Self { settings, scanner, requests, .. } = self;
        let config = settings.config();
        let may_echo = |code, uploaded| requests.pending.may_echo(code, uploaded);
        match scanner.advance(input, config.limits(), may_echo) {
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

    /// Ends the payload that is being received, if there is one.
    pub(crate) fn end_payload(&mut self, now: Instant, outcome: Outcome) {
        let (missing, config) = (self.scanner.payload_remaining(), self.settings.config());
        self.requests.pending.end_payload(now, config, missing, outcome);
    }

    /// Returns what to write next. After the write, call [`Self::transmitted`] with the number of
    /// written bytes before any other call.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Transmit<'_>> {
        if self.requests.pending.nothing_goes && !cfg!(debug_assertions) {
            return None;
        }
        self.requests.pending.close();
        self.place_fence();
        let Self { outbox, requests, settings, .. } = self;
        let config = settings.config();
        let pending = &mut requests.pending;
        pending.close();
        // Counted once if there are many entries, and else for each frame: less flash.
        let counted = (OWED > FEW).then(|| pending.has_room(config));
        let has_room = || counted.unwrap_or_else(|| pending.has_room(config));
        let queries = OWED > FEW && outbox.has_queries_alone();
        let next = outbox.poll(|outbox, place| {
            let Going { lane, query, asked, ticket, .. } = place.going;
            let in_turn = || {
                lane == Lane::Abort
                    || (!asked || has_room()) && (queries && query || outbox.overtakes_all(place))
            };
            in_turn() && (INDEXED && !asked || pending.may_go(ticket, now, config))
        });
        debug_assert!(next.is_none() || !pending.nothing_goes, "a change was not noted");
        pending.nothing_goes = OWED > FEW && next.is_none();
        next
    }

    /// Reports that `written` bytes of the last [`Self::poll_transmit`] are sent. Returns the
    /// ticket of the frame if these bytes complete it, its payload included.
    pub fn transmitted(&mut self, now: Instant, written: usize) -> Option<Ticket> {
        if written == 0 {
            return None;
        }
        let progress = self.outbox.transmitted(written)?;
        self.requests.pending.touch();
        if progress.started {
            self.has_started(now, &progress);
        }
        progress.finished.then_some(progress.ticket)
    }

    /// Returns the next event. Call it until it returns `None`.
    pub fn poll_event(&mut self) -> Option<Event> {
        if let Some((ticket, ended)) = self.outbox.take_ended() {
            self.requests.pending.touch();
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
                    let Entry { received, expected, .. } = *entry;
                    Ended::PayloadStalled { received, expected }
                }
                Outcome::Ambiguous => Ended::Ambiguous,
                Outcome::LostUnsent => Ended::ConnectionLost { sent: false },
                Outcome::Lost | Outcome::None => Ended::ConnectionLost { sent: true },
            };
            return Some(Event::Ended { ticket: entry.ticket, ended });
        }
        if self.outbox.take_blocked() {
            return Some(Event::StopBlocked);
        }
        match core::mem::replace(&mut self.requests.link_event, LinkEvent::None) {
            LinkEvent::None => None,
            LinkEvent::Unresponsive => Some(Event::Unresponsive),
            LinkEvent::Responsive => Some(Event::Responsive),
        }
    }

    /// The time at which [`Self::handle_timeout`] is due, and the reason. `None` if no timer runs.
    pub fn poll_timeout(&self) -> Option<(Instant, Reason)> {
        let mut due = (self.outbox.stop_due(), Reason::StopBlocked);
        if let Some(entry) = self
            .requests
            .pending
            .next_end()
            .and_then(|next| self.requests.pending.get(next))
            .filter(|entry| entry.until <= due.0)
        {
            let grace = entry.state.is(States::TOMBSTONE);
            due = (entry.until, if grace { Reason::Grace } else { Reason::Deadline(entry.ticket) });
        }
        (due.0 < Instant::FAR_FUTURE).then_some(due)
    }

    /// Ends everything that is due: deadlines, graces, and the patience of a stop.
    pub fn handle_timeout(&mut self, now: Instant) {
        let Self { outbox, requests, settings, .. } = self;
        let config = settings.config();
        outbox.block_stops(now, config.stop_patience, |ticket| {
            requests.pending.may_go(ticket, now, config)
        });
        while self.end_state(now) {}
    }

    /// Reports that the stream has ended. Every request ends as [`Ended::ConnectionLost`]. Returns
    /// the number of bytes of an incomplete frame, and the number of missing bytes of a payload.
    pub fn handle_eof(&mut self) -> (usize, u32) {
        self.closed = true;
        self.requests.pending.lose_all();
        self.outbox.lose_all();
        (self.scanner.held(), self.scanner.payload_remaining())
    }

    /// Discards the unfinished input: a part of a frame, which counts as noise, or the rest of a
    /// payload. The request of that payload ends as [`Ended::PayloadStalled`]. Returns the number
    /// of bytes it held and the number of payload bytes that are missing.
    ///
    /// Use it on a link that does not report when the peer has gone, such as a UART. Call it when
    /// the peer has been silent for too long.
    pub fn abandon_input(&mut self, now: Instant) -> (usize, u32) {
        self.end_payload(now, Outcome::Stalled);
        self.scanner.abandon()
    }

    /// The counters since the connection began.
    pub fn counters(&self) -> Counters {
        Counters { noise_bytes: self.scanner.noise_bytes(), ..self.requests.counters }
    }

    /// Why the last 128 bytes that began with a start marker were not a frame. `None` if the
    /// connection has rejected nothing yet.
    pub fn last_rejected(&self) -> Option<crate::error::DecodeError> {
        let limit = self.settings.config().payload_limit;
        self.scanner.rejected().error(limit)
    }

    /// The number of bytes that the connection holds until they prove to be a frame or noise.
    pub const fn held(&self) -> usize {
        self.scanner.held()
    }

    /// The number of requests in flight, and the number of tombstones: ended requests whose answers
    /// may still come.
    pub fn in_flight(&self) -> (usize, usize) {
        self.requests.pending.counts()
    }

    /// The settings of this connection.
    pub fn config(&self) -> &Config {
        self.settings.config()
    }
}
