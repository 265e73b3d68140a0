//! Clients that send valid frames as fast as they can, beside clients that behave.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread::{JoinHandle, spawn};
use std::time::Duration;

use crate::harness::{bridge, status};
use flamingo_bridge::settings::Role;
use flamingo_protocol_core::{CommandCode as Code, Frame};
use flamingo_runtime_std::Clock;
use flamingo_runtime_testkit::raw_client::{PROMPT, RawClient, command, query, simulator, socket};

/// The floods leave the answers of a second to the others in this time. A bridge that serves one client
/// after the other needs minutes.
const GUARD: Duration = Duration::from_secs(20);

struct Flood {
    socket: TcpStream,
    threads: [JoinHandle<()>; 2],
}

impl Flood {
    /// Sends this frame and reads the answers, both without a pause.
    fn start(address: SocketAddr, frame: &Frame) -> Self {
        let socket = socket(address);
        let [mut reads, mut writes] = [(); 2].map(|()| socket.try_clone().expect("a socket"));
        let frames = frame.encode().repeat(512);
        let reader = spawn(move || {
            let mut buffer = vec![0; 65_536];
            while reads.read(&mut buffer).is_ok_and(|count| count > 0) {}
        });
        let writer = spawn(move || while writes.write_all(&frames).is_ok() {});
        Self { socket, threads: [reader, writer] }
    }

    fn stop(self) {
        self.socket.shutdown(Shutdown::Both).expect("the bridge has kept it");
        self.threads.into_iter().for_each(|thread| thread.join().expect("a thread"));
    }
}

#[test]
fn a_client_is_served_while_many_others_flood() {
    let instrument = simulator(PROMPT);
    let bridge = bridge(instrument.control(), |settings| {
        settings.limits.commands_per_s = 2000;
    });
    let refused = command(Code::STAGE_POSITION_SET).with_selector(9);
    let frames = [query(1), command(Code::SYSTEM_STATE_GET), query(9), refused];
    let floods: Vec<_> =
        frames.iter().cycle().take(40).map(|frame| Flood::start(bridge.control(), frame)).collect();
    let [mut asks, mut halts] = [(); 2].map(|()| RawClient::to(bridge.control()));
    let (clock, halt) = (Clock::start(), command(Code::STAGE_HALT).with_selector(3));
    let begin = clock.now();
    for number in 0..100 {
        let asked = Frame { client_id: number, ..query(2) };
        let answer = asks.ask(&asked).frame;
        assert_eq!((answer.code, answer.client_id, answer.status), (asked.code, number, 1));
        assert_eq!(halts.ask(&halt).frame.status, 1);
        let took = Duration::from(clock.now().since(begin));
        assert!(took < GUARD, "{number} answers in {took:?}");
    }
    floods.into_iter().for_each(Flood::stop);
    smol::block_on(bridge.stop());
    smol::block_on(instrument.stop());
}

#[test]
fn a_client_above_its_rate_waits_and_loses_nothing() {
    let instrument = simulator(PROMPT);
    let bridge = bridge(instrument.control(), |settings| {
        settings.limits.commands_per_s = 100;
        settings.limits.queue_frames = 1000;
    });
    let mut fast = RawClient::to(bridge.control());
    let numbers = 0..150;
    for number in numbers.clone() {
        fast.send(&Frame { client_id: number, ..query(1) });
    }
    // It is read to its end, although it is above its rate when that comes.
    fast.socket.shutdown(Shutdown::Write).expect("it is connected");
    let answers: Vec<_> = fast.until_end().iter().map(|got| got.frame).collect();
    let got: Vec<_> = answers.iter().map(|answer| (answer.client_id, answer.status)).collect();
    assert_eq!(got, numbers.map(|number| (number, 1)).collect::<Vec<_>>());
    assert_eq!(status(&bridge).gone.refused, 0);
    smol::block_on(bridge.stop());
    smol::block_on(instrument.stop());
}

#[test]
fn a_halt_is_accepted_when_all_slots_are_taken() {
    let instrument = simulator(PROMPT);
    let bridge = bridge(instrument.control(), |settings| {
        settings.limits.clients = 3;
        settings.limits.stop_slots = 2;
        settings.access.default_role = Some(Role::Control);
    });
    let mut mute: Vec<_> = (0..3).map(|_| socket(bridge.control())).collect();
    let halt = command(Code::STAGE_HALT).with_selector(1);
    for _ in 0..20 {
        // More clients than there are reserved slots come and stay.
        mute.push(socket(bridge.control()));
        let mut client = RawClient::to(bridge.control());
        assert_eq!(client.ask(&halt).frame.status, 1);
        let refused = client.ask(&query(1)).frame;
        assert!(refused.text().is_ok_and(|text| text.contains("only stops pass")), "{refused}");
        assert!(client.until_end().is_empty());
    }
    let connected = status(&bridge).clients;
    assert!(connected.len() <= 5, "{connected:#?}");
    assert_eq!(connected.iter().filter(|client| !client.stops_only).count(), 3);
    let ended = mute[3].read(&mut [0]).map_err(|error| error.kind());
    assert!(matches!(ended, Ok(0) | Err(ErrorKind::ConnectionReset)), "{ended:?}");
    smol::block_on(bridge.stop());
    smol::block_on(instrument.stop());
}
