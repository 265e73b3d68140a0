//! Who moves the bytes: callers and driver on a socket that the test plays. Every call that they make
//! to the socket is counted, and so is every wake-up.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use flamingo_protocol_core::{CommandCode, Frame, wire::FRAME_LEN};
use flamingo_runtime_std::driver::{Driver, Socket, Step};
use flamingo_runtime_std::{Answer, Client, Clock, Error, Options};
use flamingo_runtime_testkit::peer::{answer_to, position_of};

use crate::allocator::allocations;

/// What the driver's end and the peer's end share.
#[derive(Default)]
struct Wire {
    to_client: VecDeque<u8>,
    from_client: Vec<u8>,
    /// Bytes that the socket still takes.
    room: usize,
    reads: usize,
    empty_reads: usize,
    writes: usize,
    full_writes: usize,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

#[derive(Clone, Default)]
struct Peer(Arc<Mutex<Wire>>);

struct PlayedSocket(Peer);

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
    fn take(&self) -> Vec<Frame> {
        let bytes: Vec<_> = self.0.lock().unwrap().from_client.drain(..).collect();
        bytes.chunks(FRAME_LEN).map(|frame| Frame::decode(frame).expect("a frame")).collect()
    }

    /// Sends these frames at once, and reports that there is something to read.
    fn send(&self, frames: &[Frame]) {
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

    fn answer_all(&self) {
        let answers: Vec<_> = self.take().iter().map(|query| answer_to(query, 1.0)).collect();
        self.send(&answers);
    }

    /// The socket takes this many bytes more, and reports it.
    fn make_room(&self, bytes: usize) {
        let mut wire = self.0.lock().unwrap();
        wire.room += bytes;
        let writer = wire.writer.take();
        drop(wire);
        if let Some(writer) = writer {
            writer.wake();
        }
    }

    fn count<T>(&self, what: impl FnOnce(&Wire) -> T) -> T {
        what(&self.0.lock().unwrap())
    }
}

/// Counts how often a task was woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A future in a task of its own.
struct Task<F> {
    future: Pin<Box<F>>,
    woken: Arc<Woken>,
}

impl<F: Future> Task<F> {
    fn new(future: F) -> Self {
        Self { future: Box::pin(future), woken: Arc::default() }
    }

    fn poll(&mut self) -> Option<F::Output> {
        let waker = Arc::clone(&self.woken).into();
        match self.future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        }
    }

    /// Polls it if it was woken since it was last polled.
    fn poll_if_woken(&mut self) -> Option<F::Output> {
        if self.woken() > 0 { self.poll() } else { None }
    }

    /// How often it was woken since the last call.
    fn woken(&self) -> usize {
        self.woken.0.swap(0, Ordering::SeqCst)
    }
}

struct Rig {
    driver: Driver,
    driver_woken: Arc<Woken>,
    client: Client,
    peer: Peer,
    clock: Clock,
}

