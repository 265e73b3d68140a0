//! The tests of both pumps, over a port in memory. `pump.rs` and `pump_async.rs` include this file,
//! each with its own `receive`, `transmit` and `transmit_cut_short`. So both pumps have the same
//! tests.

use std::cell::Cell;

use flamingo_protocol_core::{
    Class, CommandCode, Connection, Frame, Incoming, Output, Responder,
    pump::PumpError,
    time::{Duration, Instant},
};

use super::{receive, transmit, transmit_cut_short};
use crate::common::port::{Broken, Port};
use crate::common::{answer, position};

/// A clock that advances by 1 µs at each call.
fn clock() -> impl Fn() -> Instant {
    let micros = Cell::new(0);
    move || {
        micros.set(micros.get() + 1);
        Instant::from_micros(micros.get())
    }
}

const DEADLINE: Instant = Instant::from_micros(1_000_000);

fn a_client() -> Connection {
    Connection::default()
}

#[test]
fn a_query_and_its_answer_pass_through_both_pumps_in_any_piece() {
    for piece in [1, 3, 127, 128, 1000] {
        let now = clock();
        let mut client = a_client();
        let mut device = Responder::<8>::default();
        let query = position(1);
        let ticket = client.request(now(), &query, DEADLINE).unwrap();

        let mut up = Port::new(piece, &[]);
        assert_eq!(transmit(&mut up, &mut client, &now, |_, _| &[]), Ok(Some(ticket)));
        assert_eq!(transmit(&mut up, &mut client, &now, |_, _| &[]), Ok(None));
        assert_eq!((up.written.len(), up.flushes), (128, 1));

        let mut commands = Vec::new();
        let mut at_device = Port::new(piece, &up.written);
        while commands.is_empty() {
            let each = |incoming: Incoming<'_>| {
                if let Incoming::Command { frame, skipped: 0 } = incoming {
                    commands.push(frame);
                }
            };
            receive(&mut at_device, &mut device, &now, &mut [0; 100], each).unwrap();
        }
        assert_eq!(commands, [query]);

        // The answer carries a payload of 5 bytes.
        let reply = answer(&query, 7.5).with_payload_len(5);
        let of_reply = device.push(&reply).unwrap();
        let payload = |ticket, offset: u32| {
            assert_eq!(ticket, of_reply);
            &b"12345 and what is not asked for"[offset as usize..]
        };
        while let Some(done) = transmit(&mut at_device, &mut device, &now, payload).unwrap() {
            assert_eq!(done, of_reply);
        }
        let expected = [&reply.encode()[..], b"12345"].concat();
        assert_eq!(at_device.written, expected);

        let (mut frames, mut bytes) = (Vec::new(), Vec::new());
        let mut at_client = Port::new(piece, &at_device.written);
        while bytes.len() < 5 {
            let each = |output: Output<'_>| match output {
                Output::Frame(received) => frames.push((received.frame, received.class)),
                Output::Payload { bytes: some, .. } => bytes.extend_from_slice(some),
            };
            receive(&mut at_client, &mut client, &now, &mut [0; 64], each).unwrap();
        }
        assert_eq!(frames, [(reply, Class::Solicited { ticket, proven: true })]);
        assert_eq!(bytes, b"12345");
    }
}

#[test]
fn the_end_of_the_stream_is_an_error_and_ends_every_request() {
    let now = clock();
    let mut client = a_client();
    client.request(now(), &position(2), DEADLINE).unwrap();
    let half = answer(&position(2), 1.0).encode();
    let mut port = Port::new(1000, &half[..100]);
    let mut scratch = [0; 256];
    let count = receive(&mut port, &mut client, &now, &mut scratch, |_| panic!());
    assert_eq!(count, Ok(100));
    let ended = receive(&mut port, &mut client, &now, &mut scratch, |_| panic!());
    assert_eq!(ended, Err(PumpError::Ended { unfinished: 100, missing: 0 }));
    assert!(ended.unwrap_err().to_string().contains("100 bytes"));
    assert!(client.poll_event().is_some());
    assert!(client.poll_event().is_none());
}

