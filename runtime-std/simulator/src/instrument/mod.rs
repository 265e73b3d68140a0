//! The simulated instrument itself, without any I/O: time and commands go in, actions come out.
//!
//! This file has the clients, how answers and pushes reach them, and the state of the system. Each subsystem has a
//! file of its own. Bytes, sockets and faults in bytes are outside (`connection.rs`, `byte_faults.rs`).

mod axis;
mod background;
mod camera;
mod light;
mod older_codes;
mod reply;
mod schedule;
mod stage;
mod storage;
#[cfg(test)]
mod tests;
mod tiles;
mod workflow;
mod workflow_plan;

use std::collections::BTreeMap;
use std::sync::Arc;

use fastrand::Rng;
use flamingo_protocol_core::wire::Status;
use flamingo_protocol_core::{
    CommandCode, Flags, Frame,
    responder::is_answered,
    time::{Duration, Instant},
    wire::{Kind, Timing},
};

use super::images::ImageOrder;
use super::scenario::Scenario;
use super::trigger::{Trigger, random_stream};
use super::truth::{FaultKind, TrueClass};
pub(crate) use reply::Command;
pub(crate) use reply::millis;
use reply::{Reply, as_seconds, seconds, state_frame, with_text};
use schedule::Schedule;

/// The number of a connection of the control port, from 1.
pub(crate) type ConnectionId = u64;

/// A frame to send to one client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outgoing {
    pub(crate) frame: Frame,
    pub(crate) payload: Arc<[u8]>,
    pub(crate) truth: TrueClass,
}

/// What the caller must do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    Send { to: ConnectionId, outgoing: Outgoing },
    Image(ImageOrder),
    Fault { connection: ConnectionId, kind: FaultKind, request: u64 },
    Drop { connection: ConnectionId },
}

#[derive(Debug)]
enum Event {
    /// An answer is due.
    Answer {
        to: ConnectionId,
        outgoing: Outgoing,
        settles: bool,
    },
    Stage(stage::StageEvent),
    Background,
    LiveImage {
        view: u64,
    },
    SnapshotTaken,
    Workflow {
        run: u64,
    },
}

/// The state of one client.
struct Client {
    rng: Rng,
    commands: u64,
    unanswered: u32,
    /// When the last answer of each subsystem is due. Later answers of that subsystem come after it.
    last_due: BTreeMap<u32, Instant>,
    late: Trigger,
    lost: Trigger,
    duplicate: Trigger,
}

/// The simulated instrument.
pub(crate) struct Instrument {
    scenario: Arc<Scenario>,
    clients: BTreeMap<ConnectionId, Client>,
    schedule: Schedule<Event>,
    actions: Vec<Action>,
    announced_state: CommandCode,
    background: background::Background,
    stage: stage::Stage,
    light: light::Light,
    camera: camera::Camera,
    storage: storage::Storage,
    workflow: workflow::Workflow,
}

impl Instrument {
    pub(crate) fn new(now: Instant, scenario: &Arc<Scenario>) -> Self {
        let mut instrument = Self {
            clients: BTreeMap::new(),
            schedule: Schedule::default(),
            actions: Vec::new(),
            announced_state: CommandCode::SYSTEM_STATE_IDLE,
            background: background::Background::new(scenario),
            stage: stage::Stage::new(&scenario.stage),
            light: light::Light::default(),
            camera: camera::Camera::new(scenario),
            storage: storage::Storage::new(scenario),
            workflow: workflow::Workflow::default(),
            scenario: Arc::clone(scenario),
        };
        instrument.start_continuous_axes(now);
        instrument
    }

    /// A client has connected. Its id must be new.
    pub(crate) fn connect(&mut self, now: Instant, id: ConnectionId) {
        let faults = &self.scenario.faults;
        let client = Client {
            rng: random_stream(self.scenario.seed, 1, id),
            commands: 0,
            unanswered: 0,
            last_due: BTreeMap::new(),
            late: Trigger::new(&faults.late_answers),
            lost: Trigger::new(&faults.lost_answers),
            duplicate: Trigger::new(&faults.duplicate_answers),
        };
        self.clients.insert(id, client);
        if self.clients.len() == 1 {
            self.start_background(now);
        }
    }

    /// A client has disconnected. What it started continues.
    pub(crate) fn disconnect(&mut self, id: ConnectionId) {
        self.clients.remove(&id);
    }

