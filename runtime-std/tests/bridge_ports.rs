//! Control ports with names: programs at one address that are treated differently, each as the
//! port says where it came in.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use flamingo_protocol_core::{CommandCode, Frame};
use flamingo_runtime_std::bridge::{Bridge, settings::Settings};
use flamingo_runtime_std::simulator::{Scenario, Simulator, SimulatorOptions};

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

fn instrument() -> Simulator {
    let scenario = Scenario::from_toml("[background]\nframes_per_s = 200\n").expect("a scenario");
    let options = SimulatorOptions { scenario, ..SimulatorOptions::default() };
    smol::block_on(Simulator::start(options)).expect("free ports")
}

fn settings(text: &str, instrument: &Simulator) -> Settings {
    let mut settings = Settings::from_toml(text).expect("settings");
    settings.upstream.address = instrument.control().to_string();
    settings
}

fn bridge(settings: &Settings) -> Bridge {
    smol::block_on(async {
        let bridge = Bridge::start(settings).await.expect("free ports");
        bridge.until_connected().await;
        bridge
    })
}

fn connect(address: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(address).expect("it listens");
    socket.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket");
    socket
}

fn read(socket: &mut TcpStream) -> Frame {
    let mut bytes = [0; 128];
    socket.read_exact(&mut bytes).expect("a frame");
    let frame = Frame::decode(&bytes).expect("a frame");
    let payload = usize::try_from(frame.payload_len).expect("a length");
    socket.read_exact(&mut vec![0; payload]).expect("its payload");
    frame
}

fn ask(socket: &mut TcpStream, command: &Frame) -> Frame {
    socket.write_all(&command.encode()).expect("it is open");
    read(socket)
}

#[test]
fn two_programs_at_one_address_get_unsolicited_messages_each_as_its_port_says() {
    let instrument = instrument();
    let bridge = bridge(&settings(PORTS, &instrument));
    let mut gui = connect(bridge.more()["gui"]);
    let mut script = connect(bridge.control());
    let size = Frame::command(CommandCode::CAMERA_IMAGE_SIZE_GET);
    // The first answer says that the script is inside; then the GUI gets 20 frames unasked.
    assert_eq!(ask(&mut script, &size).code, size.code);
    for _ in 0..20 {
        assert_ne!(read(&mut gui).code, size.code);
    }
    assert_eq!(ask(&mut script, &size).code, size.code);
    script.set_nonblocking(true).expect("a socket");
    let more = script.read(&mut [0; 1]).map_err(|error| error.kind());
    assert_eq!(more, Err(ErrorKind::WouldBlock), "nothing but the answers");
    smol::block_on(bridge.stop());
    smol::block_on(instrument.stop());
}

#[test]
fn at_a_read_only_port_even_this_machine_may_only_ask() {
    let instrument = instrument();
    let bridge = bridge(&settings(PORTS, &instrument));
    let mut guest = connect(bridge.more()["guests"]);
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
fn a_port_that_the_settings_have_no_more_lets_its_clients_go_and_the_others_stay() {
    let instrument = instrument();
    let bridge = bridge(&settings(PORTS, &instrument));
    let size = Frame::command(CommandCode::CAMERA_IMAGE_SIZE_GET);
    let mut guest = connect(bridge.more()["guests"]);
    let mut script = connect(bridge.control());
    assert_eq!(ask(&mut guest, &size).code, size.code);
    assert_eq!(ask(&mut script, &size).code, size.code);
    let without = PORTS.split("[listen.more.guests]").next().expect("the part before");
    smol::block_on(bridge.reload(&settings(without, &instrument)));
    assert_eq!(guest.read(&mut [0; 1]).ok(), Some(0));
    assert_eq!(connect(bridge.more()["guests"]).read(&mut [0; 1]).ok(), Some(0));
    assert_eq!(ask(&mut script, &size).code, size.code);
    smol::block_on(bridge.stop());
    smol::block_on(instrument.stop());
}
