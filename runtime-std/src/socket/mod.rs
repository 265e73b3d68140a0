//! TCP sockets with the options that the instrument needs: connecting, accepting connections, and reading
//! clients. No byte is moved in this file.

pub mod acceptor;
pub mod client_input;
pub mod instrument_ports;
pub mod port_holder;

use std::future::Future;
use std::net::{SocketAddr, TcpStream};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use smol::{Async, Timer, future};
use socket2::{SockRef, TcpKeepalive};

use crate::error::Error;

/// The server drops a client that does not drain: a large buffer buys it time.
const RECEIVE_BUFFER: usize = 1 << 20;
/// How long a peer may be unreachable before the connection is given up.
pub const LOST_AFTER: Duration = Duration::from_secs(60);
/// The operating system counts keep-alive times in seconds.
const SECOND: Duration = Duration::from_secs(1);

/// Resolves `address` (`HOST:PORT`), tries all addresses of the host at once, and keeps the first that
/// accepts.
///
/// Cancel-safe: dropping the future closes the socket.
///
/// # Errors
/// [`Error::Resolve`] and [`Error::Connect`], after `timeout` at the latest.
pub async fn connect(address: &str, timeout: Duration) -> Result<Async<TcpStream>, Error> {
    let stream = connect_for_images(address, timeout).await?;
    let sized = SockRef::from(stream.get_ref()).set_recv_buffer_size(RECEIVE_BUFFER);
    sized.map_err(|source| Error::Connect { address: address.into(), source })?;
    Ok(stream)
}

/// [`connect`] for an image port: the operating system chooses the size of the receive buffer.
///
/// Cancel-safe: dropping the future closes the socket.
///
/// # Errors
/// As [`connect`].
pub async fn connect_for_images(
    address: &str,
    timeout: Duration,
) -> Result<Async<TcpStream>, Error> {
    let resolved = future::or(smol::net::resolve(address), timed_out(timeout)).await;
    let addresses =
        resolved.map_err(|source| Error::Resolve { address: address.into(), source })?;
    connect_to_first(addresses, timeout)
        .await
        .map_err(|source| Error::Connect { address: address.into(), source })
}

/// Connects to all these addresses at once. The first that accepts counts, and the other attempts
/// end: an address that does not reply must not delay a stop.
async fn connect_to_first(
    addresses: impl IntoIterator<Item = SocketAddr>,
    timeout: Duration,
) -> std::io::Result<Async<TcpStream>> {
    type Attempt = Pin<Box<dyn Future<Output = std::io::Result<Async<TcpStream>>> + Send>>;
    let mut attempts: Vec<Attempt> = Vec::new();
    for peer in addresses {
        attempts.push(Box::pin(connect_to(peer, timeout)));
    }
    let mut last = std::io::Error::from(std::io::ErrorKind::AddrNotAvailable);
    future::poll_fn(|cx| {
        let mut connected = None;
        attempts.retain_mut(|attempt| match attempt.as_mut().poll(cx) {
            _ if connected.is_some() => false,
            Poll::Pending => true,
            Poll::Ready(Ok(stream)) => {
                connected = Some(stream);
                false
            }
            Poll::Ready(Err(error)) => {
                last = error;
                false
            }
        });
        match connected {
            Some(stream) => Poll::Ready(Ok(stream)),
            None if attempts.is_empty() => {
                Poll::Ready(Err(std::mem::replace(&mut last, std::io::ErrorKind::Other.into())))
            }
            None => Poll::Pending,
        }
    })
    .await
}

async fn connect_to(peer: SocketAddr, timeout: Duration) -> std::io::Result<Async<TcpStream>> {
    let stream = future::or(Async::<TcpStream>::connect(peer), timed_out(timeout)).await?;
    if is_its_own_peer(stream.get_ref()) {
        return Err(std::io::ErrorKind::ConnectionRefused.into());
    }
    set_options(stream.get_ref(), LOST_AFTER)?;
    Ok(stream)
}

/// If no program listens on a port of this host, the operating system may give that port to the
/// connecting socket: it is connected to itself then, and reads its own commands as answers.
fn is_its_own_peer(stream: &TcpStream) -> bool {
    stream.local_addr().is_ok_and(|own| stream.peer_addr().is_ok_and(|peer| peer == own))
}

/// Whether a read of `count` bytes has emptied a non-blocking socket, and the system reports the next byte: the
/// read has not filled its buffer of `room` bytes. On systems other than Linux and those of Apple, only a read
/// that finds nothing makes the system report the next byte.
#[must_use]
pub const fn is_emptied(count: usize, room: usize) -> bool {
    cfg!(any(target_os = "linux", target_vendor = "apple")) && count < room
}

/// Sets TCP_NODELAY, and keep-alive probes on a silent connection: the first after half of
/// `lost_after`, three more in the other half. If none is answered, the connection fails. A peer that is
/// silent but answers them is kept.
///
/// # Errors
/// The operating system refuses an option.
pub fn set_options(stream: &TcpStream, lost_after: Duration) -> std::io::Result<()> {
    let socket = SockRef::from(stream);
    socket.set_tcp_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time((lost_after / 2).max(SECOND))
        .with_interval((lost_after / 6).max(SECOND));
    #[cfg(unix)]
    let keepalive = keepalive.with_retries(3);
    socket.set_tcp_keepalive(&keepalive)
}

/// Makes the connection fail when the peer has not acknowledged sent bytes for `time`: keep-alive
/// does not probe while bytes are on their way. An operating system without that option uses its own
/// limit.
///
/// # Errors
/// The operating system refuses the option.
pub fn set_user_timeout(stream: &TcpStream, time: Duration) -> std::io::Result<()> {
    #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
    SockRef::from(stream).set_tcp_user_timeout(Some(time))?;
    let _ = (stream, time);
    Ok(())
}

async fn timed_out<T>(timeout: Duration) -> std::io::Result<T> {
    Timer::after(timeout).await;
    Err(std::io::ErrorKind::TimedOut.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_that_is_connected_to_itself_is_recognised() {
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
    fn an_address_that_does_not_reply_delays_no_other() {
        // A listener whose queue is full does not reply to a further connection.
        let full =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        full.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        full.listen(0).unwrap();
        let silent = full.local_addr().unwrap().as_socket().unwrap();
        let alive = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let alive = alive.local_addr().unwrap();
        smol::block_on(async {
            let fill = || Async::<TcpStream>::connect(silent);
            let _queued = [future::poll_once(fill()).await, future::poll_once(fill()).await];
            // Never reached: with one address after the other, the test would wait for it.
            let long = Duration::from_secs(3600);
            let connected = connect_to_first([silent, alive], long).await.unwrap();
            assert_eq!(connected.get_ref().peer_addr().unwrap(), alive);
        });
    }

    #[test]
    fn a_connected_socket_has_the_options_it_needs() {
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
