//! What a user may say about a connection. What each part of it means to the protocol is the
//! core's `Config`.

use std::time::Duration;

use flamingo_protocol_core::Config;

/// How to connect, and how patient to be.
///
/// ```
/// use flamingo_runtime_std::Options;
/// let mut options = Options::new("127.0.0.1:53717");
/// options.timeout = std::time::Duration::from_secs(10);
/// ```
#[derive(Debug, Clone)]
pub struct Options {
    /// `HOST:PORT` of the control port.
    pub address: String,
    /// How long an address may take to accept: 2 s.
    pub connect_timeout: Duration,
    /// How long an answer may take, up to the last byte of its payload: 3 s.
    pub timeout: Duration,
    /// How long to listen after connecting before the first command is sent, so that stale
    /// bytes of an earlier conversation cannot be taken for its answer: 50 ms.
    pub settle: Duration,
    /// What is known about the peer.
    pub protocol: Config,
    /// Connect again when the connection is lost. Off: every call fails from then on.
    pub reconnect: Option<Reconnect>,
    /// How many events a subscriber may be behind before it loses its oldest: 4096. (It loses
    /// them as well when their payloads together have more than 64 MiB.)
    pub event_capacity: usize,
}

impl Options {
    /// The defaults, for the control port at `address` (`HOST:PORT`).
    pub fn new(address: impl Into<String>) -> Self {
        Self {
            address: address.into(),
            connect_timeout: Duration::from_secs(2),
            timeout: Duration::from_secs(3),
            settle: Duration::from_millis(50),
            protocol: Config::default(),
            reconnect: None,
            event_capacity: 4096,
        }
    }
}

/// How to connect again. Subscriptions are kept; no command is ever sent again.
#[derive(Debug, Clone, Copy)]
pub struct Reconnect {
    /// The wait before each attempt: 2.5 s.
    pub delay: Duration,
    /// A random part of that, from 0 to 1, comes on top of it: 0.5.
    pub jitter: f64,
}

impl Default for Reconnect {
    fn default() -> Self {
        Self { delay: Duration::from_millis(2500), jitter: 0.5 }
    }
}

impl Reconnect {
    /// The wait before the next attempt.
    pub(crate) fn wait(&self) -> Duration {
        let longer = 1.0 + self.jitter.clamp(0.0, 1.0) * fastrand::f64();
        // What is no number, or too long for the clock, is no jitter.
        Duration::try_from_secs_f64(self.delay.as_secs_f64() * longer).unwrap_or(self.delay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_is_the_delay_and_at_most_the_jitter_on_top() {
        let reconnect = Reconnect { delay: Duration::from_secs(2), jitter: 0.5 };
        for _ in 0..1000 {
            let wait = reconnect.wait();
            assert!((Duration::from_secs(2)..=Duration::from_secs(3)).contains(&wait), "{wait:?}");
        }
    }

    #[test]
    fn a_jitter_or_a_delay_that_cannot_be_reckoned_with_gives_the_delay() {
        for (delay, jitter) in [(Duration::from_secs(1), f64::NAN), (Duration::MAX, 1.0)] {
            assert_eq!(Reconnect { delay, jitter }.wait(), delay);
        }
    }
}
