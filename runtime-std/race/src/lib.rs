//! `flamingo race`: every way of talking to the instrument that the threading analysis discusses,
//! on one load, judged by the simulator's ground truth. Here is the command line, and the order in
//! which things are run and printed.

mod heat;
mod judge;
mod load;
mod player;
mod plot;
mod processors;
mod replay;
mod report;
pub mod statistics;
mod strategies;
mod strategy;
mod wire;

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde::Serialize;
use serde_json::json;

use heat::Heat;
use load::{FACTOR, Load, MOTION, TIMEOUT};
use processors::Split;
use statistics::milliseconds;
use strategies::Kind;

/// Compare ways of sharing one socket between answers and events
///
/// Plays one load on a simulated instrument with each strategy in turn: queries of four axes and of
/// the image size, two motions, unsolicited frames at several rates. The table says, by what the
/// simulator really sent, which answers were right and which events arrived. Takes about a minute
/// and a half.
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

    /// What all chance comes from
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,

    /// Only these strategies; all, if there are none
    #[arg(long = "strategy", value_name = "NAME", value_parser = strategy())]
    strategies: Vec<Kind>,

    /// Draw what came of it
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,

    /// Print the timeline of the race step by step instead, on a virtual clock
    #[arg(long, conflicts_with_all = ["queries", "rates", "seed", "strategies", "plot"])]
    replay_example: bool,

    /// Play a part of the race: how the program starts itself for each run
    #[arg(long, value_name = "JSON", hide = true)]
    player: Option<String>,
}

/// Frames per second.
fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().unwrap_or(f64::NAN);
    if (0.0..=1000.0).contains(&rate) {
        return Ok(rate);
    }
    Err(format!("expected 0 to 1000 frames per second, found {text:?}"))
}

fn strategy() -> impl TypedValueParser<Value = Kind> {
    PossibleValuesParser::new(Kind::ALL.map(Kind::name))
        .try_map(|name| Kind::named(&name).ok_or("unknown strategy"))
}

/// How a race fails.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RaceError {
    /// The table cannot be printed.
    #[error("cannot write: {0}")]
    Output(#[from] std::io::Error),
    /// A run, or the plot, failed: what failed and why.
    #[error("race: {0}")]
    Failed(String),
}

/// Where the table goes, line by line.
pub type Print<'a> = &'a mut dyn FnMut(&str) -> std::io::Result<()>;

/// The table, as text or as one JSON object a line.
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

    /// The object if JSON was asked for, the text otherwise.
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

/// Runs the race and prints the table with `print`, one line a call. It blocks for as long as the
/// race takes, and starts this executable again for each run. Gives the file of the plot, if one
/// was drawn.
///
/// # Errors
/// [`RaceError`]: `print` failed, or a run did, or the plot cannot be drawn.
pub fn run(args: &RaceArgs, json: bool, print: Print<'_>) -> Result<Option<PathBuf>, RaceError> {
    let out = &mut Table { print, json };
    if let Some(part) = &args.player {
        let part = serde_json::from_str(part).map_err(failed)?;
        player::play(&part).map_err(RaceError::Failed)?;
        return Ok(None);
    }
    if args.replay_example {
        replay_example(out)?;
        return Ok(None);
    }
    let (motion, timeout) = (milliseconds(MOTION), milliseconds(TIMEOUT));
    let head = json!({
        "factor": FACTOR, "timeout_ms": timeout, "motion_ms": motion,
        "queries": args.queries, "seed": args.seed,
    });
    out.either(&head, || {
        format!(
            "All times are {FACTOR} times shorter than on a real instrument: a timeout of 3 s is \
             {timeout} ms, a motion of 10 s is {motion} ms,\n40 frames/s are {}. \
             Delays are as measured, in ms. A run is {} queries and 2 motions, each an answer.\n\
             Position updates carry the instrument's mark; 2 answers about the image size come 3.5 s \
             after their question, when it was given up.",
            40 * FACTOR,
            args.queries
        )
    })?;
    // Before the long run, not after it.
    let plot = args.plot.as_deref().map(create).transpose()?;
    let split = Split::of(&processors::allowed());
    let mut heats = Vec::new();
    for rate in &args.rates {
        if !out.json {
            let [above, header] = report::HEADER;
            out.line(&format!("\n{rate} unsolicited frames/s\n{above}\n{header}"))?;
        }
        let load = Load { queries: args.queries, rate: *rate, seed: args.seed };
        let run = |kind| heat::run(kind, load, split.as_ref()).map_err(RaceError::Failed);
        let raw = run(Kind::Raw)?;
        out.either(&report::row(&raw, &raw), || report::line(&raw, &raw))?;
        for kind in args.kinds() {
            let heat = run(*kind)?;
            out.either(&report::row(&heat, &raw), || report::line(&heat, &raw))?;
            heats.push(heat);
        }
    }
    conclude(args, &heats, plot, out)
}

fn create(file: &Path) -> Result<(&Path, File), RaceError> {
    let created = File::create(file).map_err(|error| not_drawn(file, &error))?;
    Ok((file, created))
}

fn not_drawn(file: &Path, error: &dyn std::fmt::Display) -> RaceError {
    RaceError::Failed(format!("cannot draw {}: {error}", file.display()))
}

impl RaceArgs {
    /// Those that run, besides the yardstick.
    fn kinds(&self) -> &[Kind] {
        if self.strategies.is_empty() { &Kind::ALL } else { &self.strategies }
    }
}

fn conclude(
    args: &RaceArgs,
    heats: &[Heat],
    plot: Option<(&Path, File)>,
    out: &mut Table<'_>,
) -> Result<Option<PathBuf>, RaceError> {
    let of = |kind: Kind| heats.iter().filter(|heat| heat.kind == kind).collect::<Vec<_>>();
    if !out.json {
        out.line("")?;
    }
    let mut series = Vec::new();
    for kind in args.kinds() {
        let heats = of(*kind);
        let verdict = report::verdict(*kind, &heats);
        out.either(&verdict, || report::verdict_text(&verdict))?;
        series.push(report::series(*kind, &heats));
    }
    let Some((file, mut created)) = plot else { return Ok(None) };
    let svg = plot::svg(&series).map_err(|error| not_drawn(file, &error))?;
    created.write_all(svg.as_bytes()).map_err(|error| not_drawn(file, &error))?;
    Ok(Some(file.to_owned()))
}

/// The analysis's T0 to T6, played by two readers and by this project.
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
