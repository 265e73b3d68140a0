//! The scripted device. It reads commands in order and answers when a test requests it. It keeps the
//! assumptions of the protocol: at most one answer for each command, answers in order within the ordering
//! domain, unmarked pushes only of pushable keys. Each frame is recorded with its [`Truth`].

use std::collections::VecDeque;

use flamingo_protocol_core::{
    Config, Flags, Frame, Incoming, Responder,
    connection::OrderingDomain,
    wire::{Payload, Selector, Timing},
};

use crate::oracle::{Sent, Truth};

/// The doubleData of a push.
pub const PUSHED: f64 = -1.0;

/// One thing that the device writes.
#[derive(Debug, Clone)]
pub enum Outgoing {
    /// A frame.
    Frame(Box<Sent>),
    /// Bytes between two frames that are not part of a frame.
    Junk(Vec<u8>),
}

/// Reads commands, and answers when a test requests it.
#[derive(Debug)]
pub struct Device {
    config: Config,
    /// The responder of the core, which is the device's side of the connection.
    pub responder: Responder,
    /// Complete commands, in the order in which they were read.
    pub commands: Vec<Frame>,
    unfinished: Option<(Frame, u32)>,
    /// The number of commands that were taken.
    taken: usize,
    /// Answers that are not sent yet, with one lane for each domain. Lane 0 keeps the order of each key only.
    lanes: [VecDeque<Sent>; 17],
    /// The output that waits.
    pub outgoing: VecDeque<Outgoing>,
}

impl Device {
    /// Creates a device that behaves as the client's configuration says.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            config,
            responder: Responder::default(),
            commands: Vec::new(),
            unfinished: None,
            taken: 0,
            lanes: Default::default(),
            outgoing: VecDeque::new(),
        }
    }

    /// Reads bytes of the client. They contain no noise.
    pub fn read(&mut self, mut input: &[u8]) {
        while !input.is_empty() {
            let (consumed, incoming) = self.responder.handle_input(input);
            input = &input[consumed..];
            match incoming {
                Some(Incoming::Command { frame, skipped }) => {
                    assert_eq!(skipped, 0, "the client sent noise");
                    self.unfinished = Some((frame, 0));
                }
                Some(Incoming::Payload { bytes, .. }) => {
                    let (frame, received) =
                        self.unfinished.as_mut().expect("a command precedes its payload");
                    let expected = payload_of(frame.hardware_id, frame.payload_len as usize);
                    let range = *received as usize..*received as usize + bytes.len();
                    assert_eq!(bytes, &expected[range], "payload bytes of an upload");
                    *received += bytes.len() as u32;
                }
                None => assert!(input.is_empty()),
            }
            if let Some((frame, _)) =
                self.unfinished.take_if(|(f, received)| *received == f.payload_len)
            {
                self.commands.push(frame);
            }
        }
    }

    /// Takes the next command. Its answer follows on [`answer`](Self::answer), or never if `answers` is false.
    /// Returns whether there was a command.
    pub fn take(&mut self, answers: bool) -> bool {
        let Some(command) = self.commands.get(self.taken).copied() else { return false };
        let truth = Truth::Answer(self.taken);
        self.taken += 1;
        if answers {
            let reply = self.answer_to(&command, truth);
            self.lanes[self.lane(&command)].push_back(reply);
        }
        true
    }

    fn lane(&self, command: &Frame) -> usize {
        let at_end = command.code.row().is_some_and(|row| row.timing == Timing::AtEnd);
        match self.config.ordering {
            _ if at_end => 0,
            OrderingDomain::Subsystem => 1 + (command.code.subsystem() as usize).min(15),
            OrderingDomain::Connection => 1,
            OrderingDomain::Key => 0,
        }
    }

    fn answer_to(&self, command: &Frame, truth: Truth) -> Sent {
        let mut frame = *command;
        (frame.status, frame.value) = (1, 1.0);
        if self.config.peer_tags {
            frame.flags = frame.flags.with(Flags::ANSWER_TAG);
        }
        let kind = command.code.row().map_or(Payload::None, |row| row.payload);
        if kind == Payload::Down || kind == Payload::Both {
            frame.payload_len = 64 + frame.hardware_id as u32 % 300;
        }
        let follows = kind != Payload::Up || self.config.upload_echo_has_payload;
        let len = if follows { frame.payload_len as usize } else { 0 };
        Sent { frame, payload: payload_of(frame.hardware_id, len), truth }
    }

    /// Sends the next answer of one of the lanes `copies` times. Returns whether there was an answer.
    pub fn answer(&mut self, which: usize, copies: usize) -> bool {
        let open = self.lanes.iter().filter(|lane| !lane.is_empty()).count();
        let mut lanes = self.lanes.iter_mut().enumerate().filter(|(_, lane)| !lane.is_empty());
        let Some((number, lane)) = lanes.nth(which % open.max(1)) else { return false };
        let any = if number == 0 { which / 16 % lane.len() } else { 0 };
        let key = key(&lane[any].frame);
        let at = lane.iter().position(|sent| self::key(&sent.frame) == key).unwrap_or(any);
        let Some(sent) = lane.remove(at) else { return false };
        let copies = std::iter::repeat_n(Outgoing::Frame(Box::new(sent)), copies);
        self.outgoing.extend(copies);
        true
    }

    /// Takes and answers all commands that were read.
    pub fn serve(&mut self) {
        while self.take(true) {
            while self.answer(0, 1) {}
        }
    }

    /// Forgets all commands that it has not answered.
    pub fn forget(&mut self) {
        self.taken = self.commands.len();
        self.lanes = Default::default();
    }

    /// Sends an unsolicited frame, with the push flag if the configuration requires it.
    pub fn push(&mut self, like: &Frame) {
        let mut frame = *like;
        (frame.status, frame.value, frame.hardware_id, frame.payload_len) = (1, PUSHED, 0, 0);
        frame.flags = Flags(0);
        let marks = self.config.peer_tags || self.config.tokens.is_some();
        if !marks && !self.config.pushable(frame.code) {
            frame.flags = Flags::STAGE_POSITIONS_IN_BUFFER;
        }
        let sent = Sent { frame, payload: Vec::new(), truth: Truth::Push };
        self.outgoing.push_back(Outgoing::Frame(Box::new(sent)));
    }

    /// Sends a frame of the test.
    pub fn send(&mut self, frame: Frame, payload: Vec<u8>, truth: Truth) {
        let sent = Sent { frame, payload, truth };
        self.outgoing.push_back(Outgoing::Frame(Box::new(sent)));
    }
}

/// The key of a frame. Answers with equal keys stay in order in every domain.
fn key(frame: &Frame) -> (u32, i32) {
    let selects = frame.code.row().is_some_and(|row| row.selector != Selector::None);
    (frame.code.0, if selects { frame.selector() } else { 0 })
}

/// The payload of the frame with this mark. It consists of valid frames.
pub fn payload_of(mark: i32, len: usize) -> Vec<u8> {
    let frame = Frame::new(flamingo_protocol_core::CommandCode(0x6008)).with_selector(mark);
    frame.encode().into_iter().cycle().take(len).collect()
}
