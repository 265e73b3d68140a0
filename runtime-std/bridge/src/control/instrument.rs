//! The socket to the instrument: connecting to it again and again, reading, writing, and losing it.

use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use async_channel::{Receiver, Sender};
use smol::{Async, Task, Timer, future};

use super::ControlTask;
use super::inbox::wake;
use super::rounds::{INSTRUMENT_WRITES, WRITE_CHUNK};
use super::socket::ControlSocket;
use super::wait::Target;
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

/// The attempts to connect.
pub(super) struct Connecting {
    /// Dropping it ends the attempts.
    #[allow(dead_code)] // only held
    task: Task<()>,
    /// Receives the connection, before the thread is woken.
    connection: Receiver<Async<TcpStream>>,
    /// Ends the wait before the next attempt.
    hurry: Sender<()>,
}

impl ControlTask {
    /// Reads once from the instrument, also if the system has not reported yet that there is something.
    /// Returns whether bytes came.
    pub(super) fn read_instrument(&mut self) -> bool {
        let Some(instrument) = self.instrument.as_mut() else { return false };
        match instrument.read(&mut self.buffer) {
            None => {}
            Some(Ok(0)) => self.lose_instrument("the instrument closed the connection"),
            Some(Ok(count)) => {
                self.router.upstream_input(self.clock.now(), &self.buffer[..count]);
                return true;
            }
            Some(Err(error)) => self.lose_instrument(&error.to_string()),
        }
        false
    }

    /// Writes to the instrument, up to [`INSTRUMENT_WRITES`] times.
    pub(super) fn write_instrument(&mut self) {
        for _ in 0..INSTRUMENT_WRITES {
            let Some(instrument) = self.instrument.as_mut().filter(|socket| !socket.write_blocked)
            else {
                return;
            };
            let now = self.clock.now();
            let bytes = self.router.upstream_output(now);
            if bytes.is_empty() {
                return;
            }
            match instrument.write(&bytes[..bytes.len().min(WRITE_CHUNK)]) {
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
        let (connected, connection) = async_channel::bounded(1);
        let waker = Arc::clone(&self.waker);
        let (hurry, hurried) = async_channel::bounded::<()>(1);
        let task = smol::spawn(async move {
            if wait_first {
                wait_or_hurry(backoff.wait(), &hurried).await;
            }
            loop {
                match socket::connect(&address, connect_timeout).await {
                    Ok(stream) => {
                        // An error means that the bridge ends.
                        let _ = connected.try_send(stream);
                        return wake(&waker);
                    }
                    Err(error) => tracing::warn!(%error, "the instrument cannot be reached"),
                }
                wait_or_hurry(backoff.wait(), &hurried).await;
            }
        });
        self.connecting = Some(Connecting { task, connection, hurry });
    }

    /// Does not wait before the next attempt to connect. An attempt that is under way goes on.
    pub(super) fn connect_now(&self) {
        if let Some(connecting) = &self.connecting {
            // An error means that it is in a hurry already.
            let _ = connecting.hurry.try_send(());
        }
    }

    /// Uses the connection, if it has been made.
    pub(super) fn take_connection(&mut self) {
        let Some(connecting) = &self.connecting else {
            return;
        };
        let Ok(stream) = connecting.connection.try_recv() else {
            return;
        };
        self.connecting = None;
        match self.instrument_socket(stream) {
            Ok(socket) => {
                self.instrument = Some(socket);
                self.router.upstream_opened(self.clock.now());
            }
            Err(error) => {
                tracing::warn!(%error, "the instrument cannot be reached");
                self.connect(true);
            }
        }
    }

    fn instrument_socket(&self, stream: Async<TcpStream>) -> std::io::Result<ControlSocket> {
        let stream = stream.into_inner()?;
        let address = stream.peer_addr()?;
        let stream = mio::net::TcpStream::from_std(stream);
        let mut socket = ControlSocket::new(stream, address, None);
        socket.register(&self.poller, Target::Instrument)?;
        if let Some(recorder) = &self.link.recorder {
            socket.record(recorder);
        }
        Ok(socket)
    }
}

/// Waits for this time, or until there is a hurry.
async fn wait_or_hurry(time: Duration, hurried: &Receiver<()>) {
    let wait = async {
        Timer::after(time).await;
    };
    let hurry = async {
        if hurried.recv().await.is_err() {
            // The attempts end with the sender.
            future::pending::<()>().await;
        }
    };
    future::or(wait, hurry).await;
}
