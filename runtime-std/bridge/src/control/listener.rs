//! The listening sockets of the bridge: opening them, and accepting clients at the control ports. Who
//! may connect is in `access/`; the other ports accept with the adapter's `Acceptor`.

use std::future::Future;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::time::Duration;

use smol::{Async, Timer};

use crate::BridgeError;
use crate::settings::ListenSettings;
use flamingo_runtime_std::socket;

/// The most clients that one call accepts, so that other work is not delayed.
const MAX_ACCEPTS: usize = 16;
/// The pause after accepting has failed, since it would fail again at once.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(50);

/// A control port.
pub(crate) struct ControlListener {
    /// The main control port has no name.
    pub(crate) name: Option<Arc<str>>,
    listener: Async<TcpListener>,
    /// How long a client may be unreachable.
    lost_after: Duration,
    /// While this runs, no client is accepted.
    pause: Option<Timer>,
}

impl ControlListener {
    /// Opens all control ports, the main one first.
    pub(crate) fn open_all(
        listen: &ListenSettings,
        lost_after: Duration,
    ) -> Result<Vec<Self>, BridgeError> {
        let named =
            listen.more.iter().map(|(name, port)| (Some(name.as_str().into()), port.address));
        let all = std::iter::once((None, listen.control)).chain(named);
        let open =
            |(name, address)| Ok(Self { name, listener: bind(address)?, lost_after, pause: None });
        all.map(open).collect()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        local_address(&self.listener)
    }

    /// Whether a client waits to be accepted.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> bool {
        self.pause.take_if(|timer| Pin::new(timer).poll(context).is_ready());
        if self.pause.is_some() {
            return false;
        }
        self.listener.poll_readable(context).is_ready()
    }

    /// Accepts the clients that wait, up to [`MAX_ACCEPTS`].
    pub(crate) fn accept(&mut self) -> Vec<(Async<TcpStream>, SocketAddr)> {
        let mut accepted = Vec::new();
        for _ in 0..MAX_ACCEPTS {
            match self.listener.get_ref().accept() {
                Ok((stream, address)) => match configure(stream, self.lost_after) {
                    Ok(stream) => accepted.push((stream, address)),
                    Err(error) => tracing::warn!(%address, %error, "a client was not accepted"),
                },
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                // The client has already left, or too many files are open. The others wait.
                Err(error) => {
                    tracing::warn!(%error, "a client was not accepted");
                    self.pause = Some(Timer::after(PAUSE_AFTER_ERROR));
                    break;
                }
            }
        }
        accepted
    }
}

/// Makes the system report a client that is unreachable for `lost_after`.
fn configure(stream: TcpStream, lost_after: Duration) -> std::io::Result<Async<TcpStream>> {
    let stream = Async::new(stream)?;
    socket::set_options(stream.get_ref(), lost_after)?;
    socket::set_user_timeout(stream.get_ref(), lost_after)?;
    Ok(stream)
}

pub(crate) fn bind(address: SocketAddr) -> Result<Async<TcpListener>, BridgeError> {
    Async::<TcpListener>::bind(address).map_err(|source| BridgeError::Bind { address, source })
}

pub(crate) fn local_address(listener: &Async<TcpListener>) -> SocketAddr {
    // A listening socket always has an address.
    let unknown = SocketAddr::from(([0, 0, 0, 0], 0));
    listener.get_ref().local_addr().unwrap_or(unknown)
}

#[cfg(test)]
mod tests {
    use socket2::SockRef;

    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn an_unreachable_client_is_lost_after_the_configured_time() {
        let control = ([127, 0, 0, 1], 0).into();
        let listen = ListenSettings { control, ..ListenSettings::default() };
        let mut ports = ControlListener::open_all(&listen, Duration::from_secs(12)).unwrap();
        let _client = TcpStream::connect(ports[0].address()).unwrap();
        smol::block_on(ports[0].listener.readable()).unwrap();
        let accepted = ports[0].accept();
        let socket = SockRef::from(accepted[0].0.get_ref());
        let [first, every] = [socket.tcp_keepalive_time(), socket.tcp_keepalive_interval()];
        let probes = socket.tcp_keepalive_retries().unwrap();
        assert_eq!(first.unwrap() + every.unwrap() * probes, Duration::from_secs(12));
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(Duration::from_secs(12)));
    }
}
