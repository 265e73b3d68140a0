//! The stops of one client have a rate, and places of their own.

use flamingo_protocol_core::{CommandCode, Frame};

use super::harness::*;
use crate::router::{ClientId, RouterOptions};
use crate::settings::{Delivery, LimitSettings, Role};

const HALT: CommandCode = CommandCode::STAGE_HALT;

fn with_rate(stops_per_s: u32) -> Harness {
    let limits = LimitSettings { stops_per_s, ..LimitSettings::default() };
    Harness::new(RouterOptions { limits, ..options() })
}

/// Answers everything that has reached the instrument, and returns how much it was.
fn answer_all(harness: &mut Harness) -> usize {
    let count = harness.commands.len();
    for _ in 0..count {
        harness.answer_next(0.0);
    }
    count
}

#[test]
fn a_flood_of_halts_is_limited_and_every_halt_is_answered() {
    let mut harness = with_rate(20);
    let id = harness.client_as(Role::ReadOnly, Delivery::Callback);
    let (mut reached, mut sent, mut answers) = (0, 0, Vec::new());
    for _ in 0..1000 {
        for _ in 0..10 {
            let frame = Frame { client_id: sent, ..halt(1) };
            harness.ask(id, &frame);
            sent += 1;
        }
        reached += answer_all(&mut harness);
        for frame in harness.received(id) {
            assert_eq!((frame.code, frame.status), (HALT, 1));
            answers.push(frame.client_id);
        }
        harness.pass(ms(1));
    }
    harness.pass(ms(50));
    reached += answer_all(&mut harness);
    answers.extend(harness.received(id).iter().map(|frame| frame.client_id));
    answers.sort_unstable();
    assert!((39..=41).contains(&reached), "a burst and a second: {reached}");
    assert_eq!(answers, (0..10_000).collect::<Vec<_>>(), "one answer to each");
}

#[test]
fn a_halt_above_the_rate_goes_when_the_rate_allows() {
    let mut harness = with_rate(20);
    let id = harness.client();
    for _ in 0..20 {
        harness.ask(id, &halt(1));
        harness.answer_next(0.0);
    }
    harness.ask(id, &halt(1));
    harness.ask(id, &halt(2));
    harness.pass(ms(49));
    assert_eq!(harness.reached(), []);
    harness.pass(ms(1));
    assert_eq!(harness.reached(), [(HALT, 1)]);
    harness.pass(ms(50));
    assert_eq!(harness.reached(), [(HALT, 1), (HALT, 2)]);
}

#[test]
fn stops_and_other_commands_do_not_share_a_rate() {
    let limits = LimitSettings { stops_per_s: 2, commands_per_s: 2, ..LimitSettings::default() };
    let mut harness = Harness::new(RouterOptions { limits, ..options() });
    let id = harness.client();
    for _ in 0..10 {
        harness.ask(id, &halt(1));
    }
    for axis in [1, 2] {
        harness.ask(id, &position(axis));
    }
    let expected = [(HALT, 1), (HALT, 1), (position(1).code, 1), (position(2).code, 2)];
    assert_eq!(harness.reached(), expected);
    let mut harness = Harness::new(RouterOptions {
        limits: LimitSettings { stops_per_s: 1, commands_per_s: 1, ..LimitSettings::default() },
        ..options()
    });
    let id = harness.client();
    for _ in 0..10 {
        harness.ask(id, &position(1));
    }
    harness.ask(id, &halt(1));
    assert_eq!(harness.reached().last(), Some(&(HALT, 1)));
}

#[test]
fn a_flood_of_one_client_takes_no_answer_from_others() {
    let mut harness = with_rate(1_000_000);
    let flooder = harness.client();
    for number in 0..1000 {
        harness.ask(flooder, &halt(1 + number % 4));
        harness.ask(flooder, &halt(255));
    }
    assert_eq!(harness.received(flooder), [], "none is refused");
    assert!(harness.commands.len() >= 1000, "each is sent");
    let others: Vec<ClientId> = (0..60).map(|_| harness.client()).collect();
    for other in &others {
        harness.commands.clear();
        harness.ask(*other, &halt(3));
        assert_eq!(harness.reached(), [(HALT, 3)], "it is sent at once");
    }
    for _ in 0..8 {
        harness.instrument_sends(&answer(&halt(3), 0.0));
    }
    for other in others {
        assert_eq!(harness.received(other), [answer(&halt(3), 0.0)]);
    }
}

#[test]
fn a_delayed_stop_cancels_at_once_and_goes_before_later_moves() {
    let mut harness = with_rate(1);
    let (id, other) = (harness.client(), harness.client());
    let home = Frame::command(CommandCode::STAGE_HOME).with_selector(1);
    harness.ask(id, &halt(1));
    harness.ask(other, &home);
    harness.ask(other, &home);
    harness.commands.clear();
    harness.ask(id, &halt(1));
    assert_refused(&harness.received(other), &home, "cancelled by a stop");
    harness.ask(id, &go(2));
    harness.ask(id, &position(1));
    assert_eq!(harness.reached(), [(position(1).code, 1)]);
    harness.commands.clear();
    harness.pass(ms(1000));
    assert_eq!(harness.reached(), [(HALT, 1), (go(2).code, 2)]);
}

