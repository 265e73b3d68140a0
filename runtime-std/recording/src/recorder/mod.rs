//! Writes a recording from a thread of its own, so that nobody who hands bytes over ever waits.
//!
//! TapEvent may wait for the disk is bounded; what does not fit is left out, counted, and told in the
//! recording itself. A disk that takes no more ends the recording and nothing else. ConnectionInfo hands the
//! bytes over holds a [`Tap`] (`tap.rs`); `record_writer.rs` knows the connections, `recorded_connection.rs` makes packets
//! of one, `pcap_sink.rs` is the file that they go to, `files.rs` where that is.

mod files;
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
use files::Files;
use flamingo_runtime_std::Clock;
use record_writer::RecordWriter;

pub use files::Rotation;
pub use tap::Tap;

/// Bytes that may wait for the disk: so many images of the usual size as the instrument keeps
/// would be 512 MiB.
const WAITING: usize = 256 * 1024 * 1024;
/// TapEvent the bookkeeping of an entry is counted as, so that small ones are bounded, too.
const OVERHEAD: usize = 128;
/// Entries are written together: the thread wakes no more often than this.
const TOGETHER: Duration = Duration::from_millis(10);

/// TapEvent is recorded, and how much may wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Images with their pixels; otherwise a header and the checksum of the pixels.
    pub pixels: bool,
    /// Bytes that may wait for the disk: 256 MiB.
    pub waiting: usize,
    /// Stands at the beginning of the file: what was recorded.
    pub about: String,
}

impl Default for Options {
    fn default() -> Self {
        Self { pixels: false, waiting: WAITING, about: String::new() }
    }
}

/// How it stands with a recording.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The file that is being written, where there is one.
    pub file: Option<PathBuf>,
    /// Files begun so far.
    pub files: u64,
    /// Packets written so far.
    pub packets: u64,
    /// Bytes written so far, to all files together.
    pub bytes: u64,
    /// Bytes of the connections that were left out, since the disk did not keep up.
    pub lost_bytes: u64,
    /// Why nothing is recorded any more.
    pub stopped: Option<String>,
}

/// TapEvent is told to the thread.
#[derive(Debug)]
struct Entry {
    stream: u64,
    at: Duration,
    what: tap::TapEvent,
}

impl Entry {
    fn weight(&self) -> usize {
        OVERHEAD + self.what.bytes()
    }
}

/// TapEvent those who hand over and the thread have in common.
#[derive(Debug)]
struct Shared {
    queue: Sender<Entry>,
    waiting: AtomicUsize,
    limit: usize,
    lost: AtomicU64,
    stopped: AtomicBool,
    /// Held to copy or to write a few words.
    status: Mutex<Status>,
}

impl Shared {
    /// Whether so much more may wait. TapEvent is larger than all that may wait goes alone.
    fn has_room(&self, weight: usize) -> bool {
        let waiting = self.waiting.load(Ordering::Relaxed);
        let fits = waiting == 0 || waiting + weight <= self.limit;
        fits && !self.stopped.load(Ordering::Relaxed)
    }

    /// Never waits. `false`: it was left out.
    fn push(&self, stream: u64, what: tap::TapEvent) -> bool {
        let entry = Entry { stream, at: now(), what };
        let weight = entry.weight();
        // Without the beginning of a connection nothing of it could be written; there are few.
        let needed = entry.what.is_an_edge() && !self.stopped.load(Ordering::Relaxed);
        if !needed && !self.has_room(weight) {
            return false;
        }
        self.waiting.fetch_add(weight, Ordering::Relaxed);
        self.queue.try_send(entry).is_ok()
    }

