//! `flamingo settings save`: keeps the old settings, and reports "saved" only after success.

use flamingo_runtime_testkit::peer;
use flamingo_runtime_testkit::test_microscope;
use std::io::Write;
use std::process::{Command, Stdio};

use crate::program::{Witness, flamingo};
use crate::simulator::ask;
use flamingo_protocol_core::CommandCode;
use flamingo_runtime_testkit::folder::Folder;
use flamingo_simulator::Simulator;
use smol::future;

fn simulator(scenario: &str) -> (Simulator, String) {
    let simulator = smol::block_on(test_microscope::simulator(scenario));
    let address = simulator.control().to_string();
    (simulator, address)
}

fn sent(simulator: &Simulator, code: CommandCode) -> usize {
    simulator.truth().received().iter().filter(|record| record.frame.code == code).count()
}

#[test]
fn settings_are_saved_and_the_old_ones_are_kept() {
    let folder = Folder::new("save");
    let (simulator, address) = simulator("");
    let before = flamingo(&["get", "settings", "--connect", &address]);
    let before = before.expect_done().stdout.clone();
    let changed = before.replace("Soft limit max x-axis = 12.310", "Soft limit max x-axis = 9.000");
    assert_ne!(before, changed);
    let (file, backup) = (folder.file("new.txt", &changed), folder.path("old.txt"));
    let arguments = ["settings", "save", &file, "--backup", &backup, "--connect", &address];
    flamingo(&arguments).expect_error(2, &["--yes"]);
    assert_eq!(sent(&simulator, CommandCode::COMMON_SCOPE_SETTINGS_SAVE), 0);
    assert!(!std::fs::exists(&backup).unwrap(), "nothing was overwritten, so nothing is kept");
    let saved = flamingo(&[&arguments[..], &["--yes", "--json"]].concat());
    let saved = saved.expect_done().object();
    assert_eq!((&saved["saved"], &saved["backup"]), (&true.into(), &backup.as_str().into()));
    assert_eq!(std::fs::read_to_string(&backup).unwrap(), before);
    let after = flamingo(&["get", "settings", "--connect", &address]);
    assert_eq!(after.expect_done().stdout, changed);
    flamingo(&["move", "x", "9.5", "--connect", &address]).expect_error(2, &["at most 9 mm"]);
    let old = folder.file("again.txt", &before);
    let again = ["settings", "save", &old, "--backup", &backup, "--yes", "--connect", &address];
    flamingo(&again).expect_error(2, &["cannot keep the old settings", "nothing was saved"]);
}

#[test]
fn settings_without_limits_of_an_axis_are_not_saved() {
    let folder = Folder::new("unlimited");
    let witness = Witness::new();
    let cut = test_microscope::SETTINGS.replace("  Soft limit max z-axis = 26.000\n", "");
    for (text, said) in [
        (cut.as_str(), "both limits of axis z"),
        ("", "both limits of axis x"),
        ("<Stage limits>\n", "line 1"),
        ("<Stage limits>\nHome x-axis = left\n</Stage limits>\n", "line 2"),
    ] {
        let file = folder.file("file.txt", text);
        let arguments = ["settings", "save", &file, "--yes", "--connect", &witness.address()];
        flamingo(&arguments).expect_error(2, &[said, "nothing was saved"]);
    }
    witness.expect_nobody();
}

