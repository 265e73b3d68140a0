//! A client and a device with two links between them, on virtual time, and the oracle that checks them.
//!
//! It moves bytes and time. A test, or `ops.rs`, decides what happens.

use std::collections::{HashMap, VecDeque};

use flamingo_protocol_core::{
    CommandCode, Config, Connection, Event, Frame, Output, Ticket, Transmit,
    connection::Reason,
    error::CommandError,
    time::{Duration, Instant},
};

use crate::device::{Device, Outgoing, payload_of};
use crate::link::{Faults, Link, LinkRead};
use crate::oracle::{Oracle, Sent, Truth};

/// The options of a conversation.
#[derive(Debug, Clone, Copy)]
pub struct HarnessOptions {
    /// The configuration of the client. The device behaves as it says.
    pub config: Config,
    /// The faults of both links.
    pub faults: Faults,
    /// The seed of the links.
    pub seed: u64,
    /// The end of a frame of an earlier conversation comes first, and then a whole one. The number selects
    /// where the first one is cut.
    pub stale: Option<u8>,
}

impl Default for HarnessOptions {
    fn default() -> Self {
        Self { config: Config::default(), faults: Faults::NONE, seed: 0, stale: None }
    }
}

/// A client and a device that are connected.
#[derive(Debug)]
pub struct Harness {
    /// The time.
    pub now: Instant,
    /// The client.
    pub client: Connection,
    /// The device.
    pub device: Device,
    /// The checks.
    pub oracle: Oracle,
    /// Client to device.
    pub up: Link,
    /// Device to client.
    pub down: Link,
    /// Requests in the order they were asked.
    pub asked: Vec<Ticket>,
    /// All events of the client, except the ends of requests.
    pub events: Vec<Event>,
    /// The marks of the uploads, from which their payloads follow.
    marks: HashMap<Ticket, i32>,
    payloads: HashMap<Ticket, Vec<u8>>,
    junk: VecDeque<u8>,
    client_closed: bool,
}

impl Harness {
    /// Connects both sides. The stale bytes are already read.
    #[must_use]
    pub fn new(options: HarnessOptions) -> Self {
        let HarnessOptions { config, faults, seed, stale } = options;
        let mut oracle = Oracle::new(config);
        let mut down = Link::new(seed ^ 0xD0, faults);
        if let Some(cut) = stale {
            let frame = Frame::new(CommandCode::SYSTEM_STATE_IDLE);
            let tail = usize::from(cut % 127) + 1;
            down = down.with_stale(&[&frame.encode()[tail..], &frame.encode()].concat());
            oracle.noise_sent += 128 - tail as u64;
            oracle.sent.push(Sent { frame, payload: Vec::new(), truth: Truth::Push });
        }
        let mut harness = Self {
            now: Instant::from_micros(1_000_000),
            client: Connection::new(config),
            device: Device::new(config),
            oracle,
            up: Link::new(seed ^ 0x0B, faults),
            down,
            asked: Vec::new(),
            events: Vec::new(),
            marks: HashMap::new(),
            payloads: HashMap::new(),
            junk: VecDeque::new(),
            client_closed: false,
        };
        harness.pump();
        harness
    }

    /// Sends a request. The frame gets its own mark in hardwareID, which the device echoes.
    ///
    /// # Errors
    /// [`CommandError`] of the client.
    pub fn ask(&mut self, mut frame: Frame, patience: Duration) -> Result<Ticket, CommandError> {
        frame.hardware_id = self.asked.len() as i32 + 1;
        let ticket = self.client.request(self.now, &frame, self.now + patience)?;
        self.asked.push(ticket);
        self.marks.insert(ticket, frame.hardware_id);
        self.oracle.asked(ticket);
        self.pump();
        Ok(ticket)
    }

    /// Sends a frame without a request.
    ///
    /// # Errors
    /// [`CommandError`] of the client.
    pub fn send(&mut self, mut frame: Frame) -> Result<Ticket, CommandError> {
        frame.hardware_id = -1;
        let ticket = self.client.send(self.now, &frame)?;
        self.marks.insert(ticket, frame.hardware_id);
        self.pump();
        Ok(ticket)
    }

    /// Cancels a request.
    pub fn cancel(&mut self, ticket: Ticket) {
        // The oracle must know the requests that have ended.
        self.take_events();
        let how = self.client.cancel(self.now, ticket);
        self.oracle.cancelled(ticket, how);
        self.pump();
    }

