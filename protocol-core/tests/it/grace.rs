//! The grace time: how long an older request may still be answered if no fence settles it, and for how
//! long answers are only presumed after that. Fences are `fences.rs`.

use crate::common::*;
use flamingo_protocol_core::{
    Class, CommandCode, Config, Frame,
    connection::{OnAmbiguous, OrderingDomain},
};

#[test]
fn after_the_grace_answers_are_presumed_until_a_key_is_proven() {
    let mut client = Client::new();
    let lost = client.ask(&position(1));
    client.cancel(lost);
    client.pass(ms(1000));
    let second = client.ask(&position(1));
    assert_eq!(client.hear(&answer(&position(1), 1.0)), presumed(second), "in doubt");
    client.pass(ms(1000));
    // A camera answer is in another domain and proves nothing here.
    let size = ask(CommandCode::CAMERA_IMAGE_SIZE_GET);
    client.ask(&size);
    client.hear(&answer(&size, 0.0));
    let third = client.ask(&position(1));
    assert_eq!(client.hear(&answer(&position(1), 1.0)), presumed(third));
    client.pass(ms(1000));
    let proof = client.ask(&position(4));
    assert_eq!(client.hear(&answer(&position(4), 1.0)), solicited(proof));
    let fourth = client.ask(&position(1));
    assert_eq!(client.hear(&answer(&position(1), 1.0)), solicited(fourth));
}

/// The class of an answer to X in this case: an older query of X fell into doubt while `sent` was
/// on the wire, and then the answer to a query between the two was proven.
fn after_a_proof_between(sent: &Frame) -> Class {
    let mut client = Client::new();
    let lost = client.ask(&position(1));
    client.cancel(lost);
    let proof = client.ask(&position(2));
    client.send(sent);
    client.pass(ms(1000));
    assert_eq!(client.hear(&answer(&position(2), 0.0)), solicited(proof));
    client.ask(&position(1));
    client.hear(&answer(&position(1), 0.0))
}

#[test]
fn a_key_is_in_doubt_until_its_last_doubt_is_settled() {
    let class = after_a_proof_between(&position(1));
    assert!(matches!(class, Class::Solicited { proven: false, .. }), "{class:?}");
}

#[test]
fn a_key_is_no_longer_in_doubt_than_its_own_frames_ask_for() {
    let class = after_a_proof_between(&position(3));
    assert!(matches!(class, Class::Solicited { proven: true, .. }), "{class:?}");
}

#[test]
fn a_presumed_answer_settles_nothing() {
    let exposure = ask(CommandCode::CAMERA_EXPOSURE_GET);
    let mut client = Client::new();
    let older = client.ask(&ask(CommandCode::CAMERA_IMAGE_SIZE_GET));
    let asked = client.ask(&exposure);
    assert_eq!(client.hear(&answer(&exposure, 1.0)), presumed(asked));
    assert_eq!(client.outcomes(older), 0);
}

#[test]
fn without_an_order_there_is_no_fence_only_the_grace() {
    let mut client = Client::with(Config::default().with_ordering(OrderingDomain::Key));
    let lost = client.ask(&position(1));
    client.cancel(lost);
    let next = client.ask(&position(1));
    client.pass(ms(999));
    assert_eq!(client.wire.len(), 1);
    client.pass(ms(1));
    assert_eq!(client.wire.len(), 2);
    assert_eq!(client.hear(&answer(&position(1), 1.0)), presumed(next));
}

#[test]
fn without_a_fence_the_next_request_waits_for_the_grace() {
    let level = ask(CommandCode::LASER_LEVEL_GET).with_selector(1);
    for on_ambiguous in [OnAmbiguous::Refuse, OnAmbiguous::Presume] {
        let mut client = Client::with(Config::default().with_on_ambiguous(on_ambiguous));
        let lost = client.ask(&level);
        client.cancel(lost);
        let next = client.ask(&level);
        client.pass(ms(999));
        assert_eq!(client.wire.len(), 1);
        client.pass(ms(1));
        assert_eq!(client.hear(&answer(&level, 1.0)), presumed(next));
        // After a presumed answer, the next query waits only for the shorter grace.
        client.ask(&level);
        client.pass(ms(99));
        assert_eq!(client.wire.len(), 2);
        client.pass(ms(1));
        assert_eq!(client.wire.len(), 3);
    }
}

#[test]
fn a_dropped_request_never_makes_the_next_ambiguous_or_wrong() {
    // Ask, cancel and ask again, a hundred times. Each answer comes three steps late.
    let mut client = Client::new();
    let mut answered = 0;
    for round in 0..100 {
        let dropped = client.ask(&position(1));
        client.cancel(dropped);
        let ticket = client.ask(&position(1));
        let mut at = answered;
        while at < client.wire.len() {
            let frame = client.wire[at];
            client.hear(&answer(&frame, f64::from(round)));
            at += 1;
        }
        answered = at;
        assert_eq!(client.answers(ticket).len(), 1, "round {round}");
        assert_eq!(client.ends(ticket), []);
    }
    assert_eq!((client.counters().ambiguous, client.counters().presumed), (0, 0));
}

#[test]
fn a_late_answer_that_is_only_presumed_settles_nothing() {
    let mut client = Client::new();
    let dropped = client.ask(&position(2));
    client.cancel(dropped);
    client.pass(ms(1000)); // the grace is over, so the key is in doubt
    let second = client.ask(&position(2));
    client.ask(&go(1, 5.0));
    client.pass(ms(3000)); // both requests time out
    // The answer to the dropped query comes. It looks the same as the answer to the second query.
    let class = client.hear(&answer(&position(2), 1.0));
    assert_eq!(class, Class::Late { ticket: second, proven: false });
    let third = client.ask(&position(2));
    // The answer to the second query comes, while the third query waits for it.
    let class = client.hear(&answer(&position(2), 2.0));
    assert_eq!(class, Class::Late { ticket: second, proven: false });
    client.pass(ms(1000)); // the peer answered no fence either
    assert_eq!(client.hear(&answer(&position(2), 3.0)), presumed(third), "never proven");
}

#[test]
fn a_request_waits_for_the_payload_of_a_presumed_answer() {
    let exposure = ask(CommandCode::CAMERA_EXPOSURE_GET);
    let mut client = Client::with(Config::default().with_ordering(OrderingDomain::Key));
    let first = client.ask(&exposure);
    let mut bytes = answer(&exposure, 1.0).with_payload_len(4).encode().to_vec();
    bytes.extend([0; 3]);
    client.hear_bytes(&bytes);
    client.ask(&exposure);
    assert_eq!(client.wire.len(), 1, "the true answer may still come: {first:?}");
    client.hear_bytes(&[0]);
    client.pass(ms(100));
    assert_eq!(client.wire.len(), 2);
}
