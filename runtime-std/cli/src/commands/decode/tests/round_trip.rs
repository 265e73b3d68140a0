//! The JSON of a row tells as much as its text: a row that is read from its JSON has the same text.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use flamingo_protocol_core::{CommandCode, Flags, Frame, image::ImageHeader};
use flamingo_recording::capture::ConnectionInfo;
use flamingo_recording::conversation::FrameClass;
use flamingo_recording::{Port, Side};
use flamingo_runtime_std::ClockStep;
use serde_json::Value;

use super::super::row::{CommandOutcome, Cut, Note, Row, RowContent, TimedFrame};
use super::super::{json, text};
use super::{answer, connection, ms, position};

/// Frames with everything that the text shows.
fn frames() -> Vec<(Frame, Vec<u8>)> {
    let mut text = Frame::new(CommandCode::SYSTEM_STATE_IDLE);
    text.set_text("all \"well\"").unwrap();
    let mut positions = Frame { flags: Flags::STAGE_POSITIONS_IN_BUFFER, ..answer() };
    positions.set_text("1=2.5\n4=-12.5\n").unwrap();
    let mut binary = Frame::command(CommandCode(0x6FFF));
    binary.set_buffer(&[b'o', b'k', 0xFF, 3, 0, 9]).unwrap();
    let with = |payload: Vec<u8>| {
        let length = u32::try_from(payload.len()).unwrap();
        (Frame::new(CommandCode(0x4003)).with_payload_len(length), payload)
    };
    let state = Frame { int32_data: [0xA002, 1, -7], ..Frame::command(CommandCode(0xA007)) };
    let mut all: Vec<_> = [text, positions, binary, state, position(), answer()]
        .into_iter()
        .chain([7.635, -12.5, f64::NAN, f64::INFINITY, f64::NEG_INFINITY].map(|value| Frame {
            value,
            status: -3,
            ..answer()
        }))
        .map(|frame| (frame, Vec::new()))
        .collect();
    all.extend([b"a\nb".to_vec(), vec![0x1B, 2], vec![7; 5_000]].map(with));
    all
}

fn timed((frame, payload): (Frame, Vec<u8>)) -> TimedFrame {
    TimedFrame { at: ms(7), frame, payload }
}

fn classes() -> Vec<FrameClass> {
    let (to, after) = (1, ms(20));
    vec![
        FrameClass::Solicited { to, after, proven: true },
        FrameClass::Solicited { to, after, proven: false },
        FrameClass::Late { to, after: ms(3_901), proven: true },
        FrameClass::Ambiguous { to, after, among: 2 },
        FrameClass::Ambiguous { to, after, among: 3 },
        FrameClass::Unsolicited { ours: true },
        FrameClass::Unsolicited { ours: false },
    ]
}

/// Commands with every outcome.
fn commands() -> Vec<RowContent> {
    let after = ms(3_000);
    let mut outcomes = vec![
        CommandOutcome::Open,
        CommandOutcome::NoneExpected,
        CommandOutcome::Unanswered { after, maybe_lost: false },
        CommandOutcome::Unanswered { after, maybe_lost: true },
        CommandOutcome::ConnectionEnds { after: ms(12) },
        CommandOutcome::RecordingEnds { after },
    ];
    for class in classes().into_iter().filter(|class| class.answers().is_some()) {
        let answer = timed((answer(), Vec::new()));
        outcomes.push(CommandOutcome::Answered { answer, class });
    }
    let class = FrameClass::Solicited { to: 1, after, proven: true };
    for frame in frames() {
        outcomes.push(CommandOutcome::Answered { answer: timed(frame), class });
    }
    let sent = timed((position(), Vec::new()));
    let command = |outcome, clock_set, again| {
        let command = sent.clone();
        RowContent::Command { command, outcome, clock_set, again }
    };
    let mut all = vec![
        command(CommandOutcome::Unanswered { after, maybe_lost: false }, false, true),
        command(CommandOutcome::RecordingEnds { after }, false, true),
    ];
    for outcome in outcomes {
        all.extend([false, true].map(|clock_set| command(outcome.clone(), clock_set, false)));
    }
    all.extend(frames().into_iter().map(|frame| RowContent::Command {
        command: timed(frame),
        outcome: CommandOutcome::Open,
        clock_set: false,
        again: false,
    }));
    all
}

