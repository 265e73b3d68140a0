//! Reads hex text in its common forms: plain digits, digits with separators, and dumps with offsets
//! and a column of characters (xxd, `hexdump -C`, tcpdump, Wireshark).
//!
//! Frames in the bytes are found by `frames.rs`.

use std::fmt;

use nom::branch::alt;
use nom::bytes::complete::{tag, take_until, take_while_m_n};
use nom::character::complete::{char, hex_digit1, space0, space1};
use nom::combinator::{eof, map_res, opt, peek, recognize, rest, verify};
use nom::multi::many0_count;
use nom::sequence::{delimited, preceded, terminated};
use nom::{IResult, Parser};

/// The most bytes that a `*` in a dump (repeated lines) may stand for: 1 GiB.
const MAX_REPEATED: u64 = 1 << 30;

/// Text that is not hex.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub(crate) struct HexError {
    /// The line, counted from 1.
    pub line: usize,
    /// The problem in this line.
    pub problem: HexProblem,
}

/// A problem in a line of hex text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HexProblem {
    /// A character that is no hex digit.
    Digit {
        /// The character.
        found: char,
    },
    /// A group with an odd number of digits.
    OddDigits {
        /// The group.
        found: String,
    },
    /// A `*` without a line before it, or without an offset after it.
    Repeat,
}

impl fmt::Display for HexProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Digit { found } => write!(f, "expected a hex digit, found {found:?}"),
            Self::OddDigits { found } => {
                let digits = found.len();
                write!(f, "expected two digits per byte, found {digits} digits in {found:?}")
            }
            Self::Repeat => f.write_str("expected a line and an offset around '*'"),
        }
    }
}

/// Whether these bytes can be hex text. A raw frame cannot: its markers are not ASCII.
pub(crate) fn is_text(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace())
}

/// Reads hex text.
///
/// # Errors
/// [`HexError`]: the line, and what was found instead of hex.
pub(crate) fn parse(text: &str) -> Result<Vec<u8>, HexError> {
    let mut reader = DumpReader::default();
    for (at, line) in text.lines().enumerate() {
        reader.line(line).map_err(|problem| HexError { line: at + 1, problem })?;
    }
    Ok(reader.bytes)
}

#[derive(Default)]
struct DumpReader {
    bytes: Vec<u8>,
    /// The last line of a dump: the offset after it, and its bytes.
    last: Option<(u64, Vec<u8>)>,
    /// Whether a `*` followed that line.
    repeat: bool,
}

impl DumpReader {
    fn line(&mut self, line: &str) -> Result<(), HexProblem> {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            return Ok(());
        }
        if line == "*" {
            self.repeat = self.last.is_some();
            return if self.repeat { Ok(()) } else { Err(HexProblem::Repeat) };
        }
        let in_dump = self.last.is_some();
        let dumped = alt((xxd_line, hexdump_line)).parse(line).map(|(_, line)| line).ok();
        // An offset alone ends a dump; elsewhere the same digits are bytes.
        let dumped = dumped.filter(|(_, digits)| in_dump || !digits.is_empty());
        if let Some((offset, _)) = dumped.filter(|_| self.repeat) {
            self.fill_to(offset)?;
        }
        self.repeat = false;
        let bytes = bytes(dumped.map_or(line, |(_, digits)| digits))?;
        self.bytes.extend(&bytes);
        self.last = dumped.map(|(offset, _)| (offset + bytes.len() as u64, bytes));
        Ok(())
    }

    fn fill_to(&mut self, offset: u64) -> Result<(), HexProblem> {
        let (from, line) = self.last.as_ref().ok_or(HexProblem::Repeat)?;
        let missing = offset.checked_sub(*from).filter(|missing| *missing <= MAX_REPEATED);
        let missing = missing.and_then(|missing| usize::try_from(missing).ok());
        let missing = missing.filter(|_| !line.is_empty()).ok_or(HexProblem::Repeat)?;
        self.bytes.extend(line.iter().cycle().take(missing));
        Ok(())
    }
}

/// The offset and the digits of a line such as `00000010: 54e6 21f3  T.!.` or `0x0010:  54e6 21f3`.
fn xxd_line(line: &str) -> IResult<&str, (u64, &str)> {
    let end = (char(':'), alt((space1, eof)));
    let offset = delimited(opt(tag("0x")), map_res(hex_digit1, from_hex), end);
    (offset, alt((take_until("  "), rest))).parse(line)
}

