//! Each request has exactly one outcome.

use crate::common::*;
use flamingo_protocol_core::{
    Class, CommandCode, Config, Connection, Ended, Event,
    connection::{Cancelled, Reason},
    error::{CommandError, Full},
    time::{Duration, Instant},
};

#[test]
fn a_request_past_its_deadline_is_not_sent_without_a_timeout() {
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
    let mut client = Client::with(Config::default().with_window(0));
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

#[test]
fn an_answered_request_has_one_outcome_whatever_comes_after() {
    let mut client = Client::new();
    let ticket = client.ask(&position(1));
    client.hear(&answer(&position(1), 1.0));
    assert_eq!(client.cancel(ticket), Cancelled::Unknown);
    client.hear(&answer(&position(1), 1.0));
    client.pass(ms(10_000));
    client.core.handle_eof();
    client.write();
    assert_eq!(client.outcomes(ticket), 1);
}

#[test]
fn a_deadline_ends_a_request_exactly_then_and_once() {
    let mut client = Client::new();
    let ticket = client.ask(&position(1));
    let (at, reason) = client.core.poll_timeout().unwrap();
    assert_eq!((at, reason), (client.now + ms(3000), Reason::Deadline(ticket)));
    client.pass(Duration::from_micros(2_999_999));
    assert_eq!(client.outcomes(ticket), 0);
    client.pass(Duration::from_micros(1));
    assert_eq!(client.ends(ticket), [Ended::TimedOut { sent: true }]);
    client.pass(ms(10_000));
    assert_eq!(client.outcomes(ticket), 1);
    assert_eq!(client.core.poll_timeout(), None, "the grace is over, too");
}

#[test]
fn a_deadline_before_it_was_sent_says_so_and_nothing_is_owed() {
    let mut client = Client::new();
    let first = client.ask(&position(1));
    let second = client.queue(&position(1), ms(100)).unwrap();
    client.write();
    client.pass(ms(100));
    assert_eq!(client.ends(second), [Ended::TimedOut { sent: false }]);
    assert_eq!(client.hear(&answer(&position(1), 1.0)), solicited(first));
    assert_eq!(client.wire.len(), 1, "it never went out");
    assert_eq!(client.core.in_flight(), (0, 0));
}

#[test]
fn a_queued_request_that_is_cancelled_is_never_sent() {
    let mut client = Client::new();
    let ticket = client.queue(&go(1, 5.0), ms(3000)).unwrap();
    assert_eq!(client.cancel(ticket), Cancelled::NotSent);
    assert_eq!(client.cancel(ticket), Cancelled::Unknown);
    client.pass(ms(10_000));
    assert_eq!((client.wire.len(), client.outcomes(ticket)), (0, 0));
}

#[test]
fn a_sent_request_that_is_cancelled_is_answered_late() {
    let mut client = Client::new();
    let ticket = client.ask(&position(1));
    assert_eq!(client.cancel(ticket), Cancelled::Sent);
    assert_eq!(client.hear(&answer(&position(1), 1.0)), late(ticket));
    assert_eq!(client.outcomes(ticket), 0, "the caller took it back: that was its outcome");
}

#[test]
fn a_sent_frame_that_is_still_queued_can_be_taken_back_once() {
    for command in [go(1, 1.0), halt(1)] {
        let mut client = Client::new();
        let queued = client.core.send(client.now, &command).unwrap();
        assert_eq!(client.cancel(queued), Cancelled::NotSent);
        assert_eq!(client.cancel(queued), Cancelled::Unknown);
        assert_eq!(client.wire, []);
    }
}

#[test]
fn a_sent_frame_without_an_answer_cannot_be_cancelled() {
    let mut client = Client::new();
    let out = client.send(&go(1, 1.0));
    for command in [go(2, 1.0), go(3, 1.0), halt(1)] {
        assert_eq!(client.core.cancel(client.now, out), Cancelled::Unknown);
        client.queue(&command, ms(3000)).unwrap();
    }
    assert_eq!(client.core.cancel(client.now, out), Cancelled::Unknown);
}

#[test]
fn a_cancel_while_the_payload_comes_in_leaves_nothing_behind() {
    let mut client = Client::new();
    let query = ask(CommandCode::COMMON_SCOPE_SETTINGS_LOAD);
    let ticket = client.ask(&query);
    let stream = [&answer(&query, 0.0).with_payload_len(100).encode()[..], &[1; 40]].concat();
    client.hear_bytes(&stream);
    assert_eq!(client.cancel(ticket), Cancelled::Sent);
    assert_eq!(client.core.in_flight(), (0, 0));
    client.hear_bytes(&[1; 60]);
    let next = client.ask(&query);
    assert_eq!(client.hear(&answer(&query, 0.0)), solicited(next));
}

#[test]
fn a_payload_that_stalls_ends_with_an_error_of_its_own() {
    let mut client = Client::new();
    let query = ask(CommandCode::COMMON_SCOPE_SETTINGS_LOAD);
    let ticket = client.ask(&query);
    let stream = [&answer(&query, 0.0).with_payload_len(2800).encode()[..], &[1; 1000]].concat();
    client.hear_bytes(&stream);
    client.pass(ms(3000));
    let stalled = Ended::PayloadStalled { received: 1000, expected: 2800 };
    assert_eq!(client.ends(ticket), [stalled]);
    assert_eq!(client.counters().payload_stalled, 1);
    // The rest comes after all, and the stream continues behind it.
    client.hear_bytes(&[1; 1800]);
    let next = client.ask(&query);
    assert_eq!(client.hear(&answer(&query, 0.0)), solicited(next));
    assert_eq!(client.ends(ticket), [stalled]);
}

#[test]
fn a_stalled_presumed_answer_is_reported_with_a_full_table() {
    let long = ms(10_000);
    let config = Config::default().with_window(100).with_grace(long).with_presumed_grace(long);
    let mut client = Client::<2, 11>::sized(config);
    for code in 0..10 {
        let ticket = client.ask(&ask(CommandCode(0xB000 + code)));
        client.cancel(ticket);
    }
    let level = ask(CommandCode::LASER_LEVEL_GET).with_selector(1);
    let ticket = client.queue(&level, ms(100)).unwrap();
    client.write();
    assert_eq!(client.core.in_flight(), (1, 10), "no place is left");
    client.hear_bytes(&answer(&level, 0.0).with_payload_len(100).encode());
    client.hear_bytes(&[0; 40]);
    assert_eq!(client.frames[0].class, presumed(ticket));

    let mut lost = client.core.clone();
    lost.handle_eof();
    let ended = Event::Ended { ticket, ended: Ended::ConnectionLost { sent: true } };
    assert_eq!(lost.poll_event(), Some(ended));

    client.pass(ms(100));
    let stalled = Ended::PayloadStalled { received: 40, expected: 100 };
    assert_eq!(client.ends(ticket), [stalled]);
    assert_eq!(client.core.in_flight(), (0, 11));
}

#[test]
fn the_last_byte_of_a_timely_payload_ends_the_request() {
    let mut client = Client::new();
    let query = ask(CommandCode::COMMON_SCOPE_SETTINGS_LOAD);
    let ticket = client.ask(&query);
    client.hear_bytes(&answer(&query, 0.0).with_payload_len(2).encode());
    client.hear_bytes(&[1]);
    assert_eq!(client.core.in_flight(), (1, 0));
    client.hear_bytes(&[2]);
    assert_eq!(client.core.in_flight(), (0, 0));
    client.pass(ms(10_000));
    assert_eq!((client.answers(ticket).len(), client.ends(ticket).len()), (1, 0));
    assert_eq!(client.counters().payload_bytes, 2);
}

#[test]
fn the_end_of_the_stream_ends_everything_once() {
    let mut client = Client::new();
    let on_wire = client.ask(&position(1));
    let held = client.ask(&position(1));
    let superseded = client.queue(&go(2, 1.0), ms(3000)).unwrap();
    let stop = client.queue(&halt(2), ms(3000)).unwrap();
    let sent = client.core.send(client.now, &ask(CommandCode::LED_SET)).unwrap();
    let laser = ask(CommandCode::LASER_DISABLE).with_selector(1);
    let light = client.core.send(client.now, &laser).unwrap();
    let half = answer(&position(1), 1.0).encode();
    let (consumed, output) = client.core.handle_input(client.now, &half[..90]);
    assert_eq!((consumed, output), (90, None));

    assert_eq!(client.core.handle_eof(), (90, 0));
    assert_eq!(client.core.handle_eof(), (90, 0));
    client.write();
    assert_eq!(client.ends(on_wire), [Ended::ConnectionLost { sent: true }]);
    for ticket in [held, stop, sent, light] {
        assert_eq!(client.ends(ticket), [Ended::ConnectionLost { sent: false }]);
    }
    assert_eq!(client.ends(superseded), [Ended::Superseded { by: stop }]);
    assert_eq!(client.core.poll_timeout(), None);
    assert_eq!(client.wire.len(), 1, "nothing more was written");
    assert_eq!(client.try_ask(&position(1)), Err(CommandError::Closed));
    assert_eq!(client.core.send(client.now, &laser), Err(CommandError::Closed));
    assert_eq!(client.core.in_flight(), (0, 0));
}

#[test]
fn what_is_owed_is_a_reason_to_come_back_until_the_stream_ends() {
    let mut client = Client::new();
    let lost = client.ask(&position(1));
    client.cancel(lost);
    let grace = client.now + Config::default().grace;
    assert_eq!(client.core.poll_timeout(), Some((grace, Reason::Grace)));
    client.core.handle_eof();
    assert_eq!(client.core.poll_timeout(), None);
    assert_eq!(client.core.in_flight(), (0, 0));
}

#[test]
fn the_end_of_the_stream_inside_a_payload_tells_what_is_missing() {
    let mut client = Client::new();
    let query = ask(CommandCode::COMMON_SCOPE_SETTINGS_LOAD);
    let ticket = client.ask(&query);
    client.hear_bytes(&answer(&query, 0.0).with_payload_len(100).encode());
    client.hear_bytes(&[0; 30]);
    assert_eq!(client.core.handle_eof(), (0, 70));
    client.write();
    assert_eq!(client.ends(ticket), [Ended::ConnectionLost { sent: true }]);
}

#[test]
fn a_full_table_refuses_and_sends_nothing() {
    let mut client = Client::<2>::sized(Config::default());
    client.ask(&position(1));
    client.ask(&position(2));
    let sent = client.wire.len();
    let full = CommandError::Full { what: Full::Requests };
    assert_eq!(client.try_ask(&position(3)), Err(full));
    assert_eq!(client.wire.len(), sent);
    assert!(full.to_string().contains("table of requests"));
    client.hear(&answer(&position(1), 0.0));
    assert!(client.try_ask(&position(3)).is_ok());
}

#[test]
fn a_full_queue_refuses_and_sends_nothing() {
    let mut client = Client::new();
    for _ in 0..16 {
        client.core.send(client.now, &ask(CommandCode::LED_SET)).unwrap();
    }
    let full = CommandError::Full { what: Full::Queue };
    assert_eq!(client.core.send(client.now, &ask(CommandCode::LED_SET)), Err(full));
    assert_eq!(client.queue(&position(1), ms(3000)), Err(full));
    client.write();
    assert_eq!(client.wire.len(), 16);
    assert!(client.try_ask(&position(1)).is_ok());
}

#[test]
fn without_room_for_a_tombstone_a_request_is_refused_for_a_time() {
    let config = Config::default().with_window(100);
    let mut client = Client::<16, 25>::sized(config);
    let mut refused = None;
    for code in 0..40 {
        match client.queue(&ask(CommandCode(0xB000 + code)), ms(10)) {
            Ok(_) => {
                client.write();
                client.pass(ms(10));
            }
            Err(error) => refused = refused.or(Some((code, error))),
        }
    }
    let full = CommandError::Full { what: Full::Tombstones };
    assert_eq!(refused, Some((25, full)));
    assert_eq!(client.wire.len(), 25);
    client.pass(ms(1000));
    assert!(client.try_ask(&position(1)).is_ok());
}

#[test]
fn what_is_never_answered_cannot_be_asked() {
    let mut client = Client::new();
    let laser = ask(CommandCode::LASER_LEVEL_SET).with_selector(1);
    assert_eq!(client.try_ask(&laser), Err(CommandError::NeverAnswered));
    assert!(client.wire.is_empty());
}

#[test]
fn request_and_send_refuse_bad_commands_and_send_nothing() {
    let mut client = Client::new();
    let mut reserved = position(1);
    reserved.flags.0 |= 2;
    let long = ask(CommandCode::CAMERA_CHECK_STACK).with_payload_len(u32::MAX);
    for bad in [go(1, f64::NAN), go(9, 1.0), halt(255), reserved, long] {
        assert!(client.try_ask(&bad).is_err(), "{bad}");
        assert!(client.core.send(client.now, &bad).is_err(), "{bad}");
    }
    client.write();
    assert!(client.wire.is_empty());
    assert_eq!(client.core.in_flight(), (0, 0));
}

#[test]
fn time_that_runs_backwards_only_makes_deadlines_later() {
    let mut client = Client::new();
    let ticket = client.ask(&position(1));
    client.core.handle_timeout(Instant::from_micros(0));
    assert_eq!(client.core.poll_event(), None);
    assert_eq!(client.hear(&answer(&position(1), 0.0)), Class::Solicited { ticket, proven: true });
    assert_eq!(client.core.poll_event(), None::<Event>);
}

#[test]
fn payload_bytes_after_an_unreported_timeout_change_nothing() {
    let mut client = Client::new();
    let query = ask(CommandCode::COMMON_SCOPE_SETTINGS_LOAD);
    let ticket = client.ask(&query);
    client.hear_bytes(&answer(&query, 0.0).with_payload_len(100).encode());
    client.now = client.now + ms(3000);
    client.core.handle_timeout(client.now);
    client.hear_bytes(&[1; 100]);
    let stalled = Ended::PayloadStalled { received: 0, expected: 100 };
    assert_eq!(client.ends(ticket), [stalled]);
    assert_eq!(client.outcomes(ticket), 2, "the frame that began it, and its end");
    assert_eq!(client.core.in_flight(), (0, 0));
}

#[test]
fn a_cancel_after_an_unreported_timeout_finds_nothing() {
    let mut client = Client::new();
    let ticket = client.ask(&position(1));
    client.now = client.now + ms(3000);
    client.core.handle_timeout(client.now);
    assert_eq!(client.core.cancel(client.now, ticket), Cancelled::Unknown);
    assert_eq!(client.hear(&answer(&position(1), 1.0)), late(ticket));
}

#[test]
fn an_ambiguous_frame_names_its_owners_oldest_first() {
    let mut client = Client::new();
    let first = client.ask(&halt(1));
    client.cancel(first);
    let second = client.ask(&halt(1));
    let Class::Ambiguous { owners } = client.hear(&answer(&halt(1), 0.0)) else { panic!() };
    assert_eq!(owners.tickets(), [first, second]);
}

#[test]
fn abandoned_input_is_dropped_and_the_next_frame_is_read() {
    let mut client = Client::new();
    let settings = ask(CommandCode::COMMON_SCOPE_SETTINGS_LOAD);
    let ticket = client.ask(&settings);
    let bytes = answer(&settings, 0.0).with_payload_len(100).encode();
    client.core.handle_input(client.now, &bytes);
    client.core.handle_input(client.now, &[1; 40]);
    assert_eq!(client.core.abandon_input(client.now), (0, 60));
    client.write();
    assert_eq!(client.ends(ticket), [Ended::PayloadStalled { received: 40, expected: 100 }]);

    client.core.handle_input(client.now, &bytes[..50]);
    assert_eq!(client.core.abandon_input(client.now), (50, 0));
    assert_eq!(client.core.counters().noise_bytes, 50);
    let asked = client.ask(&position(1));
    assert_eq!(client.hear(&answer(&position(1), 2.0)), solicited(asked));
}
