//! One client: splits its bytes into whole commands, and queues whole messages for it. It knows
//! neither the other clients nor the instrument.

use std::collections::VecDeque;
use std::sync::Arc;

use flamingo_protocol_core::{
    Frame, Incoming, Ticket,
    time::{Duration, Instant},
};

use super::client_quota::ClientQuota;
use super::slots::Slot;
use crate::settings::{EventDelivery, LimitSettings, Role};
use crate::status::ClientCounters;
use flamingo_runtime_std::{CommandReader, InputError, InputLimits, Message, MessageCollector};

/// A command with its whole payload.
#[derive(Debug, Clone)]
pub(super) struct Command {
    pub(super) frame: Frame,
    pub(super) payload: Arc<[u8]>,
    /// When its last byte arrived.
    pub(super) arrived: Instant,
}

impl Command {
    fn new(message: Message, arrived: Instant) -> Self {
        Self { frame: message.frame, payload: message.payload.into(), arrived }
    }
}

/// What the bytes of a client contain.
#[derive(Debug)]
pub(super) enum ClientInput {
    Command(Command),
    /// A frame whose payload follows: call [`Client::begin_upload`] before the next input.
    UploadBegins(Frame),
    /// An upload that is larger than the client's room. Its payload was dropped as it arrived.
    Oversized(Frame),
}

impl From<Command> for ClientInput {
    fn from(command: Command) -> Self {
        Self::Command(command)
    }
}

/// An upload that is arriving. Its payload is collected unless it is oversized.
#[derive(Debug)]
struct Upload {
    frame: Frame,
    oversized: bool,
    last_progress: Instant,
}

/// A connected client.
#[allow(clippy::struct_excessive_bools)] // independent facts
#[derive(Debug)]
pub(super) struct Client {
    pub(super) slot: Slot,
    pub(super) role: Role,
    pub(super) delivery: EventDelivery,
    /// The client has chosen its delivery itself; a reload of the settings keeps it.
    pub(super) chose_delivery: bool,
    pub(super) address: String,
    pub(super) connected: Instant,
    /// Accepted commands that were not forwarded yet, in order.
    pub(super) waiting: VecDeque<Command>,
    /// The forwarded command that is not completely written yet.
    pub(super) being_written: Option<Ticket>,
    /// Forwarded commands that have no outcome yet.
    pub(super) in_flight: usize,
    pub(super) counters: ClientCounters,
    pub(super) quota: ClientQuota,
    /// It has closed its sending direction; bytes of it may still wait to be read.
    pub(super) ending: bool,
    /// It sends nothing more that may be accepted; its commands are still answered.
    pub(super) half_closed: bool,
    /// The connection is about to be closed; its input is ignored.
    pub(super) closing: bool,
    input: CommandReader,
    collector: MessageCollector,
    upload: Option<Upload>,
    output: Vec<u8>,
    /// The bytes of `output` that were written.
    written: usize,
}

impl Client {
    pub(super) fn new(
        now: Instant,
        address: String,
        slot: Slot,
        role: Role,
        delivery: EventDelivery,
        limits: &LimitSettings,
        request_timeout: Duration,
    ) -> Self {
        let input = InputLimits {
            first_frame: Some(std::time::Duration::from_secs(limits.first_frame_s).into()),
            rest_of_frame: Some(request_timeout),
            noise_bytes: limits.noise_bytes,
            ..InputLimits::COMMANDS
        };
        Self {
            slot,
            role,
            delivery,
            chose_delivery: false,
            address,
            connected: now,
            waiting: VecDeque::new(),
            being_written: None,
            in_flight: 0,
            counters: ClientCounters::default(),
            quota: ClientQuota::new(now, limits, slot),
            ending: false,
            half_closed: false,
            closing: false,
            input: CommandReader::new(now, input),
            collector: MessageCollector::default(),
            upload: None,
            output: Vec::new(),
            written: 0,
        }
    }

