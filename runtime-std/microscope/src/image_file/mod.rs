//! Writes image files: 16-bit PNG and TIFF with one image each, and OME-TIFF and OME-Zarr with a movie or
//! a stack. `reading/` reads them again.
//!
//! This file has the facts about an image and the files with one image. `ome_tiff.rs` writes files
//! with many images, `ome_xml.rs` their description, `arrangement.rs` decides which plane an image is.
//! `ome_zarr/` writes folders with many images.
//! Receiving images is in `live/`.

mod arrangement;
mod levels;
mod ome_tiff;
mod ome_xml;
#[cfg(feature = "ome-zarr")]
mod ome_zarr;
mod png;
mod reading;
mod tiff;

use std::fs::File;
use std::io::{BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use flamingo_runtime_std::ClockStep;
use thiserror::Error;

pub use arrangement::{Arrangement, Place, Shot, Tile};
pub use ome_tiff::{OmeTiff, Sequence};
#[cfg(feature = "ome-zarr")]
pub use ome_zarr::{OmeZarr, Pyramid, write_pyramid};
pub use reading::{Description, ImageFile, Page, PlaneFacts, ReadError, Series};

use crate::units::{Micros, MmPerPixel, Pose};

/// 16-bit pixels, row by row.
///
/// ```
/// use flamingo_microscope::image_file::Picture;
/// let pixels = [7; 6];
/// assert!(Picture::new(3, 2, &pixels).is_some());
/// assert!(Picture::new(3, 3, &pixels).is_none(), "the number of pixels must match");
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Picture<'a> {
    width: u32,
    height: u32,
    pixels: &'a [u16],
}

impl<'a> Picture<'a> {
    /// `None` if a side is 0 or if there are not exactly `width` · `height` pixels.
    #[must_use]
    pub fn new(width: u32, height: u32, pixels: &'a [u16]) -> Option<Self> {
        let expected = u64::from(width) * u64::from(height);
        (expected > 0 && pixels.len() as u64 == expected).then_some(Self { width, height, pixels })
    }

    /// Pixels per row.
    #[must_use]
    pub const fn width(&self) -> u32 {
        self.width
    }

    /// The number of rows.
    #[must_use]
    pub const fn height(&self) -> u32 {
        self.height
    }

    /// All pixels, row by row.
    #[must_use]
    pub const fn pixels(&self) -> &'a [u16] {
        self.pixels
    }
}

/// What is known about an image besides its pixels.
///
/// ```
/// use flamingo_microscope::image_file::ImageFacts;
/// use flamingo_microscope::units::{Micros, MmPerPixel};
/// use flamingo_runtime_std::Clock;
///
/// let facts = ImageFacts::at(Clock::wall())
///     .pixel_size(MmPerPixel(0.000_253))
///     .exposure(Micros(9_002));
/// assert_eq!(facts.pose, None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct ImageFacts {
    /// When the image was taken.
    pub taken_at: SystemTime,
    /// The width of the sample that one pixel shows.
    pub pixel_size: Option<MmPerPixel>,
    /// The exposure time.
    pub exposure: Option<Micros>,
    /// The pose of the stage. A coordinate that is not known is NaN; files leave it out.
    pub pose: Option<Pose>,
    /// The camera that took the image, from 0: the field `deviceIndex` of the image header.
    pub camera: Option<u32>,
    /// The number of the image in its stream, from 1; images that were dropped count.
    pub number: Option<u64>,
    /// The number of the stack that the image belongs to: see [`Sequence::Positions`].
    pub stack: Option<u64>,
    /// How far the host's clock was set before this image. [`Self::taken_at`] goes on without the step.
    pub clock_step: Option<ClockStep>,
}

