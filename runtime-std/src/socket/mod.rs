//! A connected TCP socket with the options that this instrument needs. No bytes move here.

pub mod acceptor;
pub mod instrument_ports;

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use smol::io::AsyncReadExt;
use smol::{Async, Timer, future};
use socket2::{SockRef, TcpKeepalive};

use crate::error::Error;

/// The server drops a client that does not drain: a large buffer buys it time.
const RECEIVE_BUFFER: usize = 1 << 20;
/// How long a peer may be unreachable before it is dead.
pub const LOST_AFTER: Duration = Duration::from_secs(60);
/// The operating system counts in these.
const SECOND: Duration = Duration::from_secs(1);

/// Resolves `address` (`HOST:PORT`) and connects to the first address that accepts.
///
/// # Errors
/// [`Error::Resolve`] and [`Error::Connect`], after `timeout` for each address at the latest.
pub async fn connect(address: &str, timeout: Duration) -> Result<Async<TcpStream>, Error> {
    let stream = connect_for_images(address, timeout).await?;
    let sized = SockRef::from(stream.get_ref()).set_recv_buffer_size(RECEIVE_BUFFER);
    sized.map_err(|source| Error::Connect { address: address.into(), source })?;
    Ok(stream)
}

/// The same with a receive buffer that the operating system sizes.
pub async fn connect_for_images(
    address: &str,
    timeout: Duration,
) -> Result<Async<TcpStream>, Error> {
    let resolved = future::or(smol::net::resolve(address), timed_out(timeout)).await;
    let addresses =
        resolved.map_err(|source| Error::Resolve { address: address.into(), source })?;
    let mut last = std::io::Error::from(std::io::ErrorKind::AddrNotAvailable);
    for peer in addresses {
        match connect_to(peer, timeout).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(Error::Connect { address: address.into(), source: last })
}

async fn connect_to(peer: SocketAddr, timeout: Duration) -> std::io::Result<Async<TcpStream>> {
    let stream = future::or(Async::<TcpStream>::connect(peer), timed_out(timeout)).await?;
    if is_its_own_peer(stream.get_ref()) {
        return Err(std::io::ErrorKind::ConnectionRefused.into());
    }
    set_options(&stream, LOST_AFTER)?;
    Ok(stream)
}

/// A port of this host that nobody listens on may be given to the connecting socket itself: then
/// it is connected to itself, and would hear its own question as the answer.
fn is_its_own_peer(stream: &TcpStream) -> bool {
    stream.local_addr().is_ok_and(|own| stream.peer_addr().is_ok_and(|peer| peer == own))
}

/// TCP_NODELAY; keep-alive probes: the first after half of `lost_after`, three more in the other
/// half, then the peer is dead. A silent one that answers them is not.
pub fn set_options(stream: &Async<TcpStream>, lost_after: Duration) -> std::io::Result<()> {
    let socket = SockRef::from(stream.get_ref());
    socket.set_tcp_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time((lost_after / 2).max(SECOND))
        .with_interval((lost_after / 6).max(SECOND));
    #[cfg(unix)]
    let keepalive = keepalive.with_retries(3);
    socket.set_tcp_keepalive(&keepalive)
}

/// What was sent and is not taken by the peer for so long makes it dead, too: nothing is probed
/// while bytes are on their way. Where the operating system has no such option, its own patience
/// counts.
pub fn set_user_timeout(stream: &Async<TcpStream>, time: Duration) -> std::io::Result<()> {
    #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
    SockRef::from(stream.get_ref()).set_tcp_user_timeout(Some(time))?;
    let _ = (stream, time);
    Ok(())
}

/// Until the peer closes. It is one that says nothing: what it sends is read and thrown away, so
/// that its end is seen.
pub async fn wait_until_closed(mut stream: &Async<TcpStream>) {
    let mut buffer = [0; 1024];
    while let Ok(1..) = stream.read(&mut buffer).await {}
}

async fn timed_out<T>(timeout: Duration) -> std::io::Result<T> {
    Timer::after(timeout).await;
    Err(std::io::ErrorKind::TimedOut.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_that_is_connected_to_itself_is_known() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let other = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert!(!is_its_own_peer(&other));
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
        let socket = socket.unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        socket.connect(&socket.local_addr().unwrap()).unwrap();
        assert!(is_its_own_peer(&socket.into()));
    }

    #[test]
    fn a_connected_socket_has_the_options_that_the_instrument_needs() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let stream = smol::block_on(connect(&address, Duration::from_secs(2))).unwrap();
        let socket = SockRef::from(stream.get_ref());
        assert!(socket.tcp_nodelay().unwrap());
        assert!(socket.keepalive().unwrap());
        #[cfg(unix)]
        {
            assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(30));
            assert_eq!(socket.tcp_keepalive_interval().unwrap(), Duration::from_secs(10));
            assert_eq!(socket.tcp_keepalive_retries().unwrap(), 3);
        }
        // The kernel may cap it, but never below what it has by default.
        assert!(socket.recv_buffer_size().unwrap() >= 65_536);
    }
}
