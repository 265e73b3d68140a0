//! The one owner of engine and socket. A caller writes its command and reads the socket itself while it
//! waits. The driver reads while no caller waits, and keeps the time. No caller waits for the lock: if it is
//! taken, its holder does the work, since it looks again after it has released the lock.
//!
//! No runtime is named here: the socket is a [`Socket`], and a runtime polls the driver (`task.rs`). Who is
//! woken when is `readiness.rs`; what happens with the bytes is `turn.rs` and `engine.rs`.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use flamingo_protocol_core::time::Instant;

use super::engine::{Action, Engine};
use super::inbox::Arrivals;
use super::readiness::{CallerId, Readiness};
use super::task::Step;
use super::turn::{READ_CHUNK, Turn, Wakers, Watched, turn};
use crate::clock::Clock;

/// Turns that one caller, or one poll of the driver, takes at most: then other tasks run.
const TURNS: usize = 8;
/// Calls after which other tasks must be let run. A task whose calls all end in their first poll never
/// waits, and would keep its executor for itself.
const MOST_AT_ONCE: usize = 16;
/// How long a caller that is woken for reading may take until the driver reads instead: its task may
/// be busy, or hold a future that it does not poll.
const CALLER_PATIENCE: Duration = Duration::from_millis(20);

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

/// What moves the bytes of one connection; shared by its driver and its callers.
pub(crate) struct Link {
    /// `None` when the driver has ended. Who finds the lock taken relies on its holder, who must look for
    /// new work after it has let go ([`Link::work`]), or wake the driver.
    state: Mutex<Option<State>>,
    steps: Mutex<VecDeque<Step>>,
    pub(super) armed: Armed,
    pub(super) readiness: Arc<Readiness>,
    arrivals: Arrivals,
    /// Callers whose answers came with the last read, and who have not been polled since. They may ask
    /// again at once: what is asked meanwhile goes out with their commands, in one write. This is a
    /// hint: it decides only how soon a command is written.
    about_to_run: AtomicUsize,
    /// Calls that have ended in their first poll, one after the other.
    ended_at_once: AtomicUsize,
    /// A command was held back since the driver looked last: it goes on looking.
    pub(super) has_held_back: AtomicBool,
    /// The driver has found the lock taken, and is to be woken.
    driver_waits: AtomicBool,
    pub(super) clock: Clock,
}

/// Only the holder of the lock touches the socket.
pub(super) struct State {
    pub(super) engine: Engine,
    pub(super) socket: Option<Watched>,
    buffer: Box<[u8]>,
    wakers: Wakers,
}

/// When the driver looks next, whatever happens. Only the driver sets it.
pub(super) struct Armed(AtomicU64);

impl Armed {
    const NEVER: u64 = u64::MAX;

    pub(super) fn get(&self) -> Option<Instant> {
        let micros = self.0.load(Ordering::SeqCst);
        (micros != Self::NEVER).then(|| Instant::from_micros(micros))
    }

    pub(super) fn set(&self, at: Option<Instant>) {
        self.0.store(at.map_or(Self::NEVER, Instant::as_micros), Ordering::SeqCst);
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("readiness", &self.readiness).finish_non_exhaustive()
    }
}

impl Link {
    pub(super) fn new(engine: Engine, clock: Clock) -> Arc<Self> {
        let readiness = Arc::new(Readiness::default());
        let wakers = Wakers { reading: readiness.for_reading(), writing: readiness.for_writing() };
        let arrivals = engine.inbox.arrivals();
        let state =
            State { engine, socket: None, buffer: vec![0; READ_CHUNK].into_boxed_slice(), wakers };
        let link = Arc::new(Self {
            state: Mutex::new(Some(state)),
            steps: Mutex::default(),
            armed: Armed(AtomicU64::new(Armed::NEVER)),
            readiness,
            arrivals,
            about_to_run: AtomicUsize::new(0),
            ended_at_once: AtomicUsize::new(0),
            has_held_back: AtomicBool::new(false),
            driver_waits: AtomicBool::new(false),
            clock,
        });
        if let Some(state) = &*link.lock() {
            state.engine.inbox.attach(Arc::downgrade(&link));
        }
        link
    }

