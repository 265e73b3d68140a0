//! How a connection begins and ends: handshake, loss, and the opt-in connecting again, as a state
//! machine driven by time and bytes. What happens in between is `engine.rs`.

use std::time::Duration;

use flamingo_protocol_core::{CommandCode, Frame, connection::TokenField, time::Instant};

use super::engine::{Action, Engine};
use super::outcome::{self, Done, Expected, Wanted};
use super::pending_calls::{Answer, Call};
use crate::error::Error;
use crate::event::Event;
use crate::events_on_request;

/// How long a peer that did not answer has to show what it is.
const LAST_WORDS: Duration = Duration::from_millis(300);

/// Where a connection is between its beginning and its end.
#[derive(Debug)]
pub(super) enum Phase {
    /// Not connected; the next attempt is made when it is due.
    Waiting { due: Instant },
    /// [`Action::Connect`] was asked for.
    Connecting,
    /// Connected; stale bytes of an earlier conversation are read before anything is sent.
    Settling { until: Instant },
    /// The query of the handshake is out.
    Asking { answer: Expected },
    /// The query was not answered, and the sending half is shut down. A peer that speaks lines
    /// still waits for the end of one, and may now show what it is.
    LastWords { until: Instant },
    /// The peer has proven that it speaks the protocol: calls are taken.
    Open,
    /// [`Action::End`] was asked for.
    Ended,
}

impl Phase {
    /// When it ends by itself.
    pub(super) fn due(&self) -> Option<Instant> {
        match self {
            Self::Waiting { due: at }
            | Self::Settling { until: at }
            | Self::LastWords { until: at } => Some(*at),
            Self::Connecting | Self::Asking { .. } | Self::Open | Self::Ended => None,
        }
    }
}

/// Why a connection is over.
#[derive(Debug)]
pub(super) enum Lost {
    /// The peer, or the network on the way to it, is gone.
    Peer(String),
    /// A stop waits behind a half-sent frame: it must go out over a fresh connection.
    StopBlocked,
    /// The last client is gone, or one has closed the connection.
    Closed,
}

impl Lost {
    fn reason(&self) -> &str {
        match self {
            Self::Peer(reason) => reason,
            Self::StopBlocked => "a stop could not be written in time",
            Self::Closed => "it was closed",
        }
    }
}

impl Engine {
    /// Whether there is a socket.
    pub(super) fn is_connected(&self) -> bool {
        !matches!(self.phase, Phase::Waiting { .. } | Phase::Connecting | Phase::Ended)
    }

