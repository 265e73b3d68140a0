//! The form of the instrument's texts: `<Section>` … `</Section>`, one in another, and lines of
//! `name = value`. Scope settings and workflow files are both of this form.
//!
//! Only the form, and nothing of it is lost. What the values mean is `scope_settings.rs` and
//! `workflow/`.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

/// A text of sections, kept byte for byte: indentation, line ends, bytes that are not UTF-8.
///
/// ```
/// use flamingo_microscope::sections::SectionText;
/// let bytes = b"<Stage limits>\r\n  Home x-axis = 7.5\r\n</Stage limits>\r\n";
/// let mut text = SectionText::parse(bytes)?;
/// let home = text.get("Stage limits", "Home x-axis").unwrap();
/// assert_eq!((home.value.as_ref(), home.line), ("7.5", 2));
/// assert_eq!(text.to_bytes(), bytes);
/// text.set("Stage limits", "Home x-axis", "8");
/// assert_eq!(text.to_bytes(), b"<Stage limits>\r\n  Home x-axis = 8\r\n</Stage limits>\r\n");
/// # Ok::<(), flamingo_microscope::sections::SectionError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SectionText {
    lines: Vec<Line>,
    /// The names of the sections in the order in which they begin.
    sections: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    /// With its line end.
    bytes: Vec<u8>,
    entry: Option<Span>,
}

/// Where `name = value` stands in a line, and in which section.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Span {
    section: Option<usize>,
    name: Range<usize>,
    value: Range<usize>,
}

/// A `name = value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The name, without spaces around it.
    pub name: Cow<'a, str>,
    /// The value, without spaces around it; empty where there is none.
    pub value: Cow<'a, str>,
    /// The number of its line, from 1.
    pub line: usize,
}

/// A text that is not of this form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: expected {expected}, found {found}")]
#[non_exhaustive]
pub struct SectionError {
    /// The number of the line, from 1.
    pub line: usize,
    /// What may stand there.
    pub expected: String,
    /// What stands there.
    pub found: String,
}

/// A value that cannot be what its name says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {name}: expected {expected}, found {found:?}")]
#[non_exhaustive]
pub struct ValueError {
    /// The number of the line, from 1.
    pub line: usize,
    /// The name.
    pub name: String,
    /// What it may be.
    pub expected: &'static str,
    /// What it is.
    pub found: String,
}

impl Entry<'_> {
    /// Says what was expected instead.
    pub(crate) fn wrong(&self, expected: &'static str) -> ValueError {
        let (name, found) = (self.name.to_string(), self.value.to_string());
        ValueError { line: self.line, name, expected, found }
    }
}

impl SectionText {
    /// Reads a text.
    ///
    /// # Errors
    /// [`SectionError`]: a section that is not closed, or by another name; a line that is neither
    /// empty, nor a tag, nor `name = value`.
    pub fn parse(bytes: &[u8]) -> Result<Self, SectionError> {
        let mut text = Self { lines: Vec::new(), sections: Vec::new() };
        let mut open: Vec<(usize, usize)> = Vec::new();
        for (number, bytes) in (1..).zip(bytes.split_inclusive(|byte| *byte == b'\n')) {
            let entry = match kind(bytes) {
                Kind::Empty => None,
                Kind::Open(name) => {
                    open.push((text.sections.len(), number));
                    text.sections.push(name);
                    None
                }
                Kind::Close(name) => {
                    let last = open.pop().map(|(section, _)| text.sections[section].clone());
                    if last.as_deref().is_none_or(|last| !last.eq_ignore_ascii_case(&name)) {
                        let expected = last
                            .map_or("no closing tag: no section is open".into(), |name| tag(&name));
                        return Err(SectionError { line: number, expected, found: tag(&name) });
                    }
                    None
                }
                Kind::Entry { name, value } => {
                    Some(Span { section: open.last().map(|(section, _)| *section), name, value })
                }
                Kind::Other => {
                    let expected = "`name = value`, <Section> or </Section>".to_owned();
                    let found = format!("{:?}", shown(bytes));
                    return Err(SectionError { line: number, expected, found });
                }
            };
            text.lines.push(Line { bytes: bytes.to_vec(), entry });
        }
        if let Some((section, line)) = open.pop() {
            let expected = format!("{} before the end", tag(&text.sections[section]));
            return Err(SectionError { line, expected, found: "none".to_owned() });
        }
        Ok(text)
    }

