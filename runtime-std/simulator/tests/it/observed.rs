//! What real instruments were observed to do, one scenario key each: statuses, positions, lights, codes, settings.
//! Workflows are in `observed_workflows.rs`.

#![allow(clippy::float_cmp)] // the positions of an axis at rest are exact

use flamingo_protocol_core::{CommandCode as Code, Flags, Frame};
use flamingo_runtime_testkit::raw_client::{
    PROMPT, RawClient, codes, command, move_to, query, simulator, two_clients,
};
use flamingo_simulator::{
    Fault, Scenario, ScenarioCode, Simulator, SimulatorOptions, StatusSetters,
};

fn started(change: impl FnOnce(&mut Scenario)) -> Simulator {
    let mut scenario = Scenario::from_toml(PROMPT).unwrap();
    change(&mut scenario);
    smol::block_on(Simulator::start(SimulatorOptions::new(scenario))).unwrap()
}

fn status_of(client: &mut RawClient, frame: &Frame) -> i32 {
    client.ask(frame).frame.status
}

#[test]
fn only_handlers_known_to_set_the_status_answer_1() {
    let simulator = started(|scenario| scenario.status.set_by = StatusSetters::Known);
    let mut client = RawClient::connect(&simulator);
    for code in [Code::SYSTEM_STATE_GET, Code::CAMERA_IMAGE_SIZE_GET, Code::CAMERA_LIVE_VIEW_START]
    {
        assert_eq!(status_of(&mut client, &command(code)), 1, "{code}");
    }
    let position = client.ask(&query(1)).frame;
    assert_eq!((position.status, position.value), (0, 7.5), "the data is right");
    assert_eq!(status_of(&mut client, &command(Code::CAMERA_WORK_FLOW_STOP)), 0);
    // A handler that sets no status hands back what it received.
    assert_eq!(status_of(&mut client, &Frame { status: 7, ..query(1) }), 7);
}

#[test]
fn a_server_that_sets_no_status_still_gives_correct_data() {
    let simulator = started(|scenario| scenario.status.set_by = StatusSetters::None);
    let mut client = RawClient::connect(&simulator);
    let state = client.ask(&command(Code::SYSTEM_STATE_GET)).frame;
    assert_eq!((state.status, state.selector()), (0, Code::SYSTEM_STATE_IDLE.0 as i32));
    assert_eq!(status_of(&mut client, &move_to(1, 7.51)), 0);
    let (_, stopped) = client.until_code(Code::STAGE_MOTION_STOPPED);
    assert_eq!(stopped.frame.status, 1, "a push is no answer");
    assert_eq!(client.ask(&query(1)).frame.value, 7.51);
    let halted = command(Code::STAGE_HALT).with_selector(1);
    assert_eq!(status_of(&mut client, &halted), 0);
}

#[test]
fn the_status_of_one_code_can_be_chosen() {
    let simulator = started(|scenario| {
        scenario.status.set_by = StatusSetters::None;
        let codes = &mut scenario.status.codes;
        codes.insert(ScenarioCode(Code::STAGE_POSITION_GET), 1);
        codes.insert(ScenarioCode(Code::STAGE_POSITION_SET), 3);
    });
    let mut client = RawClient::connect(&simulator);
    assert_eq!(status_of(&mut client, &query(1)), 1);
    assert_eq!(status_of(&mut client, &move_to(1, 7.51)), 3);
    assert_eq!(status_of(&mut client, &move_to(1, 99.0)), 0, "a refusal");
    assert_eq!(status_of(&mut client, &command(Code::SYSTEM_STATE_GET)), 0);
}

#[test]
fn the_status_of_a_broadcast_is_that_of_its_answer() {
    let simulator = started(|scenario| scenario.status.set_by = StatusSetters::None);
    let [mut actor, mut witness] = two_clients(&simulator);
    actor.ask(&command(Code::CAMERA_EXPOSURE_SET).with_selector(5_000));
    let seen = witness.settle();
    assert_eq!(codes(&seen), [Code::CAMERA_EXPOSURE_SET]);
    assert_eq!(seen[0].frame.status, 0);
}

#[test]
fn a_live_view_stop_answers_1_only_if_one_ran() {
    let simulator = simulator("");
    let mut client = RawClient::connect(&simulator);
    client.ask(&command(Code::CAMERA_LIVE_VIEW_START));
    let stop = command(Code::CAMERA_LIVE_VIEW_STOP);
    let stopped = client.ask(&stop).frame;
    assert_eq!((stopped.status, stopped.text()), (1, Ok("")));
    for sent in [0, 7] {
        let idle = client.ask(&Frame { status: sent, ..stop }).frame;
        assert_eq!(idle.status, sent);
        assert!(!idle.text().unwrap().is_empty());
    }
}

