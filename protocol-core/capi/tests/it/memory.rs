//! Pointers and lengths that a C program can get wrong give an error code.

use std::mem::{align_of, size_of};
use std::ptr::{null, null_mut};

use flamingo::*;

use crate::caller::{Client, OK, command, encoded, zeroed};

/// A call of each function that takes a connection, with all other pointers good.
fn each_function(connection: *mut flamingo_connection) -> Vec<(&'static str, flamingo_result)> {
    let frame = command(0x6008, 1);
    let (mut ticket, mut count, mut missing) = (0, 0, 0);
    let mut output = zeroed::<flamingo_output>();
    let mut transmit = zeroed::<flamingo_transmit>();
    let mut event = zeroed::<flamingo_event>();
    let mut timeout = zeroed::<flamingo_timeout>();
    let mut cancelled = zeroed::<flamingo_cancelled>();
    let mut counters = zeroed::<flamingo_counters>();
    let mut status = zeroed::<flamingo_status>();
    let mut config = zeroed::<flamingo_config>();
    let mut rejected = zeroed::<flamingo_rejected>();
    let (frame, ticket, count) = (&raw const frame, &raw mut ticket, &raw mut count);
    let missing = &raw mut missing;
    // SAFETY: the connection may be anything that can be read; the rest is of this test.
    unsafe {
        vec![
            ("request", flamingo_connection_request(connection, 0, frame, 9, ticket)),
            ("send", flamingo_connection_send(connection, 0, frame, ticket)),
            ("cancel", flamingo_connection_cancel(connection, 0, 1, &raw mut *cancelled)),
            (
                "input",
                flamingo_connection_handle_input(connection, 0, null(), 0, count, &raw mut *output),
            ),
            ("poll", flamingo_connection_poll_transmit(connection, 0, &raw mut *transmit)),
            ("transmitted", flamingo_connection_transmitted(connection, 0, 0, ticket)),
            ("event", flamingo_connection_poll_event(connection, &raw mut *event)),
            ("timeout", flamingo_connection_poll_timeout(connection, &raw mut *timeout)),
            ("handle timeout", flamingo_connection_handle_timeout(connection, 0)),
            ("counters", flamingo_connection_counters(connection, &raw mut *counters)),
            ("status", flamingo_connection_status(connection, &raw mut *status)),
            ("config", flamingo_connection_config(connection, &raw mut *config)),
            ("rejected", flamingo_connection_last_rejected(connection, &raw mut *rejected)),
            ("abandon", flamingo_connection_abandon_input(connection, 0, count, missing)),
            ("eof", flamingo_connection_handle_eof(connection, count, missing)),
            ("deinit", flamingo_connection_deinit(connection)),
        ]
    }
}

fn all_give(connection: *mut flamingo_connection, expected: flamingo_result) {
    for (name, result) in each_function(connection) {
        assert_eq!(result, expected, "{name}");
    }
}

#[test]
fn every_function_takes_an_initialised_connection() {
    all_give(Client::new().pointer(), OK);
}

#[test]
fn every_function_refuses_null_and_bad_alignment() {
    all_give(null_mut(), flamingo_result::Null);
    let mut client = Client::new();
    all_give(client.pointer().wrapping_byte_add(1), flamingo_result::Misaligned);
    all_give(client.pointer(), OK);
}

#[test]
fn every_function_refuses_memory_that_is_not_initialised() {
    all_give(&raw mut *zeroed(), flamingo_result::NotInitialised);
    let mut other = zeroed::<flamingo_connection>();
    let responder: *mut flamingo_responder = (&raw mut *other).cast();
    // SAFETY: the memory is larger than a responder.
    let result = unsafe { flamingo_responder_init(responder, size_of::<flamingo_responder>(), 0) };
    assert_eq!(result, OK);
    all_give(&raw mut *other, flamingo_result::NotInitialised);
}

#[test]
fn every_function_refuses_a_connection_after_deinit() {
    let mut client = Client::new();
    // SAFETY: all pointers are of this test.
    assert_eq!(unsafe { flamingo_connection_deinit(client.pointer()) }, OK);
    all_give(client.pointer(), flamingo_result::NotInitialised);
}

