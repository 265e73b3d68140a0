//! A relay in front of the instrument. It listens on three ports, and opens a connection to the
//! instrument for each client. Bytes pass unchanged, and are recorded.
//!
//! The relay adds nothing: if one end stops reading, the other end notices, as it would without the
//! relay. It decides one thing: whether a client is a client. Until its first frame is whole, the bytes
//! of a client are held back, and a web page is disconnected. An instrument serves few connections, so a
//! client of the control port gets one only then. A viewer sends nothing and gets one at once. Several
//! clients on one connection are the task of the bridge.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use smol::Async;

use super::buffer_pool::BufferPool;
use super::refusals::Refusals;
use super::relay_connection::serve;
use super::{Port, Recorder, RecorderStatus, Side, Tap, connection_limit};
use flamingo_runtime_std::Error;
use flamingo_runtime_std::socket;
use flamingo_runtime_std::socket::acceptor::AcceptorThread;
use flamingo_runtime_std::socket::client_input::ClientEnd;
use flamingo_runtime_std::socket::instrument_ports::{InstrumentPorts, ListenError, image_port};

/// The most bytes that one read takes.
pub(super) const CHUNK: usize = 256 * 1024;

/// Where to listen, and where the instrument is.
///
/// ```
/// use std::time::Duration;
/// use flamingo_recording::relay::RelayOptions;
/// let listen = ([127, 0, 0, 1], 53_727).into();
/// let options = RelayOptions::new(listen, "10.0.0.5:53717").connect_timeout(Duration::from_secs(5));
/// # assert_eq!(options.instrument, "10.0.0.5:53717");
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RelayOptions {
    /// The address of the control port. The image ports are the next two. Port 0: three free ports.
    pub listen: SocketAddr,
    /// `HOST:PORT` of the instrument's control port.
    pub instrument: String,
    /// How long the instrument may take to accept a connection: 2 s by default.
    pub connect_timeout: Duration,
}

impl RelayOptions {
    /// Listens on `listen`, in front of the instrument at `instrument` (`HOST:PORT`).
    pub fn new(listen: SocketAddr, instrument: impl Into<String>) -> Self {
        let connect_timeout = Duration::from_secs(2);
        Self { listen, instrument: instrument.into(), connect_timeout }
    }

    /// Sets how long the instrument may take to accept a connection.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }
}

/// Why a relay does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RelayError {
    /// The relay cannot listen on a port.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The address of the instrument has no room for two image ports above it.
    #[error(
        "the instrument's address: expected HOST:PORT with two ports above it, found {found:?}"
    )]
    Instrument {
        /// The address.
        found: String,
    },
    /// The recording cannot begin.
    #[error("cannot write the recording: {0}")]
    Record(io::Error),
    /// A thread cannot be started.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
}

/// A running relay. Dropping it closes all connections.
pub struct Relay {
    addresses: [SocketAddr; 3],
    recorder: Arc<Recorder>,
    acceptors: Vec<AcceptorThread>,
}

impl std::fmt::Debug for Relay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Relay").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

impl Relay {
    /// Listens on all three ports, then begins the recording, then relays. Each port has a thread that
    /// accepts, and each connection has two threads that relay.
    ///
    /// # Errors
    /// [`RelayError`].
    pub fn start(
        options: &RelayOptions,
        begin: impl FnOnce() -> io::Result<Recorder>,
    ) -> Result<Self, RelayError> {
        let instruments = Port::ALL.map(|port| image_port(&options.instrument, port.steps()));
        let [Some(control), Some(live), Some(stack)] = instruments else {
            return Err(RelayError::Instrument { found: options.instrument.clone() });
        };
        let (listeners, addresses) = InstrumentPorts::consecutive(options.listen).listen()?;
        let recorder = Arc::new(begin().map_err(RelayError::Record)?);
        let mut acceptors = Vec::new();
        for ((listener, instrument), port) in
            listeners.into_iter().zip([control, live, stack]).zip(Port::ALL)
        {
            let recorder = Arc::clone(&recorder);
            let route = Arc::new(Route::new(port, instrument, options.connect_timeout, recorder));
            let serve = move |stream, address| serve(Arc::clone(&route), stream, address);
            let acceptor =
                AcceptorThread::start(port.name(), listener, connection_limit(port), serve);
            acceptors.push(acceptor.map_err(RelayError::Thread)?);
        }
        Ok(Self { addresses, recorder, acceptors })
    }

    /// The addresses for clients: the control, the live and the stack port.
    pub fn addresses(&self) -> [SocketAddr; 3] {
        self.addresses
    }

    /// The state of the recording.
    pub fn status(&self) -> RecorderStatus {
        self.recorder.status()
    }

    /// How many bytes wait for the disk, with 128 bytes more for each entry.
    pub fn waiting(&self) -> usize {
        self.recorder.waiting()
    }

    /// Waits until nothing is recorded any more. The relay goes on. Cancel-safe.
    pub async fn until_stopped(&self) {
        self.recorder.until_stopped().await;
    }

    /// Closes all connections and completes the recording. Returns its final state.
    pub fn finish(self) -> RecorderStatus {
        self.acceptors.into_iter().for_each(AcceptorThread::close);
        self.recorder.finish()
    }
}

/// Connects one port of the relay with the same port of the instrument.
pub(super) struct Route {
    pub(super) port: Port,
    pub(super) instrument: String,
    timeout: Duration,
    pub(super) recorder: Arc<Recorder>,
    /// Shared by all connections of the port, so that its memory is limited.
    pub(super) buffers: BufferPool,
    pub(super) refusals: Refusals,
}

impl Route {
    pub(super) fn new(
        port: Port,
        instrument: String,
        timeout: Duration,
        recorder: Arc<Recorder>,
    ) -> Self {
        let (buffers, refusals) = (BufferPool::new(CHUNK), Refusals::new(port));
        Self { port, instrument, timeout, recorder, buffers, refusals }
    }

    pub(super) async fn connect(&self) -> Result<Async<TcpStream>, Error> {
        match self.port {
            Port::Control => socket::connect(&self.instrument, self.timeout).await,
            Port::Live | Port::Stack => {
                socket::connect_for_images(&self.instrument, self.timeout).await
            }
        }
    }

    /// A client sends nothing that passes on. Records why.
    pub(super) fn end_without_frame(
        &self,
        client: SocketAddr,
        sent: Tap,
        end: ClientEnd,
    ) -> io::Result<()> {
        match end {
            ClientEnd::Closed => {
                sent.finish();
                Ok(())
            }
            ClientEnd::Refused(error) => {
                self.refusals.note(client, &error);
                sent.refuse(&error.to_string());
                Err(io::Error::other(error))
            }
            end => {
                sent.cut(Side::Client);
                Err(io::Error::other(end))
            }
        }
    }
}

/// The address as far as it is known without a lookup: of a host name, only the port.
pub(super) fn known_address(instrument: &str) -> SocketAddr {
    let port = instrument.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    let nowhere = SocketAddr::from(([0; 4], port.unwrap_or_default()));
    instrument.parse().unwrap_or(nowhere)
}
