//! Option 5 of the analysis, and how the public client works: one thread sends a command and takes the next frame for its
//! answer. There is no listener. To wait for the end of a motion it sends STAGE_WAIT_FOR_MOTION_TO_STOP, which is answered
//! when the axis stands still.
//!
//! It is better than the proposal in one point: frames that arrived before the command was sent are discarded, because they
//! cannot be the answer. Otherwise the first push would shift all later answers.

use std::time::Duration;

use flamingo_protocol_core::{CommandCode, Frame};

use crate::strategy::{Environment, Motion, Strategy};
use crate::wire::{self, FrameReader};

pub(super) struct Synchronous {
    command_socket: FrameReader,
    timeout: Duration,
}

impl Synchronous {
    pub(super) fn start(environment: &Environment) -> std::io::Result<Self> {
        let command_socket =
            FrameReader::new(wire::connect(environment.control, environment.timeout)?);
        Ok(Self { command_socket, timeout: environment.timeout })
    }

    /// `_query_command`: sends a command and takes the next frame within the timeout.
    pub(super) fn ask(&mut self, command: &Frame) -> std::io::Result<Frame> {
        self.ask_within(command, self.timeout)
    }

    fn ask_within(&mut self, command: &Frame, patience: Duration) -> std::io::Result<Frame> {
        let deadline = self.command_socket.deadline(patience);
        self.command_socket.discard_by(deadline)?;
        wire::send(self.command_socket.socket(), command)?;
        self.command_socket.receive_by(deadline)
    }
}

impl Strategy for Synchronous {
    fn query(&mut self, command: &Frame) -> Option<Frame> {
        self.ask(command).ok()
    }

    fn wait_for_motion_end(&mut self, motion: &Motion) -> bool {
        let wait = Frame::command(CommandCode::STAGE_WAIT_FOR_MOTION_TO_STOP);
        self.ask_within(&wait.with_selector(motion.axis), motion.patience).is_ok()
    }

    fn close(self: Box<Self>) {}
}
