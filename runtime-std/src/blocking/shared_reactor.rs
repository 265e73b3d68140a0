//! What reads the sockets of all clients that share it, on the threads that wait. For programs that wait for
//! futures of [`crate::Client`] on plain threads: a binding to another language, or a layer above the client. A
//! [`Client`](super::Client) has one of its own.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::reactor::{Plain, Shared};
use super::seats::Role;
use crate::driver;
use crate::socket::connecting;
use crate::{Client, Error, Options};

/// Reads and writes the sockets of its clients on the threads that wait, and while none waits on one thread of each
/// client, named `flamingo-PORT`. Clones are the same reactor.
///
/// ```
/// use flamingo_runtime_std::blocking::Reactor;
/// use flamingo_runtime_std::Options;
/// use flamingo_runtime_std::protocol::{CommandCode, Frame};
/// # use flamingo_simulator::{Simulator, SimulatorOptions};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let instrument = smol::block_on(Simulator::start(SimulatorOptions::default()))?;
/// # let address = instrument.control().to_string();
/// let reactor = Reactor::new()?;
/// let client = reactor.block_on(reactor.connect(Options::new(address)))?;
/// let query = Frame::command(CommandCode::STAGE_POSITION_GET).with_selector(1);
/// println!("{} mm", reactor.block_on(client.request(query))?.frame.value);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Reactor(pub(super) Arc<Shared>);

impl fmt::Debug for Reactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reactor").finish_non_exhaustive()
    }
}

impl Reactor {
    /// # Errors
    /// The system has no poller left for this program.
    pub fn new() -> io::Result<Self> {
        Shared::new().map(Self)
    }

    /// Connects, and proves with SYSTEM_STATE_GET that the peer speaks the protocol before anything else is
    /// sent. Starts one thread, which ends when the last handle of the client is dropped.
    ///
    /// The future and the calls of the client may be polled by any executor. With [`Self::block_on`] the thread that
    /// waits reads the answers itself.
    ///
    /// Cancel-safe: dropping the future closes the socket.
    ///
    /// # Errors
    /// [`Error::Resolve`], [`Error::Connect`], [`Error::NotFlamingo`], [`Error::Silent`],
    /// [`Error::TokensNotEchoed`], [`Error::ConnectionLost`].
    pub async fn connect(&self, options: Options) -> Result<Client, Error> {
        let address = options.address.clone();
        let (done, connected) = async_channel::bounded(1);
        let shared = Arc::clone(&self.0);
        let run = move || {
            let opening = driver::open(Plain(Arc::clone(&shared)), options);
            let given_up = async {
                done.closed().await;
                None
            };
            let opened = async { Some(opening.await) };
            let driver = match shared.wait(Role::Driver, connecting::first(opened, given_up)) {
                None => return,
                Some(Err(error)) => return drop(done.try_send(Err(error))),
                Some(Ok((client, driver))) => {
                    // If nobody takes the client, the driver ends at once.
                    drop(done.try_send(Ok(client)));
                    driver
                }
            };
            drop(done);
            shared.wait(Role::Driver, driver);
        };
        let port = address.rsplit(':').next().unwrap_or_default();
        let started = thread::Builder::new().name(format!("flamingo-{port}")).spawn(run);
        started.map_err(|source| Error::Connect { address: address.clone(), source })?;
        let ended = |_| Err(Error::lost(&address, "the thread of the client has ended"));
        connected.recv().await.unwrap_or_else(ended)
    }

    /// Waits for a future on this thread, which reads and writes the sockets of the clients meanwhile.
    ///
    /// Not from a task of an async runtime, whose thread would be blocked.
    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.0.wait(Role::Caller, future)
    }

    /// Waits for a future on this thread, at most for this time; `None` when the time is over. The future goes on
    /// with the next call.
    pub fn block_on_within<F: Future>(
        &self,
        future: Pin<&mut F>,
        time: Duration,
    ) -> Option<F::Output> {
        let clock = &self.0.clock;
        self.0.wait_until(Role::Caller, future, clock.moment(clock.now() + time.into()))
    }
}
