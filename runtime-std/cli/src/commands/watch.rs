//! `flamingo watch`: prints events as they arrive.

use std::time::Duration;

use clap::Args;
use flamingo_protocol_core::CommandCode;
use flamingo_runtime_std::{Clock, Event, EventFrame, Subscription};
use serde::Serialize;
use serde_json::json;

use crate::args::{ClientArgs, code, duration};
use crate::connect::{self, within};
use crate::failure::{CommandResult, Failure, LOST, note};
use crate::frame_json::FrameJson;
use crate::frame_text::{class_name, frame_line};
use crate::output::{Out, rfc3339};

/// Print unsolicited messages (events) as they arrive
///
/// Late and ambiguous answers are printed too, with their class. If this program is too slow, messages
/// are missed; it reports how many.
#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    #[command(flatten)]
    client: ClientArgs,

    /// Only messages with this code, such as STAGE_MOTION_STOPPED or 0x6010; may be repeated
    #[arg(long, value_name = "NAME|0xNNNN", value_parser = code)]
    code: Vec<CommandCode>,

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

pub(crate) async fn run(args: WatchArgs, out: &mut Out) -> CommandResult {
    let client =
        connect::connect(&args.client.peer, &args.client.server.connect, args.client.timeout)
            .await?;
    let events = client.subscribe(&args.code);
    tracing::info!("watching");
    let shown = show(events, args.count.unwrap_or(u64::MAX), out);
    match args.span {
        None => shown.await,
        Some(span) => within(span, shown).await.unwrap_or(Ok(())),
    }
}

async fn show(mut events: Subscription, count: u64, out: &mut Out) -> CommandResult {
    let mut seen = 0;
    while seen < count {
        match events.next().await {
            Some(Event::Frame(event)) => {
                seen += 1;
                print(out, &event)?;
            }
            Some(Event::Lagged(missed)) => lagged(out, missed)?,
            Some(Event::Unresponsive) => note("warning: the instrument no longer answers"),
            Some(Event::Responsive) => note("the instrument answers again"),
            Some(Event::Reconnected) => note("connected again"),
            Some(Event::ConnectionLost) | None => {
                return Err(Failure::new(
                    LOST,
                    format!("watch: connection lost after {seen} messages; connect again"),
                ));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

fn print(out: &mut Out, event: &EventFrame) -> CommandResult {
    let frame = FrameJson::new(&event.frame).payload(&event.payload).class(&event.class);
    let event_json = EventJson { frame: frame.at(event.at), skipped_bytes: event.skipped };
    out.either(&event_json, || {
        let time = rfc3339(event.at);
        let (class, _) = class_name(&event.class);
        let line = frame_line(&event.frame, &event.payload);
        let noise = match event.skipped {
            0 => String::new(),
            bytes => format!("  (after {bytes} stray bytes)"),
        };
        format!("{}  {class:<11}  {line}{noise}", time.get(11..23).unwrap_or(&time))
    })
}

fn lagged(out: &mut Out, missed: u64) -> CommandResult {
    note(&format!("warning: {missed} messages missed: they came faster than they were printed"));
    if out.json() {
        return out.object(&json!({ "lagged": missed, "time": rfc3339(Clock::wall()) }));
    }
    Ok(())
}
