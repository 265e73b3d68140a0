//! TIFF: one page, uncompressed, with its resolution and time.

use std::io::{Seek, Write};

use tiff::TiffResult;
use tiff::encoder::colortype::Gray16;
use tiff::encoder::{DirectoryEncoder, Rational, TiffEncoder, TiffKind};
use tiff::tags::{ResolutionUnit, Tag};

use super::{ImageFacts, Picture, pixels_per_metre};

pub(super) fn write(
    file: impl Write + Seek,
    picture: &Picture,
    facts: &ImageFacts,
) -> TiffResult<()> {
    let mut encoder = TiffEncoder::new(file)?;
    page(&mut encoder, picture, facts, |directory| match description(facts) {
        Some(text) => directory.write_tag(Tag::ImageDescription, text.as_str()),
        None => Ok(()),
    })
}

/// The facts that TIFF has no tags for, line by line.
fn description(facts: &ImageFacts) -> Option<String> {
    let camera = facts.camera.map(|camera| format!("camera {camera}"));
    let step = facts.clock_step.map(|step| step.to_string());
    let number = facts.number.map(|number| format!("image {number}"));
    let lines: Vec<_> = camera.into_iter().chain(number).chain(step).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// Adds a page; the caller may add more tags.
pub(super) fn page<W: Write + Seek, K: TiffKind>(
    encoder: &mut TiffEncoder<W, K>,
    picture: &Picture,
    facts: &ImageFacts,
    tags: impl FnOnce(&mut DirectoryEncoder<'_, W, K>) -> TiffResult<()>,
) -> TiffResult<()> {
    let mut image = encoder.new_image::<Gray16>(picture.width, picture.height)?;
    let directory = image.encoder();
    // Written tag by tag, because the encoder's methods for the resolution panic on a full disk.
    if let Some(per_metre) = pixels_per_metre(facts) {
        let per_cm = || Rational { n: per_metre, d: 100 };
        directory.write_tag(Tag::ResolutionUnit, ResolutionUnit::Centimeter.to_u16())?;
        directory.write_tag(Tag::XResolution, per_cm())?;
        directory.write_tag(Tag::YResolution, per_cm())?;
    }
    directory.write_tag(Tag::DateTime, date_time(facts).as_str())?;
    directory.write_tag(Tag::Software, concat!("flamingo ", env!("CARGO_PKG_VERSION")))?;
    tags(directory)?;
    image.write_data(picture.pixels)
}

/// `2026:11:30 23:59:59`, in UTC.
fn date_time(facts: &ImageFacts) -> String {
    let text = humantime::format_rfc3339_seconds(facts.taken_at).to_string();
    let (date, time) = text.split_once('T').unwrap_or((&text, ""));
    format!("{} {}", date.replace('-', ":"), time.trim_end_matches('Z'))
}
