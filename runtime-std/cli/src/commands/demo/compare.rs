//! Compares what the client of the demo observed with what the simulator sent.

use std::sync::Arc;
use std::time::Duration;

use flamingo_protocol_core::{Class, CommandCode, Frame, wire::Selector};
use flamingo_runtime_std::{Answer, Event, EventFrame, Stats};
use flamingo_simulator::{TrueClass, TruthRecord};
use serde::Serialize;

use super::script::Happened;
use super::story::Ours;
use crate::output::{counted, milliseconds};
use flamingo_race::statistics::percentile;

/// What the client observed, in order.
#[derive(Default)]
pub(super) struct Observed {
    answers: Vec<(Frame, Answer)>,
    events: Vec<Arc<EventFrame>>,
    failures: Vec<String>,
    stats: Option<Stats>,
}

/// The JSON of the table at the end.
#[derive(Debug, Serialize)]
pub(super) struct SummaryJson {
    summary: bool,
    pub(super) requests: usize,
    pub(super) answers: usize,
    pub(super) late: u64,
    pub(super) timeouts: u64,
    /// Events that the client received.
    pub(super) events: usize,
    /// Events that the simulator sent between the first and the last answer.
    pub(super) events_sent: usize,
    pub(super) events_lost: usize,
    /// Answers of another command, and answers that were classified as events.
    pub(super) misattributed: usize,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    #[serde(skip)]
    first_failure: Option<String>,
}

impl SummaryJson {
    /// What went wrong, if anything did.
    pub(super) fn failure(&self) -> Option<String> {
        let Self { events_lost, events_sent, misattributed, .. } = self;
        if *events_lost > 0 {
            return Some(format!("{events_lost} of {} lost", counted(*events_sent, "event")));
        }
        if *misattributed > 0 {
            return Some(format!("{} classified wrongly", counted(*misattributed, "frame")));
        }
        self.first_failure.clone()
    }
}

impl Observed {
    pub(super) fn count(&mut self, happened: Happened) {
        match happened {
            Happened::Answered { request, answer } => self.answers.push((request, answer)),
            Happened::Failed { what, .. } => self.failures.push(what),
            Happened::Event(Event::Frame(event)) => self.events.push(event),
            Happened::Finished(stats) => self.stats = Some(stats),
            Happened::Moved { .. } | Happened::Event(_) => {}
        }
    }

    /// The numbers so far.
    pub(super) fn so_far(&self) -> Ours {
        let answers = self.answers.len();
        Ours { queries: answers + self.failures.len(), answers, events: self.events.len() }
    }

    /// Compares with the frames that the simulator sent on the only connection.
    pub(super) fn compare(&self, truth: &[TruthRecord]) -> SummaryJson {
        let (lost, sent, classified_as_events) = self.compare_events(truth);
        let core = self.stats.unwrap_or_default().counters;
        let latencies: Vec<Duration> =
            self.answers.iter().map(|(_, answer)| answer.elapsed).collect();
        let unfinished = self.stats.is_none().then(|| "the connection ended early".to_owned());
        SummaryJson {
            summary: true,
            requests: self.answers.len() + self.failures.len(),
            answers: self.answers.len(),
            late: core.late,
            timeouts: core.timed_out,
            events: self.events.iter().filter(|event| !is_solicited(event)).count(),
            events_sent: sent,
            events_lost: lost,
            misattributed: classified_as_events + self.wrong_answers(truth),
            p50_ms: percentile(&latencies, 50).map_or(0.0, milliseconds),
            p99_ms: percentile(&latencies, 99).map_or(0.0, milliseconds),
            first_failure: self.failures.first().cloned().or(unfinished),
        }
    }

    /// Events lost, events sent, answers classified as events.
    fn compare_events(&self, truth: &[TruthRecord]) -> (usize, usize, usize) {
        let window = window(truth);
        let mut sent: Vec<&TruthRecord> =
            truth.iter().filter(|record| record.truth == TrueClass::Unsolicited).collect();
        let (unsolicited, others): (Vec<_>, Vec<_>) =
            self.events.iter().partition(|event| matches!(event.class, Class::Unsolicited { .. }));
        let inside = |record: &&TruthRecord| window.contains(&record.sequence);
        let count = sent.iter().copied().filter(|record| inside(record)).count();

        // Events arrive in the order in which they were sent.
        let mut missed = Vec::new();
        let mut strangers = 0;
        for event in unsolicited {
            match sent.iter().position(|record| record.frame == event.frame) {
                Some(at) => missed.extend(sent.drain(..=at).take(at)),
                None => strangers += 1,
            }
        }
        missed.append(&mut sent);
        missed.retain(|record| inside(record));
        // An ambiguous event has arrived, too.
        for event in others {
            if let Some(at) = missed.iter().position(|record| record.frame == event.frame) {
                missed.remove(at);
            }
        }
        (missed.len(), count, strangers)
    }

