//! Small tables: more requests stay unanswered than the table can name, and proof comes back.

use std::vec::Vec;

use super::recovery::Polling;
use super::setting::{Ask, Budget, Setting};
use super::world::World;
use super::{FLAGGED, ask, budget, position, report, search};
use crate::{CommandCode, Config, Frame, time::Duration};

const SHORT: Option<Duration> = Some(Duration::from_millis(300));
const POLLING: Polling =
    Polling { round_trip: Duration::from_millis(20), within: Duration::from_millis(20_000) };

/// The queries of three subsystems; each subsystem has one that can be a fence.
fn queries() -> Vec<Frame> {
    let selected = |code, selector| ask(code).with_selector(selector);
    std::vec![
        position(1),
        position(2),
        selected(CommandCode::STAGE_VELOCITY_SET, 1),
        selected(CommandCode::STAGE_VELOCITY_SET, 2),
        ask(CommandCode::CAMERA_ALL_SETTINGS_GET),
        ask(CommandCode::CAMERA_IMAGE_SIZE_GET),
    ]
}

fn losing(lost: u8) -> Setting {
    let budget = Budget { lost, ..Budget::default() };
    let mut setting = Setting::new(Config::default(), FLAGGED, &[], budget);
    setting.commands = queries().into_iter().map(|frame| Ask { frame, patience: SHORT }).collect();
    setting.proof = Some(POLLING);
    setting.proof_in_turns = Some(POLLING);
    setting
}

/// Whatever was lost: while the program polls a device that answers, proof comes back.
#[test]
fn after_more_losses_than_the_table_can_name_proof_comes_back() {
    let found = search(World::<1, 6, 7, 4>::new(losing(6)));
    report("six entries", &found);
}

/// After a pause of the link no query of the subsystem is certain, so none can be a fence. The
/// answers to one of them are counted, and prove the others.
#[test]
fn after_a_loss_on_all_four_axes_proof_comes_back() {
    let budget = Budget { lost: 5, ..Budget::default() };
    let mut setting = Setting::new(Config::default(), FLAGGED, &[], budget);
    let axes = (1..=4).map(|axis| Ask { frame: position(axis), patience: SHORT });
    setting.commands = axes.collect();
    setting.proof = Some(POLLING);
    setting.proof_in_turns = Some(POLLING);
    let found = search(World::<4, 24, 12, 4>::new(setting));
    report("four axes", &found);
}

#[test]
fn the_small_client_recovers_its_proof() {
    let found = search(World::<4, 12, 9, 4>::new(losing(6)));
    report("twelve entries", &found);
}

/// The rules about who gets a frame hold also if the table overflows at any time.
#[test]
fn a_table_that_overflows_proves_nothing_wrong() {
    let frames = [position(1), position(2)];
    let budget = Budget { pushes: 0, ..budget() };
    let setting = Setting::new(Config::default(), FLAGGED, &frames, budget);
    let found = search(World::<1, 6, 7, 4>::new(setting));
    report("one request at a time", &found);
    let halt = ask(CommandCode::STAGE_HALT).with_selector(1);
    let setting = Setting::new(Config::default(), FLAGGED, &[halt, position(1)], budget);
    let found = search(World::<1, 6, 7, 4>::new(setting));
    report("one request at a time, halts", &found);
}

/// More answers are overdue than the table can name, and come while the program asks again.
#[test]
fn a_late_answer_to_a_forgotten_request_is_not_proven() {
    let axes = |code: CommandCode| (1..=4).map(move |axis| ask(code).with_selector(axis));
    let frames: Vec<Frame> = axes(CommandCode::STAGE_POSITION_GET)
        .chain(axes(CommandCode::STAGE_VELOCITY_SET))
        .chain([ask(CommandCode::SYSTEM_STATE_GET)])
        .collect();
    let budget = Budget { requests: 1, overdue: 9, ..Budget::default() };
    let found =
        search(World::<1, 6, 7, 4>::new(Setting::new(Config::default(), FLAGGED, &frames, budget)));
    report("nine late answers, six entries", &found);
}
