//! Additional control ports: each program is treated as its port says, although all of them run at one
//! address.

use std::io::{ErrorKind, Read};

use flamingo_bridge::{Bridge, BridgeSettings};
use flamingo_protocol_core::{CommandCode, Frame};
use flamingo_runtime_testkit::raw_client::{RawClient, simulator};
use flamingo_simulator::Simulator;

const BUSY: &str = "[background]\nframes_per_s = 200\n";
const PORTS: &str = r#"
    [listen]
    control = "127.0.0.1:0"
    [listen.more.gui]
    address = "127.0.0.1:0"
    delivery = "inline"
    [listen.more.guests]
    address = "127.0.0.1:0"
    role = "read-only"
"#;

fn settings(text: &str, instrument: &Simulator) -> BridgeSettings {
    let mut settings = BridgeSettings::from_toml(text).expect("settings");
    settings.upstream.address = instrument.control().to_string();
    settings
}

fn bridge(instrument: &Simulator) -> Bridge {
    crate::harness::bridge(instrument.control(), |all| *all = settings(PORTS, instrument))
}

/// Sends a command and returns the next frame, whatever it is.
fn ask(client: &mut RawClient, command: &Frame) -> Frame {
    client.send(command);
    client.next().frame
}

#[test]
fn each_port_decides_where_its_clients_receive_events() {
    let instrument = simulator(BUSY);
    let bridge = bridge(&instrument);
    let mut gui = RawClient::to(bridge.named_ports()["gui"]);
    let mut script = RawClient::to(bridge.control());
    let size = Frame::command(CommandCode::CAMERA_IMAGE_SIZE_GET);
    // The first answer proves that the script is connected. Then the GUI receives 20 unsolicited frames.
    assert_eq!(ask(&mut script, &size).code, size.code);
    for _ in 0..20 {
        assert_ne!(gui.next().frame.code, size.code);
    }
    assert_eq!(ask(&mut script, &size).code, size.code);
    script.socket.set_nonblocking(true).expect("a socket");
    let more = script.socket.read(&mut [0; 1]).map_err(|error| error.kind());
    assert_eq!(more, Err(ErrorKind::WouldBlock), "the script receives nothing but its answers");
    smol::block_on(bridge.stop());
    smol::block_on(instrument.stop());
}

#[test]
fn a_read_only_port_refuses_moves_also_from_this_machine() {
    let instrument = simulator(BUSY);
    let bridge = bridge(&instrument);
    let mut guest = RawClient::to(bridge.named_ports()["guests"]);
    let mut to = Frame::command(CommandCode::STAGE_POSITION_SET).with_selector(1);
    to.value = 5.0;
    let refused = ask(&mut guest, &to);
    assert_eq!((refused.code, refused.status), (to.code, 0), "{refused}");
    assert_eq!(ask(&mut guest, &Frame::command(CommandCode::SYSTEM_STATE_GET)).status, 1);
    assert!(instrument.truth().received().iter().all(|record| record.frame.code != to.code));
    smol::block_on(bridge.stop());
    smol::block_on(instrument.stop());
}

#[test]
fn a_reload_without_a_port_closes_only_its_clients() {
    let instrument = simulator(BUSY);
    let bridge = bridge(&instrument);
    let size = Frame::command(CommandCode::CAMERA_IMAGE_SIZE_GET);
    let mut guest = RawClient::to(bridge.named_ports()["guests"]);
    let mut script = RawClient::to(bridge.control());
    assert_eq!(ask(&mut guest, &size).code, size.code);
    assert_eq!(ask(&mut script, &size).code, size.code);
    let without = PORTS.split("[listen.more.guests]").next().expect("the part before");
    smol::block_on(bridge.reload(&settings(without, &instrument)));
    assert!(guest.until_end().is_empty());
    assert!(RawClient::to(bridge.named_ports()["guests"]).until_end().is_empty());
    assert_eq!(ask(&mut script, &size).code, size.code);
    smol::block_on(bridge.stop());
    smol::block_on(instrument.stop());
}
