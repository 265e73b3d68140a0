//! A socket with blocking calls, as the programs of the analysis use it: one frame with its payload at a time. The meaning
//! of a frame is not known here.

use std::io::{Error, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

use flamingo_protocol_core::{
    Frame,
    time::Instant,
    wire::{FRAME_LEN, START_MARKER},
};
use flamingo_runtime_std::Clock;

/// The longest payload that is read, in bytes. No push of the race is longer.
const PAYLOAD: usize = 64 * 1024;

/// Connects. Each blocking read takes at most `timeout`.
pub(super) fn connect(address: SocketAddr, timeout: Duration) -> std::io::Result<TcpStream> {
    let socket = TcpStream::connect(address)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(timeout))?;
    Ok(socket)
}

/// Sends a command (`sendall`).
pub(super) fn send(mut socket: &TcpStream, command: &Frame) -> std::io::Result<()> {
    socket.write_all(&command.encode())
}

/// Whether this error means that nothing arrived in time.
pub(super) fn is_timeout(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// One reader of a socket: `recv(128)` until a frame is complete, then its payload. It reads no byte more, and keeps an
/// incomplete frame when the time is over.
pub(super) struct FrameReader {
    socket: TcpStream,
    clock: Clock,
    /// The bytes of an incomplete frame.
    held: Vec<u8>,
    /// A frame, and how many bytes of its payload are missing.
    frame: Option<(Frame, usize)>,
}

impl FrameReader {
    pub(super) fn new(socket: TcpStream) -> Self {
        Self { socket, clock: Clock::start(), held: Vec::with_capacity(FRAME_LEN), frame: None }
    }

    pub(super) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// Waits for the next frame without a limit. An error: the connection is lost or was closed.
    pub(super) fn receive(&mut self) -> std::io::Result<Frame> {
        loop {
            match self.read(None) {
                Err(error) if is_timeout(&error) => {}
                result => return result,
            }
        }
    }

    /// The time `patience` from now.
    pub(super) fn deadline(&self, patience: Duration) -> Instant {
        self.clock.now() + patience.into()
    }

    /// Waits for the next frame until `deadline`.
    pub(super) fn receive_by(&mut self, deadline: Instant) -> std::io::Result<Frame> {
        self.read(Some(deadline))
    }

    /// Discards the frames that have arrived, until `deadline` at the latest.
    pub(super) fn discard_by(&mut self, deadline: Instant) -> std::io::Result<()> {
        self.socket.set_nonblocking(true)?;
        let ended = loop {
            match self.read(Some(deadline)) {
                Ok(_) => {}
                Err(error) if is_timeout(&error) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        self.socket.set_nonblocking(false)?;
        ended
    }

    fn read(&mut self, deadline: Option<Instant>) -> std::io::Result<Frame> {
        let mut bytes = [0; 4096];
        loop {
            let wanted = match self.frame {
                Some((frame, 0)) => {
                    self.frame = None;
                    return Ok(frame);
                }
                Some((_, payload)) => payload.min(bytes.len()),
                None => FRAME_LEN - self.held.len(),
            };
            self.limit(deadline)?;
            let count = match self.socket.read(&mut bytes[..wanted]) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            match &mut self.frame {
                Some((_, payload)) => *payload -= count,
                None => self.take(&bytes[..count]),
            }
        }
    }

    /// Limits the next read to `deadline`.
    fn limit(&self, deadline: Option<Instant>) -> std::io::Result<()> {
        let Some(deadline) = deadline else { return Ok(()) };
        let left = Duration::from(deadline.since(self.clock.now()));
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        self.socket.set_read_timeout(Some(left))
    }

    fn take(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
        if self.held.len() < FRAME_LEN {
            return;
        }
        let frame = Frame::decode(&self.held).ok();
        let payload = |frame: Frame| usize::try_from(frame.payload_len).ok();
        match frame.and_then(|frame| Some((frame, payload(frame)?))) {
            Some((frame, payload)) if payload <= PAYLOAD => {
                self.frame = Some((frame, payload));
                self.held.clear();
            }
            _ => self.resynchronise(),
        }
    }

    /// The held bytes are no frame. The next frame may begin at the next start marker in them.
    fn resynchronise(&mut self) {
        let marker = START_MARKER.to_le_bytes();
        let begins = |at: &usize| {
            let rest = &self.held[*at..];
            rest.starts_with(&marker) || marker.starts_with(rest)
        };
        let next = (1..self.held.len()).find(begins).unwrap_or(self.held.len());
        self.held.drain(..next);
    }
}

/// A thread that reads a socket. Dropping this shuts the socket down and ends the thread.
pub(super) struct ReaderThread {
    socket: TcpStream,
    thread: Option<JoinHandle<()>>,
}

impl ReaderThread {
    pub(super) fn start(
        socket: &TcpStream,
        work: impl FnOnce() + Send + 'static,
    ) -> std::io::Result<Self> {
        let socket = socket.try_clone()?;
        let thread = std::thread::Builder::new().name("race-reader".into()).spawn(work)?;
        Ok(Self { socket, thread: Some(thread) })
    }
}

impl Drop for ReaderThread {
    fn drop(&mut self) {
        // An error: the peer has closed the connection, so the thread ends by itself.
        let _ = self.socket.shutdown(Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            // An error: the thread panicked, and has reported it.
            let _ = thread.join();
        }
    }
}
