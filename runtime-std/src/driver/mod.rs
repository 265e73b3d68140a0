//! The only loop that touches a control socket: it owns the socket and the core's `Connection`.
//! Bytes move here; what is asked is `inbox.rs`, who waits is `pending_calls.rs`, how a connection begins
//! and ends is `session.rs`.

pub(crate) mod inbox;
pub(crate) mod pending_calls;
mod session;

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use flamingo_protocol_core::{
    Class, CommandCode, Connection, Event as CoreEvent, Frame, Instant, Output, Received, Transmit,
};
use smol::{Async, Timer, future};

use crate::clock::Clock;
use crate::driver::inbox::{Inbox, Wake, next};
use crate::driver::pending_calls::{Meanwhile, PendingCalls};
use crate::error::Error;
use crate::fanout::{Event, EventFrame, Fanout};
use crate::message::{Message, MessageCollector};
use crate::options::Options;

pub use pending_calls::{Answer, Stats};

/// The core with room for a program's worth of tasks.
pub type CoreConnection = Connection<64, 256, 81, 16>;

/// Bytes read in one go, and written at most before reading again.
const READ_CHUNK: usize = 64 * 1024;
const WRITE_CHUNK: usize = 256 * 1024;
/// Reads after which all that had come is out of the socket's receive buffer.
const READS_OF_ALL: usize = 64;

/// Why a conversation is over.
#[derive(Debug)]
pub(crate) enum Lost {
    /// The peer, or the way to it, is gone.
    Peer(String),
    /// A stop waits behind a half-sent frame: it must go out over a fresh connection.
    StopBlocked,
    /// The last client is gone, or one has closed the connection.
    Closed,
}

/// What is known about a frame while its payload arrives.
pub(crate) struct About {
    class: Class,
    skipped: u32,
    at: SystemTime,
}

pub(crate) struct Driver {
    pub(crate) core: Box<CoreConnection>,
    /// None while there is no connection.
    pub(crate) stream: Option<Async<TcpStream>>,
    pub(crate) pending: PendingCalls,
    pub(crate) inbox: Inbox,
    pub(crate) fanout: Arc<Fanout>,
    pub(crate) options: Options,
    pub(crate) clock: Clock,
    pub(crate) events: u64,
    pub(crate) reconnects: u64,
    /// Calls are taken only when the peer has proven to speak the protocol; stops always.
    pub(crate) open: bool,
    /// The first bytes of the connection, to name a peer that speaks something else.
    pub(crate) first_bytes: Vec<u8>,
    /// The peer answered the handshake without the token it was given.
    pub(crate) answered_without_token: bool,
    /// The last stops, and when they were asked for: they overtake the calls that wait for the
    /// driver, so what was asked before them must not be sent after them.
    pub(crate) stops: VecDeque<(Instant, Frame)>,
    buffer: Box<[u8]>,
    messages: MessageCollector<About>,
    wants_write: bool,
}

impl Driver {
    pub(crate) fn new(
        stream: Async<TcpStream>,
        options: Options,
        inbox: Inbox,
        fanout: Arc<Fanout>,
        clock: Clock,
    ) -> Self {
        Self {
            core: Box::new(CoreConnection::new(options.protocol)),
            stream: Some(stream),
            pending: PendingCalls::default(),
            inbox,
            fanout,
            options,
            clock,
            events: 0,
            reconnects: 0,
            open: false,
            first_bytes: Vec::new(),
            answered_without_token: false,
            stops: VecDeque::new(),
            buffer: vec![0; READ_CHUNK].into_boxed_slice(),
            messages: MessageCollector::default(),
            wants_write: false,
        }
    }

    /// Starts over on a fresh socket. Nothing of the old conversation is sent again.
    pub(crate) fn restart(&mut self, stream: Async<TcpStream>) {
        self.stream = Some(stream);
        *self.core = CoreConnection::new(self.options.protocol);
        self.open = false;
        self.first_bytes.clear();
        self.answered_without_token = false;
        self.messages.clear();
        self.wants_write = false;
    }

    /// Does what can be done at once; if that is nothing, waits until there is something, or
    /// until `until`. Reads and writes take turns, so neither can starve the other.
    pub(crate) async fn turn(&mut self, until: Option<Instant>) -> Result<(), Lost> {
        self.take_calls()?;
        let read = self.read()?;
        let now = self.clock.now();
        let expired = self.core.poll_timeout().is_some_and(|(due, _)| due <= now);
        if expired {
            // What came while the host was slow, or asleep, is in time.
            self.read_all()?;
            self.core.handle_timeout(now);
        }
        self.take_events(None)?;
        // Last: an answer, an outcome or the end of a grace may let a waiting frame go.
        let wrote = match self.write() {
            Ok(wrote) => wrote,
            Err(lost) => {
                // What the peer said before it went is still there.
                self.read_all()?;
                return Err(lost);
            }
        };
        // Whoever takes turns looks at what came of it before it waits again.
        if wrote || read || expired {
            future::yield_now().await;
            return Ok(());
        }
        self.wait(until).await
    }

