//! What is known about the planes of a series: times, gaps, images that were dropped, positions.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use flamingo_microscope::image_file::{Description, Series};
use serde::Serialize;

use crate::output::rfc3339;

/// A gap is longer than so many usual intervals.
const GAP: f64 = 3.0;

/// The JSON of a series. Keys that are not known are left out.
#[derive(Debug, Serialize)]
pub(super) struct SeriesJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// The axes with more than one place, and Y and X.
    axes: String,
    shape: Vec<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pixel_x_um: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pixel_y_um: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    step_z_um: Option<f64>,
    channels: Vec<String>,
    planes: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    first: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    images_per_s: Option<f64>,
    gaps: Vec<GapJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    position_x_mm: Option<[f64; 2]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    position_y_mm: Option<[f64; 2]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    position_z_mm: Option<[f64; 2]>,
}

/// A pause between two images of a channel.
#[derive(Debug, Serialize, PartialEq)]
struct GapJson {
    /// The plane after which it comes, from 0.
    after_plane: usize,
    seconds: f64,
}

impl SeriesJson {
    pub(super) fn of(series: &Series, found: &Description) -> Self {
        let sizes = [('T', series.size_t), ('C', series.size_c), ('Z', series.size_z)];
        let several = sizes.into_iter().filter(|(_, size)| *size > 1);
        let sides = [('Y', found.height as usize), ('X', found.width as usize)];
        let (axes, shape) = several.chain(sides).unzip();
        let deltas = series.planes.iter().filter_map(|plane| plane.delta_s);
        let span = range(deltas).filter(|[first, last]| *first >= 0.0 && last.is_finite());
        let at = |seconds: f64| time(series.began_at?, seconds);
        let [x, y, z] = [0, 1, 2]
            .map(|axis| range(series.planes.iter().filter_map(|plane| plane.position_mm[axis])));
        // Where nothing is known about the planes, they are the pages.
        let is_known = found.series.len() > 1 || series.planes.len() > 1;
        let planes = if is_known { series.planes.len() } else { found.pages };
        let [pixel_x_um, pixel_y_um, step_z_um] = series.pixel_um.map(|um| um.map(rounded));
        Self {
            name: series.name.clone(),
            axes,
            shape,
            pixel_x_um,
            pixel_y_um,
            step_z_um,
            channels: series.channels.clone(),
            planes,
            first: span.and_then(|[first, _]| at(first)),
            last: span.and_then(|[_, last]| at(last)),
            images_per_s: rate(series),
            gaps: gaps(series),
            position_x_mm: x,
            position_y_mm: y,
            position_z_mm: z,
        }
    }

    /// The name of the series after its number.
    pub(super) fn title(&self) -> String {
        self.name.as_ref().map_or(String::new(), |name| format!(": {name}"))
    }

    pub(super) fn lines(&self) -> Vec<String> {
        let shape: Vec<_> = self.shape.iter().map(usize::to_string).collect();
        let mut lines = vec![format!("axes: {} {}", self.axes, shape.join(" x "))];
        if let (Some(x), Some(y)) = (self.pixel_x_um, self.pixel_y_um) {
            let z = self.step_z_um.map_or(String::new(), |z| format!(", Z {z} µm"));
            lines.push(format!("scale: {x} x {y} µm{z}"));
        } else if let Some(z) = self.step_z_um {
            lines.push(format!("scale: Z {z} µm"));
        }
        let names: Vec<_> = self.channels.iter().filter(|name| !name.is_empty()).collect();
        if !names.is_empty() {
            let names: Vec<_> = names.into_iter().map(String::as_str).collect();
            lines.push(format!("channels: {}", names.join(", ")));
        }
        if let (Some(first), Some(last)) = (&self.first, &self.last) {
            let rate = self.images_per_s.map_or(String::new(), |it| format!(", {it:.1} images/s"));
            lines.push(format!("times: {first} to {last}{rate}"));
        }
        if let Some(longest) = self.gaps.iter().max_by(|a, b| a.seconds.total_cmp(&b.seconds)) {
            let (count, plane, seconds) = (self.gaps.len(), longest.after_plane, longest.seconds);
            lines.push(format!("gaps: {count}, the longest {seconds:.3} s after plane {plane}"));
        }
        let axes =
            [("X", self.position_x_mm), ("Y", self.position_y_mm), ("Z", self.position_z_mm)];
        let position = |(axis, range): (&str, Option<[f64; 2]>)| {
            let [low, high] = range?;
            let to = if low < high { format!(" to {high}") } else { String::new() };
            Some(format!("{axis} {low}{to} mm"))
        };
        let positions: Vec<_> = axes.into_iter().filter_map(position).collect();
        if !positions.is_empty() {
            lines.push(format!("positions: {}", positions.join(", ")));
        }
        lines
    }
}