/// Every kind of row, and every difference that the text shows.
fn contents() -> Vec<RowContent> {
    let image = |checksum, pixels| {
        let header = ImageHeader { size: 8, width: 2, height: 3, ..ImageHeader::default() };
        let header = ImageHeader { device: 1, index_start: 12, ..header };
        RowContent::Image { header, checksum, pixels }
    };
    let no_image = ImageHeader::decode(&[0xFF; 40], 1).unwrap_err();
    let hour = Duration::from_hours(1);
    let mut all = vec![
        RowContent::Opened,
        image(None, true),
        image(Some(1), true),
        image(Some(1), false),
        RowContent::NoImage(no_image),
    ];
    all.extend(commands());
    for step in [ClockStep::Back(hour), ClockStep::Forward(hour)] {
        all.extend([true, false].map(|noted| RowContent::ClockStep { step, noted }));
    }
    let frame = timed((answer(), Vec::new()));
    for class in classes() {
        for clock_set in [false, true] {
            let frame = frame.clone();
            all.push(RowContent::Other { frame, class, clock_set, maybe_asked: false });
        }
    }
    let class = FrameClass::Unsolicited { ours: false };
    all.push(RowContent::Other { frame, class, clock_set: false, maybe_asked: true });
    for from in [Side::Client, Side::Instrument] {
        all.extend([
            RowContent::Noise { from, bytes: 9, maybe_frame: false },
            RowContent::Noise { from, bytes: 9, maybe_frame: true },
            RowContent::Missing { from, bytes: 9 },
        ]);
        for by_recorder in [None, Some(false), Some(true)] {
            let text = "in the middle of image 1".to_owned();
            let note = by_recorder.map(|by_recorder| Note { text, by_recorder });
            all.push(RowContent::Finished { from, note: note.clone() });
            all.push(RowContent::Reset { from, note });
        }
        let cuts = [Cut::Connection, Cut::Recording, Cut::Hole];
        all.extend(cuts.map(|cut| RowContent::Incomplete { from, bytes: 9, cut }));
    }
    all
}

/// The kind in JSON. This match is complete: a kind of row without JSON does not compile here.
pub(super) fn expected_kind(content: &RowContent) -> &'static str {
    match content {
        RowContent::Opened => "opened",
        RowContent::Command { outcome, .. } => match outcome {
            CommandOutcome::Open => "open",
            CommandOutcome::NoneExpected => "command",
            CommandOutcome::Answered { .. } => "answered",
            CommandOutcome::Unanswered { .. } | CommandOutcome::ConnectionEnds { .. } => "silent",
            CommandOutcome::RecordingEnds { .. } => "unfinished",
        },
        RowContent::Other { class, .. } => match class {
            FrameClass::Solicited { .. } => "solicited",
            FrameClass::Late { .. } => "late",
            FrameClass::Ambiguous { .. } => "ambiguous",
            FrameClass::Unsolicited { .. } => "unsolicited",
        },
        RowContent::Image { .. } => "image",
        RowContent::NoImage(_) => "no_image",
        RowContent::Noise { .. } => "noise",
        RowContent::Missing { .. } => "hole",
        RowContent::Incomplete { .. } => "rest",
        RowContent::Finished { .. } => "closed",
        RowContent::Reset { .. } => "reset",
        RowContent::ClockStep { .. } => "clock_step",
    }
}

fn time(value: &Value) -> Duration {
    let time = humantime::parse_rfc3339(value.as_str().unwrap()).unwrap();
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap()
}

