//! The times of a capture without the steps of the clock that gave them: their order and their
//! differences stay right. The steps are reported.
//!
//! A recorder notes a step in a comment, and its times do not have the step. In other captures, a time
//! that goes back shows the step, and so does one that goes forward by a year: a host without a clock of its
//! own begins in 1970. A clock that was set forward by less looks like silence.
//!
//! Each interface may have a clock of its own, so a time is compared with those of the same interface. An
//! interface whose clock differs by as much as a step when its first packet comes is shown with the time of the
//! others; that is no step. A step that another interface has shown is reported once.

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
/// The most interfaces whose clocks are told apart. Further ones count as the last of them.
const CLOCKS: usize = 64;

/// The clock of an interface.
#[derive(Debug, Clone, Copy)]
struct InterfaceClock {
    /// The latest time in the file since the last step.
    latest: Duration,
    /// How far the times that are shown are ahead of those in the file, in ns.
    ahead: i128,
}

impl InterfaceClock {
    /// The time that is shown, in ns. It may be out of range.
    fn shown(self, at: Duration) -> i128 {
        nanoseconds(at).saturating_add(self.ahead)
    }
}

/// The clock of a capture.
#[derive(Debug, Default)]
pub(super) struct SteadyTime {
    /// By the number of the interface.
    clocks: Vec<Option<InterfaceClock>>,
    /// The time that was shown last, in ns, once there is one.
    shown: Option<i128>,
    /// How far the interface that has shown the last step is ahead since then.
    stepped: i128,
    /// The steps that are not reported yet, and whether the recorder has noted them.
    steps: VecDeque<(ClockStep, bool)>,
}

impl SteadyTime {
    /// The time of the next packet.
    pub(super) fn of(&mut self, packet: &Packet<'_>) -> Duration {
        let comment = packet.port.and(packet.comment).unwrap_or_default();
        if !comment.is_empty() {
            self.add_noted(comment);
        }
        let place = usize::try_from(packet.interface).unwrap_or(usize::MAX).min(CLOCKS - 1);
        if comments::is_earlier(comment) {
            let clock = self.clocks.get(place).copied().flatten();
            return in_range(nanoseconds(packet.at) + clock.map_or(0, |clock| clock.ahead));
        }
        self.time(place, packet.at)
    }

    /// The time of a packet of the interface in that place.
    fn time(&mut self, place: usize, at: Duration) -> Duration {
        if self.clocks.len() <= place {
            self.clocks.resize(place + 1, None);
        }
        let mut clock = match self.clocks[place] {
            Some(clock) => self.followed(clock, at),
            None => InterfaceClock { latest: at, ahead: self.of_first(at) },
        };
        clock.latest = clock.latest.max(at);
        self.clocks[place] = Some(clock);
        let shown = clock.shown(at);
        self.shown = Some(shown);
        in_range(shown)
    }

    /// How far the first packet of an interface is shown ahead.
    fn of_first(&self, at: Duration) -> i128 {
        match self.shown {
            Some(shown) if !is_near(shown, nanoseconds(at)) => shown - nanoseconds(at),
            _ => 0,
        }
    }

    /// The clock of an interface at its next packet: the same one, unless its time shows a step.
    fn followed(&mut self, clock: InterfaceClock, at: Duration) -> InterfaceClock {
        // Packets that are not in the order of their times differ by less.
        if is_near(nanoseconds(clock.latest), nanoseconds(at)) {
            return clock;
        }
        let latest = clock.shown(clock.latest);
        let with_others = InterfaceClock { latest: at, ahead: self.stepped };
        if self.stepped != clock.ahead && is_near(latest, with_others.shown(at)) {
            return with_others;
        }
        let step = match clock.latest.checked_sub(at) {
            Some(back) => ClockStep::Back(back),
            None => ClockStep::Forward(at.saturating_sub(clock.latest)),
        };
        self.add(step, false);
        self.stepped = latest.saturating_sub(nanoseconds(at));
        InterfaceClock { latest: at, ahead: self.stepped }
    }

    /// The steps that a comment notes.
    fn add_noted(&mut self, comment: &str) {
        if let Some(step) = comments::clock_step(comment) {
            self.add(step, true);
        }
        for step in comments::seen_steps(comment) {
            self.add(step, false);
        }
    }

    fn add(&mut self, step: ClockStep, noted: bool) {
        if self.steps.len() < WAITING {
            self.steps.push_back((step, noted));
        } else if let Some((last, _)) = self.steps.pop_back() {
            self.steps.extend(step.after(Some(last)).map(|step| (step, noted)));
        }
    }

    /// The next step that is not reported yet.
    pub(super) fn next_step(&mut self) -> Option<EventKind> {
        self.steps.pop_front().map(|(step, noted)| EventKind::ClockStep { step, noted })
    }
}

/// Whether a time, in ns, may follow another one of the same clock.
fn is_near(latest: i128, at: i128) -> bool {
    at > latest - nanoseconds(ClockStep::SMALLEST) && at < latest + nanoseconds(YEAR)
}

