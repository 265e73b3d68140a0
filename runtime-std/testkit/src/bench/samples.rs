//! The rounds in which contenders alternate.

use flamingo_testkit::bench::{median, percentile};

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
}
