//! Tests of the rows of a conversation: which rows come when. `round_trip.rs` compares their text and their
//! JSON. The program as a whole is in `tests/it/decode_capture.rs`.

mod round_trip;

use std::time::Duration;

use flamingo_protocol_core::{CommandCode, Flags, Frame};
use flamingo_recording::capture::{CaptureEvent, ConnectionInfo, EventKind};
use flamingo_recording::{Port, Side};
use flamingo_runtime_std::{ClockStep, Message};

use super::conversation::RowBuilder;
use super::row::{CommandOutcome, Cut, RowContent};
use round_trip::expected_kind;

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
        began_before: false,
        callback: false,
    }
}

fn position() -> Frame {
    Frame::command(CommandCode::STAGE_POSITION_GET).with_selector(1)
}

fn answer() -> Frame {
    Frame { status: 1, ..position() }
}

fn idle() -> Frame {
    Frame::new(CommandCode::SYSTEM_STATE_IDLE)
}

fn frame(at: u64, from: Side, frame: Frame) -> CaptureEvent {
    let message = Message { frame, payload: Vec::new() };
    let kind = EventKind::Message { message, noise: Vec::new(), declared: 0 };
    CaptureEvent { connection: connection(), at: ms(at), from, kind }
}

fn kinds(rows: &mut RowBuilder) -> Vec<&'static str> {
    std::iter::from_fn(|| rows.next()).map(|row| expected_kind(&row.content)).collect()
}

fn event(at: u64, from: Side, kind: EventKind) -> CaptureEvent {
    CaptureEvent { connection: connection(), at: ms(at), from, kind }
}

fn ticks(rows: &mut RowBuilder, count: u32) {
    (0..count).for_each(|_| rows.tick());
}

#[test]
fn rows_of_a_live_capture_wait_for_a_command_at_most_two_ticks() {
    let mut rows = RowBuilder::default();
    rows.take(frame(0, Side::Client, position()));
    rows.take(frame(1, Side::Instrument, idle()));
    ticks(&mut rows, 1);
    assert_eq!(kinds(&mut rows), [""; 0]);
    ticks(&mut rows, 1);
    assert_eq!(kinds(&mut rows), ["unsolicited"]);
    rows.take(frame(2, Side::Instrument, idle()));
    rows.take(frame(3, Side::Client, Frame { flags: Flags(0), ..position() }));
    rows.take(frame(4, Side::Instrument, answer()));
    assert_eq!(kinds(&mut rows), ["answered", "unsolicited", "command"]);
    assert!(!rows.is_empty() && !rows.is_waiting(), "rows were shown");
}

#[test]
fn an_open_command_is_shown_after_30_ticks_and_then_its_fate() {
    let mut rows = RowBuilder::default();
    let selected = |axis| position().with_selector(axis);
    for axis in 1..=4 {
        rows.take(frame(0, Side::Client, selected(axis)));
    }
    ticks(&mut rows, 29);
    assert_eq!(kinds(&mut rows), [""; 0]);
    ticks(&mut rows, 1);
    assert_eq!(kinds(&mut rows), ["open"; 4]);
    assert!(!rows.is_waiting());
    rows.take(frame(2, Side::Instrument, Frame { status: 1, ..selected(1) }));
    assert_eq!(kinds(&mut rows), ["solicited"]);
    rows.take(frame(3_001, Side::Instrument, idle()));
    assert_eq!(kinds(&mut rows), ["silent", "silent", "silent", "unsolicited"]);
    rows.take(frame(3_100, Side::Client, position()));
    ticks(&mut rows, 30);
    assert_eq!(kinds(&mut rows), ["open"]);
    rows.end(ms(3_200));
    assert_eq!(kinds(&mut rows), ["unfinished"]);
}

#[test]
fn a_command_before_10_000_lines_is_shown_before_its_fate() {
    for answered in [true, false] {
        let mut rows = RowBuilder::default();
        rows.take(frame(0, Side::Client, position()));
        for _ in 1..10_000 {
            rows.take(frame(1, Side::Instrument, idle()));
        }
        let shown = kinds(&mut rows);
        assert_eq!((shown[0], shown.len()), ("open", 10_000));
        if answered {
            rows.take(frame(2, Side::Instrument, answer()));
            assert_eq!(kinds(&mut rows), ["solicited"]);
        }
        rows.take(frame(4_000, Side::Instrument, idle()));
        let Some(first) = rows.next() else { panic!("no row") };
        let again = matches!(&first.content, RowContent::Command {
            outcome: CommandOutcome::Unanswered { after, .. }, again: true, ..
        } if *after == ms(3_000));
        assert_eq!(again, !answered, "{first:?}");
        assert!(again || expected_kind(&first.content) == "unsolicited");
    }
}

