//! The description in an OME-TIFF: OME-XML of the schema 2016-06. The pages are in `ome_tiff.rs`.

use std::io;
use std::time::{Duration, SystemTime};

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};

use super::{ImageFacts, Sequence};

const SCHEMA: &str = "http://www.openmicroscopy.org/Schemas/OME/2016-06";
/// The namespace of the annotation with the rotation, for which the schema has no attribute.
const ROTATION: &str = "flamingo/stage/rotation-degrees";

/// The facts about one page.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Plane {
    facts: ImageFacts,
}

impl Plane {
    pub(super) fn of(facts: &ImageFacts) -> Self {
        Self { facts: *facts }
    }
}

/// The facts about the file.
pub(super) struct Movie<'a> {
    pub(super) name: String,
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) sequence: Sequence,
    pub(super) planes: &'a [Plane],
}

type Out = Writer<Vec<u8>>;
type Attributes = Vec<(&'static str, String)>;

impl Movie<'_> {
    pub(super) fn xml(&self) -> io::Result<String> {
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
                self.pixels(out)
            })?;
            self.annotations(out)
        })?;
        String::from_utf8(out.into_inner()).map_err(io::Error::other)
    }

    fn pixels(&self, out: &mut Out) -> io::Result<()> {
        let count = self.planes.len().to_string();
        let (z, t) = match self.sequence {
            Sequence::Time => ("1".to_owned(), count.clone()),
            Sequence::Depth { .. } => (count.clone(), "1".to_owned()),
        };
        let mut pixels: Attributes = vec![
            ("ID", "Pixels:0".to_owned()),
            ("DimensionOrder", "XYZCT".to_owned()),
            ("Type", "uint16".to_owned()),
            ("BigEndian", cfg!(target_endian = "big").to_string()),
            ("SizeX", self.width.to_string()),
            ("SizeY", self.height.to_string()),
            ("SizeZ", z),
            ("SizeC", "1".to_owned()),
            ("SizeT", t),
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
            let channel =
                vec![("ID", "Channel:0:0".to_owned()), ("SamplesPerPixel", "1".to_owned())];
            empty(out, "Channel", &channel)?;
            empty(out, "TiffData", &[("IFD", "0".to_owned()), ("PlaneCount", count)])?;
            (0..self.planes.len()).try_for_each(|at| self.plane(out, at))
        })
    }

    fn plane(&self, out: &mut Out, at: usize) -> io::Result<()> {
        let ImageFacts { taken_at, exposure, pose, .. } = self.planes[at].facts;
        let (z, t) = match self.sequence {
            Sequence::Time => (0, at),
            Sequence::Depth { .. } => (at, 0),
        };
        let since = taken_at.duration_since(self.begin()).unwrap_or(Duration::ZERO);
        let mut plane: Attributes = vec![
            ("TheZ", z.to_string()),
            ("TheT", t.to_string()),
            ("TheC", "0".to_owned()),
            ("DeltaT", number(since.as_secs_f64())),
            ("DeltaTUnit", "s".to_owned()),
        ];
        if let Some(exposure) = exposure {
            plane.push(("ExposureTime", exposure.0.to_string()));
            plane.push(("ExposureTimeUnit", "µs".to_owned()));
        }
        let Some(pose) = pose else { return empty(out, "Plane", &plane) };
        for (name, unit, mm) in [
            ("PositionX", "PositionXUnit", pose.x),
            ("PositionY", "PositionYUnit", pose.y),
            ("PositionZ", "PositionZUnit", pose.z),
        ] {
            plane.push((name, number(mm.0)));
            plane.push((unit, "mm".to_owned()));
        }
        let rotation = self.rotations().position(|degrees| degrees.to_bits() == pose.r.0.to_bits());
        element(out, "Plane", &plane, |out| match rotation {
            Some(at) => empty(out, "AnnotationRef", &[("ID", annotation(at))]),
            None => Ok(()),
        })
    }

    /// Each rotation that occurs, once.
    fn rotations(&self) -> impl Iterator<Item = f64> {
        let mut seen: Vec<f64> = Vec::new();
        for pose in self.planes.iter().filter_map(|plane| plane.facts.pose) {
            if !seen.iter().any(|degrees| degrees.to_bits() == pose.r.0.to_bits()) {
                seen.push(pose.r.0);
            }
        }
        seen.into_iter()
    }

    fn annotations(&self, out: &mut Out) -> io::Result<()> {
        let rotations: Vec<f64> = self.rotations().collect();
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

    fn begin(&self) -> SystemTime {
        self.planes.first().map_or(SystemTime::UNIX_EPOCH, |plane| plane.facts.taken_at)
    }

    /// The mean time from one image to the next, in seconds.
    fn time_increment(&self) -> Option<f64> {
        let last = self.planes.last()?.facts.taken_at;
        let steps = u32::try_from(self.planes.len() - 1).ok().filter(|steps| *steps > 0)?;
        let time = last.duration_since(self.begin()).ok()?;
        Some(time.as_secs_f64() / f64::from(steps)).filter(|step| *step > 0.0)
    }
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
