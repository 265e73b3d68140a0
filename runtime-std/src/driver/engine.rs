//! The driver without its I/O: calls, bytes and time go in; bytes, answers, events and [`Action`]s
//! come out. No socket, no timer, no task is here.
//!
//! How a connection begins and ends is `session.rs`; how a call enters the core is `calls.rs`.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_channel::Sender;
use flamingo_protocol_core::{
    Class, CommandCode, Connection, Event as CoreEvent, Frame, Output, Received, Ticket, Transmit,
    time::Instant, wire::FRAME_LEN,
};

use super::gathered::Gathered;
use super::inbox::{Inbox, inbox};
use super::pending_calls::{Answer, Call, Meanwhile, PendingCalls};
use super::session::{Lost, Phase};
use crate::client::Opening;
use crate::clock::Clock;
use crate::error::Error;
use crate::event::Event;
use crate::event_batch::EventBatch;
use crate::fanout::Fanout;
use crate::message::{Message, MessageCollector};
use crate::options::Options;
use crate::payload::Payload;

/// The core with room for a program's worth of tasks: 64 requests in flight, 256 tombstones,
/// 64 queued frames of its own, and 16 stops.
pub type CoreConnection = Connection<64, 256, 81, 16>;

/// First bytes of a connection that are kept to describe a peer that speaks something else.
const FIRST_BYTES: usize = 16;

/// What the engine asks of the program that drives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// Connect to [`Options::address`], within [`Options::connect_timeout`] for each address of
    /// the host. Report the result with [`Engine::connected`] or [`Engine::connect_failed`], and go
    /// on taking turns until then.
    Connect,
    /// Shut down the sending half of the socket and go on reading.
    ShutdownWrite,
    /// Close the socket.
    Disconnect {
        /// Discard what the socket has not sent (linger time 0): it must not arrive after a stop.
        reset: bool,
    },
    /// Nothing more will happen: close the socket, then drop the engine.
    End,
}

/// The driver without its I/O, for one runtime as well as another.
///
/// A [`Driver`](super::Driver) drives it on a socket. A test drives it with bytes and times of its own:
/// 1. Do what [`Engine::poll_action`] asks for, until it asks for nothing.
/// 2. Call [`Engine::take_calls`], and pass on the bytes that have come: [`Engine::handle_input`].
/// 3. Call [`Engine::handle_timeout`] if the time of [`Engine::poll_timeout`] has come.
/// 4. Write what [`Engine::poll_transmit`] gives, and report it: [`Engine::transmitted`].
///
/// Dropping the engine ends every call and every subscription of its clients.
///
/// ```
/// use flamingo_runtime_std::driver::{Action, Engine};
/// use flamingo_runtime_std::{Clock, Options};
///
/// let clock = Clock::start();
/// let (mut engine, opening) = Engine::new(Options::new("127.0.0.1:53717"), clock);
/// assert_eq!(engine.poll_action(), Some(Action::Connect));
///
/// // The socket is connected; the engine listens before it sends anything.
/// engine.connected(clock.now());
/// assert!(engine.poll_transmit(clock.now()).is_none());
///
/// // After that it asks for the state of the system: a frame of 128 bytes.
/// let settled = engine.poll_timeout().expect("the end of the settling time");
/// engine.handle_timeout(settled);
/// assert_eq!(engine.poll_transmit(settled).map(<[u8]>::len), Some(128));
/// # drop(opening);
/// ```
pub struct Engine {
    pub(super) core: Box<CoreConnection>,
    pub(super) pending: PendingCalls,
    pub(super) inbox: Inbox,
    pub(super) fanout: Arc<Fanout>,
    pub(super) options: Options,
    pub(super) phase: Phase,
    pub(super) actions: VecDeque<Action>,
    /// Gets the result of the first handshake; `None` after it.
    pub(super) opening: Option<Sender<Result<Answer, Error>>>,
    /// Frames that went to the subscribers.
    pub(super) events: u64,
    pub(super) reconnects: u64,
    pub(super) first_bytes: Vec<u8>,
    /// The peer answered the handshake without the token that it was given.
    pub(super) answered_without_token: bool,
    /// The last stops, and when they were called: they overtake the calls in the inbox, and what
    /// was called before them must not be sent after them.
    pub(super) stops: VecDeque<(Instant, Frame)>,
    /// Stops that could not be written, for the fresh connection.
    pub(super) blocked_stops: Vec<Call>,
    /// Why the last connection was lost.
    pub(super) lost_reason: String,
    messages: MessageCollector<About>,
    gathered: Gathered,
    /// Events of the input that is being taken. Empty between two calls.
    batch: EventBatch,
    /// Closed when everything above has been dropped.
    _running: Sender<()>,
}

