//! The description in an OME-TIFF: OME-XML of the schema 2016-06. The pages are in `ome_tiff.rs`.
//!
//! Each plane is looked at a fixed number of times, so the time grows with the number of planes and not
//! faster.

use std::collections::HashMap;
use std::io;
use std::time::{Duration, SystemTime};

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};

use flamingo_runtime_std::ClockStep;

use super::{ImageFacts, Sequence};

const SCHEMA: &str = "http://www.openmicroscopy.org/Schemas/OME/2016-06";
/// The namespace of the annotation with the rotation, for which the schema has no attribute.
const ROTATION: &str = "flamingo/stage/rotation-degrees";

/// Steps of the clock that differ by less than this many seconds are one step.
const SAME_STEP_S: f64 = 0.5;

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
    /// How many images it has.
    pub(super) planes: usize,
}

/// One page.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Plane {
    pub(super) facts: ImageFacts,
    /// The place of its channel.
    pub(super) channel: usize,
    /// Its place among the images of its channel.
    pub(super) at: usize,
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
        let mut out = Writer::new_with_indent(Vec::new(), b' ', 1);
        out.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
        let root = [
            ("xmlns", SCHEMA.to_owned()),
            ("xmlns:xsi", "http://www.w3.org/2001/XMLSchema-instance".to_owned()),
            ("xsi:schemaLocation", format!("{SCHEMA} {SCHEMA}/ome.xsd")),
            ("Creator", concat!("flamingo ", env!("CARGO_PKG_VERSION")).to_owned()),
        ];
        element(&mut out, "OME", &root, |out| {
            let image = vec![("ID", "Image:0".to_owned()), ("Name", self.name.clone())];
            element(out, "Image", &image, |out| {
                let begin = humantime::format_rfc3339_seconds(self.begin()).to_string();
                text(out, "AcquisitionDate", begin.trim_end_matches('Z'))?;
                if let Some(steps) = self.clock_steps() {
                    text(out, "Description", &steps)?;
                }
                self.pixels(out, &rotations)
            })?;
            annotations(out, &rotations.degrees)
        })?;
        String::from_utf8(out.into_inner()).map_err(io::Error::other)
    }

    fn pixels(&self, out: &mut Out, rotations: &Rotations) -> io::Result<()> {
        let longest = self.channels.iter().map(|channel| channel.planes).max().unwrap_or(0);
        let (z, t) = match self.sequence {
            Sequence::Time => (1, longest),
            Sequence::Depth { .. } => (longest, 1),
        };
        let mut pixels: Attributes = vec![
            ("ID", "Pixels:0".to_owned()),
            ("DimensionOrder", "XYZTC".to_owned()),
            ("Type", "uint16".to_owned()),
            ("BigEndian", cfg!(target_endian = "big").to_string()),
            ("SizeX", self.width.to_string()),
            ("SizeY", self.height.to_string()),
            ("SizeZ", z.to_string()),
            ("SizeC", self.channels.len().to_string()),
            ("SizeT", t.to_string()),
        ];
        if let Some(size) = self.planes.first().and_then(|plane| plane.facts.pixel_size) {
            let um = number(size.0 * 1000.0);
            pixels.extend([
                ("PhysicalSizeX", um.clone()),
                ("PhysicalSizeXUnit", "µm".to_owned()),
                ("PhysicalSizeY", um),
                ("PhysicalSizeYUnit", "µm".to_owned()),
            ]);
        }
        match self.sequence {
            Sequence::Depth { step } => pixels.extend([
                ("PhysicalSizeZ", number(step.0 * 1000.0)),
                ("PhysicalSizeZUnit", "µm".to_owned()),
            ]),
            Sequence::Time => pixels.extend(self.time_increment().into_iter().flat_map(|step| {
                [("TimeIncrement", number(step)), ("TimeIncrementUnit", "s".to_owned())]
            })),
        }
        element(out, "Pixels", &pixels, |out| {
            for (at, channel) in self.channels.iter().enumerate() {
                empty(out, "Channel", &channel.attributes(at))?;
            }
            self.pages(out)?;
            self.planes.iter().try_for_each(|plane| self.plane(out, plane, rotations))
        })
    }

    /// Says which plane each page is.
    fn pages(&self, out: &mut Out) -> io::Result<()> {
        if self.channels.len() == 1 {
            let all = [("IFD", "0".to_owned()), ("PlaneCount", self.planes.len().to_string())];
            return empty(out, "TiffData", &all);
        }
        self.planes.iter().enumerate().try_for_each(|(page, plane)| {
            let (z, t) = self.place(plane);
            let one = [
                ("IFD", page.to_string()),
                ("FirstZ", z.to_string()),
                ("FirstT", t.to_string()),
                ("FirstC", plane.channel.to_string()),
                ("PlaneCount", "1".to_owned()),
            ];
            empty(out, "TiffData", &one)
        })
    }

    fn plane(&self, out: &mut Out, plane: &Plane, rotations: &Rotations) -> io::Result<()> {
        let ImageFacts { taken_at, exposure, pose, .. } = plane.facts;
        let (z, t) = self.place(plane);
        let since = taken_at.duration_since(self.begin()).unwrap_or(Duration::ZERO);
        let mut attributes: Attributes = vec![
            ("TheZ", z.to_string()),
            ("TheT", t.to_string()),
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
            attributes.push((name, number(mm.0)));
            attributes.push((unit, "mm".to_owned()));
        }
        element(out, "Plane", &attributes, |out| match rotations.place(pose.r.0) {
            Some(at) => empty(out, "AnnotationRef", &[("ID", annotation(at))]),
            None => Ok(()),
        })
    }

    /// Its index on the axes Z and T.
    const fn place(&self, plane: &Plane) -> (usize, usize) {
        match self.sequence {
            Sequence::Time => (0, plane.at),
            Sequence::Depth { .. } => (plane.at, 0),
        }
    }

    fn begin(&self) -> SystemTime {
        self.planes.first().map_or(SystemTime::UNIX_EPOCH, |plane| plane.facts.taken_at)
    }

    /// The mean time from one image of the first channel to its next one, in seconds.
    fn time_increment(&self) -> Option<f64> {
        let last = self.planes.iter().rev().find(|plane| plane.channel == 0)?;
        let steps = u32::try_from(last.at).ok().filter(|steps| *steps > 0)?;
        let first = self.planes.iter().find(|plane| plane.channel == 0)?.facts.taken_at;
        let time = last.facts.taken_at.duration_since(first).ok()?;
        Some(time.as_secs_f64() / f64::from(steps)).filter(|step| *step > 0.0)
    }

    /// Says from which page on the host's clock was set.
    fn clock_steps(&self) -> Option<String> {
        let mut noted = 0.0;
        let mut lines = Vec::new();
        for (page, plane) in self.planes.iter().enumerate() {
            let seconds = plane.facts.clock_step.map_or(0.0, ClockStep::seconds);
            if (seconds - noted).abs() < SAME_STEP_S {
                continue;
            }
            noted = seconds;
            let what = match plane.facts.clock_step {
                Some(step) => step.to_string(),
                None => "the host's clock was set right again".to_owned(),
            };
            lines.push(format!("before page {page}: {what}; the times go on without the step"));
        }
        (!lines.is_empty()).then(|| lines.join("\n"))
    }
}

