//! `flamingo home`: moves axes to the home position that the scope settings name.

use std::time::Duration;

use clap::Args;
use flamingo_microscope::{Axis, Microscope, Patience};

use super::motions::{self, Planned};
use super::{ANSWER, answer_timeout};
use crate::args::{ConnectArgs, axis_parser, duration};
use crate::connect;
use crate::failure::{CommandResult, Failure};
use crate::interrupt::Interrupt;
use crate::output::Out;
use crate::profile::PeerArgs;

/// The default time limit for a motion home. It may cross the whole stage.
const MOTION: Duration = Duration::from_mins(2);

/// Move axes to their home positions
///
/// The command is STAGE_HOME, and the instrument chooses the way. The home position in the scope settings
/// must be known and within the limits, otherwise nothing moves; --unchecked homes an axis whose home
/// position or limits are not known. While a workflow runs, no axis is homed. The command ends when it was sent
/// or, with --wait, when the motion has ended. Ctrl-C halts the axes.
#[derive(Debug, Args)]
pub(crate) struct HomeArgs {
    /// Axes to move: x, y, z, r
    #[arg(value_parser = axis_parser(), ignore_case = true, num_args = 1..=4)]
    #[arg(value_name = "AXIS", required_unless_present = "all", hide_possible_values = true)]
    axes: Vec<Axis>,

    /// Move x, y, z and r, all at the same time
    #[arg(long, conflicts_with = "axes")]
    all: bool,

    /// Wait until the motions have ended
    #[arg(long)]
    wait: bool,

    /// Move without a check if the home position or the limits of an axis are not known
    #[arg(long)]
    unchecked: bool,

    #[command(flatten)]
    server: ConnectArgs,

    #[command(flatten)]
    peer: PeerArgs,

    /// Time limit for the motion with --wait, for the acknowledgement without it
    /// [default: 2m with --wait, 3s without]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    timeout: Option<Duration>,
}

pub(crate) async fn run(mut args: HomeArgs, out: &mut Out, interrupt: &Interrupt) -> CommandResult {
    if args.all {
        args.axes = Axis::ALL.to_vec();
    }
    for (at, axis) in args.axes.iter().enumerate() {
        if args.axes[..at].contains(axis) {
            let message = format!("home: expected each axis once, found {axis} twice");
            return Err(Failure::usage(format!("{message}; nothing was moved")));
        }
    }
    let timeout = answer_timeout(args.timeout, args.wait).min(ANSWER);
    let connect = connect::connect_to_instrument(&args.peer, &args.server.connect, timeout);
    let client = interrupt.or(connect).await?;
    let microscope = Microscope::over(client.clone(), Patience::default());
    connect::not_while_running(&client, "home")?;
    let planned = interrupt.or(planned(&microscope, &args)).await?;
    let work = async {
        if args.wait {
            motions::wait(&microscope, &planned, args.timeout.unwrap_or(MOTION), out).await
        } else {
            motions::acknowledge(&microscope, &planned, out).await
        }
    };
    motions::or_halt(interrupt, &client, &args.axes, work).await
}

/// The home position of each axis, within the limits.
async fn planned(microscope: &Microscope, args: &HomeArgs) -> CommandResult<Vec<Planned>> {
    let settings = microscope.settings().load().await.map_err(|error| {
        let message = format!("home: positions and limits not known: {error}; nothing was moved");
        Failure::new(error.exit_code(), message)
    })?;
    let settings = settings.value;
    let mut planned = Vec::new();
    for axis in args.axes.iter().copied() {
        let target = settings.home(axis);
        let limits = settings.limits(axis);
        let unknown = match (target, limits.known()) {
            (None, _) => Some("the scope settings have no home position".to_owned()),
            (Some(_), Err(why)) => Some(format!("limits not known: {why}")),
            (Some(_), Ok(())) => None,
        };
        if let Some(why) = unknown.filter(|_| !args.unchecked) {
            return Err(Failure::usage(format!(
                "home of axis {axis}: {why}; nothing was moved; correct the scope settings, or move it \
                 with --unchecked"
            )));
        }
        if let Some(target) = target {
            let checked = limits.check(axis, target);
            checked.map_err(|error| {
                Failure::usage(format!("home of axis {axis}: {error}; nothing was moved"))
            })?;
        }
        planned.push(Planned { axis, target, home: true });
    }
    Ok(planned)
}
