//! What happens to clients and commands when something fails.

use flamingo_protocol_core::{CommandCode, Frame};

use super::harness::*;
use crate::router::RouterOptions;
use crate::settings::{Delivery, LimitSettings, Role, WhenLost};

#[test]
fn a_client_that_leaves_with_requests_in_flight_harms_nobody() {
    let mut harness = Harness::new(options());
    let (gone, next) = (harness.client(), harness.client());
    harness.ask(gone, &position(1));
    harness.ask(gone, &position(2));
    harness.leave(gone);
    harness.ask(next, &position(1));
    harness.answer_next(1.0); // the requests of the client that left
    harness.answer_next(2.0);
    while !harness.commands.is_empty() {
        harness.answer_next(3.0);
    }
    assert_eq!(harness.received(next), [answer(&position(1), 3.0)]);
    assert_eq!(harness.router.client_status(harness.now).1.late, 2);
    assert!(harness.published_frames().is_empty());
}

#[test]
fn the_bridge_does_not_answer_for_a_silent_instrument() {
    let mut harness = Harness::new(options());
    let (one, other) = (harness.client(), harness.client());
    let unknown = Frame::command(CommandCode(0xBEEF));
    harness.ask(one, &unknown);
    harness.ask(one, &position(1));
    harness.ask(other, &position(2));
    harness.commands.remove(0);
    harness.answer_next(1.0);
    harness.answer_next(2.0);
    harness.pass(ms(20_000));
    assert_eq!(harness.received(one), [answer(&position(1), 1.0)]);
    assert_eq!(harness.received(other), [answer(&position(2), 2.0)]);
    let (clients, _) = harness.router.client_status(harness.now);
    assert_eq!(clients[0].counters.unanswered, 1);
}

#[test]
fn a_late_answer_is_never_given_to_the_next_request() {
    let mut harness = Harness::new(options());
    let id = harness.client();
    harness.ask(id, &position(1));
    let (late, _) = harness.commands.remove(0);
    harness.pass(ms(5000));
    harness.ask(id, &position(1));
    harness.instrument_sends(&answer(&late, 1.0));
    while !harness.commands.is_empty() {
        harness.answer_next(2.0);
    }
    assert_eq!(harness.received(id), [answer(&position(1), 2.0)]);
    assert_eq!(harness.router.client_status(harness.now).0[0].counters.late, 1);
}

#[test]
fn a_lost_instrument_fails_all_commands_and_none_is_resent() {
    let when_lost = WhenLost::Refusal;
    let mut harness = Harness::new(RouterOptions { when_lost, ..options() });
    let id = harness.client();
    for axis in 1..=4 {
        harness.ask(id, &go(axis));
    }
    harness.ask(id, &go(1));
    harness.commands.clear();
    harness.router.upstream_lost(harness.now);
    harness.write();
    let told = harness.received(id);
    assert_eq!(told.len(), 5);
    assert!(
        told.iter().all(|frame| frame.status == 0 && frame.text().unwrap().contains("lost")),
        "{told:?}"
    );
    harness.ask(id, &position(1));
    assert_refused(&harness.received(id), &position(1), "not connected");
    harness.connect(CommandCode::SYSTEM_STATE_LIVE_VIEW);
    assert!(harness.commands.is_empty(), "{:?}", harness.commands);
    let states: Vec<_> = harness.published_frames().iter().map(|frame| frame.code).collect();
    let expected = [CommandCode::SYSTEM_STATE_DISCONNECTED, CommandCode::SYSTEM_STATE_LIVE_VIEW];
    assert_eq!(states, expected);
    harness.ask(id, &position(1));
    harness.answer_next(1.0);
    assert_eq!(harness.received(id), [answer(&position(1), 1.0)], "the client stays connected");
}

#[test]
fn half_a_frame_does_not_affect_the_next_connection() {
    let mut harness = Harness::new(options());
    let id = harness.client();
    harness.router.upstream_input(harness.now, &push(1, 1.0).encode()[..70]);
    harness.router.upstream_lost(harness.now);
    harness.connect(IDLE);
    harness.ask(id, &position(1));
    harness.answer_next(1.0);
    assert_eq!(harness.received(id), [answer(&position(1), 1.0)]);
}

#[test]
fn an_instrument_that_does_not_report_its_state_is_dropped() {
    let mut harness = Harness::unconnected(options());
    let id = harness.client();
    harness.router.upstream_opened(harness.now);
    harness.ask(id, &position(1));
    assert_eq!(
        harness.reached(),
        [(CommandCode::SYSTEM_STATE_GET, 0)],
        "nothing else is sent before the state is known"
    );
    harness.pass(ms(5000));
    assert_eq!(harness.reconnects.len(), 1);
}

#[test]
fn a_half_closed_client_still_receives_its_answers() {
    let mut harness = Harness::new(options());
    let id = harness.client_as(Role::Control, Delivery::Inline);
    harness.ask(id, &position(1));
    harness.router.client_half_closed(id);
    assert!(!harness.router.should_close(id));
    harness.answer_next(1.0);
    assert!(!harness.router.should_close(id), "the answer is not written yet");
    assert_eq!(harness.received(id), [answer(&position(1), 1.0)]);
    assert!(harness.router.should_close(id));
}

#[test]
fn an_upload_that_is_answered_early_is_still_written() {
    let mut harness = Harness::new(options());
    let id = harness.client();
    let save = Frame::command(CommandCode::COMMON_SCOPE_SETTINGS_SAVE).with_payload_len(1000);
    harness.router.client_input(harness.now, id, &[&save.encode()[..], &[5; 1000]].concat());
    assert_eq!(harness.router.upstream_output(harness.now).len(), 128);
    harness.router.upstream_wrote(harness.now, 128);
    harness.router.upstream_input(harness.now, &answer(&save.with_payload_len(0), 0.0).encode());
    assert_eq!(harness.received(id).len(), 1);
    assert_eq!(harness.router.upstream_output(harness.now).len(), 1000);
    harness.router.upstream_wrote(harness.now, 1000);
    harness.ask(id, &position(1));
    assert_eq!(harness.reached(), [(position(1).code, 1)]);
}

