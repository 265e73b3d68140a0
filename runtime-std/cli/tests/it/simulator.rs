//! `flamingo` against the simulated instrument: every client command, `sim` itself, `demo`.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::program::{Ended, flamingo, start};
use flamingo_protocol_core::{CommandCode, FRAME_LEN};
use flamingo_runtime_std::Clock;
use flamingo_simulator::{Scenario, Simulator, SimulatorOptions};
use serde_json::Value;

fn simulator(scenario: &str) -> (Simulator, String) {
    let scenario = Scenario::from_toml(scenario).unwrap();
    let options = SimulatorOptions::new(scenario);
    let simulator = smol::block_on(Simulator::start(options)).unwrap();
    let address = simulator.control().to_string();
    (simulator, address)
}

fn ask(address: &str, arguments: &[&str]) -> Ended {
    flamingo(&[arguments, &["--connect", address]].concat())
}

/// The object of a command that prints one, with `--json`.
fn object(address: &str, arguments: &[&str]) -> Value {
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
fn drives_in_the_buffer_and_settings_under_another_code_are_read_too() {
    let scenario = "[settings]\ndrives_in_buffer = true\nanswer_under_1007 = true\n";
    let (_simulator, address) = simulator(scenario);
    let drives = ask(&address, &["get", "drives"]);
    let expected = "drives      /media/data/ssd1\n            /media/data/ssd2\n";
    assert_eq!(drives.expect_done().stdout, expected);
    let settings = object(&address, &["get", "settings"]);
    assert_eq!(settings["code"], 0x1007);
}

#[test]
fn a_declining_laser_is_a_failure() {
    let (_simulator, address) = simulator("[light]\ndeclining_lasers = [3]\n");
    ask(&address, &["get", "laser", "3"]).expect_error(5, &["laser 3", "getLevel error"]);
}

#[test]
fn a_command_that_the_instrument_does_not_know_is_no_answer_in_time() {
    let (_simulator, address) = simulator("never_answered = [\"CAMERA_EXPOSURE_GET\"]\n");
    let ended = ask(&address, &["get", "exposure", "--timeout", "300ms"]);
    ended.expect_error(4, &["CAMERA_EXPOSURE_GET", "300ms"]);
    let unknown = ask(&address, &["send", "0x6FFF", "--timeout", "300ms"]);
    unknown.expect_error(4, &["0x6FFF"]);
}

#[test]
fn a_move_that_is_waited_for_has_arrived() {
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
fn a_short_move_whose_acknowledgement_comes_late_ends_with_its_motion() {
    let scenario = "[latency]\nmove_ack_ms = 1500\n[stage]\nspeed_factor = 10\n";
    let (_simulator, address) = simulator(scenario);
    let moved = object(&address, &["move", "z", "19.25", "--wait"]);
    assert_eq!((&moved["ended"], &moved["acknowledged"]), (&true.into(), &false.into()));
    assert!(moved["motion_ms"].as_f64().unwrap() < 1500.0, "{moved}");
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
fn a_target_beyond_the_limits_of_the_settings_moves_nothing() {
    let (simulator, address) = simulator("");
    ask(&address, &["move", "x", "12.5"])
        .expect_error(2, &["axis x", "12.31", "nothing was moved"]);
    ask(&address, &["move", "r", "-721", "--wait"]).expect_error(2, &["axis r", "-720"]);
    for command in simulator.truth().received() {
        assert_ne!(command.frame.code, CommandCode::STAGE_POSITION_SET);
    }
}

#[test]
fn halt_stops_every_axis_in_the_middle_of_its_motion() {
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
fn ctrl_c_stops_the_axis_that_moves() {
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
fn watch_shows_what_is_asked_for_and_ends_after_so_many() {
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
fn watch_ends_by_itself_after_a_time_and_by_ctrl_c() {
    let (_simulator, address) = simulator("");
    let ended = ask(&address, &["watch", "--for", "150ms"]);
    assert_eq!(ended.expect_done().stdout, "");
    let running = start(&["-v", "watch", "--connect", &address]);
    running.expect_log("watching");
    running.interrupt();
    let ended = running.ended();
    assert_eq!(ended.code, Some(130), "{ended:?}");
    assert!(ended.stderr.contains("flamingo: error: interrupted\n"), "{ended:?}");
}

#[test]
fn ctrl_c_ends_a_watch_whose_reader_does_not_read() {
    let codes = "codes = [\"UI_SET_GAUGE_VALUE\"]\n";
    let (_simulator, address) = simulator(&format!("[background]\nframes_per_s = 20000\n{codes}"));
    let mut child = Command::new(env!("CARGO_BIN_EXE_flamingo"))
        .args(["watch", "-v", "--json", "--connect", &address])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(log.any(|line| line.contains("watching")));
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
fn watch_says_how_many_messages_were_missed_while_stdout_was_not_read() {
    let codes = "codes = [\"UI_SET_GAUGE_VALUE\"]\n";
    let (simulator, address) = simulator(&format!("[background]\nframes_per_s = 20000\n{codes}"));
    let mut child = Command::new(env!("CARGO_BIN_EXE_flamingo"))
        .args(["watch", "-v", "--json", "--connect", &address])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(log.any(|line| line.contains("watching")));
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
fn send_gives_the_answer_of_any_command() {
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
fn sim_says_where_it_listens_serves_and_ends_cleanly() {
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
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(130), ""), "{ended:?}");
    ask(&address, &["get", "state"]).expect_error(3, &["cannot connect"]);
}

#[test]
fn a_scenario_that_cannot_be_used_is_bad_usage() {
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
fn the_demo_ends_in_time_without_a_lost_event() {
    let clock = Clock::start();
    let ended = flamingo(&["--json"]);
    let took = Duration::from(clock.now().since(flamingo_protocol_core::Instant::default()));
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
fn the_demo_for_people_closes_with_a_table() {
    let ended = flamingo(&["demo"]);
    let stdout = &ended.expect_done().stdout;
    for row in ["requests ", "answers ", "late ", "timeouts ", "events ", "latency p50 "] {
        assert!(stdout.lines().any(|line| line.starts_with(row)), "{row}: {stdout}");
    }
    let lost = stdout.lines().find(|line| line.starts_with("events lost ")).unwrap();
    assert_eq!(lost.split_whitespace().nth(2), Some("0"), "{lost}");
    assert!(stdout.contains("before its acknowledgement"), "{stdout}");
}

#[test]
fn a_demo_whose_reader_goes_ends_silently() {
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
