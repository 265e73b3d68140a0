//! The sockets that the bridge listens on: opening them, and accepting at the control ports. Who
//! may come in is `policy.rs`; the ports that only send have `acceptor.rs`.

use std::future::Future;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::time::Duration;

use smol::{Async, Timer};

use crate::BridgeError;
use crate::settings::Listen;
use flamingo_runtime_std::socket;

/// Clients that are accepted in one go.
const ACCEPTS: usize = 16;
/// How long nobody is accepted after that has failed: it would fail again at once.
const DEAF: Duration = Duration::from_millis(50);

/// A control port.
pub(crate) struct ControlPort {
    /// The first one has none.
    pub(crate) name: Option<Arc<str>>,
    listener: Async<TcpListener>,
    /// How long a client may be unreachable.
    lost_after: Duration,
    /// Until this is over nobody is accepted.
    deaf: Option<Timer>,
}

impl ControlPort {
    /// All of them, the first one first.
    pub(crate) fn all(listen: &Listen, lost_after: Duration) -> Result<Vec<Self>, BridgeError> {
        let more =
            listen.more.iter().map(|(name, port)| (Some(name.as_str().into()), port.address));
        let all = std::iter::once((None, listen.control)).chain(more);
        let open =
            |(name, address)| Ok(Self { name, listener: bind(address)?, lost_after, deaf: None });
        all.map(open).collect()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        local(&self.listener)
    }

    /// Whether somebody waits to be accepted.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> bool {
        self.deaf.take_if(|timer| Pin::new(timer).poll(context).is_ready());
        if self.deaf.is_some() {
            return false;
        }
        self.listener.poll_readable(context).is_ready()
    }

    /// Those who wait, up to so many that the others have their turn.
    pub(crate) fn accept(&mut self) -> Vec<(Async<TcpStream>, SocketAddr)> {
        let mut accepted = Vec::new();
        for _ in 0..ACCEPTS {
            match self.listener.get_ref().accept() {
                Ok((stream, address)) => match kept(stream, self.lost_after) {
                    Ok(stream) => accepted.push((stream, address)),
                    Err(error) => tracing::warn!(%address, %error, "a client was not accepted"),
                },
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                // One that is gone already, or too many open files: the others come later.
                Err(error) => {
                    tracing::warn!(%error, "a client could not be accepted");
                    self.deaf = Some(Timer::after(DEAF));
                    break;
                }
            }
        }
        accepted
    }
}

fn kept(stream: TcpStream, lost_after: Duration) -> std::io::Result<Async<TcpStream>> {
    let stream = Async::new(stream)?;
    socket::set_options(&stream, lost_after)?;
    socket::set_user_timeout(&stream, lost_after)?;
    Ok(stream)
}

pub(crate) fn bind(address: SocketAddr) -> Result<Async<TcpListener>, BridgeError> {
    Async::<TcpListener>::bind(address).map_err(|source| BridgeError::Bind { address, source })
}

pub(crate) fn local(listener: &Async<TcpListener>) -> SocketAddr {
    // A socket that listens has an address.
    let unknown = SocketAddr::from(([0, 0, 0, 0], 0));
    listener.get_ref().local_addr().unwrap_or(unknown)
}

#[cfg(test)]
mod tests {
    use socket2::SockRef;

    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn a_client_is_probed_so_that_it_is_lost_after_the_time_that_the_settings_say() {
        let listen = Listen { control: ([127, 0, 0, 1], 0).into(), ..Listen::default() };
        let mut ports = ControlPort::all(&listen, Duration::from_secs(12)).unwrap();
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
