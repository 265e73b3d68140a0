//! `flamingo watch` against the simulated instrument.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::program::{flamingo, start};
use crate::simulator::{ask, simulator};
use flamingo_protocol_core::wire::FRAME_LEN;
use flamingo_runtime_testkit::changing_peer::ChangingPeer;
use serde_json::Value;

/// Starts `flamingo watch`. Returns when it watches, with the lines of its log that follow. Its stdout is
/// a pipe that is not read.
fn watch_with_stdout_unread(address: &str) -> (Child, impl Iterator<Item = String>) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_flamingo"))
        .args(["watch", "-v", "--no-reconnect", "--json", "--connect", address])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(log.any(|line| line.contains("watching")));
    (child, log)
}

#[test]
fn watch_filters_by_code_and_ends_after_a_count() {
    let codes = "codes = [\"UI_SET_GAUGE_VALUE\", \"LED_PREVIEW_DISABLE\"]\n";
    let (_simulator, address) = simulator(&format!("[background]\nframes_per_s = 400\n{codes}"));
    let arguments = ["watch", "--count", "5", "--code", "0x4003", "--json"];
    let seen = ask(&address, &arguments);
    let seen = seen.expect_done().objects();
    assert_eq!(seen.len(), 5);
    let mut number = 0;
    for message in &seen {
        assert_eq!(message["name"], "LED_PREVIEW_DISABLE");
        assert_eq!(
            (&message["class"], &message["payload_bytes"]),
            (&"unsolicited".into(), &6.into())
        );
        assert!(message.get("proven").is_none(), "{message}");
        // The simulator counts them: they are shown in order.
        let next = message["int32_data2"].as_i64().unwrap();
        assert!(next > number, "{message}");
        number = next;
    }
    let both = ask(&address, &["watch", "--count", "40"]);
    assert_eq!(both.expect_done().stdout.lines().count(), 40);
    assert!(both.stdout.contains("unsolicited  UI_SET_GAUGE_VALUE"), "{both:?}");
}

#[test]
fn watch_ends_after_a_time_or_by_ctrl_c() {
    let (_simulator, address) = simulator("");
    let ended = ask(&address, &["watch", "--for", "150ms"]);
    assert_eq!(ended.expect_done().stdout, "");
    let running = start(&["-v", "watch", "--connect", &address]);
    running.expect_log("watching");
    running.interrupt();
    let ended = running.ended();
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), ""), "{ended:?}");
    let running = start(&["-v", "watch", "--count", "5", "--connect", &address]);
    running.expect_log("watching");
    running.interrupt();
    let ended = running.ended();
    assert_eq!(ended.code, Some(130), "fewer messages than it should show: {ended:?}");
    assert!(ended.stderr.contains("flamingo: error: interrupted\n"), "{ended:?}");
}

#[test]
fn ctrl_c_ends_a_watch_whose_output_is_not_read() {
    let codes = "codes = [\"UI_SET_GAUGE_VALUE\"]\n";
    let (_simulator, address) = simulator(&format!("[background]\nframes_per_s = 20000\n{codes}"));
    let (mut child, mut log) = watch_with_stdout_unread(&address);
    // A second client has been sent far more than a pipe holds.
    let mut other = TcpStream::connect(&address).unwrap();
    let mut frame = [0; FRAME_LEN];
    (0..4_000).for_each(|_| other.read_exact(&mut frame).unwrap());
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    // Stdout is held open, unread, until it has ended; if it does not, that ends it all the same.
    let stdout = child.stdout.take().unwrap();
    let (ended, has_ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || ended.send(child.wait().unwrap().code()));
    let code = has_ended.recv_timeout(Duration::from_secs(10));
    drop(stdout);
    assert_eq!(code, Ok(Some(130)));
    assert!(log.any(|line| line.contains("interrupted")));
}

