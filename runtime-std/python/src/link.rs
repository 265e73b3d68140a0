//! A connection on plain threads: its socket, which `reactor.rs` watches, and the thread of its driver.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use flamingo_runtime_std::driver::{Driver, Socket, Step};
use flamingo_runtime_std::{Client, Clock, Error, Options, socket};
use mio::{Interest, Token};

use crate::failure::Failure;
use crate::reactor::{Directions, Reactor, Signal, lock, reactor};

/// A socket of this reactor.
struct WatchedSocket {
    stream: mio::net::TcpStream,
    token: usize,
    directions: Arc<Directions>,
    reactor: &'static Reactor,
}

impl WatchedSocket {
    fn new(stream: TcpStream, reactor: &'static Reactor) -> io::Result<Self> {
        let mut stream = mio::net::TcpStream::from_std(stream);
        let token = reactor.next_token.fetch_add(1, Ordering::Relaxed);
        let directions = Arc::new(Directions::default());
        lock(&reactor.sockets).insert(token, Arc::clone(&directions));
        let interest = Interest::READABLE | Interest::WRITABLE;
        let registered = reactor.registry.register(&mut stream, Token(token), interest);
        let watched = Self { stream, token, directions, reactor };
        registered.map(|()| watched)
    }
}

impl Drop for WatchedSocket {
    fn drop(&mut self) {
        lock(&self.reactor.sockets).remove(&self.token);
        // An error: it was never registered.
        let _ = self.reactor.registry.deregister(&mut self.stream);
    }
}

impl Socket for WatchedSocket {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let all = buffer.len();
        self.directions.reading.take(all, || (&self.stream).read(buffer))
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.directions.writing.take(bytes.len(), || (&self.stream).write(bytes))
    }

    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.directions.reading.poll(cx)
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.directions.writing.poll(cx)
    }

    fn shutdown_write(&self) {
        // A socket that cannot be shut down is closed already.
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    fn discard_unsent(&self) {
        // Without it, some bytes may arrive late.
        let _ = socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
    }
}

/// Connects as [`Client::connect`] does. The driver has a thread of its own.
pub(crate) async fn connect(options: Options) -> Result<Client, Failure> {
    let reactor = reactor()?;
    let clock = Clock::start();
    let (driver, opening) = Driver::new(options, clock);
    let run = move || drive(driver, clock, reactor);
    let started = thread::Builder::new().name("flamingo-link".into()).spawn(run);
    started.map_err(|error| {
        Failure::new("FlamingoError", format!("cannot start a thread: {error}"))
    })?;
    Ok(opening.client().await?)
}

type Connecting = Pin<Box<dyn Future<Output = Result<WatchedSocket, Error>> + Send>>;

fn begin_to_connect(options: &Options, reactor: &'static Reactor) -> Connecting {
    let (address, limit) = (options.address.clone(), options.connect_timeout);
    Box::pin(async move {
        let stream = socket::connect(&address, limit).await?;
        let refused = |source| Error::Connect { address: address.clone(), source };
        WatchedSocket::new(stream.into_inner().map_err(refused)?, reactor).map_err(refused)
    })
}

/// Polls a driver until it ends.
fn drive(mut driver: Driver, clock: Clock, reactor: &'static Reactor) {
    let signal = Signal::of_this_thread();
    let waker = Waker::from(Arc::clone(&signal));
    let mut cx = Context::from_waker(&waker);
    let mut connecting: Option<Connecting> = None;
    loop {
        signal.is_woken.store(false, Ordering::SeqCst);
        match driver.poll(&mut cx) {
            Poll::Ready(Step::Connect) => {
                connecting = Some(begin_to_connect(driver.options(), reactor));
                continue;
            }
            Poll::Ready(_) => return,
            Poll::Pending => {}
        }
        let attempt = connecting.as_mut().map(|attempt| attempt.as_mut().poll(&mut cx));
        if let Some(Poll::Ready(result)) = attempt {
            connecting = None;
            match result {
                Ok(socket) => driver.connected(Box::new(socket)),
                Err(error) => driver.connect_failed(error),
            }
            continue;
        }
        if !signal.is_woken.load(Ordering::SeqCst) {
            match driver.due() {
                Some(due) => thread::park_timeout(due.since(clock.now()).into()),
                None => thread::park(),
            }
        }
    }
}
