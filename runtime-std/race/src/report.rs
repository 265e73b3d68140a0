//! The results as text, JSON and points of the plot: one row per run, one summary per strategy. Nothing is measured or
//! evaluated here.

#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::Serialize;

use super::evaluate::{Answers, Events};
use super::load::MOTION;
use super::plot::{Point, Series};
use super::run::Run;
use super::strategies::Kind;
use crate::statistics::interval;
use crate::statistics::milliseconds;

/// The header of each block of rows. Times are in ms, as measured.
pub(super) const HEADER: [&str; 2] = [
    "                  answers                   events                              \
     event delay             in motion      motion  extra   CPU  instrument",
    "strategy          right wrong stale  lost    sent deliv.  lost stolen as-ev.      \
     p50  x raw     max      p50     max     end  asked     %  must change",
];

/// With fewer events, a ratio of medians is not shown.
const ENOUGH: u64 = 100;

/// The JSON of a run.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    strategy: &'static str,
    rate: f64,
    queries: u64,
    #[serde(flatten)]
    answers: Answers,
    /// The percentage of answers that the caller did not get: wrong, stale and lost.
    missed_percent: f64,
    /// The 95 % interval of that percentage.
    missed_interval_percent: (f64, f64),
    events: Events,
    event_delay_p50_ms: Option<f64>,
    /// As a multiple of the delay of a thread that only receives, at the same rate.
    event_delay_p50_over_raw: Option<f64>,
    event_delay_max_ms: Option<f64>,
    event_delay_p50_in_motion_ms: Option<f64>,
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

/// The number of queries.
fn asked(answers: &Answers) -> u64 {
    let Answers { right, wrong, late_misattributed, lost, instrument_late } = answers;
    right + wrong + late_misattributed + lost + instrument_late
}

/// The number of answers that the caller did not get, although the instrument sent them in time.
fn missed(answers: &Answers) -> u64 {
    answers.wrong + answers.late_misattributed + answers.lost
}

#[allow(clippy::cast_precision_loss)] // a run has far fewer than 2^52 of anything
fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { 100.0 * part as f64 / whole as f64 }
}

fn in_percent((low, high): (f64, f64)) -> (f64, f64) {
    (100.0 * low, 100.0 * high)
}

/// The JSON of a run.
pub(super) fn row(run: &Run, raw: &Run) -> Row {
    let evaluation = &run.evaluation;
    let queries = asked(&evaluation.answers);
    let ms = |time: Option<Duration>| time.map(milliseconds);
    Row {
        strategy: run.kind.name(),
        rate: run.load.rate,
        queries,
        answers: evaluation.answers,
        missed_percent: percent(missed(&evaluation.answers), queries),
        missed_interval_percent: in_percent(interval(missed(&evaluation.answers), queries)),
        events: evaluation.events,
        event_delay_p50_ms: ms(evaluation.delays.median),
        event_delay_p50_over_raw: over(run, raw),
        event_delay_max_ms: ms(evaluation.delays.max),
        event_delay_p50_in_motion_ms: ms(evaluation.delays.median_in_motion),
        event_delay_max_in_motion_ms: ms(evaluation.delays.max_in_motion),
        motion_end_noticed_after_ms: ms(evaluation.ends.worst),
        motion_ends_too_early: evaluation.ends.too_early,
        motion_ends_missed: evaluation.ends.missed,
        extra_commands: run.extra_commands,
        cpu_percent: run.cpu_percent,
        instrument_must_change: run.kind.must_change(),
        dropped_by_instrument: run.dropped,
        seconds: run.time.as_secs_f64(),
    }
}

/// The median delay as a multiple of that of a thread that only receives, if there are enough events.
fn over(run: &Run, raw: &Run) -> Option<f64> {
    if run.evaluation.events.delivered < ENOUGH {
        return None;
    }
    let own = run.evaluation.delays.median?.as_secs_f64();
    Some(own / raw.evaluation.delays.median?.as_secs_f64().max(1e-6))
}

