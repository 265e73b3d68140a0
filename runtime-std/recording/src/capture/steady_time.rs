//! The times of a capture without the steps of the clock that gave them: their order and their
//! differences stay right. The steps are reported.
//!
//! A recorder notes a step in a comment, and its times do not have the step. In other captures, a time
//! that goes back shows the step. A clock that was set forward looks like silence.

use std::collections::VecDeque;
use std::time::Duration;

use flamingo_runtime_std::ClockStep;

use super::super::comments;
use super::EventKind;
use super::packet_reader::Packet;

/// The last second of the year 9999. Later times cannot be printed as a date.
const LATEST: Duration = Duration::from_secs(253_402_300_799);

/// The clock of a capture.
#[derive(Debug, Default)]
pub(super) struct SteadyTime {
    /// The latest time in the file since the last step.
    latest: Duration,
    /// How far the times go on ahead of those in the file.
    ahead: Duration,
    steps: VecDeque<EventKind>,
}

impl SteadyTime {
    /// The time of the next packet.
    pub(super) fn of(&mut self, packet: &Packet<'_>) -> Duration {
        let noted = packet.port.and(packet.comment).and_then(comments::clock_step);
        self.steps.extend(noted.map(|step| EventKind::ClockStep { step, noted: true }));
        self.time(packet.at)
    }

    fn time(&mut self, at: Duration) -> Duration {
        // Packets that are not in the order of their times differ by less.
        let back = self.latest.saturating_sub(at);
        if back >= ClockStep::SMALLEST {
            self.ahead = self.ahead.saturating_add(back);
            self.latest = at;
            let step = ClockStep::Back(back);
            self.steps.push_back(EventKind::ClockStep { step, noted: false });
        }
        self.latest = self.latest.max(at);
        at.saturating_add(self.ahead).min(LATEST)
    }

    /// The next step that is not reported yet.
    pub(super) fn next_step(&mut self) -> Option<EventKind> {
        self.steps.pop_front()
    }
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
}
