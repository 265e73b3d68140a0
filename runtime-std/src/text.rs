//! What the instrument says in text: the scope settings and their stage limits, a laser's level,
//! the list of drives, the positions in a push.
//!
//! Only the reading of text. Asking for it is the client's work.

use std::fmt;

use crate::axis::Axis;

/// The value of `name` in section `<section>` of a settings text (`name = value` lines).
///
/// ```
/// let text = "<Stage limits>\n  Soft limit max x-axis = 12.31\n</Stage limits>\n";
/// let value = flamingo_runtime_std::text::setting(text, "Stage limits", "Soft limit max x-axis");
/// assert_eq!(value, Some("12.31"));
/// ```
pub fn setting<'a>(text: &'a str, section: &str, name: &str) -> Option<&'a str> {
    let mut inside = false;
    for line in text.lines().map(str::trim) {
        if let Some(tag) = line.strip_prefix('<').and_then(|tag| tag.strip_suffix('>')) {
            inside = tag.eq_ignore_ascii_case(section);
        } else if inside
            && let Some((key, value)) = line.split_once('=')
            && key.trim().eq_ignore_ascii_case(name)
        {
            return Some(value.trim());
        }
    }
    None
}

/// A limit of one axis: where it ends, and which line of the settings says so.
#[derive(Debug, Clone, PartialEq)]
pub struct Limit {
    /// The position in mm, on R in degrees.
    pub at: f64,
    /// The name of the setting, such as `Soft limit max x-axis`.
    pub name: String,
}

/// The range in which one axis may be positioned, as the scope settings have it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StageLimits {
    /// The highest of the lower limits, hard and soft.
    pub min: Option<Limit>,
    /// The lowest of the upper limits, hard and soft.
    pub max: Option<Limit>,
}

/// A target outside of the limits.
#[derive(Debug, Clone, PartialEq)]
pub struct OutOfLimits {
    /// The axis.
    pub axis: Axis,
    /// The target in the axis's unit.
    pub target: f64,
    /// The limit that it passes.
    pub limit: Limit,
}

impl fmt::Display for OutOfLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { axis, target, limit: Limit { at, name } } = self;
        let side = if target > at { "most" } else { "least" };
        let unit = axis.unit();
        write!(
            f,
            "target of axis {axis}: expected at {side} {at} {unit} ({name}), found {target} {unit}"
        )
    }
}

impl std::error::Error for OutOfLimits {}

impl StageLimits {
    /// The limits of `axis` in the scope settings. A limit that is missing there, or is no
    /// number, is `None`.
    ///
    /// ```
    /// use flamingo_runtime_std::{Axis, text::StageLimits};
    /// let text = "<Stage limits>\nSoft limit min y-axis = 5\nHard limit max y-axis = 25\n</Stage limits>";
    /// let limits = StageLimits::in_settings(text, Axis::Y);
    /// assert!(limits.check(Axis::Y, 25.0).is_ok());
    /// assert!(limits.check(Axis::Y, 4.9).is_err());
    /// ```
    pub fn in_settings(text: &str, axis: Axis) -> Self {
        let read = |side: &'static str| {
            ["Soft", "Hard"].into_iter().filter_map(move |kind| {
                let name = format!("{kind} limit {side} {axis}-axis");
                let at: f64 = setting(text, "Stage limits", &name)?.parse().ok()?;
                at.is_finite().then_some(Limit { at, name })
            })
        };
        Self {
            min: read("min").reduce(|a, b| if b.at > a.at { b } else { a }),
            max: read("max").reduce(|a, b| if b.at < a.at { b } else { a }),
        }
    }

    /// Whether both ends are known.
    pub const fn is_complete(&self) -> bool {
        self.min.is_some() && self.max.is_some()
    }

    /// Whether `target` (mm, on R degrees) is within the known limits, ends included.
    ///
    /// # Errors
    /// [`OutOfLimits`] names the limit.
    pub fn check(&self, axis: Axis, target: f64) -> Result<(), OutOfLimits> {
        let below = self.min.as_ref().filter(|limit| target < limit.at);
        let above = self.max.as_ref().filter(|limit| target > limit.at);
        match below.or(above) {
            Some(limit) => Err(OutOfLimits { axis, target, limit: limit.clone() }),
            None => Ok(()),
        }
    }
}

/// Why a text is no laser level.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LevelError {
    /// The device says `getLevel error`.
    #[error("the laser declines: {said:?}")]
    Declined {
        /// The text.
        said: String,
    },
    /// No number.
    #[error("laser level: expected a percentage as text, found {found:?}")]
    NotANumber {
        /// The text.
        found: String,
    },
}

