//! How many answers come per second with 16 requests in flight, compared with blocking round trips of one frame
//! over a bare socket, in one run. Requests that go out in one write, and answers that come in one read, share
//! the cost of a system call and of a change between threads.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::ExitCode;

use flamingo_runtime_std::Options;
use flamingo_runtime_std::protocol::wire::FRAME_LEN;
use flamingo_runtime_std::protocol::{CommandCode, Config, Frame};
use flamingo_runtime_testkit::bench::clients::{Caller, Way, mean};
use flamingo_runtime_testkit::bench::limits::{echo_server, open, ping_pong};
use flamingo_runtime_testkit::bench::{
    Contender, Figure, Report, Stopwatch, Target, alternate, caller_on_first, run,
};

const ROUNDS: usize = 5;
const TURNS: usize = 20;
const IN_FLIGHT: usize = 16;
/// Requests of each task in a turn.
const EACH: usize = 50;

/// Queries with 16 different keys.
fn queries() -> Vec<Frame> {
    let query = |axis| Frame::command(CommandCode::STAGE_POSITION_GET).with_selector(axis);
    (1..).take(IN_FLIGHT).map(query).collect()
}

/// Blocking round trips of 16 frames: one write, and reads until all answers have come.
fn blocking_batches(socket: &mut TcpStream, batch: &[u8]) -> f64 {
    let mut answers = [0; IN_FLIGHT * FRAME_LEN];
    let took = Stopwatch::time(|| {
        for _ in 0..EACH {
            socket.write_all(batch).expect("the connection is open");
            socket.read_exact(&mut answers).expect("the answers");
        }
    });
    mean(took, IN_FLIGHT * EACH)
}

/// Blocking round trips of one frame.
fn blocking(socket: &mut TcpStream) -> f64 {
    let count = 2 * EACH;
    let mut each = Vec::with_capacity(count);
    mean(Stopwatch::time(|| ping_pong(socket, count, &mut each)), count)
}

fn measure(report: &mut Report) {
    let address = echo_server();
    let [mut one, mut many] = [open(address), open(address)];
    let queries = queries();
    let batch: Vec<u8> = queries.iter().flat_map(Frame::encode).collect();
    let callers = Way::ALL.map(|way| {
        let options = Options::new(address.to_string());
        Caller::connect(way, options.protocol(Config::default().with_window(IN_FLIGHT)))
    });
    let mut contenders: Vec<Contender<'_>> = vec![
        Box::new(move |times| times.push(blocking(&mut one))),
        Box::new(move |times| times.push(blocking_batches(&mut many, &batch))),
    ];
    for caller in &callers {
        contenders.push(Box::new(|times| times.push(caller.ask_at_once(&queries, EACH))));
    }
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
