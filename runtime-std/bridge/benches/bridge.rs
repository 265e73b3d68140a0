//! The time of a round trip through the bridge, compared with a direct one and with one through an
//! ideal blocking relay (two threads that copy bytes), all in one run. The benchmark fails if the bridge
//! takes more than 3 times as long as the direct round trip or 1.4 times as long as the relay.
//!
//! Everything runs on one processor, if the operating system supports that. On several processors the
//! time of a round trip depends mainly on where the operating system places the threads.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::thread::spawn;
use std::time::Duration;

use flamingo_bridge::{Bridge, BridgeSettings};
use flamingo_runtime_std::Clock;
use flamingo_runtime_std::protocol::{CommandCode, Frame};
use flamingo_simulator::{Scenario, Simulator, SimulatorOptions};

const ROUNDS: usize = 100;
const QUERIES: usize = 100;

fn open(address: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(address).expect("the port is open");
    socket.set_nodelay(true).expect("a socket");
    socket
}

/// Copies bytes until one end disconnects.
fn copy(mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..count]).is_err() {
            return;
        }
    }
}

/// A relay that costs as little as possible.
fn ideal_relay(upstream: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let address = listener.local_addr().expect("an address");
    spawn(move || {
        let (near, _) = listener.accept().expect("a client");
        near.set_nodelay(true).expect("a socket");
        let far = open(upstream);
        let (near_too, far_too) = (near.try_clone(), far.try_clone());
        spawn(move || copy(near, far));
        copy(far_too.expect("a socket"), near_too.expect("a socket"));
    });
    address
}

/// Measures round trips.
fn measure(socket: &mut TcpStream, clock: &Clock, times: &mut Vec<Duration>) {
    let query = Frame::command(CommandCode::STAGE_POSITION_GET).with_selector(1).encode();
    let mut answer = [0; 128];
    for _ in 0..QUERIES {
        let begin = clock.now();
        socket.write_all(&query).expect("the connection is open");
        socket.read_exact(&mut answer).expect("an answer");
        times.push(clock.now().since(begin).into());
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// Makes the threads that are started from now on run on one processor.
#[cfg(target_os = "linux")]
fn stay_on_one_processor() {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
    let allowed = sched_getaffinity(None).expect("the processors that this process may use");
    let first = (0..CpuSet::MAX_CPU).find(|cpu| allowed.is_set(*cpu)).expect("at least one");
    let mut one = CpuSet::new();
    one.set(first);
    sched_setaffinity(None, &one).expect("a processor that this process may use");
}

#[cfg(not(target_os = "linux"))]
fn stay_on_one_processor() {}

fn main() -> ExitCode {
    stay_on_one_processor();
    let scenario = Scenario::from_toml("[latency]\nmin_ms = 0\nmax_ms = 0\n").expect("a scenario");
    let options = SimulatorOptions::new(scenario);
    let instrument = smol::block_on(Simulator::start(options)).expect("free ports");
    let mut settings = BridgeSettings::new(instrument.control().to_string());
    settings.listen.control = SocketAddr::from(([127, 0, 0, 1], 0));
    settings.limits.commands_per_s = 1_000_000;
    let bridge = smol::block_on(async {
        let bridge = Bridge::start(&settings).await.expect("free ports");
        bridge.until_connected().await;
        bridge
    });
    let clock = Clock::start();
    let routes = [instrument.control(), ideal_relay(instrument.control()), bridge.control()];
    let mut sockets = routes.map(open);
    let mut times = [const { Vec::new() }; 3];
    for round in 0..=ROUNDS {
        for (socket, times) in sockets.iter_mut().zip(&mut times) {
            measure(socket, &clock, times);
            if round == 0 {
                times.clear(); // the first round is a warm-up
            }
        }
    }
    let [direct, relay, bridged] = times.map(median);
    let ratio = |of: Duration, to: Duration| of.as_secs_f64() / to.as_secs_f64();
    let (to_direct, to_relay) = (ratio(bridged, direct), ratio(bridged, relay));
    println!("median round trip: direct {direct:?}, ideal relay {relay:?}, bridge {bridged:?}");
    println!(
        "bridge / direct {to_direct:.2} (at most 3), bridge / ideal relay {to_relay:.2} (at most 1.4)"
    );
    smol::block_on(bridge.stop());
    smol::block_on(instrument.stop());
    if to_direct <= 3.0 && to_relay <= 1.4 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
