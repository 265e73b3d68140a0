//! Tests of the player on virtual time.

use flamingo_protocol_core::{CommandCode, wire::FRAME_LEN};

use super::*;

const PATIENCE: Duration = Duration::from_secs(3);

fn query(axis: i32) -> Frame {
    Frame::command(CommandCode::STAGE_POSITION_GET).with_selector(axis)
}

fn idle() -> Frame {
    Frame::new(CommandCode::SYSTEM_STATE_IDLE)
}

/// An instrument's frames have a status.
fn answer(query: &Frame) -> Frame {
    Frame { status: 1, ..*query }
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn at(millis: u64) -> Instant {
    Instant::from_micros(millis * 1000)
}

fn expect(at: u64, command: Frame, answer: Option<usize>) -> Step {
    Step::Expect { at: ms(at), command, answer }
}

fn send(at: u64, frame: Frame, answers: Option<usize>) -> Step {
    let bytes = frame.encode().to_vec();
    Step::Send { at: ms(at), bytes, frame_at: 0, frame, answers }
}

/// X is asked at 10 ms and answered at 14; an event at 20; Y at 1 000 and 1 005; an event at 1 100.
fn recorded() -> Vec<Step> {
    vec![
        expect(10, query(1), Some(1)),
        send(14, answer(&query(1)), Some(0)),
        send(20, idle(), None),
        expect(1_000, query(2), Some(4)),
        send(1_005, answer(&query(2)), Some(3)),
        send(1_100, idle(), None),
    ]
}

fn player(steps: &[Step], speed: Speed) -> Player<'_> {
    Player::new(steps, speed, PATIENCE, at(0))
}

/// What is due now.
fn due(player: &mut Player<'_>, now: u64) -> Vec<Frame> {
    let frames = std::iter::from_fn(|| player.poll(at(now)));
    frames.map(|bytes| Frame::decode(&bytes[..FRAME_LEN]).unwrap()).collect()
}

#[test]
fn answers_and_events_keep_the_recorded_delays() {
    let steps = recorded();
    let mut player = player(&steps, Speed::Times(1.0));
    assert_eq!(due(&mut player, 400), [], "not before the command");
    player.command(at(500), &query(1));
    assert_eq!(due(&mut player, 503), []);
    assert_eq!(player.poll_timeout(), Some(at(504)));
    assert_eq!(due(&mut player, 504), [answer(&query(1))]);
    assert_eq!(due(&mut player, 509), []);
    assert_eq!(due(&mut player, 510), [idle()]);
    player.command(at(1_490), &query(2));
    assert_eq!(due(&mut player, 1_495), [answer(&query(2))]);
    assert_eq!(due(&mut player, 9_999), [idle()]);
    assert_eq!(player.tally(), Tally { matched: 2, ..Tally::default() });
}

#[test]
fn the_speed_divides_the_delays_and_max_has_none() {
    let steps = recorded();
    let mut quick = player(&steps, Speed::Times(2.0));
    quick.command(at(0), &query(1));
    assert_eq!(quick.poll_timeout(), Some(at(3_000)), "patience has no speed");
    assert_eq!(due(&mut quick, 1), []);
    assert_eq!(due(&mut quick, 2), [answer(&query(1))]);
    assert_eq!(due(&mut quick, 5), [idle()]);
    let mut player = player(&steps, Speed::Max);
    player.command(at(0), &query(1));
    assert_eq!(due(&mut player, 0), [answer(&query(1)), idle()]);
    player.command(at(0), &query(2));
    assert_eq!(due(&mut player, 0), [answer(&query(2)), idle()]);
}

#[test]
fn a_faster_client_gets_the_earlier_frames_at_once_in_order() {
    let steps = recorded();
    let mut player = player(&steps, Speed::Times(1.0));
    player.command(at(0), &query(1));
    player.command(at(1), &query(2));
    assert_eq!(due(&mut player, 1), [answer(&query(1)), idle()]);
    assert_eq!(due(&mut player, 6), [answer(&query(2))]);
}

#[test]
fn a_missing_command_delays_events_only_for_the_patience() {
    let steps = recorded();
    let mut player = player(&steps, Speed::Times(1.0));
    // From the first step on, so many ms behind it.
    assert_eq!(player.poll_timeout(), Some(at(3_000)));
    assert_eq!(due(&mut player, 2_999), []);
    assert_eq!(due(&mut player, 3_000), [idle()], "the answer is nobody's");
    assert_eq!(due(&mut player, 3_989), []);
    assert_eq!(due(&mut player, 3_990), [idle()]);
    assert_eq!(player.tally(), Tally { missed: 2, ..Tally::default() });
    // And comes when its command does, after all.
    player.command(at(5_000), &query(2));
    assert_eq!(due(&mut player, 5_004), []);
    assert_eq!(due(&mut player, 5_005), [answer(&query(2))]);
    assert_eq!(player.tally(), Tally { matched: 1, missed: 1, ..Tally::default() });
}

