//! Where each image of a set belongs: its tile, and its place in depth and time. The positions of the
//! stage decide it.
//!
//! Finding the levels of Z is in `levels.rs`. Writing the result is in `ome_xml.rs`.

use std::collections::HashMap;

use super::Sequence;
use super::levels::{Levels, Line};
use crate::units::{Mm, Pose};

/// The distance in mm within which two positions of X or Y are one tile, if the field of view is not known.
const SAME_TILE_MM: f64 = 0.01;

/// What decides the place of an image.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Shot {
    /// The pose of the stage, if it is known.
    pub pose: Option<Pose>,
    /// The number of its channel, from 0.
    pub channel: usize,
    /// The number of the image in its stream; images that were dropped count.
    pub number: Option<u64>,
    /// The number of its stack. Each image of a stack is a plane of its own.
    pub stack: Option<u64>,
}

impl Shot {
    /// An image of which only the channel is known; set what else is known.
    #[must_use]
    pub const fn of_channel(channel: usize) -> Self {
        Self { pose: None, channel, number: None, stack: None }
    }
}

/// The place of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place {
    /// The number of its tile, from 0, in the order of the first images.
    pub tile: usize,
    /// Its index in depth.
    pub z: usize,
    /// Its index in time.
    pub t: usize,
}

/// A tile: the images at one place in X and Y.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub struct Tile {
    /// The number of planes in depth.
    pub size_z: usize,
    /// The number of points in time.
    pub size_t: usize,
    /// The distance of two planes, if the positions say it.
    pub step: Option<Mm>,
    /// The pose at its first image, if it is known.
    pub pose: Option<Pose>,
}

/// The places of the images of a set.
///
/// ```
/// use flamingo_microscope::image_file::{Arrangement, Sequence, Shot};
/// use flamingo_microscope::units::{Degrees, Mm, Pose};
///
/// let at = |x, z| Some(Pose { x: Mm(x), y: Mm(15.0), z: Mm(z), r: Degrees(0.0) });
/// let poses = [at(7.0, 19.0), at(7.0, 19.005), at(7.4, 19.005), at(7.4, 19.0)];
/// let shots = poses.map(|pose| {
///     let mut shot = Shot::of_channel(0);
///     shot.pose = pose;
///     shot
/// });
/// let found = Arrangement::of(Sequence::Positions, &shots, None);
/// let places: Vec<_> = found.places.iter().map(|place| (place.tile, place.z)).collect();
/// assert_eq!(places, [(0, 0), (0, 1), (1, 1), (1, 0)]);
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Arrangement {
    /// In the order of the images.
    pub places: Vec<Place>,
    /// In the order of their first images.
    pub tiles: Vec<Tile>,
}

impl Arrangement {
    /// Arranges images. `view` is the width and height in mm that an image shows, if it is known: positions
    /// that differ by less than a quarter of it are one tile.
    #[must_use]
    pub fn of(sequence: Sequence, shots: &[Shot], view: Option<[f64; 2]>) -> Self {
        let mut found = Self { places: vec![Place::default(); shots.len()], tiles: Vec::new() };
        if sequence == Sequence::Positions {
            let near = view.map_or([SAME_TILE_MM; 2], |view| view.map(|side| side / 4.0));
            let mut tiles = TileSearch::new(near);
            // A stack is at one place. Its first images may have the position before the move.
            let stacks: HashMap<u64, Pose> = shots
                .iter()
                .filter_map(|shot| Some((shot.stack?, shot.pose.filter(is_placed)?)))
                .collect();
            for (place, shot) in found.places.iter_mut().zip(shots) {
                let of_stack = shot.stack.and_then(|stack| stacks.get(&stack).copied());
                place.tile = tiles.tile(of_stack.or(shot.pose));
            }
        }
        let count = found.places.iter().map(|place| place.tile + 1).max().unwrap_or(0);
        let mut members = vec![Vec::new(); count];
        for (at, place) in found.places.iter().enumerate() {
            members[place.tile].push(at);
        }
        for images in &members {
            let step = match sequence {
                Sequence::Time => found.in_order(shots, images, |place, at| place.t = at),
                Sequence::Depth { step } => {
                    found.in_order(shots, images, |place, at| place.z = at);
                    Some(step)
                }
                Sequence::Positions => found.by_position(shots, images),
            };
            let size = |index: fn(&Place) -> usize| {
                images.iter().map(|at| index(&found.places[*at]) + 1).max().unwrap_or(0)
            };
            let (size_z, size_t) = (size(|place| place.z), size(|place| place.t));
            let pose = images.first().and_then(|at| shots[*at].pose);
            found.tiles.push(Tile { size_z, size_t, step, pose });
        }
        found
    }

