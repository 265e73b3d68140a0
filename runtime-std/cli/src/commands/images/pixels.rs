//! The pixels of a file: their range, their mean and how often values occur. One page is in memory at a
//! time.

use flamingo_microscope::image_file::{ImageFile, ReadError};
use serde::Serialize;

/// The bars of a histogram, at most.
const BARS: usize = 16;
/// The length of the longest bar.
const LONGEST: u64 = 50;

/// How often each value occurs.
#[derive(Debug)]
pub(super) struct Pixels {
    counts: Vec<u64>,
    /// The number of pages that were read.
    pub(super) pages: usize,
}

/// How often values occur: each count is for `width` values, from `first` on.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub(super) struct HistogramJson {
    first: usize,
    width: usize,
    counts: Vec<u64>,
}

impl Pixels {
    /// Reads the pixels of so many pages, spread evenly over the file. After an error it has those of the
    /// pages before.
    pub(super) fn of(file: &mut ImageFile, wanted: usize) -> (Self, Result<(), ReadError>) {
        let mut pixels = Self { counts: vec![0; 1 << 16], pages: 0 };
        let count = file.description().pages;
        let wanted = wanted.min(count);
        for at in 0..wanted {
            let page = if wanted > 1 { at * (count - 1) / (wanted - 1) } else { 0 };
            match file.page(page) {
                Ok(page) => pixels.add(page.pixels.as_deref()),
                Err(error) => return (pixels, Err(error)),
            }
        }
        (pixels, Ok(()))
    }

    fn add(&mut self, page: Option<&[u16]>) {
        let Some(page) = page else { return };
        self.pages += 1;
        for pixel in page {
            self.counts[usize::from(*pixel)] += 1;
        }
    }

    /// The lowest and the highest value.
    pub(super) fn range(&self) -> Option<(u16, u16)> {
        let low = self.counts.iter().position(|count| *count > 0)?;
        let high = self.counts.iter().rposition(|count| *count > 0)?;
        Some((u16::try_from(low).ok()?, u16::try_from(high).ok()?))
    }

    #[allow(clippy::cast_precision_loss)] // one decimal is shown
    pub(super) fn mean(&self) -> Option<f64> {
        let values = self.counts.iter().enumerate();
        let sum: f64 = values.map(|(value, count)| value as f64 * *count as f64).sum();
        let all: u64 = self.counts.iter().sum();
        (all > 0).then(|| (sum / all as f64 * 10.0).round() / 10.0)
    }

    pub(super) fn histogram(&self) -> Option<HistogramJson> {
        let (low, high) = self.range()?;
        let (low, high) = (usize::from(low), usize::from(high));
        let width = (high - low + 1).div_ceil(BARS);
        let counts = self.counts[low..=high].chunks(width).map(|part| part.iter().sum()).collect();
        Some(HistogramJson { first: low, width, counts })
    }
}

impl HistogramJson {
    pub(super) fn lines(&self) -> Vec<String> {
        let most = self.counts.iter().copied().max().unwrap_or(0).max(1);
        let bar = |(at, count): (usize, &u64)| {
            let from = self.first + at * self.width;
            let to = from + self.width - 1;
            // Division first would lose short bars; these counts are far below the limit.
            let length = (u128::from(*count) * u128::from(LONGEST)).div_ceil(u128::from(most));
            let bar = "#".repeat(usize::try_from(length).unwrap_or(0));
            format!("{from:>5} to {to:>5} {count:>12} {bar}")
        };
        self.counts.iter().enumerate().map(bar).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pixels(pages: &[&[u16]]) -> Pixels {
        let mut pixels = Pixels { counts: vec![0; 1 << 16], pages: 0 };
        for page in pages {
            pixels.add(Some(page));
        }
        pixels
    }

    #[test]
    fn a_histogram_has_every_pixel_in_at_most_16_bars() {
        let pixels = pixels(&[&[0, 1, 2, 3], &[65_535, 65_535, 4_096]]);
        assert_eq!((pixels.pages, pixels.range()), (2, Some((0, 65_535))));
        let histogram = pixels.histogram().unwrap();
        assert_eq!((histogram.first, histogram.width, histogram.counts.len()), (0, 4096, 16));
        assert_eq!(histogram.counts.iter().sum::<u64>(), 7);
        assert_eq!((histogram.counts[0], histogram.counts[1], histogram.counts[15]), (4, 1, 2));
        assert_eq!(histogram.lines().len(), 16);
    }

    #[test]
    fn one_value_is_one_bar_and_none_is_no_histogram() {
        let one = pixels(&[&[7; 9]]);
        assert_eq!((one.range(), one.mean()), (Some((7, 7)), Some(7.0)));
        assert_eq!(one.histogram().unwrap().counts, [9]);
        let none = pixels(&[]);
        assert_eq!((none.range(), none.mean(), none.histogram()), (None, None, None));
    }
}
