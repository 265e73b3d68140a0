//! `flamingo decode` and `replay` of captures that the tests write: late, missing and lost frames, and files
//! that cannot be read. Recordings of the program are in `record.rs`.

use std::path::Path;
use std::time::Duration;

use etherparse::PacketBuilder;
use flamingo_protocol_core::{CommandCode, Flags, Frame};
use flamingo_runtime_testkit::folder::Folder;
use flamingo_runtime_testkit::raw_client::RawClient;
use serde_json::Value;

use crate::program::{address, flamingo, start};
use crate::record::decoded;

/// Writes a capture with these frames: time in ms, whether the client sends it, frame.
pub(crate) fn conversation(file: &Path, said: &[(u64, bool, Frame)]) {
    conversation_without(file, said, None);
}

/// The same without one of the frames, which was not captured.
fn conversation_without(file: &Path, said: &[(u64, bool, Frame)], lost: Option<usize>) {
    // The header of a pcap file with raw IP, link type 101.
    let header = [0xA1B2_C3D4_u32, 0x0004_0002, 0, 0, 65_535, 101];
    let mut capture = header.map(u32::to_le_bytes).concat();
    let ends = [([10, 0, 0, 7], 40_000), ([10, 0, 0, 5], 53_717)];
    let mut numbers = [1, 1];
    for (n, (at, asks, frame)) in said.iter().enumerate() {
        let from = usize::from(!asks);
        let (source, target) = (ends[from], ends[1 - from]);
        let tcp = PacketBuilder::ipv4(source.0, target.0, 64)
            .tcp(source.1, target.1, numbers[from], 1000)
            .ack(numbers[1 - from]);
        numbers[from] += 128;
        let mut packet = Vec::new();
        tcp.write(&mut packet, &frame.encode()).unwrap();
        let length = u32::try_from(packet.len()).unwrap();
        let at = Duration::from_millis(*at);
        let seconds = u32::try_from(at.as_secs()).unwrap();
        let head = [seconds, at.subsec_micros(), length, length];
        if lost != Some(n) {
            capture.extend(head.map(u32::to_le_bytes).concat());
            capture.extend(packet);
        }
    }
    std::fs::write(file, capture).unwrap();
}

#[test]
fn late_missing_and_ambiguous_answers_are_marked() {
    let folder = Folder::new("late");
    let file = folder.0.join("run.pcap");
    let position = |axis| Frame::command(CommandCode::STAGE_POSITION_GET).with_selector(axis);
    let answer = |frame: Frame| Frame { status: 1, ..frame };
    let pushed = Frame { flags: Flags::STAGE_POSITIONS_IN_BUFFER, ..answer(position(1)) };
    conversation(
        &file,
        &[
            (0, true, position(1)),
            (4, false, pushed),
            (5, false, Frame { status: 0, ..position(1) }),
            (100, true, position(2)),
            (5_000, false, answer(position(2))),
            (6_000, true, Frame::command(CommandCode(0x3027))),
            (7_000, true, position(3)),
            (7_010, true, position(3)),
            (7_020, false, answer(position(3))),
            (20_000, false, Frame::new(CommandCode::SYSTEM_STATE_IDLE)),
        ],
    );
    let file = file.to_str().unwrap();
    let kinds: Vec<_> =
        decoded(file).iter().map(|row| row["kind"].as_str().unwrap().to_owned()).collect();
    let expected = [
        "opened",
        "answered",
        "unsolicited",
        "silent",
        "late",
        "silent",
        "answered",
        "silent",
        "unsolicited",
    ];
    assert_eq!(kinds, expected);
    let text = flamingo(&["decode", file]);
    let text = &text.expect_done().stdout;
    for words in [
        "STAGE_POSITION_GET axis x -> STAGE_POSITION_GET axis x 0 mm status 0 [5.000 ms]",
        "* STAGE_POSITION_GET axis x 0 mm [unsolicited]",
        "STAGE_POSITION_GET axis y -> !! no answer in 3.000 s",
        "!! STAGE_POSITION_GET axis y 0 mm [LATE: 4.900 s after its command]",
        "[20.000 ms, ambiguous: 2 commands could own it]",
    ] {
        let squeezed: Vec<_> = text
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        assert!(squeezed.iter().any(|line| line.contains(words)), "{words:?} in {text}");
    }
    let summary = flamingo(&["decode", "--summary", file]);
    let row =
        summary.expect_done().stdout.lines().find(|line| line.starts_with("STAGE_POSITION_GET"));
    let row: Vec<_> = row.unwrap().split_whitespace().skip(2).collect();
    assert_eq!(row, ["4", "2", "5.000", "ms", "20.000", "ms", "2", "1", "1"]);
}

