//! Routes frames. A command of the host becomes a request to the instrument. Its answer goes to the
//! host, and unsolicited frames go to the push port. The bridge that runs on a host has the same
//! rules. `pump.rs` moves the bytes between the ports and this file.

use flamingo_protocol_core::{
    Class, CommandCode, Config, Connection, Ended, Event, Flags, Frame, Incoming, Output, Received,
    Ticket,
    connection::{Cancelled, ConfigSource},
    error::CommandError,
    time::{Duration, Instant},
    wire::Timing,
};

use crate::commands::{INSTRUMENT_LOST, expects_answer, is_stop, reason_of, tells};
use crate::counters::{Counters, count};
use crate::in_flight::InFlight;
use crate::instrument_watch::InstrumentWatch;
use crate::output_queue::OutputQueue;
use crate::upload::{Finished, Upload};

const REQUESTS: usize = 8;
const STOPS: usize = 8;
const QUEUE: usize = 17; // 8 commands, 8 HALTs or laser-offs, and a fence or another stop
const OWED: usize = 24;

/// The client side of the connection to the instrument.
pub(crate) type Core = Connection<REQUESTS, OWED, QUEUE, STOPS, Instrument>;

/// The time that the instrument has for its answer, from the first byte of the command. A command may
/// wait as long to be sent. The bridge on a host uses the same time. If the host has a shorter timeout,
/// an answer may arrive after the host has given up.
pub const REQUEST_TIMEOUT: Duration = Duration::from_millis(5000);
/// The same for a command that is answered at the end of its motion.
const MOTION_TIMEOUT: Duration = Duration::from_millis(180_000);
/// The longest payload of the instrument. A frame that declares more is noise. After a damaged length
/// below it, the bridge waits for that many bytes until the line is silent.
const PAYLOAD_LIMIT: u32 = 65_536;

/// The configuration of the connection, known at compile time.
#[derive(Debug)]
pub(crate) struct Instrument;

impl ConfigSource for Instrument {
    fn config(&self) -> &Config {
        const { &Config::DEFAULT.with_payload_limit(PAYLOAD_LIMIT) }
    }
}

/// The whole bridge without its ports. Its initial value is all zero, so a `static` takes no flash.
#[derive(Debug)]
pub struct Application {
    pub(crate) core: Core,
    pub(crate) relay: Relay,
}

/// The state of the bridge outside the connection to the instrument.
#[derive(Debug)]
pub(crate) struct Relay {
    pub(crate) host: OutputQueue<8>,
    pub(crate) push: OutputQueue<8>,
    pub(crate) upload: Upload,
    pub(crate) watch: InstrumentWatch,
    in_flight: InFlight<{ REQUESTS + STOPS + 1 }>,
    /// The payload of the current frame goes to the host.
    to_host: bool,
    /// The payload of the current frame goes to the push port.
    to_push: bool,
    /// A frame that answers one of several requests. It is kept until these requests have ended.
    ambiguous: Option<Frame>,
    pub(crate) counters: Counters,
}

impl Default for Application {
    fn default() -> Self {
        Self::new()
    }
}

impl Application {
    /// Creates a bridge that has received nothing yet.
    #[must_use]
    pub const fn new() -> Self {
        let relay = Relay {
            host: OutputQueue::new(),
            push: OutputQueue::new(),
            upload: Upload::new(),
            watch: InstrumentWatch::new(),
            in_flight: InFlight::new(),
            to_host: false,
            to_push: false,
            ambiguous: None,
            counters: Counters::ZERO,
        };
        Self { core: Core::with(Instrument), relay }
    }

    /// The counters so far. The noise of the host is missing here.
    pub(crate) fn counters(&self) -> Counters {
        let Relay { host, push, counters, .. } = &self.relay;
        Counters {
            host_dropped: host.dropped,
            push_dropped: push.dropped,
            without_peer: [host.without_peer, push.without_peer]
                .into_iter()
                .fold(counters.without_peer, u32::saturating_add),
            filler: host.filler.saturating_add(push.filler),
            instrument_noise: u32::try_from(self.core.counters().noise_bytes).unwrap_or(u32::MAX),
            ..*counters
        }
    }

    /// Handles the events of the connection while the host port has room for the answers that follow.
    pub(crate) fn take_events(&mut self, now: Instant) {
        while self.relay.host.has_room(now, 0) {
            let Some(event) = self.core.poll_event() else { break };
            self.relay.on_event(event);
        }
    }
}

impl Relay {
    /// Routes a frame or payload bytes of the instrument.
    pub(crate) fn on_instrument_output(&mut self, output: Output<'_>) {
        match output {
            Output::Frame(received) => self.route(&received),
            Output::Payload { bytes, remaining } => {
                if self.to_host {
                    self.host.push_payload(bytes, remaining);
                }
                if self.to_push {
                    self.push.push_payload(bytes, remaining);
                }
            }
        }
    }