    /// Whether a connection is being made, or will be.
    pub(super) fn may_connect_again(&self) -> bool {
        matches!(self.phase, Phase::Waiting { .. } | Phase::Connecting)
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open)
    }

    /// [`Action::Connect`] is done: there is a socket.
    pub fn connected(&mut self, now: Instant) {
        if !matches!(self.phase, Phase::Connecting) {
            return;
        }
        self.reset();
        // With tokens, only the answer to the query can have its token.
        let settle = self.options.protocol.tokens.map_or(self.options.settle, |_| Duration::ZERO);
        self.phase = Phase::Settling { until: now + settle.into() };
        // For this attempt only: a stop is not sent long after it was called.
        for stop in std::mem::take(&mut self.blocked_stops) {
            self.accept(now, stop);
        }
        self.advance(now);
    }

    /// A stop that is the first thing to be written when there is a connection.
    pub(super) fn send_first(&mut self, stop: Call) {
        self.blocked_stops.push(stop);
    }

    /// A stop is called while there is no connection: it is not kept waiting for the next attempt.
    pub(super) fn stop_on_the_next_connection(&mut self, stop: Call) {
        self.send_first(stop);
        if matches!(self.phase, Phase::Waiting { .. }) {
            self.phase = Phase::Connecting;
            self.actions.push_back(Action::Connect);
        }
    }

    /// [`Action::Connect`] has failed.
    pub fn connect_failed(&mut self, now: Instant, error: Error) {
        if !matches!(self.phase, Phase::Connecting) {
            return;
        }
        self.lost_reason = error.to_string();
        if self.report_opening(Err(error)) {
            return self.end();
        }
        self.refuse_blocked_stops();
        self.connect_later(now);
    }

    /// The socket has failed or was closed by the peer. Read what has already arrived before you
    /// call this: an answer that came before the end is delivered.
    pub fn disconnected(&mut self, now: Instant, reason: &str) {
        self.lose(now, &Lost::Peer(reason.into()));
    }

    /// Enters the next phase if the present one is over.
    pub(super) fn advance(&mut self, now: Instant) {
        match &self.phase {
            Phase::Waiting { due } if *due <= now => {
                self.phase = Phase::Connecting;
                self.actions.push_back(Action::Connect);
            }
            Phase::Settling { until } if *until <= now => self.ask(now),
            Phase::Asking { answer } => match answer.take() {
                Some(Ok(Ok(Done::Answered(answer)))) => self.open(now, answer),
                Some(Ok(Err(_))) => {
                    self.phase = Phase::LastWords { until: now + LAST_WORDS.into() };
                    self.actions.push_back(Action::ShutdownWrite);
                }
                _ => {}
            },
            Phase::LastWords { until } if *until <= now => {
                let error = self.handshake_error(self.silent());
                self.handshake_failed(now, error);
            }
            _ => {}
        }
    }

    /// Asks for the system's state: only a peer that answers gets any other command.
    fn ask(&mut self, now: Instant) {
        let (reply, answer) = outcome::pair(Wanted::Answer);
        let query = Frame::command(CommandCode::SYSTEM_STATE_GET);
        let call = Call::of(query, now, self.options.timeout, reply);
        match self.core.request(now, &call.frame, now + call.timeout.into()) {
            Ok(ticket) => {
                self.pending.insert(ticket, call);
                // From here on, an answer without an owner is one without its token.
                self.answered_without_token = false;
                self.phase = Phase::Asking { answer };
            }
            Err(source) => {
                self.handshake_failed(now, Error::Refused { code: call.code(), source });
            }
        }
    }

    fn open(&mut self, now: Instant, answer: Answer) {
        self.options.status.learn(&answer.frame);
        self.phase = Phase::Open;
        if events_on_request::is_offered(&answer.frame) {
            // An error means that no frame fits, which cannot be: nothing else was sent yet.
            let _ = self.core.send(now, &events_on_request::request());
        }
        if !self.report_opening(Ok(answer)) {
            self.reconnects += 1;
            self.fanout.publish(&Event::Reconnected);
        }
    }

    /// Ends the connection, if there is one, and all that depends on it.
    pub(super) fn lose(&mut self, now: Instant, lost: &Lost) {
        if matches!(lost, Lost::Closed) {
            return self.close();
        }
        match self.phase {
            Phase::Open => self.lose_open(now, lost),
            Phase::LastWords { .. } => {
                let error = self.handshake_error(self.silent());
                self.handshake_failed(now, error);
            }
            Phase::Settling { .. } | Phase::Asking { .. } => {
                let cut_off = match self.core.held() {
                    0 => String::new(),
                    held => format!(", {held} bytes into a frame of 128"),
                };
                let lost = self.lost_error(&format!("{}{cut_off}", lost.reason()));
                let error = self.handshake_error(lost);
                self.handshake_failed(now, error);
            }
            Phase::Waiting { .. } | Phase::Connecting | Phase::Ended => {}
        }
    }

    fn lose_open(&mut self, now: Instant, lost: &Lost) {
        let stop_blocked = matches!(lost, Lost::StopBlocked);
        let (address, reason) = (&self.options.address, lost.reason());
        tracing::warn!(address, reason, "connection lost");
        self.blocked_stops = self.pending.lose_all(stop_blocked, address, reason);
        self.lost_reason = reason.into();
        self.fanout.publish(&Event::ConnectionLost);
        // Closed before there is another one: a server takes only so many clients.
        self.actions.push_back(Action::Disconnect { reset: stop_blocked });
        if stop_blocked {
            self.phase = Phase::Connecting;
            self.actions.push_back(Action::Connect);
        } else {
            self.connect_later(now);
        }
    }

    fn close(&mut self) {
        if matches!(self.phase, Phase::Ended) {
            return;
        }
        tracing::debug!(address = self.options.address, "connection closed");
        self.pending.lose_all(false, &self.options.address, Lost::Closed.reason());
        self.end();
    }

    fn handshake_failed(&mut self, now: Instant, error: Error) {
        self.actions.push_back(Action::Disconnect { reset: false });
        if self.opening.is_some() {
            self.lost_reason = error.to_string();
        }
        self.pending.lose_all(false, &self.options.address, &self.lost_reason);
        if self.report_opening(Err(error)) {
            return self.end();
        }
        self.connect_later(now);
    }

    fn connect_later(&mut self, now: Instant) {
        match self.options.reconnect {
            Some(reconnect) => {
                let due = now + reconnect.wait().into();
                self.phase = Phase::Waiting { due };
            }
            None => self.end(),
        }
    }

    fn end(&mut self) {
        self.refuse_blocked_stops();
        self.phase = Phase::Ended;
        self.actions.push_back(Action::End);
    }

    fn refuse_blocked_stops(&mut self) {
        for stop in std::mem::take(&mut self.blocked_stops) {
            stop.lose(&self.options.address, &self.lost_reason);
        }
    }

    /// Reports the end of the first handshake. Returns false if that is long over.
    fn report_opening(&mut self, result: Result<Answer, Error>) -> bool {
        let Some(opening) = self.opening.take() else { return false };
        // Nobody may be waiting any more.
        let _ = opening.try_send(result);
        true
    }

    fn silent(&self) -> Error {
        Error::Silent { address: self.options.address.clone(), after: self.options.timeout }
    }

    /// The most exact reason why a handshake failed.
    fn handshake_error(&self, otherwise: Error) -> Error {
        self.not_flamingo().or_else(|| self.tokens_not_echoed()).unwrap_or(otherwise)
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

    /// If the query was answered without its token. (Not at once: a stale answer of an earlier
    /// conversation is no reason to give up.)
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

    pub(super) fn lost_error(&self, reason: &str) -> Error {
        Error::lost(&self.options.address, reason)
    }
}

fn hex(bytes: &[u8]) -> String {
    let bytes: Vec<String> = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
    bytes.join(" ")
}
