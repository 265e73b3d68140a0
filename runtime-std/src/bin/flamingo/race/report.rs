//! What is said about the runs: a row of the table each, the verdict on each strategy, and the
//! points of the plot. Nothing is measured or decided here.

use std::time::Duration;

use serde::Serialize;

use super::heat::Heat;
use super::judge::{Answers, Events};
use super::load::MOTION;
use super::plot::{Point, Series};
use super::statistics::interval;
use super::strategies::Kind;
use crate::output::milliseconds;

/// Above every block of rows. Times are measured ones, in ms.
pub(super) const HEADER: &str = "\
                    answers                   events                                  event delay             \
 motion   extra   CPU\n\
strategy          right wrong stale  lost    sent deliv.   lost stolen as-ev.   p50    max in motion\
    end  asked     %  instrument must change";

/// A row as JSON.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    strategy: &'static str,
    rate: f64,
    queries: u64,
    #[serde(flatten)]
    answers: Answers,
    lost_percent: f64,
    /// Of the proportion, at 95 %.
    lost_interval_percent: (f64, f64),
    events: Events,
    event_delay_p50_ms: Option<f64>,
    event_delay_max_ms: Option<f64>,
    event_delay_max_in_motion_ms: Option<f64>,
    motion_end_noticed_after_ms: Option<f64>,
    motion_ends_too_early: u64,
    motion_ends_missed: u64,
    extra_commands: usize,
    cpu_percent: Option<f64>,
    instrument_must_change: &'static str,
    dropped_by_instrument: bool,
    seconds: f64,
}

/// How many were asked.
fn asked(answers: &Answers) -> u64 {
    let Answers { right, wrong, late_misattributed, lost, instrument_late } = answers;
    right + wrong + late_misattributed + lost + instrument_late
}

#[allow(clippy::cast_precision_loss)] // a run has far fewer than 2^52 of anything
fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { 100.0 * part as f64 / whole as f64 }
}

fn in_percent((low, high): (f64, f64)) -> (f64, f64) {
    (100.0 * low, 100.0 * high)
}

/// The JSON of a run.
pub(super) fn row(heat: &Heat) -> Row {
    let judgement = &heat.judgement;
    let queries = asked(&judgement.answers);
    let ms = |time: Option<Duration>| time.map(milliseconds);
    Row {
        strategy: heat.kind.name(),
        rate: heat.load.rate,
        queries,
        answers: judgement.answers,
        lost_percent: percent(judgement.answers.lost, queries),
        lost_interval_percent: in_percent(interval(judgement.answers.lost, queries)),
        events: judgement.events,
        event_delay_p50_ms: ms(judgement.delays.median),
        event_delay_max_ms: ms(judgement.delays.max),
        event_delay_max_in_motion_ms: ms(judgement.delays.max_in_motion),
        motion_end_noticed_after_ms: ms(judgement.ends.worst),
        motion_ends_too_early: judgement.ends.too_early,
        motion_ends_missed: judgement.ends.missed,
        extra_commands: heat.extra_commands,
        cpu_percent: heat.cpu_percent,
        instrument_must_change: heat.kind.must_change(),
        dropped_by_instrument: heat.dropped,
        seconds: heat.time.as_secs_f64(),
    }
}

/// The same for people.
pub(super) fn line(heat: &Heat) -> String {
    let judgement = &heat.judgement;
    let (answers, events) = (&judgement.answers, &judgement.events);
    let ms = |time: Option<Duration>| {
        time.map_or_else(|| "-".to_owned(), |time| format!("{:.2}", milliseconds(time)))
    };
    let end = match (judgement.ends.too_early, judgement.ends.missed) {
        (0, 0) => ms(judgement.ends.worst),
        (0, _) => "missed".to_owned(),
        _ => "early".to_owned(),
    };
    let cpu = heat.cpu_percent.map_or_else(|| "-".to_owned(), |cpu| format!("{cpu:.0}"));
    let dropped = if heat.dropped { "; dropped: it did not read" } else { "" };
    format!(
        "{:<16} {:>6} {:>5} {:>5} {:>5}  {:>6} {:>6} {:>6} {:>6} {:>6} {:>5} {:>6} {:>9} {:>6} {:>6} {:>5}  {}{dropped}",
        heat.kind.name(),
        answers.right,
        answers.wrong,
        answers.late_misattributed,
        answers.lost,
        events.sent,
        events.delivered,
        events.lost,
        events.stolen_as_answers,
        events.answers_handled,
        ms(judgement.delays.median),
        ms(judgement.delays.max),
        ms(judgement.delays.max_in_motion),
        end,
        heat.extra_commands,
        cpu,
        heat.kind.must_change(),
    )
}

