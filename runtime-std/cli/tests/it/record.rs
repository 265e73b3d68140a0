//! `flamingo record`, `replay`, `decode` of recordings, and recording by the bridge. Captures that tests write
//! are in `made_captures.rs`.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::Path;

use crate::made_captures::conversation;
use crate::program::{Running, address, flamingo, flamingo_fed, start, start_on_a_full_disk};
use flamingo_protocol_core::{CommandCode, Frame};
use flamingo_runtime_testkit::folder::Folder;
use flamingo_runtime_testkit::raw_client::{self, RawClient};
use serde_json::Value;

/// A simulated instrument, a recorder in front of it, and the address for clients.
fn recorded(file: &str, more: &[&str]) -> (Running, Running, String) {
    recorded_by(start, file, more)
}

fn recorded_by(
    start_it: fn(&[&str]) -> Running,
    file: &str,
    more: &[&str],
) -> (Running, Running, String) {
    let instrument = start(&["sim", "--port", "0", "--json"]);
    let control = address(&instrument.ports()["control"]);
    let arguments = ["record", "--out", file, "--listen", "0", "--connect", &control, "--json"];
    let recorder = start_it(&[&arguments, more].concat());
    let connect = address(&recorder.ports()["control"]);
    (instrument, recorder, connect)
}

pub(crate) fn decoded(file: &str) -> Vec<Value> {
    flamingo(&["decode", "--json", file]).expect_done().objects()
}

#[test]
fn a_recorded_session_is_decoded_as_a_conversation() {
    let folder = Folder::new("session");
    let file = folder.path("run.pcapng");
    let (_instrument, recorder, connect) = recorded(&file, &[]);
    flamingo(&["move", "x", "7.4", "--wait", "--connect", &connect]).expect_done();
    flamingo(&["live", "--count", "2", "--connect", &connect]).expect_done();
    recorder.interrupt();
    let ended = recorder.ended();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let summary: Value = serde_json::from_str(ended.stdout.trim()).unwrap();
    assert_eq!((&summary["lost_bytes"], &summary["stopped"]), (&0.into(), &Value::Null));

    let rows = decoded(&file);
    let of = |kind: &str| rows.iter().filter(|row| row["kind"] == kind).collect::<Vec<_>>();
    let moved =
        of("answered").into_iter().find(|row| row["request"]["name"] == "STAGE_POSITION_SET");
    let moved = moved.expect("the move");
    assert_eq!(moved["answer"]["class"], "solicited");
    assert_eq!(moved["answer"]["proven"], true);
    assert!(moved["answer"]["elapsed_ms"].as_f64().is_some_and(|ms| ms > 0.0), "{moved}");
    let pushed = of("unsolicited");
    assert!(pushed.iter().any(|row| row["frame"]["name"] == "STAGE_MOTION_STOPPED"));
    let images = of("image");
    assert!(images.len() >= 2 && images[0]["image"]["crc32"].is_string(), "{images:?}");
    assert_eq!(images[0]["image"]["pixels_recorded"], false);

    let text = flamingo(&["decode", &file]);
    let text = &text.expect_done().stdout;
    for words in [
        "== control: 127.0.0.1:",
        "  -> STAGE_POSITION_SET axis x 7.4 mm",
        "[unsolicited]",
        "pixels not recorded",
    ] {
        assert!(text.contains(words), "{words:?} in {text}");
    }
    let piped = flamingo_fed(&["decode", "--json", "-"], std::fs::read(&file).unwrap());
    assert_eq!(piped.expect_done().objects(), rows);
    let summed = flamingo(&["decode", "--summary", "--json", &file]).expect_done().objects();
    let set = summed.iter().find(|row| row["name"] == "STAGE_POSITION_SET").unwrap();
    let figures = ["commands", "answered", "unanswered", "late"].map(|key| set[key].as_u64());
    assert_eq!(figures, [Some(1), Some(1), Some(0), Some(0)]);
    assert_eq!(set["p50_ms"], set["p99_ms"]);
    assert_eq!(summed.last().unwrap()["summary"], true);
}