    fn tell(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.status.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// The host's time as a recording has it.
fn now() -> Duration {
    Clock::wall().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// A recording that is being written. [`Recorder::finish`] ends it; if it is dropped instead, what
/// waits is still written.
///
/// ```
/// use flamingo_protocol_core::{CommandCode, Frame};
/// use flamingo_recording::{Options, Port, Recorder};
/// # let file = std::env::temp_dir().join(format!("flamingo-doc-{}.pcapng", std::process::id()));
/// let recorder = Recorder::to_file(&file, Options::default())?;
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
    streams: AtomicU64,
    pixels: bool,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Recorder {
    /// Records into one file, which is begun anew.
    ///
    /// # Errors
    /// The file cannot be written, or there is no thread to be had.
    pub fn to_file(path: &Path, options: Options) -> io::Result<Self> {
        Self::start(Files::one(path)?, options)
    }

    /// Records into files of that folder, which is made if it is not there.
    ///
    /// # Errors
    /// The same.
    pub fn to_folder(folder: &Path, rotation: Rotation, options: Options) -> io::Result<Self> {
        Self::start(Files::many(folder, rotation)?, options)
    }

    /// Records into whatever takes bytes.
    ///
    /// # Errors
    /// It does not take the beginning, or there is no thread to be had.
    pub fn to_writer(writer: impl Write + Send + 'static, options: Options) -> io::Result<Self> {
        Self::start(Files::writer(Box::new(writer)), options)
    }

    fn start(files: Files, options: Options) -> io::Result<Self> {
        // TapEvent waits is bounded by `has_room`.
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
        let writer = RecordWriter::begin(files, options, now())?;
        shared.tell(|status| writer.tell(status));
        let thread = std::thread::Builder::new().name("flamingo-recorder".into());
        let thread = thread.spawn({
            let shared = Arc::clone(&shared);
            move || write(&shared, &inbox, writer)
        })?;
        Ok(Self { shared, streams: AtomicU64::new(0), pixels, thread: Mutex::new(Some(thread)) })
    }

    /// A connection begins. Gives where to hand over what the client and what the instrument
    /// sends; each ends on its own.
    pub fn open(&self, port: Port, client: SocketAddr, instrument: SocketAddr) -> [Tap; 2] {
        let stream = self.streams.fetch_add(1, Ordering::Relaxed);
        self.shared.push(stream, tap::TapEvent::Opened { port, client, instrument });
        Tap::pair(&self.shared, stream, port, self.pixels)
    }

    /// How it stands.
    pub fn status(&self) -> Status {
        let status = self.shared.status.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let lost = self.shared.lost.load(Ordering::Relaxed);
        Status { lost_bytes: status.lost_bytes + lost, ..status }
    }

    /// Bytes that wait for the disk, bookkeeping included.
    pub fn waiting(&self) -> usize {
        self.shared.waiting.load(Ordering::Relaxed)
    }

    /// Ends when nothing is recorded any more, since the disk takes no more or the recording was
    /// ended.
    pub async fn until_stopped(&self) {
        self.shared.queue.closed().await;
    }

    /// Writes what waits, and ends. TapEvent is handed over after that is left out.
    pub fn finish(&self) -> Status {
        self.shared.queue.close();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // It does not panic; if it did, its status would say what was written.
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

/// The thread: until the queue is closed and empty, or the disk takes no more.
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
            // A reader of the file sees whole packets, and a crash costs little.
            writer.flush()?;
            shared.tell(|status| writer.tell(status));
            if !inbox.is_closed() {
                smol::block_on(Timer::after(TOGETHER));
            }
        }
        Ok(())
    };
    let result = work();
    shared.stopped.store(true, Ordering::Relaxed);
    inbox.close();
    // TapEvent waits is not written any more, and takes no memory.
    while let Ok(entry) = inbox.try_recv() {
        shared.waiting.fetch_sub(entry.weight(), Ordering::Relaxed);
        shared.lost.fetch_add(entry.what.bytes() as u64, Ordering::Relaxed);
    }
    shared.tell(|status| {
        writer.tell(status);
        if let Err(error) = &result {
            status.stopped = Some(error.to_string());
        }
    });
    if let Err(error) = result {
        let file = writer.file().map(Path::display);
        tracing::error!(file = file.map(tracing::field::display), %error,
            "the recording has stopped; the connections go on without it");
    }
}
