//! Payloads that clients send: which are accepted, how much of them is held, and how slowly they come.

use flamingo_protocol_core::{
    CommandCode, Frame,
    wire::{Payload, TABLE},
};

use super::harness::*;
use crate::router::RouterOptions;
use crate::settings::{Delivery, LimitSettings, Role};

fn limited(limits: LimitSettings) -> Harness {
    Harness::new(RouterOptions { limits, ..options() })
}

#[test]
fn an_upload_is_forwarded_only_when_it_is_whole() {
    let mut harness = Harness::new(options());
    let (slow, quick) = (harness.client(), harness.client());
    let bytes = [&upload(1000).encode()[..], &[5; 1000]].concat();
    harness.ask_bytes(slow, &bytes[..900]);
    assert!(harness.commands.is_empty());
    harness.ask(quick, &position(1));
    assert_eq!(harness.reached(), [(position(1).code, 1)], "a slow upload delays nobody");
    harness.commands.clear();
    harness.ask_bytes(slow, &bytes[900..]);
    assert_eq!(harness.commands, [(upload(1000), vec![5; 1000])]);
}

#[test]
fn an_oversized_upload_is_refused_and_the_next_frame_is_read() {
    let limits =
        LimitSettings { upload_bytes: 1000, upload_bytes_total: 1500, ..LimitSettings::default() };
    let mut harness = limited(limits);
    let (one, other) = (harness.client(), harness.client());
    harness
        .ask_bytes(one, &[&upload(1001).encode()[..], &[5; 1001], &position(1).encode()].concat());
    assert_refused(&harness.received(one), &upload(1001), "larger than");
    assert_eq!(harness.reached(), [(position(1).code, 1)]);
    // All clients together may hold no more than the total.
    harness.ask_bytes(one, &[&upload(1000).encode()[..], &[5; 950]].concat());
    harness.ask_bytes(other, &[&upload(600).encode()[..], &[5; 600]].concat());
    assert_refused(&harness.received(other), &upload(600), "other uploads");
}

#[test]
fn a_client_whose_upload_stalls_is_disconnected() {
    let limits = LimitSettings {
        upload_bytes: 1000,
        upload_bytes_total: 1000,
        upload_bytes_per_s_min: 1,
        ..LimitSettings::default()
    };
    let mut harness = limited(limits);
    let (stalled, other) = (harness.client(), harness.client());
    harness.ask(other, &position(1));
    harness.answer_next(1.0);
    harness.ask_bytes(stalled, &upload(1000).encode());
    harness.pass(ms(4_000));
    harness.ask_bytes(stalled, &[5; 10]);
    harness.pass(ms(4_999));
    assert!(!harness.router.should_close(stalled), "there was progress");
    harness.pass(ms(1));
    assert!(harness.router.should_close(stalled));
    assert!(harness.log.iter().any(|line| line.contains("upload stalled")), "{:?}", harness.log);
    harness.leave(stalled);
    harness.ask_bytes(other, &[&upload(1000).encode()[..], &[5; 1000]].concat());
    assert_eq!(harness.reached(), [(upload(0).code, 0)]);
}

#[test]
fn refused_uploads_count_against_the_rate() {
    let limits = LimitSettings { commands_per_s: 2, upload_bytes: 100, ..LimitSettings::default() };
    let mut harness = limited(limits);
    let id = harness.client();
    for _ in 0..2 {
        harness.ask_bytes(id, &[&upload(101).encode()[..], &[5; 101]].concat());
    }
    assert_eq!(harness.received(id).len(), 2, "both are refused");
    let allowed = harness.router.read_allowance(harness.now, id);
    assert_eq!(allowed, Err(harness.now + ms(500)));
}

/// The frame and as many bytes as it declares.
fn whole(frame: &Frame) -> Vec<u8> {
    let mut bytes = frame.encode().to_vec();
    bytes.resize(128 + frame.payload_len as usize, 5);
    bytes
}

#[test]
fn declared_bytes_take_no_room_before_they_come() {
    let limits =
        LimitSettings { upload_bytes: 1000, upload_bytes_total: 1000, ..LimitSettings::default() };
    let mut harness = limited(limits);
    for _ in 0..20 {
        let dribbling = harness.client();
        harness.ask_bytes(dribbling, &[&upload(1000).encode()[..], &[5; 10]].concat());
    }
    let other = harness.client();
    harness.ask_bytes(other, &whole(&upload(700)));
    assert_eq!(harness.commands.len(), 1);
}

