//! What is said about the runs: a row of the table each, the verdict on each strategy, and the
//! points of the plot. Nothing is measured or decided here.

#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::Serialize;

use super::heat::Heat;
use super::judge::{Answers, Events};
use super::load::MOTION;
use super::plot::{Point, Series};
use super::strategies::Kind;
use crate::statistics::interval;
use crate::statistics::milliseconds;

/// Above every block of rows. Times are measured ones, in ms.
pub(super) const HEADER: [&str; 2] = [
    "                  answers                   events                              \
     event delay             in motion      motion  extra   CPU  instrument",
    "strategy          right wrong stale  lost    sent deliv.  lost stolen as-ev.      \
     p50  x raw     max      p50     max     end  asked     %  must change",
];

/// From so many events on, a median says something.
const ENOUGH: u64 = 100;

/// A row as JSON.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    strategy: &'static str,
    rate: f64,
    queries: u64,
    #[serde(flatten)]
    answers: Answers,
    /// Answers that their caller did not get: wrong, stale and lost ones.
    missed_percent: f64,
    /// Of that proportion, at 95 %.
    missed_interval_percent: (f64, f64),
    events: Events,
    event_delay_p50_ms: Option<f64>,
    /// In multiples of what a thread that only receives measured at the same rate.
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

/// How many were asked.
fn asked(answers: &Answers) -> u64 {
    let Answers { right, wrong, late_misattributed, lost, instrument_late } = answers;
    right + wrong + late_misattributed + lost + instrument_late
}

