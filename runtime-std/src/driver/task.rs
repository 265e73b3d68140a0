//! The driver of a connection: what a runtime polls while no caller does the work. What it does is `link.rs`.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use flamingo_protocol_core::time::Instant;

use super::engine::Engine;
use super::link::{Link, Socket, Worker};
use super::turn::Watched;
use crate::client::Opening;
use crate::clock::Clock;
use crate::error::Error;
use crate::options::Options;

/// What a runtime does for a [`Driver`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Connect to [`Options::address`](crate::Options::address), within
    /// [`Options::connect_timeout`](crate::Options::connect_timeout) for each address of the host. Report
    /// the result with [`Driver::connected`] or [`Driver::connect_failed`], and go on polling until then.
    Connect,
    /// Nothing more will happen: drop the driver.
    End,
}

/// What keeps a connection going while no caller does, on any runtime: it keeps the time, connects, and
/// reads while no caller waits. It is polled, as a future is, by the code of one runtime:
/// `on_smol.rs` is an example.
///
/// ```
/// use std::task::{Context, Poll, Waker};
/// use flamingo_runtime_std::driver::{Driver, Step};
/// use flamingo_runtime_std::{Clock, Options};
///
/// let (mut driver, opening) = Driver::new(Options::new("127.0.0.1:53717"), Clock::start());
/// let mut cx = Context::from_waker(Waker::noop());
/// assert_eq!(driver.poll(&mut cx), Poll::Ready(Step::Connect));
/// // Connect, then call `driver.connected(socket)` or `driver.connect_failed(error)`.
/// # drop(opening);
/// ```
///
/// Dropping it closes the socket and ends every call and every subscription of its clients.
#[derive(Debug)]
pub struct Driver {
    link: Arc<Link>,
    options: Options,
}

impl Driver {
    /// Makes a driver, whose first step is [`Step::Connect`], and what becomes its client.
    #[must_use]
    pub fn new(options: Options, clock: Clock) -> (Self, Opening) {
        let (engine, opening) = Engine::new(options, clock);
        (Self::of(engine, clock), opening)
    }

    /// The driver of an engine that has other work already.
    pub(super) fn of(engine: Engine, clock: Clock) -> Self {
        let options = engine.options().clone();
        Self { link: Link::new(engine, clock), options }
    }

    /// The next step for the runtime. If there is none, does what can be done now and arranges a
    /// wake-up. Poll it again at [`Self::due`], too.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        let Link { readiness, armed, .. } = &*self.link;
        readiness.set_driver(cx.waker());
        let is_wanted = readiness.take_driver_wanted();
        let is_due = armed.get().is_some_and(|at| at <= self.link.clock.now());
        if is_due {
            armed.set(None);
            self.link.has_held_back.store(false, Ordering::SeqCst);
            if readiness.is_reported() {
                readiness.pass_over_last();
            }
        }
        // Otherwise the caller that was woken reads.
        if (is_wanted || is_due || !readiness.has_callers()) && self.link.work(Worker::Driver) {
            // Other tasks run first.
            readiness.want_driver();
            cx.waker().wake_by_ref();
        }
        match self.link.steps().pop_front() {
            Some(step) => {
                readiness.want_driver();
                Poll::Ready(step)
            }
            None => Poll::Pending,
        }
    }

    /// When to poll next, if nothing wakes the driver before.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        self.link.armed.get()
    }

    /// The options that it was made with.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// [`Step::Connect`] is done.
    pub fn connected(&mut self, socket: Box<dyn Socket>) {
        if let Some(state) = &mut *self.link.lock() {
            state.socket = Some(Watched::new(socket));
            state.engine.connected(self.link.clock.now());
        }
        self.link.wake_driver();
    }

    /// [`Step::Connect`] has failed.
    pub fn connect_failed(&mut self, error: Error) {
        if let Some(state) = &mut *self.link.lock() {
            state.engine.connect_failed(self.link.clock.now(), error);
        }
        self.link.wake_driver();
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let state = self.link.lock().take();
        // Without the lock: this ends every call, and wakes its caller.
        drop(state);
    }
}
