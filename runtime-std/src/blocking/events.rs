//! Waiting for events on a plain thread. A thread that waits for events is parked, and leaves the socket to the
//! thread of the client.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, TryRecvError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use crate::{Clock, Error, Event, MotionStopped};

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for a future, at most for this time.
fn wait<T>(future: impl Future<Output = T>, clock: Clock, time: Option<Duration>) -> Option<T> {
    let until = time.map(|time| clock.now() + time.into());
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Some(value);
        }
        match until.map(|until| until.since(clock.now()).as_micros()) {
            None => thread::park(),
            Some(0) => return None,
            Some(micros) => thread::park_timeout(Duration::from_micros(micros)),
        }
    }
}

/// A stream of events for one thread at a time: an iterator that blocks. Dropping it ends the subscription.
#[derive(Debug)]
pub struct Subscription {
    events: crate::Subscription,
    clock: Clock,
}

impl Subscription {
    pub(super) fn new(events: crate::Subscription, clock: Clock) -> Self {
        Self { events, clock }
    }

    /// Waits for the next event; `None` when the client is closed. [`Event::Lagged`] comes before the events
    /// that arrived after the lost ones.
    pub fn recv(&mut self) -> Option<Event> {
        wait(self.events.next(), self.clock, None).flatten()
    }

    /// Waits for the next event, at most for this time. An event that comes later is received by the next call.
    ///
    /// # Errors
    /// [`RecvTimeoutError::Timeout`]; [`RecvTimeoutError::Disconnected`] when the client is closed.
    pub fn recv_timeout(&mut self, time: Duration) -> Result<Event, RecvTimeoutError> {
        let next = wait(self.events.next(), self.clock, Some(time));
        next.ok_or(RecvTimeoutError::Timeout)?.ok_or(RecvTimeoutError::Disconnected)
    }

    /// The next event, if it is already there.
    ///
    /// # Errors
    /// [`TryRecvError::Empty`]; [`TryRecvError::Disconnected`] when the client is closed.
    pub fn try_recv(&mut self) -> Result<Event, TryRecvError> {
        let next = wait(self.events.next(), self.clock, Some(Duration::ZERO));
        next.ok_or(TryRecvError::Empty)?.ok_or(TryRecvError::Disconnected)
    }
}

impl Iterator for Subscription {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        self.recv()
    }
}

/// Waits for the end of a motion; made by [`Client::arm`](super::Client::arm).
#[derive(Debug)]
pub struct MotionWaiter {
    motion: crate::MotionWaiter,
    clock: Clock,
}

impl MotionWaiter {
    pub(super) fn new(motion: crate::MotionWaiter, clock: Clock) -> Self {
        Self { motion, clock }
    }

    /// Waits for the next STAGE_MOTION_STOPPED of the axis, or of all axes (255).
    ///
    /// # Errors
    /// [`Error::ConnectionLost`]: it is unknown whether the motion has ended.
    pub fn wait(&mut self) -> Result<MotionStopped, Error> {
        loop {
            if let Some(end) = wait(self.motion.wait(), self.clock, None) {
                return end;
            }
        }
    }

    /// The same for at most this time; `None` when it is over. The end of the motion is then reported by the
    /// next call.
    ///
    /// # Errors
    /// As [`Self::wait`].
    pub fn wait_timeout(&mut self, time: Duration) -> Result<Option<MotionStopped>, Error> {
        wait(self.motion.wait(), self.clock, Some(time)).transpose()
    }
}