    /// The instrument stopped in the middle of a frame, or `missing` bytes before the end of a payload.
    pub(crate) fn on_instrument_abandoned(&mut self, missing: u32) {
        count(&mut self.counters.instrument_broke_off, 1);
        if self.to_host {
            self.host.fill(missing);
        }
        if self.to_push {
            self.push.fill(missing);
        }
    }

    fn route(&mut self, received: &Received) {
        let Received { frame, class, .. } = received;
        (self.to_host, self.to_push) = (false, false);
        self.watch.on_frame();
        match class {
            Class::Solicited { ticket, .. } if ticket.is_fence() => {}
            Class::Solicited { ticket, .. } if self.watch.is_probe(*ticket) => {
                if let Some(state) = self.watch.on_answer(frame) {
                    self.publish(&state);
                    self.to_push = false; // it has no payload
                }
            }
            Class::Solicited { ticket, proven } => {
                if let Some(answer) = self.answer_for(*ticket, frame) {
                    self.to_host = true;
                    self.host.begin(&answer);
                } else {
                    count(&mut self.counters.without_peer, 1); // its host has gone
                }
                if !proven {
                    // It may be a push, so the push port gets it, too.
                    count(&mut self.counters.presumed, 1);
                    self.publish(frame);
                }
            }
            Class::Late { proven, .. } => {
                count(&mut self.counters.late, 1);
                if !proven {
                    self.publish(frame);
                }
            }
            Class::Ambiguous { owners } => {
                count(&mut self.counters.ambiguous, 1);
                // The request that ends with it gets it as its answer; see `on_ended`.
                let expected =
                    owners.tickets().iter().any(|ticket| self.in_flight.contains(*ticket));
                self.ambiguous = Some(Frame { payload_len: 0, ..*frame }).filter(|_| expected);
            }
            Class::Unsolicited { .. } => self.publish(frame),
        }
    }

    /// The answer for the host. It has the identifying fields of the host's own command. `None` if the
    /// host that asked has gone.
    fn answer_for(&mut self, ticket: Ticket, frame: &Frame) -> Option<Frame> {
        let command = self.in_flight.remove(ticket)?;
        let mut answer = Frame { client_id: command.client_id, ..*frame };
        if is_stop(frame) {
            // Several stops of one axis may receive each other's answers.
            answer.hardware_id = command.hardware_id;
            answer.int32_data = command.int32_data;
        }
        count(&mut self.counters.answers, 1);
        Some(answer)
    }