/// A time in milliseconds. If it is not known, the text does not show it either.
fn known_millis(value: &Value) -> Duration {
    Duration::from_secs_f64(value.as_f64().unwrap_or_default() / 1e3)
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn number<T: TryFrom<i64>>(value: &Value) -> T {
    value.as_i64().and_then(|number| T::try_from(number).ok()).unwrap()
}

fn is(value: &Value) -> bool {
    value.as_bool().unwrap_or_default()
}

fn read_frame(value: &Value) -> TimedFrame {
    let mut frame = Frame::new(CommandCode(number(&value["code"])));
    frame.status = number(&value["status"]);
    frame.int32_data = ["int32_data0", "int32_data1", "int32_data2"].map(|key| number(&value[key]));
    frame.flags = Flags(number(&value["flags"]));
    let not_finite = || value["value_text"].as_str().unwrap().parse().unwrap();
    frame.value = value["value"].as_f64().unwrap_or_else(not_finite);
    let buffer = value["buffer_hex"].as_str().map(bytes);
    let text = value["text"].as_str().unwrap();
    frame.set_buffer(&buffer.unwrap_or_else(|| text.as_bytes().to_vec())).unwrap();
    frame.payload_len = number(&value["payload_bytes"]);
    let payload = match (value["payload_text"].as_str(), value["payload_hex"].as_str()) {
        (Some(text), _) => text.as_bytes().to_vec(),
        (None, Some(hex)) => bytes(hex),
        (None, None) => vec![0; frame.payload_len as usize],
    };
    TimedFrame { at: time(&value["time"]), frame, payload }
}

fn read_class(value: &Value) -> FrameClass {
    let (to, proven) = (1, is(&value["proven"]));
    let after = || known_millis(&value["elapsed_ms"]);
    match value["class"].as_str().unwrap() {
        "solicited" => FrameClass::Solicited { to, after: after(), proven },
        "late" => FrameClass::Late { to, after: after(), proven },
        "ambiguous" => FrameClass::Ambiguous { to, after: after(), among: number(&value["among"]) },
        "unsolicited" => FrameClass::Unsolicited { ours: is(&value["maybe_echo"]) },
        other => panic!("{other}"),
    }
}

fn read_outcome(row: &Value) -> CommandOutcome {
    let after = || known_millis(&row["silent_ms"]);
    match row["kind"].as_str().unwrap() {
        "open" => CommandOutcome::Open,
        "command" => CommandOutcome::NoneExpected,
        "silent" if is(&row["connection_ends"]) => {
            CommandOutcome::ConnectionEnds { after: after() }
        }
        "silent" => {
            CommandOutcome::Unanswered { after: after(), maybe_lost: is(&row["maybe_lost"]) }
        }
        "unfinished" => CommandOutcome::RecordingEnds { after: after() },
        "answered" => {
            let value = &row["answer"];
            CommandOutcome::Answered { answer: read_frame(value), class: read_class(value) }
        }
        other => panic!("{other}"),
    }
}

fn read_image(row: &Value) -> RowContent {
    let value = &row["image"];
    let header = ImageHeader {
        size: number(&value["size"]),
        width: number(&value["width"]),
        height: number(&value["height"]),
        device: number(&value["device"]),
        index_start: number(&value["index_start"]),
        ..ImageHeader::default()
    };
    let checksum = value["crc32"].as_str().map(|sum| u32::from_str_radix(sum, 16).unwrap());
    RowContent::Image { header, checksum, pixels: is(&value["pixels_recorded"]) }
}

/// The row that the JSON tells.
fn read_row(row: &Value) -> Row {
    let from = || if row["from"] == "client" { Side::Client } else { Side::Instrument };
    let bytes = || number(&row["bytes"]);
    let note = || {
        let text = row["note"].as_str()?.to_owned();
        Some(Note { text, by_recorder: is(&row["by_recorder"]) })
    };
    let content = match row["kind"].as_str().unwrap() {
        "opened" => RowContent::Opened,
        "solicited" | "late" | "ambiguous" | "unsolicited" => RowContent::Other {
            frame: read_frame(&row["frame"]),
            class: read_class(&row["frame"]),
            clock_set: is(&row["clock_set"]),
            maybe_asked: is(&row["maybe_asked"]),
        },
        "image" => read_image(row),
        "noise" => {
            let maybe_frame = is(&row["maybe_frame"]);
            RowContent::Noise { from: from(), bytes: bytes(), maybe_frame }
        }
        "hole" => RowContent::Missing { from: from(), bytes: number(&row["bytes"]) },
        "rest" => {
            let cut = match row["cut_by"].as_str().unwrap() {
                "connection" => Cut::Connection,
                "recording" => Cut::Recording,
                "hole" => Cut::Hole,
                other => panic!("{other}"),
            };
            RowContent::Incomplete { from: from(), bytes: bytes(), cut }
        }
        "closed" => RowContent::Finished { from: from(), note: note() },
        "reset" => RowContent::Reset { from: from(), note: note() },
        "clock_step" => {
            let seconds = row["clock_step_s"].as_f64().unwrap();
            let by = Duration::from_secs_f64(seconds.abs());
            let step = if seconds < 0.0 { ClockStep::Back(by) } else { ClockStep::Forward(by) };
            RowContent::ClockStep { step, noted: is(&row["noted"]) }
        }
        _ => RowContent::Command {
            command: read_frame(&row["request"]),
            outcome: read_outcome(row),
            clock_set: is(&row["clock_set"]),
            again: is(&row["shown_before"]),
        },
    };
    let [client, instrument] = ["client", "instrument"].map(|end| match row[end].as_str() {
        Some(address) => address.parse().unwrap(),
        None => ([0, 0, 0, 0], 0).into(),
    });
    let callback = row["port"] == "callback";
    let port = Port::ALL.into_iter().find(|port| row["port"] == port.name());
    let who = ConnectionInfo {
        number: number(&row["connection"]),
        port: port.unwrap_or(Port::Control),
        pixels: true,
        client,
        instrument,
        began_before: is(&row["began_before"]),
        callback,
    };
    Row { who, at: time(&row["time"]), content }
}

fn line(row: &Row) -> String {
    let mut line = String::new();
    text::write_line(&mut line, row, ms(2));
    line
}

#[test]
fn a_row_that_is_read_from_its_json_has_the_same_text() {
    let (mut texts, mut kinds) = (BTreeSet::new(), BTreeSet::new());
    let mut check = |row: &Row| {
        let mut object = Vec::new();
        json::write_line(&mut object, row).unwrap();
        let object = String::from_utf8(object).unwrap();
        let read: Value = serde_json::from_str(&object).unwrap();
        let kind = expected_kind(&row.content);
        assert_eq!(read["kind"], kind, "{object}");
        kinds.insert(kind);
        let text = line(row);
        texts.insert(text.clone());
        if let RowContent::NoImage(error) = &row.content {
            assert_eq!(read["error"], error.to_string());
            assert!(text.contains(&error.to_string()), "{text}");
        } else {
            assert_eq!(line(&read_row(&read)), text, "{object}");
        }
    };
    for content in contents() {
        check(&Row { who: connection(), at: ms(7), content });
    }
    for port in Port::ALL {
        for (began_before, callback) in [(false, false), (true, false), (true, true)] {
            let who = ConnectionInfo { number: 3, port, began_before, callback, ..connection() };
            check(&Row { who, at: ms(7), content: RowContent::Opened });
        }
    }
    assert_eq!(kinds.len(), 18, "the rows of this test are of every kind: {kinds:?}");
    assert!(texts.len() > 70, "{}", texts.len());
}
