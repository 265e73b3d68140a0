//! Where the futures of the client run: on the thread that asks (it releases the interpreter and looks for
//! Ctrl-C), or on a thread of their own, for asyncio. What becomes of their results is in `call.rs`.

use std::future::{Future, pending};
use std::pin::pin;
use std::sync::OnceLock;
use std::time::Duration;

use flamingo_runtime_std::Clock;
use flamingo_runtime_std::blocking::Reactor;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use smol::{Executor, Task, Timer, future};

use crate::failure::Failure;

/// How often a thread that waits looks for signals.
const SIGNALS_EVERY: Duration = Duration::from_millis(50);

/// Waits on this thread. Other Python threads run meanwhile.
///
/// # Errors
/// What a handler of a signal raises: `KeyboardInterrupt` after Ctrl-C. The future is dropped then.
pub(crate) fn wait<F>(py: Python<'_>, work: F) -> PyResult<F::Output>
where
    F: Future + Send,
    F::Output: Send,
{
    wait_while(py, work, || true)?
        .ok_or_else(|| PyRuntimeError::new_err("a wait without a limit has ended"))
}

/// The same with a time limit, which is checked a few times per second. `None`: the time is over.
///
/// # Errors
/// As [`wait`].
pub(crate) fn wait_at_most<F>(
    py: Python<'_>,
    limit: Duration,
    work: F,
) -> PyResult<Option<F::Output>>
where
    F: Future + Send,
    F::Output: Send,
{
    let clock = Clock::start();
    let began = clock.now();
    wait_while(py, work, || Duration::from(clock.now().since(began)) < limit)
}

/// Waits as long as `goes_on`, which is asked at each tick.
fn wait_while<F>(py: Python<'_>, work: F, goes_on: impl Fn() -> bool) -> PyResult<Option<F::Output>>
where
    F: Future + Send,
    F::Output: Send,
{
    let reactor = reactor()?;
    let mut work = pin!(work);
    loop {
        if let Some(done) = py.detach(|| reactor.block_on_within(work.as_mut(), SIGNALS_EVERY)) {
            return Ok(Some(done));
        }
        py.check_signals()?;
        if !goes_on() {
            return Ok(None);
        }
    }
}

/// Reads the sockets of all connections of this process, on the threads that wait.
///
/// # Errors
/// The system gives no poller.
pub(crate) fn reactor() -> Result<&'static Reactor, Failure> {
    static REACTOR: OnceLock<Result<Reactor, String>> = OnceLock::new();
    let new = || Reactor::new().map_err(|error| format!("cannot watch sockets: {error}"));
    let failed = |why: &String| Failure::new("FlamingoError", why.clone());
    REACTOR.get_or_init(new).as_ref().map_err(failed)
}

static EXECUTOR: Executor<'static> = Executor::new();

/// Runs a future on the thread for asyncio. Dropping the task cancels the future.
///
/// # Errors
/// The system gives no thread.
pub(crate) fn spawn<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> Result<Task<T>, Failure> {
    static THREAD: OnceLock<Result<(), String>> = OnceLock::new();
    let started = THREAD.get_or_init(|| {
        let thread = std::thread::Builder::new().name("flamingo-asyncio".into());
        let run = || smol::block_on(EXECUTOR.run(pending::<()>()));
        thread.spawn(run).map(drop).map_err(|error| format!("cannot start a thread: {error}"))
    });
    match started {
        Ok(()) => Ok(EXECUTOR.spawn(work)),
        Err(why) => Err(Failure::new("FlamingoError", why.clone())),
    }
}

/// A time that Python gives in seconds.
///
/// # Errors
/// The time is negative, not a number, or too long.
pub(crate) fn seconds(name: &str, value: f64) -> Result<Duration, Failure> {
    Duration::try_from_secs_f64(value).map_err(|_| {
        Failure::new("InvalidValue", format!("{name}: expected seconds from 0, found {value}"))
    })
}

/// The result of a future, or [`Failure`] of the kind `Timeout` when the time is over. `None` has no limit.
pub(crate) async fn within<T>(
    limit: Option<Duration>,
    what: &str,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let Some(limit) = limit else { return work.await };
    let over = async {
        Timer::after(limit).await;
        Err(Failure::new("Timeout", format!("{what}: not ended after {limit:?}")))
    };
    future::or(work, over).await
}
