//! The smaller levels of an OME-Zarr image: each has half the height and half the width of the one before.
//!
//! The step can be cut off at any time. Shards that exist are complete and are not written again, and a
//! level is named in the attributes only when all its shards are written.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use zarrs::array::ArraySubset;
use zarrs::filesystem::FilesystemStore;
use zarrs::storage::{StoreKey, WritableStorageTraits};

use super::super::ImageFileError;
use super::Reason;
use super::checked_array::CheckedArray;
use super::layout::{AXES, Along, Layout, Place};
use super::metadata::dataset;
use super::shards::Shards;
use super::store::{Lock, Store};

/// What [`write_pyramid`] has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pyramid {
    /// The levels that the image has now, with the one of full size.
    pub levels: usize,
    /// No level is missing.
    pub complete: bool,
}

/// Writes the smaller levels of an OME-Zarr image that [`super::OmeZarr`] has written, until no side is
/// longer than 256 pixels. Each pixel is the mean of 2 x 2 pixels of the level before. Levels that are
/// there already stay. If the step was cut off, the next call goes on where it ended.
///
/// `progress` is called after each plane with the number of planes that are done and of all planes. The
/// step ends early if it returns `Break`.
///
/// # Errors
/// [`ImageFileError`]: no such image, an image that is still being written, a full disk.
pub fn write_pyramid(
    folder: &Path,
    progress: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
) -> Result<Pyramid, ImageFileError> {
    write(folder, progress).map_err(|reason| ImageFileError::new(folder, &reason))
}

fn write(
    folder: &Path,
    progress: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
) -> Result<Pyramid, Reason> {
    let mut root = Root::read(folder)?;
    let Some(_lock) = Lock::take(folder)? else {
        return Err("another program is writing it; try again after its end".into());
    };
    let mut levels = root.levels()?;
    let (mut source, mut layout) = open(folder, levels - 1)?;
    let mut count = Count::new(&source, layout, progress);
    let store = Store::new(folder);
    while let Some(smaller) = layout.halved() {
        let [t, c, z, ..] = source.image_shape()?;
        let shape = [t, c, z, smaller.height, smaller.width];
        let target = smaller.array(store.clone(), &format!("/{levels}"), shape)?;
        let target = Level { layout: smaller, store: &store, shards: Shards::new(smaller, target) };
        let Some(target) = target.fill(&source, layout, &mut count)? else {
            return Ok(Pyramid { levels, complete: false });
        };
        target.shards.array().store_metadata()?;
        root.add_level(levels)?;
        store.set(&StoreKey::new("zarr.json")?, serde_json::to_vec_pretty(&root.0)?.into())?;
        (source, layout) = open(folder, levels)?;
        levels += 1;
    }
    Ok(Pyramid { levels, complete: true })
}

/// Opens a level that exists, and checks it.
fn open(folder: &Path, level: usize) -> Result<(CheckedArray, Layout), Reason> {
    let failed = |error: String| format!("level {level}: {error}");
    let store = Arc::new(FilesystemStore::new(folder)?);
    let source = CheckedArray::open(&store, &level.to_string()).map_err(failed)?;
    if source.data_type() != "uint16" {
        return Err(
            failed(format!("expected pixels of uint16, found {}", source.data_type())).into()
        );
    }
    let [t, _, z, height, width] = source.image_shape().map_err(failed)?;
    let along = if z > t { Along::Z } else { Along::T };
    Ok((source, Layout { along, height, width }))
}

/// Counts planes for the progress.
struct Count<'a> {
    done: u64,
    all: u64,
    progress: &'a mut dyn FnMut(u64, u64) -> ControlFlow<()>,
}

impl<'a> Count<'a> {
    fn new(
        source: &CheckedArray,
        mut layout: Layout,
        progress: &'a mut dyn FnMut(u64, u64) -> ControlFlow<()>,
    ) -> Self {
        let planes: u64 = source.shape().iter().take(3).product();
        let mut all = 0;
        while let Some(smaller) = layout.halved() {
            all += planes;
            layout = smaller;
        }
        Self { done: 0, all, progress }
    }

    fn next(&mut self) -> ControlFlow<()> {
        self.done += 1;
        (self.progress)(self.done, self.all)
    }
}

/// A level that is being written.
struct Level<'a> {
    layout: Layout,
    store: &'a Store,
    shards: Shards,
}

impl Level<'_> {
    /// Writes all planes; `None` if the progress ended it.
    fn fill(
        mut self,
        source: &CheckedArray,
        from: Layout,
        count: &mut Count<'_>,
    ) -> Result<Option<Self>, Reason> {
        let [t, c, z, ..] = source.image_shape()?;
        for place in places(self.layout.along, [t, c, z]) {
            if !self.has_shard(place) {
                let Place { t, c, z } = place;
                let plane = [t..t + 1, c..c + 1, z..z + 1, 0..from.height, 0..from.width];
                let plane = ArraySubset::new_with_ranges(&plane);
                let pixels: Vec<u16> = source.retrieve(&plane)?;
                let width = usize::try_from(from.width)?;
                self.shards.add(place, &halved(&pixels, width))?;
            }
            if place.at(self.layout.along) + 1 == t.max(z) {
                self.shards.close()?;
            }
            if count.next().is_break() {
                return Ok(None);
            }
        }
        Ok(Some(self))
    }

    /// Whether the shard of a plane was written before this step began.
    fn has_shard(&self, place: Place) -> bool {
        let (shard, _) = self.layout.shard_of(place);
        !self.shards.is_open(place.c, shard)
            && self.store.path(&self.shards.array().chunk_key(&shard)).exists()
    }
}

