//! Frames, settings, texts and facts as C sees them.

use std::ffi::{CStr, c_char};

use flamingo::*;
use flamingo_protocol_core::wire::TABLE;
use flamingo_protocol_core::{CommandCode, Config, Frame};

use crate::caller::{Client, OK, command, encoded, filled, zeroed};

fn default_config() -> flamingo_config {
    // SAFETY: the place can be written.
    filled(|to| unsafe { flamingo_config_default(to) })
}

#[test]
fn a_frame_is_the_frame_of_the_core() {
    let mut frame = command(CommandCode::STAGE_POSITION_SET.0, 2);
    (frame.value, frame.status, frame.hardware_id, frame.subsystem_id) = (-7.5, 3, -4, 5);
    (frame.client_id, frame.int32_data[1], frame.int32_data[2], frame.payload_len) = (6, 7, 8, 9);
    let text = b"text";
    // SAFETY: all pointers are of this test.
    let set = unsafe { flamingo_frame_set_buffer(&raw mut frame, text.as_ptr().cast(), 4) };
    assert_eq!(set, OK);
    let bytes = encoded(&frame);
    let core = Frame::decode(&bytes).unwrap();
    assert_eq!((core.value, core.status, core.hardware_id, core.subsystem_id), (-7.5, 3, -4, 5));
    assert_eq!((core.client_id, core.int32_data, core.payload_len), (6, [2, 7, 8], 9));
    assert_eq!((core.text(), core.flags), (Ok("text"), Frame::command(core.code).flags));
    // SAFETY: all pointers are of this test.
    let read: flamingo_frame =
        filled(|to| unsafe { flamingo_frame_decode(bytes.as_ptr(), 128, to) });
    assert_eq!(encoded(&read), bytes);
    // SAFETY: all pointers are of this test.
    assert_eq!(filled::<usize>(|to| unsafe { flamingo_frame_text_len(&raw const read, to) }), 4);
}

#[test]
fn bytes_that_are_no_frame_are_refused() {
    let (bytes, mut frame) = (encoded(&command(1, 1)), command(1, 1));
    let mut decode = |bytes: &[u8]| {
        // SAFETY: all pointers are of this test.
        unsafe { flamingo_frame_decode(bytes.as_ptr(), bytes.len(), &raw mut frame) }
    };
    assert_eq!(decode(&bytes[1..]), flamingo_result::Length);
    assert_eq!(decode(&[]), flamingo_result::Length);
    assert_eq!(decode(&[0; 128]), flamingo_result::Marker);
    assert_eq!(decode(&bytes), OK);
}

#[test]
fn a_text_that_does_not_fit_changes_nothing() {
    let (mut frame, text) = (command(1, 1), [b'x'; 73]);
    // SAFETY: all pointers are of this test.
    let set = unsafe { flamingo_frame_set_buffer(&raw mut frame, text.as_ptr().cast(), 73) };
    assert_eq!((set, frame.buffer), (flamingo_result::TextTooLong, [0; 72]));
    let (mut short, room) = ([0; 127], 127);
    // SAFETY: all pointers are of this test.
    let result = unsafe { flamingo_frame_encode(&raw const frame, short.as_mut_ptr(), room) };
    assert_eq!((result, short), (flamingo_result::Length, [0; 127]));
}

#[test]
fn the_default_settings_are_those_of_the_core() {
    let config = default_config();
    let mut client = Client::with(&raw const config);
    // SAFETY: all pointers are of this test.
    let read: flamingo_config =
        filled(|to| unsafe { flamingo_connection_config(client.pointer(), to) });
    assert_eq!(format!("{read:?}"), format!("{config:?}"));
    assert_eq!(config.grace_us, Config::DEFAULT.grace.as_micros());
    assert_eq!((config.window, config.payload_limit), (4, Config::DEFAULT.payload_limit));
    assert_eq!((config.unmarked_lights, config.unmarked_after_set), (1, 1));
}

#[test]
fn settings_come_back_as_they_were_given() {
    let mut config = default_config();
    (config.grace_us, config.presumed_grace_us, config.stop_patience_us) = (1, 2, 3);
    (config.payload_limit, config.window, config.ordering, config.tokens) = (4, 5, 2, 1);
    (config.on_ambiguous, config.upload_echo_has_payload, config.peer_tags) = (1, 1, 1);
    (config.unmarked_positions, config.unmarked_lights) = (1, 0);
    (config.unmarked_after_set, config.unmarked_other_clients) = (0, 1);
    let mut client = Client::with(&raw const config);
    // SAFETY: all pointers are of this test.
    let read: flamingo_config =
        filled(|to| unsafe { flamingo_connection_config(client.pointer(), to) });
    assert_eq!(format!("{read:?}"), format!("{config:?}"));
}

#[test]
fn a_setting_out_of_range_is_refused() {
    let place: [fn(&mut flamingo_config) -> &mut i32; 10] = [
        |config| &mut config.ordering,
        |config| &mut config.tokens,
        |config| &mut config.on_ambiguous,
        |config| &mut config.upload_echo_has_payload,
        |config| &mut config.peer_tags,
        |config| &mut config.unmarked_positions,
        |config| &mut config.unmarked_lights,
        |config| &mut config.unmarked_after_set,
        |config| &mut config.unmarked_other_clients,
        |config| &mut config.reserved,
    ];
    let mut memory = zeroed::<flamingo_connection>();
    for place in place {
        for value in [-1, 3, i32::MIN, i32::MAX] {
            let mut config = default_config();
            *place(&mut config) = value;
            let size = size_of::<flamingo_connection>();
            // SAFETY: all pointers are of this test.
            let result =
                unsafe { flamingo_connection_init(&raw mut *memory, size, &raw const config, 0) };
            assert_eq!(result, flamingo_result::Value, "{config:?}");
        }
    }
}

