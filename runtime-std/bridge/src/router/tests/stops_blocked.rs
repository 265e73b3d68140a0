//! A stop behind an upload that the instrument takes slowly, or not at all.

use flamingo_protocol_core::{CommandCode, Frame};

use super::harness::*;
use crate::router::RouterOptions;
use crate::settings::WhenLost;

const HALT: CommandCode = CommandCode::STAGE_HALT;
const STATE: (CommandCode, i32) = (CommandCode::SYSTEM_STATE_GET, 0);

fn save(len: u32) -> Frame {
    Frame::command(CommandCode::COMMON_SCOPE_SETTINGS_SAVE).with_payload_len(len)
}

/// The bytes of an upload of 1 MB.
fn upload() -> Vec<u8> {
    [&save(1_000_000).encode()[..], &vec![5; 1_000_000]].concat()
}

/// Lets the link take 1 kB each 10 ms for this many steps.
fn drip(harness: &mut Harness, steps: u32) {
    for _ in 0..steps {
        let end = harness.now + ms(10);
        while let Some(due) = harness.router.poll_timeout().filter(|due| *due <= end) {
            harness.now = harness.now.max(due);
            harness.router.handle_timeout(harness.now);
        }
        harness.now = end;
        harness.write_some(1000);
    }
}

#[test]
fn an_upload_that_drips_holds_a_halt_for_a_second_at_most() {
    let mut harness = Harness::new(options());
    let clients = [harness.client(), harness.client()];
    let stopping = harness.client();
    for client in clients {
        harness.router.client_input(harness.now, client, &upload());
    }
    drip(&mut harness, 10);
    harness.router.client_input(harness.now, stopping, &halt(1).encode());
    drip(&mut harness, 99);
    assert_eq!(harness.take_reconnects(), [""; 0]);
    drip(&mut harness, 1);
    let reason = "a stop waits behind a frame that is not written";
    assert_eq!(harness.take_reconnects(), [reason]);
    assert_eq!(harness.reached(), [(save(0).code, 0)], "nothing else was sent");
    harness.commands.clear();
    harness.router.upstream_lost(harness.now);
    for client in clients {
        assert_refused(&harness.received(client), &save(0), "connection lost");
    }
    harness.reopen();
    assert_eq!(harness.reached(), [(HALT, 1), STATE], "the HALT goes first");
    harness.answer_next(0.0);
    assert_eq!(harness.received(stopping), [answer(&halt(1), 0.0)]);
}

#[test]
fn uploads_that_follow_each_other_do_not_delay_a_halt() {
    let mut harness = Harness::new(options());
    let clients = [harness.client(), harness.client(), harness.client()];
    let stopping = harness.client();
    for client in clients {
        let small = [&save(50_000).encode()[..], &vec![5; 50_000]].concat();
        harness.router.client_input(harness.now, client, &small);
    }
    drip(&mut harness, 10);
    harness.router.client_input(harness.now, stopping, &halt(1).encode());
    drip(&mut harness, 50);
    assert_eq!(harness.take_reconnects(), [""; 0]);
    assert_eq!(harness.reached()[..2], [(save(0).code, 0), (HALT, 1)]);
}

#[test]
fn stops_that_the_instrument_may_not_have_read_go_again() {
    let mut harness = Harness::new(options());
    let (uploading, stopping) = (harness.client(), harness.client());
    harness.ask(stopping, &halt(1));
    harness.ask(stopping, &halt(2));
    harness.answer_next(0.0);
    harness.router.client_input(harness.now, uploading, &upload());
    harness.write_some(1000);
    harness.router.client_input(harness.now, stopping, &halt(3).encode());
    drip(&mut harness, 100);
    assert_eq!(harness.take_reconnects().len(), 1);
    harness.commands.clear();
    harness.router.upstream_lost(harness.now);
    harness.reopen();
    assert_eq!(harness.reached(), [(HALT, 2), (HALT, 3), STATE], "the first was answered");
}

