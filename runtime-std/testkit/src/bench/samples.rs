//! Times, and the rounds in which contenders alternate.

/// The time with a resolution of nanoseconds. [`flamingo_runtime_std::Clock`] counts microseconds, which is
/// too coarse for one round trip.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(std::time::Instant);

#[allow(clippy::disallowed_methods)] // only benchmarks use it
impl Stopwatch {
    pub fn start() -> Self {
        Self(std::time::Instant::now())
    }

    /// Nanoseconds since the start.
    pub fn nanos(self) -> f64 {
        self.0.elapsed().as_secs_f64() * 1e9
    }

    /// The time of `action`, in nanoseconds.
    pub fn time(action: impl FnOnce()) -> f64 {
        let watch = Self::start();
        action();
        watch.nanos()
    }
}

/// Does a part of its work, and appends times in nanoseconds: of each operation, or the mean of all.
pub type Contender<'a> = Box<dyn FnMut(&mut Vec<f64>) + 'a>;

/// The times of all contenders in each round.
pub struct Rounds(Vec<Vec<Vec<f64>>>);

/// Lets the contenders take turns: `turns` turns for each in every round, after one turn that does not count.
pub fn alternate(rounds: usize, turns: usize, mut contenders: Vec<Contender<'_>>) -> Rounds {
    let mut warm_up = Vec::new();
    for contender in &mut contenders {
        contender(&mut warm_up);
    }
    let round = |_| {
        let mut times = vec![Vec::new(); contenders.len()];
        for _ in 0..turns {
            for (contender, times) in contenders.iter_mut().zip(&mut times) {
                contender(times);
            }
        }
        for times in &mut times {
            times.sort_unstable_by(f64::total_cmp);
        }
        times
    };
    Rounds((0..rounds).map(round).collect())
}

impl Rounds {
    /// The percentile of a contender's times in ns: the median of all rounds.
    pub fn time(&self, contender: usize, percent: usize) -> f64 {
        median(self.0.iter().map(|round| percentile(&round[contender], percent)).collect())
    }

    /// The ratio of the same percentile of two contenders: the median of all rounds.
    pub fn ratio(&self, contender: usize, limit: usize, percent: usize) -> f64 {
        let of = |round: &Vec<Vec<f64>>| {
            percentile(&round[contender], percent) / percentile(&round[limit], percent)
        };
        median(self.0.iter().map(of).collect())
    }

    /// The median time of a contender as operations per second: the median of all rounds.
    pub fn rate(&self, contender: usize) -> f64 {
        1e9 / self.time(contender, 50)
    }

    /// How many times as many operations per second a contender does: the median of all rounds.
    pub fn rate_ratio(&self, contender: usize, limit: usize) -> f64 {
        self.ratio(limit, contender, 50)
    }
}

/// The smallest value that so many of a hundred do not exceed.
fn percentile(sorted: &[f64], percent: usize) -> f64 {
    sorted[(sorted.len() * percent).div_ceil(100).saturating_sub(1)]
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    percentile(&values, 50)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_the_median_of_the_ratios_of_the_rounds() {
        let limits = [1.0, 2.0, 4.0];
        let mut round = -1_i32;
        let mut other = -1_i32;
        let at = |round: i32| limits[round.rem_euclid(3) as usize];
        let limit: Contender<'_> = Box::new(move |times| {
            times.push(at(round));
            round += 1;
        });
        // Three times as slow, but ten times in the last round.
        let slow: Contender<'_> = Box::new(move |times| {
            times.push(at(other) * if other == 2 { 10.0 } else { 3.0 });
            other += 1;
        });
        let rounds = alternate(3, 1, vec![limit, slow]);
        assert!((rounds.ratio(1, 0, 50) - 3.0).abs() < 1e-9);
        assert!((rounds.rate_ratio(0, 1) - 3.0).abs() < 1e-9);
        assert!((rounds.time(0, 50) - 2.0).abs() < 1e-9, "the warm-up does not count");
    }

    #[test]
    fn a_percentile_is_a_value_that_occurred() {
        let values: Vec<f64> = (1..=100).map(f64::from).collect();
        assert!((percentile(&values, 50) - 50.0).abs() < 1e-9);
        assert!((percentile(&values, 99) - 99.0).abs() < 1e-9);
        assert!((percentile(&values[..1], 99) - 1.0).abs() < 1e-9);
    }
}
