//! Reading the values of a workflow file: numbers with commas, times, and words. An empty value
//! counts as missing.

use std::time::Duration;

use super::{Workflow, WorkflowError};
use crate::files::sections::Entry;

impl Workflow {
    /// Reads a finite number, with or without commas between the thousands.
    pub(super) fn number(&self, section: &str, name: &str) -> Result<Option<f64>, WorkflowError> {
        let Some(entry) = self.filled(section, name) else { return Ok(None) };
        Ok(Some(number(&entry.value).ok_or_else(|| entry.wrong("a finite number"))?))
    }

    /// Reads a whole number that is not negative, with or without commas between the thousands.
    pub(super) fn whole(&self, section: &str, name: &str) -> Result<Option<u32>, WorkflowError> {
        let Some(entry) = self.filled(section, name) else { return Ok(None) };
        let whole = number(&entry.value)
            .filter(|number| number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(number));
        #[allow(clippy::cast_possible_truncation)] // in range
        Ok(Some(whole.ok_or_else(|| entry.wrong("a whole number"))? as u32))
    }

    /// Reads a time `dd:hh:mm:ss`.
    pub(super) fn time(
        &self,
        section: &str,
        name: &str,
    ) -> Result<Option<Duration>, WorkflowError> {
        let Some(entry) = self.filled(section, name) else { return Ok(None) };
        let time = time(&entry.value).ok_or_else(|| entry.wrong("a time as dd:hh:mm:ss"))?;
        Ok(Some(time))
    }

    /// Reads a text.
    pub(super) fn words(&self, section: &str, name: &str) -> Option<String> {
        Some(self.filled(section, name)?.value.into_owned())
    }

    /// The entry, unless its value is empty.
    pub(super) fn filled(&self, section: &str, name: &str) -> Option<Entry<'_>> {
        self.text.get(section, name).filter(|entry| !entry.value.is_empty())
    }
}

pub(super) fn number(text: &str) -> Option<f64> {
    let plain = text.replace(',', "");
    // Three digits follow each comma: `9,002`, but not `9,0` or `,5`.
    let whole = text.split_once('.').map_or(text, |(whole, _)| whole);
    let grouped = whole.split(',').skip(1).all(|group| group.len() == 3);
    plain.parse().ok().filter(|number: &f64| number.is_finite() && grouped)
}

fn time(text: &str) -> Option<Duration> {
    let parts: Option<Vec<u64>> = text.split(':').map(|part| part.trim().parse().ok()).collect();
    let [days, hours, minutes, seconds] = parts?.try_into().ok()?;
    let hours = days.checked_mul(24)?.checked_add(hours)?;
    let minutes = hours.checked_mul(60)?.checked_add(minutes)?;
    minutes.checked_mul(60)?.checked_add(seconds).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_may_have_commas_only_between_its_thousands() {
        assert_eq!(number("9,002"), Some(9002.0));
        assert_eq!(number("1,000,000.5"), Some(1_000_000.5));
        for wrong in ["9,02", "9,0021", "1,5", "NaN", "inf", "-", "12 1"] {
            assert_eq!(number(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_time_has_days_hours_minutes_and_seconds() {
        assert_eq!(time("01:02:03:04"), Some(Duration::from_secs(93_784)));
        for wrong in ["00:00:00", "1:2:3:x", "", "99999999999999999999:0:0:0"] {
            assert_eq!(time(wrong), None, "{wrong}");
        }
    }
}
