//! The suite of every client, on plain threads. A call of the suite is a thread; a call that
//! is given up is one that ends by its own time limit.

use std::sync::mpsc::{RecvTimeoutError, TryRecvError};
use std::time::Duration;

use flamingo_runtime_std::blocking::{Client, MotionWaiter, Subscription};
use flamingo_runtime_std::protocol::{Class, CommandCode, Frame};
use flamingo_runtime_std::{Answer, Error, Event, Options, Stopped};
use flamingo_runtime_std::{MotionStopped, Stats};
use flamingo_runtime_testkit::peer::{Peer, soon};
use flamingo_runtime_testkit::suite::hosted::connected;
use flamingo_runtime_testkit::suite::{Asks, Call, Calls, Events, Hears, SHORT, Work};
use smol::future;

/// A client for plain threads.
#[derive(Clone)]
struct Plain(Client);

/// Calls on a thread of its own, which begins at once.
fn on_a_thread<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> Call<T> {
    Box::pin(smol::unblock(call))
}

impl Plain {
    fn call<T: Send + 'static>(&self, call: impl FnOnce(&Client) -> T + Send + 'static) -> Call<T> {
        let client = self.0.clone();
        on_a_thread(move || call(&client))
    }
}

impl Asks for Plain {
    type Failure = Error;
    type Heard = Received;

    fn run(test: impl Future<Output = ()> + 'static) {
        smol::block_on(test);
    }

    async fn connected(tune: impl FnOnce(&mut Options)) -> (Self, Peer) {
        connected(tune).await
    }

    fn request(&self, frame: Frame) -> Call<Result<Frame, Error>> {
        self.call(move |client| Ok(client.request(frame)?.frame))
    }

    async fn given_up<T>(&self, frame: Frame, script: impl Future<Output = T>) -> T {
        let call = self.call(move |client| client.request_within(frame, SHORT));
        let (ended, value) = future::zip(call, script).await;
        assert!(matches!(ended, Err(Error::TimedOut { .. })), "{ended:?}");
        value
    }

    fn hear(&self) -> Self::Heard {
        Received(Some(self.0.subscribe(&[])))
    }
}

/// A subscription, which is with the thread that waits for an event, and comes back.
struct Received(Option<Subscription>);

impl Received {
    async fn next(&mut self) -> Option<Event> {
        let mut events = self.0.take().expect("nobody else waits");
        let (event, events) = soon("an event", on_a_thread(move || (events.recv(), events))).await;
        self.0 = Some(events);
        event
    }
}

impl Hears for Received {
    async fn next_frame(&mut self) -> (Frame, Option<Class>) {
        match self.next().await {
            Some(Event::Frame(event)) => (event.frame, Some(event.class.clone())),
            other => panic!("expected a frame, got {other:?}"),
        }
    }
}

impl Events for Received {
    async fn next(&mut self) -> Option<Event> {
        Received::next(self).await
    }

    async fn give_up(&mut self) {
        let events = self.0.as_mut().expect("nobody else waits");
        assert_eq!(events.try_recv().unwrap_err(), TryRecvError::Empty);
        let waited = events.recv_timeout(Duration::from_millis(5)).map(drop);
        assert_eq!(waited, Err(RecvTimeoutError::Timeout));
    }
}

impl Calls for Plain {
    type Events = Received;
    type Motion = MotionWaiter;

    fn connect(options: Options) -> Call<Result<Self, Error>> {
        on_a_thread(|| Client::connect(options).map(Self))
    }

    fn halt_at(options: Options, axes: &'static [i32]) -> Call<Result<Vec<Stopped>, Error>> {
        on_a_thread(|| Client::halt_at(options, axes))
    }

    fn ask(&self, frame: Frame) -> Call<Result<Answer, Error>> {
        self.call(move |client| client.request(frame))
    }

    fn ask_here(&self, frame: Frame) -> Call<Result<Answer, Error>> {
        let client = self.0.clone();
        Box::pin(async move { client.request(frame) })
    }

    fn send(&self, frame: Frame) -> Call<Result<(), Error>> {
        self.call(move |client| client.send(frame))
    }

    fn send_with_payload(&self, frame: Frame, payload: Vec<u8>) -> Call<Result<(), Error>> {
        self.call(move |client| client.send_with_payload(frame, payload))
    }

    fn upload(
        &self,
        frame: Frame,
        payload: Vec<u8>,
        time: Duration,
    ) -> Call<Result<Answer, Error>> {
        self.call(move |client| client.upload(frame, payload, time))
    }

    fn halt(&self, axis: i32) -> Call<Result<Answer, Error>> {
        self.call(move |client| client.halt(axis))
    }

    fn stats(&self) -> Call<Result<Stats, Error>> {
        self.call(Client::stats)
    }

    fn close(self) -> Call<()> {
        on_a_thread(|| self.0.close())
    }

    fn subscribe(&self, codes: &[CommandCode]) -> Self::Events {
        Received(Some(self.0.subscribe(codes)))
    }

    fn arm(&self, axis: i32) -> MotionWaiter {
        self.0.arm(axis)
    }

    fn end_of(mut motion: MotionWaiter) -> Call<Result<MotionStopped, Error>> {
        on_a_thread(move || motion.wait())
    }

    async fn at_once(
        &self,
        count: usize,
        body: impl Fn(Self, usize) -> Work + Send + Sync + Clone + 'static,
    ) {
        let start = |number| {
            let (client, body) = (self.clone(), body.clone());
            on_a_thread(move || smol::block_on(body(client, number)))
        };
        let threads: Vec<_> = (0..count).map(start).collect();
        for thread in threads {
            thread.await;
        }
    }
}

mod suite {
    flamingo_runtime_testkit::calls_suite!(super::Plain);
}
