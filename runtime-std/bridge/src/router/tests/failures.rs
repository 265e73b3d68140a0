//! What becomes of clients and commands when something fails.

use flamingo_protocol_core::{CommandCode, Frame};

use super::harness::*;
use crate::router::Options;
use crate::settings::{Delivery, Limits, Role};

#[test]
fn a_client_that_leaves_with_requests_in_flight_harms_nobody_and_its_late_answers_are_counted() {
    let mut lab = Lab::new(options());
    let (gone, next) = (lab.client(), lab.client());
    lab.ask(gone, &position(1));
    lab.ask(gone, &position(2));
    lab.leave(gone);
    lab.ask(next, &position(1));
    lab.answer_next(1.0); // those of the one that left
    lab.answer_next(2.0);
    while !lab.commands.is_empty() {
        lab.answer_next(3.0);
    }
    assert_eq!(lab.told(next), [answer(&position(1), 3.0)]);
    assert_eq!(lab.router.client_status(lab.now).1.late, 2);
    assert!(lab.messages().is_empty());
}

#[test]
fn what_the_instrument_never_answers_the_bridge_never_answers_and_all_else_goes_on() {
    let mut lab = Lab::new(options());
    let (one, other) = (lab.client(), lab.client());
    let unknown = Frame::command(CommandCode(0xBEEF));
    lab.ask(one, &unknown);
    lab.ask(one, &position(1));
    lab.ask(other, &position(2));
    lab.commands.remove(0);
    lab.answer_next(1.0);
    lab.answer_next(2.0);
    lab.pass(ms(20_000));
    assert_eq!(lab.told(one), [answer(&position(1), 1.0)]);
    assert_eq!(lab.told(other), [answer(&position(2), 2.0)]);
    let (clients, _) = lab.router.client_status(lab.now);
    assert_eq!(clients[0].counters.unanswered, 1);
}

#[test]
fn an_answer_after_the_time_is_late_and_never_the_next_ones() {
    let mut lab = Lab::new(options());
    let id = lab.client();
    lab.ask(id, &position(1));
    let (late, _) = lab.commands.remove(0);
    lab.pass(ms(5000));
    lab.ask(id, &position(1));
    lab.say(&answer(&late, 1.0));
    while !lab.commands.is_empty() {
        lab.answer_next(2.0);
    }
    assert_eq!(lab.told(id), [answer(&position(1), 2.0)]);
    assert_eq!(lab.router.client_status(lab.now).0[0].counters.late, 1);
}

#[test]
fn when_the_instrument_is_lost_all_that_waits_is_told_and_nothing_is_sent_again() {
    let mut lab = Lab::new(options());
    let id = lab.client();
    for axis in 1..=4 {
        lab.ask(id, &go(axis));
    }
    lab.ask(id, &go(1));
    lab.commands.clear();
    lab.router.upstream_lost(lab.now);
    lab.write();
    let told = lab.told(id);
    assert_eq!(told.len(), 5);
    assert!(
        told.iter().all(|frame| frame.status == 0 && frame.text().unwrap().contains("lost")),
        "{told:?}"
    );
    lab.ask(id, &position(1));
    assert_refused(&lab.told(id), &position(1), "not connected");
    lab.connect(CommandCode::SYSTEM_STATE_LIVE_VIEW);
    assert!(lab.commands.is_empty(), "{:?}", lab.commands);
    let states: Vec<_> = lab.messages().iter().map(|frame| frame.code).collect();
    let expected = [CommandCode::SYSTEM_STATE_DISCONNECTED, CommandCode::SYSTEM_STATE_LIVE_VIEW];
    assert_eq!(states, expected);
    lab.ask(id, &position(1));
    lab.answer_next(1.0);
    assert_eq!(lab.told(id), [answer(&position(1), 1.0)], "the connection was kept");
}

#[test]
fn half_a_frame_of_the_connection_that_was_lost_spoils_nothing_of_the_next() {
    let mut lab = Lab::new(options());
    let id = lab.client();
    lab.router.upstream_input(lab.now, &push(1, 1.0).encode()[..70]);
    lab.router.upstream_lost(lab.now);
    lab.connect(IDLE);
    lab.ask(id, &position(1));
    lab.answer_next(1.0);
    assert_eq!(lab.told(id), [answer(&position(1), 1.0)]);
}

#[test]
fn an_instrument_that_does_not_say_its_state_is_given_up() {
    let mut lab = Lab::unconnected(options());
    let id = lab.client();
    lab.router.upstream_opened(lab.now);
    lab.ask(id, &position(1));
    assert_eq!(lab.reached(), [(CommandCode::SYSTEM_STATE_GET, 0)], "nothing else goes up before");
    lab.pass(ms(5000));
    assert_eq!(lab.gave_up.len(), 1);
}

#[test]
fn a_client_that_has_closed_its_way_is_still_told_its_answers() {
    let mut lab = Lab::new(options());
    let id = lab.client_as(Role::Control, Delivery::Inline);
    lab.ask(id, &position(1));
    lab.router.client_finished(id);
    assert!(!lab.router.is_over(id));
    lab.answer_next(1.0);
    assert!(!lab.router.is_over(id), "it was not written yet");
    assert_eq!(lab.told(id), [answer(&position(1), 1.0)]);
    assert!(lab.router.is_over(id));
}

