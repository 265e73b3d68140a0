//! Each request has exactly one outcome.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::*;
use flamingo_protocol_core::{CommandCode, Config, Connection, Ended, Frame, Instant};

fn upload(len: u32) -> Frame {
    ask(CommandCode::COMMON_SCOPE_SETTINGS_SAVE).with_payload_len(len)
}

#[test]
fn a_request_whose_deadline_has_passed_is_not_sent_even_if_nobody_told_the_time() {
    let mut client = Client::new();
    let ticket = client.queue(&go(1, 5.0), ms(100)).unwrap();
    client.now = client.now + ms(100);
    assert_eq!(client.core.poll_transmit(client.now), None);
    client.core.handle_timeout(client.now);
    client.write();
    assert_eq!(client.ends(ticket), [Ended::TimedOut { sent: false }]);
}

#[test]
fn a_window_of_none_still_lets_one_command_out() {
    let mut client = Client::with(Config { window: 0, ..Config::default() });
    client.ask(&position(1));
    client.ask(&position(2));
    assert_eq!(client.wire.len(), 1);
}

#[test]
fn no_number_of_written_bytes_makes_it_panic() {
    let mut client = Client::new();
    client.queue(&upload(33_554_432), ms(100)).unwrap();
    client.write_some(1);
    assert!(client.core.poll_transmit(client.now).is_some());
    client.core.transmitted(client.now, usize::MAX);
    client.core.transmitted(client.now, usize::MAX);
    assert_eq!(client.core.poll_transmit(client.now), None);
}

#[test]
fn a_deadline_that_never_comes_is_no_timeout() {
    let mut core = Connection::<16>::default();
    let now = Instant::from_micros(0);
    core.request(now, &position(1), Instant::FAR_FUTURE).unwrap();
    assert_eq!(core.poll_timeout(), None);
}
