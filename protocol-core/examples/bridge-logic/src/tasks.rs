//! The bridge as a task of embassy, and the tasks that carry bytes between it and ports with the traits of
//! embedded-io-async: sockets, USB serial ports, UARTs. Which ports they are is the firmware's matter.
//!
//! ```text
//!  socket ──▶ Link::carry ──▶ pipe ──▶ LinkPort ┐
//!         ◀──             ◀── pipe ◀──          ├── run: Bridge::poll
//!  UART  ◀─────── a port of the firmware ──────▶┘
//! ```

use core::convert::Infallible;
use core::sync::atomic::{AtomicU8, Ordering::SeqCst};

use embassy_futures::select::select;
use embassy_futures::yield_now;
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::pipe::Pipe;
use embassy_sync::signal::Signal;
use embassy_time::Timer;
use embedded_io::{ErrorKind, ErrorType, Read, ReadReady, Write, WriteReady};
use embedded_io_async::{Read as AsyncRead, Write as AsyncWrite};
use flamingo_protocol_core::time::Instant;

use crate::{Bridge, Port, Ports, Side};

/// How long the task sleeps if nothing wakes it: it looks at its deadlines this often.
const TICK: embassy_time::Duration = embassy_time::Duration::from_millis(10);

/// Wakes the task of the bridge. Interrupts may use it.
#[derive(Default)]
pub struct Work(Signal<CriticalSectionRawMutex, ()>);

impl Work {
    /// Nothing to do yet.
    pub const fn new() -> Self {
        Self(Signal::new())
    }

    /// A port has bytes, or room again.
    pub fn wake(&self) {
        self.0.signal(());
    }
}

/// Nobody is connected. The bridge has forgotten the last peer.
const FREE: u8 = 0;
/// A peer is connected.
const CONNECTED: u8 = 1;
/// The peer has gone, but what it sent may still wait in the pipe.
const GONE: u8 = 2;

/// The pipes between the bridge and a peer.
pub struct Link<const IN: usize, const OUT: usize> {
    input: Pipe<CriticalSectionRawMutex, IN>,
    output: Pipe<CriticalSectionRawMutex, OUT>,
    state: AtomicU8,
    /// The state is [`FREE`] again.
    freed: Signal<CriticalSectionRawMutex, ()>,
}

impl<const IN: usize, const OUT: usize> Default for Link<IN, OUT> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const IN: usize, const OUT: usize> Link<IN, OUT> {
    /// Empty pipes.
    pub const fn new() -> Self {
        Self {
            input: Pipe::new(),
            output: Pipe::new(),
            state: AtomicU8::new(FREE),
            freed: Signal::new(),
        }
    }

    /// A peer is connected: carries bytes until it has gone and the bridge has forgotten it. Do not drop
    /// the future before it ends.
    pub async fn session<R, W>(&self, work: &Work, reader: &mut R, writer: &mut W)
    where
        R: AsyncRead,
        W: AsyncWrite,
    {
        self.freed.reset();
        self.state.store(CONNECTED, SeqCst);
        work.wake();
        self.carry(work, reader, writer).await;
        self.state.store(GONE, SeqCst);
        work.wake();
        self.freed.wait().await;
    }

    /// Carries bytes until the reader has ended or one side fails. For a port whose peer does not come and
    /// go. If the bridge reads no more, the bytes wait in the port, and so at the sender.
    pub async fn carry<R, W>(&self, work: &Work, reader: &mut R, writer: &mut W)
    where
        R: AsyncRead,
        W: AsyncWrite,
    {
        let inward = async {
            let mut bytes = [0; 128];
            while let Ok(count @ 1..) = reader.read(&mut bytes).await {
                let mut rest = bytes.get(..count).unwrap_or(&bytes);
                while !rest.is_empty() {
                    let taken = self.input.write(rest).await;
                    rest = rest.get(taken..).unwrap_or(&[]);
                    work.wake();
                }
            }
        };
        let outward = async {
            let mut bytes = [0; 256];
            loop {
                let count = self.output.read(&mut bytes).await;
                work.wake();
                let bytes = bytes.get(..count).unwrap_or(&bytes);
                if writer.write_all(bytes).await.is_err() {
                    break;
                }
                if self.output.is_empty() && writer.flush().await.is_err() {
                    break;
                }
            }
        };
        select(inward, outward).await;
    }