#[test]
fn a_linear_axis_can_answer_0_while_it_moves() {
    let simulator = started(|scenario| {
        scenario.stage.zero_while_moving = true;
        scenario.pushes.position_hz = 0.0;
    });
    let mut client = RawClient::connect(&simulator);
    client.ask(&move_to(3, 25.0));
    client.ask(&move_to(4, 700.0));
    assert_eq!(client.ask(&query(3)).frame.value.to_bits(), 0);
    assert!(client.ask(&query(4)).frame.value > 0.0, "R is no linear axis");
    assert_eq!(client.ask(&query(1)).frame.value, 7.5, "X does not move");
    client.ask(&command(Code::STAGE_HALT).with_selector(3));
    assert!(client.ask(&query(3)).frame.value >= 19.0);
}

#[test]
fn a_clamped_target_ends_with_status_1_at_the_clamp() {
    let simulator = started(|scenario| {
        scenario.stage.x.clamp_max = Some(7.6);
        scenario.stage.x.clamp_min = Some(7.45);
    });
    let mut client = RawClient::connect(&simulator);
    for (target, stands) in [(8.0, 7.6), (1.0, 7.45), (-5.0, 7.45), (7.5, 7.5)] {
        assert_eq!(status_of(&mut client, &move_to(1, target)), 1, "{target}");
        let (_, stopped) = client.until_code(Code::STAGE_MOTION_STOPPED);
        assert_eq!((stopped.frame.status, stopped.frame.value), (1, stands), "{target}");
        assert_eq!(client.ask(&query(1)).frame.value, stands, "{target}");
    }
    assert_eq!(status_of(&mut client, &move_to(1, f64::NAN)), 0);
}

const LIGHTS: [Code; 7] = [
    Code::LED_SET,
    Code::LED_PREVIEW_ENABLE,
    Code::LED_PREVIEW_DISABLE,
    Code::ILLUMINATION_LEFT_ENABLE,
    Code::ILLUMINATION_LEFT_DISABLE,
    Code::ILLUMINATION_RIGHT_ENABLE,
    Code::ILLUMINATION_RIGHT_DISABLE,
];
const LASERS: [Code; 5] = [
    Code::LASER_ENABLE,
    Code::LASER_ENABLE_PREVIEW,
    Code::LASER_ENABLE_LINE,
    Code::LASER_DISABLE,
    Code::LASER_DISABLE_ALL,
];

#[test]
fn led_and_illumination_commands_are_echoed_lasers_are_not() {
    let simulator = simulator(PROMPT);
    let mut client = RawClient::connect(&simulator);
    for code in LIGHTS {
        let sent = command(code).with_selector(1);
        client.send(&sent);
        let got = client.settle();
        assert_eq!(codes(&got), [code]);
        assert_eq!(got[0].frame, Frame { status: 1, ..sent });
        client.send(&Frame::new(code).with_selector(1));
        assert!(client.settle().is_empty(), "{code} without TRIGGER_CALL_BACK");
    }
    for code in LASERS {
        client.send(&command(code).with_selector(1));
        assert!(client.settle().is_empty(), "{code}");
    }
}

#[test]
fn the_acknowledgement_of_lights_can_be_absent() {
    let simulator = simulator(&format!("[light]\nacknowledged = false\n{PROMPT}"));
    let mut client = RawClient::connect(&simulator);
    for code in LIGHTS {
        client.send(&command(code).with_selector(1));
        assert!(client.settle().is_empty(), "{code}");
    }
}

#[test]
fn a_laser_level_is_pushed_after_it_was_set() {
    let mut set = command(Code::LASER_LEVEL_SET).with_selector(2);
    set.set_text("33.5").unwrap();
    for (pushed, expected) in [(true, vec![Code::LASER_LEVEL_GET]), (false, vec![])] {
        let simulator = started(|scenario| scenario.light.level_pushed_after_set = pushed);
        let mut client = RawClient::connect(&simulator);
        client.send(&set);
        let got = client.settle();
        assert_eq!(codes(&got), expected);
        assert!(got.iter().all(|got| got.frame.text() == Ok("33.50")));
    }
}

