//! Writes live images into a folder: one file per image, or one file for all of them.

use std::path::{Path, PathBuf};

use flamingo_microscope::image_file::{
    ImageFacts, ImageFileError, OmeTiff, Picture, Sequence, write_png, write_tiff,
};
use flamingo_microscope::live::LiveImage;
use flamingo_runtime_std::Clock;

use super::Format;
use crate::failure::{CommandResult, Failure, PROTOCOL};
use crate::output::rfc3339;

pub(super) struct Sink {
    folder: PathBuf,
    format: Format,
    /// The beginning of each file name.
    name: String,
    movie: Option<OmeTiff>,
}

impl Sink {
    /// Creates the folder, if it does not exist.
    pub(super) fn create(folder: &Path, format: Format) -> CommandResult<Self> {
        std::fs::create_dir_all(folder).map_err(|error| {
            Failure::usage(format!("cannot create the folder {}: {error}", folder.display()))
        })?;
        // Not every file system accepts colons.
        let name = format!("live-{}", rfc3339(Clock::wall()).replace([':', '.'], "-"));
        Ok(Self { folder: folder.to_owned(), format, name, movie: None })
    }

    /// Writes an image; returns its file.
    pub(super) fn write(
        &mut self,
        image: &LiveImage,
        facts: &ImageFacts,
    ) -> CommandResult<PathBuf> {
        let header = &image.header;
        let picture = Picture::new(header.width, header.height, image.pixels());
        let picture = picture.ok_or_else(|| {
            let size = format!("{} x {}", header.width, header.height);
            Failure::new(PROTOCOL, format!("image of {size} with {} pixels", image.pixels().len()))
        })?;
        let single_file =
            |extension| self.folder.join(format!("{}-{:06}.{extension}", self.name, image.number));
        match self.format {
            Format::Png => {
                let path = single_file("png");
                write_png(&path, &picture, facts).map_err(|error| failed(&error))?;
                Ok(path)
            }
            Format::Tiff => {
                let path = single_file("tif");
                write_tiff(&path, &picture, facts).map_err(|error| failed(&error))?;
                Ok(path)
            }
            Format::OmeTiff => {
                let path = self.folder.join(format!("{}.ome.tif", self.name));
                let movie = match &mut self.movie {
                    Some(movie) => movie,
                    none => none.insert(
                        OmeTiff::create(&path, Sequence::Time).map_err(|error| failed(&error))?,
                    ),
                };
                movie.add(&picture, facts).map_err(|error| failed(&error))?;
                Ok(path)
            }
        }
    }

    /// The file for all images, if it has begun.
    pub(super) fn file(&self) -> Option<&Path> {
        self.movie.as_ref().map(OmeTiff::path)
    }

    /// Completes the file for all images.
    pub(super) fn finish(mut self) -> CommandResult {
        self.movie.take().map_or(Ok(()), |movie| movie.finish().map_err(|error| failed(&error)))
    }
}

impl Drop for Sink {
    /// After Ctrl-C the file is completed too, so that it can be read.
    fn drop(&mut self) {
        if let Some(movie) = self.movie.take()
            && let Err(error) = movie.finish()
        {
            crate::failure::note(&format!("warning: {error}"));
        }
    }
}

fn failed(error: &ImageFileError) -> Failure {
    Failure::new(1, error.to_string())
}
