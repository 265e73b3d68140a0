//! A router with clients and an instrument whose answers the test decides.

use std::collections::BTreeMap;

use bytes::Bytes;
use flamingo_protocol_core::{
    CommandCode, Config, Flags, Frame, Incoming, Responder, Ticket,
    time::{Duration, Instant},
    wire::{Assembler, Piece},
};

use crate::router::{ClientId, Router, RouterAction, RouterOptions};
use crate::settings::{Delivery, EventDelivery, LimitSettings, Role, WhenLost};

pub(super) const IDLE: CommandCode = CommandCode::SYSTEM_STATE_IDLE;

pub(super) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(super) fn position(axis: i32) -> Frame {
    Frame::command(CommandCode::STAGE_POSITION_GET).with_selector(axis)
}

pub(super) fn go(axis: i32) -> Frame {
    Frame::command(CommandCode::STAGE_POSITION_SET).with_selector(axis).with_value(5.0)
}

pub(super) fn halt(axis: i32) -> Frame {
    Frame::command(CommandCode::STAGE_HALT).with_selector(axis)
}

pub(super) fn answer(command: &Frame, value: f64) -> Frame {
    Frame { status: 1, value, ..*command }
}

pub(super) fn push(axis: i32, value: f64) -> Frame {
    Frame { flags: Flags::STAGE_POSITIONS_IN_BUFFER, ..answer(&position(axis), value) }
}

pub(super) fn options() -> RouterOptions {
    RouterOptions {
        core: Config::default(),
        last_ticket: Ticket::from_number(0),
        request_timeout: ms(5000),
        limits: LimitSettings::default(),
        lease: None,
        dead_man: false,
        echo_actions: true,
        tag: false,
        coalesce: false,
        when_lost: WhenLost::default(),
    }
}

pub(super) struct Harness {
    pub(super) router: Router,
    pub(super) now: Instant,
    instrument: Responder<4>,
    /// The commands that have reached the instrument and were not answered, with their payloads.
    pub(super) commands: Vec<(Frame, Vec<u8>)>,
    readers: BTreeMap<ClientId, Assembler>,
    pub(super) published: Vec<Bytes>,
    pub(super) log: Vec<String>,
    /// The reasons for which the router wanted to connect again.
    pub(super) reconnects: Vec<&'static str>,
    /// How often the router wanted a connection at once.
    pub(super) connect_now: usize,
}

impl Harness {
    /// The instrument is connected and idle.
    pub(super) fn new(options: RouterOptions) -> Self {
        let mut harness = Self::unconnected(options);
        harness.connect(IDLE);
        harness.published.clear();
        harness
    }

    pub(super) fn unconnected(options: RouterOptions) -> Self {
        Self {
            router: Router::new(options),
            now: Instant::from_micros(1_000_000),
            instrument: Responder::default(),
            commands: Vec::new(),
            readers: BTreeMap::new(),
            published: Vec::new(),
            log: Vec::new(),
            reconnects: Vec::new(),
            connect_now: 0,
        }
    }

    pub(super) fn connect(&mut self, state: CommandCode) {
        self.instrument = Responder::default();
        self.router.upstream_opened(self.now);
        self.write();
        let query = Frame::command(CommandCode::SYSTEM_STATE_GET);
        let at = self.commands.iter().position(|(frame, _)| frame.code == query.code);
        let (asked, _) = self.commands.remove(at.expect("the router asks for the state"));
        self.instrument_sends(&answer(&asked, 0.0).with_selector(state.0 as i32));
    }

    pub(super) fn client(&mut self) -> ClientId {
        self.client_as(Role::Control, Delivery::Callback)
    }

    pub(super) fn client_as(&mut self, role: Role, delivery: impl Into<EventDelivery>) -> ClientId {
        let address = format!("client:{}", self.readers.len());
        let id = self.router.client_opened(self.now, address, role, delivery);
        self.readers.insert(id, Assembler::default());
        id
    }

    /// The client sends a command, and the router forwards what it may.
    pub(super) fn ask(&mut self, id: ClientId, frame: &Frame) {
        self.ask_bytes(id, &frame.encode());
    }

    pub(super) fn ask_bytes(&mut self, id: ClientId, bytes: &[u8]) {
        self.router.client_input(self.now, id, bytes);
        self.write();
    }

    pub(super) fn leave(&mut self, id: ClientId) {
        self.router.client_closed(self.now, id);
        self.write();
    }

