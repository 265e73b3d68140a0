//! HALT and laser-off: before everything, from a lane of their own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::*;
use flamingo_protocol_core::{
    Cancelled, Class, CommandCode, Config, Duration, Ended, Event, Frame, OnAmbiguous, Transmit,
};

fn upload(len: u32) -> Frame {
    ask(CommandCode::COMMON_SCOPE_SETTINGS_SAVE).with_payload_len(len)
}

#[test]
fn a_halt_is_taken_when_tombstones_have_used_up_all_room() {
    let config = Config { window: 100, ..Config::default() };
    let mut client = Client::<16, 25>::sized(config);
    // Unknown codes, each its own key: 13 tombstones, then as many requests as are let in.
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
fn halts_that_are_never_answered_do_not_use_up_the_lane_for_ever() {
    let mut client = Client::new();
    for _ in 0..100 {
        let ticket = client.queue(&halt(1), ms(10)).expect("the lane is reserved");
        client.write();
        client.pass(ms(10));
        assert_eq!(client.ends(ticket), [Ended::TimedOut { sent: true }]);
    }
    assert_eq!(client.wire.len(), 100);
    // Nor is anything else in doubt because of them.
    let query = client.ask(&position(1));
    assert_eq!(client.hear(&answer(&position(1), 0.0)), solicited(query));
}

#[test]
fn a_cancelled_halt_does_not_report_a_blocked_stop() {
    let mut client = Client::new();
    client.queue(&upload(1000), ms(60_000)).unwrap();
    client.write_some(10);
    let stop = client.queue(&halt(1), ms(3000)).unwrap();
    assert_eq!(client.core.cancel(client.now, stop), Cancelled::NotSent);
    client.now = client.now + ms(1000);
    client.core.handle_timeout(client.now);
    assert_eq!(client.core.poll_event(), None);
}

#[test]
fn a_write_of_nothing_does_not_make_a_halt_more_patient() {
    let mut client = Client::new();
    client.queue(&upload(1000), ms(60_000)).unwrap();
    client.write_some(10);
    client.queue(&halt(1), ms(3000)).unwrap();
    for _ in 0..10 {
        client.now = client.now + ms(100);
        client.write_some(0);
        client.core.handle_timeout(client.now);
    }
    assert_eq!(client.core.poll_event(), Some(Event::StopBlocked));
}

#[test]
fn a_halt_that_is_stuck_with_its_first_byte_out_is_blocked_too() {
    let mut client = Client::new();
    client.queue(&halt(1), ms(3000)).unwrap();
    client.write_some(1);
    client.now = client.now + ms(1000);
    client.core.handle_timeout(client.now);
    assert_eq!(client.core.poll_event(), Some(Event::StopBlocked));
}

#[test]
fn all_halts_of_an_axis_that_are_outstanding_are_named_when_an_answer_is_ambiguous() {
    let mut client = Client::new();
    let mut tickets = Vec::new();
    while let Ok(ticket) = client.queue(&halt(1), ms(3000)) {
        tickets.push(ticket);
    }
    client.write();
    let Class::Ambiguous { owners } = client.hear(&answer(&halt(1), 0.0)) else { panic!() };
    assert_eq!(owners.tickets(), tickets);
}

#[test]
fn presumed_answers_use_up_waiting_halts_oldest_first() {
    let config = Config { on_ambiguous: OnAmbiguous::Presume, ..Config::default() };
    let mut client = Client::with(config);
    let (first, second) = (client.ask(&halt(1)), client.ask(&halt(1)));
    client.hear(&answer(&halt(1), 1.0));
    client.hear(&answer(&halt(1), 2.0));
    assert_eq!((client.outcomes(first), client.outcomes(second)), (1, 1));
    client.pass(Duration::from_millis(5000));
    assert_eq!((client.outcomes(first), client.outcomes(second)), (1, 1));
}

#[test]
fn the_bytes_of_a_frame_that_has_not_begun_change_when_a_halt_comes() {
    let mut client = Client::new();
    client.queue(&go(1, 5.0), ms(3000)).unwrap();
    assert!(client.core.poll_transmit(client.now).is_some());
    client.queue(&halt(1), ms(3000)).unwrap();
    let Some(Transmit::Bytes(bytes)) = client.core.poll_transmit(client.now) else { panic!() };
    assert_eq!(Frame::decode(bytes).unwrap(), halt(1));
}
