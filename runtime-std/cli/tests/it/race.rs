//! `flamingo race`: a short run of four strategies at two rates, the replay, and bad usage. The tests
//! check which strategies lose frames, which also holds on a busy machine, and never a speed.

use std::path::PathBuf;
use std::sync::LazyLock;

use crate::program::{Ended, flamingo};
use serde_json::Value;

/// The run that most tests examine, and its plot.
struct Race {
    ended: Ended,
    objects: Vec<Value>,
    svg: String,
}

const NAMES: [&str; 4] = ["two-readers", "mutex", "code-match", "flamingo"];

static RACE: LazyLock<Race> = LazyLock::new(|| {
    let plot = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("race.svg");
    let strategies = NAMES.iter().flat_map(|name| ["--strategy", name]);
    std::fs::write(&plot, "an older plot").unwrap();
    let fixed = ["race", "--json", "--queries", "40", "--rates", "0,100", "--overwrite", "--plot"];
    let arguments: Vec<_> =
        fixed.into_iter().chain([plot.to_str().unwrap()]).chain(strategies).collect();
    let ended = flamingo(&arguments);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let svg = std::fs::read_to_string(&plot).unwrap();
    Race { objects: ended.objects(), ended, svg }
});

/// The rows of a strategy: without events, and with so many per second that some arrive during a query.
fn rows(name: &str) -> [&'static Value; 2] {
    let rows: Vec<_> = of(name).filter(|it| it.get("rate").is_some()).collect();
    rows.try_into().unwrap()
}

fn of(name: &str) -> impl Iterator<Item = &'static Value> {
    RACE.objects.iter().filter(move |it| it["strategy"] == name)
}

fn verdict(name: &str) -> &'static Value {
    let verdicts: Vec<_> = of(name).filter(|it| it.get("says").is_some()).collect();
    assert_eq!(verdicts.len(), 1, "{verdicts:?}");
    verdicts[0]
}

#[track_caller]
fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("no number: {value}"))
}

/// One test, so that a single thread waits for the race while the other tests run beside it.
#[test]
fn each_strategy_in_a_race_loses_what_it_must() {
    rows_come_by_rate_and_strategy_between_header_and_verdicts();
    flamingo_loses_nothing();
    two_readers_miss_answers_even_without_events();
    mutex_delays_events_until_the_motion_ends();
    code_match_takes_pushes_as_answers();
    the_plot_is_an_svg_that_names_every_strategy();
}

fn rows_come_by_rate_and_strategy_between_header_and_verdicts() {
    let head = &RACE.objects[0];
    assert!(number(&head["factor"]) > 1.0, "{head}");
    assert_eq!((&head["queries"], &head["seed"]), (&40.into(), &1.into()));
    assert_eq!(RACE.objects.len(), 1 + 2 * (1 + NAMES.len()) + NAMES.len());
    for name in NAMES {
        let [silent, busy] = rows(name);
        assert_eq!((number(&silent["rate"]), number(&busy["rate"])), (0.0, 100.0));
        assert_eq!((&silent["queries"], &busy["queries"]), (&42.into(), &42.into()), "{name}");
        verdict(name);
    }
    assert_eq!(rows("raw").len(), 2, "the yardstick");
}

fn flamingo_loses_nothing() {
    for row in rows("flamingo") {
        let events = &row["events"];
        let losses = [
            &row["wrong"],
            &row["late_misattributed"],
            &row["lost"],
            &events["lost"],
            &events["stolen_as_answers"],
            &events["answers_handled"],
            &row["motion_ends_too_early"],
            &row["motion_ends_missed"],
        ];
        assert!(losses.iter().all(|loss| **loss == 0), "{row}");
        assert_eq!(events["delivered"], events["sent"], "{row}");
        assert_eq!(row["dropped_by_instrument"], false);
        let accounted = row["right"].as_u64().zip(row["instrument_late"].as_u64());
        assert_eq!(row["queries"].as_u64(), accounted.map(|(right, late)| right + late), "{row}");
    }
    let [_, busy] = rows("flamingo");
    assert!(number(&busy["events"]["sent"]) > 100.0, "{busy}");
    assert_eq!(verdict("flamingo").get("answers_missed"), None);
}

