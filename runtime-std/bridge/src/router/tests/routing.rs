//! Who receives answers, unsolicited messages and echoes.

use flamingo_protocol_core::{CommandCode, Flags, Frame, connection::TokenField};

use super::harness::*;
use crate::router::RouterOptions;
use crate::settings::{Delivery, Role};

#[test]
fn equal_queries_of_two_clients_each_get_their_own_answer() {
    let mut harness = Harness::new(options());
    let (first, second) = (harness.client(), harness.client());
    harness.ask(first, &position(1));
    harness.ask(second, &position(1));
    assert_eq!(harness.commands.len(), 1, "only one request of a key is on the wire");
    harness.answer_next(1.0);
    harness.answer_next(2.0);
    assert_eq!(harness.received(first), [answer(&position(1), 1.0)]);
    assert_eq!(harness.received(second), [answer(&position(1), 2.0)]);
    assert!(harness.published_frames().is_empty(), "an answer is not published");
}

#[test]
fn a_client_never_receives_another_clients_answer() {
    let mut harness = Harness::new(options());
    let clients: Vec<_> = (1..=4).map(|axis| (axis, harness.client())).collect();
    for (axis, id) in &clients {
        harness.ask(*id, &position(*axis));
    }
    for axis in [1, 2, 3, 4] {
        harness.answer_next(f64::from(axis));
    }
    for (axis, id) in &clients {
        assert_eq!(harness.received(*id), [answer(&position(*axis), f64::from(*axis))]);
    }
}

#[test]
fn a_shared_answer_reaches_each_client_with_its_client_id() {
    let mut harness = Harness::new(RouterOptions { coalesce: true, ..options() });
    let clients: Vec<_> = (0..5).map(|_| harness.client()).collect();
    for (number, id) in clients.iter().enumerate() {
        harness.ask(*id, &Frame { client_id: number as i32, ..position(1) });
    }
    harness.answer_next(1.0);
    harness.answer_next(2.0);
    assert!(harness.commands.is_empty(), "one request for the first, one for all others");
    for (number, id) in clients.iter().enumerate() {
        let value = if number == 0 { 1.0 } else { 2.0 };
        let expected = Frame { client_id: number as i32, ..answer(&position(1), value) };
        assert_eq!(harness.received(*id), [expected]);
    }
}

#[test]
fn the_client_id_is_unchanged_with_and_without_tokens() {
    let asked = Frame { client_id: 77, ..position(2) };
    let mut harness = Harness::new(options());
    let id = harness.client();
    harness.ask(id, &asked);
    assert_eq!(harness.commands[0].0, asked);

    let mut with_tokens = options();
    with_tokens.core.tokens = Some(TokenField::ClientId);
    let mut harness = Harness::new(with_tokens);
    let id = harness.client();
    harness.ask(id, &asked);
    assert_ne!(harness.commands[0].0.client_id, 77);
    harness.answer_next(3.0);
    assert_eq!(harness.received(id), [answer(&asked, 3.0)]);
}

#[test]
fn commands_of_a_client_keep_order_if_the_first_must_wait() {
    let mut harness = Harness::new(options());
    let (one, other) = (harness.client(), harness.client());
    harness.ask(other, &position(1));
    let query = Frame::command(CommandCode::CAMERA_IMAGE_SIZE_GET);
    harness.ask(one, &position(1)); // waits for the request of the other client
    harness.ask(one, &query);
    assert_eq!(harness.reached(), [(position(1).code, 1)]);
    harness.answer_next(1.0);
    assert_eq!(harness.reached(), [(position(1).code, 1), (query.code, 0)]);
}

#[test]
fn a_client_with_a_long_queue_does_not_delay_the_others() {
    let mut harness = Harness::new(options());
    let (busy, other) = (harness.client(), harness.client());
    for _ in 0..200 {
        harness.ask(busy, &position(1));
    }
    harness.ask(other, &position(2));
    assert_eq!(harness.reached(), [(position(1).code, 1), (position(2).code, 2)]);
}

#[test]
fn unsolicited_frames_follow_the_delivery_of_each_client() {
    let mut harness = Harness::new(options());
    let plain = harness.client();
    let inline = harness.client_as(Role::Control, Delivery::Inline);
    let both = harness.client_as(Role::ReadOnly, Delivery::Both);
    let pushed = [push(1, 1.0), push(1, 2.0), Frame::new(CommandCode::SYSTEM_STATE_LIVE_VIEW)];
    for frame in &pushed {
        harness.instrument_sends(frame);
    }
    assert_eq!(harness.published_frames(), pushed);
    assert!(harness.received(plain).is_empty());
    assert_eq!(harness.received(inline), pushed);
    assert_eq!(harness.received(both), pushed);
}

#[test]
fn a_push_with_a_payload_arrives_whole() {
    let mut harness = Harness::new(options());
    let inline = harness.client_as(Role::Control, Delivery::Inline);
    let frame = Frame::new(CommandCode::COMMON_SCOPE_SETTINGS).with_payload_len(6);
    let bytes = [&frame.encode()[..], b"abcdef"].concat();
    for piece in bytes.chunks(50) {
        harness.router.upstream_input(harness.now, piece);
    }
    harness.write();
    assert_eq!(harness.router.client_output(inline), bytes);
    assert_eq!(harness.published.len(), 1);
    assert_eq!(harness.published[0][..], bytes);
}

#[test]
fn an_action_is_echoed_to_all_other_clients() {
    let mut harness = Harness::new(options());
    let actor = harness.client_as(Role::Control, Delivery::Inline);
    let other = harness.client_as(Role::Control, Delivery::Inline);
    harness.ask(actor, &go(1));
    harness.answer_next(5.0);
    let laser = Frame::command(CommandCode::LASER_LEVEL_SET).with_selector(2);
    harness.ask(actor, &laser);
    assert_eq!(harness.received(actor), [answer(&go(1), 5.0)]);
    assert_eq!(harness.received(other), [answer(&go(1), 5.0), laser]);
    assert_eq!(harness.published_frames(), [answer(&go(1), 5.0), laser]);
    harness.ask(actor, &position(1));
    harness.commands.clear();
    harness.instrument_sends(&answer(&position(1), 1.0));
    assert!(harness.received(other).is_empty(), "a query is not an action");
}

#[test]
fn with_the_tag_only_answers_carry_it() {
    let mut harness = Harness::new(RouterOptions { tag: true, ..options() });
    let id = harness.client_as(Role::Control, Delivery::Inline);
    harness.ask(id, &position(1));
    harness.instrument_sends(&push(1, 9.0));
    harness.answer_next(1.0);
    harness.ask(id, &go(9));
    let tagged: Vec<_> =
        harness.received(id).iter().map(|frame| frame.flags.contains(Flags::ANSWER_TAG)).collect();
    assert_eq!(tagged, [false, true, true]);
    assert!(
        harness.published_frames().iter().all(|frame| !frame.flags.contains(Flags::ANSWER_TAG))
    );
}

#[test]
fn a_presumed_answer_is_also_published() {
    let mut harness = Harness::new(options());
    let id = harness.client();
    let level = Frame::command(CommandCode::LASER_LEVEL_GET).with_selector(1);
    harness.ask(id, &level);
    harness.answer_next(4.0);
    assert_eq!(harness.received(id), [answer(&level, 4.0)]);
    assert_eq!(harness.published_frames(), [answer(&level, 4.0)]);
}
