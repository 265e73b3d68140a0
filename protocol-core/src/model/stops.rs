//! Stops behind a frame that stands still on the wire: they wait without end, and are told.

use super::setting::{Budget, Setting, Step};
use super::world::{Wire, World};
use super::{FLAGGED, ask, position, report, search};
use crate::{CommandCode, Config, Frame, time::Duration};

const SHORT: Option<Duration> = Some(Duration::from_millis(300));

fn upload() -> Frame {
    ask(CommandCode::COMMON_SCOPE_SETTINGS_SAVE).with_payload_len(2)
}

fn go(axis: i32) -> Frame {
    ask(CommandCode::STAGE_POSITION_SET).with_selector(axis)
}

fn stalls() -> Budget {
    Budget { requests: 2, sends: 1, cancels: 0, stalls: 1, reconnects: 1, ..Budget::default() }
}

/// The deadline of this HALT is shorter than the patience of a stop.
#[test]
fn a_halt_behind_a_stalled_upload_waits_and_is_told() {
    let halt = ask(CommandCode::STAGE_HALT).with_selector(1);
    let setting = Setting::new(Config::default(), FLAGGED, &[upload()], stalls())
        .and(halt, SHORT)
        .and(go(1), SHORT)
        .and(halt, None);
    let found = search(<World>::new(setting));
    report("a halt behind an upload", &found);
}

/// The program takes the events only after the stop is out.
#[test]
fn a_stop_that_is_out_is_not_told_blocked() {
    let budget = Budget { requests: 1, ..stalls() };
    let halt = ask(CommandCode::STAGE_HALT).with_selector(1);
    let setting = Setting::new(Config::default(), FLAGGED, &[upload()], budget).and(halt, None);
    let mut world = <World>::new(setting);
    for step in [Step::Stall, Step::Ask(0), Step::Ask(1)] {
        world.take(step);
    }
    world.end_timers();
    world.wire = Wire::Flows;
    while world.write_some(usize::MAX) {}
    assert!(world.stops.is_empty());
    world.write();
}

#[test]
fn a_laser_off_behind_a_stalled_upload_waits_and_is_told() {
    let laser = |code| ask(code).with_selector(1);
    let budget = Budget { requests: 1, sends: 2, ..stalls() };
    let setting = Setting::new(Config::default(), FLAGGED, &[upload()], budget)
        .and(laser(CommandCode::LASER_ENABLE), None)
        .and(laser(CommandCode::LASER_DISABLE), None);
    let found = search(<World>::new(setting));
    report("a laser-off behind an upload", &found);
}

/// To abort a workflow or a live view is a stop as well. It cancels the start that is still queued.
#[test]
fn an_abort_waits_for_no_other_command_and_cancels_its_start() {
    let workflow = ask(CommandCode::CAMERA_WORK_FLOW_START).with_payload_len(2);
    let mut setting = Setting::new(Config::default(), FLAGGED, &[position(1)], stalls())
        .and(ask(CommandCode::CAMERA_WORK_FLOW_STOP), SHORT)
        .and(workflow, None);
    setting.passing = [ask(CommandCode::CAMERA_LIVE_VIEW_STOP)].into();
    let found = search(<World>::new(setting));
    report("a workflow and its abort", &found);
    let mut setting = Setting::new(Config::default(), FLAGGED, &[go(1)], stalls())
        .and(ask(CommandCode::CAMERA_LIVE_VIEW_STOP), SHORT)
        .and(ask(CommandCode::CAMERA_LIVE_VIEW_START), SHORT);
    setting.passing = [ask(CommandCode::CAMERA_WORK_FLOW_STOP)].into();
    let found = search(<World>::new(setting));
    report("a live view and its abort", &found);
}
