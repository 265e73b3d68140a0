//! `flamingo` against the simulated instrument: every client command except `watch`, and `sim`.

use std::process::Command;

use crate::program::{Ended, flamingo, start};
use flamingo_protocol_core::CommandCode;
use flamingo_simulator::{Scenario, Simulator, SimulatorOptions};
use serde_json::Value;

pub(crate) fn simulator(scenario: &str) -> (Simulator, String) {
    let scenario = Scenario::from_toml(scenario).unwrap();
    let options = SimulatorOptions::new(scenario);
    let simulator = smol::block_on(Simulator::start(options)).unwrap();
    let address = simulator.control().to_string();
    (simulator, address)
}

pub(crate) fn ask(address: &str, arguments: &[&str]) -> Ended {
    flamingo(&[arguments, &["--connect", address]].concat())
}

/// Runs a command with `--json` and returns its only object.
pub(crate) fn object(address: &str, arguments: &[&str]) -> Value {
    let ended = ask(address, &[arguments, &["--json"]].concat());
    ended.expect_done().object()
}

#[test]
fn every_query_is_answered_with_its_unit() {
    let (_simulator, address) = simulator("");
    let state = object(&address, &["get", "state"]);
    assert_eq!((&state["state"], &state["state_code"]), (&"IDLE".into(), &0xA002.into()));
    let position = object(&address, &["get", "position", "--axis", "y"]);
    assert_eq!((&position["axis"], &position["position_mm"]), (&"y".into(), &15.0.into()));
    let rotation = object(&address, &["get", "position", "--axis", "R"]);
    assert_eq!((&rotation["axis"], &rotation["position_deg"]), (&"r".into(), &0.0.into()));
    let size = object(&address, &["get", "image-size"]);
    assert_eq!((&size["width_px"], &size["height_px"]), (&0.into(), &0.into()));
    let pixel = object(&address, &["get", "pixel-size"]);
    assert_eq!(pixel["mm_per_pixel"], 0.000_253);
    let exposure = object(&address, &["get", "exposure"]);
    assert_eq!(exposure["exposure_us"], 9_002);
    let laser = object(&address, &["get", "laser", "2"]);
    assert_eq!(laser["laser"], 2);
    assert!(laser["level_percent"].is_f64(), "{laser}");
    let drives = object(&address, &["get", "drives"]);
    assert_eq!(drives["drives"], serde_json::json!(["/media/data/ssd1", "/media/data/ssd2"]));
    let settings = object(&address, &["get", "settings"]);
    assert!(settings["settings"].as_str().unwrap().contains("<Stage limits>"), "{settings}");
}

#[test]
fn the_json_of_an_answer_carries_its_frame() {
    let (_simulator, address) = simulator("");
    let answer = object(&address, &["get", "position", "--axis", "x"]);
    let keys = [
        "code",
        "name",
        "status",
        "hardware_id",
        "subsystem_id",
        "client_id",
        "int32_data0",
        "int32_data1",
        "int32_data2",
        "flags",
        "value",
        "payload_bytes",
        "text",
        "class",
        "proven",
        "time",
        "elapsed_ms",
    ];
    for key in keys {
        assert!(answer.get(key).is_some(), "{key} in {answer}");
    }
    assert_eq!((&answer["code"], &answer["status"]), (&24584.into(), &1.into()));
    assert_eq!((&answer["class"], &answer["proven"]), (&"solicited".into(), &true.into()));
    let time = answer["time"].as_str().unwrap();
    assert!(humantime::parse_rfc3339(time).is_ok(), "{time}");
}

#[test]
fn text_for_people_has_names_and_units_in_columns() {
    let (_simulator, address) = simulator("");
    let ended = ask(&address, &["get", "position"]);
    let expected = "axis x          7.500000 mm\naxis y         15.000000 mm\n\
        axis z         19.000000 mm\naxis r          0.000000 deg\n";
    assert_eq!(ended.expect_done().stdout, expected);
    assert_eq!(ask(&address, &["get", "state"]).expect_done().stdout, "state       IDLE\n");
    let settings = ask(&address, &["get", "settings"]);
    assert!(settings.expect_done().stdout.contains("\n<Stage limits>\n"), "{settings:?}");
}

#[test]
fn drives_in_the_buffer_and_settings_with_code_1007_are_read() {
    let scenario = "[settings]\ndrives_in_buffer = true\nanswer_under_1007 = true\n";
    let (_simulator, address) = simulator(scenario);
    let drives = ask(&address, &["get", "drives"]);
    let expected = "drives      /media/data/ssd1\n            /media/data/ssd2\n";
    assert_eq!(drives.expect_done().stdout, expected);
    let settings = object(&address, &["get", "settings"]);
    assert_eq!(settings["code"], 0x1007);
}

