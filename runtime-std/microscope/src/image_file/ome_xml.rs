//! The description in an OME-TIFF: OME-XML of the schema 2016-06. The pages are in `ome_tiff.rs`.
//!
//! Each plane is looked at a fixed number of times, so the time grows with the number of planes and not
//! faster.

use std::collections::HashMap;
use std::io;
use std::time::{Duration, SystemTime};

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};

use super::arrangement::{Arrangement, Place, Shot, Tile};
use super::{ClockNotes, ImageFacts, Sequence, known};
use crate::units::{MmPerPixel, Pose};

const SCHEMA: &str = "http://www.openmicroscopy.org/Schemas/OME/2016-06";
/// The namespace of the annotation with the rotation, for which the schema has no attribute.
pub(super) const ROTATION: &str = "flamingo/stage/rotation-degrees";

/// The namespace of the annotation with the numbers of the images.
pub(super) const NUMBERS: &str = "flamingo/image-numbers";

/// The facts about the file.
pub(super) struct Movie<'a> {
    pub(super) name: String,
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) sequence: Sequence,
    pub(super) channels: &'a [Channel],
    /// In the order of the pages.
    pub(super) planes: &'a [Plane],
}

/// The images of one camera.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Channel {
    /// The index of the camera, if it is known.
    pub(super) camera: Option<u32>,
    pub(super) name: Option<String>,
}

/// One page.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Plane {
    pub(super) facts: ImageFacts,
    /// The place of its channel.
    pub(super) channel: usize,
}

/// The pages of one tile.
struct Image<'a> {
    movie: &'a Movie<'a>,
    /// Its number, from 0.
    at: usize,
    tile: Tile,
    /// Each page with its place.
    pages: Vec<(usize, Place)>,
}

/// Each rotation that occurs, once: its bits, and the place of its annotation.
#[derive(Default)]
struct Rotations {
    places: HashMap<u64, usize>,
    degrees: Vec<f64>,
}

type Out = Writer<Vec<u8>>;
type Attributes = Vec<(&'static str, String)>;

impl Movie<'_> {
    pub(super) fn xml(&self) -> io::Result<String> {
        let rotations = Rotations::of(self.planes);
        let images = self.images();
        let mut out = Writer::new_with_indent(Vec::new(), b' ', 1);
        out.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
        let root = [
            ("xmlns", SCHEMA.to_owned()),
            ("xmlns:xsi", "http://www.w3.org/2001/XMLSchema-instance".to_owned()),
            ("xsi:schemaLocation", format!("{SCHEMA} {SCHEMA}/ome.xsd")),
            ("Creator", concat!("flamingo ", env!("CARGO_PKG_VERSION")).to_owned()),
        ];
        element(&mut out, "OME", &root, |out| {
            images.iter().try_for_each(|image| self.image(out, image, images.len(), &rotations))?;
            annotations(out, &images, &rotations.degrees)
        })?;
        String::from_utf8(out.into_inner()).map_err(io::Error::other)
    }

    /// The tiles with their pages.
    fn images(&self) -> Vec<Image<'_>> {
        let shot = |plane: &Plane| Shot {
            pose: plane.facts.pose,
            number: plane.facts.number,
            stack: plane.facts.stack,
            ..Shot::of_channel(plane.channel)
        };
        let shots: Vec<_> = self.planes.iter().map(shot).collect();
        let view =
            |size: MmPerPixel| [self.width, self.height].map(|side| f64::from(side) * size.0);
        let found = Arrangement::of(self.sequence, &shots, self.pixel_size().map(view));
        let of = |(at, tile)| Image { movie: self, at, tile, pages: Vec::new() };
        let mut images: Vec<_> = found.tiles.into_iter().enumerate().map(of).collect();
        for (page, place) in found.places.into_iter().enumerate() {
            images[place.tile].pages.push((page, place));
        }
        images
    }

    fn image(
        &self,
        out: &mut Out,
        image: &Image<'_>,
        images: usize,
        rotations: &Rotations,
    ) -> io::Result<()> {
        let at = image.at;
        let name = if images > 1 { format!("{} tile {at}", self.name) } else { self.name.clone() };
        let head = vec![("ID", format!("Image:{at}")), ("Name", name)];
        element(out, "Image", &head, |out| {
            let begin = humantime::format_rfc3339_micros(image.begin()).to_string();
            text(out, "AcquisitionDate", begin.trim_end_matches('Z'))?;
            if let Some(steps) = self.clock_steps().filter(|_| at == 0) {
                text(out, "Description", &steps)?;
            }
            if let Some(pose) = image.tile.pose.filter(|_| images > 1) {
                empty(out, "StageLabel", &stage_label(at, &pose))?;
            }
            image.pixels(out, rotations)?;
            if image.numbers().is_some() {
                empty(out, "AnnotationRef", &[("ID", numbers_of(at))])?;
            }
            Ok(())
        })
    }

    fn pixel_size(&self) -> Option<MmPerPixel> {
        self.planes.first().and_then(|plane| plane.facts.pixel_size)
    }

    /// Says from which page on the host's clock was set.
    fn clock_steps(&self) -> Option<String> {
        let mut notes = ClockNotes::default();
        for (page, plane) in self.planes.iter().enumerate() {
            notes.add(plane.facts.clock_step, || format!("page {page}"));
        }
        (!notes.lines().is_empty()).then(|| notes.lines().join("\n"))
    }
}

