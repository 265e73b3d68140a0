//! Stops and roles at the edges: what has begun before a stop, stops without room for an answer, and stops
//! of clients that left or lost their role.

use flamingo_protocol_core::{CommandCode, Frame};

use super::harness::*;
use crate::router::RouterOptions;
use crate::settings::{Delivery, LimitSettings, Role};

#[test]
fn halts_of_all_axes_without_room_for_answers_leave_nothing() {
    let mut harness = Harness::new(options());
    let client = harness.client();
    for _ in 0..2000 {
        harness.ask(client, &halt(255));
        harness.commands.clear(); // the instrument answers none
    }
    harness.pass(ms(60_000));
    assert_eq!(harness.router.open_halts.len(), 0);
}

#[test]
fn an_unwritten_halt_of_a_gone_client_keeps_the_bridge_busy() {
    let mut harness = Harness::new(options());
    let client = harness.client();
    harness.router.client_input(harness.now, client, &halt(1).encode());
    assert!(harness.router.is_busy());
    harness.router.client_closed(harness.now, client);
    harness.router.stop();
    assert!(harness.router.is_busy(), "the HALT is not written yet");
    harness.write();
    assert_eq!(harness.reached(), [(halt(1).code, 1)]);
}

#[test]
fn a_workflow_whose_upload_began_before_a_halt_does_not_start() {
    for stop in [halt(1), Frame::command(CommandCode::CAMERA_WORK_FLOW_STOP)] {
        let mut harness = Harness::new(options());
        let (client, stopping) = (harness.client(), harness.client());
        let start = Frame::command(CommandCode::CAMERA_WORK_FLOW_START).with_payload_len(1000);
        harness.ask_bytes(client, &[&start.encode()[..], &[5; 900]].concat());
        harness.ask(stopping, &stop);
        harness.commands.clear();
        harness.ask_bytes(client, &[5; 100]);
        assert_eq!(harness.reached(), [], "{stop}");
    }
}

#[test]
fn a_stop_that_is_renewed_hurries_again() {
    let mut harness = Harness::unconnected(options());
    let client = harness.client();
    harness.ask(client, &halt(1));
    for _ in 0..5 {
        harness.pass(ms(5_000));
        harness.ask(client, &halt(1));
    }
    assert_eq!(harness.connect_now, 6);
}

#[test]
fn a_drive_is_set_although_another_client_loses_its_role() {
    let mut harness = Harness::new(RouterOptions { coalesce: true, ..options() });
    let (one, other) = (harness.client(), harness.client());
    let choose = Frame::command(CommandCode::STORAGE_PATH_SET).with_selector(3);
    harness.router.client_input(harness.now, one, &choose.encode());
    harness.router.client_input(harness.now, other, &choose.encode());
    harness.router.set_role(harness.now, one, Role::ReadOnly, Delivery::Callback);
    harness.write();
    assert_eq!(harness.reached().len(), 1);
    assert_eq!(harness.received(other), []);
}

#[test]
fn stops_hidden_in_a_payload_count_as_commands() {
    let limits = LimitSettings { commands_per_s: 100, ..LimitSettings::default() };
    let mut harness = Harness::new(RouterOptions { limits, ..options() });
    let client = harness.client();
    let halts: Vec<u8> = (0..1000).flat_map(|_| halt(1).encode()).collect();
    let opening = halt(1).with_payload_len(halts.len() as u32);
    harness.ask_bytes(client, &[&opening.encode()[..], &halts].concat());
    assert!(harness.router.read_allowance(harness.now, client).is_err());
}

#[test]
fn an_upload_that_began_before_the_dead_man_fires_does_not_run() {
    let mut harness =
        Harness::new(RouterOptions { lease: Some(ms(10_000)), dead_man: true, ..options() });
    let (holder, other) = (harness.client(), harness.client());
    let start = Frame::command(CommandCode::CAMERA_WORK_FLOW_START).with_payload_len(1000);
    harness.ask_bytes(other, &[&start.encode()[..], &[5; 900]].concat());
    harness.ask(holder, &go(1));
    harness.leave(holder);
    harness.commands.clear();
    harness.ask_bytes(other, &[5; 100]);
    assert_eq!(harness.reached(), []);
}

#[test]
fn a_holder_that_becomes_read_only_leaves_the_lease_to_others() {
    let mut harness = Harness::new(RouterOptions { lease: Some(ms(10_000)), ..options() });
    let (holder, other) = (harness.client(), harness.client());
    harness.ask(holder, &go(1));
    harness.answer_next(0.0);
    harness.router.set_role(harness.now, holder, Role::ReadOnly, Delivery::Callback);
    harness.ask(other, &go(1));
    assert_eq!(harness.reached(), [(go(1).code, 1)]);
}
