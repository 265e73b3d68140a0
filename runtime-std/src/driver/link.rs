//! The one owner of engine and socket, and who moves the bytes: whoever has something to ask. A caller
//! writes its command itself, and while it waits it reads the socket itself; the driver reads while no
//! caller waits, and keeps the time. Nobody waits for the lock: who finds it taken leaves the work to its
//! holder, who looks again after it has let go.
//!
//! No runtime is named here: the socket is a [`Socket`], the waiting is the [`Driver`]'s, which a runtime
//! polls. Who is woken when is `readiness.rs`; what happens with the bytes is `turn.rs` and `engine.rs`.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use flamingo_protocol_core::time::Instant;

use super::engine::{Action, Engine};
use super::inbox::Arrivals;
use super::readiness::{CallerId, Readiness};
use super::turn::{READ_CHUNK, Turn, Wakers, Watched, turn};
use crate::client::Opening;
use crate::clock::Clock;
use crate::error::Error;
use crate::options::Options;

/// Turns that one caller, or one poll of the driver, takes at most: then other tasks run.
const TURNS: usize = 8;
/// How long a caller that is woken for reading may take until the driver reads instead: its task may
/// be busy, or hold a future that it does not poll.
const CALLER_PATIENCE: Duration = Duration::from_millis(10);

/// A connected, non-blocking socket of some runtime.
///
/// `poll_readable` and `poll_writable` arrange a wake-up if they return [`Poll::Pending`]. They are
/// always called with the same waker, which may be called by any thread.
pub trait Socket: Send + Sync {
    /// Reads what has come.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if nothing has come; any other ends the connection.
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes what the socket takes.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if it takes nothing now; any other ends the connection.
    fn write(&self, bytes: &[u8]) -> io::Result<usize>;

    /// Whether the socket can be read.
    ///
    /// # Errors
    /// The runtime cannot tell; this ends the connection.
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Whether the socket can be written.
    ///
    /// # Errors
    /// The runtime cannot tell; this ends the connection.
    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Shuts down the sending half.
    fn shutdown_write(&self);

    /// What is not sent yet is discarded when the socket is closed (linger time 0).
    fn discard_unsent(&self);
}

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

/// What moves the bytes of one connection; shared by its driver and its callers.
pub(crate) struct Link {
    /// `None` when the driver has ended.
    state: Mutex<Option<State>>,
    readiness: Arc<Readiness>,
    arrivals: Arrivals,
    /// Callers whose answers came with the last read, and who have not been polled since. They may ask
    /// again at once: what is asked meanwhile goes out with their commands, in one write. This is a
    /// hint: nothing depends on it but when a command is written.
    about_to_run: AtomicUsize,
    /// The next caller lets other tasks run before its command is written.
    let_others_run: AtomicBool,
}

/// Only the holder of the lock touches the socket.
struct State {
    engine: Engine,
    socket: Option<Watched>,
    clock: Clock,
    buffer: Box<[u8]>,
    wakers: Wakers,
    /// When the driver looks next, whatever happens.
    armed: Option<Instant>,
    steps: VecDeque<Step>,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("readiness", &self.readiness).finish_non_exhaustive()
    }
}

impl Link {
    fn new(engine: Engine, clock: Clock) -> Arc<Self> {
        let readiness = Arc::new(Readiness::default());
        let wakers = Wakers { reading: readiness.for_reading(), writing: readiness.for_writing() };
        let arrivals = engine.inbox.arrivals();
        let state = State {
            engine,
            socket: None,
            clock,
            buffer: vec![0; READ_CHUNK].into_boxed_slice(),
            wakers,
            armed: None,
            steps: VecDeque::new(),
        };
        let link = Arc::new(Self {
            state: Mutex::new(Some(state)),
            readiness,
            arrivals,
            about_to_run: AtomicUsize::new(0),
            let_others_run: AtomicBool::new(false),
        });
        if let Some(state) = &*link.lock() {
            state.engine.inbox.attach(Arc::downgrade(&link));
        }
        link
    }

    /// Waits for the lock. Only the driver does; a caller leaves its work to the holder.
    fn lock(&self) -> MutexGuard<'_, Option<State>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn try_lock(&self) -> Option<MutexGuard<'_, Option<State>>> {
        match self.state.try_lock() {
            Ok(state) => Some(state),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Does what can be done now, unless somebody does it already. Returns whether more is left than
    /// one caller, or one poll of the driver, should do.
    fn work(&self, who: Worker) -> bool {
        for _ in 0..TURNS {
            // Either this finds the lock free, or its holder finds, after it has let go, what was
            // handed over before this.
            fence(Ordering::SeqCst);
            let Some(mut state) = self.try_lock() else { return false };
            let Some(open) = &mut *state else { return false };
            let busy = open.turn(self, who);
            drop(state);
            fence(Ordering::SeqCst);
            if !busy && self.arrivals.len() == 0 && !self.readiness.is_reported() {
                return false;
            }
        }
        true
    }

    /// A caller does what can be done now.
    pub(crate) fn work_as_caller(&self) {
        if self.work(Worker::Caller) {
            self.wake_driver();
        }
    }

    /// The socket has reported that it can be read, and nobody has looked since.
    pub(crate) fn is_readable(&self) -> bool {
        self.readiness.is_reported()
    }

    /// Whether other tasks run before a command that was just handed over is written: they may ask as
    /// well, and all of it goes out in one write.
    pub(crate) fn holds_back(&self) -> bool {
        self.about_to_run.load(Ordering::Relaxed) > 0
            || self.arrivals.len() > 1
            || self.let_others_run.swap(false, Ordering::Relaxed)
    }

    /// A caller waits: it is woken when the socket can be read, if no other has waited longer.
    pub(crate) fn enter(&self, caller: usize, waker: &Waker) {
        self.readiness.enter(CallerId(caller), waker);
    }

    /// A caller does not wait any more.
    pub(crate) fn leave(&self, caller: usize) {
        let one_less = |count: usize| count.checked_sub(1);
        // None is about to run: nothing changes.
        let _ = self.about_to_run.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less);
        self.readiness.leave(CallerId(caller));
    }

    pub(crate) fn wake_driver(&self) {
        self.readiness.wake_driver();
    }
}

/// Who does the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Worker {
    Caller,
    Driver,
}

