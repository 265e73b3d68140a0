use flamingo_simulator::TruthRecord;

use super::super::load::Moved;
use super::*;

const EVENT: CommandCode = CommandCode::STAGE_MOTION_STOPPED;
const QUERY: CommandCode = CommandCode::STAGE_POSITION_GET;

fn at(millis: u64) -> Instant {
    Instant::from_micros(1000 * millis)
}

fn millis(number: u64) -> Duration {
    Duration::from_millis(number)
}

/// The n-th question of the load, or the answer to it.
fn numbered(nth: i32) -> Frame {
    Frame { hardware_id: FIRST + nth, ..Frame::command(QUERY) }
}

/// An unsolicited message. Messages with the same number are equal.
fn push(number: i32) -> Frame {
    Frame { client_id: number, ..Frame::new(QUERY) }
}

fn stopped(axis: i32) -> Frame {
    Frame { status: 1, ..Frame::new(EVENT).with_selector(axis) }
}

fn record(millis: u64, frame: Frame, truth: TrueClass) -> TruthRecord {
    let connection = ([127, 0, 0, 1], 1).into();
    TruthRecord::new(connection, 0, frame, truth, at(millis))
}

/// A run: what the instrument sent, what was asked and what handlers saw, all in ms.
#[derive(Default)]
struct Run {
    played: Played,
    handled: Vec<(Instant, Frame)>,
    sent: Vec<TruthRecord>,
}

impl Run {
    fn sends(mut self, millis: u64, frame: Frame) -> Self {
        let truth = if frame.hardware_id == 0 {
            TrueClass::Unsolicited
        } else {
            TrueClass::Answer { request: 1, late: false, duplicate: false }
        };
        self.sent.push(record(millis, frame, truth));
        self
    }

    /// The n-th question, and what was taken for its answer.
    fn asks(mut self, nth: i32, asked: u64, answer: Option<Frame>, returned: u64) -> Self {
        let (asked, returned) = (at(asked), at(returned));
        self.played.asked.push(Asked { command: numbered(nth), at: asked, answer, returned });
        self
    }

    fn handles(mut self, millis: u64, frame: Frame) -> Self {
        self.handled.push((at(millis), frame));
        self
    }

    fn moves(mut self, begun: u64, waited: bool, asked: u64, noticed: Option<u64>) -> Self {
        let (begun, asked, noticed) = (at(begun), at(asked), noticed.map(at));
        self.played.moved.push(Moved { begun, waited, asked, noticed });
        self
    }

    fn evaluated(&self) -> Evaluation {
        let Self { played, handled, sent } = self;
        evaluate(&Observations { played, handled, sent, span: (at(0), at(1000)) })
    }
}

#[test]
fn the_answer_with_the_number_of_the_query_is_right() {
    let run = Run::default().sends(2, numbered(0)).asks(0, 1, Some(numbered(0)), 3);
    assert_eq!(run.evaluated().answers, Answers { right: 1, ..Answers::default() });
}

#[test]
fn a_push_taken_for_the_answer_is_wrong_and_stolen() {
    let run = Run::default().sends(2, push(7)).sends(3, numbered(0)).asks(0, 1, Some(push(7)), 4);
    let evaluated = run.evaluated();
    assert_eq!(evaluated.answers, Answers { wrong: 1, ..Answers::default() });
    assert_eq!(evaluated.events, Events { sent: 1, stolen_as_answers: 1, ..Events::default() });
}

#[test]
fn the_answer_to_an_older_query_is_late_misattributed() {
    let run = Run::default().sends(200, numbered(0)).asks(0, 1, None, 121).asks(
        1,
        199,
        Some(numbered(0)),
        201,
    );
    let evaluated = run.evaluated();
    let expected = Answers { instrument_late: 1, late_misattributed: 1, ..Answers::default() };
    assert_eq!((evaluated.answers, evaluated.events), (expected, Events::default()));
}

#[test]
fn the_right_number_under_another_code_is_not_the_answer() {
    let other = Frame { code: EVENT, ..numbered(0) };
    let run = Run::default().sends(2, numbered(0)).asks(0, 1, Some(other), 3);
    assert_eq!(run.evaluated().answers, Answers { late_misattributed: 1, ..Answers::default() });
}

#[test]
fn a_missing_answer_is_lost_if_the_instrument_was_in_time() {
    let timeout = u64::try_from(TIMEOUT.as_millis()).unwrap();
    let lost = Answers { lost: 1, ..Answers::default() };
    let late = Answers { instrument_late: 1, ..Answers::default() };
    for (sent, expected) in [(1 + timeout, lost), (2 + timeout, late)] {
        let run = Run::default().sends(sent, numbered(0)).asks(0, 1, None, 1 + timeout);
        assert_eq!(run.evaluated().answers, expected, "{sent}");
    }
    let never_asked = Run::default().asks(0, 1, None, 1 + timeout);
    assert_eq!(never_asked.evaluated().answers, lost);
}

#[test]
fn a_push_with_the_number_of_a_query_is_not_its_answer() {
    let mut run = Run::default().asks(0, 1, None, 500);
    run.sent.push(record(400, numbered(0), TrueClass::Unsolicited));
    assert_eq!(run.evaluated().answers, Answers { lost: 1, ..Answers::default() });
}

#[test]
fn every_event_is_delivered_or_lost_or_stolen() {
    let run = Run::default()
        .sends(1, push(1))
        .sends(2, push(2))
        .sends(3, push(3))
        .handles(4, push(1))
        .asks(0, 2, Some(push(2)), 5);
    let expected =
        Events { sent: 3, delivered: 1, lost: 1, stolen_as_answers: 1, answers_handled: 0 };
    assert_eq!(run.evaluated().events, expected);
}

