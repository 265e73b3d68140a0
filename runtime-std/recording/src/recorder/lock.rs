//! Locks, so that two programs do not record into one file, and that nothing else records into a folder
//! whose old files are removed. The operating system ends a lock with the program, also after a crash.

use std::fs::File;
use std::io;
use std::path::Path;

/// Holds a lock until it is dropped.
pub(super) struct Lock {
    #[allow(dead_code)] // only held
    file: File,
}

/// Locks a folder for a recording that removes its old files.
pub(super) fn lock_whole_folder(folder: &Path) -> io::Result<Option<Lock>> {
    lock_folder(folder, true)
}

/// Locks a folder for one file of a recording. Others may record into other files.
pub(super) fn share_folder(folder: &Path) -> io::Result<Option<Lock>> {
    lock_folder(folder, false)
}

#[cfg(unix)]
fn lock_folder(folder: &Path, whole: bool) -> io::Result<Option<Lock>> {
    let Ok(file) = File::open(folder) else {
        // It may be written, but not read.
        return Ok(None);
    };
    match try_lock(&file, whole) {
        Ok(()) => Ok(Some(Lock { file })),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(in_use(folder, whole)),
        Err(error) => {
            let folder = folder.display();
            tracing::warn!(%folder, %error, "the file system cannot lock this folder");
            Ok(None)
        }
    }
}

/// Locks a file that is being recorded. A device or a pipe may have several writers.
#[cfg(unix)]
pub(super) fn lock_file(file: &File, path: &Path) -> io::Result<()> {
    match try_lock(file, true) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            let text = format!("another recording writes {}: choose another file", path.display());
            Err(io::Error::new(io::ErrorKind::ResourceBusy, text))
        }
        // The file system cannot lock it.
        _ => Ok(()),
    }
}

#[cfg(unix)]
fn try_lock(file: &File, exclusive: bool) -> io::Result<()> {
    use rustix::fs::{FlockOperation, flock};
    let operation = if exclusive {
        FlockOperation::NonBlockingLockExclusive
    } else {
        FlockOperation::NonBlockingLockShared
    };
    flock(file, operation).map_err(io::Error::from)
}

/// Windows cannot lock a folder: a file in it takes its place, which only one program can open.
#[cfg(windows)]
fn lock_folder(folder: &Path, whole: bool) -> io::Result<Option<Lock>> {
    use std::os::windows::fs::OpenOptionsExt;
    const SHARING_VIOLATION: i32 = 32;
    if !whole {
        return Ok(None);
    }
    let mut options = File::options();
    options.write(true).create(true).truncate(false).share_mode(0);
    match options.open(folder.join(".flamingo-lock")) {
        Ok(file) => Ok(Some(Lock { file })),
        Err(error) if error.raw_os_error() == Some(SHARING_VIOLATION) => Err(in_use(folder, whole)),
        Err(error) => Err(error),
    }
}

#[cfg(not(any(unix, windows)))]
fn lock_folder(_: &Path, _: bool) -> io::Result<Option<Lock>> {
    Ok(None)
}

#[cfg(not(unix))]
pub(super) fn lock_file(_: &File, _: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(any(unix, windows))]
fn in_use(folder: &Path, whole: bool) -> io::Error {
    let who = if whole {
        "another bridge or recording uses"
    } else {
        "a bridge records into, and removes old files of,"
    };
    let text = format!("{who} the folder {}: choose another folder", folder.display());
    io::Error::new(io::ErrorKind::ResourceBusy, text)
}