/// What is known about a frame while its payload arrives.
struct About {
    class: Class,
    skipped: u32,
    at: SystemTime,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Engine {
    /// Makes an engine, which asks for [`Action::Connect`] first, and what becomes its client. Every
    /// time that is given to the engine must be a time of `clock`.
    #[must_use]
    pub fn new(options: Options, clock: Clock) -> (Self, Opening) {
        let fanout = Arc::new(Fanout::new(options.event_capacity));
        let (caller, inbox) = inbox();
        let (running, ended) = async_channel::bounded(1);
        let (opening, opened) = async_channel::bounded(1);
        let to_open = Opening::new(&options, caller, Arc::clone(&fanout), clock, ended, opened);
        // Two clients of one instrument must not use the same tokens. That takes no more than
        // different seeds: an instrument that makes up tokens could lie in any other way too.
        let before_first = Ticket::from_number(fastrand::u32(..));
        let core = CoreConnection::new(options.protocol).starting_after(before_first);
        let batch = EventBatch::new(&fanout);
        let engine = Self {
            core: Box::new(core),
            pending: PendingCalls::default(),
            inbox,
            fanout,
            options,
            phase: Phase::Connecting,
            actions: VecDeque::from([Action::Connect]),
            opening: Some(opening),
            events: 0,
            reconnects: 0,
            first_bytes: Vec::new(),
            answered_without_token: false,
            stops: VecDeque::new(),
            blocked_stops: Vec::new(),
            lost_reason: String::new(),
            messages: MessageCollector::default(),
            gathered: Gathered::default(),
            batch,
            _running: running,
        };
        (engine, to_open)
    }

    /// The options that it was made with.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// What to do next, if anything.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Whether [`Self::poll_action`] has something to give.
    #[must_use]
    pub fn has_action(&self) -> bool {
        !self.actions.is_empty()
    }

    /// How many calls have had their answer since this was last asked.
    pub(super) fn take_answered(&mut self) -> usize {
        self.pending.take_answered()
    }

    /// Whether some call waits for its outcome.
    #[must_use]
    pub fn has_pending_calls(&self) -> bool {
        !self.pending.is_empty()
    }

    /// When [`Self::handle_timeout`] is due. Read what has already arrived before you call it:
    /// bytes that arrived before their deadline count even if the host was slow.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let core = if self.is_connected() { self.core.poll_timeout() } else { None };
        let core = core.map(|(due, _)| due);
        core.into_iter().chain(self.phase.due()).min()
    }

