use std::collections::BTreeSet;

use serde_json::Value;

use super::super::evaluate::{Delays, Ends, Evaluation};
use super::super::load::Load;
use super::*;

fn millis(number: u64) -> Duration {
    Duration::from_millis(number)
}

/// A run in which all went well.
fn run(kind: Kind, rate: f64) -> Run {
    let evaluation = Evaluation {
        answers: Answers { right: 200, ..Answers::default() },
        events: Events { sent: 4000, delivered: 4000, ..Events::default() },
        ends: Ends { worst: Some(millis(1)), ..Ends::default() },
        delays: Delays {
            median: Some(millis(2)),
            max: Some(millis(3)),
            median_in_motion: Some(millis(2)),
            max_in_motion: Some(millis(2)),
        },
    };
    Run {
        kind,
        load: Load { queries: 198, rate, seed: 1 },
        evaluation,
        extra_commands: 5,
        cpu_percent: Some(7.4),
        time: Duration::from_millis(1500),
        dropped: false,
    }
}

fn changed(change: impl FnOnce(&mut Run)) -> Run {
    let mut run = run(Kind::Mutex, 40.0);
    change(&mut run);
    run
}

/// Where the columns of numbers end in the header, and where the last column, of text, begins.
fn columns() -> (Vec<usize>, usize) {
    let mut names = HEADER[1];
    // Two words of one name stand one space apart, as two narrow columns do.
    let known = [
        "right", "wrong", "stale", "lost", "sent", "deliv.", "lost", "stolen", "as-ev.", "p50",
        "x raw", "max", "p50", "max", "end", "asked", "%",
    ];
    let mut gone = 0;
    let mut ends = Vec::new();
    for name in known {
        let end = names.find(name).unwrap_or_else(|| panic!("{name} in {names:?}")) + name.len();
        gone += end;
        names = &names[end..];
        ends.push(gone);
    }
    (ends, gone + names.find("must change").unwrap())
}

/// Where the cells of a row end, up to the column of text.
fn cells(line: &str, text: usize) -> Vec<usize> {
    let numbers = &line[..text];
    let ends = numbers.char_indices().filter(|(at, cell)| {
        *cell != ' ' && numbers[at + 1..].chars().next().is_none_or(|next| next == ' ')
    });
    // The first cell is the name.
    ends.map(|(at, _)| at + 1).skip(1).collect()
}

#[test]
fn every_cell_of_a_row_ends_where_its_column_does() {
    let (ends, text) = columns();
    let raw = run(Kind::Raw, 40.0);
    let wide = |run: &mut Run| {
        let Evaluation { answers, events, delays, .. } = &mut run.evaluation;
        *answers = Answers {
            right: 99_999,
            wrong: 9_999,
            late_misattributed: 999,
            lost: 99_999,
            ..*answers
        };
        *events = Events {
            sent: 999_999,
            delivered: 999_999,
            lost: 99_999,
            stolen_as_answers: 99_999,
            answers_handled: 99_999,
        };
        *delays = Delays {
            median: Some(millis(999)),
            max: Some(millis(999)),
            median_in_motion: Some(millis(999)),
            max_in_motion: Some(millis(999)),
        };
    };
    for kind in Kind::ALL {
        let mut own = run(kind, 40.0);
        let line = line(&own, &raw);
        assert_eq!(cells(&line, text), ends, "\n{}\n{line}", HEADER[1]);
        assert_eq!(&line[text..], kind.must_change());
        wide(&mut own);
        let line = super::line(&own, &raw);
        assert_eq!(cells(&line, text), ends, "\n{}\n{line}", HEADER[1]);
        assert_eq!(&line[text..], kind.must_change());
    }
    let above = ["motion", "extra", "CPU"].map(|name| HEADER[0].rfind(name).unwrap() + name.len());
    assert_eq!(above, ends[ends.len() - 3..]);
    assert_eq!(HEADER[0].find("instrument"), Some(text));
}

#[test]
fn the_reference_has_its_figures_in_the_same_columns() {
    let (ends, text) = columns();
    let raw = run(Kind::Raw, 40.0);
    let line = line(&raw, &raw);
    let found = cells(&line, text);
    assert!(found.iter().all(|end| ends.contains(end)), "\n{}\n{line}", HEADER[1]);
    assert!(!found.contains(&ends[0]), "no answers are counted: {line}");
    assert!(line.contains(" 1.0 "), "as fast as itself: {line}");
    assert_eq!(&line[text..], "no");
}

