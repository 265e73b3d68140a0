//! The units of the instrument as types, so that a number never loses its unit.
//!
//! Which numbers an axis accepts is in `stage/limits.rs`.

use std::fmt;

use crate::axis::Axis;

macro_rules! unit {
    ($(#[$doc:meta])* $name:ident($number:ty), $symbol:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default)]
        pub struct $name(pub $number);

        impl fmt::Display for $name {
            /// Writes the number, with the precision of the format, and the unit.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)?;
                f.write_str(concat!(" ", $symbol))
            }
        }
    };
}

unit! {
    /// Millimetres: positions of X, Y and Z.
    ///
    /// ```
    /// assert_eq!(format!("{:.3}", flamingo_microscope::units::Mm(7.5)), "7.500 mm");
    /// ```
    Mm(f64), "mm"
}
unit! {
    /// Degrees: positions of R. They do not wrap around: 720 is two turns away from 0.
    Degrees(f64), "deg"
}
unit! {
    /// Millimetres per second: velocities of X, Y and Z.
    MmPerSecond(f64), "mm/s"
}
unit! {
    /// Degrees per second: velocities of R.
    DegreesPerSecond(f64), "deg/s"
}
unit! {
    /// Millimetres of the sample per pixel.
    MmPerPixel(f64), "mm/pixel"
}
unit! {
    /// Microseconds: exposure times.
    Micros(u32), "µs"
}
unit! {
    /// Percent: of the full power of a laser, or of the width of a tile.
    Percent(f64), "%"
}

/// A position of an axis, in the unit of that axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Position {
    /// A position of X, Y or Z, in mm.
    Mm(f64),
    /// A position of R, in degrees.
    Degrees(f64),
}

impl Position {
    /// Makes `value` a position of `axis`, in the unit of that axis.
    pub const fn of(axis: Axis, value: f64) -> Self {
        match axis {
            Axis::R => Self::Degrees(value),
            Axis::X | Axis::Y | Axis::Z => Self::Mm(value),
        }
    }

    /// The number without its unit.
    pub const fn value(self) -> f64 {
        match self {
            Self::Mm(value) | Self::Degrees(value) => value,
        }
    }

    /// Whether the position is in the unit of `axis`.
    pub const fn fits(self, axis: Axis) -> bool {
        matches!(
            (self, axis),
            (Self::Degrees(_), Axis::R) | (Self::Mm(_), Axis::X | Axis::Y | Axis::Z)
        )
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Mm(value) => Mm(value).fmt(f),
            Self::Degrees(value) => Degrees(value).fmt(f),
        }
    }
}

impl From<Mm> for Position {
    fn from(Mm(value): Mm) -> Self {
        Self::Mm(value)
    }
}

impl From<Degrees> for Position {
    fn from(Degrees(value): Degrees) -> Self {
        Self::Degrees(value)
    }
}

/// The positions of all four axes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pose {
    /// The position of X.
    pub x: Mm,
    /// The position of Y.
    pub y: Mm,
    /// The position of Z.
    pub z: Mm,
    /// The rotation.
    pub r: Degrees,
}

impl Pose {
    /// Each axis with its position, in the order X, Y, Z, R.
    #[must_use]
    pub const fn each(&self) -> [(Axis, Position); 4] {
        [
            (Axis::X, Position::Mm(self.x.0)),
            (Axis::Y, Position::Mm(self.y.0)),
            (Axis::Z, Position::Mm(self.z.0)),
            (Axis::R, Position::Degrees(self.r.0)),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_fits_only_the_axes_of_its_unit() {
        for axis in Axis::ALL {
            assert!(Position::of(axis, 1.0).fits(axis));
            assert_eq!(Position::from(Degrees(1.0)).fits(axis), axis == Axis::R);
            assert_eq!(Position::from(Mm(1.0)).fits(axis), axis != Axis::R);
        }
    }

    #[test]
    fn a_number_is_shown_with_its_unit_and_precision() {
        assert_eq!(Position::Degrees(-12.5).to_string(), "-12.5 deg");
        assert_eq!(format!("{:.2}", Percent(11.494)), "11.49 %");
        assert_eq!(Micros(9_002).to_string(), "9002 µs");
    }
}
