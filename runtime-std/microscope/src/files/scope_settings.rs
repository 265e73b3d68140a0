//! The scope settings as values with units: the text that COMMON_SCOPE_SETTINGS_LOAD (0x1009)
//! returns.
//!
//! The form of the text is in `sections/`; loading and saving it is in
//! `devices/settings_store.rs`.

use std::str::FromStr;

use crate::axis::Axis;
use crate::files::sections::{Entry, SectionError, SectionText, ValueError};
use crate::stage::limits::{Limit, StageLimits};
use crate::units::Position;

const STAGE: &str = "Stage limits";
const FILTERS: &str = "Filter wheel encoder counts";
const ASSIGNED: &str = "Filter wheel position assignments";
const KIND: &str = "Type";
const LED: &str = "LED settings";

/// The scope settings. A value that they do not contain is `None`; a value that cannot be read is an
/// error.
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
/// assert!(!settings.limits(Axis::X).is_complete(), "the lower limit is missing");
/// # Ok::<(), flamingo_microscope::scope_settings::ScopeSettingsError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct ScopeSettings {
    text: SectionText,
    axes: [AxisSettings; 4],
    filters: Vec<Filter>,
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

/// Why scope settings cannot be read.
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
    /// Reads the text of the settings.
    ///
    /// # Errors
    /// [`ScopeSettingsError`] with the number of the line.
    pub fn parse(text: &[u8]) -> Result<Self, ScopeSettingsError> {
        let text = SectionText::parse(text)?;
        let [x, y, z, r] = Axis::ALL.map(|axis| AxisSettings::read(&text, axis));
        let axes = [x?, y?, z?, r?];
        let filters = filters(&text)?;
        Ok(Self { text, axes, filters })
    }

    /// The text that was read.
    #[must_use]
    pub fn text(&self) -> &SectionText {
        &self.text
    }

    /// The limits of an axis: at each end the narrower one of the hard and the soft limit.
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

impl AxisSettings {
    fn read(text: &SectionText, axis: Axis) -> Result<Self, ScopeSettingsError> {
        let entry = |name: &str| text.get(STAGE, &format!("{name} {axis}-axis"));
        let position = |name: &str| {
            let entry = entry(name);
            entry.map(|entry| finite(&entry).map(|at| Position::of(axis, at))).transpose()
        };
        let limit = |name: &str| {
            let Some(entry) = entry(name) else { return Ok(None) };
            let at = Position::of(axis, finite(&entry)?);
            let name = format!("{name} {axis}-axis");
            Ok::<_, ScopeSettingsError>(Some(Limit { at, name, line: entry.line }))
        };
        let min = [limit("Soft limit min")?, limit("Hard limit min")?].into_iter().flatten();
        let max = [limit("Soft limit max")?, limit("Hard limit max")?].into_iter().flatten();
        let limits = StageLimits {
            min: min.reduce(|a, b| if b.at.value() > a.at.value() { b } else { a }),
            max: max.reduce(|a, b| if b.at.value() < a.at.value() { b } else { a }),
        };
        if let (Some(min), Some(max)) = (&limits.min, &limits.max)
            && min.at.value() >= max.at.value()
        {
            return Err(ScopeSettingsError::Crossed { min: min.clone(), max: max.clone() });
        }
        let velocity = entry("Default velocity").map(|entry| finite(&entry)).transpose()?;
        let (home, unload) = (position("Home")?, position("Unload")?);
        Ok(Self { limits, home, unload, velocity })
    }
}

/// Reads the lines `Filter wheel description 2 = 525/50`; sorted by their numbers.
fn filters(text: &SectionText) -> Result<Vec<Filter>, ScopeSettingsError> {
    const NAME: &str = "Filter wheel description ";
    let mut filters = Vec::new();
    for entry in text.entries(FILTERS) {
        let Some(number) = entry.name.strip_prefix(NAME) else { continue };
        let number = number.trim().parse();
        let number = number.map_err(|_| entry.wrong("a name that ends with a number"))?;
        filters.push(Filter { number, description: entry.value.into_owned() });
    }
    filters.sort_by_key(|filter| filter.number);
    Ok(filters)
}

