//! The limits of an axis, and the check of a target against them.
//!
//! Reading limits from the settings is in `files/scope_settings.rs`.

use std::fmt;

use crate::axis::Axis;
use crate::units::Position;

/// One limit of an axis, and the line of the scope settings that sets it.
#[derive(Debug, Clone, PartialEq)]
pub struct Limit {
    /// The position of the limit, in mm, R in degrees.
    pub at: Position,
    /// The name of the setting, such as `Soft limit max x-axis`.
    pub name: String,
    /// The number of its line in the scope settings, from 1.
    pub line: usize,
}

/// The range of one axis. An end that the settings do not name is `None`, and allows everything:
/// before a motion, ask [`Self::known`] as well.
///
/// ```
/// use flamingo_microscope::limits::{Limit, StageLimits};
/// use flamingo_microscope::units::Position;
/// use flamingo_microscope::Axis;
/// let max = Limit { at: Position::Mm(25.0), name: "Soft limit max y-axis".into(), line: 7 };
/// let limits = StageLimits { max: Some(max), ..StageLimits::default() };
/// assert!(limits.check(Axis::Y, Position::Mm(25.0)).is_ok());
/// assert!(limits.check(Axis::Y, Position::Mm(25.1)).is_err());
/// let unknown = limits.known().unwrap_err();
/// assert_eq!(unknown.to_string(), "the scope settings have no lower limit");
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StageLimits {
    /// The lower limit: the higher one of the hard and the soft limit.
    pub min: Option<Limit>,
    /// The upper limit: the lower one of the hard and the soft limit.
    pub max: Option<Limit>,
    /// The limits that could not be read, one text for each, with its line. Any of them may be
    /// narrower than [`Self::min`] or [`Self::max`], so the limits are then not known.
    pub unread: Vec<String>,
}

/// Why the limits of an axis are not known. The axis must then not be moved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LimitsUnknown {
    /// Lines with limits cannot be read.
    #[error("{}", first_lines(.0))]
    Unread(Vec<String>),
    /// The settings have no upper, no lower, or no limit for the axis.
    #[error("the scope settings have no {0} limit")]
    Missing(&'static str),
}

/// How many lines an error shows. One broken tag may move all limits to another place.
const SHOWN: usize = 3;

fn first_lines(lines: &[String]) -> String {
    let shown: Vec<&str> = lines.iter().take(SHOWN).map(String::as_str).collect();
    match lines.len().saturating_sub(SHOWN) {
        0 => shown.join("; "),
        more => format!("{}; and {more} more", shown.join("; ")),
    }
}

/// A target outside the limits.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct OutOfLimits {
    /// The axis.
    pub axis: Axis,
    /// The target.
    pub target: Position,
    /// The limit that it exceeds.
    pub limit: Limit,
}

impl OutOfLimits {
    /// The largest or smallest allowed target, and the line that sets it, as text.
    #[must_use]
    pub fn expected(&self) -> String {
        let Limit { at, name, line } = &self.limit;
        let side = if self.target.value() > at.value() { "most" } else { "least" };
        format!("at {side} {at} ({name}, line {line} of the scope settings)")
    }
}

impl fmt::Display for OutOfLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { axis, target, .. } = self;
        write!(f, "target of axis {axis}: expected {}, found {target}", self.expected())
    }
}

impl std::error::Error for OutOfLimits {}

impl StageLimits {
    /// Whether a limit is known.
    #[must_use]
    pub const fn is_known(&self) -> bool {
        self.min.is_some() || self.max.is_some()
    }

    /// Whether both limits are known: [`Self::known`] has no error.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.min.is_some() && self.max.is_some() && self.unread.is_empty()
    }

    /// Checks that both limits are known. Otherwise no target of the axis is safe.
    ///
    /// # Errors
    /// [`LimitsUnknown`] says why, with the lines that cannot be read.
    pub fn known(&self) -> Result<(), LimitsUnknown> {
        if !self.unread.is_empty() {
            return Err(LimitsUnknown::Unread(self.unread.clone()));
        }
        match (&self.min, &self.max) {
            (Some(_), Some(_)) => Ok(()),
            (None, Some(_)) => Err(LimitsUnknown::Missing("lower")),
            (Some(_), None) => Err(LimitsUnknown::Missing("upper")),
            (None, None) => Err(LimitsUnknown::Missing("upper or lower")),
        }
    }

    /// Checks that `target` is within the known limits; the limits themselves are allowed. The
    /// target must be in the unit of the axis. NaN is outside every limit.
    ///
    /// # Errors
    /// [`OutOfLimits`] names the limit that the target exceeds.
    pub fn check(&self, axis: Axis, target: Position) -> Result<(), OutOfLimits> {
        let value = target.value();
        let is_below = |limit: &&Limit| value.is_nan() || value < limit.at.value();
        let below = self.min.as_ref().filter(is_below);
        let above = self.max.as_ref().filter(|limit| value.is_nan() || value > limit.at.value());
        match below.or(above) {
            Some(limit) => Err(OutOfLimits { axis, target, limit: limit.clone() }),
            None => Ok(()),
        }
    }
}
