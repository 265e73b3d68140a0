//! `flamingo replay`: the command line and the messages of the replay. The library plays it.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use flamingo_recording::Port;
use flamingo_recording::capture::CaptureError;
use flamingo_recording::replay::{Replay, ReplayError, ReplayOptions, Speed};
use smol::future;

use crate::args::duration;
use crate::failure::{CommandResult, Failure, note};
use crate::interrupt::Interrupt;
use crate::output::{Out, PortsJson, counted};

/// Play a recording as an instrument for clients, until Ctrl-C
///
/// Each client gets the next recorded connection, and after the last one the first again. The same
/// holds for viewers of images. An answer is sent after its command, with the recorded delay; events
/// are sent between them as recorded. A query that is not in the recording at this point gets the
/// last recorded answer; other such commands get none, and each of their codes is named on stderr.
/// Images that were recorded without pixels are black. The first line on stdout names the ports:
/// {"ready":true,"control":53717,"live":53718,"stack":53719}
#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// File with the recording, pcapng or pcap
    #[arg(value_name = "FILE.pcapng")]
    file: PathBuf,

    /// Speed relative to the recording; max: without pauses
    #[arg(long, value_name = "X|max", default_value = "1", value_parser = speed)]
    speed: Speed,

    /// Time to wait for a recorded command that the client does not send
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = duration)]
    patience: Duration,

    /// Address to listen on
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    bind: IpAddr,

    /// Control port; the image ports are the next two. 0 takes three free ports in a row
    #[arg(long, value_name = "PORT", default_value_t = 53717)]
    port: u16,
}

fn speed(text: &str) -> Result<Speed, String> {
    if text == "max" {
        return Ok(Speed::Max);
    }
    match text.parse::<f64>() {
        Ok(times) if times.is_finite() && times > 0.0 => Ok(Speed::Times(times)),
        _ => Err(format!("expected a number above 0, such as 0.5 or 10, or max, found {text:?}")),
    }
}

pub(crate) async fn run(args: ReplayArgs, out: &mut Out, interrupt: &Interrupt) -> CommandResult {
    let name = args.file.display().to_string();
    let options = ReplayOptions::default()
        .listen(SocketAddr::new(args.bind, args.port))
        .speed(args.speed)
        .patience(args.patience);
    let started = async {
        Replay::start(&args.file, options).await.map_err(|error| {
            let what = match error {
                ReplayError::Capture(_) | ReplayError::Empty => format!("{name}: {error}"),
                _ => error.to_string(),
            };
            Failure::usage(format!("replay: {what}"))
        })
    };
    let replay = interrupt.or(started).await?;
    let [control, live, stack] = replay.addresses().map(|address| address.port());
    out.ready(
        &PortsJson { ready: true, control, live, stack },
        &format!(
            "ready: control {control}, live images {live}, stack images {stack}; Ctrl-C ends it"
        ),
    )?;
    let unreadable = replay.unreadable();
    if !unreadable.is_empty() {
        note(&format!("warning: {name}: cannot be read and was skipped: {unreadable}"));
    }
    if replay.is_cut() {
        note(&format!("warning: {name}: {}; everything before it is played", CaptureError::Cut));
    }
    if replay.holes() > 0 {
        note(&format!("warning: {name} has gaps: {} bytes were not recorded", replay.holes()));
    }
    if !out.json() {
        let [controls, lives, stacks] = Port::ALL.map(|port| replay.connections(port));
        note(&format!(
            "{name}: {controls} control connections, {lives} of live images, {stacks} of stacks; \
             clients connect to port {control}"
        ));
    }
    future::or(interrupt.pressed(), warn(&replay)).await;
    let unrecorded = replay.unrecorded();
    if !unrecorded.is_empty() {
        let others = replay.unrecorded_others();
        let total = unrecorded.values().sum::<u64>() + others;
        let each = unrecorded.iter().map(|(code, n)| format!("{n} {code}"));
        let others = (others > 0).then(|| format!("{others} of other codes"));
        let each: Vec<_> = each.chain(others).collect();
        note(&format!("warning: {} not in {name}: {}", counted(total, "command"), each.join(", ")));
    }
    Ok(())
}

/// Warns of each code that clients send and that is not in the recording.
async fn warn(replay: &Replay) {
    loop {
        let code = replay.next_unrecorded().await;
        note(&format!("warning: {code} is not in the recording here; it gets no answer"));
    }
}
