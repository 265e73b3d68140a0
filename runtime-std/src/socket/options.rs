//! The options of a TCP socket that the instrument needs. No byte is moved here, and no runtime is named.

use std::io;
use std::net::TcpStream;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};

/// The server drops a client that does not drain: a large buffer buys it time.
const RECEIVE_BUFFER: usize = 1 << 20;
/// How long a peer may be unreachable before the connection is given up.
pub const LOST_AFTER: Duration = Duration::from_secs(60);
/// The operating system counts keep-alive times in seconds.
const SECOND: Duration = Duration::from_secs(1);

/// Prepares a connected socket for the control port: the options of [`set_options`], and a large receive
/// buffer.
///
/// # Errors
/// [`io::ErrorKind::ConnectionRefused`]: the socket is connected to itself. Or the operating system refuses
/// an option.
pub fn prepare<'s>(stream: impl Into<SockRef<'s>>) -> io::Result<()> {
    let stream = stream.into();
    prepare_for_images(&stream)?;
    stream.set_recv_buffer_size(RECEIVE_BUFFER)
}

/// [`prepare`] for an image port: the operating system chooses the size of the receive buffer.
pub(super) fn prepare_for_images(stream: &SockRef<'_>) -> io::Result<()> {
    if is_its_own_peer(stream) {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    set_keepalive(stream, LOST_AFTER)
}

/// If no program listens on a port of this host, the operating system may give that port to the
/// connecting socket: it is connected to itself then, and reads its own commands as answers.
fn is_its_own_peer(stream: &SockRef<'_>) -> bool {
    let address = |found: io::Result<socket2::SockAddr>| found.ok()?.as_socket();
    let own = address(stream.local_addr());
    own.is_some() && own == address(stream.peer_addr())
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
pub fn set_options(stream: &TcpStream, lost_after: Duration) -> io::Result<()> {
    set_keepalive(&SockRef::from(stream), lost_after)
}

fn set_keepalive(socket: &SockRef<'_>, lost_after: Duration) -> io::Result<()> {
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
pub fn set_user_timeout(stream: &TcpStream, time: Duration) -> io::Result<()> {
    #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
    SockRef::from(stream).set_tcp_user_timeout(Some(time))?;
    let _ = (stream, time);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_that_is_connected_to_itself_is_recognised() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let other = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert!(!is_its_own_peer(&SockRef::from(&other)));
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
        let socket = socket.unwrap();
        socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        socket.connect(&socket.local_addr().unwrap()).unwrap();
        assert!(is_its_own_peer(&SockRef::from(&socket)));
    }
}
