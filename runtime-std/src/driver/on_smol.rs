//! The driver's socket and its waiting, on smol. What is done with the bytes is `engine.rs`; one round
//! of reading and writing is `turn.rs`.

use std::future::Future;
use std::net::{Shutdown, TcpStream};
use std::pin::Pin;
use std::time::Duration;

use smol::{Async, Timer, future};
use socket2::SockRef;

use super::engine::{Action, Engine};
use super::turn::{READ_CHUNK, turn};
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
        let (engine, opening) = Engine::new(options, clock);
        let mut driver = Box::pin(drive(engine, clock));
        let ended = async {
            (&mut driver).await;
            // The result of the handshake is on its way to `opening`.
            future::pending().await
        };
        let client = future::or(opening.client(), ended).await?;
        Ok((client, driver))
    }
}

/// Runs an engine until it ends. Cancel-safe: dropping the future ends every call of its clients.
pub(super) async fn drive(mut engine: Engine, clock: Clock) {
    let mut buffer = vec![0; READ_CHUNK].into_boxed_slice();
    let mut stream: Option<Async<TcpStream>> = None;
    let mut connecting: Option<Connecting> = None;
    loop {
        while let Some(action) = engine.poll_action() {
            match action {
                Action::Connect => connecting = Some(connect(engine.options())),
                Action::ShutdownWrite => {
                    if let Some(stream) = &stream {
                        // A socket that cannot be shut down is closed already.
                        let _ = stream.get_ref().shutdown(Shutdown::Write);
                    }
                }
                Action::Disconnect { reset } => {
                    if let Some(stream) = stream.take().filter(|_| reset) {
                        // Without it, some bytes may arrive late.
                        let _ = SockRef::from(stream.get_ref()).set_linger(Some(Duration::ZERO));
                    }
                }
                Action::End => return,
            }
        }
        let done = turn(&mut engine, stream.as_ref().map(Async::get_ref), &clock, &mut buffer);
        let wake = if done.busy {
            future::yield_now().await;
            // Calls that keep the engine busy must not delay a connection.
            look_at(connecting.as_mut()).await
        } else {
            let socket = stream.as_ref().map(|stream| (stream, done.wants_write));
            wait(&engine, &clock, socket, connecting.as_mut()).await
        };
        match wake {
            Wake::Turn => {}
            Wake::Broken(error) => engine.disconnected(clock.now(), &error.to_string()),
            Wake::Connected(result) => {
                connecting = None;
                match result {
                    Ok(connected) => {
                        stream = Some(connected);
                        engine.connected(clock.now());
                    }
                    Err(error) => engine.connect_failed(clock.now(), error),
                }
            }
        }
    }
}

fn connect(options: &Options) -> Connecting {
    let (address, timeout) = (options.address.clone(), options.connect_timeout);
    Box::pin(async move { socket::connect(&address, timeout).await })
}

/// Why waiting has ended.
enum Wake {
    Turn,
    Broken(std::io::Error),
    Connected(Result<Async<TcpStream>, Error>),
}

/// Polls the attempt to connect once.
async fn look_at(connecting: Option<&mut Connecting>) -> Wake {
    match connecting {
        Some(attempt) => future::poll_once(attempt).await.map_or(Wake::Turn, Wake::Connected),
        None => Wake::Turn,
    }
}

/// Waits until there is something to do. Cancel-safe: each part may be dropped and made again.
async fn wait(
    engine: &Engine,
    clock: &Clock,
    socket: Option<(&Async<TcpStream>, bool)>,
    connecting: Option<&mut Connecting>,
) -> Wake {
    let readable = async {
        match socket {
            Some((stream, _)) => stream.readable().await.map_or_else(Wake::Broken, |()| Wake::Turn),
            None => future::pending().await,
        }
    };
    let writable = async {
        match socket {
            Some((stream, true)) => {
                stream.writable().await.map_or_else(Wake::Broken, |()| Wake::Turn)
            }
            _ => future::pending().await,
        }
    };
    let timer = async {
        match engine.poll_timeout().and_then(|due| clock.moment(due)) {
            Some(due) => drop(Timer::at(due).await),
            None => future::pending().await,
        }
        Wake::Turn
    };
    let connected = async {
        match connecting {
            Some(connecting) => Wake::Connected(connecting.await),
            None => future::pending().await,
        }
    };
    let woken = async {
        engine.woken().await;
        Wake::Turn
    };
    let socket = future::or(readable, writable);
    future::or(connected, future::or(future::or(socket, woken), timer)).await
}
