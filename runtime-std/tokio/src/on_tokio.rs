//! The client on Tokio: sockets, addresses and the timer of Tokio. What is done with them is
//! `driver/runtime.rs` of `flamingo-runtime-std`.

use std::future::Future;
use std::io::{self, ErrorKind, Read};
use std::net::{Shutdown, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time;

use flamingo_runtime_std::driver::{self, Attempt, Runtime, Socket, Timer};
use flamingo_runtime_std::protocol::Frame;
use flamingo_runtime_std::{Client, Error, Options, Stopped, socket};
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::time::Sleep;

/// Connects, and proves with SYSTEM_STATE_GET that the peer speaks the protocol before anything else is
/// sent. The driver is a task of the runtime that runs this future. The runtime needs I/O and time
/// (`enable_all`); it may have one thread or many.
///
/// Cancel-safe: dropping the future closes the socket.
///
/// ```
/// use flamingo_tokio::Options;
/// use flamingo_tokio::protocol::{CommandCode, Frame};
/// # use flamingo_simulator::{Simulator, SimulatorOptions};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// #   let instrument = Simulator::start(SimulatorOptions::default()).await?;
/// #   let address = instrument.control().to_string();
/// let client = flamingo_tokio::connect(Options::new(address)).await?;
/// let y = Frame::command(CommandCode::STAGE_POSITION_GET).with_selector(2);
/// println!("y = {} mm", client.request(y).await?.frame.value);
/// client.close().await;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Resolve`], [`Error::Connect`], [`Error::NotFlamingo`], [`Error::Silent`],
/// [`Error::TokensNotEchoed`], [`Error::ConnectionLost`].
pub async fn connect(options: Options) -> Result<Client, Error> {
    let (client, driver) = open(options).await?;
    drop(tokio::spawn(driver));
    Ok(client)
}

/// The same, but the driver is not spawned: the connection lives while the second part is polled, in a task
/// of a Tokio runtime. When that is dropped, every call ends as [`Error::ConnectionLost`].
///
/// Cancel-safe, as [`connect`] is.
///
/// # Errors
/// As [`connect`].
pub async fn open(
    options: Options,
) -> Result<(Client, impl Future<Output = ()> + Send + 'static), Error> {
    in_a_runtime(&options)?;
    driver::open(Tokio, options).await
}

/// Connects and stops these axes (1 x, 2 y, 3 z, 4 r), with [`stop_at`].
///
/// # Errors
/// As [`stop_at`].
pub async fn halt_at(options: Options, axes: &[i32]) -> Result<Vec<Stopped>, Error> {
    stop_at(options, &driver::halts(axes)).await
}

/// Connects and sends these stops before anything else, as
/// [`driver::stop_at`](flamingo_runtime_std::driver::stop_at) says.
///
/// Cancel-safe, but if the future is dropped before the stops are written, they are not sent.
///
/// # Errors
/// [`Error::NoStop`]: a frame is no stop. [`Error::Resolve`], [`Error::Connect`]. In these cases nothing was
/// sent.
pub async fn stop_at(options: Options, stops: &[Frame]) -> Result<Vec<Stopped>, Error> {
    in_a_runtime(&options)?;
    driver::stop_at(Tokio, options, stops).await
}

/// Without a runtime, Tokio's sockets would panic.
fn in_a_runtime(options: &Options) -> Result<(), Error> {
    match Handle::try_current() {
        Ok(_) => Ok(()),
        Err(error) => {
            let (address, source) = (options.address.clone(), io::Error::other(error));
            Err(Error::Connect { address, source })
        }
    }
}

/// The reactor of the runtime that polls the driver.
#[derive(Debug, Clone, Copy)]
struct Tokio;

impl Runtime for Tokio {
    type Timer = Alarm;

    fn resolve(&self, address: String) -> Attempt<Vec<SocketAddr>> {
        Box::pin(async move { Ok(tokio::net::lookup_host(address).await?.collect()) })
    }

    fn connect(&self, peer: SocketAddr) -> Attempt<Box<dyn Socket>> {
        Box::pin(async move {
            let stream = TcpStream::connect(peer).await?;
            socket::prepare(&stream)?;
            Ok(Box::new(TokioSocket(stream)) as Box<dyn Socket>)
        })
    }

    fn timer(&self) -> Alarm {
        Alarm { sleep: None, is_set: false }
    }
}

/// A sleep that is moved when the timer is set again.
struct Alarm {
    sleep: Option<Pin<Box<Sleep>>>,
    is_set: bool,
}

impl Timer for Alarm {
    fn set(&mut self, at: Option<time::Instant>) {
        self.is_set = at.is_some();
        match (at.map(tokio::time::Instant::from_std), &mut self.sleep) {
            (Some(at), Some(sleep)) => sleep.as_mut().reset(at),
            (Some(at), sleep) => *sleep = Some(Box::pin(tokio::time::sleep_until(at))),
            (None, _) => {}
        }
    }

    fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(sleep) = self.sleep.as_mut().filter(|_| self.is_set) else { return Poll::Pending };
        ready!(sleep.as_mut().poll(cx));
        self.is_set = false;
        Poll::Ready(())
    }
}

struct TokioSocket(TcpStream);

impl Socket for TokioSocket {
    /// Tokio remembers that the socket can be read until a read says that it is empty. A read that has not
    /// filled its buffer says so as well. Tokio refuses a read while it knows of nothing to read, but an
    /// answer may have come since: then the system is asked.
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut read = None;
        // The result is that of the read: this one only tells Tokio what to remember.
        let _ = self.0.try_io(Interest::READABLE, || {
            let result = (&*SockRef::from(&self.0)).read(buffer);
            let is_empty = match &result {
                Ok(0) => false, // the end
                Ok(count) => socket::is_emptied(*count, buffer.len()),
                Err(error) => error.kind() == ErrorKind::WouldBlock,
            };
            read = Some(result);
            if is_empty { Err(ErrorKind::WouldBlock.into()) } else { Ok(()) }
        });
        read.unwrap_or_else(|| (&*SockRef::from(&self.0)).read(buffer))
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_read_ready(cx)
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_write_ready(cx)
    }

    fn shutdown_write(&self) {
        // A socket that cannot be shut down is closed already.
        let _ = SockRef::from(&self.0).shutdown(Shutdown::Write);
    }

    fn discard_unsent(&self) {
        // Without it, some bytes may arrive late.
        let _ = SockRef::from(&self.0).set_linger(Some(time::Duration::ZERO));
    }
}