impl Channel {
    fn attributes(&self, at: usize) -> Attributes {
        let mut attributes = vec![("ID", format!("Channel:0:{at}"))];
        let name = match (&self.name, self.camera) {
            (Some(name), Some(camera)) => Some(format!("{name} (camera {camera})")),
            (Some(name), None) => Some(name.clone()),
            (None, camera) => camera.map(|camera| format!("camera {camera}")),
        };
        attributes.extend(name.map(|name| ("Name", name)));
        attributes.push(("SamplesPerPixel", "1".to_owned()));
        attributes
    }
}

impl Rotations {
    fn of(planes: &[Plane]) -> Self {
        let mut rotations = Self::default();
        for pose in planes.iter().filter_map(|plane| plane.facts.pose) {
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

fn annotations(out: &mut Out, rotations: &[f64]) -> io::Result<()> {
    if rotations.is_empty() {
        return Ok(());
    }
    element(out, "StructuredAnnotations", &[], |out| {
        rotations.iter().enumerate().try_for_each(|(at, degrees)| {
            let head = vec![("ID", annotation(at)), ("Namespace", ROTATION.to_owned())];
            element(out, "DoubleAnnotation", &head, |out| text(out, "Value", &number(*degrees)))
        })
    })
}

fn annotation(at: usize) -> String {
    format!("Annotation:{at}")
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
