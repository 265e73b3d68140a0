//! The state of an OME-Zarr folder that is being written: what an image changes, and the order in which
//! what was added becomes visible.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use zarrs::group::GroupBuilder;

use super::super::levels::Line;
use super::super::{ClockNotes, ImageFacts, Picture, Sequence};
use super::Reason;
use super::layout::{Along, Layout, Place};
use super::metadata::{About, Camera};
use super::shards::Shards;
use super::store::{Lock, Store};
use super::tables::Tables;

/// Each camera has a shard in memory.
const MOST_CAMERAS: usize = 16;
/// The range of the pixels is taken from every row of this number.
const SAMPLED_ROWS: usize = 16;

/// The state of a folder.
pub(super) struct Writer {
    path: PathBuf,
    pub(super) store: Arc<Store>,
    sequence: Sequence,
    /// The cameras that have images, in the order of the channels.
    cameras: Vec<Camera>,
    /// The names of cameras, by their index.
    pub(super) names: BTreeMap<u32, String>,
    clock_notes: ClockNotes,
    pub(super) planes: u64,
    /// What begins with the first image.
    body: Option<Body>,
    /// The number of channels that the attributes describe.
    described: usize,
    /// Why the last count failed; reported by the next call.
    pub(super) failed: Option<String>,
    _lock: Option<Lock>,
}

/// The arrays.
struct Body {
    layout: Layout,
    shards: Shards,
    tables: Tables,
    first: ImageFacts,
    /// The time of the newest image of the first channel.
    newest: SystemTime,
    /// Z of the planes of the first channel.
    heights: Line,
    /// Some images are not counted.
    changed: bool,
}

impl Writer {
    pub(super) fn new(path: &Path, sequence: Sequence, lock: Option<Lock>) -> Self {
        Self {
            path: path.to_owned(),
            store: Store::new(path),
            sequence,
            cameras: Vec::new(),
            names: BTreeMap::new(),
            clock_notes: ClockNotes::default(),
            planes: 0,
            body: None,
            described: 0,
            failed: None,
            _lock: lock,
        }
    }

    pub(super) fn add(&mut self, picture: &Picture, facts: &ImageFacts) -> Result<(), Reason> {
        if self.body.is_none() {
            self.body = Some(Body::begin(&self.store, self.sequence, picture, facts)?);
        }
        let channel = self.channel(picture, facts.camera)?;
        let camera = &mut self.cameras[channel];
        let Some(body) = &mut self.body else { return Ok(()) };
        let at = camera.planes;
        let place = Place::new(body.layout.along, at, channel as u64);
        body.shards.add(place, picture.pixels())?;
        body.tables.add(at, channel, facts)?;
        if channel == 0 {
            body.newest = facts.taken_at;
            if let (Sequence::Positions, Some(pose)) = (self.sequence, facts.pose) {
                body.heights.add(usize::try_from(at)?, pose.z.0);
            }
        }
        body.changed = true;
        camera.range = sampled_range(picture, camera.range);
        self.clock_notes.add(facts.clock_step, || format!("plane {}", self.planes));
        camera.planes += 1;
        self.planes += 1;
        Ok(())
    }

    /// The place of the channel for an image of a camera; the channel begins with its first image.
    fn channel(&mut self, picture: &Picture, camera: Option<u32>) -> Result<usize, Reason> {
        let found = (u64::from(picture.width()), u64::from(picture.height()));
        let first =
            self.body.as_ref().map_or(found, |body| (body.layout.width, body.layout.height));
        if found != first {
            return Err(format!(
                "expected images of {} x {} as the first one, found {} x {}; begin another folder",
                first.0, first.1, found.0, found.1
            )
            .into());
        }
        if let Some(known) = self.cameras.iter().position(|known| known.index == camera) {
            return Ok(known);
        }
        if self.cameras.len() == MOST_CAMERAS {
            let found = camera.map_or_else(|| "one more".to_owned(), |index| index.to_string());
            return Err(format!("expected at most {MOST_CAMERAS} cameras, found {found}").into());
        }
        self.cameras.push(Camera { index: camera, planes: 0, range: (u16::MAX, 0) });
        Ok(self.cameras.len() - 1)
    }