/// The offset and the digits of a line such as `00000010  54 e6 21 f3  |T.!.|` or
/// `0010   54 e6 21 f3   T.!.`: pairs of digits, at most two spaces apart.
fn hexdump_line(line: &str) -> IResult<&str, (u64, &str)> {
    let long = verify(hex_digit1, |digits: &str| (4..=16).contains(&digits.len()));
    let offset = terminated(map_res(long, from_hex), alt((space1, eof)));
    let pair = take_while_m_n(2, 2, |c: char| c.is_ascii_hexdigit());
    let pair = terminated(pair, peek(alt((tag(" "), tag("|"), eof))));
    let pairs = recognize(many0_count(preceded(opt(alt((tag("  "), tag(" ")))), pair)));
    let characters = alt((eof, tag("   "), recognize((space0, char('|')))));
    (offset, terminated(pairs, characters)).parse(line)
}

fn from_hex(digits: &str) -> Result<u64, std::num::ParseIntError> {
    u64::from_str_radix(digits, 16)
}

/// Reads groups of digits between separators. A group may begin with `0x`.
fn bytes(digits: &str) -> Result<Vec<u8>, HexProblem> {
    let separator = |c: char| c.is_whitespace() || ",;:-_'\"[](){}".contains(c);
    let mut bytes = Vec::with_capacity(digits.len() / 2);
    let digits = digits.replace("\\x", " ");
    for group in digits.split(separator).filter(|group| !group.is_empty()) {
        let prefixed = group.strip_prefix("0x").or_else(|| group.strip_prefix("0X"));
        let group = prefixed.unwrap_or(group);
        if let Some(found) = group.chars().find(|c| !c.is_ascii_hexdigit()) {
            return Err(HexProblem::Digit { found });
        }
        match (group.len(), prefixed) {
            (1, Some(_)) => bytes.extend(u8::from_str_radix(group, 16)),
            (len, _) if len % 2 == 1 => {
                return Err(HexProblem::OddDigits { found: group.to_owned() });
            }
            _ => bytes.extend((0..group.len()).step_by(2).filter_map(|at| {
                group.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok())
            })),
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: [u8; 8] = [0x54, 0xE6, 0x21, 0xF3, 0, 0, 0x7C, 0xFE];

    #[test]
    fn every_common_form_gives_the_same_bytes() {
        let forms = [
            "54e621f300007cfe",
            "54 E6 21 F3\n00 00 7C FE\n",
            "54:e6:21:f3:00:00:7c:fe",
            "54e6 21f3 0000 7cfe",
            "54e621f3 00007cfe",
            "\\x54\\xe6\\x21\\xf3\\x00\\x00\\x7c\\xfe",
            "[0x54, 0xE6, 0x21, 0xf3, 0x0, 0x0, 0x7c, 0xfe]",
            "00000000: 54e6 21f3 0000 7cfe  T.!...|.\n",
            "00000000  54 e6 21 f3 00 00 7c fe  |T.!...|.|\n00000008\n",
            "0000   54 e6 21 f3   T.!.\n0004   00 00 7c fe   ..|.\n",
            "\t0x0000:  54e6 21f3 0000 7cfe  T.!...|.\n",
            "# a note\n54 e6 21 f3 00 00 7c fe",
        ];
        for form in forms {
            assert_eq!(parse(form).as_deref(), Ok(&BYTES[..]), "{form}");
        }
    }

    #[test]
    fn repeated_lines_of_a_dump_are_filled_in() {
        let dump = "00000000  01 00 |..|\n00000002  02 00 |..|\n*\n00000008  03 |.|\n00000009\n";
        assert_eq!(parse(dump).unwrap(), [1, 0, 2, 0, 2, 0, 2, 0, 3]);
        let to_the_end = "00000000  00 00 |..|\n*\n00000006\n";
        assert_eq!(parse(to_the_end).unwrap(), [0; 6]);
    }

    #[test]
    fn an_error_names_the_line_and_what_was_found() {
        let error = parse("54 e6\n21 g3\n").unwrap_err();
        assert_eq!(error.to_string(), "line 2: expected a hex digit, found 'g'");
        let error = parse("54e").unwrap_err();
        assert_eq!(error.problem, HexProblem::OddDigits { found: "54e".to_owned() });
        assert_eq!(parse("*\n").unwrap_err().problem, HexProblem::Repeat);
        let endless = "00000000  00 |.|\n*\nffffffffffffffff\n";
        assert_eq!(parse(endless).unwrap_err().problem, HexProblem::Repeat);
    }

    #[test]
    fn frames_are_not_text() {
        assert!(is_text(b"54 e6 21 f3\r\n"));
        assert!(!is_text(&BYTES));
    }
}
