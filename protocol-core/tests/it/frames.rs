//! The frame of 128 bytes: encode, decode, and what the decoder rejects.

use flamingo_protocol_core::{
    CommandCode, Flags, Frame,
    error::{CommandError, DecodeError, TextError},
    wire::{BUFFER_LEN, CMD_END, CMD_START, FIELDS, FRAME_LEN, MAX_PAYLOAD, TABLE},
};

/// A frame in which every field has a different value.
fn full() -> Frame {
    let mut frame = Frame::new(CommandCode(0x0102_0304));
    frame.status = -2;
    frame.hardware_id = 3;
    frame.subsystem_id = i32::MIN;
    frame.client_id = 5;
    frame.int32_data = [6, -7, i32::MAX];
    frame.flags = Flags(0xC000_003F);
    frame.value = -0.000_253;
    frame.payload_len = 9;
    frame.buffer = core::array::from_fn(|at| at as u8 + 100);
    frame
}

#[test]
fn the_fields_cover_the_frame_in_order_without_a_gap() {
    let mut end = 0;
    for field in FIELDS {
        assert_eq!(field.offset, end, "{}", field.name);
        end += field.len;
    }
    assert_eq!(end, FRAME_LEN);
}

#[test]
fn each_field_stands_at_its_offset_little_endian() {
    let bytes = full().encode();
    let word = |at: usize| i32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    assert_eq!(bytes[..4], [0x54, 0xE6, 0x21, 0xF3]);
    assert_eq!(bytes[124..], [0x21, 0x43, 0xDC, 0xFE]);
    let words = [4, 8, 12, 16, 20, 24, 28, 32, 48].map(word);
    assert_eq!(words, [0x0102_0304, -2, 3, i32::MIN, 5, 6, -7, i32::MAX, 9]);
    assert_eq!(word(36) as u32, 0xC000_003F);
    assert_eq!(bytes[40..48], (-0.000_253_f64).to_le_bytes());
    assert_eq!(bytes[52], 100);
    assert_eq!(bytes[123], 171);
}

#[test]
fn what_is_encoded_is_decoded_bit_by_bit() {
    assert_eq!(Frame::decode(&full().encode()), Ok(full()));
    let nan = full().with_value(f64::from_bits(0x7FF8_0000_0000_1234));
    assert_eq!(Frame::decode(&nan.encode()), Ok(nan), "even a NaN keeps its bits");
    for row in TABLE {
        let command = Frame::command(row.code);
        assert_eq!(Frame::decode(&command.encode()), Ok(command));
    }
}

#[test]
fn a_wrong_length_names_what_was_expected_and_found() {
    for len in [0, 1, 127, 129, 256] {
        let error = Frame::decode(&vec![0; len]).unwrap_err();
        assert_eq!(error, DecodeError::Length { expected: 128, found: len });
        assert_eq!(error.to_string(), format!("a frame is 128 bytes, found {len}"));
    }
}

#[test]
fn a_wrong_marker_error_has_field_expected_and_found_value() {
    let mut bytes = full().encode();
    bytes[124] = 0;
    let error = Frame::decode(&bytes).unwrap_err();
    let expected =
        DecodeError::Marker { field: CMD_END, expected: 0xFEDC_4321, found: 0xFEDC_4300 };
    assert_eq!(error, expected);
    assert_eq!(error.to_string(), "cmdEnd at offset 124: expected 0xFEDC4321, found 0xFEDC4300");
    bytes[0] = 0;
    let error = Frame::decode(&bytes).unwrap_err();
    assert!(matches!(error, DecodeError::Marker { field: CMD_START, .. }), "the first one wins");
    assert_eq!(error.to_string(), "cmdStart at offset 0: expected 0xF321E654, found 0xF321E600");
}

#[test]
fn a_payload_above_the_limit_names_field_limit_and_length() {
    let frame = full().with_payload_len(MAX_PAYLOAD + 1);
    let error = frame.check_payload(MAX_PAYLOAD).unwrap_err();
    assert_eq!(
        error.to_string(),
        "additionalDataBytes at offset 48: expected at most 33554432, found 33554433"
    );
    assert_eq!(full().with_payload_len(MAX_PAYLOAD).check_payload(MAX_PAYLOAD), Ok(()));
}

#[test]
fn text_of_72_bytes_fits_73_are_refused_and_never_cut() {
    let mut frame = full();
    let longest = "x".repeat(BUFFER_LEN);
    frame.set_text(&longest).unwrap();
    assert_eq!(frame.text(), Ok(longest.as_str()));
    assert_eq!(Frame::decode(&frame.encode()).unwrap().text(), Ok(longest.as_str()));

    let before = frame;
    let error = frame.set_text(&"x".repeat(73)).unwrap_err();
    assert_eq!(error, TextError::TooLong { limit: 72, found: 73 });
    assert_eq!(error.to_string(), "buffer: expected at most 72 bytes, found 73; shorten it");
    // The limit counts bytes, not characters.
    assert!(frame.set_text(&"µ".repeat(37)).is_err());
    assert_eq!(frame, before, "the frame does not change");
}