    /// The text, byte for byte as it was read but for what was set.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.lines.iter().flat_map(|line| &line.bytes).copied().collect()
    }

    /// Whether a section of this name is there, in any case.
    #[must_use]
    pub fn has_section(&self, section: &str) -> bool {
        self.sections.iter().any(|name| name.eq_ignore_ascii_case(section))
    }

    /// The first `name` that stands directly in a section `section`; both in any case.
    #[must_use]
    pub fn get(&self, section: &str, name: &str) -> Option<Entry<'_>> {
        self.entries(section).find(|entry| entry.name.eq_ignore_ascii_case(name))
    }

    /// Everything that stands directly in the sections of this name, in order.
    pub fn entries<'a>(&'a self, section: &str) -> impl Iterator<Item = Entry<'a>> {
        (1..).zip(&self.lines).filter_map(move |(number, line)| {
            let span = line.entry.as_ref()?;
            self.is_in(span, section).then(|| line.entry(span, number))
        })
    }

    /// Changes the value of the first `name` in `section`, and no other byte. Gives whether there
    /// is one; a value with a line end in it is not set.
    pub fn set(&mut self, section: &str, name: &str, value: &str) -> bool {
        if value.contains(['\n', '\r']) {
            return false;
        }
        let Some(at) = self.place(section, name) else { return false };
        let line = &mut self.lines[at];
        let Some(span) = &mut line.entry else { return false };
        let old = span.value.clone();
        // `name =` without a value: there is no space yet to keep it apart.
        let tight = old.is_empty() && line.bytes.get(old.start.wrapping_sub(1)) == Some(&b'=');
        let new = if tight { format!(" {value}") } else { value.to_owned() };
        line.bytes.splice(old.clone(), new.bytes());
        let start = old.start + usize::from(tight);
        span.value = start..start + value.len();
        true
    }

    /// The line of the first `name` in `section`.
    fn place(&self, section: &str, name: &str) -> Option<usize> {
        self.lines.iter().position(|line| {
            line.entry.as_ref().is_some_and(|span| {
                let found = String::from_utf8_lossy(&line.bytes[span.name.clone()]);
                self.is_in(span, section) && found.eq_ignore_ascii_case(name)
            })
        })
    }

    fn is_in(&self, span: &Span, section: &str) -> bool {
        span.section.is_some_and(|at| self.sections[at].eq_ignore_ascii_case(section))
    }
}

impl Line {
    fn entry(&self, span: &Span, line: usize) -> Entry<'_> {
        Entry {
            name: String::from_utf8_lossy(&self.bytes[span.name.clone()]),
            value: String::from_utf8_lossy(&self.bytes[span.value.clone()]),
            line,
        }
    }
}

enum Kind {
    Empty,
    Open(String),
    Close(String),
    Entry { name: Range<usize>, value: Range<usize> },
    Other,
}

fn kind(line: &[u8]) -> Kind {
    let Range { start, end } = trimmed(line, 0..line.len());
    let text = &line[start..end];
    if text.is_empty() {
        return Kind::Empty;
    }
    if let Some(tag) = text.strip_prefix(b"<").and_then(|tag| tag.strip_suffix(b">")) {
        let name = |tag: &[u8]| String::from_utf8_lossy(tag.trim_ascii()).into_owned();
        return tag
            .strip_prefix(b"/")
            .map_or_else(|| Kind::Open(name(tag)), |tag| Kind::Close(name(tag)));
    }
    let Some(sign) = text.iter().position(|byte| *byte == b'=') else { return Kind::Other };
    let name = trimmed(line, start..start + sign);
    if name.is_empty() {
        return Kind::Other;
    }
    // An empty value stands where a value would: behind the space behind the sign.
    let rest = start + sign + 1..line.len();
    let mut value = trimmed(line, rest.clone());
    if value.is_empty() {
        let space = usize::from(line.get(rest.start) == Some(&b' '));
        value = rest.start + space..rest.start + space;
    }
    Kind::Entry { name, value }
}

/// A range without the spaces, line ends and NULs at both ends of it. (A payload may be padded.)
fn trimmed(line: &[u8], range: Range<usize>) -> Range<usize> {
    let is_space = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0;
    let bytes = &line[range.clone()];
    let Some(first) = bytes.iter().position(|byte| !is_space(byte)) else {
        return range.start..range.start;
    };
    let last = bytes.iter().rposition(|byte| !is_space(byte)).unwrap_or(first);
    range.start + first..range.start + last + 1
}

fn tag(name: &str) -> String {
    format!("</{name}>")
}

/// The most of a line that an error shows, in characters.
const SHOWN: usize = 60;

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().chars().take(SHOWN).collect()
}

impl fmt::Display for SectionText {
    /// The text; bytes that are not UTF-8 are replaced.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.to_bytes()))
    }
}

#[cfg(test)]
mod tests;
