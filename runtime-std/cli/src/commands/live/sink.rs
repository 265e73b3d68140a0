//! Writes images into a folder as one series, or as one series after the other. A series has a file for
//! each size of its images.
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

/// A series has so many sizes of images at most. Each has an open file, and memory with OME-Zarr.
const MOST_SIZES: usize = 8;

/// A file with many images of one size, or the files with one image each.
struct Part {
    /// Width and height; `None` where each image has a file of its own.
    size: Option<[u32; 2]>,
    writer: Box<dyn SeriesWriter>,
}

pub(super) struct Sink {
    folder: PathBuf,
    format: Format,
    /// The beginning of each file name.
    name: String,
    settings: SeriesSettings,
    /// The series that is being written: first the size of its first image.
    parts: Vec<Part>,
    /// Whether it was said that there are too many sizes.
    warned: bool,
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
            parts: Vec::new(),
            warned: false,
            series: 0,
            complete_bytes: 0,
            last: None,
        }
    }

    /// Writes an image; returns its file. `None`: the series has too many sizes of images.
    pub(super) fn write(
        &mut self,
        image: &LiveImage,
        facts: &ImageFacts,
    ) -> CommandResult<Option<PathBuf>> {
        let header = &image.header;
        let picture = Picture::new(header.width, header.height, image.pixels());
        let picture = picture.ok_or_else(|| {
            let size = format!("{} x {}", header.width, header.height);
            Failure::new(PROTOCOL, format!("image of {size} with {} pixels", image.pixels().len()))
        })?;
        self.part([header.width, header.height])?
            .map(|part| part.writer.add(&picture, facts))
            .transpose()
    }

    /// The files for images of a size, which begin with the first of them.
    fn part(&mut self, size: [u32; 2]) -> CommandResult<Option<&mut Part>> {
        let own = Some(size).filter(|_| !self.format.has_a_file_per_image());
        let known = self.parts.iter().position(|part| part.size == own);
        let at = match known {
            Some(at) => at,
            None if self.parts.len() == MOST_SIZES => {
                self.warn_of_sizes(size);
                return Ok(None);
            }
            None => {
                self.series += u64::from(self.parts.is_empty());
                let stem = self.folder.join(self.stem(size));
                let writer = writers::begin(self.format, &stem, &self.settings)?;
                self.parts.push(Part { size: own, writer });
                self.parts.len() - 1
            }
        };
        Ok(self.parts.get_mut(at))
    }

    /// The beginning of the names of the files for images of a size.
    fn stem(&self, [width, height]: [u32; 2]) -> String {
        let mut stem = self.name.clone();
        if self.settings.numbered {
            stem = format!("{stem}-{:03}", self.series);
        }
        if !self.parts.is_empty() {
            stem = format!("{stem}-{width}x{height}");
        }
        stem
    }

    fn warn_of_sizes(&mut self, [width, height]: [u32; 2]) {
        if !self.warned {
            self.warned = true;
            note(&format!(
                "warning: expected at most {MOST_SIZES} sizes of images in a series, found {width} x \
                 {height} as one more; images of more sizes are not written"
            ));
        }
    }

    /// Completes the series that is being written, also after a failure of one of its files. The next
    /// image begins another one.
    pub(super) fn end_series(&mut self) -> CommandResult {
        let mut ended = Ok(());
        for (at, Part { writer, .. }) in std::mem::take(&mut self.parts).into_iter().enumerate() {
            let before = writer.bytes();
            let path = writer.path().map(Path::to_owned);
            let finished = writer.finish();
            // The end of a file adds to it.
            let bytes = path.as_deref().and_then(|path| std::fs::metadata(path).ok());
            let bytes = bytes.filter(std::fs::Metadata::is_file).map_or(before, |file| file.len());
            self.complete_bytes += bytes;
            if at == 0 {
                self.last = path;
            }
            ended = ended.and(finished);
        }
        ended
    }

    /// The files or folders of the series that is being written; none for one file per image.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        self.parts.iter().filter_map(|part| part.writer.path()).map(Path::to_owned).collect()
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The file or folder of the newest series, for images of the size of its first one.
    pub(super) fn newest_file(&self) -> Option<&Path> {
        let first = self.parts.first().and_then(|part| part.writer.path());
        first.or(self.last.as_deref())
    }

    /// How many series have begun.
    pub(super) const fn series(&self) -> u64 {
        self.series
    }

    /// The bytes of all series on the disk.
    pub(super) fn bytes(&self) -> u64 {
        self.complete_bytes + self.parts.iter().map(|part| part.writer.bytes()).sum::<u64>()
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
