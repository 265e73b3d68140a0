//! A temporary folder that is removed at the end of its test.

use std::path::PathBuf;

pub struct Folder(pub PathBuf);

impl Folder {
    /// Creates the folder of the test `name`.
    pub fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("flamingo-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    /// Writes a file into the folder and gives its path.
    pub fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    pub fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    /// The paths of all files in the folder, sorted.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut files: Vec<_> =
            std::fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // An error here must not hide the failure of the test.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
