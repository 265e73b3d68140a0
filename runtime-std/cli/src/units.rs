//! What a hand types: numbers with a unit, such as `250um`, `30deg`, `12ms`, `5%` and `2048x512`.
//!
//! Each function names what it expected, what it found, and what to type. Which values an instrument
//! accepts is checked where they are used.

use std::time::Duration;

use flamingo_microscope::Axis;

/// A number and the unit after it; an empty unit if there is none.
fn split(text: &str) -> (&str, &str) {
    let is_unit = |letter: char| !(letter.is_ascii_digit() || "+-.,eE".contains(letter));
    // An `e` is a part of the number only between digits, as in 2e-1.
    let end = text.char_indices().find(|(at, letter)| {
        is_unit(*letter)
            || (matches!(letter, 'e' | 'E')
                && !text[at + 1..].starts_with(|next: char| next.is_ascii_digit() || next == '-'))
    });
    let (number, unit) = text.split_at(end.map_or(text.len(), |(at, _)| at));
    (number, unit.trim())
}

/// Parses a finite number. A decimal comma gets advice.
pub(crate) fn finite(text: &str) -> Result<f64, String> {
    let Ok(number) = text.parse::<f64>() else {
        let advice = match text.split_once(',') {
            Some((whole, part)) if format!("{whole}.{part}").parse::<f64>().is_ok() => {
                format!("; write {whole}.{part}")
            }
            _ => String::new(),
        };
        return Err(format!("expected a number such as 7.5, found {text:?}{advice}"));
    };
    if !number.is_finite() {
        return Err(format!("expected a finite number, found {text}"));
    }
    Ok(number)
}

/// Parses a number with one of these units, which are factors. The first unit is that of a bare number.
fn quantity(text: &str, expected: &str, units: &[(&str, f64)]) -> Result<f64, String> {
    if text.parse::<f64>().is_ok() {
        // A bare number, also NaN and inf, which are refused as numbers.
        return finite(text);
    }
    let (number, unit) = split(text);
    let wrong = || format!("expected {expected}, found {text:?}");
    if number.is_empty() || number.contains(char::is_alphabetic) && number.parse::<f64>().is_err() {
        return Err(wrong());
    }
    if unit.is_empty() {
        return finite(number);
    }
    let factor = units.iter().find(|(name, _)| *name == unit).map(|(_, factor)| factor);
    let factor = factor.ok_or_else(wrong)?;
    let value = finite(number).map_err(|error| format!("{text:?}: {error}"))?;
    // Divided, where the factor is below 1: 250 um are exactly 0.25 mm.
    Ok(if *factor < 1.0 { value / (1.0 / factor).round() } else { value * factor })
}

const MM: [(&str, f64); 5] = [("mm", 1.0), ("um", 1e-3), ("µm", 1e-3), ("μm", 1e-3), ("nm", 1e-6)];
const TIMES: [(&str, f64); 5] =
    [("ms", 1e-3), ("us", 1e-6), ("µs", 1e-6), ("μs", 1e-6), ("s", 1.0)];
const DEGREES: [(&str, f64); 4] = [("deg", 1.0), ("°", 1.0), ("degree", 1.0), ("degrees", 1.0)];

/// Whether the text is the unit of a position, without a number.
pub(crate) fn is_unit(text: &str) -> bool {
    MM.iter().chain(&DEGREES).any(|(unit, _)| *unit == text)
}

/// Whether the text is a unit of any value, without a number.
pub(crate) fn is_any_unit(text: &str) -> bool {
    let text = text.strip_suffix("/s").unwrap_or(text);
    is_unit(text) || text == "%" || TIMES.iter().any(|(unit, _)| *unit == text)
}

/// Parses a position or a distance of an axis: in mm without a unit, on r in degrees.
pub(crate) fn on_axis(axis: Axis, text: &str) -> Result<f64, String> {
    if axis == Axis::R {
        return quantity(text, "degrees such as 30 or 30deg", &DEGREES);
    }
    quantity(text, "a length such as 8.5, 8.5mm or 250um", &MM)
}

/// Parses a velocity of an axis: in mm/s without a unit, on r in degrees/s. Above 0.
pub(crate) fn velocity_on_axis(axis: Axis, text: &str) -> Result<f64, String> {
    let per_second = text.strip_suffix("/s").unwrap_or(text);
    let velocity = match axis {
        Axis::R => quantity(per_second, "degrees/s such as 10 or 10deg/s", &DEGREES)?,
        _ => quantity(per_second, "a velocity such as 0.5, 0.5mm/s or 500um/s", &MM)?,
    };
    if velocity <= 0.0 {
        return Err(format!("expected a velocity above 0, found {text:?}"));
    }
    Ok(velocity)
}

