//! `flamingo send`: sends any command.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use flamingo_microscope::Axis;
use flamingo_protocol_core::{
    CommandCode, Flags, Frame,
    wire::{Kind, MAX_PAYLOAD, Payload},
};
use flamingo_runtime_std::{Answer, Client, Clock, Stopped};
use serde::Serialize;

use crate::args::{ClientArgs, code, integer};

use crate::connect::{self, failure, succeeded, unconfirmed, within};
use crate::failure::{CommandResult, Failure, NO_ANSWER, exit_code_of, note};
use crate::frame_json::FrameJson;
use crate::frame_text::{frame_line, outcome_remark, printable};
use crate::output::{Out, milliseconds};
use crate::units::finite;

/// The selector of all axes.
const ALL_AXES: i32 = 255;

/// Send any command and print its answer
///
/// The command does not wait if the instrument never acknowledges the code (lasers, LED, illumination,
/// the start of a workflow). A code that uploads data needs --payload. The limits of the stage are
/// not checked; to move an axis safely, use flamingo move.
#[derive(Debug, Args)]
pub(crate) struct SendArgs {
    #[command(flatten)]
    client: ClientArgs,

    /// Name or number of the command, such as STAGE_POSITION_GET or 0x6008
    #[arg(value_name = "CODE", value_parser = code)]
    code: CommandCode,

    /// int32Data0: the axis, the laser …
    #[arg(long, value_name = "N", default_value = "0", value_parser = integer)]
    #[arg(allow_negative_numbers = true)]
    data0: i32,

    /// int32Data1
    #[arg(long, value_name = "N", default_value = "0", value_parser = integer)]
    #[arg(allow_negative_numbers = true)]
    data1: i32,

    /// int32Data2
    #[arg(long, value_name = "N", default_value = "0", value_parser = integer)]
    #[arg(allow_negative_numbers = true)]
    data2: i32,

    /// doubleData
    #[arg(long, value_name = "F", default_value = "0", value_parser = finite)]
    #[arg(allow_hyphen_values = true)]
    value: f64,

    /// Text for the buffer, at most 72 bytes
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    buffer: Option<String>,

    /// File to send unchanged after the frame
    #[arg(long, value_name = "FILE")]
    payload: Option<PathBuf>,

    /// Clear the flag TRIGGER_CALL_BACK; most commands then get no answer
    #[arg(long)]
    no_callback: bool,

    /// Do not wait for an answer
    #[arg(long)]
    no_answer: bool,
}

/// The JSON of a command that was sent without waiting.
#[derive(Serialize)]
struct SentJson {
    sent: bool,
    #[serde(flatten)]
    frame: FrameJson,
}

pub(crate) async fn run(args: SendArgs, out: &mut Out) -> CommandResult {
    // The input is checked completely before connecting.
    let (frame, payload) = command(&args).await?;
    if frame.code.row().is_some_and(|row| row.effect.stops()) {
        return stop(&args, frame, out).await;
    }
    let client =
        connect::connect(&args.client.peer, &args.client.server.connect, args.client.timeout)
            .await?;
    let unacknowledged = is_unacknowledged(frame.code);
    if unacknowledged && !args.no_answer {
        note(&format!("{} is never acknowledged, so there is no wait for an answer", frame.code));
    }
    if unacknowledged || args.no_answer {
        let write = async {
            match payload {
                Some(payload) => client.send_with_payload(frame, payload).await,
                None => client.send(frame).await,
            }
        };
        within(args.client.timeout, write).await.ok_or_else(|| not_accepted(&args))??;
        return print_sent(out, &frame);
    }
    let answer = match payload {
        Some(payload) => client.upload(frame, payload, args.client.timeout).await,
        None => client.request(frame).await,
    };
    print(out, answer.map_err(|error| failure(&error, "send"))?)
}

fn print_sent(out: &mut Out, frame: &Frame) -> CommandResult {
    let sent = SentJson { sent: true, frame: FrameJson::new(frame).at(Clock::wall()) };
    out.either(&sent, || format!("sent  {frame}"))
}

