//! TIFF, BigTIFF and OME-TIFF, one page at a time.

use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};

use quick_xml::Error as XmlError;
use tiff::ColorType;
use tiff::decoder::{Decoder, DecodingResult};
use tiff::tags::{SampleFormat, Tag};

use super::super::ome_tiff::UNFINISHED;
use super::ome_description;
use super::{Description, Page, Place, PlaneFacts, ReadError, Series};

/// The bytes of a description that are read at once. OME-XML begins within so many bytes.
const PIECE: usize = 64 << 10;
/// A description that is no OME-XML is shown up to this length.
const LONGEST_NOTE: u64 = 1 << 20;

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
        describe(&mut found, &place)?;
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

/// Reads the description of the first page, which may be longer than the memory.
fn describe(found: &mut Description, place: &Place) -> Result<(), ReadError> {
    let file = File::open(&place.0).map_err(|error| place.unreadable(&error))?;
    let bytes = DescriptionBytes { decoder: decoder(file, place)?, at: 0 };
    let mut text = BufReader::with_capacity(PIECE, bytes);
    let cut_off = match text.fill_buf() {
        Ok(head) if head.windows(4).any(|it| it == b"<OME") => match ome_description::read(text) {
            Ok(ome) => {
                found.format = "OME-TIFF";
                (found.series, found.rotation_deg, found.notes) =
                    (ome.series, ome.rotation_deg, ome.notes);
                None
            }
            Err(XmlError::Io(error)) => Some(error.to_string()),
            Err(error) => {
                found.notes.push(format!("its OME-XML cannot be read: {error}"));
                None
            }
        },
        Ok(_) => read_notes(found, text).err().map(|error| error.to_string()),
        Err(error) => Some(error.to_string()),
    };
    let cut_off = cut_off.map(|reason| format!("its description: {reason}"));
    found.cut_off = found.cut_off.take().or(cut_off);
    Ok(())
}

/// Reads a description that is no OME-XML.
fn read_notes(found: &mut Description, text: impl Read) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    text.take(LONGEST_NOTE).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    match text.trim_end_matches('\0') {
        UNFINISHED => found.unfinished = true,
        text => found.notes.extend(text.lines().map(str::to_owned)),
    }
    Ok(())
}

/// The bytes of the description of a page, from the file.
struct DescriptionBytes {
    decoder: Decoder<BufReader<File>>,
    /// How many bytes were read.
    at: u64,
}

impl Read for DescriptionBytes {
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        let mut page = self.decoder.image_ifd();
        let read = page.find_tag_bytes(Tag::ImageDescription, bytes, self.at);
        let read = read.map_err(std::io::Error::other)?.unwrap_or(0).min(bytes.len());
        self.at += read as u64;
        Ok(read)
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
