//! The driver's engine and a bridge that sends events on request: it asks only a peer that offers them,
//! on each connection anew.

use flamingo_protocol_core::Frame;
use flamingo_runtime_std::events_on_request;
use flamingo_runtime_testkit::peer::answer_to;

use crate::bench::{Bench, SECOND, every_2_s};

/// The answer of a peer that offers the events.
fn offered(query: &Frame) -> Frame {
    let mut answer = answer_to(query, 0.0);
    events_on_request::offer(&mut answer);
    answer
}

/// The handshake with a peer, which answers with this frame. Returns what the client sends then.
fn shake_hands(bench: &mut Bench, answer: fn(&Frame) -> Frame) -> Vec<Frame> {
    bench.engine.connected(bench.now);
    bench.pass(SECOND);
    let query = bench.sent();
    assert_eq!(query.len(), 1);
    bench.receive(&answer(&query[0]));
    bench.pass(SECOND);
    bench.sent()
}

#[test]
fn only_a_peer_that_offers_events_is_asked_for_them() {
    let (mut bench, _opening) = Bench::new(every_2_s);
    assert_eq!(shake_hands(&mut bench, |query| answer_to(query, 0.0)), []);
    let (mut bench, opening) = Bench::new(every_2_s);
    assert_eq!(shake_hands(&mut bench, offered), [events_on_request::request()]);
    let client = smol::block_on(opening.client()).expect("the handshake succeeded");
    // The next connection begins anew.
    bench.engine.disconnected(bench.now, "the peer closed it");
    bench.pass(2 * SECOND);
    bench.actions();
    assert_eq!(shake_hands(&mut bench, offered), [events_on_request::request()]);
    drop(client);
}
