//! `flamingo demo`: it ends in time, loses no event, and closes with a table.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::program::flamingo;
use flamingo_runtime_std::Clock;

#[test]
fn the_demo_ends_in_time_without_a_lost_event() {
    let clock = Clock::start();
    let ended = flamingo(&["--json"]);
    let took = Duration::from(clock.now().since(flamingo_protocol_core::time::Instant::default()));
    let objects = ended.expect_done().objects();
    assert!(took < Duration::from_secs(15), "{took:?}");
    let table = objects.last().unwrap();
    assert_eq!(table["events_lost"], 0, "{table}");
    assert_eq!(table["misattributed"], 0, "{table}");
    assert_eq!(table["requests"], table["answers"], "{table}");
    assert!(table["events_sent"].as_u64().unwrap() > 100, "{table}");
    let moves = objects.iter().filter(|object| object.get("moved").is_some());
    assert_eq!(moves.count(), 24, "six of each axis");
    let answers = objects.iter().filter(|object| object["class"] == "solicited").count();
    assert_eq!(table["answers"], answers);
    let events = objects.iter().filter(|object| object["class"] == "unsolicited").count();
    assert_eq!(table["events"], events);
}

#[test]
fn the_text_of_the_demo_ends_with_a_table() {
    let ended = flamingo(&["demo", "-v"]);
    let stdout = &ended.expect_code(0).stdout;
    for row in ["requests ", "answers ", "late ", "timeouts ", "events ", "latency p50 "] {
        assert!(stdout.lines().any(|line| line.starts_with(row)), "{row}: {stdout}");
    }
    let lost = stdout.lines().find(|line| line.starts_with("events lost ")).unwrap();
    assert_eq!(lost.split_whitespace().nth(2), Some("0"), "{lost}");
    assert!(stdout.contains("before its acknowledgement"), "{stdout}");
}

#[test]
fn the_demo_shows_wrong_answers_on_one_side_only() {
    let ended = flamingo(&["demo"]);
    let stdout = &ended.expect_done().stdout;
    assert!(stdout.lines().count() <= 30, "{stdout}");
    let naive = stdout.lines().find(|line| line.starts_with("matches by code: of ")).unwrap();
    let numbers: Vec<u64> = naive.split(' ').filter_map(|word| word.parse().ok()).collect();
    assert!(numbers[0] > 20 && numbers[1] > 0, "{naive}");
    assert!(stdout.contains("\nflamingo: 0 wrong, 0 lost\n"), "{stdout}");
}

#[test]
fn a_demo_whose_output_is_closed_ends_silently() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_flamingo"))
        .arg("demo")
        .env_remove("FLAMINGO_LOG")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdout.take().unwrap().read_exact(&mut [0; 1]).unwrap();
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&ended.stderr), "");
}
