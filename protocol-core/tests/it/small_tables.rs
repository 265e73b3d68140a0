//! The smallest connections: every axis can be halted, and a table that was full does not end proof.

use crate::common::*;
use flamingo_protocol_core::{CommandCode, Config, Ended, Frame};

type Small = Client<4, 12, 4>;

/// Asks and answers for a time. Returns how many answers were proven.
fn proven_answers(client: &mut Small, query: &Frame, times: usize) -> usize {
    let mut answered = client.wire.len();
    let mut proven = 0;
    for _ in 0..times {
        let ticket = client.ask(query);
        client.pass(ms(1));
        while client.outcomes(ticket) == 0 {
            // The peer answers everything that it gets, fences too.
            let Some(frame) = client.wire.get(answered).copied() else {
                client.pass(ms(10));
                continue;
            };
            answered += 1;
            proven += usize::from(client.hear(&answer(&frame, 0.0)) == solicited(ticket));
        }
        client.frames.clear();
    }
    proven
}

#[test]
fn four_axes_can_be_halted_at_once() {
    let mut client = Small::sized(Config::default());
    for axis in 1..=4 {
        client.ask(&position(axis));
    }
    for axis in 1..=4 {
        client.ask(&halt(axis));
    }
    let halts = client.wire.iter().filter(|frame| frame.code == halt(1).code).count();
    assert_eq!(halts, 4);
}

/// Asks for each of these once, without an answer.
fn silence(client: &mut Small, queries: &[Frame]) {
    for query in queries {
        let ticket = client.queue(query, ms(100)).unwrap();
        client.write();
        client.pass(ms(2000));
        assert!(matches!(client.ends(ticket)[..], [Ended::TimedOut { .. }]));
    }
}

#[test]
fn unanswered_queries_do_not_end_proof_for_ever() {
    let mut client = Small::sized(Config::default());
    let stage =
        (1..=3).flat_map(|axis| [go(axis, 0.0), velocity(axis), position(axis), halt(axis)]);
    silence(&mut client, &stage.collect::<Vec<_>>());
    assert!(proven_answers(&mut client, &position(1), 100) > 90);
}

#[test]
fn after_a_loss_on_every_axis_proof_comes_back() {
    let mut client = Small::sized(Config::default());
    for _ in 0..3 {
        silence(&mut client, &[1, 2, 3, 4].map(position));
    }
    assert!(proven_answers(&mut client, &position(1), 100) > 80);
}

#[test]
fn proof_comes_back_while_all_axes_are_polled_in_turns() {
    for times in 1..=2 {
        let mut client = Small::sized(Config::default());
        for _ in 0..times {
            silence(&mut client, &[1, 2, 3, 4].map(position));
        }
        let mut proven = 0;
        for _ in 0..10 {
            for axis in 1..=4 {
                client.pass(ms(200));
                proven += proven_answers(&mut client, &position(axis), 1);
            }
        }
        assert!(proven >= 39, "{proven} of 40");
        assert!(client.counters().fences_sent < 20);
    }
}

#[test]
fn doubts_of_another_subsystem_do_not_end_proof() {
    let mut client = Small::sized(Config::default());
    let camera =
        [CommandCode::CAMERA_IMAGE_SIZE_GET, CommandCode::CAMERA_PIXEL_FIELD_OF_VIEW_GET].map(ask);
    silence(&mut client, &camera);
    let stage =
        (1..=4).flat_map(|axis| [go(axis, 0.0), velocity(axis), position(axis), halt(axis)]);
    silence(&mut client, &stage.collect::<Vec<_>>());
    silence(&mut client, &camera);
    assert!(proven_answers(&mut client, &camera[0], 200) > 100);
}

#[test]
fn one_lost_answer_does_not_end_proof_when_polling_slowly() {
    let mut client = Small::sized(Config::default());
    silence(&mut client, &[position(1)]);
    let mut proven = 0;
    for _ in 0..100 {
        client.pass(SECOND);
        proven += proven_answers(&mut client, &position(1), 1);
    }
    assert_eq!((proven, client.counters().fences_sent), (100, 1));
}

#[test]
fn each_subsystem_gets_its_proof_back() {
    let mut client = Small::sized(Config::default());
    let camera = [
        CommandCode::CAMERA_IMAGE_SIZE_GET,
        CommandCode::CAMERA_EXPOSURE_SET,
        CommandCode::CAMERA_SNAPSHOT_GET,
        CommandCode::COMMON_SCOPE_SETTINGS_LOAD,
        CommandCode::STORAGE_PATH_TEST,
    ]
    .map(ask);
    let stage = (1..=3).flat_map(|axis| [go(axis, 0.0), velocity(axis), halt(axis)]);
    silence(&mut client, &camera);
    silence(&mut client, &stage.collect::<Vec<_>>());
    assert!(proven_answers(&mut client, &camera[0], 100) > 90);
    assert!(proven_answers(&mut client, &go(1, 0.0), 100) > 90);
}

#[test]
fn a_silence_while_polling_leaves_a_key_that_proves() {
    let mut client = Small::sized(Config::default());
    for _ in 0..30 {
        let ticket = client.queue(&position(1), ms(300)).unwrap();
        client.write();
        while client.outcomes(ticket) == 0 {
            client.pass(ms(10));
        }
    }
    assert!(client.counters().fences_sent <= 2, "{:?}", client.counters());
    assert!(proven_answers(&mut client, &position(1), 100) > 90);
}
