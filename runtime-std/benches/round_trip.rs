//! The time of a round trip through a client, compared with blocking round trips of one frame over a bare socket, in
//! one run. Whatever has to be done to send a frame and to receive its answer costs time on top of these.

use std::process::ExitCode;

use flamingo_runtime_std::Options;
use flamingo_runtime_testkit::bench::clients::{Caller, Way};
use flamingo_runtime_testkit::bench::limits::{
    echo_server, open, ping_pong, query, smol_open, smol_ping_pong,
};
use flamingo_runtime_testkit::bench::{
    Contender, Figure, Report, Rounds, Target, alternate, caller_on_first, run,
};

const ROUNDS: usize = 5;
const TURNS: usize = 30;
/// Round trips in a turn.
const QUERIES: usize = 100;

fn measure(report: &mut Report) {
    let address = echo_server();
    let mut blocking = open(address);
    let mut bare = smol_open(address);
    let [opened, connected] =
        Way::ALL.map(|way| Caller::connect(way, Options::new(address.to_string())));
    let contenders: Vec<Contender<'_>> = vec![
        Box::new(move |times| ping_pong(&mut blocking, QUERIES, times)),
        Box::new(move |times| smol_ping_pong(&mut bare, QUERIES, times)),
        Box::new(move |times| opened.ask(query(), QUERIES, times)),
        Box::new(move |times| connected.ask(query(), QUERIES, times)),
    ];
    caller_on_first();
    let rounds = alternate(ROUNDS, report.repetitions(TURNS), contenders);
    let open_p50 = Target::RatioAtMost(report.either(1.35, 1.15));
    let connect_p50 = Target::RatioAtMost(report.either(1.6, 1.4));
    let p99 = Target::RatioAtMost(1.5);
    lines(report, &rounds, 0, "blocking socket", [Target::None, Target::None]);
    lines(report, &rounds, 1, "bare smol socket", [Target::None, Target::None]);
    lines(report, &rounds, 2, Way::Open.name(), [open_p50, p99]);
    lines(report, &rounds, 3, Way::Connect.name(), [connect_p50, p99]);
}

fn lines(report: &mut Report, rounds: &Rounds, at: usize, name: &str, targets: [Target; 2]) {
    for (percent, target) in [50, 99].into_iter().zip(targets) {
        let figure = Figure::new(rounds.time(at, percent) / 1e3, "µs");
        let figure = figure.ratio(rounds.ratio(at, 0, percent));
        report.line(&format!("round trip p{percent}, {name}"), figure, target);
    }
}

fn main() -> ExitCode {
    run("round_trip", measure)
}
