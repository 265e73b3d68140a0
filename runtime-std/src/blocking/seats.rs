//! Which thread waits in the poller of the operating system, and which ones are parked.
//!
//! A thread that waits for its answer takes the poller if it is free: then nothing is between the socket and
//! that thread. The others are parked until their answer is there, or the poller is free. The thread of a
//! driver takes the poller while no caller waits. It gives it back when one comes, and takes it again when
//! none has come for [`CALM`]: between two calls of a thread it stays parked, so that they cost no switch of
//! threads. A caller that is alone looks for its answer for a short time before it sleeps, if that was worth it
//! lately (`early_looks.rs`).
//!
//! The lock is never held while a thread waits, or while a future is polled.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use super::reactor::{Poller, Ready, Shared, holds_back, lock, take_next_timer};

/// How long no caller may come until the driver takes the poller. So long an event may wait for its reader
/// after a call; while a call waits, its thread reads the events too.
const CALM: Duration = Duration::from_millis(1);

/// How long a caller looks for its answer before it sleeps.
const AWAKE: Duration = Duration::from_micros(100);

/// Who waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Caller,
    Driver,
}

/// The waiting threads of all clients of a reactor. The lock is held for a few instructions.
pub(super) struct Seats(Mutex<State>);

struct State {
    /// `None`: a thread has it.
    poller: Option<Box<Poller>>,
    /// The thread that has it is that of a driver.
    driver_has_it: bool,
    /// The callers without the poller.
    parked: Vec<Arc<Parker>>,
    /// How many callers have come.
    callers: u64,
    /// The drivers that are parked without a time to look again.
    asleep: Vec<Arc<Parker>>,
}

impl Seats {
    pub(super) fn new(poller: Poller) -> Self {
        let poller = Some(Box::new(poller));
        let (parked, callers, asleep) = (Vec::new(), 0, Vec::new());
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
    reactor: Arc<Shared>,
}

impl Parker {
    fn notify(&self) {
        if holds_back() {
            return;
        }
        match self.state.swap(NOTIFIED, Ordering::SeqCst) {
            PARKED => self.thread.unpark(),
            POLLING => self.reactor.wake_poller(),
            _ => {}
        }
    }

    fn is_notified(&self) -> bool {
        self.state.load(Ordering::SeqCst) == NOTIFIED
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

impl Shared {
    /// Waits for a future on this thread.
    pub(super) fn wait<T>(self: &Arc<Self>, role: Role, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        loop {
            if let Some(value) = self.wait_until(role, future.as_mut(), None) {
                return value;
            }
        }
    }

    /// Waits for a future on this thread, at most until then.
    pub(super) fn wait_until<F: Future>(
        self: &Arc<Self>,
        role: Role,
        mut future: Pin<&mut F>,
        end: Option<Instant>,
    ) -> Option<F::Output> {
        let (thread, state) = (thread::current(), AtomicU8::new(RUNNING));
        let parker = Arc::new(Parker { thread, state, reactor: Arc::clone(self) });
        let waker = Waker::from(Arc::clone(&parker));
        let mut seat = Seat {
            parker,
            role,
            poller: None,
            ready: Ready::default(),
            has_come: false,
            callers: 0,
        };
        loop {
            seat.parker.forget();
            take_next_timer();
            let ready = std::mem::take(&mut seat.ready);
            ready.report_here();
            let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
            ready.wake_others();
            if let Poll::Ready(value) = polled {
                return Some(value);
            }
            if end.is_some_and(|end| self.time_until(end).is_zero()) {
                return None;
            }
            seat.wait(take_next_timer().into_iter().chain(end).min());
        }
    }
}

/// The place of a thread that waits. Dropping it gives the poller to the next.
struct Seat {
    parker: Arc<Parker>,
    role: Role,
    poller: Option<Box<Poller>>,
    /// What the poller has found last.
    ready: Ready,
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
        if self.role == Role::Caller && self.looks_early() {
            return;
        }
        let reactor = &self.parker.reactor;
        let time = until.map(|until| reactor.time_until(until));
        if let Some(poller) = &mut self.poller {
            if self.parker.wait(POLLING, || poller.wait(time)) {
                self.ready = poller.report(reactor);
            }
        } else {
            self.parker.wait(PARKED, || match time.into_iter().chain(limit).min() {
                Some(time) => thread::park_timeout(time),
                None => thread::park(),
            });
        }
    }

    /// Looks for a short time without sleeping. Returns whether there may be something to do.
    fn looks_early(&mut self) -> bool {
        let reactor = &self.parker.reactor;
        let Some(poller) = &mut self.poller else { return false };
        if !poller.early.is_promising() {
            return false;
        }
        let began = reactor.clock.now();
        let mut came = false;
        while !came && Duration::from(reactor.clock.now().since(began)) < AWAKE {
            came = poller.look() || self.parker.is_notified();
            if !came {
                thread::yield_now();
            }
        }
        poller.early.learn(came);
        if came {
            self.ready = poller.report(reactor);
        }
        came
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
        state.asleep.retain(|asleep| !Arc::ptr_eq(asleep, &self.parker));
        let is_calm =
            state.parked.is_empty() && (self.poller.is_some() || self.callers == state.callers);
        self.callers = state.callers;
        if is_calm && self.poller.is_some() {
            return None;
        }
        if let Some(poller) = self.poller.take() {
            (state.poller, state.driver_has_it) = (Some(poller), false);
        }
        if !is_calm {
            state.hand_over();
            return Some(CALM);
        }
        self.poller = state.poller.take();
        if self.poller.is_some() {
            state.driver_has_it = true;
        } else {
            // Another thread has had it for long: it wakes a driver when it leaves.
            state.asleep.push(Arc::clone(&self.parker));
        }
        None
    }
}

impl State {
    /// Tells a thread that it can have the poller, if it is free.
    fn hand_over(&mut self) {
        if self.poller.is_some()
            && let Some(next) = self.parked.last().cloned().or_else(|| self.asleep.pop())
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
        state.asleep.retain(|asleep| !Arc::ptr_eq(asleep, &self.parker));
        if let Some(poller) = self.poller.take() {
            (state.poller, state.driver_has_it) = (Some(poller), false);
        }
        state.hand_over();
    }
}
