//! Commands that may be answered only at the end of a motion: what passes them, and what does not.

use super::setting::{Budget, Setting};
use super::world::World;
use super::{FLAGGED, ask, budget, position, report, search};
use crate::{CommandCode, Config, Frame};

fn home(axis: i32) -> Frame {
    ask(CommandCode::STAGE_HOME).with_selector(axis)
}

fn go(axis: i32) -> Frame {
    ask(CommandCode::STAGE_POSITION_SET).with_selector(axis)
}

fn motions() -> Budget {
    Budget { pushes: 0, missing: 1, ..budget() }
}

/// The second HOME of X waits for the first. All that does not concern X goes out at once.
#[test]
fn a_second_home_of_an_axis_is_held_alone() {
    let mut setting = Setting::new(Config::default(), FLAGGED, &[home(1), position(1)], motions());
    setting.passing = [
        position(3),
        go(2),
        home(2),
        ask(CommandCode::CAMERA_EXPOSURE_SET),
        ask(CommandCode::CAMERA_WORK_FLOW_STOP),
        ask(CommandCode::CAMERA_LIVE_VIEW_STOP),
        ask(CommandCode::STAGE_HALT).with_selector(2),
    ]
    .into();
    let found = search(<World>::new(setting));
    report("two homes of an axis", &found);
}

/// Actions keep their order behind everything but a motion that was asked for another axis.
#[test]
fn actions_keep_their_order_behind_a_home_of_their_axis() {
    let frames = [home(1), go(1), go(2)];
    let mut setting = Setting::new(Config::default(), FLAGGED, &frames, motions());
    setting.passing = [ask(CommandCode::CAMERA_WORK_FLOW_STOP), position(4)].into();
    let found = search(<World>::new(setting));
    report("a home and two moves", &found);
}

/// Two kinds of motions of one axis have two keys, so both may be on the wire.
#[test]
fn a_home_and_a_search_for_the_reference_are_told_apart() {
    let find = ask(CommandCode::STAGE_FIND_REFERENCE).with_selector(1);
    let mut setting = Setting::new(Config::default(), FLAGGED, &[home(1), find], motions());
    setting.passing = [position(1), go(2), ask(CommandCode::CAMERA_WORK_FLOW_STOP)].into();
    let found = search(<World>::new(setting));
    report("a home and a search for the reference", &found);
}