fn two_readers_miss_answers_even_without_events() {
    let [silent, busy] = rows("two-readers");
    assert!(number(&silent["lost"]) > 0.0, "timed out: {silent}");
    assert!(number(&busy["wrong"]) + number(&busy["lost"]) > 0.0, "{busy}");
    assert!(number(&silent["events"]["answers_handled"]) > 0.0, "to the listener: {silent}");
    let missed = verdict("two-readers")["answers_missed"].as_array().unwrap();
    let rates: Vec<_> = missed.iter().map(|missed| number(&missed["rate"])).collect();
    assert_eq!(rates, [0.0, 100.0]);
    for missed in missed {
        let percent = number(&missed["percent"]);
        let [low, high] = [0, 1].map(|end| number(&missed["interval_percent"][end]));
        assert!(0.0 < low && low < percent && percent <= high && high <= 100.0, "{missed}");
    }
}

fn mutex_delays_events_until_the_motion_ends() {
    let [_, busy] = rows("mutex");
    let delay = number(&busy["event_delay_max_in_motion_ms"]);
    assert!(delay > number(&RACE.objects[0]["motion_ms"]) / 2.0, "{busy}");
    let says = verdict("mutex")["says"].as_str().unwrap();
    assert!(says.contains("delays events by up to"), "{says}");
}

fn code_match_takes_pushes_as_answers() {
    let [silent, busy] = rows("code-match");
    assert_eq!(silent["wrong"], 0, "nothing is pushed: {silent}");
    assert!(number(&busy["wrong"]) > 0.0, "{busy}");
    assert!(number(&busy["events"]["stolen_as_answers"]) > 0.0, "{busy}");
}

fn the_plot_is_an_svg_that_names_every_strategy() {
    let Race { ended, svg, .. } = &*RACE;
    assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
    assert!(ended.stderr.contains("race.svg"), "{ended:?}");
    assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
    for name in NAMES {
        assert!(svg.contains(name), "{name}");
    }
}

#[test]
fn text_output_is_a_table_and_a_verdict_beside_a_png() {
    let plot = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("race.png");
    let plotted = ["--overwrite", "--plot", plot.to_str().unwrap()];
    let short = ["race", "--queries", "4", "--rates", "0", "--strategy", "flamingo"];
    let ended = flamingo(&[&short[..], &plotted].concat());
    assert!(std::fs::read(&plot).unwrap().starts_with(b"\x89PNG\r\n\x1a\n"));
    assert!(ended.expect_code(0).stderr.contains("plot written to"), "{ended:?}");
    let text = &ended.stdout;
    let line = |begin: &str| text.lines().filter(|line| line.starts_with(begin)).count();
    assert_eq!((line("strategy "), line("raw "), line("two-readers ")), (1, 1, 0), "{text}");
    assert_eq!(line("flamingo "), 2, "row and verdict: {text}");
    assert!(text.contains("\n0 unsolicited frames/s\n"), "{text}");
    assert!(text.contains("nothing wrong, nothing lost"), "{text}");
}

#[test]
fn every_strategy_starts_also_those_that_need_a_bridge() {
    let ended = flamingo(&["race", "--json", "--queries", "4", "--rates", "0"]);
    let named =
        |object: &Value| object["strategy"].as_str().is_some_and(|name| name == "callback-socket");
    assert!(ended.expect_done().objects().iter().any(named), "{ended:?}");
}

#[test]
fn only_two_readers_time_out_in_the_replay() {
    let ended = flamingo(&["race", "--replay-example"]);
    let text = &ended.expect_done().stdout;
    let (theirs, ours) = text.split_once("One task owns the socket").unwrap();
    for step in 0..=6 {
        let step = format!("\nT{step} ");
        assert!(theirs.contains(&step) && ours.contains(&step), "{step:?} in {text}");
    }
    assert!(theirs.contains("[Timeout after 3s]") && theirs.contains("GETS DATA!"), "{theirs}");
    assert!(!ours.to_lowercase().contains("timeout"), "{ours}");
    assert_eq!(flamingo(&["race", "--replay-example"]).stdout, *text, "no chance in it");
}

