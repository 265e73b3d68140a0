//! The sockets and the timer of clients for plain threads, over the poller of the operating system. Which thread
//! waits there is `seats.rs`; what a program calls is `mod.rs` and `shared_reactor.rs`.

use std::cell::Cell;
use std::future::poll_fn;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use crate::driver::{Attempt, Runtime, Socket, Timer};
use crate::{Clock, socket};
use mio::net::TcpStream;
use mio::{Events, Interest, Registry, Token};
use socket2::SockRef;

use super::early_looks::EarlyLooks;
use super::seats::Seats;

/// Reports what other threads do; it is the token of no socket.
const WAKER: Token = Token(0);

thread_local! {
    /// When this thread must poll its future again, because a timer in it is over then.
    static NEXT: Cell<Option<Instant>> = const { Cell::new(None) };
    /// This thread reports that a socket can be read, and reads it next.
    static HOLDS_BACK: Cell<bool> = const { Cell::new(false) };
}

/// The time of the next timer of the future that this thread has polled, since this was last asked.
pub(super) fn take_next_timer() -> Option<Instant> {
    NEXT.take()
}

/// Whether no thread has to be woken now, because this one polls its future next.
pub(super) fn holds_back() -> bool {
    HOLDS_BACK.get()
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The poller of the operating system. The thread that has it waits there for all.
pub(super) struct Poller {
    poll: mio::Poll,
    events: Events,
    pub(super) early: EarlyLooks,
}

impl Poller {
    /// Waits until something happens to a socket, another thread ends the wait, or the time is over.
    pub(super) fn wait(&mut self, time: Option<Duration>) {
        // An interrupt: the thread looks at its future and comes back.
        let _ = self.poll.poll(&mut self.events, time);
    }

    /// Whether something has happened, without waiting.
    pub(super) fn look(&mut self) -> bool {
        let looked = self.poll.poll(&mut self.events, Some(Duration::ZERO));
        looked.is_ok() && !self.events.is_empty()
    }

    /// The sockets to which something has happened. Those that can be written are told so.
    pub(super) fn report(&self, shared: &Shared) -> Ready {
        let mut ready = Vec::new();
        for event in &self.events {
            let Some(source) = shared.source(event.token()) else { continue };
            let failed = event.is_error();
            if event.is_writable() || event.is_write_closed() || failed {
                source.writing.report();
            }
            if event.is_readable() || event.is_read_closed() || failed {
                ready.push(source);
            }
        }
        Ready(ready)
    }
}

/// Sockets that can be read, of which nobody knows yet.
#[derive(Default)]
pub(super) struct Ready(Vec<Arc<Source>>);

impl Ready {
    /// Reports it to this thread, which reads next, if one of the sockets is that of its client. Nobody else is
    /// woken: this thread may read the answers of others, too.
    pub(super) fn report_here(&self) {
        HOLDS_BACK.set(true);
        self.0.iter().for_each(|source| source.reading.report());
        HOLDS_BACK.set(false);
    }

    /// Wakes the readers of the sockets that this thread has not read.
    pub(super) fn wake_others(self) {
        self.0.iter().for_each(|source| source.reading.wake_unless_blocked());
    }
}

/// What the threads that wait share.
pub(super) struct Shared {
    registry: Registry,
    waker: mio::Waker,
    /// The sockets, with the token that the next one has.
    sources: Mutex<(usize, Vec<Weak<Source>>)>,
    pub(super) seats: Seats,
    pub(super) clock: Clock,
}

impl Shared {
    pub(super) fn new() -> io::Result<Arc<Self>> {
        let poll = mio::Poll::new()?;
        let registry = poll.registry().try_clone()?;
        let waker = mio::Waker::new(&registry, WAKER)?;
        let seats = Seats::new(Poller {
            poll,
            events: Events::with_capacity(16),
            early: EarlyLooks::new(),
        });
        let sources = Mutex::new((WAKER.0 + 1, Vec::new()));
        Ok(Arc::new(Self { registry, waker, sources, seats, clock: Clock::start() }))
    }

    /// Ends the wait of the thread that has the poller.
    pub(super) fn wake_poller(&self) {
        // It fails only if the system has no memory left; the thread then waits for its own time.
        let _ = self.waker.wake();
    }

    /// How long it is until then: nothing if it is over.
    pub(super) fn time_until(&self, at: Instant) -> Duration {
        let now = self.clock.moment(self.clock.now());
        now.map_or(Duration::ZERO, |now| at.saturating_duration_since(now))
    }

    fn source(&self, token: Token) -> Option<Arc<Source>> {
        let mut sources = lock(&self.sources);
        sources.1.retain(|source| source.strong_count() > 0);
        sources.1.iter().filter_map(Weak::upgrade).find(|it| it.token == token)
    }

    fn register(&self, mut stream: TcpStream) -> io::Result<Arc<Source>> {
        let mut sources = lock(&self.sources);
        let token = Token(sources.0);
        sources.0 += 1;
        self.registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        let [reading, writing] = [(); 2].map(|()| Direction::default());
        let source = Arc::new(Source { token, stream, reading, writing });
        sources.1.push(Arc::downgrade(&source));
        Ok(source)
    }
}

/// A socket in the poller, which reports each change once.
struct Source {
    token: Token,
    stream: TcpStream,
    reading: Direction,
    writing: Direction,
}

/// What is known about one direction of a socket. Its lock is held for a few instructions.
#[derive(Default)]
struct Direction(Mutex<Known>);

#[derive(Default)]
struct Known {
    /// The socket has nothing to read, or no room: the poller will report a change.
    is_blocked: bool,
    reports: u64,
    waker: Option<Waker>,
}

impl Direction {
    fn report(&self) {
        let mut known = lock(&self.0);
        (known.is_blocked, known.reports) = (false, known.reports.wrapping_add(1));
        drop(known);
        self.wake_unless_blocked();
    }

    fn wake_unless_blocked(&self) {
        let known = lock(&self.0);
        let waker = known.waker.clone().filter(|_| !known.is_blocked);
        drop(known);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut known = lock(&self.0);
        if !known.is_blocked {
            return Poll::Ready(Ok(()));
        }
        if known.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            return Poll::Pending;
        }
        let old = known.waker.replace(cx.waker().clone());
        drop(known);
        drop(old);
        Poll::Pending
    }

    /// Uses the socket. If `blocks` says that no more is to be had, the poller has to report the next change,
    /// unless it has reported one meanwhile.
    fn attempt<T>(
        &self,
        attempt: impl FnOnce() -> io::Result<T>,
        blocks: impl FnOnce(&T) -> bool,
    ) -> io::Result<T> {
        let reports = lock(&self.0).reports;
        let result = attempt();
        let is_blocked = match &result {
            Ok(value) => blocks(value),
            Err(error) => error.kind() == ErrorKind::WouldBlock,
        };
        let mut known = lock(&self.0);
        known.is_blocked |= is_blocked && known.reports == reports;
        drop(known);
        result
    }
}

