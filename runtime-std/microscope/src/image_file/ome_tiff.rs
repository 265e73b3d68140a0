//! OME-TIFF: many images of one size in a BigTIFF, written one by one and never held in memory.
//!
//! The number of images is known only at the end. So the first page gets a short description at
//! first. At the end the OME-XML is written after the last page, and the first page's entry is
//! changed to point to it. A file that was not finished is a plain BigTIFF with the pages it has.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use tiff::encoder::{TiffEncoder, TiffKindBig};
use tiff::tags::Tag;

use super::ome_xml::{Channel, Movie, Plane};
use super::tiff::page;
use super::{ImageFacts, ImageFileError, Picture};
use crate::units::Mm;

/// What changes from one image to the next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sequence {
    /// Time: a movie, axes TYX.
    Time,
    /// Depth: a stack, axes ZYX.
    Depth {
        /// The distance from one plane to the next.
        step: Mm,
    },
    /// The positions of the stage say which tile and which plane an image is. Each tile is an image of
    /// the file, with the axes TZYX. Each stack ([`ImageFacts::stack`]) of a tile is a point in time, and
    /// each of its images a plane of its own, also where the positions are not known. Images without a
    /// stack at one position are a movie.
    Positions,
}

/// The description until the file is finished. It is longer than eight bytes, so that its entry holds
/// a place in the file and not the text itself.
pub(super) const UNFINISHED: &str = "not finished: the recording was cut off";

/// An OME-TIFF that is being written. The images of each camera ([`ImageFacts::camera`]) are a channel
/// of their own.
///
/// ```
/// use std::time::SystemTime;
/// use flamingo_microscope::image_file::{ImageFacts, OmeTiff, Picture, Sequence};
/// use flamingo_microscope::units::MmPerPixel;
/// # let path = std::env::temp_dir().join(format!("flamingo-doc-{}.ome.tif", std::process::id()));
/// let facts = ImageFacts::at(SystemTime::UNIX_EPOCH).pixel_size(MmPerPixel(0.000_253));
/// let mut movie = OmeTiff::create(&path, Sequence::Time)?;
/// for level in 0..3 {
///     movie.add(&Picture::new(4, 2, &[level; 8]).unwrap(), &facts)?;
/// }
/// movie.finish()?;
/// # std::fs::remove_file(&path).unwrap();
/// # Ok::<(), flamingo_microscope::image_file::ImageFileError>(())
/// ```
pub struct OmeTiff {
    path: PathBuf,
    file: File,
    encoder: TiffEncoder<File, TiffKindBig>,
    sequence: Sequence,
    /// Width and height of the first page.
    size: Option<(u32, u32)>,
    channels: Vec<Channel>,
    planes: Vec<Plane>,
}

impl std::fmt::Debug for OmeTiff {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OmeTiff")
            .field("path", &self.path)
            .field("pages", &self.planes.len())
            .finish_non_exhaustive()
    }
}

impl OmeTiff {
    /// Creates a file. An existing file is never overwritten.
    ///
    /// # Errors
    /// [`ImageFileError`]: the file exists, or cannot be created.
    pub fn create(path: &Path, sequence: Sequence) -> Result<Self, ImageFileError> {
        let failed = |error: std::io::Error| ImageFileError::new(path, &error);
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(path);
        let file = file.map_err(failed)?;
        // Both handles are the same open file with one position.
        let own = file.try_clone().map_err(failed)?;
        let encoder = TiffEncoder::new_big(own).map_err(|e| ImageFileError::new(path, &e))?;
        let (path, channels, planes) = (path.to_owned(), Vec::new(), Vec::new());
        Ok(Self { path, file, encoder, sequence, size: None, channels, planes })
    }

