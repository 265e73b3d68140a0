//! Writes a recording from a thread of its own, so that the callers never wait for the disk.
//!
//! The bytes that wait for the disk are limited. Bytes beyond the limit are left out and counted, and
//! the recording says so. If the disk is full, the recording ends and the connections go on. The
//! callers hand bytes over with a [`Tap`] (`tap.rs`). `record_writer.rs` knows the connections,
//! `recorded_connection.rs` turns one connection into packets, `pcap_sink.rs` writes packets to the
//! current file, `file_clock.rs` gives its times, `files.rs` chooses that file, and `lock.rs` keeps
//! other recordings away. `anonymizer.rs` anonymizes the events before they become packets;
//! `anonymized_copy.rs` does so with a capture.

mod anonymized_copy;
mod anonymizer;
mod file_clock;
mod files;
mod lock;
mod pcap_sink;
mod record_writer;
mod recorded_connection;
mod tap;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use async_channel::{Receiver, Sender};
use serde::{Deserialize, Serialize};
use smol::Timer;

use super::Port;
use super::scrub;
use files::Files;
use flamingo_runtime_std::{Clock, ClockStep};
use record_writer::RecordWriter;

pub use anonymized_copy::{AnonymizedCopy, anonymize};
pub use files::Rotation;
pub use tap::Tap;

/// How many bytes may wait for the disk by default. (All images of the usual size that the
/// instrument keeps would have 512 MiB.)
const WAITING: usize = 256 * 1024 * 1024;
/// The bytes that each entry counts in addition, so that the number of small entries is limited too.
const OVERHEAD: usize = 128;
/// The thread wakes at most this often, and writes all entries that have arrived since.
const WRITE_INTERVAL: Duration = Duration::from_millis(10);

/// What is recorded, and how much may wait for the disk.
///
/// ```
/// use flamingo_recording::RecorderOptions;
/// let options = RecorderOptions::default().pixels(true).about("the morning run");
/// assert_eq!(options.waiting, 256 * 1024 * 1024);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecorderOptions {
    /// Whether images are recorded with their pixels. Without, a header and the checksum of the
    /// pixels are recorded. Off by default.
    pub pixels: bool,
    /// How many bytes may wait for the disk: 256 MiB by default.
    pub waiting: usize,
    /// A description of the recording, at the beginning of each file. Empty by default.
    pub about: String,
    /// Whether addresses, texts, payloads, pixels and the date are left out, as in the copy that
    /// [`anonymize`] writes. Then `pixels` and `about` have no effect. Off by default.
    pub anonymize: bool,
}

impl Default for RecorderOptions {
    fn default() -> Self {
        Self { pixels: false, waiting: WAITING, about: String::new(), anonymize: false }
    }
}

impl RecorderOptions {
    /// Sets whether images are recorded with their pixels.
    #[must_use]
    pub fn pixels(mut self, pixels: bool) -> Self {
        self.pixels = pixels;
        self
    }

    /// Sets how many bytes may wait for the disk.
    #[must_use]
    pub fn waiting(mut self, bytes: usize) -> Self {
        self.waiting = bytes;
        self
    }

    /// Sets the description at the beginning of each file.
    #[must_use]
    pub fn about(mut self, about: impl Into<String>) -> Self {
        self.about = about.into();
        self
    }

    /// Sets whether addresses, texts, payloads, pixels and the date are left out.
    #[must_use]
    pub fn anonymize(mut self, anonymize: bool) -> Self {
        self.anonymize = anonymize;
        self
    }

    /// The options as they are used: an anonymized recording has no pixels and a fixed description.
    fn effective(self) -> Self {
        if self.anonymize { self.pixels(false).about(scrub::ABOUT) } else { self }
    }
}

/// The state of a recording.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecorderStatus {
    /// The file that is being written, if there is one.
    pub file: Option<PathBuf>,
    /// The number of files begun so far.
    pub files: u64,
    /// The number of packets written so far.
    pub packets: u64,
    /// The number of bytes written so far, to all files together.
    pub bytes: u64,
    /// The bytes of the connections that were left out because the disk was too slow.
    pub lost_bytes: u64,
    /// Why the recording has ended, if it has.
    pub stopped: Option<String>,
}