    pub(crate) fn publish(&mut self, frame: &Frame) {
        count(&mut self.counters.pushes, 1);
        self.to_push = true;
        self.push.begin(frame);
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Ended { ticket, ended } => self.on_ended(ticket, ended),
            Event::StopBlocked => count(&mut self.counters.stop_blocked, 1),
            Event::Unresponsive => count(&mut self.counters.unresponsive, 1),
            // Other events need no action. That includes events that this version does not know.
            _ => {}
        }
    }

    fn on_ended(&mut self, ticket: Ticket, ended: Ended) {
        if self.watch.is_probe(ticket) {
            self.watch.on_no_answer(ended);
            return;
        }
        let reason = match ended {
            // The host has its answer. The rest of the payload still goes to the host.
            Ended::PayloadStalled { .. } => return,
            // The bridge does not answer for the instrument. The payload of the command may still
            // be on its way to the instrument.
            Ended::TimedOut { sent: true } | Ended::Unanswered => {
                count(&mut self.counters.unanswered, 1);
                self.in_flight.remove(ticket);
                return;
            }
            Ended::Ambiguous => {
                if let Some(frame) = self.ambiguous
                    && let Some(answer) = self.answer_for(ticket, &frame)
                {
                    self.host.push_answer(&answer);
                }
                return;
            }
            Ended::TimedOut { sent: false } => "not sent: the instrument was busy for too long",
            Ended::Superseded { .. } => "cancelled by a stop before it was sent",
            Ended::ConnectionLost { .. } => INSTRUMENT_LOST,
        };
        count(&mut self.counters.not_sent, 1);
        self.upload.end_sending(ticket);
        if let Some(frame) = self.in_flight.remove(ticket) {
            self.fail(&frame, reason);
        }
    }

    /// Handles a command or payload bytes of the host.
    pub(crate) fn on_host_input(&mut self, core: &mut Core, now: Instant, incoming: Incoming<'_>) {
        match incoming {
            Incoming::Command { mut frame, .. } => {
                count(&mut self.counters.commands, 1);
                // Only the server sets these flags. If the instrument echoed them, the answer would
                // look like a push.
                let reserved = Flags::STAGE_POSITIONS_IN_BUFFER.with(Flags::ANSWER_TAG);
                frame.flags = frame.flags.without(reserved);
                if is_stop(&frame) {
                    if frame.payload_len > 0 {
                        self.upload.discard(); // a stop has no payload
                    }
                    frame.payload_len = 0;
                    self.forward_stop(core, now, &frame);
                } else if frame.payload_len > 0 {
                    self.upload.begin(&frame);
                } else if self.watch.lost {
                    self.on_command_while_lost(&frame);
                } else {
                    self.forward(core, now, &frame);
                }
            }
            Incoming::Payload { bytes, remaining } => {
                if let Some(finished) = self.upload.receive(bytes, remaining) {
                    self.on_upload_finished(core, now, &finished);
                }
            }
        }
    }

    /// The host stopped in the middle of a frame or an upload.
    pub(crate) fn on_host_abandoned(&mut self, core: &mut Core, now: Instant) {
        count(&mut self.counters.host_broke_off, 1);
        if let Some(finished) = self.upload.abandon() {
            self.on_upload_finished(core, now, &finished);
        }
    }

    fn on_upload_finished(&mut self, core: &mut Core, now: Instant, finished: &Finished) {
        match finished {
            Finished::Complete(frame) if self.watch.lost => self.on_command_while_lost(frame),
            Finished::Complete(frame) => {
                if let Some(ticket) = self.forward(core, now, frame) {
                    self.upload.begin_sending(ticket);
                }
            }
            Finished::Refused(frame, reason) => self.refuse(frame, reason),
        }
    }

    /// The host has gone: no answer to its commands may go to the next host. Commands that were not sent
    /// are not sent any more, apart from stops.
    pub(crate) fn forget_requests(&mut self, core: &mut Core, now: Instant) {
        while let Some((ticket, command)) = self.in_flight.pop() {
            if !is_stop(&command) && core.cancel(now, ticket) == Cancelled::NotSent {
                count(&mut self.counters.not_sent, 1);
                self.upload.end_sending(ticket);
            }
        }
    }

    /// Handles a command of the host, which is no stop, while the instrument is lost. The rules are those
    /// of the bridge on a host: the state is "disconnected", other queries are not answered, so that no
    /// program takes the answer for data, and everything else is refused.
    fn on_command_while_lost(&mut self, frame: &Frame) {
        if frame.code == CommandCode::SYSTEM_STATE_GET {
            self.host.push_answer(&InstrumentWatch::disconnected(frame));
        } else if tells(frame) {
            count(&mut self.counters.unanswered, 1);
        } else {
            self.refuse(frame, INSTRUMENT_LOST);
        }
    }

    /// Sends a stop before all other commands: HALT, laser-off, or the stop of a workflow or of live
    /// images. If no room for another request is left, it is sent without one: the host then gets no
    /// answer.
    fn forward_stop(&mut self, core: &mut Core, now: Instant, stop: &Frame) {
        let request = expects_answer(stop).then(|| core.request(now, stop, now + REQUEST_TIMEOUT));
        let result = match request {
            Some(Ok(ticket)) => {
                self.in_flight.insert(ticket, stop);
                Ok(ticket)
            }
            Some(Err(CommandError::Full { .. })) | None => core.send(now, stop),
            Some(Err(error)) => Err(error),
        };
        if let Err(error) = result {
            self.refuse(stop, reason_of(error));
        }
    }

    /// Gives a command to the connection, which sends it when the window allows. Otherwise refuses it.
    fn forward(&mut self, core: &mut Core, now: Instant, frame: &Frame) -> Option<Ticket> {
        let answered = expects_answer(frame);
        let at_end = frame.code.row().is_some_and(|row| row.timing == Timing::AtEnd);
        let timeout = if at_end { MOTION_TIMEOUT } else { REQUEST_TIMEOUT };
        let result =
            if answered { core.request(now, frame, now + timeout) } else { core.send(now, frame) };
        match result {
            Ok(ticket) => {
                if answered {
                    self.in_flight.insert(ticket, frame);
                }
                Some(ticket)
            }
            Err(error) => {
                self.refuse(frame, reason_of(error));
                None
            }
        }
    }

    /// Refuses a command: it does not reach the instrument. The host gets an answer if it expects one.
    fn refuse(&mut self, frame: &Frame, reason: &str) {
        count(&mut self.counters.refused, 1);
        self.fail(frame, reason);
    }

    /// Answers for the bridge itself, with status 0 and the reason.
    fn fail(&mut self, frame: &Frame, reason: &str) {
        if !expects_answer(frame) {
            return;
        }
        let mut answer = Frame { status: 0, payload_len: 0, buffer: [0; 72], ..*frame };
        let _ = answer.set_text(reason); // each reason fits
        self.host.push_answer(&answer);
    }
}
