//! The stops of a workflow and of live images, and what a command that waits for the end of a motion
//! holds.

use crate::common::*;
use flamingo_protocol_core::{
    CommandCode, Config, Ended, Event, Frame, connection::is_cancelled_by, error::CommandError,
};

const STOPS: [CommandCode; 2] =
    [CommandCode::CAMERA_WORK_FLOW_STOP, CommandCode::CAMERA_LIVE_VIEW_STOP];
const STARTS: [CommandCode; 2] =
    [CommandCode::CAMERA_WORK_FLOW_START, CommandCode::CAMERA_LIVE_VIEW_START];

fn home(axis: i32) -> Frame {
    ask(CommandCode::STAGE_HOME).with_selector(axis)
}

/// What went out since `from`.
fn sent(client: &Client, from: usize) -> Vec<(CommandCode, i32)> {
    client.wire[from..].iter().map(|frame| (frame.code, frame.selector())).collect()
}

fn named(frames: &[Frame]) -> Vec<(CommandCode, i32)> {
    frames.iter().map(|frame| (frame.code, frame.selector())).collect()
}

/// A client for which the first HOME of an axis waits for its answer, and the second for the first.
fn with_a_held_home(axis: i32) -> Client {
    let mut client = Client::new();
    for _ in 0..2 {
        client.queue(&home(axis), ms(60_000)).unwrap();
    }
    client.write();
    assert_eq!(sent(&client, 0), named(&[home(axis)]));
    client
}

#[test]
fn the_stop_of_a_workflow_is_not_held_by_a_second_home() {
    for stop in STOPS {
        let mut client = with_a_held_home(1);
        client.ask(&ask(stop));
        assert_eq!(sent(&client, 1), named(&[ask(stop)]));
    }
}

#[test]
fn the_stop_of_a_workflow_is_not_held_by_a_full_window() {
    let mut client = Client::new();
    for axis in 1..=4 {
        client.ask(&position(axis));
    }
    for stop in STOPS {
        client.ask(&ask(stop));
    }
    assert_eq!(sent(&client, 4), named(&STOPS.map(ask)));
}

#[test]
fn the_second_stop_of_a_workflow_waits_for_the_first() {
    for stop in STOPS.map(ask) {
        let mut client = Client::new();
        let first = client.ask(&stop);
        let second = client.queue(&stop, ms(10)).unwrap();
        client.pass(ms(2500));
        assert_eq!((client.wire.len(), &client.events[..]), (1, &[][..]), "held, not blocked");
        assert_eq!(client.hear(&answer(&stop, 0.0)), solicited(first));
        assert_eq!(client.hear(&answer(&stop, 0.0)), solicited(second));

        let lost = client.ask(&stop);
        client.cancel(lost);
        client.ask(&stop);
        assert_eq!(client.wire.len(), 4, "a tombstone holds no stop");
    }
}

#[test]
fn queries_and_other_axes_pass_a_home_that_is_held() {
    let mut client = with_a_held_home(1);
    let pass =
        [position(1), go(2, 1.0), velocity(3), home(4), ask(CommandCode::CAMERA_EXPOSURE_SET)];
    for frame in &pass {
        client.ask(frame);
        client.hear(&answer(frame, 0.0));
    }
    assert_eq!(sent(&client, 1), named(&pass));
}

#[test]
fn what_acts_on_the_axis_of_a_held_home_waits_behind_it() {
    let mut client = with_a_held_home(1);
    let hold = [go(1, 1.0), velocity(1)];
    for frame in &hold {
        client.queue(frame, ms(60_000)).unwrap();
    }
    client.send(&ask(CommandCode::CAMERA_WORK_FLOW_START));
    assert_eq!(sent(&client, 1), [], "a workflow moves all axes");
    // The answer to the first HOME lets the second go, and that lets the rest go.
    client.hear(&answer(&home(1), 0.0));
    assert_eq!(sent(&client, 1)[0], named(&[home(1)])[0]);
}

#[test]
fn others_pass_a_move_that_waits_behind_a_held_home() {
    let mut client = with_a_held_home(1);
    client.queue(&go(1, 1.0), ms(60_000)).unwrap();
    for frame in [position(2), go(2, 1.0)] {
        client.ask(&frame);
    }
    assert_eq!(sent(&client, 1), named(&[position(2), go(2, 1.0)]));
}

