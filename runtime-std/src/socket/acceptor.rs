//! Accepts connections on a listening socket: from allowed addresses, up to a limit. What is done on
//! a connection is not here.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use async_channel::Sender;
use smol::{Async, Executor, Timer, future};

use crate::{Clock, LogRate};

/// Decides which addresses may connect. It is asked again while a connection lasts, so its answer may
/// change.
pub type Allow = Arc<dyn Fn(IpAddr) -> bool + Send + Sync>;

/// How often a connection is checked for whether its address is still allowed.
const ASKED_AGAIN: Duration = Duration::from_millis(500);

/// Accepts connections. A connection from an address that is not allowed, or beyond the limit, is
/// closed at once, as the instrument does it.
pub struct Acceptor {
    listener: Async<TcpListener>,
    allow: Allow,
    limit: usize,
    name: &'static str,
    clock: Clock,
    /// For lines about connections that are not accepted.
    log: LogRate,
}

impl Acceptor {
    /// Accepts on `listener`, from the addresses that `allow` accepts, at most `limit` connections at
    /// a time. `name` is what the port is for, in logs. There is no default, so that no
    /// port is open to everyone by mistake.
    #[must_use]
    pub fn new(
        name: &'static str,
        listener: Async<TcpListener>,
        allow: Allow,
        limit: usize,
    ) -> Self {
        let (clock, log) = (Clock::start(), LogRate::default());
        Self { listener, allow, limit, name, clock, log }
    }

    /// Serves each connection in a task of its own, for ever.
    ///
    /// Cancel-safe: dropping the future ends all connections.
    pub async fn run<S, F>(&self, serve: S)
    where
        S: Fn(Async<TcpStream>, SocketAddr) -> F,
        F: Future<Output = ()> + Send + 'static,
    {
        let inside = Arc::new(());
        let executor = Executor::new();
        let accept = async {
            loop {
                let (stream, address) = self.next(&inside).await;
                let (served, place) = (serve(stream, address), Arc::clone(&inside));
                let (allow, name) = (Arc::clone(&self.allow), self.name);
                let task = async move {
                    let not_allowed = async {
                        while allow(address.ip()) {
                            Timer::after(ASKED_AGAIN).await;
                        }
                        tracing::warn!(port = name, %address, "closed: no longer allowed");
                    };
                    future::or(served, not_allowed).await;
                    drop(place);
                };
                executor.spawn(task).detach();
            }
        };
        executor.run(accept).await;
    }

    async fn next(&self, inside: &Arc<()>) -> (Async<TcpStream>, SocketAddr) {
        let name = self.name;
        loop {
            let (stream, address) = match self.listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of file descriptors, most likely: others must end first.
                    if let Some(left_out) = self.log.line(self.clock.now()) {
                        tracing::warn!(port = name, %error, left_out, "cannot accept");
                    }
                    Timer::after(Duration::from_millis(20)).await;
                    continue;
                }
            };
            if !(self.allow)(address.ip()) {
                self.refused(address, "its address is not allowed");
                continue;
            }
            if Arc::strong_count(inside) > self.limit {
                self.refused(address, "there is no room for it");
                continue;
            }
            // Without these options the connection is slower, or a dead peer stays longer.
            let _ = super::set_options(stream.get_ref(), super::LOST_AFTER);
            return (stream, address);
        }
    }

    fn refused(&self, address: SocketAddr, why: &str) {
        if let Some(left_out) = self.log.line(self.clock.now()) {
            let (port, limit) = (self.name, self.limit);
            tracing::warn!(port, %address, limit, left_out, "closed: {why}");
        }
    }
}

/// An [`Acceptor`] for all addresses on a thread of its own. Dropping it ends all connections.
#[derive(Debug)]
pub struct AcceptorThread {
    /// Dropped to end the thread.
    alive: Sender<()>,
    thread: JoinHandle<()>,
}

impl AcceptorThread {
    /// Starts the thread, which serves at most `limit` connections at a time. `name` is the name of
    /// the port in logs, and part of the thread's name.
    ///
    /// # Errors
    /// The operating system has no thread left.
    pub fn start<S, F>(
        name: &'static str,
        listener: Async<TcpListener>,
        limit: usize,
        serve: S,
    ) -> io::Result<Self>
    where
        S: Fn(Async<TcpStream>, SocketAddr) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let acceptor = Acceptor::new(name, listener, Arc::new(|_| true), limit);
        let (alive, end) = async_channel::bounded::<()>(1);
        let run = move || {
            let ended = async {
                // Nothing is ever sent: it ends when the sender is dropped.
                let _ = end.recv().await;
            };
            smol::block_on(future::or(acceptor.run(serve), ended));
        };
        let thread = std::thread::Builder::new().name(format!("flamingo-{name}")).spawn(run)?;
        Ok(Self { alive, thread })
    }

    /// Ends all connections, and waits until they have ended.
    pub fn close(self) {
        drop(self.alive);
        // A panic in it was reported by its own thread.
        let _ = self.thread.join();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::sync::Mutex;

    use flamingo_runtime_testkit::loopback::{allow_all, connect, listen};
    use socket2::SockRef;

    use super::*;

    #[test]
    fn an_accepted_socket_has_no_delay_and_is_probed() {
        let (listener, address) = listen();
        let acceptor = Acceptor::new("test", listener, allow_all(), 1);
        let inside = Arc::new(());
        let _peer = TcpStream::connect(address).unwrap();
        let (stream, _) = smol::block_on(acceptor.next(&inside));
        let socket = SockRef::from(stream.get_ref());
        assert!(socket.tcp_nodelay().unwrap());
        assert!(socket.keepalive().unwrap());
    }

    #[test]
    fn only_the_address_that_is_no_longer_allowed_must_leave() {
        let (listener, address) = listen();
        let banned = Arc::new(Mutex::new(None));
        let list = Arc::clone(&banned);
        let allow: Allow = Arc::new(move |ip| *list.lock().unwrap() != Some(ip));
        let acceptor = Acceptor::new("test", listener, allow, 2);
        let inside = Arc::new(());
        let seen = Arc::clone(&inside);
        let run = acceptor.run(move |stream, _| {
            let here = Arc::clone(&seen);
            async move {
                let _ = stream.readable().await;
                drop(here);
            }
        });
        let test = async {
            let until = |count: usize| {
                let inside = &inside;
                async move {
                    while Arc::strong_count(inside) != count + 2 {
                        future::yield_now().await;
                    }
                }
            };
            let mut goes = connect(address).await;
            let mut stays = socket_from([127, 0, 0, 2], address).await;
            until(2).await;
            *banned.lock().unwrap() = Some(goes.local_addr().unwrap().ip());
            until(1).await;
            let read = smol::unblock(move || goes.read(&mut [0])).await;
            assert!(matches!(read, Ok(0)), "{read:?}");
            stays.set_nonblocking(true).unwrap();
            let read = stays.read(&mut [0]).unwrap_err();
            assert_eq!(read.kind(), io::ErrorKind::WouldBlock);
        };
        smol::block_on(future::or(run, test));
    }

    /// A connection from another address of this host.
    async fn socket_from(own: [u8; 4], address: SocketAddr) -> TcpStream {
        smol::unblock(move || {
            let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
            let socket = socket.unwrap();
            socket.bind(&SocketAddr::from((own, 0)).into()).unwrap();
            socket.connect(&address.into()).unwrap();
            socket.into()
        })
        .await
    }
}