#[test]
fn a_payload_that_is_not_given_is_told_with_what_is_missing() {
    let now = clock();
    let mut client = a_client();
    let upload = Frame::command(CommandCode::COMMON_SCOPE_SETTINGS_SAVE).with_payload_len(10);
    let ticket = client.request(now(), &upload, DEADLINE).unwrap();
    let mut port = Port::new(1000, &[]);
    let payload = |_, offset: u32| b"1234".get(offset as usize..).unwrap_or(&[]);
    let missing = transmit(&mut port, &mut client, &now, payload);
    assert_eq!(missing, Err(PumpError::NoPayload { ticket, offset: 4, remaining: 6 }));
    assert!(missing.unwrap_err().to_string().contains("expected 6 more bytes at offset 4"));
}

#[test]
fn a_port_that_writes_nothing_is_an_error_and_nothing_is_sent() {
    let now = clock();
    let mut client = a_client();
    client.request(now(), &position(2), DEADLINE).unwrap();
    let mut port = Port::new(1000, &[]);
    port.takes_nothing = true;
    let refused = transmit(&mut port, &mut client, &now, |_, _| &[]);
    assert_eq!(refused, Err(PumpError::WriteZero));
    assert_eq!(client.counters().frames_sent, 0);
}

#[test]
fn an_empty_buffer_is_refused_and_not_taken_for_the_end() {
    let now = clock();
    let mut client = a_client();
    let mut port = Port::new(1000, &[1, 2, 3]);
    let refused = receive(&mut port, &mut client, &now, &mut [], |_| panic!());
    assert_eq!(refused, Err(PumpError::NoScratch));
    assert_eq!(port.incoming.len(), 3);
    assert!(client.request(now() + Duration::ZERO, &position(1), DEADLINE).is_ok());
}

#[test]
fn the_end_of_the_stream_tells_the_device_what_is_unfinished() {
    let mut device = Responder::<8>::default();
    let command = position(1).encode();
    let mut port = Port::new(1000, &command[..60]);
    let mut receive = || receive(&mut port, &mut device, clock(), &mut [0; 256], |_| panic!());
    assert_eq!(receive(), Ok(60));
    assert_eq!(receive(), Err(PumpError::Ended { unfinished: 60, missing: 0 }));
}

#[test]
fn an_error_of_the_port_comes_through_as_it_is() {
    let now = clock();
    let mut client = a_client();
    client.request(now(), &position(2), DEADLINE).unwrap();
    let mut port = Port::new(64, &[1, 2, 3]);
    port.pieces = 0;
    let broken = receive(&mut port, &mut client, &now, &mut [0; 256], |_| panic!());
    assert_eq!(broken, Err(PumpError::Port(Broken)));
    assert!(broken.unwrap_err().to_string().contains("port: out of order"));
    let broken = transmit(&mut port, &mut client, &now, |_, _| &[]);
    assert_eq!(broken, Err(PumpError::Port(Broken)));
    assert_eq!(client.counters().frames_sent, 0);
    // The frame takes two pieces; after it only a flush remains.
    port.pieces = 2;
    assert!(matches!(transmit(&mut port, &mut client, &now, |_, _| &[]), Ok(Some(_))));
    let broken = transmit(&mut port, &mut client, &now, |_, _| &[]);
    assert_eq!(broken, Err(PumpError::Port(Broken)));
}

#[test]
fn a_transmit_that_was_cut_short_goes_on_where_it_stopped() {
    let now = clock();
    let mut client = a_client();
    client.request(now(), &position(3), DEADLINE).unwrap();
    let mut port = Port::new(50, &[]);
    port.pieces = 2;
    transmit_cut_short(&mut port, &mut client, &now);
    assert_eq!(port.written.len(), 100);
    port.pieces = usize::MAX;
    let done = transmit(&mut port, &mut client, &now, |_, _| &[]);
    assert!(matches!(done, Ok(Some(_))));
    assert_eq!(port.written, position(3).encode());
}
