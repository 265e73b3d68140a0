//! Ctrl-C, SIGTERM and SIGHUP: a channel that every command can await. If a write to stdout is blocked, no
//! command can react; then the handler ends the program.

use std::future::Future;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use async_channel::Receiver;
use async_signal::{Signal, Signals};
use flamingo_runtime_std::Clock;
use flamingo_runtime_std::protocol::time::Instant;
use smol::stream::StreamExt;

use crate::failure::{CommandResult, Failure, INTERRUPTED, note};

/// Ctrl-C as a future. All clones see the same one.
#[derive(Clone, Debug)]
pub(crate) struct Interrupt {
    /// Closed when Ctrl-C is pressed.
    pressed: Receiver<()>,
    /// Started when Ctrl-C is pressed.
    since: Arc<OnceLock<Clock>>,
}

impl Interrupt {
    /// Installs the handler. From now on Ctrl-C does not end the program by itself.
    pub(crate) fn install() -> CommandResult<Self> {
        let (sender, receiver) = async_channel::bounded(1);
        let mut signals =
            signals().map_err(|error| Failure::new(1, format!("cannot catch Ctrl-C: {error}")))?;
        let since = Arc::new(OnceLock::new());
        let own = Arc::clone(&since);
        // On a thread of its own: a blocked write to stdout must not delay it.
        std::thread::spawn(move || {
            let _ = smol::block_on(signals.next());
            own.get_or_init(Clock::start);
            sender.close();
            Writing::wait_until_blocked();
            note("error: interrupted");
            std::process::exit(INTERRUPTED.into());
        });
        Ok(Self { pressed: receiver, since })
    }

    /// Ctrl-C that is never pressed.
    #[cfg(test)]
    pub(crate) fn never() -> Self {
        let (sender, receiver) = async_channel::bounded(1);
        // The channel stays open.
        std::mem::forget(sender);
        Self { pressed: receiver, since: Arc::default() }
    }

    /// Completes when Ctrl-C is pressed, or at once if it was pressed before.
    pub(crate) async fn pressed(&self) {
        // The handler sends nothing; it closes the channel, which all clones see.
        let _ = self.pressed.recv().await;
    }

    /// Completes when Ctrl-C was pressed and this time has passed since.
    pub(crate) async fn pressed_for(&self, time: Duration) {
        self.pressed().await;
        let since = self
            .since
            .get()
            .map_or(Duration::ZERO, |clock| clock.now().since(Instant::default()).into());
        smol::Timer::after(time.saturating_sub(since)).await;
    }

    /// The result of `work`, or the failure "interrupted" if Ctrl-C comes first.
    pub(crate) async fn or<T>(
        &self,
        work: impl Future<Output = CommandResult<T>>,
    ) -> CommandResult<T> {
        let pressed = async {
            self.pressed().await;
            Err(Failure::interrupted())
        };
        smol::future::or(pressed, work).await
    }
}

#[cfg(unix)]
fn signals() -> std::io::Result<Signals> {
    Signals::new([Signal::Int, Signal::Term, Signal::Hup])
}

#[cfg(not(unix))]
fn signals() -> std::io::Result<Signals> {
    Signals::new([Signal::Int])
}

/// After Ctrl-C, a write to stdout that takes longer than this is blocked.
const BLOCKED: Duration = Duration::from_millis(500);

/// Marks a write to stdout until it is dropped. A write blocks until the reader reads, and no command
/// reacts to Ctrl-C meanwhile.
pub(crate) struct Writing(());

/// Whether a write is running, and how many have begun.
static WRITES: Mutex<(bool, u64)> = Mutex::new((false, 0));
static CHANGED: Condvar = Condvar::new();

impl Writing {
    pub(crate) fn begin() -> Self {
        let mut writes = writes();
        *writes = (true, writes.1 + 1);
        CHANGED.notify_all();
        Self(())
    }

    /// Returns when a write has taken longer than [`BLOCKED`].
    fn wait_until_blocked() {
        let mut state = writes();
        loop {
            state = CHANGED.wait_while(state, |now| !now.0).unwrap_or_else(PoisonError::into_inner);
            let began = *state;
            let waited = CHANGED.wait_timeout_while(state, BLOCKED, |now| *now == began);
            let (now, waited) = waited.unwrap_or_else(PoisonError::into_inner);
            if waited.timed_out() {
                return;
            }
            state = now;
        }
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        writes().0 = false;
        CHANGED.notify_all();
    }
}

fn writes() -> MutexGuard<'static, (bool, u64)> {
    WRITES.lock().unwrap_or_else(PoisonError::into_inner)
}
