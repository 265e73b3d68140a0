//! The form of the instrument's texts: nested sections `<Section>` … `</Section>` with lines of
//! `name = value`. Scope settings and workflow files have this form.
//!
//! Reading and writing keeps every byte. What the values mean is in `scope_settings.rs` and
//! `workflow/`.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

/// A text of sections. It keeps every byte: indentation, line ends, and bytes that are not UTF-8.
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
    /// The names of the sections, in the order of their opening tags.
    sections: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    /// The line with its line end.
    bytes: Vec<u8>,
    entry: Option<Span>,
}

/// The places of name and value in a line, and the section of the line.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Span {
    section: Option<usize>,
    name: Range<usize>,
    value: Range<usize>,
}

/// A line `name = value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The name, without the spaces around it.
    pub name: Cow<'a, str>,
    /// The value, without the spaces around it; it may be empty.
    pub value: Cow<'a, str>,
    /// The number of its line, from 1.
    pub line: usize,
}

/// Why a text does not have this form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: expected {expected}, found {found}")]
#[non_exhaustive]
pub struct SectionError {
    /// The number of the line, from 1.
    pub line: usize,
    /// What the line may contain.
    pub expected: String,
    /// What the line contains.
    pub found: String,
}

/// Why a value cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {name}: expected {expected}, found {found:?}")]
#[non_exhaustive]
pub struct ValueError {
    /// The number of the line, from 1.
    pub line: usize,
    /// The name.
    pub name: String,
    /// What the value may be.
    pub expected: &'static str,
    /// The value.
    pub found: String,
}

impl Entry<'_> {
    /// Makes an error that says what was expected instead of this value.
    pub(crate) fn wrong(&self, expected: &'static str) -> ValueError {
        let (name, found) = (self.name.to_string(), self.value.to_string());
        ValueError { line: self.line, name, expected, found }
    }
}

impl SectionText {
    /// Reads a text.
    ///
    /// # Errors
    /// [`SectionError`]: a section is not closed, or is closed with another name; or a line is
    /// neither empty, nor a tag, nor `name = value`.
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

    /// The text. Only the values that were set differ from the bytes that were read.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.lines.iter().flat_map(|line| &line.bytes).copied().collect()
    }

    /// Whether there is a section with this name. Upper and lower case are the same.
    #[must_use]
    pub fn has_section(&self, section: &str) -> bool {
        self.sections.iter().any(|name| name.eq_ignore_ascii_case(section))
    }

    /// The first entry `name` directly in a section `section`. Upper and lower case are the same.
    #[must_use]
    pub fn get(&self, section: &str, name: &str) -> Option<Entry<'_>> {
        self.entries(section).find(|entry| entry.name.eq_ignore_ascii_case(name))
    }

    /// All entries directly in the sections with this name, in order.
    pub fn entries<'a>(&'a self, section: &str) -> impl Iterator<Item = Entry<'a>> {
        (1..).zip(&self.lines).filter_map(move |(number, line)| {
            let span = line.entry.as_ref()?;
            self.is_in(span, section).then(|| line.entry(span, number))
        })
    }

    /// Changes the value of the first entry `name` in `section`, and no other byte. Returns `false`
    /// if there is no such entry, or if the value contains a line end.
    pub fn set(&mut self, section: &str, name: &str, value: &str) -> bool {
        if value.contains(['\n', '\r']) {
            return false;
        }
        let Some(at) = self.line_of(section, name) else { return false };
        let line = &mut self.lines[at];
        let Some(span) = &mut line.entry else { return false };
        let old = span.value.clone();
        // After `name =` without a space, one is added.
        let no_space = old.is_empty() && line.bytes.get(old.start.wrapping_sub(1)) == Some(&b'=');
        let new = if no_space { format!(" {value}") } else { value.to_owned() };
        line.bytes.splice(old.clone(), new.bytes());
        let start = old.start + usize::from(no_space);
        span.value = start..start + value.len();
        true
    }

    /// The line of the first entry `name` in `section`.
    fn line_of(&self, section: &str, name: &str) -> Option<usize> {
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
    // The place of an empty value is after the space that follows the sign.
    let rest = start + sign + 1..line.len();
    let mut value = trimmed(line, rest.clone());
    if value.is_empty() {
        let space = usize::from(line.get(rest.start) == Some(&b' '));
        value = rest.start + space..rest.start + space;
    }
    Kind::Entry { name, value }
}

/// The range without the spaces, line ends and NULs at both ends. (A payload may end with NULs.)
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

/// How many characters of a line an error shows.
const SHOWN: usize = 60;

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().chars().take(SHOWN).collect()
}

impl fmt::Display for SectionText {
    /// Writes the text; bytes that are not UTF-8 are replaced.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.to_bytes()))
    }
}

#[cfg(test)]
mod tests;
