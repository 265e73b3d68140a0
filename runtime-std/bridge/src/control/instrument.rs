//! The socket to the instrument: connecting to it again and again, reading, writing, and losing it.

use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use async_channel::{Receiver, Sender};
use smol::{Async, Task, Timer, future};
use socket2::SockRef;

use super::ControlTask;
use super::inbox::wake;
use super::rounds::{INSTRUMENT_WRITES, WRITE_CHUNK};
use super::socket::ControlSocket;
use super::wait::Target;
use crate::backoff::Backoff;
use flamingo_protocol_core::time::Instant;
use flamingo_recording::Recorder;
use flamingo_runtime_std::socket;

/// The send buffer of the socket, of which the operating system may make twice as much. What it holds
/// goes out before a stop, and this many bytes are enough for a network of 1 Gbit/s.
const SEND_BUFFER: usize = 64 * 1024;
/// While a stop waits for the connection, the attempts to connect follow one another after this time,
/// until the stop would be too late.
const URGENT_WAIT: Duration = Duration::from_millis(50);
const URGENT_ATTEMPTS: u32 = 200;

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
    /// When the last connection began.
    pub(crate) last_connected: Option<Instant>,
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
    pub(super) fn write_instrument(&mut self, now: Instant) {
        for _ in 0..INSTRUMENT_WRITES {
            let Some(instrument) = self.instrument.as_mut().filter(|socket| !socket.write_blocked)
            else {
                return;
            };
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

    /// Ends the connection at once, and connects again. The instrument, which may serve one client only,
    /// learns that before it has read what is on its way; what the socket holds is not sent.
    pub(super) fn give_up_instrument(&mut self, reason: &str) {
        if let Some(instrument) = &self.instrument {
            instrument.reset_on_close();
        }
        self.lose_instrument(reason);
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
        let InstrumentLink { address, connect_timeout, mut backoff, last_connected, .. } =
            self.link.clone();
        // An instrument that accepts and closes at once must not make this a busy loop.
        let since = last_connected.map(|at| Duration::from(self.clock.now().since(at)));
        let pause = URGENT_WAIT.saturating_sub(since.unwrap_or(URGENT_WAIT));
        let (connected, connection) = async_channel::bounded(1);
        let waker = Arc::clone(&self.waker);
        let (hurry, hurried) = async_channel::bounded::<()>(1);
        let task = smol::spawn(async move {
            Timer::after(pause).await;
            let mut urgent_attempts = 0;
            if wait_first && wait_or_hurry(backoff.wait(), &hurried).await {
                urgent_attempts = URGENT_ATTEMPTS;
            }
            loop {
                match socket::connect(&address, connect_timeout).await {
                    Ok(stream) => {
                        // An error means that the bridge ends.
                        let _ = connected.try_send(stream);
                        return wake(&waker);
                    }
                    // Only the first and the last of the attempts in a row.
                    Err(error) if matches!(urgent_attempts, 0 | 1 | URGENT_ATTEMPTS) => {
                        tracing::warn!(%error, "the instrument cannot be reached");
                    }
                    Err(_) => {}
                }
                let wait = if urgent_attempts > 0 { URGENT_WAIT } else { backoff.wait() };
                urgent_attempts = urgent_attempts.saturating_sub(1);
                if wait_or_hurry(wait, &hurried).await {
                    urgent_attempts = URGENT_ATTEMPTS;
                }
            }
        });
        self.connecting = Some(Connecting { task, connection, hurry });
    }

    /// Does not wait before the next attempt to connect, and not long between those that follow. An
    /// attempt that is under way goes on.
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
                self.link.last_connected = Some(self.clock.now());
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
        SockRef::from(&stream).set_send_buffer_size(SEND_BUFFER)?;
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

/// Waits for this time, or until there is a hurry. Returns whether there is a hurry.
async fn wait_or_hurry(time: Duration, hurried: &Receiver<()>) -> bool {
    let wait = async {
        Timer::after(time).await;
        false
    };
    let hurry = async {
        if hurried.recv().await.is_err() {
            // The attempts end with the sender.
            future::pending::<()>().await;
        }
        true
    };
    future::or(wait, hurry).await
}
