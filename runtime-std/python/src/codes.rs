//! What Python calls a command code, an axis, a laser or an LED colour: a number or a name.

use flamingo_microscope::units::Position;
use flamingo_microscope::{Axis, Laser, LedColour};
use flamingo_protocol_core::CommandCode;
use flamingo_protocol_core::wire::TABLE;
use flamingo_runtime_std::command_code;
use pyo3::prelude::*;

use crate::failure::Failure;

/// A number, or a name such as `"STAGE_HALT"`.
#[derive(FromPyObject)]
pub(crate) enum CodeLike {
    Number(i64),
    Name(String),
}

impl CodeLike {
    pub(crate) fn code(self) -> Result<CommandCode, Failure> {
        match self {
            Self::Number(number) => Ok(CommandCode(whole("code", number)?)),
            Self::Name(name) => command_code::from_text(&name)
                .map_err(|error| Failure::new("InvalidValue", error.to_string())),
        }
    }
}

/// A whole number that fits.
///
/// # Errors
/// `InvalidValue` with the numbers that are expected.
pub(crate) fn whole<T: TryFrom<i64> + Bounded>(name: &str, found: i64) -> Result<T, Failure> {
    let (least, most) = T::BOUNDS;
    let message = || format!("{name}: expected {least} to {most}, found {found}; nothing was sent");
    T::try_from(found).map_err(|_| Failure::new("InvalidValue", message()))
}

/// The least and the greatest number of a type.
pub(crate) trait Bounded {
    const BOUNDS: (i64, i64);
}

impl Bounded for u16 {
    const BOUNDS: (i64, i64) = (0, u16::MAX as i64);
}

impl Bounded for u32 {
    const BOUNDS: (i64, i64) = (0, u32::MAX as i64);
}

/// A letter, or the number of the axis on the wire.
#[derive(FromPyObject)]
pub(crate) enum AxisLike {
    Number(i32),
    Letter(String),
}

impl AxisLike {
    pub(crate) fn axis(self) -> Result<Axis, Failure> {
        let found = match self {
            Self::Letter(letter) => match letter.parse() {
                Ok(axis) => return Ok(axis),
                Err(_) => format!("{letter:?}"),
            },
            Self::Number(number) => match Axis::from_selector(number) {
                Some(axis) => return Ok(axis),
                None => number.to_string(),
            },
        };
        let expected = "axis: expected 'x', 'y', 'z' or 'r', or 1 to 4";
        Err(Failure::new("InvalidValue", format!("{expected}, found {found}")))
    }
}

pub(crate) fn laser(number: i32) -> Result<Laser, Failure> {
    let unknown =
        || Failure::new("InvalidValue", format!("laser: expected 1 to 4, found {number}"));
    Laser::new(number).ok_or_else(unknown)
}

pub(crate) fn led_colour(name: &str) -> Result<LedColour, Failure> {
    let names = ["red", "green", "blue", "white"];
    let at = names.iter().position(|each| each.eq_ignore_ascii_case(name));
    at.and_then(|at| LedColour::ALL.get(at)).copied().ok_or_else(|| {
        let expected = "LED colour: expected 'red', 'green', 'blue' or 'white'";
        Failure::new("InvalidValue", format!("{expected}, found {name:?}"))
    })
}

/// The targets that are given, each in the unit of its axis.
pub(crate) fn targets(each: [Option<f64>; 4]) -> Result<Vec<(Axis, Position)>, Failure> {
    let targets = Axis::ALL.into_iter().zip(each);
    let targets: Vec<_> =
        targets.filter_map(|(axis, at)| Some((axis, Position::of(axis, at?)))).collect();
    if targets.is_empty() {
        let why = "move: expected a target for x, y, z or r, found none";
        return Err(Failure::new("InvalidValue", why));
    }
    Ok(targets)
}

/// The name of a code; `None` if it is not known.
#[pyfunction]
pub(crate) fn code_name(code: u32) -> Option<String> {
    CommandCode(code).name().map(str::to_owned)
}

/// All known codes, by their names.
#[pyfunction]
pub(crate) fn known_codes() -> Vec<(String, u32)> {
    TABLE.iter().filter_map(|row| Some((row.code.name()?.to_owned(), row.code.0))).collect()
}