#[test]
fn a_figure_that_was_not_measured_is_a_dash() {
    let (ends, text) = columns();
    let nothing = changed(|run| {
        run.evaluation.delays = Delays::default();
        run.evaluation.ends = Ends::default();
        run.cpu_percent = None;
    });
    let line = line(&nothing, &run(Kind::Raw, 0.0));
    assert_eq!(cells(&line, text), ends, "\n{}\n{line}", HEADER[1]);
    assert_eq!(line[..text].split_whitespace().filter(|cell| *cell == "-").count(), 7, "{line}");
}

#[test]
fn a_row_shows_a_missed_motion_and_a_dropped_client() {
    let (_, text) = columns();
    let raw = run(Kind::Raw, 40.0);
    let missed = changed(|run| run.evaluation.ends.missed = 1);
    assert!(line(&missed, &raw).contains(" missed "));
    let early = changed(|run| run.evaluation.ends = Ends { missed: 1, too_early: 1, worst: None });
    assert!(line(&early, &raw).contains(" early "));
    let dropped = changed(|run| run.dropped = true);
    assert_eq!(&line(&dropped, &raw)[text..], "no; dropped: it did not read");
}

#[test]
fn a_row_in_json_has_every_figure_under_its_own_key() {
    let lossy = changed(|run| {
        run.evaluation.answers = Answers { right: 150, lost: 50, ..Answers::default() };
    });
    let raw = changed(|run| run.evaluation.delays.median = Some(millis(1)));
    let row = serde_json::to_value(row(&lossy, &raw)).unwrap();
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    let expected = [
        "strategy",
        "rate",
        "queries",
        "right",
        "wrong",
        "late_misattributed",
        "lost",
        "instrument_late",
        "missed_percent",
        "missed_interval_percent",
        "events",
        "event_delay_p50_ms",
        "event_delay_p50_over_raw",
        "event_delay_max_ms",
        "event_delay_p50_in_motion_ms",
        "event_delay_max_in_motion_ms",
        "motion_end_noticed_after_ms",
        "motion_ends_too_early",
        "motion_ends_missed",
        "extra_commands",
        "cpu_percent",
        "instrument_must_change",
        "dropped_by_instrument",
        "seconds",
    ];
    assert_eq!(keys(&row), expected.map(str::to_owned).into());
    let expected = ["sent", "delivered", "lost", "stolen_as_answers", "answers_handled"];
    assert_eq!(keys(&row["events"]), expected.map(str::to_owned).into());
    assert_eq!((&row["strategy"], &row["queries"]), (&"mutex".into(), &200.into()));
    assert_eq!((&row["lost"], &row["missed_percent"]), (&50.into(), &25.0.into()));
    let (low, high) = interval(50, 200);
    let found = (&row["missed_interval_percent"][0], &row["missed_interval_percent"][1]);
    assert_eq!(found, (&(100.0 * low).into(), &(100.0 * high).into()));
    assert_eq!((&row["event_delay_p50_over_raw"], &row["seconds"]), (&2.0.into(), &1.5.into()));
}

#[test]
fn a_summary_without_faults_has_no_list_of_misses() {
    let runs = [run(Kind::Flamingo, 0.0), run(Kind::Flamingo, 400.0)];
    let summary = summary(Kind::Flamingo, &runs.each_ref());
    assert_eq!(summary.says, "nothing wrong, nothing lost");
    let text = summary_text(&summary);
    let (low, high) = interval(0, 400);
    assert!(
        low.abs() < 1e-9
            && text.contains(&format!("at most {:.2} % of the answers are missed", 100.0 * high))
    );
    let json = serde_json::to_value(&summary).unwrap();
    assert_eq!(json.get("answers_missed"), None, "{json}");
    assert_eq!(json["answers_missed_at_most_percent"], 100.0 * high);
    assert_eq!(json["strategy"], "flamingo");
}

#[test]
fn an_answer_that_the_instrument_sent_too_late_is_not_lost() {
    let late = changed(|run| run.evaluation.answers.instrument_late = 2);
    assert_eq!(summary(Kind::Mutex, &[&late]).says, "nothing wrong, nothing lost");
}

type Change = fn(&mut Evaluation);

