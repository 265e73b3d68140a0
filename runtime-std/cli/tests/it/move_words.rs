//! `flamingo move` and its siblings in the words that a hand types: units, several axes, saved positions,
//! `home` and `velocity`, against the simulator.

use crate::program::{Ended, flamingo, start};
use crate::simulator::{ask, object, simulator};
use flamingo_protocol_core::CommandCode;
use flamingo_runtime_testkit::folder::Folder;

const FAST: &str = "[stage]\nspeed_factor = 20\n";

fn position(address: &str, axis: &str) -> f64 {
    let key = if axis == "r" { "position_deg" } else { "position_mm" };
    object(address, &["get", "position", "--axis", axis])[key].as_f64().unwrap()
}

#[track_caller]
fn near(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-9, "{found}, expected {expected}");
}

#[test]
fn a_target_may_have_a_unit() {
    let (_simulator, address) = simulator(FAST);
    for (axis, target, expected) in
        [("x", "8.5", 8.5), ("x", "8500um", 8.5), ("x", "9mm", 9.0), ("r", "30deg", 30.0)]
    {
        ask(&address, &["move", axis, target, "--wait"]).expect_done();
        near(position(&address, axis), expected);
    }
}

#[test]
fn a_distance_may_have_a_unit_and_either_sign() {
    let (_simulator, address) = simulator(FAST);
    ask(&address, &["move", "x", "8", "--wait"]).expect_done();
    ask(&address, &["move", "x", "+250um", "--wait"]).expect_done();
    near(position(&address, "x"), 8.25);
    ask(&address, &["move", "x", "--by", "-0.1mm", "--wait"]).expect_done();
    near(position(&address, "x"), 8.15);
}

#[test]
fn several_axes_move_at_the_same_time() {
    let (simulator, address) = simulator(FAST);
    let from = position(&address, "z");
    let moved = ask(&address, &["move", "x", "8", "y", "15.5", "z", "+50um", "--wait", "--json"]);
    let axes: Vec<_> =
        moved.expect_done().objects().iter().map(|object| object["axis"].clone()).collect();
    assert_eq!(axes, ["x", "y", "z"]);
    near(position(&address, "x"), 8.0);
    near(position(&address, "y"), 15.5);
    near(position(&address, "z"), from + 0.05);
    let sent = simulator.truth().received();
    let moves = sent.iter().filter(|sent| sent.frame.code == CommandCode::STAGE_POSITION_SET);
    assert_eq!(moves.count(), 3);
}

#[test]
fn one_bad_target_moves_no_axis() {
    let (simulator, address) = simulator("");
    ask(&address, &["move", "y", "15.5", "x", "25"]).expect_error(
        2,
        &["axis x", "at most 12.31 mm", "line", "found 25 mm", "nothing was moved"],
    );
    for command in simulator.truth().received() {
        assert_ne!(command.frame.code, CommandCode::STAGE_POSITION_SET);
    }
}

#[test]
fn a_negative_target_outside_the_limits_names_by() {
    let (_simulator, address) = simulator("");
    let ended = ask(&address, &["move", "x", "-0.1mm"]);
    ended.expect_error(2, &["at least 1 mm", "to move by -0.1 mm: --by=-0.1"]);
}

