//! A scripted peer: the other end of a client's socket, controlled by the test frame by frame. It has no behaviour of its
//! own; the simulator has that of an instrument.

use std::net::{TcpListener, TcpStream};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use flamingo_protocol_core::{
    CommandCode, Flags, Frame,
    wire::{Kind, TABLE},
};
use flamingo_runtime_std::{Client, Error, Event, EventFrame, Options, Subscription};
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::{Async, Timer, future};

/// Longer than anything here takes. A test that waits longer has failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// A driver that a test polls.
pub type Driver = Pin<Box<dyn Future<Output = ()> + Send>>;

pub struct Peer {
    pub stream: Async<TcpStream>,
}

/// Waits for a future. Fails the test, naming `what`, when that takes too long.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    let late = async {
        Timer::after(PATIENCE).await;
        panic!("waited too long for {what}")
    };
    future::or(future, late).await
}

pub fn listen() -> (Async<TcpListener>, Options) {
    let listener = Async::<TcpListener>::bind(([127, 0, 0, 1], 0)).unwrap();
    let mut options = Options::new(listener.get_ref().local_addr().unwrap().to_string());
    options.settle = Duration::from_millis(1);
    (listener, options)
}

impl Peer {
    pub async fn accept(listener: &Async<TcpListener>) -> Self {
        let (stream, _) = soon("a connection", listener.accept()).await.unwrap();
        stream.get_ref().set_nodelay(true).unwrap();
        Self { stream }
    }

    /// Accepts a connection and plays the instrument's half of the handshake.
    pub async fn accept_and_shake_hands(listener: &Async<TcpListener>) -> Self {
        let mut peer = Self::accept(listener).await;
        peer.shake_hands().await;
        peer
    }

    /// Reads the next frame. Its payload stays in the stream.
    pub async fn read(&mut self) -> Frame {
        Frame::decode(&self.read_bytes(128).await).expect("a whole frame")
    }

    pub async fn read_bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        soon("bytes", self.stream.read_exact(&mut bytes)).await.unwrap();
        bytes
    }

    pub async fn expect(&mut self, code: CommandCode) -> Frame {
        let frame = self.read().await;
        assert_eq!(frame.code, code, "expected {code}, got {frame}");
        frame
    }

    pub async fn write(&mut self, frame: &Frame) {
        self.write_bytes(&frame.encode()).await;
    }

    pub async fn write_bytes(&mut self, bytes: &[u8]) {
        soon("room in the socket", self.stream.write_all(bytes)).await.unwrap();
    }

    /// Echoes a command with status 1 and a value.
    pub async fn answer(&mut self, command: &Frame, value: f64) {
        self.write(&answer_to(command, value)).await;
    }

    /// Plays the instrument's half of the handshake.
    pub async fn shake_hands(&mut self) {
        let query = self.expect(CommandCode::SYSTEM_STATE_GET).await;
        self.answer(&query, 0.0).await;
    }
}

pub fn answer_to(command: &Frame, value: f64) -> Frame {
    let mut answer = *command;
    answer.status = 1;
    answer.payload_len = 0;
    answer.value = value;
    answer
}

/// A client and its peer, after the handshake.
pub async fn connected(tune: impl FnOnce(&mut Options)) -> (Client, Peer) {
    let (listener, mut options) = listen();
    tune(&mut options);
    connected_to(&listener, options).await
}

/// A client that connects to `listener`, and its peer, after the handshake.
pub async fn connected_to(listener: &Async<TcpListener>, options: Options) -> (Client, Peer) {
    let peer = Peer::accept_and_shake_hands(listener);
    let (client, peer) = future::zip(Client::connect(options), peer).await;
    (client.expect("the handshake"), peer)
}

/// A client, its driver, which runs only while the test polls it, and its peer, after the handshake.
pub async fn opened(tune: impl FnOnce(&mut Options)) -> (Client, Driver, Peer) {
    let (listener, mut options) = listen();
    tune(&mut options);
    let peer = Peer::accept_and_shake_hands(&listener);
    let (client, peer) = future::zip(Client::open(options), peer).await;
    let (client, driver) = client.expect("the handshake");
    (client, Box::pin(driver), peer)
}

pub fn position_of(axis: i32) -> Frame {
    Frame::command(CommandCode::STAGE_POSITION_GET).with_selector(axis)
}

pub fn move_to(axis: i32, target: f64) -> Frame {
    Frame::command(CommandCode::STAGE_POSITION_SET).with_selector(axis).with_value(target)
}

/// A push during a motion, flagged as by the server.
pub fn position_push(axis: i32, value: f64) -> Frame {
    let mut push =
        Frame::new(CommandCode::STAGE_POSITION_GET).with_selector(axis).with_value(value);
    push.flags = Flags::STAGE_POSITIONS_IN_BUFFER;
    push
}

pub fn motion_stopped(axis: i32, status: i32) -> Frame {
    let mut stopped = Frame::new(CommandCode::STAGE_MOTION_STOPPED).with_selector(axis);
    stopped.status = status;
    stopped
}

/// The codes that only the server sends.
pub fn event_codes() -> impl Iterator<Item = CommandCode> + Clone {
    TABLE.iter().filter(|row| row.kind == Kind::Event).map(|row| row.code)
}

pub async fn next_frame(events: &mut Subscription) -> Arc<EventFrame> {
    match soon("an event", events.next()).await {
        Some(Event::Frame(event)) => event,
        other => panic!("expected a frame, got {other:?}"),
    }
}

pub fn is_lost<T: std::fmt::Debug>(result: &Result<T, Error>) -> bool {
    matches!(result, Err(Error::ConnectionLost { .. }))
}
