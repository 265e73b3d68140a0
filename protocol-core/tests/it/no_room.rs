//! Full stores: a stop still has its place, and nothing is lost.

use crate::common::*;
use flamingo_protocol_core::{
    CommandCode, Config, Connection, Ended, Output, Transmit,
    connection::MAX_OWNERS,
    error::{CommandError, Full},
    time::{Duration, Instant},
};

const PATIENCE: Duration = Duration::from_millis(3000);

#[test]
fn a_halt_is_taken_when_tombstones_have_used_up_all_room() {
    let config = Config::default().with_window(100);
    let mut client = Client::<16, 25>::sized(config);
    // Unknown codes, each with its own key: 13 tombstones, then as many requests as the table
    // accepts.
    for round in 0..2 {
        for code in 0..16 {
            let _ = client.queue(&ask(CommandCode(0xB000 + round * 256 + code)), ms(100));
        }
        client.write();
        if round == 0 {
            client.pass(ms(100));
        }
    }
    let (live, owed) = client.core.in_flight();
    assert!(live + owed >= 17, "{live} and {owed}");
    for axis in [1, 2, 3, 4, 1, 2, 3, 4] {
        client.queue(&halt(axis), ms(3000)).expect("the lane is reserved");
    }
    client.write();
    let codes: Vec<_> = client.wire.iter().rev().take(8).map(|frame| frame.code).collect();
    assert_eq!(codes, [CommandCode::STAGE_HALT; 8]);
}

#[test]
fn a_halt_replaces_the_tombstone_of_an_unreported_request() {
    let mut client = Client::<2, 11>::sized(Config::default().with_window(100));
    let oldest = client.queue(&ask(CommandCode(0xB000)), ms(100)).unwrap();
    for code in 1..=10 {
        let ticket = client.ask(&ask(CommandCode(0xB000 + code)));
        client.cancel(ticket);
    }
    assert_eq!(client.core.in_flight(), (1, 10), "no place is left");
    client.now = client.now + ms(100);
    client.core.handle_timeout(client.now);
    client.ask(&halt(1));
    assert_eq!(client.last_sent(), Some((CommandCode::STAGE_HALT, 1)));
    assert_eq!(client.ends(oldest), [Ended::TimedOut { sent: true }]);
}

#[test]
fn halts_that_wait_for_their_answer_take_no_room_from_requests() {
    let mut client = Client::<2, 11>::sized(Config::default());
    let taken = (0..16).filter(|at| client.try_ask(&halt(1 + at % 4)).is_ok()).count();
    assert_eq!(taken, 8, "as many as there are places for stops");
    client.ask(&position(1));
    client.ask(&position(2));
}

#[test]
fn a_halt_waiting_for_its_answer_takes_no_requests_place() {
    let mut client = Client::<1, 6, 4>::sized(Config::default());
    client.ask(&halt(1));
    let query = client.ask(&position(1));
    client.hear(&answer(&position(1), 0.0));
    assert_eq!(client.answers(query).len(), 1);
}

#[test]
fn a_full_stop_lane_refuses_until_one_is_written() {
    let mut client = Client::new();
    let off = ask(CommandCode::LASER_DISABLE).with_selector(1);
    for _ in 0..8 {
        client.core.send(client.now, &off).unwrap();
    }
    let full = Err(CommandError::Full { what: Full::StopLane });
    assert_eq!(client.core.send(client.now, &off), full);
    assert_eq!(client.queue(&halt(1), PATIENCE), full);
    assert_eq!(client.core.in_flight(), (0, 0), "what was refused left nothing behind");
    client.write_some(usize::MAX);
    client.queue(&halt(1), PATIENCE).unwrap();
    client.write();
    assert_eq!(client.wire.len(), 9);
}

#[test]
fn a_halt_can_be_sent_when_no_request_for_one_fits_any_more() {
    let mut client = Client::new();
    while client.try_ask(&halt(1)).is_ok() {}
    client.send(&halt(2));
    assert_eq!(client.last_sent(), Some((CommandCode::STAGE_HALT, 2)));
}

#[test]
fn every_accepted_stop_is_sent_despite_a_stuck_fence() {
    let mut client = Client::new();
    let second = client.ask(&position(2));
    let first = client.ask(&position(1));
    client.cancel(first);
    client.queue(&position(1), ms(60_000)).unwrap();
    client.write_some(10); // a part of the fence
    client.now = client.now + ms(500);
    client.core.cancel(client.now, second);
    client.queue(&position(2), ms(60_000)).unwrap();
    client.now = client.now + ms(500);
    client.core.handle_timeout(client.now);
    assert!(client.core.poll_transmit(client.now).is_some());
    let mut fill =
        |frame| (0..100).filter(|_| client.core.send(client.now, &frame).is_ok()).count();
    fill(ask(CommandCode::LED_SET));
    let stops = fill(halt(1));
    client.write();
    let halts = client.wire.iter().filter(|frame| frame.code == CommandCode::STAGE_HALT);
    assert_eq!(halts.count(), stops);
}

