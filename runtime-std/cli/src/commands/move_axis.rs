//! `flamingo move`: moves one axis to a target within the limits of the stage. With `--wait` it waits
//! for the end of the motion.

use std::time::Duration;

use clap::Args;
use flamingo_microscope::Axis;
use flamingo_microscope::limits::StageLimits;
use flamingo_microscope::units::{Degrees, Mm, Position};
use flamingo_microscope::{Error, Microscope, Motion, Patience, PositionUpdates};
use flamingo_runtime_std::Clock;
use indicatif::ProgressBar;
use serde::Serialize;
use smol::future::or;

use crate::args::{ConnectArgs, axis_parser, duration, finite};
use crate::commands::halt::halt;
use crate::connect::{self, within};
use crate::failure::{CommandResult, Failure, INTERRUPTED, NO_ANSWER, note};
use crate::frame_json::FrameJson;
use crate::frame_text::outcome_remark;
use crate::interrupt::Interrupt;
use crate::output::{Out, milliseconds};
use crate::profile::PeerArgs;

/// The default time limit for an answer.
const ANSWER: Duration = Duration::from_secs(3);
/// Two answers about an axis that stands still differ by at most this, in mm or degrees,
const STANDS_STILL: f64 = 0.0005;
/// and this long after the first one. Several positions would be pushed meanwhile.
const STANDS_FOR: Duration = Duration::from_millis(200);
/// The default time limit for a motion.
const MOTION: Duration = Duration::from_secs(30);

/// Move one axis of the stage to a position
///
/// The limits of the stage are loaded first. A target outside of them is refused, and nothing moves.
/// So is every target while the limits are not known, unless --unchecked is given. The command ends when the instrument acknowledges the move or, with --wait, when the motion has
/// ended. Ctrl-C halts the axis.
#[derive(Debug, Args)]
pub(crate) struct MoveArgs {
    /// Axis to move
    #[arg(value_parser = axis_parser(), ignore_case = true)]
    axis: Axis,

    /// Target in mm; for r in degrees. With a leading + the axis moves by that much
    // Any value with a hyphen is accepted, so that -inf is refused as a number.
    #[arg(allow_hyphen_values = true, value_parser = goal, required_unless_present = "by")]
    target: Option<Goal>,

    /// Move by that much from where the axis stands, in either direction
    #[arg(long, value_name = "DISTANCE", conflicts_with = "target")]
    #[arg(allow_hyphen_values = true, value_parser = finite)]
    by: Option<f64>,

    /// Wait until the motion has ended
    #[arg(long)]
    wait: bool,

    /// Move without a check if the limits of the axis are not known. Known limits still apply
    #[arg(long)]
    unchecked: bool,

    /// With --wait: how far from its target the axis may stand at the end, in mm; for r in degrees
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

impl MoveArgs {
    /// The time limit for an answer.
    fn answer_timeout(&self) -> Duration {
        match self.timeout {
            Some(timeout) if self.wait => timeout.min(ANSWER),
            timeout => timeout.unwrap_or(ANSWER),
        }
    }

    /// The waits and tolerances of the motion.
    fn patience(&self) -> Patience {
        let patience = Patience::default();
        match (self.tolerance, self.axis) {
            (None, _) => patience,
            (Some(tolerance), Axis::R) => patience.arrival_degrees(Degrees(tolerance)),
            (Some(tolerance), _) => patience.arrival_mm(Mm(tolerance)),
        }
    }
}

/// The target of the command line: a position or a distance.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Goal {
    To(f64),
    By(f64),
}

/// Parses a target. A leading + is relative, so that repeating the command moves again. A leading - is a
/// negative position, which r has; --by takes either sign.
fn goal(text: &str) -> Result<Goal, String> {
    match text.strip_prefix('+') {
        Some(by) if by.starts_with(['+', '-']) => Err(format!(
            "expected a number such as 7.5, or +0.25 to move by that much, found {text:?}"
        )),
        Some(by) => finite(by).map(Goal::By),
        None => finite(text).map(Goal::To),
    }
}

/// Parses a distance above 0.
fn tolerance(text: &str) -> Result<f64, String> {
    let tolerance = finite(text)?;
    if tolerance <= 0.0 {
        return Err(format!("expected a distance above 0, found {text}"));
    }
    Ok(tolerance)
}

