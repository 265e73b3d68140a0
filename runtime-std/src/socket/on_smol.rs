//! Sockets that are polled on smol, and how they connect.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use smol::Async;
use socket2::SockRef;

use super::{connecting, options};
use crate::driver::{Attempt, Smol};
use crate::error::Error;

/// Resolves `address` (`HOST:PORT`), tries all addresses of the host at once, and keeps the first that
/// accepts.
///
/// Cancel-safe: dropping the future closes the socket.
///
/// # Errors
/// [`Error::Resolve`] and [`Error::Connect`], after `timeout` at the latest.
pub async fn connect(address: &str, timeout: Duration) -> Result<Async<TcpStream>, Error> {
    connecting::connect(&Smol, address, timeout, |peer| {
        prepared(peer, |stream| options::prepare(stream))
    })
    .await
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
    connecting::connect(&Smol, address, timeout, |peer| {
        prepared(peer, |stream| options::prepare_for_images(&SockRef::from(stream)))
    })
    .await
}

/// Connects, and prepares the socket.
pub(crate) fn prepared(
    peer: SocketAddr,
    prepare: fn(&TcpStream) -> io::Result<()>,
) -> Attempt<Async<TcpStream>> {
    Box::pin(async move {
        let stream = Async::<TcpStream>::connect(peer).await?;
        prepare(stream.get_ref())?;
        Ok(stream)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
