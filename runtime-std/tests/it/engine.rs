//! The driver's engine: how a connection begins, ends and is made again. Its times and its stops are
//! in `engine_times.rs` and `engine_stops.rs`.

use std::time::Duration;

use flamingo_runtime_std::driver::Action;
use flamingo_runtime_std::{Error, Event};
use flamingo_runtime_testkit::peer::{answer_to, is_lost, position_of};

use crate::bench::{Bench, SECOND, every_2_s, poll};

#[test]
fn nothing_is_sent_before_the_settling_time_is_over() {
    let (mut bench, _opening) = Bench::new(|_| {});
    assert_eq!(bench.actions(), [Action::Connect]);
    bench.engine.connected(bench.now);
    let settled = bench.now + Duration::from_millis(50).into();
    assert_eq!(bench.engine.poll_timeout(), Some(settled));
    bench.pass(Duration::from_millis(49));
    assert!(bench.sent().is_empty());
    bench.pass(Duration::from_millis(1));
    assert_eq!(bench.sent().len(), 1);
}

#[test]
fn a_request_ends_with_its_answer_or_at_its_deadline() {
    let (mut bench, client) = Bench::open(|_| {});
    let mut x = Box::pin(client.request(position_of(1)));
    let mut y = Box::pin(client.request(position_of(2)));
    assert!(poll(&mut x).is_none() && poll(&mut y).is_none());
    let sent = bench.sent();
    assert_eq!(sent.len(), 2);
    bench.receive(&answer_to(&sent[0], 7.5));
    let answer = poll(&mut x).expect("answered").expect("an answer");
    assert!(answer.proven && (answer.frame.value - 7.5).abs() < f64::EPSILON);
    let deadline = bench.engine.poll_timeout().expect("the deadline of the other one");
    bench.engine.handle_timeout(deadline);
    assert!(matches!(poll(&mut y), Some(Err(Error::TimedOut { sent: true, .. }))));
}

#[test]
fn a_silent_peer_is_asked_to_say_what_it_is() {
    let (mut bench, opening) = Bench::new(|_| {});
    let mut client = Box::pin(opening.client());
    assert_eq!(bench.actions(), [Action::Connect]);
    bench.engine.connected(bench.now);
    bench.pass(Duration::from_millis(50));
    assert_eq!(bench.sent().len(), 1);
    bench.pass(3 * SECOND);
    assert_eq!(bench.actions(), [Action::ShutdownWrite]);
    assert!(poll(&mut client).is_none());
    bench.pass(Duration::from_millis(300));
    assert_eq!(bench.actions(), [Action::Disconnect { reset: false }, Action::End]);
    assert!(matches!(poll(&mut client), Some(Err(Error::Silent { .. }))));
}

#[test]
fn a_first_attempt_that_fails_is_not_repeated() {
    let (mut bench, opening) = Bench::new(every_2_s);
    assert_eq!(bench.actions(), [Action::Connect]);
    bench.engine.connect_failed(bench.now, Error::lost("instrument:53717", "no route"));
    assert_eq!(bench.actions(), [Action::End]);
    assert!(is_lost(&poll(&mut Box::pin(opening.client())).expect("the end")));
}

#[test]
fn a_lost_connection_is_made_again_after_the_delay() {
    let (mut bench, client) = Bench::open(every_2_s);
    let mut events = client.subscribe(&[]);
    let mut asked = Box::pin(client.request(position_of(1)));
    assert!(poll(&mut asked).is_none());
    assert_eq!(bench.sent().len(), 1);
    bench.engine.disconnected(bench.now, "the peer closed it");
    assert!(is_lost(&poll(&mut asked).expect("the end of the request")));
    assert!(matches!(events.try_next(), Some(Event::ConnectionLost)));
    assert_eq!(bench.actions(), [Action::Disconnect { reset: false }]);

    let mut early = Box::pin(client.request(position_of(1)));
    assert!(poll(&mut early).is_none());
    assert!(bench.sent().is_empty());
    assert!(is_lost(&poll(&mut early).expect("nothing is kept to be sent later")));

    bench.pass(2 * SECOND);
    assert_eq!(bench.actions(), [Action::Connect]);
    bench.engine.connect_failed(bench.now, Error::lost("instrument:53717", "no route"));
    assert_eq!(bench.engine.poll_timeout(), Some(bench.now + (2 * SECOND).into()));
    bench.pass(2 * SECOND);
    assert_eq!(bench.actions(), [Action::Connect]);
    bench.shake_hands();
    assert!(matches!(events.try_next(), Some(Event::Reconnected)));
}

#[test]
fn closing_ends_the_engine_and_every_call() {
    let (mut bench, client) = Bench::open(every_2_s);
    let mut asked = Box::pin(client.request(position_of(1)));
    assert!(poll(&mut asked).is_none());
    assert_eq!(bench.sent().len(), 1);
    let mut closing = Box::pin(client.clone().close());
    assert!(poll(&mut closing).is_none());
    bench.engine.take_calls(bench.now);
    assert_eq!(bench.actions(), [Action::End]);
    assert!(is_lost(&poll(&mut asked).expect("the end of the request")));
    drop(bench);
    assert!(poll(&mut closing).is_some());
}