#[test]
fn a_command_whose_answer_is_due_has_no_answer_at_the_end() {
    let mut rows = RowBuilder::default();
    rows.take(frame(0, Side::Client, position()));
    rows.take(frame(1_000, Side::Client, position().with_selector(2)));
    rows.end(ms(3_500));
    assert_eq!(kinds(&mut rows), ["silent", "unfinished"]);
}

#[test]
fn a_connection_that_ends_leaves_its_commands_unanswered() {
    for end in [EventKind::Finished, EventKind::Reset] {
        let mut rows = RowBuilder::default();
        let other = ConnectionInfo { number: 2, ..connection() };
        rows.take(CaptureEvent { connection: other, ..frame(0, Side::Client, position()) });
        rows.take(frame(1, Side::Client, position()));
        rows.take(event(500, Side::Instrument, end));
        rows.take(CaptureEvent { connection: other, ..frame(501, Side::Instrument, answer()) });
        let first = rows.next().unwrap();
        assert_eq!((first.who.number, expected_kind(&first.content)), (2, "answered"));
        let second = rows.next().unwrap();
        let RowContent::Command { outcome, .. } = second.content else { panic!("{second:?}") };
        assert_eq!(outcome, CommandOutcome::ConnectionEnds { after: ms(499) });
    }
}

/// What the first part of a message in the rows was cut by.
fn cut(events: impl IntoIterator<Item = CaptureEvent>, ends: bool) -> Cut {
    let mut rows = RowBuilder::default();
    for event in events {
        if ends {
            rows.recording_ends();
        }
        rows.take(event);
    }
    rows.end(ms(9));
    let parts = std::iter::from_fn(|| rows.next()).filter_map(|row| match row.content {
        RowContent::Incomplete { cut, .. } => Some(cut),
        _ => None,
    });
    parts.into_iter().next().unwrap()
}

#[test]
fn a_part_of_a_message_says_what_ended_it() {
    let rest = || event(1, Side::Client, EventKind::Rest { bytes: vec![0; 9] });
    let next = |kind| event(1, Side::Client, kind);
    assert_eq!(cut([rest(), next(EventKind::Hole { bytes: 5 })], false), Cut::Hole);
    assert_eq!(cut([rest(), next(EventKind::Finished)], false), Cut::Connection);
    assert_eq!(cut([rest()], false), Cut::Connection);
    assert_eq!(cut([rest()], true), Cut::Recording);
}

#[test]
fn missing_bytes_of_the_instrument_may_have_had_the_answer() {
    for hole_at in [0, 10, 2_999] {
        let mut rows = RowBuilder::default();
        rows.take(frame(0, Side::Client, position()));
        rows.take(event(hole_at, Side::Instrument, EventKind::Hole { bytes: 128 }));
        rows.take(frame(9_000, Side::Client, position()));
        rows.take(event(9_000, Side::Client, EventKind::Hole { bytes: 128 }));
        rows.end(ms(20_000));
        let outcomes: Vec<_> = std::iter::from_fn(|| rows.next())
            .filter_map(|row| match row.content {
                RowContent::Command { outcome, .. } => Some(outcome),
                _ => None,
            })
            .collect();
        let silent = |maybe_lost| CommandOutcome::Unanswered { after: ms(3_000), maybe_lost };
        assert_eq!(outcomes, [silent(true), silent(false)], "{hole_at}");
    }
}

#[test]
fn an_answer_whose_command_may_be_missing_is_marked() {
    let asked = |rows: &mut RowBuilder| {
        let row = rows.next().unwrap();
        let RowContent::Other { maybe_asked, .. } = row.content else { panic!("{row:?}") };
        maybe_asked
    };
    for began_before in [true, false] {
        let connection = ConnectionInfo { began_before, ..connection() };
        let mut rows = RowBuilder::default();
        let opened = event(0, Side::Client, EventKind::Opened);
        rows.take(CaptureEvent { connection, ..opened });
        assert_eq!(kinds(&mut rows), ["opened"]);
        let pushed = Frame { flags: Flags::STAGE_POSITIONS_IN_BUFFER, ..answer() };
        for (at, frame, expected) in [
            (5, answer(), began_before),
            (6, idle(), false),
            (7, pushed, false),
            (3_001, answer(), false),
        ] {
            rows.take(CaptureEvent { connection, ..self::frame(at, Side::Instrument, frame) });
            assert_eq!(asked(&mut rows), expected, "{at}");
        }
        rows.take(event(4_000, Side::Client, EventKind::Hole { bytes: 128 }));
        assert_eq!(kinds(&mut rows), ["hole"]);
        rows.take(CaptureEvent { connection, ..frame(4_001, Side::Instrument, answer()) });
        assert!(asked(&mut rows), "its command may be in the hole");
    }
}

