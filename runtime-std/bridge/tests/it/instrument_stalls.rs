//! An instrument that begins a payload and does not go on: the bridge connects again.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::spawn;
use std::time::Duration;

use flamingo_protocol_core::{CommandCode as Code, Frame};

use crate::harness::{bridge, status};
use flamingo_runtime_testkit::raw_client::{RawClient, query};

/// A test that waits longer has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// The next connection of the bridge.
fn accept(listener: &TcpListener) -> TcpStream {
    let (bridge, _) = listener.accept().expect("the bridge connects");
    bridge.set_read_timeout(Some(PATIENCE)).expect("a socket");
    bridge
}

/// Answers commands until `ends` returns true for one, or the connection ends.
fn answer_until(bridge: &mut TcpStream, ends: impl Fn(&Frame) -> bool) {
    let mut bytes = [0; 128];
    while bridge.read_exact(&mut bytes).is_ok() {
        let mut frame = Frame::decode(&bytes).expect("whole frames");
        if ends(&frame) {
            return;
        }
        frame.status = 1;
        if frame.code == Code::SYSTEM_STATE_GET {
            frame.int32_data[0] = Code::SYSTEM_STATE_IDLE.0 as i32;
        }
        bridge.write_all(&frame.encode()).expect("the connection is open");
    }
}

#[test]
fn a_payload_that_stalls_makes_the_bridge_connect_again() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let upstream = listener.local_addr().expect("an address");
    let instrument = spawn(move || {
        let mut stalled = accept(&listener);
        answer_until(&mut stalled, |frame| frame.code == Code::STAGE_POSITION_GET);
        let begun = Frame::new(Code::COMMON_SCOPE_SETTINGS_LOAD).with_payload_len(1 << 20);
        stalled.write_all(&begun.encode()).expect("the connection is open");
        stalled.write_all(&[7; 1000]).expect("the connection is open");
        let mut next = accept(&listener);
        answer_until(&mut next, |_| false);
        drop(stalled);
    });
    let bridge = bridge(upstream, |settings| {
        settings.upstream.request_timeout_ms = 200;
        settings.upstream.reconnect_min_ms = 1;
    });
    // Its answer would come behind the payload.
    RawClient::to(bridge.control()).send(&query(1));
    let mut client = RawClient::to(bridge.control());
    while status(&bridge).upstream.reconnects == 0 {
        std::thread::yield_now();
    }
    smol::block_on(bridge.until_connected());
    assert_eq!(client.ask(&query(2)).frame.status, 1);
    drop(bridge);
    instrument.join().expect("the instrument");
}
