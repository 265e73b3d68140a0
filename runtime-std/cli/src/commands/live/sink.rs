//! Writes images into a folder as one series, or as one series after the other.
//!
//! The formats are in `writers.rs`.

use std::path::{Path, PathBuf};

use flamingo_microscope::image_file::{ImageFacts, Picture};
use flamingo_microscope::live::LiveImage;
use flamingo_runtime_std::Clock;

use super::args::Format;
use super::writers::{self, SeriesSettings, SeriesWriter};
use crate::failure::{CommandResult, Failure, PROTOCOL, note};
use crate::output::rfc3339;

pub(super) struct Sink {
    folder: PathBuf,
    format: Format,
    /// The beginning of each file name.
    name: String,
    settings: SeriesSettings,
    /// The series that is being written.
    writer: Option<Box<dyn SeriesWriter>>,
    /// How many series have begun.
    series: u64,
    /// The bytes of the series that are complete.
    complete_bytes: u64,
    /// The file or folder of the last series that is complete.
    last: Option<PathBuf>,
}

impl Sink {
    /// A sink for a folder that can be written.
    pub(super) fn create(folder: &Path, format: Format, settings: SeriesSettings) -> Self {
        // Not every file system accepts colons.
        let time = rfc3339(Clock::wall()).replace([':', '.'], "-");
        let name = format!("{}-{time}", settings.kind);
        let folder = folder.to_owned();
        Self {
            folder,
            format,
            name,
            settings,
            writer: None,
            series: 0,
            complete_bytes: 0,
            last: None,
        }
    }

    /// Writes an image; returns its file.
    pub(super) fn write(
        &mut self,
        image: &LiveImage,
        facts: &ImageFacts,
    ) -> CommandResult<PathBuf> {
        let header = &image.header;
        let picture = Picture::new(header.width, header.height, image.pixels());
        let picture = picture.ok_or_else(|| {
            let size = format!("{} x {}", header.width, header.height);
            Failure::new(PROTOCOL, format!("image of {size} with {} pixels", image.pixels().len()))
        })?;
        let writer = match &mut self.writer {
            Some(writer) => writer,
            none => {
                self.series += 1;
                let name = if self.settings.numbered {
                    format!("{}-{:03}", self.name, self.series)
                } else {
                    self.name.clone()
                };
                none.insert(writers::begin(self.format, &self.folder.join(name), &self.settings)?)
            }
        };
        writer.add(&picture, facts)
    }

    /// Completes the series that is being written. The next image begins another one.
    pub(super) fn end_series(&mut self) -> CommandResult {
        let Some(writer) = self.writer.take() else { return Ok(()) };
        let before = writer.bytes();
        self.last = writer.path().map(Path::to_owned);
        let finished = writer.finish();
        // The end of a file adds to it.
        let bytes = self.last.as_deref().and_then(|path| std::fs::metadata(path).ok());
        let bytes = bytes.filter(std::fs::Metadata::is_file).map_or(before, |file| file.len());
        self.complete_bytes += bytes;
        finished
    }

    /// The file or folder of the series that is being written; `None` for one file per image.
    pub(super) fn file(&self) -> Option<&Path> {
        self.writer.as_ref().and_then(|writer| writer.path())
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The file or folder of the newest series.
    pub(super) fn newest_file(&self) -> Option<&Path> {
        self.file().or(self.last.as_deref())
    }

    /// How many series have begun.
    pub(super) const fn series(&self) -> u64 {
        self.series
    }

    /// The bytes of all series on the disk.
    pub(super) fn bytes(&self) -> u64 {
        self.complete_bytes + self.writer.as_ref().map_or(0, |writer| writer.bytes())
    }
}

impl Drop for Sink {
    /// After Ctrl-C the file is completed too, so that it can be read.
    fn drop(&mut self) {
        if let Err(Failure::Exit { message, .. }) = self.end_series() {
            note(&format!("warning: {message}"));
        }
    }
}
