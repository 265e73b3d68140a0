//! What clients receive while the instrument is not connected: the state, and no refusal that reads as
//! data.

use flamingo_protocol_core::{
    CommandCode, Frame,
    wire::{Kind, Selector, TABLE, Timing},
};

use super::harness::*;
use crate::router::RouterOptions;
use crate::settings::{Delivery, Role, WhenLost};

const DISCONNECTED: i32 = CommandCode::SYSTEM_STATE_DISCONNECTED.0 as i32;

fn away(when_lost: WhenLost) -> Harness {
    Harness::unconnected(RouterOptions { when_lost, ..options() })
}

/// Every code whose answer tells something about the instrument, the state apart.
fn telling() -> Vec<Frame> {
    let tells = TABLE.iter().filter(|row| {
        let asked = row.kind == Kind::Event && row.selector != Selector::None;
        let waits = row.code == CommandCode::STAGE_WAIT_FOR_MOTION_TO_STOP;
        row.kind == Kind::Query || asked || waits
    });
    let codes = tells.map(|row| row.code).chain([CommandCode(0xBEEF)]);
    let codes = codes.filter(|code| *code != CommandCode::SYSTEM_STATE_GET);
    codes.map(|code| Frame::command(code).with_selector(1)).collect()
}

/// Asserts that no number of a frame could be a value of the instrument, and that its text declines.
fn assert_unreadable(asked: &Frame, frame: &Frame) {
    assert_eq!((frame.code, frame.status, frame.payload_len), (asked.code, 0, 0), "{frame}");
    assert!(frame.value.is_nan(), "{frame}");
    let selects = asked.code.row().is_some_and(|row| row.selector != Selector::None);
    let first = if selects { asked.selector() } else { -1 };
    assert_eq!(frame.int32_data, [first, -1, asked.int32_data[2]], "{frame}");
    let text = frame.text().expect("text");
    assert!(text.starts_with("refused: "), "{frame}");
    assert!(text.trim().parse::<f64>().is_err(), "{frame}");
    // Only the instrument sends events: even a refusal would say that one has happened.
    assert!(asked.code.row().is_none_or(|row| row.kind != Kind::Event), "{frame}");
}

#[test]
fn the_state_of_an_instrument_that_is_away_is_disconnected() {
    for when_lost in WhenLost::ALL {
        let mut harness = away(*when_lost);
        let id = harness.client_as(Role::Control, Delivery::Inline);
        let state = Frame { client_id: 7, ..Frame::command(CommandCode::SYSTEM_STATE_GET) };
        harness.ask(id, &state);
        let expected = Frame { status: 1, ..state }.with_selector(DISCONNECTED);
        assert_eq!(harness.received(id), [expected]);
        // Also without the flag, as the instrument answers it.
        harness.ask(id, &Frame::new(state.code));
        assert_eq!(harness.received(id)[0].selector(), DISCONNECTED);
    }
}

#[test]
fn a_state_query_of_a_lost_connection_is_disconnected() {
    let mut harness = Harness::new(options());
    let id = harness.client_as(Role::Control, Delivery::Inline);
    let state = Frame::command(CommandCode::SYSTEM_STATE_GET);
    harness.ask(id, &state);
    harness.ask(id, &state); // waits for the first one
    harness.router.upstream_lost(harness.now);
    harness.write();
    let answers: Vec<_> =
        harness.received(id).into_iter().filter(|frame| frame.code == state.code).collect();
    let expected = Frame { status: 1, ..state }.with_selector(DISCONNECTED);
    assert_eq!(answers, [expected; 2]);
}

#[test]
fn by_default_no_query_is_answered_while_it_is_away() {
    let mut harness = away(WhenLost::default());
    let id = harness.client();
    for asked in telling() {
        harness.pass(ms(1000));
        harness.ask(id, &asked);
        assert_eq!(harness.received(id), [], "{asked}");
    }
    harness.ask(id, &go(1));
    assert_refused(&harness.received(id), &go(1), "not connected");
    assert!(harness.log.iter().any(|line| line.contains("STAGE_POSITION_GET")), "it is logged");
}

#[test]
fn no_refusal_of_a_query_reads_as_data() {
    let told = |harness: &mut Harness, asked: &Frame| {
        let id = harness.client();
        harness.ask(id, asked);
        harness.router.upstream_lost(harness.now);
        harness.write();
        let answers = harness.received(id);
        harness.leave(id);
        answers
    };
    for asked in telling() {
        let is_event = asked.code.row().is_some_and(|row| row.kind == Kind::Event);
        let mut refusals = Vec::new();
        // Not connected.
        refusals.push(told(&mut away(WhenLost::Refusal), &asked));
        // Lost while the query waits for its answer, and before it was sent.
        let connected = || RouterOptions { when_lost: WhenLost::Refusal, ..options() };
        refusals.push(told(&mut Harness::new(connected()), &asked));
        let mut handshake = Harness::unconnected(connected());
        handshake.router.upstream_opened(handshake.now);
        refusals.push(told(&mut handshake, &asked));
        // Refused although the instrument is connected.
        let mut stopping = Harness::new(options());
        stopping.router.stop();
        let id = stopping.client();
        stopping.ask(id, &asked);
        refusals.push(stopping.received(id));
        for refusal in refusals {
            assert_eq!(refusal.len(), usize::from(!is_event), "{asked}: {refusal:?}");
            for frame in &refusal {
                assert_unreadable(&asked, frame);
            }
        }
    }
    assert!(telling().len() > 15);
}

#[test]
fn a_refused_action_declines_in_words() {
    let mut harness = away(WhenLost::Silence);
    for row in TABLE.iter().filter(|row| row.kind == Kind::Action && !row.effect.stops()) {
        if row.timing == Timing::AtEnd && !row.effect.moves() {
            continue;
        }
        let id = harness.client();
        let asked = Frame::command(row.code).with_selector(1);
        harness.ask(id, &asked);
        assert_refused(&harness.received(id), &asked, "refused: the instrument is not connected");
        harness.leave(id);
    }
}

#[test]
fn a_client_that_asks_is_closed_if_the_settings_say_so() {
    let mut harness = away(WhenLost::Close);
    let (asks, waits) = (harness.client(), harness.client());
    harness.ask(asks, &Frame::command(CommandCode::SYSTEM_STATE_GET));
    assert_eq!(harness.received(asks).len(), 1);
    assert!(!harness.router.should_close(asks), "the state is no reason");
    harness.ask(asks, &position(1));
    assert!(harness.router.should_close(asks) && !harness.router.should_close(waits));
}

#[test]
fn a_token_of_a_client_comes_back_in_a_refusal() {
    let mut harness = away(WhenLost::Refusal);
    let id = harness.client();
    let mut asked = Frame { client_id: 5, ..position(3) };
    asked.int32_data[2] = 77;
    harness.ask(id, &asked);
    let [refused] = harness.received(id)[..] else { panic!("one answer") };
    assert_eq!((refused.client_id, refused.int32_data), (5, [3, -1, 77]));
}
