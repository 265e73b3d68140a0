//! The simulated instrument itself, without any I/O: time and commands go in, actions come out.
//!
//! Here are its clients, how answers and pushes reach them, and the state of the system. What a
//! subsystem does is in its own room. Bytes, sockets and byte faults are outside (`connection.rs`).

mod agenda;
mod axis;
mod background;
mod camera;
mod light;
mod reply;
mod stage;
mod storage;
#[cfg(test)]
mod tests;
mod workflow;
mod workflow_file;

use std::collections::BTreeMap;
use std::sync::Arc;

use fastrand::Rng;
use flamingo_protocol_core::{
    CommandCode, Duration, Flags, Frame, Instant, Kind, Timing, is_answered,
};

use super::images::ImageOrder;
use super::scenario::Scenario;
use super::trigger::{Trigger, stream};
use super::truth::{FaultKind, TrueClass};
use agenda::Agenda;
pub(crate) use reply::Ask;
use reply::{Reply, as_seconds, millis, seconds, state_frame, with_text};

/// The n-th connection of the control port, from 1.
pub(crate) type ConnectionId = u64;

/// A frame on its way to one client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outgoing {
    pub(crate) frame: Frame,
    pub(crate) payload: Arc<[u8]>,
    pub(crate) truth: TrueClass,
}

/// What the world wants done now.
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

/// What the world knows of one client.
struct Link {
    rng: Rng,
    commands: u64,
    unanswered: u32,
    /// When the last answer of each subsystem is due: later ones wait for it.
    last_due: BTreeMap<u32, Instant>,
    late: Trigger,
    lost: Trigger,
    duplicate: Trigger,
}

/// The simulated instrument.
pub(crate) struct World {
    scenario: Arc<Scenario>,
    links: BTreeMap<ConnectionId, Link>,
    agenda: Agenda<Event>,
    actions: Vec<Action>,
    told_state: CommandCode,
    background: background::Background,
    stage: stage::Stage,
    light: light::Light,
    camera: camera::Camera,
    storage: storage::Storage,
    workflow: workflow::Workflow,
}

impl World {
    pub(crate) fn new(now: Instant, scenario: &Arc<Scenario>) -> Self {
        let mut world = Self {
            links: BTreeMap::new(),
            agenda: Agenda::default(),
            actions: Vec::new(),
            told_state: CommandCode::SYSTEM_STATE_IDLE,
            background: background::Background::new(scenario),
            stage: stage::Stage::new(&scenario.stage),
            light: light::Light::default(),
            camera: camera::Camera::new(scenario),
            storage: storage::Storage::new(scenario),
            workflow: workflow::Workflow::default(),
            scenario: Arc::clone(scenario),
        };
        world.start_continuous_axes(now);
        world
    }

    /// A client came. Its id must be new.
    pub(crate) fn connect(&mut self, now: Instant, id: ConnectionId) {
        let faults = &self.scenario.faults;
        let link = Link {
            rng: stream(self.scenario.seed, 1, id),
            commands: 0,
            unanswered: 0,
            last_due: BTreeMap::new(),
            late: Trigger::new(&faults.late_answers),
            lost: Trigger::new(&faults.lost_answers),
            duplicate: Trigger::new(&faults.duplicate_answers),
        };
        self.links.insert(id, link);
        if self.links.len() == 1 {
            self.start_background(now);
        }
    }

    /// A client went. What it started goes on.
    pub(crate) fn disconnect(&mut self, id: ConnectionId) {
        self.links.remove(&id);
    }

    /// A command came in, whole. Call [`Self::poll`] afterwards.
    pub(crate) fn handle(
        &mut self,
        now: Instant,
        from: ConnectionId,
        frame: Frame,
        payload: &[u8],
    ) {
        let Some(link) = self.links.get_mut(&from) else { return };
        link.commands += 1;
        let ask = Ask { from, request: link.commands, frame };
        let limit = self.scenario.faults.drop_above_unanswered;
        if limit > 0 && is_answered(&frame) && link.unanswered >= limit {
            self.actions.push(Action::Fault {
                connection: from,
                kind: FaultKind::PolledTooFast,
                request: ask.request,
            });
            self.actions.push(Action::Drop { connection: from });
            self.links.remove(&from);
            return;
        }
        if self.scenario.never_answered.iter().any(|listed| listed.0 == frame.code) {
            return;
        }
        let reply = match frame.code.subsystem() {
            0x1 => self.storage_command(&ask, payload),
            0x2 | 0x4 | 0x5 | 0x7 => self.light_command(&ask),
            0x3 => self.camera_command(now, &ask, payload),
            0x6 => self.stage_command(now, &ask),
            0xA => self.system_command(&ask),
            _ => None,
        };
        if let Some(reply) = reply {
            self.tell_others(&ask, &reply);
            if is_answered(&frame) {
                self.answer(now, &ask, reply);
            }
        }
        self.tell_state();
    }

