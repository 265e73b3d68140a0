//! HALT and laser-off: they go before everything else, in a lane of their own.

use crate::common::*;
use flamingo_protocol_core::{
    Class, CommandCode, Config, Ended, Event, Frame, Transmit,
    connection::{Cancelled, OnAmbiguous},
    error::{CommandError, Full},
    time::{Duration, Instant},
};

#[test]
fn a_halt_that_needs_room_drops_only_the_oldest_tombstone() {
    let mut client = Client::<2, 11>::sized(Config::default().with_window(100));
    let asked: Vec<_> = (0..11).map(|at| ask(CommandCode(0xB000 + at))).collect();
    let mut cancelled = Vec::new();
    for query in &asked {
        let ticket = client.ask(query);
        client.cancel(ticket);
        cancelled.push(ticket);
    }
    assert_eq!(client.core.in_flight(), (0, 11));
    client.ask(&halt(1));
    assert_eq!(client.hear(&answer(&asked[0], 0.0)), UNSOLICITED);
    for (query, ticket) in asked.iter().zip(cancelled).skip(1) {
        let late = Class::Late { ticket, proven: false };
        assert_eq!(client.hear(&answer(query, 0.0)), late);
    }
}

#[test]
fn unanswered_halts_do_not_fill_the_stop_lane_for_ever() {
    let mut client = Client::new();
    for _ in 0..100 {
        let ticket = client.queue(&halt(1), ms(10)).expect("the lane is reserved");
        client.write();
        client.pass(ms(10));
        assert_eq!(client.ends(ticket), [Ended::TimedOut { sent: true }]);
    }
    assert_eq!(client.wire.len(), 100);
    // They put no other key in doubt either.
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

    let mut client = Client::new();
    let stop = client.queue(&halt(1), ms(3000)).unwrap();
    assert!(client.core.poll_transmit(client.now).is_some(), "shown, and not written");
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
fn a_halt_past_its_deadline_is_still_reported_as_blocked() {
    let mut client = Client::new();
    client.queue(&upload(1000), ms(60_000)).unwrap();
    client.write_some(10);
    client.queue(&halt(1), ms(1000)).unwrap();
    client.now = client.now + ms(1000);
    client.core.handle_timeout(client.now);
    let events: Vec<_> = std::iter::from_fn(|| client.core.poll_event()).collect();
    assert!(events.contains(&Event::StopBlocked), "{events:?}");
}

#[test]
fn an_ambiguous_answer_names_all_open_halts_of_the_axis() {
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
    let config = Config::default().with_on_ambiguous(OnAmbiguous::Presume);
    let mut client = Client::with(config);
    let (first, second) = (client.ask(&halt(1)), client.ask(&halt(1)));
    client.hear(&answer(&halt(1), 1.0));
    client.hear(&answer(&halt(1), 2.0));
    assert_eq!((client.outcomes(first), client.outcomes(second)), (1, 1));
    client.pass(Duration::from_millis(5000));
    assert_eq!((client.outcomes(first), client.outcomes(second)), (1, 1));
}

#[test]
fn a_halt_replaces_the_bytes_of_a_frame_that_has_not_begun() {
    let mut client = Client::new();
    client.queue(&go(1, 5.0), ms(3000)).unwrap();
    assert!(client.core.poll_transmit(client.now).is_some());
    client.queue(&halt(1), ms(3000)).unwrap();
    let Some(Transmit::Bytes(bytes)) = client.core.poll_transmit(client.now) else { panic!() };
    assert_eq!(Frame::decode(bytes).unwrap(), halt(1));
}

const PATIENCE: Duration = Duration::from_millis(3000);

#[test]
fn halt_goes_before_16_queued_moves_and_none_of_them_runs() {
    let mut client = Client::new();
    let moves: Vec<_> = (0..16)
        .map(|step| client.queue(&go(step % 4 + 1, f64::from(step)), PATIENCE).unwrap())
        .collect();
    let full = Err(CommandError::Full { what: Full::Queue });
    assert_eq!(client.queue(&go(1, 1.0), PATIENCE), full);
    let stop = client.queue(&halt(1), PATIENCE).unwrap();
    client.write();
    client.pass(ms(500));
    assert_eq!(client.wire, [halt(1)]);
    for ticket in moves {
        assert_eq!(client.ends(ticket), [Ended::Superseded { by: stop }]);
    }
    assert_eq!(client.hear(&answer(&halt(1), 0.0)), solicited(stop));
    assert_eq!(client.counters().superseded, 16);
    // A move that is requested after the stop goes out.
    client.ask(&go(1, 2.0));
    assert_eq!(client.last_sent(), Some((CommandCode::STAGE_POSITION_SET, 1)));
}

#[test]
fn halt_goes_first_when_the_window_is_full() {
    let mut client = Client::new();
    for axis in 1..=4 {
        client.ask(&go(axis, 1.0));
    }
    let waiting = client.ask(&go(1, 2.0));
    let query = client.ask(&position(1));
    assert_eq!(client.wire.len(), 4);
    let stop = client.ask(&halt(1));
    assert_eq!(client.wire.len(), 5);
    assert_eq!(client.last_sent(), Some((CommandCode::STAGE_HALT, 1)));
    assert_eq!(client.ends(waiting), [Ended::Superseded { by: stop }]);
    assert_eq!(client.outcomes(query), 0, "a query is no motion");
}

#[test]
fn a_halt_cancels_only_queued_motions_and_workflows() {
    let moving = [
        go(2, 1.0),
        Frame::command(CommandCode::STAGE_HOME).with_selector(3),
        Frame::command(CommandCode::STAGE_FIND_REFERENCE).with_selector(4),
        Frame::command(CommandCode::STAGE_POSITION_SET_TEXT).with_selector(1),
    ];
    let still = [position(1), ask(CommandCode::CAMERA_SNAPSHOT_GET), ask(CommandCode(0x6FFF))];
    let mut client = Client::new();
    let queue = |client: &mut Client, frame| client.queue(frame, PATIENCE).unwrap();
    let doomed: Vec<_> = moving.iter().map(|frame| queue(&mut client, frame)).collect();
    let kept: Vec<_> = still.iter().map(|frame| queue(&mut client, frame)).collect();
    let workflow = ask(CommandCode::CAMERA_WORK_FLOW_START).with_payload_len(10);
    let workflow = client.core.send(client.now, &workflow).unwrap();
    let light = ask(CommandCode::LASER_ENABLE_PREVIEW).with_selector(1);
    client.core.send(client.now, &light).unwrap();
    let stop = client.queue(&halt(1), PATIENCE).unwrap();
    client.write();
    for ticket in doomed.into_iter().chain([workflow]) {
        assert_eq!(client.ends(ticket), [Ended::Superseded { by: stop }]);
    }
    for ticket in kept {
        assert_eq!(client.ends(ticket), []);
    }
    let expected = [&[halt(1)][..], &still, &[light]].concat();
    assert_eq!(client.wire, expected);
}

#[test]
fn a_laser_off_cancels_only_the_queued_enables_it_concerns() {
    let enable = |laser| ask(CommandCode::LASER_ENABLE_PREVIEW).with_selector(laser);
    let level = ask(CommandCode::LASER_LEVEL_SET).with_selector(2);
    let off = ask(CommandCode::LASER_DISABLE).with_selector(2);
    let all_off = ask(CommandCode::LASER_DISABLE_ALL).with_selector(2);
    for (stop, rest) in [(off, vec![enable(1), level]), (all_off, vec![level])] {
        let mut client = Client::new();
        for frame in [enable(1), enable(2), level] {
            client.core.send(client.now, &frame).unwrap();
        }
        let workflow = ask(CommandCode::CAMERA_WORK_FLOW_START).with_payload_len(10);
        client.core.send(client.now, &workflow).unwrap();
        client.send(&stop);
        assert_eq!(client.wire, [&[stop][..], &rest].concat());
    }
}

#[test]
fn a_halt_cancels_no_light_and_a_laser_off_no_motion() {
    let mut client = Client::new();
    client.queue(&go(1, 1.0), PATIENCE).unwrap();
    client.send(&ask(CommandCode::LASER_DISABLE_ALL).with_selector(1));
    assert_eq!(client.last_sent(), Some((CommandCode::STAGE_POSITION_SET, 1)));
    assert_eq!(client.events, []);
}

/// Writes everything, `most` bytes at a time, and returns the bytes. Each payload byte is 0xFF.
fn drain(client: &mut Client, most: usize, mut between: impl FnMut(&mut Client, usize)) -> Vec<u8> {
    let mut out = Vec::new();
    loop {
        between(client, out.len());
        let written = match client.core.poll_transmit(client.now) {
            None => return out,
            Some(Transmit::Bytes(bytes)) => {
                let len = bytes.len().min(most);
                out.extend_from_slice(&bytes[..len]);
                len
            }
            Some(Transmit::Payload { offset, remaining, .. }) => {
                assert_eq!(offset + remaining, 300);
                let len = most.min(remaining as usize);
                out.extend(std::iter::repeat_n(0xFF, len));
                len
            }
        };
        client.core.transmitted(client.now, written);
    }
}

#[test]
fn an_upload_is_never_split_and_halt_goes_right_after_it() {
    for most in [1, 50, 128, 1000] {
        for halt_at in [1, 127, 128, 129, 300, 427] {
            let mut client = Client::new();
            let upload = upload(300);
            client.queue(&upload, PATIENCE).unwrap();
            client.queue(&position(1), PATIENCE).unwrap();
            client.queue(&go(2, 1.0), PATIENCE).unwrap();
            let mut halted = false;
            let out = drain(&mut client, most, |client, written| {
                if written >= halt_at && !halted {
                    halted = true;
                    client.queue(&halt(1), PATIENCE).unwrap();
                }
            });
            let mut expected = [&upload.encode()[..], &[0xFF; 300]].concat();
            expected.extend(halt(1).encode());
            expected.extend(position(1).encode());
            assert_eq!(out, expected, "{most} at a time, halt at {halt_at}");
        }
    }
}

#[test]
fn a_halt_overtakes_an_upload_that_has_not_begun() {
    let mut client = Client::new();
    client.queue(&upload(300), PATIENCE).unwrap();
    assert!(client.core.poll_transmit(client.now).is_some(), "shown, but nothing was written");
    client.queue(&halt(1), PATIENCE).unwrap();
    let out = drain(&mut client, 1000, |_, _| {});
    let expected = [&halt(1).encode()[..], &upload(300).encode(), &[0xFF; 300]].concat();
    assert_eq!(out, expected);
}

#[test]
fn a_halt_behind_a_stalled_payload_is_reported_again() {
    let mut client = Client::new();
    client.queue(&upload(300), ms(60_000)).unwrap();
    client.write_some(10);
    client.queue(&halt(1), ms(60_000)).unwrap();
    assert_eq!(client.core.poll_timeout().unwrap().0, client.now + ms(1000));
    client.now = client.now + ms(999);
    client.core.handle_timeout(client.now);
    assert_eq!(client.core.poll_event(), None);
    client.now = client.now + ms(1);
    client.core.handle_timeout(client.now);
    assert_eq!(client.core.poll_event(), Some(Event::StopBlocked));
    assert_eq!(client.core.poll_event(), None, "once");
    client.write_some(10); // some progress, then no more
    client.now = client.now + ms(1000);
    client.core.handle_timeout(client.now);
    assert_eq!(client.core.poll_event(), Some(Event::StopBlocked));
    client.write();
    client.pass(ms(10_000));
    assert!(!client.events.contains(&Event::StopBlocked), "it is out");
    assert_eq!(client.last_sent(), Some((CommandCode::STAGE_HALT, 1)));
}

#[test]
fn several_halts_of_an_axis_may_be_ambiguous_and_each_ends_once() {
    let mut client = Client::new();
    let tickets: Vec<_> = (0..3).map(|_| client.ask(&halt(1))).collect();
    assert_eq!(client.wire.len(), 3, "HALT never waits for HALT");
    let Class::Ambiguous { owners } = client.hear(&answer(&halt(1), 0.0)) else { panic!() };
    assert_eq!(owners.tickets(), tickets);
    client.hear(&answer(&halt(1), 0.0));
    client.hear(&answer(&halt(1), 0.0));
    for ticket in &tickets {
        assert_eq!(client.ends(*ticket), [Ended::Ambiguous]);
    }
    assert_eq!(client.core.in_flight(), (0, 0), "three answers for three");
}

#[test]
fn an_ambiguous_frame_uses_up_the_oldest_owner_even_if_ended() {
    for on_ambiguous in [OnAmbiguous::Refuse, OnAmbiguous::Presume] {
        let mut client = Client::with(Config::default().with_on_ambiguous(on_ambiguous));
        let first = client.ask(&halt(1));
        client.cancel(first);
        let second = client.ask(&halt(1));
        client.hear(&answer(&halt(1), 0.0));
        assert_eq!(client.hear(&answer(&halt(1), 0.0)), late(second));
    }
}

#[test]
fn a_queued_halt_can_be_taken_back() {
    let mut client = Client::new();
    let stop = client.queue(&halt(1), PATIENCE).unwrap();
    assert_eq!(client.cancel(stop), Cancelled::NotSent);
    assert!(client.wire.is_empty());
}

#[test]
fn a_ninth_open_halt_of_one_axis_is_refused() {
    let mut client = Client::<16, 64, 16>::sized(Config::default());
    for _ in 0..8 {
        client.ask(&halt(1));
    }
    let full = CommandError::Full { what: Full::StopLane };
    assert_eq!(client.try_ask(&halt(1)), Err(full));
    assert_eq!(client.wire.len(), 8);
    client.ask(&halt(2));
}

#[test]
fn a_stop_carries_no_payload_that_would_delay_it() {
    let mut client = Client::new();
    let refused = Err(CommandError::PayloadTooLong { limit: 0, found: 5 });
    for stop in [halt(1), ask(CommandCode::LASER_DISABLE_ALL)] {
        let loaded = stop.with_payload_len(5);
        assert_eq!(client.core.send(client.now, &loaded), refused);
        assert_eq!(client.queue(&loaded, PATIENCE), refused);
    }
    client.write();
    assert!(client.wire.is_empty());
}

#[test]
fn what_is_no_stop_cancels_nothing() {
    use flamingo_protocol_core::connection::is_cancelled_by;
    assert!(is_cancelled_by(&go(1, 5.0), &halt(1)));
    assert!(!is_cancelled_by(&go(1, 5.0), &position(1)));
    assert!(!is_cancelled_by(&go(1, 5.0), &ask(CommandCode(0xBEEF))));
}

#[test]
fn at_the_end_of_time_no_stop_is_blocked_without_reason() {
    let mut idle = Client::new();
    idle.core.handle_timeout(Instant::FAR_FUTURE);
    assert_eq!(idle.core.poll_event(), None);
    let mut stuck = Client::new();
    stuck.core.send(Instant::from_micros(0), &halt(1)).unwrap();
    for told in [Some(Event::StopBlocked), None] {
        stuck.core.handle_timeout(Instant::FAR_FUTURE);
        assert_eq!(stuck.core.poll_event(), told);
    }
}
