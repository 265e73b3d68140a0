//! What the bridge sends to clients and subscribers: published messages, echoes of actions, and log
//! lines. Its answers to refused commands are in `refusals.rs`.

use std::collections::BTreeSet;

use bytes::Bytes;
use flamingo_protocol_core::{CommandCode, Flags, Frame, time::Instant, wire::Kind};

use super::client::Client;
use super::{ClientId, Recipients, Router, RouterAction};
use crate::settings::Delivery;

impl Router {
    /// Whether this is the answer to an action that the other clients are told about.
    pub(super) fn is_echoed(&self, frame: &Frame) -> bool {
        let is_action = frame.code.row().is_some_and(|row| row.kind == Kind::Action);
        is_action && self.options.echo_actions
    }

    /// Reports an action of these clients to all others. A client that could take the report for the
    /// answer to a command of its own finds it on the callback port only.
    pub(super) fn echo_to_others(
        &mut self,
        now: Instant,
        actors: &Recipients,
        frame: &Frame,
        payload: &[u8],
    ) {
        let mut except = self.may_take_for_answer(now, frame.code);
        for actor in actors {
            except.insert(actor.id);
            if let Some(client) = self.clients.get_mut(&actor.id) {
                client.counters.echoes += 1;
            }
        }
        self.publish(frame, payload, Delivery::Both, &except);
    }

    /// The clients that receive events with this code, and could take the report of another client's
    /// action for the answer to their own command: they have sent a command of this code that may
    /// still be answered. A client that asked for the events may also have such a command on its way to
    /// the bridge; but it takes no light for an answer.
    pub(super) fn may_take_for_answer(
        &self,
        now: Instant,
        code: CommandCode,
    ) -> BTreeSet<ClientId> {
        let answer = code.row().map_or(code, |row| row.answers);
        let open = self.forwarded.values().filter(|forwarded| !forwarded.ended);
        let open = open.filter(|forwarded| forwarded.command.frame.code == answer);
        let mut asked: BTreeSet<_> =
            open.flat_map(|forwarded| &forwarded.recipients).map(|to| to.id).collect();
        asked.extend(self.not_expected.senders(now, answer, self.options.request_timeout));
        let is_light = code.row().is_some_and(|row| row.kind == Kind::FireAndForget);
        let may_take = |id: ClientId, client: &Client| {
            if client.chose_delivery {
                return !is_light;
            }
            let mut waiting = client.waiting.iter();
            asked.contains(&id)
                || client.stops.include(answer)
                || waiting.any(|command| command.frame.code == answer)
        };
        let inline = self.clients.iter().filter(|(_, client)| client.delivery.is_inline(code));
        inline.filter(|(id, client)| may_take(**id, client)).map(|(id, _)| *id).collect()
    }

    /// Publishes an unsolicited message on the callback port. With [`Delivery::Both`], the clients
    /// whose delivery sends its code inline receive it as well, between two answers, apart from those
    /// in `except`.
    pub(super) fn publish(
        &mut self,
        frame: &Frame,
        payload: &[u8],
        to: Delivery,
        except: &BTreeSet<ClientId>,
    ) {
        let message = encode_message(&self.tagged(frame, false), payload);
        if to == Delivery::Both {
            self.update_schedule();
            for nth in 0..self.schedule.inline.as_slice().len() {
                let Some(id) = self.schedule.inline.as_slice().get(nth).copied() else { break };
                let client = self.clients.get(&id).filter(|_| !except.contains(&id));
                if client.is_none_or(|client| !client.delivery.is_inline(frame.code)) {
                    continue;
                }
                self.queue_for_client(id, &message, &[]);
                if let Some(client) = self.clients.get_mut(&id) {
                    client.counters.events += 1;
                }
            }
        }
        self.actions.push_back(RouterAction::Publish(message));
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
    pub(super) fn send_to_client(&mut self, id: ClientId, frame: &Frame, payload: &[u8]) {
        self.queue_for_client(id, &frame.encode(), payload);
    }

    fn queue_for_client(&mut self, id: ClientId, frame: &[u8], payload: &[u8]) {
        let limit = self.options.limits.out_bytes;
        let Some(client) = self.clients.get_mut(&id).filter(|client| !client.closing) else {
            return;
        };
        if !client.queue_message(frame, payload, limit) {
            client.counters.dropped += 1;
            self.disconnect(id, "it does not read");
        }
    }

    /// Logs a line that clients can cause as often as they want.
    pub(super) fn log_client(&mut self, line: String) {
        self.actions.push_back(RouterAction::LogClient(line));
    }

    pub(super) fn log(&mut self, line: impl Into<String>) {
        self.actions.push_back(RouterAction::Log(line.into()));
    }
}

/// The bytes of a message, which all its receivers share.
fn encode_message(frame: &Frame, payload: &[u8]) -> Bytes {
    [&frame.encode()[..], payload].concat().into()
}
