//! The pump over a port in memory, in virtual time, on the host.

use core::convert::Infallible;
use std::collections::VecDeque;
use std::vec;
use std::vec::Vec;

use embedded_io::ErrorType;
use flamingo_protocol_core::CommandCode as Code;

use super::*;
use crate::stage::AXIS;

/// What has come, in pieces of at most 7 bytes; what was written.
#[derive(Default)]
struct Port {
    came: VecDeque<u8>,
    went: Vec<u8>,
}

impl ErrorType for Port {
    type Error = Infallible;
}

impl ReadReady for Port {
    fn read_ready(&mut self) -> Result<bool, Infallible> {
        Ok(!self.came.is_empty())
    }
}

impl Read for Port {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
        let piece = self.came.len().min(7);
        for (place, byte) in buffer.iter_mut().zip(self.came.drain(..piece)) {
            *place = byte;
        }
        Ok(piece)
    }
}

impl Write for Port {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        let piece = bytes.get(..5).unwrap_or(bytes);
        self.went.extend(piece);
        Ok(piece.len())
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// A pump, its stage and its port, at a point in time.
#[derive(Default)]
struct Board {
    pump: Pump,
    stage: Stage,
    port: Port,
    millis: u64,
}

impl Board {
    fn comes(&mut self, bytes: &[u8]) {
        self.port.came.extend(bytes);
        self.run();
    }

    /// Turns until all that has come was read; gives nothing to wait for.
    fn run(&mut self) {
        let now = Instant::from_micros(self.millis * 1000);
        loop {
            assert_eq!(self.pump.turn(&mut self.port, || now, &mut self.stage), Ok(()));
            if self.port.came.is_empty() {
                return;
            }
        }
    }

    fn wait(&mut self, millis: u64) {
        self.millis += millis;
        self.run();
    }

    /// The frames that went out since the last time: codes and statuses.
    fn went(&mut self) -> Vec<(Code, i32)> {
        let frames = self.port.went.chunks(128).map(Frame::decode);
        let went = frames.map(|frame| frame.map(|frame| (frame.code, frame.status)));
        let went = went.collect::<Result<_, _>>();
        self.port.went.clear();
        assert!(went.is_ok(), "{went:?}");
        went.unwrap_or_default()
    }
}

fn command(code: Code) -> Frame {
    Frame::command(code).with_selector(AXIS)
}

#[test]
fn answers_keep_order_and_due_events_go_between_them() {
    let mut board = Board::default();
    let go = command(Code::STAGE_POSITION_SET).with_value(8.0).encode();
    board.comes(&[command(Code::STAGE_POSITION_GET).encode(), go].concat());
    board.wait(60);
    board.comes(&command(Code::STAGE_HALT).encode());
    let get = (Code::STAGE_POSITION_GET, 1);
    let (set, halt) = ((Code::STAGE_POSITION_SET, 1), (Code::STAGE_HALT, 1));
    assert_eq!(board.went(), [get, set, get, get, halt, (Code::STAGE_MOTION_STOPPED, 0)]);
}

#[test]
fn what_was_missed_is_told_before_the_next_command_is_done() {
    let mut board = Board::default();
    board.comes(&command(Code::STAGE_POSITION_SET).with_value(8.0).encode());
    board.millis = 499;
    board.comes(&command(Code::STAGE_HALT).encode());
    let went = board.went();
    assert_eq!(went.len(), 1 + 19 + 2);
    assert_eq!(went.get(20), Some(&(Code::STAGE_HALT, 1)));
}

#[test]
fn an_upload_is_skipped_and_counts_when_it_is_whole() {
    let mut board = Board::default();
    let upload = command(Code::COMMON_SCOPE_SETTINGS_SAVE).with_payload_len(300);
    // A payload may look like a command.
    let inside = command(Code::STAGE_POSITION_SET).with_value(8.0).encode();
    board.comes(&[&upload.encode()[..], &inside, &[0; 171]].concat());
    assert_eq!(board.went(), []);
    let query = command(Code::SYSTEM_STATE_GET).encode();
    board.comes(&[&[0][..], &query].concat());
    let refused = (Code::COMMON_SCOPE_SETTINGS_SAVE, 0);
    assert_eq!(board.went(), [refused, (Code::SYSTEM_STATE_GET, 1)]);
    board.wait(1000);
    assert_eq!((board.went(), board.pump.losses()), (vec![], (0, 0)));
}

#[test]
fn noise_and_half_a_command_of_a_lost_client_are_skipped() {
    let mut board = Board::default();
    let query = command(Code::STAGE_POSITION_GET).encode();
    board.comes(&[b"noise".as_slice(), query.split_at(100).0].concat());
    board.comes(&query);
    assert_eq!(board.went(), [(Code::STAGE_POSITION_GET, 1)]);
    assert_eq!(board.pump.losses(), (105, 0));
}

#[test]
fn half_a_command_is_given_up_when_the_line_is_silent() {
    let mut board = Board::default();
    let query = command(Code::STAGE_POSITION_GET).encode();
    board.comes(&query[..100]);
    board.wait(499);
    assert_eq!(board.pump.losses(), (0, 0));
    board.wait(1);
    assert_eq!(board.pump.losses(), (100, 0));
    board.comes(&query);
    assert_eq!(
        (board.went(), board.pump.losses()),
        (vec![(Code::STAGE_POSITION_GET, 1)], (100, 0))
    );
}

#[test]
fn a_missing_payload_does_not_swallow_the_next_client() {
    let mut board = Board::default();
    let upload = command(Code::COMMON_SCOPE_SETTINGS_SAVE).with_payload_len(10_000);
    board.comes(&[b"noise".as_slice(), &upload.encode()].concat());
    board.wait(499);
    board.comes(&[0; 1000]);
    board.wait(500);
    board.comes(&command(Code::STAGE_POSITION_GET).encode());
    assert_eq!(board.went(), [(Code::STAGE_POSITION_GET, 1)]);
    assert_eq!(board.pump.losses(), (5, 1));
}
