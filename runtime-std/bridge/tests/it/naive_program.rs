//! The problem that this project solves. A naive program sends a command and takes the next 128 bytes
//! for its answer, while a second thread takes 128 bytes for an event. On the instrument's socket the
//! two threads steal each other's frames. Through the bridge, with the second thread on the callback
//! port, each thread receives only its own frames. The program uses plain threads and blocking sockets.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, spawn};
use std::time::Duration;

use crate::harness::bridge;
use flamingo_protocol_core::{CommandCode, Frame};
use flamingo_runtime_testkit::raw_client::{simulator, socket};
use flamingo_simulator::Simulator;

const QUERIES: i32 = 10_000;

/// All axes move, and the instrument sends 400 other messages per second. No message has a payload,
/// since the naive program cannot read payloads.
const BUSY: &str = "[latency]\nmin_ms = 0\nmax_ms = 0.2\n[background]\nframes_per_s = 400\n\
    [pushes]\nled_payload_bytes = 0\n\
    [stage]\ncontinuous_axes = [\"x\", \"y\", \"z\", \"r\"]\n";
const QUIET: &str = "[latency]\nmin_ms = 0\nmax_ms = 0.2\n";

/// The naive program on one socket.
struct Program {
    socket: TcpStream,
}

#[derive(Debug, Default)]
struct Outcome {
    right: i32,
    wrong: i32,
    timed_out: i32,
}

impl Program {
    fn connect(address: SocketAddr, patience: Duration) -> Self {
        let socket = socket(address);
        socket.set_read_timeout(Some(patience)).expect("a socket");
        Self { socket }
    }

    /// Like `recv(128)`: takes the next 128 bytes for a frame. Returns `None` if they are not one.
    fn receive(&mut self) -> std::io::Result<Option<Frame>> {
        let mut bytes = [0; 128];
        self.socket.read_exact(&mut bytes)?;
        Ok(Frame::decode(&bytes).ok())
    }

    /// Queries positions until `enough` returns true.
    fn ask(&mut self, enough: impl Fn(i32, &Outcome) -> bool) -> Outcome {
        let mut outcome = Outcome::default();
        for number in 0.. {
            if enough(number, &outcome) {
                break;
            }
            let mut query = Frame::command(CommandCode::STAGE_POSITION_GET);
            query.int32_data = [1 + number % 4, number, 0];
            self.socket.write_all(&query.encode()).expect("the connection is open");
            match self.receive() {
                Ok(Some(frame))
                    if frame.int32_data == query.int32_data && frame.code == query.code =>
                {
                    outcome.right += 1;
                }
                Ok(_) => outcome.wrong += 1,
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    outcome.timed_out += 1;
                }
                Err(error) => panic!("{error}"),
            }
        }
        outcome
    }
}

/// The second thread: receives until `end` is set. Returns the frames, and how many times 128 bytes
/// were not a frame.
fn listen(mut program: Program, end: Arc<AtomicBool>) -> JoinHandle<(Vec<Frame>, usize)> {
    spawn(move || {
        let (mut frames, mut none) = (Vec::new(), 0);
        while !end.load(Ordering::Relaxed) {
            match program.receive() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => none += 1,
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(error) => panic!("{error}"),
            }
        }
        (frames, none)
    })
}

#[test]
fn through_the_bridge_a_naive_program_gets_only_its_frames() {
    let instrument = simulator(BUSY);
    let bridge = bridge(instrument.control(), |_| {});
    let end = Arc::new(AtomicBool::new(false));
    let callback = bridge.callback().expect("the port is on");
    let events = listen(Program::connect(callback, Duration::from_millis(200)), Arc::clone(&end));
    let mut program = Program::connect(bridge.control(), Duration::from_secs(3));
    let outcome = program.ask(|number, _| number == QUERIES);
    end.store(true, Ordering::Relaxed);
    let (events, none) = events.join().expect("the thread ends");
    println!("through the bridge: {outcome:?}, {} events", events.len());
    assert_eq!((outcome.right, outcome.wrong, outcome.timed_out), (QUERIES, 0, 0));
    assert_eq!(none, 0, "every 128 bytes of the callback port are a frame");
    assert!(events.len() > 100, "{} events", events.len());
    let is_answer =
        |frame: &&Frame| frame.code == CommandCode::STAGE_POSITION_GET && frame.int32_data[1] != 0;
    assert_eq!(events.iter().filter(is_answer).count(), 0, "no answer went to the callback port");
    smol::block_on(bridge.stop());
    smol::block_on(instrument.stop());
}

/// Runs both threads on one socket until `enough` returns true.
fn on_one_socket(instrument: &Simulator, enough: fn(&Outcome) -> bool) -> Outcome {
    let mut program = Program::connect(instrument.control(), Duration::from_millis(200));
    let second = Program { socket: program.socket.try_clone().expect("a socket") };
    let end = Arc::new(AtomicBool::new(false));
    let events = listen(second, Arc::clone(&end));
    let outcome = program.ask(|number, outcome| number == QUERIES || enough(outcome));
    end.store(true, Ordering::Relaxed);
    events.join().expect("the thread ends");
    outcome
}

#[test]
fn on_the_instruments_socket_a_naive_program_fails() {
    let busy = simulator(BUSY);
    let outcome = on_one_socket(&busy, |outcome| outcome.wrong > 0);
    println!("on a busy instrument's own socket: {outcome:?}");
    assert!(outcome.wrong > 0, "{outcome:?}");
    smol::block_on(busy.stop());
    // On a quiet instrument, a thread whose answer was stolen waits until it times out.
    let quiet = simulator(QUIET);
    let outcome = on_one_socket(&quiet, |outcome| outcome.timed_out > 0);
    println!("on a quiet instrument's own socket: {outcome:?}");
    assert!(outcome.timed_out > 0, "{outcome:?}");
    smol::block_on(quiet.stop());
}
