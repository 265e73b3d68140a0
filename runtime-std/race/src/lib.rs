#![doc = include_str!("../README.md")]
//!
//! # Where things are
//!
//! This file has the command line, and the order in which runs are made and printed. `load.rs` describes the load,
//! `strategies/` has one file per strategy, `run.rs` starts a run, `worker.rs` is the process that plays it,
//! `evaluate.rs` compares it with the ground truth, `report.rs` and `plot.rs` show the results. `replay.rs` is the
//! timeline on a virtual clock.

mod evaluate;
mod load;
mod plot;
mod plot_file;
mod processors;
mod replay;
mod report;
mod run;
pub mod statistics;
mod strategies;
mod strategy;
mod wire;
mod worker;

use std::path::PathBuf;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde::Serialize;
use serde_json::json;

use load::{FACTOR, Load, MOTION, TIMEOUT};
use plot_file::PlotFile;
use processors::ProcessorSplit;
use run::Run;
use statistics::milliseconds;
use strategies::Kind;

/// Compare ways of sharing one socket between answers and events
///
/// Plays the same load against a simulated instrument with each strategy: queries of four axes and of the image
/// size, two motions, unsolicited frames at several rates. The table shows which answers were right and which
/// events arrived, compared with what the simulator really sent. Takes about a minute and a half.
#[derive(Debug, Args)]
pub struct RaceArgs {
    /// Queries of each run
    #[arg(long, value_name = "N", default_value_t = 200)]
    #[arg(value_parser = clap::value_parser!(u32).range(4..=100_000))]
    queries: u32,

    /// Unsolicited frames per second, in the time of a real instrument
    #[arg(long, value_name = "N,N,…", value_delimiter = ',', default_value = "0,10,40,400")]
    #[arg(value_parser = rate)]
    rates: Vec<f64>,

    /// Seed of all random choices
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,

    /// Run only this strategy; can be repeated [default: all]
    #[arg(long = "strategy", value_name = "NAME", value_parser = strategy())]
    strategies: Vec<Kind>,

    /// Draw the results: as SVG, or as PNG if the name ends with .png
    #[arg(long, value_name = "FILE", value_parser = plot_file)]
    plot: Option<PathBuf>,

    /// Replace an existing plot
    #[arg(long, requires = "plot")]
    overwrite: bool,

    /// Print the timeline of the race step by step instead, on a virtual clock
    #[arg(long, conflicts_with_all = ["queries", "rates", "seed", "strategies", "plot"])]
    replay_example: bool,

    /// Play one run: the program starts itself with this option for each run
    #[arg(long, value_name = "JSON", hide = true)]
    player: Option<String>,
}

/// Parses a rate in frames per second.
fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().unwrap_or(f64::NAN);
    if (0.0..=1000.0).contains(&rate) {
        return Ok(rate);
    }
    Err(format!("expected 0 to 1000 frames per second, found {text:?}"))
}

/// Parses the name of a plot.
fn plot_file(text: &str) -> Result<PathBuf, String> {
    let file = PathBuf::from(text);
    match file.extension() {
        Some(ending) if ["svg", "png"].iter().any(|it| ending.eq_ignore_ascii_case(it)) => Ok(file),
        _ => Err(format!("expected a name that ends with .svg or .png, found {text:?}")),
    }
}

fn strategy() -> impl TypedValueParser<Value = Kind> {
    PossibleValuesParser::new(Kind::ALL.map(Kind::name))
        .try_map(|name| Kind::named(&name).ok_or("unknown strategy"))
}

/// Why a race failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RaceError {
    /// The table cannot be written.
    #[error("cannot write: {0}")]
    Output(#[from] std::io::Error),
    /// The plot was refused before the first run: what was expected.
    #[error("race: {0}")]
    Refused(String),
    /// Ctrl-C ended the process of a run.
    #[error("interrupted")]
    Interrupted,
    /// A run or the plot failed: what failed, and why.
    #[error("race: {0}")]
    Failed(String),
}

/// Takes the output line by line.
pub type Print<'a> = &'a mut dyn FnMut(&str) -> std::io::Result<()>;

/// The output: a table as text, or one JSON object per line.
struct Table<'a> {
    print: Print<'a>,
    json: bool,
}