#[test]
fn a_repeated_query_is_answered_again_and_an_action_is_not() {
    let steps = recorded();
    let mut player = player(&steps, Speed::Times(1.0));
    player.command(at(0), &query(1));
    assert_eq!(due(&mut player, 4).len(), 1);
    player.command(at(5), &query(1));
    assert_eq!(due(&mut player, 5), [answer(&query(1))]);
    player.command(at(6), &Frame::command(CommandCode::STAGE_HALT).with_selector(1));
    player.command(at(6), &query(3));
    assert_eq!(due(&mut player, 9), []);
    assert_eq!(player.tally(), Tally { matched: 1, repeated: 1, unknown: 2, ..Tally::default() });
}

#[test]
fn commands_in_another_order_get_their_own_answers() {
    let steps = recorded();
    let mut player = player(&steps, Speed::Times(1.0));
    player.command(at(0), &query(2));
    assert_eq!(due(&mut player, 0), [idle()], "what came before it");
    assert_eq!(due(&mut player, 5), [answer(&query(2))]);
    player.command(at(10), &query(1));
    assert_eq!(due(&mut player, 14), [answer(&query(1))]);
    assert_eq!(player.tally(), Tally { matched: 2, ..Tally::default() });
}

#[test]
fn a_command_that_comes_after_its_place_is_answered_once() {
    let steps = vec![
        expect(0, query(1), Some(2)),
        expect(1, query(2), Some(3)),
        send(10, answer(&query(1)), Some(0)),
        send(11, answer(&query(2)), Some(1)),
    ];
    let mut player = player(&steps, Speed::Times(1.0));
    player.command(at(0), &query(2));
    assert_eq!(due(&mut player, 1), []);
    player.command(at(2), &query(1));
    assert_eq!(due(&mut player, 999), [answer(&query(1)), answer(&query(2))]);
    assert_eq!(due(&mut player, 9_999), []);
}

#[test]
fn a_command_left_out_does_not_shift_later_ones_of_its_kind() {
    let answered = |value| Frame { value, ..answer(&query(1)) };
    let steps: Vec<_> = [0.0, 1.0, 2.0]
        .into_iter()
        .zip(0..)
        .flat_map(|(value, n)| {
            let asked = 2 * n;
            let millis = 1_000 * u64::try_from(n).unwrap();
            [
                expect(millis, query(1), Some(asked + 1)),
                send(millis + 1, answered(value), Some(asked)),
            ]
        })
        .collect();
    let mut player = player(&steps, Speed::Times(1.0));
    player.command(at(0), &query(1));
    assert_eq!(due(&mut player, 1), [answered(0.0)]);
    assert_eq!(due(&mut player, 4_500), [], "the second one is passed");
    player.command(at(4_500), &query(1));
    assert_eq!(due(&mut player, 4_501), [answered(2.0)], "and the third is the third");
}

#[test]
fn echoed_fields_have_the_values_that_the_client_sent() {
    let asked = |id, number| Frame { client_id: id, int32_data: [1, 0, number], ..query(1) };
    let steps = vec![
        expect(0, asked(7, 3), Some(1)),
        send(1, answer(&asked(7, 3)), Some(0)),
        expect(2, asked(8, 3), Some(3)),
        // The instrument has put something of its own there.
        send(3, answer(&asked(8, 99)), Some(2)),
    ];
    let mut player = player(&steps, Speed::Max);
    player.command(at(0), &asked(24, 5));
    assert_eq!(due(&mut player, 0), [answer(&asked(24, 5))]);
    player.command(at(0), &asked(24, 6));
    assert_eq!(due(&mut player, 0), [answer(&asked(24, 99))]);
}

#[test]
fn the_end_of_the_recorded_instrument_ends_the_replay() {
    let steps = vec![
        send(0, idle(), None),
        Step::Raw { at: ms(1), bytes: vec![1] },
        Step::End { at: ms(5) },
    ];
    let mut player = player(&steps, Speed::Times(1.0));
    assert!(player.poll(at(0)).is_some());
    assert_eq!(player.poll(at(1)), Some(vec![1]));
    assert!(player.poll(at(4)).is_none() && !player.is_over());
    assert_eq!(player.poll_timeout(), Some(at(5)));
    assert!(player.poll(at(5)).is_none() && player.is_over());
}
