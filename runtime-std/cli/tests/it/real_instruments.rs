//! What real instruments do and few programs expect: statuses that are not set, positions of 0 in
//! motion, clamped targets, pushes without their mark.

use crate::doctor::{doctor, expect_cause, server};
use crate::program::{Ended, flamingo};
use flamingo_protocol_core::{CommandCode, Frame};
use flamingo_runtime_testkit::folder::Folder;
use flamingo_runtime_testkit::raw_client;
use flamingo_simulator::Simulator;
use std::io::{Read, Write};
use std::net::TcpStream;

const UNSET_STATUS: &str = include_str!("../../../simulator/scenarios/unset-status.toml");

fn simulator(scenario: &str) -> (Simulator, String) {
    let simulator = raw_client::simulator(scenario);
    let address = simulator.control().to_string();
    (simulator, address)
}

fn run(address: &str, arguments: &[&str]) -> Ended {
    flamingo(&[arguments, &["--connect", address]].concat())
}

#[test]
fn an_instrument_that_sets_no_status_is_usable() {
    let scenario = format!("{UNSET_STATUS}[stage]\nspeed_factor = 10\n");
    let (_simulator, address) = simulator(&scenario);
    for query in ["state", "image-size", "pixel-size", "exposure", "drives"] {
        let ended = run(&address, &["get", query]);
        assert!(ended.expect_done().stdout.contains("presumed success"), "{query}: {ended:?}");
    }
    for axis in ["x", "y", "z", "r"] {
        run(&address, &["get", "position", "--axis", axis]).expect_done();
    }
    let answer = run(&address, &["--json", "get", "state"]).expect_done().object();
    assert_eq!(
        (&answer["outcome"], &answer["state"]),
        (&"presumed success".into(), &"IDLE".into())
    );
    run(&address, &["move", "x", "8", "--wait"]).expect_done();
    run(&address, &["halt"]).expect_done();
    let folder = Folder::new("unset-status");
    let file = folder.file("run.txt", raw_client::workflow(3, "ZStack", 20.49));
    let ended = run(&address, &["workflow", "run", &file]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    expect_cause(&doctor(&address, &[]), 0, &["healthy"]);
}

#[test]
fn doctor_lists_the_status_of_every_code_that_it_asked() {
    let (_simulator, address) = simulator("[status]\nset_by = \"known\"\n");
    let ended = doctor(&address, &[]);
    for line in [
        "SYSTEM_STATE_GET (0xA007) has status 1: success",
        "STAGE_POSITION_GET (0x6008) has status 0: presumed success",
        "CAMERA_IMAGE_SIZE_GET (0x3027) has status",
    ] {
        assert!(ended.stdout.contains(line), "{line:?} in {ended:?}");
    }
}

#[test]
fn what_doctor_learns_is_a_profile_for_other_commands() {
    let folder = Folder::new("profile");
    let file = folder.path("rig.toml");
    let scenario = "[pushes]\nflagged = false\n[stage]\nspeed_factor = 0.02\n";
    let (_simulator, address) = simulator(scenario);
    run(&address, &["move", "x", "9.5"]).expect_done();
    let ended = doctor(&address, &["--save-profile", &file]);
    expect_cause(&ended, 0, &["without their mark", "--unmarked positions"]);
    let profile = std::fs::read_to_string(&file).unwrap();
    assert!(profile.contains("positions = true"), "{profile}");
    assert!(profile.contains("SYSTEM_STATE_GET = \"set\""), "{profile}");
    doctor(&address, &["--save-profile", &file]).expect_error(2, &["exists already; --overwrite"]);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), profile);
    std::fs::write(&file, "").unwrap();
    doctor(&address, &["--save-profile", &file, "--overwrite"]);
    assert!(std::fs::read_to_string(&file).unwrap().contains("positions = true"));
    for option in [["--profile", file.as_str()], ["--unmarked", "positions"]] {
        let query = ["--json", "get", "position", "--axis", "x", option[0], option[1]];
        let answer = run(&address, &query).expect_done().object();
        assert_eq!(answer["proven"], false, "it may be a push: {answer}");
    }
}

