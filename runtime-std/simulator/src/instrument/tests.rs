//! The instrument on virtual time: no sockets, no waiting, exact to the microsecond.

use super::*;
use crate::truth::TrueClass;

fn at_ms(ms: u64) -> Instant {
    Instant::from_micros(ms * 1000)
}

/// An instrument with one client. Answers take 1 ms unless the scenario says otherwise.
fn instrument(scenario: &str) -> Instrument {
    let mut scenario = Scenario::from_toml(scenario).unwrap();
    if scenario.latency == Scenario::default().latency {
        scenario.latency.min_ms = 1.0;
        scenario.latency.max_ms = 1.0;
    }
    let mut instrument = Instrument::new(at_ms(0), &Arc::new(scenario));
    instrument.connect(at_ms(0), 1);
    instrument
}

fn command(code: CommandCode, selector: i32, value: f64) -> Frame {
    Frame::command(code).with_selector(selector).with_value(value)
}

fn poll(instrument: &mut Instrument, now: Instant) -> Vec<Action> {
    let mut actions = Vec::new();
    instrument.poll(now, &mut actions);
    actions
}

/// Polls whenever an event is due, up to `end`. Gives what was sent to the client, and when.
fn run_until(instrument: &mut Instrument, end: Instant) -> Vec<(u64, Outgoing)> {
    let mut sent = Vec::new();
    while let Some(due) = instrument.next_due().filter(|due| *due <= end) {
        for action in poll(instrument, due) {
            if let Action::Send { outgoing, .. } = action {
                sent.push((due.as_micros(), outgoing));
            }
        }
    }
    sent
}

fn times(sent: &[(u64, Outgoing)], code: CommandCode) -> Vec<u64> {
    sent.iter().filter(|(_, sent)| sent.frame.code == code).map(|(at, _)| *at).collect()
}

fn send(instrument: &mut Instrument, now: Instant, frame: Frame) {
    instrument.handle(now, 1, frame, &[]);
}

#[test]
fn positions_are_pushed_every_25_ms_up_to_an_exact_end() {
    let mut instrument = instrument("");
    send(&mut instrument, at_ms(10), command(CommandCode::STAGE_POSITION_SET, 1, 7.6));
    let sent = run_until(&mut instrument, at_ms(1000));
    // 0.1 mm at 1 mm/s.
    let pushes = times(&sent, CommandCode::STAGE_POSITION_GET);
    assert_eq!(pushes, [35_000, 60_000, 85_000, 110_000][..pushes.len()]);
    assert!(pushes.len() >= 3);
    for (at, push) in &sent {
        if push.frame.code == CommandCode::STAGE_POSITION_GET {
            #[allow(clippy::cast_precision_loss)]
            let expected = 7.5 + (*at as f64 / 1e6 - 0.01);
            assert!((push.frame.value - expected).abs() < 1e-4, "{} at {at}", push.frame.value);
        }
    }
    let [end] = times(&sent, CommandCode::STAGE_MOTION_STOPPED)[..] else { panic!("not one end") };
    assert!(end.abs_diff(110_000) <= 1, "{end}");
    assert!((instrument.stage.position(at_ms(1000), 1) - 7.6).abs() < 1e-12);
}

#[test]
fn a_replaced_move_continues_from_its_position_and_ends_once() {
    let mut instrument = instrument("");
    send(&mut instrument, at_ms(0), command(CommandCode::STAGE_POSITION_SET, 3, 26.0));
    run_until(&mut instrument, at_ms(500));
    assert!((instrument.stage.position(at_ms(500), 3) - 19.5).abs() < 1e-4);
    send(&mut instrument, at_ms(500), command(CommandCode::STAGE_POSITION_SET, 3, 19.25));
    let sent = run_until(&mut instrument, at_ms(20_000));
    let ends = times(&sent, CommandCode::STAGE_MOTION_STOPPED);
    assert_eq!(ends.len(), 1, "{ends:?}");
    assert!(ends[0].abs_diff(750_000) < 100, "{ends:?}");
}

#[test]
fn halt_ends_a_motion_and_answers_the_wait_for_its_end() {
    let mut instrument = instrument("");
    send(&mut instrument, at_ms(0), command(CommandCode::STAGE_POSITION_SET, 2, 25.0));
    send(&mut instrument, at_ms(1), command(CommandCode::STAGE_WAIT_FOR_MOTION_TO_STOP, 2, 0.0));
    run_until(&mut instrument, at_ms(2000));
    send(&mut instrument, at_ms(2000), command(CommandCode::STAGE_HALT, 2, 0.0));
    let halted = poll(&mut instrument, at_ms(2000));
    let [Action::Send { outgoing, .. }] = &halted[..] else { panic!("{halted:?}") };
    assert_eq!(outgoing.frame.code, CommandCode::STAGE_MOTION_STOPPED);
    assert_eq!(outgoing.frame.status, 0);
    assert!((outgoing.frame.value - 17.0).abs() < 1e-4);
    let sent = run_until(&mut instrument, at_ms(30_000));
    let codes: Vec<_> = sent.iter().map(|(_, sent)| sent.frame.code).collect();
    assert_eq!(codes, [CommandCode::STAGE_WAIT_FOR_MOTION_TO_STOP, CommandCode::STAGE_HALT]);
}

