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
            plan.write(&self.junk_bytes(length));
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

    /// Noise; now and then a start marker stands in it.
    fn junk_bytes(&mut self, length: usize) -> Vec<u8> {
        let mut junk: Vec<u8> = (0..length).map(|_| self.rng.u8(..)).collect();
        if length >= 4 && self.rng.u8(0..4) == 0 {
            let at = self.rng.usize(0..=length - 4);
            junk[at..at + 4].copy_from_slice(&START_MARKER.to_le_bytes());
        }
        junk
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Fault;

    fn pushed(code: CommandCode) -> Outgoing {
        Outgoing { frame: Frame::new(code), payload: [].into(), truth: TrueClass::Unsolicited }
    }

    fn plan(faults: Faults, frames: u32) -> Plan {
        let mut mangler = Mangler::new(&Scenario { faults, ..Scenario::default() }, 1);
        let mut plan = Plan::default();
        for code in 0..frames {
            mangler.add(pushed(CommandCode(code)), &mut plan);
        }
        plan
    }

    #[test]
    fn without_faults_frames_go_out_as_they_are_in_one_write() {
        let plan = plan(Faults::default(), 3);
        let bytes: Vec<u8> =
            (0..3).flat_map(|code| Frame::new(CommandCode(code)).encode()).collect();
        assert_eq!(plan.steps, [Step::Write(bytes)]);
        assert_eq!(plan.notes.len(), 3);
    }

    #[test]
    fn junk_holds_a_start_marker_now_and_then() {
        let plan = plan(Faults { junk: Fault::every(1), ..Faults::default() }, 64);
        let [Step::Write(bytes)] = &plan.steps[..] else { panic!("one write") };
        let marker = START_MARKER.to_le_bytes();
        let markers = bytes.windows(4).filter(|window| *window == marker).count();
        assert!((66..100).contains(&markers), "{markers} markers with 64 frames");
    }

    #[test]
    fn nothing_is_planned_behind_the_end_of_the_connection() {
        let plan = plan(Faults { disconnect_mid_frame: Fault::once(), ..Faults::default() }, 1);
        assert!(plan.hangs_up());
        assert!(!plan.notes.iter().any(|note| matches!(note, Note::Sent(..))));
        assert!(plan.bytes < FRAME_LEN);
    }
}
