//! How a connection begins and ends: handshake, loss, and the opt-in connecting again.
//! The loop in between is `driver.rs`.

use std::net::Shutdown;
use std::time::Duration;

use async_channel::Receiver;
use flamingo_protocol_core::{CommandCode, Frame, START_MARKER, TokenField};
use smol::io::AsyncReadExt;
use smol::{Timer, future};
use socket2::SockRef;

use crate::desk::{Answer, Order, Reply};
use crate::driver::{Driver, Lost};
use crate::error::Error;
use crate::fanout::Event;
use crate::socket;

/// How long a peer that was silent may take to say what it is.
const LAST_WORDS: Duration = Duration::from_millis(300);

impl Driver {
    /// Listens for a moment, then asks for the system's state: only a peer that answers gets
    /// any other command. Takes at most `settle` + `timeout`, whatever else comes in; with a
    /// peer that says nothing at all, [`LAST_WORDS`] more.
    pub(crate) async fn handshake(&mut self) -> Result<Answer, Error> {
        let settled = self.clock.now() + self.options.settle.into();
        while self.clock.now() < settled {
            let turn = self.turn(Some(settled)).await;
            turn.map_err(|lost| self.handshake_failed(&lost))?;
        }
        let (reply, answer) = async_channel::bounded(1);
        let order = Order {
            frame: Frame::command(CommandCode::SYSTEM_STATE_GET),
            payload: None,
            asked_at: self.clock.now(),
            timeout: self.options.timeout,
            reply: Reply::Answer(reply),
            written: false,
        };
        let asked = self.core.request(self.clock.now(), &order.frame, order.deadline());
        let refused = |source| Error::Refused { code: CommandCode::SYSTEM_STATE_GET, source };
        self.desk.take_in(asked.map_err(refused)?, order);
        // From here on an answer that nobody is named in is one without its token.
        self.answered_without_token = false;
        loop {
            if let Some(field) = self.options.core.tokens.filter(|_| self.answered_without_token) {
                return Err(Error::TokensNotEchoed {
                    address: self.options.address.clone(),
                    field: match field {
                        TokenField::ClientId => "clientID",
                        TokenField::Int32Data2 => "int32Data2",
                    },
                });
            }
            match answer.try_recv() {
                Ok(Ok(answer)) => {
                    self.open = true;
                    return Ok(answer);
                }
                Ok(Err(error)) => {
                    self.hear_last_words().await;
                    return Err(self.not_flamingo().unwrap_or(error));
                }
                Err(_) => {}
            }
            let turn = self.turn(None).await;
            turn.map_err(|lost| self.handshake_failed(&lost))?;
        }
    }

    fn handshake_failed(&self, lost: &Lost) -> Error {
        self.not_flamingo().unwrap_or_else(|| self.lost_error(&lost.reason()))
    }

    /// A silent peer may wait for the end of a line, as an HTTP server does. Nothing will be sent
    /// to it any more: that is said, and it may say what it is.
    async fn hear_last_words(&mut self) {
        let Some(stream) = self.stream.as_mut().filter(|_| self.first_bytes.is_empty()) else {
            return;
        };
        if stream.get_ref().shutdown(Shutdown::Write).is_err() {
            return;
        }
        let mut words = [0; 16];
        let late = async {
            Timer::after(LAST_WORDS).await;
            Ok(0)
        };
        if let Ok(count) = future::or(stream.read(&mut words), late).await {
            self.first_bytes.extend(words.iter().take(count));
        }
    }

    /// If bytes came, and neither a frame nor the beginning of one is among them.
    fn not_flamingo(&self) -> Option<Error> {
        let rejected = self.core.last_rejected();
        let begun = rejected.is_none() && self.first_bytes.starts_with(&START_MARKER.to_le_bytes());
        if self.first_bytes.is_empty() || begun || self.core.counters().frames_received() > 0 {
            return None;
        }
        let what = match rejected {
            Some(rejected) => format!("a broken frame came: {rejected}"),
            None => format!(
                "expected frames that begin with 54 E6 21 F3, found \"{}\"",
                self.first_bytes.escape_ascii()
            ),
        };
        Some(Error::NotFlamingo { address: self.options.address.clone(), what })
    }

    /// Until the last client is gone, or the connection is lost for good.
    pub(crate) async fn run(mut self) {
        loop {
            let lost = loop {
                if let Err(lost) = self.turn(None).await {
                    break lost;
                }
            };
            if !self.recover(lost).await {
                break;
            }
        }
    }

    /// Ends everything in flight, tells the subscribers and, if that is wanted, connects again.
    async fn recover(&mut self, lost: Lost) -> bool {
        let stop_blocked = matches!(lost, Lost::StopBlocked);
        let reason = lost.reason();
        if matches!(lost, Lost::Closed) {
            tracing::debug!(address = self.options.address, "connection closed");
        } else {
            tracing::warn!(address = self.options.address, reason, "connection lost");
        }
        let address = self.options.address.clone();
        let error = || Error::lost(&address, &reason);
        let stops = self.desk.lose_all(stop_blocked, &error);
        if matches!(lost, Lost::Closed) {
            return false;
        }
        self.fanout.publish(&Event::ConnectionLost);
        // Closed before there is another one: a server takes only so many clients.
        if let Some(stream) = self.stream.take().filter(|_| stop_blocked) {
            // What is half-sent must not arrive after the stop: reset, do not drain.
            let _ = SockRef::from(stream.get_ref()).set_linger(Some(Duration::ZERO));
        }
        let mut stops = stops;
        let mut at_once = stop_blocked;
        loop {
            let attempt = self.connect_again(at_once).await;
            let Some(connected) = attempt else { break };
            at_once = false;
            // For this attempt only: a stop is never sent when nobody expects it any more.
            let stops = std::mem::take(&mut stops);
            if let Ok(stream) = connected {
                self.restart(stream);
                for stop in stops {
                    self.accept(stop);
                }
                if self.handshake().await.is_ok() {
                    self.reconnects += 1;
                    self.fanout.publish(&Event::Reconnected);
                    return true;
                }
                self.desk.lose_all(false, &error);
                self.stream = None;
            } else {
                for stop in stops {
                    stop.refuse(error());
                }
            }
            if self.options.reconnect.is_none() {
                break;
            }
        }
        for stop in stops {
            stop.refuse(error());
        }
        false
    }

    /// One attempt, after the back-off unless `at_once`. Orders that come in the meantime are
    /// refused: nothing is kept to be sent later. `None`: there will be no connection.
    async fn connect_again(
        &self,
        at_once: bool,
    ) -> Option<Result<smol::Async<std::net::TcpStream>, Error>> {
        let wait = match self.options.reconnect {
            _ if at_once => Duration::ZERO,
            Some(reconnect) => reconnect.wait(),
            None => return None,
        };
        let attempt = async {
            Timer::after(wait).await;
            Some(socket::connect(&self.options.address, self.options.connect_timeout).await)
        };
        let refuse =
            future::or(self.refuse_all(&self.inbox.stops), self.refuse_all(&self.inbox.orders));
        let gone = future::or(refuse, self.tell_all_stats());
        future::or(attempt, async {
            gone.await;
            None
        })
        .await
    }

    /// Ends when all clients are gone.
    async fn refuse_all(&self, orders: &Receiver<Order>) {
        while let Ok(order) = orders.recv().await {
            order.refuse(self.lost_error("not connected at present"));
        }
    }

    /// Ends when all clients are gone.
    async fn tell_all_stats(&self) {
        while let Ok(reply) = self.inbox.stats.recv().await {
            self.tell_stats(&reply);
        }
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
