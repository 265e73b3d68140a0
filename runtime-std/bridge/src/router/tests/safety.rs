//! Protection of optics and samples: stops, roles, the lease and the dead man's switch.

use flamingo_protocol_core::{CommandCode, Frame};

use super::harness::*;
use crate::router::{RouterAction, RouterOptions};
use crate::settings::{Delivery, Role};

#[test]
fn a_halt_of_any_client_goes_first_and_cancels_moves() {
    let mut harness = Harness::new(options());
    let (mover, other) = (harness.client(), harness.client());
    let reader = harness.client_as(Role::ReadOnly, Delivery::Callback);
    harness.ask(other, &position(4)); // occupies one of the four slots
    for axis in 1..=3 {
        harness.ask(mover, &go(axis));
    }
    for axis in [1, 2, 3, 4] {
        harness.ask(mover, &go(axis));
    }
    let before = harness.commands.len();
    harness.ask(reader, &halt(1));
    assert_eq!(harness.commands[before].0, halt(1), "before everything that waits");
    assert_eq!(harness.commands.len(), before + 1);
    let refused = harness.received(mover);
    assert_eq!(refused.len(), 5, "{refused:?}");
    assert!(
        refused.iter().all(|frame| frame.status == 0 && frame.text().unwrap().contains("stop"))
    );
    while !harness.commands.is_empty() {
        harness.answer_next(0.0);
    }
    assert_eq!(harness.received(reader).len(), 1);
    assert_eq!(harness.received(mover).len(), 2, "the moves that were already written");
}

#[test]
fn a_read_only_client_may_query_halt_and_switch_lasers_off() {
    let mut harness = Harness::new(options());
    let reader = harness.client_as(Role::ReadOnly, Delivery::Callback);
    harness.ask(reader, &go(1));
    assert_refused(&harness.received(reader), &go(1), "read-only");
    for light in [CommandCode::LASER_ENABLE, CommandCode::CAMERA_WORK_FLOW_START] {
        harness.ask(reader, &Frame::command(light).with_selector(1));
    }
    assert!(harness.commands.is_empty());
    harness.ask(reader, &position(1));
    harness.ask(reader, &halt(2));
    harness.ask(reader, &Frame::command(CommandCode::LASER_DISABLE_ALL));
    let codes: Vec<_> = harness.reached().iter().map(|(code, _)| *code).collect();
    assert_eq!(codes, [position(1).code, CommandCode::STAGE_HALT, CommandCode::LASER_DISABLE_ALL]);
}

#[test]
fn an_invalid_command_is_refused_with_the_reason() {
    let mut harness = Harness::new(options());
    let id = harness.client();
    for (bad, reason) in [(go(1).with_value(f64::NAN), "finite"), (go(9), "axis")] {
        harness.ask(id, &bad);
        assert_refused(&harness.received(id), &bad, reason);
    }
    assert!(harness.commands.is_empty());
}

#[test]
fn others_may_query_and_halt_while_a_client_holds_the_lease() {
    let mut harness = Harness::new(RouterOptions { lease: Some(ms(10_000)), ..options() });
    let (holder, other) = (harness.client(), harness.client());
    harness.ask(holder, &go(1));
    harness.answer_next(5.0);
    harness.ask(other, &go(2));
    assert_refused(&harness.received(other), &go(2), "client:0 holds the lease");
    harness.ask(other, &position(2));
    harness.ask(other, &halt(2));
    assert_eq!(harness.commands.len(), 2);
    harness.pass(ms(10_000));
    harness.commands.clear();
    harness.ask(other, &go(2));
    harness.pass(ms(1000));
    assert_eq!(harness.reached(), [(go(2).code, 2)]);
}

#[test]
fn the_dead_man_switch_stops_all_when_the_holder_is_lost() {
    for dead_man in [false, true] {
        let lease = Some(ms(10_000));
        let mut harness = Harness::new(RouterOptions { lease, dead_man, ..options() });
        let (holder, other) = (harness.client(), harness.client());
        harness.ask(holder, &go(1));
        harness.answer_next(5.0);
        harness.leave(other);
        assert!(harness.commands.is_empty(), "this client did not hold the lease");
        harness.leave(holder);
        let mut expected: Vec<_> = (1..=4).map(|axis| (CommandCode::STAGE_HALT, axis)).collect();
        expected.push((CommandCode::LASER_DISABLE_ALL, 0));
        assert_eq!(harness.reached(), if dead_man { expected } else { Vec::new() });
    }
}

