//! Connecting to a host that may have several addresses, on any runtime. The options of the socket are
//! `options.rs`; what a runtime gives is `driver/runtime.rs`.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use crate::clock::Clock;
use crate::driver::{Attempt, Runtime, Timer};
use crate::error::Error;

/// Resolves `address` (`HOST:PORT`), makes an attempt for every address of the host at once, and keeps the
/// first that succeeds.
///
/// Cancel-safe: dropping the future ends all attempts.
///
/// # Errors
/// [`Error::Resolve`] and [`Error::Connect`], after `timeout` at the latest.
pub(crate) async fn connect<T>(
    runtime: &impl Runtime,
    address: &str,
    timeout: Duration,
    attempt: impl Fn(SocketAddr) -> Attempt<T>,
) -> Result<T, Error> {
    let resolving = runtime.resolve(address.into());
    let resolved = first(resolving, timed_out(runtime, timeout)).await;
    let peers = resolved.map_err(|source| Error::Resolve { address: address.into(), source })?;
    let attempts = peers.into_iter().map(attempt).collect();
    let connected = first(first_success(attempts), timed_out(runtime, timeout)).await;
    connected.map_err(|source| Error::Connect { address: address.into(), source })
}

/// The first success counts, and the other attempts end: an address that does not reply must not delay a
/// stop. If there is none, the last failure counts.
async fn first_success<T>(mut attempts: Vec<Attempt<T>>) -> io::Result<T> {
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    poll_fn(|cx| {
        let mut success = None;
        attempts.retain_mut(|attempt| match attempt.as_mut().poll(cx) {
            _ if success.is_some() => false,
            Poll::Pending => true,
            Poll::Ready(Ok(value)) => {
                success = Some(value);
                false
            }
            Poll::Ready(Err(error)) => {
                last = error;
                false
            }
        });
        match success {
            Some(value) => Poll::Ready(Ok(value)),
            None if attempts.is_empty() => {
                Poll::Ready(Err(std::mem::replace(&mut last, io::ErrorKind::Other.into())))
            }
            None => Poll::Pending,
        }
    })
    .await
}

/// The result of the future that ends first; of `one` if both do.
pub(crate) async fn first<T>(one: impl Future<Output = T>, other: impl Future<Output = T>) -> T {
    let (mut one, mut other) = (pin!(one), pin!(other));
    poll_fn(|cx| match one.as_mut().poll(cx) {
        Poll::Pending => other.as_mut().poll(cx),
        ready @ Poll::Ready(_) => ready,
    })
    .await
}

async fn timed_out<T>(runtime: &impl Runtime, timeout: Duration) -> io::Result<T> {
    let clock = Clock::start();
    let mut timer = runtime.timer();
    timer.set(clock.moment(clock.now() + timeout.into()));
    poll_fn(|cx| timer.poll_over(cx)).await;
    Err(io::ErrorKind::TimedOut.into())
}

#[cfg(all(test, feature = "smol"))]
mod tests {
    use std::net::TcpStream;

    use smol::{Async, future};

    use super::*;

    fn to(peer: SocketAddr) -> Attempt<Async<TcpStream>> {
        Box::pin(Async::<TcpStream>::connect(peer))
    }

    #[test]
    fn an_address_that_does_not_reply_delays_no_other() {
        // A listener whose queue is full does not reply to a further connection.
        let full =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        full.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        full.listen(0).unwrap();
        let silent = full.local_addr().unwrap().as_socket().unwrap();
        let alive = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let alive = alive.local_addr().unwrap();
        smol::block_on(async {
            let _queued =
                [future::poll_once(to(silent)).await, future::poll_once(to(silent)).await];
            // With one address after the other, the test would wait for the system to give up.
            let connected = first_success(vec![to(silent), to(alive)]).await.unwrap();
            assert_eq!(connected.get_ref().peer_addr().unwrap(), alive);
        });
    }
}
