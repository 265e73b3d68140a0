//! `flamingo bridge` as a program and a service: its first line, signals and status, and an instrument
//! that is killed and restarted.

#![allow(clippy::cast_possible_wrap)] // codes are small

use std::sync::mpsc::channel;
use std::time::Duration;

use crate::program::{Running, address, flamingo as run, start, start_with_unread_stderr};
use flamingo_protocol_core::{CommandCode, Frame};
use flamingo_runtime_std::Clock;
use flamingo_runtime_testkit::folder::Folder;
use flamingo_runtime_testkit::raw_client::{RawClient, query, workflow};
use serde_json::Value;

/// A simulated instrument, a bridge to it, and the ports of the bridge.
fn bridged(more: &[&str]) -> (Running, Running, Value) {
    let instrument = start(&["sim", "--port", "0", "--json"]);
    let upstream = address(&instrument.ports()["control"]);
    let arguments = ["bridge", "--upstream", &upstream, "--listen", "127.0.0.1:0"];
    let bridge = start(&[&arguments, more].concat());
    let ports = bridge.ports();
    bridge.expect_log("the instrument is connected");
    (instrument, bridge, ports)
}

#[test]
fn other_commands_work_through_the_bridge_and_sigterm_ends_it() {
    let (_instrument, bridge, ports) = bridged(&["--status", "127.0.0.1:0"]);
    for name in ["control", "live", "callback", "stack", "status"] {
        assert!(ports[name].as_u64().is_some_and(|port| port > 0), "{name} in {ports}");
    }
    let control = address(&ports["control"]);
    let state = run(&["get", "state", "--connect", &control, "--json"]).expect_done().object();
    assert_eq!(state["state"], "IDLE", "{state}");
    run(&["move", "x", "5.2", "--connect", &control]).expect_done();
    let status = address(&ports["status"]);
    let counted = run(&["bridge", "status", "--status", &status, "--json"]).expect_done().object();
    assert_eq!(counted["upstream"]["connected"], true, "{counted}");
    assert!(counted["gone"]["answers"].as_u64().is_some_and(|answers| answers >= 2), "{counted}");
    let table = run(&["bridge", "status", "--status", &status]);
    assert!(table.expect_done().stdout.contains("connected"), "{table:?}");
    bridge.signal("-TERM");
    assert_eq!(bridge.ended().code, Some(0));
}

#[test]
fn a_log_that_nobody_reads_delays_no_client() {
    let instrument = start(&["sim", "--port", "0", "--json"]);
    let upstream = address(&instrument.ports()["control"]);
    let arguments = ["bridge", "--upstream", &upstream, "--listen", "127.0.0.1:0"];
    let (bridge, _unread) = start_with_unread_stderr(&arguments);
    let ports = bridge.ports();
    // Each client is two lines of about 100 bytes. A pipe holds 64 KiB.
    for _ in 0..1000 {
        let mut client = client(&ports);
        client.send(&Frame::command(CommandCode::SYSTEM_STATE_GET));
        assert_eq!(client.next().frame.code, CommandCode::SYSTEM_STATE_GET);
    }
    bridge.signal("-TERM");
    assert_eq!(bridge.ended().code, Some(0));
}

/// A settings file that exists as long as this value.
struct File(std::path::PathBuf);

