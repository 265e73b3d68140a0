//! Answers that the table does not expect: echoes of lights, and answers to commands without
//! TRIGGER_CALL_BACK.

use flamingo_protocol_core::{
    CommandCode, Flags, Frame,
    wire::{Kind, Payload, TABLE},
};

use super::harness::*;
use crate::settings::{Delivery, Preset, Role};

fn led(colour: i32) -> Frame {
    Frame::command(CommandCode::LED_SET).with_selector(colour)
}

/// Every command that nobody waits for, and every command without the flag.
fn unexpected() -> Vec<Frame> {
    let rows = TABLE.iter().filter(|row| row.kind != Kind::Event && !row.effect.stops());
    let frames =
        rows.filter(|row| !matches!(row.payload, Payload::Up | Payload::Both)).map(|row| {
            let frame = Frame::command(row.code).with_selector(1);
            let flagless = Frame { flags: frame.flags.without(Flags::TRIGGER_CALL_BACK), ..frame };
            if row.kind == Kind::FireAndForget { frame } else { flagless }
        });
    let all = frames.chain([Frame::new(CommandCode(0xBEEF))]);
    all.filter(|frame| !crate::router::permissions::expects_answer(frame)).collect()
}

#[test]
fn an_answer_that_is_not_expected_reaches_its_asker() {
    assert!(unexpected().len() > 30);
    for asked in unexpected() {
        let mut harness = Harness::new(options());
        let (asker, other) = (harness.client(), harness.client());
        harness.ask(asker, &Frame { client_id: 3, ..asked });
        let reported = harness.published_frames();
        let acts = asked
            .code
            .row()
            .is_some_and(|row| matches!(row.kind, Kind::Action | Kind::FireAndForget));
        assert_eq!(reported.len(), usize::from(acts), "{asked}: only actions are reported");
        harness.instrument_sends(&answer(&asked, 4.0));
        let expected = Frame { client_id: 3, ..answer(&asked, 4.0) };
        assert_eq!(harness.received(asker), [expected]);
        assert_eq!(harness.received(other), [], "{asked}");
        assert_eq!(harness.published_frames(), [answer(&asked, 4.0)], "and to the subscribers");
        harness.instrument_sends(&answer(&asked, 5.0));
        assert_eq!(harness.received(asker), [], "{asked}: one answer to one command");
    }
}

#[test]
fn an_inline_client_receives_its_echo_once() {
    let mut harness = Harness::new(options());
    let asker = harness.client_as(Role::Control, Delivery::Inline);
    let other = harness.client_as(Role::Control, Delivery::Inline);
    harness.ask(asker, &led(2));
    assert_eq!(harness.received(other), [led(2)], "the bridge reports the action");
    harness.instrument_sends(&answer(&led(2), 0.0));
    assert_eq!(harness.received(asker), [answer(&led(2), 0.0)]);
    assert_eq!(harness.received(other), [answer(&led(2), 0.0)]);
}

#[test]
fn an_echo_of_two_possible_senders_goes_to_subscribers_only() {
    let mut harness = Harness::new(options());
    let (first, second) = (harness.client(), harness.client());
    harness.ask(first, &led(0));
    harness.ask(second, &led(0));
    harness.ask(second, &led(1));
    harness.published.clear();
    harness.instrument_sends(&answer(&led(0), 0.0));
    harness.instrument_sends(&answer(&led(1), 0.0));
    assert_eq!(harness.received(first), []);
    assert_eq!(harness.received(second), [answer(&led(1), 0.0)], "nobody else sent this one");
    assert_eq!(harness.published_frames().len(), 2);
}

#[test]
fn a_frame_after_the_time_limit_is_no_echo() {
    let mut harness = Harness::new(options());
    let id = harness.client();
    harness.ask(id, &led(0));
    harness.pass(ms(5001));
    harness.instrument_sends(&answer(&led(0), 0.0));
    assert_eq!(harness.received(id), []);
}