fn finite(entry: &Entry) -> Result<f64, ValueError> {
    let number = entry.value.parse().ok().filter(|number: &f64| number.is_finite());
    number.ok_or_else(|| entry.wrong("a finite number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: &str = "<Camera>\r\n  Soft limit max x-axis = 1\r\n</Camera>\r\n\
        <Stage limits>\r\n  Hard limit max x-axis = 14.5\r\n  Soft limit max x-axis = 12.31\r\n  \
        Hard limit min x-axis = 1.000\r\n  Soft limit min x-axis = 2.5\r\n  \
        Soft limit min r-axis = -720.000\r\n  Home r-axis = -90\r\n</Stage limits>\r\n\
        <Filter wheel encoder counts>\r\n  Filter wheel position 1 = 512 7\r\n  \
        Filter wheel description 2 = 525/50\r\n  Filter wheel description 1 = open\r\n\
        </Filter wheel encoder counts>\r\n<Filter wheel position assignments>\r\n  Laser 2 = 3\r\n\
        </Filter wheel position assignments>\r\n<Type>\r\n  Microscope name = n1\r\n</Type>\r\n";

    fn settings(text: &str) -> Result<ScopeSettings, ScopeSettingsError> {
        ScopeSettings::parse(text.as_bytes())
    }

    #[test]
    fn the_narrower_of_hard_and_soft_limits_counts() {
        let settings = settings(SETTINGS).unwrap();
        let limits = settings.limits(Axis::X);
        assert!(limits.is_complete());
        assert_eq!(limits.check(Axis::X, Position::Mm(12.31)), Ok(()));
        assert_eq!(limits.check(Axis::X, Position::Mm(2.5)), Ok(()));
        let above = limits.check(Axis::X, Position::Mm(12.32)).unwrap_err();
        assert_eq!((above.limit.name.as_str(), above.limit.line), ("Soft limit max x-axis", 6));
        let below = limits.check(Axis::X, Position::Mm(2.0)).unwrap_err();
        assert_eq!(
            below.to_string(),
            "target of axis x: expected at least 2.5 mm (Soft limit min x-axis, line 8 of the \
             scope settings), found 2 mm"
        );
        assert!(limits.check(Axis::X, Position::Mm(f64::NAN)).is_err());
    }

    #[test]
    fn a_limit_that_is_not_in_the_settings_refuses_nothing() {
        let settings = settings(SETTINGS).unwrap();
        let limits = settings.limits(Axis::R);
        assert!(!limits.is_complete());
        assert_eq!(limits.check(Axis::R, Position::Degrees(100_000.0)), Ok(()));
        assert!(limits.check(Axis::R, Position::Degrees(-721.0)).is_err());
        assert_eq!(*settings.limits(Axis::Z), StageLimits::default());
        assert_eq!(settings.home(Axis::R), Some(Position::Degrees(-90.0)));
        assert_eq!(settings.home(Axis::X), None);
    }

    #[test]
    fn filters_and_names_are_read() {
        let settings = settings(SETTINGS).unwrap();
        let filters: Vec<_> = settings.filters().iter().map(|f| f.description.as_str()).collect();
        assert_eq!(filters, ["open", "525/50"]);
        assert_eq!(settings.filter_for_laser(2), Ok(Some(3)));
        assert_eq!(settings.filter_for_laser(1), Ok(None));
        assert_eq!(settings.microscope_name().as_deref(), Some("n1"));
    }

    #[test]
    fn an_error_names_the_line_of_a_value_that_is_no_number() {
        for value in ["abc", "NaN", "inf", ""] {
            let text = SETTINGS.replace("12.31", value);
            let error = settings(&text).unwrap_err().to_string();
            assert!(error.starts_with("line 6: Soft limit max x-axis: expected a"), "{error}");
        }
    }

    #[test]
    fn an_error_names_both_lines_of_limits_that_cross() {
        let error = settings(&SETTINGS.replace("12.31", "2.5")).unwrap_err().to_string();
        assert!(error.contains("lines 8 and 6"), "{error}");
    }

    #[test]
    fn a_text_that_is_cut_off_is_an_error() {
        let error = settings(&SETTINGS[..100]).unwrap_err();
        assert!(matches!(error, ScopeSettingsError::Form(_)), "{error}");
    }
}
