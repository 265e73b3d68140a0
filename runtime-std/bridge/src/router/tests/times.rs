//! How long a command waits to be written, and how long for its answer; and what a connection believes of
//! the one before.

use flamingo_protocol_core::connection::TokenField;

use super::harness::*;
use crate::settings::WhenLost;

/// A router that lets `window` commands be unanswered.
fn with_window(window: usize) -> Harness {
    let mut options = options();
    options.core.window = window;
    Harness::new(options)
}

#[test]
fn a_command_that_waited_has_its_whole_time_for_the_answer() {
    let mut harness = with_window(1);
    let (one, other) = (harness.client(), harness.client());
    harness.ask(one, &position(1));
    harness.ask(other, &position(2));
    harness.pass(ms(4900));
    harness.answer_next(1.0);
    harness.pass(ms(4900));
    harness.answer_next(2.0);
    assert_eq!(harness.received(other), [answer(&position(2), 2.0)]);
}

#[test]
fn a_slot_is_occupied_for_as_long_as_its_answer_may_come() {
    let mut harness = with_window(2);
    let (one, other, third) = (harness.client(), harness.client(), harness.client());
    harness.ask(one, &position(1));
    harness.ask(other, &position(2));
    harness.ask(third, &position(3));
    assert_eq!(harness.commands.len(), 2, "the window is full");
    harness.pass(ms(4900));
    harness.answer_next(1.0);
    harness.answer_next(2.0);
    assert_eq!(harness.commands.len(), 1, "of the third client");
    harness.pass(ms(5900));
    harness.ask(third, &position(4));
    assert_eq!(harness.commands.len(), 1, "the answer to its first command may still come");
    harness.pass(ms(100));
    assert_eq!(harness.commands.len(), 2);
}

#[test]
fn an_answer_of_an_old_connection_is_nobodys() {
    let mut with_tokens = options();
    with_tokens.core.tokens = Some(TokenField::ClientId);
    with_tokens.when_lost = WhenLost::Refusal;
    let mut harness = Harness::new(with_tokens);
    let id = harness.client();
    harness.ask(id, &position(2));
    let (old, _) = harness.commands.remove(0);
    harness.router.upstream_lost(harness.now);
    harness.write();
    assert_refused(&harness.received(id), &position(2), "lost");
    harness.connect(IDLE);
    harness.ask(id, &position(2));
    harness.instrument_sends(&answer(&old, 1.0));
    assert!(harness.received(id).is_empty(), "this answer is an old one");
    harness.answer_next(2.0);
    assert_eq!(harness.received(id), [answer(&position(2), 2.0)]);
}
