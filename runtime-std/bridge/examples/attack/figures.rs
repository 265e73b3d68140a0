//! The time of this program, what the observers count, and percentiles.

use std::sync::LazyLock;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use flamingo_runtime_std::Clock;

static CLOCK: LazyLock<Clock> = LazyLock::new(Clock::start);

/// µs since the program started.
pub(crate) fn now() -> u64 {
    CLOCK.now().as_micros()
}

pub(crate) const fn micros(time: Duration) -> u64 {
    // No time here is longer than minutes.
    #[allow(clippy::cast_possible_truncation)]
    let micros = time.as_micros() as u64;
    micros
}

pub(crate) const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// Tells a thread to end: the sender is dropped.
pub(crate) struct Stop(pub(crate) Receiver<()>);

impl Stop {
    /// Waits, and returns whether to go on.
    pub(crate) fn after(&self, wait: Duration) -> bool {
        self.0.recv_timeout(wait) == Err(RecvTimeoutError::Timeout)
    }

    pub(crate) fn goes_on(&self) -> bool {
        self.after(Duration::ZERO)
    }
}

/// Times in µs.
#[derive(Debug, Default, Clone)]
pub(crate) struct Times(Vec<u64>);

impl Times {
    pub(crate) fn add(&mut self, micros: u64) {
        self.0.push(micros);
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// The smallest time that so many of a hundred do not exceed, in ms. 100: the longest.
    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn percentile(&self, percent: usize) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let place = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
        sorted.get(place).map_or(f64::NAN, |micros| *micros as f64 / 1000.0)
    }
}

/// What the witness received.
#[derive(Debug, Default, Clone)]
pub(crate) struct Answers {
    pub(crate) right: u64,
    /// Answers with the number, code or value of another query.
    pub(crate) wrong: u64,
    /// Queries without an answer, refused, or answered by the bridge itself.
    pub(crate) lost: u64,
    /// From the time when a query was due until its answer.
    pub(crate) times: Times,
    /// The first thing that was wrong or lost.
    pub(crate) example: Option<String>,
}

/// What became of the HALTs of the observers.
#[derive(Debug, Default, Clone)]
pub(crate) struct Halts {
    pub(crate) sent: u64,
    /// No HALT of that axis reached the instrument afterwards, or it was refused.
    pub(crate) lost: u64,
    pub(crate) reached: Times,
    pub(crate) answered: Times,
    pub(crate) example: Option<String>,
}

/// What the subscriber of the callback port received.
#[derive(Debug, Default, Clone)]
pub(crate) struct Events {
    pub(crate) received: u64,
    /// Later than [`LATE`].
    pub(crate) late: u64,
    pub(crate) lost: u64,
    pub(crate) times: Times,
}

/// An event that arrives later than this counts as late.
pub(crate) const LATE: Duration = ms(250);

/// What the process of the bridge used at most.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Usage {
    pub(crate) resident_kib: u64,
    pub(crate) descriptors: usize,
}

/// Everything that was seen during one attack.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) witness: Answers,
    pub(crate) halts: Halts,
    pub(crate) events: Events,
    pub(crate) usage: Usage,
    /// What was sent, for each part of the load.
    pub(crate) load: Vec<String>,
    /// What the parts of the load found wrong.
    pub(crate) faults: Vec<String>,
    /// What took too long for a part of the load.
    pub(crate) slow: Vec<String>,
}
