//! The files of an OME-Zarr folder: each file gets its name only when it is complete.
//!
//! What is in the files is decided in the other files of this folder.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use zarrs::storage::{
    Bytes, OffsetBytesIterator, StorageError, StoreKey, StorePrefix, WritableStorageTraits,
};

/// A folder that `zarrs` writes into. Each file is written under another name and then renamed, so a
/// reader, and a process that is killed, finds the old file or the new one.
pub(super) struct Store {
    root: PathBuf,
    bytes: AtomicU64,
}

impl Store {
    pub(super) fn new(root: &Path) -> Arc<Self> {
        Arc::new(Self { root: root.to_owned(), bytes: AtomicU64::new(0) })
    }

    pub(super) fn path(&self, key: &StoreKey) -> PathBuf {
        self.root.join(key.as_str())
    }

    /// The bytes of all files that were written.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    fn write(&self, key: &StoreKey, bytes: &[u8]) -> std::io::Result<()> {
        let path = self.path(key);
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        // The folder of most files exists.
        let mut file = match File::create(&part) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
                File::create(&part)?
            }
            created => created?,
        };
        // The file that is replaced, if there is one.
        let before = std::fs::metadata(&path).map_or(0, |file| file.len());
        let written = file.write_all(bytes).and_then(|()| std::fs::rename(&part, &path));
        match written {
            Ok(()) => {
                self.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                self.bytes.fetch_sub(before, Ordering::Relaxed);
            }
            Err(_) => {
                // The reason is in `written`.
                let _ = std::fs::remove_file(&part);
            }
        }
        written
    }
}

impl WritableStorageTraits for Store {
    fn set(&self, key: &StoreKey, value: Bytes) -> Result<(), StorageError> {
        self.write(key, &value).map_err(|error| StorageError::IOError(Arc::new(error)))
    }

    fn set_partial_many(
        &self,
        key: &StoreKey,
        _offset_values: OffsetBytesIterator,
    ) -> Result<(), StorageError> {
        Err(StorageError::Unsupported(format!("{key} is written as a whole")))
    }

    fn erase(&self, key: &StoreKey) -> Result<(), StorageError> {
        match std::fs::remove_file(self.path(key)) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(StorageError::IOError(Arc::new(error)))
            }
            _ => Ok(()),
        }
    }

    fn erase_prefix(&self, prefix: &StorePrefix) -> Result<(), StorageError> {
        Err(StorageError::Unsupported(format!("no folder is removed: {prefix}")))
    }

    fn supports_set_partial(&self) -> bool {
        false
    }
}

/// The right to write into an OME-Zarr folder, until it is dropped or the process ends.
#[derive(Debug)]
pub(super) struct Lock {
    /// The open folder has the lock.
    #[cfg(unix)]
    _folder: Option<File>,
}

impl Lock {
    /// `None` if another writer has the right. A file system without locks gives it to everybody.
    #[cfg(unix)]
    #[allow(clippy::incompatible_msrv)] // The feature `ome-zarr` needs Rust 1.91.
    pub(super) fn take(folder: &Path) -> std::io::Result<Option<Self>> {
        let opened = File::open(folder)?;
        Ok(match opened.try_lock() {
            Ok(()) => Some(Self { _folder: Some(opened) }),
            Err(std::fs::TryLockError::WouldBlock) => None,
            Err(std::fs::TryLockError::Error(_)) => Some(Self { _folder: None }),
        })
    }

    /// A folder cannot be locked here.
    #[cfg(not(unix))]
    pub(super) fn take(_folder: &Path) -> std::io::Result<Option<Self>> {
        Ok(Some(Self {}))
    }
}
