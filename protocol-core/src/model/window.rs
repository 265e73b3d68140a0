//! The window, and how long a request may wait in the queue.

use super::setting::{Budget, Setting};
use super::world::World;
use super::{FLAGGED, UNFLAGGED, ask, position, report, search};
use crate::{CommandCode, Config, Frame, time::Duration};

fn level(laser: i32) -> Frame {
    ask(CommandCode::LASER_LEVEL_GET).with_selector(laser)
}

fn go(axis: i32) -> Frame {
    ask(CommandCode::STAGE_POSITION_SET).with_selector(axis)
}

/// An answer that came frees its place, even if it came late and is only presumed.
#[test]
fn a_late_answer_that_is_only_presumed_frees_its_place() {
    let budget = Budget { requests: 3, cancels: 2, ..Budget::default() };
    for window in [1, 2] {
        let config = Config::default().with_window(window);
        let mut setting = Setting::new(config, UNFLAGGED, &[level(1), level(2)], budget);
        setting.passing = [position(1), go(1)].into();
        let found = search(<World>::new(setting));
        report("a window, two lasers", &found);
    }
}

/// A request that ended without an answer keeps its place no longer than its grace.
#[test]
fn a_window_of_one_ends_every_request_in_time() {
    let budget = Budget { requests: 3, cancels: 1, missing: 2, ..Budget::default() };
    let short = Some(Duration::from_millis(340));
    let config = Config::default().with_window(1);
    let setting = Setting::new(config, FLAGGED, &[position(1)], budget)
        .and(position(1), short)
        .and(level(1), short);
    let found = search(<World>::new(setting));
    report("a window of one, short deadlines", &found);
}
