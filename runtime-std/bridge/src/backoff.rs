//! How long to wait before the next attempt to connect to the instrument.

use std::time::Duration;

/// Waits that double up to a limit. Each has a random part, so that several programs that lost the
/// same peer do not all connect again at the same moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Backoff {
    least: Duration,
    most: Duration,
    next: Duration,
}

impl Backoff {
    pub(crate) fn new(least: Duration, most: Duration) -> Self {
        Self { least, most: most.max(least), next: least }
    }

    /// The wait before the next attempt: a random time from half to all of the current limit.
    pub(crate) fn wait(&mut self) -> Duration {
        let whole = self.next;
        self.next = whole.saturating_mul(2).min(self.most);
        whole / 2 + (whole / 2).mul_f64(fastrand::f64())
    }

    /// An attempt succeeded: the next wait is the shortest again.
    pub(crate) fn reset(&mut self) {
        self.next = self.least;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_limit_and_restart_after_success() {
        let ms = Duration::from_millis;
        let mut backoff = Backoff::new(ms(200), ms(1_000));
        for whole in [200, 400, 800, 1_000, 1_000] {
            let wait = backoff.wait();
            assert!((ms(whole / 2)..=ms(whole)).contains(&wait), "{wait:?} of {whole} ms");
        }
        backoff.reset();
        assert!(backoff.wait() <= ms(200));
    }

    #[test]
    fn a_limit_below_the_least_wait_is_raised_to_it() {
        let mut backoff = Backoff::new(Duration::from_secs(2), Duration::ZERO);
        for _ in 0..3 {
            assert!(backoff.wait() >= Duration::from_secs(1));
        }
    }
}