impl File {
    fn new(name: &str, text: &str) -> Self {
        let name = format!("flamingo-bridge-{name}-{}.toml", std::process::id());
        let file = std::env::temp_dir().join(name);
        std::fs::write(&file, text).expect("a file");
        Self(file)
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("a path")
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn a_rule_delivers_events_on_the_control_connection() {
    let file = File::new("inline", "[events]\ndefault = \"inline\"\n");
    let (_instrument, _bridge, ports) = bridged(&["--config", file.path()]);
    let control = address(&ports["control"]);
    run(&["move", "x", "5.2", "--wait", "--connect", &control]).expect_done();
}

#[test]
fn commands_that_need_events_work_with_every_preset() {
    let workflow = File::new("workflow", &workflow(3, "ZStack", 20.49));
    let workflow = workflow.path();
    // Side by side, since the commands wait for motions.
    std::thread::scope(|scope| {
        for preset in ["clean", "python-gui", "cpp-gui"] {
            scope.spawn(move || commands_that_need_events_work_with(preset, workflow));
        }
    });
}

fn commands_that_need_events_work_with(preset: &str, workflow: &str) {
    let (_instrument, _bridge, ports) = bridged(&["--preset", preset]);
    let control = address(&ports["control"]);
    let clock = Clock::start();
    let begin = clock.now();
    run(&["move", "x", "5.2", "--wait", "--connect", &control]).expect_done();
    let took = Duration::from(clock.now().since(begin));
    assert!(took < Duration::from_secs(5), "{preset}: {took:?}");
    let watch = ["watch", "--code", "STAGE_POSITION_GET", "--count", "2", "--for", "20s"];
    let watch = start(&[&watch[..], &["--connect", &control, "--json"]].concat());
    run(&["move", "x", "6.2", "--connect", &control]).expect_done();
    let seen = watch.ended();
    assert_eq!((seen.code, seen.objects().len()), (Some(0), 2), "{preset}: {seen:?}");
    let ran = run(&["workflow", "run", workflow, "--connect", &control]);
    assert_eq!(ran.code, Some(0), "{preset}: {ran:?}");
}

#[test]
fn lights_are_acknowledged_through_the_bridge_at_once() {
    let (_instrument, _bridge, ports) = bridged(&[]);
    let (mut client, clock) = (client(&ports), Clock::start());
    for code in [0x4001, 0x4002, 0x4003, 0x7004, 0x7005, 0x7006, 0x7007] {
        let command = Frame::command(CommandCode(code));
        let begin = clock.now();
        client.send(&command);
        let echo = client.next().frame;
        assert_eq!((echo.code, echo.int32_data), (command.code, command.int32_data), "{echo}");
        let took = Duration::from(clock.now().since(begin));
        assert!(took < Duration::from_secs(1), "{echo}: {took:?}");
    }
}

#[test]
fn without_an_instrument_the_state_is_disconnected() {
    // A port that nobody listens on.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let upstream = listener.local_addr().expect("an address").to_string();
    drop(listener);
    let file = File::new("refusal", "[upstream]\nwhen_lost = \"refusal\"\n");
    let more = ["--config", file.path(), "--upstream", &upstream, "--listen", "127.0.0.1:0"];
    let bridge = start(&[&["bridge"], &more[..]].concat());
    let ports = bridge.ports();
    let state = Frame::command(CommandCode::SYSTEM_STATE_GET);
    let mut client = client(&ports);
    client.send(&state);
    let answer = client.next().frame;
    let disconnected = CommandCode::SYSTEM_STATE_DISCONNECTED.0 as i32;
    assert_eq!((answer.status, answer.selector()), (1, disconnected), "{answer}");
    let answer = ask(&mut client);
    let text = "refused: the instrument is not connected";
    assert_eq!((answer.status, answer.text()), (0, Ok(text)));
    assert!(answer.value.is_nan(), "{answer}");
    bridge.interrupt();
    assert_eq!(bridge.ended().code, Some(0));
}

fn client(ports: &Value) -> RawClient {
    RawClient::to(address(&ports["control"]).parse().expect("an address"))
}

/// Sends a query. The next frame must be its answer.
fn ask(client: &mut RawClient) -> Frame {
    client.send(&query(1));
    let answer = client.next().frame;
    assert_eq!((answer.code, answer.selector()), (query(1).code, 1), "{answer}");
    answer
}

#[test]
fn clients_continue_within_5_s_of_an_instrument_restart() {
    let busy = concat!(env!("CARGO_MANIFEST_DIR"), "/../simulator/scenarios/busy.toml");
    let instrument = start(&["sim", "--port", "0", "--scenario", busy, "--json"]);
    let port = instrument.ports()["control"].to_string();
    let upstream = format!("127.0.0.1:{port}");
    let file = File::new("restart", "[upstream]\nwhen_lost = \"refusal\"\n");
    let more = ["--config", file.path(), "--upstream", &upstream, "--listen", "127.0.0.1:0"];
    let bridge = start(&[&["bridge"], &more[..]].concat());
    let ports = bridge.ports();
    bridge.expect_log("the instrument is connected");
    let mut client = client(&ports);
    assert_eq!(ask(&mut client).status, 1);
    drop(instrument); // kill -9, while it sends hundreds of frames a second
    bridge.expect_log("is lost");
    assert_eq!(ask(&mut client).status, 0);
    let again = start(&["sim", "--port", &port, "--scenario", busy, "--json"]);
    again.line();
    // 5 s, in steps.
    let (_open, never) = channel::<()>();
    let answered = (0..100).any(|_| {
        let _ = never.recv_timeout(Duration::from_millis(50));
        ask(&mut client).status == 1
    });
    assert!(answered, "over the same connection as before");
}

#[test]
fn sighup_applies_the_access_list_unless_the_file_has_errors() {
    let name = format!("flamingo-bridge-{}.toml", std::process::id());
    let file = std::env::temp_dir().join(name);
    let path = file.to_str().expect("a path").to_owned();
    std::fs::write(&file, "").expect("a file");
    let (_instrument, bridge, ports) = bridged(&["--config", &path]);
    let mut client = client(&ports);
    assert_eq!(ask(&mut client).status, 1);
    std::fs::write(&file, "[access]\nallow = [").expect("a file");
    bridge.signal("-HUP");
    bridge.expect_log("settings are unchanged");
    assert_eq!(ask(&mut client).status, 1);
    std::fs::write(&file, "[access]\nallow = [\"::1\"]\n").expect("a file");
    bridge.signal("-HUP");
    bridge.expect_log("were read again");
    assert!(client.until_end().is_empty(), "it may no longer be connected");
    bridge.signal("-TERM");
    assert_eq!(bridge.ended().code, Some(0));
    std::fs::remove_file(&file).expect("it was there");
}

#[test]
fn invalid_settings_are_refused_before_it_listens() {
    run(&["bridge"]).expect_error(2, &["upstream"]);
    run(&["bridge", "--upstream", "10.0.0.5:53717", "--callback-port", "x"])
        .expect_error(2, &["off"]);
    let own = ["bridge", "--upstream", "127.0.0.1:53717", "--listen", "127.0.0.1:53717"];
    run(&own).expect_error(2, &["listen.control"]);
    run(&["bridge", "--config", "/nowhere.toml"]).expect_error(2, &["/nowhere.toml"]);
}

#[test]
fn a_refusal_names_the_bridge_and_the_role() {
    let folder = Folder::new("role_of_a_client");
    let settings = folder.file("bridge.toml", "[access]\ndefault_role = \"read-only\"\n");
    let (_instrument, _bridge, ports) = bridged(&["--config", &settings]);
    let control = address(&ports["control"]);
    run(&["get", "position", "--connect", &control]).expect_done();
    for command in [
        &["move", "x", "8"][..],
        &["set", "exposure", "12ms"],
        &["send", "STAGE_HOME", "--data0", "1"],
    ] {
        let ended = run(&[command, &["--connect", &control]].concat());
        ended.expect_error(5, &["the bridge refused", "the role of this client is read-only"]);
    }
}
