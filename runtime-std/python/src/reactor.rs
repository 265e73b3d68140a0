//! Moves the bytes of connections on plain threads, for callers that block. A thread that waits watches the sockets
//! itself, so that an answer wakes no other thread before it; one of several does, and the others sleep. While none
//! waits, a thread of this module watches. The sockets are in `link.rs`; what is done with the bytes is `driver/` of the
//! adapter.

use std::cell::{Cell, OnceCell};
use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use flamingo_protocol_core::time::Instant;
use flamingo_runtime_std::Clock;
use mio::{Events, Registry, Token};

use crate::early_looks::EarlyLooks;
use crate::failure::Failure;

/// How long the thread of this module leaves the sockets to the threads that wait, after one of them has watched: their
/// next call comes soon.
const BACK_OFF: Duration = Duration::from_micros(500);
/// How long it sleeps while another thread watches.
const LONG_BACK_OFF: Duration = Duration::from_millis(10);
/// How long a thread looks for an answer before it sleeps.
const AWAKE: Duration = Duration::from_micros(100);
/// The waker of the thread that watches.
const WAKER: Token = Token(0);

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

thread_local! {
    /// This thread reports that a socket is ready, and looks at it next: nobody else has to be woken for that.
    static HOLDS_BACK: Cell<bool> = const { Cell::new(false) };
}

/// Wakes a thread that waits for a future.
pub(crate) struct Signal {
    thread: Thread,
    pub(crate) is_woken: AtomicBool,
    /// The thread watches the sockets: waking it takes more than unparking.
    watches: AtomicBool,
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if HOLDS_BACK.get() || self.is_woken.swap(true, Ordering::SeqCst) {
            return;
        }
        if self.watches.load(Ordering::SeqCst)
            && let Ok(reactor) = reactor()
        {
            // An error: it has been woken so often that it need not be again.
            let _ = reactor.waker.wake();
        } else {
            self.thread.unpark();
        }
    }
}

impl Signal {
    pub(crate) fn of_this_thread() -> Arc<Self> {
        thread_local! {
            static SIGNAL: OnceCell<Arc<Signal>> = const { OnceCell::new() };
        }
        let new = || {
            let (is_woken, watches) = (AtomicBool::new(false), AtomicBool::new(false));
            Arc::new(Self { thread: thread::current(), is_woken, watches })
        };
        SIGNAL.try_with(|signal| Arc::clone(signal.get_or_init(new))).unwrap_or_else(|_| new())
    }
}