    /// A command has arrived with its payload. Call [`Self::poll`] afterwards.
    pub(crate) fn handle(
        &mut self,
        now: Instant,
        from: ConnectionId,
        mut frame: Frame,
        payload: &[u8],
    ) {
        let wire_code = frame.code;
        let known = self.code_from_wire(wire_code);
        frame.code = known.unwrap_or(wire_code);
        let Some(client) = self.clients.get_mut(&from) else { return };
        client.commands += 1;
        let command = Command { from, number: client.commands, frame };
        let limit = self.scenario.faults.drop_above_unanswered;
        if limit > 0 && is_answered(&frame) && client.unanswered >= limit {
            self.actions.push(Action::Fault {
                connection: from,
                kind: FaultKind::PolledTooFast,
                request: command.number,
            });
            self.actions.push(Action::Drop { connection: from });
            self.clients.remove(&from);
            return;
        }
        let unanswered = self.scenario.never_answered.iter().any(|listed| listed.0 == wire_code);
        if unanswered || known.is_none() {
            return;
        }
        let reply = match frame.code.subsystem() {
            0x1 => self.storage_command(&command, payload),
            0x2 | 0x4 | 0x5 | 0x7 => self.light_command(&command),
            0x3 => self.camera_command(now, &command, payload),
            0x6 => self.stage_command(now, &command),
            0xA => self.system_command(&command),
            _ => None,
        };
        if let Some(reply) = reply {
            self.push_to_others(&command, &reply);
            if is_answered(&frame) || self.is_acknowledged_light(&frame) {
                self.answer(now, &command, reply);
            }
        }
        self.announce_state();
    }

    /// Processes all events that are due by `now`, and adds to `actions` what must be done.
    pub(crate) fn poll(&mut self, now: Instant, actions: &mut Vec<Action>) {
        while let Some((at, event)) = self.schedule.pop_due(now) {
            match event {
                Event::Answer { to, outgoing, settles } => self.send_answer(to, outgoing, settles),
                Event::Stage(event) => self.stage_event(at, event),
                Event::Background => self.background_tick(now),
                Event::LiveImage { view } => self.live_image(at, view),
                Event::SnapshotTaken => self.snapshot_taken(),
                Event::Workflow { run } => self.workflow_step(at, run),
            }
            self.announce_state();
        }
        actions.append(&mut self.actions);
    }