    /// Ends what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.is_connected() {
            self.core.handle_timeout(now);
            self.take_events(now, None);
        }
        self.advance(now);
    }

    /// Takes bytes that were read at `now`, `at` by the host's calendar. All of them are used.
    pub fn handle_input(&mut self, now: Instant, at: SystemTime, mut bytes: &[u8]) {
        if !self.is_open() {
            let missing = FIRST_BYTES - self.first_bytes.len();
            self.first_bytes.extend(bytes.iter().take(missing));
        }
        while self.is_connected() {
            // By reference: to move a frame takes 10 ns.
            let (consumed, output) = &self.core.handle_input(now, bytes);
            bytes = &bytes[*consumed..];
            match output {
                Some(Output::Frame(received)) if received.frame.payload_len == 0 => {
                    self.messages.clear();
                    self.deliver(now, received, Payload::default(), at);
                }
                Some(Output::Frame(received)) => {
                    let Received { frame, class, skipped } = received.clone();
                    self.messages.frame(frame, About { class, skipped, at });
                }
                Some(Output::Payload { bytes, remaining }) => {
                    let whole = self.messages.payload(bytes, *remaining);
                    if let Some((Message { frame, payload }, About { class, skipped, at })) = whole
                    {
                        let received = Received { frame, class, skipped };
                        self.deliver(now, &received, payload.into(), at);
                    }
                }
                None if bytes.is_empty() => break,
                None => {}
            }
        }
        self.batch.flush(&self.fanout);
        self.take_events(now, None);
        self.advance(now);
    }

    /// The bytes to write next, if there are any: several frames if several may go. Report with
    /// [`Self::transmitted`] how many of them were written before you call anything else.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<&[u8]> {
        if !self.is_connected() {
            return None;
        }
        if self.gathered.is_empty() {
            self.gather(now);
        }
        if !self.gathered.is_empty() {
            return Some(self.gathered.rest());
        }
        match self.core.poll_transmit(now)? {
            Transmit::Bytes(bytes) => Some(bytes),
            Transmit::Payload { ticket, offset, .. } => Some(self.pending.payload(ticket, offset)),
        }
    }

    /// Takes all frames from the core that may go out in one write.
    fn gather(&mut self, now: Instant) {
        while let Some(Transmit::Bytes(bytes)) = self.core.poll_transmit(now)
            && self.gathered.takes(bytes)
        {
            self.gathered.push(bytes);
            if let Some(ticket) = self.core.transmitted(now, FRAME_LEN) {
                self.gathered.end_frame(ticket);
            }
        }
    }

    /// Reports that the first `written` bytes of what [`Self::poll_transmit`] gave are written.
    pub fn transmitted(&mut self, now: Instant, written: usize) {
        if self.gathered.is_empty() {
            if let Some(ticket) = self.core.transmitted(now, written) {
                self.pending.written(ticket);
            }
            return;
        }
        self.gathered.written(written);
        while let Some(ticket) = self.gathered.next_written() {
            self.pending.written(ticket);
        }
    }

    /// Forgets the last connection, but for the number of its last ticket: no ticket or token of it
    /// may name a request of the next one.
    pub(super) fn reset(&mut self) {
        let last = self.core.last_ticket();
        *self.core = CoreConnection::new(self.options.protocol).starting_after(last);
        self.first_bytes.clear();
        self.answered_without_token = false;
        self.messages.clear();
        self.gathered.clear();
    }

    /// Delivers an answer to the request that waits for it, and anything else to the subscribers.
    /// A presumed answer goes to both, since it may be an event. Events wait in the batch for the end
    /// of the input, but no longer than until the next answer.
    fn deliver(&mut self, now: Instant, received: &Received, payload: Payload, at: SystemTime) {
        let Received { frame, class, .. } = received;
        if matches!(class, Class::Solicited { .. } | Class::Ambiguous { .. }) {
            // A caller that gets its outcome now finds the earlier events in its subscriptions.
            self.batch.flush(&self.fanout);
        }
        if let Class::Solicited { ticket, proven } = *class {
            let payload = payload.clone();
            let outcome = self.options.status.outcome(frame);
            let answer =
                Answer { frame: *frame, payload, proven, outcome, at, elapsed: Duration::ZERO };
            let taken = ticket.is_fence() || self.pending.answer(ticket, now, answer);
            if taken && proven {
                return;
            }
        }
        if matches!(class, Class::Ambiguous { .. }) {
            // Its requests end with this frame, not with the next ambiguous one. No connection is lost
            // here: the core reports a blocked stop only after its `handle_timeout`.
            self.take_events(now, Some(frame));
        }
        if !self.is_open() && frame.code == CommandCode::SYSTEM_STATE_GET {
            self.answered_without_token = true;
        }
        self.events += 1;
        self.batch.push(received, payload, at, &self.fanout);
    }

    /// Takes what the core reports beside frames.
    pub(super) fn take_events(&mut self, now: Instant, ambiguous: Option<&Frame>) {
        while self.is_connected()
            && let Some(event) = self.core.poll_event()
        {
            match event {
                CoreEvent::Ended { ticket, ended } => {
                    let meanwhile = Meanwhile {
                        ambiguous,
                        noise: self.core.counters().noise_bytes,
                        rejected: self.core.last_rejected(),
                    };
                    self.pending.end(ticket, ended, &meanwhile);
                }
                CoreEvent::Unresponsive => self.fanout.publish(&Event::Unresponsive),
                CoreEvent::Responsive => self.fanout.publish(&Event::Responsive),
                CoreEvent::StopBlocked => return self.lose(now, &Lost::StopBlocked),
                _ => {} // an event that this version does not know
            }
        }
    }
}

impl Drop for Engine {
    /// However it ends: no event will come any more.
    fn drop(&mut self) {
        self.fanout.close();
    }
}