#[test]
fn a_connection_that_the_recorder_ends_is_not_reset_by_a_side() {
    let folder = Folder::new("ended");
    let file = folder.path("run.pcapng");
    let (_instrument, recorder, connect) = recorded(&file, &[]);
    let connect: SocketAddr = connect.parse().unwrap();
    let mut client = RawClient::to(connect);
    client.ask(&raw_client::query(1));
    let mut page = raw_client::socket(connect);
    page.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    // An error means that it is disconnected, too.
    let _ = page.read(&mut [0]);
    recorder.interrupt();
    assert_eq!(recorder.ended().code, Some(0));
    let rows = decoded(&file);
    let ends: Vec<_> = rows.iter().filter(|row| row["kind"] == "reset").collect();
    assert_eq!(ends.len(), 2, "{rows:?}");
    assert!(ends.iter().all(|row| row["by_recorder"] == true), "{ends:?}");
    let text = flamingo(&["decode", &file]);
    let text = &text.expect_done().stdout;
    for words in ["== refused: ", "== ended by the program that records"] {
        assert_eq!(text.matches(words).count(), 1, "{words:?} in {text}");
    }
    assert!(!text.contains("reset by"), "{text}");

    // The instrument has not ended the connection, and neither does the replay.
    let replay = start(&["replay", &file, "--port", "0", "--speed", "max", "--json"]);
    let mut client = RawClient::to(address(&replay.ports()["control"]).parse().unwrap());
    for _ in 0..2 {
        client.ask(&raw_client::query(1));
    }
}

#[test]
fn record_refuses_existing_files_and_the_instruments_own_port() {
    let folder = Folder::new("refused");
    let file = folder.file("there.pcapng", "precious");
    let refused = flamingo(&["record", "--out", &file, "--listen", "0"]);
    refused.expect_error(2, &["there.pcapng", "--overwrite"]);
    assert_eq!(std::fs::read(&file).unwrap(), b"precious");
    let other = folder.path("other.pcapng");
    let itself = ["record", "--out", &other, "--listen", "53717", "--connect", "127.0.0.1:53717"];
    flamingo(&itself).expect_error(2, &["127.0.0.1:53717", "--listen"]);
    assert!(!Path::new(&other).exists(), "nothing was begun");
    let nowhere = folder.path("no/such/folder.pcapng");
    flamingo(&["record", "--out", &nowhere, "--listen", "0"]).expect_error(2, &["cannot write"]);
    flamingo(&["record", "--out", &other, "--listen", "x"]).expect_error(2, &["ADDR:PORT"]);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().port().to_string();
    let in_vain = ["record", "--out", &file, "--listen", &taken, "--overwrite"];
    flamingo(&in_vain).expect_error(2, &["cannot listen"]);
    assert_eq!(std::fs::read(&file).unwrap(), b"precious", "it listens before it writes");
    let (_instrument, recorder, connect) = recorded(&file, &["--overwrite", "--for", "1s"]);
    flamingo(&["get", "state", "--connect", &connect]).expect_done();
    assert_eq!(recorder.ended().code, Some(0));
    assert!(decoded(&file).len() > 2);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_reported_before_clients_connect() {
    let refused = flamingo(&["record", "--out", "/dev/full", "--listen", "0"]);
    refused.expect_error(2, &["/dev/full", "No space left"]);
}

#[test]
fn a_full_disk_ends_the_recording_but_not_the_relay() {
    let folder = Folder::new("full");
    let file = folder.path("run.pcapng");
    let (_instrument, recorder, connect) = recorded_by(start_on_a_full_disk, &file, &[]);
    let mut client = RawClient::to(connect.parse().unwrap());
    for _ in 0..100 {
        client.ask(&raw_client::query(1));
    }
    recorder.expect_log("the recording has stopped");
    flamingo(&["get", "position", "--connect", &connect]).expect_done();
    recorder.interrupt();
    let ended = recorder.ended();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("run.pcapng is not complete: File too large"), "{ended:?}");
}

#[test]
fn a_replay_answers_as_the_instrument_did() {
    let folder = Folder::new("replayed");
    let file = folder.path("run.pcapng");
    let (_instrument, recorder, connect) = recorded(&file, &["--pixels"]);
    let ask = |connect: &str| {
        let position = flamingo(&["get", "position", "--json", "--connect", connect]);
        let moved = flamingo(&["move", "y", "15.2", "--wait", "--connect", connect]);
        (position.expect_done().objects(), moved.code)
    };
    let positions = |(rows, code): (Vec<Value>, Option<i32>)| {
        let values = rows.iter().map(|row| (row["axis"].clone(), row["position_mm"].clone()));
        (values.collect::<Vec<_>>(), code)
    };
    let first = positions(ask(&connect));
    recorder.interrupt();
    recorder.ended();
    let replay = start(&["replay", &file, "--port", "0", "--speed", "10", "--json"]);
    let connect = address(&replay.ports()["control"]);
    assert_eq!(positions(ask(&connect)), first);
    replay.interrupt();
    assert_eq!(replay.ended().code, Some(0));
}

