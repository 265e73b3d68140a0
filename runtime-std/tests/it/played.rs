//! A socket that the test plays, with a driver and a client on it. Every call to the socket is counted, and
//! so is every wake-up.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use flamingo_protocol_core::{Frame, wire::FRAME_LEN};
use flamingo_runtime_std::driver::{Driver, Socket, Step};
use flamingo_runtime_std::{Answer, Client, Clock, Error, Options};
use flamingo_runtime_testkit::peer::{answer_to, position_of};

/// What the driver's end and the peer's end share.
#[derive(Default)]
pub(crate) struct Wire {
    pub(crate) to_client: VecDeque<u8>,
    pub(crate) from_client: Vec<u8>,
    /// Bytes that the socket still takes.
    pub(crate) room: usize,
    pub(crate) reads: usize,
    pub(crate) empty_reads: usize,
    pub(crate) writes: usize,
    pub(crate) full_writes: usize,
    pub(crate) reader: Option<Waker>,
    pub(crate) writer: Option<Waker>,
}

#[derive(Clone, Default)]
pub(crate) struct Peer(pub(crate) Arc<Mutex<Wire>>);

pub(crate) struct PlayedSocket(Peer);

impl Socket for PlayedSocket {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut wire = self.0.0.lock().unwrap();
        wire.reads += 1;
        if wire.to_client.is_empty() {
            wire.empty_reads += 1;
            return Err(io::ErrorKind::WouldBlock.into());
        }
        io::Read::read(&mut wire.to_client, buffer)
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut wire = self.0.0.lock().unwrap();
        wire.writes += 1;
        let taken = bytes.len().min(wire.room);
        if taken == 0 {
            wire.full_writes += 1;
            return Err(io::ErrorKind::WouldBlock.into());
        }
        wire.room -= taken;
        wire.from_client.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut wire = self.0.0.lock().unwrap();
        if !wire.to_client.is_empty() {
            return Poll::Ready(Ok(()));
        }
        wire.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut wire = self.0.0.lock().unwrap();
        if wire.room > 0 {
            return Poll::Ready(Ok(()));
        }
        wire.writer = Some(cx.waker().clone());
        Poll::Pending
    }

    fn shutdown_write(&self) {}

    fn discard_unsent(&self) {}
}

impl Peer {
    /// The frames that have come since the last call.
    pub(crate) fn take(&self) -> Vec<Frame> {
        let bytes: Vec<_> = self.0.lock().unwrap().from_client.drain(..).collect();
        bytes.chunks(FRAME_LEN).map(|frame| Frame::decode(frame).expect("a frame")).collect()
    }

    /// Sends these frames at once, and reports that there is something to read.
    pub(crate) fn send(&self, frames: &[Frame]) {
        let mut wire = self.0.lock().unwrap();
        for frame in frames {
            wire.to_client.extend(frame.encode());
        }
        let reader = wire.reader.take();
        drop(wire);
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    pub(crate) fn answer_all(&self) {
        let answers: Vec<_> = self.take().iter().map(|query| answer_to(query, 1.0)).collect();
        self.send(&answers);
    }

    /// The socket takes this many bytes more, and reports it.
    pub(crate) fn make_room(&self, bytes: usize) {
        let mut wire = self.0.lock().unwrap();
        wire.room += bytes;
        let writer = wire.writer.take();
        drop(wire);
        if let Some(writer) = writer {
            writer.wake();
        }
    }

    pub(crate) fn count<T>(&self, what: impl FnOnce(&Wire) -> T) -> T {
        what(&self.0.lock().unwrap())
    }
}

/// Counts how often a task was woken.
#[derive(Default)]
pub(crate) struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// The waker of a task whose executor is broken.
pub(crate) fn panicking_waker() -> Waker {
    struct Panics;

    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("this waker panics, as the test wants it");
        }
    }

    Arc::new(Panics).into()
}

/// A future in a task of its own.
pub(crate) struct Task<F> {
    future: Pin<Box<F>>,
    woken: Arc<Woken>,
}

impl<F: Future> Task<F> {
    pub(crate) fn new(future: F) -> Self {
        Self { future: Box::pin(future), woken: Arc::default() }
    }

