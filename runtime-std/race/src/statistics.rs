//! Statistics of measured values: a proportion with its confidence interval, percentiles of delays.

use std::time::Duration;

/// The normal deviate of a two-sided 95 % interval.
const Z: f64 = 1.959_963_984_540_054;

/// The Wilson score interval at 95 % of the proportion `hits` / `of`. It is valid for few trials and for proportions near
/// 0 and 1, where the normal approximation is not. Without a trial it is 0 to 1.
///
/// ```
/// let (low, high) = flamingo_race::statistics::interval(0, 10);
/// assert_eq!(low, 0.0);
/// assert!((high - 0.2775).abs() < 1e-4);
/// ```
#[allow(clippy::cast_precision_loss)] // a run has far fewer than 2^52 trials
pub fn interval(hits: u64, of: u64) -> (f64, f64) {
    if of == 0 {
        return (0.0, 1.0);
    }
    let (trials, proportion) = (of as f64, hits.min(of) as f64 / of as f64);
    let scale = 1.0 + Z * Z / trials;
    let centre = (proportion + Z * Z / (2.0 * trials)) / scale;
    let spread = proportion * (1.0 - proportion) / trials + Z * Z / (4.0 * trials * trials);
    let half = Z * spread.sqrt() / scale;
    // At 0 and 1 the formula gives exactly the bound, except for rounding.
    let low = if hits == 0 { 0.0 } else { (centre - half).max(0.0) };
    let high = if hits >= of { 1.0 } else { (centre + half).min(1.0) };
    (low, high)
}

/// The smallest value that at least `percent` % of the values do not exceed (nearest rank). `None`: there are no
/// values.
pub fn percentile<T: Copy + Ord>(values: &[T], percent: usize) -> Option<T> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let rank = (sorted.len() * percent.min(100)).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied()
}

/// The 50th percentile.
pub fn median(values: &[Duration]) -> Option<Duration> {
    percentile(values, 50)
}

/// The longest duration. `None`: there are no values.
pub fn max(values: &[Duration]) -> Option<Duration> {
    values.iter().max().copied()
}

/// Milliseconds, rounded to whole microseconds.
pub fn milliseconds(span: Duration) -> f64 {
    (span.as_secs_f64() * 1e6).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_interval(hits: u64, of: u64, expected: (f64, f64)) {
        let (low, high) = interval(hits, of);
        let close = |a: f64, b: f64| (a - b).abs() < 5e-5;
        assert!(close(low, expected.0) && close(high, expected.1), "{hits}/{of}: {low} {high}");
    }

    fn millis(values: &[u64]) -> Vec<Duration> {
        values.iter().copied().map(Duration::from_millis).collect()
    }

    #[test]
    fn the_interval_is_wilsons() {
        assert_interval(5, 10, (0.2366, 0.7634));
        assert_interval(1, 10, (0.0179, 0.4042));
        assert_interval(0, 10, (0.0, 0.2775));
        assert_interval(10, 10, (0.7225, 1.0));
        assert_interval(0, 1000, (0.0, 0.0038));
        assert_interval(500, 1000, (0.4691, 0.5309));
    }

    #[test]
    fn without_a_trial_the_interval_is_0_to_1() {
        assert_eq!(interval(0, 0), (0.0, 1.0));
    }

    #[test]
    #[allow(clippy::float_cmp)] // the bounds are exact
    fn no_hit_gives_a_bound_of_0_and_all_hits_give_1() {
        for of in 1..500 {
            let (none, all) = (interval(0, of), interval(of, of));
            assert_eq!((none.0, all.1), (0.0, 1.0), "{of}");
            assert!((none.1 - (1.0 - all.0)).abs() < 1e-12, "one mirrors the other: {of}");
        }
    }

    #[test]
    fn more_trials_narrow_the_interval_around_the_proportion() {
        let mut width = 1.0;
        for trials in [4, 40, 400, 4000] {
            let (low, high) = interval(trials / 4, trials);
            assert!(low < 0.25 && 0.25 < high);
            assert!(high - low < width);
            width = high - low;
        }
    }

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let values = millis(&[40, 15, 50, 20, 35]);
        let found: Vec<_> = [0, 5, 30, 40, 50, 100].map(|at| percentile(&values, at)).into();
        let expected: Vec<_> = millis(&[15, 15, 20, 20, 35, 50]).into_iter().map(Some).collect();
        assert_eq!(found, expected);
        assert_eq!(percentile(&values, 1000), Some(Duration::from_millis(50)));
    }

    #[test]
    fn the_median_of_an_even_number_is_the_lower_middle_value() {
        assert_eq!(median(&millis(&[4, 1, 3, 2])), Some(Duration::from_millis(2)));
        assert_eq!(max(&millis(&[4, 1, 3, 2])), Some(Duration::from_millis(4)));
    }

    #[test]
    fn an_empty_list_has_no_percentile() {
        assert_eq!((percentile::<Duration>(&[], 50), median(&[]), max(&[])), (None, None, None));
    }
}