/// Something that a caller hands over to the thread.
#[derive(Debug)]
struct Entry {
    /// The number of the connection.
    connection: u64,
    time: HostTime,
    event: tap::TapEvent,
}

impl Entry {
    fn weight(&self) -> usize {
        OVERHEAD + self.event.bytes()
    }
}

/// State that the callers and the thread share.
#[derive(Debug)]
struct Shared {
    queue: Sender<Entry>,
    waiting: AtomicUsize,
    limit: usize,
    lost: AtomicU64,
    stopped: AtomicBool,
    /// Locked only to copy or to write a few words.
    status: Mutex<RecorderStatus>,
}

impl Shared {
    /// Whether so many more bytes may wait. An entry that is larger than the limit may wait alone.
    fn has_room(&self, weight: usize) -> bool {
        let waiting = self.waiting.load(Ordering::Relaxed);
        let fits = waiting == 0 || waiting + weight <= self.limit;
        fits && !self.stopped.load(Ordering::Relaxed)
    }

    /// Queues an entry; never waits. Returns `false` if the entry was left out.
    fn push(&self, connection: u64, event: tap::TapEvent) -> bool {
        let entry = Entry { connection, time: HostTime::now(), event };
        let weight = entry.weight();
        // Without its beginning nothing of a connection could be written. Such entries are few.
        let needed = entry.event.is_an_edge() && !self.stopped.load(Ordering::Relaxed);
        if !needed && !self.has_room(weight) {
            return false;
        }
        self.waiting.fetch_add(weight, Ordering::Relaxed);
        self.queue.try_send(entry).is_ok()
    }