#[test]
fn every_command_is_known_by_code_and_name() {
    for row in TABLE {
        // SAFETY: the place can be written.
        let info: flamingo_command = filled(|to| unsafe { flamingo_command_info(row.code.0, to) });
        // SAFETY: the name has a NUL at its end.
        let name = unsafe { CStr::from_ptr(info.name.as_ptr()) }.to_str().unwrap();
        assert_eq!((name, info.stops), (row.name(), row.effect.stops()));
        assert_eq!((info.moves, info.lights), (row.effect.moves(), row.effect.lights()));
        // SAFETY: all pointers are of this test.
        let code: u32 = filled(|to| unsafe {
            flamingo_command_from_name(name.as_ptr().cast::<c_char>(), name.len(), to)
        });
        assert_eq!(code, row.code.0);
    }
    let mut info = *zeroed::<flamingo_command>();
    // SAFETY: the place can be written.
    let result = unsafe { flamingo_command_info(0x6007, &raw mut info) };
    assert_eq!(result, flamingo_result::UnknownCommand);
    let mut code = 0;
    for name in [&b"STAGE_STOP"[..], b"", b"\xFF\xFE"] {
        // SAFETY: all pointers are of this test.
        let result =
            unsafe { flamingo_command_from_name(name.as_ptr().cast(), name.len(), &raw mut code) };
        assert_eq!(result, flamingo_result::UnknownCommand);
    }
}

#[test]
fn facts_about_frames_are_those_of_the_core() {
    let (mut answer, halt) =
        (command(CommandCode::CAMERA_LIVE_VIEW_START.0, 0), command(0x6003, 1));
    // SAFETY: all pointers are of this test.
    let outcome =
        |frame: &flamingo_frame| filled(|to| unsafe { flamingo_frame_outcome(frame, to) });
    assert_eq!(outcome(&answer), flamingo_outcome::Failure);
    answer.status = 1;
    assert_eq!(outcome(&answer), flamingo_outcome::Success);
    assert_eq!(outcome(&halt), flamingo_outcome::Unset);
    // SAFETY: all pointers are of this test.
    assert!(filled(|to| unsafe { flamingo_is_answered(&raw const halt, to) }));
    let moved = command(CommandCode::STAGE_POSITION_SET.0, 1);
    let cancelled = |queued: &flamingo_frame| {
        // SAFETY: all pointers are of this test.
        filled(|to| unsafe { flamingo_is_cancelled_by(queued, &raw const halt, to) })
    };
    assert!(cancelled(&moved));
    assert!(!cancelled(&answer));
}

#[test]
fn every_result_has_a_text_of_its_own() {
    let text = |number: i32| {
        // SAFETY: the text is static and has a NUL at its end.
        unsafe { CStr::from_ptr(flamingo_result_text(number)) }.to_str().unwrap()
    };
    let source = include_str!("../../src/result.rs");
    let number =
        |line: &str| line.trim().strip_suffix(',')?.split_once(" = ")?.1.parse::<i32>().ok();
    let numbers: Vec<i32> = source.lines().filter_map(number).collect();
    assert!(numbers.len() > 20, "{numbers:?}");
    let mut texts: Vec<_> = numbers.iter().map(|number| text(*number)).collect();
    assert!(!texts.contains(&text(-1)) && text(i32::MAX) == text(-1));
    texts.sort_unstable();
    texts.dedup();
    assert_eq!(texts.len(), numbers.len());
}

#[test]
fn the_version_is_that_of_the_package() {
    // SAFETY: the text is static and has a NUL at its end.
    let version = unsafe { CStr::from_ptr(flamingo_version()) };
    assert_eq!(version.to_str(), Ok(env!("CARGO_PKG_VERSION")));
    let header = include_str!("../../include/flamingo.h");
    assert!(header.contains(concat!("FLAMINGO_VERSION \"", env!("CARGO_PKG_VERSION"), "\"")));
}

#[test]
fn the_last_rejected_bytes_are_explained() {
    let mut client = Client::new();
    let mut broken = encoded(&command(0x6008, 1));
    broken[124] = 0;
    client.read(0, &[&broken[..], &[0; 128]].concat());
    // SAFETY: all pointers are of this test.
    let why: flamingo_rejected =
        filled(|to| unsafe { flamingo_connection_last_rejected(client.pointer(), to) });
    assert_eq!((why.reason, why.offset, why.expected), (flamingo_result::Marker, 124, 0xFEDC_4321));
    let mut long = encoded(&command(0x6008, 1));
    long[51] = 0xFF;
    client.read(0, &[&long[..], &[0; 128]].concat());
    // SAFETY: all pointers are of this test.
    let why: flamingo_rejected =
        filled(|to| unsafe { flamingo_connection_last_rejected(client.pointer(), to) });
    assert_eq!(
        (why.reason, why.offset, why.found),
        (flamingo_result::PayloadTooLong, 48, 0xFF00_0000)
    );
}
