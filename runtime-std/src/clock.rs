//! The only place that asks the operating system for the time.
//!
//! What time means for a request is decided in the core, which receives the time from its caller.

use std::fmt;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use flamingo_protocol_core::time::Instant;

/// A clock that starts at 0 µs and never runs backwards.
///
/// ```
/// let clock = flamingo_runtime_std::Clock::start();
/// assert!(clock.now() <= clock.now());
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    origin: std::time::Instant,
}

#[allow(clippy::disallowed_methods)] // this is the place
impl Clock {
    /// A clock that reads 0 now.
    #[must_use]
    pub fn start() -> Self {
        Self { origin: std::time::Instant::now() }
    }

    /// The time in µs since the start.
    pub fn now(&self) -> Instant {
        let micros = self.origin.elapsed().as_micros();
        Instant::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }

    /// The operating system's time at `at`; `None` if that is too far ahead.
    pub fn moment(&self, at: Instant) -> Option<std::time::Instant> {
        self.origin.checked_add(Duration::from_micros(at.as_micros()))
    }

    /// The calendar time: the host's clock when this process first asked, plus the time that has
    /// passed since. It never runs backwards, and the difference of two times is right even if the
    /// host's clock was set in between. [`ClockStep::now`] says whether that has happened.
    ///
    /// ```
    /// use flamingo_runtime_std::Clock;
    /// let before = Clock::wall();
    /// assert!(Clock::wall().duration_since(before).is_ok(), "never before");
    /// ```
    #[must_use]
    pub fn wall() -> SystemTime {
        Calendar::of_this_process().at(std::time::Instant::now())
    }
}

/// How far the host's clock was set since this process first asked for the time of day. A host that
/// slept looks like a host whose clock was set forward.
///
/// The times of [`Clock::wall`] go on without the step. Files that have such times note the step.
///
/// ```
/// use flamingo_runtime_std::ClockStep;
/// use std::time::Duration;
///
/// assert_eq!(ClockStep::now(), None, "nobody has set the clock");
/// let step = ClockStep::Back(Duration::from_secs(3600));
/// assert_eq!(step.to_string(), "the host's clock was set back by 3600.000 s");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockStep {
    /// It was set forward by this time.
    Forward(Duration),
    /// It was set back by this time.
    Back(Duration),
}

#[allow(clippy::disallowed_methods)] // this is the place
impl ClockStep {
    /// The smallest step that is reported. Reading two clocks one after the other takes less time.
    pub const SMALLEST: Duration = Duration::from_millis(500);

    /// The step until now; `None` if it is less than half a second.
    #[must_use]
    pub fn now() -> Option<Self> {
        Calendar::of_this_process().step(std::time::Instant::now(), SystemTime::now())
    }

    /// The step that came between two results of [`ClockStep::now`]; `None` if it is less than half a
    /// second.
    ///
    /// ```
    /// use flamingo_runtime_std::ClockStep;
    /// use std::time::Duration;
    ///
    /// let [hour, minute] = [3600, 60].map(Duration::from_secs);
    /// let between = ClockStep::between(Some(ClockStep::Back(hour)), Some(ClockStep::Forward(minute)));
    /// assert_eq!(between, Some(ClockStep::Forward(hour + minute)));
    /// assert_eq!(ClockStep::between(None, None), None);
    /// ```
    #[must_use]
    pub fn between(earlier: Option<Self>, later: Option<Self>) -> Option<Self> {
        let parts = |step: Option<Self>| match step {
            None => (Duration::ZERO, Duration::ZERO),
            Some(Self::Forward(by)) => (by, Duration::ZERO),
            Some(Self::Back(by)) => (Duration::ZERO, by),
        };
        let ((before, back_before), (after, back_after)) = (parts(earlier), parts(later));
        let forward = after.saturating_add(back_before);
        let back = before.saturating_add(back_after);
        let step = match forward.checked_sub(back) {
            Some(by) => Self::Forward(by),
            None => Self::Back(back.saturating_sub(forward)),
        };
        step.is_reported().then_some(step)
    }

    /// The step from before `earlier` to after this one; `None` if it is less than half a second.
    #[must_use]
    pub fn after(self, earlier: Option<Self>) -> Option<Self> {
        let undone = match self {
            Self::Forward(by) => Self::Back(by),
            Self::Back(by) => Self::Forward(by),
        };
        Self::between(Some(undone), earlier)
    }

    fn is_reported(self) -> bool {
        let (Self::Forward(by) | Self::Back(by)) = self;
        by >= Self::SMALLEST
    }

    /// The step in seconds, negative if the clock was set back.
    #[must_use]
    pub fn seconds(self) -> f64 {
        match self {
            Self::Forward(by) => by.as_secs_f64(),
            Self::Back(by) => -by.as_secs_f64(),
        }
    }
}

impl fmt::Display for ClockStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (direction, by) = match self {
            Self::Forward(by) => ("forward", by),
            Self::Back(by) => ("back", by),
        };
        write!(f, "the host's clock was set {direction} by {:.3} s", by.as_secs_f64())
    }
}

/// The time of day at one moment.
#[derive(Debug, Clone, Copy)]
struct Calendar {
    moment: std::time::Instant,
    wall: SystemTime,
}

#[allow(clippy::disallowed_methods)] // this is the place
impl Calendar {
    fn of_this_process() -> &'static Self {
        static CALENDAR: OnceLock<Calendar> = OnceLock::new();
        CALENDAR.get_or_init(|| Self { moment: std::time::Instant::now(), wall: SystemTime::now() })
    }

    fn at(&self, moment: std::time::Instant) -> SystemTime {
        self.wall + moment.saturating_duration_since(self.moment)
    }

    fn step(&self, moment: std::time::Instant, wall: SystemTime) -> Option<ClockStep> {
        let expected = self.at(moment);
        let step = match wall.duration_since(expected) {
            Ok(by) => ClockStep::Forward(by),
            Err(back) => ClockStep::Back(back.duration()),
        };
        step.is_reported().then_some(step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_changes_no_time_and_is_a_step() {
        let moment = Clock::start().origin;
        let calendar = Calendar { moment, wall: SystemTime::UNIX_EPOCH };
        let later = moment + Duration::from_secs(10);
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(10);
        assert_eq!(calendar.at(later), at);
        let hour = Duration::from_secs(3_600);
        let step = |wall| calendar.step(later, wall);
        assert_eq!(step(at + hour), Some(ClockStep::Forward(hour)));
        assert_eq!(step(at - hour), Some(ClockStep::Back(hour)));
        assert_eq!(step(at + Duration::from_millis(499)), None);
    }

    #[test]
    fn the_step_between_two_states_of_the_clock_has_a_direction() {
        let [forward, back] = [ClockStep::Forward, ClockStep::Back];
        let seconds = Duration::from_secs;
        for (earlier, later, between) in [
            (None, Some(back(seconds(9))), Some(back(seconds(9)))),
            (Some(back(seconds(9))), None, Some(forward(seconds(9)))),
            (Some(forward(seconds(9))), Some(forward(seconds(4))), Some(back(seconds(5)))),
            (Some(back(seconds(9))), Some(back(seconds(4))), Some(forward(seconds(5)))),
            (Some(back(seconds(9))), Some(back(Duration::from_millis(9_499))), None),
        ] {
            assert_eq!(ClockStep::between(earlier, later), between, "{earlier:?} {later:?}");
        }
    }
}
