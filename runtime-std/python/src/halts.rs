//! HALTs that nobody waits for any more, because the move that they stop was cancelled: by Ctrl-C, or in asyncio.
//! They go out on the thread for asyncio. The program must not end before they are answered.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pyo3::prelude::*;
use smol::{Task, Timer, future};

use crate::waiting;

/// The longest wait for the answers. A HALT is sent at once, and answered within milliseconds.
const PATIENCE: Duration = Duration::from_secs(3);

static HALTS: Mutex<Vec<Task<()>>> = Mutex::new(Vec::new());

fn halts() -> MutexGuard<'static, Vec<Task<()>>> {
    HALTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs this work to its end.
pub(crate) fn begin(halt: impl Future<Output = ()> + Send + 'static) {
    // No thread for it: then no call in asyncio has begun either.
    if let Ok(task) = waiting::spawn(halt) {
        let mut halts = halts();
        halts.retain(|task| !task.is_finished());
        halts.push(task);
    }
}

/// Waits until the HALTs are answered that were sent because a move was cancelled, 3 s at most.
#[pyfunction]
#[pyo3(name = "finish_halts")]
pub(crate) fn finish(py: Python<'_>) {
    let pending = std::mem::take(&mut *halts());
    if pending.is_empty() {
        return;
    }
    let all = async {
        for halt in pending {
            halt.await;
        }
    };
    let over = async {
        Timer::after(PATIENCE).await;
    };
    py.detach(|| smol::block_on(future::or(all, over)));
}