fn print(out: &mut Out, answer: Answer) -> CommandResult {
    let record = FrameJson::of(&answer).payload(&answer.payload);
    out.either(&record, || {
        let presumed = if answer.proven { "" } else { "  (presumed)" };
        let line = frame_line(&answer.frame, &answer.payload);
        let (elapsed, remark) = (milliseconds(answer.elapsed), outcome_remark(&answer));
        format!("{line}  after {elapsed} ms{presumed}{remark}")
    })?;
    if let Some(text) = printable(&answer.payload).filter(|_| !out.json()) {
        out.line(text.trim_end())?;
    }
    succeeded(answer, "send").map(drop)
}

/// HALT of all axes (255) as one HALT for each axis: it is not known whether an instrument stops with
/// 255.
fn each_axis(stop: Frame) -> Vec<Frame> {
    if stop.code == CommandCode::STAGE_HALT && stop.selector() == ALL_AXES {
        return Axis::ALL.map(|axis| stop.with_selector(axis.selector())).to_vec();
    }
    vec![stop]
}

/// Sends a stop before the handshake.
async fn stop(args: &SendArgs, frame: Frame, out: &mut Out) -> CommandResult {
    let options = args.client.peer.options(&args.client.server.connect, args.client.timeout)?;
    let stopped = Client::stop_at(options, &each_axis(frame)).await?;
    let mut failed = None;
    for Stopped { frame, outcome } in stopped {
        let printed = match outcome {
            Ok(Some(answer)) => print(out, answer),
            Ok(None) => print_sent(out, &frame),
            Err(error) if args.no_answer && error.was_sent() => print_sent(out, &frame),
            Err(error) => Err(unconfirmed(&error, &format!("send {}", frame.code))),
        };
        if let Some(code) = exit_code_of(printed)? {
            failed = failed.or(Some(code));
        }
    }
    failed.map_or(Ok(()), |code| Err(Failure::reported(code)))
}

/// The frame and its payload.
async fn command(args: &SendArgs) -> CommandResult<(Frame, Option<Vec<u8>>)> {
    let mut frame = Frame::command(args.code).with_value(args.value);
    frame.int32_data = [args.data0, args.data1, args.data2];
    if args.no_callback {
        frame.flags = frame.flags.without(Flags::TRIGGER_CALL_BACK);
    }
    if let Some(text) = &args.buffer {
        frame.set_text(text).map_err(|error| Failure::usage(format!("--{error}")))?;
    }
    let payload = match args.payload.clone() {
        None if uploads(args.code) => {
            let message = format!("{}: expected a payload; give one with --payload", args.code);
            return Err(Failure::usage(message));
        }
        None => None,
        Some(file) => Some(smol::unblock(move || read(&file)).await?),
    };
    let len = payload.as_ref().map_or(0, Vec::len);
    frame.payload_len = u32::try_from(len).unwrap_or(u32::MAX);
    for frame in each_axis(frame) {
        frame
            .check_command(MAX_PAYLOAD)
            .map_err(|error| Failure::usage(format!("{}: {error}; nothing was sent", args.code)))?;
    }
    Ok((frame, payload))
}

/// Reads a file, at most one byte more than a payload may have.
fn read(file: &Path) -> CommandResult<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(file)
        .and_then(|file| file.take(u64::from(MAX_PAYLOAD) + 1).read_to_end(&mut bytes))
        .map_err(|error| {
            Failure::usage(format!("--payload: cannot read {}: {error}", file.display()))
        })?;
    if bytes.is_empty() {
        let message = format!("--payload: expected bytes, but {} is empty", file.display());
        return Err(Failure::usage(message));
    }
    Ok(bytes)
}

fn not_accepted(args: &SendArgs) -> Failure {
    let timeout = humantime::format_duration(args.client.timeout);
    let message = format!(
        "{}: not accepted within {timeout}, perhaps only a part of it; try --timeout",
        args.code
    );
    Failure::new(NO_ANSWER, message)
}

/// Whether the command needs a payload. Saving empty settings would delete them.
fn uploads(code: CommandCode) -> bool {
    code.row().is_some_and(|row| matches!(row.payload, Payload::Up | Payload::Both))
}

fn is_unacknowledged(code: CommandCode) -> bool {
    code.row().is_some_and(|row| row.kind == Kind::FireAndForget)
}