    /// Everything that can wake the driver; each part of it may be dropped and made again.
    async fn wait(&mut self, until: Option<Instant>) -> Result<(), Lost> {
        let due = self.core.poll_timeout().map(|(due, _)| due);
        let due = due.into_iter().chain(until).min().and_then(|due| self.clock.moment(due));
        let timer = async {
            match due {
                Some(due) => drop(Timer::at(due).await),
                None => future::pending().await,
            }
            Ok(None)
        };
        let stream = self.stream.as_ref().ok_or(Lost::Closed)?;
        let readable = async { stream.readable().await.map(|()| None).map_err(|e| lost(&e)) };
        let writable = async {
            if !self.wants_write {
                future::pending::<()>().await;
            }
            stream.writable().await.map(|()| None).map_err(|e| lost(&e))
        };
        let inbox = &self.inbox;
        let call = future::or(next(&inbox.stops), next(&inbox.calls));
        let dropped = async {
            inbox.dropped.recv().await.map(|()| Some(Wake::Dropped)).map_err(|_| Lost::Closed)
        };
        let stats = async {
            inbox.stats.recv().await.map(|reply| Some(Wake::Stats(reply))).map_err(|_| Lost::Closed)
        };
        let io = future::or(readable, writable);
        let calls = future::or(future::or(call, dropped), stats);
        match future::or(future::or(io, calls), timer).await? {
            Some(Wake::Call(call)) => self.accept(*call),
            Some(Wake::Stats(reply)) => self.tell_stats(&reply),
            Some(Wake::Dropped) => self.cancel_abandoned(),
            None => {}
        }
        Ok(())
    }

    /// Writes until nothing is left, the socket is full, or it is time to read. Gives whether
    /// there may be more to do.
    fn write(&mut self) -> Result<bool, Lost> {
        let mut budget = WRITE_CHUNK;
        let mut socket = self.stream.as_ref().ok_or(Lost::Closed)?.get_ref();
        self.wants_write = false;
        while budget > 0 {
            let now = self.clock.now();
            let bytes = match self.core.poll_transmit(now) {
                None => break,
                Some(Transmit::Bytes(bytes)) => bytes,
                Some(Transmit::Payload { ticket, offset, .. }) => {
                    self.pending.payload(ticket, offset)
                }
            };
            let shown = bytes.get(..budget.min(bytes.len())).unwrap_or(bytes);
            match socket.write(shown) {
                Ok(0) => return Err(Lost::Peer("it takes no more bytes".into())),
                Ok(written) => {
                    budget -= written;
                    if let Some(ticket) = self.core.transmitted(now, written) {
                        self.pending.written(ticket);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.wants_write = true;
                    break;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(lost(&error)),
            }
        }
        Ok(budget == 0)
    }

    /// Reads once. Gives whether anything came.
    fn read(&mut self) -> Result<bool, Lost> {
        let mut socket = self.stream.as_ref().ok_or(Lost::Closed)?.get_ref();
        let mut buffer = std::mem::take(&mut self.buffer);
        let result = socket.read(&mut buffer);
        let outcome = match result {
            Ok(0) => Err(Lost::Peer("the peer closed it".into())),
            Ok(count) => self.take_input(&buffer[..count]).map(|()| true),
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::Interrupted => Ok(false),
                _ => Err(lost(&error)),
            },
        };
        self.buffer = buffer;
        outcome
    }

    /// Reads all that has come so far, and not much more: no peer can keep this going.
    fn read_all(&mut self) -> Result<(), Lost> {
        for _ in 0..READS_OF_ALL {
            if !self.read()? {
                break;
            }
        }
        Ok(())
    }

    fn take_input(&mut self, mut input: &[u8]) -> Result<(), Lost> {
        let (now, at) = (self.clock.now(), Clock::wall());
        if !self.open && self.first_bytes.len() < 16 {
            self.first_bytes.extend(input.iter().take(16));
        }
        loop {
            let (consumed, output) = self.core.handle_input(now, input);
            input = &input[consumed..];
            let message = match output {
                Some(Output::Frame(Received { frame, class, skipped })) => {
                    self.messages.frame(frame, About { class, skipped, at })
                }
                Some(Output::Payload { bytes, remaining }) => {
                    self.messages.payload(bytes, remaining)
                }
                None if input.is_empty() => return Ok(()),
                None => None,
            };
            if let Some((message, about)) = message {
                self.deliver(now, message, about)?;
            }
        }
    }

    /// To the request that waits for it, or to the subscribers; a presumed answer to both, since
    /// it may be an event.
    fn deliver(&mut self, now: Instant, message: Message, about: About) -> Result<(), Lost> {
        let About { class, skipped, at } = about;
        let frame = message.frame;
        let payload: Arc<[u8]> = message.payload.into();
        if let Class::Solicited { ticket, proven } = class {
            let answer = Answer {
                frame,
                payload: Arc::clone(&payload),
                proven,
                at,
                elapsed: Duration::ZERO,
            };
            let taken = ticket.is_fence() || self.pending.answer(ticket, now, answer);
            if taken && proven {
                return Ok(());
            }
        }
        if matches!(class, Class::Ambiguous { .. }) {
            // Its requests end with this frame, not with the next ambiguous one.
            self.take_events(Some(&frame))?;
        }
        if !self.open && frame.code == CommandCode::SYSTEM_STATE_GET {
            self.answered_without_token = true;
        }
        self.events += 1;
        self.fanout.publish(&Event::Frame(EventFrame { frame, payload, class, at, skipped }));
        Ok(())
    }

    fn take_events(&mut self, ambiguous: Option<&Frame>) -> Result<(), Lost> {
        while let Some(event) = self.core.poll_event() {
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
                CoreEvent::StopBlocked => return Err(Lost::StopBlocked),
            }
        }
        Ok(())
    }

    pub(crate) fn lost_error(&self, reason: &str) -> Error {
        Error::lost(&self.options.address, reason)
    }
}

impl Drop for Driver {
    /// However it ends: no event will come any more.
    fn drop(&mut self) {
        self.fanout.close();
    }
}

fn lost(error: &std::io::Error) -> Lost {
    Lost::Peer(error.to_string())
}
