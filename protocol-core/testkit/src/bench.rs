//! Times calls for the benches, and prints a line for each figure: `name  ratio  target  ok|SHORT`. The benches of
//! the other crates use the same stopwatch, percentiles and lines.
//!
//! The calls take turns in short rounds, so that a busy machine slows all of them alike. The median of
//! the rounds counts.

use std::fmt;
use std::hint::black_box;
use std::process::ExitCode;

/// The number of rounds.
const ROUNDS: usize = 31;
/// The length of the turn of one call in one round, in nanoseconds.
const TURN: f64 = 500e3;

/// The time with a resolution of nanoseconds.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(std::time::Instant);

#[allow(clippy::disallowed_methods)] // a bench measures real time
impl Stopwatch {
    /// A stopwatch that starts now.
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

/// The smallest value that so many of a hundred do not exceed.
pub fn percentile(sorted: &[f64], percent: usize) -> f64 {
    sorted[(sorted.len() * percent).div_ceil(100).saturating_sub(1)]
}

/// The middle value; of an even number, the smaller one of the two in the middle.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    percentile(&values, 50)
}

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

    /// The time in nanoseconds.
    fn run(&mut self) -> f64 {
        Stopwatch::time(|| (self.repeat)(self.times))
    }

    /// Finds how often it fits into a turn.
    fn warm_up(&mut self) {
        while self.run() < TURN && self.times < 1 << 24 {
            self.times *= 2;
        }
    }

    fn turn(&mut self) {
        let nanoseconds = self.run();
        self.rounds.push(nanoseconds / f64::from(self.times) / self.operations);
    }
}

/// The time of one operation of each call in nanoseconds, in their order.
pub fn nanoseconds(mut calls: Vec<Call<'_>>) -> Vec<f64> {
    calls.iter_mut().for_each(Call::warm_up);
    for _ in 0..ROUNDS {
        calls.iter_mut().for_each(Call::turn);
    }
    calls.into_iter().map(|call| median(call.rounds)).collect()
}

/// What a figure must be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Target {
    /// This much or less.
    AtMost(f64),
    /// This much or more.
    AtLeast(f64),
}

impl Target {
    /// Whether a figure reaches it.
    pub fn is_met(self, figure: f64) -> bool {
        match self {
            Self::AtMost(most) => figure <= most,
            Self::AtLeast(least) => figure >= least,
        }
    }

    /// `<=` or `>=`.
    pub const fn sign(self) -> &'static str {
        match self {
            Self::AtMost(_) => "<=",
            Self::AtLeast(_) => ">=",
        }
    }

    /// The figure that just reaches it.
    pub const fn bound(self) -> f64 {
        let (Self::AtMost(bound) | Self::AtLeast(bound)) = self;
        bound
    }
}

/// With at most two digits after the point.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.sign(), (self.bound() * 100.0).round() / 100.0)
    }
}

/// A figure as a line of text.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    /// What was measured.
    pub name: &'a str,
    /// The figure, as it is printed.
    pub figure: &'a str,
    /// What the figure must be, and what it is. `None`: it is there for comparison.
    pub target: Option<(Target, f64)>,
    /// What is printed behind the verdict.
    pub rest: &'a str,
}

/// The lines of a bench, and whether a figure is short of its target.
#[derive(Debug, Clone, Copy)]
pub struct Lines {
    is_judged: bool,
    is_short: bool,
}

impl Lines {
    /// Without judging, no figure is short.
    pub const fn new(is_judged: bool) -> Self {
        Self { is_judged, is_short: false }
    }

    /// Prints a line. Returns its verdict: `ok`, `SHORT`, or `-` if the figure is not judged.
    pub fn print(&mut self, line: Line<'_>) -> &'static str {
        let verdict = self.judge(line.target);
        println!("{}", text(line, verdict));
        verdict
    }

    /// Prints the line of a ratio.
    pub fn ratio(&mut self, name: &str, ratio: f64, target: Target) {
        let figure = &format!("{ratio:.2}");
        self.print(Line { name, figure, target: Some((target, ratio)), rest: "" });
    }

    fn judge(&mut self, target: Option<(Target, f64)>) -> &'static str {
        match target {
            Some((target, figure)) if self.is_judged => {
                let is_met = target.is_met(figure);
                self.is_short |= !is_met;
                if is_met { "ok" } else { "SHORT" }
            }
            _ => "-",
        }
    }

    /// 1 if a figure is short of its target.
    pub fn exit_code(self) -> ExitCode {
        if self.is_short { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    }
}

fn text(line: Line<'_>, verdict: &str) -> String {
    let Line { name, figure, target, rest } = line;
    let target = target.map_or("-".to_owned(), |(target, _)| target.to_string());
    let text = format!("{name:<60} {figure:>12}  {target:<9} {verdict:<5} {rest}");
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_short_of_its_target_fails_the_bench() {
        let mut lines = Lines::new(true);
        for met in [(Target::AtMost(1.0), 1.0), (Target::AtLeast(2.0), 2.0)] {
            assert_eq!(lines.judge(Some(met)), "ok");
        }
        assert_eq!(lines.judge(None), "-");
        assert!(!lines.is_short);
        for missed in [(Target::AtMost(1.0), 1.1), (Target::AtLeast(2.0), 1.9)] {
            let mut lines = lines;
            assert_eq!(lines.judge(Some(missed)), "SHORT");
            assert!(lines.is_short);
            let mut quick = Lines::new(false);
            assert_eq!(quick.judge(Some(missed)), "-");
            assert!(!quick.is_short);
        }
    }

    #[test]
    fn a_line_has_name_figure_target_and_verdict() {
        let target = Some((Target::AtMost(13.0 / 2.7), 1.3));
        let line = Line { name: "decode", figure: "1.30", target, rest: "" };
        let text = text(line, "ok");
        let words: Vec<_> = text.split_whitespace().collect();
        assert_eq!(words, ["decode", "1.30", "<=", "4.81", "ok"]);
    }

    #[test]
    fn a_percentile_is_a_value_that_occurred() {
        let values: Vec<f64> = (1..=100).map(f64::from).collect();
        assert!((percentile(&values, 50) - 50.0).abs() < 1e-9);
        assert!((percentile(&values, 99) - 99.0).abs() < 1e-9);
        assert!((percentile(&values[..1], 99) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_call_is_timed_for_one_of_its_operations() {
        let mut calls = 0_u64;
        let times = nanoseconds(vec![Call::new(1000, || calls += 1)]);
        assert_eq!(times.len(), 1);
        assert!(calls > ROUNDS as u64 && times[0] > 0.0);
    }
}