    pub(crate) fn poll(&mut self) -> Option<F::Output> {
        self.poll_with(&Arc::clone(&self.woken).into())
    }

    pub(crate) fn poll_with(&mut self, waker: &Waker) -> Option<F::Output> {
        match self.future.as_mut().poll(&mut Context::from_waker(waker)) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        }
    }

    /// Polls it until it does not wake itself: a call that is held back is sent then.
    pub(crate) fn poll_until_sent(&mut self) -> Option<F::Output> {
        loop {
            let output = self.poll();
            if output.is_some() || self.woken() == 0 {
                return output;
            }
        }
    }

    /// Polls it if it was woken since it was last polled.
    pub(crate) fn poll_if_woken(&mut self) -> Option<F::Output> {
        if self.woken() > 0 { self.poll() } else { None }
    }

    /// How often it was woken since the last call.
    pub(crate) fn woken(&self) -> usize {
        self.woken.0.swap(0, Ordering::SeqCst)
    }
}

pub(crate) struct Rig {
    pub(crate) driver: Driver,
    pub(crate) driver_woken: Arc<Woken>,
    pub(crate) client: Client,
    pub(crate) peer: Peer,
    pub(crate) clock: Clock,
}

impl Rig {
    /// With the handshake done, and the driver armed.
    pub(crate) fn new() -> Self {
        let clock = Clock::start();
        let options = Options::new("instrument:53717").settle(Duration::ZERO);
        let (mut driver, opening) = Driver::new(options, clock);
        let driver_woken = Arc::<Woken>::default();
        let waker = Arc::clone(&driver_woken).into();
        let mut cx = Context::from_waker(&waker);
        assert_eq!(driver.poll(&mut cx), Poll::Ready(Step::Connect));
        let peer = Peer::default();
        peer.make_room(usize::MAX / 2);
        driver.connected(Box::new(PlayedSocket(peer.clone())));
        let mut opening = Task::new(opening.client());
        let client = loop {
            assert_eq!(driver.poll(&mut cx), Poll::Pending);
            peer.answer_all();
            if let Some(client) = opening.poll() {
                break client.expect("the handshake");
            }
        };
        let mut rig = Self { driver, driver_woken, client, peer, clock };
        // The time for which the driver is armed is moved only when another comes nearer.
        let mut first = rig.ask(1);
        assert!(first.poll().is_none());
        rig.poll_driver();
        rig.peer.answer_all();
        assert!(first.poll().is_some());
        rig.peer.0.lock().unwrap().reads = 0;
        rig.peer.0.lock().unwrap().empty_reads = 0;
        rig.peer.0.lock().unwrap().writes = 0;
        rig.driver_woken();
        rig
    }

    pub(crate) fn ask(
        &self,
        axis: i32,
    ) -> Task<impl Future<Output = Result<Answer, Error>> + use<>> {
        self.request(position_of(axis))
    }

    pub(crate) fn request(
        &self,
        query: Frame,
    ) -> Task<impl Future<Output = Result<Answer, Error>> + use<>> {
        let client = self.client.clone();
        Task::new(async move { client.request(query).await })
    }

    /// Calls of three callers that are answered with one read. One has read: the other two are about to run.
    pub(crate) fn two_callers_about_to_run(
        &self,
    ) -> Vec<Task<impl Future<Output = Result<Answer, Error>> + use<>>> {
        let mut calls: Vec<_> = (1..=3).map(|axis| self.ask(axis)).collect();
        for call in &mut calls {
            assert!(call.poll_until_sent().is_none());
        }
        self.peer.answer_all();
        assert!(calls[0].poll().expect("the answer").is_ok());
        calls
    }

    pub(crate) fn poll_driver(&mut self) {
        let waker = Arc::clone(&self.driver_woken).into();
        assert_eq!(self.driver.poll(&mut Context::from_waker(&waker)), Poll::Pending);
    }

    /// How often the driver was woken since the last call.
    pub(crate) fn driver_woken(&self) -> usize {
        self.driver_woken.0.swap(0, Ordering::SeqCst)
    }

    /// Waits for the time for which the driver is armed.
    pub(crate) fn pass_until_due(&self) {
        let due = self.driver.due().expect("it is armed");
        while self.clock.now() < due {
            std::thread::yield_now();
        }
    }
}
