//! Profiles in the user's file: which one is used, what it says, and `flamingo config`.

use crate::program::{Ended, start_in};
use crate::simulator::simulator;
use flamingo_runtime_testkit::folder::Folder;

/// Runs the program with this file, and with variables beside it.
fn with_file(file: &str, variables: &[(&str, &str)], arguments: &[&str]) -> Ended {
    start_with_profile(file, variables, arguments).ended()
}

fn start_with_profile(
    file: &str,
    variables: &[(&str, &str)],
    arguments: &[&str],
) -> crate::program::Running {
    let variables = [&[("FLAMINGO_CONFIG", file)], variables].concat();
    start_in(&variables, arguments)
}

fn two_rigs(folder: &Folder, rig1: &str, rig2: &str) -> String {
    let text = format!("[rig1]\nconnect = \"{rig1}\"\n[rig2]\nconnect = \"{rig2}\"\n");
    folder.file("config.toml", text)
}

fn exposure(ended: &Ended) -> u64 {
    ended.expect_done().object()["exposure_us"].as_u64().unwrap()
}

const EXPOSURE: [&str; 3] = ["get", "exposure", "--json"];

#[test]
fn a_profile_is_chosen_by_option_variable_and_default() {
    let folder = Folder::new("profiles");
    let (_one, first) = simulator("[camera]\nexposure_us = 5000\n");
    let (_two, second) = simulator("[camera]\nexposure_us = 6000\n");
    let file = two_rigs(&folder, &first, &second);
    let on = |name| [&EXPOSURE[..], &["--on", name]].concat();
    assert_eq!(exposure(&with_file(&file, &[], &on("rig1"))), 5000);
    assert_eq!(exposure(&with_file(&file, &[], &on("rig2"))), 6000);
    assert_eq!(exposure(&with_file(&file, &[("FLAMINGO_PROFILE", "rig2")], &EXPOSURE)), 6000);
    let both = [("FLAMINGO_PROFILE", "rig2")];
    assert_eq!(
        exposure(&with_file(&file, &both, &on("rig1"))),
        5000,
        "an option counts before a variable"
    );
    let both = [("FLAMINGO_CONNECT", first.as_str()), ("FLAMINGO_PROFILE", "rig2")];
    let shown = with_file(&file, &both, &["config", "show", "--json"]).object();
    assert_eq!(shown["connect"], first.as_str(), "an address counts before a profile");
    let connect = [&EXPOSURE[..], &["--on", "rig1", "--connect", &second]].concat();
    assert_eq!(
        exposure(&with_file(&file, &[], &connect)),
        6000,
        "the profile with another address"
    );
    let text = format!("default = \"rig2\"\n{}", std::fs::read_to_string(&file).unwrap());
    let file = folder.file("default.toml", text);
    assert_eq!(exposure(&with_file(&file, &[], &EXPOSURE)), 6000);
}

#[test]
fn an_unknown_profile_is_refused_with_the_known_ones() {
    let folder = Folder::new("unknown_profile");
    let file = two_rigs(&folder, "10.0.0.5", "10.0.0.6");
    with_file(&file, &[], &["get", "state", "--on", "rig3"])
        .expect_error(2, &["config.toml", "rig1, rig2", "\"rig3\"", "did you mean"]);
    with_file("/no/such/file", &[], &["get", "state", "--on", "rig2"])
        .expect_error(2, &["there is none", "/no/such/file"]);
    with_file(&file, &[], &["sim", "--on", "rig2"]).expect_error(2, &["no instrument"]);
}

#[test]
fn a_broken_file_stops_no_halt_that_has_an_address() {
    let folder = Folder::new("broken_profiles");
    let (_simulator, address) = simulator("");
    let file = folder.file("config.toml", "[rig2\n");
    let halted = with_file(&file, &[], &["halt", "--connect", &address]);
    assert_eq!(halted.code, Some(0), "{halted:?}");
    assert!(halted.stderr.contains("line 1"), "{halted:?}");
    with_file(&file, &[], &["get", "state", "--connect", &address]).expect_error(2, &["line 1"]);
    with_file(&file, &[], &["config", "path"]).expect_done();
    with_file(&file, &[], &["decode", "/no/such"]).expect_error(2, &["/no/such"]);
}

#[test]
fn what_is_special_about_an_instrument_is_in_its_profile() {
    let folder = Folder::new("special_profile");
    let (_simulator, address) = simulator("");
    let text = format!("[rig]\nconnect = \"{address}\"\nunmarked.positions = true\n");
    let file = folder.file("config.toml", text);
    let query = ["get", "position", "--axis", "x", "--json", "--on", "rig"];
    let answer = with_file(&file, &[], &query);
    assert_eq!(answer.expect_done().object()["proven"], false, "a push may look like it");
}

#[test]
fn config_shows_where_each_value_comes_from() {
    let folder = Folder::new("config_show");
    let file = two_rigs(&folder, "10.0.0.5", "10.0.0.6:1234");
    let shown = with_file(&file, &[], &["config", "show", "--on", "rig1"]);
    let said = &shown.expect_done().stdout;
    for line in ["profile     rig1  (from --on)", "connect     10.0.0.5:53717  (from the profile)"]
    {
        assert!(said.contains(line), "{said}");
    }
    let shown = with_file(&file, &[], &["config", "show", "--json"]).expect_done().object();
    assert_eq!((&shown["profile"], &shown["connect"]), (&().into(), &"127.0.0.1:53717".into()));
    assert_eq!(shown["profiles"], serde_json::json!(["rig1", "rig2"]));
}

#[test]
fn config_edit_begins_with_a_sample_and_checks_the_file() {
    let folder = Folder::new("config_edit");
    let file = folder.path("new/config.toml");
    let edited = with_file(&file, &[("VISUAL", ""), ("EDITOR", "true")], &["config", "edit"]);
    assert_eq!(edited.code, Some(0), "{edited:?}");
    assert!(std::fs::read_to_string(&file).unwrap().contains("[rig2]"));
    let broken = folder.file("broken.toml", "rig2 = 1\n");
    with_file(&broken, &[("VISUAL", "true")], &["config", "edit"]).expect_error(2, &["line 1"]);
    let none = with_file(&broken, &[("VISUAL", ""), ("EDITOR", "")], &["config", "edit"]);
    none.expect_error(2, &["VISUAL or EDITOR", "broken.toml"]);
}
