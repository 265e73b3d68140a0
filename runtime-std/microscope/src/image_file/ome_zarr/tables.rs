//! What is known about each plane, beside the image: small arrays in the group `flamingo`.

use std::sync::Arc;
use std::time::SystemTime;

use serde_json::{Value, json};
use zarrs::array::{Array, ArrayBuilder, ArrayCreateError, ArrayError, data_type};
use zarrs::group::GroupBuilder;

use super::layout::{Along, build};
use super::store::Store;
use super::writer::seconds;
use super::{ImageFacts, Reason};

/// Rows of a chunk.
const ROWS: u64 = 4096;

/// The tables: `numbers`, `times`, `exposures` and `positions`.
pub(super) struct Tables {
    begin: SystemTime,
    numbers: Table,
    times: Table,
    exposures: Table,
    positions: Table,
}

impl Tables {
    pub(super) fn create(
        store: &Arc<Store>,
        along: Along,
        begin: SystemTime,
    ) -> Result<Self, Reason> {
        let since = humantime::format_rfc3339_nanos(begin).to_string();
        let group = GroupBuilder::new().build(store.clone(), "/flamingo")?;
        group.store_metadata()?;
        let table = |name: &str, width, about| Table::create(store, along, name, width, about);
        let time = json!({"unit": "second", "since": since});
        let mm = "millimeter";
        let pose = json!({"axes": ["x", "y", "z", "r"], "units": [mm, mm, mm, "degree"]});
        Ok(Self {
            begin,
            numbers: table("numbers", None, json!({}))?,
            times: table("times", None, time)?,
            exposures: table("exposures", None, json!({"unit": "second"}))?,
            positions: table("positions", Some(4), pose)?,
        })
    }

    /// Adds what is known about plane `at` of a channel.
    pub(super) fn add(&mut self, at: u64, c: usize, facts: &ImageFacts) -> Result<(), ArrayError> {
        let pose = facts.pose.map(|pose| [pose.x.0, pose.y.0, pose.z.0, pose.r.0]);
        let exposure = facts.exposure.map_or(f64::NAN, |time| f64::from(time.0) / 1e6);
        #[allow(clippy::cast_precision_loss)] // fewer than 2^52 images
        let number = facts.number.map_or(f64::NAN, |number| number as f64);
        self.numbers.add(at, c, &[number])?;
        self.times.add(at, c, &[seconds(self.begin, facts.taken_at)])?;
        self.exposures.add(at, c, &[exposure])?;
        self.positions.add(at, c, &pose.unwrap_or([f64::NAN; 4]))
    }

    /// Writes all rows, and then the number of planes and channels.
    pub(super) fn flush(&mut self, planes: u64, channels: u64) -> Result<(), Reason> {
        for table in [&mut self.numbers, &mut self.times, &mut self.exposures, &mut self.positions]
        {
            table.flush(planes, channels)?;
        }
        Ok(())
    }
}

/// One value, or several, for each plane.
struct Table {
    array: Array<Store>,
    /// The values of a row, if they are an axis of their own.
    width: Option<u64>,
    /// By channel.
    open: Vec<Open>,
}

/// The rows of a channel that are in memory: one chunk.
#[derive(Default)]
struct Open {
    chunk: u64,
    values: Vec<f64>,
    changed: bool,
}

impl Table {
    fn create(
        store: &Arc<Store>,
        along: Along,
        name: &str,
        width: Option<u64>,
        about: Value,
    ) -> Result<Self, ArrayCreateError> {
        let (shape, chunk): (Vec<_>, Vec<_>) =
            [(0, ROWS), (0, 1)].into_iter().chain(width.map(|width| (width, width))).unzip();
        let mut builder = ArrayBuilder::new(shape, chunk, data_type::float64(), f64::NAN);
        if let Value::Object(about) = about {
            builder.attributes(about);
        }
        let path = format!("/flamingo/{name}");
        let array = match width {
            None => build(builder, store.clone(), &path, [along.name(), "c"]),
            Some(_) => build(builder, store.clone(), &path, [along.name(), "c", "axis"]),
        };
        Ok(Self { array: array?, width, open: Vec::new() })
    }

    fn add(&mut self, at: u64, channel: usize, values: &[f64]) -> Result<(), ArrayError> {
        if self.open.len() <= channel {
            self.open.resize_with(channel + 1, Open::default);
        }
        if self.open[channel].chunk != at / ROWS {
            self.write(channel)?;
            self.open[channel] = Open { chunk: at / ROWS, ..Open::default() };
        }
        let open = &mut self.open[channel];
        // After an error the same row comes again.
        let row = usize::try_from(at % ROWS).unwrap_or(usize::MAX) * values.len();
        open.values.resize(row, f64::NAN);
        open.values.extend(values);
        open.changed = true;
        Ok(())
    }

    fn write(&mut self, channel: usize) -> Result<(), ArrayError> {
        let open = &mut self.open[channel];
        if open.changed {
            let rows = usize::try_from(ROWS * self.width.unwrap_or(1)).unwrap_or(usize::MAX);
            let mut chunk = open.values.clone();
            chunk.resize(rows, f64::NAN);
            let index = [open.chunk, channel as u64, 0];
            self.array.store_chunk(&index[..self.array.dimensionality()], chunk)?;
            open.changed = false;
        }
        Ok(())
    }

    fn flush(&mut self, planes: u64, channels: u64) -> Result<(), Reason> {
        for channel in 0..self.open.len() {
            self.write(channel)?;
        }
        let shape = [planes, channels].into_iter().chain(self.width).collect();
        self.array.set_shape(shape)?.store_metadata()?;
        Ok(())
    }
}
