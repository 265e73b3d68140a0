//! The quotas of a client, and what happens to a client that exceeds one.

use flamingo_protocol_core::{CommandCode, Frame, wire::FRAME_LEN};

use super::harness::*;
use crate::router::RouterOptions;
use crate::settings::{Delivery, LimitSettings, Role};

fn limited(limits: LimitSettings) -> Harness {
    Harness::new(RouterOptions { limits, ..options() })
}

#[test]
fn a_client_that_sends_noise_is_disconnected() {
    let mut harness = limited(LimitSettings { noise_bytes: 500, ..LimitSettings::default() });
    let (bad, good) = (harness.client(), harness.client());
    harness.ask(bad, &position(1));
    harness.ask_bytes(bad, &[0xAA; 400]);
    harness.ask(bad, &position(1));
    assert!(!harness.router.should_close(bad), "a little noise is tolerated");
    harness.ask_bytes(bad, b"GET / HTTP/1.1\r\n".repeat(40).as_slice());
    assert!(harness.router.should_close(bad) && !harness.router.should_close(good));
    assert!(
        harness.log.iter().any(|line| line.contains("does not send frames")),
        "{:?}",
        harness.log
    );
    harness.ask(good, &position(2));
    harness.leave(bad);
    harness.commands.retain(|(frame, _)| frame.selector() == 2);
    harness.answer_next(2.0);
    assert_eq!(harness.received(good), [answer(&position(2), 2.0)]);
}

#[test]
fn a_client_that_does_not_read_is_disconnected() {
    let mut harness = limited(LimitSettings { out_bytes: 1280, ..LimitSettings::default() });
    let stalled = harness.client_as(Role::Control, Delivery::Inline);
    let inline = harness.client_as(Role::Control, Delivery::Inline);
    for number in 0..11 {
        harness.instrument_sends(&push(1, f64::from(number)));
        assert_eq!(harness.received(inline).len(), 1);
    }
    assert!(harness.router.should_close(stalled) && !harness.router.should_close(inline));
}

#[test]
fn a_client_above_its_rate_is_not_read_until_it_is_below() {
    let mut harness = limited(LimitSettings { commands_per_s: 4, ..LimitSettings::default() });
    let (fast, other) = (harness.client(), harness.client());
    let allowed = |harness: &Harness, id| harness.router.read_allowance(harness.now, id);
    assert_eq!(allowed(&harness, fast), Ok(4 * FRAME_LEN), "a burst of one second");
    for _ in 0..4 {
        harness.ask(fast, &position(1));
        harness.answer_next(0.0);
    }
    assert_eq!(harness.received(fast).len(), 4, "nothing is refused");
    let below = harness.now + ms(250);
    assert_eq!(allowed(&harness, fast), Err(below));
    assert_eq!(allowed(&harness, other), Ok(4 * FRAME_LEN), "the other client is read");
    harness.pass(ms(249));
    assert_eq!(allowed(&harness, fast), Err(below));
    harness.pass(ms(1));
    assert_eq!(allowed(&harness, fast), Ok(FRAME_LEN));
    harness.pass(ms(60_000));
    assert_eq!(allowed(&harness, fast), Ok(4 * FRAME_LEN), "a burst of one second");
}

#[test]
fn a_command_that_finds_the_queue_full_counts_as_ten() {
    let limits = LimitSettings { commands_per_s: 100, queue_frames: 1, ..LimitSettings::default() };
    let mut harness = limited(limits);
    let id = harness.client();
    for _ in 0..2 {
        harness.ask(id, &position(1));
    }
    let allowed = |harness: &Harness| harness.router.read_allowance(harness.now, id);
    assert_eq!(allowed(&harness), Ok(98 * FRAME_LEN), "each counts as one");
    for _ in 0..10 {
        harness.ask(id, &position(1));
    }
    assert_eq!(harness.received(id).len(), 10, "each is refused");
    assert_eq!(allowed(&harness), Err(harness.now + ms(30)), "until it owes nothing");
}

#[test]
fn a_client_above_its_bytes_is_not_read_until_it_is_below() {
    let mut harness = limited(LimitSettings { bytes_per_s: 1000, ..LimitSettings::default() });
    let id = harness.client();
    let allowed = |harness: &Harness| harness.router.read_allowance(harness.now, id);
    harness.ask_bytes(id, &[&upload(800).encode()[..], &[5; 800]].concat());
    assert_eq!(allowed(&harness), Err(harness.now + ms(56)), "until a frame may be read");
    harness.pass(ms(56));
    assert_eq!(allowed(&harness), Ok(FRAME_LEN));
    harness.ask_bytes(id, &[0; 100]);
    assert_eq!(allowed(&harness), Err(harness.now + ms(100)), "noise counts");
    // Even a rate below the length of a frame stops no client for ever.
    let mut harness = limited(LimitSettings { bytes_per_s: 100, ..LimitSettings::default() });
    let id = harness.client();
    assert_eq!(harness.router.read_allowance(harness.now, id), Ok(100));
    harness.ask(id, &position(1));
    assert_eq!(harness.router.read_allowance(harness.now, id), Err(harness.now + ms(1280)));
    harness.pass(ms(1280));
    assert_eq!(harness.router.read_allowance(harness.now, id), Ok(100));
}

