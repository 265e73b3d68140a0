//! What protects optics and samples: stops, roles, the lease, the dead man's switch.

use flamingo_protocol_core::{CommandCode, Frame};

use super::harness::*;
use crate::router::Options;
use crate::settings::{Delivery, Role};

#[test]
fn a_halt_of_anybody_goes_first_and_what_it_cancels_never_runs() {
    let mut lab = Lab::new(options());
    let (mover, other) = (lab.client(), lab.client());
    let reader = lab.client_as(Role::ReadOnly, Delivery::Callback);
    lab.ask(other, &position(4)); // of the four that may be unanswered
    for axis in 1..=3 {
        lab.ask(mover, &go(axis));
    }
    for axis in [1, 2, 3, 4] {
        lab.ask(mover, &go(axis));
    }
    let before = lab.commands.len();
    lab.ask(reader, &halt(1));
    assert_eq!(lab.commands[before].0, halt(1), "at once, whatever waits");
    assert_eq!(lab.commands.len(), before + 1);
    let refused = lab.told(mover);
    assert_eq!(refused.len(), 5, "{refused:?}");
    assert!(
        refused.iter().all(|frame| frame.status == 0 && frame.text().unwrap().contains("stop"))
    );
    while !lab.commands.is_empty() {
        lab.answer_next(0.0);
    }
    assert_eq!(lab.told(reader).len(), 1);
    assert_eq!(lab.told(mover).len(), 2, "those that were on their way");
}

#[test]
fn who_may_only_read_may_ask_halt_and_switch_lasers_off() {
    let mut lab = Lab::new(options());
    let reader = lab.client_as(Role::ReadOnly, Delivery::Callback);
    lab.ask(reader, &go(1));
    assert_refused(&lab.told(reader), &go(1), "read-only");
    for light in [CommandCode::LASER_ENABLE, CommandCode::CAMERA_WORK_FLOW_START] {
        lab.ask(reader, &Frame::command(light).with_selector(1));
    }
    assert!(lab.commands.is_empty());
    lab.ask(reader, &position(1));
    lab.ask(reader, &halt(2));
    lab.ask(reader, &Frame::command(CommandCode::LASER_DISABLE_ALL));
    let codes: Vec<_> = lab.reached().iter().map(|(code, _)| *code).collect();
    assert_eq!(codes, [position(1).code, CommandCode::STAGE_HALT, CommandCode::LASER_DISABLE_ALL]);
}

#[test]
fn a_command_that_must_not_reach_the_instrument_is_refused_with_the_reason() {
    let mut lab = Lab::new(options());
    let id = lab.client();
    for (bad, reason) in
        [(go(1).with_value(f64::NAN), "finite"), (go(9), "axis"), (halt(255), "axis")]
    {
        lab.ask(id, &bad);
        assert_refused(&lab.told(id), &bad, reason);
    }
    assert!(lab.commands.is_empty());
}

#[test]
fn the_first_mover_holds_the_lease_until_it_is_idle_and_others_may_still_ask_and_stop() {
    let mut lab = Lab::new(Options { lease: Some(ms(10_000)), ..options() });
    let (holder, other) = (lab.client(), lab.client());
    lab.ask(holder, &go(1));
    lab.answer_next(5.0);
    lab.ask(other, &go(2));
    assert_refused(&lab.told(other), &go(2), "held by client:0");
    lab.ask(other, &position(2));
    lab.ask(other, &halt(2));
    assert_eq!(lab.commands.len(), 2);
    lab.pass(ms(10_000));
    lab.commands.clear();
    lab.ask(other, &go(2));
    lab.pass(ms(1000));
    assert_eq!(lab.reached(), [(go(2).code, 2)]);
}

#[test]
fn the_loss_of_the_client_that_holds_the_lease_stops_everything_if_that_is_wanted() {
    for dead_man in [false, true] {
        let lease = Some(ms(10_000));
        let mut lab = Lab::new(Options { lease, dead_man, ..options() });
        let (holder, other) = (lab.client(), lab.client());
        lab.ask(holder, &go(1));
        lab.answer_next(5.0);
        lab.leave(other);
        assert!(lab.commands.is_empty(), "who holds nothing stops nothing");
        lab.leave(holder);
        let mut expected: Vec<_> = (1..=4).map(|axis| (CommandCode::STAGE_HALT, axis)).collect();
        expected.push((CommandCode::LASER_DISABLE_ALL, 0));
        assert_eq!(lab.reached(), if dead_man { expected } else { Vec::new() });
    }
}

