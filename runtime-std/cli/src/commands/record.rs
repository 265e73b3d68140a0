//! `flamingo record`: the command line and the messages of the recorder. The library has the relay
//! and the recorder.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use flamingo_recording::relay::{Relay, RelayError, RelayOptions};
use flamingo_recording::{Recorder, RecorderOptions, RecorderStatus};
use indicatif::ProgressBar;
use serde::Serialize;
use smol::{Timer, future};

use crate::args::{ConnectArgs, duration};
use crate::failure::{CommandResult, Failure, note};
use crate::interrupt::Interrupt;
use crate::new_file::OverwriteArg;
use crate::output::{Out, PortsJson, counted};

/// The time limit for a connection to the instrument.
const CONNECT: Duration = Duration::from_secs(2);
/// The interval at which the line on a terminal is updated.
const UPDATE_INTERVAL: Duration = Duration::from_millis(500);

/// Record the traffic between clients and the instrument, until Ctrl-C
///
/// The command listens on three ports, as the instrument does. Clients connect to these ports, and
/// every connection is relayed unchanged. The recording is a pcapng file: Wireshark opens it, flamingo
/// decode prints it, flamingo replay plays it. It contains the header and a checksum of each image.
/// A full disk ends the recording, but not the relay. The first line on stdout names the ports:
/// {"ready":true,"control":53727,"live":53728,"stack":53729}
#[derive(Debug, Args)]
pub(crate) struct RecordArgs {
    /// File for the recording
    #[arg(long, value_name = "FILE.pcapng")]
    out: PathBuf,

    /// Control port to listen on, on 127.0.0.1 unless an address is given. The image ports are the
    /// next two. 0 takes three free ports in a row
    #[arg(long, value_name = "[ADDR:]PORT", value_parser = listen)]
    listen: SocketAddr,

    /// Record the pixels of images, too: up to 8 MB each
    #[arg(long)]
    pixels: bool,

    /// Leave out what can tell who was recorded: addresses, texts, payloads, pixels and the date. The
    /// conversation, its numbers and its delays stay
    #[arg(long, conflicts_with = "pixels")]
    anonymize: bool,

    #[command(flatten)]
    overwrite: OverwriteArg,

    /// End after this time
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    during: Option<Duration>,

    #[command(flatten)]
    server: ConnectArgs,
}

fn listen(text: &str) -> Result<SocketAddr, String> {
    if let Ok(port) = text.parse::<u16>() {
        return Ok((Ipv4Addr::LOCALHOST, port).into());
    }
    text.parse().map_err(|_| {
        format!("expected a port or ADDR:PORT, such as 53727 or 0.0.0.0:53727, found {text:?}")
    })
}

/// The JSON of the totals.
#[derive(Serialize)]
struct TotalsJson {
    summary: bool,
    #[serde(flatten)]
    status: RecorderStatus,
}

pub(crate) async fn run(args: RecordArgs, out: &mut Out, interrupt: &Interrupt) -> CommandResult {
    check(&args)?;
    let RecordArgs { out: file, listen, pixels, anonymize, during, server, .. } = args;
    let name = file.display().to_string();
    let about = format!("between clients and the instrument at {}", server.connect);
    let options = RecorderOptions::default().pixels(pixels).about(about).anonymize(anonymize);
    let relay = RelayOptions::new(listen, server.connect.clone()).connect_timeout(CONNECT);
    let begin = || Recorder::to_file(&file, options);
    let relay = Relay::start(&relay, begin).map_err(|error| {
        Failure::usage(match error {
            RelayError::Record(error) => format!("record: cannot write {name}: {error}"),
            other => format!("record: {other}"),
        })
    })?;
    let [control, live, stack] = relay.addresses().map(|address| address.port());
    out.ready(
        &PortsJson { ready: true, control, live, stack },
        &format!(
            "ready: control {control}, live images {live}, stack images {stack}; Ctrl-C ends it"
        ),
    )?;
    if !out.json() {
        note(&format!("recording {} to {name}; clients connect to port {control}", server.connect));
    }
    future::or(until_time_is_over(during, &relay), interrupt.pressed()).await;
    let status = relay.finish();
    let stopped = status.stopped.clone();
    out.either(&TotalsJson { summary: true, status: status.clone() }, || text(&status))?;
    if let Some(why) = stopped {
        return Err(Failure::new(1, format!("record: {name} is not complete: {why}")));
    }
    Ok(())
}

fn check(args: &RecordArgs) -> CommandResult {
    args.overwrite.check("record", &args.out)?;
    if args.server.connect.parse() == Ok(args.listen) {
        return Err(Failure::usage(format!(
            "record: {} is the address of the instrument; choose another port for --listen",
            args.listen
        )));
    }
    Ok(())
}

/// Waits until the time of `--for` has passed, and shows the counts on a terminal.
async fn until_time_is_over(during: Option<Duration>, relay: &Relay) {
    let bar = ProgressBar::new_spinner();
    let show = async {
        let mut warned = false;
        loop {
            let status = relay.status();
            if status.lost_bytes > 0 && !std::mem::replace(&mut warned, true) {
                note("warning: the disk is too slow; bytes are left out and counted");
            }
            bar.set_message(text(&status));
            bar.tick();
            Timer::after(UPDATE_INTERVAL).await;
        }
    };
    let over = async {
        match during {
            Some(time) => drop(Timer::after(time).await),
            None => future::pending().await,
        }
    };
    future::or(over, show).await;
    bar.finish_and_clear();
}

fn text(status: &RecorderStatus) -> String {
    let RecorderStatus { file, packets, bytes, lost_bytes, stopped, .. } = status;
    let file = file.as_deref().unwrap_or(Path::new("?")).display();
    let lost = match lost_bytes {
        0 => "nothing left out".to_owned(),
        lost => format!("{} LEFT OUT", counted(*lost, "byte")),
    };
    let stopped = if stopped.is_some() { ", STOPPED" } else { "" };
    let (packets, bytes) = (counted(*packets, "packet"), counted(*bytes, "byte"));
    format!("{file}: {packets}, {bytes}, {lost}{stopped}")
}
