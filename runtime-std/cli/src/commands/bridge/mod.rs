//! `flamingo bridge`: runs the bridge as a program or a service: signals, first line, exit code. The
//! library has the bridge itself.

mod args;

use std::collections::BTreeMap;
use std::time::Duration;

use async_signal::{Signal, Signals};
use flamingo_bridge::service_manager::{ServiceState, feed_watchdog, notify};
use flamingo_bridge::settings::LogFormat;
use flamingo_bridge::status::{fetch_status, status_table};
use flamingo_bridge::{Bridge, BridgeSettings};
use smol::future;
use smol::stream::StreamExt;

use crate::failure::{CommandResult, Failure, note};
use crate::logging;
use crate::output::Out;
pub(crate) use args::BridgeArgs;
use args::StatusArgs;

/// The time limit for the status of a running bridge.
const PATIENCE: Duration = Duration::from_secs(3);

pub(crate) fn run(args: &BridgeArgs, verbose: u8, out: &mut Out) -> CommandResult {
    if let Some(status) = args.status()? {
        let _logs = logging::start(verbose, LogFormat::Text)?;
        return smol::block_on(show_status(status, out));
    }
    let settings = args.settings()?;
    // By default a bridge logs the connections of its clients.
    let _logs = logging::start(verbose.max(1), settings.log.format)?;
    smol::block_on(serve(args, &settings, out))
}

async fn serve(args: &BridgeArgs, settings: &BridgeSettings, out: &mut Out) -> CommandResult {
    let mut signals = signals()?;
    let bridge = Bridge::start(settings)
        .await
        .map_err(|error| Failure::usage(format!("bridge: {error}")))?;
    let port = |address: Option<std::net::SocketAddr>| address.map(|address| address.port());
    let ports = PortsJson {
        ready: true,
        control: bridge.control().port(),
        live: port(bridge.live()),
        callback: port(bridge.callback()),
        stack: port(bridge.stack()),
        status: port(bridge.status_address()),
        more: bridge.named_ports().iter().map(|(name, at)| (name.clone(), at.port())).collect(),
    };
    out.ready(&ports, &ports.text(bridge.control()))?;
    if !out.json() {
        let to = &settings.upstream.address;
        note(&format!("bridge to {to}; try: flamingo get state --connect {}", bridge.control()));
    }
    notify(ServiceState::Ready);
    let stopped = async {
        until_stopped(args, &bridge, &mut signals).await;
        Ok(())
    };
    let failed = async {
        bridge.until_failed().await;
        Err(Failure::new(1, "bridge: the thread that serves the clients has failed; see the log"))
    };
    let ended = future::or(stopped, future::or(failed, feed_watchdog(&bridge))).await;
    notify(ServiceState::Stopping);
    bridge.stop().await;
    ended
}

/// Handles signals until one of them ends the bridge.
async fn until_stopped(args: &BridgeArgs, bridge: &Bridge, signals: &mut Signals) {
    while let Some(Ok(Signal::Hup)) = signals.next().await {
        reload(args, bridge).await;
    }
}

#[cfg(unix)]
fn signals() -> CommandResult<Signals> {
    let caught = Signals::new([Signal::Int, Signal::Term, Signal::Hup]);
    caught.map_err(|error| Failure::new(1, format!("cannot catch signals: {error}")))
}

#[cfg(not(unix))]
fn signals() -> CommandResult<Signals> {
    let caught = Signals::new([Signal::Int]);
    caught.map_err(|error| Failure::new(1, format!("cannot catch Ctrl-C: {error}")))
}

/// Reads the settings again, and applies those that can change while the bridge runs: who may connect,
/// and with which role.
async fn reload(args: &BridgeArgs, bridge: &Bridge) {
    notify(ServiceState::Reloading);
    match args.settings() {
        Ok(settings) => {
            bridge.reload(&settings).await;
            tracing::info!("access and roles were read again");
        }
        Err(Failure::Exit { message, .. }) => {
            tracing::error!("the settings are unchanged: {message}");
        }
        Err(Failure::ClosedPipe) => {}
    }
    notify(ServiceState::Ready);
}

async fn show_status(args: &StatusArgs, out: &mut Out) -> CommandResult {
    let status = fetch_status(&args.status.to_string(), PATIENCE)
        .await
        .map_err(|error| Failure::new(error.exit_code(), error.to_string()))?;
    if out.json() { out.object(&status) } else { out.line(status_table(&status).trim_end()) }
}

/// The first line on stdout.
#[derive(serde::Serialize)]
struct PortsJson {
    ready: bool,
    control: u16,
    live: Option<u16>,
    callback: Option<u16>,
    stack: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    more: BTreeMap<String, u16>,
}

impl PortsJson {
    /// The same for people. `control` is the address of the control port.
    fn text(&self, control: std::net::SocketAddr) -> String {
        let others = [
            ("live images", self.live),
            ("callback", self.callback),
            ("stack images", self.stack),
            ("status", self.status),
        ];
        let others =
            others.into_iter().filter_map(|(name, port)| Some(format!(", {name} {}", port?)));
        let more = self.more.iter().map(|(name, port)| format!(", {name} {port}"));
        let ports: Vec<String> = others.chain(more).collect();
        format!("ready: control {control}{}; Ctrl-C ends it", ports.concat())
    }
}