#[test]
fn a_marked_push_answers_no_query_without_the_flag() {
    let mut harness = Harness::new(options());
    let id = harness.client_as(Role::Control, Preset::PythonGui.delivery());
    harness.ask(id, &Frame::new(CommandCode::STAGE_POSITION_GET).with_selector(1));
    harness.instrument_sends(&push(1, 3.0));
    assert_eq!(harness.received(id), []);
    let stopped = Frame::new(CommandCode::STAGE_MOTION_STOPPED).with_selector(1);
    harness.ask(id, &stopped);
    harness.instrument_sends(&stopped);
    assert_eq!(harness.received(id), [stopped], "once, as an event");
}

#[test]
fn an_echo_of_a_client_that_left_goes_to_subscribers() {
    let mut harness = Harness::new(options());
    let (gone, other) = (harness.client(), harness.client());
    harness.ask(gone, &led(0));
    harness.leave(gone);
    harness.published.clear();
    harness.instrument_sends(&answer(&led(0), 0.0));
    assert_eq!(harness.received(other), []);
    assert_eq!(harness.published_frames().len(), 1);
}

#[test]
fn an_unexpected_answer_is_not_taken_by_another_client() {
    let mut harness = Harness::new(options());
    let asker = harness.client();
    let waits = harness.client_as(Role::Control, Delivery::Inline);
    let idle = harness.client_as(Role::Control, Delivery::Inline);
    let flagless = Frame::new(CommandCode::CAMERA_PIXEL_FIELD_OF_VIEW_GET);
    harness.ask(asker, &flagless);
    // Its last query waits for its turn, since the others are not answered yet.
    for axis in 1..=4 {
        harness.ask(waits, &position(axis));
    }
    harness.ask(waits, &Frame::command(flagless.code));
    let last = harness.commands.last().map(|(frame, _)| frame.code);
    assert_eq!(last, Some(CommandCode::STAGE_POSITION_GET));
    harness.instrument_sends(&answer(&flagless, 4.0));
    assert_eq!(harness.received(asker), [answer(&flagless, 4.0)]);
    assert_eq!(harness.received(idle), [answer(&flagless, 4.0)]);
    assert_eq!(harness.received(waits), []);
}

#[test]
fn two_clients_that_set_a_light_get_no_report_as_an_answer() {
    for colour in [1, 2] {
        let mut harness = Harness::new(options());
        let gui = || Preset::PythonGui.delivery();
        let first = harness.client_as(Role::Control, gui());
        let second = harness.client_as(Role::Control, gui());
        let viewer = harness.client_as(Role::ReadOnly, gui());
        let commands = [(first, led(1)), (second, led(colour))];
        // Both commands arrive before either is written.
        for (id, command) in commands {
            harness.router.client_input(harness.now, id, &command.encode());
        }
        harness.write();
        assert_eq!(harness.received(viewer), [led(1), led(colour)], "a report of each");
        assert_eq!(harness.published_frames().len(), 2);
        for (_, command) in commands {
            harness.instrument_sends(&answer(&command, 0.0));
        }
        for (id, command) in commands {
            let received = harness.received(id);
            assert!(received.contains(&answer(&command, 0.0)), "{received:?}");
            assert!(received.iter().all(|frame| frame.status == 1), "{received:?}");
        }
    }
}

#[test]
fn a_light_is_reported_again_once_the_own_one_is_answered() {
    let mut harness = Harness::new(options());
    let first = harness.client_as(Role::Control, Delivery::Inline);
    let second = harness.client_as(Role::Control, Delivery::Inline);
    harness.ask(second, &led(1));
    harness.ask(first, &led(2));
    assert_eq!(harness.received(second), [], "it could be the answer to the own command");
    harness.instrument_sends(&answer(&led(1), 0.0));
    assert_eq!(harness.received(second), [answer(&led(1), 0.0)]);
    harness.ask(first, &led(0));
    assert_eq!(harness.received(second), [led(0)]);
    harness.ask(second, &led(3));
    harness.pass(ms(5001));
    harness.ask(first, &led(0));
    assert_eq!(harness.received(second), [led(0)], "no answer comes any more");
}
