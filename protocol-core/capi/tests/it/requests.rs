//! Requests, stops and time through the ABI: each outcome arrives as the core gives it.

use flamingo::*;
use flamingo_protocol_core::CommandCode;

use crate::caller::{Client, command, encoded};

const POSITION: u32 = CommandCode::STAGE_POSITION_GET.0;
const MOVE: u32 = CommandCode::STAGE_POSITION_SET.0;
const HALT: u32 = CommandCode::STAGE_HALT.0;
const SECOND: u64 = 1_000_000;

#[test]
fn an_echo_is_the_proven_answer_to_its_request() {
    let mut client = Client::new();
    let mut query = command(POSITION, 1);
    query.hardware_id = 77;
    let ticket = client.request(0, &query, SECOND).unwrap();
    let wire = client.written(0, &[]);
    let (frames, _) = client.read(10, &wire);
    let [output] = &frames[..] else { panic!("{frames:?}") };
    assert_eq!(output.frame_class, flamingo_class::Solicited);
    assert_eq!((output.ticket, output.proven, output.frame.hardware_id), (ticket, true, 77));
    assert_eq!(client.counters().solicited, 1);
    assert!(client.events().is_empty());
}

#[test]
fn a_frame_that_nobody_asked_for_is_an_event() {
    let mut client = Client::new();
    let gauge = encoded(&command(CommandCode::UI_SET_GAUGE_VALUE.0, 3));
    let wire = [&[1, 2, 3], &gauge[..]].concat();
    let (frames, _) = client.read(0, &wire);
    assert_eq!((frames[0].frame_class, frames[0].skipped), (flamingo_class::Unsolicited, 3));
    assert_eq!(client.counters().noise_bytes, 3);
}

#[test]
fn a_deadline_ends_a_request_and_its_answer_is_late() {
    let mut client = Client::new();
    let ticket = client.request(0, &command(POSITION, 1), SECOND).unwrap();
    let wire = client.written(0, &[]);
    let due = client.timeout();
    assert_eq!((due.due_us, due.reason, due.ticket), (SECOND, flamingo_reason::Deadline, ticket));
    client.handle_timeout(SECOND);
    let events = client.events();
    assert_eq!(events.len(), 1);
    assert_eq!((events[0].kind, events[0].ticket), (flamingo_event_kind::Ended, ticket));
    assert_eq!((events[0].ended, events[0].sent), (flamingo_ended::TimedOut, true));
    assert_eq!(client.timeout().reason, flamingo_reason::Grace);
    let (frames, _) = client.read(SECOND + 10, &wire);
    assert_eq!((frames[0].frame_class, frames[0].ticket), (flamingo_class::Late, ticket));
    let due = client.timeout();
    assert_eq!((due.due_us, due.reason), (FLAMINGO_NEVER, flamingo_reason::None));
}

#[test]
fn a_halt_goes_first_and_cancels_the_queued_move() {
    let mut client = Client::new();
    let asked = client.request(0, &command(POSITION, 2), SECOND).unwrap();
    let moved = client.request(0, &command(MOVE, 1), SECOND).unwrap();
    let halt = client.request(0, &command(HALT, 1), SECOND).unwrap();
    let wire = client.written(0, &[]);
    assert_eq!(wire[..128], encoded(&command(HALT, 1)));
    assert_eq!(wire[128..], encoded(&command(POSITION, 2)));
    let events = client.events();
    assert_eq!((events[0].ticket, events[0].ended), (moved, flamingo_ended::Superseded));
    assert_eq!((events[0].superseded_by, events.len()), (halt, 1));
    assert_eq!(
        client.read(1, &wire).0.iter().map(|frame| frame.ticket).collect::<Vec<_>>(),
        [halt, asked]
    );
}

#[test]
fn a_full_queue_refuses_a_query_and_takes_a_halt() {
    let mut client = Client::new();
    let refused = loop {
        if let Err(refused) = client.request(0, &command(POSITION, 1), SECOND) {
            break refused;
        }
    };
    let full = [flamingo_result::RequestsFull, flamingo_result::QueueFull];
    assert!(full.contains(&refused), "{refused:?}");
    client.request(0, &command(HALT, 1), SECOND).unwrap();
    assert_eq!(client.written(0, &[])[..128], encoded(&command(HALT, 1)));
}

#[test]
fn an_upload_is_asked_for_and_follows_its_frame() {
    let mut client = Client::new();
    let mut upload = command(CommandCode::COMMON_SCOPE_SETTINGS_SAVE.0, 0);
    upload.payload_len = 5;
    client.request(0, &upload, SECOND).unwrap();
    let first = client.poll_transmit(0);
    assert_eq!((first.kind, first.len), (flamingo_transmit_kind::Bytes, 128));
    assert_eq!(client.transmitted(0, 100), Ok(0));
    let wire = client.written(0, b"hello");
    assert_eq!(wire.len(), 28 + 5);
    assert_eq!(wire[28..], *b"hello");
}