/// Whether a socket can be read, or written, and who wants to know.
#[derive(Default)]
pub(crate) struct Direction {
    is_ready: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Direction {
    pub(crate) fn poll(&self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        {
            let mut waker = lock(&self.waker);
            if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                *waker = Some(cx.waker().clone());
            }
        }
        // Either this finds it ready, or who makes it ready finds the waker.
        if self.is_ready.load(Ordering::SeqCst) { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    fn set_ready(&self) {
        self.is_ready.store(true, Ordering::SeqCst);
        self.wake();
    }

    fn wake(&self) {
        let waker = lock(&self.waker).clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Reads or writes. The system reports a change only, so what is left over is still ready.
    pub(crate) fn take(
        &self,
        all: usize,
        work: impl FnOnce() -> io::Result<usize>,
    ) -> io::Result<usize> {
        self.is_ready.store(false, Ordering::SeqCst);
        let done = work();
        let may_go_on = match &done {
            Ok(count) => *count == all,
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
        };
        if may_go_on {
            self.is_ready.store(true, Ordering::SeqCst);
        }
        done
    }
}

#[derive(Default)]
pub(crate) struct Directions {
    pub(crate) reading: Direction,
    pub(crate) writing: Direction,
}

/// The sockets of all connections of this process.
pub(crate) struct Reactor {
    watch: Mutex<(mio::Poll, Events)>,
    pub(crate) registry: Registry,
    waker: mio::Waker,
    pub(crate) sockets: Mutex<HashMap<usize, Arc<Directions>>>,
    pub(crate) next_token: AtomicUsize,
    /// Threads that wait while another one watches.
    sleepers: Mutex<Vec<Arc<Signal>>>,
    /// How many threads wait, one of which may watch.
    waiting: AtomicUsize,
    early: EarlyLooks,
    /// When a thread that waits has watched last, in µs of the clock.
    watched_at: AtomicU64,
    clock: Clock,
}

pub(crate) fn reactor() -> Result<&'static Reactor, Failure> {
    static REACTOR: OnceLock<Result<Reactor, String>> = OnceLock::new();
    let reactor = REACTOR.get_or_init(|| Reactor::new().map_err(|error| error.to_string()));
    reactor
        .as_ref()
        .map_err(|why| Failure::new("FlamingoError", format!("cannot watch sockets: {why}")))
}

impl Reactor {
    fn new() -> io::Result<Self> {
        let poll = mio::Poll::new()?;
        let registry = poll.registry().try_clone()?;
        let waker = mio::Waker::new(&registry, WAKER)?;
        let run = || {
            if let Ok(reactor) = reactor() {
                reactor.watch_while_nobody_waits();
            }
        };
        thread::Builder::new().name("flamingo-sockets".into()).spawn(run)?;
        Ok(Self {
            watch: Mutex::new((poll, Events::with_capacity(64))),
            registry,
            waker,
            sockets: Mutex::default(),
            next_token: AtomicUsize::new(WAKER.0 + 1),
            sleepers: Mutex::default(),
            waiting: AtomicUsize::new(0),
            early: EarlyLooks::new(),
            watched_at: AtomicU64::new(0),
            clock: Clock::start(),
        })
    }

    /// Watches the sockets once, if no other thread does: which of them are ready. `None`: another one does.
    fn try_watch(&self, signal: Option<&Signal>, limit: Option<Duration>) -> Option<Vec<Ready>> {
        let mut watch = self.watch.try_lock().ok()?;
        let (poll, events) = &mut *watch;
        let polled = match signal {
            None => poll.poll(events, limit),
            Some(signal) => {
                let polled = self.poll_soon(poll, events, signal, limit);
                self.watched_at.store(self.clock.now().as_micros(), Ordering::Relaxed);
                polled
            }
        };
        if polled.is_err() {
            // Interrupted by a signal: the caller looks for signals.
            return Some(Vec::new());
        }
        let sockets = lock(&self.sockets);
        let known = |event: &mio::event::Event| {
            let directions = sockets.get(&event.token().0).cloned()?;
            let (reading, writing) = (event.is_readable(), event.is_writable());
            // A socket that is closed or broken is ready for both, and tells it when it is used.
            Some(Ready { directions, reading: reading || !writing, writing: writing || !reading })
        };
        Some(events.iter().filter_map(known).collect())
    }

    /// Looks for a short time without sleeping, if that was worth it lately, and sleeps then.
    fn poll_soon(
        &self,
        poll: &mut mio::Poll,
        events: &mut Events,
        signal: &Signal,
        limit: Option<Duration>,
    ) -> io::Result<()> {
        // While others wait, their processors are better used by them.
        let is_alone = || self.waiting.load(Ordering::Relaxed) <= 1;
        if is_alone() && self.early.is_promising() {
            let began = self.clock.now();
            while Duration::from(self.clock.now().since(began)) < AWAKE {
                poll.poll(events, Some(Duration::ZERO))?;
                if !events.is_empty() || signal.is_woken.load(Ordering::SeqCst) {
                    self.early.learn(true);
                    return Ok(());
                }
                if !is_alone() {
                    break;
                }
                thread::yield_now();
            }
            self.early.learn(false);
        }
        signal.watches.store(true, Ordering::SeqCst);
        // What wakes the thread from here on ends the poll.
        let is_woken = signal.is_woken.load(Ordering::SeqCst);
        let polled = poll.poll(events, if is_woken { Some(Duration::ZERO) } else { limit });
        signal.watches.store(false, Ordering::SeqCst);
        polled
    }

    /// Lets another thread that waits watch.
    fn pass_on(&self) {
        let next = lock(&self.sleepers).pop();
        if let Some(next) = next {
            next.thread.unpark();
        }
    }

    /// Watches, or sleeps while another thread does: until this thread is woken, until it is its turn to watch, or
    /// until the time is over. Returns which sockets are ready.
    fn wait(&self, signal: &Arc<Signal>, limit: Duration, waited: Duration) -> Vec<Ready> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let ready = self.watch_or_sleep(signal, limit, waited);
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        ready
    }

    fn watch_or_sleep(
        &self,
        signal: &Arc<Signal>,
        limit: Duration,
        waited: Duration,
    ) -> Vec<Ready> {
        if let Some(ready) = self.try_watch(Some(signal), Some(limit)) {
            return ready;
        }
        lock(&self.sleepers).push(Arc::clone(signal));
        // Who has watched until now either leaves before this, or finds this thread among the sleepers.
        let watched = self.try_watch(Some(signal), Some(limit));
        if watched.is_none() && !signal.is_woken.load(Ordering::SeqCst) {
            // Who watches leaves without waking another one, and comes back soon. If it does not, one that sleeps
            // finds out after a time that is short compared with its wait.
            thread::park_timeout(limit.min(waited.max(AWAKE)));
        }
        lock(&self.sleepers).retain(|sleeper| !Arc::ptr_eq(sleeper, signal));
        watched.unwrap_or_default()
    }

    /// A thread that has watched comes back soon, as a rule. If it does not, this one watches.
    fn watch_while_nobody_waits(&self) {
        loop {
            let now = self.clock.now().as_micros();
            let since = now.saturating_sub(self.watched_at.load(Ordering::Relaxed));
            if Duration::from_micros(since) < BACK_OFF {
                thread::park_timeout(BACK_OFF);
                continue;
            }
            let Some(ready) = self.try_watch(None, None) else {
                thread::park_timeout(LONG_BACK_OFF);
                continue;
            };
            ready.iter().for_each(Ready::report);
            if !lock(&self.sleepers).is_empty() {
                // It was the answer to a thread that waits: the next answer is to wake that thread only.
                self.watched_at.store(self.clock.now().as_micros(), Ordering::Relaxed);
                self.pass_on();
            }
        }
    }
}

/// A socket that is ready.
struct Ready {
    directions: Arc<Directions>,
    reading: bool,
    writing: bool,
}

impl Ready {
    fn report(&self) {
        if self.reading {
            self.directions.reading.set_ready();
        }
        if self.writing {
            self.directions.writing.set_ready();
        }
    }