/// Runs `settings save` against an instrument that has `old`, acknowledges with `status`, and then has
/// `now`.
fn saved(name: &str, status: i32, old: &str, now: &str) -> crate::program::Ended {
    smol::block_on(async {
        let folder = Folder::new(name);
        let (listener, options) = peer::listen();
        let (file, backup) =
            (folder.file("new.txt", test_microscope::SETTINGS), folder.path("old.txt"));
        let address = &options.address;
        let arguments =
            ["settings", "save", &file, "--yes", "--backup", &backup, "--connect", address];
        let server = async {
            let mut peer = peer::Peer::accept_and_shake_hands(&listener).await;
            let query = peer.expect(CommandCode::COMMON_SCOPE_SETTINGS_LOAD).await;
            test_microscope::answer_with(&mut peer, &query, old.as_bytes()).await;
            let save = peer.expect(CommandCode::COMMON_SCOPE_SETTINGS_SAVE).await;
            assert_eq!(
                peer.read_bytes(save.payload_len as usize).await,
                test_microscope::SETTINGS.as_bytes()
            );
            let mut answer = peer::answer_to(&save, 0.0);
            answer.status = status;
            peer.write(&answer).await;
            let query = peer.expect(CommandCode::COMMON_SCOPE_SETTINGS_LOAD).await;
            test_microscope::answer_with(&mut peer, &query, now.as_bytes()).await;
            peer
        };
        let (ended, _peer) =
            future::zip(crate::program::flamingo_meanwhile(&arguments), server).await;
        ended
    })
}

const OLD: &str = "<Stage limits>\n</Stage limits>\n<Type>\n  Microscope name = n1\n</Type>\n";

#[test]
fn settings_that_the_instrument_does_not_have_are_no_success() {
    for status in [0, 1] {
        let ended = saved("other", status, OLD, OLD);
        let said = format!("status {status}");
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(5), ""), "{ended:?}");
        for said in ["not saved", &said, "kept in", "line 2: expected"] {
            assert!(ended.stderr.contains(said), "{said}: {ended:?}");
        }
    }
}

#[test]
fn settings_are_read_back_whatever_the_status() {
    for (status, said) in [(1, "with success"), (0, "with status 0")] {
        let old = "<Stage limits>\n</Stage limits>\n";
        let ended = saved("back", status, old, test_microscope::SETTINGS);
        let text = &ended.expect_done().stdout;
        assert!(text.contains(said) && text.contains("read back unchanged"), "{text}");
    }
}

#[test]
fn settings_that_cannot_be_read_back_are_not_called_unsaved() {
    let ended = saved("unread", 1, "<Stage limits>\n</Stage limits>\n", "");
    let said = ["whether they were saved is not known", "reading back", "kept in"];
    ended.expect_error(6, &said);
}

#[test]
fn sections_that_would_vanish_are_a_warning() {
    let ended = saved("vanish", 1, OLD, test_microscope::SETTINGS);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stderr.contains("has a section <Type>, the file has none"), "{ended:?}");
    assert!(!ended.stderr.contains("<Stage limits>"), "{ended:?}");
}

#[test]
fn odd_lines_of_new_settings_are_a_warning_with_their_line() {
    let folder = Folder::new("odd");
    let (_simulator, address) = simulator("");
    let before = flamingo(&["get", "settings", "--connect", &address]).stdout;
    let odd = format!("\u{FEFF}{before}</Type>\n# by hand\n");
    let line = before.lines().count() + 1;
    let file = folder.file("odd.txt", odd);
    let backup = folder.path("old.txt");
    let arguments = ["settings", "save", &file, "--yes", "--backup", &backup];
    let ended = flamingo(&[&arguments[..], &["--connect", &address]].concat());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for said in ["line 1: ".to_owned(), format!("line {line}: "), format!("line {}: ", line + 1)] {
        assert!(ended.stderr.contains(&format!("odd.txt: {said}")), "{ended:?}");
    }
    let wide: Vec<u8> = before.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let file = folder.file("wide.txt", wide);
    let arguments = ["settings", "save", &file, "--yes", "--connect", &address];
    flamingo(&arguments).expect_error(2, &["UTF-16", "nothing was saved"]);
}