#[test]
fn the_replay_in_json_has_one_row_per_step_and_the_result() {
    let ended = flamingo(&["race", "--replay-example", "--json"]);
    let objects = ended.expect_done().objects();
    for (name, timeout) in [("two-readers", true), ("flamingo", false)] {
        let own: Vec<_> = objects.iter().filter(|it| it["strategy"] == name).collect();
        let times: Vec<_> = own.iter().filter_map(|it| it["time"].as_str()).take(7).collect();
        assert_eq!(times, ["T0", "T1", "T2", "T3", "T4", "T5", "T6"], "{name}");
        let result = own.last().unwrap()["result"].to_string();
        assert_eq!(result.contains("timeout"), timeout, "{result}");
    }
}

#[test]
fn bad_usage_is_one_line_and_runs_nothing() {
    let cases: &[(&[&str], &str)] = &[
        (&["--strategy", "magic"], "magic"),
        (&["--strategy", "raw"], "raw"),
        (&["--rates", "-1"], "-1"),
        (&["--rates=-1"], "-1"),
        (&["--rates", "0,NaN"], "NaN"),
        (&["--rates", "10,,40"], "frames per second"),
        (&["--rates", "1001"], "1000"),
        (&["--queries", "0"], "expected 4 to 100000"),
        (&["--queries", "3"], "expected 4 to 100000"),
        (&["--seed", "-1"], "-1"),
        (&["--replay-example", "--seed", "2"], "--seed"),
        (&["--replay-example", "--plot", "race.svg"], "--plot"),
        (&["--overwrite"], "--plot"),
        (&["--plot", "race.jpg"], "ends with .svg or .png"),
        (&["--plot", "race"], "ends with .svg or .png"),
        (&["--plot", "no-such-folder/race.svg"], "cannot draw no-such-folder/race.svg"),
    ];
    for (arguments, word) in cases {
        let ended = flamingo(&[&["race"][..], arguments].concat());
        ended.expect_error(2, &[word]);
        assert_eq!(ended.stdout, "", "{arguments:?}");
    }
}

#[test]
fn a_race_replaces_no_plot_and_makes_no_run_before() {
    let plot = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("kept.svg");
    std::fs::write(&plot, "precious").unwrap();
    let ended = flamingo(&["race", "--plot", plot.to_str().unwrap()]);
    ended.expect_error(2, &["kept.svg exists already; --overwrite replaces it"]);
    assert_eq!(ended.stdout, "");
    assert_eq!(std::fs::read_to_string(&plot).unwrap(), "precious");
}

/// A terminal sends Ctrl-C to all processes of the race.
#[cfg(unix)]
#[test]
fn ctrl_c_ends_a_race_with_one_line_and_keeps_the_plot() {
    use std::io::{BufRead, BufReader, Read};
    use std::os::unix::process::CommandExt;
    use std::process::{Command, Stdio};

    let plot = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("interrupted.svg");
    std::fs::write(&plot, "precious").unwrap();
    let mut race = Command::new(env!("CARGO_BIN_EXE_flamingo"))
        .args(["race", "--json", "--strategy", "mutex", "--rates", "0", "--overwrite", "--plot"])
        .arg(&plot)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(race.stdout.take().unwrap()).lines();
    for _ in ["the head", "the row of raw, so that the next run begins"] {
        lines.next().unwrap().unwrap();
    }
    let group = format!("-{}", race.id());
    assert!(Command::new("kill").args(["-INT", "--", &group]).status().unwrap().success());
    let mut errors = String::new();
    race.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert_eq!(race.wait().unwrap().code(), Some(130), "{errors}");
    assert_eq!(errors.lines().count(), 1, "{errors}");
    assert!(errors.contains("interrupted"), "{errors}");
    assert_eq!(std::fs::read_to_string(&plot).unwrap(), "precious");
}

#[test]
fn an_invalid_player_is_an_error_and_no_panic() {
    let load = r#""load":{"queries":4,"rate":0.0,"seed":1},"processors":[]"#;
    let unknown = format!(r#"{{"strategy":"magic",{load},"instrument":"127.0.0.1:1"}}"#);
    let nowhere = format!(r#"{{"strategy":"mutex",{load},"instrument":"nowhere"}}"#);
    for (part, words) in
        [("{", "EOF"), ("7", "invalid"), (&unknown, "magic"), (&nowhere, "address")]
    {
        let ended = flamingo(&["race", "--player", part]);
        ended.expect_error(1, &["race: ", words]);
        assert_eq!(ended.stdout, "", "{part}");
    }
}
