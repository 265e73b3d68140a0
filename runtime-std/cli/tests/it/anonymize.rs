//! `flamingo decode --anonymize`: the conversation stays, and nothing that tells who had it. `record
//! --anonymize` is in `anonymize_record.rs`.

use std::net::SocketAddr;
use std::path::Path;

use crate::program::{flamingo, flamingo_fed};
use crate::wire_capture::{CLIENT_MAC, WireCapture};
use flamingo_protocol_core::{CommandCode, Flags, Frame, image::ImageHeader};
use flamingo_runtime_testkit::folder::Folder;
use serde_json::Value;

/// Every text of the capture has these. No five letters of them are in any other text.
pub(crate) const SECRETS: [&str; 3] = ["/srv/Qzuxfrid/Wobkh-3", "qzuxfrid@hjwkvm", "Wobkh Jlqvpn"];
/// 2024-03-05T06:07:08Z, in µs.
const BEGAN: u64 = 1_709_618_828_000_000;
const CLIENT: &str = "10.77.3.9:51234";
const SECOND_CLIENT: &str = "[fd37:9c1a:55e2::77]:51236";
const SECOND_INSTRUMENT: &str = "[fd37:9c1a:55e2::12]:53718";

pub(crate) fn text_of(secret: &str) -> Vec<u8> {
    let wide = secret.encode_utf16().flat_map(u16::to_le_bytes);
    let wide_be = secret.encode_utf16().flat_map(u16::to_be_bytes);
    secret.bytes().chain([b'\n']).chain(wide).chain(wide_be).collect()
}

fn with_text(mut frame: Frame, text: &str) -> Frame {
    frame.set_text(text).unwrap();
    frame
}

fn with_payload(frame: Frame, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap();
    [&frame.with_payload_len(length).encode()[..], payload].concat()
}

/// A control connection with answers, events, a late answer, a command without an answer, noise, a
/// hole, and secrets in every place that can have a text.
fn control(capture: &mut WireCapture) {
    let mut link = capture.open(CLIENT, "10.77.3.1:53717");
    let [path, user, sample] = SECRETS;
    let secrets: Vec<u8> = SECRETS.iter().flat_map(|secret| text_of(secret)).collect();
    let position = |axis| Frame::command(CommandCode::STAGE_POSITION_GET).with_selector(axis);
    let answer = |frame: Frame| Frame { status: 1, ..frame };
    capture.send(&mut link, 0, &with_text(position(1), sample).encode(), 50);
    capture.wait_ms(4);
    capture.send(&mut link, 1, secrets.get(..60).unwrap(), 7);
    capture.send(&mut link, 1, &with_text(answer(position(1)), sample).encode(), 61);
    let upload = Frame::command(CommandCode::CAMERA_WORK_FLOW_START);
    capture.send(&mut link, 0, &with_payload(with_text(upload, path), &secrets), 33);
    let load = Frame::command(CommandCode::COMMON_SCOPE_SETTINGS_LOAD);
    capture.send(&mut link, 0, &load.encode(), 128);
    capture.wait_ms(30);
    capture.send(&mut link, 1, &with_payload(answer(load), &secrets), 40);
    let drives = Frame::command(CommandCode::STORAGE_PATH_SET);
    capture.send(&mut link, 0, &drives.encode(), 128);
    capture.wait_ms(2);
    let mut found = answer(drives);
    found.set_buffer(format!("{path}\0{user}\0").as_bytes()).unwrap();
    capture.send(&mut link, 1, &found.encode(), 70);
    let level = Frame::command(CommandCode::LASER_LEVEL_GET).with_selector(2);
    capture.send(&mut link, 0, &level.encode(), 128);
    capture.send(&mut link, 1, &with_text(answer(level), "11.49").encode(), 128);
    let mut pushed = answer(position(3));
    pushed.flags = Flags::STAGE_POSITIONS_IN_BUFFER;
    capture.send(&mut link, 1, &with_text(pushed, "1=2.5\n3=7.125\n").encode(), 128);
    capture.send(&mut link, 1, &with_text(pushed, user).encode(), 128);
    let unknown = with_text(Frame::new(CommandCode(0x7F31)), user);
    capture.send(&mut link, 1, &with_payload(unknown, &secrets), 90);
    // Late, and without an answer.
    capture.send(&mut link, 0, &position(2).encode(), 128);
    capture.wait_ms(4_500);
    capture.send(&mut link, 1, &answer(position(2)).encode(), 128);
    capture.send(&mut link, 0, &Frame::command(CommandCode(0x3027)).encode(), 128);
    // A hole in the middle of a payload.
    let whole = with_payload(unknown, &secrets);
    capture.send(&mut link, 1, &whole[..150], 150);
    link.next[1] += 77;
    capture.send(&mut link, 1, &answer(position(1)).encode(), 128);
    capture.wait_ms(9_000);
    capture.end(&mut link, 0, "fa");
    capture.end(&mut link, 1, "fa");
}

