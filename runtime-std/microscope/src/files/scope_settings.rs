//! The scope settings as values with units: the text that COMMON_SCOPE_SETTINGS_LOAD (0x1009)
//! returns.
//!
//! Each line is read on its own: a line that cannot be read is reported, and takes nothing away from
//! the others. Limits are read in `limit_lines.rs`. The form of the text is in `sections/`; loading and saving it is in
//! `devices/settings_store.rs`.

mod limit_lines;

use std::str::FromStr;

use crate::axis::Axis;
use crate::files::finding::{Finding, Severity};
use crate::files::sections::{Entry, SectionError, SectionText, ValueError};
use crate::stage::limits::{Limit, StageLimits};
use crate::units::Position;
use limit_lines::DoubtfulLine;

const STAGE: &str = "Stage limits";
const FILTERS: &str = "Filter wheel encoder counts";
const ASSIGNED: &str = "Filter wheel position assignments";
const KIND: &str = "Type";
const LED: &str = "LED settings";

/// The scope settings. A value that they do not contain, or that cannot be read, is `None`;
/// [`Self::findings`] tells which lines cannot be read, and [`StageLimits::known`] whether an axis may
/// be moved.
///
/// ```
/// use flamingo_microscope::Axis;
/// use flamingo_microscope::scope_settings::ScopeSettings;
/// use flamingo_microscope::units::Position;
/// let text = b"<Stage limits>\n  Soft limit max x-axis = 12.31\n  Hard limit max x-axis = 14\n\
///     Home x-axis = 7.5\n</Stage limits>\n";
/// let settings = ScopeSettings::parse(text)?;
/// assert_eq!(settings.home(Axis::X), Some(Position::Mm(7.5)));
/// assert!(settings.limits(Axis::X).check(Axis::X, Position::Mm(12.32)).is_err());
/// let unknown = settings.limits(Axis::X).known().unwrap_err();
/// assert_eq!(unknown.to_string(), "the scope settings have no lower limit");
/// # Ok::<(), flamingo_microscope::scope_settings::ScopeSettingsError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct ScopeSettings {
    text: SectionText,
    axes: [AxisSettings; 4],
    filters: Vec<Filter>,
    /// The problems of values. Those of the form are in the text.
    problems: Vec<(Severity, ScopeSettingsError)>,
}

#[derive(Debug, Clone, PartialEq, Default)]
struct AxisSettings {
    limits: StageLimits,
    home: Option<Position>,
    unload: Option<Position>,
    velocity: Option<f64>,
}

/// A position of the filter wheel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// The number of the position in the settings, from 1.
    pub number: u32,
    /// The description of the filter.
    pub description: String,
}

/// Why scope settings, or one of their lines, cannot be read.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ScopeSettingsError {
    /// The text does not have the form of sections.
    #[error(transparent)]
    Form(#[from] SectionError),
    /// A value cannot be read.
    #[error(transparent)]
    Value(#[from] ValueError),
    /// A lower limit is not below the upper limit.
    #[error(
        "lines {} and {}: {} is {}, and {} is {}: expected the first below the second",
        min.line, max.line, min.name, min.at, max.name, max.at
    )]
    Crossed {
        /// The lower limit.
        min: Limit,
        /// The upper limit.
        max: Limit,
    },
}

impl ScopeSettings {
    /// Reads each line of the settings on its own. What cannot be read is in [`Self::findings`].
    ///
    /// # Errors
    /// [`ScopeSettingsError::Form`]: the text is UTF-16 or UTF-32, or has more than 1000 errors.
    pub fn parse(text: &[u8]) -> Result<Self, ScopeSettingsError> {
        let text = SectionText::read(text)?;
        let mut problems = Vec::new();
        let doubtful = limit_lines::doubtful(&text);
        let errors = doubtful.iter().filter(|line| !line.is_known_error);
        problems.extend(errors.map(|line| (Severity::Error, line.error.clone().into())));
        let axes = Axis::ALL.map(|axis| AxisSettings::read(&text, axis, &doubtful, &mut problems));
        let filters = filters(&text, &mut problems);
        Ok(Self { text, axes, filters, problems })
    }

    /// Reads settings that must be right in every line, because they are about to be saved.
    ///
    /// # Errors
    /// [`ScopeSettingsError`]: the first line that cannot be read.
    pub fn parse_whole(text: &[u8]) -> Result<Self, ScopeSettingsError> {
        SectionText::parse(text)?;
        let settings = Self::parse(text)?;
        let mut problems = settings.problems.iter();
        match problems.find(|(severity, _)| *severity == Severity::Error) {
            Some((_, error)) => Err(error.clone()),
            None => Ok(settings),
        }
    }