#[test]
fn an_event_in_two_handlers_is_delivered_once() {
    let run = Run::default().sends(1, push(1)).handles(2, push(1)).handles(3, push(1));
    assert_eq!(run.evaluated().events, Events { sent: 1, delivered: 1, ..Events::default() });
}

#[test]
fn answers_to_extra_commands_are_not_counted_as_handled() {
    let own = Frame { hardware_id: 9, ..Frame::command(QUERY) };
    let run = Run::default()
        .sends(1, numbered(0))
        .sends(2, own)
        .handles(3, numbered(0))
        .handles(4, own)
        .asks(0, 0, None, 120);
    let evaluated = run.evaluated();
    assert_eq!(evaluated.events, Events { answers_handled: 1, ..Events::default() });
    assert_eq!(evaluated.answers, Answers { lost: 1, ..Answers::default() });
    assert_eq!(evaluated.delays, Delays::default(), "they are no events");
}

#[test]
fn of_equal_frames_the_last_one_sent_is_the_one_received() {
    let run = Run::default()
        .sends(10, push(1))
        .sends(20, push(1))
        .sends(30, push(1))
        .handles(21, push(1));
    let evaluated = run.evaluated();
    assert_eq!(evaluated.events, Events { sent: 3, delivered: 1, lost: 2, ..Events::default() });
    assert_eq!(evaluated.delays.max, Some(millis(1)));
}

#[test]
fn equal_frames_that_all_arrive_are_all_delivered() {
    let run = Run::default()
        .sends(10, push(1))
        .sends(20, push(1))
        .handles(21, push(1))
        .handles(22, push(1));
    assert_eq!(run.evaluated().events, Events { sent: 2, delivered: 2, ..Events::default() });
}

#[test]
fn a_frame_received_before_it_was_sent_does_not_count() {
    let run = Run::default().sends(10, push(1)).handles(9, push(1)).handles(9, push(2));
    assert_eq!(run.evaluated().events, Events { sent: 1, lost: 1, ..Events::default() });
}

#[test]
fn events_outside_the_span_count_for_nothing() {
    let mut run = Run::default()
        .sends(1, push(1))
        .sends(5, push(2))
        .sends(6, push(3))
        .handles(4, push(1))
        .asks(0, 0, Some(push(3)), 8);
    let evaluated = |run: &Run, begin, end| {
        let Run { played, handled, sent } = run;
        evaluate(&Observations { played, handled, sent, span: (at(begin), at(end)) })
    };
    assert_eq!(evaluated(&run, 2, 4).events, Events::default());
    assert_eq!(evaluated(&run, 2, 4).delays, Delays::default());
    assert_eq!(evaluated(&run, 1, 5).events.sent, 2, "both ends belong to it");
    run = run.handles(900, push(2));
    let late = evaluated(&run, 1, 5).events;
    assert_eq!((late.delivered, late.lost), (2, 0), "one may arrive after the end");
}

#[test]
fn delays_are_those_of_delivered_events() {
    let run = Run::default()
        .sends(10, push(1))
        .sends(20, push(2))
        .sends(30, push(3))
        .sends(40, push(4))
        .handles(11, push(1))
        .handles(23, push(2))
        .handles(39, push(3))
        .asks(0, 35, Some(push(4)), 90);
    let expected = Delays { median: Some(millis(3)), max: Some(millis(9)), ..Delays::default() };
    assert_eq!(run.evaluated().delays, expected);
}

#[test]
fn in_motion_counts_what_was_sent_while_the_caller_only_waited() {
    let run = Run::default()
        .sends(90, push(1))
        .sends(100, push(2))
        .sends(200, push(3))
        .sends(201, push(4))
        .sends(310, push(5))
        .handles(150, push(1))
        .handles(107, push(2))
        .handles(205, push(3))
        .handles(290, push(4))
        .handles(350, push(5))
        .moves(80, true, 100, Some(200))
        .moves(300, false, 305, Some(320));
    let delays = run.evaluated().delays;
    assert_eq!((delays.max, delays.max_in_motion), (Some(millis(89)), Some(millis(7))));
}

#[test]
fn the_worst_delay_of_a_noticed_end_is_kept() {
    let run = Run::default()
        .sends(110, stopped(MOVED))
        .sends(210, stopped(MOVED))
        .moves(10, true, 11, Some(115))
        .moves(120, true, 121, Some(212));
    assert_eq!(run.evaluated().ends, Ends { worst: Some(millis(5)), ..Ends::default() });
}

#[test]
fn an_end_counts_from_the_start_of_the_wait() {
    let run = Run::default().sends(110, stopped(MOVED)).moves(10, false, 150, Some(153));
    assert_eq!(run.evaluated().ends.worst, Some(millis(3)));
}

#[test]
fn an_end_noticed_before_it_happened_is_too_early() {
    let early = Ends { too_early: 1, ..Ends::default() };
    let before = Run::default().sends(110, stopped(MOVED)).moves(10, true, 11, Some(109));
    let of_the_motion_before =
        Run::default().sends(9, stopped(MOVED)).moves(10, true, 11, Some(12));
    let of_another_axis =
        Run::default().sends(50, stopped(MOVED + 1)).moves(10, true, 11, Some(51));
    let failed = Frame { status: 0, ..stopped(MOVED) };
    let of_none = Run::default().sends(50, failed).moves(10, true, 11, Some(51));
    for run in [before, of_the_motion_before, of_another_axis, of_none] {
        assert_eq!(run.evaluated().ends, early);
    }
}

#[test]
fn an_end_that_was_never_noticed_is_missed() {
    let run = Run::default()
        .sends(110, stopped(MOVED))
        .moves(10, true, 11, None)
        .moves(120, true, 121, None);
    assert_eq!(run.evaluated().ends, Ends { missed: 2, ..Ends::default() });
}
