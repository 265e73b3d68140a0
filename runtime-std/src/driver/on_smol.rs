//! The client on smol: all that is written for this runtime. What the driver does is `link.rs`; one round of
//! reading and writing is `turn.rs`; what every runtime does in the same way is `runtime.rs`.

use std::future::Future;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time;

use flamingo_protocol_core::Frame;
use smol::Async;
use socket2::SockRef;

use super::link::Socket;
use super::runtime::{self, Attempt, Runtime, Timer};
use super::stop_first::{self, Stopped};
use crate::client::Client;
use crate::error::Error;
use crate::options::Options;
use crate::socket::{self, on_smol};

impl Client {
    /// Connects, and proves with SYSTEM_STATE_GET that the peer speaks the protocol before
    /// anything else is sent. The driver runs on smol's global executor.
    ///
    /// Cancel-safe: dropping the future closes the socket.
    ///
    /// # Errors
    /// [`Error::Resolve`], [`Error::Connect`], [`Error::NotFlamingo`], [`Error::Silent`],
    /// [`Error::TokensNotEchoed`], [`Error::ConnectionLost`].
    pub async fn connect(options: Options) -> Result<Self, Error> {
        let (client, driver) = Self::open(options).await?;
        smol::spawn(driver).detach();
        Ok(client)
    }

    /// The same for a program with an executor of its own: the connection lives while the second
    /// part is polled. When that is dropped, every call ends as [`Error::ConnectionLost`].
    ///
    /// Cancel-safe, as [`Self::connect`] is.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub async fn open(
        options: Options,
    ) -> Result<(Self, impl Future<Output = ()> + Send + 'static), Error> {
        runtime::open(Smol, options).await
    }

    /// Connects and stops these axes (1 x, 2 y, 3 z, 4 r), with [`Self::stop_at`].
    ///
    /// ```
    /// use flamingo_runtime_std::{Client, Options};
    /// # use flamingo_simulator::{Simulator, SimulatorOptions};
    /// # smol::block_on(async {
    /// # let instrument = Simulator::start(SimulatorOptions::default()).await?;
    /// # let address = instrument.control().to_string();
    /// for stopped in Client::halt_at(Options::new(address), &[1, 2, 3, 4]).await? {
    ///     let axis = stopped.frame.selector();
    ///     assert!(stopped.outcome.is_ok(), "axis {axis} may still move");
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// As [`Self::stop_at`].
    pub async fn halt_at(options: Options, axes: &[i32]) -> Result<Vec<Stopped>, Error> {
        Self::stop_at(options, &stop_first::halts(axes)).await
    }

    /// [`driver::stop_at`](crate::driver::stop_at) on smol.
    ///
    /// Cancel-safe, but if the future is dropped before the stops are written, they are not sent.
    ///
    /// # Errors
    /// [`Error::NoStop`]: a frame is no stop. [`Error::Resolve`], [`Error::Connect`]. In these cases
    /// nothing was sent.
    pub async fn stop_at(options: Options, stops: &[Frame]) -> Result<Vec<Stopped>, Error> {
        stop_first::stop_at(Smol, options, stops).await
    }
}

/// Smol's reactor, which every thread of the process can use.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Smol;

impl Runtime for Smol {
    type Timer = smol::Timer;

    fn resolve(&self, address: String) -> Attempt<Vec<SocketAddr>> {
        Box::pin(async move { smol::net::resolve(address).await })
    }

    fn connect(&self, peer: SocketAddr) -> Attempt<Box<dyn Socket>> {
        Box::pin(async move {
            let stream = on_smol::prepared(peer, |stream| socket::prepare(stream)).await?;
            Ok(Box::new(SmolSocket(stream)) as Box<dyn Socket>)
        })
    }

    fn timer(&self) -> smol::Timer {
        smol::Timer::never()
    }
}

impl Timer for smol::Timer {
    fn set(&mut self, at: Option<time::Instant>) {
        match at {
            Some(at) => self.set_at(at),
            None => *self = Self::never(),
        }
    }

    fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(self).poll(cx).map(|_| ())
    }
}

struct SmolSocket(Async<TcpStream>);

impl Socket for SmolSocket {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.get_ref().read(buffer)
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.0.get_ref().write(bytes)
    }

    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_readable(cx)
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_writable(cx)
    }

    fn shutdown_write(&self) {
        // A socket that cannot be shut down is closed already.
        let _ = self.0.get_ref().shutdown(Shutdown::Write);
    }

    fn discard_unsent(&self) {
        // Without it, some bytes may arrive late.
        let _ = SockRef::from(self.0.get_ref()).set_linger(Some(time::Duration::ZERO));
    }
}
