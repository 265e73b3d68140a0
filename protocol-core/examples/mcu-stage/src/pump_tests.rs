//! Tests of the pump with a port in memory, on virtual time.

use core::convert::Infallible;
use std::collections::VecDeque;
use std::vec;
use std::vec::Vec;

use embedded_io::ErrorType;
use flamingo_protocol_core::CommandCode as Code;

use super::*;
use crate::stage::AXIS;

/// A port in memory. A read returns at most 7 bytes, and a write takes at most 5.
#[derive(Default)]
struct Port {
    input: VecDeque<u8>,
    output: Vec<u8>,
}

impl ErrorType for Port {
    type Error = Infallible;
}

impl ReadReady for Port {
    fn read_ready(&mut self) -> Result<bool, Infallible> {
        Ok(!self.input.is_empty())
    }
}

impl Read for Port {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
        let piece = self.input.len().min(7);
        for (place, byte) in buffer.iter_mut().zip(self.input.drain(..piece)) {
            *place = byte;
        }
        Ok(piece)
    }
}

impl Write for Port {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        let piece = bytes.get(..5).unwrap_or(bytes);
        self.output.extend(piece);
        Ok(piece.len())
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// A pump, its stage, its port and the time.
#[derive(Default)]
struct Board {
    pump: Pump,
    stage: Stage,
    port: Port,
    millis: u64,
}

impl Board {
    fn receive(&mut self, bytes: &[u8]) {
        self.port.input.extend(bytes);
        self.run();
    }

    /// Polls the pump until all input is read.
    fn run(&mut self) {
        let now = Instant::from_micros(self.millis * 1000);
        loop {
            assert_eq!(self.pump.poll(&mut self.port, || now, &mut self.stage), Ok(()));
            if self.port.input.is_empty() {
                return;
            }
        }
    }

    fn wait(&mut self, millis: u64) {
        self.millis += millis;
        self.run();
    }

    /// The frames that were sent since the last call, as codes and statuses.
    fn sent(&mut self) -> Vec<(Code, i32)> {
        let frames = self.port.output.chunks(128).map(Frame::decode);
        let sent = frames.map(|frame| frame.map(|frame| (frame.code, frame.status)));
        let sent = sent.collect::<Result<_, _>>();
        self.port.output.clear();
        assert!(sent.is_ok(), "{sent:?}");
        sent.unwrap_or_default()
    }
}

fn command(code: Code) -> Frame {
    Frame::command(code).with_selector(AXIS)
}

#[test]
fn answers_keep_order_and_due_events_go_between_them() {
    let mut board = Board::default();
    let go = command(Code::STAGE_POSITION_SET).with_value(8.0).encode();
    board.receive(&[command(Code::STAGE_POSITION_GET).encode(), go].concat());
    board.wait(60);
    board.receive(&command(Code::STAGE_HALT).encode());
    let get = (Code::STAGE_POSITION_GET, 1);
    let (set, halt) = ((Code::STAGE_POSITION_SET, 1), (Code::STAGE_HALT, 1));
    assert_eq!(board.sent(), [get, set, get, get, halt, (Code::STAGE_MOTION_STOPPED, 0)]);
}

#[test]
fn overdue_events_are_sent_before_the_next_answer() {
    let mut board = Board::default();
    board.receive(&command(Code::STAGE_POSITION_SET).with_value(8.0).encode());
    board.millis = 499;
    board.receive(&command(Code::STAGE_HALT).encode());
    let sent = board.sent();
    assert_eq!(sent.len(), 1 + 19 + 2);
    assert_eq!(sent.get(20), Some(&(Code::STAGE_HALT, 1)));
}

#[test]
fn an_upload_is_answered_after_its_whole_payload() {
    let mut board = Board::default();
    let upload = command(Code::COMMON_SCOPE_SETTINGS_SAVE).with_payload_len(300);
    // A payload may look like a command.
    let inside = command(Code::STAGE_POSITION_SET).with_value(8.0).encode();
    board.receive(&[&upload.encode()[..], &inside, &[0; 171]].concat());
    assert_eq!(board.sent(), []);
    let query = command(Code::SYSTEM_STATE_GET).encode();
    board.receive(&[&[0][..], &query].concat());
    let refused = (Code::COMMON_SCOPE_SETTINGS_SAVE, 0);
    assert_eq!(board.sent(), [refused, (Code::SYSTEM_STATE_GET, 1)]);
    board.wait(1000);
    assert_eq!((board.sent(), board.pump.losses()), (vec![], (0, 0)));
}

#[test]
fn noise_and_half_a_command_of_a_lost_client_are_skipped() {
    let mut board = Board::default();
    let query = command(Code::STAGE_POSITION_GET).encode();
    board.receive(&[b"noise".as_slice(), query.split_at(100).0].concat());
    board.receive(&query);
    assert_eq!(board.sent(), [(Code::STAGE_POSITION_GET, 1)]);
    assert_eq!(board.pump.losses(), (105, 0));
}

#[test]
fn half_a_command_is_abandoned_when_the_line_is_silent() {
    let mut board = Board::default();
    let query = command(Code::STAGE_POSITION_GET).encode();
    board.receive(&query[..100]);
    board.wait(499);
    assert_eq!(board.pump.losses(), (0, 0));
    board.wait(1);
    assert_eq!(board.pump.losses(), (100, 0));
    board.receive(&query);
    assert_eq!(
        (board.sent(), board.pump.losses()),
        (vec![(Code::STAGE_POSITION_GET, 1)], (100, 0))
    );
}

#[test]
fn a_missing_payload_does_not_swallow_the_next_client() {
    let mut board = Board::default();
    let upload = command(Code::COMMON_SCOPE_SETTINGS_SAVE).with_payload_len(10_000);
    board.receive(&[b"noise".as_slice(), &upload.encode()].concat());
    board.wait(499);
    board.receive(&[0; 1000]);
    board.wait(500);
    board.receive(&command(Code::STAGE_POSITION_GET).encode());
    assert_eq!(board.sent(), [(Code::STAGE_POSITION_GET, 1)]);
    assert_eq!(board.pump.losses(), (5, 1));
}
