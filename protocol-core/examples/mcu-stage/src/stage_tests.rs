//! Tests of the stage on virtual time.
#![allow(clippy::float_cmp, clippy::indexing_slicing)] // positions are exact here

use std::vec::Vec;

use super::*;

fn at(millis: u64) -> Instant {
    Instant::from_micros(millis * 1000)
}

fn command(code: Code) -> Frame {
    Frame::command(code).with_selector(AXIS)
}

fn go(target: f64) -> Frame {
    command(Code::STAGE_POSITION_SET).with_value(target)
}

/// The status of the answer.
fn status(stage: &mut Stage, now: Instant, frame: &Frame) -> Option<i32> {
    stage.command(now, frame).map(|answer| answer.status)
}

fn position(stage: &mut Stage, now: Instant) -> Option<f64> {
    stage.command(now, &command(Code::STAGE_POSITION_GET)).map(|answer| answer.value)
}

/// All events that are due at this time.
fn events(stage: &mut Stage, now: Instant) -> Vec<Frame> {
    core::iter::from_fn(|| stage.poll_event(now)).collect()
}

#[test]
fn an_answer_is_the_command_with_its_result_filled_in() {
    let mut stage = Stage::default();
    let mut query = command(Code::STAGE_POSITION_GET);
    query.client_id = 24;
    query.int32_data = [AXIS, 7, 8];
    let answer = stage.command(at(0), &query);
    assert_eq!(answer, Some(Frame { status: 1, value: 7.5, ..query }));
    let state = stage.command(at(0), &Frame::command(Code::SYSTEM_STATE_GET));
    assert_eq!(state.map(|answer| answer.int32_data[0]), Some(0xA002));
}

#[test]
fn a_move_takes_time_and_pushes_positions_at_40_hz() {
    let mut stage = Stage::default();
    assert_eq!(status(&mut stage, at(1000), &go(8.5)), Some(1));
    assert_eq!(position(&mut stage, at(1333)), Some(7.833));
    let pushes = events(&mut stage, at(1999));
    for (n, push) in (1..).zip(&pushes) {
        let value = f64::from(7500 + 25 * n) / 1000.0;
        assert_eq!((push.code, push.status, push.selector()), (Code::STAGE_POSITION_GET, 1, AXIS));
        assert_eq!((push.flags, push.value), (Flags::STAGE_POSITIONS_IN_BUFFER, value));
        let text = std::format!("1={value:.6}\n2=0.000000\n3=0.000000\n");
        assert_eq!(push.text(), Ok(text.as_str()));
    }
    assert_eq!(pushes.len(), 39);
    let end = events(&mut stage, at(2000));
    assert_eq!(end.len(), 1);
    assert_eq!((end[0].code, end[0].status), (Code::STAGE_MOTION_STOPPED, 1));
    assert_eq!((end[0].selector(), end[0].value), (AXIS, 8.5));
    assert_eq!(events(&mut stage, at(9000)), []);
    assert_eq!(position(&mut stage, at(9000)), Some(8.5));
}

#[test]
fn a_late_push_has_the_position_of_the_time_it_was_due() {
    let (mut punctual, mut late) = (Stage::default(), Stage::default());
    for stage in [&mut punctual, &mut late] {
        stage.command(at(0), &go(7.0));
    }
    let each_time: Vec<_> = (0..600).flat_map(|ms| events(&mut punctual, at(ms))).collect();
    assert_eq!(events(&mut late, at(60_000)), each_time);
}

#[test]
fn a_halt_stops_the_stage_and_its_motion_is_not_complete() {
    for selector in [AXIS, ALL_AXES] {
        let mut stage = Stage::default();
        stage.command(at(0), &go(12.0));
        events(&mut stage, at(1010));
        let halt = Frame::command(Code::STAGE_HALT).with_selector(selector);
        assert_eq!(status(&mut stage, at(1010), &halt), Some(1));
        let end = events(&mut stage, at(1010));
        assert_eq!(end.len(), 1);
        assert_eq!((end[0].code, end[0].status), (Code::STAGE_MOTION_STOPPED, 0));
        assert_eq!(end[0].value, 8.51);
        assert_eq!(events(&mut stage, at(9000)), []);
        assert_eq!(position(&mut stage, at(9000)), Some(8.51));
    }
}

#[test]
fn a_halt_at_rest_is_acknowledged_without_an_event() {
    let mut stage = Stage::default();
    assert_eq!(status(&mut stage, at(0), &command(Code::STAGE_HALT)), Some(1));
    assert_eq!(events(&mut stage, at(1000)), []);
}

