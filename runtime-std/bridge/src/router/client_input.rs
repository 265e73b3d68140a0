//! What the connection to a client brings: its bytes become commands, and it ends. When a command goes to
//! the instrument is in `dispatch.rs`.

use flamingo_protocol_core::{Frame, time::Instant};

use super::client::{Client, ClientInput};
use super::permissions::is_stop;
use super::slots::{STOPS_ONLY, Slot};
use super::{ClientId, Router};

impl Router {
    /// Handles bytes of a client. It consumes all of them.
    pub fn client_input(&mut self, now: Instant, id: ClientId, mut bytes: &[u8]) {
        if let Some(client) = self.clients.get_mut(&id) {
            client.quota.count_bytes(now, bytes.len());
        }
        while !bytes.is_empty() {
            let uploads = self.clients.get(&id).is_some_and(Client::is_uploading);
            // It looks at all clients, and matters for uploads only.
            let room = if uploads { self.room_for_uploads() } else { 0 };
            let Some(client) = self.clients.get_mut(&id).filter(|client| !client.closing) else {
                return;
            };
            let read = client.handle_input(now, bytes, room);
            let hidden = client.take_hidden_stops();
            for stop in hidden {
                if let Some(client) = self.clients.get_mut(&id) {
                    client.quota.count_command(now);
                }
                self.send_stop(now, Some(id), &stop, now);
            }
            match read {
                Ok((consumed, input)) => {
                    bytes = bytes.get(consumed..).unwrap_or(&[]);
                    if let Some(input) = input {
                        self.handle_client_input(now, id, input);
                    }
                }
                Err(error) => return self.disconnect_stranger(now, id, &error),
            }
        }
    }

    fn handle_client_input(&mut self, now: Instant, id: ClientId, input: ClientInput) {
        match input {
            ClientInput::Command(command) => self.handle_command(now, id, command),
            ClientInput::PayloadFollows(frame) => {
                let slot = self.clients.get(&id).map(|client| client.slot);
                if slot == Some(Slot::StopsOnly) && !is_stop(&frame) {
                    let refused = Frame { payload_len: 0, ..frame };
                    return self.distrust(now, id, &refused, STOPS_ONLY);
                }
                let longest = self.longest_upload(id);
                let client = self.clients.get_mut(&id);
                let at_once = client.and_then(|client| client.begin_payload(now, frame, longest));
                // A stop that comes before the end of the payload cancels it.
                let is_held = self.clients.get(&id).is_some_and(Client::is_uploading);
                self.accepted_actions += u64::from(is_held);
                if let Some(input) = at_once {
                    self.handle_client_input(now, id, input);
                }
            }
            ClientInput::Refused(frame, reason) => {
                // It counts against the rate, although it is refused.
                if let Some(client) = self.clients.get_mut(&id) {
                    client.quota.count_command(now);
                }
                self.refuse(now, id, &frame, reason);
            }
            ClientInput::Distrusted(frame, reason) => self.distrust(now, id, &frame, reason),
        }
    }

    /// The connection to a client ends: it sends nothing after the bytes that wait to be read, if any.
    /// The dead man's switch acts at once, and then the client is gone: what it has sent and was not
    /// executed yet is not executed any more.
    pub fn client_ending(&mut self, now: Instant, id: ClientId) {
        if self.options.dead_man && self.lease.is_last_holder(id) {
            return self.client_closed(now, id);
        }
        if let Some(client) = self.clients.get_mut(&id) {
            client.ending = true;
        }
    }

    /// A client has closed its sending direction, and all was read. It still receives the answers to its
    /// commands.
    pub fn client_half_closed(&mut self, id: ClientId) {
        if let Some(client) = self.clients.get_mut(&id) {
            client.half_closed = true;
        }
    }
}
