//! Images as they come: from the live port (N+1), and from the stack port (N+2), which speaks the
//! same.
//!
//! ```text
//!  socket ──► image_reader.rs: one thread ──► buffer_pool.rs: what waits, free buffers, counts ──► LiveStream
//!             reads pixels into a buffer of the pool       ▲                              │
//!                                                           └───── buffer, when dropped ── LiveImage
//! ```
//! Here is what a program holds. What a header is, the core knows; switching the live view on and
//! off is `microscope/camera.rs`; files of images are `image_file/`.

mod buffer_pool;
mod image_reader;

use std::fmt;
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_channel::Receiver;
use flamingo_protocol_core::{ImageError, ImageHeader, MAX_IMAGE};
use thiserror::Error;

use buffer_pool::{BufferPool, PooledBuffer, Queued};
use flamingo_runtime_std::Error as ClientError;
use flamingo_runtime_std::socket;
pub use flamingo_runtime_std::socket::instrument_ports::image_port;

/// Which images a program gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The newest one: an image that was not taken yet is dropped for the next. At most three
    /// buffers exist.
    Latest,
    /// Every one, as long as those that wait, and those that the program holds, fit into
    /// `memory_bytes` (and be it only three). Then the oldest one that waits is dropped.
    Every {
        /// Bytes of pixels in memory, all together.
        memory_bytes: usize,
    },
}

/// How to look at an image port.
///
/// ```
/// use flamingo_microscope::live::{LiveOptions, Mode};
/// let every = LiveOptions::default().mode(Mode::Every { memory_bytes: 1 << 30 });
/// assert_eq!(LiveOptions::default().mode, Mode::Latest);
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LiveOptions {
    /// Which images: the newest one.
    pub mode: Mode,
    /// The largest image that is believed, in bytes: 128 MiB.
    pub max_image_bytes: u32,
    /// How long an address may take to accept: 2 s.
    pub connect_timeout: Duration,
}

impl Default for LiveOptions {
    fn default() -> Self {
        let connect_timeout = Duration::from_secs(2);
        Self { mode: Mode::Latest, max_image_bytes: MAX_IMAGE, connect_timeout }
    }
}

impl LiveOptions {
    /// Every image, in at most 256 MiB: 32 of 2048 × 2048 pixels.
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
    /// Nobody accepted the connection.
    #[error("image port: {0}")]
    Connect(#[from] ClientError),
    /// A header that cannot be true: where the next one begins is not known any more.
    #[error("image {number} of {address}: {source}; connect again")]
    Header {
        /// Who.
        address: String,
        /// Which image, from 1; updates of options are not counted.
        number: u64,
        /// The field, what was expected, what came.
        source: ImageError,
    },
    /// The connection ended in the middle of an image.
    #[error(
        "connection to {address} ended after {received} of {expected} bytes of image {number}: \
         {reason}; connect again"
    )]
    CutOff {
        /// To whom.
        address: String,
        /// Which image, from 1.
        number: u64,
        /// Bytes of it that came, the header included.
        received: usize,
        /// Bytes of it, as far as that is known.
        expected: usize,
        /// What the operating system says.
        reason: String,
    },
    /// The operating system gives no thread.
    #[error("cannot start a thread for the image port: {0}")]
    Thread(#[source] std::io::Error),
}

/// What comes on an image port.
#[derive(Debug)]
#[non_exhaustive]
pub enum LiveEvent {
    /// An image.
    Image(LiveImage),
    /// Only the options have changed: no pixels, width and size are 0.
    Options(ImageHeader),
}

/// What a stream has counted. At any time `received` = `delivered` + `dropped` + `waiting`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LiveStats {
    /// Images that came, whole.
    pub received: u64,
    /// Images that the program got.
    pub delivered: u64,
    /// Images that it did not get, since it was too slow.
    pub dropped: u64,
    /// Images that wait for it.
    pub waiting: u64,
    /// Updates of the options.
    pub options: u64,
    /// Updates of the options that were dropped: more than 1024 waited.
    pub options_dropped: u64,
    /// Bytes that came, headers included.
    pub bytes: u64,
    /// Bytes of pixels in memory now.
    pub held_bytes: usize,
}

/// An image. Its memory is used again when it is dropped, so do not keep more than you need.
pub struct LiveImage {
    /// The header.
    pub header: ImageHeader,
    /// When its last byte came, by this host's calendar.
    pub received_at: SystemTime,
    /// Which image of the stream it is, from 1; dropped ones are counted.
    pub number: u64,
    /// How many were dropped between the one that the program got before, and this one.
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

/// Without the pixels: there are millions.
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

/// The images of one port. A thread of its own reads the socket, and never stops reading, whatever
/// the program does: the instrument drops a client that does not drain. Dropping it ends the
/// connection.
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
///     // First the port, then the images: the first one is not missed.
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
    /// Closed when nothing will come any more.
    woken: Receiver<()>,
    /// To end the thread that reads.
    socket: TcpStream,
    /// The number of the image that was delivered last.
    last: u64,
}

impl LiveStream {
    /// Connects to an image port (`HOST:PORT`). Connect freshly each time live view is started: a
    /// port that was left alone may hold stale images.
    ///
    /// Cancel-safe: dropping the future closes the socket.
    ///
    /// # Errors
    /// [`LiveError::Connect`], [`LiveError::Thread`].
    pub async fn connect(address: &str, options: LiveOptions) -> Result<Self, LiveError> {
        let stream = socket::connect_for_images(address, options.connect_timeout).await?;
        let refused = |source| ClientError::Connect { address: address.into(), source };
        let socket = stream.into_inner().map_err(refused)?;
        // The thread has nothing else to do than to wait for it.
        socket.set_nonblocking(false).map_err(refused)?;
        let own = socket.try_clone().map_err(refused)?;
        let (wake, woken) = async_channel::bounded(1);
        let pool = Arc::new(BufferPool::new(options.mode, wake));
        let reader = image_reader::ImageReader {
            socket,
            address: address.to_owned(),
            max_image_bytes: options.max_image_bytes,
            pool: Arc::clone(&pool),
            skip: Vec::new(),
        };
        let thread = std::thread::Builder::new().name("flamingo-images".into());
        thread.spawn(move || reader.run()).map_err(LiveError::Thread)?;
        Ok(Self { pool, woken, socket: own, last: 0 })
    }

    /// What comes next, in the order in which it came; `None` when the peer has closed the
    /// connection between two images.
    ///
    /// Cancel-safe: what was not returned is returned by the next call.
    ///
    /// # Errors
    /// [`LiveError`], once and behind all that came before.
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
            if self.woken.recv().await.is_err() && self.pool.is_empty() {
                return self.pool.ended();
            }
        }
    }

    /// The next image; updates of options are passed over.
    ///
    /// Cancel-safe, as [`Self::next`] is.
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

    /// What was counted so far.
    #[must_use]
    pub fn stats(&self) -> LiveStats {
        self.pool.stats()
    }
}

impl Drop for LiveStream {
    fn drop(&mut self) {
        // It may be gone already; the thread ends either way.
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}
