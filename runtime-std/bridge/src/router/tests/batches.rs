//! Queries that go out in one write, of which only a part is written. Each test tries every length of that part.

use flamingo_protocol_core::{CommandCode, Frame, wire::FRAME_LEN};

use super::harness::*;
use crate::router::{ClientId, RouterOptions};
use crate::settings::WhenLost;

const ASK: CommandCode = CommandCode::STAGE_POSITION_GET;
const GO: CommandCode = CommandCode::STAGE_POSITION_SET;
const HALT: CommandCode = CommandCode::STAGE_HALT;
const STATE: (CommandCode, i32) = (CommandCode::SYSTEM_STATE_GET, 0);
const LOST: &str = "connection lost";

/// Three clients have asked for the positions of the axes 1, 2 and 3. All that goes out in one write, of which
/// `written` bytes are written.
fn batch(options: RouterOptions, written: usize) -> (Harness, [ClientId; 3]) {
    let mut harness = Harness::new(options);
    let clients = [(); 3].map(|()| harness.client());
    for (client, axis) in clients.into_iter().zip(1..) {
        harness.router.client_input(harness.now, client, &position(axis).encode());
    }
    assert_eq!(harness.router.upstream_output(harness.now).len(), 3 * FRAME_LEN);
    harness.write_some(written);
    (harness, clients)
}

fn parts() -> std::ops::Range<usize> {
    0..3 * FRAME_LEN
}

fn refusals() -> RouterOptions {
    RouterOptions { when_lost: WhenLost::Refusal, ..options() }
}

/// The instrument answers everything with the selector as the value.
fn answer_all(harness: &mut Harness) {
    while let Some((command, _)) = harness.commands.first() {
        let value = f64::from(command.selector());
        harness.answer_next(value);
    }
}

#[test]
fn a_stop_follows_a_partly_written_batch_and_cuts_no_frame() {
    for written in parts() {
        let (mut harness, clients) = batch(options(), written);
        let [moving, stopping] = [(); 2].map(|()| harness.client());
        harness.router.client_input(harness.now, moving, &go(1).encode());
        harness.router.client_input(harness.now, stopping, &halt(1).encode());
        harness.router.client_input(harness.now, stopping, &position(4).encode());
        assert!(harness.router.has_stop_to_write());
        harness.write();
        assert!(!harness.router.has_stop_to_write());
        let first = [(ASK, 1), (ASK, 2), (ASK, 3), (HALT, 1)];
        assert_eq!(harness.reached()[..4], first, "{written} bytes were written");
        assert_refused(&harness.received(moving), &go(1), "cancelled by a stop");
        answer_all(&mut harness);
        for (client, axis) in clients.into_iter().zip(1..) {
            assert_eq!(harness.received(client), [answer(&position(axis), f64::from(axis))]);
        }
        assert_eq!(harness.received(stopping), [answer(&halt(1), 1.0), answer(&position(4), 4.0)]);
    }
}

#[test]
fn a_lost_batch_fails_once_and_is_not_sent_again() {
    for written in parts() {
        let (mut harness, clients) = batch(refusals(), written);
        let [moving, pipelining] = [(); 2].map(|()| harness.client());
        harness.router.client_input(harness.now, moving, &go(1).encode());
        let two = [position(4).encode(), go(2).encode()].concat();
        harness.router.client_input(harness.now, pipelining, &two);
        harness.router.upstream_lost(harness.now);
        let whole: Vec<_> = (1..=3).map(|axis| (ASK, axis)).take(written / FRAME_LEN).collect();
        assert_eq!(harness.reached(), whole, "no other frame was sent");
        harness.commands.clear();
        harness.connect(IDLE);
        assert_eq!(harness.reached(), [], "nothing is sent again");
        for (client, axis) in clients.into_iter().zip(1..) {
            assert_refused(&harness.received(client), &position(axis), LOST);
        }
        assert_refused(&harness.received(moving), &go(1), LOST);
        let told = harness.received(pipelining);
        assert_refused(&told[..1], &position(4), LOST);
        assert_refused(&told[1..], &go(2), LOST);
        // Nothing of the old batch is before the next commands.
        harness.ask(moving, &go(3));
        harness.ask(clients[0], &position(1));
        assert_eq!(harness.reached(), [(GO, 3), (ASK, 1)]);
    }
}

#[test]
fn queries_of_a_batch_that_blocks_a_stop_are_asked_after_it() {
    for written in parts() {
        let (mut harness, clients) = batch(refusals(), written);
        let [moving, stopping] = [(); 2].map(|()| harness.client());
        harness.router.client_input(harness.now, stopping, &halt(1).encode());
        harness.router.client_input(harness.now, moving, &go(2).encode());
        harness.now = harness.now + ms(1_000);
        harness.router.handle_timeout(harness.now);
        assert_eq!(harness.take_reconnects().len(), 1);
        let whole = written / FRAME_LEN;
        assert_eq!(harness.commands.len(), whole);
        harness.commands.clear();
        harness.router.upstream_lost(harness.now);
        harness.reopen();
        assert_eq!(harness.reached(), [(HALT, 1), STATE], "the stop goes first");
        harness.answer_next(1.0);
        let (state, _) = harness.commands.remove(0);
        harness.instrument_sends(&answer(&state, 0.0).with_selector(IDLE.0 as i32));
        let again: Vec<_> = (1..=3).map(|axis| (ASK, axis)).skip(whole).collect();
        assert_eq!(harness.reached(), again, "no move, and no query that was written whole");
        answer_all(&mut harness);
        assert_refused(&harness.received(moving), &go(2), LOST);
        for (nth, client) in clients.into_iter().enumerate() {
            let axis = nth as i32 + 1;
            let told = harness.received(client);
            if nth < whole {
                assert_refused(&told, &position(axis), LOST);
            } else {
                assert_eq!(told, [answer(&position(axis), f64::from(axis))]);
            }
        }
    }
}

