//! Reads the short texts in answers and pushes: a laser level, the list of drives, positions.
//!
//! Texts with sections are in `files/sections/`.

use crate::axis::Axis;

/// Why a text is no laser level.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LevelError {
    /// The laser answered `getLevel error`.
    #[error("the laser declines: {said:?}")]
    Declined {
        /// The text.
        said: String,
    },
    /// The text is no number.
    #[error("laser level: expected a percentage as text, found {found:?}")]
    NotANumber {
        /// The text.
        found: String,
    },
}

/// Reads the level in percent from the text of an answer to LASER_LEVEL_GET.
///
/// # Errors
/// [`LevelError`]: the laser declined, or the text is no number.
///
/// ```
/// use flamingo_microscope::text::laser_level;
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

/// Reads the drives from the text of an answer to STORAGE_PATH_SET: one per line, without empty lines.
pub fn drives(text: &str) -> Vec<&str> {
    text.split(['\n', '\0']).map(str::trim).filter(|line| !line.is_empty()).collect()
}

/// Reads the positions in the buffer of a push with the flag STAGE_POSITIONS_IN_BUFFER
/// (`1=X\n2=Y\n3=Z\n`): each axis with its position in mm, R in degrees.
///
/// ```
/// use flamingo_microscope::{Axis, text::pushed_positions};
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
