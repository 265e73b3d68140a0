//! A connection talks to a responder, both through the ABI, in pieces of any size; and the image reader.

use std::mem::size_of;
use std::ptr;

use flamingo::*;
use flamingo_protocol_core::CommandCode;

use crate::caller::{Client, Device, OK, command, filled, zeroed};

#[test]
fn both_sides_talk_in_pieces_of_any_size() {
    for size in [1, 7, 128, 1000] {
        let (mut client, mut device) = (Client::new(), Device::new());
        let ticket =
            client.request(0, &command(CommandCode::COMMON_SCOPE_SETTINGS_LOAD.0, 0), 9).unwrap();
        let mut commands = Vec::new();
        for piece in client.written(0, &[]).chunks(size) {
            commands.extend(device.read(piece).0);
        }
        assert_eq!(commands.len(), 1);
        let mut answer = commands[0].frame;
        let text = b"settings of the microscope";
        (answer.status, answer.payload_len) = (1, u32::try_from(text.len()).unwrap());
        device.push(&answer).unwrap();
        assert_eq!(device.status().queued, 1);
        let (mut frames, mut payload) = (Vec::new(), Vec::new());
        for piece in device.written(text).chunks(size) {
            let (more, bytes) = client.read(1, piece);
            frames.extend(more);
            payload.extend(bytes);
        }
        assert_eq!((frames.len(), frames[0].ticket, frames[0].frame.status), (1, ticket, 1));
        assert_eq!((payload, device.status().queued), (text.to_vec(), 0));
    }
}

#[test]
fn a_responder_reports_bytes_only_as_offered() {
    let mut device = Device::new();
    assert_eq!(device.transmitted(1), Err(flamingo_result::NotOffered));
    let gauge = command(CommandCode::UI_SET_GAUGE_VALUE.0, 0);
    let ticket = device.push(&gauge).unwrap();
    assert_eq!(device.poll_transmit().len, 128);
    assert_eq!(device.transmitted(128), Ok(ticket));
    let full = (0..100).find_map(|_| device.push(&gauge).err());
    assert_eq!(full, Some(flamingo_result::QueueFull));
}

#[test]
fn a_responder_discards_half_a_command() {
    let mut device = Device::new();
    let query = crate::caller::encoded(&command(CommandCode::SYSTEM_STATE_GET.0, 0));
    device.read(&query[..60]);
    let (mut held, mut missing) = (0, 1);
    let to = (&raw mut held, &raw mut missing);
    // SAFETY: all pointers are of this test.
    assert_eq!(unsafe { flamingo_responder_abandon_input(device.pointer(), to.0, to.1) }, OK);
    assert_eq!((held, missing, device.status().noise_bytes), (60, 0, 60));
}

/// The pieces of an image stream, pushed in chunks of `size`.
fn images(stream: &[u8], size: usize) -> (Vec<flamingo_image_header>, Vec<u8>) {
    let mut reader = zeroed::<flamingo_image_reader>();
    let reader = &raw mut *reader;
    let room = size_of::<flamingo_image_reader>();
    // SAFETY: the memory is large enough.
    let result = unsafe { flamingo_image_reader_init(reader, room, 1000) };
    assert_eq!(result, OK);
    let (mut headers, mut pixels) = (Vec::new(), Vec::new());
    for mut input in stream.chunks(size) {
        loop {
            let mut consumed = 0;
            let piece: flamingo_image_piece = filled(|to| {
                let (bytes, len, consumed) = (input.as_ptr(), input.len(), &raw mut consumed);
                // SAFETY: all pointers are of this test.
                unsafe { flamingo_image_reader_push(reader, bytes, len, consumed, to) }
            });
            input = &input[consumed..];
            match piece.kind {
                flamingo_image_kind::None => break,
                flamingo_image_kind::Header => headers.push(piece.header),
                // SAFETY: the bytes are inside the input.
                flamingo_image_kind::Pixels => pixels.extend_from_slice(unsafe {
                    std::slice::from_raw_parts(piece.pixels, piece.len)
                }),
            }
        }
    }
    // SAFETY: all pointers are of this test.
    assert!(filled(|to| unsafe { flamingo_image_reader_is_between(reader, to) }));
    (headers, pixels)
}

#[test]
fn images_are_read_in_pieces_of_any_size() {
    let mut header = *zeroed::<flamingo_image_header>();
    (header.size, header.width, header.height, header.index_stop) = (12, 3, 2, -4);
    let mut bytes = [0; FLAMINGO_IMAGE_HEADER_LEN];
    // SAFETY: there are 40 bytes.
    let result = unsafe { flamingo_image_header_encode(&raw const header, bytes.as_mut_ptr(), 40) };
    assert_eq!(result, OK);
    let stream = [&bytes[..], b"twelve bytes", &bytes[..], b"TWELVE BYTES"].concat();
    for size in [1, 3, 40, 1000] {
        let (headers, pixels) = images(&stream, size);
        assert_eq!((headers.len(), headers[1].width, headers[1].index_stop), (2, 3, -4));
        assert_eq!(pixels, b"twelve bytesTWELVE BYTES");
    }
    // SAFETY: all pointers are of this test.
    let read: flamingo_image_header =
        filled(|to| unsafe { flamingo_image_header_decode(bytes.as_ptr(), 40, 12, to) });
    assert_eq!(read.height, 2);
    let mut place = header;
    // SAFETY: all pointers are of this test.
    let result = unsafe { flamingo_image_header_decode(bytes.as_ptr(), 40, 11, &raw mut place) };
    assert_eq!(result, flamingo_result::ImageTooLarge);
}

#[test]
fn a_header_that_cannot_be_true_ends_the_stream() {
    let mut reader = zeroed::<flamingo_image_reader>();
    let reader = &raw mut *reader;
    let size = size_of::<flamingo_image_reader>();
    // SAFETY: the memory is large enough.
    assert_eq!(unsafe { flamingo_image_reader_init(reader, size, FLAMINGO_MAX_IMAGE) }, OK);
    let (stream, mut consumed, mut piece) = ([7; 60], 99, *zeroed::<flamingo_image_piece>());
    for expected in [40, 0] {
        // SAFETY: all pointers are of this test.
        let result = unsafe {
            flamingo_image_reader_push(
                reader,
                stream.as_ptr(),
                60,
                &raw mut consumed,
                &raw mut piece,
            )
        };
        assert_eq!(
            (result, consumed, piece.pixels),
            (flamingo_result::ImageSize, expected, ptr::null())
        );
    }
}
