//! A rate limit: a token bucket that fills with time.

use flamingo_protocol_core::time::{Duration, Instant};

/// A bucket that holds the tokens of one second.
#[derive(Debug, Clone, Copy)]
pub(super) struct TokenBucket {
    per_second: u64,
    /// In millionths of a token, so that whole µs fill it exactly.
    level: u128,
    last_filled: Instant,
}

const MILLION: u128 = 1_000_000;

impl TokenBucket {
    /// A full bucket.
    pub(super) fn new(now: Instant, per_second: u64) -> Self {
        Self { per_second, level: u128::from(per_second) * MILLION, last_filled: now }
    }

    /// Takes `amount` tokens and returns `true`, or takes nothing if the bucket holds less. An amount
    /// above the capacity needs a full bucket and empties it.
    pub(super) fn take(&mut self, now: Instant, amount: u64) -> bool {
        let capacity = u128::from(self.per_second) * MILLION;
        let micros = u128::from(now.since(self.last_filled).as_micros());
        self.level = capacity.min(self.level + micros * u128::from(self.per_second));
        self.last_filled = self.last_filled.max(now);
        let amount = (u128::from(amount) * MILLION).min(capacity);
        if amount > self.level {
            return false;
        }
        self.level -= amount;
        true
    }

    /// When [`Self::take`] returns `true` for this amount.
    pub(super) fn available_at(&self, amount: u64) -> Instant {
        let capacity = u128::from(self.per_second) * MILLION;
        let missing = (u128::from(amount) * MILLION).min(capacity).saturating_sub(self.level);
        let micros = missing.div_ceil(u128::from(self.per_second).max(1));
        self.last_filled + Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::from_micros(ms * 1000)
    }

    #[test]
    fn a_burst_of_one_second_passes_and_then_only_the_rate() {
        let mut bucket = TokenBucket::new(at(0), 10);
        assert!((0..10).all(|_| bucket.take(at(0), 1)));
        assert!(!bucket.take(at(99), 1));
        assert!(bucket.take(at(100), 1));
        assert!(!bucket.take(at(100), 1));
        assert!(
            (0..10).all(|_| bucket.take(at(60_000), 1)),
            "the bucket holds the tokens of one second"
        );
        assert!(!bucket.take(at(60_000), 1));
    }

    #[test]
    fn an_amount_above_the_capacity_needs_a_full_bucket() {
        let mut bucket = TokenBucket::new(at(0), 10);
        assert!(bucket.take(at(0), 500));
        assert!(!bucket.take(at(999), 500));
        assert!(bucket.take(at(1000), 500));
    }

    #[test]
    fn a_token_is_available_at_the_time_that_is_named() {
        let mut bucket = TokenBucket::new(at(1000), 7);
        assert_eq!(bucket.available_at(7), at(1000));
        for _ in 0..100 {
            let due = bucket.available_at(3);
            let before = Instant::from_micros(due.as_micros() - 1);
            assert!(before < at(1000) || !bucket.take(before, 3));
            assert!(bucket.take(due, 3));
        }
    }

    #[test]
    fn time_that_goes_backwards_fills_nothing() {
        let mut bucket = TokenBucket::new(at(1000), 10);
        assert!(bucket.take(at(1000), 10));
        assert!(!bucket.take(at(0), 1));
        assert!(!bucket.take(at(1000), 1));
    }
}
