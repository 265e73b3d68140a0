//! Log lines about what anybody may repeat at will: some pass each second, and the next one says how many
//! did not.

use flamingo_protocol_core::time::Instant;

use crate::router::TokenBucket;

/// A log with a bounded rate.
#[derive(Debug)]
pub(super) struct LogRate {
    lines: TokenBucket,
    left_out: u64,
}

impl LogRate {
    /// `lines_per_s`: also the size of a burst.
    pub(super) fn new(lines_per_s: u64) -> Self {
        Self { lines: TokenBucket::new(Instant::default(), lines_per_s), left_out: 0 }
    }

    /// Whether one more line may be logged now: then it holds how many lines before it were left out.
    pub(super) fn pass(&mut self, now: Instant) -> Option<u64> {
        if !self.lines.take(now, 1) {
            self.left_out += 1;
            return None;
        }
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_above_the_rate_are_counted_at_the_next_one() {
        let mut log = LogRate::new(5);
        let mut pass = |ms: u64| log.pass(Instant::from_micros(ms * 1000));
        assert!((0..5).all(|_| pass(0) == Some(0)));
        assert!((0..7).all(|_| pass(0).is_none()));
        assert_eq!((pass(1000), pass(1000)), (Some(7), Some(0)));
    }
}
