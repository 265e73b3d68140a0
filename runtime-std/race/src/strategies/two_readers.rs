//! What happens when the CallbackListener is activated on the command socket: two threads call
//! `recv(128)` on it, without any lock. Whoever the operating system lets have the bytes takes
//! them: the caller for the answer to its query, the listener for an event.

use std::time::Duration;

use flamingo_protocol_core::Frame;

use super::handler::{Stops, handler};
use crate::strategy::{Motion, Scene, Strategy};
use crate::wire::{self, Reader, ReadingThread};

pub(super) struct TwoReaders {
    command_socket: Reader,
    timeout: Duration,
    stops: Stops,
    _callback_listener: ReadingThread,
}

impl TwoReaders {
    pub(super) fn start(scene: &Scene) -> std::io::Result<Self> {
        let command_socket = Reader::new(wire::connect(scene.control, scene.timeout)?);
        let (handler, stops) = handler(&scene.events);
        let mut listener = Reader::new(command_socket.socket().try_clone()?);
        let listen_loop = move || {
            while let Ok(frame) = listener.receive() {
                handler.call(&frame);
            }
        };
        let listener = ReadingThread::start(command_socket.socket(), listen_loop)?;
        Ok(Self { command_socket, timeout: scene.timeout, stops, _callback_listener: listener })
    }
}

impl Strategy for TwoReaders {
    fn query(&mut self, command: &Frame) -> Option<Frame> {
        self.stops.arm(command);
        wire::send(self.command_socket.socket(), command).ok()?;
        let deadline = self.command_socket.deadline(self.timeout);
        self.command_socket.receive_by(deadline).ok()
    }

    fn wait_for_motion_end(&mut self, motion: &Motion) -> bool {
        self.stops.wait(motion)
    }

    fn close(self: Box<Self>) {}
}
