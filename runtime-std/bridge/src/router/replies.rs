//! What the bridge sends to clients and subscribers: its own answers to refused commands, published
//! messages, echoes of actions, and log lines.

use flamingo_protocol_core::{Flags, Frame, time::Instant, wire::Kind};

use super::permissions::expects_answer;
use super::{ClientId, Recipient, Router, RouterAction};
use crate::settings::Delivery;

/// The longest reason that fits into the buffer of a frame, in bytes.
const MAX_REASON: usize = 72;

impl Router {
    /// Refuses a command: it does not reach the instrument, and the client learns the reason if it
    /// expects an answer.
    pub(super) fn refuse(&mut self, now: Instant, id: ClientId, frame: &Frame, reason: &str) {
        if let Some(client) = self.clients.get_mut(&id) {
            client.counters.refused += 1;
            if !expects_answer(frame) && client.quota.take_log_line(now) {
                // Without an answer, only the log tells that the command was refused.
                let address = &client.address;
                let line = format!("{} of client {id} at {address}: {reason}", frame.code);
                self.log(line);
            }
        }
        self.answer_failure(id, frame, reason);
    }

    /// Answers a command with status 0 and the reason in the buffer.
    pub(super) fn answer_failure(&mut self, id: ClientId, frame: &Frame, reason: &str) {
        if !expects_answer(frame) {
            return;
        }
        let mut answer = Frame { status: 0, payload_len: 0, buffer: [0; 72], ..*frame };
        let limit = reason.len().min(MAX_REASON);
        let end = (0..=limit).rev().find(|at| reason.is_char_boundary(*at)).unwrap_or(0);
        // The text fits and has no NUL, so that setting it cannot fail.
        let _ = answer.set_text(reason.get(..end).unwrap_or_default());
        let answer = self.tagged(&answer, true);
        self.send_to_client(id, &encode_message(&answer, &[]));
    }

    /// Whether this is the answer to an action that the other clients are told about.
    pub(super) fn is_echoed(&self, frame: &Frame) -> bool {
        let is_action = frame.code.row().is_some_and(|row| row.kind == Kind::Action);
        is_action && self.options.echo_actions
    }

    /// Reports an action of these clients to all others.
    pub(super) fn echo_to_others(&mut self, actors: &[Recipient], frame: &Frame, payload: &[u8]) {
        let actors: Vec<_> = actors.iter().map(|(id, _)| *id).collect();
        for id in &actors {
            if let Some(client) = self.clients.get_mut(id) {
                client.counters.echoes += 1;
            }
        }
        self.publish(frame, payload, Delivery::Both, &actors);
    }

    /// Publishes an unsolicited message on the callback port. With [`Delivery::Both`], the clients
    /// whose delivery is inline receive it as well, between two answers, apart from those in `except`.
    pub(super) fn publish(
        &mut self,
        frame: &Frame,
        payload: &[u8],
        to: Delivery,
        except: &[ClientId],
    ) {
        let message = encode_message(&self.tagged(frame, false), payload);
        if to == Delivery::Both {
            let inline =
                self.clients.iter().filter(|(_, client)| client.delivery != Delivery::Callback);
            let ids: Vec<_> = inline.map(|(id, _)| *id).filter(|id| !except.contains(id)).collect();
            for id in ids {
                self.send_to_client(id, &message);
                if let Some(client) = self.clients.get_mut(&id) {
                    client.counters.events += 1;
                }
            }
        }
        self.actions.push_back(RouterAction::Publish(message.into()));
    }

    /// The frame with the answer tag set or cleared, if the settings want that.
    pub(super) fn tagged(&self, frame: &Frame, is_answer: bool) -> Frame {
        let mut frame = *frame;
        if self.options.tag {
            frame.flags = frame.flags.without(Flags::ANSWER_TAG);
            if is_answer {
                frame.flags = frame.flags.with(Flags::ANSWER_TAG);
            }
        }
        frame
    }

    /// Queues a whole message for a client, and disconnects it if too much waits already.
    pub(super) fn send_to_client(&mut self, id: ClientId, message: &[u8]) {
        let limit = self.options.limits.out_bytes;
        let Some(client) = self.clients.get_mut(&id).filter(|client| !client.closing) else {
            return;
        };
        if !client.queue_message(message, limit) {
            client.counters.dropped += 1;
            self.disconnect(id, "it does not read");
        }
    }

    pub(super) fn log(&mut self, line: impl Into<String>) {
        self.actions.push_back(RouterAction::Log(line.into()));
    }
}

pub(super) fn encode_message(frame: &Frame, payload: &[u8]) -> Vec<u8> {
    [&frame.encode()[..], payload].concat()
}
