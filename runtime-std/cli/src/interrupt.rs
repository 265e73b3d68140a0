//! Ctrl-C (and a request to terminate): one channel that every command can await, and the way out
//! when a command cannot, since whoever should read its output does not.

use std::future::Future;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_channel::Receiver;

use crate::failure::{Done, Failure, INTERRUPTED, note};

/// Ctrl-C as something to wait for. Clones hear the same one.
#[derive(Clone, Debug)]
pub(crate) struct Interrupt(Receiver<()>);

impl Interrupt {
    /// From now on Ctrl-C no longer kills the program.
    pub(crate) fn install() -> Done<Self> {
        let (sender, receiver) = async_channel::bounded(1);
        ctrlc::set_handler(move || {
            sender.close();
            Writing::stuck();
            note("error: interrupted");
            std::process::exit(INTERRUPTED.into());
        })
        .map_err(|error| Failure::new(1, format!("cannot catch Ctrl-C: {error}")))?;
        Ok(Self(receiver))
    }

    /// Ends when Ctrl-C was pressed, also if that was before the call.
    pub(crate) async fn pressed(&self) {
        // Nothing is ever sent: the channel is closed instead, which all clones see.
        let _ = self.0.recv().await;
    }

    /// `work`, unless Ctrl-C comes first.
    pub(crate) async fn or<T>(&self, work: impl Future<Output = Done<T>>) -> Done<T> {
        let pressed = async {
            self.pressed().await;
            Err(Failure::interrupted())
        };
        smol::future::or(pressed, work).await
    }
}

/// How long, after Ctrl-C, a write to stdout may take before the program ends without it.
const STUCK: Duration = Duration::from_millis(500);

/// A write to stdout that is under way. It blocks for as long as the reader pleases, and meanwhile
/// no command hears Ctrl-C.
pub(crate) struct Writing(());

/// Whether one is, and how many there were.
static WRITES: Mutex<(bool, u64)> = Mutex::new((false, 0));
static CHANGED: Condvar = Condvar::new();

impl Writing {
    pub(crate) fn begin() -> Self {
        let mut writes = writes();
        *writes = (true, writes.1 + 1);
        CHANGED.notify_all();
        Self(())
    }

    /// Returns when one write has taken too long.
    fn stuck() {
        let mut state = writes();
        loop {
            state = CHANGED.wait_while(state, |now| !now.0).unwrap_or_else(PoisonError::into_inner);
            let began = *state;
            let waited = CHANGED.wait_timeout_while(state, STUCK, |now| *now == began);
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
