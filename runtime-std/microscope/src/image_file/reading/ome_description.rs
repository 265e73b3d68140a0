//! The OME-XML of an OME-TIFF, as far as it is shown: sizes, channels, planes and annotations.

use std::collections::HashMap;
use std::io::BufRead;
use std::sync::Arc;
use std::time::SystemTime;

use quick_xml::escape::unescape;
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Error, Reader};

use super::super::ome_xml::{NUMBERS, ROTATION};
use super::{PlaneFacts, Series};

#[derive(Debug, Default)]
pub(super) struct Ome {
    pub(super) series: Vec<Series>,
    pub(super) rotation_deg: Option<(f64, f64)>,
    pub(super) notes: Vec<String>,
}

/// What has been read so far.
#[derive(Debug, Default)]
struct Reading {
    ome: Ome,
    /// The elements that are open.
    open: Vec<String>,
    text: String,
    /// The namespace and the ID of the annotation that is open.
    annotation: (String, String),
    /// Which annotations each series refers to.
    references: Vec<(usize, String)>,
    numbers: HashMap<String, Arc<[(u64, u64)]>>,
}

type Attributes = HashMap<String, String>;

/// Reads a text, an element at a time: what is kept grows with the number of planes, and no more than that. What
/// is unknown is left out.
pub(super) fn read(text: impl BufRead) -> Result<Ome, Error> {
    let mut reader = Reader::from_reader(text);
    let mut reading = Reading::default();
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        match reader.read_event_into(&mut bytes)? {
            Event::Start(element) => {
                reading.begin(&element);
                reading.open.push(name(&element));
                reading.text.clear();
            }
            Event::Empty(element) => reading.begin(&element),
            Event::End(_) => {
                reading.end();
                reading.open.pop();
                reading.text.clear();
            }
            Event::Text(text) => reading.text.push_str(&text.xml10_content()),
            Event::GeneralRef(entity) => {
                let text = format!("&{};", entity.into_inner());
                reading.text.push_str(&unescape(&text).unwrap_or_default());
            }
            Event::Eof => break,
            _ => {}
        }
    }
    for (series, id) in reading.references {
        if let (Some(series), Some(numbers)) =
            (reading.ome.series.get_mut(series), reading.numbers.get(&id))
        {
            // Any number of series may refer to the same numbers.
            series.numbers = Arc::clone(numbers);
        }
    }
    Ok(reading.ome)
}

fn name(element: &BytesStart<'_>) -> String {
    let name = element.local_name();
    let name: &str = name.as_ref();
    name.to_owned()
}

fn attributes(element: &BytesStart<'_>) -> Attributes {
    let pair = |attribute: quick_xml::events::attributes::Attribute<'_>| {
        let key: &str = attribute.key.as_ref();
        let value = unescape(&attribute.value).ok()?.into_owned();
        Some((key.to_owned(), value))
    };
    element.attributes().flatten().filter_map(pair).collect()
}

/// A number with the unit of another attribute, in the unit that `scale` gives.
fn scaled(
    attributes: &Attributes,
    key: &str,
    usual: &str,
    scale: fn(&str) -> Option<f64>,
) -> Option<f64> {
    let value: f64 = attributes.get(key)?.parse().ok()?;
    let unit = attributes.get(&format!("{key}Unit")).map_or(usual, String::as_str);
    Some(value * scale(unit)?).filter(|value| value.is_finite())
}

/// So many mm are one unit. `None`: it is no length.
fn mm(unit: &str) -> Option<f64> {
    Some(match unit {
        "nm" => 1e-6,
        "µm" | "um" => 1e-3,
        "mm" => 1.0,
        "cm" => 10.0,
        "m" => 1000.0,
        _ => return None,
    })
}

/// So many seconds are one unit.
fn seconds(unit: &str) -> Option<f64> {
    Some(match unit {
        "ns" => 1e-9,
        "µs" | "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "min" => 60.0,
        "h" => 3600.0,
        _ => return None,
    })
}

impl Reading {
    fn begin(&mut self, element: &BytesStart<'_>) {
        let attributes = attributes(element);
        let text = |key: &str| attributes.get(key).cloned().unwrap_or_default();
        let count = |key: &str| text(key).parse().unwrap_or(1);
        let around = self.open.last().map(String::as_str);
        match (name(element).as_str(), around) {
            ("Image", _) => {
                let name = attributes.get("Name").cloned().filter(|name| !name.is_empty());
                self.ome.series.push(Series { name, ..Series::default() });
            }
            ("AnnotationRef", Some("Image")) => {
                self.references.push((self.ome.series.len().saturating_sub(1), text("ID")));
            }
            ("CommentAnnotation" | "DoubleAnnotation", _) => {
                self.annotation = (text("Namespace"), text("ID"));
            }
            (element, _) => {
                let Some(series) = self.ome.series.last_mut() else { return };
                match element {
                    "Pixels" => {
                        series.size_z = count("SizeZ");
                        series.size_c = count("SizeC");
                        series.size_t = count("SizeT");
                        let um = |key| Some(scaled(&attributes, key, "µm", mm)? * 1000.0);
                        series.pixel_um =
                            ["PhysicalSizeX", "PhysicalSizeY", "PhysicalSizeZ"].map(um);
                    }
                    "Channel" => series.channels.push(text("Name")),
                    "Plane" => series.planes.push(PlaneFacts {
                        channel: text("TheC").parse().unwrap_or(0),
                        delta_s: scaled(&attributes, "DeltaT", "s", seconds),
                        position_mm: ["PositionX", "PositionY", "PositionZ"]
                            .map(|key| scaled(&attributes, key, "reference frame", mm)),
                    }),
                    _ => {}
                }
            }
        }
    }

    fn end(&mut self) {
        let text = self.text.trim();
        let mut around = self.open.iter().rev().map(String::as_str);
        match (around.next(), around.next()) {
            (Some("AcquisitionDate"), _) => {
                if let Some(series) = self.ome.series.last_mut() {
                    series.began_at = date(text);
                }
            }
            (Some("Description"), Some("Image")) if !text.is_empty() => {
                self.ome.notes.extend(text.lines().map(str::to_owned));
            }
            (Some("Value"), Some("DoubleAnnotation")) if self.annotation.0 == ROTATION => {
                let Ok(degrees) = text.parse::<f64>() else { return };
                let (low, high) = self.ome.rotation_deg.unwrap_or((degrees, degrees));
                self.ome.rotation_deg = Some((low.min(degrees), high.max(degrees)));
            }
            (Some("Value"), Some("CommentAnnotation")) if self.annotation.0 == NUMBERS => {
                self.numbers.insert(self.annotation.1.clone(), runs(text));
            }
            _ => {}
        }
    }
}

fn date(text: &str) -> Option<SystemTime> {
    humantime::parse_rfc3339_weak(text).ok()
}

/// Reads `1-57 59 61-100`.
fn runs(text: &str) -> Arc<[(u64, u64)]> {
    let run = |run: &str| {
        let (first, last) = run.split_once('-').unwrap_or((run, run));
        Some((first.parse().ok()?, last.parse().ok()?))
    };
    text.split_whitespace().filter_map(run).filter(|(first, last)| first <= last).collect()
}
