//! The device, with the truth beside the wire: it knows the command that each of its frames answers.
//!
//! It reads the bytes of the client with code of its own, and decides when, how often and whether it answers.

use std::collections::{BTreeMap, HashMap, VecDeque};

use fastrand::Rng;
use flamingo_protocol_core::{
    CommandCode, Config, Flags, Frame, Ticket,
    connection::{Key, OrderingDomain},
    time::{Duration, Instant},
    wire::{Kind, Payload, Timing},
};

use super::plan::{Peer, Plan};

/// Why the device sent a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// It answers the command with this number, for the first time or again.
    Answer { command: usize, again: bool },
    /// It is the answer to a command of an earlier connection.
    Stale,
    /// A push, or the answer to another client.
    Push,
}

/// A frame of the device.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    /// The frame on the wire.
    pub(super) frame: Frame,
    /// The payload that follows it.
    pub(super) payload: Vec<u8>,
    /// Why.
    pub(super) origin: Origin,
    /// The noise in front of it.
    pub(super) skipped: u32,
    /// The number of bytes of the device up to the end of the frame, its payload not counted.
    pub(super) end: u64,
}

/// A command that the device read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Command {
    /// The client's name for it.
    pub(super) ticket: Ticket,
    /// As it was on the wire.
    pub(super) frame: Frame,
}

/// The device.
#[derive(Debug)]
pub(super) struct Instrument {
    config: Config,
    peer: Peer,
    /// Complete commands, in the order in which they were read.
    pub(super) commands: Vec<Command>,
    /// Bytes of a command that is not complete.
    partial: Vec<u8>,
    /// What will be sent, and when; the number keeps the order of those at the same time.
    scheduled: BTreeMap<(Instant, u64), (Frame, Vec<u8>, Origin)>,
    number: u64,
    /// When the last answer of each lane is sent.
    lanes: HashMap<(u32, i32), Instant>,
    /// Bytes on the way to the client.
    pub(super) line: VecDeque<u8>,
    /// All frames that were put on the line.
    pub(super) sent: Vec<Sent>,
    /// All bytes that were put on the line.
    pub(super) bytes: u64,
    /// Of these, bytes behind the last frame that belong to none.
    noise: u32,
}

impl Instrument {
    /// A device that has read nothing.
    pub(super) fn new(plan: &Plan) -> Self {
        Self {
            config: plan.config,
            peer: plan.peer,
            commands: Vec::new(),
            partial: Vec::new(),
            scheduled: BTreeMap::new(),
            number: 0,
            lanes: HashMap::new(),
            line: VecDeque::new(),
            sent: Vec::new(),
            bytes: 0,
            noise: 0,
        }
    }