#[test]
fn a_delayed_stop_is_sent_when_its_client_leaves() {
    let mut harness = with_rate(1);
    let id = harness.client();
    for axis in 1..=3 {
        harness.ask(id, &halt(axis));
    }
    assert_eq!(harness.reached(), [(HALT, 1)]);
    assert!(harness.router.is_busy());
    harness.leave(id);
    assert_eq!(harness.reached(), [(HALT, 1), (HALT, 2), (HALT, 3)]);
}

#[test]
fn delayed_stops_go_first_on_the_next_connection() {
    let mut harness = with_rate(1);
    let id = harness.client();
    for axis in 1..=4 {
        harness.ask(id, &halt(axis));
    }
    harness.router.client_half_closed(id);
    harness.commands.clear();
    harness.router.upstream_lost(harness.now);
    harness.write();
    assert_refused(&harness.received(id), &halt(1), "connection lost");
    harness.router.upstream_opened(harness.now);
    harness.write();
    assert_eq!(harness.reached()[..3], [(HALT, 2), (HALT, 3), (HALT, 4)]);
    for axis in 2..=4 {
        assert!(!harness.router.should_close(id), "it waits for an answer");
        harness.answer_next(0.0);
        assert_eq!(harness.received(id), [answer(&halt(axis), 0.0)]);
    }
    assert!(harness.router.should_close(id));
}

#[test]
fn moves_between_equal_stops_that_wait_are_cancelled() {
    let mut harness = with_rate(1_000_000);
    let (id, other) = (harness.client(), harness.client());
    let save = Frame::command(CommandCode::COMMON_SCOPE_SETTINGS_SAVE).with_payload_len(1000);
    let upload = [&save.encode()[..], &[5; 1000]].concat();
    harness.router.client_input(harness.now, other, &upload);
    harness.write_some(500);
    for _ in 0..100 {
        // The link takes no bytes meanwhile.
        harness.router.client_input(harness.now, id, &halt(1).encode());
        harness.router.client_input(harness.now, id, &go(1).encode());
    }
    harness.router.client_input(harness.now, id, &halt(1).encode());
    harness.write();
    assert_eq!(harness.reached(), [(save.code, 0), (HALT, 1)], "no move runs after the last stop");
    harness.commands.remove(0);
    harness.answer_next(0.0);
    let received = harness.received(id);
    let halted = received.iter().filter(|frame| frame.code == HALT && frame.status == 1);
    assert_eq!((halted.count(), received.len()), (101, 201));
}

#[test]
fn a_delayed_stop_is_as_recent_as_the_last_that_joined() {
    let mut harness = with_rate(1);
    let id = harness.client();
    harness.ask(id, &halt(1));
    harness.ask(id, &halt(1));
    harness.pass(ms(900));
    harness.ask(id, &halt(1));
    harness.router.upstream_lost(harness.now);
    harness.write();
    harness.pass(ms(9_900));
    harness.commands.clear();
    harness.router.upstream_opened(harness.now);
    harness.write();
    assert_eq!(
        harness.reached()[0],
        (HALT, 1),
        "10 s have passed since the first, 9.9 s since the last"
    );
}

#[test]
fn the_halt_of_another_client_does_not_answer_a_delayed_one() {
    let mut harness = with_rate(1);
    let id = harness.client_as(Role::Control, Delivery::Inline);
    let other = harness.client();
    harness.ask(id, &halt(1));
    harness.answer_next(0.0);
    harness.received(id);
    harness.ask(id, &halt(1));
    harness.ask(other, &halt(1));
    harness.answer_next(0.0);
    assert_eq!(harness.received(id), [], "it is not the report of the other HALT");
    harness.pass(ms(1000));
    harness.answer_next(0.0);
    assert_eq!(harness.received(id), [answer(&halt(1), 0.0)]);
}

#[test]
fn a_halt_that_joins_an_unasked_one_has_one_answer() {
    let mut harness = with_rate(1000);
    let id = harness.client();
    // More than may have an answer of their own; the last ones are not written yet.
    for number in 0..4 {
        harness.ask(id, &Frame { client_id: number, ..halt(255) });
    }
    for number in 4..8 {
        let frame = Frame { client_id: number, ..halt(255) };
        harness.router.client_input(harness.now, id, &frame.encode());
    }
    harness.write();
    answer_all(&mut harness);
    harness.pass(ms(10));
    answer_all(&mut harness);
    let mut answers: Vec<_> = harness.received(id).iter().map(|frame| frame.client_id).collect();
    answers.sort_unstable();
    assert_eq!(answers, (0..8).collect::<Vec<_>>(), "one answer to each");
}
