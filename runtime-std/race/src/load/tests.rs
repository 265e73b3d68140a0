use super::*;

/// Answers nothing, waits for nothing, and remembers what it was told.
#[derive(Default)]
struct Recorder {
    commands: Vec<Frame>,
    motions: Vec<Motion>,
}

impl Strategy for Recorder {
    fn query(&mut self, command: &Frame) -> Option<Frame> {
        self.commands.push(*command);
        None
    }

    fn wait_for_motion_end(&mut self, motion: &Motion) -> bool {
        self.motions.push(*motion);
        self.motions.len() == 1
    }

    fn close(self: Box<Self>) {}
}

fn load(queries: u32, seed: u64) -> Load {
    Load { queries, rate: 40.0, seed }
}

fn play(queries: u32, seed: u64) -> (Recorder, Played) {
    let mut recorder = Recorder::default();
    let played = load(queries, seed).play(&mut recorder, Clock::start());
    (recorder, played)
}

#[track_caller]
fn assert_close(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-9, "{found} {expected}");
}

#[test]
fn the_times_of_the_instrument_are_scaled_by_one_factor() {
    let (scenario, real) = (load(100, 1).scenario(Kind::Flamingo), Scenario::default());
    let factor = f64::from(FACTOR);
    assert_close(scenario.latency.min_ms * factor, 2.0);
    assert_close(scenario.latency.max_ms * factor, 10.0);
    assert_close(scenario.stage.speed_factor, factor);
    assert_close(scenario.stage.settle_ms * factor, real.stage.settle_ms);
    assert_close(scenario.faults.late_by_ms * factor, 3_500.0);
    assert_close(TIMEOUT.as_secs_f64() * factor, 3.0);
}

#[test]
fn a_motion_takes_ten_seconds() {
    let scenario = load(100, 1).scenario(Kind::Flamingo);
    assert_close(scenario.stage.x.home, HOME);
    let stage = scenario.stage;
    let seconds = (HOME - AWAY).abs() / stage.x.velocity / stage.speed_factor;
    assert_close(seconds, MOTION.as_secs_f64());
    assert_close(MOTION.as_secs_f64() * f64::from(FACTOR), 10.0);
}

#[test]
fn the_rate_is_split_in_halves_and_scaled_like_the_times() {
    let scenario = load(100, 1).scenario(Kind::Flamingo);
    assert_close(scenario.pushes.position_hz, scenario.background.frames_per_s);
    let both = scenario.pushes.position_hz + scenario.background.frames_per_s;
    assert_close(both, 40.0 * f64::from(FACTOR));
    let silent = Load { rate: 0.0, ..load(100, 1) }.scenario(Kind::Flamingo);
    assert_close(silent.pushes.position_hz + silent.background.frames_per_s, 0.0);
}

#[test]
fn only_who_needs_it_gets_tagged_answers() {
    assert!(load(100, 1).scenario(Kind::Tagged).tokens.tag_answers);
    assert!(!load(100, 1).scenario(Kind::Flamingo).tokens.tag_answers);
    assert!(load(100, 1).scenario(Kind::Sequence).tokens.echo_client_id);
    let tokens = load(100, 1).scenario(Kind::Flamingo).tokens;
    assert!(!tokens.echo_client_id && !tokens.echo_int32_data2, "the instrument as it is");
}

#[test]
fn late_answers_come_after_the_timeout_and_with_few_queries_too() {
    assert!(LATE > TIMEOUT);
    for (queries, every) in [(4, 1), (19, 1), (100, 5), (100_000, 5_000)] {
        let late = load(queries, 1).scenario(Kind::Flamingo).faults.late_answers;
        assert_eq!((late.every_n, late.at_most), (every, 2), "{queries}");
    }
}

#[test]
fn a_run_has_the_given_number_of_queries_and_two_moves() {
    // A number that has no quarter and no half.
    let (recorder, played) = play(11, 1);
    let commands = &recorder.commands;
    assert_eq!(commands.len(), 11 + 2);
    let moves: Vec<_> = (0..commands.len())
        .filter(|at| commands[*at].code == CommandCode::STAGE_POSITION_SET)
        .collect();
    assert_eq!(moves, [2, 8], "a quarter, half of them in the first motion, the others");
    let targets: Vec<_> =
        recorder.motions.iter().map(|motion| (motion.axis, motion.target)).collect();
    assert_eq!(targets, [(MOVED, AWAY), (MOVED, HOME)]);
    for (at, motion) in moves.iter().zip(&recorder.motions) {
        assert_eq!(commands[*at].selector(), motion.axis);
        assert_close(commands[*at].value, motion.target);
    }
    let asked: Vec<_> = played.asked.iter().map(|asked| asked.command).collect();
    assert_eq!(&asked, commands);
    let ends: Vec<_> =
        played.moved.iter().map(|moved| (moved.waited, moved.noticed.is_some())).collect();
    assert_eq!(ends, [(false, true), (true, false)]);
}

#[test]
fn hardware_ids_are_consecutive_from_the_first() {
    let (recorder, _) = play(11, 1);
    let ids: Vec<_> = recorder.commands.iter().map(|command| command.hardware_id).collect();
    assert_eq!(ids, (FIRST..FIRST + 13).collect::<Vec<_>>());
}

#[test]
fn the_seed_determines_the_queries() {
    let [first, again, other] = [1, 1, 2].map(|seed| play(40, seed).0.commands);
    assert_eq!(first, again);
    assert_ne!(first, other);
    let queries = first.iter().filter(|it| it.code != CommandCode::STAGE_POSITION_SET);
    let mut asked: Vec<_> =
        queries.map(|it| (it.code == CommandCode::CAMERA_IMAGE_SIZE_GET, it.selector())).collect();
    asked.sort_unstable();
    asked.dedup();
    assert_eq!(asked.len(), 5, "four axes and the image size: {asked:?}");
}

#[test]
fn patience_is_what_is_left_of_the_motion_and_a_timeout() {
    let (recorder, _) = play(4, 1);
    let [first, second] = recorder.motions[..] else { panic!("{:?}", recorder.motions) };
    assert!(first.patience >= TIMEOUT && first.patience < MOTION + TIMEOUT, "{first:?}");
    assert!(second.patience > TIMEOUT && second.patience <= MOTION + TIMEOUT, "{second:?}");
}
