//! A PNG: its texts and its pixels.

use std::fs::File;
use std::io::BufReader;

use png::{BitDepth, ColorType, Decoder, Limits, Reader, Transformations, Unit};

use super::{Description, Page, Place, PlaneFacts, ReadError, Series};

/// The most memory for one image.
const MEMORY: usize = 256 << 20;

#[derive(Debug)]
pub(super) struct PngPage {
    place: Place,
}

fn reader(place: &Place, file: File) -> Result<Reader<BufReader<File>>, ReadError> {
    let mut decoder = Decoder::new_with_limits(BufReader::new(file), Limits { bytes: MEMORY });
    decoder.set_transformations(Transformations::IDENTITY);
    decoder.read_info().map_err(|error| place.broken("header", &error))
}

impl PngPage {
    pub(super) fn open(file: File, place: Place) -> Result<(Description, Self), ReadError> {
        let reader = reader(&place, file)?;
        let info = reader.info();
        let kind = if info.color_type == ColorType::Grayscale { "uint" } else { "colour, " };
        let pixel_type = format!("{kind}{}", info.bit_depth as u8);
        let texts = info.uncompressed_latin1_text.iter();
        let texts: Vec<_> = texts.map(|it| (it.keyword.as_str(), it.text.as_str())).collect();
        let text = |key: &str| texts.iter().find(|(name, _)| *name == key).map(|(_, text)| *text);
        let value = |key: &str| text(key).and_then(|text| text.parse::<f64>().ok());
        let per_metre = info.pixel_dims.filter(|dims| dims.unit == Unit::Meter);
        let um = per_metre.filter(|dims| dims.xppu > 0).map(|dims| 1e6 / f64::from(dims.xppu));
        let um = value("Pixel size mm").map(|mm| mm * 1000.0).or(um);
        let number = text("Image number").and_then(|text| text.parse().ok());
        let position_mm = ["X mm", "Y mm", "Z mm"].map(value);
        let plane = PlaneFacts { channel: 0, delta_s: Some(0.0), position_mm };
        let began_at = text("Creation Time");
        let series = Series {
            size_z: 1,
            size_c: 1,
            size_t: 1,
            pixel_um: [um, um, None],
            channels: vec![text("Camera").map_or(String::new(), |it| format!("camera {it}"))],
            began_at: began_at.and_then(|time| humantime::parse_rfc3339_weak(time).ok()),
            planes: vec![plane],
            numbers: number.map(|number: u64| (number, number)).into_iter().collect(),
            name: None,
        };
        let description = Description {
            format: "PNG",
            width: info.width,
            height: info.height,
            pixel_type,
            pages: 1,
            series: vec![series],
            rotation_deg: value("R deg").map(|degrees| (degrees, degrees)),
            notes: text("Clock").map(str::to_owned).into_iter().collect(),
            ..Description::default()
        };
        Ok((description, Self { place }))
    }

    pub(super) fn page(&self, page: usize) -> Result<Page, ReadError> {
        if page > 0 {
            return Err(self.place.broken(format!("page {page}"), &"a PNG has one page"));
        }
        let file = File::open(&self.place.0).map_err(|error| self.place.unreadable(&error))?;
        let mut reader = reader(&self.place, file)?;
        let (width, height) = (reader.info().width, reader.info().height);
        let kind = (reader.info().color_type, reader.info().bit_depth);
        let depth = match kind {
            (ColorType::Grayscale, BitDepth::Eight) => 1,
            (ColorType::Grayscale, BitDepth::Sixteen) => 2,
            _ => return Ok(Page { width, pixels: None }),
        };
        let most = u64::from(width) * u64::from(height) * depth;
        if most > MEMORY as u64 {
            let reason = format!("its pixels need {most} bytes, and {MEMORY} are allowed");
            return Err(self.place.broken("page 0", &reason));
        }
        let mut bytes = vec![0; reader.output_buffer_size().unwrap_or_default()];
        reader.next_frame(&mut bytes).map_err(|error| self.place.broken("page 0", &error))?;
        let pixels = match depth {
            1 => bytes.into_iter().map(u16::from).collect(),
            _ => bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect(),
        };
        Ok(Page { width, pixels: Some(pixels) })
    }
}
