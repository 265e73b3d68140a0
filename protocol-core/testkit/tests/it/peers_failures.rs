//! Failures of other clients, each with a test that our client does not have it. `peers_failures.rs` of
//! `runtime-std` has the failures that need sockets or subscribers.

use flamingo_protocol_core::{
    Class, CommandCode, Ended, Event, Flags, Frame, Ticket, time::Duration,
};
use flamingo_testkit::device::payload_of;
use flamingo_testkit::{Faults, Harness, HarnessOptions, Truth};

const TIMEOUT: Duration = Duration::from_millis(3000);

fn position(axis: i32) -> Frame {
    Frame::command(CommandCode::STAGE_POSITION_GET).with_selector(axis)
}

fn harness() -> Harness {
    Harness::new(HarnessOptions::default())
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// The classes of all frames so far.
fn classes(harness: &Harness) -> Vec<Class> {
    harness.oracle.received.iter().map(|(received, _)| received.class.clone()).collect()
}

fn proven(ticket: Ticket) -> Class {
    Class::Solicited { ticket, proven: true }
}

#[test]
fn a_late_answer_is_not_the_answer_to_the_next_command() {
    let mut harness = harness();
    let first = harness.ask(position(1), ms(100)).unwrap();
    harness.pass(ms(200));
    assert_eq!(harness.oracle.outcome(first), (0, Some(Ended::TimedOut { sent: true })));
    let second = harness.ask(position(1), TIMEOUT).unwrap();
    let other = harness.ask(Frame::command(CommandCode::CAMERA_IMAGE_SIZE_GET), TIMEOUT).unwrap();
    harness.device.serve(); // the late answer comes first
    harness.pump();
    harness.device.serve();
    harness.pump();
    let classes = classes(&harness);
    assert_eq!(classes[0], Class::Late { ticket: first, proven: true });
    assert!(classes.contains(&proven(second)) && classes.contains(&proven(other)), "{classes:?}");
    harness.finish();
}

#[test]
fn a_second_request_of_one_code_does_not_overwrite_the_first() {
    let mut harness = harness();
    let tickets: Vec<_> =
        [1, 2, 1, 2, 1].map(|axis| harness.ask(position(axis), TIMEOUT).unwrap()).into();
    for _ in 0..3 {
        harness.device.serve();
        harness.pump();
    }
    for ticket in tickets {
        assert_eq!(harness.oracle.outcome(ticket), (1, None), "{ticket:?}");
        assert!(classes(&harness).contains(&proven(ticket)));
    }
    harness.finish();
}

#[test]
fn resynchronisation_does_not_throw_away_the_rest_of_a_read() {
    let mut harness = harness();
    let first = harness.ask(position(1), TIMEOUT).unwrap();
    let second = harness.ask(position(2), TIMEOUT).unwrap();
    // One read has noise, both answers and an event.
    harness.device.outgoing.push_back(flamingo_testkit::device::Outgoing::Junk(vec![0x54; 300]));
    harness.device.serve();
    harness.device.push(&Frame::new(CommandCode::SYSTEM_STATE_IDLE));
    harness.pump();
    let expected = [proven(first), proven(second), Class::Unsolicited { ours: false }];
    assert_eq!(classes(&harness), expected);
    assert_eq!(harness.client.counters().noise_bytes, 300);
    harness.finish();
}

#[test]
fn a_payload_that_times_out_does_not_lose_the_stream() {
    // The link carries about 300 bytes in two seconds, so the answer begins in time but ends too late.
    let faults = Faults { latency: 2_000_000, write: 100, capacity: 300, ..Faults::NONE };
    let mut harness = Harness::new(HarnessOptions { faults, seed: 3, ..HarnessOptions::default() });
    let load = Frame::command(CommandCode::COMMON_SCOPE_SETTINGS_LOAD);
    let first = harness.ask(load, ms(6000)).unwrap();
    harness.pass(ms(3000));
    let declared = harness.device.commands[0].with_payload_len(2000);
    harness.device.take(false);
    harness.device.send(declared, payload_of(1, 2000), Truth::Answer(0));
    harness.pass(ms(3500));
    let (answers, ended) = harness.oracle.outcome(first);
    let stalled = matches!(ended, Some(Ended::PayloadStalled { expected: 2000, received }) if received < 2000);
    assert!(answers == 1 && stalled, "{ended:?}");
    let second = harness.ask(position(1), ms(60_000)).unwrap();
    harness.pass(ms(3000));
    harness.device.serve();
    harness.pass(ms(40_000));
    assert_eq!(harness.oracle.outcome(second), (1, None));
    assert_eq!(harness.oracle.received[0].1.len(), 2000);
    assert_eq!(
        harness.client.counters().noise_bytes,
        0,
        "the rest of the payload was read as noise"
    );
    harness.finish();
}

#[test]
fn a_false_start_marker_does_not_swallow_the_next_frame() {
    for distance in 4..200 {
        let mut harness = harness();
        let ticket = harness.ask(position(1), TIMEOUT).unwrap();
        let mut junk = vec![0xAA; distance];
        junk[..4].copy_from_slice(&flamingo_testkit::reference::START);
        harness.device.outgoing.push_back(flamingo_testkit::device::Outgoing::Junk(junk));
        harness.device.serve();
        harness.pump();
        assert_eq!(classes(&harness), [proven(ticket)], "at {distance}");
        assert_eq!(harness.oracle.received[0].0.skipped as usize, distance);
        harness.finish();
    }
}

#[test]
fn a_push_with_the_code_of_a_request_is_not_its_answer() {
    let mut harness = harness();
    let ticket = harness.ask(position(1), TIMEOUT).unwrap();
    for axis in [1, 2, 1] {
        harness.device.push(&position(axis));
    }
    harness.device.serve();
    harness.device.push(&position(1));
    harness.pump();
    let pushed = Class::Unsolicited { ours: false };
    let expected = [pushed.clone(), pushed.clone(), pushed.clone(), proven(ticket), pushed];
    assert_eq!(classes(&harness), expected);
    assert!(harness.oracle.received[0].0.frame.flags.contains(Flags::STAGE_POSITIONS_IN_BUFFER));
    harness.finish();
}

#[test]
fn the_end_of_the_stream_ends_every_request_once() {
    let mut harness = harness();
    let tickets = [1, 2, 3].map(|axis| harness.ask(position(axis), TIMEOUT).unwrap());
    harness.down.close();
    harness.pump(); // must return; it would loop forever if the end were read repeatedly
    for ticket in tickets {
        assert_eq!(harness.oracle.outcome(ticket), (0, Some(Ended::ConnectionLost { sent: true })));
    }
    assert_eq!(harness.client.poll_timeout(), None);
    assert!(harness.client.poll_transmit(harness.now).is_none());
    assert!(!harness.events.contains(&Event::StopBlocked));
    harness.finish();
}

#[test]
fn an_unanswered_command_shifts_no_later_answer() {
    let mut harness = harness();
    harness.ask(position(1), ms(100)).unwrap();
    harness.device.take(false);
    harness.pass(ms(200));
    for _ in 0..5 {
        let ticket = harness.ask(position(1), TIMEOUT).unwrap();
        for _ in 0..3 {
            harness.device.serve();
            harness.pump();
        }
        assert!(classes(&harness).contains(&proven(ticket)), "{:?}", classes(&harness));
    }
    harness.finish();
}
