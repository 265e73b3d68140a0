//! The socket to the instrument: connecting to it again and again, reading, writing, and losing it.

use std::sync::Arc;
use std::time::Duration;

use smol::Timer;

use super::ControlTask;
use crate::backoff::Backoff;
use flamingo_recording::Recorder;
use flamingo_runtime_std::socket;

/// How the instrument is reached.
#[derive(Debug, Clone)]
pub(crate) struct InstrumentLink {
    /// `HOST:PORT` of its control port.
    pub(crate) address: String,
    pub(crate) connect_timeout: Duration,
    /// The waits between two attempts to connect.
    pub(crate) backoff: Backoff,
    /// Records the traffic, if the settings want that.
    pub(crate) recorder: Option<Arc<Recorder>>,
}

impl ControlTask {
    pub(super) fn read_instrument(&mut self) {
        let Some(instrument) = self.instrument.as_mut().filter(|socket| socket.readable) else {
            return;
        };
        match instrument.read(&mut self.buffer) {
            None => {}
            Some(Ok(0)) => self.lose_instrument("the instrument closed the connection"),
            Some(Ok(count)) => {
                self.router.upstream_input(self.clock.now(), &self.buffer[..count]);
            }
            Some(Err(error)) => self.lose_instrument(&error.to_string()),
        }
    }

    pub(super) fn write_instrument(&mut self) {
        while let Some(instrument) = self.instrument.as_mut().filter(|socket| !socket.write_blocked)
        {
            let now = self.clock.now();
            let bytes = self.router.upstream_output(now);
            if bytes.is_empty() {
                return;
            }
            match instrument.write(bytes) {
                Ok(0) => return,
                Ok(count) => self.router.upstream_wrote(now, count),
                Err(error) => self.lose_instrument(&error.to_string()),
            }
        }
    }

    pub(super) fn lose_instrument(&mut self, reason: &str) {
        self.instrument = None;
        let address = &self.link.address;
        tracing::warn!(address, reason, "the connection to the instrument is lost");
        self.router.upstream_lost(self.clock.now());
        self.connect(true);
    }

    /// Connects in the background, again and again. `wait_first`: also waits before the first
    /// attempt.
    pub(super) fn connect(&mut self, wait_first: bool) {
        let InstrumentLink { address, connect_timeout, mut backoff, .. } = self.link.clone();
        self.connecting = Some(smol::spawn(async move {
            if wait_first {
                Timer::after(backoff.wait()).await;
            }
            loop {
                match socket::connect(&address, connect_timeout).await {
                    Ok(stream) => return stream,
                    Err(error) => tracing::warn!(%error, "the instrument cannot be reached"),
                }
                Timer::after(backoff.wait()).await;
            }
        }));
    }
}
