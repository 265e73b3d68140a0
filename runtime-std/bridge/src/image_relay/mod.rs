//! The relay of images: one connection to an image port of the instrument serves all viewers, and
//! exists only while there are viewers. Viewers receive whole images, which are not copied per viewer.
//!
//! The core's `ImageReader` knows the format of an image; `broadcast.rs` queues images per viewer.

use std::convert::Infallible;
use std::future::Future;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use flamingo_protocol_core::image::{HEADER_LEN, ImageError, ImagePiece, ImageReader};
use smol::io::AsyncReadExt;
use smol::{Async, Executor, Timer, future};
use thiserror::Error;

use crate::backoff::Backoff;
use crate::broadcast::{Broadcast, BroadcastCounters, QueueBounds, SharedBytes};
use crate::status::ImagePortStatus;
use flamingo_recording::{Port, Recorder, Tap};
use flamingo_runtime_std::Error;
use flamingo_runtime_std::socket;
use flamingo_runtime_std::socket::acceptor::{Acceptor, Allow};

/// The queue of one viewer.
pub(crate) const QUEUE_BOUNDS: QueueBounds = QueueBounds { messages: 64, bytes: 256 * 1024 * 1024 };

/// So many bytes of an image, or its rest, must come within the time limit.
const LEAST_PROGRESS: usize = 1 << 20;

/// The listening socket of an image port, and who may view it.
pub(crate) type ImagePort = (Async<TcpListener>, Allow);

/// The instrument's image port.
#[derive(Debug, Clone)]
pub(crate) struct ImageSource {
    /// `HOST:PORT`.
    pub(crate) address: String,
    pub(crate) connect_timeout: Duration,
    /// The time limit for the rest of a header that has begun, and for each [`LEAST_PROGRESS`] bytes of
    /// an image. The next image may take any time.
    pub(crate) stall_timeout: Duration,
    /// The waits between two attempts to connect.
    pub(crate) backoff: Backoff,
    /// Records the images, if the settings want that.
    pub(crate) recorder: Option<Arc<Recorder>>,
}

