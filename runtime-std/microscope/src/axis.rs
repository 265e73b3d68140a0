//! The four axes of the stage: their numbers on the wire, their letters and their units.
//!
//! The limits of an axis belong to the instrument: see `stage/limits.rs`.

use std::fmt;
use std::str::FromStr;

/// An axis of the stage.
///
/// ```
/// use flamingo_microscope::Axis;
/// assert_eq!("z".parse(), Ok(Axis::Z));
/// assert_eq!(Axis::Z.selector(), 3);
/// assert_eq!(Axis::R.unit(), "deg");
/// assert!("q".parse::<Axis>().is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Axis {
    /// X, in mm.
    X,
    /// Y, in mm.
    Y,
    /// Z, in mm.
    Z,
    /// The rotation, in degrees.
    R,
}

impl Axis {
    /// All four axes, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::X, Self::Y, Self::Z, Self::R];

    /// The number of the axis in int32Data0: 1 to 4.
    pub const fn selector(self) -> i32 {
        self as i32 + 1
    }

    /// The axis with this number; `None` for 255 ("all axes") and every other number.
    pub fn from_selector(selector: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|axis| axis.selector() == selector)
    }

    /// The letter, in lower case.
    pub const fn letter(self) -> &'static str {
        match self {
            Self::X => "x",
            Self::Y => "y",
            Self::Z => "z",
            Self::R => "r",
        }
    }

    /// The unit of its positions: `mm`, or `deg` on R.
    pub const fn unit(self) -> &'static str {
        match self {
            Self::R => "deg",
            _ => "mm",
        }
    }
}

impl fmt::Display for Axis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.letter())
    }
}

/// A text that names no axis.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("axis: expected x, y, z or r, found {found:?}")]
#[non_exhaustive]
pub struct UnknownAxis {
    /// The text.
    pub found: String,
}

impl FromStr for Axis {
    type Err = UnknownAxis;

    /// Reads a letter, in upper or lower case.
    fn from_str(name: &str) -> Result<Self, UnknownAxis> {
        let matches = |axis: &Self| axis.letter().eq_ignore_ascii_case(name);
        let found = Self::ALL.into_iter().find(matches);
        found.ok_or_else(|| UnknownAxis { found: name.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_is_found_by_its_letter_and_by_its_number() {
        for axis in Axis::ALL {
            assert_eq!(axis.letter().to_uppercase().parse(), Ok(axis));
            assert_eq!(Axis::from_selector(axis.selector()), Some(axis));
        }
        assert_eq!(Axis::from_selector(255), None);
        assert_eq!(Axis::from_selector(0), None);
    }
}
