//! The driver's engine with tokens: no connection believes the answers of another one.

use std::time::Duration;

use flamingo_protocol_core::connection::TokenField;
use flamingo_protocol_core::{CommandCode, Frame};
use flamingo_runtime_std::driver::Action;
use flamingo_runtime_std::{Event, Options};
use flamingo_runtime_testkit::peer::{answer_to, position_of};

use crate::bench::{Bench, SECOND, every_2_s, poll};

fn with_tokens(options: &mut Options) {
    options.protocol.tokens = Some(TokenField::ClientId);
    every_2_s(options);
}

#[test]
fn two_clients_with_tokens_do_not_share_answers() {
    let (mut bench, client) = Bench::open(with_tokens);
    let (mut other_bench, other) = Bench::open(with_tokens);
    let mut x = Box::pin(client.request(position_of(1)));
    let mut others_x = Box::pin(other.request(position_of(1)));
    assert!(poll(&mut x).is_none() && poll(&mut others_x).is_none());
    let (query, others_query) = (bench.sent(), other_bench.sent());
    bench.receive(&answer_to(&others_query[0], 2.0));
    assert!(poll(&mut x).is_none(), "this answer is the other client's");
    bench.receive(&answer_to(&query[0], 1.0));
    let answer = poll(&mut x).expect("the outcome").expect("an answer");
    assert!((answer.frame.value - 1.0).abs() < f64::EPSILON);
}

#[test]
fn a_frame_from_before_the_reconnect_is_nobodys() {
    let (mut bench, client) = Bench::open(with_tokens);
    let mut lost = Box::pin(client.request(position_of(1)));
    assert!(poll(&mut lost).is_none());
    let old = bench.sent();
    bench.engine.disconnected(bench.now, "the peer closed it");
    bench.pass(2 * SECOND);
    bench.actions();
    bench.shake_hands();
    let mut events = client.subscribe(&[]);
    let mut x = Box::pin(client.request(position_of(1)));
    assert!(poll(&mut x).is_none());
    let query = bench.sent();
    bench.receive(&answer_to(&old[0], 2.0));
    assert!(poll(&mut x).is_none(), "this answer is an old one");
    assert!(matches!(events.try_next(), Some(Event::Frame(_))));
    bench.receive(&answer_to(&query[0], 1.0));
    let answer = poll(&mut x).expect("the outcome").expect("an answer");
    assert!((answer.frame.value - 1.0).abs() < f64::EPSILON);
}

#[test]
fn with_tokens_stale_answers_need_no_settling_time() {
    let (mut bench, opening) = Bench::new(with_tokens);
    let mut client = Box::pin(opening.client());
    assert_eq!(bench.actions(), [Action::Connect]);
    bench.engine.connected(bench.now);
    let query = bench.sent();
    assert_eq!(query.len(), 1, "it is sent at once");
    let stale = answer_to(&Frame::command(CommandCode::SYSTEM_STATE_GET), 99.0);
    bench.receive(&stale);
    bench.pass(Duration::from_millis(1));
    bench.receive(&stale);
    assert!(poll(&mut client).is_none(), "this answer is an old one");
    bench.receive(&answer_to(&query[0], 1.0));
    let client = poll(&mut client).expect("the outcome").expect("a client");
    assert!((client.state_at_connect().frame.value - 1.0).abs() < f64::EPSILON);
}