/// Parses an exposure time. It has a unit, because a bare number could be ms or µs.
pub(crate) fn exposure(text: &str) -> Result<Duration, String> {
    let expected = "a time with its unit, such as 12ms or 800us";
    if text.parse::<f64>().is_ok() {
        return Err(format!("expected {expected}, found {text:?}; write {text}ms or {text}us"));
    }
    let seconds = quantity(text, expected, &TIMES)?;
    let micros = (seconds * 1e6).round();
    if !(1.0..=f64::from(i32::MAX)).contains(&micros) {
        return Err(format!("expected 1us to {}s, found {text:?}", i32::MAX / 1_000_000));
    }
    Ok(Duration::from_secs_f64(micros / 1e6))
}

/// Parses a share of the full power: `5%`, or `5`. 0 to 100.
pub(crate) fn percent(text: &str) -> Result<f64, String> {
    let percent = quantity(text, "a percentage such as 5%", &[("%", 1.0)])?;
    if !(0.0..=100.0).contains(&percent) {
        return Err(format!("expected 0% to 100%, found {text:?}"));
    }
    Ok(percent)
}

/// Parses a size in pixels, width first: `2048x512`.
pub(crate) fn size(text: &str) -> Result<(u32, u32), String> {
    let side = |side: &str| side.trim().parse::<u32>().ok().filter(|side| *side > 0);
    let sides = text.split_once(['x', 'X', '×']);
    let size = sides.and_then(|(width, height)| Some((side(width)?, side(height)?)));
    size.ok_or_else(|| format!("expected WIDTHxHEIGHT in pixels, such as 2048x512, found {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_in_mm_unless_it_has_another_unit() {
        for (text, mm) in [
            ("8.5", 8.5),
            ("8.5mm", 8.5),
            ("8.5 mm", 8.5),
            ("250um", 0.25),
            ("250µm", 0.25),
            ("250μm", 0.25),
            ("+250um", 0.25),
            ("-0.1mm", -0.1),
            ("2e-1", 0.2),
            ("2e-1mm", 0.2),
            (".5mm", 0.5),
        ] {
            assert_eq!(on_axis(Axis::X, text), Ok(mm), "{text}");
        }
    }

    #[test]
    fn a_rotation_is_in_degrees() {
        for text in ["30", "30deg", "30°", "+30deg"] {
            assert_eq!(on_axis(Axis::R, text), Ok(30.0), "{text}");
        }
        assert!(on_axis(Axis::R, "30um").unwrap_err().contains("such as 30 or 30deg"));
        assert!(on_axis(Axis::X, "30deg").unwrap_err().contains("8.5mm or 250um"));
    }

    #[test]
    fn what_is_no_quantity_is_named() {
        for text in [
            "", "mm", "x", "-x", "8.5cm", "8.5mmm", "1.2.3mm", "--5mm", "NaN", "inf", "1e999",
            "5 5",
        ] {
            let error = on_axis(Axis::Z, text).unwrap_err();
            assert!(error.starts_with("expected") || error.contains(text), "{text}: {error}");
        }
        assert!(on_axis(Axis::X, "8,5").unwrap_err().contains("write 8.5"));
        assert!(on_axis(Axis::X, "8,5mm").unwrap_err().contains("write 8.5"));
    }

    #[test]
    fn an_exposure_time_needs_its_unit() {
        assert_eq!(exposure("12ms"), Ok(Duration::from_millis(12)));
        for text in ["800us", "800µs", "0.8ms", "0.0008s"] {
            assert_eq!(exposure(text), Ok(Duration::from_micros(800)), "{text}");
        }
        assert!(exposure("12").unwrap_err().contains("12ms or 12us"));
        for text in ["0ms", "-1ms", "3000s", "ms"] {
            assert!(exposure(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_percentage_is_within_0_and_100() {
        assert_eq!((percent("5%"), percent("5"), percent("12.5 %")), (Ok(5.0), Ok(5.0), Ok(12.5)));
        for text in ["101%", "-1%", "5mm", "%", "NaN"] {
            assert!(percent(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_size_has_two_sides() {
        assert_eq!((size("2048x512"), size("2048×512")), (Ok((2048, 512)), Ok((2048, 512))));
        for text in ["2048", "2048x", "x", "0x5", "-1x5", "2048x512x3"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_velocity_is_above_0_and_in_the_unit_of_its_axis() {
        assert_eq!(velocity_on_axis(Axis::X, "0.5mm/s"), Ok(0.5));
        assert_eq!(velocity_on_axis(Axis::X, "500um/s"), Ok(0.5));
        assert_eq!(velocity_on_axis(Axis::R, "10deg/s"), Ok(10.0));
        assert!(velocity_on_axis(Axis::X, "fast").unwrap_err().contains("0.5mm/s"));
        for text in ["0", "-1", "5deg/s"] {
            assert!(velocity_on_axis(Axis::X, text).is_err(), "{text}");
        }
    }
}