#[test]
fn the_upload_that_exceeds_the_room_is_refused_alone() {
    let limits =
        LimitSettings { upload_bytes: 1000, upload_bytes_total: 1000, ..LimitSettings::default() };
    let mut harness = limited(limits);
    let clients = [harness.client(), harness.client()];
    for client in clients {
        harness.ask_bytes(client, &upload(1000).encode());
    }
    for _ in 0..10 {
        for client in clients {
            harness.ask_bytes(client, &[5; 100]);
        }
    }
    assert_eq!(harness.commands.len(), 1, "one is whole: there is no deadlock");
    let refused: Vec<_> = clients.iter().flat_map(|client| harness.received(*client)).collect();
    assert_refused(&refused, &upload(1000), "other uploads");
    for client in clients {
        harness.ask(client, &position(1));
    }
    assert_eq!(harness.reached().len(), 2, "what follows is read as commands again");
}

#[test]
fn an_upload_that_is_too_slow_ends_its_connection() {
    let mut harness = limited(LimitSettings::default());
    let (slow, quick) = (harness.client(), harness.client());
    harness.ask_bytes(slow, &upload(1 << 20).encode());
    harness.ask_bytes(quick, &upload(1 << 20).encode());
    for _ in 0..10 {
        harness.pass(ms(1000));
        harness.ask_bytes(slow, &vec![5; 30_000]);
        harness.ask_bytes(quick, &vec![5; 66_000]);
    }
    assert!(harness.router.should_close(slow) && !harness.router.should_close(quick));
    assert_refused(&harness.received(slow), &upload(1 << 20), "upload_bytes_per_s_min");
    assert!(harness.log.iter().any(|line| line.contains("upload_bytes_per_s_min")));
}

#[test]
fn a_payload_where_none_is_known_ends_the_connection() {
    for row in TABLE.iter().filter(|row| !row.effect.stops()) {
        let mut harness = Harness::new(options());
        let id = harness.client();
        let smuggled = Frame::command(row.code).with_selector(1).with_payload_len(128);
        harness.ask_bytes(id, &[smuggled.encode(), go(1).encode()].concat());
        let uploads = matches!(row.payload, Payload::Up | Payload::Both);
        let codes: Vec<_> = harness.reached().iter().map(|(code, _)| *code).collect();
        if uploads {
            assert_eq!(codes, [row.code]);
            assert_eq!(harness.commands[0].1, go(1).encode(), "it is a payload");
        } else {
            assert_eq!(codes, [], "{}", row.code);
            assert!(harness.router.should_close(id), "{}", row.code);
            assert!(harness.log.iter().any(|line| line.contains("takes no payload")));
        }
    }
    let mut harness = Harness::new(options());
    let id = harness.client();
    harness.ask(id, &position(1).with_payload_len(128));
    assert_refused(&harness.received(id), &position(1), "takes no payload");
}

#[test]
fn a_length_that_cannot_be_true_ends_the_connection() {
    let mut harness = Harness::new(options());
    let id = harness.client();
    harness.ask(id, &upload(u32::MAX));
    assert_refused(&harness.received(id), &upload(0), "32 MiB");
    assert!(harness.router.should_close(id));
}

#[test]
fn an_unknown_code_with_a_payload_ends_the_connection() {
    for role in [Role::Control, Role::ReadOnly] {
        let mut harness = Harness::new(options());
        let id = harness.client_as(role, Delivery::Callback);
        let unknown = Frame::command(CommandCode(0x8123)).with_payload_len(128);
        harness.ask_bytes(id, &[unknown.encode(), go(1).encode()].concat());
        assert!(harness.router.should_close(id) && harness.commands.is_empty());
        let told = Frame { payload_len: 0, ..unknown };
        assert_refused(&harness.received(id), &told, "unknown code with a payload");
    }
}

#[test]
fn a_read_only_client_uploads_only_what_a_check_needs() {
    let mut harness = Harness::new(options());
    let reader = harness.client_as(Role::ReadOnly, Delivery::Callback);
    let check = |len| Frame::command(CommandCode::CAMERA_CHECK_STACK).with_payload_len(len);
    harness.ask_bytes(reader, &whole(&check(65_537)));
    assert_refused(&harness.received(reader), &check(65_537), "larger than");
    harness.ask_bytes(reader, &whole(&check(65_536)));
    assert_eq!(harness.commands.len(), 1);
}
