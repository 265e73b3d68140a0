//! What is done with a frame: a command of the host becomes a request to the instrument, its answer
//! goes to the host, and what nobody asked for to the push port. The rules are those of the bridge
//! on a host. How the bytes get here and away is `pump.rs`.

use flamingo_protocol_core::{
    Class, Config, Connection, Ended, Event, Flags, Frame, Incoming, Output, Received, Ticket,
    connection::ConfigSource,
    error::{CommandError, Full},
    responder::is_answered,
    time::{Duration, Instant},
    wire::Timing,
};

use crate::counters::{Counters, count};
use crate::flights::Flights;
use crate::outlet::Outlet;
use crate::upload::{Finished, Upload};

const REQUESTS: usize = 8;
const STOPS: usize = 8;
const QUEUE: usize = 17; // 8, and places for stops and a fence
const OWED: usize = 24;

/// The client's side towards the instrument.
pub(crate) type Core = Connection<REQUESTS, OWED, QUEUE, STOPS, Instrument>;

/// How long the instrument may take to answer: as long as with the bridge on a host. If the host has
/// less patience, an answer may come when it has given up.
pub const REQUEST_TIMEOUT: Duration = Duration::from_millis(5000);
/// The same where the answer comes at the end of a motion.
const UNTIL_ITS_END: Duration = Duration::from_millis(180_000);
/// The longest payload of the instrument. A damaged length above it is noise; below it, so many
/// bytes are waited for until the line falls silent.
const PAYLOAD_LIMIT: u32 = 65_536;

/// What is known of the instrument when this is compiled.
#[derive(Debug)]
pub(crate) struct Instrument;

impl ConfigSource for Instrument {
    fn config(&self) -> &Config {
        // A command may go up at the end of its time: its answer is late as long as it can come.
        const CONFIG: Config =
            Config::DEFAULT.with_payload_limit(PAYLOAD_LIMIT).with_grace(REQUEST_TIMEOUT);
        &CONFIG
    }
}

/// The whole bridge, without its ports. It begins all zero: a `static` of it takes no flash.
#[derive(Debug)]
pub struct Application {
    pub(crate) core: Core,
    pub(crate) desk: Desk,
}

/// Everything but the connection to the instrument.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) host: Outlet<8>,
    pub(crate) push: Outlet<8>,
    pub(crate) upload: Upload,
    flights: Flights<{ REQUESTS + STOPS }>,
    /// Where the payload that comes in goes.
    to_host: bool,
    to_push: bool,
    /// A frame that answers one of several requests, until those have ended.
    ambiguous: Option<Frame>,
    pub(crate) counters: Counters,
}

impl Default for Application {
    fn default() -> Self {
        Self::new()
    }
}

impl Application {
    /// Nothing has come in yet.
    #[must_use]
    pub const fn new() -> Self {
        let desk = Desk {
            host: Outlet::new(),
            push: Outlet::new(),
            upload: Upload::new(),
            flights: Flights::new(),
            to_host: false,
            to_push: false,
            ambiguous: None,
            counters: Counters::ZERO,
        };
        Self { core: Core::with(Instrument), desk }
    }

    /// What was counted so far, but for the noise of the host.
    pub(crate) fn counters(&self) -> Counters {
        let Desk { host, push, counters, .. } = &self.desk;
        Counters {
            host_dropped: host.dropped,
            push_dropped: push.dropped,
            filler: host.filler.saturating_add(push.filler),
            instrument_noise: u32::try_from(self.core.counters().noise_bytes).unwrap_or(u32::MAX),
            ..*counters
        }
    }

    /// Takes what the core has to say, as long as the host has room for what follows from it.
    pub(crate) fn take_events(&mut self, now: Instant) {
        while self.desk.host.takes(now, 0) {
            let Some(event) = self.core.poll_event() else { break };
            self.desk.happened(event);
        }
    }
}

impl Desk {
    /// What the instrument sent.
    pub(crate) fn instrument_said(&mut self, output: Output<'_>) {
        match output {
            Output::Frame(received) => self.route(&received),
            Output::Payload { bytes, remaining } => {
                if self.to_host {
                    self.host.stream(bytes, remaining);
                }
                if self.to_push {
                    self.push.stream(bytes, remaining);
                }
            }
        }
    }