/// Calls with one pointer that is NULL or misaligned; the others are good.
#[test]
fn a_bad_pointer_beside_the_connection_changes_nothing() {
    let mut client = Client::new();
    let ticket = client.request(0, &command(0x6008, 1), 9).unwrap();
    let (frame, connection) = (command(0x6008, 1), client.pointer());
    let bytes = encoded(&frame);
    let (mut count, mut output, mut number) = (7, zeroed::<flamingo_output>(), 7);
    let (frame, bytes, count) = (&raw const frame, bytes.as_ptr(), &raw mut count);
    let (output, number) = (&raw mut *output, &raw mut number);
    // SAFETY: the other pointers are of this test.
    unsafe {
        let input = |bytes, len, count, output| {
            flamingo_connection_handle_input(connection, 0, bytes, len, count, output)
        };
        assert_eq!(input(null(), 1, count, output), flamingo_result::Null);
        assert_eq!(input(bytes, 128, null_mut(), output), flamingo_result::Null);
        assert_eq!(input(bytes, 128, count, null_mut()), flamingo_result::Null);
        let odd = output.wrapping_byte_add(1);
        assert_eq!(input(bytes, 128, count, odd), flamingo_result::Misaligned);
        assert_eq!(input(bytes, usize::MAX, count, output), flamingo_result::Length);
        assert_eq!(input(bytes, isize::MAX as usize + 1, count, output), flamingo_result::Length);
        let request = |frame, ticket| flamingo_connection_request(connection, 0, frame, 9, ticket);
        assert_eq!(request(null(), number), flamingo_result::Null);
        assert_eq!(request(frame, null_mut()), flamingo_result::Null);
        assert_eq!(request(frame.wrapping_byte_add(1), number), flamingo_result::Misaligned);
        assert_eq!(
            flamingo_connection_poll_transmit(connection, 0, null_mut()),
            flamingo_result::Null
        );
        assert_eq!(flamingo_connection_poll_event(connection, null_mut()), flamingo_result::Null);
        assert_eq!(
            flamingo_connection_transmitted(connection, 0, 0, null_mut()),
            flamingo_result::Null
        );
        assert_eq!((count.read(), number.read()), (7, 7));
    }
    assert_eq!(client.status().in_flight, 1);
    assert_eq!(client.status().last_ticket, ticket);
}

#[test]
fn a_pointer_into_the_connection_is_refused() {
    let mut client = Client::new();
    client.request(0, &command(0x6008, 1), 9).unwrap();
    let own = client.poll_transmit(0);
    let (mut count, mut output) = (0, zeroed::<flamingo_output>());
    let connection = client.pointer();
    let inside = connection.wrapping_byte_add(64);
    let overlap = flamingo_result::Overlap;
    // SAFETY: all pointers are of this test.
    unsafe {
        let (count, output) = (&raw mut count, &raw mut *output);
        let input =
            |bytes, len| flamingo_connection_handle_input(connection, 0, bytes, len, count, output);
        assert_eq!(input(own.bytes, own.len), overlap);
        assert_eq!(input(connection.wrapping_byte_sub(1).cast(), 2), overlap);
        assert_eq!(flamingo_connection_status(connection, inside.cast()), overlap);
        assert_eq!(flamingo_connection_poll_event(connection, inside.cast()), overlap);
        assert_eq!(
            flamingo_connection_request(connection, 0, inside.cast(), 9, &raw mut (*output).ticket),
            overlap
        );
        let size = size_of::<flamingo_connection>();
        assert_eq!(flamingo_connection_init(connection, size, inside.cast(), 0), overlap);
    }
    assert_eq!(client.poll_transmit(0).len, 128);
}

#[test]
fn memory_of_another_size_is_refused() {
    let mut memory = zeroed::<flamingo_connection>();
    let connection = &raw mut *memory;
    let size = size_of::<flamingo_connection>();
    // SAFETY: no call writes beyond the memory.
    unsafe {
        let init = |memory, size| flamingo_connection_init(memory, size, null(), 0);
        assert_eq!(init(connection, size - 8), flamingo_result::TooSmall);
        assert_eq!(init(connection, 0), flamingo_result::TooSmall);
        assert_eq!(init(connection, usize::MAX), flamingo_result::Length);
        assert_eq!(init(null_mut(), size), flamingo_result::Null);
        let odd = connection.wrapping_byte_add(1);
        assert_eq!(init(odd, size), flamingo_result::Misaligned);
        let (responder, reader) = (connection.cast(), connection.cast());
        assert_eq!(flamingo_responder_init(responder, 8, 0), flamingo_result::TooSmall);
        assert_eq!(flamingo_image_reader_init(reader, 8, 0), flamingo_result::TooSmall);
    }
    all_give(connection, flamingo_result::NotInitialised);
}

