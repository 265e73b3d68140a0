//! The body of the router's fuzz target. It decodes bytes into actions of clients, the instrument and the
//! network. It panics if a client receives an answer to a query that it did not send, or bytes that are
//! not a frame; if a client that sends too fast would be read at once, or never again; if a HALT is
//! refused or not sent; if more stops are sent than the rates allow; or if uploads take more room than
//! there is.
//!
//! This file decodes the bytes and moves what the parts send. `clients.rs` has the clients, `instrument.rs` the
//! instrument.

mod clients;
mod instrument;

use std::collections::{BTreeMap, BTreeSet};

use flamingo_bridge::router::{ClientId, Router, RouterAction, RouterOptions};
use flamingo_bridge::settings::{Delivery, LimitSettings, Role, WhenLost};
use flamingo_runtime_std::protocol::{
    CommandCode, Config, Flags, Frame, Responder, Ticket,
    time::{Duration, Instant},
    wire::Assembler,
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
}
