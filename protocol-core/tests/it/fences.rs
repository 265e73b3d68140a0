//! Fences: a proof settles the answers that may still come for older requests.

use crate::common::*;
use flamingo_protocol_core::{
    Class, CommandCode, Config, Ended, Event, Frame, Ticket, connection::UnmarkedPushes,
};

#[test]
fn an_unsent_fence_does_not_make_the_link_unresponsive() {
    let mut client = Client::new();
    let slow = client.ask(&position(1));
    client.cancel(slow);
    client.queue(&upload(1000), ms(60_000)).unwrap();
    client.write_some(10);
    client.queue(&position(1), ms(60_000)).unwrap();
    assert!(client.core.poll_transmit(client.now).is_some());
    client.now = client.now + ms(5000);
    client.core.handle_timeout(client.now);
    assert_eq!(client.core.poll_event(), None);
    assert_eq!(client.counters().fences_sent, 0);
}

#[test]
fn any_proven_answer_of_the_domain_makes_the_link_responsive() {
    let mut client = Client::new();
    let lost = client.ask(&go(1, 5.0));
    client.cancel(lost);
    client.ask(&go(1, 6.0));
    client.pass(ms(1000));
    assert!(client.events.contains(&Event::Unresponsive));
    client.events.clear();
    client.hear(&answer(&position(4), 1.0));
    assert!(client.counters().fences_unanswered > 0);
    let camera = client.ask(&ask(CommandCode::CAMERA_IMAGE_SIZE_GET));
    client.hear(&answer(&ask(CommandCode::CAMERA_IMAGE_SIZE_GET), 0.0));
    assert_eq!(client.answers(camera).len(), 1);
    assert!(!client.events.contains(&Event::Responsive), "the camera says nothing about the stage");
    let query = client.ask(&position(4));
    client.hear(&answer(&position(4), 1.0));
    assert_eq!(client.answers(query).len(), 1);
    assert!(client.events.contains(&Event::Responsive));
}

#[test]
fn a_fence_does_not_wait_for_queries_queued_after_its_request() {
    let mut client = Client::new();
    let lost = client.ask(&go(1, 5.0));
    client.cancel(lost);
    client.queue(&go(1, 6.0), ms(3000)).unwrap();
    for axis in 1..=4 {
        client.queue(&position(axis), ms(3000)).unwrap();
    }
    client.write();
    assert_eq!(client.last_sent(), Some((CommandCode::STAGE_POSITION_GET, 1)));
    client.hear(&answer(&position(1), 1.0));
    assert!(client.wire.iter().any(|frame| *frame == go(1, 6.0)), "no grace had to pass");
}

const POSITION: CommandCode = CommandCode::STAGE_POSITION_GET;

/// A cancelled query of X, and the next query of X, queued behind it.
fn owed() -> (Client, Ticket, Ticket) {
    let mut client = Client::new();
    let lost = client.ask(&position(1));
    client.cancel(lost);
    let next = client.ask(&position(1));
    (client, lost, next)
}

#[test]
fn a_request_with_an_owed_key_waits_for_a_fence_and_its_proof() {
    let (mut client, lost, next) = owed();
    assert_eq!(client.last_sent(), Some((POSITION, 2)), "the position of another axis");
    assert_eq!(client.wire.len(), 2, "the request itself is held back");
    assert_eq!(client.counters().fences_sent, 1);
    let Class::Solicited { ticket, proven: true } = client.hear(&answer(&position(2), 0.0)) else {
        panic!()
    };
    assert!(ticket.is_fence());
    assert_eq!(client.last_sent(), Some((POSITION, 1)));
    assert_eq!(client.hear(&answer(&position(1), 1.0)), solicited(next));
    assert_eq!((client.outcomes(lost), client.outcomes(next)), (0, 1));
    assert_eq!(client.core.in_flight(), (0, 0));
}

#[test]
fn its_own_late_answer_settles_it_too() {
    let (mut client, lost, next) = owed();
    assert_eq!(client.hear(&answer(&position(1), 9.0)), late(lost));
    assert_eq!(client.last_sent(), Some((POSITION, 1)), "it need not wait for the fence");
    client.hear(&answer(&position(2), 0.0));
    assert_eq!(client.hear(&answer(&position(1), 1.0)), solicited(next));
}

#[test]
fn another_request_is_the_proof_as_well_as_a_fence() {
    let mut client = Client::new();
    let lost = client.ask(&position(1));
    client.cancel(lost);
    let proof = client.ask(&position(3));
    let next = client.ask(&position(1));
    assert_eq!(client.hear(&answer(&position(3), 0.0)), solicited(proof));
    assert_eq!(client.last_sent(), Some((POSITION, 1)), "it need not wait for the fence");
    client.hear(&answer(&position(2), 0.0));
    assert_eq!(client.hear(&answer(&position(1), 0.0)), solicited(next));
}

