//! The async client as a subject of the suite, on any executor.

use std::marker::PhantomData;
use std::time::Duration;

use flamingo_protocol_core::{Class, CommandCode, Frame};
use flamingo_runtime_std::{
    Answer, Client, Error, Event, MotionStopped, MotionWaiter, Options, Stats, Stopped,
    Subscription,
};
use smol::future;

use super::{Asks, Call, Calls, Events, Hears, Work};
use crate::peer::{Peer, listen, next_frame, soon};

/// An executor, and how a client is made there.
pub trait Host: Send + Sync + 'static {
    fn run(test: impl Future<Output = ()> + 'static);
    fn connect(options: Options) -> Call<Result<Client, Error>>;
    fn halt_at(options: Options, axes: &'static [i32]) -> Call<Result<Vec<Stopped>, Error>>;
    /// Starts a task, and gives its end.
    fn spawn(task: Work) -> Call<()>;
}

/// smol, with the driver on its global executor.
pub struct Smol;

impl Host for Smol {
    fn run(test: impl Future<Output = ()> + 'static) {
        smol::block_on(test);
    }

    fn connect(options: Options) -> Call<Result<Client, Error>> {
        Box::pin(Client::connect(options))
    }

    fn halt_at(options: Options, axes: &'static [i32]) -> Call<Result<Vec<Stopped>, Error>> {
        Box::pin(Client::halt_at(options, axes))
    }

    fn spawn(task: Work) -> Call<()> {
        Box::pin(smol::spawn(task))
    }
}

/// A client on a host.
pub struct Hosted<H>(pub Client, PhantomData<fn() -> H>);

impl<H> Clone for Hosted<H> {
    fn clone(&self) -> Self {
        Self(self.0.clone(), PhantomData)
    }
}

impl<H: Host> Hosted<H> {
    fn call<T, F: Future<Output = T> + Send>(
        &self,
        call: impl FnOnce(Client) -> F + Send + 'static,
    ) -> Call<T> {
        let client = self.0.clone();
        Box::pin(async move { call(client).await })
    }
}

impl<H: Host> Asks for Hosted<H> {
    type Failure = Error;
    type Heard = Subscription;

    fn run(test: impl Future<Output = ()> + 'static) {
        H::run(test);
    }

    async fn connected(tune: impl FnOnce(&mut Options)) -> (Self, Peer) {
        connected(tune).await
    }

    fn request(&self, frame: Frame) -> Call<Result<Frame, Error>> {
        self.call(async move |client| Ok(client.request(frame).await?.frame))
    }

    async fn given_up<T>(&self, frame: Frame, script: impl Future<Output = T>) -> T {
        let call = self.0.request(frame);
        future::or(async { Err(call.await) }, async { Ok(script.await) })
            .await
            .unwrap_or_else(|ended| panic!("the call ended before it was dropped: {ended:?}"))
    }

    fn hear(&self) -> Subscription {
        self.0.subscribe(&[])
    }
}

/// A client that has connected to a peer which has shaken hands.
pub async fn connected<C: Calls>(tune: impl FnOnce(&mut Options)) -> (C, Peer) {
    let (listener, mut options) = listen();
    tune(&mut options);
    let peer = Peer::accept_and_shake_hands(&listener);
    let (client, peer) = future::zip(C::connect(options), peer).await;
    (client.expect("the handshake"), peer)
}

impl Hears for Subscription {
    async fn next_frame(&mut self) -> (Frame, Option<Class>) {
        let event = next_frame(self).await;
        (event.frame, Some(event.class.clone()))
    }
}

impl Events for Subscription {
    async fn next(&mut self) -> Option<Event> {
        soon("an event", Subscription::next(self)).await
    }

    async fn give_up(&mut self) {
        let event = future::poll_once(Box::pin(Subscription::next(self))).await;
        assert!(event.is_none(), "{event:?}");
    }
}

impl<H: Host> Calls for Hosted<H> {
    type Events = Subscription;
    type Motion = MotionWaiter;

    fn connect(options: Options) -> Call<Result<Self, Error>> {
        Box::pin(async { Ok(Self(H::connect(options).await?, PhantomData)) })
    }

    fn halt_at(options: Options, axes: &'static [i32]) -> Call<Result<Vec<Stopped>, Error>> {
        H::halt_at(options, axes)
    }

    fn ask(&self, frame: Frame) -> Call<Result<Answer, Error>> {
        self.call(async move |client| client.request(frame).await)
    }

    fn ask_here(&self, frame: Frame) -> Call<Result<Answer, Error>> {
        self.ask(frame)
    }

    fn send(&self, frame: Frame) -> Call<Result<(), Error>> {
        self.call(async move |client| client.send(frame).await)
    }

    fn send_with_payload(&self, frame: Frame, payload: Vec<u8>) -> Call<Result<(), Error>> {
        self.call(async move |client| client.send_with_payload(frame, payload).await)
    }

    fn upload(
        &self,
        frame: Frame,
        payload: Vec<u8>,
        time: Duration,
    ) -> Call<Result<Answer, Error>> {
        self.call(async move |client| client.upload(frame, payload, time).await)
    }

    fn halt(&self, axis: i32) -> Call<Result<Answer, Error>> {
        self.call(async move |client| client.halt(axis).await)
    }

    fn stats(&self) -> Call<Result<Stats, Error>> {
        self.call(async move |client| client.stats().await)
    }

    fn close(self) -> Call<()> {
        Box::pin(self.0.close())
    }

    fn subscribe(&self, codes: &[CommandCode]) -> Subscription {
        self.0.subscribe(codes)
    }

    fn arm(&self, axis: i32) -> MotionWaiter {
        self.0.arm(axis)
    }

    fn end_of(mut motion: MotionWaiter) -> Call<Result<MotionStopped, Error>> {
        Box::pin(async move { motion.wait().await })
    }

    async fn at_once(
        &self,
        count: usize,
        body: impl Fn(Self, usize) -> Work + Send + Sync + Clone + 'static,
    ) {
        let start = |number| H::spawn(body(self.clone(), number));
        let tasks: Vec<_> = (0..count).map(start).collect();
        for task in tasks {
            task.await;
        }
    }
}
