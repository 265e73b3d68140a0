//! Where an axis may go: its limits, and what is said of a target beyond them.
//!
//! Reading them out of the settings is `scope_settings.rs`.

use std::fmt;

use crate::axis::Axis;
use crate::units::Position;

/// One end of where an axis may go, and which line of the settings says so.
#[derive(Debug, Clone, PartialEq)]
pub struct Limit {
    /// The position, in mm, on R in degrees.
    pub at: Position,
    /// The name of the setting, such as `Soft limit max x-axis`.
    pub name: String,
    /// The number of its line in the scope settings, from 1.
    pub line: usize,
}

/// The range in which one axis may be positioned. An end that is not known is open.
///
/// ```
/// use flamingo_microscope::limits::{Limit, StageLimits};
/// use flamingo_microscope::units::Position;
/// use flamingo_microscope::Axis;
/// let max = Limit { at: Position::Mm(25.0), name: "Soft limit max y-axis".into(), line: 7 };
/// let limits = StageLimits { min: None, max: Some(max) };
/// assert!(limits.check(Axis::Y, Position::Mm(25.0)).is_ok());
/// assert!(limits.check(Axis::Y, Position::Mm(25.1)).is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StageLimits {
    /// The highest of the lower limits, hard and soft.
    pub min: Option<Limit>,
    /// The lowest of the upper limits, hard and soft.
    pub max: Option<Limit>,
}

/// A target outside of the limits.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct OutOfLimits {
    /// The axis.
    pub axis: Axis,
    /// The target.
    pub target: Position,
    /// The limit that it passes.
    pub limit: Limit,
}

impl OutOfLimits {
    /// What the target may be at most, or at least, and which line says so.
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
    /// Whether both ends are known.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.min.is_some() && self.max.is_some()
    }

    /// Whether `target` is within the known limits, ends included. It must be in the unit of the
    /// axis; NaN is within no limit.
    ///
    /// # Errors
    /// [`OutOfLimits`] names the limit.
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
