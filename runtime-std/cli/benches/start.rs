//! How long the program takes from its start to its end: `flamingo --help`, and `flamingo get position` against a
//! simulator that runs. Beside it a program that does nothing. The time that the client listens before its first command
//! (the settle time) is measured by a relay, and does not count. Also the size of the program.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::spawn;

use flamingo_runtime_testkit::bench::limits::open;
use flamingo_runtime_testkit::bench::{
    Contender, Figure, Report, Stopwatch, Target, alternate, run,
};
use flamingo_runtime_testkit::raw_client::{PROMPT, simulator};

const ROUNDS: usize = 5;
const TURNS: usize = 8;
const PROGRAM: &str = env!("CARGO_BIN_EXE_flamingo");

/// A relay that reports for each connection how long its client waited, in nanoseconds, before it sent anything.
fn settle_relay(upstream: SocketAddr) -> (SocketAddr, Receiver<f64>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let address = listener.local_addr().expect("an address");
    let (waited, settle) = channel();
    spawn(move || {
        while let Ok((near, _)) = listener.accept() {
            let watch = Stopwatch::start();
            near.set_nodelay(true).expect("a socket");
            let far = open(upstream);
            let (near_too, far_too) = (near.try_clone(), far.try_clone());
            spawn(move || copy(far_too.expect("a socket"), near_too.expect("a socket"), || {}));
            let mut first = Some(watch);
            let waited = waited.clone();
            copy(near, far, move || {
                if let Some(watch) = first.take() {
                    // The benchmark may have ended.
                    let _ = waited.send(watch.nanos());
                }
            });
        }
    });
    (address, settle)
}

/// Copies bytes until one end disconnects, and calls `seen` for each piece.
fn copy(mut from: TcpStream, mut to: TcpStream, mut seen: impl FnMut()) {
    let mut buffer = vec![0; 4096];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        seen();
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    // The other end may have closed it already.
    let _ = to.shutdown(std::net::Shutdown::Both);
}

/// Runs a program until it ends. Returns the nanoseconds that it took.
fn whole(command: &mut Command) -> f64 {
    command.stdin(Stdio::null()).stdout(Stdio::null());
    Stopwatch::time(|| {
        let ended = command.status().expect("the program starts");
        assert!(ended.success(), "{command:?}: {ended}");
    })
}

fn measure(report: &mut Report) {
    let instrument = simulator(PROMPT);
    let (address, settle) = settle_relay(instrument.control());
    let address = address.to_string();
    let contenders: Vec<Contender<'_>> = vec![
        Box::new(|times| times.push(whole(&mut Command::new("true")))),
        Box::new(|times| times.push(whole(Command::new(PROGRAM).arg("--help")))),
        Box::new(|times| {
            let mut get = Command::new(PROGRAM);
            let took = whole(get.args(["get", "position", "--connect", &address]));
            times.push(took - settle.recv().expect("it connected"));
        }),
    ];
    let rounds = alternate(ROUNDS, report.repetitions(TURNS), contenders);
    let rows = [
        ("a program that does nothing", Target::None),
        ("flamingo --help", Target::ValueAtMost(5.0)),
        ("flamingo get position, without settling", Target::ValueAtMost(30.0)),
    ];
    for (at, (name, target)) in rows.into_iter().enumerate() {
        let figure = Figure::new(rounds.time(at, 50) / 1e6, "ms").ratio(rounds.ratio(at, 0, 50));
        report.line(&format!("start to end p50, {name}"), figure, target);
    }
    #[allow(clippy::cast_precision_loss)] // a few millions
    let size = std::fs::metadata(PROGRAM).expect("the program").len() as f64 / 1e6;
    report.line("size of the program", Figure::new(size, "MB"), Target::ValueAtMost(8.0));
    smol::block_on(instrument.stop());
}

fn main() -> ExitCode {
    run("start", measure)
}