    /// Wakes who reads, if nobody has read since.
    fn wake_reader(&self) {
        if self.reading && self.directions.reading.is_ready.load(Ordering::SeqCst) {
            self.directions.reading.wake();
        }
    }
}

/// Reports what is ready, polls the future of this thread, which reads if its connection is among it, and wakes
/// the others then, if it did not.
fn poll_first<F: Future>(
    ready: Vec<Ready>,
    work: Pin<&mut F>,
    cx: &mut Context<'_>,
) -> Poll<F::Output> {
    HOLDS_BACK.set(true);
    for socket in &ready {
        if socket.reading {
            socket.directions.reading.set_ready();
        }
    }
    HOLDS_BACK.set(false);
    for socket in ready.iter().filter(|socket| socket.writing) {
        socket.directions.writing.set_ready();
    }
    let done = work.poll(cx);
    ready.iter().for_each(Ready::wake_reader);
    done
}

/// Waits for a future on this thread; `None` when the time is over.
pub(crate) fn block_on<F: Future>(mut work: Pin<&mut F>, limit: Duration) -> Option<F::Output> {
    let signal = Signal::of_this_thread();
    let waker = Waker::from(Arc::clone(&signal));
    let mut cx = Context::from_waker(&waker);
    let mut end: Option<(Clock, Instant)> = None;
    let mut ready = Vec::new();
    loop {
        signal.is_woken.store(false, Ordering::SeqCst);
        let done = poll_first(std::mem::take(&mut ready), work.as_mut(), &mut cx);
        if let Poll::Ready(done) = done {
            return Some(done);
        }
        while ready.is_empty() && !signal.is_woken.load(Ordering::SeqCst) {
            let (clock, end) = end.get_or_insert_with(|| {
                let clock = Clock::start();
                (clock, clock.now() + limit.into())
            });
            let left = Duration::from(end.since(clock.now()));
            if left.is_zero() {
                return None;
            }
            match reactor() {
                Ok(reactor) => ready = reactor.wait(&signal, left, limit.saturating_sub(left)),
                Err(_) => thread::park_timeout(left),
            }
        }
    }
}
