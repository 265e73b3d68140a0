//! Option 3 of the analysis, called the best there: unsolicited messages come on a separate socket. Here the bridge provides
//! it, with an unchanged instrument. The caller sends and receives on the command socket, and the listener receives on the
//! callback socket. Nothing must be coordinated.

use std::io::{Error, ErrorKind};
use std::time::Duration;

use flamingo_protocol_core::Frame;

use super::handler::{Stops, handler};
use crate::strategy::{Environment, Motion, Strategy};
use crate::wire::{self, FrameReader, ReaderThread};

pub(super) struct CallbackSocket {
    command_socket: FrameReader,
    timeout: Duration,
    stops: Stops,
    _callback_listener: ReaderThread,
}

impl CallbackSocket {
    pub(super) fn start(environment: &Environment) -> std::io::Result<Self> {
        let missing = || Error::new(ErrorKind::NotFound, "the bridge has no callback port");
        let callback_socket =
            wire::connect(environment.callback.ok_or_else(missing)?, environment.timeout)?;
        let command_socket =
            FrameReader::new(wire::connect(environment.control, environment.timeout)?);
        let (handler, stops) = handler(&environment.events);
        let mut listener = FrameReader::new(callback_socket.try_clone()?);
        let listen_loop = move || {
            while let Ok(frame) = listener.receive() {
                handler.call(&frame);
            }
        };
        let listener = ReaderThread::start(&callback_socket, listen_loop)?;
        Ok(Self {
            command_socket,
            timeout: environment.timeout,
            stops,
            _callback_listener: listener,
        })
    }
}

impl Strategy for CallbackSocket {
    fn query(&mut self, command: &Frame) -> Option<Frame> {
        self.stops.arm(command);
        wire::send(self.command_socket.socket(), command).ok()?;
        let deadline = self.command_socket.deadline(self.timeout);
        loop {
            let frame = self.command_socket.receive_by(deadline).ok()?;
            // Only answers come here. An answer of another code belongs to a query that was given up.
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
