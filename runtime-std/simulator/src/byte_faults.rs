//! Faults in the bytes of a connection: stray bytes, broken markers, split writes, a cut connection. Faults of whole
//! answers (late, lost, duplicate) are in `instrument/`. When a fault happens is decided in `trigger.rs`.

use std::collections::VecDeque;

use fastrand::Rng;
use flamingo_protocol_core::{
    CommandCode, Frame,
    time::Duration,
    wire::{BUFFER_LEN, FRAME_LEN, START_MARKER},
};

use super::instrument::{ConnectionId, Outgoing};
use super::scenario::{Faults, Scenario};
use super::trigger::{Trigger, random_stream};
use super::truth::{FaultKind, TrueClass};

/// One operation on the socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Write the next so many bytes of the plan.
    Write(usize),
    Pause(Duration),
    HangUp,
}

/// What the ground truth records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TruthEntry {
    Sent(Frame, TrueClass),
    Fault { kind: FaultKind, noise_bytes: usize },
}

/// How a batch of frames is sent: steps for the socket, entries for the ground truth.
#[derive(Debug, Default)]
pub(super) struct WritePlan {
    pub(super) steps: VecDeque<Step>,
    /// The bytes of all writes together.
    pub(super) bytes: Vec<u8>,
    pub(super) entries: Vec<TruthEntry>,
}

impl WritePlan {
    /// Empties the plan and keeps its memory.
    pub(super) fn clear(&mut self) {
        self.steps.clear();
        self.bytes.clear();
        self.entries.clear();
    }

    fn write(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        match self.steps.back_mut() {
            Some(Step::Write(count)) => *count += bytes.len(),
            // Writing nothing would look like a client that takes nothing.
            _ if bytes.is_empty() => {}
            _ => self.steps.push_back(Step::Write(bytes.len())),
        }
    }

    fn fault(&mut self, kind: FaultKind, noise_bytes: usize) {
        self.entries.push(TruthEntry::Fault { kind, noise_bytes });
    }

    /// Whether this plan ends the connection.
    pub(super) fn hangs_up(&self) -> bool {
        self.steps.back() == Some(&Step::HangUp)
    }
}

/// The byte faults of one connection.
pub(super) struct FaultInjector {
    rng: Rng,
    faults: Faults,
    split: Trigger,
    junk: Trigger,
    broken: Trigger,
    false_markers: Trigger,
    disconnect: Trigger,
    stalled_payload: Trigger,
}

impl FaultInjector {
    pub(super) fn new(scenario: &Scenario, id: ConnectionId) -> Self {
        let faults = scenario.faults.clone();
        Self {
            rng: random_stream(scenario.seed, 4, id),
            split: Trigger::new(&faults.split_writes),
            junk: Trigger::new(&faults.junk),
            broken: Trigger::new(&faults.broken_markers),
            false_markers: Trigger::new(&faults.false_markers),
            disconnect: Trigger::new(&faults.disconnect_mid_frame),
            stalled_payload: Trigger::new(&faults.stalled_payload),
            faults,
        }
    }