/// The name of a channel, with the index of its camera.
pub(super) fn channel_name(name: Option<&str>, camera: Option<u32>) -> Option<String> {
    match (name, camera) {
        (Some(name), Some(camera)) => Some(format!("{name} (camera {camera})")),
        (Some(name), None) => Some(name.to_owned()),
        (None, camera) => camera.map(|camera| format!("camera {camera}")),
    }
}

impl Image<'_> {
    fn pixels(&self, out: &mut Out, rotations: &Rotations) -> io::Result<()> {
        let Movie { width, height, channels, .. } = self.movie;
        let mut pixels: Attributes = vec![
            ("ID", format!("Pixels:{}", self.at)),
            ("DimensionOrder", "XYZTC".to_owned()),
            ("Type", "uint16".to_owned()),
            ("BigEndian", cfg!(target_endian = "big").to_string()),
            ("SizeX", width.to_string()),
            ("SizeY", height.to_string()),
            ("SizeZ", self.tile.size_z.to_string()),
            ("SizeC", channels.len().to_string()),
            ("SizeT", self.tile.size_t.to_string()),
        ];
        if let Some(size) = self.movie.pixel_size() {
            let um = number(size.0 * 1000.0);
            pixels.extend([
                ("PhysicalSizeX", um.clone()),
                ("PhysicalSizeXUnit", "µm".to_owned()),
                ("PhysicalSizeY", um),
                ("PhysicalSizeYUnit", "µm".to_owned()),
            ]);
        }
        if let Some(step) = self.tile.step {
            pixels.push(("PhysicalSizeZ", number(step.0 * 1000.0)));
            pixels.push(("PhysicalSizeZUnit", "µm".to_owned()));
        }
        if let Some(step) = self.time_increment() {
            pixels.push(("TimeIncrement", number(step)));
            pixels.push(("TimeIncrementUnit", "s".to_owned()));
        }
        element(out, "Pixels", &pixels, |out| {
            for (at, channel) in channels.iter().enumerate() {
                empty(out, "Channel", &channel.attributes(self.at, at))?;
            }
            self.pages(out)?;
            self.pages.iter().try_for_each(|(page, place)| {
                self.plane(out, &self.movie.planes[*page], *place, rotations)
            })
        })
    }

    /// Says which plane each page is.
    fn pages(&self, out: &mut Out) -> io::Result<()> {
        let order = |(at, (page, place)): (usize, &(usize, Place))| {
            at == *page && at == place.t * self.tile.size_z + place.z
        };
        if self.movie.channels.len() == 1 && self.pages.iter().enumerate().all(order) {
            let all = [("IFD", "0".to_owned()), ("PlaneCount", self.pages.len().to_string())];
            return empty(out, "TiffData", &all);
        }
        self.pages.iter().try_for_each(|(page, place)| {
            let one = [
                ("IFD", page.to_string()),
                ("FirstZ", place.z.to_string()),
                ("FirstT", place.t.to_string()),
                ("FirstC", self.movie.planes[*page].channel.to_string()),
                ("PlaneCount", "1".to_owned()),
            ];
            empty(out, "TiffData", &one)
        })
    }

    fn plane(
        &self,
        out: &mut Out,
        plane: &Plane,
        place: Place,
        rotations: &Rotations,
    ) -> io::Result<()> {
        let ImageFacts { taken_at, exposure, pose, .. } = plane.facts;
        let since = taken_at.duration_since(self.begin()).unwrap_or(Duration::ZERO);
        let mut attributes: Attributes = vec![
            ("TheZ", place.z.to_string()),
            ("TheT", place.t.to_string()),
            ("TheC", plane.channel.to_string()),
            ("DeltaT", number(since.as_secs_f64())),
            ("DeltaTUnit", "s".to_owned()),
        ];
        if let Some(exposure) = exposure {
            attributes.push(("ExposureTime", exposure.0.to_string()));
            attributes.push(("ExposureTimeUnit", "µs".to_owned()));
        }
        let Some(pose) = pose else { return empty(out, "Plane", &attributes) };
        for (name, unit, mm) in [
            ("PositionX", "PositionXUnit", pose.x),
            ("PositionY", "PositionYUnit", pose.y),
            ("PositionZ", "PositionZUnit", pose.z),
        ] {
            let Some(mm) = known(mm.0) else { continue };
            attributes.push((name, number(mm)));
            attributes.push((unit, "mm".to_owned()));
        }
        match rotations.place(pose.r.0) {
            Some(at) => element(out, "Plane", &attributes, |out| {
                empty(out, "AnnotationRef", &[("ID", annotation(at))])
            }),
            None => empty(out, "Plane", &attributes),
        }
    }

    fn planes(&self) -> impl Iterator<Item = &Plane> {
        self.pages.iter().map(|(page, _)| &self.movie.planes[*page])
    }

    fn begin(&self) -> SystemTime {
        self.planes().next().map_or(SystemTime::UNIX_EPOCH, |plane| plane.facts.taken_at)
    }

    /// The mean time from one image of the first channel to its next one, in seconds. A stack has no
    /// such time.
    fn time_increment(&self) -> Option<f64> {
        let plane = |page: usize| &self.movie.planes[page];
        let mut first_channel = self.pages.iter().filter(|(page, _)| plane(*page).channel == 0);
        let (first, _) = first_channel.next()?;
        let (last, place) = first_channel.next_back()?;
        let (first, last) = (plane(*first).facts.taken_at, plane(*last).facts.taken_at);
        let steps = u32::try_from(place.t).ok()?;
        let time = last.duration_since(first).ok()?;
        let step = time.as_secs_f64() / f64::from(steps);
        Some(step).filter(|step| self.tile.size_z == 1 && step.is_finite() && *step > 0.0)
    }

    /// The numbers of its images in their order, such as `1-57 59-100`. A number that is missing was
    /// dropped.
    fn numbers(&self) -> Option<String> {
        let numbers: Option<Vec<u64>> = self.planes().map(|plane| plane.facts.number).collect();
        let numbers = numbers?;
        let runs = numbers.chunk_by(|a, b| a.checked_add(1) == Some(*b));
        let run = |run: &[u64]| match run {
            [one] => one.to_string(),
            run => format!("{}-{}", run[0], run[run.len() - 1]),
        };
        Some(runs.map(run).collect::<Vec<_>>().join(" "))
    }
}

