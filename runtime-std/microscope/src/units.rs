//! The units that the instrument measures in, as types: a number never loses its unit on the way.
//!
//! Only the numbers. Which of them the instrument takes is known by its settings.

use std::fmt;

use crate::axis::Axis;

macro_rules! unit {
    ($(#[$doc:meta])* $name:ident($number:ty), $symbol:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default)]
        pub struct $name(pub $number);

        impl fmt::Display for $name {
            /// The number, with as many digits as were asked for, and the unit.
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
    /// Degrees: positions of R. They do not wrap: 720 is two turns from 0.
    Degrees(f64), "deg"
}
unit! {
    /// Millimetres a second: velocities of X, Y and Z.
    MmPerSecond(f64), "mm/s"
}
unit! {
    /// Degrees a second: velocities of R.
    DegreesPerSecond(f64), "deg/s"
}
unit! {
    /// Millimetres of the sample that one pixel shows.
    MmPerPixel(f64), "mm/pixel"
}
unit! {
    /// Microseconds: exposure and acquisition times.
    Micros(u32), "µs"
}
unit! {
    /// Percent of what a device can give, 0 to 100: laser levels.
    Percent(f64), "%"
}

/// A position of an axis, in the unit of that axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Position {
    /// Of X, Y or Z.
    Mm(f64),
    /// Of R.
    Degrees(f64),
}

impl Position {
    /// `value` as a position of `axis`, in the unit that this axis has.
    pub const fn of(axis: Axis, value: f64) -> Self {
        match axis {
            Axis::R => Self::Degrees(value),
            Axis::X | Axis::Y | Axis::Z => Self::Mm(value),
        }
    }

    /// The number alone.
    pub const fn value(self) -> f64 {
        match self {
            Self::Mm(value) | Self::Degrees(value) => value,
        }
    }

    /// Whether it is in the unit of `axis`.
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

/// Where all four axes are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pose {
    /// X.
    pub x: Mm,
    /// Y.
    pub y: Mm,
    /// Z.
    pub z: Mm,
    /// The rotation.
    pub r: Degrees,
}

impl Pose {
    /// Each axis with its position, in the order of the axes.
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
    fn a_number_is_shown_with_its_unit_and_the_digits_that_were_asked_for() {
        assert_eq!(Position::Degrees(-12.5).to_string(), "-12.5 deg");
        assert_eq!(format!("{:.2}", Percent(11.494)), "11.49 %");
        assert_eq!(Micros(9_002).to_string(), "9002 µs");
    }
}