#[test]
fn a_delay_in_which_the_clock_was_set_is_not_known() {
    for (noted, expected) in [(false, true), (true, false)] {
        let mut rows = RowBuilder::default();
        let step = ClockStep::Back(ms(3_600_000));
        rows.take(frame(0, Side::Client, position()));
        rows.take(event(1, Side::Client, EventKind::ClockStep { step, noted }));
        rows.take(frame(1, Side::Client, position().with_selector(2)));
        rows.take(frame(2, Side::Instrument, answer()));
        rows.take(frame(3, Side::Instrument, answer().with_selector(2)));
        let unknown = std::iter::from_fn(|| rows.next()).filter_map(|row| match row.content {
            RowContent::Command { outcome: CommandOutcome::Answered { .. }, clock_set, .. } => {
                Some(clock_set)
            }
            _ => None,
        });
        assert_eq!(unknown.collect::<Vec<_>>(), [expected, false]);
    }
}

#[test]
fn no_time_is_told_across_a_step_of_the_clock() {
    let step = || {
        let step = ClockStep::Back(ms(3_600_000));
        event(1, Side::Client, EventKind::ClockStep { step, noted: false })
    };
    // For each row with a command or its answer: its kind, and whether its time is not known.
    let marks = |rows: &mut RowBuilder| {
        let marks = std::iter::from_fn(|| rows.next()).filter_map(|row| match row.content {
            RowContent::Command { clock_set, .. } | RowContent::Other { clock_set, .. } => {
                Some((expected_kind(&row.content), clock_set))
            }
            _ => None,
        });
        marks.collect::<Vec<_>>()
    };
    let mut rows = RowBuilder::default();
    rows.take(frame(0, Side::Client, position()));
    rows.take(step());
    rows.take(frame(2, Side::Client, position().with_selector(2)));
    rows.take(frame(4_000, Side::Instrument, answer()));
    rows.take(frame(4_001, Side::Instrument, answer().with_selector(2)));
    rows.take(frame(4_002, Side::Instrument, idle()));
    let expected =
        [("silent", true), ("silent", false), ("late", true), ("late", false)].into_iter();
    assert_eq!(marks(&mut rows), expected.chain([("unsolicited", false)]).collect::<Vec<_>>());

    // The connection ends, or the recording does, or the command was shown before its answer.
    let mut rows = RowBuilder::default();
    rows.take(frame(0, Side::Client, position()));
    rows.take(step());
    rows.take(event(3, Side::Instrument, EventKind::Reset));
    assert_eq!(marks(&mut rows), [("silent", true)]);
    rows.take(frame(4, Side::Client, position()));
    rows.take(step());
    rows.end(ms(5));
    assert_eq!(marks(&mut rows), [("unfinished", true)]);
    let mut rows = RowBuilder::default();
    rows.take(frame(0, Side::Client, position()));
    ticks(&mut rows, 30);
    rows.take(step());
    rows.take(frame(3, Side::Instrument, answer()));
    assert_eq!(marks(&mut rows), [("open", false), ("solicited", true)]);
}

#[test]
fn commands_of_silent_connections_are_told_when_due() {
    let mut rows = RowBuilder::default();
    let on = |number, event| CaptureEvent {
        connection: ConnectionInfo { number, ..connection() },
        ..event
    };
    // A motion may take 120 s; the command after it on the same connection may not.
    let home = Frame::command(CommandCode::STAGE_HOME).with_selector(1);
    rows.take(on(2, frame(0, Side::Client, home)));
    for number in 2..=4 {
        rows.take(on(number, frame(number, Side::Client, position())));
    }
    rows.take(on(3, frame(5, Side::Instrument, answer())));
    let told = |rows: &mut RowBuilder, at| {
        rows.take(on(5, event(at, Side::Client, EventKind::Opened)));
        kinds(rows)
    };
    assert_eq!(told(&mut rows, 3_001), [""; 0]);
    rows.take(on(4, event(3_003, Side::Client, EventKind::Reset)));
    assert_eq!(rows.due_count(), 1, "only what waits is looked at");
    assert_eq!(told(&mut rows, 119_999), [""; 0]);
    let all = ["silent", "silent", "answered", "silent", "opened", "reset", "opened", "opened"];
    assert_eq!(told(&mut rows, 120_000), all);
    assert_eq!(rows.due_count(), 0);
}
