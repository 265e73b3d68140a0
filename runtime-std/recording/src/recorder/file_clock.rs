//! The times in one file. A file begins with the host's clock of that moment, and its times go on
//! without the steps after that. Each step is noted in the file.
//!
//! `pcap_sink.rs` writes the times and the notes.

use std::time::Duration;

use flamingo_runtime_std::ClockStep;

/// The longest step that an anonymized file notes: from a clock that begins in 1970, a step gives the date away.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3_600);

/// The clock of one file.
#[derive(Debug)]
pub(super) struct FileClock {
    /// How far the host's clock was set before the file began, if its times have that step.
    at_begin: Option<ClockStep>,
    /// The same before the last step that was noted.
    noted: Option<ClockStep>,
    /// A longer step is noted as one of this length.
    longest: Duration,
}

impl FileClock {
    /// The clock of a file that begins now.
    pub(super) const fn begin(set: Option<ClockStep>) -> Self {
        Self { at_begin: set, noted: set, longest: Duration::MAX }
    }

    /// The clock of an anonymized file: only the distances between its times mean something.
    pub(super) const fn without_date(set: Option<ClockStep>) -> Self {
        Self { at_begin: None, noted: set, longest: LONGEST }
    }

    /// The time in the file.
    pub(super) fn time(&self, at: Duration) -> Duration {
        match self.at_begin {
            None => at,
            Some(ClockStep::Forward(by)) => at.saturating_add(by),
            Some(ClockStep::Back(by)) => at.saturating_sub(by),
        }
    }

    /// Looks at the host's clock. Returns a step that is not noted yet.
    pub(super) fn look(&mut self, set: Option<ClockStep>) -> Option<ClockStep> {
        let step = ClockStep::between(self.noted, set)?;
        self.noted = set;
        Some(self.shown(step))
    }

    /// A step as the file notes it.
    pub(super) fn shown(&self, step: ClockStep) -> ClockStep {
        match step {
            ClockStep::Forward(by) => ClockStep::Forward(by.min(self.longest)),
            ClockStep::Back(by) => ClockStep::Back(by.min(self.longest)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_the_clock_of_its_beginning_and_notes_steps_once() {
        let [hour, now] = [3_600, 1_700_000_000].map(Duration::from_secs);
        let mut clock = FileClock::begin(Some(ClockStep::Back(hour)));
        assert_eq!(clock.time(now), now.checked_sub(hour).unwrap());
        assert_eq!(clock.look(Some(ClockStep::Back(hour))), None);
        assert_eq!(clock.look(None), Some(ClockStep::Forward(hour)));
        assert_eq!(clock.look(None), None);
        assert_eq!(clock.time(now), now.checked_sub(hour).unwrap(), "times go on without the step");
        assert_eq!(FileClock::begin(None).time(now), now);
        let mut hidden = FileClock::without_date(None);
        assert_eq!(hidden.look(Some(ClockStep::Forward(now))), Some(ClockStep::Forward(LONGEST)));
        let later = Some(ClockStep::Forward(now + hour));
        assert_eq!(hidden.look(later), Some(ClockStep::Forward(hour)), "the steps after it stay");
        assert_eq!(FileClock::begin(Some(ClockStep::Forward(hour))).time(now), now + hour);
    }
}
