//! One relayed connection: two threads that wait in their sockets, one for each direction. So the relay needs one read
//! and one write for the bytes that come together, and wakes for nothing else. Which connections are made, and where
//! the relay listens, is in `relay.rs`.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use async_channel::{Receiver, Sender};
use smol::{Async, future};

use super::buffer_pool::BufferPool;
use super::relay::{Route, known_address};
use super::{Port, Side, Tap};
use flamingo_runtime_std::socket::client_input::{self, ClientEnd};
use flamingo_runtime_std::{Clock, CommandReader, InputLimits};

/// A read of fewer bytes is copied for the recording. A longer one is recorded in its own buffer.
const COPIED: usize = super::relay::CHUNK / 8;

/// Relays a client until its connection ends. Dropping the future ends the connection.
pub(super) async fn serve(route: Arc<Route>, client: Async<TcpStream>, address: SocketAddr) {
    match Connection::start(route, client, address) {
        Ok(connection) => connection.ended().await,
        Err(error) => tracing::warn!(client = %address, %error, "a client is disconnected"),
    }
}

/// The threads of a connection. Dropping it ends them, and waits until they have ended.
struct Connection {
    cut: Arc<Cut>,
    /// Closed when the first thread, and with it the second, has ended.
    ended: Receiver<()>,
    thread: Option<JoinHandle<()>>,
}

impl Connection {
    fn start(route: Arc<Route>, client: Async<TcpStream>, address: SocketAddr) -> io::Result<Self> {
        let client = blocking(client)?;
        let (ending, ended) = async_channel::bounded::<()>(1);
        let cut = Arc::new(Cut::default());
        cut.add(&client)?;
        let thread = std::thread::Builder::new().name("flamingo-relay".into()).spawn({
            let cut = Arc::clone(&cut);
            move || {
                relay(&route, &client, address, &cut);
                drop(ending);
            }
        })?;
        Ok(Self { cut, ended, thread: Some(thread) })
    }

    async fn ended(&self) {
        // Nothing is ever sent: it ends when the sender is dropped.
        let _ = self.ended.recv().await;
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.cut.cut();
        if let Some(thread) = self.thread.take() {
            // A panic in it was reported by its own thread.
            let _ = thread.join();
        }
    }
}

fn blocking(stream: Async<TcpStream>) -> io::Result<TcpStream> {
    let stream = stream.into_inner()?;
    stream.set_nonblocking(false)?;
    Ok(stream)
}

/// Ends both directions of a connection from any thread.
struct Cut {
    /// The sockets to shut down; `None` once the connection was cut.
    sockets: Mutex<Option<Vec<TcpStream>>>,
    /// Closed when the connection is cut.
    signal: (Sender<()>, Receiver<()>),
}

impl Default for Cut {
    fn default() -> Self {
        Self { sockets: Mutex::new(Some(Vec::new())), signal: async_channel::bounded(1) }
    }
}

