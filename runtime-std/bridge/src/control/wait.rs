//! Waiting: until a socket is ready, the connection to the instrument is made, a request arrives, or a
//! deadline is due. The operating system reports a change only once; the sockets and the listeners
//! remember it until they have dealt with it.

use std::io::{ErrorKind, Result};
use std::sync::Arc;
use std::time::Duration;

use async_channel::TryRecvError;
use mio::event::Source;
use mio::{Events, Interest, Poll, Token, Waker};

use super::inbox::ControlRequest;
use super::{ControlTask, listener::ControlListener};
use crate::router::ClientId;

/// The most events that are taken from the operating system at once. The others follow.
const MAX_EVENTS: usize = 256;

/// Whom an event concerns.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Target {
    Inbox,
    Instrument,
    /// The position of a listener.
    Listener(usize),
    Client(ClientId),
}

impl Target {
    /// `None` if the number is too large for this processor.
    fn token(self) -> Option<Token> {
        let number = match self {
            Self::Inbox => 0,
            Self::Instrument => 1,
            Self::Listener(index) => index.checked_mul(2)?.checked_add(2)?,
            Self::Client(id) => usize::try_from(id).ok()?.checked_mul(2)?.checked_add(3)?,
        };
        Some(Token(number))
    }

    fn of(Token(number): Token) -> Self {
        match number {
            0 => Self::Inbox,
            1 => Self::Instrument,
            even if even % 2 == 0 => Self::Listener((even - 2) / 2),
            odd => Self::Client(((odd - 3) / 2) as ClientId),
        }
    }
}

/// Waits for the sockets of the control side, and for nothing else of this process.
pub(super) struct Poller {
    poll: Poll,
    events: Events,
}

impl Poller {
    /// A poller, and what wakes its thread.
    pub(super) fn new() -> Result<(Self, Arc<Waker>)> {
        let poll = Poll::new()?;
        let token = Target::Inbox.token().ok_or(ErrorKind::Unsupported)?;
        let waker = Arc::new(Waker::new(poll.registry(), token)?);
        Ok((Self { poll, events: Events::with_capacity(MAX_EVENTS) }, waker))
    }

    /// Reports changes of `source` from now on, until it is dropped.
    pub(super) fn register(&self, source: &mut impl Source, target: Target) -> Result<()> {
        let interest = match target {
            Target::Listener(_) => Interest::READABLE,
            _ => Interest::READABLE | Interest::WRITABLE,
        };
        let token = target.token().ok_or(ErrorKind::Unsupported)?;
        self.poll.registry().register(source, token, interest)
    }

    /// Waits for an event, up to `timeout`.
    fn wait(&mut self, timeout: Option<Duration>) -> Result<()> {
        match self.poll.poll(&mut self.events, timeout) {
            // A signal arrived: nothing is ready, and the caller looks at its deadlines again.
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
            result => result,
        }
    }
}

impl ControlTask {
    /// Waits until there is something to do, and handles what is not reading or writing.
    pub(super) fn wait(&mut self) -> Result<()> {
        let timeout = self.wait_at_most();
        self.poller.wait(timeout)?;
        self.note_events();
        self.accept();
        self.take_connection();
        if let Some(request) = self.take_request() {
            self.handle_request(request);
        }
        Ok(())
    }

    /// Zero if there is more to do than one round has done; `None` if no deadline is known. Nothing that
    /// can be written is left unwritten during a wait.
    fn wait_at_most(&mut self) -> Option<Duration> {
        let now = self.clock.now();
        if self.has_request() {
            return Some(Duration::ZERO);
        }
        let work = self.next_work(now);
        let accepts = self.listeners.iter().filter_map(ControlListener::accepts_from);
        let due = self.router.poll_timeout().into_iter().chain(self.stop_deadline).chain(accepts);
        due.chain(work).min().map(|due| due.since(now).into())
    }

    fn note_events(&mut self) {
        let now = self.clock.now();
        for event in &self.poller.events {
            match Target::of(event.token()) {
                Target::Inbox => {} // it is looked at after every wait
                Target::Instrument => {
                    if let Some(socket) = &mut self.instrument {
                        socket.note(event);
                    }
                }
                Target::Listener(index) => {
                    if let Some(listener) = self.listeners.get_mut(index) {
                        listener.note_client(now);
                    }
                }
                Target::Client(id) => {
                    let Some(socket) = self.clients.get_mut(&id) else { continue };
                    let ends = socket.note(event);
                    self.readable.set(id, socket.is_readable());
                    if ends {
                        self.ending.push(id);
                        self.router.client_ending(now, id);
                    }
                }
            }
        }
    }

    fn has_request(&self) -> bool {
        self.stop_deadline.is_none() && !self.requests.is_empty()
    }

    fn take_request(&mut self) -> Option<ControlRequest> {
        if self.stop_deadline.is_some() {
            return None;
        }
        match self.requests.try_recv() {
            Ok(request) => Some(request),
            Err(TryRecvError::Empty) => None,
            // The bridge was dropped, so that nobody could ask for the end later: stop now.
            Err(TryRecvError::Closed) => Some(ControlRequest::Stop),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_reaches_whom_it_concerns() {
        let (inbox, instrument) = (Target::Inbox, Target::Instrument);
        let listeners = [0, 1, 7].map(Target::Listener);
        let clients = [0, 1, 2, 1_000_000].map(Target::Client);
        for target in [inbox, instrument].into_iter().chain(listeners).chain(clients) {
            assert_eq!(target.token().map(Target::of), Some(target));
        }
    }
}
