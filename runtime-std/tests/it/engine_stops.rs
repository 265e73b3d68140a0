//! The driver's engine: stops that could not be written at once, and what becomes of them.

use std::time::Duration;

use flamingo_protocol_core::{CommandCode, Frame};
use flamingo_runtime_std::driver::Action;
use flamingo_runtime_std::{Error, Options};
use flamingo_runtime_testkit::peer::{answer_to, is_lost, move_to, position_of};

use crate::bench::{Bench, SECOND, poll};

/// A stop is blocked after 100 ms.
fn impatient(options: &mut Options) {
    options.protocol.stop_patience = flamingo_protocol_core::time::Duration::from_millis(100);
}

fn workflow_stop() -> Frame {
    Frame::command(CommandCode::CAMERA_WORK_FLOW_STOP)
}

#[test]
fn a_blocked_stop_goes_first_over_a_fresh_connection() {
    let (mut bench, client) = Bench::open(impatient);
    let mut upload = bench.half_an_upload(&client);
    let mut halt = Box::pin(client.halt(1));
    assert!(poll(&mut halt).is_none());
    bench.engine.take_calls(bench.now);
    bench.pass(Duration::from_millis(100));
    assert_eq!(bench.actions(), [Action::Disconnect { reset: true }, Action::Connect]);
    assert!(is_lost(&poll(&mut upload).expect("the end of the upload")));

    bench.engine.connected(bench.now);
    let halts = bench.sent();
    assert_eq!(halts.iter().map(|frame| frame.code).collect::<Vec<_>>(), [CommandCode::STAGE_HALT]);
    bench.receive(&answer_to(&halts[0], 0.0));
    assert!(poll(&mut halt).expect("the end of the stop").is_ok());
}

#[test]
fn a_blocked_stop_is_refused_when_nobody_accepts() {
    let (mut bench, client) = Bench::open(impatient);
    let mut halt = Box::pin(client.halt(1));
    assert!(poll(&mut halt).is_none());
    bench.engine.take_calls(bench.now);
    assert!(bench.engine.poll_transmit(bench.now).is_some());
    bench.pass(Duration::from_millis(100));
    assert_eq!(bench.actions(), [Action::Disconnect { reset: true }, Action::Connect]);
    bench.engine.connect_failed(bench.now, Error::lost("instrument:53717", "no route"));
    assert!(is_lost(&poll(&mut halt).expect("the end of the stop")));
    assert_eq!(bench.actions(), [Action::End]);
}

#[test]
fn a_stop_on_a_fresh_connection_has_its_whole_time() {
    let (mut bench, client) = Bench::open(impatient);
    let _upload = bench.half_an_upload(&client);
    // Its time is shorter than it waits for the fresh connection.
    let halt = Frame::command(CommandCode::STAGE_HALT).with_selector(1);
    let mut halt = Box::pin(client.request_within(halt, Duration::from_millis(50)));
    assert!(poll(&mut halt).is_none());
    bench.engine.take_calls(bench.now);
    bench.pass(Duration::from_millis(100));
    assert!(poll(&mut halt).is_none(), "no time ends a stop that is not sent");
    bench.engine.connected(bench.now);
    let halts = bench.sent();
    bench.pass(Duration::from_millis(49));
    bench.receive(&answer_to(&halts[0], 0.0));
    assert!(poll(&mut halt).expect("the end of the stop").is_ok());
}

#[test]
fn a_workflow_stop_is_sent_even_if_its_caller_has_gone() {
    let (mut bench, client) = Bench::open(|options| options.protocol.window = 1);
    let mut first = Box::pin(client.request(position_of(1)));
    assert!(poll(&mut first).is_none());
    assert_eq!(bench.sent().len(), 1, "the window is full");
    let mut stop = Box::pin(client.request(workflow_stop()));
    assert!(poll(&mut stop).is_none());
    drop(stop);
    assert_eq!(bench.sent_codes(), [(CommandCode::CAMERA_WORK_FLOW_STOP, 0)]);
}

#[test]
fn a_workflow_stop_cancels_an_earlier_start_in_the_inbox() {
    let (mut bench, client) = Bench::open(|_| {});
    let start = Frame::command(CommandCode::CAMERA_WORK_FLOW_START);
    let mut start = Box::pin(client.send_with_payload(start, vec![7; 10]));
    assert!(poll(&mut start).is_none());
    let mut stop = Box::pin(client.request(workflow_stop()));
    assert!(poll(&mut stop).is_none());
    assert_eq!(bench.sent_codes(), [(CommandCode::CAMERA_WORK_FLOW_STOP, 0)]);
    assert!(matches!(poll(&mut start), Some(Err(Error::Superseded { .. }))));
}