/// A move whose target is known.
struct Move<'a> {
    args: &'a MoveArgs,
    axis: Axis,
    target: Position,
}

impl Move<'_> {
    fn goal(&self) -> String {
        format!("axis {} to {}", self.axis, self.target)
    }

    fn failure(&self, error: &Error) -> Failure {
        Failure::new(error.exit_code(), format!("{}: {error}", self.goal()))
    }
}

/// The JSON of a move: the acknowledgement or, with `--wait`, the end of the motion.
#[derive(Serialize)]
struct MoveJson {
    axis: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    target_mm: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target_deg: Option<f64>,
    acknowledged: bool,
    /// Whether the motion has ended; `false` without `--wait`.
    ended: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    motion_ms: Option<f64>,
    /// The frame that reports it. None if the position of the axis shows that it has arrived.
    #[serde(flatten)]
    frame: Option<FrameJson>,
}

pub(crate) async fn run(args: MoveArgs, out: &mut Out, interrupt: &Interrupt) -> CommandResult {
    let connect =
        connect::connect_to_instrument(&args.peer, &args.server.connect, args.answer_timeout());
    let client = interrupt.or(connect).await?;
    let microscope = Microscope::over(client.clone(), args.patience());
    let limits = interrupt.or(limits(&microscope, &args)).await?;
    let target = interrupt.or(target(&microscope, &args, &limits)).await?;
    let checked = limits.check(args.axis, target);
    checked.map_err(|error| Failure::usage(format!("{error}; nothing was moved")))?;
    let planned = Move { args: &args, axis: args.axis, target };

    let work = async {
        Some(if args.wait {
            wait(&microscope, &planned, out).await
        } else {
            acknowledge(&microscope, &planned, out).await
        })
    };
    let pressed = async {
        interrupt.pressed().await;
        None
    };
    match or(pressed, work).await {
        Some(done) => done,
        None => Err(stop(&client, args.axis).await),
    }
}

/// The limits of the axis in the settings. Refuses the move while they are not known.
async fn limits(microscope: &Microscope, args: &MoveArgs) -> CommandResult<StageLimits> {
    let axis = args.axis;
    let unknown = |why: &str| {
        if args.unchecked {
            note(&format!("warning: limits of axis {axis} not known: {why}"));
            return Ok(());
        }
        Err(Failure::usage(format!(
            "limits of axis {axis} not known: {why}; nothing was moved; correct the scope settings, or \
             move it with --unchecked"
        )))
    };
    match microscope.settings().load().await {
        Ok(settings) => {
            let limits = settings.value.limits(axis).clone();
            limits.known().or_else(|why| unknown(&why.to_string()))?;
            Ok(limits)
        }
        Err(error @ (Error::ConnectionLost { .. } | Error::Client { .. })) => {
            Err(Failure::new(error.exit_code(), format!("axis {axis}: {error}")))
        }
        Err(error) => unknown(&error.to_string()).map(|()| StageLimits::default()),
    }
}

/// The target. A relative one needs an axis that stands still: an axis that moves has no position from
/// which a distance could be counted.
async fn target(
    microscope: &Microscope,
    args: &MoveArgs,
    limits: &StageLimits,
) -> CommandResult<Position> {
    let axis = args.axis;
    let by = match (args.target, args.by) {
        (Some(Goal::To(target)), _) => return Ok(Position::of(axis, target)),
        (Some(Goal::By(by)), _) | (None, Some(by)) => by,
        (None, None) => return Err(Failure::usage("expected a target, or --by DISTANCE")),
    };
    let mut pushes = microscope.stage().position_updates();
    let ask = || async {
        microscope.stage().position(axis).await.map_err(|error| {
            let message = format!("axis {axis} by {by}: {error}; nothing was moved");
            Failure::new(error.exit_code(), message)
        })
    };
    let first = ask().await?.value.value();
    // An axis that moves pushes a position each 25 ms.
    let pushed = within(STANDS_FOR, async {
        while let Some(update) = pushes.next().await {
            if update.axis == axis {
                return;
            }
        }
    });
    let is_pushed = pushed.await.is_some();
    let now = ask().await?.value.value();
    let refused = |why: &str| {
        Err(Failure::usage(format!(
            "axis {axis} by {by}: {why}; wait until it stands, or give a target; nothing was moved"
        )))
    };
    if is_pushed || (first - now).abs() > STANDS_STILL {
        return refused(&format!("it is moving ({first}, then {now} {})", axis.unit()));
    }
    if now == 0.0 && axis != Axis::R && limits.known().is_err() {
        return refused("it answered 0, which an axis that moves may answer, too");
    }
    Ok(Position::of(axis, now + by))
}