    /// Lets everything happen that is due by `now`, and takes the actions.
    pub(crate) fn poll(&mut self, now: Instant) -> Vec<Action> {
        while let Some((at, event)) = self.agenda.pop_due(now) {
            match event {
                Event::Answer { to, outgoing, settles } => self.send_answer(to, outgoing, settles),
                Event::Stage(event) => self.stage_event(at, event),
                Event::Background => self.background_tick(now),
                Event::LiveImage { view } => self.live_image(at, view),
                Event::SnapshotTaken => self.snapshot_taken(),
                Event::Workflow { run } => self.workflow_step(at, run),
            }
            self.tell_state();
        }
        std::mem::take(&mut self.actions)
    }

    /// When to poll again, if no command comes.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.agenda.next_due()
    }

    fn system_command(&mut self, ask: &Ask) -> Option<Reply> {
        if ask.frame.code != CommandCode::SYSTEM_STATE_GET {
            return None;
        }
        let mut reply = Reply::done(ask);
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

    /// Broadcasts the state if it is not what was told last.
    fn tell_state(&mut self) {
        let state = self.state();
        if state != self.told_state {
            self.told_state = state;
            self.push(state_frame(state), &[]);
        }
    }

    /// What one client does, all others see: actions and fire-and-forget commands that worked.
    fn tell_others(&mut self, ask: &Ask, reply: &Reply) {
        let kind = ask.frame.code.row().map(|row| row.kind);
        let seen = matches!(kind, Some(Kind::Action | Kind::FireAndForget));
        if !seen || reply.frame.status != 1 {
            return;
        }
        let payload = self.push_payload(ask.frame.code);
        let others: Vec<_> = self.links.keys().copied().filter(|id| *id != ask.from).collect();
        for to in others {
            self.push_to(to, reply.frame, &payload);
        }
    }

    /// A 0x4003 push carries some bytes that nobody asked for.
    fn push_payload(&self, code: CommandCode) -> Vec<u8> {
        if code != CommandCode::LED_PREVIEW_DISABLE {
            return Vec::new();
        }
        (0..self.scenario.pushes.led_payload_bytes).map(|at| (at % 251) as u8).collect()
    }

    /// Pushes a frame to every client.
    fn push(&mut self, frame: Frame, payload: &[u8]) {
        let all: Vec<_> = self.links.keys().copied().collect();
        for to in all {
            self.push_to(to, frame, payload);
        }
    }

    fn push_to(&mut self, to: ConnectionId, mut frame: Frame, payload: &[u8]) {
        frame.flags = frame.flags.without(Flags::ANSWER_TAG);
        frame.payload_len = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        let outgoing = Outgoing { frame, payload: payload.into(), truth: TrueClass::Unsolicited };
        self.actions.push(Action::Send { to, outgoing });
    }

    /// A SET may push its GET as well.
    fn push_get_after_set(&mut self, get: Frame) {
        if self.scenario.pushes.get_after_set {
            self.push(get, &[]);
        }
    }

    /// Schedules an answer, with its latency and its faults.
    fn answer(&mut self, now: Instant, ask: &Ask, reply: Reply) {
        let scenario = Arc::clone(&self.scenario);
        let Some(link) = self.links.get_mut(&ask.from) else { return };
        let Reply { mut frame, payload, latency } = reply;
        frame.payload_len = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        if scenario.tokens.echo_upload_length && payload.is_empty() {
            frame.payload_len = ask.frame.payload_len;
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
        let code = ask.frame.code;
        let fault = |kind| Action::Fault { connection: ask.from, kind, request: ask.request };
        let mut due = now + latency.unwrap_or_else(|| ordinary_latency(&scenario, &mut link.rng));
        if link.lost.strikes(code, &mut link.rng) {
            self.actions.push(fault(FaultKind::LostAnswer));
            return;
        }
        let late = link.late.strikes(code, &mut link.rng);
        if late {
            self.actions.push(fault(FaultKind::LateAnswer));
            due = due + millis(scenario.faults.late_by_ms);
        }
        if code.row().is_none_or(|row| row.timing == Timing::AtOnce) {
            let last = link.last_due.entry(code.subsystem()).or_default();
            due = due.max(*last);
            *last = due;
        }
        let duplicates = link.duplicate.strikes(code, &mut link.rng);
        link.unanswered += 1;
        let mut outgoing = Outgoing {
            frame,
            payload,
            truth: TrueClass::Answer { request: ask.request, late, duplicate: false },
        };
        let event = Event::Answer { to: ask.from, outgoing: outgoing.clone(), settles: true };
        self.agenda.add(due, event);
        if duplicates {
            self.actions.push(fault(FaultKind::DuplicateAnswer));
            outgoing.truth = TrueClass::Answer { request: ask.request, late, duplicate: true };
            self.agenda.add(due, Event::Answer { to: ask.from, outgoing, settles: false });
        }
    }

    fn send_answer(&mut self, to: ConnectionId, outgoing: Outgoing, settles: bool) {
        let Some(link) = self.links.get_mut(&to) else { return };
        link.unanswered = link.unanswered.saturating_sub(u32::from(settles));
        self.actions.push(Action::Send { to, outgoing });
    }
}

fn ordinary_latency(scenario: &Scenario, rng: &mut Rng) -> Duration {
    let latency = &scenario.latency;
    let spread = rng.f64() * (latency.max_ms - latency.min_ms);
    let jitter = latency.jitter_ms * rng.f64().powi(4);
    millis(latency.min_ms + spread + jitter)
}