impl Channel {
    fn attributes(&self, image: usize, at: usize) -> Attributes {
        let mut attributes = vec![("ID", format!("Channel:{image}:{at}"))];
        let name = channel_name(self.name.as_deref(), self.camera);
        attributes.extend(name.map(|name| ("Name", name)));
        attributes.push(("SamplesPerPixel", "1".to_owned()));
        attributes
    }
}

impl Rotations {
    fn of(planes: &[Plane]) -> Self {
        let mut rotations = Self::default();
        let turned = planes.iter().filter_map(|plane| plane.facts.pose);
        for pose in turned.filter(|pose| known(pose.r.0).is_some()) {
            let next = rotations.degrees.len();
            if *rotations.places.entry(pose.r.0.to_bits()).or_insert(next) == next {
                rotations.degrees.push(pose.r.0);
            }
        }
        rotations
    }

    fn place(&self, degrees: f64) -> Option<usize> {
        self.places.get(&degrees.to_bits()).copied()
    }
}

/// The label of a tile: its number and its place.
fn stage_label(tile: usize, pose: &Pose) -> Attributes {
    let mut label: Attributes = vec![("Name", format!("tile {tile}"))];
    for (name, unit, mm) in [("X", "XUnit", pose.x), ("Y", "YUnit", pose.y), ("Z", "ZUnit", pose.z)]
    {
        if let Some(mm) = known(mm.0) {
            label.extend([(name, number(mm)), (unit, "mm".to_owned())]);
        }
    }
    label
}

