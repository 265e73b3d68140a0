//! Waking the tasks of a program. Who is woken, and when, is decided where [`wake`] is called.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;

/// Wakes a task. A waker that panics must not end the work of the task that calls this: that task may be
/// in the middle of bytes that it has read, and may have other tasks to wake. The panic hook of the program
/// reports the panic.
pub(crate) fn wake(waker: Waker) {
    // The waker is gone then: nothing is left of it that could be inconsistent.
    let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
}