    /// Lets time pass. Each arrival and each timer happens at its own time.
    pub fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        self.pump();
        loop {
            let timer = self.client.poll_timeout().map(|(at, _)| at);
            let arrivals = [self.up.next_arrival(), self.down.next_arrival()];
            let next = arrivals.into_iter().flatten().chain(timer);
            let Some(at) = next.filter(|at| *at > self.now && *at <= end).min() else { break };
            self.now = at;
            self.tick();
        }
        self.now = end;
        self.tick();
    }

    fn tick(&mut self) {
        self.client.handle_timeout(self.now);
        self.take_events();
        self.pump();
    }

    /// Moves all bytes that can be moved now.
    pub fn pump(&mut self) {
        loop {
            let client_wrote = self.client_writes();
            let device_read = self.device_reads();
            let device_wrote = self.device_writes();
            let client_read = self.client_reads();
            self.take_events();
            if !(client_wrote || device_read || device_wrote || client_read) {
                return;
            }
        }
    }

    fn client_writes(&mut self) -> bool {
        let written = match self.client.poll_transmit(self.now) {
            None => return false,
            Some(Transmit::Bytes(bytes)) => self.up.write(self.now, bytes),
            Some(Transmit::Payload { ticket, offset, remaining }) => {
                let (from, len) = (offset as usize, (offset + remaining) as usize);
                self.up.write(self.now, &payload_of(self.marks[&ticket], len)[from..])
            }
        };
        if let Some(ticket) = self.client.transmitted(self.now, written) {
            self.oracle.commands.push(ticket);
        }
        written > 0
    }

    fn device_reads(&mut self) -> bool {
        let LinkRead::Bytes(bytes) = self.up.read(self.now) else { return false };
        self.device.read(&bytes);
        true
    }

    fn device_writes(&mut self) -> bool {
        self.queue_frames();
        let written = match self.device.responder.poll_transmit() {
            None => {
                let written = self.down.write(self.now, self.junk.make_contiguous());
                self.junk.drain(..written);
                return written > 0;
            }
            Some(Transmit::Bytes(bytes)) => self.down.write(self.now, bytes),
            Some(Transmit::Payload { ticket, offset, .. }) => {
                let payload = self.payloads.get(&ticket).map_or(&[][..], Vec::as_slice);
                self.down.write(self.now, &payload[offset as usize..])
            }
        };
        if let Some(ticket) = self.device.responder.transmitted(written) {
            self.payloads.remove(&ticket);
        }
        written > 0
    }

    /// Queues the output of the device in order; junk goes between two frames only. The echo of an upload
    /// declares a payload that does not follow. The responder would ask for that payload, so such a frame
    /// goes out as plain bytes.
    fn queue_frames(&mut self) {
        while self.junk.is_empty() {
            let idle = self.device.responder.poll_transmit().is_none();
            match self.device.outgoing.pop_front() {
                Some(Outgoing::Junk(bytes)) if idle => {
                    self.oracle.noise_sent += bytes.len() as u64;
                    self.junk.extend(bytes);
                }
                Some(Outgoing::Frame(sent))
                    if sent.payload.len() as u32 != sent.frame.payload_len =>
                {
                    if !idle {
                        self.device.outgoing.push_front(Outgoing::Frame(sent));
                        return;
                    }
                    self.junk.extend(sent.frame.encode());
                    self.oracle.sent.push(*sent);
                }
                Some(Outgoing::Frame(sent)) => {
                    let Ok(ticket) = self.device.responder.push(&sent.frame) else {
                        self.device.outgoing.push_front(Outgoing::Frame(sent));
                        return;
                    };
                    self.payloads.insert(ticket, sent.payload.clone());
                    self.oracle.sent.push(*sent);
                }
                Some(junk) => {
                    self.device.outgoing.push_front(junk);
                    return;
                }
                None => return,
            }
        }
    }

    fn client_reads(&mut self) -> bool {
        match self.down.read(self.now) {
            LinkRead::Bytes(bytes) => {
                self.feed_client(&bytes);
                true
            }
            LinkRead::End | LinkRead::Reset if !self.client_closed => {
                self.client_closed = true;
                let (held, _) = self.client.handle_eof();
                self.take_events();
                self.oracle.check(&self.client.counters(), held, false);
                true
            }
            _ => false,
        }
    }

    fn feed_client(&mut self, mut input: &[u8]) {
        self.oracle.bytes_fed += input.len() as u64;
        loop {
            let (consumed, output) = self.client.handle_input(self.now, input);
            match output {
                Some(Output::Frame(received)) => self.oracle.frame(received),
                Some(Output::Payload { bytes, remaining }) => self.oracle.payload(bytes, remaining),
                None => {
                    assert_eq!(consumed, input.len());
                    return;
                }
            }
            input = &input[consumed..];
        }
    }

    fn take_events(&mut self) {
        while let Some(event) = self.client.poll_event() {
            match event {
                Event::Ended { ticket, ended } => self.oracle.ended(ticket, ended),
                event => self.events.push(event),
            }
        }
    }

    /// Whether both links are open and the client has not read the end.
    pub fn is_open(&self) -> bool {
        !self.client_closed && self.down.is_open() && self.up.is_open()
    }

    /// Whether no byte is in flight and the device has none to write.
    fn is_quiet(&mut self) -> bool {
        let in_flight = self.up.in_flight() + self.down.in_flight() + self.junk.len();
        let writes =
            self.device.responder.poll_transmit().is_some() || !self.device.outgoing.is_empty();
        in_flight == 0 && !(writes && self.down.is_open())
    }

    /// Lets time pass until nothing changes. Then each request must have one outcome, no answer may be owed,
    /// and the counters must add up.
    pub fn finish(mut self) -> Oracle {
        let mut quiet = 0;
        for _ in 0..100_000 {
            self.pass(Duration::from_millis(1000));
            quiet = if self.is_quiet() { quiet + 1 } else { 0 };
            if quiet == 60 {
                break;
            }
        }
        let whole = self.down.is_open() && !self.client_closed;
        if !self.client_closed {
            assert_eq!(self.down.in_flight(), 0, "the link delivers all bytes");
            let (requests, owed) = self.client.in_flight();
            assert_eq!(owed, 0, "answers are owed");
            let timeout = self.client.poll_timeout();
            if self.up.is_open() {
                assert_eq!((requests, timeout), (0, None), "requests or a timeout are left");
            } else {
                // Fences and stops that can no longer be written wait for the end of the stream.
                let blocked = matches!(timeout, None | Some((_, Reason::StopBlocked)));
                assert!(blocked, "{timeout:?} is left");
            }
        }
        let (held, _) = self.client.handle_eof();
        self.take_events();
        self.oracle.check(&self.client.counters(), held, whole);
        self.oracle
    }
}
