//! Checks that all devices share: the status and the text of an answer, numbers in an answer, and
//! numbers that are about to be sent. What an answer means is in the file of its device.

use flamingo_protocol_core::wire::Status;
use flamingo_runtime_std::Answer;

use crate::Error;

/// Returns the answer unless its status is a failure. An answer whose status says nothing is a presumed
/// success.
pub(crate) fn succeeded(what: &str, answer: Answer) -> Result<Answer, Error> {
    if answer.outcome != Status::Failure {
        return Ok(answer);
    }
    let code = answer.frame.code;
    let status = answer.frame.status;
    Err(Error::Refused { what: what.to_owned(), code, status, reason: reason(&answer) })
}

/// Returns the text of an answer: its buffer, or its payload if the buffer is empty.
pub(crate) fn text_of(answer: &Answer) -> String {
    let buffer = answer.frame.buffer_bytes();
    let text = if buffer.is_empty() { &answer.payload } else { buffer };
    String::from_utf8_lossy(text).into_owned()
}

/// The longest reason that an error shows, in characters: a payload may have megabytes.
const REASON: usize = 200;

fn reason(answer: &Answer) -> String {
    text_of(answer).trim().chars().take(REASON).collect()
}

/// Checks a number from an answer: it must be finite and above 0.
pub(crate) fn above_zero(what: &str, unit: &str, found: f64) -> Result<f64, Error> {
    if found.is_finite() && found > 0.0 {
        return Ok(found);
    }
    let expected = format!("a number of {unit} above 0");
    Err(Error::Implausible { what: what.to_owned(), expected, found: found.to_string() })
}

/// Checks a whole number before it is sent: it must be within the range.
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
