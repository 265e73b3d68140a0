//! The class of each frame over a whole conversation: answers, late answers, pushes, tokens, tags.

use crate::common::*;
use flamingo_protocol_core::{
    Class, CommandCode, Config, Ended, Flags, Frame, Ticket,
    connection::{OrderingDomain, TokenField, UnmarkedPushes},
    time::Instant,
    wire::TABLE,
};

fn with_tokens(field: TokenField) -> Client {
    Client::with(Config::default().with_tokens(Some(field)))
}

/// A server whose position pushes come without their flag.
fn unflagged() -> Config {
    let unmarked = UnmarkedPushes::default().with_positions(true);
    Config::default().with_unmarked(unmarked)
}

#[test]
fn a_query_is_answered_while_unsolicited_frames_arrive() {
    let mut client = Client::new();
    // T0: motion pushes arrive. T1: the query is sent. T2–T4: more pushes arrive, for this axis and
    // others, and the motion ends. T5: the answer arrives. T6: more pushes arrive.
    let mut unsolicited = 0;
    let mut pushed = |client: &mut Client, frame: &Frame| {
        assert_eq!(client.hear(frame), UNSOLICITED, "{frame}");
        unsolicited += 1;
    };
    pushed(&mut client, &push(1, 1.0));
    let query = client.ask(&position(1));
    for step in 0..20 {
        pushed(&mut client, &push(1, f64::from(step)));
        pushed(&mut client, &push(3, f64::from(step)));
    }
    pushed(&mut client, &Frame::new(CommandCode::STAGE_MOTION_STOPPED).with_selector(1));
    pushed(&mut client, &Frame::new(CommandCode::SYSTEM_STATE_IDLE));
    assert_eq!(client.outcomes(query), 0);
    assert_eq!(client.hear(&answer(&position(1), 7.5)), solicited(query));
    pushed(&mut client, &push(1, 8.0));
    assert_eq!(client.answers(query)[0].value, 7.5);
    let counters = client.counters();
    assert_eq!((counters.solicited, counters.unsolicited), (1, unsolicited));
    assert_eq!(counters.frames_received(), 1 + unsolicited);
}

#[test]
fn the_answer_of_another_axis_or_command_is_never_taken() {
    let mut client = Client::new();
    let tickets: Vec<_> = (1..=4).map(|axis| client.ask(&position(axis))).collect();
    // Another subsystem overtakes: another client has switched an LED off.
    assert_eq!(client.hear(&Frame::new(CommandCode::LED_PREVIEW_DISABLE)), UNSOLICITED);
    assert_eq!(client.hear(&answer(&go(2, 9.0), 9.0)), UNSOLICITED);
    for (axis, ticket) in (1..=4).zip(&tickets) {
        assert_eq!(client.hear(&answer(&position(axis), f64::from(axis))), solicited(*ticket));
    }
    // An answer for an axis without a waiting request.
    assert_eq!(client.hear(&answer(&position(1), 0.0)), UNSOLICITED);
}

#[test]
fn unknown_codes_are_delivered_and_can_be_asked() {
    let unknown = ask(CommandCode(0x6FFF));
    let mut client = Client::new();
    assert_eq!(client.hear(&unknown), UNSOLICITED);
    let ticket = client.ask(&unknown);
    // The table does not say whether the server pushes this code.
    assert_eq!(client.hear(&answer(&unknown, 1.0)), presumed(ticket));
}

#[test]
fn answers_with_a_status_of_failure_or_an_odd_one_are_answers() {
    for status in [0, -1, 7] {
        let mut client = Client::new();
        let ticket = client.ask(&position(1));
        let mut failed = answer(&position(1), 0.0);
        failed.status = status;
        assert_eq!(client.hear(&failed), solicited(ticket));
    }
}

#[test]
fn a_late_answer_is_late_and_never_the_next_requests_answer() {
    let mut client = Client::new();
    let slow = client.ask(&position(1));
    client.pass(ms(3000));
    assert_eq!(client.ends(slow), [Ended::TimedOut { sent: true }]);
    let next = client.ask(&position(1));
    assert_eq!(client.hear(&answer(&position(1), 1.0)), late(slow));
    assert_eq!(client.outcomes(next), 0);
    assert_eq!(client.last_sent().unwrap().0, CommandCode::STAGE_POSITION_GET);
    // The late answer has settled the first query, so the next query was sent (perhaps behind a
    // fence).
    client.hear(&answer(&position(2), 2.0));
    assert_eq!(client.hear(&answer(&position(1), 2.0)), solicited(next));
    assert_eq!((client.outcomes(slow), client.outcomes(next)), (1, 1));
}

