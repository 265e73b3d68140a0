//! `flamingo doctor`: names the cause in its last line, and moves nothing.

use flamingo_runtime_testkit::raw_client;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::spawn;

use crate::program::{Ended, flamingo};
use flamingo_protocol_core::{CommandCode, Frame, wire::Kind};
use flamingo_simulator::Simulator;
use serde_json::Value;

pub(crate) fn doctor(address: &str, arguments: &[&str]) -> Ended {
    let common = ["doctor", "--connect", address, "--timeout", "500ms", "--listen", "400ms"];
    flamingo(&[&common[..], arguments].concat())
}

fn simulator(scenario: &str) -> (Simulator, String) {
    let simulator = raw_client::simulator(scenario);
    let address = simulator.control().to_string();
    (simulator, address)
}

/// Checks the exit code, the words in the last line, and that stderr is empty.
#[track_caller]
pub(crate) fn expect_cause(ended: &Ended, code: i32, words: &[&str]) {
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(code), ""), "{ended:?}");
    let last = ended.stdout.lines().last().unwrap();
    assert!(last.starts_with("=> "), "{ended:?}");
    for word in words {
        assert!(last.contains(word), "{word:?} in {last:?}");
    }
}

/// A server on a port of its own that runs `serve` for each connection.
pub(crate) fn server(serve: fn(TcpStream)) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            spawn(move || serve(stream));
        }
    });
    address
}

#[test]
fn a_healthy_instrument_passes_and_gets_only_queries() {
    let (simulator, address) = simulator("");
    let ended = doctor(&address, &[]);
    expect_cause(&ended, 0, &["healthy"]);
    let lines: Vec<_> = ended.stdout.lines().collect();
    let (verdict, findings) = lines.split_last().unwrap();
    assert_eq!(*verdict, "=> healthy");
    assert!(findings.iter().all(|line| line.starts_with('✓')), "{ended:?}");
    assert!(findings.len() >= 9, "{ended:?}");
    for record in simulator.truth().received() {
        let kind = record.frame.code.row().map(|row| row.kind);
        assert_eq!(kind, Some(Kind::Query), "{}", record.frame);
    }
    let objects = doctor(&address, &["--json"]).objects();
    assert!(objects.iter().all(|object| object.get("outcome").is_none_or(|o| o == "ok")));
    assert_eq!(objects.last().unwrap()["healthy"], true);
}

#[test]
fn missing_echoes_are_warnings() {
    let tokens = "[tokens]\necho_client_id = false\necho_int32_data2 = false\n";
    let (_simulator, address) = simulator(tokens);
    let ended = doctor(&address, &[]);
    expect_cause(&ended, 0, &["healthy, but", "comes back", "cannot carry tokens"]);
    let warned: Vec<_> = ended.stdout.lines().filter(|line| line.starts_with('!')).collect();
    assert!(warned.len() == 2 && warned[0].contains("clientID"), "{warned:?}");
}

#[test]
fn settings_with_the_other_code_are_a_warning() {
    let (_simulator, address) = simulator("[settings]\nanswer_under_1007 = true\n");
    expect_cause(&doctor(&address, &[]), 0, &["healthy, but", "0x1007", "presumed"]);
}

#[test]
fn the_push_interval_and_other_clients_are_reported() {
    let (_simulator, address) = simulator("[stage]\ncontinuous_axes = [\"x\"]\n");
    let ended = doctor(&address, &["--json"]).objects();
    let clock = ended.iter().find(|object| object["check"] == "clock of pushes").unwrap();
    assert!(clock["evidence"].as_str().unwrap().contains("a position every 2"), "{clock}");
    let (_simulator, address) = simulator("");
    let mut other = raw_client::socket(address.parse().unwrap());
    let done = Arc::new(AtomicBool::new(false));
    let over = Arc::clone(&done);
    let busy = spawn(move || {
        let exposure = Frame::command(CommandCode::CAMERA_EXPOSURE_SET).with_selector(100);
        let mut answer = [0; 128];
        while !over.load(Ordering::Relaxed) {
            other.write_all(&exposure.encode()).unwrap();
            other.read_exact(&mut answer).unwrap();
        }
    });
    let told = doctor(&address, &["--json"]).objects();
    done.store(true, Ordering::Relaxed);
    busy.join().unwrap();
    let others = told.iter().find(|object| object["check"] == "other clients").unwrap();
    assert!(others["evidence"].as_str().unwrap().contains("CAMERA_EXPOSURE_SET"), "{others}");
}

#[test]
fn the_header_of_a_live_image_is_checked() {
    let (_simulator, address) = simulator("[images]\nframes_per_s = 100\n");
    flamingo(&["send", "CAMERA_LIVE_VIEW_START", "--connect", &address]).expect_done();
    let ended = doctor(&address, &[]);
    expect_cause(&ended, 0, &["healthy"]);
    assert!(ended.stdout.contains("an image of 512 x 512 pixels"), "{ended:?}");
    let (_broken, address) =
        simulator("[images]\nframes_per_s = 100\n[faults.image_headers]\nevery_n = 1\n");
    flamingo(&["send", "CAMERA_LIVE_VIEW_START", "--connect", &address]).expect_done();
    expect_cause(&doctor(&address, &[]), 0, &["imageSize", "is it the live port?"]);
}

#[test]
fn an_http_server_is_named_as_another_program() {
    let address = server(|mut stream| {
        let mut request = [0; 512];
        let _ = stream.read(&mut request);
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nServer: x\r\n\r\n");
    });
    expect_cause(&doctor(&address, &[]), 6, &["HTTP/1.1", "another program"]);
}

#[test]
fn a_port_without_listener_is_named() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap().to_string();
    drop(free);
    expect_cause(&doctor(&address, &[]), 3, &[&address, "does not accept", "firewall"]);
    let json: Value = doctor(&address, &["--json"]).objects().pop().unwrap();
    assert_eq!(json["healthy"], false);
}

#[test]
fn a_silent_server_is_named() {
    let address = server(|mut stream| {
        let mut bytes = [0; 512];
        while stream.read(&mut bytes).is_ok_and(|count| count > 0) {}
    });
    expect_cause(&doctor(&address, &[]), 4, &["accepts, but sends nothing", "hangs"]);
}

#[test]
fn a_server_that_closes_at_once_is_named() {
    let address = server(drop);
    expect_cause(&doctor(&address, &[]), 7, &["closes at once", "maximum of 3 clients"]);
}

#[test]
fn a_server_that_floods_and_answers_nothing_is_named() {
    let address = server(|mut stream| {
        let mut frame = Frame::new(CommandCode::UI_SET_GAUGE_VALUE);
        frame.status = 1;
        while stream.write_all(&frame.encode().repeat(64)).is_ok() {}
    });
    expect_cause(&doctor(&address, &[]), 4, &["frames/s unrequested", "floods"]);
}

#[test]
fn an_instrument_that_floods_but_answers_is_healthy() {
    let (_simulator, address) = simulator("[background]\nframes_per_s = 4000\n");
    expect_cause(&doctor(&address, &[]), 0, &["healthy"]);
}