impl Rig {
    /// With the handshake done, and the driver armed.
    fn new() -> Self {
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

    fn ask(&self, axis: i32) -> Task<impl Future<Output = Result<Answer, Error>> + use<>> {
        self.request(position_of(axis))
    }

    fn request(&self, query: Frame) -> Task<impl Future<Output = Result<Answer, Error>> + use<>> {
        let client = self.client.clone();
        Task::new(async move { client.request(query).await })
    }

    fn poll_driver(&mut self) {
        let waker = Arc::clone(&self.driver_woken).into();
        assert_eq!(self.driver.poll(&mut Context::from_waker(&waker)), Poll::Pending);
    }

    /// How often the driver was woken since the last call.
    fn driver_woken(&self) -> usize {
        self.driver_woken.0.swap(0, Ordering::SeqCst)
    }

    /// Waits for the time for which the driver is armed.
    fn pass_until_due(&self) {
        let due = self.driver.due().expect("it is armed");
        while self.clock.now() < due {
            std::thread::yield_now();
        }
    }
}

#[test]
fn a_caller_writes_and_reads_without_the_driver() {
    let rig = Rig::new();
    let mut asked = rig.ask(2);
    assert!(asked.poll().is_none());
    assert_eq!(rig.peer.count(|wire| wire.writes), 1);
    rig.peer.answer_all();
    assert_eq!(asked.woken(), 1, "the caller is woken, since the socket can be read");
    assert!(asked.poll().expect("the answer").is_ok());
    assert_eq!(asked.woken(), 0, "it does not wake itself");
    assert_eq!(rig.driver_woken(), 0);
}

#[test]
fn a_query_and_its_answer_allocate_nothing() {
    let rig = Rig::new();
    let query = |axis| {
        let mut asked = rig.ask(axis);
        let mut count = allocations(|| assert!(asked.poll().is_none()));
        rig.peer.answer_all();
        count += allocations(|| assert!(asked.poll().expect("the answer").is_ok()));
        count
    };
    // What is allocated once is used again.
    for axis in 1..=4 {
        query(axis);
    }
    assert_eq!((0..1000).map(|number| query(number % 4 + 1)).sum::<u64>(), 0);
}

#[test]
fn no_read_is_made_that_can_give_nothing() {
    let rig = Rig::new();
    for _ in 0..1000 {
        let mut asked = rig.ask(1);
        assert!(asked.poll().is_none());
        rig.peer.answer_all();
        assert!(asked.poll().expect("the answer").is_ok());
    }
    let (reads, empty) = rig.peer.count(|wire| (wire.reads, wire.empty_reads));
    assert_eq!(reads - empty, 1000);
    // An answer that comes at once would save a wait: that is tried now and then.
    assert!(empty <= 15, "{empty} of {reads} reads gave nothing");
}

#[test]
fn a_caller_that_is_not_polled_stops_nobody_else() {
    let mut rig = Rig::new();
    let mut stuck = rig.ask(1);
    assert!(stuck.poll().is_none());
    let mut asked = rig.request(Frame::command(CommandCode::CAMERA_IMAGE_SIZE_GET));
    while asked.poll().is_none() && asked.woken() > 0 {}
    let queries = rig.peer.take();
    assert_eq!(queries.len(), 2);
    rig.peer.send(&[answer_to(&queries[1], 1.0)]);
    assert_eq!((stuck.woken(), asked.woken()), (1, 0), "the first one has to read");
    rig.pass_until_due();
    rig.poll_driver();
    assert_eq!(asked.woken(), 1, "the driver has read instead");
    assert!(asked.poll().expect("the answer").is_ok());
    rig.peer.send(&[answer_to(&queries[0], 1.0)]);
    rig.poll_driver();
    assert!(stuck.poll().expect("its own answer").is_ok());
}

#[test]
fn a_dropped_call_leaves_the_reading_to_the_next() {
    let rig = Rig::new();
    let mut first = rig.ask(1);
    assert!(first.poll().is_none());
    let mut second = rig.ask(2);
    while second.poll().is_none() && second.woken() > 0 {}
    let queries = rig.peer.take();
    rig.peer.send(&[answer_to(&queries[1], 1.0)]);
    assert_eq!((first.woken(), second.woken()), (1, 0));
    drop(first);
    assert_eq!(second.woken(), 1);
    assert!(second.poll().expect("the answer").is_ok());
}

#[test]
fn calls_of_tasks_that_run_together_go_out_in_one_write() {
    let rig = Rig::new();
    let mut calls: Vec<_> = (1..=4).map(|axis| rig.ask(axis)).collect();
    for call in &mut calls {
        assert!(call.poll().is_none());
    }
    rig.peer.answer_all();
    for _ in 0..10 {
        rig.peer.0.lock().unwrap().writes = 0;
        for (axis, call) in (1..).zip(&mut calls) {
            assert!(call.poll_if_woken().expect("woken, and answered").is_ok());
            // It asks again at once.
            *call = rig.ask(axis);
            assert!(call.poll().is_none());
        }
        // Those that were held back run again, and find that they are written.
        for call in &mut calls {
            assert!(call.poll_if_woken().is_none());
        }
        assert_eq!(rig.peer.count(|wire| (wire.writes, wire.from_client.len())), (1, 4 * 128));
        rig.peer.answer_all();
    }
}

#[test]
fn a_call_that_is_held_back_goes_out_if_no_other_comes() {
    let rig = Rig::new();
    let mut calls: Vec<_> = (1..=3).map(|axis| rig.ask(axis)).collect();
    for call in &mut calls {
        while call.poll().is_none() && call.woken() > 0 {}
    }
    rig.peer.answer_all();
    assert!(calls[0].poll().expect("the answer").is_ok());
    // Two other callers are about to run.
    let mut next = rig.ask(4);
    assert!(next.poll().is_none());
    assert_eq!(rig.peer.take(), []);
    assert_eq!(next.woken(), 1);
    assert!(next.poll().is_none());
    assert_eq!(rig.peer.take().len(), 1);
}

#[test]
fn a_stop_is_not_held_back_and_takes_the_others_with_it() {
    let rig = Rig::new();
    let mut calls: Vec<_> = (1..=3).map(|axis| rig.ask(axis)).collect();
    for call in &mut calls {
        while call.poll().is_none() && call.woken() > 0 {}
    }
    rig.peer.answer_all();
    assert!(calls[0].poll().expect("the answer").is_ok());
    let mut next = rig.ask(4);
    assert!(next.poll().is_none());
    let client = rig.client.clone();
    let mut halt = Task::new(async move { client.halt(1).await });
    assert!(halt.poll().is_none());
    let codes: Vec<_> = rig.peer.take().iter().map(|frame| frame.code).collect();
    assert_eq!(codes, [CommandCode::STAGE_HALT, CommandCode::STAGE_POSITION_GET]);
}

#[test]
fn a_full_socket_is_not_written_until_it_reports_room() {
    let mut rig = Rig::new();
    rig.peer.0.lock().unwrap().room = 100;
    let mut asked = rig.ask(1);
    assert!(asked.poll().is_none());
    for axis in 2..=4 {
        let mut other = rig.ask(axis);
        while other.poll().is_none() && other.woken() > 0 {}
    }
    assert_eq!(rig.peer.count(|wire| wire.full_writes), 1, "one tells that it is full");
    rig.peer.make_room(usize::MAX / 2);
    assert_eq!(rig.driver_woken(), 1, "what waits for room is the driver's");
    rig.poll_driver();
    // The futures of the others were dropped: they are not sent any more.
    assert_eq!(rig.peer.take().len(), 1);
    assert_eq!(rig.peer.count(|wire| wire.full_writes), 1);
}
