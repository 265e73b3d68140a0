//! `flamingo halt`: stops all axes.

use clap::Args;
use flamingo_microscope::Axis;
use flamingo_runtime_std::{Answer, Client, Stopped};
use serde::Serialize;

use crate::args::ClientArgs;
use crate::connect::{failure, succeeded, unconfirmed};
use crate::failure::{CommandResult, Failure, exit_code_of};
use crate::frame_json::FrameJson;
use crate::frame_text::outcome_remark;
use crate::output::{Out, milliseconds};

/// Stop all axes at once
///
/// Each axis gets a command of its own. The commands are the first that the instrument receives, also if
/// it answers nothing. Exit code 0: each of them was acknowledged; 4: they were sent, but not all of
/// them were acknowledged.
#[derive(Debug, Args)]
pub(crate) struct HaltArgs {
    #[command(flatten)]
    client: ClientArgs,
}

/// The JSON of an axis that was stopped.
#[derive(Serialize)]
pub(crate) struct HaltJson {
    axis: &'static str,
    stopped: bool,
    #[serde(flatten)]
    frame: FrameJson,
}

impl HaltJson {
    pub(crate) fn new(axis: Axis, answer: &Answer) -> Self {
        let frame = FrameJson::of(answer);
        Self { axis: axis.letter(), stopped: true, frame }
    }
}

pub(crate) async fn run(args: HaltArgs, out: &mut Out) -> CommandResult {
    let options = args.client.peer.options(&args.client.server.connect, args.client.timeout)?;
    let axes = Axis::ALL.map(Axis::selector);
    // Every axis is stopped before anything is printed, since stdout may be closed. Ctrl-C is ignored
    // meanwhile.
    let stopped = Client::halt_at(options, &axes).await?;
    let mut failed = None;
    for (axis, Stopped { outcome, .. }) in Axis::ALL.into_iter().zip(stopped) {
        let what = format!("halt of axis {axis}");
        let moving = |error| unconfirmed(&error, &format!("{what}, which may still be moving"));
        let printed = match outcome.map_err(moving) {
            Ok(Some(answer)) => {
                succeeded(answer, &what).and_then(|answer| print(out, axis, &answer))
            }
            Ok(None) => Ok(()), // HALT is acknowledged
            Err(failure) => Err(failure),
        };
        if let Some(code) = exit_code_of(printed)? {
            failed = failed.or(Some(code));
        }
    }
    failed.map_or(Ok(()), |code| Err(Failure::reported(code)))
}

/// Stops one axis.
pub(crate) async fn halt(client: &Client, axis: Axis) -> CommandResult<Answer> {
    let what = format!("halt of axis {axis}");
    let moving = |error| failure(&error, &format!("{what}, which may still be moving"));
    succeeded(client.halt(axis.selector()).await.map_err(moving)?, &what)
}

fn print(out: &mut Out, axis: Axis, answer: &Answer) -> CommandResult {
    out.either(&HaltJson::new(axis, answer), || {
        let elapsed = milliseconds(answer.elapsed);
        let remark = outcome_remark(answer);
        format!("axis {axis}      halted, acknowledged in {elapsed} ms{remark}")
    })
}
