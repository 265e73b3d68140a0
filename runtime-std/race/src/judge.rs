//! What a strategy really did, by the simulator's ground truth: which answers were right, which
//! events reached a handler and when. Nothing is run here and nothing printed.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::time::Duration;

use flamingo_protocol_core::{CommandCode, FRAME_LEN, Frame, Instant};
use flamingo_simulator::{TrueClass, TruthRecord};
use serde::Serialize;

use super::load::{Asked, FIRST, MOTION, MOVED, Moved, Played, TIMEOUT};
use crate::statistics::{max, median};

/// What became of the queries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Answers {
    /// The answer to the question.
    pub(super) right: u64,
    /// A message that nobody asked for was taken for it.
    pub(super) wrong: u64,
    /// The answer to an older question was taken for it.
    pub(super) late_misattributed: u64,
    /// None, though the instrument answered in time, or was never asked.
    pub(super) lost: u64,
    /// None, and the instrument was too late indeed: no fault of the strategy.
    pub(super) instrument_late: u64,
}

/// What became of the messages that nobody asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Events {
    pub(super) sent: u64,
    /// A handler saw them.
    pub(super) delivered: u64,
    /// Nobody did.
    pub(super) lost: u64,
    /// They were taken for answers.
    pub(super) stolen_as_answers: u64,
    /// Answers that handlers saw as events.
    pub(super) answers_handled: u64,
}

/// What became of the motions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Ends {
    /// How long after the end it was noticed, at worst. `None`: it never was in time.
    pub(super) worst: Option<Duration>,
    /// Noticed before it was there.
    pub(super) too_early: u64,
    /// Never noticed.
    pub(super) missed: u64,
}

/// How long events took from the instrument to a handler.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Delays {
    pub(super) median: Option<Duration>,
    pub(super) max: Option<Duration>,
    /// The median of those that were sent while the caller waited for the end of a motion.
    pub(super) median_in_motion: Option<Duration>,
    /// The longest of those that were sent while the caller waited for the end of a motion.
    pub(super) max_in_motion: Option<Duration>,
}

/// The judgement on one run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Judgement {
    pub(super) answers: Answers,
    pub(super) events: Events,
    pub(super) ends: Ends,
    pub(super) delays: Delays,
}

/// What the judge has to go by.
pub(super) struct Evidence<'a> {
    pub(super) played: &'a Played,
    /// What handlers saw, in order.
    pub(super) handled: &'a [(Instant, Frame)],
    pub(super) sent: &'a [TruthRecord],
    /// From when to when what was sent counts as an event that must arrive.
    pub(super) span: (Instant, Instant),
}

/// Judges a run.
pub(super) fn judge(evidence: &Evidence<'_>) -> Judgement {
    let answers = answers(evidence);
    let (events, delays) = events(evidence);
    Judgement { answers, events, ends: ends(evidence), delays }
}

fn answers(evidence: &Evidence<'_>) -> Answers {
    let numbered = evidence.sent.iter().filter(|record| is_answer(record));
    let when: HashMap<i32, Instant> =
        numbered.map(|record| (record.frame.hardware_id, record.at)).collect();
    let mut answers = Answers::default();
    for asked in &evidence.played.asked {
        *match fate(asked, &when) {
            Fate::Right => &mut answers.right,
            Fate::Wrong => &mut answers.wrong,
            Fate::Stale => &mut answers.late_misattributed,
            Fate::Lost => &mut answers.lost,
            Fate::InstrumentLate => &mut answers.instrument_late,
        } += 1;
    }
    answers
}

enum Fate {
    Right,
    Wrong,
    Stale,
    Lost,
    InstrumentLate,
}

fn fate(asked: &Asked, when: &HashMap<i32, Instant>) -> Fate {
    let number = asked.command.hardware_id;
    match asked.answer {
        Some(answer) if answer.hardware_id == number && answer.code == asked.command.code => {
            Fate::Right
        }
        Some(answer) if answer.hardware_id < FIRST => Fate::Wrong,
        Some(_) => Fate::Stale,
        None => match when.get(&number) {
            Some(at) if Duration::from(at.since(asked.at)) > TIMEOUT => Fate::InstrumentLate,
            _ => Fate::Lost,
        },
    }
}

fn is_answer(record: &TruthRecord) -> bool {
    matches!(record.truth, TrueClass::Answer { .. })
}

/// A frame is seen by a handler, or by a caller who takes it for the answer. Of several that are
/// equal byte by byte it is the last one that had been sent: others may have been lost.
fn events(evidence: &Evidence<'_>) -> (Events, Delays) {
    let mut unseen: HashMap<[u8; FRAME_LEN], Vec<&TruthRecord>> = HashMap::new();
    for record in evidence.sent {
        unseen.entry(record.frame.encode()).or_default().push(record);
    }
    let (begin, end) = evidence.span;
    let counts = |record: &TruthRecord| {
        record.truth == TrueClass::Unsolicited && record.at >= begin && record.at <= end
    };
    let waits: Vec<_> = evidence.played.moved.iter().filter(|moved| moved.waited).collect();
    let in_motion = |at: Instant| {
        // Who never notices the end gives up then.
        let end = |moved: &Moved| moved.noticed.unwrap_or(moved.asked + (MOTION + TIMEOUT).into());
        waits.iter().any(|moved| at >= moved.asked && at <= end(moved))
    };
    let sent = evidence.sent.iter().filter(|record| counts(record)).count();
    let mut events = Events { sent: sent as u64, ..Events::default() };
    let (mut all, mut moving) = (Vec::new(), Vec::new());
    for Seen { at, frame, by_handler } in seen(evidence) {
        let Some(equal) = unseen.get_mut(&frame.encode()) else { continue };
        let Some(last) = equal.iter().rposition(|record| record.at <= at) else { continue };
        let record = equal.remove(last);
        match (is_answer(record), by_handler) {
            // One to a command of the strategy's own is nobody's loss.
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

/// A frame that somebody saw.
struct Seen {
    at: Instant,
    frame: Frame,
    /// Otherwise by the caller, as the answer.
    by_handler: bool,
}

/// What was seen, in order.
fn seen(evidence: &Evidence<'_>) -> Vec<Seen> {
    let handled = evidence.handled.iter().map(|(at, frame)| (*at, *frame, true));
    let answers = evidence
        .played
        .asked
        .iter()
        .filter_map(|asked| asked.answer.map(|frame| (asked.returned, frame, false)));
    let all = handled.chain(answers).map(|(at, frame, by_handler)| Seen { at, frame, by_handler });
    let mut all: Vec<_> = all.collect();
    all.sort_by_key(|seen| seen.at);
    all
}

fn ends(evidence: &Evidence<'_>) -> Ends {
    let mut ends = Ends::default();
    for moved in &evidence.played.moved {
        let stop = evidence.sent.iter().find(|record| {
            let frame = &record.frame;
            let stopped = frame.code == CommandCode::STAGE_MOTION_STOPPED;
            stopped && frame.selector() == MOVED && frame.status == 1 && record.at > moved.begun
        });
        match (moved.noticed, stop) {
            (Some(noticed), Some(stop)) if noticed >= stop.at => {
                // Nobody can notice it before it is asked for.
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