    /// Adds the bytes that a client finds right after connecting: the end of a frame, then whole frames.
    pub(super) fn stale_prefix(&mut self, plan: &mut WritePlan) {
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
            plan.entries.push(TruthEntry::Sent(frame, TrueClass::Unsolicited));
            plan.write(&bytes);
        }
    }

    /// Adds a frame to the plan, with its faults.
    pub(super) fn add(&mut self, mut outgoing: Outgoing, plan: &mut WritePlan) {
        let code = outgoing.frame.code;
        if self.disconnect.fires(code, &mut self.rng) {
            let sent = self.rng.usize(1..FRAME_LEN);
            plan.write(&outgoing.frame.encode()[..sent]);
            plan.fault(FaultKind::DisconnectMidFrame, sent);
            plan.steps.push_back(Step::HangUp);
            return;
        }
        if self.junk.fires(code, &mut self.rng) {
            let length = self.rng.usize(1..=usize::from(self.faults.junk_max_bytes.max(1)));
            plan.write(&self.junk_bytes(length));
            plan.fault(FaultKind::Junk, length);
        }
        if self.broken.fires(code, &mut self.rng) {
            let mut copy = outgoing.frame.encode();
            let at = if self.rng.bool() { 0 } else { FRAME_LEN - 4 } + self.rng.usize(0..4);
            copy[at] ^= 1 << self.rng.u8(0..8);
            plan.write(&copy);
            plan.fault(FaultKind::BrokenMarker, FRAME_LEN);
        }
        if can_carry_false_marker(&outgoing) && self.false_markers.fires(code, &mut self.rng) {
            self.put_false_marker(&mut outgoing);
            plan.fault(FaultKind::FalseMarker, 0);
        }
        let splits = self.split.fires(code, &mut self.rng);
        let stalls = outgoing.payload.len() > 1 && self.stalled_payload.fires(code, &mut self.rng);
        plan.entries.extend(
            splits.then_some(TruthEntry::Fault { kind: FaultKind::SplitWrite, noise_bytes: 0 }),
        );
        plan.entries.extend(
            stalls.then_some(TruthEntry::Fault { kind: FaultKind::StalledPayload, noise_bytes: 0 }),
        );
        plan.entries.push(TruthEntry::Sent(outgoing.frame, outgoing.truth));
        self.write(&outgoing, splits, stalls, plan);
    }

    /// Random bytes, sometimes with a start marker in them.
    fn junk_bytes(&mut self, length: usize) -> Vec<u8> {
        let mut junk: Vec<u8> = (0..length).map(|_| self.rng.u8(..)).collect();
        if length >= 4 && self.rng.u8(0..4) == 0 {
            let at = self.rng.usize(0..=length - 4);
            junk[at..at + 4].copy_from_slice(&START_MARKER.to_le_bytes());
        }
        junk
    }

    fn write(&mut self, outgoing: &Outgoing, splits: bool, stalls: bool, plan: &mut WritePlan) {
        let frame = outgoing.frame.encode();
        if !splits && !stalls {
            plan.write(&frame);
            plan.write(&outgoing.payload);
            return;
        }
        let bytes = [&frame, &*outgoing.payload].concat();
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
            plan.steps.push_back(Step::Pause(pause));
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
            // The bytes of a whole frame that was never sent: an answer to a query for X.
            let mut false_frame = Frame::command(CommandCode::STAGE_POSITION_GET).with_selector(1);
            false_frame.status = 1;
            false_frame.value = -1.0;
            payload.extend(false_frame.encode());
        }
        outgoing.frame.payload_len = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        outgoing.payload = payload.into();
    }
}

/// Whether a frame can carry a false marker. Texts stay unchanged: the marker goes into an unused buffer, or into a payload
/// of unknown meaning.
fn can_carry_false_marker(outgoing: &Outgoing) -> bool {
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

    fn plan(faults: Faults, frames: u32) -> WritePlan {
        let mut injector = FaultInjector::new(&Scenario { faults, ..Scenario::default() }, 1);
        let mut plan = WritePlan::default();
        for code in 0..frames {
            injector.add(pushed(CommandCode(code)), &mut plan);
        }
        plan
    }

    #[test]
    fn without_faults_frames_leave_unchanged_in_one_write() {
        let plan = plan(Faults::default(), 3);
        let bytes: Vec<u8> =
            (0..3).flat_map(|code| Frame::new(CommandCode(code)).encode()).collect();
        assert_eq!(plan.steps, [Step::Write(bytes.len())]);
        assert_eq!(plan.bytes, bytes);
        assert_eq!(plan.entries.len(), 3);
    }

    #[test]
    fn junk_sometimes_contains_a_start_marker() {
        let plan = plan(Faults { junk: Fault::every(1), ..Faults::default() }, 64);
        assert_eq!(plan.steps, [Step::Write(plan.bytes.len())]);
        let marker = START_MARKER.to_le_bytes();
        let markers = plan.bytes.windows(4).filter(|window| *window == marker).count();
        assert!((66..100).contains(&markers), "{markers} markers with 64 frames");
    }

    #[test]
    fn nothing_is_planned_after_the_end_of_the_connection() {
        let plan = plan(Faults { disconnect_mid_frame: Fault::once(), ..Faults::default() }, 1);
        assert!(plan.hangs_up());
        assert!(!plan.entries.iter().any(|note| matches!(note, TruthEntry::Sent(..))));
        assert!(plan.bytes.len() < FRAME_LEN);
    }
}
