//! Stops that clients send while the instrument is not connected: they go out first on the next
//! connection, before any other frame.

use flamingo_protocol_core::{
    CommandCode, Frame,
    wire::{Selector, TABLE},
};

use super::harness::*;
use crate::router::RouterOptions;
use crate::settings::{Delivery, Role};

const STATE: (CommandCode, i32) = (CommandCode::SYSTEM_STATE_GET, 0);

fn lasers_off() -> Frame {
    Frame::command(CommandCode::LASER_DISABLE_ALL).with_selector(1)
}

#[test]
fn a_stop_sent_while_it_is_away_goes_before_the_handshake() {
    for row in TABLE.iter().filter(|row| row.effect.stops()) {
        let mut harness = Harness::unconnected(options());
        let id = harness.client();
        let stop = Frame::command(row.code).with_selector(1);
        harness.ask(id, &stop);
        assert_eq!(harness.received(id), [], "no answer before it is sent");
        assert_eq!(harness.connect_now, 1, "it does not wait for the next attempt");
        harness.pass(ms(1000));
        harness.router.upstream_opened(harness.now);
        harness.write();
        let selector = i32::from(row.selector != Selector::None);
        assert_eq!(harness.reached(), [(row.code, selector), STATE]);
        harness.answer_next(0.0);
        assert_eq!(harness.received(id), [answer(&stop, 0.0)], "the client gets the true answer");
    }
}

#[test]
fn four_axes_and_the_lasers_are_stopped_first() {
    let mut harness = Harness::new(options());
    harness.router.upstream_lost(harness.now);
    harness.write();
    let (one, other) = (harness.client(), harness.client());
    for axis in 1..=4 {
        harness.ask(one, &halt(axis));
    }
    harness.ask(other, &lasers_off());
    harness.ask(other, &halt(2)); // one HALT serves both
    harness.ask(one, &go(1));
    assert_refused(&harness.received(one), &go(1), "not connected");
    harness.router.upstream_opened(harness.now);
    harness.write();
    let codes: Vec<_> = harness.reached();
    assert_eq!(codes.len(), 6, "{codes:?}");
    assert_eq!(codes[5], STATE);
    for _ in 0..5 {
        harness.answer_next(0.0);
    }
    assert_eq!(harness.received(one).len(), 4);
    let received: Vec<_> = harness.received(other).iter().map(|frame| frame.code).collect();
    assert_eq!(received.len(), 2, "{received:?}");
}

#[test]
fn a_stop_that_stays_unsent_is_refused_in_time() {
    let mut harness = Harness::unconnected(options());
    let id = harness.client();
    harness.ask(id, &halt(1));
    harness.pass(ms(1999));
    assert_eq!(harness.received(id), []);
    harness.pass(ms(2));
    assert_refused(&harness.received(id), &halt(1), "no connection yet");
    harness.pass(ms(1000));
    harness.router.upstream_opened(harness.now);
    harness.write();
    assert_eq!(harness.reached(), [(CommandCode::STAGE_HALT, 1), STATE], "it still goes first");
    harness.answer_next(0.0);
    assert_eq!(harness.received(id), [], "the client has its answer already");

    let mut harness = Harness::unconnected(options());
    harness.client();
    harness.ask(1, &halt(1));
    harness.pass(ms(10_001));
    harness.router.upstream_opened(harness.now);
    harness.write();
    assert_eq!(harness.reached(), [STATE], "a late stop would stop something else");
}

#[test]
fn a_stop_is_sent_even_if_its_client_has_left() {
    let mut harness = Harness::unconnected(options());
    let (gone, half) = (harness.client(), harness.client());
    harness.ask(gone, &halt(1));
    harness.ask(half, &halt(2));
    harness.leave(gone);
    harness.router.client_half_closed(half);
    assert!(!harness.router.should_close(half), "it waits for its answer");
    harness.router.upstream_opened(harness.now);
    harness.write();
    assert_eq!(harness.reached().len(), 3);
    harness.answer_next(0.0);
    harness.answer_next(0.0);
    assert_eq!(harness.received(half).len(), 1);
    assert!(harness.router.should_close(half));
}