#[test]
fn a_pending_presumed_answer_does_not_replace_a_fence() {
    let mut client = Client::new();
    let doubtful = client.ask(&position(3));
    client.cancel(doubtful);
    client.pass(SECOND);
    let lost = client.ask(&position(1));
    client.cancel(lost);
    let asked = client.ask(&position(3));
    let next = client.ask(&position(1));
    let sent: Vec<_> = client.wire.iter().skip(2).map(Frame::selector).collect();
    assert_eq!(sent, [2, 3], "the fence, and the key in doubt does not wait for it");
    assert_eq!(client.hear(&answer(&position(3), 0.0)), presumed(asked));
    client.hear(&answer(&position(2), 0.0));
    assert_eq!(client.hear(&answer(&position(1), 0.0)), solicited(next));
}

#[test]
fn counting_ends_no_request_whose_answer_still_comes() {
    // The peer answers every command once and in order.
    let mut client = Client::new();
    client.send(&position(1));
    for _ in 0..3 {
        client.ask(&position(1));
    }
    client.ask(&position(2));
    let next_timer = |client: &mut Client| {
        let (due, _) = client.core.poll_timeout().unwrap();
        client.pass(due.since(client.now));
    };
    let mut answered = 0;
    let mut answer_next = |client: &mut Client| {
        let Some(frame) = client.wire.get(answered).copied() else { return false };
        answered += 1;
        client.hear(&answer(&frame, 0.0));
        true
    };
    assert!(answer_next(&mut client) && answer_next(&mut client));
    next_timer(&mut client);
    assert!(answer_next(&mut client));
    next_timer(&mut client);
    client.ask(&position(2));
    while answer_next(&mut client) {}
    let unanswered = |event: &Event| matches!(event, Event::Ended { ended: Ended::Unanswered, .. });
    assert!(!client.events.iter().any(unanswered), "all are answered: {:?}", client.events);
}

#[test]
fn an_answer_under_way_in_another_subsystem_is_no_proof() {
    let mut client = Client::new();
    let lost = client.ask(&position(1));
    client.cancel(lost);
    client.ask(&ask(CommandCode::CAMERA_IMAGE_SIZE_GET));
    client.ask(&position(1));
    assert_eq!(client.last_sent(), Some((POSITION, 2)), "the fence");
}

#[test]
fn a_fence_is_a_query_of_the_domain_not_pushable_and_not_owed() {
    let cases = [
        (
            ask(CommandCode::CAMERA_IMAGE_SIZE_GET),
            Some(CommandCode::CAMERA_PIXEL_FIELD_OF_VIEW_GET),
        ),
        (go(1, 5.0), Some(POSITION)),
        (
            ask(CommandCode::CAMERA_PIXEL_FIELD_OF_VIEW_GET),
            Some(CommandCode::CAMERA_IMAGE_SIZE_GET),
        ),
        (ask(CommandCode::SYSTEM_STATE_GET), None),
        (ask(CommandCode::COMMON_SCOPE_SETTINGS_LOAD), None),
        (ask(CommandCode::LASER_LEVEL_GET).with_selector(1), None),
        (Frame::command(CommandCode::STAGE_HOME).with_selector(1), None),
    ];
    for (command, fence) in cases {
        let mut client = Client::new();
        let lost = client.ask(&command);
        client.cancel(lost);
        client.ask(&command);
        let sent = client.wire.get(1).map(|frame| frame.code);
        assert_eq!(sent, fence, "{command}");
    }
    // Unflagged pushes make all answers to position queries presumed: the stage has no fence.
    let unmarked = UnmarkedPushes::default().with_positions(true);
    let mut client = Client::with(Config::default().with_unmarked(unmarked));
    let lost = client.ask(&go(1, 5.0));
    client.cancel(lost);
    client.ask(&go(1, 6.0));
    assert_eq!(client.wire.len(), 1);
}

#[test]
fn an_unanswered_fence_makes_the_link_unresponsive() {
    let (mut client, _, next) = owed();
    client.pass(ms(999));
    assert!(!client.events.contains(&Event::Unresponsive));
    client.pass(ms(1));
    assert_eq!(client.events, [Event::Unresponsive]);
    // The grace is over: the request is sent without a proof.
    assert_eq!(client.last_sent(), Some((POSITION, 1)));
    assert_eq!(client.hear(&answer(&position(1), 1.0)), presumed(next));
    // The next query has a fence again, with a key that has no tombstone. The peer answers it.
    let third = client.ask(&position(1));
    let (code, axis) = client.last_sent().unwrap();
    assert!(code == POSITION && axis > 2, "{axis}");
    client.hear(&answer(&position(axis), 0.0));
    assert_eq!(client.events, [Event::Unresponsive, Event::Responsive]);
    assert_eq!(client.hear(&answer(&position(1), 1.0)), solicited(third));
}

