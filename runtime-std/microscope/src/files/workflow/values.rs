//! Reading the values of a workflow file: numbers, times, and words. An empty value
//! counts as missing.

use std::time::Duration;

use super::{Workflow, WorkflowError};
use crate::files::sections::{Entry, ValueError};

impl Workflow {
    /// Reads a finite number without a comma.
    pub(super) fn number(&self, section: &str, name: &str) -> Result<Option<f64>, WorkflowError> {
        let Some(entry) = self.filled(section, name) else { return Ok(None) };
        Ok(Some(finite(&entry)?))
    }

    /// Reads a whole number that is not negative, without a comma.
    pub(super) fn whole(&self, section: &str, name: &str) -> Result<Option<u32>, WorkflowError> {
        let Some(entry) = self.filled(section, name) else { return Ok(None) };
        let whole = number(&entry.value).and_then(whole);
        Ok(Some(whole.ok_or_else(|| entry.wrong(expected(&entry, "a whole number")))?))
    }

    /// Reads a whole number as [`Self::whole`], with or without commas between the thousands. Files of
    /// instruments have such commas only in the exposure time.
    pub(super) fn grouped(&self, section: &str, name: &str) -> Result<Option<u32>, WorkflowError> {
        let Some(entry) = self.filled(section, name) else { return Ok(None) };
        let whole = number(&entry.value).or_else(|| grouped(&entry.value)).and_then(whole);
        let expected = "a whole number, with or without commas between the thousands";
        Ok(Some(whole.ok_or_else(|| entry.wrong(expected))?))
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

/// Reads a finite number without a comma. A comma may be a decimal comma, so it is refused.
pub(super) fn finite(entry: &Entry<'_>) -> Result<f64, ValueError> {
    number(&entry.value).ok_or_else(|| entry.wrong(expected(entry, "a finite number")))
}

pub(super) fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

/// What was expected instead of a value that may have a comma.
fn expected(entry: &Entry<'_>, number: &'static str) -> &'static str {
    match (entry.value.contains(','), number) {
        (true, "a whole number") => "a whole number without a comma",
        (true, _) => "a finite number with a decimal point and without a comma",
        (false, number) => number,
    }
}

fn whole(number: f64) -> Option<u32> {
    let in_range = number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // in range
    in_range.then_some(number as u32)
}

/// Reads a number of one to three digits and then groups of three digits, such as `9,002`.
fn grouped(text: &str) -> Option<f64> {
    let (first, groups) = text.split_once(',')?;
    let is_group = |group: &str| group.bytes().all(|byte| byte.is_ascii_digit());
    let is_first = (1..=3).contains(&first.len()) && is_group(first) && !first.starts_with('0');
    let is_grouped = groups.split(',').all(|group| group.len() == 3 && is_group(group));
    (is_first && is_grouped).then(|| number(&text.replace(',', ""))).flatten()
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
    fn a_number_has_no_comma() {
        assert_eq!(number("-1234.5"), Some(-1234.5));
        for wrong in ["9,002", "0,500", "1.5,5", ",5", "5,", "NaN", "inf", "-", "12 1"] {
            assert_eq!(number(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_grouped_number_has_three_digits_after_each_comma() {
        assert_eq!(grouped("9,002"), Some(9002.0));
        assert_eq!(grouped("1,000,000"), Some(1_000_000.0));
        for wrong in [
            "9,02", "9,0021", "9002,000", "0,500", ",500", "1,5", "1,,000", "-1,000", "1,000.5",
            "1.5,500",
        ] {
            assert_eq!(grouped(wrong), None, "{wrong}");
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
