//! Shared by the tests: virtual time, a client whose wire the tests can read, and the frames that a
//! peer sends.
#![allow(dead_code)] // some helpers serve only the tests of one feature

pub(crate) mod port;

use flamingo_protocol_core::{
    Class, CommandCode, Config, Connection, Ended, Event, Flags, Frame, Output, Received, Ticket,
    Transmit,
    connection::Counters,
    error::CommandError,
    time::{Duration, Instant},
};

/// A query of the position of an axis.
pub(crate) fn position(axis: i32) -> Frame {
    Frame::command(CommandCode::STAGE_POSITION_GET).with_selector(axis)
}

/// A move of an axis.
pub(crate) fn go(axis: i32, target: f64) -> Frame {
    Frame::command(CommandCode::STAGE_POSITION_SET).with_selector(axis).with_value(target)
}

pub(crate) fn halt(axis: i32) -> Frame {
    Frame::command(CommandCode::STAGE_HALT).with_selector(axis)
}

pub(crate) fn velocity(axis: i32) -> Frame {
    ask(CommandCode::STAGE_VELOCITY_SET).with_selector(axis)
}

pub(crate) fn ask(code: CommandCode) -> Frame {
    Frame::command(code)
}

/// A command with a payload of zeros.
pub(crate) fn upload(len: u32) -> Frame {
    ask(CommandCode::COMMON_SCOPE_SETTINGS_SAVE).with_payload_len(len)
}

/// The answer to a command, as the server makes it: a copy of the command with its result filled
/// in.
pub(crate) fn answer(command: &Frame, value: f64) -> Frame {
    let mut frame = *command;
    frame.status = 1;
    frame.value = value;
    frame
}

/// A position update, as the server pushes it during a motion.
pub(crate) fn push(axis: i32, value: f64) -> Frame {
    let mut frame = answer(&position(axis), value);
    frame.flags = Flags::STAGE_POSITIONS_IN_BUFFER;
    frame
}

pub(crate) const SECOND: Duration = Duration::from_millis(1000);

pub(crate) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A client in virtual time. `wire` holds what it wrote, `frames` and `events` what it received.
pub(crate) struct Client<const REQUESTS: usize = 16, const OWED: usize = 32, const STOPS: usize = 8>
{
    pub(crate) core: Connection<REQUESTS, OWED, 25, STOPS>,
    pub(crate) now: Instant,
    /// The frames that were sent, without their payloads.
    pub(crate) wire: Vec<Frame>,
    pub(crate) frames: Vec<Received>,
    pub(crate) events: Vec<Event>,
}

impl Client {
    pub(crate) fn new() -> Self {
        Self::with(Config::default())
    }

    pub(crate) fn with(config: Config) -> Self {
        Self::sized(config)
    }
}

impl<const REQUESTS: usize, const OWED: usize, const STOPS: usize> Client<REQUESTS, OWED, STOPS> {
    pub(crate) fn sized(config: Config) -> Self {
        let core = Connection::new(config);
        let now = Instant::from_micros(1_000_000);
        Self { core, now, wire: Vec::new(), frames: Vec::new(), events: Vec::new() }
    }

    /// Queues a request with a deadline of three seconds, and writes everything that may go.
    pub(crate) fn ask(&mut self, frame: &Frame) -> Ticket {
        self.try_ask(frame).expect("there is room")
    }

    pub(crate) fn try_ask(&mut self, frame: &Frame) -> Result<Ticket, CommandError> {
        let ticket = self.queue(frame, ms(3000));
        self.write();
        ticket
    }

    /// Queues a request and writes nothing.
    pub(crate) fn queue(
        &mut self,
        frame: &Frame,
        patience: Duration,
    ) -> Result<Ticket, CommandError> {
        self.core.request(self.now, frame, self.now + patience)
    }

    pub(crate) fn send(&mut self, frame: &Frame) -> Ticket {
        let ticket = self.core.send(self.now, frame).expect("there is room");
        self.write();
        ticket
    }

    pub(crate) fn cancel(
        &mut self,
        ticket: Ticket,
    ) -> flamingo_protocol_core::connection::Cancelled {
        let cancelled = self.core.cancel(self.now, ticket);
        self.write();
        cancelled
    }

    /// Writes everything that may go. Payload bytes are zeros.
    pub(crate) fn write(&mut self) {
        while self.write_some(usize::MAX) {}
        self.take_events();
    }

    /// Writes at most `most` bytes. Returns whether there was anything to write.
    pub(crate) fn write_some(&mut self, most: usize) -> bool {
        let written = match self.core.poll_transmit(self.now) {
            None => return false,
            Some(Transmit::Bytes(bytes)) => {
                if bytes.len() == 128 {
                    self.wire.push(Frame::decode(bytes).expect("the core writes frames"));
                }
                bytes.len()
            }
            Some(Transmit::Payload { remaining, .. }) => remaining as usize,
        };
        self.core.transmitted(self.now, written.min(most));
        true
    }

    fn take_events(&mut self) {
        self.events.extend(core::iter::from_fn(|| self.core.poll_event()));
    }

    /// Receives a frame without a payload and returns its class.
    pub(crate) fn hear(&mut self, frame: &Frame) -> Class {
        self.hear_bytes(&frame.encode());
        self.frames.last().expect("a frame came out").class.clone()
    }

    pub(crate) fn hear_bytes(&mut self, mut input: &[u8]) {
        loop {
            let (consumed, output) = self.core.handle_input(self.now, input);
            input = &input[consumed..];
            match output {
                Some(Output::Frame(received)) => self.frames.push(received),
                None if input.is_empty() => break,
                Some(Output::Payload { .. }) | None => {}
            }
        }
        self.write();
    }

    /// Advances the time, timer by timer, and writes after each timer everything that may go.
    pub(crate) fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some((at, _)) = self.core.poll_timeout().filter(|(at, _)| *at <= end) {
            self.now = self.now.max(at);
            self.core.handle_timeout(self.now);
            self.write();
        }
        self.now = end;
        self.core.handle_timeout(self.now);
        self.write();
    }

    /// All endings that the client reported for a request.
    pub(crate) fn ends(&self, ticket: Ticket) -> Vec<Ended> {
        let of = |event: &Event| match event {
            Event::Ended { ticket: of, ended } if *of == ticket => Some(*ended),
            _ => None,
        };
        self.events.iter().filter_map(of).collect()
    }

    /// All answers that the client reported for a request.
    pub(crate) fn answers(&self, ticket: Ticket) -> Vec<Frame> {
        let solicited = |received: &&Received| matches!(received.class, Class::Solicited { ticket: of, .. } if of == ticket);
        self.frames.iter().filter(solicited).map(|received| received.frame).collect()
    }

    /// The number of outcomes of a request so far.
    pub(crate) fn outcomes(&self, ticket: Ticket) -> usize {
        self.ends(ticket).len() + self.answers(ticket).len()
    }

    /// The code and selector of the last frame on the wire.
    pub(crate) fn last_sent(&self) -> Option<(CommandCode, i32)> {
        self.wire.last().map(|frame| (frame.code, frame.selector()))
    }

    pub(crate) fn counters(&self) -> Counters {
        self.core.counters()
    }
}

pub(crate) fn solicited(ticket: Ticket) -> Class {
    Class::Solicited { ticket, proven: true }
}

pub(crate) fn presumed(ticket: Ticket) -> Class {
    Class::Solicited { ticket, proven: false }
}

pub(crate) fn late(ticket: Ticket) -> Class {
    Class::Late { ticket, proven: true }
}

pub(crate) const UNSOLICITED: Class = Class::Unsolicited { ours: false };
