//! Which unsolicited messages go to the control port: codes that a delivery leaves out, and clients that
//! ask for all of them.

use flamingo_protocol_core::{CommandCode, Frame, Responder, wire::Kind};
use flamingo_runtime_std::events_on_request;

use super::harness::*;
use crate::settings::{Delivery, EventDelivery, Preset, Role};

fn state() -> Frame {
    Frame::command(CommandCode::SYSTEM_STATE_GET)
}

#[test]
fn codes_that_a_delivery_leaves_out_are_only_published() {
    let mut harness = Harness::new(options());
    let python = harness.client_as(Role::Control, Preset::PythonGui.delivery());
    let both = EventDelivery::new(Delivery::Both, vec![CommandCode::STAGE_MOTION_STOPPED]);
    let both = harness.client_as(Role::Control, both);
    let stopped = Frame::new(CommandCode::STAGE_MOTION_STOPPED);
    harness.instrument_sends(&push(1, 1.0));
    harness.instrument_sends(&stopped);
    assert_eq!(harness.received(python), [stopped]);
    assert_eq!(harness.received(both), [push(1, 1.0)]);
    assert_eq!(harness.published_frames(), [push(1, 1.0), stopped]);
    // Answers are not left out.
    harness.ask(python, &position(1));
    harness.answer_next(2.0);
    assert_eq!(harness.received(python), [answer(&position(1), 2.0)]);
}

#[test]
fn a_client_that_asks_for_events_receives_all_of_them() {
    for delivery in [EventDelivery::default(), Preset::PythonGui.delivery()] {
        let mut harness = Harness::new(options());
        let id = harness.client_as(Role::Control, delivery);
        harness.ask(id, &state());
        harness.answer_next(0.0);
        let [answered] = harness.received(id)[..] else { panic!("one answer") };
        assert!(events_on_request::is_offered(&answered), "{answered}");
        harness.ask(id, &events_on_request::request());
        assert!(harness.commands.is_empty(), "the instrument does not receive the request");
        // A reload of the settings does not take it back.
        harness.router.set_role(harness.now, id, Role::Control, Delivery::Callback);
        harness.instrument_sends(&push(1, 1.0));
        assert_eq!(harness.received(id), [push(1, 1.0)]);
        harness.ask(id, &state());
        harness.answer_next(0.0);
        assert!(!events_on_request::is_offered(&harness.received(id)[0]));
    }
}

#[test]
fn a_client_with_inline_events_sees_an_unchanged_state() {
    let mut harness = Harness::new(options());
    let id = harness.client_as(Role::Control, Delivery::Inline);
    harness.ask(id, &state());
    harness.answer_next(0.0);
    assert_eq!(harness.received(id), [answer(&state(), 0.0)]);
}

#[test]
fn the_request_for_events_is_answered_by_nobody() {
    let request = events_on_request::request();
    assert!(!flamingo_protocol_core::responder::is_answered(&request));
    assert!(request.code.row().is_none_or(|row| row.kind != Kind::Query));
    let mut instrument = Responder::<4>::default();
    assert!(instrument.handle_input(&request.encode()).1.is_some(), "it is a frame");
}

#[test]
fn a_report_of_an_action_is_not_taken_for_an_answer() {
    let mut harness = Harness::new(options());
    let mover = harness.client();
    let [waits, idle] = [(), ()].map(|()| harness.client_as(Role::Control, Delivery::Inline));
    let asked = harness.client();
    harness.ask(asked, &events_on_request::request());
    harness.ask(mover, &go(1));
    harness.ask(waits, &go(2)); // waits for its own answer
    harness.published.clear();
    harness.answer_next(5.0);
    assert_eq!(harness.received(mover), [answer(&go(1), 5.0)]);
    assert_eq!(harness.received(idle), [answer(&go(1), 5.0)]);
    assert_eq!(harness.received(waits), []);
    assert_eq!(harness.received(asked), [], "a command of it may be on its way");
    assert_eq!(harness.published_frames(), [answer(&go(1), 5.0)]);
    harness.answer_next(6.0);
    assert_eq!(harness.received(waits), [answer(&go(2), 6.0)]);
    // Nothing waits for the answer to a laser command.
    let laser = Frame::command(CommandCode::LASER_LEVEL_SET).with_selector(1);
    harness.ask(mover, &laser);
    for id in [waits, asked] {
        assert_eq!(harness.received(id).last(), Some(&laser));
    }
}
