use flamingo_protocol_core::time::Duration;

use super::*;

type Script = [(Duration, Sent)];

fn at(millis: u64, sent: Sent) -> (Duration, Sent) {
    (Duration::from_millis(millis), sent)
}

fn says(replay: &Replay, line: &str) -> bool {
    replay.result.iter().any(|result| result == line)
}

fn column(replay: &Replay, cell: impl Fn(&Row) -> &str) -> Vec<&str> {
    replay.rows.iter().map(cell).collect()
}

const TIMED_OUT: &str = "User sees: \"Failed to get image size: timeout\"";
const RIGHT: &str = "User sees: \"Image size: 2048 x 2048 px\"";

#[test]
fn two_readers_go_through_the_seven_steps_of_the_analysis() {
    let [replay, _] = replays();
    let blocked = STILL_BLOCKED;
    assert_eq!(
        column(&replay, |row| &row.time),
        ["T0", "T1", "T2", "T3", "T4", "T5", "T6"],
        "{}",
        text(&replay)
    );
    assert_eq!(
        column(&replay, |row| &row.main),
        [
            "[Idle]",
            "Send IMAGE_SIZE_GET",
            "recv(128) [BLOCKING]",
            blocked,
            blocked,
            blocked,
            "[Timeout after 3s] ✗"
        ]
    );
    assert_eq!(
        column(&replay, |row| &row.listener),
        [
            "recv(128) [BLOCKING]",
            blocked,
            blocked,
            blocked,
            "← GETS DATA! ✗",
            "Dispatches as \"unsolicited\"",
            "Logs \"no handler for 12327\""
        ]
    );
    let buffer = ["[Empty]", "", "", "128 bytes arrive", "[Empty]", "", ""];
    assert_eq!(column(&replay, |row| &row.buffer), buffer);
    let [.., asked, _, _, _, end] = replay.rows.as_slice() else { panic!("rows") };
    assert_eq!(end.at_ms - asked.at_ms, 3_000, "from recv to the timeout");
}

#[test]
fn two_readers_end_in_a_timeout_and_a_stolen_answer() {
    let [replay, _] = replays();
    assert_eq!(
        replay.result,
        [
            "Main thread times out with error",
            "CallbackListener logs \"no handler for 12327\"",
            TIMED_OUT
        ]
    );
}

#[test]
fn ours_ends_with_the_answer_and_the_event() {
    let [_, replay] = replays();
    assert_eq!(
        replay.result,
        ["Main thread has its answer (proven)", "Listener handles STAGE_MOTION_STOPPED", RIGHT]
    );
    let arrivals = column(&replay, |row| &row.buffer);
    assert_eq!(arrivals.iter().filter(|cell| **cell == "128 bytes arrive").count(), 2);
    assert!(replay.rows.last().is_some_and(|row| row.at_ms < 100), "nobody waits for a timeout");
}

#[test]
fn with_two_readers_it_is_luck_who_gets_what() {
    let play = two_readers::play;
    // The listener has waited longest: the push is its, and the answer finds only the main thread.
    let lucky = play(&[at(2, Sent::Push), at(5, Sent::Answer)]);
    assert!(says(&lucky, RIGHT) && says(&lucky, "CallbackListener handles STAGE_MOTION_STOPPED"));
    // Two pushes: the second one finds the main thread in front.
    let wrong = play(&[at(2, Sent::Push), at(9, Sent::Push), at(20, Sent::Answer)]);
    assert!(says(&wrong, "Main thread has STAGE_MOTION_STOPPED for its answer"), "{wrong:?}");
    assert!(says(&wrong, "CallbackListener logs \"no handler for 12327\""));
}

#[test]
fn this_project_gets_its_answer_and_all_events() {
    for pushes in 0..40 {
        for before in 0..=pushes {
            let sent = |n: u64| if n == before { Sent::Answer } else { Sent::Push };
            for gap in [0, 1, 7] {
                let script: Vec<_> = (0..=pushes).map(|n| at(2 + n * gap, sent(n))).collect();
                let replay = core::play(&script);
                let handled = "Listener handles STAGE_MOTION_STOPPED";
                let handled = replay.result.iter().filter(|line| *line == handled).count();
                assert!(says(&replay, RIGHT) && handled as u64 == pushes, "{}", text(&replay));
            }
        }
    }
}

#[test]
fn without_an_answer_both_programs_time_out_after_3_s() {
    let nothing: &Script = &[];
    for replay in [two_readers::play(nothing), core::play(nothing)] {
        assert!(says(&replay, TIMED_OUT));
        assert!(replay.rows.iter().any(|row| row.at_ms >= 3_000), "{}", text(&replay));
    }
}

#[test]
fn no_empty_row_follows_the_end_of_a_query() {
    let replay = core::play(&[]);
    let end = replay.rows.last().expect("rows");
    assert_eq!(end.main, "[TimedOut { sent: true }] ✗", "{}", text(&replay));
}

#[test]
fn a_replay_is_the_same_every_time() {
    let first = replays();
    for _ in 0..20 {
        assert_eq!(replays(), first);
    }
}

#[test]
fn a_row_in_json_names_its_strategy_time_and_columns() {
    let [two_readers, ours] = replays();
    let json = serde_json::to_value(&two_readers.rows[4]).expect("a row is plain");
    assert_eq!(
        json,
        serde_json::json!({
            "strategy": "two-readers",
            "time": "T4",
            "at_ms": 5,
            "main": STILL_BLOCKED,
            "listener": "← GETS DATA! ✗",
            "buffer": "[Empty]",
        })
    );
    let json = serde_json::to_value(&ours.rows[0]).expect("a row is plain");
    assert!(json["owner"].is_string() && json["strategy"] == "flamingo");
    let json = serde_json::to_value(&two_readers).expect("a result is plain");
    let result = serde_json::json!({"strategy": "two-readers", "result": two_readers.result});
    assert_eq!(json, result);
}

#[test]
fn the_columns_of_the_text_are_below_their_titles() {
    let place = |line: &str, cell: &str| line.find(cell).map(|at| line[..at].chars().count());
    for replay in replays() {
        let text = text(&replay);
        let lines: Vec<_> = text.lines().collect();
        let [title, "", header, rule, rows @ ..] = lines.as_slice() else { panic!("{text}") };
        assert_eq!((*title, place(rule, "=")), (replay.title, Some(0)));
        for (row, line) in replay.rows.iter().zip(rows) {
            assert!(line.starts_with(&row.time), "{line}");
            assert_eq!(place(header, "Main Thread"), place(line, &row.main), "{text}");
            if !row.buffer.is_empty() {
                assert_eq!(place(header, "Socket Buffer"), place(line, &row.buffer), "{text}");
            }
        }
        assert!(text.contains(&format!("\nResult:\n- {}\n", replay.result[0])), "{text}");
    }
}
