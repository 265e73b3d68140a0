//! How a connection begins and ends: handshake, loss, and the opt-in connecting again.
//! The loop in between is `driver.rs`.

use std::net::TcpStream;
use std::time::Duration;

use flamingo_protocol_core::{CommandCode, Frame, TokenField};
use smol::{Async, Timer, future};
use socket2::SockRef;

use crate::desk::{Answer, Order, Reply};
use crate::driver::{Driver, Lost};
use crate::error::Error;
use crate::fanout::Event;
use crate::inbox::Wake;
use crate::socket;

impl Driver {
    /// Listens for a moment, then asks for the system's state: only a peer that answers gets
    /// any other command. Takes at most `settle` + `timeout`, whatever else comes in.
    pub(crate) async fn handshake(&mut self, stream: &Async<TcpStream>) -> Result<Answer, Error> {
        let settled = self.clock.now() + self.options.settle.into();
        while self.clock.now() < settled {
            let turn = self.turn(stream, Some(settled)).await;
            turn.map_err(|lost| self.handshake_failed(&lost))?;
        }
        let (reply, answer) = async_channel::bounded(1);
        let order = Order {
            frame: Frame::command(CommandCode::SYSTEM_STATE_GET),
            payload: None,
            asked_at: self.clock.now(),
            timeout: self.options.timeout,
            reply: Reply::Answer(reply),
        };
        let asked = self.core.request(self.clock.now(), &order.frame, order.deadline());
        let refused = |source| Error::Refused { code: CommandCode::SYSTEM_STATE_GET, source };
        self.desk.take_in(asked.map_err(refused)?, order);
        // From here on an answer that nobody is named in is one without its token.
        self.answered_without_token = false;
        loop {
            match answer.try_recv() {
                Ok(Ok(answer)) => {
                    self.open = true;
                    return Ok(answer);
                }
                Ok(Err(error)) => return Err(self.handshake_error(error)),
                Err(_) => {}
            }
            let turn = self.turn(stream, None).await;
            turn.map_err(|lost| self.handshake_failed(&lost))?;
        }
    }

    fn handshake_failed(&self, lost: &Lost) -> Error {
        self.handshake_error(self.lost_error(&lost.reason()))
    }

    /// What is behind `error`, if that is known.
    fn handshake_error(&self, error: Error) -> Error {
        self.not_flamingo().or_else(|| self.tokens_not_echoed()).unwrap_or(error)
    }

    /// If the question was answered, but nobody was named.
    fn tokens_not_echoed(&self) -> Option<Error> {
        let field = self.options.core.tokens.filter(|_| self.answered_without_token)?;
        Some(Error::TokensNotEchoed {
            address: self.options.address.clone(),
            field: match field {
                TokenField::ClientId => "clientID",
                TokenField::Int32Data2 => "int32Data2",
            },
        })
    }

    /// If bytes came, and none of them was a frame.
    fn not_flamingo(&self) -> Option<Error> {
        if self.first_bytes.is_empty() || self.core.counters().frames_received() > 0 {
            return None;
        }
        let expected = "expected frames that begin with 54 E6 21 F3";
        let found = self.first_bytes.escape_ascii();
        let what = match self.core.last_rejected() {
            Some(rejected) => format!("{expected}, found \"{found}\" ({rejected})"),
            None => format!("{expected}, found \"{found}\""),
        };
        Some(Error::NotFlamingo { address: self.options.address.clone(), what })
    }

    /// Until the last client is gone, or the connection is lost for good.
    pub(crate) async fn run(mut self, mut stream: Async<TcpStream>) {
        loop {
            let lost = loop {
                if let Err(lost) = self.turn(&stream, None).await {
                    break lost;
                }
            };
            let Some(fresh) = self.recover(lost, stream).await else { return };
            stream = fresh;
        }
    }

    /// Ends everything in flight, tells the subscribers, closes the socket and, if that is
    /// wanted, connects again.
    async fn recover(&mut self, lost: Lost, stream: Async<TcpStream>) -> Option<Async<TcpStream>> {
        let stop_blocked = matches!(lost, Lost::StopBlocked);
        let reason = lost.reason();
        if matches!(lost, Lost::Closed) {
            tracing::debug!(address = self.options.address, "connection closed");
        } else {
            tracing::warn!(address = self.options.address, reason, "connection lost");
        }
        let address = self.options.address.clone();
        let error = || Error::lost(&address, &reason);
        let mut stops = self.desk.lose_all(stop_blocked, &error);
        if matches!(lost, Lost::Closed) {
            return None;
        }
        self.fanout.publish(&Event::ConnectionLost);
        if stop_blocked {
            // What is half-sent must not arrive after the stop: reset, do not drain.
            let _ = SockRef::from(stream.get_ref()).set_linger(Some(Duration::ZERO));
        }
        drop(stream);
        let mut at_once = stop_blocked;
        loop {
            let connected = self.connect_again(at_once).await?;
            at_once = false;
            if let Ok(stream) = connected {
                self.restart();
                stops.drain(..).for_each(|stop| self.accept(stop));
                if self.handshake(&stream).await.is_ok() {
                    self.reconnects += 1;
                    self.fanout.publish(&Event::Reconnected);
                    return Some(stream);
                }
                self.desk.lose_all(false, &error);
            }
            // A stop that comes at some later time is none: whoever asked for it decides again.
            stops.drain(..).for_each(|stop| stop.refuse(error()));
            self.options.reconnect?;
        }
    }

    /// One attempt, after the back-off unless `at_once`. Orders that come in the meantime are
    /// refused: nothing is kept to be sent later. `None`: there will be no connection.
    async fn connect_again(&self, at_once: bool) -> Option<Result<Async<TcpStream>, Error>> {
        let wait = match self.options.reconnect {
            _ if at_once => Duration::ZERO,
            Some(reconnect) => reconnect.wait(),
            None => return None,
        };
        let attempt = async {
            Timer::after(wait).await;
            Some(socket::connect(&self.options.address, self.options.connect_timeout).await)
        };
        let calls = async {
            loop {
                match self.inbox.next().await.ok()? {
                    Wake::Order(order) => {
                        order.refuse(self.lost_error("not connected at present"));
                    }
                    Wake::Stats(reply) => self.tell_stats(&reply),
                    Wake::Dropped => {}
                }
            }
        };
        future::or(attempt, calls).await
    }
}

impl Lost {
    fn reason(&self) -> String {
        match self {
            Self::Peer(reason) => reason.clone(),
            Self::StopBlocked => "a stop could not be written in time".into(),
            Self::Closed => "it was closed".into(),
        }
    }
}