/// A connected socket.
struct PlainSocket(Arc<Source>);

impl Socket for PlainSocket {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = buffer.len();
        let read = || (&self.0.stream).read(buffer);
        self.0.reading.attempt(read, |&count| count > 0 && socket::is_emptied(count, room))
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.0.writing.attempt(|| (&self.0.stream).write(bytes), |_| false)
    }

    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.reading.poll_ready(cx)
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.writing.poll_ready(cx)
    }

    fn shutdown_write(&self) {
        // A socket that cannot be shut down is closed already.
        let _ = self.0.stream.shutdown(Shutdown::Write);
    }

    fn discard_unsent(&self) {
        // Without it, some bytes may arrive late.
        let _ = SockRef::from(&self.0.stream).set_linger(Some(Duration::ZERO));
    }
}

/// The threads of one client, as a runtime.
#[derive(Clone)]
pub(super) struct Plain(pub(super) Arc<Shared>);

impl Runtime for Plain {
    type Timer = Alarm;

    /// The system's resolver may take longer than a client wants to wait, so it has a thread of its own.
    fn resolve(&self, address: String) -> Attempt<Vec<SocketAddr>> {
        let (done, resolved) = async_channel::bounded(1);
        let resolve = move || drop(done.try_send(address.to_socket_addrs().map(Vec::from_iter)));
        let started = thread::Builder::new().name("flamingo-resolve".into()).spawn(resolve);
        Box::pin(async move {
            drop(started?);
            resolved.recv().await.unwrap_or_else(|_| Err(ErrorKind::NotFound.into()))
        })
    }

    fn connect(&self, peer: SocketAddr) -> Attempt<Box<dyn Socket>> {
        let reactor = Arc::clone(&self.0);
        Box::pin(async move {
            let source = reactor.register(TcpStream::connect(peer)?)?;
            let Source { stream, writing, .. } = &*source;
            loop {
                poll_fn(|cx| writing.poll_ready(cx)).await?;
                if let Some(error) = stream.take_error()? {
                    return Err(error);
                }
                let asked = || match stream.peer_addr() {
                    Err(error) if error.kind() == ErrorKind::NotConnected => {
                        Err(ErrorKind::WouldBlock.into())
                    }
                    other => other,
                };
                match writing.attempt(asked, |_| false) {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    other => break other.map(drop)?,
                }
            }
            socket::prepare(stream)?;
            Ok(Box::new(PlainSocket(source)) as Box<dyn Socket>)
        })
    }

    fn timer(&self) -> Alarm {
        Alarm { at: None, reactor: Arc::clone(&self.0) }
    }
}

/// The thread that polls it waits no longer than until then.
pub(super) struct Alarm {
    at: Option<Instant>,
    reactor: Arc<Shared>,
}

impl Timer for Alarm {
    fn set(&mut self, at: Option<Instant>) {
        self.at = at;
    }

    fn poll_over(&mut self, _: &mut Context<'_>) -> Poll<()> {
        let Some(at) = self.at else { return Poll::Pending };
        if self.reactor.time_until(at).is_zero() {
            self.at = None;
            return Poll::Ready(());
        }
        NEXT.set(Some(NEXT.get().map_or(at, |next| next.min(at))));
        Poll::Pending
    }
}
