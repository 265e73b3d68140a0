//! The levels of Z at which a stage stood: positions that differ by its jitter only are one level.
//!
//! Which image belongs to which tile and point in time is in `arrangement.rs`.

/// Positions that differ by less than this many mm are the same position.
const SAME_MM: f64 = 1e-4;
/// The largest jitter of a stage, in mm.
const JITTER_MM: f64 = 1e-3;
/// Steps are at least this many times as large as the jitter.
const CLEAR: f64 = 4.0;
/// The largest distance of a level from its place on an even grid, in steps.
const UNEVEN: f64 = 0.25;
/// That distance where levels with one image are on the grid too.
const EXACT: f64 = 0.05;

/// The levels in ascending order.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Levels {
    /// Their heights in mm, ascending.
    heights: Vec<f64>,
    /// The index of each. Without a grid they are 0, 1, 2 and so on.
    indices: Vec<usize>,
    /// The distance of two indices in mm, if the levels are on an even grid.
    step: Option<f64>,
}

impl Levels {
    /// Finds the levels of the known heights. A level with one image does not count where most images
    /// are at levels with several, unless it is exactly on their grid: the stage was on its way.
    pub(super) fn of(heights: &[Option<f64>]) -> Self {
        let mut sorted: Vec<f64> = heights.iter().copied().flatten().collect();
        sorted.sort_by(f64::total_cmp);
        let groups = groups(&sorted);
        let several: Vec<_> = groups.iter().filter(|group| group.len() > 1).copied().collect();
        let in_several: usize = several.iter().map(|group| group.len()).sum();
        let all = means(&groups);
        let is_even =
            grid(&all, EXACT).is_some_and(|(_, indices)| indices.len() == 1 + last(&indices));
        let heights = if is_even || 2 * in_several < sorted.len() { all } else { means(&several) };
        match grid(&heights, UNEVEN) {
            Some((step, indices)) => Self { heights, indices, step: Some(step) },
            None => Self { indices: (0..heights.len()).collect(), heights, step: None },
        }
    }

    /// The index of the level that is nearest to a height.
    pub(super) fn index(&self, height: f64) -> usize {
        let above = self.heights.partition_point(|level| *level < height);
        let below = above.saturating_sub(1);
        let distance = |at: usize| self.heights.get(at).map_or(f64::MAX, |it| (it - height).abs());
        let nearest = if distance(above) < distance(below) { above } else { below };
        self.indices.get(nearest).copied().unwrap_or(0)
    }

    /// The distance of two indices in mm. `None`: there is one level, or the levels are not even.
    pub(super) const fn step(&self) -> Option<f64> {
        self.step
    }
}

#[allow(clippy::cast_precision_loss)] // fewer than 2^52
fn means(groups: &[&[f64]]) -> Vec<f64> {
    let mean = |group: &&[f64]| group.iter().sum::<f64>() / group.len() as f64;
    groups.iter().map(mean).collect()
}

fn last(indices: &[usize]) -> usize {
    indices.last().copied().unwrap_or(0)
}

/// Splits sorted heights where the distance is more than jitter.
fn groups(sorted: &[f64]) -> Vec<&[f64]> {
    let least = least_step(sorted);
    sorted.chunk_by(|a, b| b - a < least).collect()
}

/// Distances below this one are no step.
fn least_step(sorted: &[f64]) -> f64 {
    let distances = sorted.windows(2).map(|pair| pair[1] - pair[0]);
    let mut distances: Vec<f64> = distances.filter(|distance| *distance >= SAME_MM).collect();
    distances.sort_by(f64::total_cmp);
    // The widest gap between two distances divides jitter from steps.
    let splits = 1..distances.len();
    let ratio = |at: usize| distances[at] / distances[at - 1];
    let widest = splits.max_by(|a, b| ratio(*a).total_cmp(&ratio(*b)));
    let Some(split) = widest.filter(|split| ratio(*split) >= CLEAR) else { return SAME_MM };
    let (small, large) = distances.split_at(split);
    let (least, most) = (small[0], small[small.len() - 1]);
    // Small distances that are alike are steps, and the large ones are planes that are missing.
    let are_steps = most < 2.0 * least && small.len() > large.len();
    if most > JITTER_MM || are_steps { SAME_MM } else { f64::midpoint(most, large[0]) }
}

/// The step and the index of each level, if the levels are on an even grid, at most `uneven` steps from
/// their places. Levels may be missing.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)] // small numbers
fn grid(heights: &[f64], uneven: f64) -> Option<(f64, Vec<usize>)> {
    let (first, last) = (*heights.first()?, *heights.last()?);
    let mut distances: Vec<f64> = heights.windows(2).map(|pair| pair[1] - pair[0]).collect();
    distances.sort_by(f64::total_cmp);
    let usual = *distances.get(distances.len() / 2)?;
    let steps = ((last - first) / usual).round();
    // The mean over all steps is more exact than one of them.
    let step = (last - first) / steps;
    if !step.is_finite() || steps > 4.0 * heights.len() as f64 {
        return None;
    }
    let mut indices = Vec::with_capacity(heights.len());
    for height in heights {
        let at = (height - first) / step;
        let index = at.round() as usize;
        if (at - at.round()).abs() > uneven || indices.last() == Some(&index) {
            return None;
        }
        indices.push(index);
    }
    Some((step, indices))
}

/// The line through planes and their heights in mm, by least squares.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// The first point. The others count from there, so that large positions lose no digits.
    first: Option<(f64, f64)>,
    points: f64,
    sum_at: f64,
    sum_z: f64,
    sum_at_at: f64,
    sum_at_z: f64,
}

impl Line {
    /// Adds a plane. A height that is not known is left out.
    #[allow(clippy::cast_precision_loss)] // small numbers
    pub(super) fn add(&mut self, plane: usize, height: f64) {
        if !height.is_finite() {
            return;
        }
        let (first_at, first_z) = *self.first.get_or_insert((plane as f64, height));
        let (at, z) = (plane as f64 - first_at, height - first_z);
        self.points += 1.0;
        self.sum_at += at;
        self.sum_z += z;
        self.sum_at_at += at * at;
        self.sum_at_z += at * z;
    }

    /// The height from one plane to the next. `None` if it is flat or not known.
    pub(super) fn slope(&self) -> Option<f64> {
        let both = self.sum_at_z - self.sum_at * self.sum_z / self.points;
        let square = self.sum_at_at - self.sum_at * self.sum_at / self.points;
        Some(both / square).filter(|slope| slope.is_finite() && slope.abs() > 1e-9)
    }
}