    /// Consumes bytes up to the end of the next command. Returns how many bytes were consumed, or why
    /// the client must be disconnected.
    pub(super) fn handle_input(
        &mut self,
        now: Instant,
        bytes: &[u8],
    ) -> Result<(usize, Option<ClientInput>), InputError> {
        let read = self.input.handle_input(now, bytes);
        self.counters.noise_bytes = self.input.noise_bytes();
        let (consumed, incoming) = read?;
        self.counters.bytes_in += consumed as u64;
        let input = match incoming {
            None => None,
            Some(Incoming::Command { frame, .. }) => {
                if frame.payload_len > 0 {
                    return Ok((consumed, Some(ClientInput::UploadBegins(frame))));
                }
                self.collector
                    .frame(frame, ())
                    .map(|(message, ())| Command::new(message, now).into())
            }
            Some(Incoming::Payload { bytes, remaining }) => {
                self.continue_upload(now, bytes, remaining)
            }
        };
        Ok((consumed, input))
    }

    /// When [`Self::check_input_time`] is due.
    pub(super) fn input_timeout(&self) -> Option<Instant> {
        self.may_send_more().then(|| self.input.poll_timeout()).flatten()
    }

    /// Checks whether a frame of the client is late. A client that sends nothing more may wait for its
    /// answers.
    pub(super) fn check_input_time(&self, now: Instant) -> Result<(), InputError> {
        if self.may_send_more() { self.input.check_time(now) } else { Ok(()) }
    }

    /// Prepares for the payload of this frame. `room`: the bytes of uploads that may be held for this
    /// client.
    pub(super) fn begin_upload(&mut self, now: Instant, frame: Frame, room: usize) {
        let oversized = frame.payload_len as usize > room;
        self.upload = Some(Upload { frame, oversized, last_progress: now });
        if !oversized {
            // The message is not complete before its payload.
            let _ = self.collector.frame(frame, ());
        }
    }

    fn continue_upload(
        &mut self,
        now: Instant,
        bytes: &[u8],
        remaining: u32,
    ) -> Option<ClientInput> {
        let upload = self.upload.as_mut()?;
        upload.last_progress = now;
        let (frame, oversized) = (upload.frame, upload.oversized);
        if remaining == 0 {
            self.upload = None;
        }
        if oversized {
            return (remaining == 0).then_some(ClientInput::Oversized(frame));
        }
        let message = self.collector.payload(bytes, remaining);
        message.map(|(message, ())| Command::new(message, now).into())
    }

    /// The bytes of uploads that are held for this client, or reserved for the one that is arriving.
    pub(super) fn held_upload_bytes(&self) -> usize {
        let arriving = self.upload.as_ref().filter(|upload| !upload.oversized);
        let arriving = arriving.map_or(0, |upload| upload.frame.payload_len as usize);
        arriving + self.waiting.iter().map(|command| command.payload.len()).sum::<usize>()
    }

    /// When the last bytes of the arriving upload came, if there is one.
    pub(super) fn last_upload_progress(&self) -> Option<Instant> {
        self.upload.as_ref().map(|upload| upload.last_progress)
    }

    /// Queues a whole message, unless `limit` bytes already wait. One message has room at any
    /// length, so that a client that reads receives it. Returns whether it was queued.
    pub(super) fn queue_message(&mut self, message: &[u8], limit: usize) -> bool {
        let waiting = self.output.len() - self.written;
        if waiting >= limit {
            return false;
        }
        if self.written > 0 {
            self.output.drain(..self.written);
            self.written = 0;
        }
        self.output.extend_from_slice(message);
        true
    }

    /// The bytes to write next.
    pub(super) fn to_write(&self) -> &[u8] {
        self.output.get(self.written..).unwrap_or(&[])
    }

    /// `count` bytes of [`Self::to_write`] were written.
    pub(super) fn wrote(&mut self, count: usize) {
        self.counters.bytes_out += count as u64;
        self.written = (self.written + count).min(self.output.len());
        if self.written == self.output.len() {
            self.output.clear();
            self.written = 0;
        }
    }

    /// Whether it may send more commands.
    pub(super) fn may_send_more(&self) -> bool {
        !self.half_closed && !self.ending && !self.closing
    }

    /// Whether it sends nothing more and has received everything.
    pub(super) fn is_done(&self) -> bool {
        let open = self.waiting.len() + self.in_flight + usize::from(self.being_written.is_some());
        self.half_closed && open == 0 && self.to_write().is_empty()
    }
}
