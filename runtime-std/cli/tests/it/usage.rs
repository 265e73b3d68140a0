//! `flamingo` without a connection: help, usage errors, completions, manual.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use crate::program::{Witness, flamingo};
use flamingo_protocol_core::{CommandCode, Frame};

const COMMANDS: [&str; 27] = [
    "demo",
    "sim",
    "bridge",
    "race",
    "get",
    "move",
    "home",
    "velocity",
    "set",
    "laser",
    "led",
    "illumination",
    "halt",
    "watch",
    "send",
    "live",
    "workflow",
    "queue",
    "settings",
    "doctor",
    "record",
    "replay",
    "decode",
    "codes",
    "config",
    "completions",
    "man",
];

#[test]
fn help_names_every_command_and_the_exit_codes() {
    let help = flamingo(&["--help"]);
    for command in COMMANDS.into_iter().chain(["Exit codes: 0 done"]) {
        assert!(help.expect_done().stdout.contains(command), "{command}: {}", help.stdout);
    }
}

#[test]
fn every_command_has_a_help_text() {
    for command in COMMANDS {
        let help = flamingo(&[command, "--help"]);
        let usage = format!("Usage: flamingo {command}");
        assert!(help.expect_done().stdout.contains(&usage), "{}", help.stdout);
    }
}

#[test]
fn the_version_is_that_of_the_package() {
    let version = flamingo(&["--version"]);
    assert_eq!(version.expect_done().stdout, format!("flamingo {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn bad_input_is_one_line_and_opens_no_connection() {
    let long = "x".repeat(73);
    let cases: &[(&[&str], &str)] = &[
        (&["move", "q", "7"], "'q'"),
        (&["move", "x", "NaN"], "finite"),
        (&["move", "x", "inf"], "finite"),
        (&["move", "x", "-NaN"], "finite"),
        (&["move", "x", "-x"], "\"-x\""),
        (&["move", "x", "-inf"], "finite number, found -inf"),
        (&["send", "STAGE_POSITION_SET", "--value", "-inf"], "finite number, found -inf"),
        (&["move", "x", "seven"], "\"seven\""),
        (&["move", "x"], "TARGET"),
        (&["move", "x", "7", "--timeout", "0s"], "above 0"),
        (&["get"], "requires a subcommand"),
        (&["get", "mood"], "'mood'"),
        (&["get", "position", "--axis", "q"], "'q'"),
        (&["get", "laser", "5"], "expected 1 to 4"),
        (&["get", "laser", "-1"], "expected 1 to 4"),
        (&["get", "laser"], "<N>"),
        (&["get", "state", "--timeout", "3"], "3s"),
        (&["watch", "--code", "NO_SUCH_CODE"], "NO_SUCH_CODE"),
        (&["watch", "--code", "STAGE_POSITON_GET"], "did you mean STAGE_POSITION_GET?"),
        (&["send", "stage_hlat"], "did you mean STAGE_HALT?"),
        (&["get", "exposur"], "exposure"),
        (&["mov", "x", "7"], "move"),
        (&["move", "xx", "7"], "expected x, y, z or r, found \"xx\""),
        (&["watch", "--count", "0"], "0"),
        (&["watch", "--count", "-1"], "-1"),
        (&["send", "0xZZ"], "0xZZ"),
        (&["send", "SYSTEM_STATE_GET", "--value", "NaN"], "finite"),
        (&["send", "SYSTEM_STATE_GET", "--buffer", &long], "73"),
        (&["send", "SYSTEM_STATE_GET", "--payload", "/no/such/file"], "/no/such/file"),
        (&["send", "SYSTEM_STATE_GET", "--payload", "/dev/null"], "empty"),
        (&["send", "CAMERA_WORK_FLOW_START"], "--payload"),
        (&["send", "COMMON_SCOPE_SETTINGS_SAVE"], "--payload"),
        #[cfg(target_os = "linux")]
        (&["send", "CAMERA_WORK_FLOW_START", "--payload", "/dev/zero"], "33554432"),
        (&["send", "STAGE_POSITION_SET", "--data0", "9"], "found 9"),
        (&["halt", "x"], "'x'"),
    ];
    for (arguments, word) in cases {
        let witness = Witness::new();
        let address = witness.address();
        let arguments = [arguments, &["--connect", &address][..]].concat();
        let ended = flamingo(&arguments);
        ended.expect_error(2, &[word]);
        assert_eq!(ended.stdout, "", "{arguments:?}");
        witness.expect_nobody();
    }
}

#[test]
fn an_error_is_an_object_with_json() {
    for (arguments, code, words) in [
        (&["get", "mood", "--json"][..], 2, "mood"),
        (&["get", "--json"], 2, "subcommand"),
        (&["get", "state", "--json", "--connect", "127.0.0.1:1"], 3, "cannot connect"),
        (&["halt", "--json", "--connect", "127.0.0.1:1"], 3, "cannot connect"),
    ] {
        let ended = flamingo(arguments);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(code), ""), "{ended:?}");
        let said: serde_json::Value = serde_json::from_str(&ended.stderr).unwrap();
        assert_eq!(said["exit_code"], code);
        assert!(said["error"].as_str().unwrap().contains(words), "{said}");
    }
}

