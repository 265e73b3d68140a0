//! The times of a capture without the steps of the clock that gave them: their order and their
//! differences stay right. The steps are reported.
//!
//! A recorder notes a step in a comment, and its times do not have the step. In other captures, a time
//! that goes back shows the step, and so does one that goes forward by a year: a host without a clock of its
//! own begins in 1970. A clock that was set forward by less looks like silence.

use std::collections::VecDeque;
use std::time::Duration;

use flamingo_runtime_std::ClockStep;

use super::super::comments;
use super::EventKind;
use super::packet_reader::Packet;

/// The last second of the year 9999. Later times cannot be printed as a date.
const LATEST: Duration = Duration::from_secs(253_402_300_799);
/// A time that goes forward by so much is no silence.
const YEAR: Duration = Duration::from_secs(365 * 24 * 3_600);
/// The most steps that wait for an event. More than these become one with the last of them.
const WAITING: usize = 64;

/// The clock of a capture.
#[derive(Debug, Default)]
pub(super) struct SteadyTime {
    /// The latest time in the file since the last step.
    latest: Option<Duration>,
    /// How far the times that are shown are ahead of those in the file, in ns.
    ahead: i128,
    /// The steps that are not reported yet, and whether the recorder has noted them.
    steps: VecDeque<(ClockStep, bool)>,
}

impl SteadyTime {
    /// The time of the next packet.
    pub(super) fn of(&mut self, packet: &Packet<'_>) -> Duration {
        let comment = packet.port.and(packet.comment).unwrap_or_default();
        if let Some(step) = comments::clock_step(comment) {
            self.add(step, true);
        }
        for step in comments::seen_steps(comment) {
            self.add(step, false);
        }
        if comments::is_earlier(comment) { self.shown(packet.at) } else { self.time(packet.at) }
    }

    fn time(&mut self, at: Duration) -> Duration {
        let latest = *self.latest.get_or_insert(at);
        // Packets that are not in the order of their times differ by less.
        let back = latest.saturating_sub(at);
        let forward = at.saturating_sub(latest);
        if back >= ClockStep::SMALLEST {
            self.step(ClockStep::Back(back), nanoseconds(back));
        } else if forward >= YEAR {
            self.step(ClockStep::Forward(forward), -nanoseconds(forward));
        } else {
            self.latest = Some(latest.max(at));
            return self.shown(at);
        }
        self.latest = Some(at);
        self.shown(at)
    }

    fn step(&mut self, step: ClockStep, ahead: i128) {
        self.ahead = self.ahead.saturating_add(ahead);
        self.add(step, false);
    }

    fn add(&mut self, step: ClockStep, noted: bool) {
        if self.steps.len() < WAITING {
            self.steps.push_back((step, noted));
        } else if let Some((last, _)) = self.steps.pop_back() {
            self.steps.extend(step.after(Some(last)).map(|step| (step, noted)));
        }
    }

    fn shown(&self, at: Duration) -> Duration {
        let nanos = nanoseconds(at).saturating_add(self.ahead).clamp(0, nanoseconds(LATEST));
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // both are in range
        Duration::new((nanos / 1_000_000_000) as u64, (nanos % 1_000_000_000) as u32)
    }

    /// The next step that is not reported yet.
    pub(super) fn next_step(&mut self) -> Option<EventKind> {
        self.steps.pop_front().map(|(step, noted)| EventKind::ClockStep { step, noted })
    }
}

/// A time of at most 2^64 s.
fn nanoseconds(time: Duration) -> i128 {
    i128::from(time.as_secs()) * 1_000_000_000 + i128::from(time.subsec_nanos())
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_time_that_goes_back_is_a_step_and_times_go_on() {
        let mut steady = SteadyTime::default();
        let read = [9_000, 9_100, 2_100, 2_300, 1_000, 1_001].map(|at| steady.time(ms(at)));
        assert_eq!(read, [9_000, 9_100, 9_100, 9_300, 9_300, 9_301].map(ms));
        let steps = [steady.next_step(), steady.next_step(), steady.next_step()];
        let back = |by| Some(EventKind::ClockStep { step: ClockStep::Back(ms(by)), noted: false });
        assert_eq!(steps, [back(7_000), back(1_300), None]);
    }

    #[test]
    fn steps_that_nobody_asks_for_take_no_memory() {
        let mut steady = SteadyTime::default();
        for second in 0..100_000 {
            steady.time(ms(second % 2 * 1_000));
        }
        assert!(steady.steps.len() <= WAITING);
    }

    #[test]
    fn packets_in_another_order_than_their_times_are_no_step() {
        let mut steady = SteadyTime::default();
        let read = [1_000, 900, 501, 1_001].map(|at| steady.time(ms(at)));
        assert_eq!(read, [1_000, 900, 501, 1_001].map(ms));
        assert_eq!(steady.next_step(), None);
    }

    #[test]
    fn a_time_after_the_year_9999_is_the_end_of_it() {
        let mut steady = SteadyTime::default();
        for _ in 0..3 {
            assert_eq!(steady.time(Duration::MAX), LATEST);
            steady.time(Duration::ZERO);
        }
    }

    #[test]
    fn a_packet_without_a_date_and_a_late_date_are_steps() {
        let mut steady = SteadyTime::default();
        let begin = 1_700_000_000_000;
        let read = [begin, 0, begin + 5, begin + 6].map(|at| steady.time(ms(at)));
        assert_eq!(read, [begin, begin, begin, begin + 1].map(ms));
        let step = |step| Some(EventKind::ClockStep { step, noted: false });
        assert_eq!(steady.next_step(), step(ClockStep::Back(ms(begin))));
        assert_eq!(steady.next_step(), step(ClockStep::Forward(ms(begin + 5))));

        // A host without a clock of its own gets the date while it captures.
        let mut steady = SteadyTime::default();
        let read = [9_000, 9_100, begin, begin + 7].map(|at| steady.time(ms(at)));
        assert_eq!(read, [9_000, 9_100, 9_100, 9_107].map(ms));
        assert_eq!(steady.next_step(), step(ClockStep::Forward(ms(begin - 9_100))));
        let mut steady = SteadyTime::default();
        let month = 30 * 24 * 3_600_000;
        assert_eq!([9_000, 9_000 + month].map(|at| steady.time(ms(at)))[1], ms(9_000 + month));
        assert_eq!(steady.next_step(), None, "silence");
    }
}
