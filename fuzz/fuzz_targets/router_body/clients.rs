//! What the clients send: commands, HALTs and uploads, within what the router permits to read; and what
//! they may receive.

use flamingo_bridge::router::ClientId;
use flamingo_runtime_std::protocol::{CommandCode, Flags, Frame, time::Duration, wire::Piece};

use super::{ALL_STOPS, CODES, STOP_US, World};

impl World {
    /// How many bytes of a client may be read. A client that has sent too fast may be read within two
    /// seconds.
    pub(super) fn allowed(&self, id: ClientId) -> usize {
        if self.clients[&id].ended || self.router.should_close(id) {
            return 0;
        }
        match self.router.read_allowance(self.now, id) {
            Ok(bytes) => {
                assert!(bytes > 0, "nothing to read is no permission");
                bytes
            }
            Err(from) => {
                assert!(from > self.now, "otherwise, the sockets would spin");
                assert!(from.since(self.now) <= Duration::from_millis(2000));
                0
            }
        }
    }

    pub(super) fn end(&mut self, id: ClientId) {
        self.router.client_ending(self.now, id);
        self.clients.get_mut(&id).expect("the client exists").ended = true;
    }

    pub(super) fn is_uploading(&self, id: ClientId) -> bool {
        self.clients.get(&id).is_some_and(|client| client.missing > 0)
    }

    pub(super) fn begin_upload(&mut self, id: ClientId, argument: u8) {
        if self.allowed(id) == 0 {
            return;
        }
        let len = 1 + 2 * u32::from(argument);
        let code = if argument & 1 == 0 { 0x1008 } else { 0x302B };
        let mut frame = Frame::command(CommandCode(code)).with_payload_len(len);
        frame.int32_data[2] = self.next_number(id);
        self.router.client_input(self.now, id, &frame.encode());
        self.clients.get_mut(&id).expect("the client exists").missing = len as usize;
    }

    pub(super) fn go_on_uploading(&mut self, id: ClientId, argument: u8) {
        let allowed = self.allowed(id);
        let client = self.clients.get_mut(&id).expect("the client exists");
        let count = client.missing.min(usize::from(argument) + 1).min(allowed);
        client.missing -= count;
        self.router.client_input(self.now, id, &vec![0xF3; count]);
    }

    /// The number of the next frame that this client sends.
    pub(super) fn next_number(&mut self, id: ClientId) -> i32 {
        self.number += 1;
        let client = self.clients.get_mut(&id).expect("the client exists");
        client.asked.insert(self.number);
        client.began = true;
        self.number
    }

    /// A HALT in any form. It must be sent.
    pub(super) fn halt(&mut self, id: ClientId, argument: u8) {
        if self.allowed(id) == 0 {
            return;
        }
        let axis = [1, 2, 3, 4, 255, 0, -1, i32::MAX][usize::from(argument % 8)];
        let mut frame = Frame::command(CommandCode::STAGE_HALT).with_selector(axis);
        frame.int32_data[2] = self.next_number(id);
        frame.value = if argument & 8 == 0 { 0.0 } else { f64::NAN };
        frame.flags = if argument & 16 == 0 { frame.flags } else { Flags(u32::from(argument)) };
        frame.payload_len = u32::from(argument >> 6) * 50;
        let mut bytes = frame.encode().to_vec();
        let comes = argument & 32 == 0; // else the length is wrong
        bytes.resize(128 + if comes { frame.payload_len as usize } else { 0 }, 0xF3);
        self.router.client_input(self.now, id, &bytes);
        for (number, asked) in (1..).zip(&mut self.stops.asked) {
            if axis == number || !(1..=4).contains(&axis) {
                *asked = Some(self.now);
            }
        }
    }

    pub(super) fn ask(&mut self, id: ClientId, argument: u8) {
        if self.allowed(id) == 0 {
            return;
        }
        let number = self.next_number(id);
        let mut frame = Frame::command(CommandCode(CODES[usize::from(argument) % CODES.len()]));
        frame.int32_data = [1 + i32::from(argument % 4), 0, number];
        let len = if argument & 0x1F == 0x1F { u32::from(argument) * 3 } else { 0 };
        if len > 0 {
            frame =
                Frame { code: CommandCode::COMMON_SCOPE_SETTINGS_SAVE, payload_len: len, ..frame };
        }
        let mut bytes = frame.encode().to_vec();
        bytes.resize(128 + len as usize, 0xF3);
        self.router.client_input(self.now, id, &bytes);
    }

    pub(super) fn close(&mut self, id: ClientId) {
        self.router.client_closed(self.now, id);
        self.clients.remove(&id);
        // Its stops that waited for the rate, and those of the dead man's switch.
        self.stops.budget += (ALL_STOPS + 5) * STOP_US;
    }

    /// A client receives only frames, and one answer to each of its own commands.
    pub(super) fn read(&mut self, id: ClientId) {
        let received = self.router.client_output(id).to_vec();
        self.router.client_wrote(id, received.len());
        let client = self.clients.get_mut(&id).expect("the client exists");
        let mut rest = &received[..];
        while !rest.is_empty() {
            let (consumed, piece) = client.reader.push(rest);
            rest = &rest[consumed..];
            let Some(Piece::Frame { frame, skipped }) = piece else { continue };
            assert_eq!(skipped, 0, "nothing but frames");
            let own = client.asked.remove(&frame.int32_data[2]);
            assert!(own || client.inline, "client {id} never asked {frame}");
            let text = frame.text().unwrap_or_default();
            if frame.code == CommandCode::STAGE_HALT && text.starts_with("refused:") {
                let lost =
                    ["connection lost", "no connection yet", "not answered", "away too long"];
                assert!(lost.iter().any(|reason| text.contains(reason)), "{text}");
            }
        }
    }
}