#[test]
fn bytes_that_were_not_offered_are_not_reported() {
    let mut client = Client::new();
    assert_eq!(client.transmitted(0, 1), Err(flamingo_result::NotOffered));
    client.request(0, &command(POSITION, 1), SECOND).unwrap();
    assert_eq!(client.poll_transmit(0).len, 128);
    assert_eq!(client.transmitted(0, 129), Err(flamingo_result::NotOffered));
    assert_eq!(client.transmitted(0, 28), Ok(0), "the refusal changed nothing");
    assert_eq!(client.transmitted(0, 100), Err(flamingo_result::NotOffered), "poll again first");
    assert_eq!(client.poll_transmit(0).len, 100);
    client.request(0, &command(HALT, 1), SECOND).unwrap();
    assert_eq!(client.transmitted(0, 100), Err(flamingo_result::NotOffered), "a call came between");
    assert_eq!(client.poll_transmit(0).len, 100);
    assert!(client.transmitted(0, 100).unwrap() > 0);
    assert_eq!(client.transmitted(0, 0), Ok(0));
}

#[test]
fn a_cancel_says_whether_the_frame_was_sent() {
    let mut client = Client::new();
    let ticket = client.request(0, &command(POSITION, 1), SECOND).unwrap();
    assert_eq!(client.cancel(0, ticket), flamingo_cancelled::NotSent);
    assert_eq!(client.cancel(0, ticket), flamingo_cancelled::Unknown);
    assert_eq!(client.cancel(0, u32::MAX), flamingo_cancelled::Unknown);
    let ticket = client.request(0, &command(POSITION, 1), SECOND).unwrap();
    let wire = client.written(0, &[]);
    assert_eq!(client.cancel(0, ticket), flamingo_cancelled::Sent);
    assert_eq!(client.read(0, &wire).0[0].frame_class, flamingo_class::Late);
}

#[test]
fn a_lost_connection_ends_every_request_and_refuses_more() {
    let mut client = Client::new();
    let sent = client.request(0, &command(POSITION, 1), SECOND).unwrap();
    client.written(0, &[]);
    let queued = client.request(0, &command(POSITION, 1), SECOND).unwrap();
    client.read(0, &[0; 0]);
    let half = encoded(&command(POSITION, 1));
    client.read(0, &half[..50]);
    assert_eq!(client.status().held, 50);
    assert_eq!(client.eof(), (50, 0));
    let mut lost: Vec<_> =
        client.events().iter().map(|event| (event.ticket, event.ended, event.sent)).collect();
    lost.sort_by_key(|(ticket, ..)| *ticket);
    let ended = flamingo_ended::ConnectionLost;
    assert_eq!(lost, [(sent, ended, true), (queued, ended, false)]);
    assert_eq!(client.request(0, &command(HALT, 1), SECOND), Err(flamingo_result::Closed));
}

#[test]
fn a_command_that_must_not_go_out_is_refused() {
    let mut client = Client::new();
    let mut refused = |frame: &flamingo_frame| client.request(0, frame, SECOND).unwrap_err();
    assert_eq!(refused(&command(MOVE, 5)), flamingo_result::UnknownAxis);
    let laser = command(CommandCode::LASER_LEVEL_SET.0, 1);
    assert_eq!(refused(&laser), flamingo_result::NeverAnswered);
    let mut frame = command(MOVE, 1);
    frame.value = f64::NAN;
    assert_eq!(refused(&frame), flamingo_result::NotFinite);
    frame = command(POSITION, 1);
    frame.flags |= FLAMINGO_FLAG_ANSWER_TAG;
    assert_eq!(refused(&frame), flamingo_result::ReservedFlag);
    frame = command(CommandCode::COMMON_SCOPE_SETTINGS_SAVE.0, 0);
    frame.payload_len = u32::MAX;
    assert_eq!(refused(&frame), flamingo_result::PayloadTooLong);
    assert!(client.written(0, &[]).is_empty());
}

#[test]
fn a_successor_counts_its_tickets_on() {
    let mut first = Client::new();
    let ticket = first.request(0, &command(POSITION, 1), SECOND).unwrap();
    let mut second = Client::new();
    let (size, last) = (size_of::<flamingo_connection>(), first.status().last_ticket);
    // SAFETY: all pointers are of this test.
    let result =
        unsafe { flamingo_connection_init(second.pointer(), size, std::ptr::null(), last) };
    assert_eq!(result, flamingo_result::Ok);
    assert_eq!(second.request(0, &command(POSITION, 1), SECOND), Ok(ticket + 1));
}
