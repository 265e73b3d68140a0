//! The load of every strategy: the simulated instrument, the queries and motions, and their times. All times are those of
//! a real instrument, divided by one factor. The results are evaluated in `evaluate.rs`.

#[cfg(test)]
mod tests;

use std::time::Duration;

use flamingo_protocol_core::{CommandCode, Frame, time::Instant};
use flamingo_runtime_std::Clock;
use flamingo_simulator::{AxisName, Fault, Scenario};
use serde::{Deserialize, Serialize};
use smol::{Timer, block_on};

use super::strategies::Kind;
use super::strategy::{Motion, Strategy};

/// All times are shorter than on a real instrument by this factor.
pub(super) const FACTOR: u32 = 25;
/// The timeout of a query, scaled: 3 s.
pub(super) const TIMEOUT: Duration = scaled(3_000);
/// A motion, scaled: 10 s.
pub(super) const MOTION: Duration = scaled(10_000);
/// The period of a program that polls, scaled: 100 ms.
pub(super) const POLL: Duration = scaled(100);
/// The period of queries outside of motions, scaled: 50 ms.
const PACE: Duration = scaled(50);
/// A late answer comes 3.5 s after its query, scaled: after the timeout, when the next query may have been sent.
const LATE: Duration = scaled(3_500);
/// The number of the first query. Unsolicited frames have lower numbers.
pub(super) const FIRST: i32 = 1_000_000;
/// The axis of the motions.
pub(super) const MOVED: i32 = 1;
/// Its positions at the start and at the other end of the motions, in mm.
const HOME: f64 = 7.5;
const AWAY: f64 = 2.5;
/// The velocity at which a motion takes 10 s, in mm/s.
const VELOCITY: f64 = 0.5;

const fn scaled(millis: u64) -> Duration {
    Duration::from_micros(millis * 1000 / FACTOR as u64)
}

/// The size of a load.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Load {
    pub(super) queries: u32,
    /// Unsolicited frames per second of the real instrument.
    pub(super) rate: f64,
    pub(super) seed: u64,
}

/// A query and its result.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    pub(super) command: Frame,
    pub(super) at: Instant,
    pub(super) answer: Option<Frame>,
    /// When the strategy returned.
    pub(super) returned: Instant,
}

/// A motion, and when the strategy noticed its end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moved {
    pub(super) begun: Instant,
    /// Whether the caller only waited for its end.
    pub(super) waited: bool,
    /// When the caller began to wait for its end.
    pub(super) asked: Instant,
    pub(super) noticed: Option<Instant>,
}

/// Everything that a caller did in a run.
#[derive(Debug, Default)]
pub(super) struct Played {
    pub(super) asked: Vec<Asked>,
    pub(super) moved: Vec<Moved>,
}

impl Load {
    /// The instrument. Half of the unsolicited frames are position updates of an axis that moves all the time, half are
    /// gauges, laser and LED changes and system states.
    pub(super) fn scenario(&self, kind: Kind) -> Scenario {
        let factor = f64::from(FACTOR);
        let mut scenario = Scenario::default();
        scenario.seed = self.seed;
        scenario.truth_capacity_frames = 1 << 20;
        // Only the strategies that need a change of the instrument get it.
        scenario.tokens.tag_answers = kind.tags();
        scenario.tokens.echo_client_id = kind.numbers();
        scenario.tokens.echo_int32_data2 = false;
        scenario.latency.min_ms = 2.0 / factor;
        scenario.latency.max_ms = 10.0 / factor;
        scenario.background.frames_per_s = self.rate / 2.0 * factor;
        scenario.pushes.position_hz = self.rate / 2.0 * factor;
        scenario.stage.speed_factor = factor;
        scenario.stage.settle_ms /= factor;
        scenario.stage.x.velocity = VELOCITY;
        scenario.stage.continuous_axes = vec![AxisName::R];
        // A late answer delays the answers of the camera, not those of the stage.
        let every_n = u64::from(self.queries / 20).max(1);
        let late = Fault::every(every_n).at_most(2);
        scenario.faults.late_answers = late.code(CommandCode::CAMERA_IMAGE_SIZE_GET);
        scenario.faults.late_by_ms = LATE.as_secs_f64() * 1e3;
        scenario
    }

    /// Plays the load: queries, a motion with queries meanwhile, a motion that is only waited for, and queries again.
    pub(super) fn play(&self, strategy: &mut dyn Strategy, clock: Clock) -> Played {
        let mut caller = Caller {
            strategy,
            clock,
            random: fastrand::Rng::with_seed(self.seed),
            played: Played::default(),
        };
        let quarter = self.queries / 4;
        caller.ask_in_a_row(quarter);
        let meanwhile = self.queries / 2;
        let begun = caller.begin_motion(AWAY);
        for nth in 0..meanwhile {
            caller.wait_about_until(begun, MOTION / meanwhile.max(1), nth);
            caller.ask();
        }
        caller.end_motion(begun, AWAY, false);
        let begun = caller.begin_motion(HOME);
        caller.end_motion(begun, HOME, true);
        caller.ask_in_a_row(self.queries - quarter - meanwhile);
        caller.played
    }
}

/// The program that uses a strategy.
struct Caller<'a> {
    strategy: &'a mut dyn Strategy,
    clock: Clock,
    random: fastrand::Rng,
    played: Played,
}

impl Caller<'_> {
    fn ask_in_a_row(&mut self, number: u32) {
        let begun = self.clock.now();
        for nth in 0..number {
            self.wait_about_until(begun, PACE, nth);
            self.ask();
        }
    }

    /// Queries the position of an axis, or the image size.
    fn ask(&mut self) {
        let axis = self.random.i32(0..=4);
        let query = if axis == 0 {
            Frame::command(CommandCode::CAMERA_IMAGE_SIZE_GET)
        } else {
            Frame::command(CommandCode::STAGE_POSITION_GET).with_selector(axis)
        };
        self.send(query);
    }

    fn begin_motion(&mut self, target: f64) -> Instant {
        let begun = self.clock.now();
        let command = Frame::command(CommandCode::STAGE_POSITION_SET).with_selector(MOVED);
        self.send(command.with_value(target));
        begun
    }

    fn end_motion(&mut self, begun: Instant, target: f64, waited: bool) {
        let asked = self.clock.now();
        let gone = Duration::from(asked.since(begun));
        let patience = MOTION.saturating_sub(gone) + TIMEOUT;
        let motion = Motion { axis: MOVED, target, patience };
        let ended = self.strategy.wait_for_motion_end(&motion);
        let noticed = ended.then(|| self.clock.now());
        self.played.moved.push(Moved { begun, waited, asked, noticed });
    }

    /// Sends a command. Its answer echoes hardwareID: only the evaluation uses it, to find the query of an answer.
    fn send(&mut self, mut command: Frame) {
        let number = i32::try_from(self.played.asked.len()).unwrap_or(i32::MAX);
        command.hardware_id = number.saturating_add(FIRST);
        let at = self.clock.now();
        let answer = self.strategy.query(&command);
        let returned = self.clock.now();
        self.played.asked.push(Asked { command, at, answer, returned });
    }

    /// Waits until a random time in the n-th period. Otherwise the queries could keep step with the unsolicited frames.
    fn wait_about_until(&mut self, begun: Instant, period: Duration, nth: u32) {
        let after = period * nth + period.mul_f64(self.random.f64());
        let gone = Duration::from(self.clock.now().since(begun));
        if let Some(rest) = after.checked_sub(gone) {
            block_on(Timer::after(rest));
        }
    }
}
