//! `flamingo move`: one axis to one target, within the limits of the stage, and with `--wait` to
//! the end of the motion.

use std::pin::pin;
use std::time::Duration;

use clap::Args;
use flamingo_protocol_core::{CommandCode, Frame};
use flamingo_runtime_std::text::StageLimits;
use flamingo_runtime_std::{Answer, Axis, Client, Clock, Error, Event, Motion, MotionEnd};
use indicatif::ProgressBar;
use serde::Serialize;
use smol::future::or;

use crate::args::{ConnectArgs, axis_parser, duration, finite};
use crate::failure::{Done, Failure, NO_ANSWER, REFUSED, note};
use crate::halt::halt;
use crate::interrupt::Interrupt;
use crate::link::{self, failure, succeeded, within};
use crate::output::{FrameRecord, Out, milliseconds};

/// How long an answer may take, where `--timeout` does not say.
const ANSWER: Duration = Duration::from_secs(3);
/// How long a motion may take, where `--timeout` does not say.
const MOTION: Duration = Duration::from_secs(30);
/// How long the acknowledgement is still waited for once the motion has ended.
const OVERTAKEN: Duration = Duration::from_millis(200);

/// Move one axis of the stage to a position
///
/// The limits of the stage are asked first: a target outside of them is refused and nothing
/// moves. Without --wait the command ends when the move is acknowledged, with it when the motion
/// has ended. Ctrl-C halts the axis.
#[derive(Debug, Args)]
pub(crate) struct MoveArgs {
    /// The axis
    #[arg(value_parser = axis_parser(), ignore_case = true)]
    axis: Axis,

    /// Where to, in mm, or in degrees on r
    // Any hyphen, so that -inf is judged as a number.
    #[arg(allow_hyphen_values = true, value_parser = finite)]
    target: f64,

    /// Wait until the motion has ended
    #[arg(long)]
    wait: bool,

    #[command(flatten)]
    server: ConnectArgs,

    /// How long the motion may take with --wait, the acknowledgement without it
    /// [default: 30s with --wait, 3s without]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    timeout: Option<Duration>,
}

impl MoveArgs {
    /// How long an answer may take.
    fn answer_timeout(&self) -> Duration {
        match self.timeout {
            Some(timeout) if self.wait => timeout.min(ANSWER),
            timeout => timeout.unwrap_or(ANSWER),
        }
    }

    fn frame(&self) -> Frame {
        let frame = Frame::command(CommandCode::STAGE_POSITION_SET);
        frame.with_selector(self.axis.selector()).with_value(self.target)
    }

    fn goal(&self) -> String {
        format!("axis {} to {} {}", self.axis, self.target, self.axis.unit())
    }
}

/// The JSON of a move: the acknowledgement or, with `--wait`, the end of the motion.
#[derive(Serialize)]
struct Moved {
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
    #[serde(flatten)]
    frame: FrameRecord,
}

