//! Where messages come from: the events of a client, or the callback port of a bridge, which sends without being
//! asked. Both connect again when the connection is lost.

use std::net::TcpStream;
use std::time::Duration;

use flamingo_protocol_core::wire::{Assembler, MAX_PAYLOAD, Piece};
use flamingo_runtime_std::{
    Client, Clock, Event, MessageCollector, Payload, Reconnect, Subscription, socket,
};
use smol::Async;
use smol::io::AsyncReadExt;

use super::WatchArgs;
use super::line::Message;
use crate::args::address;
use crate::failure::{CommandResult, Failure};

/// How long a callback port may take to accept, and the pause before the next try.
const CONNECT: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_secs(1);
const LOST: &str = "warning: connection lost; messages are missed until it is there again";

/// What comes next.
pub(super) enum News {
    Message(Box<Message>),
    /// This many messages were missed.
    Lagged(u64),
    /// Something about the connection that the user should know.
    Said(String),
    /// The connection is lost for good.
    Lost,
}

pub(super) enum Source {
    Events { events: Subscription, reconnects: bool, _client: Client },
    Callback(Box<Callback>),
}

impl Source {
    pub(super) async fn connect(args: &WatchArgs) -> CommandResult<Self> {
        let (control, reconnects) = (&args.client.server.connect, !args.no_reconnect);
        if let Some(port) = &args.callback {
            let address = callback_address(port, control)?;
            let stream = socket::connect(&address, CONNECT).await?;
            return Ok(Self::Callback(Box::new(Callback::new(address, stream, reconnects))));
        }
        let mut options = args.client.peer.options(control, args.client.timeout)?;
        if reconnects {
            options = options.reconnect(Reconnect::default());
        }
        let client = Client::connect(options).await?;
        Ok(Self::Events { events: client.subscribe(&args.code), reconnects, _client: client })
    }

    /// Waits for what comes next. Cancel-safe: nothing is lost if the future is dropped.
    pub(super) async fn next(&mut self) -> News {
        match self {
            Self::Callback(callback) => callback.next().await,
            Self::Events { events, reconnects, .. } => loop {
                let said = match events.next().await {
                    Some(Event::Frame(event)) => {
                        return News::Message(Box::new(Message {
                            frame: event.frame,
                            payload: event.payload.clone(),
                            class: Some(event.class.clone()),
                            at: event.at,
                            skipped: event.skipped,
                        }));
                    }
                    Some(Event::Lagged(missed)) => return News::Lagged(missed),
                    Some(Event::Unresponsive) => "warning: the instrument no longer answers",
                    Some(Event::Responsive) => "the instrument answers again",
                    Some(Event::Reconnected) => "connected again",
                    Some(Event::ConnectionLost) if *reconnects => LOST,
                    Some(Event::ConnectionLost) | None => return News::Lost,
                    Some(_) => continue,
                };
                return News::Said(said.to_owned());
            },
        }
    }
}

/// `PORT` on the host of the control port, or `HOST:PORT`.
fn callback_address(text: &str, control: &str) -> CommandResult<String> {
    let whole = match (text.parse::<u16>(), control.rsplit_once(':')) {
        (Ok(port), Some((host, _))) => format!("{host}:{port}"),
        _ if text.contains(':') => text.to_owned(),
        _ => {
            let message = format!("--callback: expected a port or HOST:PORT, found {text:?}");
            return Err(Failure::usage(message));
        }
    };
    address(&whole).map_err(|error| Failure::usage(format!("--callback: {error}")))
}

/// A port that only sends.
pub(super) struct Callback {
    address: String,
    /// `None` while the connection is lost.
    stream: Option<Async<TcpStream>>,
    reconnects: bool,
    assembler: Assembler,
    collector: MessageCollector<u32>,
    /// Bytes that were read and not taken yet.
    rest: Vec<u8>,
}

impl Callback {
    fn new(address: String, stream: Async<TcpStream>, reconnects: bool) -> Self {
        let assembler = Assembler::for_answers(MAX_PAYLOAD);
        let (collector, rest) = (MessageCollector::default(), Vec::new());
        Self { address, stream: Some(stream), reconnects, assembler, collector, rest }
    }

    async fn next(&mut self) -> News {
        loop {
            if let Some(message) = self.take() {
                return News::Message(Box::new(message));
            }
            let Some(stream) = &mut self.stream else {
                if let Ok(stream) = socket::connect(&self.address, CONNECT).await {
                    *self = Self::new(std::mem::take(&mut self.address), stream, self.reconnects);
                    return News::Said("connected again".to_owned());
                }
                smol::Timer::after(PAUSE).await;
                continue;
            };
            let mut buffer = vec![0; 16 * 1024];
            match stream.read(&mut buffer).await {
                Ok(count @ 1..) => self.rest.extend_from_slice(&buffer[..count]),
                _ if self.reconnects => {
                    self.stream = None;
                    return News::Said(LOST.to_owned());
                }
                _ => return News::Lost,
            }
        }
    }

    /// The next whole message of the bytes that were read.
    fn take(&mut self) -> Option<Message> {
        let (mut taken, mut found) = (0, None);
        while found.is_none() && taken < self.rest.len() {
            let (count, piece) = self.assembler.push(&self.rest[taken..]);
            taken += count;
            found = match piece {
                Some(Piece::Frame { frame, skipped }) => self.collector.frame(frame, skipped),
                Some(Piece::Payload { bytes, remaining }) => {
                    self.collector.payload(bytes, remaining)
                }
                None => None,
            };
        }
        self.rest.drain(..taken);
        let (message, skipped) = found?;
        let payload = Payload::from(message.payload);
        Some(Message { frame: message.frame, payload, class: None, at: Clock::wall(), skipped })
    }
}
