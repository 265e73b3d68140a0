//! Additional control ports: each program is treated as its port says, although all of them run at one
//! address.

use std::io::{ErrorKind, Read};
use std::net::SocketAddr;

use flamingo_bridge::{Bridge, BridgeSettings};
use flamingo_protocol_core::{CommandCode, Frame};
use flamingo_runtime_testkit::raw_client::{RawClient, image, simulator, socket};
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
fn a_client_of_a_named_port_finds_its_images_next_to_it() {
    let instrument = simulator("[images]\nwidth = 64\nheight = 64\n");
    let bridge = bridge(&instrument);
    let all = bridge.named_rows().values().map(|row| row.control).chain([bridge.control()]);
    for control in all.collect::<Vec<_>>() {
        let next = |steps| SocketAddr::new(control.ip(), control.port() + steps);
        let mut viewer = socket(next(1));
        let mut client = RawClient::to(bridge.control());
        let start = Frame::command(CommandCode::CAMERA_LIVE_VIEW_START);
        client.ask(&start);
        assert_eq!(image(&mut viewer).header.width, 64);
        client.ask(&Frame::command(CommandCode::CAMERA_LIVE_VIEW_STOP));
        // Stack images and unsolicited messages have their ports, too.
        let (stack, mut events) = (socket(next(2)), RawClient::to(next(3)));
        crate::harness::until(&bridge, |status| status.callback.subscribers == 1);
        client.ask(&start);
        let live = CommandCode::SYSTEM_STATE_LIVE_VIEW;
        assert_eq!(events.until_code(live).1.frame.code, live);
        client.ask(&Frame::command(CommandCode::CAMERA_LIVE_VIEW_STOP));
        drop((stack, events));
        crate::harness::until(&bridge, |status| status.callback.subscribers == 0);
    }
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