#[test]
fn commands_above_the_queue_limit_are_refused() {
    let mut harness = limited(LimitSettings { queue_frames: 4, ..LimitSettings::default() });
    let id = harness.client();
    for _ in 0..6 {
        harness.ask(id, &position(1));
    }
    let refused = harness.received(id);
    assert_eq!(refused.len(), 1, "one is on the wire, four wait: {refused:?}");
    for _ in 0..5 {
        harness.answer_next(1.0);
    }
    assert_eq!(harness.received(id).len(), 5);
}

#[test]
fn a_client_that_is_never_answered_leaves_slots_to_others() {
    let mut harness = Harness::new(options());
    let (bad, good) = (harness.client(), harness.client());
    for axis in 1..=4 {
        harness.ask(bad, &position(axis));
    }
    harness.ask(good, &Frame::command(CommandCode::CAMERA_IMAGE_SIZE_GET));
    assert_eq!(
        harness.reached().last().map(|(code, _)| *code),
        Some(CommandCode::CAMERA_IMAGE_SIZE_GET)
    );
    // It also leaves slots after the timeout, when late answers may still come.
    harness.pass(ms(5_500));
    let size = harness.commands.pop().expect("the last one").0;
    harness.instrument_sends(&answer(&size, 0.0));
    for _ in 0..20 {
        harness.ask(bad, &position(1));
        harness.ask(good, &size);
        let asked = harness.commands.pop().expect("it is forwarded at once").0;
        assert_eq!(asked.code, size.code);
        harness.instrument_sends(&answer(&asked, 0.0));
    }
}

#[test]
fn a_slot_is_free_again_when_no_late_answer_can_come() {
    let mut harness = Harness::new(options());
    let id = harness.client();
    for axis in 1..=3 {
        harness.ask(id, &position(axis));
    }
    assert_eq!(harness.commands.len(), 2, "as many as there are free slots");
    harness.pass(ms(60_000));
    harness.commands.clear();
    harness.received(id);
    harness.ask(id, &Frame::command(CommandCode::CAMERA_IMAGE_SIZE_GET));
    assert_eq!(harness.reached(), [(CommandCode::CAMERA_IMAGE_SIZE_GET, 0)]);
}

#[test]
fn a_move_that_waited_too_long_is_refused_and_never_runs() {
    let mut harness = Harness::new(options());
    let id = harness.client();
    for axis in 1..=4 {
        harness.ask(id, &go(axis));
    }
    assert_eq!(harness.reached().len(), 2);
    harness.pass(ms(4_999));
    assert!(harness.received(id).is_empty());
    harness.pass(ms(1));
    let refused = harness.received(id);
    assert_eq!(refused.len(), 2, "{refused:?}");
    assert!(refused.iter().all(|frame| frame.text().is_ok_and(|text| text.contains("not sent"))));
    harness.pass(ms(60_000));
    assert_eq!(harness.reached().len(), 2, "{:?}", harness.reached());
}

#[test]
fn a_long_payload_reaches_a_client_that_reads() {
    let mut harness = limited(LimitSettings { out_bytes: 256, ..LimitSettings::default() });
    let id = harness.client_as(Role::Control, Delivery::Inline);
    harness.instrument_sends(&push(1, 1.0));
    let settings = Frame::command(CommandCode::COMMON_SCOPE_SETTINGS_LOAD);
    harness.ask(id, &settings);
    let asked = harness.commands.remove(0).0;
    let answer = answer(&asked, 0.0).with_payload_len(5000);
    harness.router.upstream_input(harness.now, &[&answer.encode()[..], &[b'x'; 5000]].concat());
    assert!(!harness.router.should_close(id));
    assert_eq!(harness.router.client_output(id).len(), 128 + 128 + 5000);
}

#[test]
fn a_flood_of_refused_commands_does_not_flood_the_log() {
    let mut harness = Harness::new(options());
    let reader = harness.client_as(Role::ReadOnly, Delivery::Callback);
    let on = Frame::command(CommandCode::LASER_ENABLE).with_selector(1);
    for _ in 0..1000 {
        harness.ask(reader, &on);
    }
    let refusals = harness.log.iter().filter(|line| line.contains("read-only")).count();
    assert_eq!(refusals, 5, "the lines of one second");
    let (status, _) = harness.router.client_status(harness.now);
    assert_eq!(status[0].counters.refused, 1000, "all are counted");
}
