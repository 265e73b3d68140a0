//! `flamingo move`: moves one axis to a target within the limits of the stage. With `--wait` it waits
//! for the end of the motion.

use std::time::Duration;

use clap::Args;
use flamingo_microscope::Axis;
use flamingo_microscope::units::Position;
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
use crate::interrupt::Interrupt;
use crate::output::{Out, milliseconds};

/// The default time limit for an answer.
const ANSWER: Duration = Duration::from_secs(3);
/// The default time limit for a motion.
const MOTION: Duration = Duration::from_secs(30);

/// Move one axis of the stage to a position
///
/// The limits of the stage are loaded first. A target outside of them is refused, and nothing moves.
/// The command ends when the instrument acknowledges the move or, with --wait, when the motion has
/// ended. Ctrl-C halts the axis.
#[derive(Debug, Args)]
pub(crate) struct MoveArgs {
    /// Axis to move
    #[arg(value_parser = axis_parser(), ignore_case = true)]
    axis: Axis,

    /// Target in mm; for r in degrees
    // Any value with a hyphen is accepted, so that -inf is refused as a number.
    #[arg(allow_hyphen_values = true, value_parser = finite)]
    target: f64,

    /// Wait until the motion has ended
    #[arg(long)]
    wait: bool,

    #[command(flatten)]
    server: ConnectArgs,

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

    fn target(&self) -> Position {
        Position::of(self.axis, self.target)
    }

    fn goal(&self) -> String {
        format!("axis {} to {}", self.axis, self.target())
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
    let connect = connect::connect(&args.server.connect, args.answer_timeout());
    let client = interrupt.or(connect).await?;
    let microscope = Microscope::over(client.clone(), Patience::default());
    interrupt.or(check_limits(&microscope, &args)).await?;

    let work = async {
        Some(if args.wait {
            wait(&microscope, &args, out).await
        } else {
            acknowledge(&microscope, &args, out).await
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

/// Refuses a target outside of the limits in the settings. Without settings it prints a warning, and
/// the instrument decides.
async fn check_limits(microscope: &Microscope, args: &MoveArgs) -> CommandResult {
    let axis = args.axis;
    let unknown = |why: &str| note(&format!("warning: limits of axis {axis} not known: {why}"));
    let settings = match microscope.settings().load().await {
        Ok(settings) => settings.value,
        Err(error @ (Error::ConnectionLost { .. } | Error::Client { .. })) => {
            return Err(args.failure(&error));
        }
        Err(error) => {
            unknown(&error.to_string());
            return Ok(());
        }
    };
    let limits = settings.limits(axis);
    if !limits.is_complete() {
        unknown("the settings do not contain both");
    }
    limits
        .check(axis, args.target())
        .map_err(|error| Failure::usage(format!("{error}; nothing was moved")))
}

async fn begin(microscope: &Microscope, args: &MoveArgs) -> CommandResult<Motion> {
    let begun = microscope.stage().move_unchecked(args.axis, args.target()).await;
    begun.map_err(|error| args.failure(&error))
}

async fn acknowledge(microscope: &Microscope, args: &MoveArgs, out: &mut Out) -> CommandResult {
    let motion = begin(microscope, args).await?;
    let Some(answer) = motion.acknowledgement() else {
        // The motion has ended already.
        return out.either(&moved(args, false, None, None), || format!("{}  done", args.goal()));
    };
    let record = FrameJson::new(&answer.frame).answer(answer.proven, answer.elapsed).at(answer.at);
    out.either(&moved(args, true, None, Some(record)), || {
        format!("{}  moving, acknowledged in {} ms", args.goal(), milliseconds(answer.elapsed))
    })
}

async fn wait(microscope: &Microscope, args: &MoveArgs, out: &mut Out) -> CommandResult {
    let clock = Clock::start();
    let limit = args.timeout.unwrap_or(MOTION);
    let progress = show_progress(microscope.stage().position_updates(), args);
    let followed = async {
        let mut motion = begin(microscope, args).await?;
        if motion.acknowledgement().is_some() {
            tracing::info!("{} moving", args.goal());
        }
        let arrival = motion.wait().await.map_err(|error| args.failure(&error))?;
        Ok((motion.acknowledgement().is_some(), arrival))
    };
    let ended = within(limit, followed).await;
    drop(progress);
    let (acknowledged, arrival) = ended.unwrap_or_else(|| {
        let limit = humantime::format_duration(limit);
        let goal = args.goal();
        Err(Failure::new(
            NO_ANSWER,
            format!("{goal}: still moving after {limit}; wait longer, or: flamingo halt"),
        ))
    })?;
    let took = Duration::from(clock.now().since(flamingo_protocol_core::time::Instant::default()));
    let record = arrival.message.map(|frame| FrameJson::new(&frame).unsolicited().at(arrival.at));
    out.either(&moved(args, acknowledged, Some(took), record), || {
        format!("{}  done in {} ms", args.goal(), milliseconds(took))
    })
}

/// Shows the position of the axis on the terminal until the task is dropped.
fn show_progress(mut progress: PositionUpdates, args: &MoveArgs) -> smol::Task<()> {
    let (axis, goal) = (args.axis, args.goal());
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
    args: &MoveArgs,
    acknowledged: bool,
    took: Option<Duration>,
    frame: Option<FrameJson>,
) -> MoveJson {
    let degrees = args.axis == Axis::R;
    MoveJson {
        axis: args.axis.letter(),
        target_mm: (!degrees).then_some(args.target),
        target_deg: degrees.then_some(args.target),
        acknowledged,
        ended: took.is_some(),
        motion_ms: took.map(milliseconds),
        frame,
    }
}