#[test]
fn an_upload_that_is_answered_before_its_last_byte_is_out_goes_out_all_the_same() {
    let mut lab = Lab::new(options());
    let id = lab.client();
    let save = Frame::command(CommandCode::COMMON_SCOPE_SETTINGS_SAVE).with_payload_len(1000);
    lab.router.client_input(lab.now, id, &[&save.encode()[..], &[5; 1000]].concat());
    assert_eq!(lab.router.upstream_output(lab.now).len(), 128);
    lab.router.upstream_wrote(lab.now, 128);
    lab.router.upstream_input(lab.now, &answer(&save.with_payload_len(0), 0.0).encode());
    assert_eq!(lab.told(id).len(), 1);
    assert_eq!(lab.router.upstream_output(lab.now).len(), 1000);
    lab.router.upstream_wrote(lab.now, 1000);
    lab.ask(id, &position(1));
    assert_eq!(lab.reached(), [(position(1).code, 1)]);
}

#[test]
fn an_upload_that_is_over_takes_no_room_from_the_next_however_it_ended() {
    let upload =
        |len| Frame::command(CommandCode::COMMON_SCOPE_SETTINGS_SAVE).with_payload_len(len);
    let bytes = |len: u32| [&upload(len).encode()[..], &vec![5; len as usize]].concat();
    let limits = Limits { upload_bytes: 1000, upload_bytes_total: 1000, ..Limits::default() };
    let mut lab = Lab::new(Options { limits, ..options() });
    let id = lab.client();
    // Answered before its last byte is out.
    lab.router.client_input(lab.now, id, &bytes(600));
    let shown = lab.router.upstream_output(lab.now).len();
    lab.router.upstream_wrote(lab.now, shown);
    lab.router.upstream_input(lab.now, &answer(&upload(0), 0.0).encode());
    lab.write();
    assert_eq!(lab.told(id).len(), 1);
    assert_eq!(lab.router.remembered(), 0, "nothing more can come for it");
    // Never answered.
    let mut other = bytes(600);
    other[4..8].copy_from_slice(&CommandCode::COMMON_CONTROL_SETTINGS_SAVE.0.to_le_bytes());
    lab.ask_bytes(id, &other);
    lab.commands.clear();
    lab.pass(ms(5000));
    lab.ask_bytes(id, &bytes(1000));
    assert_eq!(lab.told(id), []);
    assert_eq!(lab.reached(), [(upload(0).code, 0)]);
}

#[test]
fn a_late_answer_to_an_upload_that_is_still_going_out_does_not_stop_it() {
    let mut lab = Lab::new(options());
    let id = lab.client();
    let save = Frame::command(CommandCode::COMMON_SCOPE_SETTINGS_SAVE).with_payload_len(1000);
    lab.router.client_input(lab.now, id, &[&save.encode()[..], &[5; 1000]].concat());
    let shown = lab.router.upstream_output(lab.now).len();
    lab.router.upstream_wrote(lab.now, shown);
    lab.now = lab.now + ms(5000);
    lab.router.handle_timeout(lab.now);
    lab.router.upstream_input(lab.now, &answer(&save.with_payload_len(0), 0.0).encode());
    assert_eq!(lab.router.upstream_output(lab.now).len(), 1000);
    lab.router.upstream_wrote(lab.now, 1000);
    lab.ask(id, &position(1));
    lab.answer_next(1.0);
    assert_eq!(lab.told(id), [answer(&position(1), 1.0)]);
    let status = lab.router.client_status(lab.now).0;
    assert_eq!(status[0].counters.late, 1);
    assert_eq!(lab.router.remembered(), 0);
}

#[test]
fn an_action_whose_answer_is_only_presumed_is_shown_once() {
    let mut lab = Lab::new(options());
    let id = lab.client();
    lab.ask(id, &go(1));
    lab.commands.clear();
    lab.pass(ms(20_000)); // from now on nobody knows whether its answer may still come
    lab.ask(id, &go(1));
    lab.answer_next(5.0);
    assert_eq!(lab.told(id).len(), 1);
    assert_eq!(lab.messages(), [answer(&go(1), 5.0)]);
}

#[test]
fn an_action_whose_answer_is_late_is_shown_to_the_others_all_the_same() {
    let mut lab = Lab::new(options());
    let id = lab.client_as(Role::Control, Delivery::Inline);
    let other = lab.client_as(Role::Control, Delivery::Inline);
    lab.ask(id, &go(1));
    lab.pass(ms(5000));
    let done = answer(&lab.answer_next(5.0), 5.0);
    assert_eq!(lab.told(id), []);
    assert_eq!(lab.told(other), [done]);
    assert_eq!(lab.messages(), [done]);
}

#[test]
fn an_answer_whose_payload_takes_too_long_is_late() {
    let mut lab = Lab::new(options());
    let id = lab.client();
    let load = Frame::command(CommandCode::COMMON_SCOPE_SETTINGS_LOAD);
    lab.ask(id, &load);
    let bytes = [&answer(&load, 0.0).with_payload_len(100).encode()[..], &[1; 100]].concat();
    lab.router.upstream_input(lab.now, &bytes[..200]);
    lab.pass(ms(5000));
    lab.router.upstream_input(lab.now, &bytes[200..]);
    assert_eq!(lab.told(id), []);
    let status = lab.router.client_status(lab.now).0;
    assert_eq!((status[0].counters.unanswered, status[0].counters.late), (1, 1));
}

#[test]
fn when_it_is_told_to_stop_it_finishes_what_was_asked_and_takes_nothing_new_but_stops() {
    let mut lab = Lab::new(options());
    let id = lab.client();
    lab.ask(id, &position(1));
    lab.ask(id, &position(1));
    lab.router.stop();
    lab.ask(id, &position(2));
    assert_refused(&lab.told(id), &position(2), "ends");
    lab.ask(id, &halt(1));
    for _ in 0..3 {
        assert!(lab.router.is_busy());
        lab.answer_next(1.0);
    }
    assert_eq!(lab.told(id).len(), 3);
    assert!(!lab.router.is_busy());
}