#[test]
fn the_dead_man_switch_acts_also_for_an_idle_holder() {
    let mut harness =
        Harness::new(RouterOptions { lease: Some(ms(10_000)), dead_man: true, ..options() });
    let (mover, other) = (harness.client(), harness.client());
    harness.ask(mover, &go(1));
    harness.answer_next(0.0);
    harness.pass(ms(60_000));
    harness.leave(other);
    assert!(harness.commands.is_empty(), "this client did not hold the lease");
    harness.leave(mover);
    assert_eq!(harness.reached().len(), 5, "four axes and the lasers: {:?}", harness.reached());
}

#[test]
fn the_lease_covers_laser_levels_and_axis_velocities() {
    let mut harness = Harness::new(RouterOptions { lease: Some(ms(10_000)), ..options() });
    let (mover, other) = (harness.client(), harness.client());
    harness.ask(mover, &Frame::command(CommandCode::LASER_LEVEL_SET).with_selector(1));
    let velocity = Frame::command(CommandCode::STAGE_VELOCITY_SET).with_selector(1).with_value(1.0);
    harness.ask(other, &velocity);
    assert_refused(&harness.received(other), &velocity, "holds the lease");
    harness.ask(mover, &velocity);
    assert_eq!(harness.commands.last().map(|(frame, _)| *frame), Some(velocity));
}

#[test]
fn no_live_view_begins_while_a_workflow_runs() {
    let mut harness = Harness::new(options());
    let id = harness.client();
    let start = Frame::command(CommandCode::CAMERA_WORK_FLOW_START).with_payload_len(3);
    let live = Frame::command(CommandCode::CAMERA_LIVE_VIEW_START);
    harness.ask_bytes(id, &[&start.encode()[..], b"abc"].concat());
    assert_eq!(harness.commands.pop().unwrap(), (start, b"abc".to_vec()));
    harness.instrument_sends(&Frame::new(IDLE)); // older than the workflow
    harness.ask(id, &live);
    assert_refused(&harness.received(id), &live, "workflow");
    harness.instrument_sends(&Frame::new(CommandCode::SYSTEM_STATE_WORK_FLOW_RUNNING));
    harness.instrument_sends(&Frame::new(IDLE));
    harness.ask(id, &live);
    assert_eq!(harness.reached(), [(live.code, 0)]);
}

/// A HALT waits behind half an upload when the connection is lost.
fn stuck_halt() -> Harness {
    let mut harness = Harness::new(options());
    let id = harness.client();
    let start = Frame::command(CommandCode::CAMERA_WORK_FLOW_START).with_payload_len(1000);
    harness.router.client_input(harness.now, id, &[&start.encode()[..], &[7; 1000]].concat());
    let shown = harness.router.upstream_output(harness.now).len();
    harness.router.upstream_wrote(harness.now, shown);
    harness.router.client_input(harness.now, id, &halt(3).encode());
    harness.now = harness.now + ms(2000);
    harness.router.handle_timeout(harness.now);
    let reconnects: Vec<_> = std::iter::from_fn(|| harness.router.poll_action()).collect();
    assert!(
        reconnects.iter().any(|report| matches!(report, RouterAction::Reconnect(_))),
        "{reconnects:?}"
    );
    harness.router.upstream_lost(harness.now);
    harness.write();
    harness
}

#[test]
fn an_unsent_stop_goes_first_on_the_next_connection() {
    let mut harness = stuck_halt();
    harness.router.upstream_opened(harness.now);
    harness.write();
    let codes: Vec<_> = harness.reached().iter().map(|(code, _)| *code).collect();
    assert_eq!(
        codes,
        [CommandCode::STAGE_HALT, CommandCode::SYSTEM_STATE_GET],
        "the workflow is not sent again"
    );
}

