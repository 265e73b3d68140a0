//! Frames that are sent without waiting for an answer, and their echoes.

use crate::common::*;
use flamingo_protocol_core::{
    Class, CommandCode, Config, Ended, Event, Frame, connection::Cancelled,
};

#[test]
fn the_echo_of_a_sent_action_is_never_a_proven_answer() {
    let mut client = Client::new();
    client.send(&go(1, 5.0));
    let asked = client.ask(&go(1, 6.0));
    // The peer answered both. The first frame is the answer to the move that was only sent.
    assert_eq!(client.hear(&answer(&go(1, 5.0), 5.0)), presumed(asked));
    assert_eq!(
        client.hear(&answer(&go(1, 6.0), 6.0)),
        Class::Late { ticket: asked, proven: false }
    );
    // A proven answer of another key settles it.
    let other = client.ask(&position(2));
    assert_eq!(client.hear(&answer(&position(2), 1.0)), solicited(other));
    let third = client.ask(&go(1, 7.0));
    assert_eq!(client.hear(&answer(&go(1, 7.0), 7.0)), solicited(third));
}

#[test]
fn an_echo_is_expected_once_sent_and_not_once_queued() {
    let mut client = Client::new();
    client.queue(&upload(1000), ms(60_000)).unwrap();
    client.write_some(128);
    let laser = ask(CommandCode::LASER_LEVEL_SET).with_selector(1);
    client.core.send(client.now, &laser).unwrap();
    client.now = client.now + ms(10_000);
    client.write();
    assert_eq!(client.hear(&answer(&laser, 0.0)), Class::Unsolicited { ours: true });
}

#[test]
fn a_push_that_is_marked_as_one_is_never_marked_as_ours() {
    let mut client = Client::new();
    client.send(&position(1));
    assert_eq!(client.hear(&push(1, 3.0)), UNSOLICITED);
    assert_eq!(client.hear(&answer(&position(1), 3.0)), Class::Unsolicited { ours: true });
}

#[test]
fn a_half_sent_frame_is_reported_once_at_the_end_of_the_stream() {
    let mut client = Client::new();
    let workflow = ask(CommandCode::CAMERA_WORK_FLOW_START).with_payload_len(1000);
    let ticket = client.core.send(client.now, &workflow).unwrap();
    client.write_some(128);
    client.write_some(500);
    client.core.handle_eof();
    let lost = Event::Ended { ticket, ended: Ended::ConnectionLost { sent: true } };
    assert_eq!(client.core.poll_event(), Some(lost));
    assert_eq!(client.core.poll_event(), None);
    client.core.handle_eof();
    assert_eq!(client.core.poll_event(), None);
}

#[test]
fn an_unwritten_frame_is_reported_once_at_the_end_of_the_stream() {
    let mut client = Client::new();
    let ticket = client.core.send(client.now, &go(1, 5.0)).unwrap();
    assert!(client.core.poll_transmit(client.now).is_some());
    client.core.handle_eof();
    let lost = Event::Ended { ticket, ended: Ended::ConnectionLost { sent: false } };
    assert_eq!(client.core.poll_event(), Some(lost));
    assert_eq!(client.core.poll_event(), None);
}

#[test]
fn a_cancelled_half_sent_upload_has_no_second_outcome() {
    let mut client = Client::new();
    let cancelled = client.queue(&upload(1000), ms(60_000)).unwrap();
    client.write_some(128);
    assert_eq!(client.core.cancel(client.now, cancelled), Cancelled::Sent);
    client.core.handle_eof();
    assert_eq!(client.core.poll_event(), None);

    let mut client = Client::new();
    let timed_out = client.queue(&upload(1000), ms(100)).unwrap();
    client.write_some(128);
    client.now = client.now + ms(100);
    client.core.handle_timeout(client.now);
    assert!(
        matches!(client.core.poll_event(), Some(Event::Ended { ticket, .. }) if ticket == timed_out)
    );
    client.core.handle_eof();
    assert_eq!(client.core.poll_event(), None);
}

#[test]
fn the_tagged_echo_of_a_sent_unknown_code_proves_nothing_either() {
    let config = Config::default().with_peer_tags(true);
    let mut client = Client::with(config);
    let unknown = ask(CommandCode(0x6FFF));
    client.send(&unknown);
    let asked = client.ask(&unknown);
    let mut echo = answer(&unknown, 0.0);
    echo.flags = echo.flags.with(flamingo_protocol_core::Flags::ANSWER_TAG);
    assert_eq!(client.hear(&echo), presumed(asked));
}

/// Twelve keys that the server never pushes.
fn twelve_commands() -> Vec<Frame> {
    (1..=4).flat_map(|axis| [position(axis), go(axis, 1.0), halt(axis)]).collect()
}

