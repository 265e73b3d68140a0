//! Whether a thread that watches sockets looks for an answer for a short time before it sleeps. Watching is in
//! `reactor.rs`.

use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

/// Whether to look again and again before sleeping. A thread that sleeps takes tens of µs to wake on a machine with
/// several processors. A real instrument answers after milliseconds, so what the last looks gave decides.
pub(crate) struct EarlyLooks {
    has_processors: bool,
    /// Waits that are still to be passed over, and how many after the next failure.
    passes: AtomicU32,
    next_passes: AtomicU32,
}

impl EarlyLooks {
    /// Waits that are passed over at most.
    const MOST_PASSES: u32 = 127;

    pub(crate) fn new() -> Self {
        let has_processors = thread::available_parallelism().is_ok_and(|count| count.get() > 1);
        Self { has_processors, passes: AtomicU32::new(0), next_passes: AtomicU32::new(0) }
    }

    /// Only the thread that watches asks and learns.
    pub(crate) fn is_promising(&self) -> bool {
        let passes = self.passes.load(Ordering::Relaxed);
        self.passes.store(passes.saturating_sub(1), Ordering::Relaxed);
        self.has_processors && passes == 0
    }

    pub(crate) fn learn(&self, came: bool) {
        let next = self.next_passes.load(Ordering::Relaxed);
        let next = if came { 0 } else { (2 * next + 1).min(Self::MOST_PASSES) };
        self.next_passes.store(next, Ordering::Relaxed);
        self.passes.store(next, Ordering::Relaxed);
    }
}