#[test]
fn a_refusing_laser_is_a_failure() {
    let (_simulator, address) = simulator("[light]\ndeclining_lasers = [3]\n");
    ask(&address, &["get", "laser", "3"]).expect_error(5, &["laser 3", "getLevel error"]);
}

#[test]
fn a_command_unknown_to_the_instrument_times_out() {
    let (_simulator, address) = simulator("never_answered = [\"CAMERA_EXPOSURE_GET\"]\n");
    let ended = ask(&address, &["get", "exposure", "--timeout", "300ms"]);
    ended.expect_error(4, &["CAMERA_EXPOSURE_GET", "300ms"]);
    let unknown = ask(&address, &["send", "0x6FFF", "--timeout", "300ms"]);
    unknown.expect_error(4, &["0x6FFF"]);
}

#[test]
fn a_move_with_wait_has_arrived() {
    let (_simulator, address) = simulator("[stage]\nspeed_factor = 10\n");
    let moved = object(&address, &["move", "x", "9.25", "--wait"]);
    assert_eq!((&moved["axis"], &moved["target_mm"]), (&"x".into(), &9.25.into()));
    assert_eq!((&moved["ended"], &moved["name"]), (&true.into(), &"STAGE_MOTION_STOPPED".into()));
    let position = object(&address, &["get", "position", "--axis", "x"]);
    assert_eq!(position["position_mm"], 9.25);
    for (target, degrees) in [("-12.5", -12.5), ("-.5", -0.5), ("-1e1", -10.0)] {
        let turned = object(&address, &["move", "r", target, "--wait"]);
        assert_eq!(turned["target_deg"], degrees);
    }
    let turned = object(&address, &["move", "--wait", "r", "-1.5"]);
    assert_eq!((&turned["target_deg"], &turned["ended"]), (&(-1.5).into(), &true.into()));
}

#[test]
fn a_short_move_with_a_late_acknowledgement_is_confirmed() {
    let scenario = "[latency]\nmove_ack_ms = 1500\n[stage]\nspeed_factor = 10\n";
    let (_simulator, address) = simulator(scenario);
    let moved = object(&address, &["move", "z", "19.25", "--wait"]);
    assert_eq!((&moved["ended"], &moved["acknowledged"]), (&true.into(), &true.into()));
    // The answer about its position comes after the acknowledgement.
    assert!(moved["motion_ms"].as_f64().unwrap() < 2500.0, "{moved}");
}

#[test]
fn a_move_without_wait_ends_with_its_acknowledgement() {
    let (simulator, address) = simulator("[stage]\nspeed_factor = 0.1\n");
    let moved = object(&address, &["move", "y", "20"]);
    assert_eq!((&moved["ended"], &moved["acknowledged"]), (&false.into(), &true.into()));
    assert_eq!(moved["name"], "STAGE_POSITION_SET");
    let sent = simulator.truth().received();
    let last = sent.last().unwrap();
    assert_eq!((last.frame.code, last.frame.value), (CommandCode::STAGE_POSITION_SET, 20.0));
}

#[test]
fn a_target_outside_the_limits_of_the_settings_moves_nothing() {
    let (simulator, address) = simulator("");
    ask(&address, &["move", "x", "12.5"])
        .expect_error(2, &["axis x", "12.31", "nothing was moved"]);
    ask(&address, &["move", "r", "-721", "--wait"]).expect_error(2, &["axis r", "-720"]);
    for command in simulator.truth().received() {
        assert_ne!(command.frame.code, CommandCode::STAGE_POSITION_SET);
    }
}

#[test]
fn halt_stops_every_moving_axis() {
    let (_simulator, address) = simulator("[stage]\nspeed_factor = 0.01\n");
    for (axis, target) in [("x", "9"), ("y", "20"), ("z", "22"), ("r", "90")] {
        ask(&address, &["move", axis, target]).expect_done();
    }
    let halted = ask(&address, &["halt", "--json"]);
    let axes: Vec<_> =
        halted.expect_done().objects().iter().map(|object| object["axis"].clone()).collect();
    assert_eq!(axes, ["x", "y", "z", "r"]);
    let before = ask(&address, &["get", "position"]);
    let after = ask(&address, &["get", "position"]);
    assert_eq!(before.expect_done().stdout, after.expect_done().stdout, "they stand still");
}

#[test]
fn ctrl_c_stops_the_moving_axis() {
    let (simulator, address) = simulator("[stage]\nspeed_factor = 0.01\n");
    let arguments = ["-v", "move", "x", "9", "--wait", "--connect", &address];
    let running = start(&arguments);
    running.expect_log("moving");
    running.interrupt();
    let ended = running.ended();
    assert_eq!(ended.code, Some(130), "{ended:?}");
    assert!(ended.stderr.contains("interrupted, axis x halted"), "{ended:?}");
    let last = simulator.truth().received().pop().unwrap();
    assert_eq!((last.frame.code, last.frame.selector()), (CommandCode::STAGE_HALT, 1));
}

