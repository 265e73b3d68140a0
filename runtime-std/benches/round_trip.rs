//! The time of a round trip through a client, compared with blocking round trips of one frame over a bare socket, in
//! one run. Whatever has to be done to send a frame and to receive its answer costs time on top of these.

use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;

use flamingo_runtime_std::{Client, Options};
use flamingo_runtime_testkit::bench::limits::{
    echo_server, open, ping_pong, query, smol_open, smol_ping_pong,
};
use flamingo_runtime_testkit::bench::{
    Contender, Figure, Report, Rounds, Stopwatch, Target, alternate, caller_on_first, run,
};
use smol::LocalExecutor;

const ROUNDS: usize = 5;
const TURNS: usize = 30;
/// Round trips in a turn.
const QUERIES: usize = 100;

async fn ask(client: &Client, times: &mut Vec<f64>) {
    for _ in 0..QUERIES {
        let watch = Stopwatch::start();
        client.request(query()).await.expect("an answer");
        times.push(watch.nanos());
    }
}

/// The driver runs on the thread of the caller.
fn opened(address: SocketAddr) -> Contender<'static> {
    let executor = LocalExecutor::new();
    let connected = Client::open(Options::new(address.to_string()));
    let (client, driver) = smol::block_on(connected).expect("the server answers");
    executor.spawn(driver).detach();
    Box::new(move |times| smol::block_on(executor.run(ask(&client, times))))
}

/// The driver runs where `Client::connect` puts it.
fn connected(address: SocketAddr) -> Contender<'static> {
    let connected = Client::connect(Options::new(address.to_string()));
    let client = smol::block_on(connected).expect("the server answers");
    Box::new(move |times| smol::block_on(ask(&client, times)))
}

fn measure(report: &mut Report) {
    let address = echo_server();
    let mut blocking: TcpStream = open(address);
    let mut bare = smol_open(address);
    let contenders: Vec<Contender<'_>> = vec![
        Box::new(move |times| ping_pong(&mut blocking, QUERIES, times)),
        Box::new(move |times| smol_ping_pong(&mut bare, QUERIES, times)),
        opened(address),
        connected(address),
    ];
    caller_on_first();
    let rounds = alternate(ROUNDS, report.repetitions(TURNS), contenders);
    let open_p50 = Target::RatioAtMost(report.either(1.35, 1.15));
    let connect_p50 = Target::RatioAtMost(report.either(1.6, 1.4));
    let p99 = Target::RatioAtMost(1.5);
    lines(report, &rounds, 0, "blocking socket", [Target::None, Target::None]);
    lines(report, &rounds, 1, "bare smol socket", [Target::None, Target::None]);
    lines(report, &rounds, 2, "Client::open", [open_p50, p99]);
    lines(report, &rounds, 3, "Client::connect", [connect_p50, p99]);
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