fn annotations(out: &mut Out, images: &[Image<'_>], rotations: &[f64]) -> io::Result<()> {
    let numbers: Vec<_> =
        images.iter().filter_map(|image| Some((image.at, image.numbers()?))).collect();
    if rotations.is_empty() && numbers.is_empty() {
        return Ok(());
    }
    element(out, "StructuredAnnotations", &[], |out| {
        rotations.iter().enumerate().try_for_each(|(at, degrees)| {
            let head = vec![("ID", annotation(at)), ("Namespace", ROTATION.to_owned())];
            element(out, "DoubleAnnotation", &head, |out| text(out, "Value", &number(*degrees)))
        })?;
        numbers.iter().try_for_each(|(at, numbers)| {
            let head = vec![("ID", numbers_of(*at)), ("Namespace", NUMBERS.to_owned())];
            element(out, "CommentAnnotation", &head, |out| text(out, "Value", numbers))
        })
    })
}

fn annotation(at: usize) -> String {
    format!("Annotation:{at}")
}

/// The annotation with the numbers of the images of a tile.
fn numbers_of(tile: usize) -> String {
    format!("Annotation:numbers-{tile}")
}

/// Formats a number without the digits that come only from binary fractions.
fn number(value: f64) -> String {
    let rounded = (value * 1e9).round() / 1e9;
    if rounded == 0.0 && value != 0.0 { value.to_string() } else { rounded.to_string() }
}

fn element(
    out: &mut Out,
    name: &'static str,
    attributes: &[(&'static str, String)],
    inner: impl FnOnce(&mut Out) -> io::Result<()>,
) -> io::Result<()> {
    let pairs = attributes.iter().map(|(name, value)| (*name, value.as_str()));
    out.create_element(name).with_attributes(pairs).write_inner_content(inner).map(|_| ())
}

fn empty(
    out: &mut Out,
    name: &'static str,
    attributes: &[(&'static str, String)],
) -> io::Result<()> {
    let pairs = attributes.iter().map(|(name, value)| (*name, value.as_str()));
    out.create_element(name).with_attributes(pairs).write_empty().map(|_| ())
}

fn text(out: &mut Out, name: &'static str, text: &str) -> io::Result<()> {
    out.create_element(name).write_text_content(BytesText::new(text)).map(|_| ())
}