    /// Writes the images that were added, and then their number.
    pub(super) fn count(&mut self, finished: bool) -> Result<(), Reason> {
        let Some(body) = &mut self.body else { return Ok(()) };
        if !body.changed && !finished {
            return Ok(());
        }
        let planes = self.cameras.iter().map(|camera| camera.planes).max().unwrap_or(0);
        let channels = self.cameras.len();
        body.shards.flush()?;
        body.tables.flush(planes, channels as u64)?;
        let layout = body.layout;
        let (t, z) = match layout.along {
            Along::T => (planes, 1),
            Along::Z => (1, planes),
        };
        let shape = vec![t, channels as u64, z, layout.height, layout.width];
        // At no moment may the attributes describe other channels than the array has.
        if self.described != 0 && self.described != channels {
            self.describe(finished, false)?;
        }
        if let Some(body) = &mut self.body {
            body.shards.array_mut().set_shape(shape)?;
            body.shards.array().store_metadata()?;
        }
        self.describe(finished, true)?;
        self.described = channels;
        if let Some(body) = &mut self.body {
            body.changed = false;
        }
        Ok(())
    }

    fn describe(&self, finished: bool, with_channels: bool) -> Result<(), Reason> {
        let Some(body) = &self.body else { return Ok(()) };
        let intervals = self.cameras[0].planes.saturating_sub(1);
        #[allow(clippy::cast_precision_loss)] // fewer than 2^52 images
        let interval_s = seconds(body.first.taken_at, body.newest) / intervals as f64;
        let name = self.path.file_name().map_or_else(String::new, |name| {
            let name = name.to_string_lossy();
            name.trim_end_matches(".ome.zarr").to_owned()
        });
        let about = About {
            name,
            step: match self.sequence {
                Sequence::Time => None,
                Sequence::Depth { step } => Some(step.0),
                // Z may go down in a stack; a scale is positive.
                Sequence::Positions => body.heights.slope().map(f64::abs),
            },
            cameras: &self.cameras,
            names: &self.names,
            first: &body.first,
            interval_s: Some(interval_s)
                .filter(|it| it.is_normal() && *it > 0.0 && body.layout.along == Along::T),
            clock_steps: self.clock_notes.lines(),
            finished,
        };
        let attributes = about.attributes(with_channels)?;
        let group = GroupBuilder::new().attributes(attributes).build(self.store.clone(), "/")?;
        Ok(group.store_metadata()?)
    }
}

impl Body {
    fn begin(
        store: &Arc<Store>,
        sequence: Sequence,
        picture: &Picture,
        facts: &ImageFacts,
    ) -> Result<Self, Reason> {
        let along = Along::of(sequence);
        let (height, width) = (u64::from(picture.height()), u64::from(picture.width()));
        let layout = Layout { along, height, width };
        let array = layout.array(store.clone(), "/0", [1, 1, 1, height, width])?;
        Ok(Self {
            layout,
            shards: Shards::new(layout, array),
            tables: Tables::create(store, along, facts.taken_at)?,
            first: *facts,
            newest: facts.taken_at,
            heights: Line::default(),
            changed: false,
        })
    }
}

/// The range of the pixels of some rows, and of the images before.
fn sampled_range(picture: &Picture, before: (u16, u16)) -> (u16, u16) {
    let rows = picture.pixels().chunks(picture.width() as usize);
    rows.step_by(SAMPLED_ROWS).fold(before, |(low, high), row| {
        // Each of the two loops becomes vector instructions.
        (
            row.iter().fold(low, |low, it| low.min(*it)),
            row.iter().fold(high, |high, it| high.max(*it)),
        )
    })
}

/// The seconds from `begin` to `at`; negative if it is before.
pub(super) fn seconds(begin: SystemTime, at: SystemTime) -> f64 {
    match at.duration_since(begin) {
        Ok(after) => after.as_secs_f64(),
        Err(before) => -before.duration().as_secs_f64(),
    }
}
