//! The body of the router's fuzz target. It decodes bytes into actions of clients, the instrument and the
//! network. It panics if a client receives an answer to a query that it did not send, or bytes that are
//! not a frame, or if a client that sends too fast would be read at once, or never again.

use std::collections::{BTreeMap, BTreeSet};

use flamingo_bridge::router::{ClientId, Router, RouterAction, RouterOptions};
use flamingo_bridge::settings::{Delivery, LimitSettings, Role, WhenLost};
use flamingo_runtime_std::protocol::{
    CommandCode, Config, Flags, Frame, Incoming, Responder, Ticket,
    time::{Duration, Instant},
    wire::{Assembler, Piece},
};

/// A client: its open commands, and the assembler of the bytes that it receives.
#[derive(Default)]
struct Client {
    asked: BTreeSet<i32>,
    reader: Assembler,
    inline: bool,
    /// It has sent a frame.
    began: bool,
}

struct World {
    router: Router,
    now: Instant,
    clients: BTreeMap<ClientId, Client>,
    instrument: Responder<4>,
    /// The unanswered commands with their times. The instrument answers in time or never, since the core
    /// can only presume a later answer.
    commands: Vec<(Instant, Frame)>,
    connected: bool,
    number: i32,
}

const CODES: [u32; 16] = [
    0x6008, 0x6008, 0x4001, 0x6004, 0x6003, 0x6002, 0x3027, 0x300A, 0x2002, 0x2001, 0x2007, 0x3007,
    0xA007, 0xBEEF, 0x3005, 0x3008,
];

/// Runs any bytes.
pub(crate) fn run(data: &[u8]) {
    let mut bytes = data.iter().copied();
    let mut next = || bytes.next();
    let switches = next().unwrap_or(0);
    let mut limits = LimitSettings::default();
    limits.clients = 4;
    limits.stop_slots = 2;
    limits.commands_per_s = 40;
    limits.queue_frames = 6;
    limits.out_bytes = 4096;
    limits.noise_bytes = 300;
    limits.upload_bytes = 500;
    limits.upload_bytes_total = 900;
    let options = RouterOptions {
        core: Config::default(),
        last_ticket: Ticket::from_number(0),
        request_timeout: Duration::from_millis(5000),
        limits,
        lease: (switches & 1 != 0).then_some(Duration::from_millis(10_000)),
        dead_man: switches & 2 != 0,
        echo_actions: switches & 4 != 0,
        tag: switches & 8 != 0,
        coalesce: switches & 16 != 0,
        when_lost: [WhenLost::Silence, WhenLost::Refusal, WhenLost::Close, WhenLost::Silence]
            [usize::from(switches >> 5 & 3)],
    };
    let mut world = World {
        router: Router::new(options),
        now: Instant::from_micros(1_000_000),
        clients: BTreeMap::new(),
        instrument: Responder::default(),
        commands: Vec::new(),
        connected: false,
        number: 0,
    };
    world.connect();
    for _ in 0..300 {
        let Some(op) = next() else { break };
        let argument = next().unwrap_or(0);
        world.step(op, argument);
        world.settle(if op & 0x80 != 0 { 7 } else { usize::MAX });
    }
}

impl World {
    fn connect(&mut self) {
        self.instrument = Responder::default();
        self.commands.clear();
        self.router.upstream_opened(self.now);
        self.connected = true;
    }

    fn nth(&self, which: u8) -> Option<ClientId> {
        let count = self.clients.len();
        self.clients.keys().nth(usize::from(which) % count.max(1)).copied()
    }

    fn step(&mut self, op: u8, argument: u8) {
        let client = self.nth(argument >> 5);
        match (op & 0x1F, client) {
            (0 | 1, _) => {
                let role =
                    [Role::Control, Role::Control, Role::ReadOnly][usize::from(argument % 3)];
                let inline = argument & 64 != 0;
                let delivery = if inline { Delivery::Inline } else { Delivery::Callback };
                if let Some(id) = self.router.client_opened(self.now, "x".into(), role, delivery) {
                    self.clients.insert(id, Client { inline, ..Client::default() });
                }
            }
            (2, Some(id)) => self.close(id),
            (3, Some(id)) => {
                self.router.client_ending(self.now, id);
                self.router.client_half_closed(id);
            }
            (18, Some(id)) => self.router.client_ending(self.now, id),
            (4, Some(id)) => {
                let allowed = self.allowed(id).min(usize::from(argument));
                let noise = vec![argument & 0x1F; allowed];
                self.router.client_input(self.now, id, &noise);
                let stranger = !self.clients[&id].began && !noise.is_empty();
                assert!(!stranger || self.router.should_close(id), "the first bytes are a frame");
            }
            (5, _) => {
                self.router.upstream_lost(self.now);
                self.connected = false;
            }
            (6 | 7, _) if !self.connected => self.connect(),
            (8, _) if self.connected => {
                let noise = vec![argument & 0x1F; usize::from(argument)];
                self.router.upstream_input(self.now, &noise);
            }
            (9..=12, _) if self.connected => self.answer(usize::from(argument)),
            (13, _) if self.connected && !self.commands.is_empty() => {
                self.commands.remove(0); // never answered
            }
            (14 | 15, _) if self.connected => {
                let mut push = Frame::new(CommandCode(CODES[usize::from(argument) % 2]));
                push.flags = Flags::STAGE_POSITIONS_IN_BUFFER;
                push.int32_data = [1 + i32::from(argument % 4), 0, -1];
                self.router.upstream_input(self.now, &push.encode());
            }
            (16 | 17, _) => {
                self.now = self.now + Duration::from_millis(u64::from(argument) * 20);
                self.router.handle_timeout(self.now);
            }
            (_, Some(id)) => self.ask(id, argument),
            _ => {}
        }
    }

