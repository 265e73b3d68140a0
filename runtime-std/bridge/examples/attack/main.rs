//! Attacks a bridge in many ways, each beside clients that must not notice it, and prints a table:
//!
//! ```sh
//! cargo run --release -p flamingo-bridge --example attack                    # every attack, 5 s each
//! cargo run --release -p flamingo-bridge --example attack -- flood-2 mute    # these
//! cargo run --release -p flamingo-bridge --example attack -- --seconds 20
//! cargo run --release -p flamingo-bridge --example attack -- --check         # 1 s each, times do not count
//! cargo run --release -p flamingo-bridge --example attack -- --list
//! ```
//!
//! `attacks.rs` lists them, and `report.rs` has the limits; a broken limit is exit code 1. The bridge runs
//! in a process of its own (`bridge_process.rs`). The attackers (`crowd.rs`, `conversations.rs`), the
//! healthy clients (`observers.rs`) and the instrument (`instrument.rs`) are in this process. Linux only.

mod attacks;
mod bridge_process;
mod conversations;
mod crowd;
mod crowd_addresses;
mod figures;
mod instrument;
mod observers;
mod report;

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::{JoinHandle, spawn};
use std::time::Duration;

use attacks::{Attack, Load};
use bridge_process::{BridgeProcess, Ports, SERVE, serve};
use conversations::Said;
use figures::{Seen, Stop, micros, ms, now};
use instrument::Instrument;
use observers::Observers;
use report::Judge;

struct Arguments {
    names: Vec<String>,
    time: Duration,
    judge: Judge,
}

fn arguments(words: &[String]) -> Result<Arguments, String> {
    let mut found = Arguments { names: Vec::new(), time: ms(5000), judge: Judge::Everything };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--check" => (found.judge, found.time) = (Judge::AnswersOnly, ms(1000)),
            "--seconds" => {
                let seconds = words.next().and_then(|word| word.parse().ok());
                let seconds: u64 = seconds.ok_or("--seconds: expected a number of seconds")?;
                found.time = Duration::from_secs(seconds);
            }
            name if attacks::all().iter().any(|attack| attack.name == name) => {
                found.names.push(name.to_owned());
            }
            other => return Err(format!("no such attack: {other}; --list shows them")),
        }
    }
    Ok(found)
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [first, name, instrument] = &words[..]
        && first == SERVE
    {
        let attack = attacks::all().into_iter().find(|attack| attack.name == name);
        serve(&attack.expect("the other process knows it"), instrument);
        return ExitCode::SUCCESS;
    }
    if words == ["--list"] {
        for attack in attacks::all() {
            println!("{}", attack.name);
        }
        return ExitCode::SUCCESS;
    }
    let arguments = match arguments(&words) {
        Ok(arguments) => arguments,
        Err(error) => {
            eprintln!("attack: {error}");
            return ExitCode::from(2);
        }
    };
    println!("{}", report::header());
    let mut failed = Vec::new();
    for attack in attacks::all() {
        let (name, limits) = (attack.name, attack.limits);
        if !arguments.names.is_empty() && !arguments.names.iter().any(|each| each == name) {
            continue;
        }
        let seen = run(attack, arguments.time);
        println!("{}", report::row(name, &seen));
        let broken = report::broken(&seen, &limits, arguments.judge);
        for fault in &broken {
            println!("    broken: {fault}");
        }
        // A reader of a pipe sees each row at once.
        let _ = std::io::stdout().flush();
        if !broken.is_empty() {
            failed.push(name);
        }
    }
    if failed.is_empty() {
        println!("no limit is broken");
        return ExitCode::SUCCESS;
    }
    println!("limits are broken in {}: {}", failed.len(), failed.join(" "));
    ExitCode::from(1)
}

/// A part of the load, on a thread.
struct Running {
    end: Sender<()>,
    thread: JoinHandle<Said>,
}

fn start(load: Load, ports: Ports, instrument: &Arc<Instrument>) -> Running {
    let (end, ended) = channel();
    let (stop, instrument) = (Stop(ended), Arc::clone(instrument));
    let began = now();
    let thread = spawn(move || {
        let (crowd, target) = match load {
            Load::Control(crowd) => (crowd, ports.control),
            Load::Callback(crowd) => (crowd, ports.callback),
            Load::Live(crowd) => (crowd, ports.live),
            Load::Status(crowd) => (crowd, ports.status),
            Load::Conversation(converse) => return converse(ports, &instrument, &stop),
        };
        let done = crowd::run(&crowd, target, &stop);
        let seconds = Duration::from_micros(now() - began).as_secs_f64();
        #[allow(clippy::cast_precision_loss)] // for people
        let rate = |bytes: u64| bytes as f64 / 1024.0 / seconds;
        let load = format!(
            "{} clients, {} connections ({} closed by the bridge), {:.0} KiB/s sent, {:.0} KiB/s received",
            crowd.clients,
            done.connections,
            done.closed,
            rate(done.sent_bytes),
            rate(done.received_bytes)
        );
        Said { load, ..Said::default() }
    });
    Running { end, thread }
}

fn run(attack: Attack, time: Duration) -> Seen {
    let instrument = Arc::new(Instrument::start(attack.instrument));
    let mut bridge = BridgeProcess::start(&attack, instrument.address());
    let ports = bridge.ports;
    let observers = Observers::start(ports, attack.halts);
    let running: Vec<_> =
        attack.load.into_iter().map(|load| start(load, ports, &instrument)).collect();
    let (_open, never) = channel::<()>();
    let mut seen = Seen::default();
    let end = now() + micros(time);
    while now() < end {
        // Nothing is ever sent, so that this waits.
        let _ = never.recv_timeout(ms(100));
        let usage = bridge.usage();
        seen.usage.resident_kib = seen.usage.resident_kib.max(usage.resident_kib);
        seen.usage.descriptors = seen.usage.descriptors.max(usage.descriptors);
    }
    // The observers wait for their last answers while the load goes on.
    let watched = observers.finish();
    let running: Vec<_> = running
        .into_iter()
        .map(|each| {
            drop(each.end);
            each.thread
        })
        .collect();
    for thread in running {
        let said = thread.join().expect("no panic");
        seen.load.push(said.load);
        seen.faults.extend(said.faults);
        seen.slow.extend(said.slow);
    }
    if bridge.has_ended() {
        seen.faults.push("the bridge has ended".to_owned());
    }
    let log = instrument.log();
    (seen.witness, seen.halts, seen.events) = watched.judge(&log);
    let foreign = log.halts.iter().filter(|halt| halt.number < 0).count();
    if foreign > 0 {
        seen.load.push(format!("{foreign} HALTs of the load reached the instrument"));
    }
    seen
}
