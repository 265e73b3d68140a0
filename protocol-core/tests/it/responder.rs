//! The device's side: receives commands in any chunking, sends answers and pushes in order.

use crate::common::{answer, ask, go, position, push};
use flamingo_protocol_core::{
    CommandCode, Flags, Frame, Incoming, Responder, Ticket, Transmit,
    error::Full,
    responder::is_answered,
    wire::{CallbackFlag, Kind, TABLE},
};

fn commands_in(stream: &[u8], chunk: usize) -> (Vec<(Frame, u32)>, Vec<u8>) {
    let mut device = Responder::<8>::default();
    let (mut commands, mut payload) = (Vec::new(), Vec::new());
    for mut input in stream.chunks(chunk) {
        loop {
            let (consumed, incoming) = device.handle_input(input);
            input = &input[consumed..];
            match incoming {
                Some(Incoming::Command { frame, skipped }) => commands.push((frame, skipped)),
                Some(Incoming::Payload { bytes, .. }) => payload.extend_from_slice(bytes),
                None if input.is_empty() => break,
                None => {}
            }
        }
    }
    assert_eq!(device.unfinished(), (0, 0));
    assert_eq!(device.noise_bytes(), 3);
    (commands, payload)
}

#[test]
fn commands_and_uploads_come_out_whole_in_any_chunking() {
    let workflow = ask(CommandCode::CAMERA_WORK_FLOW_START).with_payload_len(200);
    let stream =
        [&position(1).encode()[..], &workflow.encode(), &[0xF3; 200], b"???", &go(2, 5.0).encode()]
            .concat();
    let whole = commands_in(&stream, usize::MAX);
    assert_eq!(whole.0, [(position(1), 0), (workflow, 0), (go(2, 5.0), 3)]);
    assert_eq!(whole.1, [0xF3; 200]);
    for chunk in 1..300 {
        assert_eq!(commands_in(&stream, chunk), whole, "chunks of {chunk}");
    }
}

/// Writes everything, `most` bytes at a time. Each payload byte is the number of its ticket.
fn drain(device: &mut Responder<4>, most: usize) -> (Vec<u8>, Vec<u32>) {
    let (mut out, mut finished) = (Vec::new(), Vec::new());
    while let Some(transmit) = device.poll_transmit() {
        let written = match transmit {
            Transmit::Bytes(bytes) => {
                let len = bytes.len().min(most);
                out.extend_from_slice(&bytes[..len]);
                len
            }
            Transmit::Payload { ticket, remaining, .. } => {
                let len = most.min(remaining as usize);
                out.extend(std::iter::repeat_n(ticket.number() as u8, len));
                len
            }
        };
        finished.extend(device.transmitted(written).map(Ticket::number));
    }
    (out, finished)
}

#[test]
fn answers_and_pushes_keep_their_order_and_payloads_unsplit() {
    let settings = ask(CommandCode::COMMON_SCOPE_SETTINGS_LOAD).with_payload_len(10);
    let frames = [answer(&position(1), 1.0), answer(&settings, 0.0), push(1, 2.0)];
    let expected =
        [&frames[0].encode()[..], &frames[1].encode(), &[2; 10], &frames[2].encode()].concat();
    for most in [1, 7, 128, 1000] {
        let mut device = Responder::<4>::default();
        for frame in &frames {
            device.push(frame).unwrap();
        }
        assert_eq!(device.queued(), 3);
        assert_eq!(drain(&mut device, most), (expected.clone(), vec![1, 2, 3]));
        assert_eq!(device.queued(), 0);
    }
}

#[test]
fn a_write_of_nothing_neither_begins_nor_loses_a_frame() {
    let mut device = Responder::<4>::default();
    device.push(&push(1, 2.0)).unwrap();
    assert!(device.poll_transmit().is_some());
    assert_eq!(device.transmitted(0), None);
    assert_eq!(device.queued(), 1);
    assert_eq!(drain(&mut device, 1000), (push(1, 2.0).encode().to_vec(), vec![1]));
}

#[test]
fn a_full_queue_refuses_and_loses_nothing() {
    let mut device = Responder::<4>::default();
    for axis in 1..=4 {
        device.push(&push(axis, 0.0)).unwrap();
    }
    assert_eq!(device.push(&push(1, 9.0)), Err(Full::Queue));
    let (out, finished) = drain(&mut device, 1000);
    assert_eq!((out.len(), finished.len()), (4 * 128, 4));
    assert!(device.push(&push(1, 9.0)).is_ok());
}

#[test]
fn every_command_of_the_table_is_answered_as_the_protocol_says() {
    for row in TABLE {
        let mut command = Frame::new(row.code).with_selector(1);
        let without_flag = is_answered(&command);
        command.flags = Flags::TRIGGER_CALL_BACK;
        let with_flag = is_answered(&command);
        let expected = match (row.kind, row.callback) {
            (Kind::FireAndForget, _) => (false, false),
            (Kind::Event, _) => (false, row.code == CommandCode::STAGE_MOTION_STOPPED),
            (_, CallbackFlag::Needed) => (false, true),
            (_, CallbackFlag::Optional | CallbackFlag::Omitted) => (true, true),
        };
        assert_eq!((without_flag, with_flag), expected, "{}", row.code);
    }
    let anyway: Vec<_> = TABLE.iter().filter(|row| is_answered(&Frame::new(row.code))).collect();
    let codes: Vec<_> = anyway.iter().map(|row| row.code).collect();
    let expected = [
        CommandCode::COMMON_SCOPE_SETTINGS_LOAD,
        CommandCode::CAMERA_WORK_FLOW_STOP,
        CommandCode::SYSTEM_STATE_GET,
    ];
    assert_eq!(codes, expected);
}

#[test]
fn lights_are_usually_acknowledged_and_lasers_never() {
    let lights = TABLE.iter().filter(|row| row.is_usually_acknowledged());
    let codes: Vec<_> = lights.map(|row| row.code.0).collect();
    assert_eq!(codes, [0x4001, 0x4002, 0x4003, 0x7004, 0x7005, 0x7006, 0x7007]);
}

#[test]
fn an_unknown_code_is_never_answered() {
    assert!(!is_answered(&Frame::command(CommandCode(0x6FFF))));
}

#[test]
fn abandoned_input_is_dropped_and_the_next_command_is_read() {
    let mut device = Responder::<4>::default();
    let upload = Frame::command(CommandCode::COMMON_SCOPE_SETTINGS_SAVE).with_payload_len(100);
    assert!(device.handle_input(&upload.encode()).1.is_some());
    assert_eq!(device.abandon_input(), (0, 100));
    assert_eq!(device.handle_input(&upload.encode()[..7]), (7, None));
    assert_eq!(device.abandon_input(), (7, 0));
    assert_eq!(device.noise_bytes(), 7);
    let command = position(1);
    let skipped = 7;
    let expected = Some(Incoming::Command { frame: command, skipped });
    assert_eq!(device.handle_input(&command.encode()), (128, expected));
}
