//! A stop in any form reaches the instrument: of what the client has sent, only the code and the axis or
//! the laser go on.

use flamingo_protocol_core::{CommandCode, Flags, Frame, wire::MAX_PAYLOAD};

use super::harness::*;
use crate::settings::{Delivery, Role};

const HALT: CommandCode = CommandCode::STAGE_HALT;

/// The HALTs of these axes, as the bridge sends them.
fn halts(axes: &[i32]) -> Vec<(Frame, Vec<u8>)> {
    axes.iter().map(|axis| (halt(*axis), Vec::new())).collect()
}

#[test]
fn a_halt_with_any_fields_is_sent_clean_and_answered() {
    let odd = [
        Frame { value: f64::NAN, ..halt(1) },
        Frame { value: f64::INFINITY, ..halt(1) },
        Frame { flags: Flags(u32::MAX), ..halt(1) },
        Frame { status: -1, client_id: i32::MIN, hardware_id: 9, ..halt(1) },
        Frame { buffer: [0xF3; 72], ..halt(1) },
        Frame { int32_data: [1, i32::MAX, -1], ..halt(1) },
    ];
    for role in [Role::Control, Role::ReadOnly, Role::Observer] {
        for stop in odd {
            let mut harness = Harness::new(options());
            let id = harness.client_as(role, Delivery::Callback);
            harness.ask(id, &stop);
            assert_eq!(harness.commands, halts(&[1]));
            harness.answer_next(0.0);
            let [own] = harness.received(id)[..] else { panic!("one answer") };
            assert_eq!((own.code, own.status), (HALT, 1));
            let fields = |frame: Frame| (frame.client_id, frame.hardware_id, frame.int32_data);
            assert_eq!(fields(own), fields(stop), "the client finds its own fields");
        }
    }
}

#[test]
fn a_halt_of_no_axis_halts_each_axis() {
    for axis in [0, 5, 17, 255, -1, i32::MIN, i32::MAX] {
        let mut harness = Harness::new(options());
        let id = harness.client_as(Role::ReadOnly, Delivery::Callback);
        harness.ask(id, &halt(axis));
        assert_eq!(harness.commands, halts(&[1, 2, 3, 4]));
        for _ in 0..4 {
            assert_eq!(harness.received(id), []);
            harness.answer_next(0.0);
        }
        assert_eq!(harness.received(id), [answer(&halt(axis), 0.0)]);
    }
}

#[test]
fn a_halt_without_a_request_for_an_answer_gets_none() {
    for axis in [1, 255] {
        let mut harness = Harness::new(options());
        let id = harness.client_as(Role::ReadOnly, Delivery::Inline);
        let other = harness.client_as(Role::ReadOnly, Delivery::Inline);
        harness.ask(id, &Frame { flags: Flags::default(), ..halt(axis) });
        let sent = harness.commands.len();
        for _ in 0..sent {
            harness.answer_next(0.0);
        }
        assert_eq!(harness.received(id), []);
        assert_eq!(harness.received(other).len(), sent, "others see what the instrument did");
        harness.router.client_half_closed(id);
        assert!(harness.router.should_close(id), "nothing is open");
    }
}

#[test]
fn a_halt_goes_out_before_its_payload_has_come() {
    let mut harness = Harness::new(options());
    let id = harness.client();
    harness.ask(id, &halt(2).with_payload_len(256));
    assert_eq!(harness.commands, halts(&[2]));
    harness.answer_next(0.0);
    assert_eq!(harness.received(id), [answer(&halt(2), 0.0)]);
    harness.ask_bytes(id, &[go(1).encode(), go(2).encode()].concat());
    assert_eq!(harness.commands, [], "the payload is no command");
    harness.ask(id, &position(1));
    assert_eq!(harness.reached(), [(position(1).code, 1)]);
}

#[test]
fn a_halt_whose_payload_never_comes_ends_the_connection_later() {
    let mut harness = Harness::new(options());
    let id = harness.client();
    harness.ask(id, &halt(2).with_payload_len(256));
    harness.pass(ms(5_000));
    assert!(harness.router.should_close(id));
    assert_eq!(harness.received(id), [], "the halt was not refused");
}

