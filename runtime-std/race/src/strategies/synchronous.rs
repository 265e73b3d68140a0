//! Option 5 of the analysis, and how the public client works: one thread sends a command and takes
//! the next frame for its answer. Nobody listens in between; the end of a motion is asked for with
//! STAGE_WAIT_FOR_MOTION_TO_STOP, whose answer comes when the axis stands still.
//!
//! Better than the analysis has it in one point: what came before the command was sent is thrown
//! away, for it cannot be the answer. Otherwise the first push would shift all later answers.

use std::time::Duration;

use flamingo_protocol_core::{CommandCode, Frame};

use crate::strategy::{Motion, Scene, Strategy};
use crate::wire::{self, Reader};

pub(super) struct Synchronous {
    command_socket: Reader,
    timeout: Duration,
}

impl Synchronous {
    pub(super) fn start(scene: &Scene) -> std::io::Result<Self> {
        let command_socket = Reader::new(wire::connect(scene.control, scene.timeout)?);
        Ok(Self { command_socket, timeout: scene.timeout })
    }

    /// `_query_command`: sends, and takes the next frame that comes within the timeout.
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
