//! Chooses the file: one file, or a folder in which new files begin by size and age, and the oldest
//! are removed. What is in the file is `pcapng.rs`.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::lock::{Lock, lock_file, lock_whole_folder, share_folder};

/// Begins the name of each file in a folder.
const PREFIX: &str = "flamingo-";
const SUFFIX: &str = ".pcapng";

/// When the next file of a folder begins, and how many files are kept.
///
/// ```
/// use flamingo_recording::Rotation;
/// let rotation = Rotation::default().keep(10);
/// assert_eq!((rotation.bytes, rotation.age.as_secs()), (256_000_000, 3_600));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rotation {
    /// A file of that many bytes is followed by the next one: 256 MB by default.
    pub bytes: u64,
    /// A file that was begun that long ago is followed by the next one: 1 h by default.
    pub age: Duration,
    /// How many files are kept, the current one included: 48 by default. The current file is never
    /// removed.
    pub keep: usize,
}

impl Default for Rotation {
    fn default() -> Self {
        Self { bytes: 256_000_000, age: Duration::from_secs(3_600), keep: 48 }
    }
}

impl Rotation {
    /// Sets the length in bytes after which the next file begins.
    #[must_use]
    pub const fn bytes(mut self, bytes: u64) -> Self {
        self.bytes = bytes;
        self
    }

    /// Sets the age after which the next file begins.
    #[must_use]
    pub const fn age(mut self, age: Duration) -> Self {
        self.age = age;
        self
    }

    /// Sets how many files are kept.
    #[must_use]
    pub const fn keep(mut self, files: usize) -> Self {
        self.keep = files;
        self
    }
}

/// The destination of a recording.
pub(super) enum Files {
    /// One file or writer. The writer is taken when the file begins.
    One {
        path: Option<PathBuf>,
        writer: Option<Box<dyn Write + Send>>,
        /// Its folder.
        #[allow(dead_code)] // only held
        lock: Option<Lock>,
    },
    Many {
        folder: PathBuf,
        rotation: Rotation,
        #[allow(dead_code)] // only held
        lock: Option<Lock>,
    },
}

impl Files {
    pub(super) fn one(path: &Path) -> io::Result<Self> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let lock = share_folder(folder.unwrap_or(Path::new(".")))?;
        let file = File::options().write(true).create(true).truncate(false).open(path)?;
        // A device or a pipe may have several writers.
        if file.metadata()?.is_file() {
            lock_file(&file, path)?;
            file.set_len(0)?;
        }
        Ok(Self::One { path: Some(path.into()), writer: Some(Box::new(file)), lock })
    }

    pub(super) fn writer(writer: Box<dyn Write + Send>) -> Self {
        Self::One { path: None, writer: Some(writer), lock: None }
    }

    pub(super) fn many(folder: &Path, rotation: Rotation) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let lock = lock_whole_folder(folder)?;
        Ok(Self::Many { folder: folder.into(), rotation, lock })
    }

    /// Whether a file of this length in bytes and of this age must be followed by the next one.
    pub(super) fn is_due(&self, length: u64, age: Duration) -> bool {
        match self {
            Self::One { .. } => false,
            Self::Many { rotation, .. } => length >= rotation.bytes || age >= rotation.age,
        }
    }

    /// Begins the next file. Its name is the time.
    pub(super) fn next(
        &mut self,
        now: Duration,
    ) -> io::Result<(Option<PathBuf>, Box<dyn Write + Send>)> {
        match self {
            Self::One { path, writer, .. } => {
                let writer = writer.take().ok_or(io::ErrorKind::AlreadyExists)?;
                Ok((path.clone(), writer))
            }
            Self::Many { folder, rotation, .. } => {
                let (path, file) = create(folder, now)?;
                remove_oldest(folder, rotation.keep, &path);
                Ok((Some(path), Box::new(file)))
            }
        }
    }
}

/// Creates a file that does not exist yet: two files may begin in the same microsecond.
fn create(folder: &Path, mut now: Duration) -> io::Result<(PathBuf, File)> {
    loop {
        let path = folder.join(name(now));
        match File::create_new(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                now += Duration::from_micros(1);
            }
            file => return file.map(|file| (path, file)),
        }
    }
}

/// Sorted by name, files are sorted by time.
fn name(now: Duration) -> String {
    let time = humantime::format_rfc3339_micros(SystemTime::UNIX_EPOCH + now).to_string();
    format!("{PREFIX}{}{SUFFIX}", time.replace(':', "-"))
}

/// Removes the oldest files whose names have the form that [`name`] gives, and no others. A file that
/// cannot be removed stays.
fn remove_oldest(folder: &Path, keep: usize, current: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).filter(is_ours).collect();
    files.sort();
    let surplus = files.len().saturating_sub(keep.max(1));
    // If the clock was set back, the newest file is not the last one.
    for path in files.into_iter().filter(|path| path != current).take(surplus) {
        if let Err(error) = fs::remove_file(&path) {
            tracing::warn!(file = %path.display(), %error, "cannot remove an old recording");
        }
    }
}

#[allow(clippy::ptr_arg)] // `filter` passes it
fn is_ours(path: &PathBuf) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    let time = name.and_then(|name| name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX));
    let Some((date, clock)) = time.and_then(|time| time.split_once('T')) else { return false };
    humantime::parse_rfc3339(&format!("{date}T{}", clock.replace('-', ":"))).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_current_file_stays_even_if_the_clock_was_set_back() {
        let folder = std::env::temp_dir().join(format!("flamingo-clock-{}", std::process::id()));
        let rotation = Rotation { bytes: 1, age: Duration::MAX, keep: 2 };
        let mut files = Files::many(&folder, rotation).unwrap();
        for second in [100, 200, 300, 50] {
            let (path, _) = files.next(Duration::from_secs(second)).unwrap();
            assert!(path.is_some_and(|path| path.exists()), "{second}");
        }
        let left = fs::read_dir(&folder).unwrap().count();
        fs::remove_dir_all(folder).unwrap();
        assert_eq!(left, 2);
    }

    #[test]
    fn file_names_sort_by_time_and_other_files_are_not_ours() {
        let [early, late] = [1_700_000_000, 1_800_000_000].map(Duration::from_secs).map(name);
        assert_eq!(early, "flamingo-2023-11-14T22-13-20.000000Z.pcapng");
        assert!(early < late);
        assert!(is_ours(&PathBuf::from("x").join(early)));
        for other in ["flamingo-notes.pcapng", "flamingo-2023T1.pcapng", "run.pcapng", "flamingo-"]
        {
            assert!(!is_ours(&PathBuf::from(other)), "{other}");
        }
    }
}