#[test]
fn a_move_during_a_move_takes_the_new_target_and_ends_once() {
    let mut stage = Stage::default();
    stage.command(at(0), &go(8.5));
    events(&mut stage, at(500));
    stage.command(at(500), &go(7.5));
    let all = events(&mut stage, at(5000));
    assert_eq!(all.len(), 20);
    assert_eq!(all[0].value, 7.975);
    assert_eq!((all[19].code, all[19].value), (Code::STAGE_MOTION_STOPPED, 7.5));
}

#[test]
fn impossible_commands_are_refused_and_nothing_moves() {
    let mut stage = Stage::default();
    for target in [0.999, 12.311, -1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert_eq!(status(&mut stage, at(0), &go(target)), Some(0), "{target}");
    }
    for axis in [0, 2, 3, 4, 5, -1, ALL_AXES] {
        assert_eq!(status(&mut stage, at(0), &go(8.0).with_selector(axis)), Some(0), "{axis}");
        let velocity = Frame::command(Code::STAGE_VELOCITY_SET).with_selector(axis);
        assert_eq!(status(&mut stage, at(0), &velocity.with_value(2.0)), Some(0), "{axis}");
    }
    for axis in [0, 2, 3, 4, 5, -1] {
        for code in [Code::STAGE_HALT, Code::STAGE_POSITION_GET, Code::STAGE_MOTION_STOPPED] {
            let other = Frame::command(code).with_selector(axis);
            assert_eq!(status(&mut stage, at(0), &other), Some(0), "{axis}");
        }
    }
    for speed in [0.0, -1.0, 100.1, f64::NAN] {
        let velocity = command(Code::STAGE_VELOCITY_SET).with_value(speed);
        assert_eq!(status(&mut stage, at(0), &velocity), Some(0), "{speed}");
    }
    for code in [Code::STAGE_HOME, Code::CAMERA_IMAGE_SIZE_GET, Code::COMMON_SCOPE_SETTINGS_SAVE] {
        assert_eq!(status(&mut stage, at(0), &command(code)), Some(0), "{code}");
    }
    assert_eq!(events(&mut stage, at(60_000)), []);
    assert_eq!(position(&mut stage, at(60_000)), Some(7.5));
}

#[test]
fn commands_without_an_answer_in_the_protocol_get_none() {
    let mut stage = Stage::default();
    let unknown = Frame::command(Code(0x6FFF));
    let fire_and_forget = Frame::command(Code::LASER_DISABLE_ALL);
    let all_axes = command(Code::STAGE_POSITION_GET).with_selector(ALL_AXES);
    let without_callback = Frame { flags: Flags(0), ..command(Code::STAGE_POSITION_GET) };
    for frame in [unknown, fire_and_forget, all_axes, without_callback] {
        assert_eq!(stage.command(at(0), &frame), None, "{}", frame.code);
    }
    // The command is executed nevertheless.
    let moved = Frame { flags: Flags(0), ..go(8.0) };
    assert_eq!(stage.command(at(0), &moved), None);
    assert_eq!(position(&mut stage, at(10_000)), Some(8.0));
}

#[test]
fn a_move_without_position_updates_reports_only_its_end() {
    let mut stage = Stage::default();
    let mut quiet = go(8.0);
    quiet.flags = quiet.flags.with(Flags::STAGE_NOT_UPDATE_CLIENT);
    stage.command(at(0), &quiet);
    let all = events(&mut stage, at(10_000));
    assert_eq!(all.len(), 1);
    assert_eq!(all[0].code, Code::STAGE_MOTION_STOPPED);
}

#[test]
fn the_next_move_uses_the_speed_that_was_set() {
    let mut stage = Stage::default();
    let query = command(Code::STAGE_MOTION_STOPPED);
    for (speed, millis) in [(100.0, 45), (0.001, 4_500_000)] {
        let mut stage = Stage::default();
        let velocity = command(Code::STAGE_VELOCITY_SET).with_value(speed);
        assert_eq!(status(&mut stage, at(0), &velocity), Some(1));
        stage.command(at(0), &go(12.0));
        events(&mut stage, at(millis - 1));
        assert_eq!(status(&mut stage, at(millis - 1), &query), Some(0), "it moves");
        events(&mut stage, at(millis));
        assert_eq!(status(&mut stage, at(millis), &query), Some(1), "it has stopped");
    }
    // A move to the current position ends at once.
    stage.command(at(0), &go(7.5));
    assert_eq!(events(&mut stage, at(0)).len(), 1);
}

#[test]
fn the_answer_to_an_upload_declares_no_payload() {
    let mut stage = Stage::default();
    let upload = Frame::command(Code::COMMON_SCOPE_SETTINGS_SAVE).with_payload_len(100);
    let answer = stage.command(at(0), &upload);
    assert_eq!(answer, Some(Frame { payload_len: 0, ..upload }));
}
