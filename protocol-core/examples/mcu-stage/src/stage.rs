//! The stage: one axis that moves over time, its answers and its events. Its input is frames and times,
//! its output frames. It has no bytes, no port and no clock.
//!
//! Lengths are whole nanometres and times are microseconds. The processor has no float unit, so floats
//! are converted where frames are read and written.

use core::fmt::Write;
use core::num::NonZeroU64;

use flamingo_protocol_core::{
    CommandCode as Code, Flags, Frame,
    responder::is_answered,
    time::{Duration, Instant},
    wire::BUFFER_LEN,
};

/// The only axis: X.
pub const AXIS: i32 = 1;
/// The selector for all axes.
const ALL_AXES: i32 = 255;

const NM_PER_MM: f64 = 1e6;
/// The range of targets, in mm.
const LIMITS: core::ops::RangeInclusive<f64> = 1.0..=12.31;
/// The range of speeds, in mm/s. At the lowest speed the longest move takes three hours.
const SPEEDS: core::ops::RangeInclusive<f64> = 0.001..=100.0;
/// The position after the start, in nm.
const HOME: i64 = 7_500_000;
/// The speed after the start, in nm/s.
const SPEED: NonZeroU64 = NonZeroU64::MIN.saturating_add(999_999);
/// The time between two position updates of a motion: 40 Hz.
const PUSH_EVERY: Duration = Duration::from_millis(25);

/// The axis and its current motion.
pub struct Stage {
    /// The position without a motion, in nm.
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
    /// Whether it ends at its target; false after a halt.
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
    /// Returns the next event that is due at `now`, oldest first. The events of a motion are its position
    /// updates, each with the position at the time it was due, and then its end. Call it until it
    /// returns `None`, before each command and after it.
    pub fn poll_event(&mut self, now: Instant) -> Option<Frame> {
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

    /// Executes a command. Returns its answer if the protocol has one: the command with the result, or
    /// with status 0 if this stage cannot execute it.
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
            // The instrument does not answer a position query for all axes.
            Code::STAGE_POSITION_GET if command.selector() == ALL_AXES => return None,
            Code::STAGE_POSITION_GET => {
                if here {
                    answer.value = mm(self.position(now));
                }
                here
            }
            Code::STAGE_POSITION_SET
            | Code::STAGE_POSITION_SET_SLIDER
            | Code::STAGE_POSITION_SET_TEXT => here && self.start_motion(now, command),
            Code::STAGE_HALT => selects_axis(command) && self.halt(now),
            Code::STAGE_VELOCITY_SET => here && self.set_speed(command.value),
            Code::STAGE_MOTION_STOPPED => selects_axis(command) && self.motion.is_none(),
            _ => false,
        };
        answer.status = i32::from(done);
        is_answered(command).then_some(answer)
    }

    fn position(&self, now: Instant) -> i64 {
        self.motion.as_ref().map_or(self.rest, |motion| motion.position(now))
    }

    /// Starts a motion to a target. It replaces a current motion.
    fn start_motion(&mut self, now: Instant, command: &Frame) -> bool {
        // NaN is outside the range, too.
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

    /// Stops a motion at the current position. The end of the motion is the next event.
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

/// Whether a command selects this axis, alone or with all axes.
fn selects_axis(command: &Frame) -> bool {
    [AXIS, ALL_AXES].contains(&command.selector())
}

/// A position update as the server pushes it during a motion: the code of the query, with the push flag.
fn position_update(at: i64) -> Frame {
    let mut frame = Frame::new(Code::STAGE_POSITION_GET).with_selector(AXIS).with_value(mm(at));
    frame.status = 1;
    frame.flags = Flags::STAGE_POSITIONS_IN_BUFFER;
    let mut text = heapless::String::<BUFFER_LEN>::new();
    let nm = at.unsigned_abs();
    // The format has three axes; the missing ones are at 0. The text always fits.
    let written =
        write!(text, "1={}.{:06}\n2=0.000000\n3=0.000000\n", nm / 1_000_000, nm % 1_000_000);
    if written.is_ok() {
        frame.set_text(&text).unwrap_or_default();
    }
    frame
}

#[allow(clippy::cast_precision_loss)] // positions are far below 2^53 nm
fn mm(nm: i64) -> f64 {
    nm as f64 / NM_PER_MM
}

/// Converts mm to nm. The value must be within the limits, so it is positive.
#[allow(clippy::cast_possible_truncation)]
fn nm(mm: f64) -> i64 {
    (mm * NM_PER_MM + 0.5) as i64
}

#[cfg(test)]
#[path = "stage_tests.rs"]
mod tests;