#[test]
fn watch_reports_missed_messages_when_stdout_is_not_read() {
    let codes = "codes = [\"UI_SET_GAUGE_VALUE\"]\n";
    let (simulator, address) = simulator(&format!("[background]\nframes_per_s = 20000\n{codes}"));
    let (child, log) = watch_with_stdout_unread(&address);
    // Nobody reads while far more is sent, here to a second client as well, than the pipe and the
    // subscription hold.
    let mut other = TcpStream::connect(&address).unwrap();
    let mut frame = [0; FRAME_LEN];
    (0..12_000).for_each(|_| other.read_exact(&mut frame).unwrap());
    smol::block_on(simulator.stop());
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(7));
    let lines = String::from_utf8(ended.stdout).unwrap();
    let objects: Vec<Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let missed: i64 = objects.iter().filter_map(|object| object["lagged"].as_i64()).sum();
    assert!(missed > 0, "{} shown", objects.len());
    // The simulator numbers them.
    let shown: Vec<i64> =
        objects.iter().filter_map(|object| object["int32_data2"].as_i64()).collect();
    let sent = shown.last().unwrap() - shown.first().unwrap() + 1;
    assert_eq!(missed + i64::try_from(shown.len()).unwrap(), sent);
    let said: Vec<_> = log.collect();
    assert!(said.iter().any(|line| line.contains("messages missed")), "{said:?}");
    assert!(said.iter().any(|line| line.contains("watch: connection lost")), "{said:?}");
}

#[test]
fn watch_leaves_out_codes_and_shows_only_an_axis() {
    let codes = "codes = [\"UI_SET_GAUGE_VALUE\", \"LED_PREVIEW_DISABLE\"]\n";
    let (_simulator, address) = simulator(&format!("[background]\nframes_per_s = 400\n{codes}"));
    let seen = ask(&address, &["watch", "--count", "20", "--not", "LED_PREVIEW_DISABLE"]);
    assert!(!seen.expect_done().stdout.contains("LED_PREVIEW_DISABLE"), "{seen:?}");
    let running = start(&["-v", "watch", "--axis", "y", "--count", "2", "--connect", &address]);
    running.expect_log("watching");
    ask(&address, &["move", "x", "+10um", "--wait"]).expect_done();
    ask(&address, &["move", "y", "+10um", "--wait"]).expect_done();
    let ended = running.ended();
    let lines: Vec<&str> = ended.expect_code(0).stdout.lines().collect();
    assert!(lines.len() == 2 && lines.iter().all(|line| line.contains("axis y")), "{ended:?}");
}

#[test]
fn watch_prints_the_fields_of_a_format() {
    let codes = "codes = [\"UI_SET_GAUGE_VALUE\"]\n";
    let (_simulator, address) = simulator(&format!("[background]\nframes_per_s = 400\n{codes}"));
    let seen = ask(&address, &["watch", "--count", "1", "--format", "{name}|{code}|{class}"]);
    assert_eq!(seen.expect_done().stdout, "UI_SET_GAUGE_VALUE|0x9004|unsolicited\n");
    let wrong = ask(&address, &["watch", "--format", "{tiem}"]);
    wrong.expect_error(2, &["did you mean time?"]);
}

#[test]
fn watch_connects_again_and_says_so() {
    let codes = "codes = [\"UI_SET_GAUGE_VALUE\"]\n";
    let scenario = format!("[background]\nframes_per_s = 50\n{codes}");
    let (first, _) = simulator(&scenario);
    let instrument = ChangingPeer::before(first.control());
    let address = instrument.address().to_string();
    let running = start(&["watch", "--connect", &address]);
    running.line();
    instrument.change(None);
    smol::block_on(first.stop());
    running.expect_log("connection lost");
    let (second, _) = simulator(&scenario);
    instrument.change(Some(second.control()));
    running.expect_log("connected again");
    running.line();
    running.interrupt();
    assert_eq!(running.ended().code, Some(0));
}

#[test]
fn watch_reads_the_callback_port_of_a_bridge() {
    let codes = "codes = [\"UI_SET_GAUGE_VALUE\"]\n";
    let (_simulator, address) = simulator(&format!("[background]\nframes_per_s = 50\n{codes}"));
    let listen = ["--listen", "127.0.0.1:0", "--callback-port", "0"];
    let bridge = start(&[&["bridge", "--upstream", &address][..], &listen].concat());
    let callback = crate::program::address(&bridge.ports()["callback"]);
    let seen = flamingo(&["watch", "--callback", &callback, "--count", "3", "--format", "{name}"]);
    assert!(seen.expect_done().stdout.starts_with("UI_SET_GAUGE_VALUE\n"), "{seen:?}");
    flamingo(&["watch", "--callback", "nonsense"]).expect_error(2, &["a port or HOST:PORT"]);
}