#[test]
fn a_stop_of_a_failed_handshake_is_sent_again() {
    let mut harness = Harness::unconnected(options());
    let id = harness.client();
    harness.ask(id, &halt(1));
    harness.ask(id, &lasers_off());
    for _ in 0..3 {
        harness.commands.clear();
        harness.router.upstream_opened(harness.now);
        harness.write();
        let off = CommandCode::LASER_DISABLE_ALL;
        assert_eq!(harness.reached(), [(CommandCode::STAGE_HALT, 1), (off, 1), STATE]);
        harness.router.upstream_lost(harness.now);
        harness.write();
        assert_eq!(harness.received(id), []);
    }
}

#[test]
fn a_stop_that_reached_a_working_connection_is_sent_once() {
    let mut harness = Harness::new(options());
    let id = harness.client();
    harness.ask(id, &halt(1));
    assert_eq!(harness.reached().len(), 1);
    harness.commands.clear();
    harness.router.upstream_lost(harness.now);
    harness.write();
    assert_refused(&harness.received(id), &halt(1), "connection lost");
    harness.router.upstream_opened(harness.now);
    harness.write();
    assert_eq!(harness.reached(), [STATE]);
}

#[test]
fn a_stop_during_the_handshake_goes_at_once() {
    let mut harness = Harness::unconnected(options());
    let id = harness.client();
    harness.router.upstream_opened(harness.now);
    harness.write();
    harness.ask(id, &halt(1));
    assert_eq!(harness.reached(), [STATE, (CommandCode::STAGE_HALT, 1)]);
}

#[test]
fn a_read_only_client_does_not_stop_a_workflow_later() {
    let mut harness = Harness::unconnected(options());
    let reader = harness.client_as(Role::ReadOnly, Delivery::Callback);
    let stop = Frame::command(CommandCode::CAMERA_WORK_FLOW_STOP);
    harness.ask(reader, &stop);
    assert_refused(&harness.received(reader), &stop, "read-only");
    harness.ask(reader, &halt(1));
    assert_eq!(harness.connect_now, 1);
}

#[test]
fn the_dead_man_switch_waits_for_the_connection() {
    let mut harness =
        Harness::new(RouterOptions { lease: Some(ms(10_000)), dead_man: true, ..options() });
    let mover = harness.client();
    harness.ask(mover, &go(1));
    harness.answer_next(0.0);
    harness.router.upstream_lost(harness.now);
    harness.leave(mover);
    harness.router.upstream_opened(harness.now);
    harness.write();
    assert_eq!(harness.reached().len(), 6, "four axes, the lasers, and the state");
}

#[test]
fn the_stops_that_wait_are_bounded_and_none_is_refused() {
    let mut harness = Harness::unconnected(options());
    let (one, other) = (harness.client(), harness.client());
    for number in 0..5000 {
        let stop = Frame { hardware_id: number, ..halt(1 + number % 4) };
        harness.ask(one, &stop);
    }
    harness.ask(other, &halt(3));
    harness.ask(other, &lasers_off());
    assert_eq!(harness.connect_now, 5, "equal stops are one");
    assert_eq!(harness.received(one), []);
    harness.router.upstream_opened(harness.now);
    harness.write();
    assert_eq!(harness.reached().len(), 6, "five stops and the state");
    for _ in 0..4 {
        harness.answer_next(0.0);
    }
    assert_eq!(harness.received(other), [answer(&halt(3), 0.0)]);
    assert_eq!(harness.received(one).len(), 1024, "each answer, up to a limit");
    let (status, _) = harness.router.client_status(harness.now);
    assert_eq!(status[0].counters.unanswered, 5000 - 1024, "what was not answered is counted");
}

#[test]
fn stops_of_others_do_not_delay_what_a_client_is_told() {
    let mut harness = Harness::unconnected(options());
    let (one, other) = (harness.client(), harness.client());
    harness.ask(one, &halt(1));
    for _ in 0..20 {
        harness.pass(ms(99));
        harness.ask(other, &halt(1));
    }
    harness.pass(ms(20));
    assert_refused(&harness.received(one), &halt(1), "no connection yet");
}

#[test]
fn a_stop_waits_for_the_connection_of_a_bridge_that_stops() {
    let mut harness = Harness::unconnected(options());
    let id = harness.client();
    harness.router.stop();
    harness.ask(id, &halt(1));
    assert_eq!(harness.connect_now, 1);
    assert!(harness.router.is_busy(), "the bridge waits for it");
    harness.router.upstream_opened(harness.now);
    harness.write();
    assert_eq!(harness.reached(), [(CommandCode::STAGE_HALT, 1), STATE]);
    harness.answer_next(0.0);
    assert_eq!(harness.received(id), [answer(&halt(1), 0.0)]);
}