/// Connections that end in the middle of a frame, of a payload, and by a reset.
fn broken(capture: &mut WireCapture) {
    let mut link = capture.open("10.77.3.9:51240", "10.77.3.1:53717");
    let unknown = with_text(Frame::new(CommandCode(0x7F31)), SECRETS[1]);
    let payload = text_of(SECRETS[0]);
    capture.send(&mut link, 1, &with_payload(unknown, &payload)[..160], 160);
    capture.send(&mut link, 0, &unknown.encode()[..100], 100);
    capture.end(&mut link, 0, "ra");
    let mut page = capture.open("10.77.3.44:51250", "10.77.3.1:53717");
    capture.send(&mut page, 0, format!("GET {}", SECRETS[0]).as_bytes(), 9);
    capture.end(&mut page, 0, "ra");
}

/// Image ports: whole images, options, an incomplete image, and bytes that are no image; and a port of
/// another program.
fn images(capture: &mut WireCapture) {
    let mut live = capture.open(SECOND_CLIENT, SECOND_INSTRUMENT);
    let mut pixels = text_of(SECRETS[2]);
    pixels.resize(2 * 10 * 8, 7);
    for index_start in 5..8 {
        let header =
            ImageHeader { size: 160, width: 10, height: 8, index_start, ..ImageHeader::default() };
        let image = [&header.encode()[..], &pixels].concat();
        let sent = if index_start == 7 { 120 } else { image.len() };
        capture.send(&mut live, 1, &image[..sent], 64);
        capture.send(&mut live, 1, &[0; 40][..if index_start == 7 { 0 } else { 40 }], 40);
        capture.wait_ms(25);
    }
    capture.end(&mut live, 1, "fa");
    capture.end(&mut live, 0, "fa");
    let mut stack = capture.open("10.77.3.9:51260", "10.77.3.1:53719");
    capture.send(
        &mut stack,
        1,
        format!("HTTP {} {}", SECRETS[0], SECRETS[1]).repeat(3).as_bytes(),
        30,
    );
    capture.end(&mut stack, 1, "fa");
    capture.end(&mut stack, 0, "fa");
    // The fields of a header that cannot be one.
    let mut live = capture.open("10.77.3.9:51261", "10.77.3.1:53718");
    let numbers = [160_u32, 10, 8].map(u32::to_le_bytes).concat();
    let header = [numbers, SECRETS.concat().into_bytes()].concat();
    capture.send(&mut live, 1, &header, 7);
    capture.end(&mut live, 1, "ra");
    let mut other = capture.open("10.77.3.9:51270", "10.77.3.1:8080");
    capture.send(&mut other, 0, &text_of(SECRETS[0]), 99);
}

fn secret_capture() -> Vec<u8> {
    let mut capture = WireCapture::new(BEGAN, SECRETS[1]);
    control(&mut capture);
    broken(&mut capture);
    images(&mut capture);
    capture.bytes()
}

