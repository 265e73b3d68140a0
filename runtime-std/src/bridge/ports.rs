//! The sockets that the bridge listens on: opening them, and accepting at the control ports. Who
//! may come in is `policy.rs`; the ports that only send have `door.rs`.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::task::Context;

use smol::Async;

use super::BridgeError;
use super::settings::Listen;
use crate::socket;

/// Clients that are accepted in one go.
const ACCEPTS: usize = 16;

/// A control port.
pub(super) struct ControlPort {
    /// The first one has none.
    pub(super) name: Option<Arc<str>>,
    listener: Async<TcpListener>,
}

impl ControlPort {
    /// All of them, the first one first.
    pub(super) fn all(listen: &Listen) -> Result<Vec<Self>, BridgeError> {
        let more =
            listen.more.iter().map(|(name, port)| (Some(name.as_str().into()), port.address));
        let all = std::iter::once((None, listen.control)).chain(more);
        all.map(|(name, address)| Ok(Self { name, listener: bind(address)? })).collect()
    }

    pub(super) fn address(&self) -> SocketAddr {
        local(&self.listener)
    }

    /// Whether somebody waits to be accepted.
    pub(super) fn poll(&self, context: &mut Context<'_>) -> bool {
        self.listener.poll_readable(context).is_ready()
    }

    /// Those who wait, up to so many that the others have their turn.
    pub(super) fn accept(&self) -> Vec<(Async<TcpStream>, SocketAddr)> {
        let mut accepted = Vec::new();
        for _ in 0..ACCEPTS {
            match self.listener.get_ref().accept() {
                Ok((stream, address)) => match kept(stream) {
                    Ok(stream) => accepted.push((stream, address)),
                    Err(error) => tracing::warn!(%address, %error, "a client was not accepted"),
                },
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                // One that is gone already, or too many open files: the others come later.
                Err(error) => {
                    tracing::warn!(%error, "a client could not be accepted");
                    break;
                }
            }
        }
        accepted
    }
}

fn kept(stream: TcpStream) -> std::io::Result<Async<TcpStream>> {
    let stream = Async::new(stream)?;
    socket::keep(&stream)?;
    Ok(stream)
}

pub(super) fn bind(address: SocketAddr) -> Result<Async<TcpListener>, BridgeError> {
    Async::<TcpListener>::bind(address).map_err(|source| BridgeError::Bind { address, source })
}

pub(super) fn local(listener: &Async<TcpListener>) -> SocketAddr {
    // A socket that listens has an address.
    let unknown = SocketAddr::from(([0, 0, 0, 0], 0));
    listener.get_ref().local_addr().unwrap_or(unknown)
}
