//! Files for results: an existing one is replaced only with `--overwrite`. Files of images, which are never
//! replaced, are in `flamingo-microscope`.

use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::path::Path;

use clap::Args;

use crate::failure::{CommandResult, Failure};

/// The option of every command that may replace a file.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct OverwriteArg {
    /// Replace an existing file
    #[arg(long)]
    overwrite: bool,
}

impl OverwriteArg {
    /// Refuses a file that exists, unless it may be replaced. A device or a pipe is no such file. `what` is the
    /// command or the option that names the file.
    pub(crate) fn check(self, what: &str, file: &Path) -> CommandResult {
        let exists = file.metadata().is_ok_and(|found| found.is_file());
        if exists && !self.overwrite { Err(exists_already(what, file)) } else { Ok(()) }
    }

    /// Creates the file, or empties the file that may be replaced.
    pub(crate) fn create(self, what: &str, file: &Path) -> CommandResult<File> {
        let mut options = OpenOptions::new();
        options.write(true);
        if self.overwrite {
            options.create(true).truncate(true);
        } else {
            options.create_new(true);
        }
        options.open(file).map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => exists_already(what, file),
            _ => Failure::usage(format!("{what}: cannot write {}: {error}", file.display())),
        })
    }
}

fn exists_already(what: &str, file: &Path) -> Failure {
    let file = file.display();
    Failure::usage(format!("{what}: {file} exists already; --overwrite replaces it"))
}