/// Why a connection to the instrument's image port ended.
#[derive(Debug, Error)]
enum RelayError {
    #[error("{0}")]
    Connect(#[from] Error),
    #[error("the connection ended: {0}")]
    Socket(#[from] std::io::Error),
    #[error("the data is not an image: {0}")]
    Header(#[from] ImageError),
    #[error("an image began and did not go on within {0:?}")]
    Stalled(Duration),
}

/// An image port and its viewers.
pub(crate) struct ImageRelay {
    port: Port,
    source: ImageSource,
    broadcast: Arc<Broadcast>,
    bytes: AtomicU64,
    connected: AtomicBool,
}

impl ImageRelay {
    pub(crate) fn new(port: Port, source: ImageSource, bounds: QueueBounds) -> Arc<Self> {
        let broadcast = Broadcast::new(bounds);
        let (bytes, connected) = (AtomicU64::new(0), AtomicBool::new(false));
        Arc::new(Self { port, source, broadcast, bytes, connected })
    }

    pub(crate) fn status(&self) -> ImagePortStatus {
        let BroadcastCounters { receivers, published, lost } = self.broadcast.counters();
        ImagePortStatus {
            viewers: receivers,
            images: published,
            bytes: self.bytes.load(Ordering::Relaxed),
            lost,
            upstream: self.connected.load(Ordering::Relaxed),
        }
    }

    /// Accepts up to `limit` viewers at each port and relays images to them until the future is
    /// dropped, which disconnects them all.
    pub(crate) async fn run(self: &Arc<Self>, ports: Vec<ImagePort>, limit: usize) {
        let executor = Executor::new();
        for (listener, allow) in ports {
            let relay = Arc::clone(self);
            let acceptor = Acceptor::new(self.port.name(), listener, allow, limit);
            let accept = async move {
                acceptor
                    .run(|stream, address| Arc::clone(&relay).serve_viewer(stream, address))
                    .await;
            };
            executor.spawn(accept).detach();
        }
        executor.run(self.relay()).await;
    }

    async fn serve_viewer(self: Arc<Self>, stream: Async<TcpStream>, address: SocketAddr) {
        let (port, viewer) = (self.port.name(), self.broadcast.subscribe());
        viewer.log_start(port, address);
        let end = viewer.serve(&stream).await;
        viewer.log_end(port, address, &end);
    }

    /// Connects to the instrument when the first viewer comes and disconnects after the last one.
    async fn relay(&self) {
        loop {
            self.broadcast.until_receivers(true).await;
            let no_viewers = async {
                self.broadcast.until_receivers(false).await;
                tracing::info!(port = %self.port, "the last viewer disconnected");
            };
            future::or(no_viewers, self.stay_connected()).await;
        }
    }

    /// Connects again after each loss, for as long as it is polled.
    async fn stay_connected(&self) {
        let mut backoff = self.source.backoff;
        loop {
            let Err(error) = self.relay_connection(&mut backoff).await;
            let wait = backoff.wait();
            let ImageSource { address, .. } = &self.source;
            tracing::warn!(port = %self.port, address, %error, ?wait, "no images from the instrument");
            Timer::after(wait).await;
        }
    }

    /// Relays the images of one connection until it ends.
    async fn relay_connection(&self, backoff: &mut Backoff) -> Result<Infallible, RelayError> {
        let ImageSource { address, connect_timeout, stall_timeout, .. } = &self.source;
        let stream = socket::connect(address, *connect_timeout).await?;
        tracing::info!(port = %self.port, address, "connected to the instrument");
        let _connected = ConnectedFlag::set(&self.connected);
        let mut taps = self.taps(&stream);
        let mut reader = ImageReader::default();
        loop {
            let image = read_image(&stream, &mut reader, *stall_timeout).await?;
            // Not earlier: a peer that accepts and closes at once must not cause constant attempts.
            backoff.reset();
            self.bytes.fetch_add(image.len() as u64, Ordering::Relaxed);
            self.broadcast.publish(&image);
            if let Some([_, received]) = &mut taps {
                received.bytes(image);
            }
            // An instrument that always has data must not starve the viewers.
            future::yield_now().await;
        }
    }

    /// Taps for both directions. The relay sends nothing, but the end of its direction is recorded.
    fn taps(&self, stream: &Async<TcpStream>) -> Option<[Tap; 2]> {
        let recorder = self.source.recorder.as_ref()?;
        let socket = stream.get_ref();
        Some(recorder.open(self.port, socket.local_addr().ok()?, socket.peer_addr().ok()?))
    }
}

/// Keeps the flag set for as long as it exists.
struct ConnectedFlag<'a>(&'a AtomicBool);

impl<'a> ConnectedFlag<'a> {
    fn set(flag: &'a AtomicBool) -> Self {
        flag.store(true, Ordering::Relaxed);
        Self(flag)
    }
}

impl Drop for ConnectedFlag<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// Reads one image, header and pixels, into the memory that all viewers will share.
async fn read_image(
    mut stream: &Async<TcpStream>,
    reader: &mut ImageReader,
    stall_timeout: Duration,
) -> Result<SharedBytes, RelayError> {
    let mut header = [0; HEADER_LEN];
    let (first, rest) = header.split_at_mut(1);
    stream.read_exact(first).await?;
    within(stall_timeout, async { Ok(stream.read_exact(rest).await?) }).await?;
    let size = match reader.push(&header).1? {
        Some(ImagePiece::Header(header)) => header.size as usize,
        // Images are read whole, so that the reader was at a header and got all of it.
        _ => return Err(std::io::Error::from(std::io::ErrorKind::InvalidData).into()),
    };
    let mut image = vec![0; HEADER_LEN + size];
    image[..HEADER_LEN].copy_from_slice(&header);
    for part in image[HEADER_LEN..].chunks_mut(LEAST_PROGRESS) {
        within(stall_timeout, read_pixels(stream, reader, part)).await?;
    }
    Ok(image.into())
}

/// Fills `part` with the next pixels.
async fn read_pixels(
    mut stream: &Async<TcpStream>,
    reader: &mut ImageReader,
    part: &mut [u8],
) -> Result<(), RelayError> {
    let mut from = 0;
    while from < part.len() {
        let count = stream.read(&mut part[from..]).await?;
        if count == 0 {
            return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
        }
        reader.push(&part[from..from + count]).1?;
        from += count;
        future::yield_now().await;
    }
    Ok(())
}

async fn within<T>(
    timeout: Duration,
    work: impl Future<Output = Result<T, RelayError>>,
) -> Result<T, RelayError> {
    let too_late = async {
        Timer::after(timeout).await;
        Err(RelayError::Stalled(timeout))
    };
    future::or(work, too_late).await
}

#[cfg(test)]
mod tests;
