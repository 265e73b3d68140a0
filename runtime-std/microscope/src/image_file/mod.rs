//! Images in files: 16-bit PNG and TIFF, one image each, and OME-TIFF, a whole movie or stack.
//!
//! Here are what is told of an image beside its pixels, and the files of one image; `ome_tiff.rs`
//! is the file of many, `ome_xml.rs` its words. Where images come from is `live/`.

mod ome_tiff;
mod ome_xml;
mod png;
mod tiff;

use std::fs::File;
use std::io::{BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use thiserror::Error;

pub use ome_tiff::{OmeTiff, Sequence};

use crate::units::{Micros, MmPerPixel, Pose};

/// 16-bit pixels, row by row.
///
/// ```
/// use flamingo_microscope::image_file::Picture;
/// let pixels = [7; 6];
/// assert!(Picture::new(3, 2, &pixels).is_some());
/// assert!(Picture::new(3, 3, &pixels).is_none(), "there must be exactly as many");
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Picture<'a> {
    width: u32,
    height: u32,
    pixels: &'a [u16],
}

impl<'a> Picture<'a> {
    /// `None`: a side is 0, or there are not `width` · `height` pixels.
    #[must_use]
    pub fn new(width: u32, height: u32, pixels: &'a [u16]) -> Option<Self> {
        let expected = u64::from(width) * u64::from(height);
        (expected > 0 && pixels.len() as u64 == expected).then_some(Self { width, height, pixels })
    }

    /// Pixels in a row.
    #[must_use]
    pub const fn width(&self) -> u32 {
        self.width
    }

    /// Rows.
    #[must_use]
    pub const fn height(&self) -> u32 {
        self.height
    }

    /// All of them.
    #[must_use]
    pub const fn pixels(&self) -> &'a [u16] {
        self.pixels
    }
}

/// What is known of an image besides its pixels, at its capture.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct ImageFacts {
    /// When.
    pub taken_at: SystemTime,
    /// How much of the sample a pixel shows.
    pub pixel_size: Option<MmPerPixel>,
    /// The exposure time.
    pub exposure: Option<Micros>,
    /// Where the stage was.
    pub pose: Option<Pose>,
}

impl ImageFacts {
    /// Only the time.
    #[must_use]
    pub const fn at(taken_at: SystemTime) -> Self {
        Self { taken_at, pixel_size: None, exposure: None, pose: None }
    }

    /// Sets [`Self::pixel_size`]; `None` if it is not known.
    #[must_use]
    pub fn pixel_size(mut self, size: impl Into<Option<MmPerPixel>>) -> Self {
        self.pixel_size = size.into();
        self
    }

    /// Sets [`Self::exposure`]; `None` if it is not known.
    #[must_use]
    pub fn exposure(mut self, time: impl Into<Option<Micros>>) -> Self {
        self.exposure = time.into();
        self
    }

    /// Sets [`Self::pose`]; `None` if it is not known.
    #[must_use]
    pub fn pose(mut self, pose: impl Into<Option<Pose>>) -> Self {
        self.pose = pose.into();
        self
    }
}

/// Why an image is not in a file.
#[derive(Debug, Error)]
#[error("cannot write {}: {reason}", path.display())]
#[non_exhaustive]
pub struct ImageFileError {
    /// The file.
    pub path: PathBuf,
    /// What the operating system or the encoder says.
    pub reason: String,
}

impl ImageFileError {
    fn new(path: &Path, reason: &impl ToString) -> Self {
        Self { path: path.to_owned(), reason: reason.to_string() }
    }
}

/// Writes a 16-bit grey PNG. The facts stand in text chunks, the pixel size in pHYs.
///
/// The file is complete or not there, but for a power failure; one that is there already is not
/// overwritten.
///
/// # Errors
/// [`ImageFileError`].
pub fn write_png(path: &Path, picture: &Picture, facts: &ImageFacts) -> Result<(), ImageFileError> {
    whole(path, |file| png::write_16(file, picture, facts))
}

/// Writes an 8-bit grey PNG of so many grey values, row by row, such as [`crate::preview`] makes.
///
/// # Errors
/// As [`write_png`]; the number of values must fit.
pub fn write_png_8(
    path: &Path,
    width: u32,
    height: u32,
    grey: &[u8],
) -> Result<(), ImageFileError> {
    whole(path, |file| png::write_8(file, width, height, grey))
}

/// Writes a 16-bit grey TIFF of one image, with its resolution and its time.
///
/// # Errors
/// As [`write_png`].
pub fn write_tiff(
    path: &Path,
    picture: &Picture,
    facts: &ImageFacts,
) -> Result<(), ImageFileError> {
    whole(path, |file| tiff::write(file, picture, facts))
}

/// Writes to a file beside `path`, which gets its name when it is whole.
fn whole<E: ToString>(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> Result<(), E>,
) -> Result<(), ImageFileError> {
    let there = "it exists already; choose another name";
    if path.exists() {
        return Err(ImageFileError::new(path, &there));
    }
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let file = File::create_new(&part).map_err(|error| ImageFileError::new(&part, &error))?;
    let mut file = BufWriter::new(file);
    let written = write(&mut file).map_err(|error| ImageFileError::new(path, &error));
    let flushed = file.flush().map_err(|error| ImageFileError::new(path, &error));
    drop(file);
    let named = written.and(flushed).and_then(|()| {
        // A link never replaces what came to be there meanwhile; a file system without links
        // renames.
        match std::fs::hard_link(&part, path) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                Err(ImageFileError::new(path, &there))
            }
            Err(_) => {
                std::fs::rename(&part, path).map_err(|error| ImageFileError::new(path, &error))
            }
        }
    });
    // Half an image helps nobody, and a whole one has its name; renamed, it is not there.
    let _ = std::fs::remove_file(&part);
    named
}

/// Pixels a metre, where that is known and can be told.
fn pixels_per_metre(facts: &ImageFacts) -> Option<u32> {
    let per_metre = 1000.0 / facts.pixel_size?.0;
    #[allow(clippy::cast_possible_truncation)] // in range
    (1.0..=f64::from(u32::MAX)).contains(&per_metre).then_some(per_metre.round() as u32)
}

#[cfg(test)]
mod tests;