#[test]
fn with_tokens_a_late_answer_is_late_after_the_next_request() {
    for field in [TokenField::ClientId, TokenField::Int32Data2] {
        let mut client = with_tokens(field);
        let slow = client.ask(&position(1));
        client.pass(ms(3000));
        let next = client.ask(&position(1));
        let [first, second] = client.wire[..] else { panic!("no fence is needed") };
        assert_eq!(client.hear(&answer(&second, 2.0)), solicited(next));
        assert_eq!(client.hear(&answer(&first, 1.0)), late(slow), "a token settles nothing");
        assert_eq!((client.outcomes(slow), client.outcomes(next)), (1, 1));

        let mut client = with_tokens(field);
        let slow = client.ask(&position(1));
        client.pass(ms(3000));
        let next = client.ask(&position(1));
        let [first, second] = client.wire[..] else { panic!("no fence is needed") };
        assert_eq!(client.hear(&answer(&first, 1.0)), late(slow));
        assert_eq!(client.hear(&answer(&second, 2.0)), solicited(next));
    }
}

/// Answers all sent frames except `silent`, in order. Returns the classes of the answers.
fn answer_in_order(client: &mut Client, from: usize, silent: &Frame) -> Vec<Class> {
    let mut classes = Vec::new();
    let mut at = from;
    while let Some(frame) = client.wire.get(at).copied() {
        at += 1;
        if frame.code != silent.code || frame.selector() != silent.selector() {
            classes.push(client.hear(&answer(&frame, 1.0)));
        }
    }
    classes
}

#[test]
fn an_unanswered_command_does_not_shift_later_answers() {
    for tokens in [None, Some(TokenField::ClientId), Some(TokenField::Int32Data2)] {
        let mut client = Client::with(Config::default().with_tokens(tokens));
        let silent = go(3, 1.0);
        let lost = client.ask(&silent);
        client.pass(ms(3000));
        assert_eq!(client.ends(lost), [Ended::TimedOut { sent: true }]);
        for value in 0..10 {
            // From now on the server answers every command, also the one that was lost.
            let command = go(3, f64::from(value));
            let from = client.wire.len();
            let ticket = client.ask(&command);
            let nobody = ask(CommandCode(0));
            answer_in_order(&mut client, from, &nobody);
            let answers = client.answers(ticket);
            assert_eq!(answers.len(), 1, "tokens {tokens:?}, command {value}");
            assert!(client.frames.iter().any(|received| received.class == solicited(ticket)));
        }
    }
}

#[test]
fn a_code_that_is_never_answered_harms_no_other_query() {
    let mut client = Client::new();
    let silent = ask(CommandCode::CAMERA_ALL_SETTINGS_GET);
    for round in 0..10 {
        let from = client.wire.len();
        let lost = client.ask(&silent);
        let size = ask(CommandCode::CAMERA_IMAGE_SIZE_GET);
        let ticket = client.ask(&size);
        answer_in_order(&mut client, from, &silent);
        assert_eq!(client.answers(ticket).len(), 1, "round {round}");
        assert_eq!(client.ends(lost), [Ended::Unanswered], "the proof of a later one told it");
    }
}

#[test]
fn an_answer_under_a_code_that_is_an_event_is_presumed() {
    let stopped = Frame::command(CommandCode::STAGE_MOTION_STOPPED).with_selector(1);
    let mut client = Client::new();
    let ticket = client.ask(&stopped);
    assert_eq!(client.hear(&answer(&stopped, 0.0)), presumed(ticket));
}

#[test]
fn a_presumed_answer_leaves_a_tombstone_for_the_true_one() {
    let level = ask(CommandCode::LASER_LEVEL_GET).with_selector(2);
    let mut client = Client::new();
    let ticket = client.ask(&level);
    let pushed = Frame::new(CommandCode::LASER_LEVEL_GET).with_selector(2);
    assert_eq!(client.hear(&pushed), presumed(ticket), "nothing tells it from the answer");
    assert_eq!(client.core.in_flight(), (0, 1));
    for _ in 0..3 {
        // Each may be a push: the true answer may still come after it.
        assert_eq!(client.hear(&answer(&level, 0.0)), Class::Late { ticket, proven: false });
    }
    assert_eq!(client.core.in_flight(), (0, 1));
    client.pass(ms(100));
    assert_eq!(client.core.in_flight(), (0, 0));
    assert_eq!(client.outcomes(ticket), 1);
}

