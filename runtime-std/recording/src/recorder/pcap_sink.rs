//! The file that packets are written to, and how many there were.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;

use super::super::Port;
use super::super::pcapng::PcapNg;
use super::files::Files;
use super::{Options, Status};

type File = PcapNg<Box<dyn Write + Send>>;

pub(super) struct PcapSink {
    file: File,
    path: Option<PathBuf>,
    /// When the file was begun, and how long it is.
    began: Duration,
    length: u64,
    /// Of all files together.
    files: u64,
    packets: u64,
    bytes: u64,
    /// Those of the next packet; its payload is not copied.
    headers: Vec<u8>,
}

impl PcapSink {
    pub(super) fn begin(files: &mut Files, options: &Options, now: Duration) -> io::Result<Self> {
        let (path, file) = begin(files, options, now)?;
        let (began, length) = (now, 0);
        let (packets, bytes, headers) = (0, 0, Vec::new());
        Ok(Self { file, path, began, length, files: 1, packets, bytes, headers })
    }

    /// The next file.
    pub(super) fn next(
        &mut self,
        files: &mut Files,
        options: &Options,
        now: Duration,
    ) -> io::Result<()> {
        self.file.flush()?;
        (self.path, self.file) = begin(files, options, now)?;
        (self.began, self.length) = (now, 0);
        self.files += 1;
        Ok(())
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

    pub(super) fn tell(&self, status: &mut Status) {
        status.file.clone_from(&self.path);
        (status.files, status.packets, status.bytes) = (self.files, self.packets, self.bytes);
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }

    /// Where the headers of the next packet are put.
    pub(super) const fn headers(&mut self) -> &mut Vec<u8> {
        &mut self.headers
    }

    /// Writes those headers and this payload.
    pub(super) fn packet(
        &mut self,
        port: Port,
        at: Duration,
        payload: &Bytes,
        comment: &str,
    ) -> io::Result<()> {
        let length = self.file.packet(port, at, &self.headers, payload, comment)? as u64;
        self.packets += 1;
        self.length += length;
        self.bytes += length;
        Ok(())
    }
}

fn begin(
    files: &mut Files,
    options: &Options,
    now: Duration,
) -> io::Result<(Option<PathBuf>, File)> {
    let (path, writer) = files.next(now)?;
    let mut file = PcapNg::begin(writer, options.pixels, &options.about)?;
    // Also a recording of nothing is one.
    file.flush()?;
    Ok((path, file))
}
