//! A rate limit: a token bucket that fills with time.

use flamingo_protocol_core::time::{Duration, Instant};

/// A bucket that holds the tokens of one second.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TokenBucket {
    per_second: u64,
    /// In millionths of a token, so that whole µs fill it exactly. Negative: more was spent than there was.
    level: i128,
    last_filled: Instant,
}

const MILLION: i128 = 1_000_000;

impl TokenBucket {
    /// A full bucket.
    pub(crate) fn new(now: Instant, per_second: u64) -> Self {
        Self { per_second, level: i128::from(per_second) * MILLION, last_filled: now }
    }

    /// Takes `amount` tokens and returns `true`, or takes nothing if the bucket holds less. An amount
    /// above the capacity needs a full bucket and empties it.
    pub(crate) fn take(&mut self, now: Instant, amount: u64) -> bool {
        self.fill(now);
        let amount = self.part_of_capacity(amount);
        if amount > self.level {
            return false;
        }
        self.level -= amount;
        true
    }

    /// Takes `amount` tokens, also if the bucket holds less: then it holds none until the time of these
    /// tokens has passed, but for two seconds at most.
    pub(super) fn spend(&mut self, now: Instant, amount: u64) {
        self.fill(now);
        self.level =
            (self.level - i128::from(amount) * MILLION).max(-self.part_of_capacity(u64::MAX));
    }

    /// Whether the bucket holds `amount` tokens.
    pub(super) fn holds(&self, now: Instant, amount: u64) -> bool {
        self.level_at(now) >= i128::from(amount) * MILLION
    }

    /// How many whole tokens the bucket holds.
    pub(super) fn available(&self, now: Instant) -> u64 {
        u64::try_from(self.level_at(now) / MILLION).unwrap_or(0)
    }

    /// When the bucket holds `amount` tokens, or is full if it cannot hold as many.
    pub(super) fn holds_at(&self, amount: u64) -> Instant {
        let missing = (self.part_of_capacity(amount) - self.level).max(0).unsigned_abs();
        let micros = missing.div_ceil(u128::from(self.per_second).max(1));
        self.last_filled + Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }

    fn fill(&mut self, now: Instant) {
        self.level = self.level_at(now);
        self.last_filled = self.last_filled.max(now);
    }

    fn level_at(&self, now: Instant) -> i128 {
        let micros = i128::from(now.since(self.last_filled).as_micros());
        self.part_of_capacity(u64::MAX).min(self.level + micros * i128::from(self.per_second))
    }

    /// In millionths of a token.
    fn part_of_capacity(&self, amount: u64) -> i128 {
        i128::from(amount.min(self.per_second)) * MILLION
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
    fn what_is_spent_comes_back_at_the_rate() {
        let mut bucket = TokenBucket::new(at(0), 10);
        assert_eq!((bucket.available(at(0)), bucket.holds_at(10)), (10, at(0)));
        bucket.spend(at(0), 9);
        assert_eq!(bucket.available(at(0)), 1);
        bucket.spend(at(0), 5);
        assert_eq!(bucket.available(at(499)), 0, "it owes four");
        assert_eq!((bucket.holds_at(1), bucket.holds_at(10)), (at(500), at(1400)));
        assert_eq!((bucket.available(at(500)), bucket.available(at(60_000))), (1, 10));
        assert_eq!(bucket.holds_at(500), at(1400), "it never holds more than the capacity");
        bucket.spend(at(0), u64::MAX);
        assert_eq!(bucket.holds_at(10), at(2000), "it owes no more than the capacity");
    }

    #[test]
    fn a_token_is_available_at_the_time_that_is_named() {
        let mut bucket = TokenBucket::new(at(1000), 7);
        assert_eq!(bucket.holds_at(7), at(1000));
        for _ in 0..100 {
            let due = bucket.holds_at(3);
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
