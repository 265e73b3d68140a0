//! One axis: where it is at which time. It knows neither commands nor clients.

use flamingo_protocol_core::{Duration, Instant};

use super::{Ask, ConnectionId};
use crate::scenario;

/// An axis, at rest or in motion.
#[derive(Debug)]
pub(super) struct Axis {
    spec: scenario::Axis,
    /// Per second.
    pub(super) velocity: f64,
    rest: f64,
    pub(super) motion: Option<Motion>,
    motions: u64,
}

/// A motion under way.
#[derive(Debug)]
pub(super) struct Motion {
    pub(super) id: u64,
    path: Path,
    start: Instant,
    /// The client that asked for no position updates.
    pub(super) quiet: Option<ConnectionId>,
    pub(super) waiters: Vec<Ask>,
}

#[derive(Debug, Clone, Copy)]
enum Path {
    Line {
        from: f64,
        to: f64,
        end: Instant,
    },
    /// Up to `high`, down to `low`, and again.
    ToAndFro {
        from: f64,
        low: f64,
        high: f64,
        speed: f64,
    },
}

impl Axis {
    pub(super) fn new(spec: scenario::Axis) -> Self {
        Self { spec, velocity: spec.velocity, rest: spec.home, motion: None, motions: 0 }
    }

    pub(super) fn home(&self) -> f64 {
        self.spec.home
    }

    pub(super) fn spec(&self) -> &scenario::Axis {
        &self.spec
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
            Path::ToAndFro { from, low, high, speed } => {
                let span = high - low;
                let way = (from - low + speed * elapsed).rem_euclid(2.0 * span);
                low + if way <= span { way } else { 2.0 * span - way }
            }
        }
    }

    /// Sets out for `target`, to be there at `end`. Whoever waits for a motion under way waits on.
    pub(super) fn go(
        &mut self,
        now: Instant,
        target: f64,
        end: Instant,
        quiet: Option<ConnectionId>,
    ) -> u64 {
        let path = Path::Line { from: self.position(now), to: target, end };
        self.start(now, path, quiet)
    }

    /// Goes back and forth through the middle half of its range, without end.
    pub(super) fn go_to_and_fro(&mut self, now: Instant, factor: f64) -> u64 {
        let quarter = (self.spec.max - self.spec.min) / 4.0;
        let (low, high) = (self.spec.min + quarter, self.spec.max - quarter);
        let from = self.position(now).clamp(low, high);
        let speed = self.velocity * factor;
        self.start(now, Path::ToAndFro { from, low, high, speed }, None)
    }

    fn start(&mut self, now: Instant, path: Path, quiet: Option<ConnectionId>) -> u64 {
        self.motions += 1;
        let waiters = self.motion.take().map(|motion| motion.waiters).unwrap_or_default();
        self.motion = Some(Motion { id: self.motions, path, start: now, quiet, waiters });
        self.motions
    }

    /// Stops where it is; gives the motion that it stopped.
    pub(super) fn halt(&mut self, now: Instant) -> Option<Motion> {
        self.rest = self.position(now);
        self.motion.take()
    }

    /// Ends the motion `id` if it is still the one under way.
    pub(super) fn finish(&mut self, now: Instant, id: u64) -> Option<Motion> {
        if self.motion.as_ref()?.id == id { self.halt(now) } else { None }
    }
}

fn as_seconds(duration: Duration) -> f64 {
    std::time::Duration::from(duration).as_secs_f64()
}