#[test]
fn on_a_new_connection_only_pushable_keys_are_presumed() {
    for row in TABLE {
        let command = Frame::command(row.code).with_selector(1);
        let mut client = Client::new();
        let Ok(ticket) = client.try_ask(&command) else {
            assert_eq!(row.kind, flamingo_protocol_core::wire::Kind::FireAndForget);
            continue;
        };
        let pushable = client.core.config().pushable(row.code);
        assert_eq!(pushable, row.also_pushed() && row.code != CommandCode::STAGE_POSITION_GET);
        let expected = Class::Solicited { ticket, proven: !pushable };
        assert_eq!(client.hear(&answer(&command, 0.0)), expected, "{}", row.code);
    }
}

#[test]
fn unflagged_position_pushes_are_never_proven_answers() {
    let mut client = Client::with(unflagged());
    let unflagged_push = |value| answer(&position(1), value);
    for round in 0..100 {
        let ticket = client.ask(&position(1));
        assert_eq!(client.hear(&unflagged_push(f64::from(round))), presumed(ticket));
        let class = client.hear(&answer(&position(1), -1.0));
        assert_eq!(class, Class::Late { ticket, proven: false });
        client.pass(SECOND);
    }
    assert_eq!(client.counters().presumed, 100);
}

/// Polls X without a pause for 10 s, while unflagged pushes of X come every 25 ms. Answers take
/// `latency_ms` and carry the number of their query; pushes carry -1. Returns the number of answers
/// that belong to an older query, and the largest number of commands under way at once.
fn poll_a_pushable_key(latency_ms: u64) -> (usize, usize) {
    let mut client = Client::with(unflagged());
    let (mut asked, mut stale, mut most) = (0.0, 0, 0);
    let mut under_way: Vec<(Instant, Frame)> = Vec::new();
    let mut ticket = client.ask(&position(1).with_value(asked));
    let mut seen = 0;
    for tick in 1..10_000 {
        under_way.extend(
            client.wire[seen..]
                .iter()
                .map(|frame| (client.now + ms(latency_ms), answer(frame, frame.value))),
        );
        seen = client.wire.len();
        most = most.max(under_way.len());
        client.pass(ms(1));
        let due = under_way.iter().take_while(|(at, _)| *at <= client.now).count();
        let pushed = (tick % 25 == 0).then(|| answer(&position(1), -1.0));
        for frame in under_way.drain(..due).map(|(_, frame)| frame).chain(pushed) {
            client.hear(&frame);
        }
        if let Some(got) = client.answers(ticket).first() {
            stale += usize::from(got.value >= 0.0 && got.value < asked);
            asked += 1.0;
            client.frames.clear();
            ticket = client.ask(&position(1).with_value(asked));
        }
    }
    // 100 ms pass after each answer, and a second after every seventh.
    assert!(asked > 40.0, "only {asked} were answered");
    (stale, most)
}

#[test]
fn polling_a_pushable_key_never_stays_shifted() {
    assert_eq!(poll_a_pushable_key(8), (0, 1), "an answer comes between any two pushes");
    // Two pushes come before one answer, so some presumed answers are stale. This must not last,
    // and commands must not pile up.
    let (stale, most) = poll_a_pushable_key(60);
    assert!(most <= 3, "{most} commands under way at once");
    assert!(stale < 100, "{stale} stale answers");
}

#[test]
fn settings_load_may_be_answered_under_the_code_0x1007() {
    let mut client = Client::new();
    let ticket = client.ask(&ask(CommandCode::COMMON_SCOPE_SETTINGS_LOAD));
    let neighbour = Frame::new(CommandCode::COMMON_SCOPE_SETTINGS);
    assert_eq!(client.hear(&neighbour), presumed(ticket));
    assert_eq!(client.hear(&neighbour), UNSOLICITED, "nobody asks any more");
}

#[test]
fn a_peer_that_tags_is_believed_tag_by_tag() {
    let mut client = Client::with(unflagged().with_peer_tags(true));
    let ticket = client.ask(&position(1));
    assert_eq!(client.wire[0].flags.0 & Flags::ANSWER_TAG.0, 0, "we never send it");
    assert_eq!(client.hear(&answer(&position(1), 1.0)), UNSOLICITED);
    let mut tagged = answer(&position(1), 2.0);
    tagged.flags = tagged.flags.with(Flags::ANSWER_TAG);
    assert_eq!(client.hear(&tagged), solicited(ticket), "pushable or not, it is proven");
    assert_eq!(client.hear(&tagged), UNSOLICITED);
}

