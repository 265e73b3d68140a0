//! OME-Zarr 0.5: a folder with many images of one size, which grows while it is written.
//!
//! This file decides when the images are counted. The other files: `writer.rs` what an image changes,
//! `layout.rs` chunks and shards, `shards.rs` the pixels, `tables.rs` time and position of each plane, `metadata.rs` the
//! attributes, `store.rs` the files, `pyramid.rs` the smaller levels, `checked_array.rs` reading.

mod checked_array;
mod layout;
mod metadata;
mod pyramid;
mod shards;
mod store;
mod tables;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::{ImageFacts, ImageFileError, Picture, Sequence};
pub(super) use checked_array::CheckedArray;
pub(super) use layout::AXES;
pub use pyramid::{Pyramid, write_pyramid};
use store::Lock;
use writer::Writer;

/// The interval at which the images that were added are counted.
const COUNT_EVERY: Duration = Duration::from_secs(1);

/// Why a part was not written.
type Reason = Box<dyn std::error::Error + Send + Sync>;

/// An OME-Zarr folder that is being written. The images of each camera ([`ImageFacts::camera`]) are a
/// channel of their own.
///
/// Images that were added are counted within a second. A folder that is not finished, because the
/// process was killed or the value dropped, opens with all images that were counted. Smaller levels are
/// a step of their own: [`write_pyramid`].
///
/// ```
/// use std::time::SystemTime;
/// use flamingo_microscope::image_file::{ImageFacts, OmeZarr, Picture, Sequence};
/// use flamingo_microscope::units::MmPerPixel;
/// # let path = std::env::temp_dir().join(format!("flamingo-doc-{}.ome.zarr", std::process::id()));
/// let facts = ImageFacts::at(SystemTime::UNIX_EPOCH).pixel_size(MmPerPixel(0.000_253));
/// let mut movie = OmeZarr::create(&path, Sequence::Time)?;
/// for level in 0..3 {
///     movie.add(&Picture::new(4, 2, &[level; 8]).unwrap(), &facts)?;
/// }
/// movie.finish()?;
/// # std::fs::remove_dir_all(&path).unwrap();
/// # Ok::<(), flamingo_microscope::image_file::ImageFileError>(())
/// ```
#[derive(Debug)]
pub struct OmeZarr {
    path: PathBuf,
    shared: Arc<Shared>,
    ticker: Option<JoinHandle<()>>,
}

/// What the thread that counts shares with the writer.
struct Shared {
    writer: Mutex<Writer>,
    /// An interval has passed since the images were counted. It is no part of `writer`, because a caller
    /// that adds images without a pause holds that lock most of the time.
    due: AtomicBool,
    closed: Mutex<bool>,
    end: Condvar,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("due", &self.due).finish_non_exhaustive()
    }
}

impl OmeZarr {
    /// Creates a folder. An existing folder is never written into. [`Sequence::Positions`] is one stack: a plane
    /// for each image, in the order in which they came. Its step is the mean step of the positions.
    ///
    /// # Errors
    /// [`ImageFileError`]: the folder exists, or cannot be created.
    pub fn create(path: &Path, sequence: Sequence) -> Result<Self, ImageFileError> {
        let failed = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => {
                ImageFileError::new(path, &"it exists already; choose another name")
            }
            _ => ImageFileError::new(path, &error),
        };
        std::fs::create_dir(path).map_err(failed)?;
        let lock = Lock::take(path).map_err(failed)?;
        let writer = Mutex::new(Writer::new(path, sequence, lock));
        let shared = Arc::new(Shared {
            writer,
            due: AtomicBool::new(false),
            closed: Mutex::new(false),
            end: Condvar::new(),
        });
        let counter = Arc::clone(&shared);
        let ticker = std::thread::Builder::new().name("ome-zarr".to_owned());
        let ticker = ticker.spawn(move || counter.count_images()).map_err(failed)?;
        Ok(Self { path: path.to_owned(), shared, ticker: Some(ticker) })
    }

    /// Adds an image. All images of a folder must have the size of the first one.
    ///
    /// # Errors
    /// [`ImageFileError`]: another size, more than 16 cameras, a full disk. The image is not in the
    /// folder. A full disk can be reported for the images before this one.
    pub fn add(&mut self, picture: &Picture, facts: &ImageFacts) -> Result<(), ImageFileError> {
        let mut writer = self.shared.writer();
        let result = match writer.failed.take() {
            Some(reason) => Err(reason.into()),
            None => writer.add(picture, facts),
        };
        let result = result.and_then(|()| {
            let first = writer.planes == 1;
            if self.shared.due.swap(false, Ordering::Relaxed) || first {
                writer.count(false)?;
            }
            Ok(())
        });
        result.map_err(|reason| ImageFileError::new(&self.path, &reason))
    }

    /// Gives a name to the channel of a camera; best before its first image. Without a name it is called
    /// by its index. A camera without images has no channel.
    pub fn name_camera(&mut self, camera: u32, name: &str) {
        self.shared.writer().names.insert(camera, name.to_owned());
    }

    /// Counts all images that were added: from now on a reader finds them, also if the process is killed.
    ///
    /// # Errors
    /// [`ImageFileError`]: a full disk.
    pub fn count(&mut self) -> Result<(), ImageFileError> {
        let counted = self.shared.writer().count(false);
        counted.map_err(|reason| ImageFileError::new(&self.path, &reason))
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The number of images that were added.
    #[must_use]
    pub fn planes(&self) -> u64 {
        self.shared.writer().planes
    }

    /// The bytes of its files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.shared.writer().store.bytes()
    }

    /// Writes what is not written yet. A folder without images is removed.
    ///
    /// # Errors
    /// [`ImageFileError`]: the end was not written; the images that were counted remain in the folder.
    pub fn finish(mut self) -> Result<(), ImageFileError> {
        self.close();
        let mut writer = self.shared.writer();
        let failed = |reason: Reason| ImageFileError::new(&self.path, &reason);
        let before = writer.failed.take().map(Reason::from);
        if writer.planes == 0 {
            // Only this program has written into the folder.
            let removed = std::fs::remove_dir_all(&self.path).map_err(Reason::from);
            return before.map_or(removed, Err).map_err(failed);
        }
        // There may be space again for what was not counted.
        let counted = writer.count(true);
        before.map_or(counted, Err).map_err(failed)
    }

    /// Ends the thread that counts.
    fn close(&mut self) {
        *self.shared.closed.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.shared.end.notify_all();
        if let Some(ticker) = self.ticker.take() {
            // A panic there has been printed.
            let _ = ticker.join();
        }
    }
}

impl Drop for OmeZarr {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts the images at each interval, until the folder is closed.
    fn count_images(&self) {
        loop {
            let closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
            let wait = self.end.wait_timeout_while(closed, COUNT_EVERY, |closed| !*closed);
            if *wait.unwrap_or_else(PoisonError::into_inner).0 {
                return;
            }
            self.due.store(true, Ordering::Relaxed);
            let mut writer = self.writer();
            if self.due.swap(false, Ordering::Relaxed)
                && let Err(reason) = writer.count(false)
            {
                writer.failed = Some(reason.to_string());
            }
        }
    }
}

#[cfg(test)]
mod tests;