    /// Adds an image. All images of a file must have the size of the first one.
    ///
    /// # Errors
    /// [`ImageFileError`]: another size, a full disk.
    pub fn add(&mut self, picture: &Picture, facts: &ImageFacts) -> Result<(), ImageFileError> {
        let size = (picture.width(), picture.height());
        let expected = *self.size.get_or_insert(size);
        if size != expected {
            let reason = format!(
                "expected images of {} x {} as the first one, found {} x {}; begin another file",
                expected.0, expected.1, size.0, size.1
            );
            return Err(ImageFileError::new(&self.path, &reason));
        }
        let first = self.planes.is_empty();
        let written = page(&mut self.encoder, picture, facts, |directory| {
            if first { directory.write_tag(Tag::ImageDescription, UNFINISHED) } else { Ok(()) }
        });
        written.map_err(|error| ImageFileError::new(&self.path, &error))?;
        let channel = self.channel(facts.camera);
        self.planes.push(Plane { facts: *facts, channel });
        Ok(())
    }

    /// The place of the channel of a camera; the channel begins with its first image.
    fn channel(&mut self, camera: Option<u32>) -> usize {
        let known = self.channels.iter().position(|channel| channel.camera == camera);
        known.unwrap_or_else(|| {
            self.channels.push(Channel { camera, name: None });
            self.channels.len() - 1
        })
    }

    /// Gives a name to the channel of a camera. Without a name it is called by its index. A camera
    /// without images has no channel.
    pub fn name_camera(&mut self, camera: u32, name: &str) {
        for channel in self.channels.iter_mut().filter(|it| it.camera == Some(camera)) {
            channel.name = Some(name.to_owned());
        }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The number of images that were added.
    #[must_use]
    pub fn pages(&self) -> usize {
        self.planes.len()
    }

    /// Writes the description of the images. A file without images is removed.
    ///
    /// # Errors
    /// [`ImageFileError`]: the description was not written; the pages remain in the file.
    pub fn finish(self) -> Result<(), ImageFileError> {
        let Self { path, mut file, encoder, sequence, size, channels, planes } = self;
        drop(encoder);
        let Some((width, height)) = size.filter(|_| !planes.is_empty()) else {
            drop(file);
            return std::fs::remove_file(&path).map_err(|e| ImageFileError::new(&path, &e));
        };
        let name = path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        let movie = Movie { name, width, height, sequence, channels: &channels, planes: &planes };
        let xml = movie.xml();
        let xml = xml.map_err(|error| ImageFileError::new(&path, &error))?;
        describe(&mut file, &xml).map_err(|error| ImageFileError::new(&path, &error))
    }
}

/// Makes `text` the description of the first page of a BigTIFF in the byte order of this machine. Until
/// the last write the file has its old description.
fn describe(file: &mut File, text: &str) -> std::io::Result<()> {
    let end = file.seek(SeekFrom::End(0))?;
    file.write_all(text.as_bytes())?;
    file.write_all(&[0])?;
    let entry = find_entry(file, Tag::ImageDescription.to_u16())?;
    // The bytes of an entry: tag (2), type (2), count (8), offset (8).
    file.seek(SeekFrom::Start(entry + 4))?;
    let mut place = [0; 16];
    place[..8].copy_from_slice(&(text.len() as u64 + 1).to_ne_bytes());
    place[8..].copy_from_slice(&end.to_ne_bytes());
    file.write_all(&place)?;
    file.flush()
}

/// The offset of the entry of a tag in the first directory.
pub(super) fn find_entry(file: &mut File, tag: u16) -> std::io::Result<u64> {
    file.seek(SeekFrom::Start(8))?;
    let directory = u64::from_ne_bytes(read(file)?);
    file.seek(SeekFrom::Start(directory))?;
    let entries = u64::from_ne_bytes(read(file)?);
    for at in (0..entries).map(|number| directory + 8 + 20 * number) {
        file.seek(SeekFrom::Start(at))?;
        if u16::from_ne_bytes(read(file)?) == tag {
            return Ok(at);
        }
    }
    Err(std::io::Error::other("the first page has no description"))
}

fn read<const N: usize>(file: &mut File) -> std::io::Result<[u8; N]> {
    let mut bytes = [0; N];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}
