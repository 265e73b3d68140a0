//! A socket as the seed's programs use one: blocking calls, a frame and its payload at a time.
//! Nothing here knows what a frame is for.

use std::io::{Error, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use flamingo_protocol_core::{FRAME_LEN, Frame};

/// The longest payload that is read: nothing that is pushed here is longer.
const PAYLOAD: usize = 64 * 1024;

/// Connects; each blocking read then takes at most `timeout`.
pub(super) fn connect(address: SocketAddr, timeout: Duration) -> std::io::Result<TcpStream> {
    let socket = TcpStream::connect(address)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(timeout))?;
    Ok(socket)
}

/// `sendall`.
pub(super) fn send(mut socket: &TcpStream, command: &Frame) -> std::io::Result<()> {
    socket.write_all(&command.encode())
}

/// `recv(128)` until a frame is whole, and its payload. An error of kind `WouldBlock` or
/// `TimedOut`: nothing came for the read timeout of the socket.
pub(super) fn receive(mut socket: &TcpStream) -> std::io::Result<Frame> {
    let mut bytes = [0; FRAME_LEN];
    socket.read_exact(&mut bytes)?;
    let frame = Frame::decode(&bytes).map_err(|error| Error::new(ErrorKind::InvalidData, error))?;
    let payload = usize::try_from(frame.payload_len).unwrap_or(usize::MAX);
    if payload > PAYLOAD {
        return Err(Error::new(ErrorKind::InvalidData, "its payload is too long"));
    }
    socket.read_exact(&mut vec![0; payload])?;
    Ok(frame)
}

/// Whether this error only says that nothing came in time.
pub(super) fn is_timeout(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
