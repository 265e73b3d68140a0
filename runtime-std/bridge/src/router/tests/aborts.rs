//! The stops of a workflow and of live images: they need permission, but wait behind no command.

use flamingo_protocol_core::{CommandCode, Frame};

use super::harness::*;
use crate::router::RouterOptions;
use crate::settings::{Delivery, LimitSettings, Role};

const ABORTS: [CommandCode; 2] =
    [CommandCode::CAMERA_WORK_FLOW_STOP, CommandCode::CAMERA_LIVE_VIEW_STOP];

fn workflow_start() -> Vec<u8> {
    let start = Frame::command(CommandCode::CAMERA_WORK_FLOW_START).with_payload_len(3);
    [&start.encode()[..], b"abc"].concat()
}

#[test]
fn an_abort_waits_behind_no_command_of_any_client() {
    for abort in ABORTS.map(Frame::command) {
        let mut harness = Harness::new(options());
        let (id, other) = (harness.client(), harness.client());
        for axis in [1, 2, 3, 4, 1, 2, 3, 4] {
            harness.ask(id, &position(axis));
            harness.ask(other, &position(axis));
        }
        let before = harness.commands.len();
        assert!(before < 16, "the others wait");
        harness.ask(id, &abort);
        assert_eq!(harness.reached()[before..], [(abort.code, 0)]);
        let (asked, _) = harness.commands.pop().unwrap();
        harness.instrument_sends(&answer(&asked, 0.0));
        assert_eq!(harness.received(id), [answer(&abort, 0.0)]);
        assert!(harness.received(other).is_empty());
    }
}

#[test]
fn an_abort_needs_permission_also_while_the_bridge_stops() {
    for abort in ABORTS.map(Frame::command) {
        let mut harness = Harness::new(options());
        let reader = harness.client_as(Role::ReadOnly, Delivery::Callback);
        harness.ask(reader, &abort);
        assert_refused(&harness.received(reader), &abort, "read-only");

        let mut harness = Harness::new(options());
        let id = harness.client();
        harness.router.stop();
        harness.ask(id, &abort);
        assert_eq!(harness.reached(), [(abort.code, 0)]);
    }
}

#[test]
fn an_abort_passes_when_the_queue_of_its_client_is_full() {
    let limits = LimitSettings { queue_frames: 2, ..LimitSettings::default() };
    let mut harness = Harness::new(RouterOptions { limits, ..options() });
    let id = harness.client();
    for _ in 0..6 {
        harness.ask(id, &position(1));
    }
    assert!(!harness.received(id).is_empty(), "the queue is full");
    harness.ask(id, &Frame::command(ABORTS[0]));
    assert_eq!(harness.reached().last(), Some(&(ABORTS[0], 0)));
    assert!(harness.received(id).is_empty(), "it is not refused");
}

#[test]
fn a_workflow_stop_cancels_the_waiting_starts_of_all_clients() {
    let mut harness = Harness::new(options());
    let (starter, other) = (harness.client(), harness.client());
    for axis in 1..=3 {
        harness.ask(starter, &position(axis));
    }
    harness.ask_bytes(starter, &workflow_start());
    harness.ask(starter, &Frame::command(CommandCode::CAMERA_LIVE_VIEW_START));
    let before = harness.commands.len();
    harness.ask(other, &Frame::command(ABORTS[0]));
    assert_eq!(harness.reached()[before..], [(ABORTS[0], 0)]);
    assert_eq!(harness.router.client_status(harness.now).0[0].counters.superseded, 1);
    while !harness.commands.is_empty() {
        harness.answer_next(0.0);
        let start = CommandCode::CAMERA_WORK_FLOW_START;
        assert!(harness.reached().iter().all(|(code, _)| *code != start));
    }
    let codes: Vec<_> = harness.received(starter).iter().map(|frame| frame.code).collect();
    assert!(codes.contains(&CommandCode::CAMERA_LIVE_VIEW_START), "only the start of a workflow");
}

/// Half an upload is written.
fn half_an_upload() -> (Harness, u64) {
    let mut harness = Harness::new(options());
    let id = harness.client();
    harness.router.client_input(harness.now, id, &workflow_start());
    let shown = harness.router.upstream_output(harness.now).len();
    harness.router.upstream_wrote(harness.now, shown / 2);
    (harness, id)
}

#[test]
fn an_unsent_abort_goes_first_on_the_next_connection() {
    for abort in ABORTS {
        let (mut harness, id) = half_an_upload();
        harness.router.client_input(harness.now, id, &Frame::command(abort).encode());
        harness.router.upstream_lost(harness.now);
        harness.write();
        harness.router.upstream_opened(harness.now);
        harness.write();
        assert_eq!(harness.reached(), [(abort, 0), (CommandCode::SYSTEM_STATE_GET, 0)]);
    }
}

#[test]
fn an_unsent_abort_of_a_client_that_left_is_sent() {
    let mut harness = Harness::new(options());
    let id = harness.client();
    harness.router.client_input(harness.now, id, &Frame::command(ABORTS[0]).encode());
    harness.leave(id);
    assert_eq!(harness.reached(), [(ABORTS[0], 0)]);
}

#[test]
fn an_unanswered_abort_does_not_occupy_a_slot() {
    let mut harness = Harness::new(options());
    let id = harness.client();
    for abort in ABORTS {
        harness.ask(id, &Frame::command(abort));
    }
    for axis in 1..=2 {
        harness.ask(id, &position(axis));
    }
    assert_eq!(harness.commands.len(), 4);
}