#[test]
fn the_loss_of_whoever_moved_last_stops_everything_though_it_has_been_idle() {
    let mut lab = Lab::new(Options { lease: Some(ms(10_000)), dead_man: true, ..options() });
    let (mover, other) = (lab.client(), lab.client());
    lab.ask(mover, &go(1));
    lab.answer_next(0.0);
    lab.pass(ms(60_000));
    lab.leave(other);
    assert!(lab.commands.is_empty(), "it held nothing");
    lab.leave(mover);
    assert_eq!(lab.reached().len(), 5, "four axes and the lasers: {:?}", lab.reached());
}

#[test]
fn the_lease_is_for_the_level_of_lasers_and_the_velocity_of_axes_too() {
    let mut lab = Lab::new(Options { lease: Some(ms(10_000)), ..options() });
    let (mover, other) = (lab.client(), lab.client());
    lab.ask(mover, &Frame::command(CommandCode::LASER_LEVEL_SET).with_selector(1));
    let velocity = Frame::command(CommandCode::STAGE_VELOCITY_SET).with_selector(1).with_value(1.0);
    lab.ask(other, &velocity);
    assert_refused(&lab.told(other), &velocity, "held by");
    lab.ask(mover, &velocity);
    assert_eq!(lab.commands.last().map(|(frame, _)| *frame), Some(velocity));
}

#[test]
fn no_live_view_begins_while_a_workflow_runs() {
    let mut lab = Lab::new(options());
    let id = lab.client();
    let start = Frame::command(CommandCode::CAMERA_WORK_FLOW_START).with_payload_len(3);
    let live = Frame::command(CommandCode::CAMERA_LIVE_VIEW_START);
    lab.ask_bytes(id, &[&start.encode()[..], b"abc"].concat());
    assert_eq!(lab.commands.pop().unwrap(), (start, b"abc".to_vec()));
    lab.say(&Frame::new(IDLE)); // from before it
    lab.ask(id, &live);
    assert_refused(&lab.told(id), &live, "workflow");
    lab.say(&Frame::new(CommandCode::SYSTEM_STATE_WORK_FLOW_RUNNING));
    lab.say(&Frame::new(IDLE));
    lab.ask(id, &live);
    assert_eq!(lab.reached(), [(live.code, 0)]);
}

/// A HALT that is stuck behind half an upload when the connection is lost.
fn stuck_halt() -> Lab {
    let mut lab = Lab::new(options());
    let id = lab.client();
    let start = Frame::command(CommandCode::CAMERA_WORK_FLOW_START).with_payload_len(1000);
    lab.router.client_input(lab.now, id, &[&start.encode()[..], &[7; 1000]].concat());
    let shown = lab.router.upstream_output(lab.now).len();
    lab.router.upstream_wrote(lab.now, shown);
    lab.router.client_input(lab.now, id, &halt(3).encode());
    lab.now = lab.now + ms(2000);
    lab.router.handle_timeout(lab.now);
    let gave_up: Vec<_> = std::iter::from_fn(|| lab.router.poll_report()).collect();
    assert!(
        gave_up.iter().any(|report| matches!(report, super::super::Report::GiveUp(_))),
        "{gave_up:?}"
    );
    lab.router.upstream_lost(lab.now);
    lab.write();
    lab
}

#[test]
fn a_stop_that_did_not_get_out_is_the_first_thing_on_a_fresh_connection() {
    let mut lab = stuck_halt();
    lab.router.upstream_opened(lab.now);
    lab.write();
    let codes: Vec<_> = lab.reached().iter().map(|(code, _)| *code).collect();
    assert_eq!(codes, [CommandCode::STAGE_HALT, CommandCode::SYSTEM_STATE_GET], "and no workflow");
}