#[test]
fn the_verdict_names_each_fault_alone() {
    let faults: [(Change, &[&str]); 8] = [
        (
            |it| it.answers = Answers { right: 150, lost: 50, ..it.answers },
            &["loses", "25.0 % of the answers"],
        ),
        (
            |it| it.answers = Answers { right: 180, wrong: 20, ..it.answers },
            &["push", "10.0 % of the queries"],
        ),
        (
            |it| it.answers = Answers { right: 190, late_misattributed: 10, ..it.answers },
            &["older question", "5.0 % of the queries"],
        ),
        (
            |it| it.events = Events { delivered: 3000, lost: 1000, ..it.events },
            &["loses", "25.0 % of the events"],
        ),
        (|it| it.events.answers_handled = 30, &["handles", "15.0 % of the answers as events"]),
        (|it| it.delays.max_in_motion = Some(MOTION), &["delays events", "400 ms"]),
        (|it| it.ends.missed = 1, &["misses", "1 of 2 motions"]),
        (|it| it.ends.too_early = 2, &["too early", "2 of 2 motions"]),
    ];
    for (change, words) in faults {
        let run = changed(|run| change(&mut run.evaluation));
        let says = summary(Kind::Mutex, &[&run]).says;
        assert!(words.iter().all(|word| says.contains(word)), "{words:?} in {says:?}");
        assert!(!says.contains(';') && !says.contains("nothing"), "one fault alone: {says:?}");
    }
}

#[test]
fn all_faults_are_in_one_summary() {
    let bad = changed(|run| {
        run.evaluation.answers = Answers { right: 100, lost: 60, wrong: 40, ..Answers::default() };
        run.evaluation.ends.missed = 1;
    });
    assert_eq!(summary(Kind::Mutex, &[&bad]).says.matches("; ").count(), 2);
}

#[test]
fn the_verdict_goes_by_the_worst_rate() {
    let [mut better, mut worse] = [run(Kind::Mutex, 0.0), run(Kind::Mutex, 40.0)];
    better.evaluation.answers = Answers { right: 180, lost: 20, ..Answers::default() };
    worse.evaluation.answers = Answers { right: 120, lost: 80, ..Answers::default() };
    for runs in [[&better, &worse], [&worse, &better]] {
        let says = summary(Kind::Mutex, &runs).says;
        assert!(says.contains("40.0 %") && !says.contains("10.0 %"), "{says}");
    }
}

#[test]
fn a_tiny_share_is_not_shown_as_0() {
    let run = changed(|run| {
        run.evaluation.events = Events { delivered: 3999, lost: 1, ..run.evaluation.events }
    });
    let says = summary(Kind::Mutex, &[&run]).says;
    assert!(says.contains("0.025 % of the events"), "{says}");
}

#[test]
fn a_delay_of_half_a_motion_is_not_reported() {
    let half = changed(|run| run.evaluation.delays.max_in_motion = Some(MOTION / 2));
    assert_eq!(summary(Kind::Mutex, &[&half]).says, "nothing wrong, nothing lost");
}

#[test]
fn missed_answers_are_reported_with_their_interval() {
    let good = run(Kind::TwoReaders, 0.0);
    let mut bad = run(Kind::TwoReaders, 40.0);
    bad.evaluation.answers =
        Answers { right: 100, wrong: 60, late_misattributed: 10, lost: 30, instrument_late: 0 };
    bad.evaluation.events.answers_handled = 29;
    let summary = summary(Kind::TwoReaders, &[&good, &bad]);
    let (low, high) = interval(100, 200);
    let text = summary_text(&summary);
    let interval = format!("{:.1} to {:.1} %", 100.0 * low, 100.0 * high);
    assert_eq!(text.lines().count(), 2, "{text}");
    for words in ["40/s", "50.0 %", &interval, "95 %", "30 timed out", "29 went to handlers"] {
        assert!(text.contains(words), "{words:?} in {text}");
    }
    let missed = &serde_json::to_value(&summary).unwrap()["answers_missed"];
    assert_eq!(missed.as_array().unwrap().len(), 1);
    assert_eq!((&missed[0]["rate"], &missed[0]["percent"]), (&40.0.into(), &50.0.into()));
    assert_eq!(missed[0]["interval_percent"], serde_json::json!([100.0 * low, 100.0 * high]));
}

#[test]
fn the_plot_shows_missed_answers_over_the_rate() {
    let mut bad = run(Kind::TwoReaders, 40.0);
    bad.evaluation.answers =
        Answers { right: 100, wrong: 60, late_misattributed: 10, lost: 30, instrument_late: 0 };
    let series = series(Kind::TwoReaders, &[&bad]);
    let (low, high) = in_percent(interval(100, 200));
    let expected = Point {
        rate: 40.0,
        wrong_or_lost_percent: 50.0,
        low,
        high,
        event_delay_p50_ms: Some(2.0),
        event_delay_max_ms: Some(3.0),
    };
    assert_eq!(series, Series { name: "two-readers", points: vec![expected] });
}