impl Cut {
    /// Shuts this socket down, too.
    fn add(&self, socket: &TcpStream) -> io::Result<()> {
        let socket = socket.try_clone()?;
        match &mut *self.sockets.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(sockets) => sockets.push(socket),
            None => return Err(ErrorKind::ConnectionAborted.into()),
        }
        Ok(())
    }

    fn cut(&self) {
        self.signal.0.close();
        let sockets = self.sockets.lock().unwrap_or_else(PoisonError::into_inner).take();
        for socket in sockets.into_iter().flatten() {
            // An error means that the connection is gone.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    /// Fails if the connection was cut, so that its end is not taken for the end of what a side sends.
    fn check(&self) -> io::Result<()> {
        if self.signal.0.is_closed() { Err(ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
    }

    async fn happens(&self) {
        // Nothing is ever sent: it ends when the channel is closed.
        let _ = self.signal.1.recv().await;
    }
}

/// Runs in the first thread of a connection until both directions have ended.
fn relay(route: &Arc<Route>, client: &TcpStream, address: SocketAddr, cut: &Cut) {
    let Route { port, instrument, recorder, buffers, .. } = &**route;
    let first = match port {
        Port::Control => match first_frame(*port, client, cut) {
            Ok(bytes) => Some(bytes),
            Err(_) if cut.check().is_err() => return,
            Err(end) => {
                let [sent, came] = recorder.open(*port, address, known_address(instrument));
                if route.end_without_frame(address, sent, end).is_ok() {
                    came.finish();
                }
                return;
            }
        },
        Port::Live | Port::Stack => None,
    };
    let Some(upstream) = connect(route, address, cut) else { return };
    let Ok(upstream) = upstream.and_then(|upstream| cut.add(&upstream).map(|()| upstream)) else {
        return;
    };
    // A peer that has closed at once has no address any more. Its connection is recorded, too.
    let peer = upstream.peer_addr().unwrap_or_else(|_| known_address(instrument));
    tracing::info!(%port, client = %address, "a client connected");
    let [sent, came] = recorder.open(*port, address, peer);
    let to_client = || {
        let pump = Pump { from: &upstream, to: client, side: Side::Instrument, buffers, cut };
        ends_both(cut, pump.run(&[], came))
    };
    let to_instrument = || {
        let pump = Pump { from: client, to: &upstream, side: Side::Client, buffers, cut };
        let first = match first {
            Some(bytes) => Ok(bytes),
            None => first_frame(*port, client, cut),
        };
        let result = match first {
            Ok(bytes) => pump.run(&bytes, sent),
            Err(end) => {
                let closes = matches!(end, ClientEnd::Closed);
                let result = route.end_without_frame(address, sent, end);
                if closes {
                    let _ = upstream.shutdown(Shutdown::Write);
                }
                result
            }
        };
        ends_both(cut, result)
    };
    let both = std::thread::scope(|scope| {
        let name = "flamingo-relay".into();
        let other = std::thread::Builder::new().name(name).spawn_scoped(scope, to_client);
        let Ok(other) = other else { return Err(io::Error::other("no thread is free")) };
        let result = to_instrument();
        // A panic in it was reported by its own thread.
        let other = other.join().unwrap_or_else(|_| Err(ErrorKind::ConnectionAborted.into()));
        result.and(other)
    });
    let why = both.err().map_or_else(|| "it was closed".to_owned(), |error| error.to_string());
    tracing::info!(%port, client = %address, %why, "a connection is over");
}

/// Connects to the instrument. `None`: it cannot be reached, which is noted, or the relay ends.
fn connect(route: &Route, address: SocketAddr, cut: &Cut) -> Option<io::Result<TcpStream>> {
    let connected = async { Some(route.connect().await) };
    let connected = smol::block_on(future::or(connected, async {
        cut.happens().await;
        None
    }));
    match connected? {
        Ok(upstream) => Some(blocking(upstream)),
        Err(error) => {
            route.refusals.note_unreachable(address, &error);
            let known = known_address(&route.instrument);
            let [_sent, came] = route.recorder.open(route.port, address, known);
            came.cut(Side::Instrument);
            None
        }
    }
}

/// An error in one direction ends the other one, too.
fn ends_both(cut: &Cut, result: io::Result<()>) -> io::Result<()> {
    if result.is_err() {
        cut.cut();
    }
    result
}

/// Reads from a client until its first frame is whole. Returns all bytes that came.
fn first_frame(port: Port, client: &TcpStream, cut: &Cut) -> Result<Vec<u8>, ClientEnd> {
    let limits = if port == Port::Control { InputLimits::COMMANDS } else { InputLimits::SILENT };
    let clock = Clock::start();
    let mut reader = CommandReader::new(clock.now(), limits);
    let (mut buffer, mut bytes) = ([0; 1024], Vec::new());
    while !reader.has_frame() {
        let count = client_input::read_blocking(client, &clock, &reader, &mut buffer);
        cut.check()?;
        let count = count?;
        reader.handle_input(clock.now(), &buffer[..count])?;
        bytes.extend_from_slice(&buffer[..count]);
    }
    client.set_read_timeout(None)?;
    Ok(bytes)
}

/// One direction of a connection.
struct Pump<'a> {
    from: &'a TcpStream,
    to: &'a TcpStream,
    /// The side that sends.
    side: Side,
    buffers: &'a BufferPool,
    cut: &'a Cut,
}

impl Pump<'_> {
    /// Copies `first`, and then bytes until the side has sent everything. Then it closes that direction to the
    /// other end.
    fn run(&self, first: &[u8], mut tap: Tap) -> io::Result<()> {
        let mut to = self.to;
        if !first.is_empty() {
            tap.copy(first);
            if let Err(error) = to.write_all(first) {
                return Err(self.failed(tap, self.side.other(), error));
            }
        }
        let mut buffer = self.buffers.take();
        loop {
            let count = match self.read(buffer.space()) {
                Ok(count) => count,
                Err(error) => return Err(self.failed(tap, self.side, error)),
            };
            if count == 0 {
                // Recorded before the other side learns of it, and ends its direction as well.
                tap.finish();
                // An error means that the end is gone. The other direction notices that.
                let _ = to.shutdown(Shutdown::Write);
                return Ok(());
            }
            // Recorded before it is passed on: no answer must be recorded before its command.
            let written = if count < COPIED {
                let bytes = &buffer.space()[..count];
                tap.copy(bytes);
                to.write_all(bytes)
            } else {
                let bytes = std::mem::replace(&mut buffer, self.buffers.take()).filled(count);
                tap.bytes(bytes.clone());
                to.write_all(&bytes)
            };
            if let Err(error) = written {
                return Err(self.failed(tap, self.side.other(), error));
            }
        }
    }

    /// Reads what has come. 0: the side has sent everything.
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut from = self.from;
        loop {
            match from.read(buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(0) => return self.cut.check().map(|()| 0),
                result => return result,
            }
        }
    }

    /// Records that `by` has reset the connection, unless the relay has cut it.
    fn failed(&self, tap: Tap, by: Side, error: io::Error) -> io::Error {
        if self.cut.check().is_ok() {
            tap.cut(by);
        }
        error
    }
}