    /// Reads bytes of the client. Returns the commands that they complete, with their payloads.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    pub(super) fn read(&mut self, input: &[u8]) -> Result<Option<(Frame, Vec<u8>)>, String> {
        self.partial.extend_from_slice(input);
        let Some(bytes) = self.partial.first_chunk::<128>() else { return Ok(None) };
        let frame = Frame::decode(bytes).map_err(|error| format!("no frame: {error}"))?;
        let len = 128 + frame.payload_len as usize;
        if self.partial.len() > len {
            return Err(format!("{} bytes behind {frame}", self.partial.len() - len));
        }
        if self.partial.len() < len {
            return Ok(None);
        }
        let payload = self.partial.split_off(128);
        self.partial.clear();
        Ok(Some((frame, payload)))
    }

    /// A command has come at `now`, and takes `think` to answer, if it is answered at all.
    pub(super) fn take(
        &mut self,
        command: Command,
        now: Instant,
        think: Duration,
        answers: bool,
        rng: &mut Rng,
    ) {
        let number = self.commands.len();
        self.commands.push(command);
        let row = command.frame.code.row();
        let ever = row.is_none_or(|row| row.kind != Kind::FireAndForget);
        if !answers || !ever {
            return;
        }
        let lane = self.lane(&command.frame);
        let last = self.lanes.get(&lane).copied().unwrap_or_default();
        let ordered = self.peer != Peer::Unordered;
        let at = if ordered { last.max(now + think) } else { now + think };
        self.lanes.insert(lane, at);
        let (frame, payload) = self.answer(&command.frame, rng);
        self.schedule(at, frame, payload.clone(), Origin::Answer { command: number, again: false });
        if self.peer == Peer::Doubles && rng.u32(0..4) == 0 {
            let later = Duration::from_micros(rng.u64(0..=2 * think.as_micros().min(1_000_000)));
            self.schedule(
                at + later,
                frame,
                payload,
                Origin::Answer { command: number, again: true },
            );
        }
    }

    /// The same for an upload under a code that may also carry a payload of the device: the echo comes at once, with
    /// the length of the upload, and no payload follows. Returns whether the order allows that.
    pub(super) fn echo(&mut self, command: Command, now: Instant) -> bool {
        let lane = self.lane(&command.frame);
        if self.lanes.get(&lane).is_some_and(|last| *last > now) {
            return false;
        }
        let number = self.commands.len();
        self.commands.push(command);
        let mut frame = command.frame;
        (frame.status, frame.value) = (1, 1.0);
        if self.config.peer_tags {
            frame.flags = frame.flags.with(Flags::ANSWER_TAG);
        }
        self.schedule(now, frame, Vec::new(), Origin::Answer { command: number, again: false });
        self.pass(now);
        true
    }

    /// The answers of one lane keep their order.
    fn lane(&self, command: &Frame) -> (u32, i32) {
        let key = Key::of(command);
        let at_end = command.code.row().is_some_and(|row| row.timing == Timing::AtEnd);
        match self.config.ordering {
            OrderingDomain::Connection if !at_end => (u32::MAX, -1),
            OrderingDomain::Subsystem if !at_end && command.code.0 < 0xF_F000 => {
                (command.code.subsystem(), -2)
            }
            _ => (key.code.0, key.selector),
        }
    }

    fn answer(&self, command: &Frame, rng: &mut Rng) -> (Frame, Vec<u8>) {
        let mut frame = *command;
        (frame.status, frame.value) = (1, 1.0);
        if self.config.peer_tags {
            frame.flags = frame.flags.with(Flags::ANSWER_TAG);
        }
        if frame.code == CommandCode::COMMON_SCOPE_SETTINGS_LOAD && rng.bool() {
            frame.code = CommandCode::COMMON_SCOPE_SETTINGS;
        }
        let kind = command.code.row().map_or(Payload::None, |row| row.payload);
        if matches!(kind, Payload::Down | Payload::Both) {
            frame.payload_len = 2 * rng.u32(0..250);
        }
        let known = command.code.row().is_some();
        let follows = (known && kind != Payload::Up) || self.config.upload_echo_has_payload;
        if !follows && !known {
            frame.payload_len = 0;
        }
        let len = if follows { frame.payload_len } else { 0 };
        (frame, payload_of(frame.hardware_id, len))
    }

    /// Will send a frame.
    pub(super) fn schedule(&mut self, at: Instant, frame: Frame, payload: Vec<u8>, origin: Origin) {
        self.number += 1;
        self.scheduled.insert((at, self.number), (frame, payload, origin));
    }

    /// When the next frame is sent.
    pub(super) fn next_at(&self) -> Option<Instant> {
        self.scheduled.first_key_value().map(|((at, _), _)| *at)
    }

    /// Puts all that is due on the line.
    pub(super) fn pass(&mut self, now: Instant) -> usize {
        let mut number = 0;
        while self.next_at().is_some_and(|at| at <= now) {
            let Some((_, (frame, payload, origin))) = self.scheduled.pop_first() else { break };
            self.line.extend(frame.encode());
            self.line.extend(&payload);
            let end = self.bytes + 128;
            self.bytes = end + payload.len() as u64;
            let skipped = std::mem::take(&mut self.noise);
            self.sent.push(Sent { frame, payload, origin, skipped, end });
            number += 1;
        }
        number
    }

    /// Puts bytes on the line that belong to no frame.
    pub(super) fn add_noise(&mut self, noise: &[u8]) {
        self.line.extend(noise);
        self.bytes += noise.len() as u64;
        self.noise += noise.len() as u32;
    }

    /// Whether the first answer to that command is still to come to the client, which has heard so many frames.
    pub(super) fn still_answers(&self, ticket: Ticket, heard: usize) -> bool {
        let of = |origin: Origin| match origin {
            Origin::Answer { command, again: false } => self.commands[command].ticket == ticket,
            _ => false,
        };
        self.scheduled.values().any(|(_, _, origin)| of(*origin))
            || self.sent[heard.min(self.sent.len())..].iter().any(|sent| of(sent.origin))
    }

    /// All faults stop: what is still to come either comes now or never.
    pub(super) fn settle(&mut self, now: Instant, rng: &mut Rng) {
        let keep_all = rng.bool();
        let scheduled = std::mem::take(&mut self.scheduled);
        for ((at, number), sent) in scheduled {
            if at <= now || keep_all {
                self.scheduled.insert((at.min(now), number), sent);
            }
        }
        self.lanes.clear();
        self.peer = Peer::Faithful;
    }

    /// The connection has ended: the rest of the bytes is lost. Returns the commands that were not answered.
    pub(super) fn hang_up(&mut self) -> Vec<(Frame, Vec<u8>)> {
        self.partial.clear();
        self.line.clear();
        self.sent.clear();
        (self.bytes, self.noise) = (0, 0);
        let scheduled = std::mem::take(&mut self.scheduled);
        scheduled.into_values().map(|(frame, payload, _)| (frame, payload)).collect()
    }
}

/// The payload with this mark: valid frames, so that a reader that loses its place shows it.
pub(super) fn payload_of(mark: i32, len: u32) -> Vec<u8> {
    let frame = Frame::new(CommandCode::STAGE_POSITION_GET).with_selector(mark);
    frame.encode().into_iter().cycle().take(len as usize).collect()
}