#[test]
fn a_presumed_answer_leaves_a_tombstone_that_a_fence_settles() {
    let exposure = ask(CommandCode::CAMERA_EXPOSURE_GET);
    let fence = ask(CommandCode::CAMERA_PIXEL_FIELD_OF_VIEW_GET);
    let mut client = Client::new();
    let first = client.ask(&exposure);
    // A SET of another client caused this push of the GET. The request takes it as a presumed
    // answer.
    assert_eq!(client.hear(&answer(&exposure, 1.0)), presumed(first));
    let second = client.ask(&exposure);
    assert_eq!(client.wire.last(), Some(&fence));
    // The true answer to the first query comes before the fence's answer. It does not answer the
    // second.
    assert_eq!(client.hear(&answer(&exposure, 2.0)), Class::Late { ticket: first, proven: false });
    client.hear(&answer(&fence, 0.0));
    assert_eq!(client.hear(&answer(&exposure, 3.0)), presumed(second));
    assert_eq!(client.answers(second), [answer(&exposure, 3.0)]);
}

#[test]
fn two_keys_that_are_both_owed_do_not_wait_for_each_other() {
    let mut client = Client::new();
    for axis in [1, 2] {
        let lost = client.ask(&position(axis));
        client.cancel(lost);
    }
    let tickets = [client.ask(&position(1)), client.ask(&position(2))];
    assert_eq!(client.last_sent(), Some((POSITION, 3)), "a third one is the fence of both");
    client.hear(&answer(&position(3), 0.0));
    for (axis, ticket) in [1, 2].into_iter().zip(tickets) {
        assert_eq!(client.hear(&answer(&position(axis), 0.0)), solicited(ticket));
    }
    assert_eq!(client.counters().fences_sent, 1);
}

#[test]
fn one_fence_at_a_time_is_sent_and_other_subsystems_wait() {
    let mut client = Client::new();
    let keys = [position(1), ask(CommandCode::CAMERA_PIXEL_FIELD_OF_VIEW_GET)];
    for key in &keys {
        let lost = client.ask(key);
        client.cancel(lost);
    }
    for key in &keys {
        client.ask(key);
    }
    assert_eq!(client.counters().fences_sent, 1);
    let class = client.hear(&answer(&position(2), 0.0));
    assert!(matches!(class, Class::Solicited { proven: true, .. }), "{class:?}");
    assert_eq!(client.counters().fences_sent, 2);
}

#[test]
fn a_later_proven_answer_ends_older_requests_of_the_domain() {
    let mut client = Client::new();
    let older = client.ask(&go(1, 5.0));
    let other_domain = client.ask(&ask(CommandCode::SYSTEM_STATE_GET));
    let later = client.ask(&position(1));
    let younger = client.ask(&position(2));
    assert_eq!(client.hear(&answer(&position(1), 1.0)), solicited(later));
    assert_eq!(client.ends(older), [Ended::Unanswered]);
    assert_eq!((client.outcomes(other_domain), client.outcomes(younger)), (0, 0));
    // The ended request takes no further frame.
    assert_eq!(client.hear(&answer(&go(1, 5.0), 5.0)), UNSOLICITED);
    assert_eq!(client.outcomes(older), 1);
}

#[test]
fn a_fence_without_room_for_its_tombstone_is_not_sent() {
    let config = Config::default().with_window(100);
    let mut client = Client::<2, 11>::sized(config);
    for code in 0..9 {
        let lost = client.ask(&ask(CommandCode(0xB000 + code)));
        client.cancel(lost);
    }
    let lost = client.ask(&position(1));
    client.cancel(lost);
    let waits = client.ask(&position(1));
    assert_eq!(client.core.in_flight(), (1, 10), "no place is left");
    assert_eq!((client.wire.len(), client.counters().fences_sent), (10, 0));
    client.pass(ms(1000));
    assert_eq!(client.last_sent(), Some((POSITION, 1)));
    assert_eq!(client.hear(&answer(&position(1), 0.0)), presumed(waits));
}

#[test]
fn a_fence_answer_with_a_stalled_payload_counts_as_answered() {
    let (mut client, _, second) = owed();
    let fence = position(2);
    assert_eq!(client.last_sent(), Some((POSITION, 2)));
    client.hear_bytes(&answer(&fence, 0.0).with_payload_len(10).encode());
    client.hear_bytes(&[0; 4]);
    client.pass(ms(1000));
    assert!(!client.events.contains(&Event::Unresponsive), "{:?}", client.events);
    assert_eq!(client.counters().fences_unanswered, 0);
    client.hear_bytes(&[0; 6]);
    assert_eq!(client.hear(&answer(&position(1), 0.0)), solicited(second));
}
