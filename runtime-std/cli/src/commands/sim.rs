//! `flamingo sim`: the command line of the simulated instrument. The library simulates it.

use std::net::IpAddr;

use clap::Args;
use flamingo_simulator::{NamedScenario, Scenario, Simulator, SimulatorOptions};
use serde_json::json;

use crate::failure::{CommandResult, Failure, note};
use crate::interrupt::Interrupt;
use crate::output::{Out, PortsJson};
use crate::suggest::did_you_mean;

/// Simulate an instrument, until Ctrl-C
///
/// The simulator listens on three ports: control, live images, stack images. The first line on stdout
/// names them: {"ready":true,"control":53717,"live":53718,"stack":53719}
#[derive(Debug, Args)]
pub(crate) struct SimArgs {
    /// Address to listen on; every client that can reach it is served
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    bind: IpAddr,

    /// Control port; the image ports are the next two. 0 takes three free ports in a row
    #[arg(long, value_name = "PORT", default_value_t = 53717)]
    port: u16,

    /// Port of the live images, instead of the one after the control port
    #[arg(long, value_name = "PORT")]
    live_port: Option<u16>,

    /// Port of the stack images, instead of the second after the control port
    #[arg(long, value_name = "PORT")]
    stack_port: Option<u16>,

    /// Properties and faults of the instrument: a name of --list, or a file (.toml) [default: healthy]
    #[arg(long, value_name = "NAME|FILE")]
    scenario: Option<String>,

    /// Print the named scenarios, and end
    #[arg(long)]
    list: bool,

    /// Seed of the random numbers, instead of the scenario's; the same seed gives the same run
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

pub(crate) async fn run(args: SimArgs, out: &mut Out, interrupt: &Interrupt) -> CommandResult {
    if args.list {
        return list(out);
    }
    let scenario = args.scenario.map_or(Ok(Scenario::default()), |scenario| read(&scenario))?;
    let mut options = SimulatorOptions::new(scenario).bind(args.bind).port(args.port);
    options.live_port = args.live_port;
    options.stack_port = args.stack_port;
    options.seed = args.seed;
    let simulator =
        Simulator::start(options).await.map_err(|error| Failure::usage(format!("sim: {error}")))?;
    let control = simulator.control();
    let (live, stack) = (simulator.live().port(), simulator.stack().port());
    out.ready(
        &PortsJson { ready: true, control: control.port(), live, stack },
        &format!(
            "ready: control {control}, live images {live}, stack images {stack}; Ctrl-C ends it"
        ),
    )?;
    if !out.json() {
        note(&format!("simulated instrument; try: flamingo get state --connect {control}"));
    }
    interrupt.pressed().await;
    simulator.stop().await;
    Ok(())
}

fn list(out: &mut Out) -> CommandResult {
    for each in NamedScenario::ALL {
        let (name, about) = (each.name, each.about());
        out.either(&json!({ "name": name, "about": about }), || format!("{name:<18}  {about}"))?;
    }
    Ok(())
}

/// The scenario with this name, or in this file. A name has neither a dot nor a slash.
fn read(scenario: &str) -> CommandResult<Scenario> {
    let failed =
        |error: &dyn std::fmt::Display| Failure::usage(format!("--scenario {scenario}: {error}"));
    if !scenario.contains(['.', '/', '\\']) {
        let found = NamedScenario::find(scenario).map(|named| named.scenario());
        return found.ok_or_else(|| {
            let meant = did_you_mean(scenario, NamedScenario::ALL.map(|each| each.name));
            failed(&format_args!(
                "expected a name of flamingo sim --list, or a file.toml, found {scenario:?}{meant}"
            ))
        });
    }
    let text = std::fs::read_to_string(scenario)
        .map_err(|error| failed(&format_args!("cannot read it: {error}")))?;
    Scenario::from_toml(&text).map_err(|error| failed(&error))
}
