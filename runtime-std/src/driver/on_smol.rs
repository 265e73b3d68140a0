//! The driver's socket and its waiting, on smol: all that is written for this runtime. What the driver does
//! is `link.rs`; one round of reading and writing is `turn.rs`.

use std::future::Future;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use flamingo_protocol_core::time::Instant;
use smol::{Async, Timer, future};
use socket2::SockRef;

use super::link::Socket;
use super::task::{Driver, Step};
use crate::client::Client;
use crate::clock::Clock;
use crate::error::Error;
use crate::options::Options;
use crate::socket;

type Connecting = Pin<Box<dyn Future<Output = Result<Async<TcpStream>, Error>> + Send>>;

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
        let clock = Clock::start();
        let (driver, opening) = Driver::new(options, clock);
        let mut driver = Box::pin(drive(driver, clock));
        let ended = async {
            (&mut driver).await;
            // The result of the handshake is on its way to `opening`.
            future::pending().await
        };
        let client = future::or(opening.client(), ended).await?;
        Ok((client, driver))
    }
}

/// Polls a driver until it ends. Cancel-safe: dropping the future ends every call of its clients.
pub(super) async fn drive(mut driver: Driver, clock: Clock) {
    let mut timer = Alarm::default();
    let mut connecting: Option<Connecting> = None;
    future::poll_fn(move |cx| {
        loop {
            match driver.poll(cx) {
                Poll::Ready(Step::Connect) => connecting = Some(connect(driver.options())),
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => {
                    let attempt = connecting.as_mut().map(|attempt| attempt.as_mut().poll(cx));
                    if let Some(Poll::Ready(result)) = attempt {
                        connecting = None;
                        match result {
                            Ok(stream) => driver.connected(Box::new(SmolSocket(stream))),
                            Err(error) => driver.connect_failed(error),
                        }
                    } else if !timer.is_over(driver.due(), &clock, cx) {
                        return Poll::Pending;
                    }
                }
            }
        }
    })
    .await;
}

fn connect(options: &Options) -> Connecting {
    let (address, timeout) = (options.address.clone(), options.connect_timeout);
    Box::pin(async move { socket::connect(&address, timeout).await })
}

/// The one timer of a driver, which is moved only when the driver moves its own.
struct Alarm {
    at: Option<Instant>,
    timer: Timer,
}

impl Default for Alarm {
    fn default() -> Self {
        Self { at: None, timer: Timer::never() }
    }
}

impl Alarm {
    /// Whether this time has come. If not, the task is woken then.
    fn is_over(&mut self, due: Option<Instant>, clock: &Clock, cx: &mut Context<'_>) -> bool {
        if self.at != due {
            self.at = due;
            match due.and_then(|due| clock.moment(due)) {
                Some(moment) => self.timer.set_at(moment),
                None => self.timer = Timer::never(),
            }
        }
        let is_over = Pin::new(&mut self.timer).poll(cx).is_ready();
        if is_over {
            self.at = None;
        }
        is_over
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
        let _ = SockRef::from(self.0.get_ref()).set_linger(Some(Duration::ZERO));
    }
}
