//! What a cancel says, at each point in the life of a request and of a frame that is only sent.

use crate::common::*;
use flamingo_protocol_core::{Ended, Event, connection::Cancelled};

#[test]
fn a_cancel_after_the_timeout_does_not_swallow_the_outcome() {
    let mut client = Client::new();
    let ticket = client.queue(&position(1), ms(100)).unwrap();
    while client.write_some(usize::MAX) {}
    client.now = client.now + ms(100);
    client.core.handle_timeout(client.now);
    assert_eq!(client.core.cancel(client.now, ticket), Cancelled::Unknown);
    let ended = Ended::TimedOut { sent: true };
    assert_eq!(client.core.poll_event(), Some(Event::Ended { ticket, ended }));
    assert_eq!(client.core.poll_event(), None);
}

#[test]
fn a_cancel_of_a_superseded_move_does_not_swallow_the_outcome() {
    let mut client = Client::new();
    let moves = client.queue(&go(1, 1.0), ms(3000)).unwrap();
    let by = client.queue(&halt(1), ms(3000)).unwrap();
    assert_eq!(client.core.cancel(client.now, moves), Cancelled::Unknown);
    client.write();
    assert_eq!(client.ends(moves), [Ended::Superseded { by }]);
}

#[test]
fn a_frame_that_is_half_sent_counts_as_sent() {
    let mut client = Client::new();
    let sent = client.core.send(client.now, &position(1)).unwrap();
    client.write_some(1);
    assert_eq!(client.core.cancel(client.now, sent), Cancelled::Sent);
    client.write_some(126);
    assert_eq!(client.core.cancel(client.now, sent), Cancelled::Sent);
    client.write_some(1);
    assert_eq!(client.core.cancel(client.now, sent), Cancelled::Unknown, "it was reported");
}

#[test]
fn a_half_sent_request_that_has_ended_is_unknown() {
    let mut client = Client::new();
    let ticket = client.queue(&upload(1000), ms(100)).unwrap();
    client.write_some(1);
    assert_eq!(client.core.cancel(client.now, ticket), Cancelled::Sent);
    assert_eq!(client.core.cancel(client.now, ticket), Cancelled::Unknown);
}

#[test]
fn after_the_end_of_the_stream_a_cancel_swallows_nothing() {
    let mut client = Client::new();
    let sent = client.core.send(client.now, &position(1)).unwrap();
    let asked = client.queue(&position(2), ms(3000)).unwrap();
    client.core.handle_eof();
    for ticket in [sent, asked] {
        assert_eq!(client.core.cancel(client.now, ticket), Cancelled::Unknown);
    }
    client.write();
    for ticket in [sent, asked] {
        assert_eq!(client.ends(ticket), [Ended::ConnectionLost { sent: false }]);
    }
}
