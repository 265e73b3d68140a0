//! Where a recording goes: one file, or a folder in which new files begin by size and by age, and
//! the oldest go.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Begins the name of each file in a folder.
const PREFIX: &str = "flamingo-";
const SUFFIX: &str = ".pcapng";

/// When the next file begins, and how many stay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    /// A file of so many bytes is long enough.
    pub bytes: u64,
    /// A file that was begun so long ago is old enough.
    pub age: Duration,
    /// So many of the files stay, the one that is written included, which always stays.
    pub keep: usize,
}

/// Where the bytes go.
pub(super) enum Files {
    /// Taken when it is begun: there is only one.
    One {
        path: Option<PathBuf>,
        writer: Option<Box<dyn Write + Send>>,
    },
    Many {
        folder: PathBuf,
        rotation: Rotation,
    },
}

impl Files {
    pub(super) fn one(path: &Path) -> io::Result<Self> {
        let writer: Box<dyn Write + Send> = Box::new(File::create(path)?);
        Ok(Self::One { path: Some(path.into()), writer: Some(writer) })
    }

    pub(super) fn writer(writer: Box<dyn Write + Send>) -> Self {
        Self::One { path: None, writer: Some(writer) }
    }

    pub(super) fn many(folder: &Path, rotation: Rotation) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        Ok(Self::Many { folder: folder.into(), rotation })
    }

    /// Whether a file of this length and age is to be followed by another.
    pub(super) fn is_due(&self, length: u64, age: Duration) -> bool {
        match self {
            Self::One { .. } => false,
            Self::Many { rotation, .. } => length >= rotation.bytes || age >= rotation.age,
        }
    }

    /// Begins the next file, named after the time.
    pub(super) fn next(
        &mut self,
        now: Duration,
    ) -> io::Result<(Option<PathBuf>, Box<dyn Write + Send>)> {
        match self {
            Self::One { path, writer } => {
                let writer = writer.take().ok_or(io::ErrorKind::AlreadyExists)?;
                Ok((path.clone(), writer))
            }
            Self::Many { folder, rotation } => {
                let (path, file) = create(folder, now)?;
                remove_oldest(folder, rotation.keep, &path);
                Ok((Some(path), Box::new(file)))
            }
        }
    }
}

/// Never one that is there: two bridges may record into one folder.
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

/// In the order of the names, files are in the order of their times.
fn name(now: Duration) -> String {
    let time = humantime::format_rfc3339_micros(SystemTime::UNIX_EPOCH + now).to_string();
    format!("{PREFIX}{}{SUFFIX}", time.replace(':', "-"))
}

/// Only files that have the form of our names are ever removed. TapEvent cannot be removed stays.
fn remove_oldest(folder: &Path, keep: usize, current: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).filter(is_ours).collect();
    files.sort();
    let surplus = files.len().saturating_sub(keep.max(1));
    // The clock may have been put back: then the newest is not the last.
    for path in files.into_iter().filter(|path| path != current).take(surplus) {
        if let Err(error) = fs::remove_file(&path) {
            tracing::warn!(file = %path.display(), %error, "an old recording cannot be removed");
        }
    }
}

#[allow(clippy::ptr_arg)] // what a filter gives
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
    fn the_file_that_is_written_stays_even_if_the_clock_was_put_back() {
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
    fn names_sort_by_time_and_only_they_are_ours() {
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
