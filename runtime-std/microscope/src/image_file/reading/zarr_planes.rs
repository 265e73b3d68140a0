//! An OME-Zarr image: its attributes, its tables, and its planes. Writing is in `../ome_zarr/`.
//!
//! The pages of an image are its planes: Z changes first, then the channel, then the time.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use zarrs::array::ArraySubset;
use zarrs::filesystem::FilesystemStore;

use super::super::ome_zarr::{AXES, CheckedArray};
use super::{Description, Page, Place, PlaneFacts, ReadError, Series};

/// The values of a row of the table of positions: X, Y, Z and R.
const POSITION: usize = 4;

type Store = Arc<FilesystemStore>;

#[derive(Debug)]
pub(super) struct ZarrPlanes {
    place: Place,
    array: CheckedArray,
    shape: [u64; 5],
    pixel_type: String,
}

impl ZarrPlanes {
    pub(super) fn open(place: &Place) -> Result<(Description, Self), ReadError> {
        let folder = place.0.as_path();
        let root = json(folder).ok_or_else(|| place.no_image("a folder without a zarr.json"))?;
        let attributes = &root["attributes"];
        let image = &attributes["ome"]["multiscales"][0];
        let names: Vec<_> = list(&image["axes"]).map(|axis| axis["name"].as_str()).collect();
        if names != AXES.map(Some) {
            return Err(
                place.no_image("a folder that is no OME-Zarr image with the axes t c z y x")
            );
        }
        let level = image["datasets"][0]["path"].as_str().unwrap_or("0");
        if level.starts_with('/') || level.contains("..") {
            return Err(place
                .broken("zarr.json", &format!("expected a level in the folder, found {level:?}")));
        }
        let broken =
            |reason: &dyn ToString| place.broken(format!("level {level}"), &reason.to_string());
        let store = Arc::new(FilesystemStore::new(folder).map_err(|error| broken(&error))?);
        let array = CheckedArray::open(&store, level).map_err(|error| broken(&error))?;
        let shape = array.image_shape().map_err(|error| broken(&error))?;
        let pixel_type = array.data_type().to_owned();
        let planes = Self { place: place.clone(), array, shape, pixel_type };
        let description =
            describe(attributes, &Tables::read(&store, shape), &planes, planes.pages());
        Ok((description, planes))
    }

    /// The number of planes, which was checked.
    fn pages(&self) -> usize {
        let planes: u64 = self.shape[..3].iter().product();
        usize::try_from(planes).unwrap_or(usize::MAX)
    }

    pub(super) fn page(&self, page: usize) -> Result<Page, ReadError> {
        let [_, c, z, height, width] = self.shape;
        let failed =
            |reason: &dyn ToString| self.place.broken(format!("page {page}"), &reason.to_string());
        if page >= self.pages() {
            return Err(failed(&"there is no such plane"));
        }
        let page = page as u64;
        let planes = c * z;
        let (t, c, z) = (page / planes, page % planes / z, page % z);
        let plane = [t..t + 1, c..c + 1, z..z + 1, 0..height, 0..width];
        let plane = ArraySubset::new_with_ranges(&plane);
        let pixels = match self.pixel_type.as_str() {
            "uint16" => self.array.retrieve(&plane).map(Some),
            "uint8" => {
                let pixels = self.array.retrieve::<Vec<u8>>(&plane);
                pixels.map(|pixels| Some(pixels.into_iter().map(u16::from).collect()))
            }
            _ => Ok(None),
        };
        let width = u32::try_from(width).unwrap_or(u32::MAX);
        Ok(Page { width, pixels: pixels.map_err(|error| failed(&error))? })
    }
}