/// The level in percent out of the text that answers LASER_LEVEL_GET.
///
/// # Errors
/// [`LevelError`]: the device declined, or the text is no number.
///
/// ```
/// use flamingo_runtime_std::text::laser_level;
/// assert_eq!(laser_level("11.49"), Ok(11.49));
/// assert!(laser_level("getLevel error").is_err());
/// ```
pub fn laser_level(text: &str) -> Result<f64, LevelError> {
    let text = text.trim();
    if text.to_ascii_lowercase().contains("error") {
        return Err(LevelError::Declined { said: text.to_owned() });
    }
    let number = text.trim_end_matches('%').trim_end().parse().ok();
    let finite = number.filter(|level: &f64| level.is_finite());
    finite.ok_or_else(|| LevelError::NotANumber { found: text.to_owned() })
}

/// The drives in the text that answers STORAGE_PATH_SET: one a line, empty lines left out.
pub fn drives(text: &str) -> Vec<&str> {
    text.split(['\n', '\0']).map(str::trim).filter(|line| !line.is_empty()).collect()
}

/// The positions in the buffer of a push that is flagged STAGE_POSITIONS_IN_BUFFER
/// (`1=X\n2=Y\n3=Z\n`): each axis that is named there, in mm (R: degrees).
///
/// ```
/// use flamingo_runtime_std::{Axis, text::pushed_positions};
/// let positions = pushed_positions("1=7.635\n2=14\n3=20.1\n");
/// assert_eq!(positions, [(Axis::X, 7.635), (Axis::Y, 14.0), (Axis::Z, 20.1)]);
/// ```
pub fn pushed_positions(text: &str) -> Vec<(Axis, f64)> {
    let position = |line: &str| {
        let (selector, position) = line.split_once('=')?;
        let axis = Axis::from_selector(selector.trim().parse().ok()?)?;
        Some((axis, position.trim().parse().ok()?))
    };
    text.lines().filter_map(position).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: &str = "<Camera>\r\n  Soft limit max x-axis = 1\r\n</Camera>\r\n\
        <Stage limits>\r\n  Hard limit max x-axis = 14.5\r\n  Soft limit max x-axis = 12.31\r\n  \
        Hard limit min x-axis = 1.000\r\n  Soft limit min x-axis = 2.5\r\n  \
        Soft limit min r-axis = -720.000\r\n</Stage limits>\r\n<Type>\r\n</Type>\r\n";

    #[test]
    fn a_setting_is_read_from_its_own_section_only() {
        assert_eq!(setting(SETTINGS, "Camera", "Soft limit max x-axis"), Some("1"));
        assert_eq!(setting(SETTINGS, "Type", "Soft limit max x-axis"), None);
    }

    #[test]
    fn of_hard_and_soft_limits_the_narrower_counts() {
        let limits = StageLimits::in_settings(SETTINGS, Axis::X);
        assert!(limits.is_complete());
        assert_eq!(limits.check(Axis::X, 12.31), Ok(()));
        assert_eq!(limits.check(Axis::X, 2.5), Ok(()));
        let above = limits.check(Axis::X, 12.32).unwrap_err();
        assert_eq!(above.limit.name, "Soft limit max x-axis");
        let below = limits.check(Axis::X, 2.0).unwrap_err();
        assert_eq!(
            below.to_string(),
            "target of axis x: expected at least 2.5 mm (Soft limit min x-axis), found 2 mm"
        );
    }

    #[test]
    fn a_limit_that_is_not_in_the_settings_refuses_nothing() {
        let limits = StageLimits::in_settings(SETTINGS, Axis::R);
        assert!(!limits.is_complete());
        assert_eq!(limits.check(Axis::R, 100_000.0), Ok(()));
        assert!(limits.check(Axis::R, -721.0).is_err());
        assert_eq!(StageLimits::in_settings(SETTINGS, Axis::Z), StageLimits::default());
    }

    #[test]
    fn a_laser_level_is_a_number_or_says_why_not() {
        assert_eq!(laser_level(" 5.00 %"), Ok(5.0));
        let declined = laser_level("getLevel error");
        assert!(matches!(declined, Err(LevelError::Declined { .. })), "{declined:?}");
        for text in ["", "NaN", "on"] {
            let refused = laser_level(text);
            assert!(matches!(refused, Err(LevelError::NotANumber { .. })), "{refused:?}");
        }
    }

    #[test]
    fn drives_are_listed_without_empty_lines() {
        assert_eq!(drives("/media/a\n/media/b\n\n\0\0"), ["/media/a", "/media/b"]);
        assert!(drives("").is_empty());
    }

    #[test]
    fn a_malformed_position_line_hides_no_other() {
        assert_eq!(pushed_positions("1=x\n9=4\n\n4=-90.5"), [(Axis::R, -90.5)]);
    }
}