#[test]
fn a_move_that_waits_for_a_plain_answer_is_not_passed() {
    let mut client = Client::new();
    client.ask(&go(1, 1.0));
    client.ask(&go(1, 2.0));
    client.ask(&go(2, 1.0));
    client.ask(&position(3));
    assert_eq!(sent(&client, 0), named(&[go(1, 1.0)]), "the order of moves is kept");
}

#[test]
fn a_home_behind_a_move_lets_nothing_pass_the_move() {
    let mut client = Client::with(Config::default().with_window(1));
    client.ask(&position(1)); // it takes the window
    client.ask(&go(2, 1.0));
    client.ask(&home(2));
    client.send(&ask(CommandCode::LED_PREVIEW_DISABLE));
    assert_eq!(sent(&client, 0), named(&[position(1)]));
}

#[test]
fn the_stop_of_a_workflow_cancels_its_queued_start() {
    for (stop, start) in STOPS.into_iter().zip(STARTS) {
        assert!(is_cancelled_by(&ask(start), &ask(stop)));
        let mut client = Client::new();
        let starts = client.core.send(client.now, &ask(start)).unwrap();
        let other = client.core.send(client.now, &ask(CommandCode::CAMERA_EXPOSURE_SET)).unwrap();
        let by = client.core.request(client.now, &ask(stop), client.now + SECOND).unwrap();
        client.write();
        assert_eq!(client.ends(starts), [Ended::Superseded { by }]);
        assert_eq!(client.ends(other), []);
        assert_eq!(sent(&client, 0).len(), 2);
    }
    let [workflow, live] = STARTS.map(ask);
    assert!(!is_cancelled_by(&live, &ask(STOPS[0])) && !is_cancelled_by(&workflow, &ask(STOPS[1])));
}

#[test]
fn halt_goes_first_then_the_stop_of_a_workflow_then_the_rest() {
    let mut client = Client::new();
    let order = [halt(1), ask(STOPS[0]), ask(STOPS[1]), position(1)];
    for frame in order.iter().rev() {
        client.queue(frame, ms(3000)).unwrap();
    }
    client.write();
    let [first, .., last] = sent(&client, 0)[..] else { panic!() };
    assert_eq!((vec![first], vec![last]), (named(&order[..1]), named(&order[3..])));
}

#[test]
fn the_stop_of_a_workflow_has_a_place_when_all_are_taken() {
    let mut client = Client::<2, 11, 4>::sized(Config::default());
    for axis in 1..=2 {
        client.ask(&position(axis));
    }
    assert!(matches!(client.try_ask(&position(3)), Err(CommandError::Full { .. })));
    client.ask(&ask(STOPS[0]));

    let mut client = Client::new();
    while client.core.send(client.now, &ask(CommandCode::LED_SET)).is_ok() {}
    client.ask(&ask(STOPS[0]));
    assert_eq!(client.wire[0].code, STOPS[0]);
}

#[test]
fn unanswered_stops_of_workflows_take_no_place_of_halt() {
    let mut client = Client::<4, 12, 4>::sized(Config::default());
    while client.try_ask(&ask(STOPS[0])).is_ok() {}
    for axis in 1..=4 {
        client.ask(&halt(axis));
    }
    assert_eq!(client.wire.iter().filter(|frame| frame.code == halt(1).code).count(), 4);
}

#[test]
fn the_smallest_table_keeps_places_for_all_halts() {
    let mut client = Client::<1, 6, 4>::sized(Config::default());
    let old = client.ask(&position(1));
    client.cancel(old);
    client.ask(&position(1)); // it is held, and a fence is sent
    assert_eq!(client.wire.len(), 2);
    let _ = client.try_ask(&ask(STOPS[0]));
    for axis in 1..=4 {
        client.ask(&halt(axis));
    }
}

#[test]
fn a_stop_of_a_workflow_that_is_stuck_is_reported_as_blocked() {
    let mut client = Client::new();
    client.queue(&upload(1000), ms(60_000)).unwrap();
    client.write_some(10);
    client.queue(&ask(STOPS[0]), ms(10)).unwrap();
    client.now = client.now + ms(1000);
    client.core.handle_timeout(client.now);
    let events: Vec<_> = std::iter::from_fn(|| client.core.poll_event()).collect();
    assert_eq!(events, [Event::StopBlocked], "and its deadline does not withdraw it");
}