#[test]
fn older_camera_codes_are_four_higher() {
    let simulator = started(|scenario| {
        scenario.camera.older_codes = true;
        scenario.never_answered = vec![ScenarioCode(Code(0x303A))];
    });
    let mut client = RawClient::connect(&simulator);
    client.ask(&command(Code::CAMERA_LIVE_VIEW_START));
    let size = client.ask(&command(Code(0x302B)));
    assert_eq!((size.frame.status, size.frame.int32_data), (1, [512, 512, 0]));
    assert!(size.payload.is_empty(), "it is no check of a workflow");
    assert_eq!(client.ask(&command(Code(0x303B))).frame.value, 0.000_253);
    client.upload(&command(Code(0x302F)), b"nonsense");
    assert_eq!(client.until_code(Code(0x302F)).1.payload, b"work flow is none\n");
    for unknown in [0x3027, 0x3037, 0x303A] {
        client.send(&command(Code(unknown)));
        let got = codes(&client.settle());
        assert!(!got.contains(&Code(unknown)), "0x{unknown:04X}");
    }
    assert_eq!(client.ask(&command(Code::CAMERA_EXPOSURE_GET)).frame.selector(), 9_002);
}

#[test]
fn the_image_size_comes_with_the_pitch_of_the_sensor() {
    let simulator = simulator("");
    let sent = command(Code::CAMERA_IMAGE_SIZE_GET);
    let answer = RawClient::connect(&simulator).ask(&sent).frame;
    assert!(answer.flags.contains(Flags::TRIGGER_CALL_BACK));
    assert_eq!((answer.value, answer.int32_data), (6.5, [0, 0, 0]));
}

#[test]
fn settings_can_be_pushed_when_the_live_view_starts() {
    let simulator = simulator(&format!("[settings]\npushed_at_live_start = true\n{PROMPT}"));
    let [mut viewer, mut witness] = two_clients(&simulator);
    let saved = b"<A>\n</A>\n";
    viewer.upload(&command(Code::COMMON_SCOPE_SETTINGS_SAVE), saved);
    viewer.until_code(Code::COMMON_SCOPE_SETTINGS_SAVE);
    for _ in 0..2 {
        viewer.send(&command(Code::CAMERA_LIVE_VIEW_START));
    }
    for client in [&mut viewer, &mut witness] {
        let got = client.settle();
        let pushed: Vec<_> =
            got.iter().filter(|got| got.frame.code == Code::COMMON_SCOPE_SETTINGS).collect();
        assert_eq!(pushed.len(), 1, "once, when it starts");
        assert_eq!(pushed[0].payload, saved);
        assert!(!pushed[0].frame.flags.contains(Flags::TRIGGER_CALL_BACK));
    }
}

#[test]
fn settings_are_loaded_without_the_flag_too() {
    let simulator = simulator("");
    let answer = RawClient::connect(&simulator).ask(&Frame::new(Code::COMMON_SCOPE_SETTINGS_LOAD));
    assert_eq!((answer.frame.status, answer.frame.flags), (1, Flags(0)));
    assert!(answer.payload.len() > 2_000);
}

#[test]
fn a_server_can_obey_and_answer_nothing() {
    let simulator = started(|scenario| scenario.faults.lost_answers = Fault::every(1));
    let mut client = RawClient::connect(&simulator);
    client.send(&command(Code::SYSTEM_STATE_GET));
    client.send(&move_to(1, 12.0));
    let (pushed, _) = client.until_code(Code::STAGE_POSITION_GET);
    assert!(pushed.is_empty(), "no answer before the first push");
    client.send(&command(Code::STAGE_HALT).with_selector(1));
    let (before, stopped) = client.until_code(Code::STAGE_MOTION_STOPPED);
    assert_eq!((stopped.frame.status, stopped.frame.selector()), (0, 1));
    assert!(stopped.frame.value < 12.0, "it stopped on the way");
    assert!(before.iter().all(|got| got.frame.code == Code::STAGE_POSITION_GET));
}

#[test]
fn the_state_alone_can_stay_unanswered() {
    let simulator = started(|scenario| {
        scenario.never_answered = vec![ScenarioCode(Code::SYSTEM_STATE_GET)];
    });
    let mut client = RawClient::connect(&simulator);
    client.send(&command(Code::SYSTEM_STATE_GET));
    let (before, _) = {
        client.send(&query(1));
        client.until_code(Code::STAGE_POSITION_GET)
    };
    assert!(before.is_empty());
}
