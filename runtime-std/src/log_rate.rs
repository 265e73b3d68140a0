//! How many lines the log may have about peers that connect again and again.

use std::sync::{Mutex, PoisonError};

use flamingo_protocol_core::time::{Duration, Instant};

const SECOND: Duration = Duration::from_millis(1_000);
/// Enough to see what happens, and few enough that other lines stay visible.
const PEER_LINES_PER_S: u32 = 5;

/// Limits the log lines that a peer can cause: without a limit, a peer could fill the disk.
///
/// ```
/// # use flamingo_runtime_std::{Clock, LogRate};
/// let log = LogRate::new(1); // `LogRate::default()`: 5 lines per second
/// let now = Clock::start().now();
/// assert_eq!(log.line(now), Some(0), "the first line of a second");
/// assert_eq!(log.line(now), None);
/// ```
#[derive(Debug)]
pub struct LogRate {
    per_s: u32,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The second that `lines` counts.
    since: Instant,
    lines: u32,
    left_out: u64,
}

/// At most 5 lines in each second, about peers that are refused or disconnected.
impl Default for LogRate {
    fn default() -> Self {
        Self::new(PEER_LINES_PER_S)
    }
}

impl LogRate {
    /// At most `per_s` lines in each second.
    #[must_use]
    pub fn new(per_s: u32) -> Self {
        Self { per_s, state: Mutex::default() }
    }

    /// Whether there may be one more line: `Some` with the number of lines that were left out since
    /// the last one. The times are of one clock.
    pub fn line(&self, now: Instant) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if now >= state.since + SECOND {
            (state.since, state.lines) = (now, 0);
        }
        if state.lines >= self.per_s {
            state.left_out += 1;
            return None;
        }
        state.lines += 1;
        Some(std::mem::take(&mut state.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_above_the_rate_are_counted_and_left_out() {
        let log = LogRate::new(2);
        let lines = |ms: u64, count: usize| {
            let now = Instant::from_micros(ms * 1000);
            (0..count).filter_map(|_| log.line(now)).collect::<Vec<_>>()
        };
        assert_eq!(lines(0, 10), [0, 0]);
        assert!(lines(999, 1).is_empty());
        assert_eq!(lines(1_000, 1), [9]);
        assert_eq!(lines(5_000, 3), [0, 0]);
        assert_eq!(lines(6_000, 1), [1]);
    }
}