/// A time that can be printed.
fn in_range(nanos: i128) -> Duration {
    let nanos = nanos.clamp(0, nanoseconds(LATEST));
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // both are in range
    Duration::new((nanos / 1_000_000_000) as u64, (nanos % 1_000_000_000) as u32)
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
        let read = [9_000, 9_100, 2_100, 2_300, 1_000, 1_001].map(|at| steady.time(0, ms(at)));
        assert_eq!(read, [9_000, 9_100, 9_100, 9_300, 9_300, 9_301].map(ms));
        let steps = [steady.next_step(), steady.next_step(), steady.next_step()];
        let back = |by| Some(EventKind::ClockStep { step: ClockStep::Back(ms(by)), noted: false });
        assert_eq!(steps, [back(7_000), back(1_300), None]);
    }

    #[test]
    fn steps_that_nobody_asks_for_take_no_memory() {
        let mut steady = SteadyTime::default();
        for second in 0..100_000 {
            steady.time(0, ms(second % 2 * 1_000));
        }
        assert!(steady.steps.len() <= WAITING);
    }

    #[test]
    fn packets_in_another_order_than_their_times_are_no_step() {
        let mut steady = SteadyTime::default();
        let read = [1_000, 900, 501, 1_001].map(|at| steady.time(0, ms(at)));
        assert_eq!(read, [1_000, 900, 501, 1_001].map(ms));
        assert_eq!(steady.next_step(), None);
    }

    #[test]
    fn interfaces_with_different_clocks_show_no_step() {
        let mut steady = SteadyTime::default();
        let day = 24 * 3_600_000;
        let packets = [(0, day), (1, 5), (0, day + 10), (1, 15), (0, day + 20), (2, day - 400)];
        let read = packets.map(|(interface, at)| steady.time(interface, ms(at)));
        assert_eq!(
            read,
            [0, 0, 10, 10, 20, -400].map(|at: i64| ms(day.checked_add_signed(at).unwrap()))
        );
        assert_eq!(steady.next_step(), None);
    }

    #[test]
    fn a_step_that_two_interfaces_show_is_one_step() {
        let mut steady = SteadyTime::default();
        let packets = [(0, 9_000), (1, 9_001), (0, 2_000), (1, 2_001), (0, 2_010), (1, 2_012)];
        let read = packets.map(|(interface, at)| steady.time(interface, ms(at)));
        assert_eq!(read, [9_000, 9_001, 9_000, 9_001, 9_010, 9_012].map(ms));
        let step = ClockStep::Back(ms(7_000));
        assert_eq!(steady.next_step(), Some(EventKind::ClockStep { step, noted: false }));
        assert_eq!(steady.next_step(), None);
    }

    #[test]
    fn ever_new_interfaces_take_no_memory() {
        let mut steady = SteadyTime::default();
        let mut packet = packet();
        for interface in (0..100_000).chain([u32::MAX]) {
            packet.interface = interface;
            steady.of(&packet);
        }
        assert!(steady.clocks.len() <= CLOCKS);
    }

    fn packet() -> Packet<'static> {
        let end = std::net::SocketAddr::from(([10, 0, 0, 7], 1));
        Packet {
            at: ms(1),
            interface: 0,
            source: end,
            target: end,
            number: 0,
            acknowledged: 0,
            syn: false,
            ack: false,
            fin: false,
            rst: false,
            payload: &[],
            cut: 0,
            port: None,
            comment: None,
        }
    }

    #[test]
    fn a_time_after_the_year_9999_is_the_end_of_it() {
        let mut steady = SteadyTime::default();
        for _ in 0..3 {
            assert_eq!(steady.time(0, Duration::MAX), LATEST);
            steady.time(0, Duration::ZERO);
        }
    }

    #[test]
    fn a_packet_without_a_date_and_a_late_date_are_steps() {
        let mut steady = SteadyTime::default();
        let begin = 1_700_000_000_000;
        let read = [begin, 0, begin + 5, begin + 6].map(|at| steady.time(0, ms(at)));
        assert_eq!(read, [begin, begin, begin, begin + 1].map(ms));
        let step = |step| Some(EventKind::ClockStep { step, noted: false });
        assert_eq!(steady.next_step(), step(ClockStep::Back(ms(begin))));
        assert_eq!(steady.next_step(), step(ClockStep::Forward(ms(begin + 5))));

        // A host without a clock of its own gets the date while it captures.
        let mut steady = SteadyTime::default();
        let read = [9_000, 9_100, begin, begin + 7].map(|at| steady.time(0, ms(at)));
        assert_eq!(read, [9_000, 9_100, 9_100, 9_107].map(ms));
        assert_eq!(steady.next_step(), step(ClockStep::Forward(ms(begin - 9_100))));
        let mut steady = SteadyTime::default();
        let month = 30 * 24 * 3_600_000;
        assert_eq!([9_000, 9_000 + month].map(|at| steady.time(0, ms(at)))[1], ms(9_000 + month));
        assert_eq!(steady.next_step(), None, "silence");
    }
}