    /// Gives each image its number among the images of its channel.
    fn in_order(
        &mut self,
        shots: &[Shot],
        images: &[usize],
        set: impl Fn(&mut Place, usize),
    ) -> Option<Mm> {
        let mut counts: HashMap<usize, usize> = HashMap::new();
        for at in images {
            let count = counts.entry(shots[*at].channel).or_default();
            set(&mut self.places[*at], *count);
            *count += 1;
        }
        None
    }

    /// Arranges the images of one tile; returns the distance of two planes. Each stack is a point in
    /// time. Images without a stack are planes by their positions, and a movie where positions repeat.
    fn by_position(&mut self, shots: &[Shot], images: &[usize]) -> Option<Mm> {
        let mut stacks: Vec<(Option<u64>, Vec<usize>)> = Vec::new();
        let mut known: HashMap<Option<u64>, usize> = HashMap::new();
        for at in images {
            let stack = shots[*at].stack;
            let place = *known.entry(stack).or_insert(stacks.len());
            if place == stacks.len() {
                stacks.push((stack, Vec::new()));
            }
            stacks[place].1.push(*at);
        }
        let (mut step, mut t) = (None, 0);
        for (stack, images) in &stacks {
            let found = match stack {
                Some(_) => self.one_stack(shots, images, t),
                None => self.one_movie(shots, images, t),
            };
            step = step.or(found);
            t = images.iter().map(|at| self.places[*at].t + 1).max().unwrap_or(t);
        }
        step.map(Mm)
    }

    /// Positions decide the plane of each image, and images at one position follow one another.
    fn one_movie(&mut self, shots: &[Shot], images: &[usize], from: usize) -> Option<f64> {
        let heights = heights(shots, images);
        let levels = Levels::of(&heights);
        let mut counts: HashMap<(usize, usize), usize> = HashMap::new();
        let mut z = 0;
        for (at, height) in images.iter().zip(&heights) {
            // Without a position, an image belongs to the plane of the one before.
            z = height.map_or(z, |height| levels.index(height));
            let count = counts.entry((shots[*at].channel, z)).or_default();
            self.places[*at].z = z;
            self.places[*at].t = from + *count;
            *count += 1;
        }
        levels.step()
    }

    /// Each image of a channel is a plane of its own. The positions decide which one if they are exact
    /// enough to tell them apart; otherwise the order does.
    fn one_stack(&mut self, shots: &[Shot], images: &[usize], t: usize) -> Option<f64> {
        for at in images {
            self.places[*at].t = t;
        }
        let heights = heights(shots, images);
        let levels = Levels::of(&heights);
        let planes = heights.iter().map(|height| height.map(|height| levels.index(height)));
        let planes: Option<Vec<usize>> = planes.collect();
        if let (Some(planes), Some(step)) = (planes, levels.step()) {
            let mut taken = std::collections::HashSet::new();
            let own = |(at, z): (&usize, &usize)| taken.insert((shots[*at].channel, *z));
            if images.iter().zip(&planes).all(own) {
                for (at, z) in images.iter().zip(planes) {
                    self.places[*at].z = z;
                }
                return Some(step);
            }
        }
        self.order_of_stack(shots, images);
        let mut line = Line::default();
        for (at, height) in images.iter().zip(&heights) {
            line.add(self.places[*at].z, height.unwrap_or(f64::NAN));
        }
        let slope = line.slope()?;
        if slope < 0.0 {
            // The index grows with Z.
            let last = images.iter().map(|at| self.places[*at].z).max().unwrap_or(0);
            for at in images {
                self.places[*at].z = last - self.places[*at].z;
            }
        }
        Some(slope.abs())
    }