async fn begin(microscope: &Microscope, planned: &Move<'_>) -> CommandResult<Motion> {
    let begun = microscope.stage().move_unchecked(planned.axis, planned.target).await;
    begun.map_err(|error| planned.failure(&error))
}

async fn acknowledge(microscope: &Microscope, planned: &Move<'_>, out: &mut Out) -> CommandResult {
    let motion = begin(microscope, planned).await?;
    let Some(answer) = motion.acknowledgement() else {
        // The motion has ended already.
        return out
            .either(&moved(planned, false, None, None), || format!("{}  done", planned.goal()));
    };
    let record = FrameJson::of(answer);
    out.either(&moved(planned, true, None, Some(record)), || {
        let (elapsed, remark) = (milliseconds(answer.elapsed), outcome_remark(answer));
        format!("{}  moving, acknowledged in {elapsed} ms{remark}", planned.goal())
    })
}

async fn wait(microscope: &Microscope, planned: &Move<'_>, out: &mut Out) -> CommandResult {
    let clock = Clock::start();
    let limit = planned.args.timeout.unwrap_or(MOTION);
    let progress = show_progress(microscope.stage().position_updates(), planned);
    let followed = async {
        let mut motion = begin(microscope, planned).await?;
        if motion.acknowledgement().is_some() {
            tracing::info!("{} moving", planned.goal());
        }
        let arrival = motion.wait().await.map_err(|error| planned.failure(&error))?;
        Ok((motion.acknowledgement().is_some(), arrival))
    };
    let ended = within(limit, followed).await;
    drop(progress);
    let (acknowledged, arrival) = ended.unwrap_or_else(|| {
        let limit = humantime::format_duration(limit);
        let goal = planned.goal();
        Err(Failure::new(
            NO_ANSWER,
            format!("{goal}: still moving after {limit}; wait longer, or: flamingo halt"),
        ))
    })?;
    let took = Duration::from(clock.now().since(flamingo_protocol_core::time::Instant::default()));
    let record = arrival.message.map(|frame| FrameJson::new(&frame).unsolicited().at(arrival.at));
    out.either(&moved(planned, acknowledged, Some(took), record), || {
        format!("{}  done in {} ms", planned.goal(), milliseconds(took))
    })
}

/// Shows the position of the axis on the terminal until the task is dropped.
fn show_progress(mut progress: PositionUpdates, planned: &Move<'_>) -> smol::Task<()> {
    let (axis, goal) = (planned.axis, planned.goal());
    // Hidden if stderr is no terminal.
    let bar = ProgressBar::new_spinner().with_message(goal.clone());
    smol::spawn(async move {
        let bar = Cleared(bar);
        while let Some(update) = progress.next().await {
            if update.axis == axis {
                bar.0.set_message(format!("{goal}, now {:.4}", update.position));
                bar.0.tick();
            }
        }
    })
}

/// Removes the line when it is dropped.
struct Cleared(ProgressBar);

impl Drop for Cleared {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// Halts the axis after Ctrl-C. The move was sent, or may have been.
async fn stop(client: &flamingo_runtime_std::Client, axis: Axis) -> Failure {
    match halt(client, axis).await {
        Ok(_) => Failure::new(INTERRUPTED, format!("interrupted, axis {axis} halted")),
        Err(Failure::Exit { message, .. }) => {
            Failure::new(INTERRUPTED, format!("interrupted, but: {message}"))
        }
        Err(Failure::ClosedPipe) => Failure::interrupted(),
    }
}

fn moved(
    planned: &Move<'_>,
    acknowledged: bool,
    took: Option<Duration>,
    frame: Option<FrameJson>,
) -> MoveJson {
    let degrees = planned.axis == Axis::R;
    MoveJson {
        axis: planned.axis.letter(),
        target_mm: (!degrees).then_some(planned.target.value()),
        target_deg: degrees.then_some(planned.target.value()),
        acknowledged,
        ended: took.is_some(),
        motion_ms: took.map(milliseconds),
        frame,
    }
}
