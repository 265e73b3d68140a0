//! The formats that a series of images can be written in: one writer for each.
//!
//! A new format is another [`SeriesWriter`] and another arm of [`begin`].

use std::path::{Path, PathBuf};

use flamingo_microscope::image_file::{
    ImageFacts, ImageFileError, OmeTiff, OmeZarr, Picture, Sequence, write_png, write_tiff,
};

use super::args::Format;
use crate::failure::{CommandResult, Failure};

/// What is decided about all series before the first image.
#[derive(Debug, Clone)]
pub(super) struct SeriesSettings {
    /// The first word of each file name.
    pub(super) kind: &'static str,
    /// Whether there may be more than one series.
    pub(super) numbered: bool,
    /// What the axes of a series are.
    pub(super) sequence: Sequence,
    /// The names of the cameras, by their index.
    pub(super) cameras: Vec<(u32, String)>,
}

/// A series of images that is being written. Its calls may block.
pub(super) trait SeriesWriter: Send {
    /// Adds an image; returns the file or folder that it is in.
    fn add(&mut self, picture: &Picture<'_>, facts: &ImageFacts) -> CommandResult<PathBuf>;

    /// The file or folder of the whole series; `None` for one file per image.
    fn path(&self) -> Option<&Path>;

    /// The bytes that the series has on the disk.
    fn bytes(&self) -> u64;

    /// Completes the series.
    fn finish(self: Box<Self>) -> CommandResult;
}

/// Begins a series. The names of its files begin with `stem`.
pub(super) fn begin(
    format: Format,
    stem: &Path,
    settings: &SeriesSettings,
) -> CommandResult<Box<dyn SeriesWriter>> {
    let single = |write, extension| {
        let stem = stem.to_owned();
        Box::new(SingleFiles { stem, extension, write, bytes: 0 }) as Box<dyn SeriesWriter>
    };
    Ok(match format {
        Format::Png => single(write_png, "png"),
        Format::Tiff => single(write_tiff, "tif"),
        Format::OmeTiff => {
            let path = with_extension(stem, "ome.tif");
            let file = OmeTiff::create(&path, settings.sequence).map_err(|error| failed(&error))?;
            Box::new(OmeTiffWriter { file, cameras: settings.cameras.clone() })
        }
        Format::OmeZarr => {
            let path = with_extension(stem, "ome.zarr");
            // A folder is one stack or one movie: images of many tiles are in the order of time.
            let is_stack = settings.numbered;
            let sequence = if is_stack { settings.sequence } else { Sequence::Time };
            let folder = OmeZarr::create(&path, sequence);
            let mut folder = folder.map_err(|error| failed(&error))?;
            for (camera, name) in &settings.cameras {
                folder.name_camera(*camera, name);
            }
            Box::new(OmeZarrWriter(folder))
        }
    })
}

/// Writes one image into a file.
type Write = fn(&Path, &Picture<'_>, &ImageFacts) -> Result<(), ImageFileError>;

/// One file per image.
struct SingleFiles {
    stem: PathBuf,
    extension: &'static str,
    write: Write,
    bytes: u64,
}

impl SeriesWriter for SingleFiles {
    fn add(&mut self, picture: &Picture<'_>, facts: &ImageFacts) -> CommandResult<PathBuf> {
        let number = facts.number.unwrap_or_default();
        let path = with_extension(&self.stem, &format!("-{number:06}.{}", self.extension));
        (self.write)(&path, picture, facts).map_err(|error| failed(&error))?;
        self.bytes += length(&path);
        Ok(path)
    }

    fn path(&self) -> Option<&Path> {
        None
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn finish(self: Box<Self>) -> CommandResult {
        Ok(())
    }
}

/// One OME-TIFF.
struct OmeTiffWriter {
    file: OmeTiff,
    cameras: Vec<(u32, String)>,
}

impl SeriesWriter for OmeTiffWriter {
    fn add(&mut self, picture: &Picture<'_>, facts: &ImageFacts) -> CommandResult<PathBuf> {
        self.file.add(picture, facts).map_err(|error| failed(&error))?;
        Ok(self.file.path().to_owned())
    }

    fn path(&self) -> Option<&Path> {
        Some(self.file.path())
    }

    fn bytes(&self) -> u64 {
        length(self.file.path())
    }

    fn finish(mut self: Box<Self>) -> CommandResult {
        for (camera, name) in &self.cameras {
            self.file.name_camera(*camera, name);
        }
        self.file.finish().map_err(|error| failed(&error))
    }
}

/// One OME-Zarr folder.
struct OmeZarrWriter(OmeZarr);

impl SeriesWriter for OmeZarrWriter {
    fn add(&mut self, picture: &Picture<'_>, facts: &ImageFacts) -> CommandResult<PathBuf> {
        self.0.add(picture, facts).map_err(|error| failed(&error))?;
        Ok(self.0.path().to_owned())
    }

    fn path(&self) -> Option<&Path> {
        Some(self.0.path())
    }

    fn bytes(&self) -> u64 {
        self.0.bytes()
    }

    fn finish(self: Box<Self>) -> CommandResult {
        self.0.finish().map_err(|error| failed(&error))
    }
}

/// The stem with an extension. The stem has points of its own.
fn with_extension(stem: &Path, extension: &str) -> PathBuf {
    let point = if extension.starts_with('-') { "" } else { "." };
    let mut name = stem.as_os_str().to_owned();
    name.push(point);
    name.push(extension);
    PathBuf::from(name)
}

/// The length of a file; 0 if it cannot be known.
fn length(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |file| file.len())
}

fn failed(error: &ImageFileError) -> Failure {
    Failure::new(1, error.to_string())
}