#[test]
fn an_unsent_stop_expires() {
    let mut harness = stuck_halt();
    harness.pass(ms(10_000));
    harness.router.upstream_opened(harness.now);
    harness.write();
    assert_eq!(harness.reached(), [(CommandCode::SYSTEM_STATE_GET, 0)]);
    let told = harness.log.iter().any(|line| line.contains("STAGE_HALT (0x6003) was never sent"));
    assert!(told, "{:?}", harness.log);
}

#[test]
fn a_refused_command_without_an_answer_is_logged() {
    let mut harness = Harness::new(options());
    let reader = harness.client_as(Role::ReadOnly, Delivery::Callback);
    harness.ask(reader, &Frame::command(CommandCode::LASER_ENABLE).with_selector(1));
    assert!(harness.received(reader).is_empty());
    assert!(harness.log.iter().any(|line| line.contains("read-only")), "{:?}", harness.log);
}

#[test]
fn no_live_view_begins_while_a_workflow_is_being_sent() {
    for same in [true, false] {
        let mut harness = Harness::new(options());
        let starter = harness.client();
        let viewer = if same { starter } else { harness.client() };
        let start = Frame::command(CommandCode::CAMERA_WORK_FLOW_START).with_payload_len(1000);
        let live = Frame::command(CommandCode::CAMERA_LIVE_VIEW_START);
        harness.router.client_input(
            harness.now,
            starter,
            &[&start.encode()[..], &[7; 1000]].concat(),
        );
        let shown = harness.router.upstream_output(harness.now).len();
        harness.router.upstream_wrote(harness.now, shown);
        harness.ask(viewer, &live);
        assert_refused(&harness.received(viewer), &live, "workflow");
        assert_eq!(harness.reached(), []);
    }
}

#[test]
fn a_flood_of_halts_does_not_block_the_halt_of_another() {
    let mut harness = Harness::new(options());
    let (many, other) = (harness.client(), harness.client());
    let flood = halt(1).encode().repeat(300);
    harness.router.client_input(harness.now, many, &flood);
    harness.ask(other, &halt(3));
    assert!(harness.reached().contains(&(CommandCode::STAGE_HALT, 3)), "{:?}", harness.reached());
    while !harness.commands.is_empty() {
        harness.answer_next(0.0);
    }
    assert_eq!(harness.received(other).len(), 1);
    let told = harness.received(many);
    assert_eq!(told.len(), 300);
    assert!(told.iter().all(|frame| frame.status == 1), "{told:?}");
}

#[test]
fn equal_waiting_halts_cancel_a_move_between_them() {
    let mut harness = Harness::new(options());
    let (one, other) = (harness.client(), harness.client());
    harness.router.client_input(harness.now, one, &halt(1).encode());
    harness.router.client_input(harness.now, other, &go(2).encode());
    harness.router.client_input(harness.now, one, &halt(1).encode());
    harness.write();
    assert!(harness.reached().iter().all(|(code, _)| *code == CommandCode::STAGE_HALT));
    assert_refused(&harness.received(other), &go(2), "stop");
}

#[test]
fn equal_waiting_laser_offs_share_one_slot() {
    let mut harness = Harness::new(options());
    let id = harness.client();
    let off = Frame::command(CommandCode::LASER_DISABLE_ALL);
    harness.router.client_input(harness.now, id, &off.encode().repeat(100));
    harness.ask(id, &halt(1));
    let expected = [(off.code, 0), (CommandCode::STAGE_HALT, 1)];
    assert_eq!(harness.reached(), expected);
    let status = harness.router.client_status(harness.now).0;
    assert_eq!(status[0].counters.refused, 0);
}

#[test]
fn a_read_only_client_may_list_drives_but_not_choose_one() {
    let mut harness = Harness::new(options());
    let reader = harness.client_as(Role::ReadOnly, Delivery::Callback);
    let choose = Frame::command(CommandCode::STORAGE_PATH_SET).with_selector(1);
    harness.ask(reader, &choose);
    assert_refused(&harness.received(reader), &choose, "read-only");
    harness.ask(reader, &choose.with_selector(0));
    assert_eq!(harness.reached(), [(choose.code, 0)]);
}
