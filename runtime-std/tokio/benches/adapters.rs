//! The time of a round trip through the client on smol, on Tokio and on plain threads, in turns in one run. What an
//! adapter adds is the ratio to the client on smol.

use std::process::ExitCode;

use flamingo_runtime_testkit::bench::clients::{Caller, Way};
use flamingo_runtime_testkit::bench::limits::{echo_server, open, ping_pong, query};
use flamingo_runtime_testkit::bench::{
    Contender, Figure, Report, Rounds, Stopwatch, Target, alternate, caller_on_first, run,
};
use flamingo_tokio::runtime::blocking;
use flamingo_tokio::{Client, Options};
use tokio::runtime::{Builder, Runtime};

const ROUNDS: usize = 5;
const TURNS: usize = 30;
/// Round trips in a turn.
const QUERIES: usize = 100;

/// The contenders, in the order in which they take turns.
const SOCKET: usize = 0;
const OPENED: usize = 1;
const CONNECTED: usize = 2;
const CURRENT_THREAD: usize = 3;
const MULTI_THREAD: usize = 4;
const PLAIN: usize = 5;

async fn ask(client: Client) -> Vec<f64> {
    let mut times = Vec::with_capacity(QUERIES);
    for _ in 0..QUERIES {
        let watch = Stopwatch::start();
        client.request(query()).await.expect("an answer");
        times.push(watch.nanos());
    }
    times
}

fn connect(builder: &mut Builder, options: &Options) -> (Runtime, Client) {
    let runtime = builder.enable_all().build().expect("a runtime");
    let client = runtime.block_on(flamingo_tokio::connect(options.clone()));
    (runtime, client.expect("the server answers"))
}

fn measure(report: &mut Report) {
    let address = echo_server();
    let options = Options::new(address.to_string());
    let mut socket = open(address);
    let [opened, connected] = Way::ALL.map(|way| Caller::connect(way, options.clone()));
    let (one, on_one) = connect(&mut Builder::new_current_thread(), &options);
    let plain = blocking::Client::connect(options.clone()).expect("the server answers");
    // The callers of this runtime are its threads, so they are started where the other callers are.
    caller_on_first();
    let (many, on_many) = connect(Builder::new_multi_thread().worker_threads(2), &options);
    let contenders: Vec<Contender<'_>> = vec![
        Box::new(move |times| ping_pong(&mut socket, QUERIES, times)),
        Box::new(move |times| opened.ask(query(), QUERIES, times)),
        Box::new(move |times| connected.ask(query(), QUERIES, times)),
        Box::new(move |times| times.extend(one.block_on(ask(on_one.clone())))),
        Box::new(move |times| {
            let asked = many.block_on(many.spawn(ask(on_many.clone())));
            times.extend(asked.expect("the task does not panic"));
        }),
        Box::new(move |times| {
            for _ in 0..QUERIES {
                let watch = Stopwatch::start();
                plain.request(query()).expect("an answer");
                times.push(watch.nanos());
            }
        }),
    ];
    let rounds = alternate(ROUNDS, report.repetitions(TURNS), contenders);
    let near = Target::RatioAtMost(1.15);
    line(report, &rounds, "blocking socket", SOCKET, OPENED, Target::None);
    line(report, &rounds, "smol, Client::open", OPENED, OPENED, Target::None);
    line(report, &rounds, "smol, Client::connect", CONNECTED, OPENED, Target::None);
    line(report, &rounds, "Tokio, one thread, to Client::open", CURRENT_THREAD, OPENED, near);
    line(report, &rounds, "Tokio, two threads, to Client::connect", MULTI_THREAD, CONNECTED, near);
    line(report, &rounds, "plain threads, to Client::connect", PLAIN, CONNECTED, near);
}

fn line(report: &mut Report, rounds: &Rounds, name: &str, at: usize, to: usize, target: Target) {
    let figure = Figure::new(rounds.time(at, 50) / 1e3, "µs").ratio(rounds.ratio(at, to, 50));
    report.line(&format!("round trip p50, {name}"), figure, target);
}

fn main() -> ExitCode {
    run("adapters", measure)
}