/// Six hundred queries with their answers, of which one was not captured.
fn with_a_lost_answer(folder: &Folder) -> String {
    let file = folder.0.join("lost.pcap");
    let query = |n: u64| {
        let mut frame = Frame::command(CommandCode::CAMERA_IMAGE_SIZE_GET);
        frame.int32_data[2] = i32::try_from(n).unwrap();
        frame
    };
    let said: Vec<_> = (0..600)
        .flat_map(|n| {
            let answer = Frame { status: 1, ..query(n) };
            [(700 * n, true, query(n)), (700 * n + 2, false, answer)]
        })
        .collect();
    conversation_without(&file, &said, Some(3));
    file.to_str().unwrap().to_owned()
}

#[test]
fn a_packet_that_was_not_captured_costs_one_answer() {
    let folder = Folder::new("lost");
    let rows = decoded(&with_a_lost_answer(&folder));
    let count = |kind: &str| rows.iter().filter(|row| row["kind"] == kind).count();
    assert_eq!(["hole", "silent", "answered"].map(count), [1, 1, 599], "{rows:?}");
    for row in rows.iter().filter(|row| row["kind"] == "answered") {
        let number = |frame: &str| row[frame]["int32_data2"].clone();
        assert_eq!(number("request"), number("answer"), "{row}");
        assert_eq!(row["answer"]["elapsed_ms"], 2.0, "{row}");
    }
}

#[test]
fn a_replay_goes_on_after_missing_bytes() {
    let folder = Folder::new("replay-lost");
    let file = with_a_lost_answer(&folder);
    let replay = start(&["replay", &file, "--port", "0", "--speed", "max", "--json"]);
    let mut client = RawClient::to(address(&replay.ports()["control"]).parse().unwrap());
    let query = Frame::command(CommandCode::CAMERA_IMAGE_SIZE_GET);
    for n in 0..600 {
        client.send(&query);
        if n != 1 {
            assert_eq!(client.next().frame.code, query.code, "answer {n}");
        }
    }
    replay.interrupt();
    assert_eq!(replay.ended().code, Some(0));
}

#[test]
fn what_a_capture_has_that_cannot_be_read_is_counted() {
    let folder = Folder::new("broken");
    let file = folder.0.join("run.pcap");
    let idle = Frame::new(CommandCode::SYSTEM_STATE_IDLE);
    conversation(&file, &[(0, false, idle), (1, false, idle), (2, false, idle)]);
    let mut bytes = std::fs::read(&file).unwrap();
    // The captured length of the second record.
    bytes[24 + 184 + 8..][..4].fill(0x7F);
    let file = folder.file("broken.pcap", bytes);
    let shown = flamingo(&["decode", "--summary", "--json", &file]);
    assert_eq!((shown.code, shown.stderr.contains("1 broken block")), (Some(0), true), "{shown:?}");
    let totals = shown.objects().pop().unwrap();
    let found = ["packets", "broken_blocks", "missing_bytes"].map(|key| totals[key].clone());
    assert_eq!(found, [2, 1, 128].map(Value::from), "{totals}");
    let replay = start(&["replay", &file, "--port", "0"]);
    replay.ports();
    replay.interrupt();
    assert!(replay.ended().stderr.contains("1 broken block"), "replay says it, too");
}

#[test]
fn a_file_without_conversation_is_refused() {
    let folder = Folder::new("files");
    let text = folder.file("notes.txt", "not a capture");
    flamingo(&["decode", "--summary", &text]).expect_error(2, &["notes.txt", "capture"]);
    flamingo(&["replay", &text, "--port", "0"]).expect_error(2, &["notes.txt"]);
    let empty = folder.0.join("empty.pcap");
    conversation(&empty, &[]);
    let empty = empty.to_str().unwrap();
    flamingo(&["decode", empty]).expect_error(2, &["empty.pcap", "found none"]);
    flamingo(&["replay", empty, "--port", "0"]).expect_error(2, &["empty.pcap", "found none"]);
    let whole = folder.0.join("whole.pcap");
    let idle = Frame::new(CommandCode::SYSTEM_STATE_IDLE);
    conversation(&whole, &[(0, false, idle), (1, false, idle)]);
    let bytes = std::fs::read(whole).unwrap();
    let cut = folder.file("cut.pcap", &bytes[..bytes.len() - 9]);
    let shown = flamingo(&["decode", "--json", &cut]);
    shown.expect_error(6, &["cut.pcap", "middle of a packet"]);
    assert_eq!(shown.objects().len(), 2, "{shown:?}");
    let replay = start(&["replay", &cut, "--port", "0"]);
    replay.ports();
    replay.interrupt();
    let told = replay.ended();
    assert_eq!(told.code, Some(0), "{told:?}");
    assert!(told.stderr.contains("cut.pcap: it ends in the middle of a packet"), "{told:?}");
    for speed in ["0", "1e999", "fast", "nan"] {
        flamingo(&["replay", &cut, "--speed", speed]).expect_error(2, &["--speed"]);
    }
}
