//! What the benchmarks share: one run for each number of processors, rounds in which a thing and its limit
//! alternate, and one line for each figure. `limits.rs` has the limits, `clients.rs` the
//! clients under a load, `processors.rs` the pinning. Stopwatch, percentiles and lines are those of the core's benches
//! (`protocol-core/testkit`).
//!
//! A benchmark runs itself once on one processor and once on two. These variables change a run:
//!
//! | variable | effect |
//! |---|---|
//! | `BENCH_CPUS` | only on this number of processors |
//! | `BENCH_JSON` | each figure is also appended to this file, as one JSON object per line |
//! | `BENCH_QUICK` | few repetitions; no figure is judged |

pub mod clients;
pub mod limits;
mod processors;
mod samples;

use std::fs::OpenOptions;
use std::io::Write;
use std::process::{Command, ExitCode};

use flamingo_testkit::bench::{self, Line, Lines};

pub use flamingo_testkit::bench::Stopwatch;
pub use processors::caller_on_first;
#[cfg(unix)]
pub use processors::processor_time;
pub use samples::{Contender, Rounds, alternate};

const CPUS: &str = "BENCH_CPUS";
const JSON: &str = "BENCH_JSON";
const QUICK: &str = "BENCH_QUICK";

/// What a figure must reach.
#[derive(Debug, Clone, Copy)]
pub enum Target {
    /// The ratio to the limit is at most this.
    RatioAtMost(f64),
    /// The ratio to the limit is at least this.
    RatioAtLeast(f64),
    /// The value itself is at most this.
    ValueAtMost(f64),
    /// The value itself is at least this.
    ValueAtLeast(f64),
    /// None: the figure is there for comparison.
    None,
}

impl Target {
    const fn is_of_ratio(self) -> bool {
        matches!(self, Self::RatioAtMost(_) | Self::RatioAtLeast(_))
    }

    /// What is compared with what, if there is both.
    fn judged(self, figure: Figure) -> Option<(bench::Target, f64)> {
        let (target, judged) = match self {
            Self::RatioAtMost(most) => (bench::Target::AtMost(most), figure.ratio?),
            Self::RatioAtLeast(least) => (bench::Target::AtLeast(least), figure.ratio?),
            Self::ValueAtMost(most) => (bench::Target::AtMost(most), figure.value),
            Self::ValueAtLeast(least) => (bench::Target::AtLeast(least), figure.value),
            Self::None => return None,
        };
        Some((target, judged))
    }
}

/// A figure: a value in a unit, and its ratio to a limit if it has one.
#[derive(Debug, Clone, Copy)]
pub struct Figure {
    pub value: f64,
    pub unit: &'static str,
    pub ratio: Option<f64>,
}

impl Figure {
    pub const fn new(value: f64, unit: &'static str) -> Self {
        Self { value, unit, ratio: None }
    }

    #[must_use]
    pub const fn ratio(mut self, ratio: f64) -> Self {
        self.ratio = Some(ratio);
        self
    }
}

/// A point of a growth curve.
#[derive(Debug, Clone, Copy)]
pub struct Point<'a> {
    /// The plot.
    pub plot: &'a str,
    /// The line in the plot.
    pub series: &'a str,
    /// What grows, and how far it has grown.
    pub axis: &'a str,
    pub at: f64,
    pub value: f64,
    pub unit: &'a str,
}

/// The figures of one run, which has a number of processors.
pub struct Report {
    bench: &'static str,
    cpus: usize,
    quick: bool,
    lines: Lines,
}

/// Runs a benchmark on one processor, and then on two. The exit code is 1 if a figure is short of its target.
pub fn run(bench: &'static str, measure: impl FnOnce(&mut Report)) -> ExitCode {
    if let Ok(cpus) = std::env::var(CPUS) {
        let cpus = cpus.parse().expect("BENCH_CPUS must be a number");
        return run_on(bench, cpus, measure);
    }
    let most = processors::allowed();
    if most == 1 {
        return run_on(bench, 1, measure);
    }
    let this = std::env::current_exe().expect("the path of this program");
    let mut code = ExitCode::SUCCESS;
    for cpus in ["1", "2"] {
        let mut again = Command::new(&this);
        again.args(std::env::args_os().skip(1)).env(CPUS, cpus);
        if !again.status().expect("this program starts again").success() {
            code = ExitCode::FAILURE;
        }
    }
    code
}

