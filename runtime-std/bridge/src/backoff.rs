//! How long to wait before the next attempt to connect.

use std::time::Duration;

/// Waits that double up to a limit, each with a random part, so that several that lost the same
/// peer do not all come back in the same moment.
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

    /// The wait before the next attempt: from half of what it stands at to all of it.
    pub(crate) fn wait(&mut self) -> Duration {
        let whole = self.next;
        self.next = whole.saturating_mul(2).min(self.most);
        whole / 2 + (whole / 2).mul_f64(fastrand::f64())
    }

    /// It went well: the next wait is a short one again.
    pub(crate) fn reset(&mut self) {
        self.next = self.least;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_waits_double_up_to_the_limit_and_begin_again_after_success() {
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
    fn a_limit_below_the_least_wait_is_the_least_wait() {
        let mut backoff = Backoff::new(Duration::from_secs(2), Duration::ZERO);
        for _ in 0..3 {
            assert!(backoff.wait() >= Duration::from_secs(1));
        }
    }
}