impl State {
    /// Takes one turn. Returns whether there may be more to do.
    fn turn(&mut self, link: &Link, who: Worker) -> bool {
        self.act();
        link.readiness.look();
        let Self { engine, socket, clock, buffer, wakers, .. } = self;
        let turn = turn(engine, socket.as_mut(), wakers, clock, buffer);
        let Turn { is_busy, now, answered, let_others_run } = turn;
        if let Some(answered) = answered {
            link.about_to_run.store(answered, Ordering::Relaxed);
        }
        if let_others_run {
            link.let_others_run.store(true, Ordering::Relaxed);
        }
        self.act();
        if who == Worker::Caller && (!self.steps.is_empty() || self.must_arm(now)) {
            link.wake_driver();
        }
        is_busy
    }

    /// Does what the engine asks for, or leaves it to the runtime.
    fn act(&mut self) {
        while let Some(action) = self.engine.poll_action() {
            match action {
                Action::Connect => self.steps.push_back(Step::Connect),
                Action::ShutdownWrite => {
                    if let Some(watched) = &self.socket {
                        watched.socket.shutdown_write();
                    }
                }
                Action::Disconnect { reset } => {
                    if let Some(watched) = self.socket.take().filter(|_| reset) {
                        watched.socket.discard_unsent();
                    }
                }
                Action::End => self.steps.push_back(Step::End),
            }
        }
    }

    /// When the driver must look: at a deadline, and soon if callers may have to read.
    fn due(&self, now: Instant) -> Option<Instant> {
        let due = self.engine.poll_timeout();
        if !self.engine.has_pending_calls() {
            return due;
        }
        let soon = now + CALLER_PATIENCE.into();
        Some(due.map_or(soon, |due| due.min(soon)))
    }

    /// Whether the driver looks too late.
    fn must_arm(&self, now: Instant) -> bool {
        self.due(now).is_some_and(|due| self.armed.is_none_or(|armed| due < armed))
    }
}

/// What keeps a connection going while no caller does, on any runtime: it keeps the time, connects, and
/// reads while no caller waits. It is polled, as a future is, by the code of one runtime:
/// `on_smol.rs` is an example of 100 lines.
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
    clock: Clock,
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
        Self { link: Link::new(engine, clock), clock }
    }

    /// The next step for the runtime. If there is none, does what can be done now and arranges a
    /// wake-up. Poll it again at [`Self::due`], too.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        let readiness = &self.link.readiness;
        readiness.set_driver(cx.waker());
        let is_wanted = readiness.take_driver_wanted();
        let is_due = self.take_due();
        if is_due && readiness.is_reported() {
            readiness.pass_over_first();
        }
        // Otherwise the caller that was woken reads.
        if is_wanted || is_due || !readiness.has_callers() {
            if self.link.work(Worker::Driver) {
                // Other tasks run first.
                cx.waker().wake_by_ref();
            }
            if let Some(step) = self.take_step() {
                self.link.readiness.want_driver();
                return Poll::Ready(step);
            }
        }
        Poll::Pending
    }

    /// What the runtime has to do next. If that is nothing, moves the time of the next look.
    fn take_step(&self) -> Option<Step> {
        let mut state = self.link.lock();
        let Some(state) = &mut *state else { return Some(Step::End) };
        let step = state.steps.pop_front();
        let now = self.clock.now();
        if step.is_none() && state.must_arm(now) {
            state.armed = state.due(now);
        }
        step
    }

    /// Whether the time has come for which the driver was armed.
    fn take_due(&self) -> bool {
        let mut state = self.link.lock();
        let Some(state) = &mut *state else { return false };
        state.armed.take_if(|armed| *armed <= self.clock.now()).is_some()
    }

    /// When to poll next, if nothing wakes the driver before.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        self.link.lock().as_ref().and_then(|state| state.armed)
    }

    /// The options that it was made with.
    #[must_use]
    pub fn options(&self) -> Option<Options> {
        self.link.lock().as_ref().map(|state| state.engine.options().clone())
    }

    /// [`Step::Connect`] is done.
    pub fn connected(&mut self, socket: Box<dyn Socket>) {
        if let Some(state) = &mut *self.link.lock() {
            state.socket = Some(Watched::new(socket));
            state.engine.connected(self.clock.now());
        }
        self.link.readiness.want_driver();
    }

    /// [`Step::Connect`] has failed.
    pub fn connect_failed(&mut self, error: Error) {
        if let Some(state) = &mut *self.link.lock() {
            state.engine.connect_failed(self.clock.now(), error);
        }
        self.link.readiness.want_driver();
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let state = self.link.lock().take();
        // Without the lock: this ends every call, and wakes its caller.
        drop(state);
    }
}
