//! The quotas of a client, and what happens to a client that exceeds one.

use flamingo_protocol_core::{CommandCode, Frame};

use super::harness::*;
use crate::router::RouterOptions;
use crate::settings::{Delivery, LimitSettings, Role};

fn limited(limits: LimitSettings) -> Harness {
    Harness::new(RouterOptions { limits, ..options() })
}

#[test]
fn the_number_of_clients_is_limited() {
    let mut harness = limited(LimitSettings { clients: 2, ..LimitSettings::default() });
    let first = harness.client();
    harness.client();
    let open = |harness: &mut Harness| {
        harness.router.client_opened(harness.now, String::new(), Role::Control, Delivery::Callback)
    };
    assert_eq!(open(&mut harness), None);
    harness.leave(first);
    assert!(open(&mut harness).is_some_and(|id| id != first), "an id is never used again");
}

#[test]
fn a_client_that_sends_noise_is_disconnected() {
    let mut harness = limited(LimitSettings { noise_bytes: 500, ..LimitSettings::default() });
    let (bad, good) = (harness.client(), harness.client());
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
fn commands_above_the_rate_are_refused_but_a_halt_passes() {
    let mut harness = limited(LimitSettings { commands_per_s: 3, ..LimitSettings::default() });
    let id = harness.client();
    for _ in 0..3 {
        harness.ask(id, &position(1));
        harness.answer_next(0.0);
    }
    assert_eq!(harness.received(id).len(), 3);
    harness.ask(id, &position(1));
    assert_refused(&harness.received(id), &position(1), "too fast");
    harness.ask(id, &halt(1));
    assert_eq!(harness.reached(), [(CommandCode::STAGE_HALT, 1)]);
    harness.pass(ms(400));
    harness.ask(id, &position(1));
    assert_eq!(harness.commands.len(), 2);
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
fn half_closed_clients_do_not_count_and_are_limited() {
    let mut harness = limited(LimitSettings { clients: 2, ..LimitSettings::default() });
    let mut waiting = Vec::new();
    for _ in 0..10 {
        let id = harness.client();
        harness.ask(id, &position(1));
        harness.router.client_half_closed(id);
        waiting.push(id);
    }
    let kept: Vec<_> = waiting.iter().filter(|id| !harness.router.should_close(**id)).collect();
    assert_eq!(kept, [&waiting[8], &waiting[9]], "the last two");
    harness.client();
    harness.client();
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
