//! What a terminal shows, in a pseudo-terminal of util-linux's `script`: colours, a ready line for people, and one line
//! for axes that move. In a pipe there is none of it.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::program::{flamingo, start_in};
use crate::simulator::{ask, simulator};

/// What the program prints on a terminal, stdout and stderr together.
fn on_a_terminal(environment: &[(&str, &str)], arguments: &str) -> String {
    let program = env!("CARGO_BIN_EXE_flamingo");
    let output = Command::new("script")
        .args(["-q", "-e", "-c", &format!("{program} {arguments}"), "/dev/null"])
        .env_remove("NO_COLOR")
        .env("FLAMINGO_CONFIG", "/no/such/file")
        .env("TERM", "xterm")
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .output()
        .expect("script of util-linux");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn an_error_is_red_on_a_terminal_only() {
    let red = "\u{1b}[31m";
    assert!(on_a_terminal(&[], "get mood").contains(red));
    assert!(!on_a_terminal(&[("NO_COLOR", "1")], "get mood").contains('\u{1b}'));
    assert!(!on_a_terminal(&[("TERM", "dumb")], "get mood").contains('\u{1b}'));
    assert!(!on_a_terminal(&[], "get mood --color never").contains('\u{1b}'));
    assert!(!flamingo(&["get", "mood"]).stderr.contains('\u{1b}'));
    assert!(flamingo(&["get", "mood", "--color", "always"]).stderr.contains(red));
    let help = flamingo(&["--color", "always", "--help"]);
    assert!(help.expect_done().stdout.contains('\u{1b}'), "clap obeys it, too");
    flamingo(&["get", "state", "--color", "blue"]).expect_error(2, &["auto, always or never"]);
}

#[test]
fn the_ready_line_is_for_people_on_a_terminal() {
    let program = env!("CARGO_BIN_EXE_flamingo");
    let mut terminal = Command::new("script")
        .args(["-q", "-c", &format!("{program} sim --port 0"), "/dev/null"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut shown = BufReader::new(terminal.stdout.take().unwrap()).lines().map(Result::unwrap);
    let first = shown.next().unwrap();
    // The simulator ends with its terminal.
    let id = terminal.id().to_string();
    assert!(Command::new("kill").arg(&id).status().unwrap().success());
    terminal.wait().unwrap();
    assert!(first.contains("ready: control 127.0.0.1:"), "{first}");
    let piped = start_in(&[], &["sim", "--port", "0"]);
    assert_eq!(piped.ports()["ready"], true);
}

#[test]
fn a_moving_axis_is_one_line_on_a_terminal() {
    let (_simulator, address) = simulator("[stage]\ncontinuous_axes = [\"x\"]\n");
    let watch = format!("watch --count 30 --code STAGE_POSITION_GET --connect {address}");
    let shown = on_a_terminal(&[], &watch);
    assert!(shown.contains("\r\u{1b}[2Kmoving  x "), "{shown:?}");
    assert!(shown.lines().count() < 5, "{shown:?}");
    let piped = ask(&address, &["watch", "--count", "30", "--code", "STAGE_POSITION_GET"]);
    assert_eq!(piped.expect_done().stdout.lines().count(), 30);
}

#[test]
fn a_long_line_fits_the_terminal() {
    let (_simulator, address) =
        simulator("[background]\nframes_per_s = 50\ncodes = [\"LED_PREVIEW_DISABLE\"]\n");
    let program = env!("CARGO_BIN_EXE_flamingo");
    let watch = format!("stty rows 24 cols 40; {program} watch --count 3 --connect {address}");
    let shown = Command::new("script")
        .args(["-q", "-e", "-c", &watch, "/dev/null"])
        .env("FLAMINGO_CONFIG", "/no/such/file")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    for line in shown.lines() {
        assert!(line.trim_end().chars().count() <= 40, "{line:?}");
    }
    assert!(shown.contains('…'), "{shown}");
}
