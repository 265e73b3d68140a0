//! The totals of `flamingo live`: JSON and text. Also what the progress line says about the disk.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use super::disk::{self, size_text, time_text};
use super::sink::Sink;

/// What is on the disk.
#[derive(Debug, Clone)]
pub(super) struct OnDisk {
    folder: PathBuf,
    /// The file of the newest series, unless each image has a file.
    pub(super) file: Option<PathBuf>,
    pub(super) series: u64,
    pub(super) bytes: u64,
}

impl OnDisk {
    pub(super) fn of(sink: &Sink) -> Self {
        let file = sink.newest_file().map(Path::to_owned);
        Self { folder: sink.folder().to_owned(), file, series: sink.series(), bytes: sink.bytes() }
    }

    pub(super) fn free(&self) -> Option<u64> {
        disk::free(&self.folder)
    }

    /// How long the free space lasts at the rate of this acquisition, which has taken `elapsed`.
    #[allow(clippy::cast_precision_loss)] // an estimate
    pub(super) fn time_left(&self, free: u64, elapsed: Duration) -> Option<Duration> {
        let seconds = free as f64 * elapsed.as_secs_f64() / self.bytes as f64;
        Duration::try_from_secs_f64(seconds).ok().filter(|_| self.bytes > 0)
    }

    /// The newest file, or the folder of the files.
    fn place(&self) -> &Path {
        self.file.as_deref().unwrap_or(&self.folder)
    }

    /// For the progress line: name, size and how long the disk lasts.
    pub(super) fn text(&self, left: Option<Duration>) -> String {
        let name = self.place().file_name().unwrap_or_default().to_string_lossy();
        let left = left
            .map_or(String::new(), |left| format!("  disk: {} left at this rate", time_text(left)));
        format!("{name}  {}{left}", size_text(self.bytes))
    }
}

/// The JSON of the totals.
#[derive(Serialize)]
pub(super) struct TotalsJson {
    pub(super) received: u64,
    pub(super) taken: u64,
    pub(super) written: u64,
    pub(super) dropped: u64,
    /// Images that had come and were not taken when the command ended.
    pub(super) waiting: u64,
    pub(super) options: u64,
    pub(super) frames_per_s: Option<f64>,
    pub(super) mb_per_s: Option<f64>,
    pub(super) min: Option<u16>,
    pub(super) max: Option<u16>,
    #[serde(flatten)]
    pub(super) disk: Option<DiskJson>,
    pub(super) elapsed_ms: f64,
}

/// The part of the totals about files, with `--out`.
#[derive(Serialize)]
pub(super) struct DiskJson {
    folder: String,
    /// The only series; with more series the newest one. Left out where each image has a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    series: u64,
    bytes_written: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    disk_free_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disk_left_s: Option<u64>,
}

impl DiskJson {
    /// `elapsed`: how long the images took to come.
    pub(super) fn of(disk: &OnDisk, elapsed: Duration) -> Self {
        let free = disk.free();
        let left = free.and_then(|free| disk.time_left(free, elapsed));
        Self {
            folder: disk.folder.display().to_string(),
            file: disk.file.as_ref().map(|file| file.display().to_string()),
            series: disk.series,
            bytes_written: disk.bytes,
            disk_free_bytes: free,
            disk_left_s: left.filter(|left| !left.is_zero()).map(|left| left.as_secs()),
        }
    }

    fn text(&self) -> String {
        let series =
            if self.series > 1 { format!("{} series, ", self.series) } else { String::new() };
        let left = self.disk_left_s.map_or(String::new(), |left| {
            format!("; disk: {} left at this rate", time_text(Duration::from_secs(left)))
        });
        let place = self.file.as_ref().unwrap_or(&self.folder);
        format!("; {place}, {series}{}{left}", size_text(self.bytes_written))
    }
}

impl TotalsJson {
    pub(super) fn text(&self) -> String {
        let Self { received, taken, written, dropped, .. } = self;
        let waiting = match self.waiting {
            0 => String::new(),
            waiting => format!(", {waiting} not taken"),
        };
        let rate = match (self.frames_per_s, self.mb_per_s) {
            (Some(rate), Some(mb)) => format!("; {rate:.1} images/s, {mb:.1} MB/s"),
            _ => String::new(),
        };
        let range = match (self.min, self.max) {
            (Some(min), Some(max)) => format!("; min {min}, max {max}"),
            _ => String::new(),
        };
        let disk = self.disk.as_ref().map_or(String::new(), DiskJson::text);
        format!(
            "{received} images received, {taken} taken, {written} written, {dropped} dropped{waiting}{rate}{range}{disk}"
        )
    }
}
