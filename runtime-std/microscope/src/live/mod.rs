//! Receives images: from the live port (control port + 1), and from the stack port (+ 2), which has
//! the same format.
//!
//! ```text
//!  socket ──► socket_thread.rs ──► buffer_pool.rs ──► LiveStream ──► LiveImage
//!             reads pixels into     waiting images,                      │
//!             a pooled buffer       free buffers, counts ◄── when dropped ┘
//! ```
//! This file has what a program holds. The image header is in the core; starting the live view is
//! in `devices/camera.rs`; writing image files is in `image_file/`.

mod buffer_pool;
mod socket_thread;

use std::fmt;
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_channel::Receiver;
use flamingo_protocol_core::image::{ImageError, ImageHeader, MAX_IMAGE};
use thiserror::Error;

use buffer_pool::{BufferPool, PooledBuffer, Queued};
use flamingo_runtime_std::Error as ClientError;
use flamingo_runtime_std::socket;
pub use flamingo_runtime_std::socket::instrument_ports::image_port;

/// Which images a program receives if they arrive faster than it takes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The newest image: a new one replaces an image that still waits. At most three buffers exist.
    Latest,
    /// Every image, as long as the images that wait and those that the program holds fit into
    /// `memory_bytes` together; three buffers are always allowed. When the memory is full, the
    /// oldest image that waits is dropped.
    Every {
        /// The limit for all pixels in memory, in bytes.
        memory_bytes: usize,
    },
}

/// How to receive images from a port.
///
/// ```
/// use flamingo_microscope::live::{LiveOptions, Mode};
/// let every = LiveOptions::default().mode(Mode::Every { memory_bytes: 1 << 30 });
/// assert_eq!(LiveOptions::default().mode, Mode::Latest);
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LiveOptions {
    /// Which images. Default: [`Mode::Latest`].
    pub mode: Mode,
    /// The largest size of an image, in bytes. A header with a larger size ends the stream. Default:
    /// 128 MiB.
    pub max_image_bytes: u32,
    /// How long one address may take to accept the connection. Default: 2 s.
    pub connect_timeout: Duration,
}

impl Default for LiveOptions {
    fn default() -> Self {
        let connect_timeout = Duration::from_secs(2);
        Self { mode: Mode::Latest, max_image_bytes: MAX_IMAGE, connect_timeout }
    }
}

impl LiveOptions {
    /// Every image, in at most 256 MiB: 32 images of 2048 × 2048 pixels.
    #[must_use]
    pub fn every() -> Self {
        Self::default().mode(Mode::Every { memory_bytes: 256 << 20 })
    }

    /// Sets [`Self::mode`].
    #[must_use]
    pub const fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// Sets [`Self::max_image_bytes`].
    #[must_use]
    pub const fn max_image_bytes(mut self, bytes: u32) -> Self {
        self.max_image_bytes = bytes;
        self
    }

    /// Sets [`Self::connect_timeout`].
    #[must_use]
    pub const fn connect_timeout(mut self, time: Duration) -> Self {
        self.connect_timeout = time;
        self
    }
}

/// Why a stream of images ended.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LiveError {
    /// The connection could not be made.
    #[error("image port: {0}")]
    Connect(#[from] ClientError),
    /// An image header is impossible. The place of the next header is therefore unknown.
    #[error("image {number} of {address}: {source}; connect again")]
    Header {
        /// The address of the port.
        address: String,
        /// The number of the image, from 1; updates of the options do not count.
        number: u64,
        /// The field, what was expected, and what was found.
        source: ImageError,
    },
    /// The connection ended within an image.
    #[error(
        "connection to {address} ended after {received} of {expected} bytes of image {number}: \
         {reason}; connect again"
    )]
    CutOff {
        /// The address of the port.
        address: String,
        /// The number of the image, from 1.
        number: u64,
        /// How many of its bytes arrived, including the header.
        received: usize,
        /// How many bytes it has; within the header only the header counts.
        expected: usize,
        /// The reason from the operating system.
        reason: String,
    },
    /// The operating system could not start a thread.
    #[error("cannot start a thread for the image port: {0}")]
    Thread(#[source] std::io::Error),
}

/// What arrives on an image port.
#[derive(Debug)]
#[non_exhaustive]
pub enum LiveEvent {
    /// An image.
    Image(LiveImage),
    /// New options without an image: size, width and height are 0.
    Options(ImageHeader),
}

/// The counters of a stream. `received` is always `delivered` + `dropped` + `waiting`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LiveStats {
    /// Complete images that arrived.
    pub received: u64,
    /// Images that the program took.
    pub delivered: u64,
    /// Images that were dropped because the program was too slow.
    pub dropped: u64,
    /// Images that wait for the program.
    pub waiting: u64,
    /// Updates of the options that arrived.
    pub options: u64,
    /// Updates of the options that were dropped because 1024 were waiting.
    pub options_dropped: u64,
    /// Bytes that arrived, including headers.
    pub bytes: u64,
    /// Bytes of pixels in memory now, including free buffers.
    pub held_bytes: usize,
}

/// An image. When it is dropped, its memory is reused for the next images, so do not keep more images
/// than you need.
pub struct LiveImage {
    /// The header.
    pub header: ImageHeader,
    /// When its last byte arrived, on this host's clock.
    pub received_at: SystemTime,
    /// The number of the image in the stream, from 1; dropped images count.
    pub number: u64,
    /// How many images were dropped since the image that the program took before this one.
    pub dropped_before: u64,
    buffer: PooledBuffer,
}

