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
use flamingo_runtime_std::{Clock, CommandReader, Error, InputLimits};

/// A read of fewer bytes is copied for the recording. A longer one is recorded in its own buffer.
const COPIED: usize = super::relay::CHUNK / 8;

/// Relays a client until its connection ends. Dropping the future ends the connection.
pub(super) async fn serve(route: Arc<Route>, client: Async<TcpStream>, address: SocketAddr) {
    match Connection::start(Arc::clone(&route), client, address) {
        Ok(connection) => connection.ended().await,
        Err(error) => route.refusals.note_not_served(address, &error),
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
    /// The sockets to shut down.
    sockets: Mutex<Vec<TcpStream>>,
    /// Closed when the connection is cut.
    signal: (Sender<()>, Receiver<()>),
}

impl Default for Cut {
    fn default() -> Self {
        Self { sockets: Mutex::default(), signal: async_channel::bounded(1) }
    }
}

impl Cut {
    /// Shuts this socket down, too.
    fn add(&self, socket: &TcpStream) -> io::Result<()> {
        let socket = socket.try_clone()?;
        let mut sockets = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        self.check()?;
        sockets.push(socket);
        Ok(())
    }

    /// Returns whether this was the first cut.
    fn cut(&self) -> bool {
        // Closed before the lock is taken: a socket that comes later is refused.
        let first = self.signal.0.close();
        for socket in &*self.sockets.lock().unwrap_or_else(PoisonError::into_inner) {
            // An error means that the connection is gone.
            let _ = socket.shutdown(Shutdown::Both);
        }
        first
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
fn relay(route: &Route, client: &TcpStream, address: SocketAddr, cut: &Cut) {
    let Route { port, instrument, recorder, .. } = route;
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
    // A peer that has closed at once has no address any more. Its connection is recorded, too.
    let peer = upstream.peer_addr().unwrap_or_else(|_| known_address(instrument));
    tracing::info!(%port, client = %address, "a client connected");
    let taps = recorder.open(*port, address, peer);
    let both = Directions { route, client, address, upstream: &upstream, cut }.run(first, taps);
    let why = both.err().map_or_else(|| "it was closed".to_owned(), |error| error.to_string());
    tracing::info!(%port, client = %address, %why, "a connection is over");
}

/// Connects to the instrument. `None`: it cannot be reached, which is noted, or the relay ends.
fn connect(route: &Route, address: SocketAddr, cut: &Cut) -> Option<TcpStream> {
    let connected = async {
        let upstream = blocking(route.connect().await?);
        let upstream = upstream.and_then(|upstream| cut.add(&upstream).map(|()| upstream));
        upstream.map_err(|source| Error::Connect { address: route.instrument.clone(), source })
    };
    let connected = smol::block_on(future::or(async { Some(connected.await) }, async {
        cut.happens().await;
        None
    }));
    match connected? {
        Ok(upstream) => Some(upstream),
        Err(_) if cut.check().is_err() => None,
        Err(error) => {
            route.refusals.note_unreachable(address, &error);
            let known = known_address(&route.instrument);
            let [_sent, came] = route.recorder.open(route.port, address, known);
            came.cut(Side::Instrument);
            None
        }
    }
}

/// A client and the instrument, which are connected.
struct Directions<'a> {
    route: &'a Route,
    client: &'a TcpStream,
    address: SocketAddr,
    upstream: &'a TcpStream,
    cut: &'a Cut,
}

impl Directions<'_> {
    /// Copies in both directions until both have ended. `first`: what was read from the client before.
    fn run(&self, first: Option<Vec<u8>>, [sent, came]: [Tap; 2]) -> io::Result<()> {
        std::thread::scope(|scope| {
            let other = std::thread::Builder::new().name("flamingo-relay".into());
            let other = other.spawn_scoped(scope, || {
                let to_client = self.pump(Side::Instrument);
                self.end_both(to_client.run(&[], came))
            })?;
            let result = self.end_both(self.to_instrument(first, sent));
            // A panic in it was reported by its own thread.
            let other = other.join().unwrap_or_else(|_| Err(ErrorKind::ConnectionAborted.into()));
            result.and(other)
        })
    }

    fn to_instrument(&self, first: Option<Vec<u8>>, sent: Tap) -> io::Result<()> {
        let first = match first {
            Some(bytes) => Ok(bytes),
            None => first_frame(self.route.port, self.client, self.cut),
        };
        match first {
            Ok(bytes) => self.pump(Side::Client).run(&bytes, sent),
            Err(end) => {
                let closes = matches!(end, ClientEnd::Closed);
                let result = self.route.end_without_frame(self.address, sent, end);
                if closes {
                    // An error means that the end is gone. The other direction notices that.
                    let _ = self.upstream.shutdown(Shutdown::Write);
                }
                result
            }
        }
    }

    /// The direction of what this side sends.
    fn pump(&self, side: Side) -> Pump<'_> {
        let (from, to) = match side {
            Side::Client => (self.client, self.upstream),
            Side::Instrument => (self.upstream, self.client),
        };
        Pump { from, to, side, buffers: &self.route.buffers, cut: self.cut }
    }

    /// An error in one direction ends the other one, too. Only the first error says why.
    fn end_both(&self, result: io::Result<()>) -> io::Result<()> {
        match result {
            Err(error) if self.cut.cut() => Err(error),
            _ => Ok(()),
        }
    }
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

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::time::Duration;

    use socket2::SockRef;

    use super::super::{Recorder, RecorderOptions};
    use super::*;

    fn connected() -> [TcpStream; 2] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        [near, listener.accept().unwrap().0]
    }

    #[test]
    fn the_side_that_resets_a_connection_says_why_it_ends() {
        let recorder = Recorder::to_writer(io::sink(), RecorderOptions::default()).unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        let taps = recorder.open(Port::Control, address, address);
        let route = Route::new(Port::Control, String::new(), Duration::ZERO, Arc::new(recorder));
        let [[_client, near], [upstream, instrument]] = [connected(), connected()];
        SockRef::from(&instrument).set_linger(Some(Duration::ZERO)).unwrap();
        drop(instrument);
        let cut = Cut::default();
        cut.add(&near).unwrap();
        cut.add(&upstream).unwrap();
        let both =
            Directions { route: &route, client: &near, address, upstream: &upstream, cut: &cut };
        let why = both.run(Some(Vec::new()), taps).unwrap_err();
        assert_eq!(why.kind(), ErrorKind::ConnectionReset);
    }
}
