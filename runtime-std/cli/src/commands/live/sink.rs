//! Writes images into a folder as one series, or as one series after the other.
//!
//! The formats are in `writers.rs`.

use std::path::{Path, PathBuf};

use flamingo_microscope::image_file::{ImageFacts, Picture};
use flamingo_microscope::live::LiveImage;
use flamingo_runtime_std::Clock;

use super::Format;
use super::writers::{self, SeriesSettings, SeriesWriter};
use crate::failure::{CommandResult, Failure, PROTOCOL};
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
}

impl Sink {
    /// Creates the folder, if it does not exist.
    pub(super) fn create(
        folder: &Path,
        format: Format,
        settings: SeriesSettings,
    ) -> CommandResult<Self> {
        std::fs::create_dir_all(folder).map_err(|error| {
            Failure::usage(format!("cannot create the folder {}: {error}", folder.display()))
        })?;
        // Not every file system accepts colons.
        let time = rfc3339(Clock::wall()).replace([':', '.'], "-");
        let name = format!("{}-{time}", settings.kind);
        let folder = folder.to_owned();
        Ok(Self { folder, format, name, settings, writer: None, series: 0, complete_bytes: 0 })
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
        self.complete_bytes += writer.bytes();
        writer.finish()
    }

    /// The file or folder of the series that is being written; `None` for one file per image.
    pub(super) fn file(&self) -> Option<&Path> {
        self.writer.as_ref().and_then(|writer| writer.path())
    }
}

impl Drop for Sink {
    /// After Ctrl-C the file is completed too, so that it can be read.
    fn drop(&mut self) {
        if let Err(Failure::Exit { message, .. }) = self.end_series() {
            crate::failure::note(&format!("warning: {message}"));
        }
    }
}
