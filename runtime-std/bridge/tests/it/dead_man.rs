//! The dead man's switch on real sockets: however the connection of the holder of the lease ends, the
//! stops are the next frames that the instrument receives.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread::spawn;
use std::time::Duration;

use flamingo_bridge::{Bridge, BridgeSettings};
use flamingo_protocol_core::{CommandCode as Code, Frame};
use flamingo_runtime_testkit::raw_client::{PATIENCE, RawClient, command};
use socket2::SockRef;

/// An instrument whose answers the test writes itself.
struct Instrument {
    link: TcpStream,
}

impl Instrument {
    fn next(&mut self) -> Frame {
        let mut bytes = [0; 128];
        self.link.read_exact(&mut bytes).expect("a frame");
        Frame::decode(&bytes).expect("whole frames")
    }

    fn answer(&mut self, asked: &Frame) {
        let answer = Frame { status: 1, ..*asked };
        self.link.write_all(&answer.encode()).expect("the bridge is connected");
    }

    /// Asserts that the next frames are the stops, and that nothing of the lost client follows them:
    /// the next command is that of another client.
    fn is_stopped(&mut self, bridge: &Bridge) {
        let stops: Vec<_> =
            (0..5).map(|_| self.next()).map(|frame| (frame.code, frame.selector())).collect();
        let halts = (1..=4).map(|axis| (Code::STAGE_HALT, axis));
        assert_eq!(stops, halts.chain([(Code::LASER_DISABLE_ALL, 0)]).collect::<Vec<_>>());
        let mut other = RawClient::to(bridge.control());
        let size = command(Code::CAMERA_IMAGE_SIZE_GET);
        other.send(&size);
        let asked = self.next();
        assert_eq!(asked.code, size.code);
        self.answer(&asked);
        assert_eq!(other.until_code(size.code).1.frame.status, 1, "the link was kept");
    }
}

fn settings(upstream: SocketAddr) -> BridgeSettings {
    let mut settings = BridgeSettings::new(upstream.to_string());
    settings.listen.control = SocketAddr::from(([127, 0, 0, 1], 0));
    settings.lease.enabled = true;
    settings.lease.dead_man = true;
    settings
}

/// A bridge, its instrument, and a client whose STAGE_HOME the instrument has received but not
/// answered, so that it holds the lease.
fn homing(tune: impl FnOnce(&mut BridgeSettings)) -> (Bridge, Instrument, RawClient) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let mut settings = settings(listener.local_addr().expect("an address"));
    tune(&mut settings);
    let bridge = smol::block_on(Bridge::start(&settings)).expect("free ports");
    let (link, _) = listener.accept().expect("the bridge comes");
    link.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let mut instrument = Instrument { link };
    let asked = instrument.next();
    instrument.answer(&asked.with_selector(Code::SYSTEM_STATE_IDLE.0 as i32));
    smol::block_on(bridge.until_connected());
    let mut client = RawClient::to(bridge.control());
    client.send(&home());
    assert_eq!(instrument.next().code, Code::STAGE_HOME);
    (bridge, instrument, client)
}

fn home() -> Frame {
    command(Code::STAGE_HOME).with_selector(1)
}

fn go() -> Frame {
    command(Code::STAGE_POSITION_SET).with_selector(2).with_value(1.0)
}

#[test]
fn the_fin_of_the_holder_stops_while_it_waits_for_an_answer() {
    let (bridge, mut instrument, client) = homing(|_| ());
    client.socket.shutdown(Shutdown::Write).expect("it is connected");
    instrument.is_stopped(&bridge);
}

#[test]
fn the_reset_of_the_holder_stops_while_it_waits_for_an_answer() {
    let (bridge, mut instrument, client) = homing(|_| ());
    SockRef::from(&client.socket).set_linger(Some(Duration::ZERO)).expect("a socket");
    drop(client);
    instrument.is_stopped(&bridge);
}

#[test]
fn what_comes_with_the_fin_of_the_holder_does_not_run() {
    // More than the bridge reads in a round, so that the end is noticed before the last command.
    let (bridge, mut instrument, mut client) =
        homing(|settings| settings.limits.commands_per_s = 2);
    let state = command(Code::SYSTEM_STATE_GET).encode();
    let bytes = [state.repeat(3), go().encode().to_vec()].concat();
    client.socket.write_all(&bytes).expect("it is connected");
    client.socket.shutdown(Shutdown::Write).expect("it is connected");
    // The bridge may read the first commands before it notices the end.
    let mut peeked = [0; 4 + 4];
    loop {
        assert_eq!(instrument.link.peek(&mut peeked).expect("a frame"), peeked.len());
        if peeked[4..] != Code::SYSTEM_STATE_GET.0.to_le_bytes() {
            break;
        }
        instrument.next();
    }
    instrument.is_stopped(&bridge);
}

#[test]
fn closing_the_holder_by_a_reload_stops() {
    let (bridge, mut instrument, mut client) = homing(|_| ());
    let mut settings = settings(instrument.link.local_addr().expect("an address"));
    let allowed = settings.access.allow.clone();
    settings.access.allow = vec!["10.0.0.0/8".parse().expect("a network")];
    smol::block_on(bridge.reload(&settings));
    assert!(client.until_end().is_empty());
    settings.access.allow = allowed;
    smol::block_on(bridge.reload(&settings));
    instrument.is_stopped(&bridge);
}

#[test]
fn closing_the_holder_for_its_noise_stops() {
    let (bridge, mut instrument, mut client) = homing(|_| ());
    client.socket.write_all(&[0xAA; 4096]).expect("it is connected");
    instrument.is_stopped(&bridge);
}

#[test]
fn the_stops_of_a_quiet_link_leave_at_once() {
    // The instrument is silent, so that nothing but the end of the client wakes the bridge. A stop
    // that stayed unwritten for 1 s would make the bridge give this link up.
    for _ in 0..20 {
        let (bridge, mut instrument, client) = homing(|_| ());
        let reader = spawn(move || {
            let stop = instrument.next();
            (instrument, stop)
        });
        drop(client);
        let (mut instrument, stop) = reader.join().expect("a stop");
        assert_eq!((stop.code, stop.selector()), (Code::STAGE_HALT, 1));
        instrument.answer(&stop);
        let rest: Vec<_> = (0..4).map(|_| instrument.next().code).collect();
        assert_eq!(rest.last(), Some(&Code::LASER_DISABLE_ALL));
        let status = smol::block_on(bridge.status()).expect("the bridge runs");
        assert_eq!((status.upstream.connected, status.upstream.reconnects), (true, 0));
        drop(bridge);
    }
}

#[test]
fn a_halt_before_a_reset_is_sent() {
    for _ in 0..20 {
        let (bridge, mut instrument, holder) = homing(|_| ());
        let mut client = RawClient::to(bridge.control());
        client.socket.write_all(&command(Code::STAGE_HALT).with_selector(1).encode()).unwrap();
        SockRef::from(&client.socket).set_linger(Some(Duration::ZERO)).expect("a socket");
        drop(client);
        assert_eq!(instrument.next().code, Code::STAGE_HALT);
        drop((holder, bridge));
    }
}