impl Table<'_> {
    fn line(&mut self, line: &str) -> Result<(), RaceError> {
        Ok((self.print)(line)?)
    }

    fn object(&mut self, object: &impl Serialize) -> Result<(), RaceError> {
        let object = serde_json::to_string(object).map_err(failed)?;
        self.line(&object)
    }

    /// Prints the object if JSON was requested, the text otherwise.
    fn either(
        &mut self,
        object: &impl Serialize,
        text: impl FnOnce() -> String,
    ) -> Result<(), RaceError> {
        if self.json { self.object(object) } else { self.line(&text()) }
    }
}

#[allow(clippy::needless_pass_by_value)] // it is an argument of `map_err`
fn failed(error: impl ToString) -> RaceError {
    RaceError::Failed(error.to_string())
}

/// Runs the race and prints the table with `print`, one line per call. With `json`, each line is a JSON object. It
/// blocks until the race has ended, and starts the current executable again for each run, as `flamingo race --player`.
/// Returns the file of the plot, if one was drawn.
///
/// # Errors
/// [`RaceError`]: `print` failed, a run failed, or the plot cannot be drawn.
pub fn run(args: &RaceArgs, json: bool, print: Print<'_>) -> Result<Option<PathBuf>, RaceError> {
    let out = &mut Table { print, json };
    if let Some(job) = &args.player {
        let job = serde_json::from_str(job).map_err(failed)?;
        worker::work(&job).map_err(RaceError::Failed)?;
        return Ok(None);
    }
    if args.replay_example {
        replay_example(out)?;
        return Ok(None);
    }
    // Before the race, so that a bad path fails at once.
    let plot =
        args.plot.as_deref().map(|file| PlotFile::check(file, args.overwrite)).transpose()?;
    let (motion, timeout) = (milliseconds(MOTION), milliseconds(TIMEOUT));
    let head = json!({
        "factor": FACTOR, "timeout_ms": timeout, "motion_ms": motion,
        "queries": args.queries, "seed": args.seed,
    });
    out.either(&head, || {
        format!(
            "All times are {FACTOR} times shorter than on a real instrument: a timeout of 3 s is \
             {timeout} ms, a motion of 10 s is {motion} ms,\n40 frames/s are {}. \
             Delays are in ms, as measured. A run is {} queries and 2 motions, each with one answer.\n\
             Position updates carry the flag of the instrument. 2 answers about the image size come 3.5 s \
             after their query, when the program has given up.",
            40 * FACTOR,
            args.queries
        )
    })?;
    let split = ProcessorSplit::of(&processors::allowed());
    let mut runs = Vec::new();
    for rate in &args.rates {
        if !out.json {
            let [above, header] = report::HEADER;
            out.line(&format!("\n{rate} unsolicited frames/s\n{above}\n{header}"))?;
        }
        let load = Load { queries: args.queries, rate: *rate, seed: args.seed };
        let run = |kind| run::run(kind, load, split.as_ref());
        let raw = run(Kind::Raw)?;
        out.either(&report::row(&raw, &raw), || report::line(&raw, &raw))?;
        for kind in args.kinds() {
            let run = run(*kind)?;
            out.either(&report::row(&run, &raw), || report::line(&run, &raw))?;
            runs.push(run);
        }
    }
    conclude(args, &runs, plot, out)
}

impl RaceArgs {
    /// Whether this process plays one run of a race that another process makes. Ctrl-C is reported there.
    pub fn is_one_run(&self) -> bool {
        self.player.is_some()
    }

    /// The strategies to run, besides `raw`.
    fn kinds(&self) -> &[Kind] {
        if self.strategies.is_empty() { &Kind::ALL } else { &self.strategies }
    }
}

fn conclude(
    args: &RaceArgs,
    runs: &[Run],
    plot: Option<PlotFile<'_>>,
    out: &mut Table<'_>,
) -> Result<Option<PathBuf>, RaceError> {
    let of = |kind: Kind| runs.iter().filter(|run| run.kind == kind).collect::<Vec<_>>();
    if !out.json {
        out.line("")?;
    }
    let mut series = Vec::new();
    for kind in args.kinds() {
        let runs = of(*kind);
        let summary = report::summary(*kind, &runs);
        out.either(&summary, || report::summary_text(&summary))?;
        series.push(report::series(*kind, &runs));
    }
    plot.map(|plot| plot.draw(&series)).transpose()
}

/// The timeline T0 to T6 of the analysis, with two readers and with this project.
fn replay_example(out: &mut Table<'_>) -> Result<(), RaceError> {
    for replay in replay::replays() {
        if out.json {
            for row in &replay.rows {
                out.object(row)?;
            }
            out.object(&replay)?;
        } else {
            out.line(&replay::text(&replay))?;
        }
    }
    Ok(())
}
