//! STAGE_HALT with the selector 255: the bridge halts each axis, and answers the client once.

use flamingo_protocol_core::{CommandCode, Flags, Frame};

use super::harness::*;
use crate::settings::{Delivery, Role};

const HALTS: [(CommandCode, i32); 4] = [
    (CommandCode::STAGE_HALT, 1),
    (CommandCode::STAGE_HALT, 2),
    (CommandCode::STAGE_HALT, 3),
    (CommandCode::STAGE_HALT, 4),
];

/// A HALT of all axes with fields that the client finds again in the answer.
fn halt_all() -> Frame {
    Frame { client_id: 7, hardware_id: 3, ..halt(255) }
}

#[test]
fn a_halt_of_all_axes_halts_each_and_is_answered_once() {
    let mut harness = Harness::new(options());
    let client = harness.client_as(Role::ReadOnly, Delivery::Inline);
    let other = harness.client_as(Role::Control, Delivery::Inline);
    harness.ask(client, &halt_all());
    assert_eq!(harness.reached(), HALTS);
    for _ in 0..3 {
        harness.answer_next(0.0);
        assert_eq!(harness.received(client), []);
    }
    harness.answer_next(0.0);
    assert_eq!(harness.received(client), [answer(&halt_all(), 0.0)]);
    let reports: Vec<_> = harness.received(other).iter().map(Frame::selector).collect();
    assert_eq!(reports, [1, 2, 3, 4], "the others see what the instrument did");
    harness.router.client_half_closed(client);
    assert!(harness.router.should_close(client), "nothing is open");
}

#[test]
fn a_halt_of_all_axes_has_the_lowest_status_of_the_four() {
    let mut harness = Harness::new(options());
    let client = harness.client();
    harness.ask(client, &halt_all());
    for (frame, _) in std::mem::take(&mut harness.commands) {
        let status = i32::from(frame.selector() != 2);
        harness.instrument_sends(&Frame { status, ..frame });
    }
    assert_eq!(harness.received(client), [Frame { status: 0, ..halt_all() }]);
}

#[test]
fn a_halt_of_all_axes_names_the_axes_without_answer() {
    let mut harness = Harness::new(options());
    let client = harness.client();
    harness.ask(client, &halt_all());
    for axis in [0, 0] {
        let (frame, _) = harness.commands.remove(axis);
        harness.instrument_sends(&answer(&frame, 0.0));
    }
    harness.pass(ms(5001));
    assert_refused(&harness.received(client), &halt_all(), "axes 3 4: ");
}

#[test]
fn a_halt_of_all_axes_names_the_axes_of_a_lost_connection() {
    let mut harness = Harness::new(options());
    let client = harness.client();
    harness.ask(client, &halt_all());
    harness.answer_next(0.0);
    harness.router.upstream_lost(harness.now);
    let received = harness.received(client);
    assert_refused(&received, &halt_all(), "axes 2 3 4: instrument connection lost");
    assert_eq!((received[0].client_id, received[0].selector()), (7, 255));
}

#[test]
fn a_halt_of_all_axes_waits_for_the_connection() {
    let mut harness = Harness::unconnected(options());
    let client = harness.client();
    harness.ask(client, &halt_all());
    harness.router.client_half_closed(client);
    harness.pass(ms(1000));
    assert!(!harness.router.should_close(client), "it waits for its answer");
    harness.router.upstream_opened(harness.now);
    harness.write();
    assert_eq!(harness.reached()[..4], HALTS);
    for _ in 0..4 {
        harness.answer_next(0.0);
    }
    assert_eq!(harness.received(client), [answer(&halt_all(), 0.0)]);
    assert!(harness.router.should_close(client));
}

#[test]
fn a_halt_of_all_axes_that_stays_unsent_is_refused_once() {
    let mut harness = Harness::unconnected(options());
    let client = harness.client();
    harness.ask(client, &halt_all());
    harness.pass(ms(2001));
    let reason = "all axes: no connection yet; it goes first if there is one soon";
    assert_refused(&harness.received(client), &halt_all(), reason);
    harness.pass(ms(1000));
    harness.router.upstream_opened(harness.now);
    harness.write();
    assert_eq!(harness.reached()[..4], HALTS, "it still goes first");
    for _ in 0..4 {
        harness.answer_next(0.0);
    }
    assert_eq!(harness.received(client), []);
}

#[test]
fn a_halt_of_all_axes_and_a_halt_of_one_are_both_answered() {
    let mut harness = Harness::unconnected(options());
    let (one, other) = (harness.client(), harness.client());
    harness.ask(one, &halt(2));
    harness.ask(one, &halt(255));
    harness.ask(other, &halt(255));
    harness.router.upstream_opened(harness.now);
    harness.write();
    assert_eq!(harness.reached().len(), 5, "four axes and the state");
    for _ in 0..4 {
        harness.answer_next(0.0);
    }
    let selectors = |frames: Vec<Frame>| frames.iter().map(Frame::selector).collect::<Vec<_>>();
    assert_eq!(selectors(harness.received(one)), [2, 255]);
    assert_eq!(selectors(harness.received(other)), [255]);
}

#[test]
fn a_halt_of_all_axes_without_an_answer_is_sent_as_well() {
    let mut harness = Harness::new(options());
    let client = harness.client();
    let flags = halt(255).flags.without(Flags::TRIGGER_CALL_BACK);
    harness.ask(client, &Frame { flags, ..halt(255) });
    assert_eq!(harness.reached(), HALTS);
    harness.ask(client, &halt(255));
    harness.leave(client);
    assert_eq!(harness.commands.len(), 8, "a stop is sent even if its client has left");
    assert_eq!(harness.router.open_halts.len(), 0);
}