#[test]
fn send_prints_the_answer_to_any_command() {
    let (simulator, address) = simulator("");
    let answer = object(&address, &["send", "stage_position_get", "--data0", "3"]);
    assert_eq!((&answer["value"], &answer["proven"]), (&19.0.into(), &true.into()));
    let state = object(&address, &["send", "0xA007", "--no-callback"]);
    assert_eq!((&state["int32_data0"], &state["flags"]), (&0xA002.into(), &0.into()));
    let sent = object(&address, &["send", "SYSTEM_STATE_GET", "--no-answer"]);
    assert_eq!(sent["sent"], true);
    let settings = ask(&address, &["send", "COMMON_SCOPE_SETTINGS_LOAD"]);
    assert!(settings.expect_done().stdout.contains("<Stage limits>"), "{settings:?}");
    let received = simulator.truth().received();
    assert!(received.iter().any(|command| command.frame.code == CommandCode::SYSTEM_STATE_GET));
}

#[test]
fn the_address_can_come_from_the_environment() {
    let (_simulator, address) = simulator("");
    let output = Command::new(env!("CARGO_BIN_EXE_flamingo"))
        .args(["get", "state"])
        .env("FLAMINGO_CONNECT", &address)
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "state       IDLE\n");
}

#[test]
fn sim_prints_its_ports_serves_and_ends_cleanly() {
    let running = start(&["sim", "--port", "0", "--seed", "7"]);
    let ready: Value = serde_json::from_str(&running.line()).unwrap();
    assert_eq!(ready["ready"], true);
    let control = ready["control"].as_u64().unwrap();
    assert_eq!(ready["live"], control + 1);
    assert_eq!(ready["stack"], control + 2);
    let address = format!("127.0.0.1:{control}");
    ask(&address, &["get", "state"]).expect_done();

    let taken = flamingo(&["sim", "--port", &control.to_string()]);
    taken.expect_error(2, &[&address, "choose another port"]);

    running.interrupt();
    let ended = running.ended();
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), ""), "{ended:?}");
    ask(&address, &["get", "state"]).expect_error(3, &["cannot connect"]);
}

#[test]
fn an_invalid_scenario_is_bad_usage() {
    let file = std::env::temp_dir().join(format!("flamingo-scenario-{}", std::process::id()));
    std::fs::write(&file, "[stage]\nspeed = 1\n").unwrap();
    let name = file.to_str().unwrap();
    let ended = flamingo(&["sim", "--port", "0", "--scenario", name]);
    ended.expect_error(2, &[name, "line 2", "speed"]);
    std::fs::remove_file(&file).unwrap();
    let missing = flamingo(&["sim", "--port", "0", "--scenario", "/no/such/file.toml"]);
    missing.expect_error(2, &["cannot read", "/no/such/file.toml"]);
    // TEST-NET-1: nobody has this address.
    flamingo(&["sim", "--port", "0", "--bind", "192.0.2.1"])
        .expect_error(2, &["192.0.2.1", "an address of this machine"]);
    flamingo(&["sim", "--port", "65535"]).expect_error(2, &["65533"]);
}

#[test]
fn a_named_scenario_is_listed_and_simulated() {
    let listed = flamingo(&["sim", "--list", "--json"]);
    let names: Vec<_> =
        listed.expect_done().objects().iter().map(|each| each["name"].clone()).collect();
    assert!(names.contains(&"busy".into()) && names.len() > 10, "{names:?}");
    let running = start(&["sim", "--port", "0", "--scenario", "busy"]);
    let address = crate::program::address(&running.ports()["control"]);
    ask(&address, &["watch", "--count", "50", "--for", "20s"]).expect_code(0);
    flamingo(&["sim", "--scenario", "bussy"]).expect_error(2, &["did you mean busy?", "--list"]);
    flamingo(&["sim", "--scenario", "no.toml"]).expect_error(2, &["no.toml", "cannot read"]);
}

#[test]
fn a_verbose_simulator_shows_its_clients_and_their_commands() {
    let running = start(&["-v", "sim", "--port", "0"]);
    let address = crate::program::address(&running.ports()["control"]);
    ask(&address, &["get", "exposure"]).expect_done();
    for words in [
        "client connected",
        "received CAMERA_EXPOSURE_GET",
        "answered CAMERA_EXPOSURE_GET",
        "client left",
    ] {
        running.expect_log(words);
    }
}
