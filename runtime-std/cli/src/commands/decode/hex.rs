//! Hex text → bytes, in the forms in which people have it: plain, with separators, or as a dump
//! with offsets and a column of characters (xxd, `hexdump -C`, tcpdump, Wireshark).
//!
//! What the bytes mean is not here.

use std::fmt;

/// The most bytes that the `*` of a dump (repeated lines) may stand for: 1 GiB.
const MOST_REPEATED: u64 = 1 << 30;

/// Text that is not hex.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}")]
pub(crate) struct HexError {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub why: HexFlaw,
}

/// What is wrong with a line of hex text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HexFlaw {
    /// Something that is no hex digit.
    Digit {
        /// The character.
        found: char,
    },
    /// A group of digits that ends in the middle of a byte.
    OddDigits {
        /// The group.
        found: String,
    },
    /// A `*` that cannot be filled in.
    Repeat,
}

impl fmt::Display for HexFlaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Digit { found } => write!(f, "expected a hex digit, found {found:?}"),
            Self::OddDigits { found } => {
                let digits = found.len();
                write!(f, "expected two digits a byte, found {digits} digits in {found:?}")
            }
            Self::Repeat => f.write_str("expected a line and an offset around '*'"),
        }
    }
}

/// Whether these bytes are text that may be hex, rather than raw frames: no frame is, since its
/// markers are no ASCII.
pub(crate) fn is_text(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace())
}

/// Reads hex text.
///
/// # Errors
/// [`HexError`] names the line and what stands there instead of hex.
pub(crate) fn parse(text: &str) -> Result<Vec<u8>, HexError> {
    let mut reader = Reader::default();
    for (at, line) in text.lines().enumerate() {
        reader.line(line).map_err(|why| HexError { line: at + 1, why })?;
    }
    Ok(reader.bytes)
}

#[derive(Default)]
struct Reader {
    bytes: Vec<u8>,
    /// The last line of a dump: the offset behind it, and its bytes.
    last: Option<(u64, Vec<u8>)>,
    /// A `*` stood below it.
    repeat: bool,
}

impl Reader {
    fn line(&mut self, line: &str) -> Result<(), HexFlaw> {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            return Ok(());
        }
        if line == "*" {
            self.repeat = self.last.is_some();
            return if self.repeat { Ok(()) } else { Err(HexFlaw::Repeat) };
        }
        let (offset, body) = split_offset(line, self.last.is_some());
        if let Some(offset) = offset.filter(|_| self.repeat) {
            self.fill_to(offset)?;
        }
        self.repeat = false;
        let bytes = digits(body)?;
        self.bytes.extend(&bytes);
        self.last = offset.map(|offset| (offset + bytes.len() as u64, bytes));
        Ok(())
    }

    fn fill_to(&mut self, offset: u64) -> Result<(), HexFlaw> {
        let (from, line) = self.last.as_ref().ok_or(HexFlaw::Repeat)?;
        let missing = offset.checked_sub(*from).filter(|missing| *missing <= MOST_REPEATED);
        let missing = missing.and_then(|missing| usize::try_from(missing).ok());
        let missing = missing.filter(|_| !line.is_empty()).ok_or(HexFlaw::Repeat)?;
        self.bytes.extend(line.iter().cycle().take(missing));
        Ok(())
    }
}

/// The offset at the start of a line of a dump, if there is one, and its bytes without the
/// column of characters. `in_dump`: the line before had an offset, so one may stand alone.
fn split_offset(line: &str, in_dump: bool) -> (Option<u64>, &str) {
    let (first, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let (number, colon) = first.strip_suffix(':').map_or((first, false), |first| (first, true));
    let number = number.strip_prefix("0x").filter(|_| colon).unwrap_or(number);
    let Ok(offset) = u64::from_str_radix(number, 16) else {
        return (None, line);
    };
    let rest = rest.trim();
    let ends: &[&str] = if colon { &["  "] } else { &["   ", "|"] };
    let column = ends.iter().filter_map(|end| rest.find(end)).min().unwrap_or(rest.len());
    let body = rest.get(..column).unwrap_or(rest);
    let long = (4..=16).contains(&number.len());
    let pairs = body.split_whitespace().all(|group| group.len() == 2);
    if colon || (long && pairs && (in_dump || !body.is_empty())) {
        (Some(offset), body)
    } else {
        (None, line)
    }
}

fn digits(body: &str) -> Result<Vec<u8>, HexFlaw> {
    let separator = |c: char| c.is_whitespace() || ",;:-_'\"[](){}".contains(c);
    let mut bytes = Vec::with_capacity(body.len() / 2);
    let body = body.replace("\\x", " ");
    for group in body.split(separator).filter(|group| !group.is_empty()) {
        let prefixed = group.strip_prefix("0x").or_else(|| group.strip_prefix("0X"));
        let group = prefixed.unwrap_or(group);
        if let Some(found) = group.chars().find(|c| !c.is_ascii_hexdigit()) {
            return Err(HexFlaw::Digit { found });
        }
        match (group.len(), prefixed) {
            (1, Some(_)) => bytes.extend(u8::from_str_radix(group, 16)),
            (len, _) if len % 2 == 1 => {
                return Err(HexFlaw::OddDigits { found: group.to_owned() });
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
    fn the_repeated_lines_of_a_dump_are_filled_in() {
        let dump = "00000000  01 00 |..|\n00000002  02 00 |..|\n*\n00000008  03 |.|\n00000009\n";
        assert_eq!(parse(dump).unwrap(), [1, 0, 2, 0, 2, 0, 2, 0, 3]);
        let to_the_end = "00000000  00 00 |..|\n*\n00000006\n";
        assert_eq!(parse(to_the_end).unwrap(), [0; 6]);
    }

    #[test]
    fn what_is_no_hex_is_named_with_its_line() {
        let error = parse("54 e6\n21 g3\n").unwrap_err();
        assert_eq!(error.to_string(), "line 2: expected a hex digit, found 'g'");
        let error = parse("54e").unwrap_err();
        assert_eq!(error.why, HexFlaw::OddDigits { found: "54e".to_owned() });
        assert_eq!(parse("*\n").unwrap_err().why, HexFlaw::Repeat);
        let endless = "00000000  00 |.|\n*\nffffffffffffffff\n";
        assert_eq!(parse(endless).unwrap_err().why, HexFlaw::Repeat);
    }

    #[test]
    fn frames_are_not_taken_for_text() {
        assert!(is_text(b"54 e6 21 f3\r\n"));
        assert!(!is_text(&BYTES));
    }
}
