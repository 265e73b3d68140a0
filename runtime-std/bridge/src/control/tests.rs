//! The control side with real sockets, with clients that were there before its thread began: what the
//! operating system reports only once must not be lost.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use super::inbox::wake;
use super::listener::{ControlListener, MAX_ACCEPTS};
use super::socket::ReadState;
use super::*;
use crate::settings::BridgeSettings;
use crate::wiring::{instrument_link, router_options};
use flamingo_protocol_core::{CommandCode, Frame};
use flamingo_runtime_testkit::allocator::allocations;

/// A test that waits longer has failed.
const TIMEOUT: Duration = Duration::from_secs(20);

/// A control side whose thread does not run yet, and clients that have connected.
struct Waiting {
    /// It refuses connections, since it only occupies its port.
    _instrument: Socket,
    control: ControlTask,
    handle: ControlHandle,
    clients: Vec<TcpStream>,
}

fn with_clients(count: usize) -> Waiting {
    let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
    let instrument = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    instrument.bind(&any_port.into()).unwrap();
    let upstream = instrument.local_addr().unwrap().as_socket().unwrap();
    let mut settings = BridgeSettings::new(upstream.to_string());
    settings.listen.control = any_port;
    (settings.limits.clients, settings.limits.clients_per_address) = (count, count);
    let listener = TcpListener::bind(any_port).unwrap();
    let address = listener.local_addr().unwrap();
    let listeners = vec![ControlListener::new(None, listener, TIMEOUT).unwrap()];
    let (control, handle) = ControlTask::new(
        Router::new(router_options(&settings)),
        listeners,
        Admission::new(&settings),
        instrument_link(&settings, None),
        Box::new(|_| ()),
    )
    .unwrap();
    let connect = |_| {
        let client = TcpStream::connect(address).unwrap();
        client.set_read_timeout(Some(TIMEOUT)).unwrap();
        client
    };
    Waiting { _instrument: instrument, control, handle, clients: (0..count).map(connect).collect() }
}

fn start(control: ControlTask) -> JoinHandle<()> {
    std::thread::spawn(|| control.run())
}

fn query() -> [u8; 128] {
    Frame::command(CommandCode::SYSTEM_STATE_GET).encode()
}

/// Reads the answer: the instrument is not connected.
fn read_answer(client: &mut TcpStream) {
    let mut answer = [0; 128];
    client.read_exact(&mut answer).expect("an answer");
    let answer = Frame::decode(&answer).unwrap();
    let disconnected = CommandCode::SYSTEM_STATE_DISCONNECTED.0 as i32;
    assert_eq!((answer.code, answer.selector()), (CommandCode::SYSTEM_STATE_GET, disconnected));
}

#[test]
fn more_clients_than_one_turn_accepts_are_all_accepted() {
    let Waiting { control, handle, mut clients, _instrument } = with_clients(3 * MAX_ACCEPTS + 1);
    let thread = start(control);
    for client in &mut clients {
        client.write_all(&query()).unwrap();
        read_answer(client);
    }
    drop(handle);
    thread.join().unwrap();
}

#[test]
fn a_client_that_comes_during_a_pause_is_accepted_after_it() {
    let Waiting { mut control, handle, mut clients, _instrument } = with_clients(1);
    let now = control.clock.now();
    control.listeners[0].pause(now);
    // The operating system reports the client now, and never again.
    control.wait().unwrap();
    let thread = start(control);
    clients[0].write_all(&query()).unwrap();
    read_answer(&mut clients[0]);
    drop(handle);
    thread.join().unwrap();
}

#[test]
fn an_end_that_arrives_with_the_last_command_is_noticed() {
    let Waiting { mut control, handle, mut clients, _instrument } = with_clients(1);
    let client = &mut clients[0];
    // Until the bridge has accepted the client, and has nothing to do but wait for its commands.
    while control.clients.values().all(ControlSocket::is_readable) {
        control.wait().unwrap();
        control.turn();
    }
    client.write_all(&query()).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    // Both are reported before the bridge reads.
    while control.clients.values().any(|socket| socket.read_state != ReadState::LastBytes) {
        control.wait().unwrap();
    }
    let thread = start(control);
    read_answer(client);
    assert_eq!(client.read(&mut [0]).unwrap(), 0, "the bridge closes the connection");
    drop(handle);
    thread.join().unwrap();
}

#[test]
fn dropping_the_last_handle_ends_the_thread() {
    let Waiting { control, handle, mut clients, _instrument } = with_clients(1);
    let thread = start(control);
    clients[0].write_all(&query()).unwrap();
    read_answer(&mut clients[0]);
    let second = handle.clone();
    drop(handle);
    clients[0].write_all(&query()).unwrap();
    read_answer(&mut clients[0]);
    drop(second);
    assert_eq!(clients[0].read(&mut [0]).unwrap(), 0, "the thread has ended");
    thread.join().unwrap();
}

/// The instrument answers each frame with the same frame.
fn echo(instrument: &mut TcpStream, buffer: &mut [u8]) {
    match instrument.read(buffer) {
        Ok(count) => instrument.write_all(&buffer[..count]).unwrap(),
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
    }
}

#[test]
fn a_round_trip_through_the_sockets_allocates_nothing() {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let upstream = listener.local_addr().unwrap();
    let Waiting { mut control, handle, mut clients, _instrument } = with_clients(8);
    control.router.compare_nothing();
    control.link.address = upstream.to_string();
    control.connect(false);
    let (mut instrument, _) = listener.accept().unwrap();
    instrument.set_nonblocking(true).unwrap();
    let mut buffer = [0; 4096];
    while control.clients.len() < clients.len() || !control.router.is_open() {
        wake(&control.waker); // it must not wait for what this thread does
        control.wait().unwrap();
        control.turn();
        echo(&mut instrument, &mut buffer);
    }
    for client in &mut clients {
        client.set_nonblocking(true).unwrap();
    }
    let (mut answers, mut answer) = (0, [0; 128]);
    let mut round = |control: &mut ControlTask| {
        for client in &mut clients {
            client.write_all(&query()).unwrap();
        }
        answers = 0;
        while answers < clients.len() {
            wake(&control.waker);
            control.wait().unwrap();
            control.turn();
            echo(&mut instrument, &mut buffer);
            for client in &mut clients {
                answers += usize::from(client.read(&mut answer).is_ok());
            }
        }
    };
    (0..20).for_each(|_| round(&mut control));
    let count = allocations(|| (0..20).for_each(|_| round(&mut control)));
    assert_eq!(count, 0);
    drop(handle);
}
