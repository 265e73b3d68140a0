//! A relay in front of the instrument: each of its three ports has one here, and every connection
//! to it becomes one to the instrument. Bytes go through unchanged, and are recorded.
//!
//! It adds nothing and decides nothing: whoever stops reading is felt at the other end, as without
//! it. Many clients on one connection are the bridge's.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::{Async, future};

use super::buffer_pool::BufferPool;
use super::{Port, Recorder, Side, Status, Tap};
use flamingo_runtime_std::socket;
use flamingo_runtime_std::socket::acceptor::AcceptorThread;
use flamingo_runtime_std::socket::instrument_ports::image_port;
use flamingo_runtime_std::socket::instrument_ports::{InstrumentPorts, ListenError};

/// Bytes read in one go.
const CHUNK: usize = 256 * 1024;
/// So many are copied to be recorded; a read of more goes on in the buffer that it came in.
const COPIED: usize = CHUNK / 8;

/// Where to listen, and where the instrument is.
#[derive(Debug, Clone)]
pub struct RelayOptions {
    /// Address of the control port; those of the images are the next two. Port 0: free ones.
    pub listen: SocketAddr,
    /// `HOST:PORT` of the instrument's control port.
    pub instrument: String,
    /// How long it may take to accept.
    pub connect_timeout: Duration,
}

/// Why a relay does not start.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// A port that cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// There is no room for the instrument's image ports.
    #[error(
        "the instrument's address: expected HOST:PORT with two ports above it, found {found:?}"
    )]
    Instrument {
        /// What it is.
        found: String,
    },
    /// The recording cannot be begun.
    #[error("cannot write the recording: {0}")]
    Record(io::Error),
    /// There is no thread to be had.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
}

/// A relay that runs. Dropping it cuts all connections.
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
    /// Listens on all three ports, begins the recording when that has succeeded, and relays from a thread of its own for each: an image takes
    /// longer to write than a command may wait.
    ///
    /// # Errors
    /// [`RelayError`]: an address that cannot be listened on.
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
            let timeout = options.connect_timeout;
            let way = Arc::new(Way { port, instrument, timeout, recorder: Arc::clone(&recorder) });
            let serve = move |stream, address| serve(Arc::clone(&way), stream, address);
            let acceptor = AcceptorThread::start(port.name(), listener, serve);
            acceptors.push(acceptor.map_err(RelayError::Thread)?);
        }
        Ok(Self { addresses, recorder, acceptors })
    }

    /// Where clients connect: to the control, the live and the stack port.
    pub fn addresses(&self) -> [SocketAddr; 3] {
        self.addresses
    }

    /// How it stands with the recording.
    pub fn status(&self) -> Status {
        self.recorder.status()
    }

    /// Bytes that wait for the disk.
    pub fn waiting(&self) -> usize {
        self.recorder.waiting()
    }

    /// Ends when nothing is recorded any more. The relay goes on.
    pub async fn until_stopped(&self) {
        self.recorder.until_stopped().await;
    }

    /// Cuts all connections and completes the recording.
    pub fn finish(self) -> Status {
        self.acceptors.into_iter().for_each(AcceptorThread::close);
        self.recorder.finish()
    }
}

/// From one of the relay's ports to one of the instrument's.
struct Way {
    port: Port,
    instrument: String,
    timeout: Duration,
    recorder: Arc<Recorder>,
}

async fn serve(way: Arc<Way>, client: Async<TcpStream>, address: SocketAddr) {
    let Way { port, instrument, timeout, recorder } = &*way;
    let upstream = match port {
        Port::Control => socket::connect(instrument, *timeout).await,
        Port::Live | Port::Stack => socket::connect_for_images(instrument, *timeout).await,
    };
    let upstream = match upstream {
        Ok(upstream) => upstream,
        Err(error) => {
            tracing::warn!(%port, client = %address, %error, "a client is closed: there is no way");
            let [_sent, came] = recorder.open(*port, address, behind(instrument));
            came.cut(Side::Instrument);
            return;
        }
    };
    // One that has gone at once has no address any more, and is worth recording all the same.
    let behind = upstream.get_ref().peer_addr().unwrap_or_else(|_| behind(instrument));
    tracing::info!(%port, client = %address, "a client connected");
    let [sent, came] = recorder.open(*port, address, behind);
    let both = future::try_zip(
        pump(&client, &upstream, sent, Side::Client),
        pump(&upstream, &client, came, Side::Instrument),
    );
    let why =
        both.await.err().map_or_else(|| "it was closed".to_owned(), |error| error.to_string());
    tracing::info!(%port, client = %address, %why, "a connection is over");
}

/// Until that end has sent everything; then the other is told.
async fn pump(
    mut from: &Async<TcpStream>,
    mut to: &Async<TcpStream>,
    mut tap: Tap,
    side: Side,
) -> io::Result<()> {
    let buffers = BufferPool::new(CHUNK);
    let mut buffer = buffers.take();
    loop {
        let count = match from.read(buffer.space()).await {
            Ok(count) => count,
            Err(error) => {
                tap.cut(side);
                return Err(error);
            }
        };
        if count == 0 {
            // An error: that end is gone, and the other way will tell.
            let _ = to.get_ref().shutdown(Shutdown::Write);
            tap.finish();
            return Ok(());
        }
        // Before it goes on: an answer must not be recorded before its command.
        let written = if count < COPIED {
            let bytes = &buffer.space()[..count];
            tap.copy(bytes);
            to.write_all(bytes).await
        } else {
            let bytes = std::mem::replace(&mut buffer, buffers.take()).filled(count);
            tap.bytes(bytes.clone());
            to.write_all(&bytes).await
        };
        if let Err(error) = written {
            tap.cut(side.other());
            return Err(error);
        }
        // A peer that is never slow must not keep the others from theirs.
        future::yield_now().await;
    }
}

/// What is known of an address without asking: of a name, the port.
fn behind(instrument: &str) -> SocketAddr {
    let port = instrument.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    let nowhere = SocketAddr::from(([0; 4], port.unwrap_or_default()));
    instrument.parse().unwrap_or(nowhere)
}
