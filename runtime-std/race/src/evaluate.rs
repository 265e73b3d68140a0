//! Compares a run with the ground truth of the simulator: which answers were right, which events reached a handler, and
//! when. Nothing is run or printed here.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::time::Duration;

use flamingo_protocol_core::wire::Status;
use flamingo_protocol_core::{CommandCode, Frame, time::Instant, wire::FRAME_LEN};
use flamingo_simulator::{TrueClass, TruthRecord};
use serde::Serialize;

use super::load::{Asked, FIRST, MOTION, MOVED, Moved, Played, TIMEOUT};
use crate::statistics::{max, median};

/// The results of the queries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Answers {
    /// The caller got the answer to its query.
    pub(super) right: u64,
    /// The caller took an unsolicited message for the answer.
    pub(super) wrong: u64,
    /// The caller took the answer to an older query for the answer.
    pub(super) late_misattributed: u64,
    /// The caller got no answer, although the instrument answered in time, or never received the query.
    pub(super) lost: u64,
    /// The caller got no answer because the instrument was too late.
    pub(super) instrument_late: u64,
}

/// The results of the unsolicited messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Events {
    pub(super) sent: u64,
    /// A handler received them.
    pub(super) delivered: u64,
    /// No part of the program received them.
    pub(super) lost: u64,
    /// The caller took them for answers.
    pub(super) stolen_as_answers: u64,
    /// Answers that a handler received as events.
    pub(super) answers_handled: u64,
}

/// How the ends of the motions were noticed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Ends {
    /// The longest time from the end of a motion until it was noticed. `None`: no end was noticed.
    pub(super) worst: Option<Duration>,
    /// Ends noticed before they happened.
    pub(super) too_early: u64,
    /// Ends never noticed.
    pub(super) missed: u64,
}

/// The delay of events from the instrument to a handler.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Delays {
    pub(super) median: Option<Duration>,
    pub(super) max: Option<Duration>,
    /// The median of the events that were sent while the caller waited for the end of a motion.
    pub(super) median_in_motion: Option<Duration>,
    /// The maximum of the events that were sent while the caller waited for the end of a motion.
    pub(super) max_in_motion: Option<Duration>,
}

/// The evaluation of one run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Evaluation {
    pub(super) answers: Answers,
    pub(super) events: Events,
    pub(super) ends: Ends,
    pub(super) delays: Delays,
}

/// What was observed in one run.
pub(super) struct Observations<'a> {
    pub(super) played: &'a Played,
    /// The frames that handlers received, in order.
    pub(super) handled: &'a [(Instant, Frame)],
    pub(super) sent: &'a [TruthRecord],
    /// Events sent between these times must arrive.
    pub(super) span: (Instant, Instant),
}

/// Evaluates a run.
pub(super) fn evaluate(observed: &Observations<'_>) -> Evaluation {
    let answers = answers(observed);
    let (events, delays) = events(observed);
    Evaluation { answers, events, ends: ends(observed), delays }
}

fn answers(observed: &Observations<'_>) -> Answers {
    let numbered = observed.sent.iter().filter(|record| is_answer(record));
    let when: HashMap<i32, Instant> =
        numbered.map(|record| (record.frame.hardware_id, record.at)).collect();
    let mut answers = Answers::default();
    for asked in &observed.played.asked {
        *match outcome(asked, &when) {
            Outcome::Right => &mut answers.right,
            Outcome::Wrong => &mut answers.wrong,
            Outcome::Stale => &mut answers.late_misattributed,
            Outcome::Lost => &mut answers.lost,
            Outcome::InstrumentLate => &mut answers.instrument_late,
        } += 1;
    }
    answers
}

enum Outcome {
    Right,
    Wrong,
    Stale,
    Lost,
    InstrumentLate,
}

fn outcome(asked: &Asked, when: &HashMap<i32, Instant>) -> Outcome {
    let number = asked.command.hardware_id;
    match asked.answer {
        Some(answer) if answer.hardware_id == number && answer.code == asked.command.code => {
            Outcome::Right
        }
        Some(answer) if answer.hardware_id < FIRST => Outcome::Wrong,
        Some(_) => Outcome::Stale,
        None => match when.get(&number) {
            Some(at) if Duration::from(at.since(asked.at)) > TIMEOUT => Outcome::InstrumentLate,
            _ => Outcome::Lost,
        },
    }
}