/// The text of a run.
pub(super) fn line(run: &Run, raw: &Run) -> String {
    let evaluation = &run.evaluation;
    let ms = |time: Option<Duration>| {
        time.map_or_else(|| "-".to_owned(), |time| format!("{:.3}", milliseconds(time)))
    };
    let number = |number: Option<f64>, places: usize| {
        number.map_or_else(|| "-".to_owned(), |number| format!("{number:.places$}"))
    };
    let end = match (evaluation.ends.too_early, evaluation.ends.missed) {
        (0, 0) => ms(evaluation.ends.worst),
        (0, _) => "missed".to_owned(),
        _ => "early".to_owned(),
    };
    let Answers { right, wrong, late_misattributed, lost, .. } = evaluation.answers;
    let Events { sent, delivered, lost: unseen, stolen_as_answers, answers_handled } =
        evaluation.events;
    let counted = [right, wrong, late_misattributed, lost];
    let heard = [sent, delivered, unseen, stolen_as_answers, answers_handled];
    let text = |numbers: &[u64], widths: &[usize]| {
        let cells = numbers.iter().zip(widths).map(|(number, width)| format!(" {number:>width$}"));
        cells.collect::<String>()
    };
    let [answers, events] = [text(&counted, &[5, 5, 5, 5]), text(&heard, &[6, 6, 5, 6, 6])];
    // `raw` is for comparison only: of its figures, only the delays count.
    let (answers, events) = if run.kind == Kind::Raw {
        (format!("{:24}", ""), format!("{}{:20}", text(&heard[..2], &[6, 6]), ""))
    } else {
        (answers, events)
    };
    let dropped = if run.dropped { "; dropped: it did not read" } else { "" };
    format!(
        "{:<16} {answers} {events} {:>8} {:>6} {:>7} {:>8} {:>7} {:>7} {:>6} {:>5}  {}{dropped}",
        run.kind.name(),
        ms(evaluation.delays.median),
        number(over(run, raw), 1),
        ms(evaluation.delays.max),
        ms(evaluation.delays.median_in_motion),
        ms(evaluation.delays.max_in_motion),
        end,
        run.extra_commands,
        number(run.cpu_percent, 0),
        run.kind.must_change(),
    )
}

/// The summary of a strategy over all rates.
#[derive(Debug, Serialize)]
pub(super) struct StrategySummary {
    strategy: &'static str,
    option: &'static str,
    says: String,
    /// The rates at which the caller missed answers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    answers_missed: Vec<Missed>,
    /// If no answer was missed: the upper end of the 95 % interval, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    answers_missed_at_most_percent: Option<f64>,
}

/// The answers that the caller missed at one rate, although the instrument sent them in time.
#[derive(Debug, Clone, Copy, Serialize)]
struct Missed {
    rate: f64,
    percent: f64,
    /// The 95 % interval.
    interval_percent: (f64, f64),
    timed_out: u64,
    given_to_handlers: u64,
}

/// Summarises all runs of a strategy.
pub(super) fn summary(kind: Kind, runs: &[&Run]) -> StrategySummary {
    let mut faults: Vec<String> = faults(runs);
    let of = runs.iter().map(|run| asked(&run.evaluation.answers)).sum();
    let answers_missed_at_most_percent = faults.is_empty().then(|| 100.0 * interval(0, of).1);
    if faults.is_empty() {
        faults.push("nothing wrong, nothing lost".to_owned());
    }
    let missed = runs.iter().filter_map(|run| {
        let answers = &run.evaluation.answers;
        let (missed, of) = (missed(answers), asked(answers));
        (missed > 0).then(|| Missed {
            rate: run.load.rate,
            percent: percent(missed, of),
            interval_percent: in_percent(interval(missed, of)),
            timed_out: answers.lost,
            given_to_handlers: run.evaluation.events.answers_handled,
        })
    });
    StrategySummary {
        strategy: kind.name(),
        option: kind.option(),
        says: faults.join("; "),
        answers_missed: missed.collect(),
        answers_missed_at_most_percent,
    }
}