#[test]
fn a_replay_warns_of_commands_that_were_not_recorded() {
    let folder = Folder::new("unrecorded");
    let file = folder.0.join("run.pcap");
    let position = Frame::command(CommandCode::STAGE_POSITION_GET).with_selector(1);
    conversation(&file, &[(0, true, position), (4, false, Frame { status: 1, ..position })]);
    let replay = start(&["replay", file.to_str().unwrap(), "--port", "0", "--json"]);
    let connect = address(&replay.ports()["control"]);
    let mut client = RawClient::to(connect.parse().unwrap());
    let home = Frame::command(CommandCode::STAGE_HOME).with_selector(1);
    client.send(&home);
    replay.expect_log("warning: STAGE_HOME (0x6002) is not in the recording");
    client.send(&home);
    for code in [0x6FFF].into_iter().chain(0xF000_0001..0xF000_012C) {
        client.send(&Frame::command(CommandCode(code)));
    }
    replay.expect_log("warning: 0x6FFF is not in the recording");
    // The replay reads in order.
    client.ask(&position);
    replay.interrupt();
    let ended = replay.ended();
    assert_eq!(ended.code, Some(0));
    assert!(ended.stderr.contains("302 commands not in "), "{ended:?}");
    assert!(ended.stderr.contains("2 STAGE_HOME (0x6002), 1 0x6FFF"), "{ended:?}");
    assert!(ended.stderr.contains(", 45 of other codes"), "{ended:?}");
    assert!(!ended.stderr.contains("STAGE_HOME (0x6002) is not"), "once for each code: {ended:?}");
}

/// A simulated instrument, a bridge that records into a folder, and the ports of the bridge.
fn bridged(folder: &str, start_it: fn(&[&str]) -> Running) -> (Running, Running, Value) {
    let instrument = start(&["sim", "--port", "0", "--json"]);
    let upstream = address(&instrument.ports()["control"]);
    let bridge = start_it(&[
        "bridge",
        "--upstream",
        &upstream,
        "--listen",
        "127.0.0.1:0",
        "--status",
        "127.0.0.1:0",
        "--record",
        folder,
    ]);
    let ports = bridge.ports();
    bridge.expect_log("the instrument is connected");
    (instrument, bridge, ports)
}

#[test]
fn the_bridge_records_its_traffic_with_the_instrument() {
    let folder = Folder::new("bridge");
    let wire = folder.path("wire");
    let (_instrument, bridge, ports) = bridged(&wire, start);
    let control = address(&ports["control"]);
    flamingo(&["move", "z", "19.1", "--wait", "--connect", &control]).expect_done();
    let live = ports["live"].to_string();
    flamingo(&["live", "--count", "3", "--connect", &control, "--live-port", &live]).expect_done();
    let status = address(&ports["status"]);
    let status =
        flamingo(&["bridge", "status", "--status", &status, "--json"]).expect_done().object();
    assert!(
        status["recording"]["packets"].as_u64().is_some_and(|packets| packets > 20),
        "{status}"
    );
    bridge.signal("-TERM");
    assert_eq!(bridge.ended().code, Some(0));
    let files: Vec<_> = std::fs::read_dir(wire).unwrap().map(|file| file.unwrap().path()).collect();
    let [file] = &files[..] else { panic!("{files:?}") };
    let rows = decoded(file.to_str().unwrap());
    let moved = rows.iter().find(|row| row["request"]["name"] == "STAGE_POSITION_SET").unwrap();
    assert_eq!(moved["kind"], "answered");
    assert!(rows.iter().any(|row| row["frame"]["name"] == "STAGE_MOTION_STOPPED"), "{rows:?}");
    assert!(rows.iter().filter(|row| row["kind"] == "image").count() >= 3, "{rows:?}");
}

#[test]
fn a_full_disk_ends_the_recording_but_not_the_bridge() {
    let folder = Folder::new("bridge-full");
    let (_instrument, bridge, ports) = bridged(&folder.path("wire"), start_on_a_full_disk);
    let mut client = RawClient::to(address(&ports["control"]).parse().unwrap());
    for _ in 0..100 {
        client.ask(&raw_client::query(1));
    }
    bridge.expect_log("the recording has stopped");
    for _ in 0..100 {
        client.ask(&raw_client::query(2));
    }
    let status = address(&ports["status"]);
    let table = flamingo(&["bridge", "status", "--status", &status]);
    assert!(table.expect_done().stdout.contains("recording STOPPED: "), "{table:?}");
    bridge.signal("-TERM");
    assert_eq!(bridge.ended().code, Some(0));
}