impl ImageFacts {
    /// Facts with only the time; add the others with the setters.
    #[must_use]
    pub const fn at(taken_at: SystemTime) -> Self {
        Self {
            taken_at,
            pixel_size: None,
            exposure: None,
            pose: None,
            camera: None,
            number: None,
            stack: None,
            clock_step: None,
        }
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

    /// Sets [`Self::camera`]; `None` if it is not known.
    #[must_use]
    pub fn camera(mut self, camera: impl Into<Option<u32>>) -> Self {
        self.camera = camera.into();
        self
    }

    /// Sets [`Self::number`]; `None` if it is not known.
    #[must_use]
    pub fn number(mut self, number: impl Into<Option<u64>>) -> Self {
        self.number = number.into();
        self
    }

    /// Sets [`Self::stack`]; `None` if it belongs to none.
    #[must_use]
    pub fn stack(mut self, stack: impl Into<Option<u64>>) -> Self {
        self.stack = stack.into();
        self
    }

    /// Sets [`Self::clock_step`]; `None` if the clock was not set.
    #[must_use]
    pub fn clock_step(mut self, step: impl Into<Option<ClockStep>>) -> Self {
        self.clock_step = step.into();
        self
    }
}

/// A number, if it is known.
fn known(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

/// Steps of the clock that differ by less than this many seconds are one step.
const SAME_STEP_S: f64 = 0.5;
/// So many steps of the clock are noted in a file.
const MOST_STEPS: usize = 1000;

/// Notes from which image on the host's clock was set.
#[derive(Debug, Default)]
struct ClockNotes {
    /// The step of the last note, in seconds.
    noted: f64,
    lines: Vec<String>,
}

impl ClockNotes {
    /// Adds a line if the step has changed. `place` names the image.
    fn add(&mut self, step: Option<ClockStep>, place: impl FnOnce() -> String) {
        let seconds = step.map_or(0.0, ClockStep::seconds);
        if (seconds - self.noted).abs() < SAME_STEP_S || self.lines.len() == MOST_STEPS {
            return;
        }
        self.noted = seconds;
        let what = match step {
            Some(step) => step.to_string(),
            None => "the host's clock was set right again".to_owned(),
        };
        let line = format!("before {}: {what}; the times go on without the step", place());
        self.lines.push(line);
    }

    fn lines(&self) -> &[String] {
        &self.lines
    }
}

/// Why an image file was not written.
#[derive(Debug, Error)]
#[error("cannot write {}: {reason}", path.display())]
#[non_exhaustive]
pub struct ImageFileError {
    /// The file.
    pub path: PathBuf,
    /// The reason from the operating system or the encoder.
    pub reason: String,
}

impl ImageFileError {
    fn new(path: &Path, reason: &impl ToString) -> Self {
        Self { path: path.to_owned(), reason: reason.to_string() }
    }
}

/// Writes a 16-bit grey PNG. The facts are in text chunks, the pixel size is in pHYs.
///
/// The file gets its name only when it is complete. An existing file is never overwritten.
///
/// # Errors
/// [`ImageFileError`]: the file exists, the folder does not exist, or the disk is full.
pub fn write_png(path: &Path, picture: &Picture, facts: &ImageFacts) -> Result<(), ImageFileError> {
    write_complete(path, |file| png::write_16(file, picture, facts))
}

/// Writes an 8-bit grey PNG from grey values, row by row, such as those of [`crate::preview`].
///
/// # Errors
/// As [`write_png`]; also if there are not exactly `width` · `height` values.
pub fn write_png_8(
    path: &Path,
    width: u32,
    height: u32,
    grey: &[u8],
) -> Result<(), ImageFileError> {
    write_complete(path, |file| png::write_8(file, width, height, grey))
}

/// Writes a 16-bit grey TIFF with one image, its resolution and its time.
///
/// # Errors
/// As [`write_png`].
pub fn write_tiff(
    path: &Path,
    picture: &Picture,
    facts: &ImageFacts,
) -> Result<(), ImageFileError> {
    write_complete(path, |file| tiff::write(file, picture, facts))
}

/// Writes to a file beside `path` and gives it its name when it is complete.
fn write_complete<E: ToString>(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> Result<(), E>,
) -> Result<(), ImageFileError> {
    let exists = "it exists already; choose another name";
    if path.exists() {
        return Err(ImageFileError::new(path, &exists));
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
        // A hard link never replaces a file that was made meanwhile. File systems without links
        // rename instead.
        match std::fs::hard_link(&part, path) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                Err(ImageFileError::new(path, &exists))
            }
            Err(_) => {
                std::fs::rename(&part, path).map_err(|error| ImageFileError::new(path, &error))
            }
        }
    });
    // After a failure this removes the incomplete file; after a link, its second name.
    let _ = std::fs::remove_file(&part);
    named
}

/// Pixels per metre, if the pixel size is known and the number fits.
fn pixels_per_metre(facts: &ImageFacts) -> Option<u32> {
    let per_metre = 1000.0 / facts.pixel_size?.0;
    #[allow(clippy::cast_possible_truncation)] // in range
    (1.0..=f64::from(u32::MAX)).contains(&per_metre).then_some(per_metre.round() as u32)
}

#[cfg(test)]
mod tests;
