//! Which thread waits in the poller of the operating system, and which ones are parked.
//!
//! A thread that waits for its answer takes the poller if it is free: then nothing is between the socket and
//! that thread. The others are parked until their answer is there, or the poller is free. The thread of the
//! driver takes the poller while no caller waits. It gives it back when one comes, and takes it again when
//! none has come for [`CALM`]: between two calls of a thread it stays parked, so that they cost no switch of
//! threads.
//!
//! The lock is never held while a thread waits, or while a future is polled.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use super::reactor::{Poller, Reactor, lock, take_next_timer};

/// How long no caller may come until the driver takes the poller. So long an event may wait for its reader
/// after a call; while a call waits, its thread reads the events too.
const CALM: Duration = Duration::from_millis(1);

/// Who waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Caller,
    Driver,
}

/// The waiting threads of one client. The lock is held for a few instructions.
pub(super) struct Seats(Mutex<State>);

struct State {
    /// `None`: a thread has it.
    poller: Option<Box<Poller>>,
    driver_has_it: bool,
    /// The callers without the poller.
    parked: Vec<Arc<Parker>>,
    /// How many callers have come.
    callers: u64,
    /// The driver, if it waits for the end of a long call.
    asleep: Option<Arc<Parker>>,
}

impl Seats {
    pub(super) fn new(poller: Poller) -> Self {
        let poller = Some(Box::new(poller));
        let (parked, callers, asleep) = (Vec::new(), 0, None);
        Self(Mutex::new(State { poller, driver_has_it: false, parked, callers, asleep }))
    }
}

const RUNNING: u8 = 0;
const PARKED: u8 = 1;
const POLLING: u8 = 2;
const NOTIFIED: u8 = 3;

/// Wakes one thread, wherever it waits.
struct Parker {
    thread: Thread,
    state: AtomicU8,
    reactor: Arc<Reactor>,
}

impl Parker {
    fn notify(&self) {
        match self.state.swap(NOTIFIED, Ordering::SeqCst) {
            PARKED => self.thread.unpark(),
            POLLING => self.reactor.wake_poller(),
            _ => {}
        }
    }

    /// What the thread was notified of is done now.
    fn forget(&self) {
        self.state.store(RUNNING, Ordering::SeqCst);
    }

    /// Waits, unless it was notified before. Returns whether it has waited.
    fn wait(&self, how: u8, wait: impl FnOnce()) -> bool {
        let state = &self.state;
        let waits =
            state.compare_exchange(RUNNING, how, Ordering::SeqCst, Ordering::SeqCst).is_ok();
        if waits {
            wait();
            // If it is notified from here on, nobody has to end a wait.
            let _ = state.compare_exchange(how, RUNNING, Ordering::SeqCst, Ordering::SeqCst);
        }
        waits
    }
}

impl Wake for Parker {
    fn wake(self: Arc<Self>) {
        self.notify();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.notify();
    }
}

impl Reactor {
    /// Waits for a future on this thread.
    pub(super) fn wait<T>(self: &Arc<Self>, role: Role, future: impl Future<Output = T>) -> T {
        let (thread, state) = (thread::current(), AtomicU8::new(RUNNING));
        let parker = Arc::new(Parker { thread, state, reactor: Arc::clone(self) });
        let waker = Waker::from(Arc::clone(&parker));
        let mut seat = Seat { parker, role, poller: None, has_come: false, callers: 0 };
        let mut future = pin!(future);
        loop {
            seat.parker.forget();
            take_next_timer();
            if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                return value;
            }
            seat.wait(take_next_timer());
        }
    }
}

/// The place of a thread that waits. Dropping it gives the poller to the next.
struct Seat {
    parker: Arc<Parker>,
    role: Role,
    poller: Option<Box<Poller>>,
    has_come: bool,
    /// How many callers had come when the driver looked last.
    callers: u64,
}

impl Seat {
    /// Waits until there may be something to do, at most until then.
    fn wait(&mut self, until: Option<Instant>) {
        let limit = match self.role {
            Role::Caller => self.come_as_caller(),
            Role::Driver => self.come_as_driver(),
        };
        let reactor = &self.parker.reactor;
        let time = until.map(|until| reactor.time_until(until));
        if let Some(poller) = &mut self.poller {
            if self.parker.wait(POLLING, || poller.wait(time)) {
                poller.report(reactor);
            }
        } else {
            self.parker.wait(PARKED, || match time.into_iter().chain(limit).min() {
                Some(time) => thread::park_timeout(time),
                None => thread::park(),
            });
        }
    }

    /// Takes the poller, or gets in line for it. It needs no time limit: whoever has the poller hands it over.
    fn come_as_caller(&mut self) -> Option<Duration> {
        if self.poller.is_some() {
            return None;
        }
        let Parker { reactor, .. } = &*self.parker;
        let mut state = lock(&reactor.seats.0);
        state.callers += u64::from(!self.has_come);
        self.has_come = true;
        state.parked.retain(|parked| !Arc::ptr_eq(parked, &self.parker));
        self.poller = state.poller.take();
        if self.poller.is_none() {
            state.parked.push(Arc::clone(&self.parker));
            let driver_has_it = state.driver_has_it;
            drop(state);
            if driver_has_it {
                reactor.wake_poller();
            }
        }
        None
    }

    /// Takes the poller if no caller needs it. Returns when to look again, if it did not.
    fn come_as_driver(&mut self) -> Option<Duration> {
        let mut state = lock(&self.parker.reactor.seats.0);
        state.asleep = None;
        let is_calm =
            state.parked.is_empty() && (self.poller.is_some() || self.callers == state.callers);
        self.callers = state.callers;
        if let Some(poller) = self.poller.take() {
            state.poller = Some(poller);
        }
        if !is_calm {
            state.driver_has_it = false;
            state.hand_over();
            return Some(CALM);
        }
        self.poller = state.poller.take();
        state.driver_has_it = self.poller.is_some();
        if self.poller.is_none() {
            // A caller has had it for long: it wakes the driver when it leaves.
            state.asleep = Some(Arc::clone(&self.parker));
        }
        None
    }
}

impl State {
    /// Tells a thread that it can have the poller, if it is free.
    fn hand_over(&mut self) {
        if self.poller.is_some()
            && let Some(next) = self.parked.last().cloned().or_else(|| self.asleep.take())
        {
            next.notify();
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if !self.has_come && self.role == Role::Caller {
            return;
        }
        let mut state = lock(&self.parker.reactor.seats.0);
        state.parked.retain(|parked| !Arc::ptr_eq(parked, &self.parker));
        if self.role == Role::Driver {
            (state.driver_has_it, state.asleep) = (false, None);
        }
        if let Some(poller) = self.poller.take() {
            state.poller = Some(poller);
        }
        state.hand_over();
    }
}