#[test]
fn a_send_without_room_for_its_doubt_puts_its_own_key_in_doubt() {
    // There is room for 11 doubts beside the request.
    let mut client = Client::<2, 12>::sized(Config::default());
    for command in &twelve_commands() {
        client.send(command);
    }
    let query = ask(CommandCode::SYSTEM_STATE_GET);
    let asked = client.ask(&query);
    assert_eq!(client.hear(&answer(&query, 0.0)), solicited(asked));
    for command in &twelve_commands() {
        let asked = client.ask(command);
        client.pass(SECOND); // no fence is answered
        assert_eq!(client.hear(&answer(command, 0.0)), presumed(asked), "{command}");
        client.pass(SECOND);
    }
}

#[test]
fn a_cancelled_request_is_answered_late_with_a_full_table() {
    let mut client = Client::<2, 11>::sized(Config::default());
    for command in twelve_commands() {
        client.send(&command);
    }
    let query = ask(CommandCode::SYSTEM_STATE_GET);
    let ticket = client.ask(&query);
    client.cancel(ticket);
    assert_eq!(client.hear(&answer(&query, 0.0)), late(ticket));
}

#[test]
fn a_cancelled_request_is_answered_late_after_an_equal_send() {
    let mut client = Client::new();
    let ticket = client.ask(&position(1));
    client.cancel(ticket);
    client.send(&position(1));
    assert_eq!(client.hear(&answer(&position(1), 0.0)), Class::Late { ticket, proven: false });
}

#[test]
fn sent_frames_of_presumed_keys_put_nothing_else_in_doubt() {
    let mut client = Client::new();
    for code in 0..100 {
        client.send(&ask(CommandCode(0xB000 + code)));
    }
    let query = client.ask(&position(1));
    assert_eq!(client.hear(&answer(&position(1), 0.0)), solicited(query));
}

#[test]
fn an_echo_without_a_place_leaves_its_own_key_in_doubt() {
    let config = Config::default().with_window(100);
    let mut client = Client::<2, 11>::sized(config);
    for code in 0..11 {
        let lost = client.ask(&ask(CommandCode(0xB000 + code)));
        client.cancel(lost);
    }
    client.send(&go(1, 5.0));
    client.pass(ms(1000));
    let again = client.ask(&go(1, 5.0));
    let mut late_fence = client.core.clone();
    assert_eq!(client.hear(&answer(&go(1, 5.0), 0.0)), presumed(again));
    // If the fence before it is answered first, nothing is in doubt any more.
    core::mem::swap(&mut client.core, &mut late_fence);
    client.hear(&answer(&position(1), 0.0));
    assert_eq!(client.hear(&answer(&go(1, 5.0), 0.0)), solicited(again));
}

fn led(selector: i32) -> Frame {
    ask(CommandCode::LED_SET).with_selector(selector)
}

#[test]
fn an_echo_is_expected_until_its_grace_ends() {
    let mut client = Client::new();
    client.send(&led(1));
    client.pass(client.core.config().grace);
    client.send(&led(2));
    assert_eq!(client.hear(&answer(&led(1), 0.0)), Class::Unsolicited { ours: true });
    assert_eq!(client.hear(&answer(&led(2), 0.0)), Class::Unsolicited { ours: true });
}

#[test]
fn the_next_echo_takes_the_place_of_an_expired_one() {
    // There is room for two echoes beside the request.
    let mut client = Client::<1, 6, 4>::sized(Config::default());
    client.ask(&position(1));
    client.send(&led(1));
    client.send(&led(2));
    client.hear(&answer(&led(1), 0.0));
    client.pass(ms(600));
    client.send(&led(3));
    client.pass(ms(600));
    client.send(&led(4));
    assert_eq!(client.hear(&answer(&led(2), 0.0)), UNSOLICITED, "its grace is over");
    assert_eq!(client.hear(&answer(&led(3), 0.0)), Class::Unsolicited { ours: true });
    assert_eq!(client.hear(&answer(&led(4), 0.0)), Class::Unsolicited { ours: true });
}

#[test]
fn an_echo_without_a_place_puts_nothing_in_doubt() {
    let mut client = Client::<1, 6, 4>::sized(Config::default());
    let asked = client.ask(&position(1));
    for sent in [position(2), position(3), position(4), go(1, 1.0), go(2, 1.0)] {
        client.send(&sent); // the request and five doubts fill the table
    }
    client.send(&led(1));
    assert_eq!(client.hear(&answer(&led(1), 0.0)), UNSOLICITED, "it was not noted");
    assert_eq!(client.hear(&answer(&position(1), 0.0)), solicited(asked));
}
