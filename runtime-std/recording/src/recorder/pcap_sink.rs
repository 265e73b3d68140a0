//! Writes packets to the current file, and counts them. Which file that is, `files.rs` decides; the
//! format is `pcapng.rs`.

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
        let clock = FileClock::begin(now.set);
        let (path, file) = begin(files, options, clock.time(now.at))?;
        Ok(Self {
            file,
            path,
            clock,
            set: now.set,
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
        let clock = FileClock::begin(now.set);
        (self.path, self.file) = begin(files, options, clock.time(now.at))?;
        (self.clock, self.set) = (clock, now.set);
        (self.began, self.length) = (now.at, 0);
        self.files += 1;
        Ok(())
    }

    /// Takes over how far the host's clock is set. The next packet notes a step.
    pub(super) const fn set_clock(&mut self, set: Option<ClockStep>) {
        self.set = set;
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
        let step = self.clock.look(self.set);
        let noted = step.map(|step| comments::with_clock_step(comment, step));
        let comment = noted.as_deref().unwrap_or(comment);
        let length = self.file.packet(port, at, &self.headers, payload, comment)? as u64;
        self.packets += 1;
        self.length += length;
        self.bytes += length;
        Ok(())
    }
}

fn begin(
    files: &mut Files,
    options: &RecorderOptions,
    now: Duration,
) -> io::Result<(Option<PathBuf>, File)> {
    let (path, writer) = files.next(now)?;
    let mut file = PcapNg::begin(writer, options.pixels, &options.about)?;
    // A recording without packets is a valid file, too.
    file.flush()?;
    Ok((path, file))
}