fn run_on(bench: &'static str, cpus: usize, measure: impl FnOnce(&mut Report)) -> ExitCode {
    processors::use_first(cpus);
    let quick = std::env::var_os(QUICK).is_some();
    let mut report = Report { bench, cpus, quick, lines: Lines::new(!quick) };
    measure(&mut report);
    report.lines.exit_code()
}

impl Report {
    /// How many processors this run has.
    pub const fn cpus(&self) -> usize {
        self.cpus
    }

    /// The number of repetitions: `full`, or few in a quick run.
    pub fn repetitions(&self, full: usize) -> usize {
        if self.quick { (full / 50).max(1) } else { full }
    }

    /// The target for one processor, or for two.
    pub const fn either<T: Copy>(&self, one: T, two: T) -> T {
        if self.cpus == 1 { one } else { two }
    }

    /// Prints a figure as `name  ratio  target  ok|SHORT`.
    pub fn line(&mut self, name: &str, figure: Figure, target: Target) {
        let Figure { value, unit, ratio } = figure;
        let judged = target.judged(figure);
        assert!(!target.is_of_ratio() || judged.is_some(), "{name}: the target needs a ratio");
        let ratio_text = ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}"));
        let value_text = format!("{} {unit}", significant(value));
        let shows_ratio = target.is_of_ratio() || (judged.is_none() && ratio.is_some());
        let (shown, rest) = if shows_ratio {
            (ratio_text, format!("({value_text})"))
        } else {
            (value_text, format!("(ratio {ratio_text})"))
        };
        let name_text = format!("{name}, {} cpu", self.cpus);
        let line = Line { name: &name_text, figure: &shown, target: judged, rest: &rest };
        let verdict = self.lines.print(line);
        let bound = judged.map_or("-", |(target, _)| target.sign());
        let of = if target.is_of_ratio() { "ratio" } else { "value" };
        let (ratio, wanted) = (number(ratio), number(judged.map(|(target, _)| target.bound())));
        self.record(&format!(
            r#""name": {name:?}, "value": {value}, "unit": {unit:?}, "ratio": {ratio}, "target": {wanted}, "bound": {bound:?}, "of": {of:?}, "verdict": {verdict:?}"#
        ));
    }

    /// Prints a point of a growth curve.
    pub fn point(&self, point: Point<'_>) {
        let Point { plot, series, axis, at, value, unit } = point;
        let name = format!("{plot}: {series}, {axis} {at}, {} cpu", self.cpus);
        println!("{name:<60} {:>12}", format!("{} {unit}", significant(value)));
        self.record(&format!(
            r#""plot": {plot:?}, "series": {series:?}, "axis": {axis:?}, "at": {at}, "value": {value}, "unit": {unit:?}"#
        ));
    }

    /// Appends the members of a JSON object. Texts are written with `{:?}`, which is JSON for texts without control
    /// characters; `serde_json` would make the comparisons of other tests ambiguous to the compiler.
    fn record(&self, members: &str) {
        let Some(path) = std::env::var_os(JSON) else { return };
        let (bench, cpus) = (self.bench, self.cpus);
        let file = OpenOptions::new().append(true).create(true).open(&path);
        let mut file = file.expect("BENCH_JSON must name a file that can be written");
        let line = format!("{{\"bench\": {bench:?}, \"cpus\": {cpus}, {members}}}\n");
        file.write_all(line.as_bytes()).expect("the disk takes it");
    }
}

/// A number in JSON, or null.
fn number(value: Option<f64>) -> String {
    value.map_or("null".to_owned(), |value| value.to_string())
}

/// Three significant digits, or all digits before the point.
fn significant(value: f64) -> String {
    let places = match value.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        _ => 2,
    };
    format!("{value:.places$}")
}