/// Answers that their caller did not get, though the instrument gave them in time.
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
pub(super) fn row(heat: &Heat, raw: &Heat) -> Row {
    let judgement = &heat.judgement;
    let queries = asked(&judgement.answers);
    let ms = |time: Option<Duration>| time.map(milliseconds);
    Row {
        strategy: heat.kind.name(),
        rate: heat.load.rate,
        queries,
        answers: judgement.answers,
        missed_percent: percent(missed(&judgement.answers), queries),
        missed_interval_percent: in_percent(interval(missed(&judgement.answers), queries)),
        events: judgement.events,
        event_delay_p50_ms: ms(judgement.delays.median),
        event_delay_p50_over_raw: over(heat, raw),
        event_delay_max_ms: ms(judgement.delays.max),
        event_delay_p50_in_motion_ms: ms(judgement.delays.median_in_motion),
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

/// How many times as long as with a thread that only receives, if there is enough to tell.
fn over(heat: &Heat, raw: &Heat) -> Option<f64> {
    if heat.judgement.events.delivered < ENOUGH {
        return None;
    }
    let own = heat.judgement.delays.median?.as_secs_f64();
    Some(own / raw.judgement.delays.median?.as_secs_f64().max(1e-6))
}

/// The same for people.
pub(super) fn line(heat: &Heat, raw: &Heat) -> String {
    let judgement = &heat.judgement;
    let ms = |time: Option<Duration>| {
        time.map_or_else(|| "-".to_owned(), |time| format!("{:.3}", milliseconds(time)))
    };
    let number = |number: Option<f64>, places: usize| {
        number.map_or_else(|| "-".to_owned(), |number| format!("{number:.places$}"))
    };
    let end = match (judgement.ends.too_early, judgement.ends.missed) {
        (0, 0) => ms(judgement.ends.worst),
        (0, _) => "missed".to_owned(),
        _ => "early".to_owned(),
    };
    let Answers { right, wrong, late_misattributed, lost, .. } = judgement.answers;
    let Events { sent, delivered, lost: unseen, stolen_as_answers, answers_handled } =
        judgement.events;
    let counted = [right, wrong, late_misattributed, lost];
    let heard = [sent, delivered, unseen, stolen_as_answers, answers_handled];
    let text = |numbers: &[u64], widths: &[usize]| {
        let cells = numbers.iter().zip(widths).map(|(number, width)| format!(" {number:>width$}"));
        cells.collect::<String>()
    };
    let [answers, events] = [text(&counted, &[5, 5, 5, 5]), text(&heard, &[6, 6, 5, 6, 6])];
    // The yardstick is no contestant: only its delays count.
    let (answers, events) = if heat.kind == Kind::Raw {
        (format!("{:24}", ""), format!("{}{:20}", text(&heard[..2], &[6, 6]), ""))
    } else {
        (answers, events)
    };
    let dropped = if heat.dropped { "; dropped: it did not read" } else { "" };
    format!(
        "{:<16} {answers} {events} {:>8} {:>6} {:>7} {:>8} {:>7} {:>7} {:>6} {:>5}  {}{dropped}",
        heat.kind.name(),
        ms(judgement.delays.median),
        number(over(heat, raw), 1),
        ms(judgement.delays.max),
        ms(judgement.delays.median_in_motion),
        ms(judgement.delays.max_in_motion),
        end,
        heat.extra_commands,
        number(heat.cpu_percent, 0),
        heat.kind.must_change(),
    )
}

/// What is to be said of a strategy, over all rates.
#[derive(Debug, Serialize)]
pub(super) struct Verdict {
    strategy: &'static str,
    option: &'static str,
    says: String,
    /// Where the caller did not get its answers, at each rate.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    answers_missed: Vec<Missed>,
    /// Where nothing was seen to go wrong: how often it may, by the 95 % interval.
    #[serde(skip_serializing_if = "Option::is_none")]
    answers_missed_at_most_percent: Option<f64>,
}

/// Answers that their caller did not get at a rate, though the instrument gave them in time.
#[derive(Debug, Clone, Copy, Serialize)]
struct Missed {
    rate: f64,
    percent: f64,
    /// At 95 %.
    interval_percent: (f64, f64),
    timed_out: u64,
    given_to_handlers: u64,
}

/// Judges a strategy by all of its runs.
pub(super) fn verdict(kind: Kind, heats: &[&Heat]) -> Verdict {
    let mut faults: Vec<String> = faults(heats);
    let of = heats.iter().map(|heat| asked(&heat.judgement.answers)).sum();
    let answers_missed_at_most_percent = faults.is_empty().then(|| 100.0 * interval(0, of).1);
    if faults.is_empty() {
        faults.push("nothing wrong, nothing lost".to_owned());
    }
    let missed = heats.iter().filter_map(|heat| {
        let answers = &heat.judgement.answers;
        let (missed, of) = (missed(answers), asked(answers));
        (missed > 0).then(|| Missed {
            rate: heat.load.rate,
            percent: percent(missed, of),
            interval_percent: in_percent(interval(missed, of)),
            timed_out: answers.lost,
            given_to_handlers: heat.judgement.events.answers_handled,
        })
    });
    Verdict {
        strategy: kind.name(),
        option: kind.option(),
        says: faults.join("; "),
        answers_missed: missed.collect(),
        answers_missed_at_most_percent,
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
        .map(|(does, percent, what)| format!("{does} up to {} % {what}", share(*percent)))
        .collect();
    let as_events = worst(&|heat| {
        let events = &heat.judgement.events;
        percent(events.answers_handled, asked(&heat.judgement.answers))
    });
    if as_events > 0.0 {
        let share = share(as_events);
        faults.push(format!("handles up to {share} % of the answers as events"));
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

/// A percentage above 0, never written as 0.
fn share(percent: f64) -> String {
    let places = if percent < 0.1 { 3 } else { 1 };
    format!("{percent:.places$}")
}

/// A verdict for people.
pub(super) fn verdict_text(verdict: &Verdict) -> String {
    let Verdict { strategy, option, says, answers_missed, answers_missed_at_most_percent } =
        verdict;
    let mut lines = vec![format!("{strategy:<16}  {says} ({option})")];
    lines.extend(answers_missed.iter().map(|missed| {
        let Missed { rate, percent, interval_percent: (low, high), timed_out, given_to_handlers } =
            missed;
        format!(
            "{:<16}  at {rate}/s the caller did not get {percent:.1} % of its answers, 95 % interval \
             {low:.1} to {high:.1} %; {timed_out} timed out, {given_to_handlers} went to handlers",
            ""
        )
    }));
    lines.extend(answers_missed_at_most_percent.map(|most| {
        let empty = "";
        format!("{empty:<16}  so many queries show that it is at most {most:.2} % of the answers")
    }));
    lines.join("\n")
}

/// What is drawn of a strategy.
pub(super) fn series(kind: Kind, heats: &[&Heat]) -> Series {
    let points = heats.iter().map(|heat| {
        let judgement = &heat.judgement;
        let (bad, of) = (missed(&judgement.answers), asked(&judgement.answers));
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
