//! A stop that a client sends while the instrument is away, on real sockets: it does not wait for the
//! next attempt to connect, and it is the first thing on the new connection.

use std::io::Read;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use flamingo_bridge::{Bridge, BridgeSettings};
use flamingo_protocol_core::{CommandCode as Code, Frame};
use flamingo_runtime_std::Clock;
use flamingo_runtime_testkit::raw_client::{PATIENCE, RawClient, command};

/// An address at which nobody listens yet.
fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address")
}

/// A bridge that has failed to connect, and waits a minute before it tries again.
fn waiting_bridge(upstream: SocketAddr) -> Bridge {
    let mut settings = BridgeSettings::new(upstream.to_string());
    settings.listen.control = SocketAddr::from(([127, 0, 0, 1], 0));
    settings.upstream.reconnect_min_ms = 60_000;
    settings.upstream.reconnect_max_ms = 60_000;
    smol::block_on(Bridge::start(&settings)).expect("free ports")
}

fn halt(axis: i32) -> Frame {
    command(Code::STAGE_HALT).with_selector(axis)
}

#[test]
fn a_halt_makes_the_bridge_connect_and_goes_first() {
    let upstream = free_address();
    let bridge = waiting_bridge(upstream);
    let mut client = RawClient::to(bridge.control());
    // The answer proves that the bridge serves; its first attempt fails meanwhile, or finds the listener
    // below.
    assert_eq!(client.ask(&command(Code::SYSTEM_STATE_GET)).frame.status, 1);
    let listener = TcpListener::bind(upstream).expect("the port is free");
    let clock = Clock::start();
    let begin = clock.now();
    for axis in 1..=4 {
        client.send(&halt(axis));
    }
    let (mut link, _) = listener.accept().expect("the bridge comes");
    let took = Duration::from(clock.now().since(begin));
    assert!(took < Duration::from_secs(5), "{took:?}");
    link.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let mut next = || {
        let mut bytes = [0; 128];
        link.read_exact(&mut bytes).expect("a frame");
        Frame::decode(&bytes).expect("whole frames")
    };
    // The bridge may connect before it has read all of them; each goes before the handshake or at once.
    let first = next();
    assert_eq!((first.code, first.selector()), (Code::STAGE_HALT, 1));
    let mut others: Vec<_> =
        (0..4).map(|_| next()).map(|frame| (frame.code, frame.selector())).collect();
    others.sort_unstable();
    let halts = (2..=4).map(|axis| (Code::STAGE_HALT, axis));
    let expected: Vec<_> = halts.chain([(Code::SYSTEM_STATE_GET, 0)]).collect();
    assert_eq!(others, expected);
    let sent = Frame { status: 1, ..first };
    std::io::Write::write_all(&mut link, &sent.encode()).expect("the connection is open");
    let confirmed = client.until_code(Code::STAGE_HALT).1.frame;
    assert_eq!((confirmed.status, confirmed.selector()), (1, 1), "the client gets the true answer");
    drop(link);
    smol::block_on(bridge.stop());
}