/// All planes, those of a shard one after the other.
fn places(along: Along, [t, c, z]: [u64; 3]) -> impl Iterator<Item = Place> {
    let (other, long) = match along {
        Along::T => (z, t),
        Along::Z => (t, z),
    };
    (0..c).flat_map(move |c| {
        (0..other).flat_map(move |other| {
            (0..long).map(move |at| match along {
                Along::T => Place { t: at, c, z: other },
                Along::Z => Place { t: other, c, z: at },
            })
        })
    })
}

/// Each pixel is the mean of 2 x 2 pixels. At an odd edge it is the mean of the pixels that exist.
fn halved(pixels: &[u16], width: usize) -> Vec<u16> {
    let rows: Vec<&[u16]> = pixels.chunks_exact(width).collect();
    let mean = |a: &[u16], b: &[u16]| {
        let sum = |row: &[u16]| u32::from(row[0]) + u32::from(row[row.len() - 1]);
        u16::try_from((sum(a) + sum(b) + 2) / 4).unwrap_or(u16::MAX)
    };
    let two_rows = |rows: &[&[u16]]| {
        let (above, below) = (rows[0], rows[rows.len() - 1]);
        above.chunks(2).zip(below.chunks(2)).map(|(a, b)| mean(a, b)).collect::<Vec<_>>()
    };
    rows.chunks(2).flat_map(two_rows).collect()
}

/// The metadata of the group of an image.
struct Root(Value);

impl Root {
    fn read(folder: &Path) -> Result<Self, Reason> {
        let file = folder.join("zarr.json");
        let text = std::fs::read(&file).map_err(|error| {
            format!("expected an OME-Zarr image, which has a file zarr.json: {error}")
        })?;
        let root = Self(serde_json::from_slice(&text)?);
        let ome = &root.0["attributes"]["ome"];
        let names = ome["multiscales"][0]["axes"].as_array().into_iter().flatten();
        let names: Vec<_> = names.filter_map(|axis| axis["name"].as_str()).collect();
        if ome["version"] != "0.5" || names != AXES {
            return Err(format!(
                "expected an OME-Zarr image of version 0.5 with the axes {AXES:?}, found version {} \
                 with the axes {names:?}",
                ome["version"]
            )
            .into());
        }
        Ok(root)
    }

    fn multiscale(&mut self) -> &mut Value {
        &mut self.0["attributes"]["ome"]["multiscales"][0]
    }

    /// The number of levels. They are called by their number.
    fn levels(&mut self) -> Result<usize, Reason> {
        let datasets = self.multiscale()["datasets"].as_array().cloned().unwrap_or_default();
        let number = |level: &Value| level["path"].as_str()?.parse().ok();
        let named = datasets.iter().enumerate().all(|(at, level)| number(level) == Some(at));
        if datasets.is_empty() || !named {
            return Err("expected levels with the names 0, 1, 2 and so on".into());
        }
        Ok(datasets.len())
    }

    /// Adds the level with this number.
    fn add_level(&mut self, level: usize) -> Result<(), Reason> {
        let multiscale = self.multiscale();
        let scale = &multiscale["datasets"][0]["coordinateTransformations"][0]["scale"];
        let scale: Vec<f64> = serde_json::from_value(scale.clone())?;
        let Ok(mut scale) = <[f64; AXES.len()]>::try_from(scale) else {
            return Err("expected a scale of five numbers".into());
        };
        let (height, width) = (scale[3], scale[4]);
        let factor = 2_f64.powi(i32::try_from(level)?);
        (scale[3], scale[4]) = (height * factor, width * factor);
        let dataset = dataset(&level.to_string(), scale);
        let mut dataset: Value = serde_json::from_str(&serde_json::to_string(&dataset)?)?;
        // The centre of the first pixel is not where it is in the image of full size.
        let shift = (factor - 1.0) / 2.0;
        let shift = [0.0, 0.0, 0.0, height * shift, width * shift];
        let shift = json!({"type": "translation", "translation": shift});
        if let Some(transforms) = dataset["coordinateTransformations"].as_array_mut() {
            transforms.push(shift);
        }
        multiscale["type"] = json!("mean");
        multiscale["metadata"] = json!({"description": "each pixel is the mean of 2 x 2 pixels"});
        if let Some(datasets) = multiscale["datasets"].as_array_mut() {
            datasets.push(dataset);
        }
        Ok(())
    }
}
