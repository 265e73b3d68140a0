//! The time of a round trip through the bridge, compared with a direct one, with one through an ideal relay (two
//! blocking threads that copy bytes), and with one through `socat` if it is installed, all in one run. The clients use
//! blocking sockets.
//!
//! The targets are for one processor. On several processors the time depends mainly on where the operating system places
//! the threads.

use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;

use flamingo_bridge::{Bridge, BridgeSettings};
use flamingo_runtime_testkit::bench::limits::{Socat, ideal_relay, open, ping_pong};
use flamingo_runtime_testkit::bench::{
    Contender, Figure, Report, Target, alternate, caller_on_first, run,
};
use flamingo_runtime_testkit::raw_client::{PROMPT, simulator};

const ROUNDS: usize = 5;
const TURNS: usize = 20;
/// Round trips in a turn.
const QUERIES: usize = 100;

fn bridge(upstream: SocketAddr) -> Bridge {
    let mut settings = BridgeSettings::new(upstream.to_string());
    settings.listen.control = SocketAddr::from(([127, 0, 0, 1], 0));
    settings.limits.commands_per_s = 1_000_000;
    smol::block_on(async {
        let bridge = Bridge::start(&settings).await.expect("free ports");
        bridge.until_connected().await;
        bridge
    })
}

fn blocking(mut socket: TcpStream) -> Contender<'static> {
    Box::new(move |times| ping_pong(&mut socket, QUERIES, times))
}

fn measure(report: &mut Report) {
    let instrument = simulator(&format!("{PROMPT}[server]\ncontrol_clients = 10\n"));
    let bridge = bridge(instrument.control());
    let mut socat = Socat::start(instrument.control());
    let mut rows = vec![
        ("direct", blocking(open(instrument.control()))),
        ("ideal relay", blocking(open(ideal_relay(instrument.control())))),
        ("bridge", blocking(open(bridge.control()))),
    ];
    if let Some(socat) = &mut socat {
        rows.push(("socat", blocking(socat.open())));
    }
    let (names, contenders): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
    caller_on_first();
    let rounds = alternate(ROUNDS, report.repetitions(TURNS), contenders);
    for (at, name) in names.iter().enumerate() {
        for percent in [50, 99] {
            let figure = Figure::new(rounds.time(at, percent) / 1e3, "µs");
            let figure = figure.ratio(rounds.ratio(at, 0, percent));
            let most = Target::RatioAtMost(2.2);
            let is_judged = *name == "bridge" && percent == 50;
            let target = if is_judged { report.either(most, Target::None) } else { Target::None };
            report.line(&format!("round trip p{percent}, {name}"), figure, target);
        }
    }
    let figure = Figure::new(rounds.time(2, 50) / 1e3, "µs").ratio(rounds.ratio(2, 1, 50));
    let target = report.either(Target::RatioAtMost(1.15), Target::None);
    report.line("round trip p50, bridge, to the ideal relay", figure, target);
    smol::block_on(bridge.stop());
    smol::block_on(instrument.stop());
}

fn main() -> ExitCode {
    run("bridge", measure)
}
