//! The only place that asks the operating system for the time.
//!
//! What time means for a request is decided in the core, which receives the time from its caller.

use std::time::SystemTime;

use flamingo_protocol_core::time::Instant;

/// A clock that starts at 0 µs and never runs backwards.
///
/// ```
/// let clock = flamingo_runtime_std::Clock::start();
/// assert!(clock.now() <= clock.now());
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    origin: std::time::Instant,
}

#[allow(clippy::disallowed_methods)] // this is the place
impl Clock {
    /// A clock that reads 0 now.
    #[must_use]
    pub fn start() -> Self {
        Self { origin: std::time::Instant::now() }
    }

    /// The time in µs since the start.
    pub fn now(&self) -> Instant {
        let micros = self.origin.elapsed().as_micros();
        Instant::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }

    /// The operating system's time at `at`; `None` if that is too far ahead.
    pub fn moment(&self, at: Instant) -> Option<std::time::Instant> {
        self.origin.checked_add(std::time::Duration::from_micros(at.as_micros()))
    }

    /// The calendar time of the host.
    #[must_use]
    pub fn wall() -> SystemTime {
        SystemTime::now()
    }
}
