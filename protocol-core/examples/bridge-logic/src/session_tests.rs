//! Tests of peers that come and go, and of an instrument that does. The bench is that of `tests.rs`.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use flamingo_protocol_core::{CommandCode, Frame, time::Duration};

use crate::tests::{Bench, answer, frames, halt, messages, position, settings};
use crate::{PROBE_AFTER, PROBE_TIMEOUT, Side};

const STATE: CommandCode = CommandCode::SYSTEM_STATE_GET;

fn move_to(axis: i32, value: f64) -> Frame {
    Frame::command(CommandCode::STAGE_POSITION_SET).with_selector(axis).with_value(value)
}

/// Lets the instrument be silent until the bridge takes it for lost.
fn lose_instrument(bench: &mut Bench) {
    bench.pass(PROBE_AFTER + PROBE_TIMEOUT + Duration::from_millis(100));
    assert_eq!(bench.counters().instrument_lost, 1);
}

fn next_host(bench: &mut Bench) {
    bench.bridge.disconnected(bench.now, Side::Host);
    bench.bridge.connected(bench.now, Side::Host);
    bench.run();
}

#[test]
fn an_answer_for_a_host_that_left_does_not_reach_the_next() {
    let mut bench = Bench::new();
    bench.host_sends(&position(1));
    next_host(&mut bench);
    bench.host_sends(&position(2));
    bench.instrument_sends(&answer(&position(1), 1.0), &[]);
    bench.instrument_sends(&answer(&position(2), 2.0), &[]);
    assert_eq!(frames(&mut bench.ports.host), [answer(&position(2), 2.0)]);
    assert_eq!((bench.counters().late, bench.counters().answers), (1, 1));
}

#[test]
fn the_next_host_begins_with_a_whole_frame() {
    let mut bench = Bench::new();
    bench.ports.host.room = 50; // of the answer
    bench.host_sends(&position(1));
    bench.instrument_sends(&answer(&position(1), 1.0), &[]);
    assert_eq!(bench.ports.host.written.len(), 50);
    bench.ports.host.to_read.extend(&move_to(1, 2.0).encode()[..70]); // half a command
    bench.run();
    bench.ports.host.written.clear();
    bench.ports.host.room = usize::MAX;
    next_host(&mut bench);
    bench.host_sends(&position(3));
    bench.instrument_sends(&answer(&position(3), 3.0), &[]);
    assert_eq!(frames(&mut bench.ports.host), [answer(&position(3), 3.0)]);
    let counters = bench.counters();
    assert_eq!((counters.host_broke_off, counters.host_noise, counters.without_peer), (1, 70, 1));
}

#[test]
fn of_a_host_that_left_only_stops_are_still_sent() {
    let mut bench = Bench::new();
    bench.ports.instrument.room = 0;
    bench.host_sends(&position(1));
    bench.host_sends(&halt(2));
    next_host(&mut bench);
    bench.ports.instrument.room = usize::MAX;
    bench.run();
    assert_eq!(frames(&mut bench.ports.instrument), [halt(2)]);
    bench.instrument_sends(&answer(&halt(2), 0.0), &[]);
    assert_eq!(frames(&mut bench.ports.host), []);
    assert_eq!((bench.counters().not_sent, bench.counters().without_peer), (1, 1));
}

#[test]
fn without_a_subscriber_nothing_waits_and_each_push_counts() {
    let mut bench = Bench::new();
    bench.bridge.disconnected(bench.now, Side::Push);
    bench.ports.push.room = 0;
    let idle = Frame::new(CommandCode::SYSTEM_STATE_IDLE);
    for _ in 0..40 {
        bench.instrument_sends(&idle.with_payload_len(3072), &settings());
    }
    bench.host_sends(&position(1));
    bench.instrument_sends(&answer(&position(1), 1.0), &[]);
    assert_eq!(frames(&mut bench.ports.host), [answer(&position(1), 1.0)]);
    assert_eq!((bench.counters().without_peer, bench.counters().push_dropped), (40, 0));
    bench.bridge.connected(bench.now, Side::Push);
    bench.ports.push.room = usize::MAX;
    bench.instrument_sends(&idle, &[]);
    assert_eq!(messages(&mut bench.ports.push), [(idle, std::vec![])]);
}

#[test]
fn a_lost_instrument_is_reported_and_so_is_its_return() {
    let mut bench = Bench::new();
    lose_instrument(&mut bench);
    let state = |code| Frame { status: 1, ..Frame::new(code) };
    let lost = state(CommandCode::SYSTEM_STATE_DISCONNECTED);
    assert_eq!(frames(&mut bench.ports.push), [lost]);
    let query = Frame { client_id: 77, ..Frame::command(STATE) };
    bench.host_sends(&query);
    let disconnected = CommandCode::SYSTEM_STATE_DISCONNECTED.0.cast_signed();
    let told = Frame { status: 1, ..query.with_selector(disconnected) };
    assert_eq!(frames(&mut bench.ports.host), [told]);

    // It is back: the first frame ends the loss, and the bridge asks for the state.
    frames(&mut bench.ports.instrument);
    let push = Frame::new(CommandCode::STAGE_MOTION_STOPPED).with_selector(1);
    bench.instrument_sends(&push, &[]);
    bench.pass(Duration::from_millis(2000));
    let probe = frames(&mut bench.ports.instrument).pop().unwrap();
    assert_eq!(probe.code, STATE);
    let idle = CommandCode::SYSTEM_STATE_IDLE;
    bench.instrument_sends(&answer(&probe, 0.0).with_selector(idle.0.cast_signed()), &[]);
    assert_eq!(frames(&mut bench.ports.push), [push, state(idle)]);
    bench.host_sends(&position(1));
    assert_eq!(frames(&mut bench.ports.instrument), [position(1)]);
    assert_eq!(frames(&mut bench.ports.host), [], "the probe is the bridge's own");
}

#[test]
fn while_the_instrument_is_lost_only_stops_are_sent() {
    let mut bench = Bench::new();
    lose_instrument(&mut bench);
    frames(&mut bench.ports.instrument);
    bench.host_sends(&move_to(1, 9.0));
    let refused = frames(&mut bench.ports.host);
    assert_eq!((refused[0].code, refused[0].status), (CommandCode::STAGE_POSITION_SET, 0));
    assert_eq!(refused[0].text(), Ok("instrument connection lost"));
    let before = bench.counters().unanswered;
    bench.host_sends(&position(1));
    assert_eq!(bench.counters().unanswered, before + 1);
    let save = Frame::command(CommandCode::COMMON_SCOPE_SETTINGS_SAVE).with_payload_len(3072);
    bench.ports.host.to_read.extend(save.encode());
    bench.ports.host.to_read.extend(settings());
    bench.run();
    assert_eq!(frames(&mut bench.ports.host)[0].text(), Ok("instrument connection lost"));
    bench.host_sends(&halt(1));
    let sent = frames(&mut bench.ports.instrument);
    assert_eq!(sent, [halt(1)]);
}

#[test]
fn an_instrument_that_only_answers_is_not_lost() {
    let mut bench = Bench::new();
    for _ in 0..30 {
        bench.pass(Duration::from_millis(1000));
        for probe in frames(&mut bench.ports.instrument) {
            assert_eq!(probe.code, STATE);
            bench.instrument_sends(&answer(&probe, 0.0).with_selector(0xA002), &[]);
        }
    }
    assert_eq!(bench.counters().instrument_lost, 0);
    assert_eq!(
        (frames(&mut bench.ports.push), frames(&mut bench.ports.host)),
        ([].into(), [].into())
    );
}