    /// When to poll again if no command arrives before.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.schedule.next_due()
    }

    fn system_command(&mut self, command: &Command) -> Option<Reply> {
        if command.frame.code != CommandCode::SYSTEM_STATE_GET {
            return None;
        }
        let mut reply = Reply::done(command);
        reply.frame.int32_data[0] = self.state().0 as i32;
        Some(reply)
    }

    fn state(&self) -> CommandCode {
        if self.workflow.is_running() {
            CommandCode::SYSTEM_STATE_WORK_FLOW_RUNNING
        } else {
            self.camera.state()
        }
    }

    /// Pushes the state to all clients if it has changed since the last push.
    fn announce_state(&mut self) {
        let state = self.state();
        if state != self.announced_state {
            self.announced_state = state;
            self.push(state_frame(state), &[]);
        }
    }

    /// Pushes actions and fire-and-forget commands that succeeded to all other clients.
    fn push_to_others(&mut self, command: &Command, reply: &Reply) {
        let kind = command.frame.code.row().map(|row| row.kind);
        let is_visible = matches!(kind, Some(Kind::Action | Kind::FireAndForget));
        if !is_visible || reply.frame.outcome() != Status::Success {
            return;
        }
        let payload = self.push_payload(command.frame.code);
        let status = self.scenario.status.of_answer(&command.frame, reply.frame.status);
        let echo = Frame { status, ..reply.frame };
        self.push_except(Some(command.from), echo, &payload);
    }

    /// The payload of a push: a text for 0x4003, none for other codes.
    fn push_payload(&self, code: CommandCode) -> Vec<u8> {
        if code != CommandCode::LED_PREVIEW_DISABLE {
            return Vec::new();
        }
        let text = b"LEDOFF".iter().copied().cycle();
        text.take(usize::from(self.scenario.pushes.led_payload_bytes)).collect()
    }

    /// Pushes a frame to every client.
    fn push(&mut self, frame: Frame, payload: &[u8]) {
        self.push_except(None, frame, payload);
    }

    /// Pushes a frame to every client but one.
    fn push_except(&mut self, but: Option<ConnectionId>, frame: Frame, payload: &[u8]) {
        let outgoing = pushed(frame, payload);
        for to in self.clients.keys().copied().filter(|to| Some(*to) != but) {
            self.actions.push(Action::Send { to, outgoing: outgoing.clone() });
        }
    }

    fn push_to(&mut self, to: ConnectionId, frame: Frame) {
        self.actions.push(Action::Send { to, outgoing: pushed(frame, &[]) });
    }

    /// Pushes the GET that belongs to a SET, if the scenario says so.
    fn push_get_after_set(&mut self, get: Frame) {
        if self.scenario.pushes.get_after_set {
            self.push(get, &[]);
        }
    }

    /// Schedules an answer, with its latency and its faults.
    fn answer(&mut self, now: Instant, command: &Command, reply: Reply) {
        let scenario = Arc::clone(&self.scenario);
        let code = self.code_on_wire(command.frame.code);
        let Reply { mut frame, payload, latency } = reply;
        frame.status = scenario.status.of_answer(&command.frame, frame.status);
        frame.code = self.code_on_wire(frame.code);
        frame.payload_len = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        if scenario.tokens.echo_upload_length && payload.is_empty() {
            frame.payload_len = command.frame.payload_len;
        }
        if !scenario.tokens.echo_client_id {
            frame.client_id = 0;
        }
        if !scenario.tokens.echo_int32_data2 {
            frame.int32_data[2] = 0;
        }
        if scenario.tokens.tag_answers {
            frame.flags = frame.flags.with(Flags::ANSWER_TAG);
        }
        let counts = is_answered(&command.frame);
        let Some(client) = self.clients.get_mut(&command.from) else { return };
        let fault =
            |kind| Action::Fault { connection: command.from, kind, request: command.number };
        let mut due = now + latency.unwrap_or_else(|| ordinary_latency(&scenario, &mut client.rng));
        if client.lost.fires(code, &mut client.rng) {
            self.actions.push(fault(FaultKind::LostAnswer));
            return;
        }
        let late = client.late.fires(code, &mut client.rng);
        if late {
            self.actions.push(fault(FaultKind::LateAnswer));
            due = due + millis(scenario.faults.late_by_ms);
        }
        if code.row().is_none_or(|row| row.timing == Timing::AtOnce) {
            let last = client.last_due.entry(code.subsystem()).or_default();
            due = due.max(*last);
            *last = due;
        }
        let duplicates = client.duplicate.fires(code, &mut client.rng);
        client.unanswered += u32::from(counts);
        let mut outgoing = Outgoing {
            frame,
            payload,
            truth: TrueClass::Answer { request: command.number, late, duplicate: false },
        };
        let event = Event::Answer { to: command.from, outgoing: outgoing.clone(), settles: counts };
        self.schedule.add(due, event);
        if duplicates {
            self.actions.push(fault(FaultKind::DuplicateAnswer));
            outgoing.truth = TrueClass::Answer { request: command.number, late, duplicate: true };
            self.schedule.add(due, Event::Answer { to: command.from, outgoing, settles: false });
        }
    }

    fn send_answer(&mut self, to: ConnectionId, outgoing: Outgoing, settles: bool) {
        let Some(client) = self.clients.get_mut(&to) else { return };
        client.unanswered = client.unanswered.saturating_sub(u32::from(settles));
        self.actions.push(Action::Send { to, outgoing });
    }
}

/// A frame that no client asked for.
fn pushed(mut frame: Frame, payload: &[u8]) -> Outgoing {
    frame.flags = frame.flags.without(Flags::ANSWER_TAG);
    frame.payload_len = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    // The default needs no memory.
    let payload = if payload.is_empty() { Arc::default() } else { Arc::from(payload) };
    Outgoing { frame, payload, truth: TrueClass::Unsolicited }
}

fn ordinary_latency(scenario: &Scenario, rng: &mut Rng) -> Duration {
    let latency = &scenario.latency;
    let spread = rng.f64() * (latency.max_ms - latency.min_ms);
    let jitter = latency.jitter_ms * rng.f64().powi(4);
    millis(latency.min_ms + spread + jitter)
}
