//! The texts inside a frame's buffer, parsed with nom: the positions of a push, and the level of a
//! laser. The grammar of frames and image headers is `parse.rs`.

use nom::branch::alt;
use nom::bytes::complete::tag_no_case;
use nom::character::complete::{char, i32 as integer, multispace0, space0};
use nom::combinator::{all_consuming, opt, value, verify};
use nom::number::complete::double;
use nom::sequence::{delimited, preceded, separated_pair};
use nom::{IResult, Parser};

type Parsed<'a, T> = IResult<&'a str, T, ()>;

/// Reads the positions in the buffer of a push with the flag
/// [`STAGE_POSITIONS_IN_BUFFER`](crate::Flags::STAGE_POSITIONS_IN_BUFFER): lines of the form
/// `1=7.635`, the number of an axis and its position in mm (degrees on R).
///
/// Lines of any other form are left out. Numbers of axes are not checked.
///
/// ```
/// use flamingo_protocol_core::wire::pushed_positions;
/// let mut positions = pushed_positions("1=7.635\n2=14\nnonsense\n3=20.1\n");
/// assert_eq!(positions.next(), Some((1, 7.635)));
/// assert_eq!(positions.next(), Some((2, 14.0)));
/// assert_eq!(positions.next(), Some((3, 20.1)));
/// assert_eq!(positions.next(), None);
/// ```
pub fn pushed_positions(text: &str) -> impl Iterator<Item = (i32, f64)> + '_ {
    text.lines().filter_map(|line| all_consuming(position).parse(line).ok().map(|(_, read)| read))
}

/// `1=7.635`, with spaces anywhere between its parts.
fn position(line: &str) -> Parsed<'_, (i32, f64)> {
    separated_pair(padded(integer), char('='), padded(double)).parse(line)
}

fn padded<'a, T>(
    inner: impl Parser<&'a str, Output = T, Error = ()>,
) -> impl Parser<&'a str, Output = T, Error = ()> {
    delimited(space0, inner, space0)
}

/// The text in an answer to LASER_LEVEL_GET.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum LaserLevel<'a> {
    /// A level in percent, finite.
    Percent(f64),
    /// The laser declines, with this text: `getLevel error`.
    Declined(&'a str),
}

impl<'a> LaserLevel<'a> {
    /// Reads a level such as `11.49` or `11.49 %`. `None`: the text is neither a level nor an error.
    ///
    /// ```
    /// use flamingo_protocol_core::wire::LaserLevel;
    /// assert_eq!(LaserLevel::parse("11.49"), Some(LaserLevel::Percent(11.49)));
    /// let declined = "getLevel error";
    /// assert_eq!(LaserLevel::parse(declined), Some(LaserLevel::Declined(declined)));
    /// assert_eq!(LaserLevel::parse("on"), None);
    /// ```
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let text = text.trim();
        let error = value(Self::Declined(text), says_error);
        let level = all_consuming(percent).map(Self::Percent);
        alt((error, level)).parse(text).ok().map(|(_, level)| level)
    }
}

/// A finite number, with or without a percent sign.
fn percent(text: &str) -> Parsed<'_, f64> {
    let number = verify(double, |level: &f64| level.is_finite());
    delimited(multispace0, number, preceded(multispace0, opt(char('%')))).parse(text)
}

/// The word `error` anywhere, in capitals or not.
fn says_error(text: &str) -> Parsed<'_, ()> {
    let mut rest = text.chars();
    loop {
        if let Ok((after, _)) = tag_no_case::<_, _, ()>("error").parse(rest.as_str()) {
            return Ok((after, ()));
        }
        if rest.next().is_none() {
            return Err(nom::Err::Error(()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_malformed_position_line_hides_no_other() {
        let text = "1=x\n9=4\n\n 4 = -90.5 \n2=1 2\n=3\n";
        assert!(pushed_positions(text).eq([(9, 4.0), (4, -90.5)]));
    }

    #[test]
    fn lines_of_positions_may_end_with_crlf_or_nothing() {
        assert!(pushed_positions("1=1.5\r\n2=-2e1").eq([(1, 1.5), (2, -20.0)]));
        assert_eq!(pushed_positions("").count(), 0);
    }

    #[test]
    fn a_laser_level_is_a_finite_number_or_an_error_text() {
        for text in ["5.00", " 5.00 %", "5%", "+5"] {
            assert_eq!(LaserLevel::parse(text), Some(LaserLevel::Percent(5.0)), "{text:?}");
        }
        for text in ["getLevel error", " ERROR 7", "Laser: Error"] {
            assert_eq!(LaserLevel::parse(text), Some(LaserLevel::Declined(text.trim())));
        }
        for text in ["", "NaN", "inf", "on", "5 mW", "é"] {
            assert_eq!(LaserLevel::parse(text), None, "{text:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_parsed_without_a_panic(text in "[0-9.=eE+%µ \\n-]{0,72}|.{0,72}") {
            let _ = LaserLevel::parse(&text);
            for (_, position) in pushed_positions(&text) {
                let _ = position;
            }
        }

        #[test]
        fn a_position_is_parsed_as_rust_parses_it(axis: i32, position: f64) {
            let text = std::format!("{axis}={position}");
            let (found, value) = pushed_positions(&text).next().unwrap_or_default();
            proptest::prop_assert_eq!((found, value.to_bits()), (axis, position.to_bits()));
        }
    }
}