#[test]
fn a_client_that_leaves_during_its_batch_cuts_no_frame() {
    for written in parts() {
        let (mut harness, [first, gone, last]) = batch(options(), written);
        let next = harness.client();
        harness.router.client_input(harness.now, gone, &go(2).encode());
        harness.router.client_closed(harness.now, gone);
        harness.router.client_input(harness.now, next, &position(2).encode());
        harness.write();
        assert_eq!(harness.reached()[..3], [(ASK, 1), (ASK, 2), (ASK, 3)]);
        for value in [1.0, 2.0, 3.0] {
            harness.answer_next(value);
        }
        assert!(harness.received(next).is_empty(), "the answer of another client");
        while !harness.commands.is_empty() {
            assert_ne!(harness.answer_next(4.0).code, GO, "its client has left");
        }
        assert_eq!(harness.received(first), [answer(&position(1), 1.0)]);
        assert_eq!(harness.received(last), [answer(&position(3), 3.0)]);
        assert_eq!(harness.received(next), [answer(&position(2), 4.0)]);
        assert_eq!(harness.router.client_status(harness.now).1.late, 1);
    }
}

#[test]
fn an_upload_behind_a_batch_is_written_whole() {
    let len = 300;
    let bytes = [&upload(len).encode()[..], &vec![5; len as usize]].concat();
    for written in 0..3 * FRAME_LEN + bytes.len() {
        let mut harness = Harness::new(options());
        let [asking, uploading, late] = [(); 3].map(|()| harness.client());
        let queries = [1, 2, 3].map(|axis| position(axis).encode()).concat();
        harness.router.client_input(harness.now, asking, &queries);
        harness.router.client_input(harness.now, uploading, &bytes);
        harness.write_some(written);
        harness.router.client_input(harness.now, late, &position(4).encode());
        harness.write();
        let uploads = harness.commands.iter().filter(|(frame, _)| frame.code == upload(0).code);
        let payloads: Vec<_> = uploads.map(|(_, payload)| payload.clone()).collect();
        assert_eq!(payloads, [vec![5; len as usize]], "{written} bytes were written");
        answer_all(&mut harness);
        let axes: Vec<_> = harness.received(asking).iter().map(Frame::selector).collect();
        assert_eq!(axes, [1, 2, 3]);
        assert_eq!(harness.received(uploading).len(), 1);
        assert_eq!(harness.received(late), [answer(&position(4), 4.0)]);
    }
}

#[test]
fn a_stop_during_an_upload_behind_a_batch_follows_the_upload() {
    let len = 300;
    let bytes = [&upload(len).encode()[..], &vec![5; len as usize]].concat();
    let mut harness = Harness::new(options());
    let [asking, uploading, stopping] = [(); 3].map(|()| harness.client());
    harness.router.client_input(harness.now, asking, &position(1).encode());
    harness.router.client_input(harness.now, uploading, &bytes);
    harness.write_some(2 * FRAME_LEN + 10);
    harness.router.client_input(harness.now, stopping, &halt(1).encode());
    harness.router.client_input(harness.now, asking, &position(2).encode());
    harness.write();
    assert_eq!(harness.reached()[..3], [(ASK, 1), (upload(0).code, 0), (HALT, 1)]);
    assert_eq!(harness.commands[1].1, vec![5; len as usize]);
}

#[test]
fn a_write_has_sixteen_queries_at_most() {
    let mut options = options();
    options.core = options.core.with_window(64);
    let mut harness = Harness::new(options);
    for nth in 0..20 {
        let client = harness.client();
        // Each has a key of its own.
        let query = position(nth);
        harness.router.client_input(harness.now, client, &query.encode());
    }
    assert_eq!(harness.router.upstream_output(harness.now).len(), 16 * FRAME_LEN);
    harness.write();
    let axes: Vec<_> = harness.reached().iter().map(|(_, axis)| *axis).collect();
    assert_eq!(axes, (0..20).collect::<Vec<_>>());
}

#[test]
fn a_query_after_a_stop_does_not_share_one_from_before_it() {
    let mut harness = Harness::new(RouterOptions { coalesce: true, ..options() });
    let [id, other] = [(); 2].map(|()| harness.client());
    harness.router.client_input(harness.now, id, &position(1).encode());
    harness.write_some(1);
    harness.router.client_input(harness.now, id, &halt(1).encode());
    harness.router.client_input(harness.now, id, &position(1).encode());
    harness.write();
    for value in [1.0, 2.0, 3.0] {
        harness.answer_next(value);
    }
    let told = [answer(&position(1), 1.0), answer(&halt(1), 2.0), answer(&position(1), 3.0)];
    assert_eq!(harness.received(id), told);
    // Without a stop, a query shares one that is partly written.
    harness.router.client_input(harness.now, id, &position(1).encode());
    harness.write_some(1);
    harness.router.client_input(harness.now, other, &position(1).encode());
    harness.write();
    assert_eq!(harness.reached(), [(ASK, 1)]);
    harness.answer_next(4.0);
    for client in [id, other] {
        assert_eq!(harness.received(client), [answer(&position(1), 4.0)]);
    }
}

#[test]
fn clients_of_a_batch_that_is_not_written_in_time_are_told() {
    let (mut harness, clients) = batch(options(), 0);
    harness.now = harness.now + ms(5_000);
    harness.router.handle_timeout(harness.now);
    for (client, axis) in clients.into_iter().zip(1..) {
        assert_refused(&harness.received(client), &position(axis), "not sent");
    }
}
