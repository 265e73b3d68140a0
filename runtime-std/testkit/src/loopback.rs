//! Sockets on this host, for tests of code that accepts connections.

use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use smol::Async;

/// Listens on a free port of this host.
pub fn listen() -> (Async<TcpListener>, SocketAddr) {
    let listener = Async::<TcpListener>::bind(([127, 0, 0, 1], 0)).unwrap();
    let address = listener.get_ref().local_addr().unwrap();
    (listener, address)
}

/// Allows connections from every address.
pub fn allow_all() -> Arc<dyn Fn(IpAddr) -> bool + Send + Sync> {
    Arc::new(|_| true)
}

/// Connects a socket that is read and written with blocking calls.
pub async fn connect(address: SocketAddr) -> TcpStream {
    let stream = Async::<TcpStream>::connect(address).await.unwrap();
    let stream = stream.into_inner().unwrap();
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}