    /// The planes of a stack by the order of its images. Numbers that are missing are planes that were
    /// dropped; with more than one channel it is not known whose.
    fn order_of_stack(&mut self, shots: &[Shot], images: &[usize]) {
        let one_channel = images.iter().all(|at| shots[*at].channel == shots[images[0]].channel);
        let numbers: Option<Vec<u64>> = images.iter().map(|at| shots[*at].number).collect();
        let numbers = numbers.filter(|numbers| one_channel && numbers.is_sorted_by(|a, b| a < b));
        let most = 4 * images.len() as u64;
        let numbers = numbers.filter(|numbers| numbers[numbers.len() - 1] - numbers[0] < most);
        self.in_order(shots, images, |place, at| place.z = at);
        for (at, number) in images.iter().zip(numbers.iter().flatten()) {
            let first = numbers.as_ref().map_or(0, |numbers| numbers[0]);
            self.places[*at].z = usize::try_from(number - first).unwrap_or(0);
        }
    }
}

/// Whether X and Y are known.
fn is_placed(pose: &Pose) -> bool {
    pose.x.0.is_finite() && pose.y.0.is_finite()
}

/// Z of each image, where it is known.
fn heights(shots: &[Shot], images: &[usize]) -> Vec<Option<f64>> {
    let height = |at: &usize| shots[*at].pose.map(|pose| pose.z.0).filter(|z| z.is_finite());
    images.iter().map(height).collect()
}

/// Finds the tile of a position in a time that does not grow with the number of tiles.
struct TileSearch {
    near: [f64; 2],
    /// The first position of each tile.
    centres: Vec<[f64; 2]>,
    /// The tiles in each cell, whose sides are `near`.
    cells: HashMap<[i64; 2], Vec<usize>>,
    /// The tile of the image before.
    last: usize,
}

impl TileSearch {
    fn new(near: [f64; 2]) -> Self {
        // A view without a size would make a tile of each image.
        let near = near.map(|side| if side > 0.0 { side } else { SAME_TILE_MM });
        Self { near, centres: Vec::new(), cells: HashMap::new(), last: 0 }
    }

    /// The tile of a position. Without a position it is that of the image before.
    fn tile(&mut self, pose: Option<Pose>) -> usize {
        let at = pose.map(|pose| [pose.x.0, pose.y.0]);
        let Some(at) = at.filter(|at| at.iter().all(|value| value.is_finite())) else {
            return self.last;
        };
        self.last = self.find(at).unwrap_or_else(|| {
            self.centres.push(at);
            let tile = self.centres.len() - 1;
            self.cells.entry(self.cell(at)).or_default().push(tile);
            tile
        });
        self.last
    }

    fn find(&self, at: [f64; 2]) -> Option<usize> {
        let [x, y] = self.cell(at);
        let around = (-1..=1).flat_map(|dx| (-1..=1).map(move |dy| [x + dx, y + dy]));
        let tiles = around.filter_map(|cell| self.cells.get(&cell)).flatten();
        let near = |tile: &&usize| {
            (0..2).all(|axis| (self.centres[**tile][axis] - at[axis]).abs() < self.near[axis])
        };
        tiles.filter(near).min().copied()
    }

    #[allow(clippy::cast_possible_truncation)] // it saturates, and stays away from the limits
    fn cell(&self, at: [f64; 2]) -> [i64; 2] {
        [0, 1].map(|axis| ((at[axis] / self.near[axis]).floor() as i64).clamp(-1 << 50, 1 << 50))
    }
}

#[cfg(test)]
mod tests;