#[test]
fn tokens_are_sent_and_the_answer_restores_the_callers_field() {
    for field in [TokenField::ClientId, TokenField::Int32Data2] {
        let mut client = with_tokens(field);
        let mut query = position(1);
        field.replace(&mut query, 24);
        let ticket = client.ask(&query);
        let sent = client.wire[0];
        assert_eq!(field.get(&sent), ticket.token());
        assert_eq!(client.hear(&answer(&sent, 7.0)), solicited(ticket));
        assert_eq!(client.answers(ticket), [answer(&query, 7.0)]);
    }
}

#[test]
fn with_tokens_a_frame_without_one_is_nobodys_answer() {
    let mut client = with_tokens(TokenField::ClientId);
    let ticket = client.ask(&position(1));
    assert_eq!(client.hear(&answer(&position(1), 1.0)), UNSOLICITED);
    let mut wrong_code = answer(&go(1, 1.0), 1.0);
    wrong_code.client_id = ticket.token();
    assert_eq!(client.hear(&wrong_code), UNSOLICITED);
    assert_eq!(client.outcomes(ticket), 0);
}

#[test]
fn a_fire_and_forget_echo_is_unsolicited_and_marked_ours_once() {
    let mut client = Client::new();
    let laser = ask(CommandCode::LASER_LEVEL_SET).with_selector(1);
    client.send(&laser);
    let other = ask(CommandCode::LASER_LEVEL_SET).with_selector(2);
    assert_eq!(client.hear(&other), UNSOLICITED, "another laser is somebody else's");
    assert_eq!(client.hear(&laser), Class::Unsolicited { ours: true });
    assert_eq!(client.hear(&laser), UNSOLICITED);
    client.send(&laser);
    client.pass(ms(1001));
    assert_eq!(client.hear(&laser), UNSOLICITED, "too late to be ours");
}

#[test]
fn at_end_commands_take_no_part_in_the_order_of_their_subsystem() {
    let mut client = Client::new();
    let home = Frame::command(CommandCode::STAGE_HOME).with_selector(1);
    let homing = client.queue(&home, ms(60_000)).unwrap();
    client.write();
    let query = client.ask(&position(2));
    assert_eq!(client.hear(&answer(&position(2), 1.0)), solicited(query));
    assert_eq!(client.outcomes(homing), 0, "a later answer does not end it");
    // Its own answer, which comes at the end, does not end a younger or an older request either.
    let lost = client.ask(&position(3));
    client.cancel(lost);
    assert_eq!(client.hear(&answer(&home, 0.0)), solicited(homing));
    assert_eq!(client.core.in_flight(), (0, 1));
}

#[test]
fn other_subsystems_settle_nothing_unless_the_peer_keeps_order() {
    for (ordering, ends) in [
        (OrderingDomain::Subsystem, vec![]),
        (OrderingDomain::Key, vec![]),
        (OrderingDomain::Connection, vec![Ended::Unanswered]),
    ] {
        let mut client = Client::with(Config::default().with_ordering(ordering));
        let slow = client.ask(&position(1));
        let state = ask(CommandCode::SYSTEM_STATE_GET);
        let quick = client.ask(&state);
        assert_eq!(client.hear(&answer(&state, 0.0)), solicited(quick));
        assert_eq!(client.ends(slow), ends, "{ordering:?}");
    }
}

#[test]
fn every_frame_is_counted_in_exactly_one_class() {
    let mut client = Client::new();
    let first: Ticket = client.ask(&position(1));
    client.cancel(first);
    client.hear(&answer(&position(1), 1.0)); // late
    client.ask(&position(2));
    client.hear(&answer(&position(2), 1.0)); // solicited
    client.ask(&halt(1));
    client.ask(&halt(1));
    client.hear(&answer(&halt(1), 0.0)); // ambiguous
    client.hear(&push(1, 0.0)); // unsolicited
    let counters = client.counters();
    let classes = [counters.late, counters.solicited, counters.ambiguous, counters.unsolicited];
    assert_eq!(classes, [1; 4]);
    assert_eq!(counters.frames_received(), 4);
}

#[test]
fn held_bytes_and_the_last_frame_error_can_be_queried() {
    let mut client = Client::new();
    assert_eq!((client.core.held(), client.core.last_rejected()), (0, None));
    let mut false_start = [0; 128];
    false_start[..4].copy_from_slice(&position(1).encode()[..4]);
    client.hear_bytes(&false_start);
    let rejected = Frame::decode(&false_start).expect_err("it has no end marker");
    assert_eq!(client.core.last_rejected(), Some(rejected));
    client.hear_bytes(&answer(&position(1), 1.0).encode()[..100]);
    assert_eq!(client.core.held(), 100);
}
