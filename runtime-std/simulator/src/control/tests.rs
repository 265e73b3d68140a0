//! The control port, round by round, on the thread of the test.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use flamingo_protocol_core::{CommandCode, Frame, wire::FRAME_LEN};
use flamingo_runtime_std::LogRate;

use super::*;
use crate::scenario::Scenario;
use crate::truth::Truth;
use flamingo_runtime_testkit::allocator::allocations;

/// A control port with this scenario, and a client of it.
fn connected(scenario: &str) -> (ControlPort, End, TcpStream) {
    let scenario = Arc::new(Scenario::from_toml(scenario).unwrap());
    let truth = Truth::new(scenario.truth_capacity_frames);
    let shared = Shared { scenario, truth, log: Arc::new(LogRate::default()) };
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    client.set_nonblocking(true).unwrap();
    let (port, end) = ControlPort::new(shared, listener, async_channel::bounded(1).0).unwrap();
    (port, end, client)
}

/// Sends queries in one write, and lets the port work until all answers have come.
fn ask(port: &mut ControlPort, client: &mut TcpStream, queries: &[u8]) {
    client.write_all(queries).unwrap();
    let (mut answers, mut missing) = ([0; 4096], queries.len());
    while missing > 0 {
        match client.read(&mut answers) {
            Ok(0) => panic!("the connection has ended"),
            Ok(count) => missing -= count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                port.work();
                // Only a look: what this thread waits for, it must read itself.
                port.wait(Some(Instant::default())).unwrap();
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn an_answer_needs_no_allocation() {
    let (mut port, _end, mut client) =
        connected("truth_capacity_frames = 16\n[latency]\nmin_ms = 0\nmax_ms = 0.1");
    let frames = [1, 2, 3, 4]
        .map(|axis| Frame::command(CommandCode::STAGE_POSITION_GET).with_selector(axis).encode());
    let queries = frames.concat();
    assert_eq!(queries.len(), 4 * FRAME_LEN);
    let mut some = || (0..50).for_each(|_| ask(&mut port, &mut client, &queries));
    some();
    assert_eq!(allocations(some), 0);
}

#[test]
fn clients_that_connect_without_a_pause_hold_up_nobody() {
    let (mut port, _end, first) = connected("[server]\ncontrol_clients = 1");
    let address = first.peer_addr().unwrap();
    let _others: Vec<_> = (0..ACCEPTS).map(|_| TcpStream::connect(address).unwrap()).collect();
    port.wait(None).unwrap();
    port.accept(port.clock.now());
    // The first client and all others but one: the round ends, and the next one goes on.
    let refused = |port: &ControlPort| {
        port.shared.truth.faults().iter().filter(|each| each.kind == FaultKind::Refused).count()
    };
    assert_eq!(refused(&port), ACCEPTS - 1);
    assert!(port.next_due().is_some_and(|due| due <= port.clock.now()));
    port.accept(port.clock.now());
    assert_eq!(refused(&port), ACCEPTS);
}
