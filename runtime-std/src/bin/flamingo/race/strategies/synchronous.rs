//! Option 5 of the analysis, and how the public client works: one thread sends a command and takes
//! the next frame for its answer. Nobody listens in between; the end of a motion is asked for with
//! STAGE_WAIT_FOR_MOTION_TO_STOP, whose answer comes when the axis stands still.

use std::net::TcpStream;

use flamingo_protocol_core::{CommandCode, Frame};

use crate::race::strategy::{Motion, Scene, Strategy};
use crate::race::wire;

pub(super) struct Synchronous {
    command_socket: TcpStream,
    timeout: std::time::Duration,
}

impl Synchronous {
    pub(super) fn start(scene: &Scene) -> std::io::Result<Self> {
        let command_socket = wire::connect(scene.control, scene.timeout)?;
        Ok(Self { command_socket, timeout: scene.timeout })
    }
}

impl Strategy for Synchronous {
    fn query(&mut self, command: &Frame) -> Option<Frame> {
        wire::send(&self.command_socket, command).ok()?;
        wire::receive(&self.command_socket).ok()
    }

    fn wait_for_motion_end(&mut self, motion: &Motion) -> bool {
        let wait = Frame::command(CommandCode::STAGE_WAIT_FOR_MOTION_TO_STOP);
        let socket = &self.command_socket;
        let ended = socket.set_read_timeout(Some(motion.patience)).is_ok()
            && self.query(&wait.with_selector(motion.axis)).is_some();
        self.command_socket.set_read_timeout(Some(self.timeout)).is_ok() && ended
    }

    fn close(self: Box<Self>) {}
}
