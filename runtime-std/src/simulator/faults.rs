//! Byte faults: what becomes of a frame on its way into the socket. Faults in time (late, lost and
//! duplicate answers) are the world's; when a fault strikes is decided in `trigger.rs`.

use fastrand::Rng;
use flamingo_protocol_core::{BUFFER_LEN, CommandCode, Duration, FRAME_LEN, Frame, START_MARKER};

use super::scenario::{Faults, Scenario};
use super::trigger::{Trigger, stream};
use super::truth::{FaultKind, TrueClass};
use super::world::{ConnectionId, Outgoing};

/// What to do with the socket next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Write(Vec<u8>),
    Pause(Duration),
    HangUp,
}

/// What the truth has to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Note {
    Sent(Frame, TrueClass),
    Fault { kind: FaultKind, noise_bytes: usize },
}

/// Frames on their way: steps for the socket, notes for the truth.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) steps: Vec<Step>,
    pub(super) notes: Vec<Note>,
    pub(super) bytes: usize,
}

impl Plan {
    fn write(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len();
        match self.steps.last_mut() {
            Some(Step::Write(last)) => last.extend_from_slice(bytes),
            _ => self.steps.push(Step::Write(bytes.to_vec())),
        }
    }

    fn fault(&mut self, kind: FaultKind, noise_bytes: usize) {
        self.notes.push(Note::Fault { kind, noise_bytes });
    }

    /// Whether the connection ends with this plan.
    pub(super) fn hangs_up(&self) -> bool {
        self.steps.last() == Some(&Step::HangUp)
    }
}

/// The byte faults of one connection.
pub(super) struct Mangler {
    rng: Rng,
    faults: Faults,
    split: Trigger,
    junk: Trigger,
    broken: Trigger,
    false_markers: Trigger,
    disconnect: Trigger,
    stalled_payload: Trigger,
}

impl Mangler {
    pub(super) fn new(scenario: &Scenario, id: ConnectionId) -> Self {
        let faults = scenario.faults.clone();
        Self {
            rng: stream(scenario.seed, 4, id),
            split: Trigger::new(&faults.split_writes),
            junk: Trigger::new(&faults.junk),
            broken: Trigger::new(&faults.broken_markers),
            false_markers: Trigger::new(&faults.false_markers),
            disconnect: Trigger::new(&faults.disconnect_mid_frame),
            stalled_payload: Trigger::new(&faults.stalled_payload),
            faults,
        }
    }

    /// What stands in the stream right after connect: the end of a frame, then whole frames.
    pub(super) fn stale_prefix(&mut self, plan: &mut Plan) {
        let length = usize::from(self.faults.stale_prefix_bytes);
        if length == 0 {
            return;
        }
        let mut frame = Frame::command(CommandCode::STAGE_POSITION_GET);
        frame.status = 1;
        frame.int32_data[0] = self.rng.i32(1..=3);
        frame.value = 1.0 + self.rng.f64();
        let bytes = frame.encode();
        let tail = length % FRAME_LEN;
        plan.fault(FaultKind::StalePrefix, tail);
        plan.write(&bytes[FRAME_LEN - tail..]);
        for _ in 0..length / FRAME_LEN {
            plan.notes.push(Note::Sent(frame, TrueClass::Unsolicited));
            plan.write(&bytes);
        }
    }

    /// Adds a frame to the plan, with whatever happens to it.
    pub(super) fn add(&mut self, mut outgoing: Outgoing, plan: &mut Plan) {
        let code = outgoing.frame.code;
        if self.disconnect.strikes(code, &mut self.rng) {
            let sent = self.rng.usize(1..FRAME_LEN);
            plan.write(&outgoing.frame.encode()[..sent]);
            plan.fault(FaultKind::DisconnectMidFrame, sent);
            plan.steps.push(Step::HangUp);
            return;
        }
        if self.junk.strikes(code, &mut self.rng) {
            let length = self.rng.usize(1..=usize::from(self.faults.junk_max_bytes.max(1)));
            let junk: Vec<u8> = (0..length).map(|_| self.rng.u8(..)).collect();
            plan.write(&junk);
            plan.fault(FaultKind::Junk, length);
        }
        if self.broken.strikes(code, &mut self.rng) {
            let mut copy = outgoing.frame.encode();
            let at = if self.rng.bool() { 0 } else { FRAME_LEN - 4 } + self.rng.usize(0..4);
            copy[at] ^= 1 << self.rng.u8(0..8);
            plan.write(&copy);
            plan.fault(FaultKind::BrokenMarker, FRAME_LEN);
        }
        if takes_false_marker(&outgoing) && self.false_markers.strikes(code, &mut self.rng) {
            self.put_false_marker(&mut outgoing);
            plan.fault(FaultKind::FalseMarker, 0);
        }
        let splits = self.split.strikes(code, &mut self.rng);
        let stalls =
            outgoing.payload.len() > 1 && self.stalled_payload.strikes(code, &mut self.rng);
        plan.notes
            .extend(splits.then_some(Note::Fault { kind: FaultKind::SplitWrite, noise_bytes: 0 }));
        plan.notes.extend(
            stalls.then_some(Note::Fault { kind: FaultKind::StalledPayload, noise_bytes: 0 }),
        );
        plan.notes.push(Note::Sent(outgoing.frame, outgoing.truth));
        self.write(&outgoing, splits, stalls, plan);
    }

    fn write(&mut self, outgoing: &Outgoing, splits: bool, stalls: bool, plan: &mut Plan) {
        let bytes = [&outgoing.frame.encode(), &*outgoing.payload].concat();
        let mut pauses = Vec::new();
        if splits {
            let pause = millis(self.faults.split_pause_ms);
            let cuts = self.rng.usize(1..=3);
            pauses.extend((0..cuts).map(|_| (self.rng.usize(1..bytes.len()), pause)));
        }
        if stalls {
            let half = FRAME_LEN + outgoing.payload.len() / 2;
            pauses.push((half, millis(self.faults.stalled_payload_ms)));
        }
        pauses.sort_unstable();
        let mut from = 0;
        for (to, pause) in pauses {
            plan.write(&bytes[from..to]);
            plan.steps.push(Step::Pause(pause));
            from = to;
        }
        plan.write(&bytes[from..]);
    }

    fn put_false_marker(&mut self, outgoing: &mut Outgoing) {
        let marker = START_MARKER.to_le_bytes();
        if outgoing.payload.is_empty() {
            let at = self.rng.usize(0..=BUFFER_LEN - marker.len());
            outgoing.frame.buffer[at..at + marker.len()].copy_from_slice(&marker);
            return;
        }
        let mut payload = vec![self.rng.u8(..); self.rng.usize(0..8)];
        if self.rng.bool() {
            payload.extend(marker);
        } else {
            // A whole frame that never was one: an answer to a query for X.
            let mut never = Frame::command(CommandCode::STAGE_POSITION_GET).with_selector(1);
            never.status = 1;
            never.value = -1.0;
            payload.extend(never.encode());
        }
        outgoing.frame.payload_len = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        outgoing.payload = payload.into();
    }
}

/// Text stays as it is: a false marker goes where nothing is, or where nobody knows what is.
fn takes_false_marker(outgoing: &Outgoing) -> bool {
    if outgoing.payload.is_empty() {
        return outgoing.frame.buffer == [0; BUFFER_LEN];
    }
    outgoing.frame.code == CommandCode::LED_PREVIEW_DISABLE
}

#[allow(clippy::cast_possible_truncation)] // not negative: the scenario was checked
fn millis(ms: f64) -> Duration {
    Duration::from_micros((ms * 1000.0) as u64)
}