/// The metadata of a group or an array.
fn json(folder: &Path) -> Option<Value> {
    serde_json::from_slice(&std::fs::read(folder.join("zarr.json")).ok()?).ok()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// What is known about each plane, in the order of the pages.
#[derive(Default)]
struct Tables {
    numbers: Vec<f64>,
    times: Vec<f64>,
    positions: Vec<f64>,
}

impl Tables {
    /// Images of other programs have no tables.
    fn read(store: &Store, shape: [u64; 5]) -> Self {
        let table = |name: &str, width| values(store, name, shape, width).unwrap_or_default();
        Self {
            numbers: table("numbers", None),
            times: table("times", None),
            positions: table("positions", Some(POSITION)),
        }
    }
}

/// The values of a table. Planes without a row have none.
fn values(store: &Store, name: &str, shape: [u64; 5], width: Option<usize>) -> Option<Vec<f64>> {
    let [t, c, z, ..] = shape;
    let array = CheckedArray::open(store, &format!("flamingo/{name}")).ok()?;
    let (rows, columns, found) = match (array.shape(), width) {
        ([rows, columns], None) => (*rows, *columns, None),
        ([rows, columns, width], Some(_)) => (*rows, *columns, Some(*width)),
        _ => return None,
    };
    // A program that was killed may have written rows that are not counted.
    let (rows, columns) = (rows.min(t.max(z)), columns.min(c));
    let is_table = array.data_type() == "float64";
    if !is_table || found != width.map(|width| width as u64) || (t > 1 && z > 1) {
        return None;
    }
    let ranges: Vec<_> =
        [0..rows, 0..columns].into_iter().chain(found.map(|width| 0..width)).collect();
    let values: Vec<f64> = array.retrieve(&ArraySubset::new_with_ranges(&ranges)).ok()?;
    let width = width.unwrap_or(1);
    let (columns, c) = (usize::try_from(columns).ok()?, usize::try_from(c).ok()?);
    let count = usize::try_from(t.max(z)).ok()?;
    let row = |at: usize, c: usize| {
        let begin = (at * columns + c) * width;
        let found = values.get(begin..begin + width).filter(|_| c < columns);
        found.map_or_else(|| vec![f64::NAN; width], <[f64]>::to_vec)
    };
    // In a stack the pages of a channel follow one another.
    let order: Box<dyn Iterator<Item = (usize, usize)>> = if z > 1 {
        Box::new((0..c).flat_map(|c| (0..count).map(move |at| (at, c))))
    } else {
        Box::new((0..count).flat_map(|at| (0..c).map(move |c| (at, c))))
    };
    Some(order.flat_map(|(at, c)| row(at, c)).collect())
}

fn describe(attributes: &Value, tables: &Tables, planes: &ZarrPlanes, pages: usize) -> Description {
    let [t, c, z, height, width] = planes.shape;
    let size = |size: u64| usize::try_from(size).unwrap_or(usize::MAX);
    let (ome, own) = (&attributes["ome"], &attributes["flamingo"]);
    let image = &ome["multiscales"][0];
    let scale = &image["datasets"][0]["coordinateTransformations"][0]["scale"];
    let micrometres =
        |axis: usize| scale[axis].as_f64().filter(|_| image["axes"][axis]["unit"] == "micrometer");
    let channels = list(&ome["omero"]["channels"]);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let began = own["began"].as_str().and_then(|text| humantime::parse_rfc3339(text).ok());
    let series = Series {
        name: image["name"].as_str().map(str::to_owned),
        size_z: size(z),
        size_c: size(c),
        size_t: size(t),
        pixel_um: [4, 3, 2].map(micrometres),
        channels: channels.map(|channel| text(&channel["label"])).collect(),
        began_at: began.filter(|began| *began > SystemTime::UNIX_EPOCH + Duration::from_secs(1)),
        planes: facts(tables, [size(c), size(z)], pages),
        numbers: runs(&tables.numbers),
    };
    let is_own = own["finished"].is_boolean();
    Description {
        format: "OME-Zarr",
        width: u32::try_from(width).unwrap_or(u32::MAX),
        height: u32::try_from(height).unwrap_or(u32::MAX),
        pixel_type: planes.pixel_type.clone(),
        pages,
        unfinished: is_own && own["finished"] == false,
        series: vec![series],
        rotation_deg: rotations(tables),
        notes: list(&own["clock_steps"]).map(text).collect(),
        cut_off: None,
    }
}

fn facts(tables: &Tables, [c, z]: [usize; 2], pages: usize) -> Vec<PlaneFacts> {
    let known = |values: &[f64], at: usize| values.get(at).copied().filter(|it| it.is_finite());
    let fact = |page: usize| PlaneFacts {
        channel: page / z.max(1) % c.max(1),
        delta_s: known(&tables.times, page),
        position_mm: [0, 1, 2].map(|axis| known(&tables.positions, page * POSITION + axis)),
    };
    (0..pages).map(fact).collect()
}

fn rotations(tables: &Tables) -> Option<(f64, f64)> {
    let degrees = tables.positions.iter().skip(3).step_by(POSITION).copied();
    degrees.filter(|it| it.is_finite()).fold(None, |range, it| match range {
        None => Some((it, it)),
        Some((low, high)) => Some((it.min(low), it.max(high))),
    })
}

/// The numbers of images, as runs of consecutive ones.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // numbers of images
fn runs(numbers: &[f64]) -> Arc<[(u64, u64)]> {
    let mut sorted: Vec<u64> =
        numbers.iter().filter(|it| it.is_finite() && **it >= 0.0).map(|it| *it as u64).collect();
    sorted.sort_unstable();
    let runs = sorted.chunk_by(|a, b| b - a <= 1);
    runs.filter_map(|run| Some((*run.first()?, *run.last()?))).collect()
}
