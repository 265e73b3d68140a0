//! A socket of the control side, to a client or to the instrument: whether it is ready, and reading
//! and writing once. The meaning of the bytes is not known here.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use mio::event::Event;
use mio::net::TcpStream;
use socket2::SockRef;

use super::wait::{Poller, Target};
use flamingo_recording::{Port, Recorder, Side, Tap};
use flamingo_runtime_std::socket;

/// What reading a socket would find.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum ReadState {
    /// Nothing, until the system reports the next byte.
    Nothing,
    /// Perhaps something.
    Bytes,
    /// Perhaps something, and then the end or an error. The system does not report these again, so that
    /// a short read must be followed by another.
    LastBytes,
    /// The peer has closed its sending direction, and everything was read.
    Closed,
}

/// A connected socket and its state.
pub(super) struct ControlSocket {
    stream: TcpStream,
    pub(super) address: SocketAddr,
    /// The name of the control port that accepted it; the main control port has none.
    pub(super) port: Option<Arc<str>>,
    pub(super) read_state: ReadState,
    /// It accepts no more bytes for now.
    pub(super) write_blocked: bool,
    /// Record what we send and what we receive.
    taps: Option<[Tap; 2]>,
}

impl ControlSocket {
    pub(super) fn new(stream: TcpStream, address: SocketAddr, port: Option<Arc<str>>) -> Self {
        Self {
            stream,
            address,
            port,
            read_state: ReadState::Bytes,
            write_blocked: false,
            taps: None,
        }
    }

    /// Records the traffic from now on.
    pub(super) fn record(&mut self, recorder: &Recorder) {
        if let Ok(own) = self.stream.local_addr() {
            self.taps = Some(recorder.open(Port::Control, own, self.address));
        }
    }

    /// Closing the connection resets it: what was not sent is dropped, and the peer learns of the end at
    /// once.
    pub(super) fn reset_on_close(&self) {
        if let Err(error) = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)) {
            tracing::warn!(%error, "the connection ends only when the peer has read everything");
        }
    }

    /// Reports its changes to `poller` from now on.
    pub(super) fn register(&mut self, poller: &Poller, target: Target) -> std::io::Result<()> {
        poller.register(&mut self.stream, target)
    }

    /// Remembers what the system has reported. Returns whether the peer sends nothing more.
    pub(super) fn note(&mut self, event: &Event) -> bool {
        let ends = event.is_read_closed() || event.is_error();
        self.read_state = match self.read_state {
            ReadState::Closed => ReadState::Closed,
            _ if ends => ReadState::LastBytes,
            ReadState::Nothing if event.is_readable() => ReadState::Bytes,
            unchanged => unchanged,
        };
        // Writing, too, finds an error.
        self.write_blocked &= !(event.is_writable() || event.is_write_closed() || event.is_error());
        ends
    }

    /// Whether there may be something to read.
    pub(super) fn is_readable(&self) -> bool {
        matches!(self.read_state, ReadState::Bytes | ReadState::LastBytes)
    }

    /// Reads once. Returns `None` if nothing is there, and `Some(Ok(0))` at the end.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Option<std::io::Result<usize>> {
        match self.stream.read(buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.read_state = ReadState::Nothing;
                None
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => None,
            Ok(0) => {
                if let Some([sent, received]) = self.taps.take() {
                    received.finish();
                    sent.finish();
                }
                self.read_state = ReadState::Closed;
                Some(Ok(0))
            }
            Ok(count) => {
                let is_emptied = socket::is_emptied(count, buffer.len());
                if is_emptied && self.read_state == ReadState::Bytes {
                    self.read_state = ReadState::Nothing;
                }
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
        match self.stream.write(bytes) {
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