#[test]
fn ctrl_c_halts_every_axis_that_moves() {
    let (simulator, address) = simulator("[stage]\nspeed_factor = 0.01\n");
    let running = start(&["-v", "move", "x", "9", "y", "20", "--wait", "--connect", &address]);
    running.expect_log("axis y moving");
    running.interrupt();
    let ended = running.ended();
    assert_eq!(ended.code, Some(130), "{ended:?}");
    assert!(ended.stderr.contains("interrupted, axis x halted, axis y halted"), "{ended:?}");
    let sent = simulator.truth().received();
    let halts = sent.iter().filter(|sent| sent.frame.code == CommandCode::STAGE_HALT);
    assert_eq!(halts.map(|sent| sent.frame.selector()).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn saved_positions_are_found_again() {
    let (_simulator, address) = simulator(FAST);
    let folder = Folder::new("saved_positions");
    let file = folder.path("home.toml");
    let before = ["x", "y", "z", "r"].map(|axis| position(&address, axis));
    ask(&address, &["get", "position", "--save", &file]).expect_done();
    ask(&address, &["move", "x", "9", "y", "16", "r", "-20", "--wait"]).expect_done();
    ask(&address, &["move", "--to", &file, "--wait"]).expect_done();
    for (axis, before) in ["x", "y", "z", "r"].into_iter().zip(before) {
        near(position(&address, axis), before);
    }
    let again = ask(&address, &["get", "position", "--save", &file]);
    again.expect_error(2, &["exists"]);
}

#[test]
fn a_file_that_is_no_positions_moves_nothing() {
    let folder = Folder::new("no_positions");
    let file = folder.path("positions.toml");
    for (text, words) in [
        ("", "x = 8.5"),
        ("q = 1", "expected x, y, z or r, found \"q\""),
        ("x = true", "expected a position"),
        ("x = \"+1mm\"", "the distance \"+1mm\""),
        ("x = \"8.5cm\"", "8.5cm"),
        ("x = nan", "finite"),
        ("x = ", "line 1"),
    ] {
        std::fs::write(&file, text).unwrap();
        let ended = refused(&["move", "--to", &file]);
        ended.expect_error(2, &[words]);
    }
}

/// Runs a command that must be refused before it connects.
fn refused(arguments: &[&str]) -> Ended {
    let witness = crate::program::Witness::new();
    let address = witness.address();
    let ended = flamingo(&[arguments, &["--connect", &address]].concat());
    witness.expect_nobody();
    ended
}

#[test]
fn words_that_are_no_move_are_refused_with_advice() {
    for (arguments, words) in [
        (&["move", "x", "8", "x", "9"][..], "each axis once, found x twice"),
        (&["move", "x", "8,5"], "write 8.5"),
        (&["move", "x", "8.5cm"], "8.5mm or 250um"),
        (&["move", "r", "30um"], "30deg"),
        (&["move", "x", "8", "y"], "TARGET"),
        (&["move", "x", "+"], "found \"+\""),
        (&["move", "x", "8.5", "mm"], "such as 8.5mm"),
        (&["move", "x", "8", "--by", "1"], "--by"),
        (&["move", "x", "8", "--to", "f.toml"], "--to"),
        (&["home"], "<AXIS>"),
        (&["home", "x", "--all"], "--all"),
        (&["home", "x", "x"], "found x twice"),
        (&["velocity", "x", "0"], "above 0"),
        (&["velocity", "r", "1mm/s"], "10deg/s"),
    ] {
        refused(arguments).expect_error(2, &[words]);
    }
}

#[test]
fn home_moves_to_the_position_of_the_settings() {
    let (simulator, address) = simulator(FAST);
    let homed = object(&address, &["home", "x", "--wait"]);
    assert_eq!((&homed["axis"], &homed["ended"]), (&"x".into(), &true.into()));
    near(position(&address, "x"), homed["target_mm"].as_f64().unwrap());
    let sent = simulator.truth().received();
    assert!(sent.iter().any(|sent| sent.frame.code == CommandCode::STAGE_HOME));
}

#[test]
fn all_axes_are_homed() {
    let (simulator, address) = simulator(FAST);
    let homed = ask(&address, &["home", "--all", "--wait", "--json"]).expect_done().objects();
    assert_eq!(homed.len(), 4, "{homed:?}");
    let sent = simulator.truth().received();
    let homes = sent.iter().filter(|sent| sent.frame.code == CommandCode::STAGE_HOME);
    let mut axes: Vec<i32> = homes.map(|sent| sent.frame.selector()).collect();
    axes.sort_unstable();
    assert_eq!(axes, [1, 2, 3, 4]);
}

#[test]
fn a_home_position_outside_the_limits_is_refused() {
    let (simulator, address) = simulator("");
    let folder = Folder::new("home_outside");
    let backup = folder.path("old.txt");
    let arguments = ["settings", "set", "Home x-axis", "99", "--yes", "--backup", &backup];
    let saved = ask(&address, &arguments);
    assert_eq!(saved.code, Some(0), "{saved:?}");
    assert!(saved.stderr.contains("warning: the changed settings: home position"), "{saved:?}");
    let ended = ask(&address, &["home", "y", "x"]);
    ended.expect_error(2, &["home of axis x", "at most 12.31 mm", "nothing was moved"]);
    let sent = simulator.truth().received();
    assert!(sent.iter().all(|sent| sent.frame.code != CommandCode::STAGE_HOME));
}

#[test]
fn a_velocity_is_set_and_the_defaults_are_shown() {
    let (simulator, address) = simulator("");
    let set = object(&address, &["velocity", "x", "500um/s"]);
    assert_eq!((&set["velocity_mm_per_s"], &set["acknowledged"]), (&0.5.into(), &true.into()));
    let sent = simulator.truth().received();
    let last =
        sent.iter().rfind(|sent| sent.frame.code == CommandCode::STAGE_VELOCITY_SET).unwrap();
    assert_eq!((last.frame.selector(), last.frame.value), (1, 0.5));
    let shown = ask(&address, &["velocity", "--json"]);
    assert_eq!(shown.expect_done().objects().len(), 4);
}

#[test]
fn a_failure_names_the_axis_only_once() {
    let (_simulator, address) = simulator("never_answered = [\"STAGE_POSITION_SET\"]\n");
    let ended = ask(&address, &["move", "x", "8", "--timeout", "300ms"]);
    ended.expect_error(4, &["axis x to 8 mm"]);
    assert_eq!(ended.stderr.matches("axis x").count(), 1, "{}", ended.stderr);
}
