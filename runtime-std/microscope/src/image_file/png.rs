//! PNG: 16 bits per pixel with the facts in text chunks, and 8 bits per pixel for previews.

use std::io::Write;

use png::{BitDepth, ColorType, Compression, Encoder, EncodingError, PixelDimensions, Unit};

use super::{ImageFacts, Picture, known, pixels_per_metre};

pub(super) fn write_16(
    file: impl Write,
    picture: &Picture,
    facts: &ImageFacts,
) -> Result<(), EncodingError> {
    let mut encoder = Encoder::new(file, picture.width, picture.height);
    encoder.set_color(ColorType::Grayscale);
    encoder.set_depth(BitDepth::Sixteen);
    // A few ms per image. Slower compression hardly makes noise smaller.
    encoder.set_compression(Compression::Fastest);
    if let Some(per_metre) = pixels_per_metre(facts) {
        let (xppu, yppu) = (per_metre, per_metre);
        encoder.set_pixel_dims(Some(PixelDimensions { xppu, yppu, unit: Unit::Meter }));
    }
    for (keyword, text) in texts(facts) {
        encoder.add_text_chunk(keyword.to_owned(), text)?;
    }
    let mut writer = encoder.write_header()?;
    let mut rows = writer.stream_writer()?;
    let mut bytes = Vec::with_capacity(2 * picture.width as usize);
    for row in picture.pixels.chunks_exact(picture.width as usize) {
        bytes.clear();
        bytes.extend(row.iter().flat_map(|pixel| pixel.to_be_bytes()));
        rows.write_all(&bytes)?;
    }
    rows.finish()?;
    writer.finish()
}

pub(super) fn write_8(
    file: impl Write,
    width: u32,
    height: u32,
    grey: &[u8],
) -> Result<(), EncodingError> {
    let mut encoder = Encoder::new(file, width, height);
    encoder.set_color(ColorType::Grayscale);
    encoder.set_depth(BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(grey)?;
    writer.finish()
}

/// The facts as texts, with their units.
fn texts(facts: &ImageFacts) -> Vec<(&'static str, String)> {
    let mut texts =
        vec![("Creation Time", humantime::format_rfc3339_micros(facts.taken_at).to_string())];
    texts.extend(facts.exposure.map(|exposure| ("Exposure us", exposure.0.to_string())));
    texts.extend(facts.pixel_size.map(|size| ("Pixel size mm", size.0.to_string())));
    if let Some(pose) = facts.pose {
        let axes =
            [("X mm", pose.x.0), ("Y mm", pose.y.0), ("Z mm", pose.z.0), ("R deg", pose.r.0)];
        texts.extend(axes.iter().filter_map(|(axis, at)| Some((*axis, known(*at)?.to_string()))));
    }
    texts.extend(facts.camera.map(|camera| ("Camera", camera.to_string())));
    texts.extend(facts.number.map(|number| ("Image number", number.to_string())));
    texts.extend(facts.clock_step.map(|step| ("Clock", step.to_string())));
    texts
}
