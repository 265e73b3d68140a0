//! Who comes in at a listening socket: allowed addresses, up to a limit. What is said then is
//! not known here.

use std::future::Future;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use smol::{Async, Executor, Timer};

use crate::socket;

/// Which addresses may come in; it is asked for each connection, so that it may change its mind.
pub(crate) type Allow = Arc<dyn Fn(IpAddr) -> bool + Send + Sync>;

/// Accepts peers; one that is not allowed, or one too many, is closed at once, as the instrument
/// does it.
pub(crate) struct Door {
    pub(crate) listener: Async<TcpListener>,
    pub(crate) allow: Allow,
    /// How many may be inside.
    pub(crate) limit: usize,
    /// What the port is for, in logs.
    pub(crate) name: &'static str,
}

impl Door {
    /// Serves each peer in a task of its own, for ever. Dropping this future ends them all.
    pub(crate) async fn run<S, F>(&self, serve: S)
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
                let task = async move {
                    served.await;
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
                    tracing::warn!(port = name, %error, "cannot accept");
                    Timer::after(Duration::from_millis(20)).await;
                    continue;
                }
            };
            if !(self.allow)(address.ip()) {
                tracing::warn!(port = name, %address, "closed: its address is not allowed");
                continue;
            }
            if Arc::strong_count(inside) > self.limit {
                let limit = self.limit;
                tracing::warn!(port = name, %address, limit, "closed: there is no room for it");
                continue;
            }
            // Without these options it works as well, only slower, or a dead peer stays longer.
            let _ = socket::keep(&stream);
            return (stream, address);
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use socket2::SockRef;

    use super::*;

    /// A free port on this host.
    pub(crate) fn listen() -> (Async<TcpListener>, SocketAddr) {
        let listener = Async::<TcpListener>::bind(([127, 0, 0, 1], 0)).unwrap();
        let address = listener.get_ref().local_addr().unwrap();
        (listener, address)
    }

    pub(crate) fn everybody() -> Allow {
        Arc::new(|_| true)
    }

    /// A connection that is read and written with blocking calls.
    pub(crate) async fn connect(address: SocketAddr) -> TcpStream {
        let stream = Async::<TcpStream>::connect(address).await.unwrap();
        let stream = stream.into_inner().unwrap();
        stream.set_nonblocking(false).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    #[test]
    fn a_socket_that_was_let_in_has_no_delay_and_is_probed_when_it_is_silent() {
        let (listener, address) = listen();
        let door = Door { listener, allow: everybody(), limit: 1, name: "test" };
        let inside = Arc::new(());
        let _peer = TcpStream::connect(address).unwrap();
        let (stream, _) = smol::block_on(door.next(&inside));
        let socket = SockRef::from(stream.get_ref());
        assert!(socket.tcp_nodelay().unwrap());
        assert!(socket.keepalive().unwrap());
    }
}