#[test]
fn a_stop_that_did_not_get_out_stops_nothing_that_was_begun_much_later() {
    let mut lab = stuck_halt();
    lab.pass(ms(10_000));
    lab.router.upstream_opened(lab.now);
    lab.write();
    assert_eq!(lab.reached(), [(CommandCode::SYSTEM_STATE_GET, 0)]);
}

#[test]
fn a_refused_command_that_is_never_answered_is_told_to_the_operator() {
    let mut lab = Lab::new(options());
    let reader = lab.client_as(Role::ReadOnly, Delivery::Callback);
    lab.ask(reader, &Frame::command(CommandCode::LASER_ENABLE).with_selector(1));
    assert!(lab.told(reader).is_empty());
    assert!(lab.notes.iter().any(|note| note.contains("read-only")), "{:?}", lab.notes);
}

#[test]
fn no_live_view_begins_behind_a_workflow_that_is_still_on_its_way_up() {
    for same in [true, false] {
        let mut lab = Lab::new(options());
        let starter = lab.client();
        let viewer = if same { starter } else { lab.client() };
        let start = Frame::command(CommandCode::CAMERA_WORK_FLOW_START).with_payload_len(1000);
        let live = Frame::command(CommandCode::CAMERA_LIVE_VIEW_START);
        lab.router.client_input(lab.now, starter, &[&start.encode()[..], &[7; 1000]].concat());
        let shown = lab.router.upstream_output(lab.now).len();
        lab.router.upstream_wrote(lab.now, shown);
        lab.ask(viewer, &live);
        assert_refused(&lab.told(viewer), &live, "workflow");
        assert_eq!(lab.reached(), []);
    }
}

#[test]
fn a_halt_passes_however_many_equal_ones_of_another_come_at_once() {
    let mut lab = Lab::new(options());
    let (many, other) = (lab.client(), lab.client());
    let flood = halt(1).encode().repeat(300);
    lab.router.client_input(lab.now, many, &flood);
    lab.ask(other, &halt(3));
    assert!(lab.reached().contains(&(CommandCode::STAGE_HALT, 3)), "{:?}", lab.reached());
    while !lab.commands.is_empty() {
        lab.answer_next(0.0);
    }
    assert_eq!(lab.told(other).len(), 1);
    let told = lab.told(many);
    assert_eq!(told.len(), 300);
    assert!(told.iter().all(|frame| frame.status == 1), "{told:?}");
}

#[test]
fn equal_halts_that_wait_stop_what_was_queued_between_them() {
    let mut lab = Lab::new(options());
    let (one, other) = (lab.client(), lab.client());
    lab.router.client_input(lab.now, one, &halt(1).encode());
    lab.router.client_input(lab.now, other, &go(2).encode());
    lab.router.client_input(lab.now, one, &halt(1).encode());
    lab.write();
    assert!(lab.reached().iter().all(|(code, _)| *code == CommandCode::STAGE_HALT));
    assert_refused(&lab.told(other), &go(2), "stop");
}

#[test]
fn equal_laser_offs_that_wait_take_one_place_and_are_not_refused() {
    let mut lab = Lab::new(options());
    let id = lab.client();
    let off = Frame::command(CommandCode::LASER_DISABLE_ALL);
    lab.router.client_input(lab.now, id, &off.encode().repeat(100));
    lab.ask(id, &halt(1));
    let expected = [(off.code, 0), (CommandCode::STAGE_HALT, 1)];
    assert_eq!(lab.reached(), expected);
    let status = lab.router.client_status(lab.now).0;
    assert_eq!(status[0].counters.refused, 0);
}

#[test]
fn who_may_only_read_may_list_the_drives_and_not_choose_one() {
    let mut lab = Lab::new(options());
    let reader = lab.client_as(Role::ReadOnly, Delivery::Callback);
    let choose = Frame::command(CommandCode::STORAGE_PATH_SET).with_selector(1);
    lab.ask(reader, &choose);
    assert_refused(&lab.told(reader), &choose, "read-only");
    lab.ask(reader, &choose.with_selector(0));
    assert_eq!(lab.reached(), [(choose.code, 0)]);
}