fn rounded(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

fn range(values: impl Iterator<Item = f64>) -> Option<[f64; 2]> {
    values.fold(None, |range, value| match range {
        None => Some([value, value]),
        Some([low, high]) => Some([low.min(value), high.max(value)]),
    })
}

/// The text of a time that is so many seconds after another.
fn time(began: SystemTime, seconds: f64) -> Option<String> {
    let time = began.checked_add(Duration::try_from_secs_f64(seconds).ok()?)?;
    // Years after 9999 have no such text.
    let since = time.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    (since.as_secs() < 253_402_300_800).then(|| rfc3339(time))
}

/// The times of the images of each channel, with the numbers of their planes.
fn times(series: &Series) -> BTreeMap<usize, Vec<(usize, f64)>> {
    let mut times: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (at, plane) in series.planes.iter().enumerate() {
        if let Some(seconds) = plane.delta_s {
            times.entry(plane.channel).or_default().push((at, seconds));
        }
    }
    times
}

/// The images of the first channel in a second.
#[allow(clippy::cast_precision_loss)] // a rate
fn rate(series: &Series) -> Option<f64> {
    let times = times(series).into_values().next()?;
    let [first, last] = range(times.iter().map(|(_, time)| *time))?;
    let rate = (times.len() - 1) as f64 / (last - first);
    Some(rounded(rate)).filter(|rate| rate.is_finite() && *rate > 0.0)
}

/// The pauses that are much longer than the usual interval.
fn gaps(series: &Series) -> Vec<GapJson> {
    let mut found = Vec::new();
    for times in times(series).into_values() {
        let interval = |pair: &[(usize, f64)]| (pair[0].0, pair[1].1 - pair[0].1);
        let intervals: Vec<_> = times.windows(2).map(interval).collect();
        let mut sorted: Vec<f64> = intervals.iter().map(|(_, seconds)| *seconds).collect();
        sorted.sort_by(f64::total_cmp);
        let Some(usual) = sorted.get(sorted.len() / 2) else { continue };
        let gap = |(_, seconds): &(usize, f64)| *seconds > GAP * usual && *seconds > 0.001;
        let of = |(after_plane, seconds)| GapJson { after_plane, seconds: rounded(seconds) };
        found.extend(intervals.into_iter().filter(gap).map(of));
    }
    found
}

/// How many numbers are missing between the first and the last one of all series: a tile has only some of
/// the images. `None`: the images have no numbers.
pub(super) fn dropped(series: &[Series]) -> Option<u64> {
    missing(numbers(series).collect())
}

/// The numbers of all series. Those that series share are there once.
fn numbers(series: &[Series]) -> impl Iterator<Item = (u64, u64)> {
    let mut seen = HashSet::new();
    let own = series.iter().filter(move |series| seen.insert(Arc::as_ptr(&series.numbers)));
    own.flat_map(|series| series.numbers.iter().copied())
}

fn missing(mut runs: Vec<(u64, u64)>) -> Option<u64> {
    runs.sort_unstable();
    let mut last = runs.first()?.0.saturating_sub(1);
    let mut dropped: u64 = 0;
    for (first, end) in runs {
        dropped = dropped.saturating_add(first.saturating_sub(last.saturating_add(1)));
        last = last.max(end);
    }
    Some(dropped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_are_missing_were_dropped() {
        let missing = |runs: &[(u64, u64)]| missing(runs.to_vec());
        assert_eq!(missing(&[]), None);
        assert_eq!(missing(&[(1, 5)]), Some(0));
        assert_eq!(missing(&[(3, 4), (9, 9), (11, 12)]), Some(5));
        assert_eq!(missing(&[(0, 0), (u64::MAX, u64::MAX)]), Some(u64::MAX - 1));
        assert_eq!(missing(&[(5, 6), (1, 2)]), Some(2), "in any order");
    }

    #[test]
    fn images_of_another_tile_were_not_dropped() {
        let tile = |runs: &[(u64, u64)]| {
            let mut tile = Series::default();
            tile.numbers = runs.into();
            tile
        };
        assert_eq!(dropped(&[tile(&[(1, 10), (21, 30)]), tile(&[(11, 20)])]), Some(0));
        assert_eq!(dropped(&[tile(&[(1, 10)]), tile(&[(12, 20)])]), Some(1));
    }

    #[test]
    fn numbers_that_series_share_are_read_once() {
        let mut tile = Series::default();
        tile.numbers = [(1, 10), (21, 30)].into();
        assert_eq!(numbers(&vec![tile; 1000]).count(), 2);
    }

    #[test]
    fn a_time_that_has_no_text_is_left_out() {
        let epoch = SystemTime::UNIX_EPOCH;
        assert_eq!(time(epoch, 1.5).as_deref(), Some("1970-01-01T00:00:01.500000Z"));
        for seconds in [f64::NAN, -1.0, 1e300, 1e12] {
            assert_eq!(time(epoch, seconds), None, "{seconds}");
        }
    }
}