fn faults(runs: &[&Run]) -> Vec<String> {
    let worst =
        |figure: &dyn Fn(&Run) -> f64| runs.iter().map(|run| figure(run)).fold(0.0, f64::max);
    let of_answers = |part: fn(&Answers) -> u64| {
        worst(&|run| percent(part(&run.evaluation.answers), asked(&run.evaluation.answers)))
    };
    let of_events = |part: fn(&Events) -> u64| {
        worst(&|run| percent(part(&run.evaluation.events), run.evaluation.events.sent))
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
        .map(|(does, percent, what)| format!("{does} up to {} % {what}", share(*percent)))
        .collect();
    let as_events = worst(&|run| {
        let events = &run.evaluation.events;
        percent(events.answers_handled, asked(&run.evaluation.answers))
    });
    if as_events > 0.0 {
        let share = share(as_events);
        faults.push(format!("handles up to {share} % of the answers as events"));
    }
    let in_motion = runs.iter().filter_map(|run| run.evaluation.delays.max_in_motion).max();
    if let Some(delay) = in_motion.filter(|delay| *delay > MOTION / 2) {
        let (delay, motion) = (milliseconds(delay), milliseconds(MOTION));
        faults.push(format!(
            "delays events by up to {delay:.0} ms while the caller waits for a motion of \
             {motion:.0} ms"
        ));
    }
    let missed: u64 = runs.iter().map(|run| run.evaluation.ends.missed).sum();
    let early: u64 = runs.iter().map(|run| run.evaluation.ends.too_early).sum();
    let motions = 2 * runs.len();
    for (number, what) in [(missed, "misses"), (early, "reports too early")] {
        if number > 0 {
            faults.push(format!("{what} the end of {number} of {motions} motions"));
        }
    }
    faults
}

/// The text of a percentage above 0, which is never 0.
fn share(percent: f64) -> String {
    let places = if percent < 0.1 { 3 } else { 1 };
    format!("{percent:.places$}")
}

/// The text of a summary.
pub(super) fn summary_text(summary: &StrategySummary) -> String {
    let StrategySummary { strategy, option, says, answers_missed, answers_missed_at_most_percent } =
        summary;
    let mut lines = vec![format!("{strategy:<16}  {says} ({option})")];
    lines.extend(answers_missed.iter().map(|missed| {
        let Missed { rate, percent, interval_percent: (low, high), timed_out, given_to_handlers } =
            missed;
        format!(
            "{:<16}  at {rate}/s the caller missed {percent:.1} % of its answers, 95 % interval \
             {low:.1} to {high:.1} %; {timed_out} timed out, {given_to_handlers} went to handlers",
            ""
        )
    }));
    lines.extend(answers_missed_at_most_percent.map(|most| {
        let empty = "";
        format!("{empty:<16}  with this number of queries, at most {most:.2} % of the answers are missed (95 % interval)")
    }));
    lines.join("\n")
}

/// The points of a strategy in the plot.
pub(super) fn series(kind: Kind, runs: &[&Run]) -> Series {
    let points = runs.iter().map(|run| {
        let evaluation = &run.evaluation;
        let (bad, of) = (missed(&evaluation.answers), asked(&evaluation.answers));
        let (low, high) = in_percent(interval(bad, of));
        Point {
            rate: run.load.rate,
            wrong_or_lost_percent: percent(bad, of),
            low,
            high,
            event_delay_p50_ms: evaluation.delays.median.map(milliseconds),
            event_delay_max_ms: evaluation.delays.max.map(milliseconds),
        }
    });
    Series { name: kind.name(), points: points.collect() }
}