#[test]
fn an_upload_that_has_ended_occupies_no_room() {
    let upload =
        |len| Frame::command(CommandCode::COMMON_SCOPE_SETTINGS_SAVE).with_payload_len(len);
    let bytes = |len: u32| [&upload(len).encode()[..], &vec![5; len as usize]].concat();
    let limits =
        LimitSettings { upload_bytes: 1000, upload_bytes_total: 1000, ..LimitSettings::default() };
    let mut harness = Harness::new(RouterOptions { limits, ..options() });
    let id = harness.client();
    // Answered before its last byte is written.
    harness.router.client_input(harness.now, id, &bytes(600));
    let shown = harness.router.upstream_output(harness.now).len();
    harness.router.upstream_wrote(harness.now, shown);
    harness.router.upstream_input(harness.now, &answer(&upload(0), 0.0).encode());
    harness.write();
    assert_eq!(harness.received(id).len(), 1);
    assert_eq!(harness.router.remembered_commands(), 0, "nothing more can come for it");
    // Never answered.
    let mut other = bytes(600);
    other[4..8].copy_from_slice(&CommandCode::COMMON_CONTROL_SETTINGS_SAVE.0.to_le_bytes());
    harness.ask_bytes(id, &other);
    harness.commands.clear();
    harness.pass(ms(5000));
    harness.ask_bytes(id, &bytes(1000));
    assert_eq!(harness.received(id), []);
    assert_eq!(harness.reached(), [(upload(0).code, 0)]);
}

#[test]
fn a_late_answer_does_not_interrupt_an_upload() {
    let mut harness = Harness::new(options());
    let id = harness.client();
    let save = Frame::command(CommandCode::COMMON_SCOPE_SETTINGS_SAVE).with_payload_len(1000);
    harness.router.client_input(harness.now, id, &[&save.encode()[..], &[5; 1000]].concat());
    let shown = harness.router.upstream_output(harness.now).len();
    harness.router.upstream_wrote(harness.now, shown);
    harness.now = harness.now + ms(5000);
    harness.router.handle_timeout(harness.now);
    harness.router.upstream_input(harness.now, &answer(&save.with_payload_len(0), 0.0).encode());
    assert_eq!(harness.router.upstream_output(harness.now).len(), 1000);
    harness.router.upstream_wrote(harness.now, 1000);
    harness.ask(id, &position(1));
    harness.answer_next(1.0);
    assert_eq!(harness.received(id), [answer(&position(1), 1.0)]);
    let status = harness.router.client_status(harness.now).0;
    assert_eq!(status[0].counters.late, 1);
    assert_eq!(harness.router.remembered_commands(), 0);
}

#[test]
fn an_action_with_a_presumed_answer_is_published_once() {
    let mut harness = Harness::new(options());
    let id = harness.client();
    harness.ask(id, &go(1));
    harness.commands.clear();
    harness.pass(ms(20_000)); // from now on, answers of this key are presumed
    harness.ask(id, &go(1));
    // The router asks for a position as well, whose answer would prove the other one.
    harness.instrument_sends(&answer(&go(1), 5.0));
    assert_eq!(harness.received(id).len(), 1);
    assert_eq!(harness.published_frames(), [answer(&go(1), 5.0)]);
}

#[test]
fn an_action_with_a_late_answer_is_still_echoed() {
    let mut harness = Harness::new(options());
    let id = harness.client_as(Role::Control, Delivery::Inline);
    let other = harness.client_as(Role::Control, Delivery::Inline);
    // A client that sends no frame does not stay.
    harness.ask(other, &position(1));
    harness.answer_next(1.0);
    harness.received(other);
    harness.ask(id, &go(1));
    harness.pass(ms(5000));
    let done = answer(&harness.answer_next(5.0), 5.0);
    assert_eq!(harness.received(id), []);
    assert_eq!(harness.received(other), [done]);
    assert_eq!(harness.published_frames(), [done]);
}

#[test]
fn an_answer_whose_payload_takes_too_long_is_late() {
    let mut harness = Harness::new(options());
    let id = harness.client();
    let load = Frame::command(CommandCode::COMMON_SCOPE_SETTINGS_LOAD);
    harness.ask(id, &load);
    let bytes = [&answer(&load, 0.0).with_payload_len(100).encode()[..], &[1; 100]].concat();
    harness.router.upstream_input(harness.now, &bytes[..200]);
    harness.pass(ms(5000));
    harness.router.upstream_input(harness.now, &bytes[200..]);
    assert_eq!(harness.received(id), []);
    let status = harness.router.client_status(harness.now).0;
    assert_eq!((status[0].counters.unanswered, status[0].counters.late), (1, 1));
}

#[test]
fn a_stopping_router_finishes_its_work_and_accepts_stops() {
    let mut harness = Harness::new(options());
    let id = harness.client();
    harness.ask(id, &position(1));
    harness.ask(id, &position(1));
    harness.router.stop();
    harness.ask(id, &position(2));
    assert_refused(&harness.received(id), &position(2), "is stopping");
    harness.ask(id, &halt(1));
    for _ in 0..3 {
        assert!(harness.router.is_busy());
        harness.answer_next(1.0);
    }
    assert_eq!(harness.received(id).len(), 3);
    assert!(!harness.router.is_busy());
}
