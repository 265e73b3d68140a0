//! How many answers come per second with 16 requests in flight, compared with blocking round trips of one frame
//! over a bare socket, in one run. Requests that go out in one write, and answers that come in one read, share
//! the cost of a system call and of a change between threads.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;

use flamingo_runtime_std::protocol::wire::FRAME_LEN;
use flamingo_runtime_std::protocol::{CommandCode, Config, Frame};
use flamingo_runtime_std::{Client, Options};
use flamingo_runtime_testkit::bench::limits::{echo_server, open, ping_pong};
use flamingo_runtime_testkit::bench::{
    Contender, Figure, Report, Stopwatch, Target, alternate, caller_on_first, run,
};
use smol::LocalExecutor;

const ROUNDS: usize = 5;
const TURNS: usize = 20;
const IN_FLIGHT: usize = 16;
/// Requests of each task in a turn.
const EACH: usize = 50;

/// Queries with 16 different keys.
fn queries() -> impl Iterator<Item = Frame> {
    (1..)
        .take(IN_FLIGHT)
        .map(|axis| Frame::command(CommandCode::STAGE_POSITION_GET).with_selector(axis))
}

fn options(address: SocketAddr) -> Options {
    Options::new(address.to_string()).protocol(Config::default().with_window(IN_FLIGHT))
}

/// 16 tasks, each with one request at a time. Appends the mean time of an answer.
fn ask(executor: &LocalExecutor<'_>, client: &Client, times: &mut Vec<f64>) {
    let ask = |query: Frame| async move {
        for _ in 0..EACH {
            client.request(query).await.expect("an answer");
        }
    };
    let tasks = async {
        let inner = LocalExecutor::new();
        let tasks: Vec<_> = queries().map(|query| inner.spawn(ask(query))).collect();
        inner
            .run(async {
                for task in tasks {
                    task.await;
                }
            })
            .await;
    };
    let took = Stopwatch::time(|| smol::block_on(executor.run(tasks)));
    times.push(mean(took, IN_FLIGHT * EACH));
}

#[allow(clippy::cast_precision_loss)] // a few thousand
fn mean(took: f64, count: usize) -> f64 {
    took / count as f64
}

/// The driver runs on the thread of the callers.
fn opened(address: SocketAddr) -> Contender<'static> {
    let executor = LocalExecutor::new();
    let (client, driver) =
        smol::block_on(Client::open(options(address))).expect("the server answers");
    executor.spawn(driver).detach();
    Box::new(move |times| ask(&executor, &client, times))
}

/// The driver runs where `Client::connect` puts it.
fn connected(address: SocketAddr) -> Contender<'static> {
    let client = smol::block_on(Client::connect(options(address))).expect("the server answers");
    Box::new(move |times| ask(&LocalExecutor::new(), &client, times))
}

/// Blocking round trips of 16 frames: one write, and reads until all answers have come.
fn blocking_batches(mut socket: TcpStream) -> Contender<'static> {
    let batch: Vec<u8> = queries().flat_map(|query| query.encode()).collect();
    let mut answers = vec![0; IN_FLIGHT * FRAME_LEN];
    Box::new(move |times| {
        let took = Stopwatch::time(|| {
            for _ in 0..EACH {
                socket.write_all(&batch).expect("the connection is open");
                socket.read_exact(&mut answers).expect("the answers");
            }
        });
        times.push(mean(took, IN_FLIGHT * EACH));
    })
}

/// Blocking round trips of one frame.
fn blocking(mut socket: TcpStream) -> Contender<'static> {
    Box::new(move |times| {
        let mut each = Vec::new();
        let count = 2 * EACH;
        let took = Stopwatch::time(|| ping_pong(&mut socket, count, &mut each));
        times.push(mean(took, count));
    })
}

fn measure(report: &mut Report) {
    let address = echo_server();
    let contenders = vec![
        blocking(open(address)),
        blocking_batches(open(address)),
        opened(address),
        connected(address),
    ];
    caller_on_first();
    let rounds = alternate(ROUNDS, report.repetitions(TURNS), contenders);
    let target = Target::RatioAtLeast(report.either(4.0, 5.0));
    let rows = [
        ("blocking socket, 1 in flight", Target::None),
        ("blocking socket, batches of 16", Target::None),
        ("Client::open, 16 in flight", target),
        ("Client::connect, 16 in flight", target),
    ];
    for (at, (name, target)) in rows.into_iter().enumerate() {
        let figure = Figure::new(rounds.rate(at) / 1e3, "k/s").ratio(rounds.rate_ratio(at, 0));
        report.line(&format!("answers per second, {name}"), figure, target);
    }
}

fn main() -> ExitCode {
    run("in_flight", measure)
}
