//! A socket of the control side: whether it can be read or written now, and doing so once. What the
//! bytes mean is not known here.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::task::Context;

use smol::Async;

use flamingo_recording::{Port, Recorder, Side, Tap};

/// One socket, and what is known of it.
pub(super) struct Peer {
    stream: Async<TcpStream>,
    pub(super) address: SocketAddr,
    /// The name of the control port where it came in, if that has one.
    pub(super) port: Option<Arc<str>>,
    /// There may be something to read.
    pub(super) readable: bool,
    /// It takes no more bytes for now.
    pub(super) blocked: bool,
    /// The other end has closed its way.
    pub(super) finished: bool,
    /// Where what we send and what comes is recorded.
    taps: Option<[Tap; 2]>,
}

impl Peer {
    pub(super) fn new(
        stream: Async<TcpStream>,
        address: SocketAddr,
        port: Option<Arc<str>>,
    ) -> Self {
        Self { stream, address, port, readable: true, blocked: false, finished: false, taps: None }
    }

    /// Records from now on what goes over it.
    pub(super) fn record(&mut self, recorder: &Recorder) {
        if let Ok(own) = self.stream.get_ref().local_addr() {
            self.taps = Some(recorder.open(Port::Control, own, self.address));
        }
    }

    /// Whether it can do something that it could not.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> bool {
        if !self.finished && !self.readable {
            self.readable = self.stream.poll_readable(context).is_ready();
        }
        let was_blocked = self.blocked;
        if self.blocked {
            self.blocked = self.stream.poll_writable(context).is_pending();
        }
        self.readable || (was_blocked && !self.blocked)
    }

    /// Reads once. `None`: nothing is there.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Option<std::io::Result<usize>> {
        match self.stream.get_ref().read(buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.readable = false;
                None
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => None,
            Ok(0) => {
                if let Some([sent, came]) = self.taps.take() {
                    came.finish();
                    sent.finish();
                }
                self.finished = true;
                self.readable = false;
                Some(Ok(0))
            }
            Ok(count) => {
                // A read that did not fill the buffer has emptied the socket.
                self.readable = count == buffer.len();
                if let Some([_, came]) = &mut self.taps {
                    came.copy(&buffer[..count]);
                }
                Some(Ok(count))
            }
            Err(error) => {
                self.cut_by_it();
                Some(Err(error))
            }
        }
    }

    /// Writes once. Gives how much went; 0 when it takes no more for now.
    pub(super) fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self.stream.get_ref().write(bytes) {
            Ok(0) => Err(ErrorKind::WriteZero.into()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.blocked = true;
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
                self.cut_by_it();
                Err(error)
            }
        }
    }

    fn cut_by_it(&mut self) {
        if let Some([_, came]) = self.taps.take() {
            came.cut(Side::Instrument);
        }
    }
}
