//! SIGHUP gives a client another role: what it may not send any more does not run.

use flamingo_protocol_core::{CommandCode, Frame};

use super::harness::*;
use crate::router::{ClientId, RouterOptions};
use crate::settings::{Delivery, Role};

const NOW_READ_ONLY: &str = "read-only now";

fn make_read_only(harness: &mut Harness, id: ClientId) {
    harness.router.set_role(harness.now, id, Role::ReadOnly, Delivery::Callback);
    harness.write();
}

fn save(len: u32) -> Frame {
    Frame::command(CommandCode::COMMON_SCOPE_SETTINGS_SAVE).with_payload_len(len)
}

#[test]
fn waiting_moves_of_a_client_that_became_read_only_are_refused() {
    let core = options().core.with_window(1);
    let mut harness = Harness::new(RouterOptions { core, ..options() });
    let (other, id) = (harness.client(), harness.client());
    harness.ask(other, &position(4));
    let moves = [go(1), go(2), go(3)];
    for frame in [moves[0], position(1), moves[1], moves[2]] {
        harness.ask(id, &frame);
    }
    assert_eq!(harness.reached().len(), 1, "the others wait, one of them in the core");
    make_read_only(&mut harness, id);
    let refused = harness.received(id);
    assert_eq!(refused.len(), 3);
    for frame in refused {
        assert_refused(&[frame], &go(frame.selector()), NOW_READ_ONLY);
    }
    harness.answer_next(0.0);
    assert_eq!(harness.reached(), [(position(1).code, 1)], "a query is still sent");
    harness.answer_next(0.0);
    assert_eq!((harness.received(id).len(), harness.received(other).len()), (1, 1));
    assert!(!harness.router.is_busy());
}

#[test]
fn an_upload_of_a_client_that_became_read_only_is_refused() {
    let mut harness = Harness::new(options());
    let id = harness.client();
    harness.ask_bytes(id, &[&save(300).encode()[..], &[5; 100]].concat());
    make_read_only(&mut harness, id);
    harness.ask_bytes(id, &[5; 200]);
    assert_refused(&harness.received(id), &save(300), NOW_READ_ONLY);
    assert!(harness.commands.is_empty());
    harness.ask(id, &position(1));
    assert_eq!(harness.reached(), [(position(1).code, 1)]);
}

#[test]
fn an_upload_that_is_being_written_is_finished() {
    let mut harness = Harness::new(options());
    let id = harness.client();
    harness.router.client_input(
        harness.now,
        id,
        &[&save(300).encode()[..], &[5; 300], &go(1).encode()].concat(),
    );
    harness.write_some(128 + 100);
    make_read_only(&mut harness, id);
    assert_eq!(harness.commands, [(save(300), vec![5; 300])], "a cut would break the stream");
    assert_refused(&harness.received(id), &go(1), NOW_READ_ONLY);
    harness.answer_next(0.0);
    assert_eq!(harness.received(id).len(), 1);
}

#[test]
fn a_client_that_became_read_only_may_still_stop() {
    let mut harness = Harness::new(options());
    let id = harness.client();
    make_read_only(&mut harness, id);
    harness.ask(id, &halt(1));
    assert_eq!(harness.reached(), [(CommandCode::STAGE_HALT, 1)]);
}

#[test]
fn unknown_codes_of_stage_and_lasers_need_lease_and_role() {
    let mut harness = Harness::new(RouterOptions { lease: Some(ms(10_000)), ..options() });
    let (mover, other) = (harness.client(), harness.client());
    let reader = harness.client_as(Role::ReadOnly, Delivery::Callback);
    let unknown = |code| Frame::command(CommandCode(code));
    harness.ask(mover, &unknown(0x6FFF));
    for code in [0x6007, 0x6FFF, 0x2FFF] {
        harness.ask(reader, &unknown(code));
        assert_refused(&harness.received(reader), &unknown(code), "read-only");
        harness.ask(other, &unknown(code));
        assert_refused(&harness.received(other), &unknown(code), "holds the lease");
    }
    harness.ask(other, &unknown(0x3FFF));
    assert_eq!(harness.reached(), [(CommandCode(0x6FFF), 0), (CommandCode(0x3FFF), 0)]);
}