#[test]
fn a_halt_that_declares_an_impossible_payload_is_sent() {
    for len in [MAX_PAYLOAD + 1, u32::MAX] {
        let mut harness = Harness::new(options());
        let id = harness.client();
        harness.ask(id, &halt(2).with_payload_len(len));
        assert_eq!(harness.commands, halts(&[2]));
        harness.ask(id, &halt(3));
        assert_eq!(harness.commands, halts(&[2, 3]), "no payload is expected");
    }
}

#[test]
fn a_laser_off_in_any_form_is_sent() {
    let (one, all) = (CommandCode::LASER_DISABLE, CommandCode::LASER_DISABLE_ALL);
    let off = |code, laser| Frame::command(code).with_selector(laser);
    for (stop, sent) in [
        (off(one, 3), off(one, 3)),
        (off(one, 0), off(all, 0)),
        (off(one, 9), off(all, 0)),
        (off(all, 2), off(all, 2)),
        (off(all, 77), off(all, 0)),
        (off(one, 3).with_payload_len(5), off(one, 3)),
        (Frame { value: f64::NAN, flags: Flags(7), ..off(one, 3) }, off(one, 3)),
    ] {
        let mut harness = Harness::new(options());
        let id = harness.client_as(Role::ReadOnly, Delivery::Callback);
        harness.ask(id, &stop);
        assert_eq!(harness.commands, [(sent, Vec::new())], "{stop}");
        harness.instrument_sends(&answer(&sent, 0.0));
        let [own] = harness.received(id)[..] else { panic!("an answer that nobody expects") };
        assert_eq!((own.code, own.int32_data), (stop.code, stop.int32_data));
    }
}

#[test]
fn the_stop_of_a_workflow_in_any_form_is_sent() {
    for code in [CommandCode::CAMERA_WORK_FLOW_STOP, CommandCode::CAMERA_LIVE_VIEW_STOP] {
        let mut harness = Harness::new(options());
        let reader = harness.client_as(Role::ReadOnly, Delivery::Callback);
        let id = harness.client();
        let stop = Frame { value: f64::NAN, client_id: 4, ..Frame::command(code) };
        harness.ask(reader, &stop);
        assert_refused(&harness.received(reader), &stop, "read-only");
        harness.ask_bytes(id, &[&stop.with_payload_len(9).encode()[..], &[5; 9]].concat());
        assert_eq!(harness.commands, [(Frame::command(code), Vec::new())]);
        harness.answer_next(0.0);
        assert_eq!(harness.received(id)[0].client_id, 4);
    }
}

#[test]
fn a_halt_cancels_what_may_move_although_it_is_unknown() {
    let mut harness = Harness::new(options());
    let (one, other) = (harness.client(), harness.client());
    let unknown = Frame::command(CommandCode(0x6FFF));
    let home = Frame::command(CommandCode::STAGE_HOME).with_selector(1);
    for id in [one, other] {
        harness.ask(id, &home);
    }
    harness.ask(other, &unknown);
    harness.ask(one, &halt(3));
    let texts: Vec<_> = harness.received(other).iter().map(|frame| frame.code).collect();
    assert_eq!(texts, [home.code, unknown.code]);
    harness.answer_next(0.0);
    assert_eq!(harness.reached(), [(HALT, 3)]);
}

#[test]
fn a_halt_with_a_wrong_length_swallows_no_other_halt() {
    for len in [1, 64, 127, 128, 129, 300, 1000, MAX_PAYLOAD, u32::MAX] {
        for cut in [1, 100, 128, 4 * 128] {
            let mut harness = Harness::new(options());
            let id = harness.client();
            let frames = [1, 2, 3, 4].map(|axis| halt(axis).with_payload_len(len).encode());
            for bytes in frames.concat().chunks(cut) {
                harness.ask_bytes(id, bytes);
            }
            assert_eq!(harness.commands, halts(&[1, 2, 3, 4]), "{len} bytes, {cut} at a time");
        }
    }
}