    /// The lines that cannot be read or that look wrong, in order.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        let of_values = self.problems.iter().map(|(severity, error)| error.finding(*severity));
        let mut findings = self.text.findings();
        findings.extend(of_values);
        findings.sort_by_key(|finding| finding.line);
        findings
    }

    /// The text that was read.
    #[must_use]
    pub fn text(&self) -> &SectionText {
        &self.text
    }

    /// The limits of an axis: at each end the narrowest one of the hard and the soft limits. Before a
    /// motion, check with [`StageLimits::known`] that they are known.
    #[must_use]
    pub fn limits(&self, axis: Axis) -> &StageLimits {
        &self.axis(axis).limits
    }

    /// The home position of an axis: the target of STAGE_HOME.
    #[must_use]
    pub fn home(&self, axis: Axis) -> Option<Position> {
        self.axis(axis).home
    }

    /// The position for changing the sample.
    #[must_use]
    pub fn unload(&self, axis: Axis) -> Option<Position> {
        self.axis(axis).unload
    }

    /// The default velocity of an axis, in mm/s, R in degrees/s.
    #[must_use]
    pub fn default_velocity(&self, axis: Axis) -> Option<f64> {
        self.axis(axis).velocity
    }

    /// The filters that the settings describe, in the order of their numbers.
    #[must_use]
    pub fn filters(&self) -> &[Filter] {
        &self.filters
    }

    /// The position of the filter wheel for a laser.
    ///
    /// # Errors
    /// [`ScopeSettingsError::Value`]: the value is no whole number.
    pub fn filter_for_laser(&self, laser: i32) -> Result<Option<i32>, ScopeSettingsError> {
        self.number(ASSIGNED, &format!("Laser {laser}"))
    }

    /// The position of the filter wheel for the LED.
    ///
    /// # Errors
    /// [`ScopeSettingsError::Value`]: the value is no whole number.
    pub fn filter_for_led(&self) -> Result<Option<i32>, ScopeSettingsError> {
        self.number(ASSIGNED, "LED")
    }

    /// The brightness of an LED, 0 to 65 535; `colour` is `red`, `green`, `blue` or `white`.
    ///
    /// # Errors
    /// [`ScopeSettingsError::Value`]: the value is no number in that range.
    pub fn led_brightness(&self, colour: &str) -> Result<Option<u16>, ScopeSettingsError> {
        self.number(LED, &format!("Intensity {colour}"))
    }

    /// The name of the microscope.
    #[must_use]
    pub fn microscope_name(&self) -> Option<String> {
        self.words("Microscope name")
    }

    /// The type of the microscope.
    #[must_use]
    pub fn microscope_type(&self) -> Option<String> {
        self.words("Microscope type")
    }

    /// The magnification of the objective.
    ///
    /// # Errors
    /// [`ScopeSettingsError::Value`]: the value is no finite number.
    pub fn magnification(&self) -> Result<Option<f64>, ScopeSettingsError> {
        let entry = self.text.get(KIND, "Objective lens magnification");
        Ok(entry.map(|entry| finite(&entry)).transpose()?)
    }

    fn axis(&self, axis: Axis) -> &AxisSettings {
        let [x, y, z, r] = &self.axes;
        match axis {
            Axis::X => x,
            Axis::Y => y,
            Axis::Z => z,
            Axis::R => r,
        }
    }

    fn number<T: FromStr>(
        &self,
        section: &str,
        name: &str,
    ) -> Result<Option<T>, ScopeSettingsError> {
        let Some(entry) = self.text.get(section, name) else { return Ok(None) };
        let number = entry.value.parse().map_err(|_| entry.wrong("a whole number in range"));
        Ok(Some(number?))
    }

    fn words(&self, name: &str) -> Option<String> {
        Some(self.text.get(KIND, name)?.value.into_owned())
    }
}

impl ScopeSettingsError {
    fn finding(&self, severity: Severity) -> Finding {
        let (line, message) = match self {
            Self::Form(SectionError { line, expected, found }) => {
                (*line, format!("expected {expected}, found {found}"))
            }
            Self::Value(ValueError { line, name, expected, found }) => {
                (*line, format!("{name}: expected {expected}, found {found:?}"))
            }
            Self::Crossed { min, .. } => (min.line, self.to_string()),
        };
        Finding { line: Some(line), severity, message }
    }
}

impl AxisSettings {
    fn read(
        text: &SectionText,
        axis: Axis,
        doubtful: &[DoubtfulLine],
        problems: &mut Vec<(Severity, ScopeSettingsError)>,
    ) -> Self {
        let limits = limit_lines::limits(text, axis, doubtful, problems);
        let mut number = |name: &str| {
            let entry = text.get(STAGE, &format!("{name} {axis}-axis"))?;
            let read = finite(&entry);
            // Some instruments leave such a value empty.
            let empty = entry.value.is_empty();
            let severity = if empty { Severity::Warning } else { Severity::Error };
            read.map_err(|error| problems.push((severity, error.into()))).ok()
        };
        let velocity = number("Default velocity");
        let mut position = |name: &str| number(name).map(|at| Position::of(axis, at));
        let (home, unload) = (position("Home"), position("Unload"));
        Self { limits, home, unload, velocity }
    }
}

/// Reads the lines `Filter wheel description 2 = 525/50`; sorted by their numbers.
fn filters(text: &SectionText, problems: &mut Vec<(Severity, ScopeSettingsError)>) -> Vec<Filter> {
    const NAME: &str = "Filter wheel description ";
    let mut filters = Vec::new();
    for entry in text.entries(FILTERS) {
        let Some(number) = entry.name.strip_prefix(NAME) else { continue };
        if let Ok(number) = number.trim().parse() {
            filters.push(Filter { number, description: entry.value.into_owned() });
        } else {
            let error = entry.wrong("a name that ends with a number");
            problems.push((Severity::Warning, error.into()));
        }
    }
    filters.sort_by_key(|filter| filter.number);
    filters
}

fn finite(entry: &Entry) -> Result<f64, ValueError> {
    let number = entry.value.parse().ok().filter(|number: &f64| number.is_finite());
    number.ok_or_else(|| {
        let comma = entry.value.contains(',');
        entry.wrong(if comma { "a finite number with a decimal point" } else { "a finite number" })
    })
}

#[cfg(test)]
mod tests;