#[test]
fn a_stuck_fence_is_the_only_one_and_each_stop_has_a_place() {
    let mut client = Client::new();
    let size = ask(CommandCode::CAMERA_IMAGE_SIZE_GET);
    client.queue(&size, ms(1200)).unwrap();
    let lost = client.ask(&position(1));
    client.cancel(lost);
    client.queue(&position(1), ms(3000)).unwrap();
    client.queue(&size, ms(3000)).unwrap();
    client.write_some(50);
    assert_eq!(client.last_sent(), Some((CommandCode::STAGE_POSITION_GET, 2)), "the fence");
    // The deadline of the stage fence passes, and then the camera needs a fence as well.
    for millis in [1000, 200] {
        client.now = client.now + ms(millis);
        client.core.handle_timeout(client.now);
        client.core.poll_transmit(client.now);
    }
    let led = ask(CommandCode::LED_SET);
    let sent = (0..30).filter(|_| client.core.send(client.now, &led).is_ok()).count();
    let stops = (0..30).filter(|_| client.core.send(client.now, &halt(1)).is_ok()).count();
    assert_eq!((sent, stops), (14, 8));
    client.write();
    let halts = client.wire.iter().filter(|frame| frame.code == CommandCode::STAGE_HALT).count();
    assert_eq!(halts, 8, "what was taken in goes out");
    assert_eq!(client.counters().fences_sent, 2, "the second one when the first was out");
}

#[test]
fn when_every_fence_is_owed_itself_the_grace_lets_all_go() {
    let mut client = Client::new();
    for axis in 1..=4 {
        let lost = client.ask(&position(axis));
        client.cancel(lost);
    }
    for axis in 1..=4 {
        client.queue(&position(axis), ms(60_000)).unwrap();
    }
    client.write();
    assert_eq!((client.wire.len(), client.counters().fences_sent), (4, 0));
    client.pass(ms(1000)); // the grace of the lost answers
    client.pass(ms(2000)); // and that of a fence that is to be counted
    for axis in 1..=4 {
        let sent = client.wire.iter().filter(|frame| frame.selector() == axis).count();
        assert!(sent > 1, "axis {axis}");
    }
}

#[test]
fn a_full_table_puts_no_key_in_doubt_that_was_not() {
    let mut client = Client::<2, 11>::sized(Config::default());
    // Each frame that is sent without a request leaves a doubt: the answer of its key may still
    // come.
    for axis in 1..=4 {
        client.send(&go(axis, 1.0));
        client.send(&position(axis));
        client.send(&velocity(axis));
    }
    let size = ask(CommandCode::CAMERA_IMAGE_SIZE_GET);
    let asked = client.ask(&size);
    assert_eq!(client.hear(&answer(&size, 0.0)), solicited(asked));
    for axis in 1..=4 {
        for sent in [go(axis, 1.0), position(axis), velocity(axis)] {
            let asked = client.ask(&sent);
            client.pass(SECOND); // no fence is answered
            assert_eq!(client.hear(&answer(&sent, 0.0)), presumed(asked), "{sent}");
            client.pass(SECOND);
        }
    }
    // An answer that is proven settles all of them.
    let asked = client.ask(&halt(1));
    assert_eq!(client.hear(&answer(&halt(1), 0.0)), solicited(asked));
    let asked = client.ask(&position(1));
    assert_eq!(client.hear(&answer(&position(1), 0.0)), solicited(asked));
}

#[test]
fn a_halt_with_a_payload_takes_no_place_of_open_requests() {
    let mut client = Connection::<4, 40, 24, 16>::with(Config::default());
    let now = Instant::from_micros(0);
    let halt = halt(1);
    let stop = |client: &mut Connection<4, 40, 24, 16>| {
        client.request(now, &halt, now + PATIENCE).expect("there is a place for it");
        while let Some(Transmit::Bytes(bytes)) = client.poll_transmit(now) {
            let written = bytes.len();
            client.transmitted(now, written);
        }
    };
    stop(&mut client);
    let answer = halt.with_payload_len(10).encode();
    let (_, output) = client.handle_input(now, &answer);
    assert!(matches!(output, Some(Output::Frame(_))), "{output:?}");
    for _ in 0..MAX_OWNERS {
        stop(&mut client);
    }
}