pub(crate) async fn run(args: MoveArgs, out: &mut Out, interrupt: &Interrupt) -> Done {
    let connect = link::connect(&args.server.connect, args.answer_timeout());
    let client = interrupt.or(connect).await?;
    interrupt.or(check_limits(&client, &args)).await?;

    let motion = client.arm(args.axis.selector());
    let work = async {
        Some(if args.wait {
            wait(&client, motion, &args, out).await
        } else {
            acknowledge(&client, &args, out).await
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

/// Refuses a target that the settings of the microscope exclude. If they cannot be had, that is
/// said and the instrument has to judge.
async fn check_limits(client: &Client, args: &MoveArgs) -> Done {
    let axis = args.axis;
    let query = Frame::command(CommandCode::COMMON_SCOPE_SETTINGS_LOAD);
    let unknown = |why: &str| note(&format!("warning: limits of axis {axis} not known: {why}"));
    let answer = match client.request(query).await {
        Ok(answer) => answer,
        Err(error @ (Error::ConnectionLost { .. } | Error::Refused { .. })) => {
            return Err(error.into());
        }
        Err(error) => {
            unknown(&error.to_string());
            return Ok(());
        }
    };
    if answer.frame.status == 0 {
        unknown("the instrument answered with failure (status 0)");
        return Ok(());
    }
    let limits = StageLimits::in_settings(&String::from_utf8_lossy(&answer.payload), axis);
    if !limits.is_complete() {
        unknown("the settings do not name both");
    }
    limits
        .check(axis, args.target)
        .map_err(|error| Failure::usage(format!("{error}; nothing was moved")))
}

async fn acknowledge(client: &Client, args: &MoveArgs, out: &mut Out) -> Done {
    let answer =
        client.request(args.frame()).await.map_err(|error| failure(&error, &args.goal()))?;
    let answer = succeeded(answer, &args.goal())?;
    let record =
        FrameRecord::new(&answer.frame).answer(answer.proven, answer.elapsed).at(answer.at);
    out.either(&moved(args, true, None, record), || {
        format!("{}  under way, acknowledged in {} ms", args.goal(), milliseconds(answer.elapsed))
    })
}

async fn wait(client: &Client, motion: Motion, args: &MoveArgs, out: &mut Out) -> Done {
    let clock = Clock::start();
    let limit = args.timeout.unwrap_or(MOTION);
    let progress = show_progress(client, args);
    let ended = within(limit, follow(client, motion, args)).await;
    drop(progress);
    let (acknowledged, end) = ended.unwrap_or_else(|| {
        let limit = humantime::format_duration(limit);
        let goal = args.goal();
        Err(Failure::new(
            NO_ANSWER,
            format!("{goal}: still moving after {limit}; wait longer, or: flamingo halt"),
        ))
    })?;
    let took = Duration::from(clock.now().since(flamingo_protocol_core::Instant::default()));
    if !end.completed {
        let status = end.frame.status;
        let goal = args.goal();
        return Err(Failure::new(
            REFUSED,
            format!("{goal}: the motion ended with status {status}, expected 1 (completed)"),
        ));
    }
    let record = FrameRecord::new(&end.frame).unsolicited().at(end.at);
    out.either(&moved(args, acknowledged, Some(took), record), || {
        format!("{}  done in {} ms", args.goal(), milliseconds(took))
    })
}

/// Sends the move and waits for the end of the motion, which may come before the
/// acknowledgement. Gives whether that came.
async fn follow(client: &Client, mut motion: Motion, args: &MoveArgs) -> Done<(bool, MotionEnd)> {
    let mut acknowledgement = pin!(client.request_within(args.frame(), args.answer_timeout()));
    let mut end = pin!(motion.wait());
    let first =
        or(async { First::Acknowledged(Box::new(acknowledgement.as_mut().await)) }, async {
            First::Ended(end.as_mut().await)
        });
    match first.await {
        First::Acknowledged(answer) => {
            let answer = answer.map_err(|error| failure(&error, &args.goal()))?;
            succeeded(answer, &args.goal())?;
            tracing::info!("{} under way", args.goal());
            Ok((true, end.await?))
        }
        First::Ended(end) => {
            let end = end?;
            let answer = within(OVERTAKEN, acknowledgement).await;
            let acknowledged = matches!(answer, Some(Ok(_)));
            if let Some(Ok(answer)) = answer {
                succeeded(answer, &args.goal())?;
            }
            Ok((acknowledged, end))
        }
    }
}

enum First {
    Acknowledged(Box<Result<Answer, Error>>),
    Ended(Result<MotionEnd, Error>),
}

/// A line on the terminal that shows where the axis is; it ends with the task.
fn show_progress(client: &Client, args: &MoveArgs) -> smol::Task<()> {
    let (axis, goal) = (args.axis, args.goal());
    let mut pushes = client.subscribe(&[CommandCode::STAGE_POSITION_GET]);
    // Hidden where stderr is no terminal.
    let bar = ProgressBar::new_spinner().with_message(goal.clone());
    smol::spawn(async move {
        let bar = Cleared(bar);
        while let Some(event) = pushes.next().await {
            if let Event::Frame(event) = event
                && event.frame.selector() == axis.selector()
            {
                bar.0.set_message(format!("{goal}, now {:.4}", event.frame.value));
                bar.0.tick();
            }
        }
    })
}

/// Takes the line away when the motion has ended, however it did.
struct Cleared(ProgressBar);

impl Drop for Cleared {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// Ctrl-C came after the move was, or may have been, sent.
async fn stop(client: &Client, axis: Axis) -> Failure {
    match halt(client, axis).await {
        Ok(_) => {
            Failure::new(crate::failure::INTERRUPTED, format!("interrupted, axis {axis} halted"))
        }
        Err(Failure::Exit { message, .. }) => {
            Failure::new(crate::failure::INTERRUPTED, format!("interrupted, but: {message}"))
        }
        Err(Failure::ClosedPipe) => Failure::interrupted(),
    }
}

fn moved(args: &MoveArgs, acknowledged: bool, took: Option<Duration>, frame: FrameRecord) -> Moved {
    let degrees = args.axis == Axis::R;
    Moved {
        axis: args.axis.letter(),
        target_mm: (!degrees).then_some(args.target),
        target_deg: degrees.then_some(args.target),
        acknowledged,
        ended: took.is_some(),
        motion_ms: took.map(milliseconds),
        frame,
    }
}
