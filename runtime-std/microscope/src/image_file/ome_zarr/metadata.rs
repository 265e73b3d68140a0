//! The attributes of the group of an image: `ome`, as the OME-Zarr specification 0.5 says, and `flamingo`.

use std::collections::BTreeMap;

use ome_zarr_metadata::v0_5::{
    Axis, AxisType, AxisUnit, AxisUnitSpace, AxisUnitTime, Channel as OmeroChannel, Color,
    CoordinateTransform, CoordinateTransformScale, MultiscaleImage, MultiscaleImageDataset,
    OmeFields, Omero, Window,
};
use serde_json::{Map, Value, json};

use super::super::ome_xml::channel_name;
use super::layout::AXES;
use super::{ImageFacts, Reason};

/// The colours of the channels; one channel alone is white.
const COLOURS: [Color; 4] = [
    Color { r: 0, g: 255, b: 0 },
    Color { r: 255, g: 0, b: 255 },
    Color { r: 0, g: 255, b: 255 },
    Color { r: 255, g: 255, b: 0 },
];
const WHITE: Color = Color { r: 255, g: 255, b: 255 };

/// A camera, whose images are a channel.
pub(super) struct Camera {
    /// Its index, if it is known.
    pub(super) index: Option<u32>,
    /// How many images it has.
    pub(super) planes: u64,
    /// The lowest and the highest of its pixels.
    pub(super) range: (u16, u16),
}

/// What the attributes say about an image.
pub(super) struct About<'a> {
    pub(super) name: String,
    /// The step of a stack in mm, if it is known.
    pub(super) step: Option<f64>,
    pub(super) cameras: &'a [Camera],
    /// The names of cameras, by their index.
    pub(super) names: &'a BTreeMap<u32, String>,
    /// Of the first image.
    pub(super) first: &'a ImageFacts,
    /// The mean time from one image to the next one.
    pub(super) interval_s: Option<f64>,
    pub(super) clock_steps: &'a [String],
    pub(super) finished: bool,
}

impl About<'_> {
    /// The attributes; without `omero` if the cameras are not those of the array.
    pub(super) fn attributes(&self, with_channels: bool) -> Result<Map<String, Value>, Reason> {
        let ome = OmeFields {
            multiscales: Some(vec![self.multiscale()]),
            omero: with_channels.then(|| self.omero()),
            ..OmeFields::default()
        };
        let cameras = self.cameras.iter().map(|camera| {
            json!({"camera": camera.index, "name": self.name_of(camera), "planes": camera.planes})
        });
        let cameras: Vec<_> = cameras.collect();
        let flamingo = json!({
            "creator": concat!("flamingo ", env!("CARGO_PKG_VERSION")),
            "began": humantime::format_rfc3339_nanos(self.first.taken_at).to_string(),
            "finished": self.finished,
            "cameras": cameras,
            "clock_steps": self.clock_steps,
        });
        // Through text: the scales are short decimal numbers there, not what f32 makes of them.
        let ome = serde_json::from_str(&serde_json::to_string(&ome)?)?;
        Ok(Map::from_iter([("ome".to_owned(), ome), ("flamingo".to_owned(), flamingo)]))
    }

    fn multiscale(&self) -> MultiscaleImage {
        let pixel = self.first.pixel_size.map(|size| size.0 * 1000.0);
        let depth = self.step.map(|step| step * 1000.0);
        let space = |size: Option<f64>| size.map(|_| AxisUnit::Space(AxisUnitSpace::Micrometer));
        let axis =
            |at: usize, kind, unit| Axis { name: AXES[at].to_owned(), r#type: Some(kind), unit };
        let axes = vec![
            axis(0, AxisType::Time, Some(AxisUnit::Time(AxisUnitTime::Second))),
            axis(1, AxisType::Channel, None),
            axis(2, AxisType::Space, space(depth)),
            axis(3, AxisType::Space, space(pixel)),
            axis(4, AxisType::Space, space(pixel)),
        ];
        let one = |value: Option<f64>| value.unwrap_or(1.0);
        let scale = [one(self.interval_s), 1.0, one(depth), one(pixel), one(pixel)];
        MultiscaleImage {
            name: Some(self.name.clone()),
            axes,
            datasets: vec![dataset("0", scale)],
            coordinate_transformations: None,
            r#type: None,
            metadata: None,
        }
    }

    fn omero(&self) -> Omero {
        let one = self.cameras.len() == 1;
        let channels = self.cameras.iter().enumerate().map(|(at, camera)| {
            let (low, high) = camera.range;
            let label = channel_name(self.name_of(camera), camera.index);
            let label = label.unwrap_or_else(|| "camera".to_owned());
            let other = [("label", json!(label)), ("active", json!(true))];
            OmeroChannel {
                color: if one { WHITE } else { COLOURS[at % COLOURS.len()] },
                window: Window {
                    min: 0.0,
                    max: f64::from(u16::MAX),
                    start: f64::from(low),
                    end: f64::from(high.max(low.saturating_add(1))),
                },
                other: other.map(|(name, value)| (name.to_owned(), value)).into_iter().collect(),
            }
        });
        Omero { channels: channels.collect(), other: Map::new() }
    }

    fn name_of(&self, camera: &Camera) -> Option<&str> {
        self.names.get(&camera.index?).map(String::as_str)
    }
}

/// A level with the size of its pixels along the axes t, c, z, y, x.
pub(super) fn dataset(path: &str, scale: [f64; 5]) -> MultiscaleImageDataset {
    #[allow(clippy::cast_possible_truncation)] // seven digits are enough for a scale
    let scale = scale.map(|size| size as f32).to_vec();
    let scale = CoordinateTransform::Scale(CoordinateTransformScale::from(scale));
    MultiscaleImageDataset { path: path.into(), coordinate_transformations: vec![scale] }
}