pub(crate) fn occurs(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

#[track_caller]
pub(crate) fn expect_no_secret(file: &[u8], secrets: &[&str]) {
    for secret in secrets {
        for part in secret.as_bytes().windows(5) {
            let part = std::str::from_utf8(part).unwrap();
            let wide: Vec<u8> = part.encode_utf16().flat_map(u16::to_le_bytes).collect();
            let wide_be: Vec<u8> = part.encode_utf16().flat_map(u16::to_be_bytes).collect();
            for form in [part.as_bytes(), &wide, &wide_be] {
                assert!(!occurs(file, form), "{part:?} of {secret:?}");
            }
        }
    }
}

/// What must stay: everything but texts, addresses, the date, and what tells of pixels.
fn kept(rows: &[Value]) -> Vec<Value> {
    const LEFT_OUT: [&str; 10] = [
        "time",
        "text",
        "payload_text",
        "payload_hex",
        "buffer_hex",
        "crc32",
        "pixels_recorded",
        "error",
        "packet",
        "note",
    ];
    fn cleaned(value: &Value) -> Value {
        match value {
            Value::Object(fields) => {
                let kept = fields.iter().filter(|(key, _)| !LEFT_OUT.contains(&key.as_str()));
                Value::Object(kept.map(|(key, value)| (key.clone(), cleaned(value))).collect())
            }
            // Of an address, the port stays.
            Value::String(text) if text.parse::<SocketAddr>().is_ok() => {
                text.parse::<SocketAddr>().unwrap().port().into()
            }
            other => other.clone(),
        }
    }
    let of_an_image = |row: &Value| row["kind"] == "rest" && row["port"] != "control";
    let mut kept: Vec<_> = rows.iter().map(cleaned).collect();
    for row in kept.iter_mut().filter(|row| of_an_image(row)) {
        row["bytes"] = Value::Null;
    }
    kept
}

pub(crate) fn decoded(file: &str) -> Vec<Value> {
    flamingo(&["decode", "--json", file]).objects()
}

fn since_first(rows: &[Value]) -> Vec<u128> {
    let at = |row: &Value| {
        let time = humantime::parse_rfc3339(row["time"].as_str().unwrap()).unwrap();
        time.duration_since(std::time::UNIX_EPOCH).unwrap().as_micros()
    };
    let first = rows.first().map(at).unwrap_or_default();
    rows.iter().map(|row| at(row) - first).collect()
}

#[test]
fn an_anonymized_copy_has_no_secret_in_any_form() {
    let folder = Folder::new("secrets");
    let copy = folder.path("copy.pcapng");
    let source = secret_capture();
    for secret in SECRETS {
        assert!(occurs(&source, secret.as_bytes()), "the test is for something");
    }
    let written = flamingo_fed(&["decode", "--anonymize", &copy, "--json", "-"], source);
    assert_eq!(written.code, Some(0), "{written:?}");
    assert_eq!(written.object()["connections"], 6);
    let bytes = std::fs::read(&copy).unwrap();
    expect_no_secret(&bytes, &SECRETS);
    expect_no_secret(&bytes, &["10.77.3.9", "10.77.3.44", "fd37:9c1a:55e2"]);
    let addresses: [&[u8]; 3] = [&[10, 77, 3], &[0xFD, 0x37, 0x9C, 0x1A], &CLIENT_MAC];
    for address in addresses {
        assert!(!occurs(&bytes, address), "{address:?}");
    }
    let rows = decoded(&copy);
    assert!(rows.iter().all(|row| row["time"].as_str().unwrap().starts_with("1970-01-02T00:0")));
    let hosts: Vec<_> = rows.iter().filter(|row| row["kind"] == "opened").collect();
    assert_eq!(hosts[0]["instrument"], hosts[1]["instrument"], "one address for each host");
    assert_eq!(hosts[0]["instrument"], "192.0.2.2:53717");
    assert_eq!(hosts[0]["client"], "192.0.2.1:51234", "ports stay");
    assert_eq!(hosts[3]["instrument"], "[2001:db8::2]:53718");
    let texts: Vec<_> = rows.iter().filter_map(|row| row["answer"]["text"].as_str()).collect();
    assert!(texts.contains(&"11.49"), "{texts:?}");
    assert!(rows.iter().any(|row| row["frame"]["text"] == "1=2.5\n3=7.125\n"), "{rows:?}");
}

#[test]
fn an_anonymized_copy_is_the_same_conversation() {
    let folder = Folder::new("same");
    let file = folder.file("run.pcapng", &secret_capture()[..]);
    let copy = folder.path("copy.pcapng");
    assert_eq!(flamingo(&["decode", "--anonymize", &copy, &file]).code, Some(0));
    let (rows, copied) = (decoded(&file), decoded(&copy));
    let kinds: Vec<_> = rows.iter().map(|row| row["kind"].as_str().unwrap()).collect();
    for kind in
        ["answered", "unsolicited", "late", "silent", "noise", "hole", "rest", "image", "no_image"]
    {
        assert!(kinds.contains(&kind), "{kind}: {kinds:?}");
    }
    for (row, copied) in kept(&rows).iter().zip(kept(&copied)) {
        assert_eq!(*row, copied);
    }
    assert_eq!(rows.len(), copied.len());
    assert_eq!(since_first(&rows), since_first(&copied));
    let totals = |file: &str| flamingo(&["decode", "--summary", "--json", file]).objects();
    let (mut sums, mut copied) = (totals(&file), totals(&copy));
    // Of an incomplete image, fewer bytes stay. The copy has no packets without bytes.
    for sums in [&mut sums, &mut copied] {
        sums.last_mut().unwrap()["noise_bytes"] = Value::Null;
        sums.last_mut().unwrap()["packets"] = Value::Null;
    }
    assert_eq!(sums, copied);
    let again = folder.path("again.pcapng");
    flamingo(&["decode", "--anonymize", &again, &copy]);
    assert_eq!(kept(&decoded(&again)), kept(&decoded(&copy)));
}

/// A clock that was set back, answers that came before an answer that was sent again, and a connection
/// whose first bytes come late.
fn capture_with_times_that_go_back() -> Vec<u8> {
    let mut capture = WireCapture::new(BEGAN, SECRETS[1]);
    let mut link = capture.open(CLIENT, "10.77.3.1:53717");
    let mut silent = capture.open("10.77.3.9:51300", "10.77.3.1:6001");
    let mut events = capture.open("10.77.3.8:51310", "10.77.3.1:53717");
    let position = |axis| Frame::command(CommandCode::STAGE_POSITION_GET).with_selector(axis);
    let answer = |axis| Frame { status: 1, ..position(axis) }.encode();
    let idle = Frame::new(CommandCode::SYSTEM_STATE_IDLE).encode();
    for axis in [1, 2, 3] {
        capture.send(&mut link, 0, &position(axis).encode(), 128);
    }
    capture.wait_ms(4);
    link.next[1] += 128;
    for axis in [2, 3] {
        capture.send(&mut link, 1, &answer(axis), 100);
    }
    for _ in 0..3 {
        capture.wait_ms(600);
        capture.send(&mut events, 1, &idle, 128);
    }
    link.next[1] -= 3 * 128;
    capture.send(&mut link, 1, &answer(1), 128);
    link.next[1] += 2 * 128;
    capture.send(&mut silent, 0, &position(1).encode(), 128);
    for _ in 0..2 {
        capture.set_back_ms(3_600_000);
        capture.send(&mut link, 0, &position(1).encode(), 128);
        capture.wait_ms(7);
        capture.send(&mut link, 1, &answer(1), 128);
        capture.send(&mut events, 1, &idle, 128);
    }
    capture.bytes()
}

#[test]
fn a_copy_keeps_times_that_go_back() {
    let folder = Folder::new("back");
    let file = folder.file("run.pcapng", &capture_with_times_that_go_back()[..]);
    let copy = folder.path("copy.pcapng");
    flamingo(&["decode", "--anonymize", &copy, &file]).expect_done();
    let (rows, copied) = (decoded(&file), decoded(&copy));
    let of = |kind: &str| rows.iter().filter(|row| row["kind"] == kind).collect::<Vec<_>>();
    assert_eq!((of("clock_step").len(), of("answered").len()), (2, 5), "{rows:?}");
    assert_eq!(of("opened").len(), 3, "{rows:?}");
    assert_eq!(kept(&rows), kept(&copied));
    assert_eq!(since_first(&rows), since_first(&copied));
    expect_no_secret(&std::fs::read(&copy).unwrap(), &SECRETS);
}

/// A connection that was open before the capture, one to a callback port, and a second one with the
/// addresses of a first that does not end.
fn capture_of_unusual_connections() -> Vec<u8> {
    let mut capture = WireCapture::new(BEGAN, SECRETS[1]);
    let position = |axis| Frame::command(CommandCode::STAGE_POSITION_GET).with_selector(axis);
    let idle = Frame::new(CommandCode::SYSTEM_STATE_IDLE).encode();
    let mut before = WireCapture::before("10.77.3.9:51400", "10.77.3.1:53717");
    capture.send(&mut before, 1, &idle[50..], 128);
    capture.send(&mut before, 1, &position(1).encode(), 128);
    let mut callback = capture.open("10.77.3.9:51401", "10.77.3.1:53720");
    capture.send(&mut callback, 1, &idle, 128);
    for numbers in [7, 70_000] {
        let mut again = capture.open_from("10.77.3.9:51402", "10.77.3.1:53717", numbers);
        capture.send(&mut again, 1, &idle, 128);
        capture.send(&mut again, 1, &idle[..40], 128);
    }
    capture.bytes()
}

#[test]
fn a_copy_says_as_much_of_unusual_connections() {
    let folder = Folder::new("unusual");
    let file = folder.file("run.pcapng", &capture_of_unusual_connections()[..]);
    let copy = folder.path("copy.pcapng");
    flamingo(&["decode", "--anonymize", &copy, &file]);
    let (rows, copied) = (decoded(&file), decoded(&copy));
    assert_eq!(rows[0]["began_before"], true, "{rows:?}");
    assert!(rows.iter().any(|row| row["port"] == "callback"), "{rows:?}");
    assert_eq!(rows.iter().filter(|row| row["kind"] == "rest").count(), 2, "{rows:?}");
    assert_eq!(kept(&rows), kept(&copied));
    assert_eq!(since_first(&rows), since_first(&copied));
}

#[test]
fn anonymizing_replaces_no_file_and_needs_a_capture() {
    let folder = Folder::new("kept");
    let file = folder.file("run.pcapng", &secret_capture()[..]);
    let there = folder.file("there.pcapng", "precious");
    let refused = flamingo(&["decode", "--anonymize", &there, &file]);
    refused.expect_error(2, &["there.pcapng", "exists already"]);
    assert_eq!(std::fs::read(&there).unwrap(), b"precious");
    let new = folder.path("new.pcapng");
    let text = folder.file("notes.txt", "5");
    flamingo(&["decode", "--anonymize", &new, &text]).expect_error(2, &["--anonymize", "capture"]);
    assert!(!Path::new(&new).exists(), "nothing was begun");
    let both = ["record", "--anonymize", "--pixels", "--out", &new, "--listen", "0"];
    flamingo(&both).expect_error(2, &["--pixels"]);
    let cut = std::fs::read(&file).unwrap();
    let cut = folder.file("cut.pcapng", &cut[..cut.len() - 9]);
    let copied = flamingo(&["decode", "--anonymize", &new, &cut]);
    assert_eq!(copied.code, Some(6), "{copied:?}");
    assert!(copied.stderr.contains("middle of a packet"), "{copied:?}");
    assert!(decoded(&new).len() > 10, "what came before is copied");
}