#[test]
fn a_blocked_workflow_stop_moves_to_a_fresh_connection() {
    let (mut bench, client) = Bench::open(impatient);
    let _upload = bench.half_an_upload(&client);
    let mut stop = Box::pin(client.request(workflow_stop()));
    assert!(poll(&mut stop).is_none());
    bench.engine.take_calls(bench.now);
    bench.pass(Duration::from_millis(100));
    assert_eq!(bench.actions(), [Action::Disconnect { reset: true }, Action::Connect]);
    bench.engine.connected(bench.now);
    let sent = bench.sent();
    assert_eq!(sent.iter().map(|frame| frame.code).collect::<Vec<_>>(), [workflow_stop().code]);
    bench.receive(&answer_to(&sent[0], 0.0));
    assert!(poll(&mut stop).expect("the end of the stop").is_ok());
}

#[test]
fn an_unconfirmed_stop_is_reported_only_when_it_is_sent() {
    for lost in [false, true] {
        let (mut bench, client) = Bench::open(impatient);
        let _upload = bench.half_an_upload(&client);
        let mut halts: Vec<_> = (0..9).map(|_| Box::pin(client.halt(1))).collect();
        for halt in &mut halts {
            assert!(poll(halt).is_none());
        }
        while bench.engine.take_calls(bench.now) {}
        // For the answers to eight HALTs of an axis there is room.
        assert!(poll(&mut halts[8]).is_none(), "it is not sent yet");
        if lost {
            bench.engine.disconnected(bench.now, "the peer closed it");
            let lost = poll(&mut halts[8]).expect("the end of the stop").expect_err("it is lost");
            assert!(lost.to_string().contains("was not sent completely"), "{lost}");
        } else {
            bench.pass(Duration::from_millis(100));
            bench.engine.connected(bench.now);
            assert_eq!(bench.sent_codes(), [(CommandCode::STAGE_HALT, 1); 9]);
            let ends: Vec<_> = halts.iter_mut().filter_map(poll).collect();
            assert!(matches!(ends[..], [Err(Error::Unconfirmed { .. })]), "{ends:?}");
        }
    }
}

#[test]
fn closing_waits_until_a_stop_is_written() {
    let (mut bench, client) = Bench::open(|_| {});
    let upload = bench.half_an_upload(&client);
    let mut halt = Box::pin(client.halt(1));
    assert!(poll(&mut halt).is_none());
    drop(halt);
    drop((upload, client));
    assert!(!bench.engine.take_calls(bench.now));
    assert_eq!(bench.actions(), [], "the HALT is still behind the upload");
    assert!(!bench.engine.take_calls(bench.now), "and nothing else is to be done");
    while let Some(bytes) = bench.engine.poll_transmit(bench.now) {
        let written = bytes.len();
        bench.engine.transmitted(bench.now, written);
    }
    bench.engine.take_calls(bench.now);
    assert_eq!(bench.actions(), [Action::End]);
}

#[test]
fn closing_does_not_wait_for_a_repeated_workflow_stop() {
    let (mut bench, client) = Bench::open(|_| {});
    let mut first = Box::pin(client.request(workflow_stop()));
    let mut second = Box::pin(client.request(workflow_stop()));
    assert!(poll(&mut first).is_none() && poll(&mut second).is_none());
    assert_eq!(bench.sent_codes(), [(workflow_stop().code, 0)], "one waits for the other");
    drop((first, second));
    drop(client);
    bench.engine.take_calls(bench.now);
    assert_eq!(bench.actions(), [Action::End]);
}

#[test]
fn closing_does_not_wait_for_ever_for_a_stop() {
    let (mut bench, client) = Bench::open(impatient);
    let upload = bench.half_an_upload(&client);
    let mut halt = Box::pin(client.halt(1));
    assert!(poll(&mut halt).is_none());
    drop(halt);
    drop((upload, client));
    bench.engine.take_calls(bench.now);
    bench.pass(Duration::from_millis(100));
    assert_eq!(bench.actions(), [Action::Disconnect { reset: true }, Action::Connect]);
    bench.engine.connect_failed(bench.now, Error::lost("instrument:53717", "no route"));
    bench.pass(SECOND);
    assert_eq!(bench.actions(), [Action::End]);
}

#[test]
fn a_move_in_the_inbox_does_not_run_after_a_later_halt() {
    let (mut bench, client) = Bench::open(|_| {});
    // The engine takes no calls yet: HALT overtakes the move in the inbox.
    let mut moved = Box::pin(client.request(move_to(1, 5.0)));
    assert!(poll(&mut moved).is_none());
    let mut halted = Box::pin(client.halt(2));
    assert!(poll(&mut halted).is_none());
    assert_eq!(bench.sent_codes(), [(CommandCode::STAGE_HALT, 2)]);
    let moved = poll(&mut moved).expect("the end of the move");
    assert!(matches!(moved, Err(Error::Superseded { .. })), "{moved:?}");
    // A move that is called after it is sent.
    let mut again = Box::pin(client.request(move_to(1, 6.0)));
    assert!(poll(&mut again).is_none());
    assert_eq!(bench.sent_codes(), [(CommandCode::STAGE_POSITION_SET, 1)]);
}