#[test]
fn a_profile_with_an_unknown_key_is_bad_usage() {
    let folder = Folder::new("bad-profile");
    let file = folder.file("rig.toml", "[unmarked]\npushes = true\n");
    let ended = run("127.0.0.1:1", &["get", "state", "--profile", &file]);
    ended.expect_error(2, &["--profile", "line 2", "pushes"]);
}

#[test]
fn a_rule_that_says_failure_makes_a_status_of_0_one() {
    let (_simulator, address) = simulator(UNSET_STATUS);
    let refused = run(&address, &["get", "exposure", "--status", "CAMERA_EXPOSURE_GET=set"]);
    refused.expect_error(5, &["CAMERA_EXPOSURE_GET", "status 0"]);
}

#[test]
fn a_position_of_0_in_motion_is_unknown_and_moves_go_on() {
    let scenario = "[stage]\nzero_while_moving = true\nspeed_factor = 0.3\n";
    let (_simulator, address) = simulator(scenario);
    run(&address, &["move", "x", "9.5"]).expect_done();
    let found = run(&address, &["get", "position", "--axis", "x"]);
    assert!(found.expect_done().stdout.contains("unknown"), "{found:?}");
    let found = run(&address, &["--json", "get", "position", "--axis", "x"]);
    assert_eq!(found.expect_done().object()["position_mm"], serde_json::Value::Null);
    run(&address, &["move", "x", "--by", "0.1"]).expect_error(4, &["not known now"]);
    run(&address, &["move", "x", "9.6", "--wait"]).expect_done();
}

#[test]
fn a_clamped_target_is_a_failure_at_the_simulator_too() {
    let scenario = "[stage]\nspeed_factor = 10\n[stage.x]\nclamp_max_mm = 9.0\n";
    let (_simulator, address) = simulator(scenario);
    run(&address, &["move", "x", "9.5", "--wait"]).expect_error(5, &["9 mm", "9.5 mm", "clamped"]);
    run(&address, &["move", "x", "9.5", "--wait", "--tolerance", "1"]).expect_done();
}

/// What to answer to a query, with its payload; `None`: nothing.
type Answering = fn(&Frame) -> Option<(Frame, &'static [u8])>;

/// Answers each query with what `answer` makes of it.
fn answering(stream: &mut TcpStream, answer: Answering) {
    let mut bytes = [0; 128];
    while stream.read_exact(&mut bytes).is_ok() {
        let Ok(query) = Frame::decode(&bytes) else { return };
        let Some((mut frame, payload)) = answer(&query) else { continue };
        frame.payload_len = u32::try_from(payload.len()).unwrap();
        if stream.write_all(&[&frame.encode()[..], payload].concat()).is_err() {
            return;
        }
    }
}

#[test]
fn a_bridge_whose_instrument_is_away_is_named_as_the_cause() {
    let address = server(|mut stream| {
        answering(&mut stream, |query| {
            let mut answer = *query;
            (answer.status, answer.int32_data[0]) = (1, 0xA001);
            (query.code == CommandCode::SYSTEM_STATE_GET).then_some((answer, b""))
        });
    });
    expect_cause(&doctor(&address, &[]), 7, &["DISCONNECTED", "bridge"]);
}

#[test]
fn a_refused_state_query_is_named_with_its_text() {
    let address = server(|mut stream| {
        answering(&mut stream, |query| {
            let mut answer = *query;
            answer.set_text("refused: the instrument is away").unwrap();
            Some((answer, b""))
        });
    });
    expect_cause(&doctor(&address, &[]), 5, &["the instrument is away", "in between"]);
}

#[test]
fn settings_without_limits_are_not_as_documented() {
    let address = server(|mut stream| {
        answering(&mut stream, |query| {
            let mut answer = *query;
            answer.status = 1;
            match query.code {
                CommandCode::SYSTEM_STATE_GET => answer.int32_data[0] = 0xA002,
                CommandCode::STAGE_POSITION_GET => answer.value = 7.5,
                CommandCode::COMMON_SCOPE_SETTINGS_LOAD => {
                    return Some((answer, b"<Type>\nname = x\n</Type>\n"));
                }
                _ => {}
            }
            Some((answer, b""))
        });
    });
    let ended = doctor(&address, &[]);
    assert!(!ended.stdout.contains("as documented"), "{ended:?}");
    assert!(ended.stdout.contains("no limit of the stage"), "{ended:?}");
}
