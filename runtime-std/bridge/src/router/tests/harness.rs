//! A router, an instrument whose commands are in the test's hands, and clients.

use std::collections::BTreeMap;
use std::sync::Arc;

use flamingo_protocol_core::{
    Assembler, CommandCode, Config, Duration, Flags, Frame, Incoming, Instant, Piece, Responder,
};

use crate::router::{ClientId, Options, Report, Router};
use crate::settings::{Delivery, Limits, Role};

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

pub(super) fn options() -> Options {
    Options {
        core: Config::default(),
        request_timeout: ms(5000),
        limits: Limits::default(),
        lease: None,
        dead_man: false,
        echo_actions: true,
        tag: false,
        coalesce: false,
    }
}

pub(super) struct Lab {
    pub(super) router: Router,
    pub(super) now: Instant,
    instrument: Responder<4>,
    /// What has reached the instrument, with the payloads.
    pub(super) commands: Vec<(Frame, Vec<u8>)>,
    readers: BTreeMap<ClientId, Assembler>,
    pub(super) published: Vec<Arc<[u8]>>,
    pub(super) notes: Vec<String>,
    pub(super) gave_up: Vec<&'static str>,
}

impl Lab {
    /// The instrument is connected and idle.
    pub(super) fn new(options: Options) -> Self {
        let mut lab = Self::unconnected(options);
        lab.connect(IDLE);
        lab.published.clear();
        lab
    }

    pub(super) fn unconnected(options: Options) -> Self {
        Self {
            router: Router::new(options),
            now: Instant::from_micros(1_000_000),
            instrument: Responder::default(),
            commands: Vec::new(),
            readers: BTreeMap::new(),
            published: Vec::new(),
            notes: Vec::new(),
            gave_up: Vec::new(),
        }
    }

    pub(super) fn connect(&mut self, state: CommandCode) {
        self.instrument = Responder::default();
        self.router.upstream_opened(self.now);
        self.write();
        let query = Frame::command(CommandCode::SYSTEM_STATE_GET);
        let at = self.commands.iter().position(|(frame, _)| frame.code == query.code);
        let (asked, _) = self.commands.remove(at.expect("it asks for the state"));
        self.say(&answer(&asked, 0.0).with_selector(state.0 as i32));
    }

    pub(super) fn client(&mut self) -> ClientId {
        self.client_as(Role::Control, Delivery::Callback)
    }

    pub(super) fn client_as(&mut self, role: Role, delivery: Delivery) -> ClientId {
        let address = format!("client:{}", self.readers.len());
        let id = self.router.client_opened(self.now, address, role, delivery).expect("room");
        self.readers.insert(id, Assembler::default());
        id
    }

    /// The client sends a command; what may go up goes.
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
    pub(super) fn say(&mut self, frame: &Frame) {
        self.router.upstream_input(self.now, &frame.encode());
        self.write();
    }

    /// It answers the oldest command that it has.
    pub(super) fn answer_next(&mut self, value: f64) -> Frame {
        let (command, _) = self.commands.remove(0);
        self.say(&answer(&command, value));
        command
    }

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

    /// Everything that may go up reaches the instrument.
    pub(super) fn write(&mut self) {
        loop {
            let bytes = self.router.upstream_output(self.now).to_vec();
            if bytes.is_empty() {
                break;
            }
            self.router.upstream_wrote(self.now, bytes.len());
            self.arrive(&bytes);
        }
        while let Some(report) = self.router.poll_report() {
            match report {
                Report::Publish(message) => self.published.push(message),
                Report::Note(note) => self.notes.push(note),
                Report::GiveUp(why) => self.gave_up.push(why),
            }
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

    /// What a client was told since it was asked last.
    pub(super) fn told(&mut self, id: ClientId) -> Vec<Frame> {
        let bytes = self.router.client_output(id).to_vec();
        self.router.client_wrote(id, bytes.len());
        frames(self.readers.get_mut(&id).expect("a client"), &bytes)
    }

    /// The messages of the callback port since then, without payloads.
    pub(super) fn messages(&mut self) -> Vec<Frame> {
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
            assert_eq!(skipped, 0, "frames and nothing else");
            frames.push(frame);
        }
    }
    frames
}

/// Asserts that a frame is the bridge's own answer to a command, with that in its reason.
pub(super) fn assert_refused(told: &[Frame], command: &Frame, reason: &str) {
    let [refused] = told else { panic!("one answer, not {told:?}") };
    assert_eq!((refused.code, refused.status), (command.code, 0));
    let text = refused.text().expect("text");
    assert!(text.contains(reason), "{text}");
}
