//! What a token proves: that a frame answers the request with this token, on this connection. It
//! proves nothing about other requests and connections.

use crate::common::*;
use flamingo_protocol_core::{
    Class, CommandCode, Config, Connection, Ended, Flags, Frame, Ticket, connection::TokenField,
    time::Instant,
};

/// A client whose peer repeats `clientID`.
fn client() -> Client {
    Client::with(Config::default().with_tokens(Some(TokenField::ClientId)))
}

/// The answer to the frame that was sent as number `at`.
fn answer_to(client: &Client, at: usize) -> Frame {
    answer(&client.wire[at], 7.0)
}

#[test]
fn a_late_answer_ends_no_request_that_waits() {
    let mut client = client();
    let first = client.ask(&position(2));
    client.cancel(first);
    let waits = client.queue(&position(1), ms(60_000)).unwrap();
    client.write();
    client.send(&position(2));
    client.pass(ms(5000));
    let late_answer = answer_to(&client, 0);
    client.hear(&late_answer);
    assert_eq!(client.ends(waits), []);
    let true_answer = answer_to(&client, 1);
    assert_eq!(client.hear(&true_answer), solicited(waits));
}

#[test]
fn late_answers_of_two_halts_end_no_request_between_them() {
    let mut client = client();
    client.queue(&halt(1), ms(10)).unwrap();
    let waits = client.queue(&position(1), ms(60_000)).unwrap();
    client.write();
    client.queue(&halt(1), ms(50)).unwrap();
    client.pass(ms(5000));
    for at in [0, 2] {
        let late_answer = answer_to(&client, at);
        client.hear(&late_answer);
    }
    assert_eq!(client.ends(waits), []);
    let true_answer = answer_to(&client, 1);
    assert_eq!(client.hear(&true_answer), solicited(waits));
}

#[test]
fn answers_with_tokens_may_come_in_any_order() {
    let mut client = client();
    let tickets: Vec<_> = (1..=4).map(|axis| client.ask(&position(axis))).collect();
    for at in [2, 0, 3, 1] {
        let frame = answer_to(&client, at);
        assert_eq!(client.hear(&frame), solicited(tickets[at]));
    }
}

#[test]
fn a_tagged_answer_that_came_twice_makes_the_next_presumed() {
    let mut client = Client::with(Config::default().with_peer_tags(true));
    let mut tagged = answer(&position(1), 2.0);
    tagged.flags = tagged.flags.with(Flags::ANSWER_TAG);
    let ticket = client.ask(&position(1));
    assert_eq!(client.hear(&tagged), solicited(ticket));
    assert_eq!(client.hear(&tagged), UNSOLICITED);
    let next = client.ask(&position(1));
    let before = client.core.clone();
    assert_eq!(client.hear(&tagged), presumed(next), "it may be the second one of the first");
    // If the fence before it is answered first, nothing older is to come.
    client.core = before;
    let mut of_the_fence = answer(&position(2), 2.0);
    of_the_fence.flags = tagged.flags;
    client.hear(&of_the_fence);
    assert_eq!(client.hear(&tagged), solicited(next));
}

#[test]
fn an_answer_to_nobody_is_never_of_a_ticket_of_0() {
    let config = Config::default().with_tokens(Some(TokenField::ClientId)).with_peer_tags(true);
    let mut client = Client::with(config);
    client.core = client.core.starting_after(Ticket::from_number(0x00FF_FFFF));
    let mut frame = answer(&ask(CommandCode::SYSTEM_STATE_GET), 0.0);
    frame.flags = frame.flags.with(Flags::ANSWER_TAG);
    for token in [0x4612_3456, Ticket::from_number(0x0100_0000).token()] {
        frame.client_id = token;
        assert_eq!(client.hear(&frame), UNSOLICITED);
    }
}

#[test]
fn the_answer_to_another_client_is_nobodys() {
    let mut ours = client();
    ours.core = ours.core.starting_after(Ticket::from_number(1000));
    let mut theirs = client();
    theirs.core = theirs.core.starting_after(Ticket::from_number(2000));
    ours.ask(&position(1));
    theirs.ask(&position(1));
    let their_answer = answer_to(&theirs, 0);
    assert_eq!(ours.hear(&their_answer), UNSOLICITED);
}

#[test]
fn a_token_from_before_a_reconnect_names_nothing() {
    let mut before = client();
    before.ask(&position(1));
    before.core.handle_eof();
    let mut after = client();
    after.core = after.core.starting_after(before.core.last_ticket());
    let waits = after.ask(&position(1));
    let old_answer = answer_to(&before, 0);
    assert_eq!(after.hear(&old_answer), UNSOLICITED);
    let true_answer = answer_to(&after, 0);
    assert_eq!(after.hear(&true_answer), solicited(waits));
}

#[test]
fn a_token_that_comes_round_again_is_not_given_out_twice() {
    let home = ask(CommandCode::STAGE_HOME).with_selector(1);
    let mut client = client();
    let slow = client.ask(&home);
    client.pass(ms(5000)); // in doubt: nothing settles a HOME
    let round = Ticket::from_number(slow.number() + (1 << 24) - 1);
    client.core = client.core.starting_after(round);
    let next = client.ask(&home);
    assert_ne!(next.token(), slow.token());
    let (old, new) = (answer_to(&client, 0), answer_to(&client, 1));
    assert_eq!(client.hear(&old), late(slow));
    assert_eq!(client.hear(&new), solicited(next));
}

#[test]
fn a_ticket_is_made_of_a_number_and_never_of_a_fence() {
    let last = Ticket::from_number(u32::MAX);
    assert_eq!((last.number(), last.is_fence()), (u32::MAX >> 1, false));
    let mut connection = Connection::<16>::default().starting_after(last);
    let now = Instant::from_micros(0);
    let ticket = connection.request(now, &position(1), now + SECOND).unwrap();
    assert_eq!(ticket.number(), 1);
    assert_eq!(connection.last_ticket(), ticket);
}

#[test]
fn a_late_answer_shows_the_callers_own_value() {
    let mut client = client();
    let mut query = position(1);
    query.client_id = 24;
    let ticket = client.ask(&query);
    client.pass(ms(3000));
    assert_eq!(client.ends(ticket), [Ended::TimedOut { sent: true }]);
    let frame = answer_to(&client, 0);
    assert_eq!(client.hear(&frame), Class::Late { ticket, proven: true });
    assert_eq!(client.frames[0].frame, answer(&query, 7.0));
}
