//! The log of clients that the relay or the replay disconnects: they send something that is no frame, the
//! instrument cannot be reached, or the operating system has no room for them.

use std::io;
use std::net::SocketAddr;

use super::Port;
use flamingo_runtime_std::{Clock, Error, InputError, LogRate};

/// Writes the lines of one port.
#[derive(Debug)]
pub(super) struct Refusals {
    port: Port,
    clock: Clock,
    strangers: LogRate,
    unreachable: LogRate,
    not_served: LogRate,
}

impl Refusals {
    pub(super) fn new(port: Port) -> Self {
        let [strangers, unreachable, not_served] = [(); 3].map(|()| LogRate::default());
        Self { port, clock: Clock::start(), strangers, unreachable, not_served }
    }

    /// A client is disconnected for this reason.
    pub(super) fn note(&self, client: SocketAddr, error: &InputError) {
        if let Some(left_out) = self.strangers.line(self.clock.now()) {
            tracing::warn!(port = %self.port, %client, left_out, "closed: {error}");
        }
    }

    /// A client is disconnected since the instrument cannot be reached.
    pub(super) fn note_unreachable(&self, client: SocketAddr, error: &Error) {
        if let Some(left_out) = self.unreachable.line(self.clock.now()) {
            tracing::warn!(port = %self.port, %client, %error, left_out, "cannot reach the instrument; a client is disconnected");
        }
    }

    /// A client is disconnected since the operating system has no thread or no file descriptor for it.
    pub(super) fn note_not_served(&self, client: SocketAddr, error: &io::Error) {
        if let Some(left_out) = self.not_served.line(self.clock.now()) {
            tracing::warn!(port = %self.port, %client, %error, left_out, "a client is disconnected");
        }
    }
}