fn is_answer(record: &TruthRecord) -> bool {
    matches!(record.truth, TrueClass::Answer { .. })
}

/// A frame is seen by a handler, or by the caller, which takes it for the answer. Of several frames with equal bytes it is
/// the last one sent before: earlier ones may have been lost.
fn events(observed: &Observations<'_>) -> (Events, Delays) {
    let mut unseen: HashMap<[u8; FRAME_LEN], Vec<&TruthRecord>> = HashMap::new();
    for record in observed.sent {
        unseen.entry(record.frame.encode()).or_default().push(record);
    }
    let (begin, end) = observed.span;
    let counts = |record: &TruthRecord| {
        record.truth == TrueClass::Unsolicited && record.at >= begin && record.at <= end
    };
    let waits: Vec<_> = observed.played.moved.iter().filter(|moved| moved.waited).collect();
    let in_motion = |at: Instant| {
        // A strategy that never notices the end gives up then.
        let end = |moved: &Moved| moved.noticed.unwrap_or(moved.asked + (MOTION + TIMEOUT).into());
        waits.iter().any(|moved| at >= moved.asked && at <= end(moved))
    };
    let sent = observed.sent.iter().filter(|record| counts(record)).count();
    let mut events = Events { sent: sent as u64, ..Events::default() };
    let (mut all, mut moving) = (Vec::new(), Vec::new());
    for Seen { at, frame, by_handler } in seen(observed) {
        let Some(equal) = unseen.get_mut(&frame.encode()) else { continue };
        let Some(last) = equal.iter().rposition(|record| record.at <= at) else { continue };
        let record = equal.remove(last);
        match (is_answer(record), by_handler) {
            // Answers to the strategy's own extra commands do not count.
            (true, true) => events.answers_handled += u64::from(frame.hardware_id >= FIRST),
            (false, false) => events.stolen_as_answers += u64::from(counts(record)),
            (false, true) if counts(record) => {
                let delay = Duration::from(at.since(record.at));
                events.delivered += 1;
                all.push(delay);
                if in_motion(record.at) {
                    moving.push(delay);
                }
            }
            _ => {}
        }
    }
    events.lost = events.sent.saturating_sub(events.delivered + events.stolen_as_answers);
    let delays = Delays {
        median: median(&all),
        max: max(&all),
        median_in_motion: median(&moving),
        max_in_motion: max(&moving),
    };
    (events, delays)
}

/// A frame that a handler or the caller received.
struct Seen {
    at: Instant,
    frame: Frame,
    /// Received by a handler; otherwise by the caller, as the answer.
    by_handler: bool,
}

/// All received frames, by time.
fn seen(observed: &Observations<'_>) -> Vec<Seen> {
    let handled = observed.handled.iter().map(|(at, frame)| (*at, *frame, true));
    let answers = observed
        .played
        .asked
        .iter()
        .filter_map(|asked| asked.answer.map(|frame| (asked.returned, frame, false)));
    let all = handled.chain(answers).map(|(at, frame, by_handler)| Seen { at, frame, by_handler });
    let mut all: Vec<_> = all.collect();
    all.sort_by_key(|seen| seen.at);
    all
}

fn ends(observed: &Observations<'_>) -> Ends {
    let mut ends = Ends::default();
    for moved in &observed.played.moved {
        let stop = observed.sent.iter().find(|record| {
            let frame = &record.frame;
            let stopped = frame.code == CommandCode::STAGE_MOTION_STOPPED;
            stopped
                && frame.selector() == MOVED
                && frame.outcome() == Status::Success
                && record.at > moved.begun
        });
        match (moved.noticed, stop) {
            (Some(noticed), Some(stop)) if noticed >= stop.at => {
                // The end cannot be noticed before the caller waits for it.
                let from = stop.at.max(moved.asked);
                let after = Duration::from(noticed.since(from));
                ends.worst = ends.worst.max(Some(after));
            }
            (Some(_), _) => ends.too_early += 1,
            (None, _) => ends.missed += 1,
        }
    }
    ends
}
