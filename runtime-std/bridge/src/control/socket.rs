//! A socket of the control side, to a client or to the instrument: whether it is ready, and reading
//! and writing once. The meaning of the bytes is not known here.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::task::Context;

use smol::Async;

use flamingo_recording::{Port, Recorder, Side, Tap};

/// A connected socket and its state.
pub(super) struct ControlSocket {
    stream: Async<TcpStream>,
    pub(super) address: SocketAddr,
    /// The name of the control port that accepted it; the main control port has none.
    pub(super) port: Option<Arc<str>>,
    /// There may be something to read.
    pub(super) readable: bool,
    /// It accepts no more bytes for now.
    pub(super) write_blocked: bool,
    /// The peer has closed its sending direction.
    pub(super) read_closed: bool,
    /// Record what we send and what we receive.
    taps: Option<[Tap; 2]>,
}

impl ControlSocket {
    pub(super) fn new(
        stream: Async<TcpStream>,
        address: SocketAddr,
        port: Option<Arc<str>>,
    ) -> Self {
        Self {
            stream,
            address,
            port,
            readable: true,
            write_blocked: false,
            read_closed: false,
            taps: None,
        }
    }

    /// Records the traffic from now on.
    pub(super) fn record(&mut self, recorder: &Recorder) {
        if let Ok(own) = self.stream.get_ref().local_addr() {
            self.taps = Some(recorder.open(Port::Control, own, self.address));
        }
    }

    /// Whether there is something to read, or writing has become possible again.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> bool {
        if !self.read_closed && !self.readable {
            self.readable = self.stream.poll_readable(context).is_ready();
        }
        let was_blocked = self.write_blocked;
        if self.write_blocked {
            self.write_blocked = self.stream.poll_writable(context).is_pending();
        }
        self.readable || (was_blocked && !self.write_blocked)
    }

    /// Reads once. Returns `None` if nothing is there, and `Some(Ok(0))` at the end.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Option<std::io::Result<usize>> {
        match self.stream.get_ref().read(buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.readable = false;
                None
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => None,
            Ok(0) => {
                if let Some([sent, received]) = self.taps.take() {
                    received.finish();
                    sent.finish();
                }
                self.read_closed = true;
                self.readable = false;
                Some(Ok(0))
            }
            Ok(count) => {
                // A read that did not fill the buffer has emptied the socket.
                self.readable = count == buffer.len();
                if let Some([_, received]) = &mut self.taps {
                    received.copy(&buffer[..count]);
                }
                Some(Ok(count))
            }
            Err(error) => {
                self.record_reset();
                Some(Err(error))
            }
        }
    }

    /// Writes once. Returns how many bytes were written; 0 if the socket accepts no more for now.
    pub(super) fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self.stream.get_ref().write(bytes) {
            Ok(0) => Err(ErrorKind::WriteZero.into()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.write_blocked = true;
                Ok(0)
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(0),
            Ok(count) => {
                if let Some([sent, _]) = &mut self.taps {
                    sent.copy(&bytes[..count]);
                }
                Ok(count)
            }
            Err(error) => {
                self.record_reset();
                Err(error)
            }
        }
    }

    fn record_reset(&mut self) {
        if let Some([_, received]) = self.taps.take() {
            received.cut(Side::Instrument);
        }
    }
}