#[test]
fn an_oscillating_axis_stays_in_the_middle_half_of_its_range() {
    let instrument = instrument("[stage]\ncontinuous_axes = [\"r\"]\nspeed_factor = 7");
    let positions: Vec<_> = (0..400).map(|n| instrument.stage.position(at_ms(n * 37), 4)).collect();
    assert!(positions.iter().all(|position| (-360.0..=360.0).contains(position)));
    assert!(positions.iter().any(|position| *position > 340.0));
    assert!(positions.iter().any(|position| *position < -340.0));
    assert!(positions[0].abs() < 1e-9, "it starts where it stands");
}

#[test]
fn the_background_rate_is_exact_even_with_rare_polls() {
    let mut instrument = instrument("[background]\nframes_per_s = 4000");
    let mut sent = 0;
    for step in 1..=500 {
        sent += poll(&mut instrument, at_ms(step * 20 + step % 7)).len();
    }
    assert_eq!(sent, 40_012, "10.003 s");
}

#[test]
fn after_a_pause_at_most_one_second_of_background_follows() {
    let mut instrument = instrument("[background]\nframes_per_s = 100");
    assert_eq!(poll(&mut instrument, at_ms(60_000)).len(), 101);
    assert_eq!(poll(&mut instrument, at_ms(61_000)).len(), 100);
}

#[test]
fn a_late_answer_delays_only_its_own_subsystem() {
    let mut instrument =
        instrument("[faults]\nlate_by_ms = 100\nlate_answers = { every_n = 1, at_most = 1 }");
    send(&mut instrument, at_ms(0), command(CommandCode::STAGE_POSITION_GET, 1, 0.0));
    send(&mut instrument, at_ms(0), command(CommandCode::STAGE_POSITION_GET, 2, 0.0));
    send(&mut instrument, at_ms(0), command(CommandCode::CAMERA_EXPOSURE_GET, 0, 0.0));
    let sent: Vec<_> = run_until(&mut instrument, at_ms(1000))
        .into_iter()
        .map(|(at, sent)| (at, sent.frame.code, sent.truth))
        .collect();
    let answer = |request, late| TrueClass::Answer { request, late, duplicate: false };
    assert_eq!(
        sent,
        [
            (1_000, CommandCode::CAMERA_EXPOSURE_GET, answer(3, false)),
            (101_000, CommandCode::STAGE_POSITION_GET, answer(1, true)),
            (101_000, CommandCode::STAGE_POSITION_GET, answer(2, false)),
        ]
    );
}

#[test]
fn the_same_seed_and_inputs_give_exactly_the_same_actions() {
    let run = |seed| {
        let mut instrument = instrument(&format!(
            "seed = {seed}\n[latency]\nmax_ms = 9\njitter_ms = 20\n[background]\n\
             frames_per_s = 700\n[stage]\ncontinuous_axes = [\"x\"]\n[faults]\n\
             lost_answers = {{ probability = 0.2 }}\nlate_answers = {{ probability = 0.2 }}"
        ));
        let mut sent = Vec::new();
        for step in 0..100 {
            send(
                &mut instrument,
                at_ms(step * 10),
                command(CommandCode::STAGE_POSITION_GET, 2, 0.0),
            );
            sent.extend(run_until(&mut instrument, at_ms(step * 10 + 10)));
        }
        sent
    };
    let first = run(3);
    assert!(first.len() > 600);
    assert_eq!(first, run(3));
    assert_ne!(first, run(4));
}

#[test]
fn a_workflow_stopped_before_it_runs_still_ends_in_idle() {
    let mut instrument = instrument("[workflow]\nstart_delay_ms = 500");
    let file = "<Workflow Settings>\n<Stack Settings>\nNumber of planes = 3\n</Stack Settings>\n<Start Position>\n\
                X (mm) = 7\nY (mm) = 9\nZ (mm) = 20\nAngle (degrees) = 0\n</Start Position>\n\
                </Workflow Settings>\n";
    let frame = Frame::command(CommandCode::CAMERA_WORK_FLOW_START);
    instrument.handle(at_ms(0), 1, frame, file.as_bytes());
    assert!(instrument.workflow.is_busy());
    send(&mut instrument, at_ms(10), Frame::command(CommandCode::CAMERA_WORK_FLOW_STOP));
    let sent = run_until(&mut instrument, at_ms(5_000));
    assert_eq!(times(&sent, CommandCode::CAMERA_WORK_FLOW_STOP).len(), 1);
    let mut codes: Vec<_> = sent.iter().map(|(_, sent)| sent.frame.code).collect();
    codes.sort();
    assert_eq!(codes, [CommandCode::CAMERA_WORK_FLOW_STOP, CommandCode::SYSTEM_STATE_IDLE]);
}
