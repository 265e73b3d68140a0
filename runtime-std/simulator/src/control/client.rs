//! One control client: its socket, and the commands in the bytes that it sends. What it gets is in `output.rs`.

use std::io::{ErrorKind, Read};
use std::net::SocketAddr;

use fastrand::Rng;
use flamingo_protocol_core::Incoming;
use flamingo_protocol_core::time::{Duration, Instant};
use flamingo_runtime_std::socket::{self, client_input::ClientEnd};
use flamingo_runtime_std::{CommandReader, InputError, Message, MessageCollector};
use mio::event::Event;
use mio::net::TcpStream;

use super::output::ClientOutput;
use crate::instrument::{ConnectionId, millis};
use crate::scenario::Scenario;
use crate::trigger::{Trigger, random_stream};
use crate::truth::{FaultKind, Truth};

/// A control client that was accepted.
pub(super) struct Client {
    pub(super) stream: TcpStream,
    pub(super) address: SocketAddr,
    pub(super) output: ClientOutput,
    /// The instrument has ended the connection: what waits is still written.
    pub(super) is_dropped: bool,
    /// How many commands it has sent.
    pub(super) commands: u64,
    truth: Truth,
    reader: CommandReader,
    messages: MessageCollector,
    stall: Trigger,
    stall_time: Duration,
    rng: Rng,
    /// Nothing is read before.
    stalled_until: Option<Instant>,
    /// Bytes that were read before the stall.
    unread: Vec<u8>,
    /// A read may find something.
    readable: bool,
    /// The system has reported the end, and does not report it again.
    ends: bool,
}

impl Client {
    pub(super) fn new(
        now: Instant,
        scenario: &Scenario,
        id: ConnectionId,
        (stream, address): (TcpStream, SocketAddr),
        truth: &Truth,
    ) -> Self {
        Self {
            stream,
            address,
            output: ClientOutput::new(scenario, id, address, truth.clone()),
            is_dropped: false,
            commands: 0,
            truth: truth.clone(),
            reader: CommandReader::new(now, scenario.server.input_limits()),
            messages: MessageCollector::default(),
            stall: Trigger::new(&scenario.faults.stalled_reader),
            stall_time: millis(scenario.faults.stalled_reader_ms),
            rng: random_stream(scenario.seed, 5, id),
            stalled_until: None,
            unread: Vec::new(),
            readable: false,
            ends: false,
        }
    }

    /// Remembers what the system has reported.
    pub(super) fn note(&mut self, event: &Event) {
        self.ends |= event.is_read_closed() || event.is_error();
        self.readable |= event.is_readable() || self.ends;
        // Writing, too, finds an error.
        if event.is_writable() || event.is_write_closed() || event.is_error() {
            self.output.unblock();
        }
    }

    /// Whether there may be something to read now.
    pub(super) fn may_read(&self) -> bool {
        self.stalled_until.is_none() && self.readable
    }

    /// The bytes that were read before a stall that is over.
    pub(super) fn after_stall(&mut self, now: Instant) -> Option<Vec<u8>> {
        self.stalled_until.take_if(|until| *until <= now)?;
        Some(std::mem::take(&mut self.unread))
    }

    /// Reads once. 0: nothing is there.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ClientEnd> {
        match self.stream.read(buffer) {
            Ok(0) => Err(ClientEnd::Closed),
            Ok(count) => {
                self.readable = self.ends || !socket::is_emptied(count, buffer.len());
                Ok(count)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.readable = false;
                Ok(0)
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes bytes from `rest`, up to the end of the next command.
    pub(super) fn next_command(
        &mut self,
        now: Instant,
        rest: &mut &[u8],
    ) -> Result<Option<Message>, InputError> {
        let (consumed, incoming) = self.reader.handle_input(now, rest)?;
        *rest = &rest[consumed..];
        let whole = match incoming {
            None => None,
            Some(Incoming::Command { frame, .. }) => self.messages.frame(frame, ()),
            Some(Incoming::Payload { bytes, remaining }) => self.messages.payload(bytes, remaining),
        };
        let Some((message, ())) = whole else { return Ok(None) };
        self.commands += 1;
        if self.stall.fires(message.frame.code, &mut self.rng) {
            self.truth.record_fault(self.address, FaultKind::StalledReader, self.commands, 0);
            self.stalled_until = Some(now + self.stall_time);
        }
        Ok(Some(message))
    }

    /// Keeps the bytes that a stall makes wait. False: nothing stalls.
    pub(super) fn keep(&mut self, rest: &[u8]) -> bool {
        let stalls = self.stalled_until.is_some();
        if stalls {
            self.unread.extend_from_slice(rest);
        }
        stalls
    }

    /// Checks whether a frame is late.
    pub(super) fn check_time(&self, now: Instant) -> Result<(), InputError> {
        if self.stalled_until.is_some() { Ok(()) } else { self.reader.check_time(now) }
    }

    /// When it needs attention without an event.
    pub(super) fn due(&self) -> Option<Instant> {
        let input = self.stalled_until.or_else(|| self.reader.poll_timeout());
        input.into_iter().chain(self.output.due()).min()
    }
}
