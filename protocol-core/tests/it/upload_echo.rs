//! The acknowledgement of an upload may still declare the length of the upload, although no payload
//! follows.

use flamingo_protocol_core::{
    Class, CommandCode, Config, Connection, Frame, Output, Transmit,
    time::{Duration, Instant},
};

const NOW: Instant = Instant::from_micros(0);

/// The outputs when the server sends `stream` after an upload of 256 bytes.
fn received(config: Config, stream: &[u8]) -> (Vec<(CommandCode, u32)>, usize, u64) {
    received_after(CommandCode::COMMON_SCOPE_SETTINGS_SAVE, config, stream)
}

/// The same after an upload under this code.
fn received_after(
    code: CommandCode,
    config: Config,
    stream: &[u8],
) -> (Vec<(CommandCode, u32)>, usize, u64) {
    let mut connection = Connection::<4, 16, 9, 4>::new(config);
    let save = Frame::command(code).with_payload_len(256);
    let ticket = connection.request(NOW, &save, NOW + Duration::from_millis(3000)).unwrap();
    while let Some(shown) = connection.poll_transmit(NOW) {
        let count = match shown {
            Transmit::Bytes(bytes) => bytes.len(),
            Transmit::Payload { remaining, .. } => remaining as usize,
        };
        connection.transmitted(NOW, count);
    }
    let (mut frames, mut payload, mut rest) = (Vec::new(), 0, stream);
    loop {
        let (consumed, output) = connection.handle_input(NOW, rest);
        rest = &rest[consumed..];
        match output {
            Some(Output::Frame(received)) => {
                if received.frame.code == CommandCode::COMMON_SCOPE_SETTINGS_SAVE {
                    assert_eq!(received.class, Class::Solicited { ticket, proven: true });
                }
                frames.push((received.frame.code, received.frame.payload_len));
            }
            Some(Output::Payload { bytes, .. }) => payload += bytes.len(),
            None if rest.is_empty() => break,
            None => {}
        }
    }
    (frames, payload, connection.counters().noise_bytes)
}

fn echo() -> [u8; 128] {
    Frame::command(CommandCode::COMMON_SCOPE_SETTINGS_SAVE).with_payload_len(256).encode()
}

const ACKNOWLEDGED: (CommandCode, u32) = (CommandCode::COMMON_SCOPE_SETTINGS_SAVE, 0);
const IDLE: (CommandCode, u32) = (CommandCode::SYSTEM_STATE_IDLE, 0);

#[test]
fn the_echoed_length_of_an_upload_swallows_no_frame() {
    let idle = Frame::new(CommandCode::SYSTEM_STATE_IDLE).encode();
    let stream = [echo(), idle, idle].concat();
    assert_eq!(received(Config::default(), &stream), (vec![ACKNOWLEDGED, IDLE, IDLE], 0, 0));
}

#[test]
fn a_payload_after_an_upload_echo_counts_as_noise() {
    let idle = Frame::new(CommandCode::SYSTEM_STATE_IDLE).encode();
    let stream = [&echo()[..], &[b'x'; 256], &idle].concat();
    assert_eq!(received(Config::default(), &stream), (vec![ACKNOWLEDGED, IDLE], 0, 256));
}

#[test]
fn a_peer_that_is_known_to_send_one_is_believed() {
    let idle = Frame::new(CommandCode::SYSTEM_STATE_IDLE).encode();
    let stream = [&echo()[..], &[b'x'; 256], &idle].concat();
    let config = Config::default().with_upload_echo_has_payload(true);
    let acknowledged = (CommandCode::COMMON_SCOPE_SETTINGS_SAVE, 256);
    assert_eq!(received(config, &stream), (vec![acknowledged, IDLE], 256, 0));
}

#[test]
fn the_echoed_length_under_any_code_swallows_no_frame() {
    let idle = Frame::new(CommandCode::SYSTEM_STATE_IDLE).encode();
    for code in [CommandCode::CAMERA_CHECK_STACK, CommandCode(0x6FFF)] {
        let echo = Frame::command(code).with_payload_len(256).encode();
        let stream = [echo, idle, idle].concat();
        let frames = vec![(code, 0), IDLE, IDLE];
        assert_eq!(received_after(code, Config::default(), &stream), (frames, 0, 0));
    }
}

#[test]
fn an_answer_of_another_length_than_the_upload_has_a_payload() {
    let code = CommandCode::CAMERA_CHECK_STACK;
    let idle = Frame::new(CommandCode::SYSTEM_STATE_IDLE).encode();
    let answer = Frame::command(code).with_payload_len(3).encode();
    let stream = [&answer[..], b"yes", &idle].concat();
    let frames = vec![(code, 3), IDLE];
    assert_eq!(received_after(code, Config::default(), &stream), (frames, 3, 0));
}
