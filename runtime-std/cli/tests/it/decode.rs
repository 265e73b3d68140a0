//! `flamingo decode`: every form of input, the names of the byte ranges, and errors in the input.

use crate::program::{flamingo, flamingo_fed};
use flamingo_protocol_core::{CommandCode, Flags, Frame, wire::FIELDS};
use serde_json::json;

/// A pushed position with text in its buffer.
fn push() -> Frame {
    let mut frame = Frame::new(CommandCode::STAGE_POSITION_GET).with_selector(3).with_value(7.5);
    frame.status = 1;
    frame.flags = Flags::STAGE_POSITIONS_IN_BUFFER;
    frame.set_text("1=2\n2=3\n3=7.5\n").unwrap();
    frame
}

fn settings(text: &str) -> Vec<u8> {
    let len = u32::try_from(text.len()).unwrap();
    let frame = Frame::new(CommandCode::COMMON_SCOPE_SETTINGS_LOAD).with_payload_len(len);
    [&frame.encode()[..], text.as_bytes()].concat()
}

#[test]
fn every_byte_range_is_named_with_its_value_and_meaning() {
    let ended = flamingo_fed(&["decode", "-"], push().encode());
    let text = &ended.expect_done().stdout;
    for field in FIELDS {
        let range = format!("  {}..{} ", field.offset, field.offset + field.len);
        let line = text.lines().find(|line| line.starts_with(&range));
        assert!(line.is_some_and(|line| line.contains(field.name)), "{range} {text}");
    }
    for meaning in [
        "STAGE_POSITION_GET (0x6008)",
        "axis z",
        "7.5  mm",
        "STAGE_POSITIONS_IN_BUFFER",
        "00 00 00 00 00 00 1e 40",
        "|1=2.2=3.3=7.5.|",
    ] {
        assert!(text.contains(meaning), "{meaning}: {text}");
    }
}

#[test]
fn all_forms_of_input_give_the_same_frames() {
    let raw = [&push().encode()[..], &settings("<a>\n b = 1\n</a>\n")].concat();
    let spaced = |bytes: &[u8]| {
        let pairs: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        pairs.join(" ")
    };
    let row = |(at, bytes): (usize, &[u8])| {
        format!("{:08x}  {}  |................|\n", at * 16, spaced(bytes))
    };
    let dump: String = raw.chunks(16).enumerate().map(row).collect();
    let expected = flamingo_fed(&["decode", "--json"], raw.clone());
    assert_eq!(expected.expect_done().objects().len(), 2);
    for form in [spaced(&raw), spaced(&raw).replace(' ', ""), dump] {
        let ended = flamingo_fed(&["decode", "--json"], form.clone());
        assert_eq!(ended.expect_done().stdout, expected.stdout, "{form}");
    }
}

#[test]
fn the_json_of_a_frame_has_the_documented_keys() {
    let object = flamingo_fed(&["--json", "decode"], push().encode()).object();
    let expected = json!({
        "offset": 0, "skipped_bytes": 0, "code": 0x6008, "name": "STAGE_POSITION_GET",
        "status": 1, "hardware_id": 0, "subsystem_id": 0, "client_id": 0, "int32_data0": 3,
        "int32_data1": 0, "int32_data2": 0, "flags": 2, "value": 7.5, "payload_bytes": 0,
        "text": "1=2\n2=3\n3=7.5\n",
    });
    assert_eq!(object, expected);
}

#[test]
fn a_payload_is_shown() {
    let raw = settings("<Type>\n  Name = n7\n</Type>\n");
    let text = flamingo_fed(&["decode"], raw.clone());
    assert!(text.expect_done().stdout.contains("    <Type>\n      Name = n7\n"), "{text:?}");
    let object = flamingo_fed(&["decode", "--json"], raw).object();
    assert_eq!(object["payload_text"], "<Type>\n  Name = n7\n</Type>\n");
}

#[test]
fn noise_is_reported_with_offset_and_length_and_is_no_error() {
    let raw = [&push().encode()[..], b"stray", &push().encode()].concat();
    let ended = flamingo_fed(&["decode"], raw.clone());
    let said = "noise at offset 128: 5 bytes skipped";
    assert!(ended.expect_done().stdout.contains(said), "{ended:?}");
    let ended = flamingo_fed(&["decode", "--json"], raw);
    assert_eq!(ended.code, Some(0));
    assert!(ended.stderr.contains(said), "{ended:?}");
    assert_eq!(ended.objects()[1]["skipped_bytes"], 5);
}

#[test]
fn a_file_is_read_and_a_missing_file_is_an_error() {
    let file = std::env::temp_dir().join(format!("flamingo-decode-{}", std::process::id()));
    std::fs::write(&file, push().encode()).unwrap();
    let ended = flamingo(&["decode", file.to_str().unwrap()]);
    assert!(ended.expect_done().stdout.contains("axis z"));
    std::fs::remove_file(&file).unwrap();
    flamingo(&["decode", "/no/such/file"]).expect_error(2, &["/no/such/file"]);
}

#[test]
fn a_truncated_frame_is_an_error_after_the_frames_before_it() {
    let raw = [push().encode(), push().encode()].concat();
    let ended = flamingo_fed(&["decode"], &raw[..188]);
    ended.expect_error(6, &["at offset 128", "expected 128 bytes, found 60"]);
    assert!(ended.stdout.contains("axis z"), "{ended:?}");
}

#[test]
fn a_truncated_payload_is_an_error() {
    let raw = settings("0123456789");
    let ended = flamingo_fed(&["decode"], &raw[..132]);
    ended.expect_error(6, &["at offset 128", "expected 10 bytes, found 4"]);
}

#[test]
fn a_wrong_marker_is_an_error_that_names_both_values() {
    for (offset, name, expected, found) in
        [(0, "cmdStart", "0xF321E654", "0xF321E6FF"), (124, "cmdEnd", "0xFEDC4321", "0xFEDC43FF")]
    {
        let mut raw = push().encode();
        raw[offset] = 0xFF;
        flamingo_fed(&["decode"], raw).expect_error(6, &[name, expected, found]);
    }
}

#[test]
fn a_payload_length_of_4_gib_is_an_error_at_once() {
    let raw = push().with_payload_len(u32::MAX).encode();
    let ended = flamingo_fed(&["decode", "--json"], raw);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(6), ""));
    let said = "additionalDataBytes at offset 48: expected at most 33554432, found 4294967295";
    assert!(ended.stderr.contains(said), "{ended:?}");
}

#[test]
fn text_that_is_not_hex_and_empty_input_are_refused() {
    flamingo_fed(&["decode"], "GET / HTTP/1.1\n").expect_error(2, &["line 1", "'G'"]);
    flamingo_fed(&["decode"], "54e\n").expect_error(2, &["line 1", "3 digits"]);
    flamingo_fed(&["decode"], "").expect_error(2, &["no bytes"]);
}