#[test]
fn a_laser_off_that_may_be_lost_goes_again() {
    let off = |laser| Frame::command(CommandCode::LASER_DISABLE).with_selector(laser);
    let mut harness = Harness::new(options());
    let (uploading, stopping) = (harness.client(), harness.client());
    for laser in [1, 2] {
        harness.ask(stopping, &off(laser));
    }
    harness.ask(stopping, &Frame::command(CommandCode::LASER_ENABLE).with_selector(1));
    harness.router.client_input(harness.now, uploading, &upload());
    harness.write_some(1000);
    harness.router.client_input(harness.now, stopping, &halt(3).encode());
    drip(&mut harness, 100);
    assert_eq!(harness.take_reconnects().len(), 1);
    for expected in [vec![(HALT, 3), (off(2).code, 2), STATE], vec![STATE]] {
        harness.commands.clear();
        harness.router.upstream_lost(harness.now);
        harness.reopen();
        assert_eq!(harness.reached(), expected, "laser 1 was switched on again");
        for (frame, _) in std::mem::take(&mut harness.commands) {
            harness.instrument_sends(&answer(&frame, 0.0));
        }
    }
}

#[test]
fn queries_behind_the_upload_are_asked_after_the_halt() {
    let mut harness = Harness::new(options());
    let [uploading, asking, pipelining, stopping] = [(); 4].map(|()| harness.client());
    harness.router.client_input(harness.now, uploading, &upload());
    harness.write_some(1000);
    harness.router.client_input(harness.now, asking, &position(1).encode());
    let two = [position(2).encode(), go(3).encode(), position(4).encode()].concat();
    harness.router.client_input(harness.now, pipelining, &two);
    harness.router.client_input(harness.now, stopping, &halt(1).encode());
    drip(&mut harness, 100);
    assert_eq!(harness.take_reconnects().len(), 1);
    harness.commands.clear();
    harness.router.upstream_lost(harness.now);
    let refused = harness.received(pipelining);
    assert_refused(&refused, &go(3), "cancelled by a stop");
    // It comes while the bridge connects again.
    harness.router.client_input(harness.now, stopping, &position(3).encode());
    harness.connect(IDLE);
    assert_eq!(harness.commands[0].0, halt(1));
    while !harness.commands.is_empty() {
        harness.answer_next(1.0);
    }
    assert_eq!(harness.received(asking), [answer(&position(1), 1.0)]);
    assert_eq!(harness.received(pipelining), [2, 4].map(|axis| answer(&position(axis), 1.0)));
    assert_eq!(harness.received(stopping).len(), 2);
}

#[test]
fn queries_wait_no_longer_than_their_time_for_the_next_link() {
    let mut harness = Harness::new(RouterOptions { when_lost: WhenLost::Refusal, ..options() });
    let [uploading, asking, stopping] = [(); 3].map(|()| harness.client());
    harness.router.client_input(harness.now, uploading, &upload());
    harness.write_some(1000);
    harness.router.client_input(harness.now, asking, &position(1).encode());
    harness.router.client_input(harness.now, stopping, &halt(1).encode());
    drip(&mut harness, 100);
    harness.router.upstream_lost(harness.now);
    assert!(harness.received(asking).is_empty());
    harness.pass(ms(5_000));
    assert_refused(&harness.received(asking), &position(1), "waited too long");
}

#[test]
fn a_query_that_waits_for_the_next_link_goes_before_an_upload() {
    let mut harness = Harness::new(options());
    let [uploading, asking, stopping] = [(); 3].map(|()| harness.client());
    harness.router.client_input(harness.now, uploading, &upload());
    harness.write_some(1000);
    harness.router.client_input(harness.now, asking, &position(1).encode());
    harness.router.client_input(harness.now, stopping, &halt(1).encode());
    drip(&mut harness, 100);
    harness.commands.clear();
    harness.router.upstream_lost(harness.now);
    harness.reopen();
    harness.answer_next(0.0);
    harness.router.client_input(harness.now, uploading, &upload());
    let (state, _) = harness.commands.remove(0);
    harness.instrument_sends(&answer(&state, 0.0).with_selector(IDLE.0 as i32));
    let lengths: Vec<_> = harness.commands.iter().map(|(frame, _)| frame.payload_len).collect();
    assert_eq!(lengths, [0, 1_000_000]);
}
