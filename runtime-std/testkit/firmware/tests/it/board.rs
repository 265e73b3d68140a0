//! The board of `embassy-client` on this host, for its `link.rs`: the UART is a socket that a test plugs in, and the
//! clock of embassy is that of the host.

use std::convert::Infallible;
use std::net::TcpStream;
use std::sync::{Condvar, LazyLock, Mutex, PoisonError};
use std::task::Waker;
use std::time::Duration;

use async_channel::{Receiver, Sender};
use embassy_time_driver::Driver;
use embassy_time_queue_utils::Queue;
use embedded_io_async::{ErrorType, Read, Write};
use flamingo_runtime_std::Clock;
use smol::Async;
use smol::io::{AsyncReadExt, AsyncWriteExt};

/// A cable that is plugged in when the one before it has ended.
type Cable = Async<TcpStream>;

/// The UART. Dropping one of its futures loses no bytes.
pub(crate) struct Port {
    cables: Receiver<Cable>,
    plugged: Option<Cable>,
}

impl Port {
    pub(crate) fn new() -> (Sender<Cable>, Self) {
        let (plug, cables) = async_channel::unbounded();
        (plug, Self { cables, plugged: None })
    }
}

impl ErrorType for Port {
    type Error = Infallible;
}

impl Read for Port {
    /// The end of a cable is the end of a connection.
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
        if self.plugged.is_none() {
            self.plugged = self.cables.recv().await.ok();
        }
        let Some(cable) = &mut self.plugged else { return Ok(0) };
        let count = cable.read(buffer).await.unwrap_or(0);
        if count == 0 {
            self.plugged = None;
        }
        Ok(count)
    }
}

impl Write for Port {
    /// Without a cable the bytes are gone.
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        match &mut self.plugged {
            Some(cable) => Ok(cable.write(bytes).await.unwrap_or(bytes.len())),
            None => Ok(bytes.len()),
        }
    }

    async fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// The clock of embassy, with a millisecond for each tick, and the wakers that wait for a time.
struct Ticks(LazyLock<Clock>, Mutex<Queue>, Condvar);

embassy_time_driver::time_driver_impl!(static TICKS: Ticks =
    Ticks(LazyLock::new(Clock::start), Mutex::new(Queue::new()), Condvar::new()));

impl Driver for Ticks {
    fn now(&self) -> u64 {
        self.0.now().as_micros() / 1000
    }

    fn schedule_wake(&self, at: u64, waker: &Waker) {
        let mut queue = self.1.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.schedule_wake(at, waker) {
            self.2.notify_one();
        }
    }
}

/// Wakes the wakers whose time has come, for ever.
pub(crate) fn tick() {
    let Ticks(_, queue, changed) = &TICKS;
    let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let now = TICKS.now();
        let wait = Duration::from_millis(queue.next_expiration(now).saturating_sub(now).min(1000));
        queue = changed.wait_timeout(queue, wait).unwrap_or_else(PoisonError::into_inner).0;
    }
}
