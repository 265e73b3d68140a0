//! How to connect, and how long to wait. What is known about the peer is the core's `Config`.

use std::time::Duration;

use flamingo_protocol_core::Config;

use crate::status_rules::StatusRules;

/// How to connect, and how long to wait.
///
/// ```
/// use std::time::Duration;
/// use flamingo_runtime_std::{Options, Reconnect};
///
/// let options = Options::new("127.0.0.1:53717")
///     .timeout(Duration::from_secs(10))
///     .reconnect(Reconnect::default());
/// assert_eq!(options.settle, Duration::from_millis(50));
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// `HOST:PORT` of the control port.
    pub address: String,
    /// How long each address of the host may take to accept the connection: 2 s.
    pub connect_timeout: Duration,
    /// How long an answer may take, up to the last byte of its payload: 3 s. The time begins when the
    /// first byte of the command is written.
    ///
    /// Before that, a command may wait as long for its turn, and a [`Config::grace`] longer if the
    /// answer to an older command like it may still come. So a call ends after at most two timeouts
    /// and a grace. A stop may wait without end, but then its connection is replaced: see
    /// [`Config::stop_patience`].
    pub timeout: Duration,
    /// How long to listen after connecting before the first command is sent, so that stale
    /// bytes of an earlier conversation cannot be taken for its answer: 50 ms.
    ///
    /// Such bytes are held by a server that shares its queue between connections, or by a relay in front
    /// of it. They come when that program has accepted the connection, which is later than the system
    /// does it, and after their way through the network. 50 ms is longer than both together for a
    /// program that runs in the same building. Silence does not end the time early: the stream is as
    /// silent before stale bytes as without any. Zero is right for a peer that holds no such bytes, like
    /// the simulator and the bridge.
    ///
    /// It does not apply with [`Config::tokens`]: then no stale frame has the token of the first command,
    /// and all stale bytes have come when the answer with that token comes.
    pub settle: Duration,
    /// What is known about the peer.
    pub protocol: Config,
    /// What a status of 0 says, where the peer differs from the table of commands.
    pub status: StatusRules,
    /// Connect again when the connection is lost. `None`, the default: every call fails from then
    /// on.
    pub reconnect: Option<Reconnect>,
    /// How many events may wait for a subscriber before it loses its oldest: 4096, at least 1. (It
    /// loses them as well when their payloads together have more than 64 MiB.)
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
            status: StatusRules::default(),
            reconnect: None,
            event_capacity: 4096,
        }
    }

    /// Sets [`Self::connect_timeout`].
    #[must_use]
    pub fn connect_timeout(mut self, time: Duration) -> Self {
        self.connect_timeout = time;
        self
    }

    /// Sets [`Self::timeout`].
    #[must_use]
    pub fn timeout(mut self, time: Duration) -> Self {
        self.timeout = time;
        self
    }

    /// Sets [`Self::settle`].
    #[must_use]
    pub fn settle(mut self, time: Duration) -> Self {
        self.settle = time;
        self
    }

    /// Sets [`Self::protocol`].
    #[must_use]
    pub fn protocol(mut self, config: Config) -> Self {
        self.protocol = config;
        self
    }

    /// Sets [`Self::status`].
    #[must_use]
    pub fn status(mut self, rules: StatusRules) -> Self {
        self.status = rules;
        self
    }

    /// Sets [`Self::reconnect`]; `None` switches it off.
    #[must_use]
    pub fn reconnect(mut self, reconnect: impl Into<Option<Reconnect>>) -> Self {
        self.reconnect = reconnect.into();
        self
    }

    /// Sets [`Self::event_capacity`].
    #[must_use]
    pub fn event_capacity(mut self, events: usize) -> Self {
        self.event_capacity = events;
        self
    }
}

/// How to connect again. Subscriptions are kept; no command is ever sent again.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Reconnect {
    /// The wait before each attempt: 2.5 s.
    pub delay: Duration,
    /// A random part of the delay, from 0 to 1, is added to it: 0.5.
    pub jitter: f64,
}

impl Default for Reconnect {
    fn default() -> Self {
        Self { delay: Duration::from_millis(2500), jitter: 0.5 }
    }
}

impl Reconnect {
    /// Sets [`Self::delay`].
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Sets [`Self::jitter`].
    #[must_use]
    pub fn jitter(mut self, jitter: f64) -> Self {
        self.jitter = jitter;
        self
    }

    /// The wait before the next attempt.
    pub(crate) fn wait(&self) -> Duration {
        let longer = 1.0 + self.jitter.clamp(0.0, 1.0) * fastrand::f64();
        // A jitter that is not a number, or a wait that is too long for the clock, counts as none.
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
    fn an_unusable_jitter_or_delay_gives_the_delay() {
        for (delay, jitter) in [(Duration::from_secs(1), f64::NAN), (Duration::MAX, 1.0)] {
            assert_eq!(Reconnect { delay, jitter }.wait(), delay);
        }
    }
}