    /// Waits for the lock: to give the driver a socket, and to end.
    pub(super) fn lock(&self) -> MutexGuard<'_, Option<State>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn try_lock(&self) -> Option<MutexGuard<'_, Option<State>>> {
        match self.state.try_lock() {
            Ok(state) => Some(state),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Does what can be done now. If the lock is taken, its holder does it. Returns whether there is more
    /// to do than one caller, or one poll of the driver, should do.
    pub(super) fn work(&self, who: Worker) -> bool {
        for _ in 0..TURNS {
            if who == Worker::Driver {
                self.driver_waits.store(true, Ordering::SeqCst);
            }
            // Either this finds the lock free, or its holder finds, after it has let go, what was
            // handed over before this.
            fence(Ordering::SeqCst);
            let Some(mut state) = self.try_lock() else { return false };
            if who == Worker::Driver {
                self.driver_waits.store(false, Ordering::SeqCst);
            }
            let Some(open) = &mut *state else { return false };
            let done = open.turn(self);
            drop(state);
            fence(Ordering::SeqCst);
            self.look_after(&done, who);
            if !done.is_busy && self.arrivals.len() == 0 && !self.readiness.is_reported() {
                return false;
            }
        }
        true
    }

    /// What is left to do after a turn, without the lock.
    fn look_after(&self, done: &Done, who: Worker) {
        if done.is_idle {
            self.readiness.forget_callers();
        }
        let is_nearer = |due| self.armed.get().is_none_or(|armed| due < armed);
        let must_arm = done.due.is_some_and(is_nearer);
        match who {
            Worker::Driver if must_arm => self.armed.set(done.due),
            Worker::Driver => {}
            Worker::Caller => {
                let driver_waits = self.driver_waits.swap(false, Ordering::SeqCst);
                if driver_waits || must_arm || self.has_step() {
                    self.wake_driver();
                }
            }
        }
    }

    /// Its lock is held for a few instructions.
    pub(super) fn steps(&self) -> MutexGuard<'_, VecDeque<Step>> {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_step(&self) -> bool {
        !self.steps().is_empty()
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
    /// well, and all of it goes out in one write. The driver writes it if its caller is not polled again.
    pub(crate) fn holds_back(&self) -> bool {
        let holds_back = self.about_to_run.load(Ordering::Relaxed) > 0
            || self.arrivals.len() > 1
            || self.ended_at_once.load(Ordering::Relaxed) >= MOST_AT_ONCE;
        if holds_back {
            self.ended_at_once.store(0, Ordering::Relaxed);
            self.has_held_back.store(true, Ordering::SeqCst);
            let soon = self.clock.now() + CALLER_PATIENCE.into();
            if self.armed.get().is_none_or(|armed| soon < armed) {
                self.wake_driver();
            }
        }
        holds_back
    }

    /// A call has ended, in its first poll or later.
    pub(crate) fn ended(&self, at_once: bool) {
        if at_once {
            self.ended_at_once.fetch_add(1, Ordering::Relaxed);
        } else {
            self.ended_at_once.store(0, Ordering::Relaxed);
        }
    }

    /// A caller waits: it is woken when the socket can be read, if no other has come later.
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
pub(super) enum Worker {
    Caller,
    Driver,
}

/// What a turn leaves to do.
struct Done {
    /// There may be more to do at once.
    is_busy: bool,
    /// No call waits for an outcome.
    is_idle: bool,
    /// When the driver must look.
    due: Option<Instant>,
}

impl State {
    fn turn(&mut self, link: &Link) -> Done {
        self.act(link);
        link.readiness.look();
        let Self { engine, socket, buffer, wakers } = self;
        let Turn { is_busy, now, answered } =
            turn(engine, socket.as_mut(), wakers, &link.clock, buffer);
        if let Some(answered) = answered {
            link.about_to_run.store(answered, Ordering::Relaxed);
        }
        self.act(link);
        Done { is_busy, is_idle: !self.engine.has_pending_calls(), due: self.due(link, now) }
    }

    /// Does what the engine asks for, or leaves it to the runtime.
    fn act(&mut self, link: &Link) {
        while let Some(action) = self.engine.poll_action() {
            match action {
                Action::Connect => link.steps().push_back(Step::Connect),
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
                Action::End => link.steps().push_back(Step::End),
            }
        }
    }

    /// When the driver must look: at a deadline, and soon if callers may have to read or to write.
    fn due(&self, link: &Link, now: Instant) -> Option<Instant> {
        let due = self.engine.poll_timeout();
        if !self.engine.has_pending_calls() && !link.has_held_back.load(Ordering::SeqCst) {
            return due;
        }
        let soon = now + CALLER_PATIENCE.into();
        Some(due.map_or(soon, |due| due.min(soon)))
    }
}