    /// The instrument stopped in the middle of a frame, or so many bytes before the end of a payload.
    pub(crate) fn instrument_broke_off(&mut self, missing: u32) {
        count(&mut self.counters.instrument_broke_off, 1);
        if self.to_host {
            self.host.lose(missing);
        }
        if self.to_push {
            self.push.lose(missing);
        }
    }

    fn route(&mut self, received: &Received) {
        let Received { frame, class, .. } = received;
        (self.to_host, self.to_push) = (false, false);
        match class {
            Class::Solicited { ticket, .. } if ticket.is_fence() => {}
            Class::Solicited { ticket, proven } => {
                let told = self.answer(*ticket, frame);
                self.to_host = true;
                self.host.pass(&told);
                if !proven {
                    // It may have been a push: who listens to those must not miss it.
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
                // Whoever waits for it and ends with it is told; see `happened`.
                let waits = owners.tickets().iter().any(|ticket| self.flights.contains(*ticket));
                self.ambiguous = Some(Frame { payload_len: 0, ..*frame }).filter(|_| waits);
            }
            Class::Unsolicited { .. } => self.publish(frame),
        }
    }

    /// An answer as it is told to whoever asked: with the fields of his own that identify him.
    fn answer(&mut self, ticket: Ticket, frame: &Frame) -> Frame {
        let mut told = *frame;
        if let Some(asked) = self.flights.end(ticket) {
            told.client_id = asked.client_id;
            if stops(frame) {
                // Several stops of an axis may be answered by one another's answers.
                told.hardware_id = asked.hardware_id;
                told.int32_data = asked.int32_data;
            }
        }
        count(&mut self.counters.answers, 1);
        told
    }

    fn publish(&mut self, frame: &Frame) {
        count(&mut self.counters.pushes, 1);
        self.to_push = true;
        self.push.pass(frame);
    }

    fn happened(&mut self, event: Event) {
        match event {
            Event::Ended { ticket, ended } => self.ended(ticket, ended),
            Event::StopBlocked => count(&mut self.counters.stop_blocked, 1),
            Event::Unresponsive => count(&mut self.counters.unresponsive, 1),
            // Nothing to do, nor for an event that this version does not know.
            _ => {}
        }
    }

    fn ended(&mut self, ticket: Ticket, ended: Ended) {
        let reason = match ended {
            // Its answer was handed on, and so is what comes of the payload.
            Ended::PayloadStalled { .. } => return,
            // What the instrument does not answer, the bridge does not, either. Its payload may
            // still be going up.
            Ended::TimedOut { sent: true } | Ended::Unanswered => {
                count(&mut self.counters.unanswered, 1);
                self.flights.end(ticket);
                return;
            }
            Ended::Ambiguous => {
                if let Some(frame) = self.ambiguous {
                    let told = self.answer(ticket, &frame);
                    self.host.say(&told);
                }
                return;
            }
            Ended::TimedOut { sent: false } => "not sent: the instrument was busy for too long",
            Ended::Superseded { .. } => "cancelled by a stop before it was sent",
            Ended::ConnectionLost => "instrument connection lost",
        };
        count(&mut self.counters.not_sent, 1);
        self.upload.is_out(ticket);
        if let Some(frame) = self.flights.end(ticket) {
            self.fail(&frame, reason);
        }
    }

    /// What the host sent.
    pub(crate) fn host_said(&mut self, core: &mut Core, now: Instant, incoming: Incoming<'_>) {
        match incoming {
            Incoming::Command { mut frame, .. } => {
                count(&mut self.counters.commands, 1);
                // Flags of the server: echoed, they would make the answer look like a push.
                let reserved = Flags::STAGE_POSITIONS_IN_BUFFER.with(Flags::ANSWER_TAG);
                frame.flags = frame.flags.without(reserved);
                if stops(&frame) {
                    if frame.payload_len > 0 {
                        self.upload.ignore(); // a stop has none and waits for none
                    }
                    frame.payload_len = 0;
                    self.pass_stop(core, now, &frame);
                } else if frame.payload_len > 0 {
                    self.upload.begin(&frame);
                } else {
                    self.hand_up(core, now, &frame);
                }
            }
            Incoming::Payload { bytes, remaining } => {
                if let Some(finished) = self.upload.take(bytes, remaining) {
                    self.uploaded(core, now, &finished);
                }
            }
        }
    }

    /// The host stopped in the middle of a frame or an upload.
    pub(crate) fn host_broke_off(&mut self, core: &mut Core, now: Instant) {
        count(&mut self.counters.host_broke_off, 1);
        if let Some(finished) = self.upload.break_off() {
            self.uploaded(core, now, &finished);
        }
    }

    fn uploaded(&mut self, core: &mut Core, now: Instant, finished: &Finished) {
        match finished {
            Finished::Whole(frame) => {
                if let Some(ticket) = self.hand_up(core, now, frame) {
                    self.upload.goes_up(ticket);
                }
            }
            Finished::Refused(frame, reason) => self.refuse(frame, reason),
        }
    }

    /// A HALT or laser-off: at once, before everything. As long as there is room to send it, it is
    /// sent, though nobody can tell its answer.
    fn pass_stop(&mut self, core: &mut Core, now: Instant, stop: &Frame) {
        let asked = expects_answer(stop).then(|| core.request(now, stop, now + REQUEST_TIMEOUT));
        let result = match asked {
            Some(Ok(ticket)) => {
                self.flights.begin(ticket, stop);
                Ok(ticket)
            }
            Some(Err(CommandError::Full { .. })) | None => core.send(now, stop),
            Some(Err(error)) => Err(error),
        };
        if let Err(error) = result {
            self.refuse(stop, reason_of(error));
        }
    }

    /// A command goes up as soon as the core lets it, or is refused.
    fn hand_up(&mut self, core: &mut Core, now: Instant, frame: &Frame) -> Option<Ticket> {
        let asked = expects_answer(frame);
        let at_end = frame.code.row().is_some_and(|row| row.timing == Timing::AtEnd);
        let patience = if at_end { UNTIL_ITS_END } else { REQUEST_TIMEOUT };
        let given =
            if asked { core.request(now, frame, now + patience) } else { core.send(now, frame) };
        match given {
            Ok(ticket) => {
                if asked {
                    self.flights.begin(ticket, frame);
                }
                Some(ticket)
            }
            Err(error) => {
                self.refuse(frame, reason_of(error));
                None
            }
        }
    }

    /// A command that is not to reach the instrument: the host is told, if it expects an answer.
    fn refuse(&mut self, frame: &Frame, reason: &str) {
        count(&mut self.counters.refused, 1);
        self.fail(frame, reason);
    }

    /// An answer of the bridge's own: status 0, and why.
    fn fail(&mut self, frame: &Frame, reason: &str) {
        if !expects_answer(frame) {
            return;
        }
        let mut answer = Frame { status: 0, payload_len: 0, buffer: [0; 72], ..*frame };
        let _ = answer.set_text(reason); // each of them fits
        self.host.say(&answer);
    }
}

/// Whether a command is answered, as far as anybody knows.
fn expects_answer(frame: &Frame) -> bool {
    match frame.code.row() {
        Some(_) => is_answered(frame),
        None => frame.flags.contains(Flags::TRIGGER_CALL_BACK),
    }
}

fn stops(frame: &Frame) -> bool {
    frame.code.row().is_some_and(|row| row.effect.stops())
}

fn reason_of(error: CommandError) -> &'static str {
    match error {
        CommandError::NotFinite => "value: expected a finite number",
        CommandError::UnknownAxis { .. } => "axis: expected 1 (X), 2 (Y), 3 (Z) or 4 (R)",
        CommandError::ReservedFlag { .. } => "a flag of the server's alone is set",
        CommandError::PayloadTooLong { .. } => "payload: too long",
        CommandError::NeverAnswered => "this command is never answered",
        CommandError::Full { what: Full::StopLane } => "too many stops wait",
        CommandError::Full { .. } => "too many commands wait: read the answers first",
        CommandError::Closed => "instrument connection lost",
        _ => "this command cannot be sent",
    }
}
