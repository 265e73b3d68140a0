//! TIFF, BigTIFF and OME-TIFF, one page at a time.

use std::fmt;
use std::fs::File;
use std::io::BufReader;

use tiff::ColorType;
use tiff::decoder::{Decoder, DecodingResult, Limits};
use tiff::tags::{SampleFormat, Tag};

use super::super::ome_tiff::UNFINISHED;
use super::ome_description;
use super::{Description, Page, Place, PlaneFacts, ReadError, Series};

/// The longest description. That of 100 000 images has about 60 MB.
const LONGEST_TEXT: usize = 256 << 20;

pub(super) struct TiffPages {
    place: Place,
    decoder: Decoder<BufReader<File>>,
}

impl fmt::Debug for TiffPages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TiffPages").field("place", &self.place).finish_non_exhaustive()
    }
}

fn decoder(file: File, place: &Place) -> Result<Decoder<BufReader<File>>, ReadError> {
    Decoder::new(BufReader::new(file)).map_err(|error| place.broken("first page", &error))
}

impl TiffPages {
    pub(super) fn open(file: File, place: Place) -> Result<(Description, Self), ReadError> {
        let mut decoder = decoder(file, &place)?;
        let size = decoder.dimensions().map_err(|error| place.broken("first page", &error))?;
        let mut found =
            Description { format: "TIFF", width: size.0, height: size.1, ..Description::default() };
        found.pixel_type = pixel_type(&mut decoder);
        let resolution = pixel_um(&mut decoder);
        let date = decoder.get_tag_ascii_string(Tag::DateTime).ok();
        found.pages = 1;
        while decoder.more_images() {
            match decoder.next_image() {
                Ok(()) => found.pages += 1,
                Err(error) => {
                    found.cut_off = Some(error.to_string());
                    break;
                }
            }
        }
        match description(&place)? {
            Ok(text) if text.contains("<OME") => match ome_description::read(&text) {
                Ok(ome) => {
                    found.format = "OME-TIFF";
                    (found.series, found.rotation_deg, found.notes) =
                        (ome.series, ome.rotation_deg, ome.notes);
                }
                Err(error) => {
                    found.notes.push(format!("its OME-XML cannot be read: {error}"));
                }
            },
            Ok(text) if text == UNFINISHED => found.unfinished = true,
            Ok(text) => found.notes.extend(text.lines().map(str::to_owned)),
            Err(cut_off) => found.cut_off = found.cut_off.or(Some(cut_off)),
        }
        if found.series.is_empty() {
            found.series.push(plain(&found, resolution, date.as_deref()));
        }
        Ok((found, Self { place, decoder }))
    }

    pub(super) fn page(&mut self, page: usize) -> Result<Page, ReadError> {
        let place = format!("page {page}");
        let failed = |error: &tiff::TiffError| self.place.broken(place.clone(), error);
        self.decoder.seek_to_image(page).map_err(|error| failed(&error))?;
        let (width, _) = self.decoder.dimensions().map_err(|error| failed(&error))?;
        let grey = matches!(self.decoder.colortype(), Ok(ColorType::Gray(8 | 16)));
        if !grey || pixel_type(&mut self.decoder).starts_with('i') {
            return Ok(Page { width, pixels: None });
        }
        let pixels = match self.decoder.read_image().map_err(|error| failed(&error))? {
            DecodingResult::U16(pixels) => Some(pixels),
            DecodingResult::U8(pixels) => Some(pixels.into_iter().map(u16::from).collect()),
            _ => None,
        };
        Ok(Page { width, pixels })
    }
}

/// The description of the first page, empty if it has none. The inner error: the text is beyond the end of
/// the file.
fn description(place: &Place) -> Result<Result<String, String>, ReadError> {
    let file = File::open(&place.0).map_err(|error| place.unreadable(&error))?;
    let mut limits = Limits::default();
    limits.ifd_value_size = LONGEST_TEXT;
    let mut decoder = decoder(file, place)?.with_limits(limits);
    match decoder.find_tag(Tag::ImageDescription) {
        Ok(None) => Ok(Ok(String::new())),
        Ok(Some(value)) => Ok(Ok(value.into_string().unwrap_or_default())),
        Err(error) => Ok(Err(format!("its description: {error}"))),
    }
}

/// The type of the pixels of the current page.
fn pixel_type(decoder: &mut Decoder<BufReader<File>>) -> String {
    let format = decoder.find_tag_unsigned_vec::<u16>(Tag::SampleFormat);
    let format = format.ok().flatten().and_then(|formats| formats.first().copied());
    let kind = match format.map(SampleFormat::from_u16_exhaustive) {
        Some(SampleFormat::Int) => "int",
        Some(SampleFormat::IEEEFP) => "float",
        _ => "uint",
    };
    match decoder.colortype() {
        Ok(ColorType::Gray(bits)) => format!("{kind}{bits}"),
        Ok(other) => format!("{other:?}"),
        Err(error) => error.to_string(),
    }
}

/// The size of a pixel in µm by the resolution of the current page.
fn pixel_um(decoder: &mut Decoder<BufReader<File>>) -> [Option<f64>; 3] {
    let unit = decoder.find_tag_unsigned::<u16>(Tag::ResolutionUnit).ok().flatten();
    let um = match unit {
        Some(3) => 10_000.0,
        Some(2) => 25_400.0,
        _ => return [None; 3],
    };
    let mut size = |tag| {
        let per_unit = decoder.find_tag(tag).ok().flatten()?;
        let tiff::decoder::ifd::Value::Rational(n, d) = per_unit else { return None };
        Some(um * f64::from(d) / f64::from(n)).filter(|size| size.is_finite() && *size > 0.0)
    };
    [size(Tag::XResolution), size(Tag::YResolution), None]
}

/// The series of a file without OME-XML: its pages in their order.
fn plain(found: &Description, pixel_um: [Option<f64>; 3], date: Option<&str>) -> Series {
    let number = found.notes.iter().find_map(|line| line.strip_prefix("image ")?.parse().ok());
    let camera = found.notes.iter().find(|line| line.starts_with("camera "));
    // `2026:11:30 23:59:59`
    let date = date.and_then(|date| date.split_once(' ')).and_then(|(day, time)| {
        humantime::parse_rfc3339_weak(&format!("{} {time}", day.replace(':', "-"))).ok()
    });
    Series {
        size_z: 1,
        size_c: 1,
        size_t: found.pages,
        pixel_um,
        channels: camera.cloned().into_iter().collect(),
        began_at: date,
        planes: vec![PlaneFacts { delta_s: Some(0.0), ..PlaneFacts::default() }],
        numbers: number.map(|number: u64| (number, number)).into_iter().collect(),
        name: None,
    }
}
