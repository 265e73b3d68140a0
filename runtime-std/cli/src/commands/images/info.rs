//! `flamingo images info`: what a file says about itself, what its pixels are, and a picture.
//!
//! What is known about its planes is in `facts.rs`, its pixels in `pixels.rs`.

use std::path::PathBuf;

use clap::Args;
use flamingo_microscope::image_file::{Description, ImageFile, ReadError};
use flamingo_microscope::preview::stretched;
use serde::Serialize;

use super::facts::{SeriesJson, dropped};
use super::pixels::{HistogramJson, Pixels};
use crate::failure::{CommandResult, Failure, PROTOCOL, USAGE};
use crate::output::{Out, counted};
use crate::terminal_picture::TerminalPicture;

/// Print what an image file contains, and show one of its images
///
/// Reads OME-TIFF, TIFF, PNG and OME-Zarr, one page at a time: shape, axes, scale, channels, times, gaps,
/// images that were dropped, positions, and the range of the pixels. Without --json it ends with a picture of
/// one page: in colours on a terminal, as plain text in a pipe. A page of an OME-Zarr is a plane.
#[derive(Debug, Args)]
pub(crate) struct InfoArgs {
    /// The file, or the folder of an OME-Zarr image
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Read the pixels of this many pages, spread over the file
    #[arg(long, value_name = "N", default_value_t = 32, conflicts_with = "all")]
    pages: usize,

    /// Read the pixels of every page
    #[arg(long)]
    all: bool,

    /// Print how often values occur
    #[arg(long)]
    histogram: bool,

    /// The page that is shown, from 0
    #[arg(long, value_name = "N", default_value_t = 0)]
    page: usize,
}

/// The JSON of a file.
#[derive(Serialize)]
struct InfoJson {
    file: String,
    format: &'static str,
    width: u32,
    height: u32,
    pixel_type: String,
    pages: usize,
    finished: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    cut_off: Option<String>,
    series: Vec<SeriesJson>,
    /// `None`: the images have no numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    dropped: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rotation_deg: Option<[f64; 2]>,
    notes: Vec<String>,
    pages_read: usize,
    min: Option<u16>,
    max: Option<u16>,
    mean: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    histogram: Option<HistogramJson>,
}

fn failed(error: &ReadError) -> Failure {
    let code = if matches!(error, ReadError::Broken { .. }) { PROTOCOL } else { USAGE };
    Failure::new(code, error.to_string())
}

pub(super) fn run(args: &InfoArgs, out: &mut Out) -> CommandResult {
    let mut file = ImageFile::open(&args.file).map_err(|error| failed(&error))?;
    let count = file.description().pages;
    if args.page >= count {
        let message = format!("--page: expected 0 to {}, found {}", count - 1, args.page);
        return Err(Failure::usage(message));
    }
    let wanted = if args.all { count } else { args.pages };
    let (pixels, read) = Pixels::of(&mut file, wanted);
    let info = InfoJson::of(args, file.description(), &pixels);
    out.either(&info, || info.text(&pixels))?;
    read.map_err(|error| failed(&error))?;
    if !out.json() {
        show(&mut file, args.page, out)?;
    }
    match &file.description().cut_off {
        None => Ok(()),
        Some(reason) => {
            let file = args.file.display();
            let message = format!(
                "{file}: the file is cut off or damaged after page {}: {reason}",
                count - 1
            );
            Err(Failure::new(PROTOCOL, message))
        }
    }
}

/// Draws a page: in colours on a terminal, otherwise as plain text.
fn show(file: &mut ImageFile, page: usize, out: &mut Out) -> CommandResult {
    let page = file.page(page).map_err(|error| failed(&error))?;
    let Some(pixels) = page.pixels else { return Ok(()) };
    let grey = stretched(&pixels);
    out.bytes(TerminalPicture { width: page.width as usize, grey: &grey }.fitted().as_bytes())
}

impl InfoJson {
    fn of(args: &InfoArgs, found: &Description, pixels: &Pixels) -> Self {
        let series = found.series.iter();
        Self {
            file: args.file.display().to_string(),
            format: found.format,
            width: found.width,
            height: found.height,
            pixel_type: found.pixel_type.clone(),
            pages: found.pages,
            finished: !found.unfinished,
            cut_off: found.cut_off.clone(),
            series: series.map(|series| SeriesJson::of(series, found)).collect(),
            dropped: dropped(&found.series),
            rotation_deg: found.rotation_deg.map(|(low, high)| [low, high]),
            notes: found.notes.clone(),
            pages_read: pixels.pages,
            min: pixels.range().map(|(min, _)| min),
            max: pixels.range().map(|(_, max)| max),
            mean: pixels.mean(),
            histogram: args.histogram.then(|| pixels.histogram()).flatten(),
        }
    }

    fn text(&self, pixels: &Pixels) -> String {
        let Self { file, format, width, height, pixel_type, pages, .. } = self;
        let mut lines = vec![format!(
            "{file}: {format}, {} of {width} x {height}, {pixel_type}",
            counted(*pages, "page")
        )];
        if !self.finished {
            let what = "not finished: the recording was cut off; these pages are complete";
            lines.push(what.to_owned());
        }
        for (at, series) in self.series.iter().enumerate() {
            if self.series.len() > 1 {
                lines.push(format!("series {at}{}", series.title()));
            }
            lines.extend(series.lines());
        }
        if let Some(dropped) = self.dropped {
            lines.push(format!("dropped: {}", counted(dropped, "image")));
        }
        if let Some([low, high]) = self.rotation_deg {
            let to = if low < high { format!(" to {high}") } else { String::new() };
            lines.push(format!("rotation: {low}{to} degrees"));
        }
        lines.extend(self.notes.iter().map(|note| format!("note: {note}")));
        let read = if pixels.pages == *pages {
            String::new()
        } else {
            format!(" (of {} of {pages} pages; --all reads all)", pixels.pages)
        };
        lines.push(match (pixels.range(), self.mean) {
            (Some((min, max)), Some(mean)) => {
                format!("pixels: min {min}, max {max}, mean {mean:.1}{read}")
            }
            _ => "pixels: not read: expected grey values of 8 or 16 bits without sign".to_owned(),
        });
        lines.extend(self.histogram.iter().flat_map(HistogramJson::lines));
        let mut text = lines.join("\n");
        // Names in a file must not move the cursor of a terminal.
        text.retain(|character| character == '\n' || !character.is_control());
        text
    }
}
