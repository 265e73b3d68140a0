//! One client: splits its bytes into whole commands, and queues whole messages for it. It knows
//! neither the other clients nor the instrument.

use bytes::Bytes;
use flamingo_protocol_core::{
    Frame, Incoming, Ticket,
    time::{Duration, Instant},
};

use super::client_quota::ClientQuota;
use super::hidden_stops::HiddenStops;
use super::slots::Slot;
use super::stop_rate::StopRate;
use super::upload::{PayloadUse, Upload};
use super::waiting::WaitingCommands;
use crate::settings::{EventDelivery, LimitSettings, Role};
use crate::status::ClientCounters;
use flamingo_runtime_std::{CommandReader, InputError, InputLimits, Message, MessageCollector};

/// A command with its whole payload.
#[derive(Debug, Clone)]
pub(super) struct Command {
    pub(super) frame: Frame,
    pub(super) payload: Bytes,
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
    /// A frame whose payload follows: call [`Client::begin_payload`] before the next input.
    PayloadFollows(Frame),
    /// A command that is refused for this reason. Its payload was dropped as it arrived.
    Refused(Frame, &'static str),
    /// A command after which the bytes of this client have no known meaning.
    Distrusted(Frame, &'static str),
}

impl From<Command> for ClientInput {
    fn from(command: Command) -> Self {
        Self::Command(command)
    }
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
    pub(super) waiting: WaitingCommands,
    /// The forwarded command that is not completely written yet.
    pub(super) being_written: Option<Ticket>,
    /// Forwarded commands that have no outcome yet.
    pub(super) in_flight: usize,
    pub(super) counters: ClientCounters,
    pub(super) quota: ClientQuota,
    pub(super) stops: StopRate,
    /// It has closed its sending direction; bytes of it may still wait to be read.
    pub(super) ending: bool,
    /// It sends nothing more that may be accepted; its commands are still answered.
    pub(super) half_closed: bool,
    /// The connection is about to be closed; its input is ignored.
    pub(super) closing: bool,
    input: CommandReader,
    collector: MessageCollector,
    /// The payload that is arriving.
    pub(super) upload: Option<Upload>,
    hidden_stops: Option<HiddenStops>,
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
            // A stop counts whatever length it declares.
            payload_bytes: u32::MAX,
        };
        Self {
            slot,
            role,
            delivery,
            chose_delivery: false,
            address,
            connected: now,
            waiting: WaitingCommands::default(),
            being_written: None,
            in_flight: 0,
            counters: ClientCounters::default(),
            quota: ClientQuota::new(now, limits, slot),
            stops: StopRate::new(now, limits.stops_per_s),
            ending: false,
            half_closed: false,
            closing: false,
            input: CommandReader::new(now, input),
            collector: MessageCollector::default(),
            upload: None,
            hidden_stops: None,
            output: Vec::new(),
            written: 0,
        }
    }

    /// Consumes bytes up to the end of the next command. `room`: how many bytes of an arriving payload
    /// may be held. Returns how many bytes were consumed, or why the client must be disconnected.
    pub(super) fn handle_input(
        &mut self,
        now: Instant,
        bytes: &[u8],
        room: usize,
    ) -> Result<(usize, Option<ClientInput>), InputError> {
        let read = self.input.handle_input(now, bytes);
        self.counters.noise_bytes = self.input.noise_bytes();
        if let Some(hidden) = &mut self.hidden_stops {
            let consumed = read.as_ref().map_or(bytes.len(), |(consumed, _)| *consumed);
            hidden.look(bytes.get(..consumed).unwrap_or(bytes));
        }
        let (consumed, incoming) = read?;
        self.counters.bytes_in += consumed as u64;
        let input = match incoming {
            None => None,
            Some(Incoming::Command { frame, .. }) => {
                if frame.payload_len > 0 {
                    return Ok((consumed, Some(ClientInput::PayloadFollows(frame))));
                }
                Some(Command { frame, payload: Bytes::new(), arrived: now }.into())
            }
            Some(Incoming::Payload { bytes, remaining }) => {
                self.continue_upload(now, bytes, remaining, room)
            }
        };
        Ok((consumed, input))
    }

    /// When [`Self::check_input_time`] is due.
    pub(super) fn input_timeout(&self) -> Option<Instant> {
        let due = self.may_send_more().then(|| self.input.poll_timeout()).flatten()?;
        Some(due.max(self.quota.reads_from()))
    }

    /// Checks whether a frame of the client is late. A client that sends nothing more may wait for its
    /// answers.
    pub(super) fn check_input_time(&self, now: Instant) -> Result<(), InputError> {
        let is_due = self.input_timeout().is_some_and(|due| due <= now);
        if is_due { self.input.check_time(now) } else { Ok(()) }
    }

