//! Times calls for the benches, and prints a line for each figure: `name  ratio  target  ok|SHORT`.
//!
//! The calls take turns in short rounds, so that a busy machine slows all of them alike. The median of
//! the rounds counts.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// The number of rounds.
const ROUNDS: usize = 31;
/// The length of the turn of one call in one round.
const TURN: Duration = Duration::from_micros(500);

/// A call, with the number of equal operations that it does.
pub struct Call<'a> {
    /// Calls that many times.
    repeat: Box<dyn FnMut(u32) + 'a>,
    operations: f64,
    times: u32,
    rounds: Vec<f64>,
}

impl<'a> Call<'a> {
    /// A call of `operations` operations.
    pub fn new<T>(operations: u32, mut call: impl FnMut() -> T + 'a) -> Self {
        let repeat = move |times| {
            for _ in 0..times {
                black_box(&call()); // by reference: the result is not copied once more
            }
        };
        let operations = f64::from(operations);
        Self { repeat: Box::new(repeat), operations, times: 1, rounds: Vec::new() }
    }

    #[allow(clippy::disallowed_methods)] // a bench measures real time
    fn run(&mut self) -> Duration {
        let begin = Instant::now();
        (self.repeat)(self.times);
        begin.elapsed()
    }

    /// Finds how often it fits into a turn.
    fn warm_up(&mut self) {
        while self.run() < TURN && self.times < 1 << 24 {
            self.times *= 2;
        }
    }

    fn turn(&mut self) {
        let nanoseconds = self.run().as_secs_f64() * 1e9;
        self.rounds.push(nanoseconds / f64::from(self.times) / self.operations);
    }

    fn median(&mut self) -> f64 {
        self.rounds.sort_by(f64::total_cmp);
        self.rounds[self.rounds.len() / 2]
    }
}

/// The time of one operation of each call in nanoseconds, in their order.
pub fn nanoseconds(mut calls: Vec<Call<'_>>) -> Vec<f64> {
    calls.iter_mut().for_each(Call::warm_up);
    for _ in 0..ROUNDS {
        calls.iter_mut().for_each(Call::turn);
    }
    calls.iter_mut().map(Call::median).collect()
}

/// What a ratio must be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Target {
    /// This much or less.
    AtMost(f64),
    /// This much or more.
    AtLeast(f64),
}

impl Target {
    fn is_met(self, ratio: f64) -> bool {
        match self {
            Self::AtMost(most) => ratio <= most,
            Self::AtLeast(least) => ratio >= least,
        }
    }
}

/// The line of a figure.
pub fn line(name: &str, ratio: f64, target: Target) -> String {
    let (sign, bound) = match target {
        Target::AtMost(most) => ("<=", most),
        Target::AtLeast(least) => (">=", least),
    };
    let verdict = if target.is_met(ratio) { "ok" } else { "SHORT" };
    format!("{name:<72}  {ratio:>8.2}  {sign} {bound:<6.2}  {verdict}")
}

/// Prints the line of a figure.
pub fn print(name: &str, ratio: f64, target: Target) {
    println!("{}", line(name, ratio, target));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_whether_the_target_is_met() {
        let is_short = |ratio, target| match line("name", ratio, target).rsplit_once(' ') {
            Some((_, "SHORT")) => true,
            Some((_, "ok")) => false,
            other => panic!("{other:?}"),
        };
        assert!(!is_short(1.0, Target::AtMost(1.0)));
        assert!(is_short(1.1, Target::AtMost(1.0)));
        assert!(!is_short(2.0, Target::AtLeast(2.0)));
        assert!(is_short(1.9, Target::AtLeast(2.0)));
    }

    #[test]
    fn a_call_is_timed_for_one_of_its_operations() {
        let mut calls = 0_u64;
        let times = nanoseconds(vec![Call::new(1000, || calls += 1)]);
        assert_eq!(times.len(), 1);
        assert!(calls > ROUNDS as u64 && times[0] > 0.0);
    }
}
