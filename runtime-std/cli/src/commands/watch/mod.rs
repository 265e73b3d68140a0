//! `flamingo watch`: prints events as they arrive. Where they come from is in `source.rs`, which of them are shown in
//! `filter.rs`, how a line looks in `line.rs`, and the line that follows moving axes in `moving.rs`.

mod filter;
mod line;
mod moving;
mod source;

use std::time::Duration;

use clap::Args;
use flamingo_microscope::Axis;
use flamingo_protocol_core::CommandCode;
use flamingo_runtime_std::Clock;
use serde::Serialize;
use serde_json::json;

use crate::args::{ClientArgs, axis_parser, code, duration};
use crate::connect::within;
use crate::failure::{CommandResult, Failure, LOST, note};
use crate::frame_json::FrameJson;
use crate::interrupt::Interrupt;
use crate::output::{Out, counted, fitted, rfc3339};
use filter::Filter;
use line::{Format, Message};
use moving::MovingLine;
use source::{News, Source};

/// Print unsolicited messages (events) as they arrive
///
/// Late and ambiguous answers are printed too, with their class. If this program is too slow, messages
/// are missed; it reports how many. When the connection is lost, it connects again and says so. On a terminal,
/// one line shows the positions of the axes that move. Ctrl-C ends the command with exit code 0, unless --count
/// asked for more messages.
#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    #[command(flatten)]
    client: ClientArgs,

    /// Only messages with this code, such as STAGE_MOTION_STOPPED or 0x6010; may be repeated
    #[arg(long, value_name = "NAME|0xNNNN", value_parser = code)]
    code: Vec<CommandCode>,

    /// No messages with this code; may be repeated
    #[arg(long, value_name = "NAME|0xNNNN", value_parser = code)]
    not: Vec<CommandCode>,

    /// Only messages about this axis; may be repeated
    #[arg(long, value_parser = axis_parser(), ignore_case = true)]
    axis: Vec<Axis>,

    /// Each line in this form, such as '{time} {name} {value}'
    ///
    /// The fields: time, date, class, code (0x6008), name, axis, value (in mm or degrees, rounded to 0.1 µm), unit,
    /// status, state, text, data0, data1, data2, payload (its bytes), all (the line without a format). Write {{ for {
    /// and }} for }.
    #[arg(long, value_name = "FORMAT", value_parser = Format::parse, conflicts_with = "json")]
    format: Option<Format>,

    /// Read the callback port of a bridge instead, and send nothing: 53720 or 127.0.0.1:53720
    #[arg(long, value_name = "[HOST:]PORT")]
    callback: Option<String>,

    /// End with exit code 7 when the connection is lost
    #[arg(long)]
    no_reconnect: bool,

    /// End after this many messages
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    #[arg(allow_negative_numbers = true)]
    count: Option<u64>,

    /// End after this time, such as 10s
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    span: Option<Duration>,
}

/// The JSON of a message.
#[derive(Serialize)]
struct EventJson {
    #[serde(flatten)]
    frame: FrameJson,
    /// The number of bytes before it that belong to no frame.
    #[serde(skip_serializing_if = "is_zero")]
    skipped_bytes: u32,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

pub(crate) async fn run(args: WatchArgs, out: &mut Out, interrupt: &Interrupt) -> CommandResult {
    let source = interrupt.or(Source::connect(&args)).await?;
    tracing::info!("watching");
    let pressed = async {
        interrupt.pressed().await;
        if args.count.is_some() { Err(Failure::interrupted()) } else { Ok(()) }
    };
    let shown = show(source, &args, out);
    let shown = async {
        match args.span {
            None => shown.await,
            Some(span) => within(span, shown).await.unwrap_or(Ok(())),
        }
    };
    smol::future::or(pressed, shown).await
}

async fn show(mut source: Source, args: &WatchArgs, out: &mut Out) -> CommandResult {
    let filter = Filter { only: &args.code, not: &args.not, axes: &args.axis };
    let mut moving = MovingLine::new(out.json() || args.format.is_some());
    let (mut seen, wanted) = (0, args.count.unwrap_or(u64::MAX));
    while seen < wanted {
        match source.next().await {
            News::Message(message) => {
                if !filter.shows(&message.frame) {
                    continue;
                }
                seen += 1;
                if moving.takes(&message) {
                    out.bytes(moving.drawn().as_bytes())?;
                    continue;
                }
                moving.forget(&message);
                out.bytes(moving.cleared().as_bytes())?;
                print(out, &message, args.format.as_ref())?;
                out.bytes(moving.drawn().as_bytes())?;
            }
            News::Lagged(missed) => lagged(out, missed)?,
            News::Said(what) => {
                out.bytes(moving.cleared().as_bytes())?;
                note(&what);
            }
            News::Lost => {
                out.bytes(moving.cleared().as_bytes())?;
                let message = format!(
                    "watch: connection lost after {}; connect again",
                    counted(seen, "message")
                );
                return Err(Failure::new(LOST, message));
            }
        }
    }
    out.bytes(moving.cleared().as_bytes())
}

fn print(out: &mut Out, message: &Message, format: Option<&Format>) -> CommandResult {
    if let Some(format) = format {
        return out.line(&format.line(message));
    }
    if !out.json() {
        return out.line(&fitted(&line::usual(message)));
    }
    let frame = FrameJson::new(&message.frame).payload(&message.payload);
    let frame = match &message.class {
        Some(class) => frame.class(class),
        None => frame.unsolicited(),
    };
    out.object(&EventJson { frame: frame.at(message.at), skipped_bytes: message.skipped })
}

fn lagged(out: &mut Out, missed: u64) -> CommandResult {
    note(&format!(
        "warning: {} missed: they came faster than they were printed",
        counted(missed, "message")
    ));
    if out.json() {
        return out.object(&json!({ "lagged": missed, "time": rfc3339(Clock::wall()) }));
    }
    Ok(())
}
