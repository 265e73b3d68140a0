//! The file of the plot. It gets its name only when it is complete, so a race that ends early leaves the old file as
//! it was. The drawing is in `plot.rs`.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::RaceError;
use super::plot::{self, Series};

/// A file that can be written, as far as this is known before the race.
pub(super) struct PlotFile<'a> {
    file: &'a Path,
    overwrite: bool,
}

impl<'a> PlotFile<'a> {
    /// # Errors
    /// [`RaceError::Refused`]: the file exists and may not be replaced, or its folder cannot be written.
    pub(super) fn check(file: &'a Path, overwrite: bool) -> Result<Self, RaceError> {
        let plot = Self { file, overwrite };
        plot.check_name()?;
        let part = plot.part();
        File::create(&part)
            .and_then(|created| {
                drop(created);
                std::fs::remove_file(&part)
            })
            .map_err(|error| RaceError::Refused(plot.not_drawn(&error)))?;
        Ok(plot)
    }

    fn check_name(&self) -> Result<(), RaceError> {
        let name = self.file.display();
        match self.file.metadata() {
            Ok(found) if !found.is_file() => {
                Err(RaceError::Refused(format!("expected the name of a file, found {name}")))
            }
            Ok(_) if !self.overwrite => {
                Err(RaceError::Refused(format!("{name} exists already; --overwrite replaces it")))
            }
            _ => Ok(()),
        }
    }

    /// The name until the file is complete.
    fn part(&self) -> PathBuf {
        let mut name = self.file.as_os_str().to_owned();
        name.push(format!(".{}.part", std::process::id()));
        name.into()
    }

    /// Draws the plot; returns the name of its file.
    pub(super) fn draw(self, series: &[Series]) -> Result<PathBuf, RaceError> {
        let failed = |error: &dyn std::fmt::Display| RaceError::Failed(self.not_drawn(error));
        let is_png = self.file.extension().is_some_and(|it| it.eq_ignore_ascii_case("png"));
        let drawn =
            if is_png { plot::png(series) } else { plot::svg(series).map(String::into_bytes) };
        let bytes = drawn.map_err(|error| failed(&error))?;
        // Another program may have written it during the race.
        self.check_name()?;
        let part = self.part();
        let written = File::create(&part).and_then(|mut created| {
            created.write_all(&bytes)?;
            std::fs::rename(&part, self.file)
        });
        if let Err(error) = written {
            // It may not be there.
            let _ = std::fs::remove_file(&part);
            return Err(failed(&error));
        }
        Ok(self.file.to_owned())
    }

    fn not_drawn(&self, error: &dyn std::fmt::Display) -> String {
        format!("cannot draw {}: {error}", self.file.display())
    }
}
