//! Which command of a client has its turn: commands that are answered at the end of a motion or not at
//! all, and the commands beside them.

use flamingo_protocol_core::{CommandCode, Frame, connection::TokenField};

use super::harness::*;
use crate::router::RouterOptions;

fn at_end(code: CommandCode, axis: i32) -> Frame {
    Frame::command(code).with_selector(axis)
}

fn home(axis: i32) -> Frame {
    at_end(CommandCode::STAGE_HOME, axis)
}

const AT_END: [CommandCode; 3] = [
    CommandCode::STAGE_HOME,
    CommandCode::STAGE_FIND_REFERENCE,
    CommandCode::STAGE_WAIT_FOR_MOTION_TO_STOP,
];

#[test]
fn a_second_motion_of_an_axis_delays_no_query_of_anyone() {
    for code in AT_END {
        let mut harness = Harness::new(options());
        let clients = [harness.client(), harness.client(), harness.client()];
        harness.ask(clients[0], &at_end(code, 1));
        harness.ask(clients[0], &at_end(code, 1));
        harness.ask(clients[1], &at_end(code, 1));
        assert_eq!(harness.reached(), [(code, 1)], "one at a time");
        for client in clients {
            for axis in 1..=4 {
                harness.ask(client, &position(axis));
                let (asked, _) = harness.commands.pop().expect("it goes at once");
                assert_eq!((asked.code, asked.selector()), (position(axis).code, axis));
                harness.instrument_sends(&answer(&asked, 1.0));
                assert_eq!(harness.received(client), [answer(&position(axis), 1.0)]);
            }
        }
        for client in [0, 0, 1] {
            harness.answer_next(0.0);
            assert_eq!(harness.received(clients[client]), [answer(&at_end(code, 1), 0.0)]);
        }
    }
}

#[test]
fn behind_a_motion_that_waits_only_queries_overtake() {
    let mut harness = Harness::new(options());
    let (first, id) = (harness.client(), harness.client());
    harness.ask(first, &home(1));
    harness.commands.clear();
    let exposure = |code| Frame::command(code).with_value(10.0);
    let set = exposure(CommandCode::CAMERA_EXPOSURE_SET);
    for frame in [
        home(1),
        go(2),
        position(2),
        set,
        exposure(CommandCode::CAMERA_EXPOSURE_GET),
        position(3),
        home(3),
    ] {
        harness.ask(id, &frame);
    }
    let positions = [2, 3].map(|axis| (position(axis).code, axis));
    assert_eq!(harness.reached(), positions, "the exposure is asked for after it is set");
    for _ in 0..2 {
        harness.answer_next(0.0);
    }
    harness.instrument_sends(&answer(&home(1), 0.0));
    let mut codes = Vec::new();
    while !harness.commands.is_empty() {
        codes.push(harness.answer_next(0.0).code);
    }
    let get = CommandCode::CAMERA_EXPOSURE_GET;
    assert_eq!(codes, [home(1).code, go(2).code, set.code, get, home(3).code]);
}

#[test]
fn motions_of_many_clients_leave_the_window_to_others() {
    for tokens in [None, Some(TokenField::ClientId)] {
        let core = options().core.with_tokens(tokens).with_window(1);
        let mut harness = Harness::new(RouterOptions { core, ..options() });
        let witness = harness.client();
        for number in 0..60 {
            let id = harness.client();
            harness.ask(id, &at_end(AT_END[number / 4 % 3], 1 + (number % 4) as i32));
        }
        assert_eq!(harness.commands.len(), 12, "one of each axis and code");
        for axis in 1..=4 {
            harness.ask(witness, &position(axis));
            let (asked, _) = harness.commands.pop().expect("it goes at once");
            assert_eq!(asked.code, position(axis).code);
            harness.instrument_sends(&answer(&asked, 2.0));
            assert_eq!(harness.received(witness), [answer(&position(axis), 2.0)]);
        }
    }
}

#[test]
fn a_motion_waits_for_another_as_long_as_motions_may_take() {
    let mut harness = Harness::new(options());
    let (first, second) = (harness.client(), harness.client());
    harness.ask(first, &home(1));
    harness.ask(second, &home(1));
    harness.ask(second, &go(2));
    harness.pass(ms(5_000));
    assert_refused(&harness.received(second), &go(2), "waited too long");
    harness.pass(ms(170_000));
    assert_eq!(harness.commands.len(), 1);
    harness.answer_next(0.0);
    assert_eq!(harness.reached(), [(home(1).code, 1)], "the second has its turn");
    harness.ask(first, &home(1));
    harness.pass(ms(179_000));
    assert_eq!(harness.received(first), [answer(&home(1), 0.0)]);
    harness.pass(ms(1_000));
    assert!(harness.received(first).len() <= 1);
    harness.pass(ms(180_000));
    assert!(!harness.router.is_busy(), "nothing waits for ever");
}

#[test]
fn a_halt_cancels_the_motions_that_wait_for_another() {
    let mut harness = Harness::new(options());
    let (first, second) = (harness.client(), harness.client());
    harness.ask(first, &home(1));
    harness.ask(second, &home(1));
    harness.ask(first, &halt(1));
    assert_refused(&harness.received(second), &home(1), "cancelled by a stop");
    harness.answer_next(0.0);
    assert_eq!(harness.reached(), [(CommandCode::STAGE_HALT, 1)]);
}

#[test]
fn a_command_that_is_not_answered_delays_only_its_equals() {
    let unknown = Frame::command(CommandCode(0x6FFF));
    let save = Frame::command(CommandCode::COMMON_SCOPE_SETTINGS_SAVE).with_payload_len(4);
    let set = Frame::command(CommandCode::CAMERA_EXPOSURE_SET).with_value(10.0);
    for (mute, others) in [
        (unknown, [position(1), go(2)]),
        (position(1), [position(2), go(2)]),
        (go(1), [position(2), go(2)]),
        (set, [Frame::command(CommandCode::CAMERA_IMAGE_SIZE_GET), go(1)]),
        (save, [Frame::command(CommandCode::COMMON_SCOPE_SETTINGS_LOAD), go(1)]),
    ] {
        let mut harness = Harness::new(options());
        let (deaf, second, witness) = (harness.client(), harness.client(), harness.client());
        let mut bytes = mute.encode().to_vec();
        bytes.resize(128 + mute.payload_len as usize, 0);
        for id in [deaf, deaf, second] {
            harness.ask_bytes(id, &bytes);
        }
        assert_eq!(harness.reached(), [(mute.code, mute.selector())]);
        for other in others {
            harness.ask(witness, &other);
            let (asked, _) = harness.commands.pop().expect("a command");
            assert_eq!(asked.code, other.code, "behind {mute}");
            harness.instrument_sends(&answer(&asked, 0.0));
            assert_eq!(harness.received(witness).len(), 1);
            if other.code == mute.code {
                break; // its answer proves that the first is not answered
            }
        }
    }
}