#[test]
fn a_bad_address_is_bad_usage() {
    for address in ["scope:", "scope:0", "::1:53717"] {
        flamingo(&["get", "state", "--connect", address]).expect_error(2, &[address]);
    }
}

#[test]
fn an_ipv6_address_without_brackets_is_refused_with_advice() {
    flamingo(&["get", "state", "--connect", "::1:53717"]).expect_error(2, &["[::1]:53717"]);
}

#[test]
fn a_bad_address_in_the_environment_names_the_variable() {
    let output = Command::new(env!("CARGO_BIN_EXE_flamingo"))
        .args(["get", "state"])
        .env("FLAMINGO_CONNECT", "")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("FLAMINGO_CONNECT"), "{said}");
}

#[test]
fn an_unknown_command_is_bad_usage() {
    flamingo(&["dance"]).expect_error(2, &["'dance'", "--help"]);
    flamingo(&["hlat"]).expect_error(2, &["'hlat'", "did you mean halt?"]);
}

#[test]
fn short_help_is_shorter_than_long_help_and_both_are_narrow() {
    for command in ["demo", "sim", "get", "move", "halt", "watch", "send", "decode"] {
        let short = flamingo(&[command, "-h"]);
        let long = flamingo(&[command, "--help"]);
        let (short, long) = (&short.expect_done().stdout, &long.expect_done().stdout);
        assert!(short.len() < long.len(), "{command}");
        for line in short.lines().chain(long.lines()) {
            assert!(line.chars().count() <= 100, "{command}: {line}");
        }
    }
}

#[test]
fn a_host_that_cannot_be_resolved_is_a_failed_connection() {
    let ended = flamingo(&["get", "state", "--connect", "flamingo.invalid:53717"]);
    ended.expect_error(3, &["cannot resolve", "flamingo.invalid:53717"]);
}

#[test]
fn a_refused_port_is_a_failed_connection() {
    let address = Witness::new().address(); // and closed again
    for command in [&["get", "state"][..], &["halt"], &["move", "x", "7"], &["watch"]] {
        let ended = flamingo(&[command, &["--connect", &address]].concat());
        ended.expect_error(3, &["cannot connect", &address]);
    }
}

#[test]
fn every_shell_gets_completions() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = flamingo(&["completions", shell]);
        // The script asks the program: scripts/check-completions presses Tab.
        assert!(script.expect_done().stdout.contains("FLAMINGO_COMPLETE"), "{shell}");
    }
    flamingo(&["completions", "dosshell"]).expect_error(2, &["dosshell", "bash"]);
}

#[test]
fn the_manual_has_a_page_for_every_command() {
    let manual = flamingo(&["man"]);
    for page in ["flamingo 1", "flamingo-get 1", "flamingo-get-laser 1", "flamingo-decode 1"] {
        assert!(manual.expect_done().stdout.contains(&format!(".TH {page}")), "{page}");
    }
    let dir = std::env::temp_dir().join(format!("flamingo-man-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    flamingo(&["man", "--dir", dir.to_str().unwrap()]).expect_done();
    assert!(dir.join("flamingo-move.1").is_file());
    std::fs::remove_dir_all(&dir).unwrap();
    flamingo(&["man", "--dir", "/no/such/dir"]).expect_error(2, &["/no/such/dir"]);
}

#[test]
fn logs_go_to_stderr() {
    let address = Witness::new().address();
    let ended = flamingo(&["-v", "get", "state", "--connect", &address]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(3), ""));
    assert!(ended.stderr.contains("INFO"), "{ended:?}");
}

/// Starts the program with pipes that the test holds.
fn piped(arguments: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flamingo"));
    command.args(arguments).env_remove("FLAMINGO_LOG");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn ctrl_c_ends_a_command_that_waits_for_its_input() {
    let mut child = piped(&["-vv", "decode"]);
    let stdin = child.stdin.take();
    // The log says when it reads; that is after Ctrl-C is caught.
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(log.any(|line| line.unwrap().contains("reading stdin")));
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    drop(stdin);
}

#[test]
fn a_closed_pipe_ends_it_silently() {
    // Far more than a pipe holds is still to come when the reader goes.
    let frames = Frame::new(CommandCode::SYSTEM_STATE_IDLE).encode().repeat(2000);
    let file = std::env::temp_dir().join(format!("flamingo-pipe-{}", std::process::id()));
    std::fs::write(&file, frames).unwrap();
    let mut child = piped(&["decode", file.to_str().unwrap()]);
    child.stdout.take().unwrap().read_exact(&mut [0; 1]).unwrap();
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&ended.stderr), "");
    std::fs::remove_file(&file).unwrap();
}
