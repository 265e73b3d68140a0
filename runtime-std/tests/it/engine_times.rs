//! The driver's engine: how long a call waits to be sent, and how long for its answer.

use std::time::Duration;

use flamingo_runtime_std::Error;
use flamingo_runtime_testkit::peer::{answer_to, position_of};

use crate::bench::{Bench, SECOND, poll};

#[test]
fn a_call_that_waited_has_its_whole_time_for_the_answer() {
    let (mut bench, client) = Bench::open(|options| options.protocol.window = 1);
    let mut first = Box::pin(client.request(position_of(1)));
    let mut second = Box::pin(client.request(position_of(2)));
    assert!(poll(&mut first).is_none() && poll(&mut second).is_none());
    let query = bench.sent();
    assert_eq!(query.len(), 1, "the window is full");
    bench.pass(Duration::from_millis(2_900));
    bench.receive(&answer_to(&query[0], 1.0));
    let query = bench.sent();
    assert_eq!(query.len(), 1);
    bench.pass(Duration::from_millis(2_900));
    bench.receive(&answer_to(&query[0], 2.0));
    let answer = poll(&mut second).expect("the outcome").expect("an answer");
    assert!((answer.frame.value - 2.0).abs() < f64::EPSILON);
}

#[test]
fn a_call_waits_no_longer_than_its_time_to_be_sent() {
    let (mut bench, client) = Bench::open(|options| options.protocol.window = 1);
    let mut first = Box::pin(client.request_within(position_of(1), 60 * SECOND));
    let mut second = Box::pin(client.request(position_of(2)));
    assert!(poll(&mut first).is_none() && poll(&mut second).is_none());
    assert_eq!(bench.sent().len(), 1, "the window is full");
    bench.pass(Duration::from_millis(2_999));
    assert!(poll(&mut second).is_none());
    bench.pass(Duration::from_millis(1));
    assert!(matches!(poll(&mut second), Some(Err(Error::TimedOut { sent: false, .. }))));
    assert!(bench.sent().is_empty());
}

#[test]
fn a_call_that_is_too_late_in_the_inbox_is_not_sent() {
    let (mut bench, client) = Bench::open(|_| {});
    let mut late = Box::pin(client.request_within(position_of(1), Duration::ZERO));
    assert!(poll(&mut late).is_none());
    assert!(bench.sent().is_empty());
    assert!(matches!(poll(&mut late), Some(Err(Error::TimedOut { sent: false, .. }))));
}
