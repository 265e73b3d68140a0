//! `flamingo halt`: stops all axes.

use clap::Args;
use flamingo_microscope::Axis;
use flamingo_runtime_std::{Answer, Client};
use serde::Serialize;

use crate::args::ClientArgs;
use crate::connect::{self, failure, succeeded};
use crate::failure::{CommandResult, Failure, exit_code_of};
use crate::frame_json::FrameJson;
use crate::interrupt::Interrupt;
use crate::output::{Out, milliseconds};

/// Stop all axes at once
///
/// Each axis gets a command of its own. If one of them fails, the others are still stopped.
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
        let frame = FrameJson::new(&answer.frame);
        let frame = frame.answer(answer.proven, answer.elapsed).at(answer.at);
        Self { axis: axis.letter(), stopped: true, frame }
    }
}

pub(crate) async fn run(args: HaltArgs, out: &mut Out, interrupt: &Interrupt) -> CommandResult {
    let connect = connect::connect(&args.client.server.connect, args.client.timeout);
    let client = interrupt.or(connect).await?;
    // From here on Ctrl-C is ignored, so that every axis is stopped.
    let halts = Axis::ALL.map(|axis| {
        let client = client.clone();
        (axis, smol::spawn(async move { halt(&client, axis).await }))
    });
    // Every axis is stopped before anything is printed, since stdout may be closed.
    let mut ended = Vec::new();
    for (axis, halt) in halts {
        ended.push((axis, halt.await));
    }
    let mut failed = None;
    for (axis, halted) in ended {
        let printed = halted.and_then(|answer| print(out, axis, &answer));
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
        format!("axis {axis}      halted, acknowledged in {} ms", milliseconds(answer.elapsed))
    })
}
