//! Reads image files: what they say about themselves, and their pixels, one page at a time.
//!
//! `tiff_pages.rs` reads TIFF, `ome_description.rs` the XML of an OME-TIFF, `png_page.rs` PNG, `zarr_planes.rs`
//! OME-Zarr. Writing is in the files beside this folder.

mod ome_description;
mod png_page;
mod tiff_pages;
#[cfg(feature = "ome-zarr")]
mod zarr_planes;

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use thiserror::Error;

use png_page::PngPage;
use tiff_pages::TiffPages;
#[cfg(feature = "ome-zarr")]
use zarr_planes::ZarrPlanes;

/// Why an image file was not read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The file cannot be opened or read.
    #[error("cannot read {}: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The reason from the operating system.
        reason: String,
    },
    /// This is no image file that can be read here.
    #[error("{}: expected an OME-TIFF, a TIFF, a PNG or an OME-Zarr, found {found}", path.display())]
    NoImage {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        found: String,
    },
    /// The file begins as an image file, but is cut off or damaged.
    #[error("{}: {place}: {reason}; the file is cut off or damaged", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// Where: the page from 0, or the header.
        place: String,
        /// What the decoder found.
        reason: String,
    },
}

/// What a file says about itself.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct Description {
    /// `OME-TIFF`, `TIFF`, `PNG` or `OME-Zarr`.
    pub format: &'static str,
    /// Pixels per row of the first page.
    pub width: u32,
    /// The number of rows of the first page.
    pub height: u32,
    /// The type of the pixels, such as `uint16`.
    pub pixel_type: String,
    /// The number of pages that are complete.
    pub pages: usize,
    /// Why the file ends after these pages, if it is cut off.
    pub cut_off: Option<String>,
    /// Whether the file is one of ours that was never finished. It has its pages and no description.
    pub unfinished: bool,
    /// The images of an OME-TIFF; otherwise one with what is known.
    pub series: Vec<Series>,
    /// The lowest and the highest rotation in degrees, if the file has any.
    pub rotation_deg: Option<(f64, f64)>,
    /// Texts of the file, such as that the clock was set.
    pub notes: Vec<String>,
}

/// A set of planes: an `Image` of OME-XML.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct Series {
    /// Its name, if it has one.
    pub name: Option<String>,
    /// Planes in depth.
    pub size_z: usize,
    /// Channels.
    pub size_c: usize,
    /// Points in time.
    pub size_t: usize,
    /// The size of a pixel in X, Y and Z, in µm, where it is known.
    pub pixel_um: [Option<f64>; 3],
    /// The names of the channels; empty for a channel without a name.
    pub channels: Vec<String>,
    /// The time of its first image.
    pub began_at: Option<SystemTime>,
    /// What is known about each plane.
    pub planes: Vec<PlaneFacts>,
    /// The numbers of its images in their stream, as runs of consecutive numbers. Numbers between two
    /// runs were dropped. Series that refer to the same numbers share them.
    pub numbers: Arc<[(u64, u64)]>,
}

/// What is known about a plane.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub struct PlaneFacts {
    /// Its channel.
    pub channel: usize,
    /// Seconds since the begin of its series.
    pub delta_s: Option<f64>,
    /// X, Y and Z of the stage, in mm.
    pub position_mm: [Option<f64>; 3],
}

/// The pixels of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Page {
    /// Pixels per row.
    pub width: u32,
    /// The pixels, row by row. `None` if they are not unsigned grey values of 8 or 16 bits.
    pub pixels: Option<Vec<u16>>,
}

/// An image file. Only one page is in memory at a time.
///
/// ```
/// use std::time::SystemTime;
/// use flamingo_microscope::image_file::{ImageFacts, ImageFile, Picture, write_png};
/// # let path = std::env::temp_dir().join(format!("flamingo-read-{}.png", std::process::id()));
/// let facts = ImageFacts::at(SystemTime::UNIX_EPOCH);
/// write_png(&path, &Picture::new(2, 1, &[5, 900]).unwrap(), &facts)?;
/// let mut file = ImageFile::open(&path)?;
/// assert_eq!((file.description().width, file.description().pages), (2, 1));
/// assert_eq!(file.page(0)?.pixels, Some(vec![5, 900]));
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ImageFile {
    description: Description,
    pages: Pages,
}

#[derive(Debug)]
enum Pages {
    Tiff(Box<TiffPages>),
    Png(PngPage),
    #[cfg(feature = "ome-zarr")]
    Zarr(Box<ZarrPlanes>),
}

/// How errors of a file are made.
#[derive(Debug, Clone)]
struct Place(PathBuf);

impl Place {
    fn unreadable(&self, reason: &impl ToString) -> ReadError {
        ReadError::Unreadable { path: self.0.clone(), reason: reason.to_string() }
    }

    fn no_image(&self, found: impl Into<String>) -> ReadError {
        ReadError::NoImage { path: self.0.clone(), found: found.into() }
    }

    fn broken(&self, place: impl Into<String>, reason: &impl ToString) -> ReadError {
        let (path, reason) = (self.0.clone(), reason.to_string());
        ReadError::Broken { path, place: place.into(), reason }
    }
}

impl ImageFile {
    /// Opens a file, or the folder of an OME-Zarr image (with the feature `ome-zarr`), and reads what it says
    /// about itself. The pages of an OME-Zarr image are its planes: Z changes first, then the channel, then the time.
    ///
    /// # Errors
    /// [`ReadError`]. A file that is cut off after its first page is no error:
    /// [`Description::cut_off`].
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        let place = Place(path.to_owned());
        if path.is_dir() {
            #[cfg(feature = "ome-zarr")]
            return ZarrPlanes::open(&place).map(|(description, planes)| Self {
                description,
                pages: Pages::Zarr(Box::new(planes)),
            });
            #[cfg(not(feature = "ome-zarr"))]
            return Err(place.no_image("a folder"));
        }
        let mut file = File::open(path).map_err(|error| place.unreadable(&error))?;
        let mut magic = Vec::new();
        (&mut file).take(8).read_to_end(&mut magic).map_err(|error| place.unreadable(&error))?;
        file.seek(SeekFrom::Start(0)).map_err(|error| place.unreadable(&error))?;
        let (description, pages) = match magic.as_slice() {
            [0x89, b'P', b'N', b'G', ..] => {
                let (description, page) = PngPage::open(file, place)?;
                (description, Pages::Png(page))
            }
            [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..] => {
                let (description, pages) = TiffPages::open(file, place)?;
                (description, Pages::Tiff(Box::new(pages)))
            }
            [] => return Err(place.no_image("an empty file")),
            bytes => {
                let bytes: Vec<_> = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
                return Err(place.no_image(format!("a file that begins with {}", bytes.join(" "))));
            }
        };
        Ok(Self { description, pages })
    }

    /// What the file says about itself.
    #[must_use]
    pub const fn description(&self) -> &Description {
        &self.description
    }

    /// The pixels of a page, from 0.
    ///
    /// # Errors
    /// [`ReadError::Broken`]: the page is not complete.
    pub fn page(&mut self, page: usize) -> Result<Page, ReadError> {
        match &mut self.pages {
            Pages::Tiff(pages) => pages.page(page),
            Pages::Png(pages) => pages.page(page),
            #[cfg(feature = "ome-zarr")]
            Pages::Zarr(planes) => planes.page(page),
        }
    }
}

#[cfg(test)]
mod tests;
