//! The dead man's switch: the end of the client that held the lease last stops everything at once.

use flamingo_protocol_core::{CommandCode, Frame};

use super::harness::*;
use crate::router::{ClientId, RouterOptions};

const STOPS: [(CommandCode, i32); 5] = [
    (CommandCode::STAGE_HALT, 1),
    (CommandCode::STAGE_HALT, 2),
    (CommandCode::STAGE_HALT, 3),
    (CommandCode::STAGE_HALT, 4),
    (CommandCode::LASER_DISABLE_ALL, 0),
];

fn armed() -> Harness {
    Harness::new(RouterOptions { lease: Some(ms(10_000)), dead_man: true, ..options() })
}

/// The connection of the client ends, and the sockets have not read its last bytes yet.
fn end(harness: &mut Harness, id: ClientId) {
    harness.router.client_ending(harness.now, id);
    harness.write();
}

#[test]
fn the_end_of_the_holder_stops_while_its_command_is_unanswered() {
    let home = Frame::command(CommandCode::STAGE_HOME).with_selector(2);
    for unanswered in [go(1), position(1), home] {
        let mut harness = armed();
        let holder = harness.client();
        harness.ask(holder, &go(3));
        harness.answer_next(0.0);
        harness.ask(holder, &unanswered);
        harness.commands.clear();
        end(&mut harness, holder);
        assert_eq!(harness.reached(), STOPS, "{unanswered}");
        assert!(harness.router.should_close(holder));
        // The sockets close it later; that stops nothing a second time.
        harness.leave(holder);
        assert_eq!(harness.reached(), STOPS);
    }
}

#[test]
fn what_the_lost_holder_sent_does_not_run_after_the_stop() {
    let mut harness = armed();
    let holder = harness.client();
    harness.ask(holder, &go(1));
    // These wait in its queue, some of them are not cancelled by the stop.
    let velocity = Frame::command(CommandCode::STAGE_VELOCITY_SET).with_selector(1).with_value(1.0);
    for command in [go(1), velocity, position(1), go(2), velocity, position(2), go(3)] {
        harness.ask(holder, &command);
    }
    harness.commands.clear();
    end(&mut harness, holder);
    // These were not read when the end was noticed.
    harness.ask_bytes(holder, &[go(1).encode(), velocity.encode()].concat());
    assert_eq!(harness.reached(), STOPS);
    while !harness.commands.is_empty() {
        harness.answer_next(0.0);
    }
    harness.pass(ms(60_000));
    assert!(harness.reached().is_empty(), "{:?}", harness.reached());
}

#[test]
fn a_client_that_has_ended_does_not_take_the_lease() {
    let mut harness = armed();
    let (ended, other) = (harness.client(), harness.client());
    end(&mut harness, ended);
    assert!(harness.commands.is_empty(), "it did not hold the lease");
    harness.ask(ended, &go(1));
    assert_refused(&harness.received(ended), &go(1), "has closed its connection");
    harness.ask(ended, &position(1));
    harness.ask(other, &go(1));
    assert_eq!(harness.reached(), [(position(1).code, 1), (go(1).code, 1)]);
}

#[test]
fn without_the_switch_the_end_of_a_client_stops_nothing() {
    let mut harness = Harness::new(RouterOptions { lease: Some(ms(10_000)), ..options() });
    let holder = harness.client();
    end(&mut harness, holder);
    harness.ask(holder, &go(1));
    assert_eq!(harness.reached(), [(go(1).code, 1)], "its last bytes are commands as any others");
    harness.router.client_half_closed(holder);
    harness.answer_next(0.0);
    assert_eq!(harness.received(holder).len(), 1);
    assert!(harness.router.should_close(holder));
}

#[test]
fn the_end_of_the_holder_also_stops_a_workflow() {
    let mut harness = armed();
    let holder = harness.client();
    harness.ask(holder, &go(1));
    harness.answer_next(0.0);
    harness.instrument_sends(&Frame::new(CommandCode::SYSTEM_STATE_WORK_FLOW_RUNNING));
    harness.commands.clear();
    end(&mut harness, holder);
    let workflow = (CommandCode::CAMERA_WORK_FLOW_STOP, 0);
    let mut reached = harness.reached();
    assert!(reached.contains(&workflow), "{reached:?}");
    reached.retain(|stop| *stop != workflow);
    assert_eq!(reached, STOPS);
}
