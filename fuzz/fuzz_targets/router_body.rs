//! The body of the router's fuzz target. It decodes bytes into actions of clients, the instrument and the
//! network. It panics if a client receives an answer to a query that it did not send, or bytes that are
//! not a frame; if a client that sends too fast would be read at once, or never again; if a HALT is
//! refused or not sent; if more stops are sent than the rates allow; or if uploads take more room than
//! there is.

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
    /// It has closed its sending direction.
    ended: bool,
    /// The bytes of a payload that it has declared and not sent.
    missing: usize,
}

/// The stops that may reach the instrument, and those that must.
#[derive(Default)]
struct Stops {
    /// In µs of time: each stop takes as long as the rate of one client.
    budget: u64,
    /// For each axis, when a client has sent the last HALT, and when the last one was sent.
    asked: [Option<Instant>; 4],
    reached: [Option<Instant>; 4],
}

/// The rate of stops of each client, and the time that one of them takes.
const STOPS_PER_S: u32 = 2;
const STOP_US: u64 = 500_000;
/// The different stops.
const ALL_STOPS: u64 = 15;
const UPLOADS_TOTAL: usize = 900;

struct World {
    stops: Stops,
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
    limits.upload_bytes_total = UPLOADS_TOTAL as u64;
    limits.read_only_upload_bytes = 200;
    limits.stops_per_s = STOPS_PER_S;
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
        stops: Stops::default(),
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
        world.check_wait();
        world.settle(if op & 0x80 != 0 { 7 } else { usize::MAX });
        world.check_wait();
    }
    world.finish();
}

impl World {
    fn connect(&mut self) {
        self.instrument = Responder::default();
        self.commands.clear();
        self.router.upstream_opened(self.now);
        self.connected = true;
        self.stops.budget += ALL_STOPS * STOP_US;
    }

    /// Lets time pass. Every client may send stops meanwhile.
    fn pass(&mut self, millis: u64) {
        self.now = self.now + Duration::from_millis(millis);
        self.stops.budget += 1000 * millis * self.clients.len() as u64;
        self.router.handle_timeout(self.now);
        self.check_wait();
    }

    /// What is due is over after it was handled: otherwise, the sockets would spin.
    fn check_wait(&mut self) {
        for _ in 0..3 {
            let due = self.router.poll_timeout();
            if due.is_none_or(|due| due > self.now) {
                return;
            }
            self.router.handle_timeout(self.now);
        }
        panic!("handling what is due does not end it");
    }

    /// Each HALT that was sent within the last 9 s has reached the instrument, or does so soon.
    fn finish(&mut self) {
        let valid_from = self.now;
        if !self.connected {
            self.connect();
        }
        self.settle(usize::MAX);
        for _ in 0..100 {
            self.pass(100);
            self.settle(usize::MAX);
        }
        for (asked, reached) in self.stops.asked.iter().zip(self.stops.reached) {
            let recent = |asked: &Instant| valid_from.since(*asked) < Duration::from_millis(9000);
            if let Some(asked) = asked.filter(recent) {
                assert!(reached.is_some_and(|at| at >= asked), "a HALT was not sent");
            }
        }
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
                let id = self.router.client_opened(self.now, "x".into(), role, delivery);
                self.clients.insert(id, Client { inline, ..Client::default() });
                self.stops.budget += u64::from(STOPS_PER_S) * STOP_US;
            }
            (2, Some(id)) => self.close(id),
            (3, Some(id)) => {
                self.end(id);
                self.router.client_half_closed(id);
            }
            (24, Some(id)) => self.end(id),
            (4, Some(id)) if !self.is_uploading(id) => {
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
                self.pass(u64::from(argument) * 20);
            }
            (18, Some(id)) => {
                let role = if argument & 1 == 0 { Role::Control } else { Role::ReadOnly };
                self.router.set_role(self.now, id, role, Delivery::Callback);
            }
            (_, Some(id)) if self.is_uploading(id) => self.go_on_uploading(id, argument),
            (19, Some(id)) => self.begin_upload(id, argument),
            (20..=23, Some(id)) => {
                for _ in 0..=argument % 12 {
                    self.halt(id, argument);
                }
            }
            (_, Some(id)) => self.ask(id, argument),
            _ => {}
        }
    }

    /// How many bytes of a client may be read. A client that has sent too fast may be read within two
    /// seconds.
    fn allowed(&self, id: ClientId) -> usize {
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

    fn end(&mut self, id: ClientId) {
        self.router.client_ending(self.now, id);
        self.clients.get_mut(&id).expect("the client exists").ended = true;
    }

    fn is_uploading(&self, id: ClientId) -> bool {
        self.clients.get(&id).is_some_and(|client| client.missing > 0)
    }

    fn begin_upload(&mut self, id: ClientId, argument: u8) {
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

    fn go_on_uploading(&mut self, id: ClientId, argument: u8) {
        let allowed = self.allowed(id);
        let client = self.clients.get_mut(&id).expect("the client exists");
        let count = client.missing.min(usize::from(argument) + 1).min(allowed);
        client.missing -= count;
        self.router.client_input(self.now, id, &vec![0xF3; count]);
    }

    /// The number of the next frame that this client sends.
    fn next_number(&mut self, id: ClientId) -> i32 {
        self.number += 1;
        let client = self.clients.get_mut(&id).expect("the client exists");
        client.asked.insert(self.number);
        client.began = true;
        self.number
    }

    /// A HALT in any form. It must be sent.
    fn halt(&mut self, id: ClientId, argument: u8) {
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

    fn ask(&mut self, id: ClientId, argument: u8) {
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
        // Its stops that waited for the rate, and those of the dead man's switch.
        self.stops.budget += (ALL_STOPS + 5) * STOP_US;
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
        assert!(
            self.router.held_upload_bytes() <= UPLOADS_TOTAL,
            "the room for uploads is bounded"
        );
    }

    fn arrive(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (consumed, incoming) = self.instrument.handle_input(bytes);
            bytes = &bytes[consumed..];
            if let Some(Incoming::Command { frame, skipped }) = incoming {
                assert_eq!(skipped, 0, "the instrument receives nothing but frames");
                let row = frame.code.row();
                if row.is_some_and(|row| row.effect.is_emergency()) {
                    self.stop_reached(&frame);
                }
                let answered = row
                    .is_none_or(|_| flamingo_runtime_std::protocol::responder::is_answered(&frame));
                // The lights are answered although the table does not expect that.
                if answered || frame.code == CommandCode::LED_SET {
                    self.commands.push((self.now, frame));
                }
            }
        }
    }

    fn stop_reached(&mut self, stop: &Frame) {
        assert!(self.stops.budget >= STOP_US, "more stops than the rates of the clients allow");
        self.stops.budget -= STOP_US;
        if stop.code == CommandCode::STAGE_HALT {
            assert_eq!((stop.payload_len, stop.value), (0, 0.0), "a stop is clean");
            let axis = usize::try_from(stop.selector()).expect("an axis");
            self.stops.reached[axis - 1] = Some(self.now);
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
            let text = frame.text().unwrap_or_default();
            if frame.code == CommandCode::STAGE_HALT && text.starts_with("refused:") {
                let lost =
                    ["connection lost", "no connection yet", "not answered", "away too long"];
                assert!(lost.iter().any(|reason| text.contains(reason)), "{text}");
            }
        }
    }
}
