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
    pub core: Config,
    /// Connect again when the connection is lost. Off: every call fails from then on.
    pub reconnect: Option<Reconnect>,
    /// How many events a subscriber may be behind before it loses its oldest: 4096.
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
            core: Config::default(),
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
        self.delay.mul_f64(1.0 + self.jitter.clamp(0.0, 1.0) * fastrand::f64())
    }
}
