//! How a connection begins and ends: handshake, loss, and the opt-in connecting again.
//! The loop in between is `driver.rs`.

use std::time::Duration;

use async_channel::Receiver;
use flamingo_protocol_core::{CommandCode, Frame, TokenField};
use smol::{Timer, future};
use socket2::SockRef;

use crate::driver::pending_calls::{Answer, Call, Reply};
use crate::driver::{Driver, Lost};
use crate::error::Error;
use crate::fanout::{CallId, Event};
use crate::options::Options;
use crate::socket;

/// How long a peer that did not answer may take to say what it is.
const LAST_WORDS: Duration = Duration::from_millis(300);

impl Driver {
    /// Listens for a moment, then asks for the system's state: only a peer that answers gets
    /// any other command. Takes at most `settle` + `timeout`, whatever else comes in, and
    /// `LAST_WORDS` more without an answer.
    pub(crate) async fn handshake(&mut self) -> Result<Answer, Error> {
        let settled = self.clock.now() + self.options.settle.into();
        while self.clock.now() < settled {
            let turn = self.turn(Some(settled)).await;
            turn.map_err(|lost| self.handshake_failed(&lost))?;
        }
        let (reply, answer) = async_channel::bounded(1);
        let call = Call {
            id: CallId::default(),
            frame: Frame::command(CommandCode::SYSTEM_STATE_GET),
            payload: None,
            asked_at: self.clock.now(),
            timeout: self.options.timeout,
            reply: Reply::Answer(reply),
            written: false,
            noise_before: 0,
        };
        let asked = self.core.request(self.clock.now(), &call.frame, call.deadline());
        let refused = |source| Error::Refused { code: CommandCode::SYSTEM_STATE_GET, source };
        self.pending.take_in(asked.map_err(refused)?, call);
        // From here on an answer that nobody is named in is one without its token.
        self.answered_without_token = false;
        loop {
            match answer.try_recv() {
                Ok(Ok(answer)) => {
                    self.open = true;
                    return Ok(answer);
                }
                Ok(Err(_)) => return Err(self.no_answer().await),
                Err(_) => {}
            }
            let turn = self.turn(None).await;
            turn.map_err(|lost| self.handshake_failed(&lost))?;
        }
    }

    /// The handshake was not answered. A peer that speaks lines still waits for the end of one:
    /// when we have nothing more to say, it may tell what it is.
    async fn no_answer(&mut self) -> Error {
        if let Some(stream) = &self.stream {
            // A socket that cannot be shut down any more is one that says nothing, either.
            let _ = stream.get_ref().shutdown(std::net::Shutdown::Write);
        }
        let last_words = self.clock.now() + LAST_WORDS.into();
        while self.clock.now() < last_words && self.turn(Some(last_words)).await.is_ok() {}
        let Options { address, timeout, .. } = &self.options;
        let silent = || Error::Silent { address: address.clone(), after: *timeout };
        self.not_flamingo().or_else(|| self.tokens_not_echoed()).unwrap_or_else(silent)
    }

    /// If the question was answered, but nobody was named. (Not at once: a stale answer of an
    /// earlier conversation is no reason to give up.)
    fn tokens_not_echoed(&self) -> Option<Error> {
        let field = self.options.protocol.tokens.filter(|_| self.answered_without_token)?;
        Some(Error::TokensNotEchoed {
            address: self.options.address.clone(),
            field: match field {
                TokenField::ClientId => "clientID",
                TokenField::Int32Data2 => "int32Data2",
            },
        })
    }

    fn handshake_failed(&self, lost: &Lost) -> Error {
        let cut_off = match self.core.held() {
            0 => String::new(),
            held => format!(", {held} bytes into a frame of 128"),
        };
        let lost = || self.lost_error(&format!("{}{cut_off}", lost.reason()));
        self.not_flamingo().or_else(|| self.tokens_not_echoed()).unwrap_or_else(lost)
    }

    /// If bytes came, and none of them was a frame.
    fn not_flamingo(&self) -> Option<Error> {
        let none_came = self.core.counters().frames_received() == 0;
        if !none_came || self.core.counters().noise_bytes == 0 {
            return None;
        }
        let mut found = hex(&self.first_bytes);
        if self.first_bytes.iter().all(|byte| byte.is_ascii_graphic() || b" \r\n\t".contains(byte))
        {
            found = format!("{found} (\"{}\")", self.first_bytes.escape_ascii());
        }
        let why = match self.core.last_rejected() {
            Some(rejected) => format!(": {rejected}"),
            None => String::new(),
        };
        let what = format!("expected frames that begin with 54 E6 21 F3, found {found}{why}");
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
        let stops = self.pending.lose_all(stop_blocked, &error);
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
                self.pending.lose_all(false, &error);
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

    /// One attempt, after the back-off unless `at_once`. Calls that come in the meantime are
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
            future::or(self.refuse_all(&self.inbox.stops), self.refuse_all(&self.inbox.calls));
        let gone = future::or(refuse, self.tell_all_stats());
        future::or(attempt, async {
            gone.await;
            None
        })
        .await
    }

    /// Ends when all clients are gone.
    async fn refuse_all(&self, calls: &Receiver<Call>) {
        while let Ok(call) = calls.recv().await {
            call.refuse(self.lost_error("not connected at present"));
        }
    }

    /// Ends when all clients are gone.
    async fn tell_all_stats(&self) {
        while let Ok(reply) = self.inbox.stats.recv().await {
            self.tell_stats(&reply);
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    let bytes: Vec<String> = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
    bytes.join(" ")
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
