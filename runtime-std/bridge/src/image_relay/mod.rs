//! The relay of an image port: one connection to the instrument for all viewers, there only while
//! somebody looks. Images are handed on whole, and never copied per viewer.
//!
//! What an image is, the core's `ImageReader` knows; what waits for whom is `broadcast.rs`.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use flamingo_protocol_core::{HEADER_LEN, ImageError, ImagePiece, ImageReader};
use smol::io::AsyncReadExt;
use smol::{Async, Timer, future};
use thiserror::Error;

use crate::backoff::Backoff;
use crate::broadcast::{Bounds, Broadcast, Message};
use crate::status::counters::RelayStatus;
use flamingo_recording::{Port, Recorder, Tap};
use flamingo_runtime_std::Error;
use flamingo_runtime_std::socket;
use flamingo_runtime_std::socket::acceptor::{Acceptor, Allow};

/// What may wait for one viewer: as many images as the instrument keeps, within reason.
pub(crate) const BOUNDS: Bounds = Bounds { messages: 64, bytes: 256 * 1024 * 1024 };

/// Where the images come from.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// `HOST:PORT` of the instrument's image port.
    pub(crate) address: String,
    pub(crate) connect_timeout: Duration,
    /// Between two attempts to connect.
    pub(crate) backoff: Backoff,
    /// Where they are recorded, if they are.
    pub(crate) recorder: Option<Arc<Recorder>>,
}

/// Why a connection to the instrument's image port ended.
#[derive(Debug, Error)]
enum Lost {
    #[error("{0}")]
    Connect(#[from] Error),
    #[error("the connection ended: {0}")]
    Socket(#[from] std::io::Error),
    #[error("what it sends are no images: {0}")]
    Header(#[from] ImageError),
}

/// An image port and its viewers.
pub(crate) struct Images {
    port: Port,
    source: Source,
    broadcast: Arc<Broadcast>,
    bytes: AtomicU64,
    connected: AtomicBool,
}

impl Images {
    pub(crate) fn new(port: Port, source: Source, bounds: Bounds) -> Arc<Self> {
        let broadcast = Broadcast::new(bounds);
        let (bytes, connected) = (AtomicU64::new(0), AtomicBool::new(false));
        Arc::new(Self { port, source, broadcast, bytes, connected })
    }

    pub(crate) fn status(&self) -> RelayStatus {
        let tally = self.broadcast.tally();
        RelayStatus {
            viewers: tally.listeners,
            images: tally.published,
            bytes: self.bytes.load(Ordering::Relaxed),
            lost: tally.lost,
            upstream: self.connected.load(Ordering::Relaxed),
        }
    }

    /// Lets viewers in, up to `limit`, and relays to them, for ever. Dropping this future cuts
    /// them all off.
    pub(crate) async fn run(
        self: &Arc<Self>,
        listener: Async<TcpListener>,
        allow: Allow,
        limit: usize,
    ) {
        let acceptor = Acceptor { listener, allow, limit, name: self.port.name() };
        let viewers = acceptor.run(|stream, address| Arc::clone(self).show(stream, address));
        future::or(viewers, self.relay()).await;
    }

    async fn show(self: Arc<Self>, stream: Async<TcpStream>, address: SocketAddr) {
        let (port, viewer) = (self.port.name(), self.broadcast.join());
        tracing::info!(port, %address, "viewer came");
        let why = viewer.serve(&stream).await;
        tracing::info!(port, %address, %why, lost = viewer.lost(), "viewer left");
    }

    /// Connects when the first viewer comes, leaves after the last.
    async fn relay(&self) {
        loop {
            self.broadcast.until_anybody(true).await;
            let nobody = async {
                self.broadcast.until_anybody(false).await;
                tracing::info!(port = %self.port, "nobody looks any more");
            };
            future::or(nobody, self.keep_connected()).await;
        }
    }

    /// Tries again for as long as it is polled.
    async fn keep_connected(&self) {
        let mut backoff = self.source.backoff;
        loop {
            let Err(why) = self.converse(&mut backoff).await;
            let wait = backoff.wait();
            let Source { address, .. } = &self.source;
            tracing::warn!(port = %self.port, address, %why, ?wait, "no images from the instrument");
            Timer::after(wait).await;
        }
    }

    /// One connection, from its beginning to its end.
    async fn converse(&self, backoff: &mut Backoff) -> Result<std::convert::Infallible, Lost> {
        let Source { address, connect_timeout, .. } = &self.source;
        let stream = socket::connect(address, *connect_timeout).await?;
        tracing::info!(port = %self.port, address, "connected to the instrument");
        let _connected = Connected::new(&self.connected);
        let mut taps = self.taps(&stream);
        let mut reader = ImageReader::default();
        loop {
            let image = read_image(&stream, &mut reader).await?;
            // Not before: a peer that accepts and hangs up must not be asked all the time.
            backoff.reset();
            self.bytes.fetch_add(image.len() as u64, Ordering::Relaxed);
            self.broadcast.publish(&image);
            if let Some([_, came]) = &mut taps {
                came.bytes(Bytes::from_owner(image));
            }
            // A peer that is never slow must not keep the viewers from theirs.
            future::yield_now().await;
        }
    }

    /// What we send is recorded as well: nothing, until it ends.
    fn taps(&self, stream: &Async<TcpStream>) -> Option<[Tap; 2]> {
        let recorder = self.source.recorder.as_ref()?;
        let socket = stream.get_ref();
        Some(recorder.open(self.port, socket.local_addr().ok()?, socket.peer_addr().ok()?))
    }
}

/// Says that there is a connection for as long as it lives.
struct Connected<'a>(&'a AtomicBool);

impl<'a> Connected<'a> {
    fn new(flag: &'a AtomicBool) -> Self {
        flag.store(true, Ordering::Relaxed);
        Self(flag)
    }
}

impl Drop for Connected<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// A header and its pixels, read to where they stay.
async fn read_image(
    mut stream: &Async<TcpStream>,
    reader: &mut ImageReader,
) -> Result<Message, Lost> {
    let mut header = [0; HEADER_LEN];
    stream.read_exact(&mut header).await?;
    let size = match reader.push(&header).1? {
        Some(ImagePiece::Header(header)) => header.size as usize,
        // Images are read whole, so what was given to the reader was a header, and all of it.
        _ => return Err(std::io::Error::from(std::io::ErrorKind::InvalidData).into()),
    };
    let mut image: Message = std::iter::repeat_n(0, HEADER_LEN + size).collect();
    let bytes = Arc::get_mut(&mut image).unwrap_or_default();
    bytes[..HEADER_LEN].copy_from_slice(&header);
    let mut from = HEADER_LEN;
    while from < bytes.len() {
        let count = stream.read(&mut bytes[from..]).await?;
        if count == 0 {
            return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
        }
        reader.push(&bytes[from..from + count]).1?;
        from += count;
        future::yield_now().await;
    }
    Ok(image)
}

#[cfg(test)]
mod tests;