#[test]
fn text_with_a_nul_is_refused_and_shorter_text_clears_the_rest() {
    let mut frame = full();
    assert_eq!(frame.set_text("a\0b"), Err(TextError::Nul));
    assert_eq!(frame, full());
    frame.set_text("11.49").unwrap();
    assert_eq!(frame.buffer_bytes(), b"11.49");
    assert!(frame.buffer[5..].iter().all(|byte| *byte == 0));
    frame.set_text("").unwrap();
    assert_eq!(frame.text(), Ok(""));
}

#[test]
fn a_buffer_that_is_no_text_is_given_as_bytes() {
    let mut frame = full();
    frame.set_buffer(&[0xFF, 0xFE, 0, 1]).unwrap();
    assert!(frame.text().is_err());
    assert_eq!(frame.buffer_bytes(), [0xFF, 0xFE]);
}

const LIMIT: u32 = 1000;

#[test]
fn a_value_that_is_no_number_is_refused() {
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let command = Frame::command(CommandCode::STAGE_POSITION_SET).with_selector(1);
        let error = command.with_value(value).check_command(LIMIT).unwrap_err();
        assert_eq!(error, CommandError::NotFinite);
        assert_eq!(error.to_string(), "value: expected a finite number, found NaN or infinity");
    }
}

#[test]
fn a_motion_for_an_axis_that_does_not_exist_is_refused() {
    let codes = [
        CommandCode::STAGE_POSITION_SET,
        CommandCode::STAGE_POSITION_SET_SLIDER,
        CommandCode::STAGE_HOME,
        CommandCode::STAGE_FIND_REFERENCE,
        CommandCode::STAGE_HALT,
        CommandCode::STAGE_VELOCITY_SET,
        CommandCode::STAGE_WAIT_FOR_MOTION_TO_STOP,
    ];
    for code in codes {
        for axis in [i32::MIN, 0, 5, 9, 255] {
            let error = Frame::command(code).with_selector(axis).check_command(LIMIT);
            assert_eq!(error, Err(CommandError::UnknownAxis { found: axis }));
        }
        for axis in 1..=4 {
            assert_eq!(Frame::command(code).with_selector(axis).check_command(LIMIT), Ok(()));
        }
    }
    let text = CommandError::UnknownAxis { found: 9 }.to_string();
    assert_eq!(text, "axis: expected 1 (X), 2 (Y), 3 (Z) or 4 (R), found 9");
}

#[test]
fn flags_that_only_the_server_sets_are_refused() {
    for flag in [Flags::STAGE_POSITIONS_IN_BUFFER, Flags::ANSWER_TAG] {
        let mut command = Frame::command(CommandCode::STAGE_POSITION_GET).with_selector(1);
        command.flags = command.flags.with(flag);
        let error = CommandError::ReservedFlag { found: flag.0 };
        assert_eq!(command.check_command(LIMIT), Err(error));
        assert!(error.to_string().contains(&format!("0x{:08X}", flag.0)));
    }
}

#[test]
fn an_upload_above_the_limit_is_refused() {
    let upload = Frame::command(CommandCode::CAMERA_WORK_FLOW_START);
    assert_eq!(upload.with_payload_len(LIMIT).check_command(LIMIT), Ok(()));
    let error = CommandError::PayloadTooLong { limit: LIMIT, found: LIMIT + 1 };
    assert_eq!(upload.with_payload_len(LIMIT + 1).check_command(LIMIT), Err(error));
}

#[test]
fn a_command_asks_for_its_answer_unless_it_is_sent_without() {
    let query = Frame::command(CommandCode::STAGE_POSITION_GET);
    assert_eq!(query.flags, Flags::TRIGGER_CALL_BACK);
    assert_eq!(Frame::command(CommandCode::CAMERA_WORK_FLOW_STOP).flags, Flags(0));
    assert_eq!(Frame::command(CommandCode(0xBEEF)).flags, Flags::TRIGGER_CALL_BACK);
}

#[test]
fn a_frame_can_be_read_by_people() {
    let mut frame = Frame::command(CommandCode::LASER_LEVEL_SET).with_selector(2);
    frame.set_text("11.49").unwrap();
    let text = frame.to_string();
    assert!(text.contains("0x2001") && text.contains("11.49"), "{text}");
    assert!(full().to_string().contains("payload 9 bytes"));
}

#[test]
fn flags_can_be_taken_out_again() {
    let both = Flags::TRIGGER_CALL_BACK.with(Flags::ANSWER_TAG);
    assert_eq!(both.without(Flags::ANSWER_TAG), Flags::TRIGGER_CALL_BACK);
    assert!(!both.without(both).contains(Flags::TRIGGER_CALL_BACK));
}
