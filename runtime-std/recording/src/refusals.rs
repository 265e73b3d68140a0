//! The log of clients that are disconnected because they send something that is no frame, for the relay
//! and the replay.

use std::net::SocketAddr;

use super::Port;
use flamingo_runtime_std::{Clock, InputError, LogRate};

/// Log lines per second of a port.
const LINES_PER_S: u32 = 5;

/// Writes the lines of one port.
#[derive(Debug)]
pub(super) struct Refusals {
    port: Port,
    clock: Clock,
    log: LogRate,
}

impl Refusals {
    pub(super) fn new(port: Port) -> Self {
        Self { port, clock: Clock::start(), log: LogRate::new(LINES_PER_S) }
    }

    /// A client is disconnected for this reason.
    pub(super) fn note(&self, client: SocketAddr, error: &InputError) {
        if let Some(left_out) = self.log.line(self.clock.now()) {
            tracing::warn!(port = %self.port, %client, left_out, "closed: {error}");
        }
    }
}
