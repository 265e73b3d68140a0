//! Tests of the rows of a conversation: each kind has a text and JSON of its own. The program as a whole is
//! in `tests/it/decode_capture.rs`.

use std::collections::BTreeSet;
use std::time::Duration;

use flamingo_protocol_core::{CommandCode, Flags, Frame, image::ImageHeader};
use flamingo_recording::capture::{CaptureEvent, ConnectionInfo, EventKind};
use flamingo_recording::conversation::FrameClass;
use flamingo_recording::{Port, Side};
use flamingo_runtime_std::{ClockStep, Message};
use serde_json::Value;

use super::conversation::{CommandOutcome, Row, RowBuilder, RowContent, TimedFrame};
use super::{json, text};

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn connection() -> ConnectionInfo {
    ConnectionInfo {
        number: 1,
        port: Port::Control,
        pixels: true,
        client: "10.0.0.7:4000".parse().unwrap(),
        instrument: "10.0.0.5:53717".parse().unwrap(),
    }
}

fn position() -> Frame {
    Frame::command(CommandCode::STAGE_POSITION_GET).with_selector(1)
}

fn timed(frame: Frame) -> TimedFrame {
    TimedFrame { at: ms(7), frame, payload: Vec::new() }
}

fn classes() -> Vec<FrameClass> {
    let (to, after) = (1, ms(20));
    vec![
        FrameClass::Solicited { to, after, proven: true },
        FrameClass::Solicited { to, after, proven: false },
        FrameClass::Late { to, after, proven: true },
        FrameClass::Ambiguous { to, after, among: 2 },
        FrameClass::Ambiguous { to, after, among: 3 },
        FrameClass::Unsolicited { ours: true },
        FrameClass::Unsolicited { ours: false },
    ]
}

/// Every kind of row, and every difference that the text shows.
fn contents() -> Vec<RowContent> {
    let command = |outcome| RowContent::Command { command: timed(position()), outcome };
    let answered = |class| {
        command(CommandOutcome::Answered {
            answer: timed(Frame { status: 1, ..position() }),
            class,
        })
    };
    let image = |checksum, pixels| {
        let header = ImageHeader { size: 8, width: 2, height: 2, ..ImageHeader::default() };
        RowContent::Image { header, checksum, pixels }
    };
    let no_image = ImageHeader::decode(&[0xFF; 40], 1).unwrap_err();
    let hour = Duration::from_secs(3_600);
    let mut all = vec![
        RowContent::Opened,
        command(CommandOutcome::Open),
        command(CommandOutcome::NoneExpected),
        command(CommandOutcome::Unanswered { after: ms(3_000) }),
        command(CommandOutcome::RecordingEnds { after: ms(3_000) }),
        image(None, true),
        image(Some(1), true),
        image(Some(1), false),
        RowContent::NoImage(no_image),
        RowContent::ClockStep { step: ClockStep::Back(hour), noted: true },
        RowContent::ClockStep { step: ClockStep::Back(hour), noted: false },
        RowContent::ClockStep { step: ClockStep::Forward(hour), noted: true },
    ];
    let is_answer = |class: &FrameClass| !matches!(class, FrameClass::Unsolicited { .. });
    all.extend(classes().into_iter().filter(is_answer).map(answered));
    let other = |class| RowContent::Other { frame: timed(position()), class };
    all.extend(classes().into_iter().map(other));
    for from in [Side::Client, Side::Instrument] {
        let rest = |recording_ends| RowContent::Incomplete { from, bytes: 9, recording_ends };
        all.extend([
            RowContent::Noise { from, bytes: 9 },
            RowContent::Missing { from, bytes: 9 },
            rest(false),
            rest(true),
            RowContent::Finished { from },
            RowContent::Reset { from },
        ]);
    }
    all
}

/// The kind in JSON. This match is complete: a kind of row without JSON does not compile here.
fn expected_kind(content: &RowContent) -> &'static str {
    match content {
        RowContent::Opened => "opened",
        RowContent::Command { outcome, .. } => match outcome {
            CommandOutcome::Open => "open",
            CommandOutcome::NoneExpected => "command",
            CommandOutcome::Answered { .. } => "answered",
            CommandOutcome::Unanswered { .. } => "silent",
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

#[test]
fn each_line_of_text_has_json_that_tells_as_much() {
    let (mut texts, mut objects, mut kinds) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for content in contents() {
        let kind = expected_kind(&content);
        let row = Row { who: connection(), at: ms(7), content };
        let object = json::line(&row).unwrap();
        let read: Value = serde_json::from_str(&object).unwrap();
        assert_eq!(read["kind"], kind, "{object}");
        kinds.insert(kind);
        let text = text::line(&row, Duration::ZERO);
        // What differs in the text differs in the JSON.
        assert!(objects.insert(object.clone()) || !texts.contains(&text), "{text}: {object}");
        assert!(texts.insert(text.clone()), "each row of this test has its own text: {text}");
    }
    assert_eq!(texts.len(), objects.len());
    assert_eq!(kinds.len(), 18, "the rows of this test are of every kind: {kinds:?}");
}

fn frame(at: u64, from: Side, frame: Frame) -> CaptureEvent {
    let message = Message { frame, payload: Vec::new() };
    let kind = EventKind::Message { message, noise: Vec::new(), declared: 0 };
    CaptureEvent { connection: connection(), at: ms(at), from, kind }
}

fn kinds(rows: &mut RowBuilder) -> Vec<&'static str> {
    std::iter::from_fn(|| rows.next()).map(|row| expected_kind(&row.content)).collect()
}

#[test]
fn released_rows_come_once_and_the_open_command_later() {
    let mut rows = RowBuilder::default();
    let event = Frame::new(CommandCode::SYSTEM_STATE_IDLE);
    rows.take(frame(0, Side::Client, position()));
    rows.take(frame(1, Side::Instrument, event));
    assert_eq!(kinds(&mut rows), [""; 0]);
    assert!(rows.holds_back());
    rows.release();
    assert_eq!(kinds(&mut rows), ["unsolicited"]);
    assert!(!rows.holds_back());
    rows.take(frame(2, Side::Instrument, event));
    rows.take(frame(3, Side::Client, Frame { flags: Flags(0), ..position() }));
    rows.take(frame(4, Side::Instrument, Frame { status: 1, ..position() }));
    assert_eq!(kinds(&mut rows), ["answered", "unsolicited", "command"]);
    assert!(rows.is_empty() == false && rows.next().is_none());
}

#[test]
fn a_command_whose_answer_is_due_has_no_answer_at_the_end() {
    let mut rows = RowBuilder::default();
    rows.take(frame(0, Side::Client, position()));
    rows.take(frame(1_000, Side::Client, position().with_selector(2)));
    rows.end(ms(3_500));
    assert_eq!(kinds(&mut rows), ["silent", "unfinished"]);
}
