//! Checks that every device shares: statuses and texts of answers, numbers in them, and numbers
//! that go to the wire.

use flamingo_runtime_std::Answer;

use crate::Error;

/// The answer, unless its status says failure (0). Other statuses than 0 and 1 are seen, and are
/// no failure.
pub(crate) fn succeeded(what: &str, answer: Answer) -> Result<Answer, Error> {
    if answer.frame.status != 0 {
        return Ok(answer);
    }
    let code = answer.frame.code;
    Err(Error::Refused { what: what.to_owned(), code, status: 0, reason: reason(&answer) })
}

/// The text of an answer: its buffer, or else its payload.
pub(crate) fn text_of(answer: &Answer) -> String {
    let buffer = answer.frame.buffer_bytes();
    let text = if buffer.is_empty() { &answer.payload } else { buffer };
    String::from_utf8_lossy(text).into_owned()
}

/// The longest reason that is told, in characters: an answer may have megabytes behind it.
const REASON: usize = 200;

fn reason(answer: &Answer) -> String {
    text_of(answer).trim().chars().take(REASON).collect()
}

/// A number of an answer that must be finite and above 0.
pub(crate) fn above_zero(what: &str, unit: &str, found: f64) -> Result<f64, Error> {
    if found.is_finite() && found > 0.0 {
        return Ok(found);
    }
    let expected = format!("a number of {unit} above 0");
    Err(Error::Implausible { what: what.to_owned(), expected, found: found.to_string() })
}

/// A whole number for the wire that must be within a range; nothing is sent otherwise.
pub(crate) fn in_range(
    what: &str,
    value: i64,
    range: std::ops::RangeInclusive<i32>,
) -> Result<i32, Error> {
    let found = i32::try_from(value).ok().filter(|value| range.contains(value));
    found.ok_or_else(|| Error::OutOfRange {
        what: what.to_owned(),
        expected: format!("{} to {}", range.start(), range.end()),
        found: value.to_string(),
    })
}
