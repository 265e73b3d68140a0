//! Sockets on this host for tests of what accepts connections.

use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use smol::Async;

/// A free port on this host.
pub fn listen() -> (Async<TcpListener>, SocketAddr) {
    let listener = Async::<TcpListener>::bind(([127, 0, 0, 1], 0)).unwrap();
    let address = listener.get_ref().local_addr().unwrap();
    (listener, address)
}

pub fn everybody() -> Arc<dyn Fn(IpAddr) -> bool + Send + Sync> {
    Arc::new(|_| true)
}

/// A connection that is read and written with blocking calls.
pub async fn connect(address: SocketAddr) -> TcpStream {
    let stream = Async::<TcpStream>::connect(address).await.unwrap();
    let stream = stream.into_inner().unwrap();
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}