    /// The instrument sends a frame.
    pub(super) fn instrument_sends(&mut self, frame: &Frame) {
        self.router.upstream_input(self.now, &frame.encode());
        self.write();
    }

    /// The instrument answers its oldest command. Returns that command.
    pub(super) fn answer_next(&mut self, value: f64) -> Frame {
        let (command, _) = self.commands.remove(0);
        self.instrument_sends(&answer(&command, value));
        command
    }

    /// Lets time pass; every deadline is handled when it is due.
    pub(super) fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(due) = self.router.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.router.handle_timeout(self.now);
            self.write();
        }
        self.now = end;
        self.write();
    }

    /// Writes to the instrument what the router wants to write, and collects the actions.
    pub(super) fn write(&mut self) {
        loop {
            let bytes = self.router.upstream_output(self.now).to_vec();
            if bytes.is_empty() {
                break;
            }
            self.router.upstream_wrote(self.now, bytes.len());
            self.arrive(&bytes);
        }
        self.take_actions();
    }

    fn take_actions(&mut self) {
        while let Some(report) = self.router.poll_action() {
            match report {
                RouterAction::Publish(message) => self.published.push(message),
                RouterAction::Log(line) | RouterAction::LogClient(line) => self.log.push(line),
                RouterAction::Reconnect(reason) => self.reconnects.push(reason),
                RouterAction::ConnectNow => self.connect_now += 1,
            }
        }
    }

    /// A new connection begins. The instrument does not answer yet.
    pub(super) fn reopen(&mut self) {
        self.instrument = Responder::default();
        self.router.upstream_opened(self.now);
        self.write();
    }

    /// The reasons for which the router wanted to connect again. Nothing is written.
    pub(super) fn take_reconnects(&mut self) -> Vec<&'static str> {
        self.take_actions();
        std::mem::take(&mut self.reconnects)
    }

    /// Writes up to `count` bytes to the instrument, and no more.
    pub(super) fn write_some(&mut self, mut count: usize) {
        while count > 0 {
            let bytes = self.router.upstream_output(self.now);
            let bytes = bytes[..bytes.len().min(count)].to_vec();
            if bytes.is_empty() {
                return;
            }
            self.router.upstream_wrote(self.now, bytes.len());
            self.arrive(&bytes);
            count -= bytes.len();
        }
    }

    fn arrive(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (consumed, incoming) = self.instrument.handle_input(bytes);
            bytes = &bytes[consumed..];
            match incoming {
                Some(Incoming::Command { frame, .. }) => self.commands.push((frame, Vec::new())),
                Some(Incoming::Payload { bytes, .. }) => {
                    self.commands.last_mut().expect("its frame").1.extend_from_slice(bytes);
                }
                None => {}
            }
        }
    }

    /// The codes and selectors of what has reached the instrument.
    pub(super) fn reached(&self) -> Vec<(CommandCode, i32)> {
        self.commands.iter().map(|(frame, _)| (frame.code, frame.selector())).collect()
    }

    /// The frames that a client received since the last call.
    pub(super) fn received(&mut self, id: ClientId) -> Vec<Frame> {
        let bytes = self.router.client_output(id).to_vec();
        self.router.client_wrote(id, bytes.len());
        frames(self.readers.get_mut(&id).expect("a client"), &bytes)
    }

    /// The frames published on the callback port since the last call.
    pub(super) fn published_frames(&mut self) -> Vec<Frame> {
        let messages = std::mem::take(&mut self.published);
        messages.iter().map(|message| Frame::decode(&message[..128]).expect("a frame")).collect()
    }
}

fn frames(reader: &mut Assembler, mut bytes: &[u8]) -> Vec<Frame> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let (consumed, piece) = reader.push(bytes);
        bytes = &bytes[consumed..];
        if let Some(Piece::Frame { frame, skipped }) = piece {
            assert_eq!(skipped, 0, "nothing but frames");
            frames.push(frame);
        }
    }
    frames
}

/// Asserts that the only frame is the bridge's own answer to `command`, and that its text contains
/// `reason`.
pub(super) fn assert_refused(received: &[Frame], command: &Frame, reason: &str) {
    let [refused] = received else { panic!("one answer, not {received:?}") };
    assert_eq!((refused.code, refused.status), (command.code, 0));
    let text = refused.text().expect("text");
    assert!(text.contains(reason), "{text}");
}

/// An upload of so many bytes.
pub(super) fn upload(len: u32) -> Frame {
    Frame::command(CommandCode::COMMON_SCOPE_SETTINGS_SAVE).with_payload_len(len)
}
