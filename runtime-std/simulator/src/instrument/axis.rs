//! One axis: its position at any time. Commands and clients are in `stage.rs`.

use flamingo_protocol_core::time::{Duration, Instant};

use super::{Command, ConnectionId};
use crate::scenario;

/// An axis, at rest or in motion. Positions are in mm (R: degrees), velocities per second.
#[derive(Debug)]
pub(super) struct Axis {
    spec: scenario::AxisModel,
    pub(super) velocity: f64,
    rest: f64,
    pub(super) motion: Option<Motion>,
    motions: u64,
}

/// A motion in progress.
#[derive(Debug)]
pub(super) struct Motion {
    pub(super) id: u64,
    path: Path,
    start: Instant,
    /// The client that asked for no position updates.
    pub(super) quiet: Option<ConnectionId>,
    pub(super) waiters: Vec<Command>,
}

#[derive(Debug, Clone, Copy)]
enum Path {
    Line {
        from: f64,
        to: f64,
        end: Instant,
    },
    /// Up to `high`, down to `low`, and so on.
    Oscillation {
        from: f64,
        low: f64,
        high: f64,
        speed: f64,
    },
}

impl Axis {
    pub(super) fn new(spec: scenario::AxisModel) -> Self {
        Self { spec, velocity: spec.velocity, rest: spec.home, motion: None, motions: 0 }
    }

    pub(super) fn home(&self) -> f64 {
        self.spec.home
    }

    pub(super) fn spec(&self) -> &scenario::AxisModel {
        &self.spec
    }

    /// The target that the axis moves to when it is asked for `target`.
    pub(super) fn clamped(&self, target: f64) -> f64 {
        let low = self.spec.clamp_min.filter(|low| target < *low);
        low.or(self.spec.clamp_max.filter(|high| target > *high)).unwrap_or(target)
    }

    pub(super) fn allows(&self, target: f64) -> bool {
        (self.spec.min..=self.spec.max).contains(&target)
    }

    pub(super) fn is_moving(&self) -> bool {
        self.motion.is_some()
    }

    pub(super) fn position(&self, now: Instant) -> f64 {
        let Some(motion) = &self.motion else { return self.rest };
        let elapsed = as_seconds(now.since(motion.start));
        match motion.path {
            Path::Line { to, end, .. } if now >= end => to,
            Path::Line { from, to, end } => {
                from + (to - from) * elapsed / as_seconds(end.since(motion.start))
            }
            Path::Oscillation { from, low, high, speed } => {
                let span = high - low;
                let travelled = (from - low + speed * elapsed).rem_euclid(2.0 * span);
                low + if travelled <= span { travelled } else { 2.0 * span - travelled }
            }
        }
    }

    /// Starts a motion that reaches `target` at `end`. Commands that wait for the end of the current motion keep waiting.
    pub(super) fn start_move(
        &mut self,
        now: Instant,
        target: f64,
        end: Instant,
        quiet: Option<ConnectionId>,
    ) -> u64 {
        let path = Path::Line { from: self.position(now), to: target, end };
        self.start(now, path, quiet)
    }

    /// Starts a motion back and forth through the middle half of the range, without end.
    pub(super) fn start_oscillation(&mut self, now: Instant, factor: f64) -> u64 {
        let quarter = (self.spec.max - self.spec.min) / 4.0;
        let (low, high) = (self.spec.min + quarter, self.spec.max - quarter);
        let from = self.position(now).clamp(low, high);
        let speed = self.velocity * factor;
        self.start(now, Path::Oscillation { from, low, high, speed }, None)
    }

    fn start(&mut self, now: Instant, path: Path, quiet: Option<ConnectionId>) -> u64 {
        self.motions += 1;
        let waiters = self.motion.take().map(|motion| motion.waiters).unwrap_or_default();
        self.motion = Some(Motion { id: self.motions, path, start: now, quiet, waiters });
        self.motions
    }

    /// Stops at the current position and returns the motion that it stopped.
    pub(super) fn halt(&mut self, now: Instant) -> Option<Motion> {
        self.rest = self.position(now);
        self.motion.take()
    }

    /// Ends the motion `id` if it is the current one.
    pub(super) fn finish(&mut self, now: Instant, id: u64) -> Option<Motion> {
        if self.motion.as_ref()?.id == id { self.halt(now) } else { None }
    }
}

fn as_seconds(duration: Duration) -> f64 {
    std::time::Duration::from(duration).as_secs_f64()
}
