//! How fast a client may send: a bucket that fills with time.

use flamingo_protocol_core::Instant;

/// Holds up to a second's worth.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bucket {
    per_second: u64,
    /// In millionths, so that µs fill it exactly.
    level: u128,
    filled: Instant,
}

const MILLION: u128 = 1_000_000;

impl Bucket {
    /// A full one.
    pub(super) fn new(now: Instant, per_second: u64) -> Self {
        Self { per_second, level: u128::from(per_second) * MILLION, filled: now }
    }

    /// Takes so much out if it is in there. A piece that is larger than the whole bucket passes
    /// when it is full, and empties it.
    pub(super) fn take(&mut self, now: Instant, amount: u64) -> bool {
        let whole = u128::from(self.per_second) * MILLION;
        let micros = u128::from(now.since(self.filled).as_micros());
        self.level = whole.min(self.level + micros * u128::from(self.per_second));
        self.filled = self.filled.max(now);
        let amount = (u128::from(amount) * MILLION).min(whole);
        if amount > self.level {
            return false;
        }
        self.level -= amount;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::from_micros(ms * 1000)
    }

    #[test]
    fn a_burst_of_a_seconds_worth_passes_and_then_only_what_time_fills() {
        let mut bucket = Bucket::new(at(0), 10);
        assert!((0..10).all(|_| bucket.take(at(0), 1)));
        assert!(!bucket.take(at(99), 1));
        assert!(bucket.take(at(100), 1));
        assert!(!bucket.take(at(100), 1));
        assert!(
            (0..10).all(|_| bucket.take(at(60_000), 1)),
            "no more than a second's worth is kept"
        );
        assert!(!bucket.take(at(60_000), 1));
    }

    #[test]
    fn one_that_is_larger_than_the_bucket_waits_for_a_full_one() {
        let mut bucket = Bucket::new(at(0), 10);
        assert!(bucket.take(at(0), 500));
        assert!(!bucket.take(at(999), 500));
        assert!(bucket.take(at(1000), 500));
    }

    #[test]
    fn time_that_runs_backwards_fills_nothing() {
        let mut bucket = Bucket::new(at(1000), 10);
        assert!(bucket.take(at(1000), 10));
        assert!(!bucket.take(at(0), 1));
        assert!(!bucket.take(at(1000), 1));
    }
}
