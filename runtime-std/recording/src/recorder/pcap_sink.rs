//! Writes packets to the current file, and counts them. Which file that is, `files.rs` decides; the
//! format is `pcapng.rs`.

use std::borrow::Cow;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;

use flamingo_runtime_std::ClockStep;

use super::super::pcapng::PcapNg;
use super::super::{Port, comments};
use super::file_clock::FileClock;
use super::files::Files;
use super::{HostTime, RecorderOptions, RecorderStatus};

type File = PcapNg<Box<dyn Write + Send>>;

pub(super) struct PcapSink {
    file: File,
    path: Option<PathBuf>,
    clock: FileClock,
    /// How far the host's clock is set now.
    set: Option<ClockStep>,
    /// Steps in the times of the capture that is copied. The next packet notes them.
    seen: Vec<ClockStep>,
    /// The latest time in the file.
    latest: Duration,
    /// When the file was begun, and its length in bytes.
    began: Duration,
    length: u64,
    /// Counted over all files.
    files: u64,
    packets: u64,
    bytes: u64,
    /// The headers of the next packet. Its payload is not copied.
    headers: Vec<u8>,
}

impl PcapSink {
    pub(super) fn begin(
        files: &mut Files,
        options: &RecorderOptions,
        now: HostTime,
    ) -> io::Result<Self> {
        let (path, file) = begin(files, options, now)?;
        let clock = clock(options, now);
        Ok(Self {
            file,
            path,
            clock,
            set: now.set,
            seen: Vec::new(),
            latest: Duration::ZERO,
            began: now.at,
            length: 0,
            files: 1,
            packets: 0,
            bytes: 0,
            headers: Vec::new(),
        })
    }

    /// Begins the next file, with the host's clock as it is now.
    pub(super) fn next(
        &mut self,
        files: &mut Files,
        options: &RecorderOptions,
        now: HostTime,
    ) -> io::Result<()> {
        self.file.flush()?;
        (self.path, self.file) = begin(files, options, now)?;
        (self.clock, self.set) = (clock(options, now), now.set);
        self.latest = Duration::ZERO;
        (self.began, self.length) = (now.at, 0);
        self.files += 1;
        Ok(())
    }

    /// Takes over how far the host's clock is set. The next packet notes a step.
    pub(super) const fn set_clock(&mut self, set: Option<ClockStep>) {
        self.set = set;
    }

    /// Takes over a step in the times of the capture that is copied.
    pub(super) fn note_seen_step(&mut self, step: ClockStep) {
        self.seen.push(step);
    }

    pub(super) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    pub(super) const fn length(&self) -> u64 {
        self.length
    }

    pub(super) const fn age(&self, now: Duration) -> Duration {
        now.saturating_sub(self.began)
    }

    pub(super) fn fill_in(&self, status: &mut RecorderStatus) {
        status.file.clone_from(&self.path);
        (status.files, status.packets, status.bytes) = (self.files, self.packets, self.bytes);
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }

    /// The buffer for the headers of the next packet.
    pub(super) const fn headers(&mut self) -> &mut Vec<u8> {
        &mut self.headers
    }

    /// Writes a packet: the headers from the buffer, and this payload.
    pub(super) fn packet(
        &mut self,
        port: Port,
        at: Duration,
        payload: &Bytes,
        comment: &str,
    ) -> io::Result<()> {
        let at = self.clock.time(at);
        let mut comment = Cow::Borrowed(comment);
        // A copy of a capture has the packets in the order of their bytes, each with its own time.
        if self.latest.saturating_sub(at) >= ClockStep::SMALLEST {
            comment = comments::with_earlier(&comment).into();
        }
        self.latest = self.latest.max(at);
        for step in self.seen.drain(..) {
            comment = comments::with_seen_step(&comment, self.clock.shown(step)).into();
        }
        if let Some(step) = self.clock.look(self.set) {
            comment = comments::with_clock_step(&comment, step).into();
        }
        let length = self.file.packet(port, at, &self.headers, payload, &comment)? as u64;
        self.packets += 1;
        self.length += length;
        self.bytes += length;
        Ok(())
    }
}

fn clock(options: &RecorderOptions, now: HostTime) -> FileClock {
    if options.anonymize { FileClock::without_date(now.set) } else { FileClock::begin(now.set) }
}

fn begin(
    files: &mut Files,
    options: &RecorderOptions,
    now: HostTime,
) -> io::Result<(Option<PathBuf>, File)> {
    // The name of a file has the host's clock.
    let (path, writer) = files.next(FileClock::begin(now.set).time(now.at))?;
    let mut file = PcapNg::begin(writer, options.pixels, &options.about)?;
    // A recording without packets is a valid file, too.
    file.flush()?;
    Ok((path, file))
}