#[test]
fn the_sizes_of_the_header_hold_what_is_stored() {
    let constants = [
        size_of::<flamingo_connection>(),
        size_of::<flamingo_responder>(),
        size_of::<flamingo_image_reader>(),
    ];
    let stored =
        [flamingo_connection_size(), flamingo_responder_size(), flamingo_image_reader_size()];
    for (constant, stored) in constants.into_iter().zip(stored) {
        assert!(stored <= constant, "{stored} bytes do not fit into {constant}");
        assert!(constant <= stored * 5 / 4, "{constant} bytes waste memory: {stored} are used");
    }
    assert_eq!(align_of::<flamingo_connection>(), align_of::<u64>());
}

#[test]
fn readers_and_responders_refuse_bad_memory_too() {
    let (mut count, mut piece) = (0, zeroed::<flamingo_image_piece>());
    let mut reader = zeroed::<flamingo_image_reader>();
    let mut responder = zeroed::<flamingo_responder>();
    let mut incoming = zeroed::<flamingo_incoming>();
    let frame = command(0x6008, 1);
    let mut ticket = 0;
    // SAFETY: the other pointers are of this test.
    unsafe {
        let (count, piece, incoming) = (&raw mut count, &raw mut *piece, &raw mut *incoming);
        let (good, device) = (&raw mut *reader, &raw mut *responder);
        for (reader, device, expected) in [
            (null_mut(), null_mut(), flamingo_result::Null),
            (good.wrapping_byte_add(2), device.wrapping_byte_add(2), flamingo_result::Misaligned),
            (good, device, flamingo_result::NotInitialised),
        ] {
            assert_eq!(flamingo_image_reader_push(reader, null(), 0, count, piece), expected);
            assert_eq!(flamingo_image_reader_deinit(reader), expected);
            assert_eq!(
                flamingo_responder_handle_input(device, null(), 0, count, incoming),
                expected
            );
            assert_eq!(
                flamingo_responder_push(device, &raw const frame, &raw mut ticket),
                expected
            );
            assert_eq!(flamingo_responder_transmitted(device, 0, &raw mut ticket), expected);
            assert_eq!(flamingo_responder_deinit(device), expected);
        }
        assert_eq!(flamingo_image_reader_init(good, size_of::<flamingo_image_reader>(), 9), OK);
        let inside = good.cast();
        assert_eq!(
            flamingo_image_reader_push(good, null(), 0, inside, piece),
            flamingo_result::Overlap
        );
        assert_eq!(flamingo_image_reader_deinit(good), OK);
        let used = flamingo_image_reader_push(good, null(), 0, count, piece);
        assert_eq!(used, flamingo_result::NotInitialised);
    }
}

#[test]
fn functions_without_an_object_refuse_null() {
    let (frame, mut truth, mut length) = (command(0x6008, 1), false, 0);
    let (frame, truth, length) = (&raw const frame, &raw mut truth, &raw mut length);
    let null_is_refused = flamingo_result::Null;
    // SAFETY: the other pointers are of this test.
    unsafe {
        assert_eq!(flamingo_config_default(null_mut()), null_is_refused);
        assert_eq!(flamingo_frame_command(0, null_mut()), null_is_refused);
        assert_eq!(flamingo_frame_encode(null(), null_mut(), 0), null_is_refused);
        assert_eq!(flamingo_frame_encode(frame, null_mut(), 128), null_is_refused);
        assert_eq!(flamingo_frame_decode(null(), 128, null_mut()), null_is_refused);
        assert_eq!(flamingo_frame_text_len(null(), length), null_is_refused);
        assert_eq!(flamingo_frame_text_len(frame, null_mut()), null_is_refused);
        assert_eq!(flamingo_frame_set_buffer(null_mut(), null(), 0), null_is_refused);
        assert_eq!(flamingo_frame_outcome(frame, null_mut()), null_is_refused);
        assert_eq!(flamingo_is_answered(null(), truth), null_is_refused);
        assert_eq!(flamingo_is_cancelled_by(frame, null(), truth), null_is_refused);
        assert_eq!(flamingo_command_info(0x6008, null_mut()), null_is_refused);
        assert_eq!(flamingo_command_from_name(null(), 3, null_mut()), null_is_refused);
        assert_eq!(flamingo_image_header_encode(null(), null_mut(), 40), null_is_refused);
        assert_eq!(flamingo_image_header_decode(null(), 40, 9, null_mut()), null_is_refused);
    }
}