    fn change_status(&self, change: impl FnOnce(&mut RecorderStatus)) {
        change(&mut self.status.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// A moment. Times go on without the steps of the host's clock.
#[derive(Debug, Clone, Copy)]
struct HostTime {
    /// The time since 1970 in UTC.
    at: Duration,
    /// How far the host's clock was set until then.
    set: Option<ClockStep>,
}

impl HostTime {
    fn now() -> Self {
        let at = Clock::wall().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self { at, set: ClockStep::now() }
    }
}

/// A recording that is being written. [`Recorder::finish`] ends it, and so does dropping it; both
/// first write the bytes that still wait.
///
/// ```
/// use flamingo_protocol_core::{CommandCode, Frame};
/// use flamingo_recording::{Port, Recorder, RecorderOptions};
/// # let file = std::env::temp_dir().join(format!("flamingo-doc-{}.pcapng", std::process::id()));
/// let recorder = Recorder::to_file(&file, RecorderOptions::default())?;
/// let [client, instrument] = ["10.0.0.7:4000".parse()?, "10.0.0.5:53717".parse()?];
/// let [mut sent, mut came] = recorder.open(Port::Control, client, instrument);
/// let query = Frame::command(CommandCode::SYSTEM_STATE_GET).encode();
/// sent.bytes(query.to_vec());
/// came.bytes(query.to_vec());
/// sent.finish();
/// came.finish();
/// let status = recorder.finish();
/// assert_eq!((status.lost_bytes, status.stopped), (0, None));
/// # std::fs::remove_file(file)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Recorder {
    shared: Arc<Shared>,
    /// How many connections were opened.
    connections: AtomicU64,
    pixels: bool,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Recorder {
    /// Records into one file. A file that exists is replaced.
    ///
    /// # Errors
    /// The file cannot be written, another recording writes it or uses its whole folder, or the thread cannot be started.
    pub fn to_file(path: &Path, options: RecorderOptions) -> io::Result<Self> {
        Self::start(Files::one(path)?, options)
    }

    /// Records into files of that folder, which is created if it does not exist.
    ///
    /// # Errors
    /// The folder or the first file cannot be written, another recording uses the folder, or the thread cannot be started.
    pub fn to_folder(
        folder: &Path,
        rotation: Rotation,
        options: RecorderOptions,
    ) -> io::Result<Self> {
        Self::start(Files::many(folder, rotation)?, options)
    }

    /// Records into a writer.
    ///
    /// # Errors
    /// The writer refuses the first bytes, or the thread cannot be started.
    pub fn to_writer(
        writer: impl Write + Send + 'static,
        options: RecorderOptions,
    ) -> io::Result<Self> {
        Self::start(Files::writer(Box::new(writer)), options)
    }

    fn start(files: Files, options: RecorderOptions) -> io::Result<Self> {
        let options = options.effective();
        // `has_room` limits the bytes in the queue.
        let (queue, inbox) = async_channel::unbounded();
        let shared = Arc::new(Shared {
            queue,
            waiting: AtomicUsize::new(0),
            limit: options.waiting,
            lost: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
            status: Mutex::default(),
        });
        let pixels = options.pixels;
        let writer = RecordWriter::begin(files, options, HostTime::now())?;
        shared.change_status(|status| writer.fill_in(status));
        let thread = std::thread::Builder::new().name("flamingo-recorder".into());
        let thread = thread.spawn({
            let shared = Arc::clone(&shared);
            move || write(&shared, &inbox, writer)
        })?;
        Ok(Self {
            shared,
            connections: AtomicU64::new(0),
            pixels,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Opens a connection. Returns a tap for the bytes of the client and one for the bytes of the
    /// instrument; each is finished separately.
    pub fn open(&self, port: Port, client: SocketAddr, instrument: SocketAddr) -> [Tap; 2] {
        let connection = self.connections.fetch_add(1, Ordering::Relaxed);
        let note = String::new();
        self.shared.push(connection, tap::TapEvent::Opened { port, client, instrument, note });
        Tap::pair(&self.shared, connection, port, self.pixels)
    }

    /// The state of the recording.
    pub fn status(&self) -> RecorderStatus {
        let status = self.shared.status.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let lost = self.shared.lost.load(Ordering::Relaxed);
        RecorderStatus { lost_bytes: status.lost_bytes + lost, ..status }
    }

    /// How many bytes wait for the disk, with 128 bytes more for each entry.
    pub fn waiting(&self) -> usize {
        self.shared.waiting.load(Ordering::Relaxed)
    }

    /// Waits until nothing is recorded any more: the disk is full, or the recording was ended.
    /// Cancel-safe.
    pub async fn until_stopped(&self) {
        self.shared.queue.closed().await;
    }

    /// Writes the bytes that wait, and ends the recording. Bytes that are handed over later are left
    /// out. Returns the final state.
    pub fn finish(&self) -> RecorderStatus {
        self.shared.queue.close();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // The thread does not panic. If it did, the status would still say what was written.
            let _ = thread.join();
        }
        self.status()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.finish();
    }
}

/// Runs in the thread until the queue is closed and empty, or the disk is full.
fn write(shared: &Shared, inbox: &Receiver<Entry>, mut writer: RecordWriter) {
    let mut work = || -> io::Result<()> {
        while let Ok(first) = inbox.recv_blocking() {
            let mut next = Some(first);
            while let Some(entry) = next {
                let weight = entry.weight();
                writer.write(entry)?;
                shared.waiting.fetch_sub(weight, Ordering::Relaxed);
                next = inbox.try_recv().ok();
            }
            // Readers of the file see whole packets, and a crash loses little.
            writer.flush()?;
            shared.change_status(|status| writer.fill_in(status));
            if !inbox.is_closed() {
                smol::block_on(Timer::after(WRITE_INTERVAL));
            }
        }
        writer.end()?;
        writer.flush()
    };
    let result = work();
    shared.stopped.store(true, Ordering::Relaxed);
    inbox.close();
    // After an error the entries that wait are dropped, so that they use no memory.
    while let Ok(entry) = inbox.try_recv() {
        shared.waiting.fetch_sub(entry.weight(), Ordering::Relaxed);
        shared.lost.fetch_add(entry.event.bytes() as u64, Ordering::Relaxed);
    }
    shared.change_status(|status| {
        writer.fill_in(status);
        if let Err(error) = &result {
            status.stopped = Some(error.to_string());
        }
    });
    if let Err(error) = result {
        let file = writer.file().map(Path::display);
        tracing::error!(file = file.map(tracing::field::display), %error,
            "the recording has stopped; the connections go on");
    }
}
