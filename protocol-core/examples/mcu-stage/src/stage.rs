//! The stage: one axis that moves over time, and what it answers and tells. Frames and time go in,
//! frames come out; no bytes, no port, no clock.
//!
//! Lengths are whole nanometres and times microseconds, so that no float is reckoned with but at
//! the edges: this runs on a core without floats.

use core::fmt::Write;
use core::num::NonZeroU64;

use flamingo_protocol_core::{
    CommandCode as Code, Flags, Frame,
    responder::is_answered,
    time::{Duration, Instant},
    wire::BUFFER_LEN,
};

/// The axis that there is: X.
pub const AXIS: i32 = 1;
/// The selector for all axes.
const ALL_AXES: i32 = 255;

const NM_PER_MM: f64 = 1e6;
/// Where targets may lie, in mm.
const LIMITS: core::ops::RangeInclusive<f64> = 1.0..=12.31;
/// Speeds that may be set, in mm/s. At the lowest one the longest way takes three hours.
const SPEEDS: core::ops::RangeInclusive<f64> = 0.001..=100.0;
/// Where it stands when it is switched on, in nm.
const HOME: i64 = 7_500_000;
/// How fast it goes unless another speed is set, in nm/s.
const SPEED: NonZeroU64 = NonZeroU64::MIN.saturating_add(999_999);
/// Between two position updates of a motion: 40 Hz.
const PUSH_EVERY: Duration = Duration::from_millis(25);

/// The axis and the motion under way.
pub struct Stage {
    /// Where it stands, unless it moves, in nm.
    rest: i64,
    /// nm/s, never 0.
    speed: NonZeroU64,
    motion: Option<Motion>,
}

struct Motion {
    from: i64,
    to: i64,
    start: Instant,
    end: Instant,
    /// When the next position update is due; never, if the client asked for none.
    next_push: Instant,
    /// Whether it ends where it was to end.
    completes: bool,
}

impl Motion {
    fn position(&self, now: Instant) -> i64 {
        let micros = |span: Duration| i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
        let whole = micros(self.end.since(self.start)).max(1);
        let gone = micros(now.since(self.start));
        if gone >= whole {
            return self.to;
        }
        // At most 11.31 mm in nm times three hours in µs: below 2^57.
        self.from + (self.to - self.from) * gone / whole
    }
}

impl Default for Stage {
    fn default() -> Self {
        Self { rest: HOME, speed: SPEED, motion: None }
    }
}

impl Stage {
    /// What the stage tells unasked by `now`, oldest first: position updates of a motion, each with
    /// the position at the time it was due, then its end. Call it until it gives nothing, before a
    /// command and after.
    pub fn tell(&mut self, now: Instant) -> Option<Frame> {
        let motion = self.motion.as_mut()?;
        let due = motion.next_push;
        if due <= now && due < motion.end {
            motion.next_push = due + PUSH_EVERY;
            return Some(position_update(motion.position(due)));
        }
        if now < motion.end {
            return None;
        }
        let mut stopped = Frame::new(Code::STAGE_MOTION_STOPPED).with_selector(AXIS);
        stopped.status = i32::from(motion.completes);
        stopped.value = mm(motion.to);
        self.rest = motion.to;
        self.motion = None;
        Some(stopped)
    }

    /// Does what a command says, and gives the answer if it is a command that is answered: itself,
    /// with its result filled in; with status 0 if it cannot be done here.
    pub fn command(&mut self, now: Instant, command: &Frame) -> Option<Frame> {
        let mut answer = *command;
        answer.payload_len = 0;
        let here = command.selector() == AXIS;
        let done = match command.code {
            Code::SYSTEM_STATE_GET => {
                let [state, _, _] = &mut answer.int32_data;
                *state = Code::SYSTEM_STATE_IDLE.0 as i32;
                true
            }
            // All axes at once have no position: the instrument does not answer that.
            Code::STAGE_POSITION_GET if command.selector() == ALL_AXES => return None,
            Code::STAGE_POSITION_GET => {
                if here {
                    answer.value = mm(self.position(now));
                }
                here
            }
            Code::STAGE_POSITION_SET
            | Code::STAGE_POSITION_SET_SLIDER
            | Code::STAGE_POSITION_SET_TEXT => here && self.go(now, command),
            Code::STAGE_HALT => concerns(command) && self.halt(now),
            Code::STAGE_VELOCITY_SET => here && self.set_speed(command.value),
            Code::STAGE_MOTION_STOPPED => concerns(command) && self.motion.is_none(),
            _ => false,
        };
        answer.status = i32::from(done);
        is_answered(command).then_some(answer)
    }

    fn position(&self, now: Instant) -> i64 {
        self.motion.as_ref().map_or(self.rest, |motion| motion.position(now))
    }

    /// Sets out for a target. A motion under way turns towards it.
    fn go(&mut self, now: Instant, command: &Frame) -> bool {
        // Not a number is in no range.
        if !LIMITS.contains(&command.value) {
            return false;
        }
        let (from, to) = (self.position(now), nm(command.value));
        let micros = from.abs_diff(to) * 1_000_000 / self.speed;
        let quiet = command.flags.contains(Flags::STAGE_NOT_UPDATE_CLIENT);
        let next_push = if quiet { Instant::FAR_FUTURE } else { now + PUSH_EVERY };
        let (start, end) = (now, now + Duration::from_micros(micros));
        self.motion = Some(Motion { from, to, start, end, next_push, completes: true });
        true
    }

    /// Stops where it is. The end of the motion is what is told next.
    fn halt(&mut self, now: Instant) -> bool {
        let at = self.position(now);
        if let Some(motion) = self.motion.as_mut() {
            *motion =
                Motion { from: at, to: at, start: now, end: now, completes: false, ..*motion };
        }
        true
    }

    fn set_speed(&mut self, value: f64) -> bool {
        let speed = Some(value).filter(|value| SPEEDS.contains(value));
        let speed = speed.and_then(|value| NonZeroU64::new(nm(value).unsigned_abs()));
        self.speed = speed.unwrap_or(self.speed);
        speed.is_some()
    }
}

/// Whether a command that may be for all axes is for the one that there is.
fn concerns(command: &Frame) -> bool {
    [AXIS, ALL_AXES].contains(&command.selector())
}

/// As the server pushes it during motion: under the code of the query, with its mark.
fn position_update(at: i64) -> Frame {
    let mut frame = Frame::new(Code::STAGE_POSITION_GET).with_selector(AXIS).with_value(mm(at));
    frame.status = 1;
    frame.flags = Flags::STAGE_POSITIONS_IN_BUFFER;
    let mut text = heapless::String::<BUFFER_LEN>::new();
    let nm = at.unsigned_abs();
    // The form has room for three axes; those that are not here stand at 0. It always fits.
    let written =
        write!(text, "1={}.{:06}\n2=0.000000\n3=0.000000\n", nm / 1_000_000, nm % 1_000_000);
    if written.is_ok() {
        frame.set_text(&text).unwrap_or_default();
    }
    frame
}

#[allow(clippy::cast_precision_loss)] // a stage is shorter than 2^53 nm
fn mm(nm: i64) -> f64 {
    nm as f64 / NM_PER_MM
}

/// Of a value that is within limits, so above 0.
#[allow(clippy::cast_possible_truncation)]
fn nm(mm: f64) -> i64 {
    (mm * NM_PER_MM + 0.5) as i64
}

#[cfg(test)]
#[path = "stage_tests.rs"]
mod tests;