    /// Decides about the payload of this frame. `longest`: the longest payload of this client. Returns
    /// the command if it does not wait for its payload.
    pub(super) fn begin_payload(
        &mut self,
        now: Instant,
        frame: Frame,
        longest: usize,
    ) -> Option<ClientInput> {
        let stop = Frame { payload_len: 0, ..frame };
        let command = Command { frame: stop, payload: Bytes::new(), arrived: now };
        match PayloadUse::of(&frame) {
            PayloadUse::Forward => {
                let upload = Upload::held(now, frame, longest);
                if upload.is_held() {
                    self.collector.frame(frame, ());
                }
                self.upload = Some(upload);
                None
            }
            PayloadUse::Drop => {
                self.upload = Some(Upload::dropped(now, frame));
                let found = self.take_hidden_stops();
                self.hidden_stops = Some(HiddenStops::behind(&frame, found));
                Some(command.into())
            }
            PayloadUse::Ignore => {
                self.input.forget_payload();
                Some(command.into())
            }
            PayloadUse::Distrust(reason) => Some(ClientInput::Distrusted(stop, reason)),
        }
    }

    fn continue_upload(
        &mut self,
        now: Instant,
        bytes: &[u8],
        remaining: u32,
        room: usize,
    ) -> Option<ClientInput> {
        let upload = self.upload.as_mut()?;
        if !upload.came(now, bytes.len(), room) {
            self.collector.clear();
        }
        let refused = upload.refused();
        if remaining == 0 {
            self.upload = None;
            if let Some((frame, reason)) = refused {
                return Some(ClientInput::Refused(frame, reason));
            }
        }
        let message = self.collector.payload(bytes, remaining);
        message.map(|(message, ())| Command::new(message, now).into())
    }

    /// When the arriving upload ends if no more bytes of it come, and the reason.
    pub(super) fn upload_due(
        &self,
        timeout: Duration,
        limits: &LimitSettings,
    ) -> Option<(Instant, &'static str)> {
        let (due, reason) = self.upload.as_ref()?.due(timeout, limits);
        Some((due.max(self.quota.reads_from()), reason))
    }

    /// Whether bytes of a payload are held that is arriving.
    pub(super) fn is_uploading(&self) -> bool {
        self.upload.as_ref().is_some_and(Upload::is_held)
    }

    /// The bytes of uploads that are held for this client.
    pub(super) fn held_upload_bytes(&self) -> usize {
        let arriving = self.collector.partial().map_or(0, |message| message.payload.len());
        arriving + self.waiting_upload_bytes()
    }

    /// The bytes of whole uploads that wait for the instrument.
    pub(super) fn waiting_upload_bytes(&self) -> usize {
        self.waiting.payload_bytes()
    }

    /// Takes the stops that were found in the payload of a stop.
    pub(super) fn take_hidden_stops(&mut self) -> Vec<Frame> {
        let found = self.hidden_stops.as_mut().map(HiddenStops::take);
        self.hidden_stops.take_if(|hidden| hidden.is_over());
        found.unwrap_or_default()
    }

    /// Refuses the payload that is arriving. Its client learns that when the rest of it has come.
    pub(super) fn refuse_upload(&mut self, reason: &'static str) {
        if let Some(upload) = self.upload.as_mut().filter(|upload| upload.is_held()) {
            upload.refuse(reason);
            self.collector.clear();
        }
    }

    /// Queues a frame and its payload, unless `limit` bytes already wait. One message has room at any
    /// length, so that a client that reads receives it. Returns whether it was queued.
    pub(super) fn queue_message(&mut self, frame: &[u8], payload: &[u8], limit: usize) -> bool {
        let waiting = self.output.len() - self.written;
        if waiting >= limit {
            return false;
        }
        // What is moved is not longer than what was written.
        if self.written >= waiting {
            self.output.drain(..self.written);
            self.written = 0;
        }
        self.output.extend_from_slice(frame);
        self.output.extend_from_slice(payload);
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

    /// Whether its connection must be closed now.
    pub(super) fn ends(&self) -> bool {
        self.closing || self.is_done()
    }

    /// Whether something can be written to it, or its connection must be closed now.
    pub(super) fn has_output_or_ends(&self) -> bool {
        !self.to_write().is_empty() || self.ends()
    }

    /// Whether it sends nothing more and has received everything.
    fn is_done(&self) -> bool {
        let open = self.waiting.len() + self.in_flight + usize::from(self.being_written.is_some());
        self.half_closed && open == 0 && self.to_write().is_empty()
    }
}