/// `script` of util-linux provides a terminal; without it the test is skipped.
#[cfg(target_os = "linux")]
#[test]
fn on_a_terminal_only_yes_saves_the_settings() {
    let folder = Folder::new("asks");
    let (simulator, address) = simulator("");
    let before = flamingo(&["get", "settings", "--connect", &address]).stdout;
    let file = folder.file("new.txt", before.replace("12.310", "9.000"));
    for (answer, saved) in [("n", false), ("", false), ("yes", true)] {
        let backup = folder.path(&format!("old-{answer}.txt"));
        let command = format!(
            "{} settings save {file} --backup {backup} --connect {address}",
            env!("CARGO_BIN_EXE_flamingo")
        );
        let script = Command::new("script")
            .args(["-q", "-e", "-c", &command, "/dev/null"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let Ok(mut script) = script else {
            eprintln!("skipped: `script` is not here");
            return;
        };
        script.stdin.take().unwrap().write_all(format!("{answer}\n").as_bytes()).unwrap();
        let ended = script.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&ended.stdout);
        assert!(text.contains(&format!("Overwrite the settings of {address}? [y/N]")), "{text}");
        assert_eq!(ended.status.code(), Some(if saved { 0 } else { 2 }), "{answer}: {text}");
        assert_eq!(std::fs::exists(&backup).unwrap(), saved);
    }
    assert_eq!(sent(&simulator, CommandCode::COMMON_SCOPE_SETTINGS_SAVE), 1);
}

#[test]
fn one_value_is_printed_and_changed() {
    let (_simulator, address) = simulator("");
    let folder = Folder::new("one_value");
    let before = ask(&address, &["get", "settings"]).expect_done().stdout.clone();
    let home = ask(&address, &["settings", "get", "home x-axis"]).expect_done().stdout.clone();
    let backup = folder.path("old.txt");
    let change = ["settings", "set", "Home x-axis", "7.25", "--yes", "--backup", &backup];
    let changed = ask(&address, &change);
    assert_eq!(changed.code, Some(0), "{changed:?}");
    let diff = format!("Home x-axis = {} becomes 7.25", home.trim());
    assert!(changed.stderr.contains(&diff), "{changed:?}");
    assert_eq!(std::fs::read_to_string(&backup).unwrap(), before);
    let after = ask(&address, &["get", "settings"]).expect_done().stdout.clone();
    let expected = format!("Home x-axis = {}", home.trim());
    assert_eq!(after, before.replacen(&expected, "Home x-axis = 7.25", 1), "nothing else changes");
    let diff = ask(&address, &["settings", "diff", &backup]);
    let expected = format!("- Stage limits/Home x-axis = 7.25\n+ Stage limits/{expected}\n");
    assert_eq!(diff.expect_done().stdout, expected);
}

#[test]
fn a_bad_name_or_value_changes_no_setting() {
    let (_simulator, address) = simulator("");
    let before = ask(&address, &["get", "settings"]).stdout;
    for (arguments, words) in [
        (&["settings", "get", "Hom x-axis"][..], &["did you mean Home x-axis?"][..]),
        (&["settings", "set", "Hom x-axis", "1", "--yes"], &["did you mean Home x-axis?"]),
        (&["settings", "get", "home x"], &["did you mean Home x-axis?"]),
        (
            &["settings", "get", "soft limit max"],
            &["did you mean Soft limit max x-axis, or Soft limit max y-axis"],
        ),
        (&["settings", "get", "axis"], &["names contain it"]),
        (&["settings", "diff", "/dev/null"], &["/dev/null", "found no value"]),
        (
            &["settings", "set", "Soft limit max x-axis", "12,31", "--yes"],
            &["12,31", "nothing was saved"],
        ),
        (&["settings", "set", "Home x-axis", "7.25"], &["--yes", "nothing was saved"]),
    ] {
        let ended = ask(&address, arguments);
        assert_eq!(ended.code, Some(2), "{ended:?}");
        for word in words {
            assert!(ended.stderr.contains(word), "{word} in {ended:?}");
        }
    }
    assert_eq!(ask(&address, &["get", "settings"]).stdout, before);
}