    /// The port of the bridge at the other end of the pipes.
    pub fn port(&self) -> LinkPort<'_, IN, OUT> {
        LinkPort(self)
    }

    /// Tells the bridge what has changed since the last call. `idle`: the bridge has read all input.
    fn follow(&self, bridge: &mut Bridge<'_>, now: Instant, side: Side, seen: &mut u8, idle: bool) {
        let state = self.state.load(SeqCst);
        if state != FREE && *seen == FREE {
            bridge.connected(now, side);
            *seen = CONNECTED;
        }
        if state == GONE && idle && self.input.is_empty() {
            bridge.disconnected(now, side);
            self.output.clear();
            *seen = FREE;
            self.state.store(FREE, SeqCst);
            self.freed.signal(());
        }
    }
}

/// A [`Port`] over the pipes of a [`Link`].
pub struct LinkPort<'a, const IN: usize, const OUT: usize>(&'a Link<IN, OUT>);

impl<const IN: usize, const OUT: usize> ErrorType for LinkPort<'_, IN, OUT> {
    type Error = ErrorKind;
}

impl<const IN: usize, const OUT: usize> ReadReady for LinkPort<'_, IN, OUT> {
    fn read_ready(&mut self) -> Result<bool, ErrorKind> {
        Ok(!self.0.input.is_empty())
    }
}

impl<const IN: usize, const OUT: usize> Read for LinkPort<'_, IN, OUT> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ErrorKind> {
        self.0.input.try_read(buffer).map_err(|_| ErrorKind::Other)
    }
}

impl<const IN: usize, const OUT: usize> WriteReady for LinkPort<'_, IN, OUT> {
    fn write_ready(&mut self) -> Result<bool, ErrorKind> {
        Ok(!self.0.output.is_full())
    }
}

impl<const IN: usize, const OUT: usize> Write for LinkPort<'_, IN, OUT> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        self.0.output.try_write(bytes).map_err(|_| ErrorKind::Other)
    }

    fn flush(&mut self) -> Result<(), ErrorKind> {
        Ok(()) // `Link::carry` sends the pipe
    }
}

/// Runs the bridge between a port to the instrument and two links. All that have bytes for it wake `work`.
/// `each` runs after every turn, for the log.
pub async fn run<I: Port, const IN: usize, const OUT: usize>(
    mut bridge: Bridge<'_>,
    work: &Work,
    instrument: I,
    [host, push]: [&Link<IN, OUT>; 2],
    mut each: impl FnMut(Instant, &Bridge<'_>),
) -> Infallible {
    let mut ports = Ports { instrument, host: host.port(), push: push.port() };
    bridge.disconnected(now(), Side::Host);
    bridge.disconnected(now(), Side::Push);
    let (mut host_seen, mut push_seen) = (FREE, FREE);
    let mut busy = false;
    loop {
        let now = now();
        host.follow(&mut bridge, now, Side::Host, &mut host_seen, !busy);
        push.follow(&mut bridge, now, Side::Push, &mut push_seen, !busy);
        busy = bridge.poll(now, &mut ports);
        each(now, &bridge);
        if busy {
            yield_now().await; // the tasks that carry the bytes have their turn
        } else {
            select(work.0.wait(), Timer::after(TICK)).await;
        }
    }
}

/// The time of embassy's clock.
pub fn now() -> Instant {
    Instant::from_micros(embassy_time::Instant::now().as_micros())
}
