//! Option 3 of the analysis, its best: unsolicited messages come on a socket of their own. Here
//! the bridge provides it, with the instrument as it is. The caller sends and receives on the
//! command socket, the listener receives on the callback socket; nothing has to be coordinated.

use std::io::{Error, ErrorKind};
use std::time::Duration;

use flamingo_protocol_core::Frame;

use super::handler::{Stops, handler};
use crate::strategy::{Motion, Scene, Strategy};
use crate::wire::{self, Reader, ReadingThread};

pub(super) struct CallbackSocket {
    command_socket: Reader,
    timeout: Duration,
    stops: Stops,
    _callback_listener: ReadingThread,
}

impl CallbackSocket {
    pub(super) fn start(scene: &Scene) -> std::io::Result<Self> {
        let missing = || Error::new(ErrorKind::NotFound, "there is no callback port here");
        let callback_socket = wire::connect(scene.callback.ok_or_else(missing)?, scene.timeout)?;
        let command_socket = Reader::new(wire::connect(scene.control, scene.timeout)?);
        let (handler, stops) = handler(&scene.events);
        let mut listener = Reader::new(callback_socket.try_clone()?);
        let listen_loop = move || {
            while let Ok(frame) = listener.receive() {
                handler.call(&frame);
            }
        };
        let listener = ReadingThread::start(&callback_socket, listen_loop)?;
        Ok(Self { command_socket, timeout: scene.timeout, stops, _callback_listener: listener })
    }
}

impl Strategy for CallbackSocket {
    fn query(&mut self, command: &Frame) -> Option<Frame> {
        self.stops.arm(command);
        wire::send(self.command_socket.socket(), command).ok()?;
        let deadline = self.command_socket.deadline(self.timeout);
        loop {
            let frame = self.command_socket.receive_by(deadline).ok()?;
            // Only answers come here; one of another code is that of a query that was given up.
            if frame.code == command.code {
                return Some(frame);
            }
        }
    }

    fn wait_for_motion_end(&mut self, motion: &Motion) -> bool {
        self.stops.wait(motion)
    }

    fn close(self: Box<Self>) {}
}
