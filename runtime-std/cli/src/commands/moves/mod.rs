//! `flamingo move`: moves axes to targets within the limits of the stage. With `--wait` it waits for the
//! ends of the motions. `flamingo home` and `flamingo velocity` are here, too.
//!
//! What was typed becomes targets in `targets.rs`; the motions are in `motions.rs`.

mod home;
mod motions;
mod targets;
mod velocity;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use flamingo_microscope::units::{Degrees, Mm};
use flamingo_microscope::{Axis, Microscope, Patience};

use crate::args::{ConnectArgs, axis_parser, duration};
use crate::connect;
use crate::failure::CommandResult;
use crate::interrupt::Interrupt;
use crate::output::Out;
use crate::profile::PeerArgs;
use crate::units;
use motions::Planned;

pub(crate) use home::{HomeArgs, run as home};
pub(crate) use velocity::{VelocityArgs, run as velocity};

/// The default time limit for an answer.
const ANSWER: Duration = Duration::from_secs(3);
/// The default time limit for a motion.
const MOTION: Duration = Duration::from_secs(30);

/// Move axes of the stage
///
/// Each axis has a target: 8.5 or 8.5mm, 250um, for r 30 or 30deg; with a leading + it moves by that much.
/// Up to four axes move at the same time: move x 8 y 15 z +50um.
///
/// The limits of the stage are loaded first. A target outside of them is refused, and nothing moves.
/// So is every target while the limits are not known, unless --unchecked is given. The command ends when the
/// instrument acknowledges the moves or, with --wait, when the motions have ended. Ctrl-C halts the axes.
#[derive(Debug, Args)]
#[command(override_usage = "flamingo move [OPTIONS] <AXIS> <TARGET> [AXIS TARGET]...\n       \
                            flamingo move [OPTIONS] <AXIS> --by <DISTANCE>\n       \
                            flamingo move [OPTIONS] --to <FILE>")]
pub(crate) struct MoveArgs {
    #[command(flatten)]
    pairs: Pairs,

    /// Move by that much from where the axis stands, in either direction, such as -0.1mm
    #[arg(long, value_name = "DISTANCE", conflicts_with = "target", allow_hyphen_values = true)]
    by: Option<String>,

    /// Move to the positions in a file that `get position --save` has written
    #[arg(long, value_name = "FILE", conflicts_with_all = ["axis", "by"])]
    to: Option<PathBuf>,

    /// Wait until the motions have ended
    #[arg(long)]
    wait: bool,

    /// Move without a check if the limits of an axis are not known. Known limits still apply
    #[arg(long)]
    unchecked: bool,

    /// With --wait: how far from its target an axis may stand at the end, in mm; for r in degrees
    /// [default: 0.001, for r 0.01]
    #[arg(long, value_name = "DISTANCE", value_parser = tolerance)]
    tolerance: Option<f64>,

    #[command(flatten)]
    server: ConnectArgs,

    #[command(flatten)]
    peer: PeerArgs,

    /// Time limit for the motion with --wait, for the acknowledgement without it
    /// [default: 30s with --wait, 3s without]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    timeout: Option<Duration>,
}

/// Up to four axes, each with its target. Each word is an argument of its own: a list would take the
/// options after it, since a target may begin with a hyphen.
#[derive(Debug, Args)]
struct Pairs {
    /// Axis to move: x, y, z or r
    #[arg(value_parser = axis_parser(), ignore_case = true, hide_possible_values = true)]
    #[arg(required_unless_present = "to")]
    axis: Option<Axis>,

    /// Its target: 8.5 or 8.5mm, 250um, for r 30 or 30deg; +250um moves by that much
    // Any value with a hyphen is accepted, so that -inf is refused as a number.
    #[arg(allow_hyphen_values = true, required_unless_present_any = ["by", "to"])]
    target: Option<String>,

    /// Another axis with its target, up to four
    #[arg(value_name = "AXIS", value_parser = axis_parser(), ignore_case = true, hide_possible_values = true)]
    #[arg(requires = "second_target")]
    second_axis: Option<Axis>,

    #[arg(value_name = "TARGET", allow_hyphen_values = true, hide = true)]
    second_target: Option<String>,

    #[arg(value_name = "AXIS", value_parser = axis_parser(), ignore_case = true, hide = true)]
    #[arg(requires = "third_target")]
    third_axis: Option<Axis>,

    #[arg(value_name = "TARGET", allow_hyphen_values = true, hide = true)]
    third_target: Option<String>,

    #[arg(value_name = "AXIS", value_parser = axis_parser(), ignore_case = true, hide = true)]
    #[arg(requires = "fourth_target")]
    fourth_axis: Option<Axis>,

    #[arg(value_name = "TARGET", allow_hyphen_values = true, hide = true)]
    fourth_target: Option<String>,
}

impl Pairs {
    /// Each axis with its target. Only the first one may lack it.
    fn each(&self) -> impl Iterator<Item = (Axis, Option<&str>)> {
        let pairs = [
            (self.axis, &self.target),
            (self.second_axis, &self.second_target),
            (self.third_axis, &self.third_target),
            (self.fourth_axis, &self.fourth_target),
        ];
        pairs.into_iter().filter_map(|(axis, target)| Some((axis?, target.as_deref())))
    }
}

impl MoveArgs {
    /// The time limit for an answer.
    fn answer_timeout(&self) -> Duration {
        answer_timeout(self.timeout, self.wait)
    }

    /// The waits and tolerances of the motions.
    fn patience(&self) -> Patience {
        let patience = Patience::default();
        match self.tolerance {
            None => patience,
            Some(tolerance) => {
                patience.arrival_mm(Mm(tolerance)).arrival_degrees(Degrees(tolerance))
            }
        }
    }
}

fn answer_timeout(timeout: Option<Duration>, wait: bool) -> Duration {
    match timeout {
        Some(timeout) if wait => timeout.min(ANSWER),
        timeout => timeout.unwrap_or(ANSWER),
    }
}

/// Parses a distance above 0.
fn tolerance(text: &str) -> Result<f64, String> {
    let tolerance = units::finite(text)?;
    if tolerance <= 0.0 {
        return Err(format!("expected a distance above 0, found {text}"));
    }
    Ok(tolerance)
}

pub(crate) async fn run(args: MoveArgs, out: &mut Out, interrupt: &Interrupt) -> CommandResult {
    let goals = targets::goals(&args)?;
    let connect =
        connect::connect_to_instrument(&args.peer, &args.server.connect, args.answer_timeout());
    let client = interrupt.or(connect).await?;
    let microscope = Microscope::over(client.clone(), args.patience());
    let targets = interrupt.or(targets::checked(&microscope, &args, &goals)).await?;
    let axes: Vec<Axis> = targets.iter().map(|(axis, _)| *axis).collect();
    let planned: Vec<Planned> = targets
        .into_iter()
        .map(|(axis, target)| Planned { axis, target: Some(target), home: false })
        .collect();
    let work = async {
        if args.wait {
            motions::wait(&microscope, &planned, args.timeout.unwrap_or(MOTION), out).await
        } else {
            motions::acknowledge(&microscope, &planned, out).await
        }
    };
    motions::or_halt(interrupt, &client, &axes, work).await
}
