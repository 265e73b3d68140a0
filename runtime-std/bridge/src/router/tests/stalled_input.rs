//! The instrument begins a payload or a frame and does not go on.

use flamingo_protocol_core::{CommandCode, Frame};

use super::harness::*;

fn settings(len: u32) -> Frame {
    answer(&Frame::command(CommandCode::COMMON_SCOPE_SETTINGS_LOAD), 0.0).with_payload_len(len)
}

fn arrive(harness: &mut Harness, bytes: &[u8]) {
    harness.router.upstream_input(harness.now, bytes);
    harness.write();
}

#[test]
fn a_payload_that_stalls_ends_the_connection_in_time() {
    for asked in [false, true] {
        let mut harness = Harness::new(options());
        let (one, other) = (harness.client(), harness.client());
        if asked {
            harness.ask(one, &Frame::command(CommandCode::COMMON_SCOPE_SETTINGS_LOAD));
        }
        arrive(&mut harness, &settings(32 << 20).encode());
        arrive(&mut harness, &[7; 5000]);
        harness.ask(other, &position(1));
        harness.pass(ms(4999));
        assert!(harness.reconnects.is_empty(), "{:?}", harness.reconnects);
        harness.pass(ms(1));
        assert_eq!(harness.reconnects.len(), 1);
        assert!(harness.reconnects[0].contains("payload"), "{:?}", harness.reconnects);
        harness.router.upstream_lost(harness.now);
        harness.connect(IDLE);
        harness.received(other);
        harness.commands.clear();
        harness.ask(other, &position(2));
        harness.answer_next(2.0);
        assert_eq!(harness.received(other), [answer(&position(2), 2.0)]);
        harness.pass(ms(60_000));
        assert_eq!(harness.reconnects.len(), 1, "only once");
    }
}

#[test]
fn a_payload_that_makes_progress_is_received() {
    let mut harness = Harness::new(options());
    arrive(&mut harness, &settings(32 << 20).encode());
    for _ in 0..32 {
        harness.pass(ms(4900));
        arrive(&mut harness, &vec![7; 1 << 20]);
    }
    harness.pass(ms(60_000));
    assert!(harness.reconnects.is_empty(), "{:?}", harness.reconnects);
    assert_eq!(harness.published_frames().last(), Some(&settings(32 << 20)));
}

#[test]
fn a_payload_that_dribbles_ends_the_connection() {
    let mut harness = Harness::new(options());
    arrive(&mut harness, &settings(32 << 20).encode());
    for _ in 0..5 {
        harness.pass(ms(999));
        arrive(&mut harness, &[7; 1000]);
    }
    assert!(harness.reconnects.is_empty(), "{:?}", harness.reconnects);
    harness.pass(ms(5));
    assert_eq!(harness.reconnects.len(), 1);
}

#[test]
fn each_payload_has_its_own_time() {
    let mut harness = Harness::new(options());
    let whole = [&settings(3).encode()[..], &[1, 2, 3]].concat();
    // The end of one payload and the beginning of the next arrive together.
    arrive(&mut harness, &whole[..130]);
    for _ in 0..10 {
        harness.pass(ms(4900));
        arrive(&mut harness, &[&whole[130..], &whole[..130]].concat());
    }
    assert!(harness.reconnects.is_empty(), "{:?}", harness.reconnects);
}

#[test]
fn half_a_frame_that_stalls_is_dropped_and_counted() {
    let mut harness = Harness::new(options());
    let id = harness.client();
    harness.ask(id, &position(1));
    harness.answer_next(1.0);
    harness.received(id);
    let noise = |harness: &Harness| harness.router.upstream_status().noise_bytes;
    arrive(&mut harness, &push(1, 1.0).encode()[..100]);
    harness.pass(ms(4999));
    assert_eq!(noise(&harness), 0);
    harness.pass(ms(1));
    assert_eq!(noise(&harness), 100);
    assert!(harness.log.last().is_some_and(|line| line.contains("half a frame")));
    harness.ask(id, &position(1));
    harness.answer_next(1.0);
    assert_eq!(harness.received(id), [answer(&position(1), 1.0)]);
    assert!(harness.reconnects.is_empty());
}

#[test]
fn half_a_frame_whose_rest_comes_in_time_is_a_frame() {
    let mut harness = Harness::new(options());
    let frame = push(1, 1.0);
    for _ in 0..3 {
        arrive(&mut harness, &frame.encode()[..100]);
        harness.pass(ms(4900));
        arrive(&mut harness, &frame.encode()[100..]);
        assert_eq!(harness.published_frames(), [frame]);
    }
    harness.pass(ms(60_000));
    assert_eq!(harness.router.upstream_status().noise_bytes, 0);
}
