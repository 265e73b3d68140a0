//! What happens when the CallbackListener is activated on the command socket: two threads call
//! `recv(128)` on it, without a lock. The operating system decides which thread gets the bytes. The caller takes
//! them for the answer to its query, the listener for an event.

use std::time::Duration;

use flamingo_protocol_core::Frame;

use super::handler::{Stops, handler};
use crate::strategy::{Environment, Motion, Strategy};
use crate::wire::{self, FrameReader, ReaderThread};

pub(super) struct TwoReaders {
    command_socket: FrameReader,
    timeout: Duration,
    stops: Stops,
    _callback_listener: ReaderThread,
}

impl TwoReaders {
    pub(super) fn start(environment: &Environment) -> std::io::Result<Self> {
        let command_socket =
            FrameReader::new(wire::connect(environment.control, environment.timeout)?);
        let (handler, stops) = handler(&environment.events);
        let mut listener = FrameReader::new(command_socket.socket().try_clone()?);
        let listen_loop = move || {
            while let Ok(frame) = listener.receive() {
                handler.call(&frame);
            }
        };
        let listener = ReaderThread::start(command_socket.socket(), listen_loop)?;
        Ok(Self {
            command_socket,
            timeout: environment.timeout,
            stops,
            _callback_listener: listener,
        })
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