    /// Answers with another code or selector than their request, or that were not sent as answers.
    fn wrong_answers(&self, truth: &[TruthRecord]) -> usize {
        let is_answer = |record: &&TruthRecord| record.truth != TrueClass::Unsolicited;
        let mut sent: Vec<&TruthRecord> = truth.iter().filter(is_answer).collect();
        let right = |(request, answer): &&(Frame, Answer)| {
            let found = sent.iter().position(|record| record.frame == answer.frame);
            found.map(|at| sent.remove(at)).is_some() && matches_request(&answer.frame, request)
        };
        self.answers.len() - self.answers.iter().filter(right).count()
    }
}

/// Whether the frame is a presumed answer, which subscribers receive, too.
fn is_solicited(event: &EventFrame) -> bool {
    matches!(event.class, Class::Solicited { .. })
}

/// Whether the code and, if the command has one, the selector (axis or laser) are those of the request.
fn matches_request(answer: &Frame, request: &Frame) -> bool {
    let selects = request.code.row().is_some_and(|row| row.selector != Selector::None);
    answer.code == request.code && (!selects || answer.selector() == request.selector())
}

/// From the second answer about the state to the last one. Before the second one there was no
/// subscription.
fn window(truth: &[TruthRecord]) -> std::ops::Range<u64> {
    let states: Vec<u64> = truth
        .iter()
        .filter(|record| record.truth != TrueClass::Unsolicited)
        .filter(|record| record.frame.code == CommandCode::SYSTEM_STATE_GET)
        .map(|record| record.sequence)
        .collect();
    match states.as_slice() {
        [_, first, .., last] => *first..*last,
        _ => 0..0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::SystemTime;

    use flamingo_protocol_core::time::Instant;
    use flamingo_runtime_std::Payload;

    const STATE: Frame = Frame::new(CommandCode::SYSTEM_STATE_GET);

    fn gauge(number: i32) -> Frame {
        Frame::new(CommandCode::UI_SET_GAUGE_VALUE).with_selector(number)
    }

    /// The record of a simulator that sent these state answers and gauges.
    fn truth(frames: &[Frame]) -> Vec<TruthRecord> {
        let record = |(index, frame): (usize, &Frame)| {
            let truth = if *frame == STATE {
                TrueClass::Answer { request: 1, late: false, duplicate: false }
            } else {
                TrueClass::Unsolicited
            };
            let connection = ([127, 0, 0, 1], 1).into();
            TruthRecord::new(connection, index as u64 + 1, *frame, truth, Instant::from_micros(0))
        };
        frames.iter().enumerate().map(record).collect()
    }

    fn observed(events: &[Frame], answers: usize) -> Observed {
        let event = |frame: &Frame| {
            Arc::new(EventFrame {
                frame: *frame,
                payload: Payload::default(),
                class: Class::Unsolicited { ours: false },
                at: SystemTime::UNIX_EPOCH,
                skipped: 0,
            })
        };
        let answer = Answer {
            frame: STATE,
            payload: Payload::default(),
            proven: true,
            outcome: flamingo_protocol_core::wire::Status::Success,
            at: SystemTime::UNIX_EPOCH,
            elapsed: Duration::from_millis(2),
        };
        Observed {
            answers: vec![(STATE, answer); answers],
            events: events.iter().map(event).collect(),
            failures: Vec::new(),
            stats: Some(Stats::default()),
        }
    }

    #[test]
    fn an_event_that_did_not_arrive_is_lost() {
        let sent = [STATE, gauge(1), STATE, gauge(2), gauge(3), gauge(3), STATE, gauge(4)];
        let all = observed(&[gauge(2), gauge(3), gauge(3), gauge(4)], 2).compare(&truth(&sent));
        assert_eq!((all.events_lost, all.events_sent, all.failure()), (0, 3, None));
        let one = observed(&[gauge(2), gauge(3), gauge(4)], 2).compare(&truth(&sent));
        assert_eq!(one.events_lost, 1);
        assert_eq!(one.failure().unwrap(), "1 of 3 events lost");
        let none = observed(&[], 2).compare(&truth(&sent));
        assert_eq!(none.events_lost, 3);
    }

    #[test]
    fn events_outside_the_first_and_last_answer_are_ignored() {
        let sent = [STATE, gauge(1), STATE, gauge(2), STATE, gauge(3)];
        let fewer = observed(&[gauge(2)], 2).compare(&truth(&sent));
        assert_eq!(fewer.events_lost, 0);
        let more = observed(&[gauge(1), gauge(2), gauge(3)], 2).compare(&truth(&sent));
        assert_eq!((more.events_lost, more.misattributed), (0, 0));
    }

    #[test]
    fn a_wrongly_classified_answer_or_event_is_misattributed() {
        let sent = [STATE, STATE, gauge(1), STATE];
        let swapped = observed(&[gauge(1), STATE], 3).compare(&truth(&sent));
        assert_eq!(swapped.misattributed, 1);
        let invented = observed(&[gauge(1)], 4).compare(&truth(&sent));
        assert_eq!(invented.misattributed, 1);
        assert!(invented.failure().is_some());
    }
}
