//! What the code for a runtime has to give: sockets, the addresses of a host, and a timer. What is done with
//! them is the same on every runtime, and stands here: a connection that is opened and kept going. How a
//! connection is made is `socket/connecting.rs`; stops that go first are `stop_first.rs`.

use std::future::{Future, pending, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time;

use flamingo_protocol_core::time::Instant;

use super::link::Socket;
use super::task::{Driver, Step};
use crate::client::Client;
use crate::clock::Clock;
use crate::error::Error;
use crate::options::Options;
use crate::socket::connecting;

/// Something that a runtime is asked for, and that may take its time.
pub type Attempt<T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send>>;

type Connecting = Pin<Box<dyn Future<Output = Result<Box<dyn Socket>, Error>> + Send>>;

/// What a runtime gives to a client: all that has to be written for it. `on_smol.rs` is an example.
///
/// Its futures and timers are polled by the future of the driver only, and by the one of [`open`].
pub trait Runtime: Clone + Send + Sync + 'static {
    /// A timer of this runtime.
    type Timer: Timer;

    /// The addresses of a host: `address` is `HOST:PORT`.
    fn resolve(&self, address: String) -> Attempt<Vec<SocketAddr>>;

    /// Connects a socket to this address. Before it is returned,
    /// [`prepare`](crate::socket::prepare) must be called with it. Dropping the future closes the socket.
    fn connect(&self, peer: SocketAddr) -> Attempt<Box<dyn Socket>>;

    /// A timer that is never over.
    fn timer(&self) -> Self::Timer;
}

/// A timer that can be set again.
pub trait Timer: Send + Unpin + 'static {
    /// Sets the time when it is over; `None`: never.
    fn set(&mut self, at: Option<time::Instant>);

    /// Ready once when the time has come; after that, it is as before it was set. Until then it arranges a
    /// wake-up.
    fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()>;
}

/// Connects, and proves with SYSTEM_STATE_GET that the peer speaks the protocol before anything else is
/// sent. The connection lives while the second part is polled. When that is dropped, every call ends as
/// [`Error::ConnectionLost`].
///
/// Cancel-safe: dropping the future closes the socket.
///
/// # Errors
/// [`Error::Resolve`], [`Error::Connect`], [`Error::NotFlamingo`], [`Error::Silent`],
/// [`Error::TokensNotEchoed`], [`Error::ConnectionLost`].
pub async fn open<R: Runtime>(
    runtime: R,
    options: Options,
) -> Result<(Client, impl Future<Output = ()> + Send + 'static + use<R>), Error> {
    let clock = Clock::start();
    let (driver, opening) = Driver::new(options, clock);
    let mut driver = Box::pin(drive(driver, clock, runtime));
    let client = while_driven(opening.client(), driver.as_mut()).await?;
    Ok((client, driver))
}

/// Polls `driver` until `future` ends. What it waits for is on its way when the driver ends.
pub(super) async fn while_driven<T>(
    future: impl Future<Output = T>,
    driver: impl Future<Output = ()>,
) -> T {
    let ended = async {
        driver.await;
        pending().await
    };
    connecting::first(future, ended).await
}

/// Polls a driver until it ends. Cancel-safe: dropping the future ends every call of its clients.
pub(super) async fn drive<R: Runtime>(mut driver: Driver, clock: Clock, runtime: R) {
    let mut alarm = Alarm { at: None, timer: runtime.timer() };
    let mut connecting: Option<Connecting> = None;
    poll_fn(move |cx| {
        loop {
            match driver.poll(cx) {
                Poll::Ready(Step::Connect) => {
                    let (runtime, options) = (runtime.clone(), driver.options().clone());
                    connecting = Some(Box::pin(connect(runtime, options)));
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => {
                    let attempt = connecting.as_mut().map(|attempt| attempt.as_mut().poll(cx));
                    if let Some(Poll::Ready(result)) = attempt {
                        connecting = None;
                        match result {
                            Ok(socket) => driver.connected(socket),
                            Err(error) => driver.connect_failed(error),
                        }
                    } else if !alarm.is_over(driver.due(), &clock, cx) {
                        return Poll::Pending;
                    }
                }
            }
        }
    })
    .await;
}

async fn connect<R: Runtime>(runtime: R, options: Options) -> Result<Box<dyn Socket>, Error> {
    let attempt = |peer| runtime.connect(peer);
    connecting::connect(&runtime, &options.address, options.connect_timeout, attempt).await
}

/// The one timer of a driver, which is moved only when the driver moves its own.
struct Alarm<T> {
    at: Option<Instant>,
    timer: T,
}

impl<T: Timer> Alarm<T> {
    /// Whether this time has come. If not, the task is woken then.
    fn is_over(&mut self, due: Option<Instant>, clock: &Clock, cx: &mut Context<'_>) -> bool {
        if self.at != due {
            self.at = due;
            self.timer.set(due.and_then(|due| clock.moment(due)));
        }
        let is_over = self.timer.poll_over(cx).is_ready();
        if is_over {
            self.at = None;
        }
        is_over
    }
}
