//! Who gets what: answers, unsolicited messages, echoes.

use flamingo_protocol_core::{CommandCode, Flags, Frame, TokenField};

use super::harness::*;
use crate::settings::{Delivery, Role};

#[test]
fn two_clients_that_ask_the_same_at_the_same_time_each_get_an_answer_of_their_own() {
    let mut lab = Lab::new(options());
    let (first, second) = (lab.client(), lab.client());
    lab.ask(first, &position(1));
    lab.ask(second, &position(1));
    assert_eq!(lab.commands.len(), 1, "of a key, one is on the wire");
    lab.answer_next(1.0);
    lab.answer_next(2.0);
    assert_eq!(lab.told(first), [answer(&position(1), 1.0)]);
    assert_eq!(lab.told(second), [answer(&position(1), 2.0)]);
    assert!(lab.messages().is_empty(), "an answer is no event");
}

#[test]
fn a_client_gets_nobody_elses_answer() {
    let mut lab = Lab::new(options());
    let clients: Vec<_> = (1..=4).map(|axis| (axis, lab.client())).collect();
    for (axis, id) in &clients {
        lab.ask(*id, &position(*axis));
    }
    for axis in [1, 2, 3, 4] {
        lab.answer_next(f64::from(axis));
    }
    for (axis, id) in &clients {
        assert_eq!(lab.told(*id), [answer(&position(*axis), f64::from(*axis))]);
    }
}

#[test]
fn one_answer_may_serve_all_that_asked_before_it_went_up_each_with_its_client_id() {
    let mut lab = Lab::new(super::super::Options { coalesce: true, ..options() });
    let clients: Vec<_> = (0..5).map(|_| lab.client()).collect();
    for (number, id) in clients.iter().enumerate() {
        lab.ask(*id, &Frame { client_id: number as i32, ..position(1) });
    }
    lab.answer_next(1.0);
    lab.answer_next(2.0);
    assert!(lab.commands.is_empty(), "the first asked, the others together");
    for (number, id) in clients.iter().enumerate() {
        let value = if number == 0 { 1.0 } else { 2.0 };
        let expected = Frame { client_id: number as i32, ..answer(&position(1), value) };
        assert_eq!(lab.told(*id), [expected]);
    }
}

#[test]
fn the_client_id_goes_up_as_it_is_and_with_tokens_comes_back_as_it_was() {
    let asked = Frame { client_id: 77, ..position(2) };
    let mut lab = Lab::new(options());
    let id = lab.client();
    lab.ask(id, &asked);
    assert_eq!(lab.commands[0].0, asked);

    let mut with_tokens = options();
    with_tokens.core.tokens = Some(TokenField::ClientId);
    let mut lab = Lab::new(with_tokens);
    let id = lab.client();
    lab.ask(id, &asked);
    assert_ne!(lab.commands[0].0.client_id, 77);
    lab.answer_next(3.0);
    assert_eq!(lab.told(id), [answer(&asked, 3.0)]);
}

#[test]
fn the_commands_of_a_client_keep_their_order_even_if_the_first_is_held_back() {
    let mut lab = Lab::new(options());
    let (one, other) = (lab.client(), lab.client());
    lab.ask(other, &position(1));
    let query = Frame::command(CommandCode::CAMERA_IMAGE_SIZE_GET);
    lab.ask(one, &position(1)); // waits for the other's
    lab.ask(one, &query);
    assert_eq!(lab.reached(), [(position(1).code, 1)]);
    lab.answer_next(1.0);
    assert_eq!(lab.reached(), [(position(1).code, 1), (query.code, 0)]);
}

#[test]
fn a_client_with_a_long_queue_does_not_hold_up_the_others() {
    let mut lab = Lab::new(options());
    let (busy, other) = (lab.client(), lab.client());
    for _ in 0..200 {
        lab.ask(busy, &position(1));
    }
    lab.ask(other, &position(2));
    assert_eq!(lab.reached(), [(position(1).code, 1), (position(2).code, 2)]);
}

#[test]
fn what_nobody_asked_for_goes_to_the_callback_port_and_inline_to_those_that_want_it() {
    let mut lab = Lab::new(options());
    let plain = lab.client();
    let inline = lab.client_as(Role::Control, Delivery::Inline);
    let both = lab.client_as(Role::ReadOnly, Delivery::Both);
    let pushed = [push(1, 1.0), push(1, 2.0), Frame::new(CommandCode::SYSTEM_STATE_LIVE_VIEW)];
    for frame in &pushed {
        lab.say(frame);
    }
    assert_eq!(lab.messages(), pushed);
    assert!(lab.told(plain).is_empty());
    assert_eq!(lab.told(inline), pushed);
    assert_eq!(lab.told(both), pushed);
}

#[test]
fn a_push_with_a_payload_arrives_whole() {
    let mut lab = Lab::new(options());
    let inline = lab.client_as(Role::Control, Delivery::Inline);
    let frame = Frame::new(CommandCode::COMMON_SCOPE_SETTINGS).with_payload_len(6);
    let bytes = [&frame.encode()[..], b"abcdef"].concat();
    for piece in bytes.chunks(50) {
        lab.router.upstream_input(lab.now, piece);
    }
    lab.write();
    assert_eq!(lab.router.client_output(inline), bytes);
    assert_eq!(lab.published.len(), 1);
    assert_eq!(lab.published[0][..], bytes);
}

#[test]
fn what_a_client_does_is_shown_to_the_others_and_not_to_itself() {
    let mut lab = Lab::new(options());
    let actor = lab.client_as(Role::Control, Delivery::Inline);
    let other = lab.client_as(Role::Control, Delivery::Inline);
    lab.ask(actor, &go(1));
    lab.answer_next(5.0);
    let laser = Frame::command(CommandCode::LASER_LEVEL_SET).with_selector(2);
    lab.ask(actor, &laser);
    assert_eq!(lab.told(actor), [answer(&go(1), 5.0)]);
    assert_eq!(lab.told(other), [answer(&go(1), 5.0), laser]);
    assert_eq!(lab.messages(), [answer(&go(1), 5.0), laser]);
    lab.ask(actor, &position(1));
    lab.commands.clear();
    lab.say(&answer(&position(1), 1.0));
    assert!(lab.told(other).is_empty(), "a question is nothing that was done");
}

#[test]
fn with_the_tag_answers_carry_it_and_nothing_else_does() {
    let mut lab = Lab::new(super::super::Options { tag: true, ..options() });
    let id = lab.client_as(Role::Control, Delivery::Inline);
    lab.ask(id, &position(1));
    lab.say(&push(1, 9.0));
    lab.answer_next(1.0);
    lab.ask(id, &go(9));
    let tagged: Vec<_> =
        lab.told(id).iter().map(|frame| frame.flags.contains(Flags::ANSWER_TAG)).collect();
    assert_eq!(tagged, [false, true, true]);
    assert!(lab.messages().iter().all(|frame| !frame.flags.contains(Flags::ANSWER_TAG)));
}

#[test]
fn an_answer_that_may_have_been_a_push_is_told_to_those_that_listen_to_pushes_too() {
    let mut lab = Lab::new(options());
    let id = lab.client();
    let level = Frame::command(CommandCode::LASER_LEVEL_GET).with_selector(1);
    lab.ask(id, &level);
    lab.answer_next(4.0);
    assert_eq!(lab.told(id), [answer(&level, 4.0)]);
    assert_eq!(lab.messages(), [answer(&level, 4.0)]);
}
