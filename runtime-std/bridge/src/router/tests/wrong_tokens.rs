//! An instrument that answers in another order, or with the token of another request.

use flamingo_protocol_core::connection::TokenField;
use flamingo_protocol_core::{CommandCode, Frame};

use super::harness::*;

fn with_tokens(field: TokenField) -> Harness {
    let mut options = options();
    options.core.tokens = Some(field);
    Harness::new(options)
}

fn size() -> Frame {
    Frame::command(CommandCode::CAMERA_IMAGE_SIZE_GET)
}

/// Takes the two commands that have reached the instrument, and answers them with each other's token.
fn answer_swapped(harness: &mut Harness, field: TokenField) {
    let mut answers: Vec<_> =
        harness.commands.drain(..).map(|(command, _)| answer(&command, 1.0)).collect();
    let [one, other] = &mut answers[..] else { panic!("two commands, not {answers:?}") };
    let first = field.get(one);
    let second = field.replace(other, first);
    field.replace(one, second);
    for frame in answers {
        harness.instrument_sends(&frame);
    }
}

#[test]
fn answers_in_another_order_stall_nobody() {
    for tokens in [None, Some(TokenField::ClientId), Some(TokenField::Int32Data2)] {
        let mut options = options();
        options.core.tokens = tokens;
        let mut harness = Harness::new(options);
        let (one, other, witness) = (harness.client(), harness.client(), harness.client());
        for round in 0..50 {
            harness.ask(one, &position(1));
            harness.ask(other, &position(2));
            let swapped: Vec<_> = harness.commands.drain(..).rev().collect();
            assert_eq!(swapped.len(), 2, "{tokens:?}, round {round}");
            for (command, _) in swapped {
                harness.instrument_sends(&answer(&command, 1.0));
            }
            harness.ask(witness, &size());
            assert_eq!(harness.commands.len(), 1, "{tokens:?}, round {round}");
            harness.answer_next(3.0);
            assert_eq!(harness.received(witness), [answer(&size(), 3.0)]);
            harness.pass(ms(1));
        }
    }
}

#[test]
fn swapped_tokens_of_one_code_give_nobody_wrong_data() {
    for field in [TokenField::ClientId, TokenField::Int32Data2] {
        let mut harness = with_tokens(field);
        let (one, other, witness) = (harness.client(), harness.client(), harness.client());
        for _ in 0..50 {
            harness.ask(one, &position(1));
            harness.ask(other, &position(2));
            answer_swapped(&mut harness, field);
            assert!(harness.received(one).is_empty() && harness.received(other).is_empty());
            harness.ask(witness, &size());
            assert_eq!(harness.commands.len(), 1, "the slots are free");
            harness.answer_next(3.0);
            assert_eq!(harness.received(witness), [answer(&size(), 3.0)]);
            harness.pass(ms(1));
        }
        let wrong = harness.log.iter().filter(|line| line.contains("upstream.tokens"));
        assert_eq!(wrong.count(), 1, "the log is not filled: {:?}", harness.log);
    }
}

#[test]
fn swapped_tokens_of_two_codes_stall_nobody_for_seconds() {
    let field = TokenField::ClientId;
    let mut harness = with_tokens(field);
    let (one, other, witness) = (harness.client(), harness.client(), harness.client());
    for _ in 0..20 {
        harness.ask(one, &position(1));
        harness.ask(other, &size());
        answer_swapped(&mut harness, field);
        assert!(harness.received(one).is_empty() && harness.received(other).is_empty());
        // Two of four slots are taken for the time in which a late answer may come.
        let state = Frame::command(CommandCode::SYSTEM_STATE_GET);
        harness.ask(witness, &state);
        assert_eq!(harness.commands.len(), 1);
        harness.answer_next(0.0);
        assert_eq!(harness.received(witness).len(), 1);
        harness.pass(ms(1_000));
    }
}

#[test]
fn a_push_with_the_token_of_a_command_ends_no_query() {
    let field = TokenField::ClientId;
    let mut harness = with_tokens(field);
    let (mover, asker) = (harness.client(), harness.client());
    harness.ask(mover, &go(1));
    harness.ask(asker, &position(1));
    let token = harness.commands[0].0.client_id;
    harness.instrument_sends(&Frame { client_id: token, ..push(1, 0.5) });
    assert!(harness.received(asker).is_empty());
    let query = harness.commands[1].0;
    harness.instrument_sends(&answer(&query, 1.0));
    assert_eq!(harness.received(asker), [answer(&position(1), 1.0)]);
}