impl LiveImage {
    /// The pixels, row by row.
    #[must_use]
    pub fn pixels(&self) -> &[u16] {
        self.buffer.pixels()
    }
}

/// Writes everything but the pixels.
impl fmt::Debug for LiveImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveImage")
            .field("header", &self.header)
            .field("received_at", &self.received_at)
            .field("number", &self.number)
            .field("dropped_before", &self.dropped_before)
            .finish_non_exhaustive()
    }
}

/// The images of one port. A thread reads the socket all the time, even if the program takes no
/// image, because the instrument disconnects a client that does not read. Images that the program
/// does not take in time are dropped and counted. Dropping the stream closes the connection.
///
/// ```
/// use flamingo_microscope::live::{LiveEvent, LiveOptions, LiveStream};
/// use flamingo_microscope::{LiveUpdates, Microscope};
/// use flamingo_simulator::{Simulator, SimulatorOptions};
/// use flamingo_runtime_std::Options;
///
/// smol::block_on(async {
///     let simulator = Simulator::start(SimulatorOptions::default()).await?;
///     let microscope = Microscope::connect(Options::new(simulator.control().to_string())).await?;
///     // Connect to the port first, so that no image is missed.
///     let address = simulator.live().to_string();
///     let mut stream = LiveStream::connect(&address, LiveOptions::default()).await?;
///     microscope.camera().start_live_view(LiveUpdates::Always).await?;
///     if let Some(LiveEvent::Image(image)) = stream.next().await? {
///         let brightest = image.pixels().iter().max();
///         println!("{} x {}: {brightest:?}", image.header.width, image.header.height);
///         # assert!(brightest > Some(&1000));
///     }
///     microscope.camera().stop_live_view().await?;
///     Ok::<(), Box<dyn std::error::Error>>(())
/// })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct LiveStream {
    pool: Arc<BufferPool>,
    /// Signals that something waits; closed when nothing more will arrive.
    signal: Receiver<()>,
    /// Shutting it down ends the thread that reads.
    socket: TcpStream,
    /// The number of the image that was taken last.
    last: u64,
}

impl LiveStream {
    /// Connects to an image port at `address` (`HOST:PORT`, see [`image_port`]). Make a new
    /// connection each time the live view is started, because an old connection may still hold old
    /// images.
    ///
    /// Cancel-safe: dropping the future closes the socket.
    ///
    /// # Errors
    /// [`LiveError::Connect`], [`LiveError::Thread`].
    pub async fn connect(address: &str, options: LiveOptions) -> Result<Self, LiveError> {
        let stream = socket::connect_for_images(address, options.connect_timeout).await?;
        let refused = |source| ClientError::Connect { address: address.into(), source };
        let socket = stream.into_inner().map_err(refused)?;
        // The thread waits for this socket and does nothing else.
        socket.set_nonblocking(false).map_err(refused)?;
        let own = socket.try_clone().map_err(refused)?;
        let (wake, signal) = async_channel::bounded(1);
        let pool = Arc::new(BufferPool::new(options.mode, wake));
        let reader = socket_thread::SocketThread {
            socket,
            address: address.to_owned(),
            max_image_bytes: options.max_image_bytes,
            pool: Arc::clone(&pool),
            skip: Vec::new(),
        };
        let thread = std::thread::Builder::new().name("flamingo-images".into());
        thread.spawn(move || reader.run()).map_err(LiveError::Thread)?;
        Ok(Self { pool, signal, socket: own, last: 0 })
    }

    /// Waits for the next image or update of the options, in the order of their arrival; `None` when
    /// the peer has closed the connection between two images.
    ///
    /// Cancel-safe: the next call returns what this one did not return.
    ///
    /// # Errors
    /// [`LiveError::Header`], [`LiveError::CutOff`]: after everything that arrived before, and only
    /// once; the next call returns `None`.
    pub async fn next(&mut self) -> Result<Option<LiveEvent>, LiveError> {
        loop {
            match self.pool.take() {
                Some(Queued::Options(header)) => return Ok(Some(LiveEvent::Options(header))),
                Some(Queued::Image { header, received_at, number, pixels }) => {
                    let dropped_before = number - self.last - 1;
                    self.last = number;
                    let buffer = PooledBuffer::new(pixels, Arc::clone(&self.pool));
                    let image = LiveImage { header, received_at, number, dropped_before, buffer };
                    return Ok(Some(LiveEvent::Image(image)));
                }
                None => {}
            }
            if self.signal.recv().await.is_err() && self.pool.is_empty() {
                return self.pool.take_end();
            }
        }
    }

    /// Waits for the next image and skips updates of the options.
    ///
    /// Cancel-safe, like [`Self::next`].
    ///
    /// # Errors
    /// As [`Self::next`].
    pub async fn next_image(&mut self) -> Result<Option<LiveImage>, LiveError> {
        loop {
            match self.next().await? {
                Some(LiveEvent::Image(image)) => return Ok(Some(image)),
                Some(LiveEvent::Options(_)) => {}
                None => return Ok(None),
            }
        }
    }

    /// Closes the connection. Images that have arrived can still be taken; the end that follows them may be
    /// [`LiveError::CutOff`].
    pub fn close(&self) {
        // If the socket is closed already, the thread has ended.
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    /// The counters now.
    #[must_use]
    pub fn stats(&self) -> LiveStats {
        self.pool.stats()
    }
}

impl Drop for LiveStream {
    fn drop(&mut self) {
        self.close();
    }
}