/// What is to be said of a strategy, over all rates.
#[derive(Debug, Serialize)]
pub(super) struct Verdict {
    strategy: &'static str,
    option: &'static str,
    says: String,
    /// Of each rate, the answers lost in per cent with the 95 % interval.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    lost: Vec<Lost>,
}

/// Answers that were lost at a rate.
#[derive(Debug, Clone, Copy, Serialize)]
struct Lost {
    rate: f64,
    percent: f64,
    interval_percent: (f64, f64),
}

/// Judges a strategy by all of its runs.
pub(super) fn verdict(kind: Kind, heats: &[&Heat]) -> Verdict {
    let mut faults: Vec<String> = faults(heats);
    if faults.is_empty() {
        faults.push("nothing wrong, nothing lost".to_owned());
    }
    let lost = heats.iter().filter(|heat| heat.judgement.answers.lost > 0).map(|heat| {
        let answers = &heat.judgement.answers;
        let of = asked(answers);
        Lost {
            rate: heat.load.rate,
            percent: percent(answers.lost, of),
            interval_percent: in_percent(interval(answers.lost, of)),
        }
    });
    Verdict {
        strategy: kind.name(),
        option: kind.option(),
        says: faults.join("; "),
        lost: lost.collect(),
    }
}

fn faults(heats: &[&Heat]) -> Vec<String> {
    let worst =
        |figure: &dyn Fn(&Heat) -> f64| heats.iter().map(|heat| figure(heat)).fold(0.0, f64::max);
    let of_answers = |part: fn(&Answers) -> u64| {
        worst(&|heat| percent(part(&heat.judgement.answers), asked(&heat.judgement.answers)))
    };
    let of_events = |part: fn(&Events) -> u64| {
        worst(&|heat| percent(part(&heat.judgement.events), heat.judgement.events.sent))
    };
    let figures = [
        ("loses", of_answers(|answers| answers.lost), "of the answers"),
        ("takes a push for the answer in", of_answers(|answers| answers.wrong), "of the queries"),
        (
            "gives the answer to an older question in",
            of_answers(|answers| answers.late_misattributed),
            "of the queries",
        ),
        ("loses", of_events(|events| events.lost), "of the events"),
    ];
    let mut faults: Vec<_> = figures
        .iter()
        .filter(|(_, percent, _)| *percent > 0.0)
        .map(|(does, percent, what)| format!("{does} up to {percent:.1} % {what}"))
        .collect();
    let as_events = worst(&|heat| {
        let events = &heat.judgement.events;
        percent(events.answers_handled, asked(&heat.judgement.answers))
    });
    if as_events > 0.0 {
        faults.push(format!("handles up to {as_events:.1} % of the answers as events"));
    }
    let in_motion = heats.iter().filter_map(|heat| heat.judgement.delays.max_in_motion).max();
    if let Some(delay) = in_motion.filter(|delay| *delay > MOTION / 2) {
        let (delay, motion) = (milliseconds(delay), milliseconds(MOTION));
        faults.push(format!(
            "keeps events from their handlers for up to {delay:.0} ms while a motion of \
             {motion:.0} ms is waited for"
        ));
    }
    let missed: u64 = heats.iter().map(|heat| heat.judgement.ends.missed).sum();
    let early: u64 = heats.iter().map(|heat| heat.judgement.ends.too_early).sum();
    let motions = 2 * heats.len();
    for (number, what) in [(missed, "misses"), (early, "announces too early")] {
        if number > 0 {
            faults.push(format!("{what} the end of {number} of {motions} motions"));
        }
    }
    faults
}

/// A verdict for people.
pub(super) fn verdict_text(verdict: &Verdict) -> String {
    let Verdict { strategy, option, says, lost } = verdict;
    let mut lines = vec![format!("{strategy:<16} {says} ({option})")];
    lines.extend(lost.iter().map(|Lost { rate, percent, interval_percent: (low, high) }| {
        format!(
            "{:<16}   at {rate}/s: {percent:.1} % of the answers lost, 95 % interval {low:.1} to \
             {high:.1} %",
            ""
        )
    }));
    lines.join("\n")
}

/// What is drawn of a strategy.
pub(super) fn series(kind: Kind, heats: &[&Heat]) -> Series {
    let points = heats.iter().map(|heat| {
        let judgement = &heat.judgement;
        let Answers { wrong, late_misattributed, lost, .. } = judgement.answers;
        let (bad, of) = (wrong + late_misattributed + lost, asked(&judgement.answers));
        let (low, high) = in_percent(interval(bad, of));
        Point {
            rate: heat.load.rate,
            wrong_or_lost_percent: percent(bad, of),
            low,
            high,
            event_delay_p50_ms: judgement.delays.median.map(milliseconds),
            event_delay_max_ms: judgement.delays.max.map(milliseconds),
        }
    });
    Series { name: kind.name(), points: points.collect() }
}