    /// How many bytes of a client may be read. A client that has sent too fast may be read within two
    /// seconds.
    fn allowed(&self, id: ClientId) -> usize {
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

    fn ask(&mut self, id: ClientId, argument: u8) {
        if self.allowed(id) == 0 {
            return;
        }
        self.number += 1;
        let mut frame = Frame::command(CommandCode(CODES[usize::from(argument) % CODES.len()]));
        frame.int32_data = [1 + i32::from(argument % 4), 0, self.number];
        let len = if argument & 0x1F == 0x1F { u32::from(argument) * 3 } else { 0 };
        if len > 0 {
            frame =
                Frame { code: CommandCode::COMMON_SCOPE_SETTINGS_SAVE, payload_len: len, ..frame };
        }
        let client = self.clients.get_mut(&id).expect("the client exists");
        client.asked.insert(self.number);
        client.began = true;
        let mut bytes = frame.encode().to_vec();
        bytes.resize(128 + len as usize, 0xF3);
        self.router.client_input(self.now, id, &bytes);
    }

    /// The instrument answers a command; answers keep their order within a subsystem.
    fn answer(&mut self, which: usize) {
        let now = self.now;
        let open = self.router.is_open();
        self.commands.retain(|(since, command)| {
            // Only clients number their commands. The core waits for a fence as long as its grace.
            let is_fence = open && command.int32_data[2] == 0;
            let limit = if is_fence { 900 } else { 4900 };
            now.since(*since) < Duration::from_millis(limit)
        });
        let Some((_, first)) = self.commands.get(which % self.commands.len().max(1)) else {
            return;
        };
        let subsystem = first.code.subsystem();
        let same = |(_, command): &(Instant, Frame)| command.code.subsystem() == subsystem;
        let oldest = self.commands.iter().position(same);
        let (_, command) = self.commands.remove(oldest.expect("at least that command"));
        if command.code.0 == 0xBEEF {
            return;
        }
        let mut answer = Frame { status: 1, payload_len: 0, ..command };
        if command.code == CommandCode::SYSTEM_STATE_GET {
            answer.int32_data[0] = CommandCode::SYSTEM_STATE_IDLE.0 as i32;
        }
        self.router.upstream_input(self.now, &answer.encode());
    }

    fn close(&mut self, id: ClientId) {
        self.router.client_closed(self.now, id);
        self.clients.remove(&id);
    }

    /// Moves all bytes, at most `chunk` at a time.
    fn settle(&mut self, chunk: usize) {
        loop {
            let bytes = self.router.upstream_output(self.now);
            let written = bytes[..bytes.len().min(chunk)].to_vec();
            if written.is_empty() || !self.connected {
                break;
            }
            self.router.upstream_wrote(self.now, written.len());
            self.arrive(&written);
        }
        while let Some(report) = self.router.poll_action() {
            if let RouterAction::Publish(message) = report {
                assert!(Frame::decode(&message[..128]).is_ok());
            }
        }
        let ids: Vec<_> = self.clients.keys().copied().collect();
        for id in ids {
            self.read(id);
            if self.router.should_close(id) {
                self.close(id);
            }
        }
        assert!(self.router.remembered_commands() < 1200, "the memory is bounded");
    }

    fn arrive(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (consumed, incoming) = self.instrument.handle_input(bytes);
            bytes = &bytes[consumed..];
            if let Some(Incoming::Command { frame, skipped }) = incoming {
                assert_eq!(skipped, 0, "the instrument receives nothing but frames");
                let row = frame.code.row();
                let answered = row
                    .is_none_or(|_| flamingo_runtime_std::protocol::responder::is_answered(&frame));
                // The lights are answered although the table does not expect that.
                if answered || frame.code == CommandCode::LED_SET {
                    self.commands.push((self.now, frame));
                }
            }
        }
    }

    /// A client receives only frames, and one answer to each of its own commands.
    fn read(&mut self, id: ClientId) {
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
        }
    }
}
