//! One line of a text of sections: its end, its kind, and the places of name and value.

use std::ops::Range;

/// What a line is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Empty,
    /// `# text`, `// text` or `<!-- text -->`.
    Comment,
    Open(String),
    Close {
        name: String,
        /// The tag is `<//X>` or `<\X>`, not `</X>`.
        odd: bool,
    },
    Entry {
        name: Range<usize>,
        value: Range<usize>,
    },
    Other,
}

/// The bytes that a UTF-8 text may begin with to mark its encoding.
pub(super) const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Splits a text after each LF, CR LF, and CR that no LF follows. Several CR before an LF are one
/// line end. The flag of a line tells whether it ends with such a lone CR.
pub(super) fn split(bytes: &[u8]) -> Vec<(&[u8], bool)> {
    let mut lines = Vec::new();
    let (mut start, mut at) = (0, 0);
    while at < bytes.len() {
        match bytes[at] {
            b'\n' => {
                at += 1;
                lines.push((&bytes[start..at], false));
                start = at;
            }
            b'\r' => {
                let run = bytes[at..].iter().take_while(|byte| **byte == b'\r').count();
                if bytes.get(at + run) == Some(&b'\n') {
                    at += run;
                    continue;
                }
                for _ in 0..run {
                    at += 1;
                    lines.push((&bytes[start..at], true));
                    start = at;
                }
            }
            _ => at += 1,
        }
    }
    if start < bytes.len() {
        lines.push((&bytes[start..], false));
    }
    lines
}

/// Whether two names are the same: upper and lower case are, and so are all spaces between words.
pub(crate) fn same_name(a: &str, b: &str) -> bool {
    let (mut a, mut b) = (a.split_whitespace(), b.split_whitespace());
    loop {
        match (a.next(), b.next()) {
            (None, None) => return true,
            (Some(a), Some(b)) if a.eq_ignore_ascii_case(b) => {}
            _ => return false,
        }
    }
}

pub(super) fn kind(line: &[u8]) -> Kind {
    let Range { start, end } = trimmed(line, 0..line.len());
    let text = &line[start..end];
    if text.is_empty() {
        return Kind::Empty;
    }
    let is_whole = |comment: &[u8]| {
        let end = comment.windows(3).position(|window| window == b"-->");
        end.is_none_or(|end| end + 3 == comment.len())
    };
    let has_sign = text.starts_with(b"#") || text.starts_with(b"//");
    if has_sign || text.strip_prefix(b"<!--").is_some_and(is_whole) {
        return Kind::Comment;
    }
    if let Some(tag) = text.strip_prefix(b"<").and_then(|tag| tag.strip_suffix(b">")) {
        return tag_kind(tag);
    }
    let Some(sign) = text.iter().position(|byte| *byte == b'=') else { return Kind::Other };
    let name = trimmed(line, start..start + sign);
    if name.is_empty() {
        return Kind::Other;
    }
    // The place of an empty value is after the space that follows the sign.
    let rest = start + sign + 1..line.len();
    let mut value = trimmed(line, rest.clone());
    if value.is_empty() {
        let space = usize::from(line.get(rest.start) == Some(&b' '));
        value = rest.start + space..rest.start + space;
    }
    Kind::Entry { name, value }
}

/// The kind of a tag, without its brackets.
fn tag_kind(tag: &[u8]) -> Kind {
    let slashes = tag.iter().take_while(|byte| matches!(byte, b'/' | b'\\')).count();
    let name = trimmed(tag, slashes..tag.len());
    let name = String::from_utf8_lossy(&tag[name]).into_owned();
    match slashes {
        0 => Kind::Open(name),
        _ => Kind::Close { name, odd: &tag[..slashes] != b"/" },
    }
}

/// The range without the spaces, line ends and NULs at both ends. (A payload may end with NULs.)
pub(super) fn trimmed(line: &[u8], range: Range<usize>) -> Range<usize> {
    let bytes = &line[range.clone()];
    let (start, len) = if let Ok(text) = std::str::from_utf8(bytes) {
        let rest = text.trim_start_matches(is_space);
        (text.len() - rest.len(), rest.trim_end_matches(is_space).len())
    } else {
        let is_space = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0;
        let first = bytes.iter().position(|byte| !is_space(byte)).unwrap_or(0);
        let last = bytes.iter().rposition(|byte| !is_space(byte)).unwrap_or(0);
        (first, last + 1 - first)
    };
    if len == 0 {
        return range.start..range.start;
    }
    range.start + start..range.start + start + len
}

fn is_space(character: char) -> bool {
    character == '\0' || character.is_whitespace() || is_invisible(character)
}

/// A byte order mark or a space of no width.
fn is_invisible(character: char) -> bool {
    matches!(character, '\u{FEFF}' | '\u{200B}'..='\u{200D}' | '\u{2060}')
}

/// Whether the bytes contain a space that is not ASCII, such as a no-break space. In bytes that are
/// not UTF-8, 0xA0 is the no-break space of Latin-1.
pub(super) fn has_odd_space(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).map_or_else(
        |_| bytes.contains(&0xA0),
        |text| text.chars().any(|c| !c.is_ascii() && (c.is_whitespace() || is_invisible(c))),
    )
}

/// The encoding of a text with two or four bytes for each character.
pub(super) fn wide_encoding(bytes: &[u8]) -> Option<&'static str> {
    const LITTLE: [bool; 8] = [false, true, true, true, false, true, true, true];
    const BIG: [bool; 8] = [true, true, true, false, true, true, true, false];
    let marked = |mark: &[u8]| bytes.starts_with(mark);
    if marked(&[0xFF, 0xFE, 0, 0]) || marked(&[0, 0, 0xFE, 0xFF]) {
        return Some("UTF-32");
    }
    if marked(&[0xFF, 0xFE]) || marked(&[0xFE, 0xFF]) {
        return Some("UTF-16");
    }
    // Without a mark: ASCII characters, with NULs between them.
    let nuls = |count: usize| -> Option<Vec<bool>> {
        Some(bytes.get(..count)?.iter().map(|byte| *byte == 0).collect())
    };
    if let Some([false, true, false, true] | [true, false, true, false]) = nuls(4).as_deref() {
        return Some("UTF-16");
    }
    nuls(8)
        .filter(|nuls| [LITTLE, BIG].iter().any(|wide| wide == nuls.as_slice()))
        .map(|_| "UTF-32")
}
